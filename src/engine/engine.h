/*
 * Inference. An engine runs ONNX models and pieces of models; ONNX Runtime stands behind
 * this interface and is named nowhere else. An engine owns one arena for activations that
 * all sessions share, and the thread pool. The runtime has one environment and one such
 * pool for a process, of the first engine; sessions of a further engine with other
 * threads or spinning bring a pool each. A session is one
 * loaded model; a value is what goes in and comes out of it. Sessions may run from
 * several threads at once; creating and destroying them is safe from several threads too.
 * Everything is the caller's to destroy, values before sessions, sessions before the
 * engine.
 */
#ifndef WS_ENGINE_ENGINE_H
#define WS_ENGINE_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/datum.h"
#include "core/tensor.h"

struct ws_engine;
struct ws_session;
struct ws_engine_value; /* a tensor, a sequence, or an empty optional, in the runtime */

struct ws_engine_options {
    int threads;  /* intra-op threads, 0: one for each core this process may use */
    int spinning; /* whether idle threads spin: faster by a little, burns energy */
    const char *provider; /* NULL or "CPU", else "CUDA", "WebGPU", "XNNPACK", ... */
    const char *const *provider_options; /* key, value, ..., NULL; may be NULL */
};

/* WS_E_UNSUPPORTED where the provider is not in this build of the runtime. */
int ws_engine_create(struct ws_engine **out, const struct ws_engine_options *options,
                     struct ws_error *err);
void ws_engine_destroy(struct ws_engine *engine);

/* "ONNX Runtime 1.30.0". */
const char *ws_engine_version(const struct ws_engine *engine);

/* Names of the providers compiled into the runtime. *out is one block: free() it. */
int ws_engine_providers(char ***out, size_t *count, const struct ws_engine *engine,
                        struct ws_error *err);

/* How far a graph is rewritten. Each includes the ones before it. */
enum ws_level {
    WS_LEVEL_NONE,
    WS_LEVEL_BASIC,    /* constants folded, what does nothing removed */
    WS_LEVEL_EXTENDED, /* operators fused */
    WS_LEVEL_ALL,      /* layouts chosen for this machine's processor */
};

const char *ws_level_name(enum ws_level level);

/* Writes the model that the runtime makes of `model_path` to DIR/model.onnx, its weights
 * of 1 KiB and more to DIR/weights.bin. keep_layout: quantised tensors keep their layout
 * and signedness, so that more of the original tensors are still there to be cut at, at
 * some cost in speed. The result holds operators for this machine only. */
int ws_engine_optimise(struct ws_engine *engine, const char *model_path,
                       enum ws_level level, int keep_layout, const char *dir,
                       struct ws_error *err);

/* A weight that lives outside the model's bytes, to be used in place and shared. */
struct ws_weight_view {
    const char *name;
    enum ws_dtype dtype;
    const int64_t *dims;
    size_t rank;
    const void *data; /* WS_TENSOR_ALIGN-aligned, or kernels run 13 to 15 % slower */
    size_t size_bytes;
};

/* Weights that sessions of one model have in common: packed once, however many segments
 * use them. */
struct ws_pack;
int ws_pack_create(struct ws_pack **out, struct ws_engine *engine, struct ws_error *err);
/* After the last session that uses it. */
void ws_pack_destroy(struct ws_pack *pack);

struct ws_session_source {
    const char *path;  /* a file, or NULL and: */
    const void *bytes; /* a ModelProto; not needed after the session is created */
    size_t size_bytes;
    const char *dir; /* where external data of `bytes` lies; may be NULL */
    enum ws_level level;
    int keep_layout;                      /* as in ws_engine_optimise */
    const struct ws_weight_view *weights; /* their data must outlive the session */
    size_t weight_count;
    struct ws_pack *pack; /* (optional) must outlive the session */
    /* (optional) Free dimensions of the model that get a fixed size. */
    const char *const *dim_names;
    const int64_t *dim_sizes;
    size_t dim_count;
    /* The session is only asked for its types, never run. */
    int types_only;
};

/* Type of a graph input or output. */
struct ws_io_type {
    char *name;
    int is_tensor;       /* 0: a sequence, an optional or a map */
    int is_sequence;     /* of tensors */
    enum ws_dtype dtype; /* of the tensor, or of the sequence's tensors */
    int has_shape;
    size_t rank;
    int64_t dims[WS_TENSOR_RANK_MAX]; /* -1: varies */
};

int ws_session_create(struct ws_session **out, struct ws_engine *engine,
                      const struct ws_session_source *source, struct ws_error *err);
void ws_session_destroy(struct ws_session *session);
size_t ws_session_input_count(const struct ws_session *session);
size_t ws_session_output_count(const struct ws_session *session);
const struct ws_io_type *ws_session_input(const struct ws_session *session, size_t index);
const struct ws_io_type *ws_session_output(const struct ws_session *session,
                                           size_t index);

/* Runs once. `inputs` and `outputs` follow the session's order. An output that is not
 * NULL is a tensor of the right type and shape, and is written in place; where it is NULL
 * the runtime makes the value, and the caller destroys it. */
int ws_session_run(struct ws_session *session, struct ws_engine_value *const *inputs,
                   struct ws_engine_value **outputs, struct ws_error *err);

/* A value over the tensor's own memory, which must outlive it; strings are copied. */
int ws_engine_value_from_tensor(struct ws_engine_value **out, struct ws_engine *engine,
                                const struct ws_tensor *tensor, struct ws_error *err);
/* The same for any datum. WS_E_UNSUPPORTED for an empty sequence or optional: the
 * runtime's C interface cannot make one. */
int ws_engine_value_from_datum(struct ws_engine_value **out, struct ws_engine *engine,
                               const struct ws_datum *datum, struct ws_error *err);
void ws_engine_value_destroy(struct ws_engine_value *value);

/* Looks into a tensor value: *out borrows the value's memory and is not to be fini'ed.
 * WS_E_TYPE for strings and for anything but a tensor. */
int ws_engine_value_view(struct ws_tensor *out, const struct ws_engine_value *value,
                         struct ws_error *err);
/* Copies a value of any kind, strings included; ws_datum_fini it. */
int ws_engine_value_to_datum(struct ws_datum *out, const struct ws_engine_value *value,
                             struct ws_error *err);

#endif
