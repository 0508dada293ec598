/*
 * Makes ONNX models in code: nodes, attributes, weights and value infos, kept as
 * protobuf-c messages. Everything passed in is copied; what is returned belongs to the
 * builder and lives as long. Making a graph takes hundreds of calls, so these do not
 * return codes: the first failure is kept, later calls do nothing harmful, and packing,
 * writing or ws_builder_status reports it. Weights may be given now or while the file is
 * written, so that a large model never lies in memory. Not thread-safe.
 */
#ifndef WS_ONNX_BUILD_H
#define WS_ONNX_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "core/tensor.h"
#include "onnx.pb-c.h"

struct ws_builder;

/* An empty graph over this version of the standard operators. */
int ws_builder_create(struct ws_builder **out, const char *graph_name, int64_t opset,
                      struct ws_error *err);
/* Takes NULL. */
void ws_builder_destroy(struct ws_builder *builder);
/* 0, or the first failure of a call below. */
int ws_builder_status(const struct ws_builder *builder, struct ws_error *err);

/* A formatted name; never NULL. */
__attribute__((format(printf, 2, 3))) const char *
ws_builder_text(struct ws_builder *builder, const char *fmt, ...);

/* Appends a node. Both lists end with NULL; "" leaves an optional input out. */
Onnx__NodeProto *ws_builder_node(struct ws_builder *builder, const char *op_type,
                                 const char *name, const char *const *inputs,
                                 const char *const *outputs);
/* Attributes of a node just made. */
void ws_builder_int(struct ws_builder *builder, Onnx__NodeProto *node, const char *name,
                    int64_t value);
void ws_builder_ints(struct ws_builder *builder, Onnx__NodeProto *node, const char *name,
                     const int64_t *values, size_t count);
void ws_builder_float(struct ws_builder *builder, Onnx__NodeProto *node, const char *name,
                      float value);

/* A weight with its data (bytes as in ws_tensor; not strings). */
void ws_builder_weight(struct ws_builder *builder, const char *name, enum ws_dtype dtype,
                       const int64_t *dims, size_t rank, const void *data);
/* A weight whose data ws_builder_write asks for. */
void ws_builder_weight_later(struct ws_builder *builder, const char *name,
                             enum ws_dtype dtype, const int64_t *dims, size_t rank);

/* Declares an input, an output or a tensor in between. A dimension of -1 is unknown;
 * dims NULL says nothing about the shape. */
void ws_builder_input(struct ws_builder *builder, const char *name, enum ws_dtype dtype,
                      const int64_t *dims, size_t rank);
void ws_builder_output(struct ws_builder *builder, const char *name, enum ws_dtype dtype,
                       const int64_t *dims, size_t rank);
void ws_builder_value(struct ws_builder *builder, const char *name, enum ws_dtype dtype,
                      const int64_t *dims, size_t rank);
/* A metadata_props entry. */
void ws_builder_metadata(struct ws_builder *builder, const char *key, const char *value);

/* The graph so far, e.g. to move its nodes into another model; valid until the next
 * call. */
const Onnx__GraphProto *ws_builder_graph(const struct ws_builder *builder);

/* Appends the ModelProto. WS_E_USAGE if a weight's data was left for later. */
int ws_builder_pack(struct ws_buf *out, const struct ws_builder *builder,
                    struct ws_error *err);

/* Puts `size` bytes of a weight's data, from byte `from` on, into out. Called for the
 * weights in the order they were announced, each from 0 upwards without gaps. */
typedef int (*ws_weight_fill)(void *user, const char *name, uint64_t from, void *out,
                              size_t size, struct ws_error *err);

/* Writes the ModelProto to a file, piece by piece. fill may be NULL if no weight was left
 * for later. WS_E_LIMIT above WS_MODEL_PROTO_MAX. */
int ws_builder_write(const char *path, const struct ws_builder *builder,
                     ws_weight_fill fill, void *user, struct ws_error *err);

#endif
