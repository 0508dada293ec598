/*
 * Connections to nodes, kept open between requests: one that is idle is taken, or a new
 * one opened, and it comes back unless it failed. Thread-safe.
 */
#ifndef WS_SPLIT_POOL_H
#define WS_SPLIT_POOL_H

#include "split/remote.h"

struct ws_pool;

int ws_pool_create(struct ws_pool **out, struct ws_error *err);
/* After every connection came back. Takes NULL. */
void ws_pool_destroy(struct ws_pool *pool);

/* Whether there is a connection to the node, idle or taken. */
int ws_pool_has(struct ws_pool *pool, const char *url);
/* A connection to the node at options->url that has turned to the model options name. */
int ws_pool_take(struct ws_remote **out, struct ws_pool *pool,
                 const struct ws_remote_options *options, struct ws_error *err);
/* is_good 0: it is closed. */
void ws_pool_give(struct ws_pool *pool, const char *url, struct ws_remote *remote,
                  int is_good);

#endif
