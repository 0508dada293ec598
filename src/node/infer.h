/*
 * One inference request on a node, from the body's bytes to the reply's: content
 * decoding, parsing, checking names, types, shapes and digest against the model, waiting
 * for a slot, running, building the reply where its tensors lie. For this room alone.
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
    struct ws_engine_value **inputs;
    size_t input_count;
    struct ws_stage_result result;
    struct ws_oip_tensor *outputs; /* names and data are borrowed, strings excepted */
    struct ws_datum *strings;      /* copies of string outputs */
    size_t output_count;
    struct ws_oip_message message;
    struct ws_buf encoded; /* the reply's body, where the client takes an encoding */
    enum ws_encoding encoding;
};

/* `infer->use` is acquired. */
int ws_infer_run(struct ws_infer *infer, struct ws_service *service, const char *name,
                 const struct ws_http_request *request, struct ws_error *err);
/* Releases the model too. */
void ws_infer_fini(struct ws_infer *infer, struct ws_host *host);

#endif
