/*
 * What a command line says about a model's inputs, turned into datums: files (.npy, or
 * .pb as in ONNX test data), by position or as NAME=FILE, checked against the model's own
 * types; and test data folders in ONNX's layout.
 */
#ifndef WS_CLI_INPUTS_H
#define WS_CLI_INPUTS_H

#include "core/datum.h"
#include "onnx/graph.h"
#include "wire/oip.h"
#include "wire/oip_meta.h"

/* One datum for each input of the graph. */
struct ws_inputs {
    struct ws_datum *data;
    size_t count;
};

void ws_inputs_fini(struct ws_inputs *inputs);

/* WS_E_USAGE where inputs are missing or named twice, WS_E_TYPE where one does not fit;
 * the line names the input, what it wants and what it got. */
int ws_inputs_load(struct ws_inputs *out, const struct ws_graph *graph,
                   const char *const *arguments, size_t count, struct ws_error *err);

/* DIR/input_0.pb, input_1.pb, ... for the graph's inputs, where is_output is 0, else
 * DIR/output_0.pb, ... for its outputs. WS_E_NOT_FOUND when there is no such file. */
int ws_inputs_load_test_data(struct ws_inputs *out, const struct ws_graph *graph,
                             const char *dir, int is_output, struct ws_error *err);

/* Values drawn from the seed for every input; unknown dimensions become 1. */
int ws_inputs_draw(struct ws_inputs *out, const struct ws_graph *graph, uint64_t seed,
                   struct ws_error *err);

/* An input for a server's model: NAME=FILE, or a FILE for the port at this position. Its
 * name and tensor are the caller's to free. */
int ws_inputs_load_port(struct ws_oip_tensor *out, const struct ws_oip_model *model,
                        const char *argument, size_t position, struct ws_error *err);

#endif
