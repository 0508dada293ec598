/*
 * Inputs for a whole model out of nothing (core/sample.h): one tensor for each input of
 * its graph.
 */
#ifndef WS_ONNX_DRAW_H
#define WS_ONNX_DRAW_H

#include "core/datum.h"
#include "onnx/graph.h"

/* graph->input_count datums, to be fini'ed each and freed; unknown dimensions become 1.
 * WS_E_UNSUPPORTED where an input is no tensor. */
int ws_graph_draw_inputs(struct ws_datum **out, const struct ws_graph *graph,
                         uint64_t seed, struct ws_error *err);

#endif
