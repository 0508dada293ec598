/*
 * Segments: the piece of a graph between two frontiers, as an ONNX model of its own. It
 * is found backwards from the tensors it must give, stopping at the tensors it is given
 * and at constants, so it holds each node it needs once and nothing else. Operator sets,
 * functions, IR version, metadata and the types of the tensors it keeps come along.
 * Extra nodes may be put in front and behind, and inputs and outputs redeclared, which is
 * how codecs and layout changes are merged in.
 */
#ifndef WS_ONNX_SEGMENT_H
#define WS_ONNX_SEGMENT_H

#include "base/buf.h"
#include "onnx/graph.h"

struct ws_segment_spec {
    const size_t *from; /* values given; those not needed are dropped */
    size_t from_count;
    const size_t *to; /* values to compute, the outputs in this order; one that comes
                         again (it crosses, and is an output of the model) is left out */
    size_t to_count;
    const char *name; /* of the graph; NULL keeps the model's */

    /* (optional) Nodes put before and behind the segment's own, and their weights. */
    Onnx__NodeProto **prologue;
    size_t prologue_count;
    Onnx__NodeProto **epilogue;
    size_t epilogue_count;
    Onnx__TensorProto **extra_weights;
    size_t extra_weight_count;
    /* (optional) Declared instead of those of from and to, all of them; an extra input
     * or output is simply listed too. */
    Onnx__ValueInfoProto **inputs;
    size_t input_count;
    Onnx__ValueInfoProto **outputs;
    size_t output_count;
    /* (optional) Operator sets beside the model's (a domain that is there keeps its
     * version), and metadata_props added. */
    Onnx__OperatorSetIdProto **opsets;
    size_t opset_count;
    Onnx__StringStringEntryProto **metadata;
    size_t metadata_count;

    enum ws_weights_mode weights;
    const struct ws_weights_file *weights_file; /* for WS_WEIGHTS_FILE */
};

struct ws_segment {
    const struct ws_graph *graph;
    size_t *nodes; /* nodes of the graph it holds, in order */
    size_t node_count;
    size_t *inputs; /* the values of `from` it needs, in the order of `from` */
    size_t input_count;
    size_t *weights; /* indices for ws_model_weight of the initializers it holds */
    size_t weight_count;
};

/* Finds the segment. WS_E_MISMATCH names a graph input that is needed and not in
 * `from`. */
int ws_segment_create(struct ws_segment **out, const struct ws_graph *graph,
                      const size_t *from, size_t from_count, const size_t *to,
                      size_t to_count, struct ws_error *err);
void ws_segment_destroy(struct ws_segment *segment);

/* Finds it and appends it to `buf` as a ModelProto. *out_segment (may be NULL) receives
 * what was found. */
int ws_segment_build(struct ws_buf *buf, struct ws_segment **out_segment,
                     const struct ws_graph *graph, const struct ws_segment_spec *spec,
                     struct ws_error *err);
/* The same into a file, without holding it in memory. */
int ws_segment_write(const char *path, struct ws_segment **out_segment,
                     const struct ws_graph *graph, const struct ws_segment_spec *spec,
                     struct ws_error *err);

#endif
