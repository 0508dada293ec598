/*
 * Deadlines of a server's connections, kept by one thread: a connection that is past its
 * time is shut down, which ends whatever waits for it, however slowly its bytes drip.
 * Where connections run out, the one that has waited longest for a request is shut down
 * for the sake of the next, so that idle ones keep nobody out. Thread-safe; the
 * descriptors are the caller's, who removes a connection before it closes one.
 */
#ifndef WS_NET_WATCH_H
#define WS_NET_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_watch;
struct ws_watched;

int ws_watch_start(struct ws_watch **out, size_t connections_max, struct ws_error *err);
/* After the last connection was removed. */
void ws_watch_stop(struct ws_watch *watch);

/* A connection that waits for a request until then; NULL where memory is out. */
struct ws_watched *ws_watch_add(struct ws_watch *watch, int fd, int64_t deadline_ns);
/* deadline_ns 0: none. is_waiting: for a request, with nothing in hand. */
void ws_watch_set(struct ws_watch *watch, struct ws_watched *watched, int64_t deadline_ns,
                  int is_waiting);
void ws_watch_remove(struct ws_watch *watch, struct ws_watched *watched);

#endif
