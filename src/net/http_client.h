/*
 * An HTTP/1.1 client for one server: requests one after the other over one kept-alive
 * connection, each body sent from where its parts lie and each reply received into one
 * aligned run of bytes that is used again. What goes wrong is one line that names method
 * and address. One thread at a time; several clients are independent. The library behind
 * this is named nowhere else.
 */
#ifndef WS_NET_HTTP_CLIENT_H
#define WS_NET_HTTP_CLIENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "wire/oip.h"

struct ws_http_client;

/* Whom to trust and what to show of oneself; strings are copied. All optional. */
struct ws_http_identity {
    const char *cacert; /* PEM: authorities; NULL: the system's */
    const char *cert;   /* PEM: to be shown to the server */
    const char *key;
    const char *token; /* sent as Authorization: Bearer TOKEN */
};

struct ws_http_client_options {
    struct ws_http_identity identity;
    int64_t connect_timeout_ms; /* 0: 10 s */
    int64_t timeout_ms;         /* of a whole exchange; 0: 300 s */
    size_t body_max;            /* bytes of a reply; 0: WS_OIP_BODY_MAX */
};

/* `url` is http://HOST:PORT or https://HOST:PORT, optionally with a path in front of what
 * calls name; proxies of the environment are not used. */
int ws_http_client_create(struct ws_http_client **out, const char *url,
                          const struct ws_http_client_options *options,
                          struct ws_error *err);
void ws_http_client_destroy(struct ws_http_client *client);

enum { WS_HTTP_CALL_HEADERS_MAX = 6 };

struct ws_http_call {
    const char *method; /* "GET" or "POST" */
    const char *path;   /* escaped already */
    const struct ws_oip_part *parts;
    size_t part_count;
    const char *headers[WS_HTTP_CALL_HEADERS_MAX]; /* "Name: value"; NULL: no more */
    int64_t timeout_ms;                            /* of this exchange; 0: the client's */
    /* (optional) Once it is not 0 the call ends within about a second, or, if it was so
     * before, at once, with WS_E_TIMEOUT. For stopping from another thread. */
    const atomic_int *stop;
};

struct ws_http_answer {
    int status;
    const uint8_t *body; /* the client's until its next call */
    size_t body_size;
    char header_size[32]; /* Inference-Header-Content-Length; "" where not there */
    char encoding[32];    /* Content-Encoding; likewise */
    size_t sent_bytes;    /* of the body */
};

/* Any status is an answer and no error. WS_E_IO, WS_E_TIMEOUT, WS_E_LIMIT. */
int ws_http_client_call(struct ws_http_answer *out, struct ws_http_client *client,
                        const struct ws_http_call *call, struct ws_error *err);

/* Appends one segment of a path, percent-escaped. */
int ws_http_add_segment(struct ws_buf *path, const char *segment, struct ws_error *err);

#endif
