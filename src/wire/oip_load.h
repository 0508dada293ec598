/*
 * The body of a repository load: which model is meant, by digest, and optionally the
 * model itself, as bytes behind the JSON like the tensors of an inference. JSON:
 * {"parameters":{"digest":HEX,"binary_data_size":N}}; both may be missing, as may the
 * body, which is what foreign clients send. Other parameters are left alone. Pure
 * functions over bytes that are not trusted.
 */
#ifndef WS_WIRE_OIP_LOAD_H
#define WS_WIRE_OIP_LOAD_H

#include "base/digest.h"
#include "wire/oip.h"

struct ws_oip_load {
    char digest[WS_DIGEST_TEXT]; /* "": any */
    const uint8_t *model;        /* NULL: none was sent; borrowed from the body */
    size_t model_size;
};

/* header_size as for ws_oip_request_parse. WS_E_FORMAT, WS_E_MISMATCH. */
int ws_oip_load_parse(struct ws_oip_load *out, const void *body, size_t size,
                      int64_t header_size, struct ws_error *err);
/* The message that says the same; the model's bytes must outlive it. */
int ws_oip_load_build(struct ws_oip_message *out, const struct ws_oip_load *load,
                      struct ws_error *err);

#endif
