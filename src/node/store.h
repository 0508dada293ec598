/*
 * Models that clients sent, as files of one folder that a disk budget bounds, across
 * restarts: DIR/NAME.DIGEST.onnx, each standing alone. When room is needed the least
 * recently used goes first; a file's modification time is when it was used last. A file
 * is complete or not there. The folder is looked at each time, so whoever removes a file
 * by hand is right. Calls are not to overlap; a loaded model's file may be removed under
 * it, its mapping stays.
 */
#ifndef WS_NODE_STORE_H
#define WS_NODE_STORE_H

#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

enum { WS_STORE_PATH_MAX = 4096 };

struct ws_store {
    const char *dir; /* NULL: there is no store */
    uint64_t budget_bytes;
};

/* Makes the folder where it is missing. */
int ws_store_open(const struct ws_store *store, struct ws_error *err);

/* The file of a name: of this digest, or ("") the most recently used; marks it as used
 * now. WS_E_NOT_FOUND. */
int ws_store_find(char path[static WS_STORE_PATH_MAX], const struct ws_store *store,
                  const char *name, const char *digest, struct ws_error *err);
void ws_store_touch(const char *path);

/* Checks that the bytes are a model of that digest which stands alone, makes room,
 * calling `evict` before each file that goes, and writes it. WS_E_MISMATCH, WS_E_LIMIT
 * where it is larger than the budget, WS_E_FORMAT, WS_E_IO. */
typedef void (*ws_store_evict_fn)(void *user, const char *path);
int ws_store_add(char path[static WS_STORE_PATH_MAX], const struct ws_store *store,
                 const char *name, const char *digest, const uint8_t *bytes, size_t size,
                 ws_store_evict_fn evict, void *user, struct ws_error *err);

/* Calls `visit` with the name of every file, in no order; a name may come twice. */
typedef int (*ws_store_name_fn)(void *user, const char *name, struct ws_error *err);
int ws_store_each(const struct ws_store *store, ws_store_name_fn visit, void *user,
                  struct ws_error *err);

#endif
