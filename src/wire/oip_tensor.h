/*
 * One tensor of a protocol message, in JSON or as bytes: what requests and replies have
 * in common. For this room alone.
 */
#ifndef WS_WIRE_OIP_TENSOR_H
#define WS_WIRE_OIP_TENSOR_H

#include "base/cursor.h"
#include "base/json.h"
#include "wire/oip.h"

/* A JSON array of tensors, those with binary_data_size taken from `blobs` in order. */
int ws_oip_tensors_parse(struct ws_oip_tensor **out, size_t *out_count,
                         const struct ws_json *array, struct ws_cursor *blobs,
                         struct ws_error *err);
void ws_oip_tensors_fini(struct ws_oip_tensor *tensors, size_t count);

/* A tensor over bytes at `data`: in place where aligned, else a copy; BYTES unpacked. */
int ws_oip_tensor_from_bytes(struct ws_oip_tensor *out, enum ws_dtype dtype,
                             const int64_t *dims, size_t rank, const uint8_t *data,
                             size_t size, struct ws_error *err);

/* Appends `"KEY":[{...},...]` and notes a part for each tensor that goes as bytes. */
int ws_oip_tensors_build(struct ws_oip_message *message, const char *key,
                         const struct ws_oip_tensor *tensors, size_t count,
                         struct ws_error *err);

/* Appends a JSON string, quoted; WS_E_FORMAT where it is not UTF-8. */
int ws_oip_add_quoted(struct ws_buf *buf, const char *text, struct ws_error *err);

/* Empties a message for at most `tensor_count` parts beside the head; then, once the JSON
 * is in the head, pads it and counts. */
int ws_oip_message_start(struct ws_oip_message *message, size_t tensor_count,
                         struct ws_error *err);
int ws_oip_message_finish(struct ws_oip_message *message, struct ws_error *err);

#endif
