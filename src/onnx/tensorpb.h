/*
 * ONNX's own tensor messages to tensors and back: TensorProto with raw or typed payload,
 * every element type, and the SequenceProto and OptionalProto that test data holds
 * (`test_data_set_0/input_0.pb`). Such a file does not say which message it is; the
 * model's TypeProto does. A message that refers to external data is refused, and so are
 * sparse tensors and maps. The bytes are not trusted. Pure functions.
 */
#ifndef WS_ONNX_TENSORPB_H
#define WS_ONNX_TENSORPB_H

#include "base/buf.h"
#include "base/error.h"
#include "core/datum.h"
#include "core/tensor.h"
#include "onnx.pb-c.h"

/* Copies the payload of an unpacked message. WS_E_MISMATCH where payload and shape
 * disagree, WS_E_UNSUPPORTED for external data. */
int ws_tensorpb_tensor(struct ws_tensor *out, const Onnx__TensorProto *proto,
                       struct ws_error *err);
/* From a serialised TensorProto. */
int ws_tensorpb_decode(struct ws_tensor *out, const void *bytes, size_t size,
                       struct ws_error *err);
/* Appends a TensorProto with raw data (strings: string_data). name may be NULL. */
int ws_tensorpb_encode(struct ws_buf *out, const struct ws_tensor *tensor,
                       const char *name, struct ws_error *err);

/* A datum of the given type; type NULL means a tensor. */
int ws_datumpb_decode(struct ws_datum *out, const void *bytes, size_t size,
                      const Onnx__TypeProto *type, struct ws_error *err);
/* The same from a file. */
int ws_datumpb_load(struct ws_datum *out, const char *path, const Onnx__TypeProto *type,
                    struct ws_error *err);
/* Writes a tensor or a sequence of tensors; other kinds are WS_E_UNSUPPORTED. */
int ws_datumpb_save(const char *path, const struct ws_datum *datum, const char *name,
                    struct ws_error *err);

#endif
