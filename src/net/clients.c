#include "net/clients.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client {
    char key[WS_CLIENT_KEY_MAX];
    size_t requests; /* 0: nobody */
    uint64_t held;   /* bytes */
};

struct ws_clients {
    struct ws_clients_options options;
    pthread_mutex_t lock;
    struct client *clients; /* requests_max of them, with gaps */
    size_t used;            /* behind this there are none */
};

int ws_clients_create(struct ws_clients **out, const struct ws_clients_options *options,
                      struct ws_error *err)
{
    struct ws_clients *clients = calloc(1, sizeof(*clients));
    if (clients == NULL)
        return ws_error_nomem(err);
    clients->options = *options;
    clients->clients = calloc(options->requests_max, sizeof(*clients->clients));
    if (clients->clients == NULL) {
        free(clients);
        return ws_error_nomem(err);
    }
    (void)pthread_mutex_init(&clients->lock, NULL);
    *out = clients;
    return 0;
}

void ws_clients_destroy(struct ws_clients *clients)
{
    if (clients == NULL)
        return;
    (void)pthread_mutex_destroy(&clients->lock);
    free(clients->clients);
    free(clients);
}

/* The client's place, or the first that is free; requests_max where there is neither. */
static size_t place_of(const struct ws_clients *clients, const char *key)
{
    size_t place = clients->used;
    for (size_t i = 0; i < clients->used; i++) {
        if (clients->clients[i].requests == 0)
            place = place == clients->used ? i : place;
        else if (strcmp(clients->clients[i].key, key) == 0)
            return i;
    }
    return place;
}

int ws_clients_enter(size_t *out, struct ws_clients *clients, const char *key,
                     struct ws_error *err)
{
    const struct ws_clients_options *options = &clients->options;
    int rc = 0;
    (void)pthread_mutex_lock(&clients->lock);
    size_t place = place_of(clients, key);
    if (place == options->requests_max ||
        clients->clients[place].requests == options->client_requests_max) {
        rc = ws_error_set(err, WS_E_BUSY,
                          "too many requests of one client at once, at most %zu: try "
                          "again later",
                          options->client_requests_max);
    } else {
        struct client *client = &clients->clients[place];
        if (client->requests++ == 0)
            (void)snprintf(client->key, sizeof(client->key), "%s", key);
        if (place == clients->used)
            clients->used++;
        *out = place;
    }
    (void)pthread_mutex_unlock(&clients->lock);
    return rc;
}

int ws_clients_hold(struct ws_clients *clients, size_t client, uint64_t bytes,
                    struct ws_error *err)
{
    uint64_t most = clients->options.client_held_max;
    (void)pthread_mutex_lock(&clients->lock);
    uint64_t before = clients->clients[client].held;
    clients->clients[client].held += bytes;
    (void)pthread_mutex_unlock(&clients->lock);
    if (before + bytes <= most)
        return 0;
    return ws_error_set(err, WS_E_BUSY,
                        "one client's requests hold %" PRIu64 " bytes already, at most "
                        "%" PRIu64 ": try again later",
                        before, most);
}

void ws_clients_let_go(struct ws_clients *clients, size_t client, uint64_t bytes)
{
    (void)pthread_mutex_lock(&clients->lock);
    clients->clients[client].held -= bytes;
    (void)pthread_mutex_unlock(&clients->lock);
}

void ws_clients_leave(struct ws_clients *clients, size_t client)
{
    (void)pthread_mutex_lock(&clients->lock);
    clients->clients[client].requests--;
    while (clients->used > 0 && clients->clients[clients->used - 1].requests == 0)
        clients->used--;
    (void)pthread_mutex_unlock(&clients->lock);
}
