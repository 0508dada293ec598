/*
 * An HTTP/1.1 server over a bound socket: whole requests in, whole replies out,
 * keep-alive between them. Each connection has a thread, so a slow client keeps nobody
 * waiting, and the handler may compute as long as it needs to. A body goes into one
 * aligned run of bytes and is limited before it is read; a client that sends nothing for
 * the idle time, or less than a trickle, is cut off. Replies are sent from where their
 * parts lie. The handler is called from many threads at once. The library behind this is
 * named nowhere else.
 */
#ifndef WS_NET_HTTP_SERVER_H
#define WS_NET_HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wire/oip.h"

struct ws_http_server;

struct ws_http_request {
    const char *method;  /* "GET", "POST", ... */
    const char *path;    /* percent-decoded, without the query */
    const uint8_t *body; /* WS_TENSOR_ALIGN-aligned; valid until the reply is released */
    size_t body_size;
    int64_t received_ns; /* when it was complete, ws_clock_now_ns */
    void *connection;    /* private */
};

/* A header's value, names compared without case; NULL where it is not there. */
const char *ws_http_request_header(const struct ws_http_request *request,
                                   const char *name);

enum { WS_HTTP_REPLY_HEADERS_MAX = 4 };

struct ws_http_reply {
    int status;
    const char *content_type;
    struct {
        const char *name;
        char value[64];
    } headers[WS_HTTP_REPLY_HEADERS_MAX]; /* name NULL: no more */
    const struct ws_oip_part *parts;
    size_t part_count;
    /* (optional) Called once nothing of the parts is needed any more. */
    void (*release)(void *owner);
    void *owner;
};

/* Fills in the reply; all of it is zero before. */
typedef void (*ws_http_handler)(void *user, const struct ws_http_request *request,
                                struct ws_http_reply *reply);

struct ws_http_server_options {
    int fd; /* bound and listening; the caller closes it once the server is stopped */
    ws_http_handler handler;
    void *user;
    size_t body_max;  /* bytes; more is answered with 413 */
    unsigned idle_s;  /* without a byte from the client */
    unsigned grace_s; /* to send a request, before its average rate must be a trickle */
};

int ws_http_server_start(struct ws_http_server **out,
                         const struct ws_http_server_options *options,
                         struct ws_error *err);
/* Stops listening, lets requests in progress finish for at most drain_ms, then ends. */
void ws_http_server_stop(struct ws_http_server *server, int64_t drain_ms);

#endif
