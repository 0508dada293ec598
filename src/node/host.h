/*
 * The models of a node. A model is known by its file's stem; what is run of it is a
 * stage: all of it under its own NAME, or the tail of one cut with the codec's decoder in
 * front as NAME~CUT~CODEC, CUT being what `wattshed inspect` lists. Stages are made when
 * first asked for and kept. Models come from the command line and, where there are such,
 * from the repository folder and from the store of what clients sent; they can be
 * unloaded, which waits for those who still use them, and loaded again. Thread-safe.
 */
#ifndef WS_NODE_HOST_H
#define WS_NODE_HOST_H

#include "base/digest.h"
#include "node/store.h"
#include "node/tally.h"
#include "split/splitter.h"
#include "split/stage.h"

struct ws_host;

struct ws_host_options {
    struct ws_engine *engine; /* must outlive the host */
    struct ws_splitter_options splitter;
    const char *repository; /* folder of NAME.onnx; NULL: none */
    struct ws_store store;
};

/* A stage in use, pinned with its model. */
struct ws_host_use {
    struct ws_stage *stage;
    struct ws_tally *tally;
    const char *digest; /* of the model */
    void *model;        /* private */
};

int ws_host_create(struct ws_host **out, const struct ws_host_options *options,
                   struct ws_error *err);
/* After the last use was released. */
void ws_host_destroy(struct ws_host *host);

struct ws_engine *ws_host_engine(const struct ws_host *host);

/* Adds a file and loads it. WS_E_MISMATCH where its stem is taken. */
int ws_host_add(struct ws_host *host, const char *path, struct ws_error *err);
/* By name, and by digest where that is not "": from the path it had, from the repository,
 * or from the store. WS_E_NOT_FOUND, also where only another model of that name is here.
 * Loading what is loaded is no error. */
int ws_host_load(struct ws_host *host, const char *name, const char *digest,
                 struct ws_error *err);
/* Takes a model that a client sent into the store and loads it, in place of another from
 * the store that bears its name. WS_E_UNSUPPORTED without a store, WS_E_MISMATCH where
 * the name belongs to a model from elsewhere; and as ws_store_add. */
int ws_host_upload(struct ws_host *host, const char *name, const char *digest,
                   const uint8_t *bytes, size_t size, struct ws_error *err);
int ws_host_unload(struct ws_host *host, const char *name, struct ws_error *err);

/* WS_E_NOT_FOUND where there is no such model, cut or codec, WS_E_BUSY where the model is
 * not loaded. */
int ws_host_acquire(struct ws_host_use *out, struct ws_host *host, const char *name,
                    struct ws_error *err);
void ws_host_release(struct ws_host *host, struct ws_host_use *use);

/* Calls `visit` for every model, loaded or in the repository. */
typedef int (*ws_host_model_fn)(void *user, const char *name, int is_ready,
                                struct ws_error *err);
int ws_host_each_model(struct ws_host *host, ws_host_model_fn visit, void *user,
                       struct ws_error *err);
/* Calls `visit` for every stage that was made. */
typedef int (*ws_host_stage_fn)(void *user, const char *name, struct ws_tally *tally,
                                struct ws_error *err);
int ws_host_each_stage(struct ws_host *host, ws_host_stage_fn visit, void *user,
                       struct ws_error *err);

#endif
