/*
 * Types and shapes of every tensor of a model, from the runtime's own inference: what a
 * graph asks when its file does not say them. Where that leaves ranks open, the model is
 * run once on drawn inputs and looked at.
 */
#ifndef WS_SPLIT_SHAPES_H
#define WS_SPLIT_SHAPES_H

#include "engine/engine.h"
#include "onnx/graph.h"

/* A ws_shape_source; `user` is the struct ws_engine. */
int ws_shapes_from_engine(void *user, const char *model_path, ws_shape_sink sink,
                          void *sink_user, const struct ws_dim *dims, size_t dim_count,
                          struct ws_error *err);

#endif
