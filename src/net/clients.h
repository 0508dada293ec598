/*
 * How much of a server each of its clients has in hand, so that one cannot take what
 * there is for all. Clients are told apart by a key that the server makes of what it
 * knows of them. Thread-safe.
 */
#ifndef WS_NET_CLIENTS_H
#define WS_NET_CLIENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_clients;

enum { WS_CLIENT_KEY_MAX = 320 };

struct ws_clients_options {
    size_t requests_max;        /* of all */
    size_t client_requests_max; /* of one */
    uint64_t client_held_max;   /* bytes that one's requests hold */
};

int ws_clients_create(struct ws_clients **out, const struct ws_clients_options *options,
                      struct ws_error *err);
/* Takes NULL. */
void ws_clients_destroy(struct ws_clients *clients);

/* A request of that client comes in; *out stands for the client until it leaves.
 * WS_E_BUSY: it has as many as one may. */
int ws_clients_enter(size_t *out, struct ws_clients *clients, const char *key,
                     struct ws_error *err);
/* A request holds more bytes. WS_E_BUSY where one client's would hold too many; they
 * count all the same, until they are let go. */
int ws_clients_hold(struct ws_clients *clients, size_t client, uint64_t bytes,
                    struct ws_error *err);
void ws_clients_let_go(struct ws_clients *clients, size_t client, uint64_t bytes);
/* After what it held was let go. */
void ws_clients_leave(struct ws_clients *clients, size_t client);

#endif
