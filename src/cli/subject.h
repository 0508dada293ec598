/*
 * A model with its graph and cuts, looked at but not run: what commands work on that need
 * no optimised form of it.
 */
#ifndef WS_CLI_SUBJECT_H
#define WS_CLI_SUBJECT_H

#include "engine/engine.h"
#include "onnx/cut.h"

struct ws_subject {
    struct ws_model *model;
    struct ws_graph *graph;
    struct ws_cuts *cuts;
};

/* Zero-initialise before. Shapes come from the engine, or, where it is NULL, from the
 * file alone. On failure what is there is still to be finished. */
int ws_subject_init(struct ws_subject *subject, const char *path,
                    struct ws_engine *engine, const struct ws_dim *dims, size_t dim_count,
                    struct ws_error *err);
void ws_subject_fini(struct ws_subject *subject);

#endif
