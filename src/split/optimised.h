/*
 * Private to src/split: a model as the runtime rewrote it for this machine. The rewritten
 * graph and its weights lie in temporary files that are unlinked as soon as they are
 * mapped; sessions for segments are made over the mapped weights, so that any number of
 * them shares one copy, and the pages of weights that the runtime has packed into a form
 * of its own are given back. A few models the runtime cannot read back once it has
 * rewritten them; those are cut as they are in the file.
 */
#ifndef WS_SPLIT_OPTIMISED_H
#define WS_SPLIT_OPTIMISED_H

#include "engine/engine.h"
#include "onnx/graph.h"
#include "onnx/twin.h"

enum { WS_OPTIMISED_DIR_MAX = 256, WS_OPTIMISED_PATH_MAX = WS_OPTIMISED_DIR_MAX + 32 };

struct ws_optimised {
    struct ws_engine *engine;
    enum ws_level level; /* the one that the runtime accepted */
    int keep_layout;
    char note[256];   /* why it is not the one asked for, or "" */
    int is_rewritten; /* else the graph is the original, and segments are optimised as
                         they are loaded */
    /* Holds a file of the weights' name, which the runtime insists on. */
    char dir[WS_OPTIMISED_DIR_MAX];
    struct ws_model *model;
    struct ws_graph *graph;
    struct ws_twins *twins;
    struct ws_pack *pack;
};

/* Steps the level down where the runtime refuses; its last words are the error when it
 * refuses at every level. */
int ws_optimised_create(struct ws_optimised **out, struct ws_engine *engine,
                        const struct ws_graph *original, const char *path,
                        enum ws_level level, int keep_layout, struct ws_error *err);
void ws_optimised_destroy(struct ws_optimised *optimised);

/* A session that computes the original's values `to` from its values `from`. */
int ws_optimised_session(struct ws_session **out, struct ws_optimised *optimised,
                         const size_t *from, size_t from_count, const size_t *to,
                         size_t to_count, struct ws_error *err);

#endif
