#include "onnx/declare.h"

static void declare_shape(struct ws_declaration *out, const struct ws_value *value)
{
    out->shape = (Onnx__TensorShapeProto)ONNX__TENSOR_SHAPE_PROTO__INIT;
    out->shape.n_dim = value->rank;
    out->shape.dim = out->dim_list;
    for (size_t i = 0; i < value->rank; i++) {
        Onnx__TensorShapeProto__Dimension *dim = &out->dims[i];
        const char *name = ws_value_dim_name(value, i);
        *dim =
            (Onnx__TensorShapeProto__Dimension)ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT;
        if (value->dims[i] >= 0) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = value->dims[i];
        } else if (name != NULL) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim->dim_param = (char *)(uintptr_t)name;
        }
        out->dim_list[i] = dim;
    }
    out->tensor.shape = &out->shape;
}

void ws_declaration_init(struct ws_declaration *out, const struct ws_value *value)
{
    out->info = (Onnx__ValueInfoProto)ONNX__VALUE_INFO_PROTO__INIT;
    out->info.name = (char *)(uintptr_t)value->name;
    if (!value->is_tensor || value->dtype == WS_DTYPE_UNDEFINED) {
        out->info.type = (Onnx__TypeProto *)(uintptr_t)value->type;
        return;
    }
    out->type = (Onnx__TypeProto)ONNX__TYPE_PROTO__INIT;
    out->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    out->type.tensor_type = &out->tensor;
    out->tensor = (Onnx__TypeProto__Tensor)ONNX__TYPE_PROTO__TENSOR__INIT;
    out->tensor.has_elem_type = 1;
    out->tensor.elem_type = (int32_t)value->dtype;
    if (value->has_shape)
        declare_shape(out, value);
    out->info.type = &out->type;
}
