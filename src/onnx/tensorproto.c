#include "onnx/tensorproto.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/tensorpb.h"

enum ws_dtype ws_tensorproto_dtype(const Onnx__TensorProto *tensor)
{
    int32_t type = tensor->has_data_type ? tensor->data_type : 0;
    return type > 0 && type < WS_DTYPE_COUNT ? (enum ws_dtype)type : WS_DTYPE_UNDEFINED;
}

int ws_tensorproto_shape(int64_t dims[WS_TENSOR_RANK_MAX], size_t *out_rank,
                         const Onnx__TensorProto *tensor, struct ws_error *err)
{
    if (tensor->n_dims > WS_TENSOR_RANK_MAX)
        return ws_error_set(err, WS_E_LIMIT, "rank %zu, at most %d", tensor->n_dims,
                            WS_TENSOR_RANK_MAX);
    for (size_t i = 0; i < tensor->n_dims; i++)
        dims[i] = tensor->dims[i];
    *out_rank = tensor->n_dims;
    return 0;
}

int ws_tensorproto_size(uint64_t *out, const Onnx__TensorProto *tensor,
                        struct ws_error *err)
{
    enum ws_dtype dtype = ws_tensorproto_dtype(tensor);
    if (dtype == WS_DTYPE_STRING)
        return ws_error_set(err, WS_E_TYPE, "a tensor of strings has no fixed size");
    return ws_shape_bytes(out, dtype, tensor->dims, tensor->n_dims, err);
}

const char *ws_tensorproto_external(const Onnx__TensorProto *tensor, const char *key)
{
    for (size_t i = tensor->n_external_data; i > 0; i--) {
        const Onnx__StringStringEntryProto *entry = tensor->external_data[i - 1];
        if (strcmp(ws_proto_text(entry->key), key) == 0)
            return ws_proto_text(entry->value);
    }
    return NULL;
}

/* What a payload in lists leaves behind once raw_data holds it. */
static void drop_lists(Onnx__TensorProto *tensor)
{
    /* protobuf-c's default allocator is malloc and free. */
    free(tensor->float_data);
    free(tensor->double_data);
    free(tensor->int32_data);
    free(tensor->int64_data);
    free(tensor->uint64_data);
    tensor->float_data = NULL;
    tensor->double_data = NULL;
    tensor->int32_data = NULL;
    tensor->int64_data = NULL;
    tensor->uint64_data = NULL;
    tensor->n_float_data = tensor->n_double_data = tensor->n_int32_data = 0;
    tensor->n_int64_data = tensor->n_uint64_data = 0;
}

int ws_tensorproto_normalise(Onnx__TensorProto *tensor, struct ws_error *err)
{
    enum ws_dtype dtype = ws_tensorproto_dtype(tensor);
    if (dtype == WS_DTYPE_UNDEFINED || dtype == WS_DTYPE_STRING)
        return 0;
    if (tensor->has_raw_data) {
        uint64_t expected = 0;
        int rc = ws_tensorproto_size(&expected, tensor, err);
        if (rc == 0 && tensor->raw_data.len != expected)
            rc =
                ws_error_set(err, WS_E_FORMAT, "%zu bytes where its shape needs %" PRIu64,
                             tensor->raw_data.len, expected);
        return rc;
    }
    struct ws_tensor plain;
    int rc = ws_tensorpb_tensor(&plain, tensor, err);
    if (rc != 0)
        return rc;
    drop_lists(tensor);
    tensor->has_raw_data = 1;
    tensor->raw_data = (ProtobufCBinaryData){.len = plain.size_bytes, .data = plain.data};
    return 0;
}
