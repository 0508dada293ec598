/*
 * ValueInfoProto made from what a graph knows of a value, or copied by reference from
 * what its file says. A declaration points into itself: do not move it.
 */
#ifndef WS_ONNX_DECLARE_H
#define WS_ONNX_DECLARE_H

#include "onnx/graph.h"

struct ws_declaration {
    Onnx__ValueInfoProto info;
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor;
    Onnx__TensorShapeProto shape;
    Onnx__TensorShapeProto__Dimension dims[WS_TENSOR_RANK_MAX];
    Onnx__TensorShapeProto__Dimension *dim_list[WS_TENSOR_RANK_MAX];
};

/* The type is left out where nothing is known of it. */
void ws_declaration_init(struct ws_declaration *out, const struct ws_value *value);

#endif
