/*
 * A node: models, the service over them and the HTTP server in front, started and stopped
 * together. It runs on threads of its own; whoever started it waits for signals. Stopping
 * lets requests in progress finish.
 */
#ifndef WS_NODE_DAEMON_H
#define WS_NODE_DAEMON_H

#include "net/guard.h"
#include "node/account.h"
#include "node/control.h"
#include "node/host.h"

struct ws_daemon;

struct ws_daemon_options {
    /* open_rights is not looked at: without tokens all rights are open, and allow_writes
     * decides. */
    struct ws_guard_options guard;
    int allow_writes;
    struct ws_control *control; /* (optional) the machine's knobs; must outlive */
    unsigned slots;   /* requests that compute at a time; 0: one for each core */
    unsigned idle_s;  /* 0: 60 */
    unsigned grace_s; /* 0: 60 */
    size_t body_max;  /* bytes of a request's body, decoded or not; 0: WS_OIP_BODY_MAX */
    unsigned requests_max, client_requests_max; /* as in ws_http_server_options */
    uint64_t held_max, client_held_max;
    struct ws_account *account; /* (optional) what requests cost; must outlive */
    struct ws_host_options host;
    const char *const *models; /* files */
    size_t model_count;
};

int ws_daemon_start(struct ws_daemon **out, const struct ws_daemon_options *options,
                    struct ws_error *err);
void ws_daemon_stop(struct ws_daemon *daemon, int64_t drain_ms);

/* "http://127.0.0.1:8000" or "https://...", with the port that was bound. */
const char *ws_daemon_url(const struct ws_daemon *daemon);
const struct ws_guard *ws_daemon_guard(const struct ws_daemon *daemon);

#endif
