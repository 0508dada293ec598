/*
 * TensorProto payloads. ONNX lets the same numbers stand as raw bytes or in one of six
 * typed lists; everything here works on raw bytes, so a typed payload is turned into
 * them once, when a model is opened. Strings stay as they are.
 */
#ifndef WS_ONNX_TENSORPROTO_H
#define WS_ONNX_TENSORPROTO_H

#include "base/error.h"
#include "core/tensor.h"
#include "onnx.pb-c.h"

/* "" for a string the message does not have. */
static inline const char *ws_proto_text(const char *text)
{
    return text != NULL ? text : "";
}

/* The element type; UNDEFINED for numbers this program does not know. */
enum ws_dtype ws_tensorproto_dtype(const Onnx__TensorProto *tensor);

/* Bytes that the declared type and shape ask for. WS_E_TYPE for strings, unknown types
 * and negative dimensions, WS_E_LIMIT. */
int ws_tensorproto_size(uint64_t *out, const Onnx__TensorProto *tensor,
                        struct ws_error *err);

/* Copies the shape; WS_E_LIMIT above WS_TENSOR_RANK_MAX. */
int ws_tensorproto_shape(int64_t dims[WS_TENSOR_RANK_MAX], size_t *out_rank,
                         const Onnx__TensorProto *tensor, struct ws_error *err);

/* The value of a key of external_data, or NULL. */
const char *ws_tensorproto_external(const Onnx__TensorProto *tensor, const char *key);

/*
 * Moves a typed payload into raw_data and checks that the size of the payload fits the
 * shape. The tensor must not be external. Tensors of strings and of unknown types are
 * left alone.
 */
int ws_tensorproto_normalise(Onnx__TensorProto *tensor, struct ws_error *err);

#endif
