/*
 * A link between two processes, in user space: a TCP proxy that lets bytes pass at a
 * rate, after a delay with jitter, with stalls as lost packets cause them (core/link.h).
 * Both directions have the link's rate, each for itself, shared by all connections; a new
 * connection waits for the round trip that its handshake would take. The link can be
 * changed while it runs; at rate 0 it is cut: nothing passes, connections hang as they do
 * when a cable is out, and go on when it is back. It needs no rights and no kernel
 * modules, and it cannot hurry what the machine itself is too slow for. One thread of its
 * own; its functions may be called from any.
 */
#ifndef WS_NET_SHAPER_H
#define WS_NET_SHAPER_H

#include <stdint.h>

#include "core/outcome.h"

struct ws_shaper;

struct ws_shaper_options {
    const char *listen; /* ADDR:PORT; port 0: any free one */
    const char *target; /* HOST:PORT */
    int insecure;       /* listen on other addresses than loopback too */
    struct ws_conditions link;
    uint64_t seed; /* of jitter and loss */
};

/* WS_E_USAGE: an address or a link that cannot be; WS_E_IO. */
int ws_shaper_start(struct ws_shaper **out, const struct ws_shaper_options *options,
                    struct ws_error *err);
/* Changes what `link` knows; the rest stays. WS_E_USAGE as ws_link_check. */
int ws_shaper_set(struct ws_shaper *shaper, const struct ws_conditions *link,
                  struct ws_error *err);
/* The port that was bound; "127.0.0.1:8000". */
int ws_shaper_port(const struct ws_shaper *shaper);
const char *ws_shaper_address(const struct ws_shaper *shaper);

struct ws_shaper_count {
    uint64_t connections; /* so far */
    uint64_t up_bytes;    /* read from clients */
    uint64_t down_bytes;  /* read from the target */
};
void ws_shaper_count(struct ws_shaper_count *out, struct ws_shaper *shaper);

/* Drops its connections and frees it. Takes NULL. */
void ws_shaper_stop(struct ws_shaper *shaper);

#endif
