/*
 * The walk over a model's protobuf bytes that comes before protobuf-c sees them. It
 * copies everything but large tensor payloads, which it replaces by external data that
 * says where in the same file they lie, and it refuses what protobuf-c would follow
 * without limit: deep nesting, millions of messages, lengths beyond the end. It knows
 * the schema through protobuf-c's own descriptors, so a newer schema needs no change.
 */
#ifndef WS_ONNX_SKELETON_H
#define WS_ONNX_SKELETON_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Payloads up to this stay in the skeleton. */
enum { WS_PAYLOAD_INLINE_MAX = 1024 };

/*
 * Appends to `out` the ModelProto in `bytes` without its large payloads. `location` is
 * what external_data will say instead. WS_E_FORMAT, WS_E_LIMIT.
 */
int ws_skeleton_build(struct ws_buf *out, const uint8_t *bytes, size_t size,
                      const char *location, struct ws_error *err);

#endif
