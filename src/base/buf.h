/*
 * A growable byte buffer with a limit. It owns its memory; `data` is always
 * NUL-terminated one past `size`, so text can be built in it. A failed append leaves the
 * buffer as it was. Not thread-safe.
 */
#ifndef WS_BASE_BUF_H
#define WS_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_buf {
    char *data;
    size_t size;       /* bytes in use */
    size_t capacity;   /* bytes allocated, the NUL not counted */
    size_t size_limit; /* WS_E_LIMIT above this */
};

/* limit 0 means WS_BUF_MAX_DEFAULT. Allocates nothing. */
void ws_buf_init(struct ws_buf *buf, size_t size_limit);
void ws_buf_fini(struct ws_buf *buf);
/* Empties the buffer and keeps its memory. */
void ws_buf_clear(struct ws_buf *buf);
/* Room for `extra` more bytes. */
int ws_buf_reserve(struct ws_buf *buf, size_t extra, struct ws_error *err);
int ws_buf_add(struct ws_buf *buf, const void *bytes, size_t size, struct ws_error *err);
int ws_buf_add_text(struct ws_buf *buf, const char *text, struct ws_error *err);
__attribute__((format(printf, 3, 4))) int
ws_buf_printf(struct ws_buf *buf, struct ws_error *err, const char *fmt, ...);
/* Hands the memory to the caller, who frees it with free(); the buffer is empty again.
 * NULL if nothing was ever added. */
char *ws_buf_take(struct ws_buf *buf);

#endif
