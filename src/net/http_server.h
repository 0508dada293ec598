/*
 * An HTTP/1.1 server over a bound socket: whole requests in, whole replies out,
 * keep-alive between them. Each connection has a thread, so a slow client keeps nobody
 * waiting, and the handler may compute as long as it needs to. A body goes into one
 * aligned run of bytes and is limited before it is read. Everything that a client does
 * has its time: the handshake and a whole header the idle time, from the connection's or
 * the last reply's end on; a body, sent or received, the grace time and what it needs at
 * a trickle. Replies are sent from where their parts lie. The handler is called from many
 * threads at once. The library behind this is named in this room alone.
 */
#ifndef WS_NET_HTTP_SERVER_H
#define WS_NET_HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/tls.h"
#include "wire/oip.h"

struct ws_http_server;

struct ws_http_request {
    const char *method;  /* "GET", "POST", ... */
    const char *path;    /* percent-decoded, without the query */
    const uint8_t *body; /* WS_TENSOR_ALIGN-aligned; valid until the reply is released */
    size_t body_size;
    int64_t received_ns; /* when it was complete, ws_clock_now_ns */
    const char *peer;    /* the name in the client's certificate, as long as that holds;
                            "": none was asked for */
    void *exchange;      /* private */
};

/* A header's value, names compared without case; NULL where it is not there. */
const char *ws_http_request_header(const struct ws_http_request *request,
                                   const char *name);
/* Counts more memory, beside the body, as held for this request until its reply is sent.
 * WS_E_BUSY where all requests together would hold too much. */
int ws_http_request_hold(const struct ws_http_request *request, uint64_t bytes,
                         struct ws_error *err);

enum { WS_HTTP_REPLY_HEADERS_MAX = 4, WS_HTTP_CLIENT_MAX = 256 };

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
    /* (optional) Asked once the header is there, before any of the body is received: a
     * failure is answered with the status that goes with its code, and that is all.
     * `client`, WS_HTTP_CLIENT_MAX bytes and "" before, gets the name of who asks, where
     * that is sure: requests of one name are one client's, others their address's. */
    int (*admit)(void *user, const struct ws_http_request *request, char *client,
                 struct ws_error *err);
    void *user;
    struct ws_tls *tls;    /* (optional) must outlive the server */
    size_t body_max;       /* bytes; more is answered with 413 */
    unsigned idle_s;       /* until a whole header is there */
    unsigned grace_s;      /* for a body, beside what it needs at a trickle */
    unsigned requests_max; /* in hand at once; more are answered with 503; 0:
                              WS_HTTP_FLIGHT_MAX */
    uint64_t held_max;     /* bytes of them; likewise; 0: WS_HTTP_HELD_MAX */
    /* Of these what one client may have; likewise; 0: half. */
    unsigned client_requests_max;
    uint64_t client_held_max;
};

int ws_http_server_start(struct ws_http_server **out,
                         const struct ws_http_server_options *options,
                         struct ws_error *err);
/* Stops listening, lets requests in progress finish for at most drain_ms, then ends. */
void ws_http_server_stop(struct ws_http_server *server, int64_t drain_ms);

#endif
