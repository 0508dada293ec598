/*
 * The address a daemon listens on: ADDR:PORT, with brackets around an IPv6 address, as a
 * bound socket. Port 0 takes any free one.
 */
#ifndef WS_NET_LISTEN_H
#define WS_NET_LISTEN_H

#include <stddef.h>

#include "base/error.h"

struct ws_listen {
    int fd;
    int port;
    int is_loopback; /* nobody outside this machine can reach it */
    char text[64];   /* "127.0.0.1:8000", with the port that was bound */
};

/* WS_E_USAGE for text that is no address, WS_E_IO where it cannot be bound; loopback_only
 * refuses any other with WS_E_USAGE. */
int ws_listen_open(struct ws_listen *out, const char *address, int loopback_only,
                   struct ws_error *err);
/* The two halves of HOST:PORT; *port points into the address. WS_E_USAGE. */
int ws_listen_split(char *host, size_t host_size, const char **port, const char *address,
                    struct ws_error *err);
void ws_listen_close(struct ws_listen *listen);

#endif
