/*
 * One inference request, from the body's bytes to the reply's: content decoding, parsing,
 * checking names, types, shapes and digest against the model, running it, building the
 * reply where its tensors lie. ws_infer_run is all of it for a node's own stage;
 * whoever runs models in another way puts ws_infer_read and ws_infer_answer around it.
 * For this room alone.
 */
#ifndef WS_NODE_INFER_H
#define WS_NODE_INFER_H

#include "node/service.h"
#include "wire/encoding.h"

/* Everything a reply needs while it is sent. */
struct ws_infer {
    struct ws_host_use use;
    struct ws_buf decoded; /* the request's body */
    struct ws_oip_request request;
    const struct ws_oip_tensor **matched; /* the request's inputs in the model's order */
    struct ws_engine_value **inputs;
    size_t input_count;
    struct ws_stage_result result;
    struct ws_oip_tensor *all; /* of the model: borrowed, strings excepted */
    struct ws_datum *strings;  /* copies of string outputs */
    size_t all_count;
    struct ws_oip_tensor *outputs; /* those that are sent, borrowed from `all` */
    struct ws_oip_message message;
    struct ws_buf encoded; /* the reply's body, where the client takes an encoding */
    enum ws_encoding encoding;
    int is_too_large; /* the request's body, once it is unpacked */
    void *of_backend; /* what the service's backend keeps until the reply is sent */
};

/* The request, and its inputs matched with the model's; `digest` is the model's. */
int ws_infer_read(struct ws_infer *infer, const struct ws_stage_port *ports,
                  size_t port_count, const char *digest, size_t body_max,
                  const struct ws_http_request *request, struct ws_error *err);
/* The reply, from all outputs of the model, borrowed until it is sent. `more`: further
 * parameters, or NULL. */
int ws_infer_answer(struct ws_infer *infer, const struct ws_oip_tensor *all, size_t count,
                    const char *name, const struct ws_oip_times *times, const char *more,
                    const struct ws_http_request *request, struct ws_error *err);
/* When the request's timeout passes, on ws_clock_now_ns; 0: never. */
int64_t ws_infer_until_ns(const struct ws_infer *infer, int64_t start_ns);
/* All of it. `infer->use` is acquired. */
int ws_infer_run(struct ws_infer *infer, struct ws_service *service, const char *name,
                 const struct ws_http_request *request, struct ws_error *err);
/* Releases the model too, where it is a host's. */
void ws_infer_fini(struct ws_infer *infer, struct ws_host *host);

#endif
