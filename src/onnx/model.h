/*
 * An ONNX file, opened without copying its weights. The file is mapped; a bounded walk
 * over the protobuf bytes leaves every large tensor payload where it lies, and protobuf-c
 * unpacks only the small rest. What it unpacks is the SKELETON: a valid ONNX model in
 * which a large tensor, wherever it stood (initializer, Constant attribute, control-flow
 * body, function), is external data that points into the mapped file itself. A segment
 * made of skeleton nodes can therefore be loaded by any runtime with external data, and
 * the weights exist once, in the page cache. Real external data is accepted where it
 * stays inside the model's folder, symbolic links resolved. A model is used by one thread
 * at a time; what it hands out lives as long as it does.
 */
#ifndef WS_ONNX_MODEL_H
#define WS_ONNX_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "core/tensor.h"
#include "onnx.pb-c.h"

struct ws_model;

/* A top-level initializer. */
struct ws_weight {
    const char *name;
    enum ws_dtype dtype;
    size_t rank;
    int64_t dims[WS_TENSOR_RANK_MAX];
    const uint8_t *data; /* C order, little-endian; not aligned; NULL for strings */
    size_t size_bytes;
    const char *path; /* the file that holds the bytes; NULL for one kept in memory */
    uint64_t offset;  /* of the bytes in that file */
};

/* WS_E_IO, WS_E_FORMAT for bytes that are no ONNX model, WS_E_LIMIT. */
int ws_model_open(struct ws_model **out, const char *path, struct ws_error *err);
/* The same from memory that outlives the model; external data is refused. For tests and
 * fuzzing. */
int ws_model_open_bytes(struct ws_model **out, const uint8_t *bytes, size_t size,
                        struct ws_error *err);
void ws_model_close(struct ws_model *model);

/* The skeleton. Typed tensor payloads are normalised to raw_data, strings excepted. */
const Onnx__ModelProto *ws_model_proto(const struct ws_model *model);
/* The path as given, and the folder it lies in ("." for a bare name). */
const char *ws_model_path(const struct ws_model *model);
const char *ws_model_dir(const struct ws_model *model);

/*
 * SHA-256 over the skeleton without its payloads, then over every payload: the same for
 * raw, typed, inline and external weights. Reads all weights the first time, then keeps
 * the answer.
 */
int ws_model_digest(char out[static WS_DIGEST_TEXT], struct ws_model *model,
                    struct ws_error *err);

/* Gives initializers of control-flow bodies that bear a name twice names of their own.
 * The runtime writes such bodies (each constant twice) and then refuses to read them. */
int ws_model_rename_doubles(struct ws_model *model, struct ws_error *err);

size_t ws_model_weight_count(const struct ws_model *model);
const struct ws_weight *ws_model_weight(const struct ws_model *model, size_t index);

/* Tells the kernel that the mapped weights, read for a digest or a copy, need not stay in
 * this process's memory; they come back when they are looked at. */
void ws_model_release_weights(const struct ws_model *model);

/* The bytes of any tensor of the skeleton, wherever they live. WS_E_TYPE for strings. */
int ws_model_tensor_bytes(const uint8_t **out, size_t *out_size,
                          const struct ws_model *model, const Onnx__TensorProto *tensor,
                          struct ws_error *err);

/* How large payloads are written when a message of the skeleton is packed. */
enum ws_weights_mode {
    WS_WEIGHTS_REFERENCE, /* external data in the files the model was read from */
    WS_WEIGHTS_INLINE,    /* raw_data, so that the file stands alone */
    WS_WEIGHTS_FILE,      /* external data in one file written by ws_weights_export */
    WS_WEIGHTS_OMIT       /* nothing: for digests and for asking about shapes */
};

/* Where ws_weights_export put every large payload; init with zeroes. */
struct ws_weights_file {
    char *name;        /* file name, without a folder, as external_data will say */
    uint64_t *offsets; /* by payload */
    size_t count;
};

/* Writes all large payloads of the model, each on a page border, to dir/name. */
int ws_weights_export(struct ws_weights_file *out, const struct ws_model *model,
                      const char *dir, const char *name, struct ws_error *err);
void ws_weights_file_fini(struct ws_weights_file *file);

/*
 * Appends `message`, made of parts of the skeleton, to `buf` with its payloads as `mode`
 * says; `file` is for WS_WEIGHTS_FILE alone.
 */
int ws_model_pack(struct ws_buf *buf, struct ws_model *model,
                  const ProtobufCMessage *message, enum ws_weights_mode mode,
                  const struct ws_weights_file *file, struct ws_error *err);
/* The same into a file, without holding it in memory. */
int ws_model_pack_file(const char *path, struct ws_model *model,
                       const ProtobufCMessage *message, enum ws_weights_mode mode,
                       const struct ws_weights_file *file, struct ws_error *err);

#endif
