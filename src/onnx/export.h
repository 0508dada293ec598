/*
 * The two sides of a cut as models that any runtime or server can load: head.onnx and
 * tail.onnx, made of the model's own graph, with the codec merged in. The head takes the
 * model's inputs and gives what travels, then the model's outputs that are computed
 * before the cut; the tail takes what travels and gives the other outputs. Weights are
 * inside, or in one file weights.bin that both share. metadata_props say what belongs
 * together: wattshed.model (the digest), wattshed.cut (its identity), wattshed.tensors
 * (the names of the cut's tensors, joined by commas), wattshed.codec, wattshed.side.
 */
#ifndef WS_ONNX_EXPORT_H
#define WS_ONNX_EXPORT_H

#include "onnx/codec.h"
#include "onnx/cut.h"

struct ws_export_options {
    const char *dir; /* made where it is missing */
    size_t cut;
    enum ws_codec codec;
    const struct ws_codec_range *ranges; /* of each crossing tensor, for int8c alone */
    int external;                        /* weights in a file of their own */
};

/* What was written. */
struct ws_export_facts {
    size_t head_nodes, tail_nodes; /* of the model's own; free ones may be in both */
    uint64_t wire_bytes;
    int wire_bytes_known;
};

/* WS_E_USAGE for the first and the last cut, which leave one side without work;
 * WS_E_UNKNOWN where the type of a crossing tensor is not known; and as ws_coding_create.
 * out may be NULL. */
int ws_export_cut(struct ws_export_facts *out, const struct ws_cuts *cuts,
                  const struct ws_export_options *options, struct ws_error *err);

#endif
