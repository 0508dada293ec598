/*
 * The Open Inference Protocol v2, everything but inference: what a server is, which
 * models it holds, what they take and give, how often they ran, and errors. Builders
 * append one JSON body; parsers read what a client needs of it and do not trust the
 * bytes. Pure functions.
 */
#ifndef WS_WIRE_OIP_META_H
#define WS_WIRE_OIP_META_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "core/tensor.h"

/* An input or output as metadata tells it. dims are -1 where they vary. */
struct ws_oip_port {
    char *name;
    enum ws_dtype dtype;
    int has_shape;
    size_t rank;
    int64_t dims[WS_TENSOR_RANK_MAX];
};

struct ws_oip_model {
    char *name;
    char *digest; /* NULL: not told */
    struct ws_oip_port *inputs;
    size_t input_count;
    struct ws_oip_port *outputs;
    size_t output_count;
};

void ws_oip_model_fini(struct ws_oip_model *model);
/* Model metadata, and the configuration that Triton's tools ask for. A port whose shape
 * is not known has none of its dimensions told. */
int ws_oip_model_build(struct ws_buf *out, const struct ws_oip_model *model,
                       struct ws_error *err);
int ws_oip_config_build(struct ws_buf *out, const struct ws_oip_model *model,
                        struct ws_error *err);
/* Types the protocol lacks are UNDEFINED here. */
int ws_oip_model_parse(struct ws_oip_model *out, const void *body, size_t size,
                       struct ws_error *err);

/* Server metadata of this program; and whether another server told an extension. */
int ws_oip_server_build(struct ws_buf *out, struct ws_error *err);
int ws_oip_server_has(int *out, const void *body, size_t size, const char *extension,
                      struct ws_error *err);

/* One line of the repository index. reason: "" where it is ready. */
struct ws_oip_entry {
    const char *name;
    int is_ready;
    const char *reason;
};
int ws_oip_index_build(struct ws_buf *out, const struct ws_oip_entry *entries,
                       size_t count, struct ws_error *err);
/* A request for the index: empty, or {"ready":true}. */
int ws_oip_index_parse(int *out_ready_only, const void *body, size_t size,
                       struct ws_error *err);

struct ws_oip_duration {
    uint64_t count;
    uint64_t ns;
};

struct ws_oip_stats {
    const char *name;
    int64_t last_inference_ms; /* since 1970; 0: never */
    uint64_t inference_count;
    uint64_t execution_count;
    struct ws_oip_duration success, fail, queue, compute_input, compute_infer,
        compute_output;
};
int ws_oip_stats_build(struct ws_buf *out, const struct ws_oip_stats *stats, size_t count,
                       struct ws_error *err);

/* {"error":"TEXT"}; bytes of the text that are not UTF-8 become '?'. */
int ws_oip_error_build(struct ws_buf *out, const char *text, struct ws_error *err);
/* The line in an error's body: "error" or, from some servers, "detail"; else the start
 * of the body itself. */
void ws_oip_error_parse(char *text, size_t text_size, const void *body, size_t size);

/* The status that goes with a code, for a request that failed with it. */
int ws_oip_status(int code);

#endif
