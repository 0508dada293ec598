/*
 * A node: models, the service over them and the HTTP server in front, started and stopped
 * together. It runs on threads of its own; whoever started it waits for signals. Stopping
 * lets requests in progress finish.
 */
#ifndef WS_NODE_DAEMON_H
#define WS_NODE_DAEMON_H

#include "node/host.h"

struct ws_daemon;

struct ws_daemon_options {
    const char *listen; /* ADDR:PORT; port 0: any free one */
    int insecure;       /* listen on other addresses than loopback too */
    int allow_writes;
    unsigned slots;   /* requests that compute at a time; 0: one for each core */
    unsigned idle_s;  /* 0: 60 */
    unsigned grace_s; /* 0: 60 */
    size_t body_max;  /* bytes of a request's body, decoded or not; 0: WS_OIP_BODY_MAX */
    struct ws_host_options host;
    const char *const *models; /* files */
    size_t model_count;
};

int ws_daemon_start(struct ws_daemon **out, const struct ws_daemon_options *options,
                    struct ws_error *err);
void ws_daemon_stop(struct ws_daemon *daemon, int64_t drain_ms);

/* "127.0.0.1:8000", with the port that was bound; and that port. */
const char *ws_daemon_address(const struct ws_daemon *daemon);
int ws_daemon_port(const struct ws_daemon *daemon);

#endif
