#include "node/daemon.h"

#include <sched.h>
#include <stdlib.h>

#include "net/http_server.h"
#include "node/service.h"

enum { IDLE_S = 60, GRACE_S = 60 };

struct ws_daemon {
    struct ws_guard guard;
    char url[80];
    struct ws_host *host;
    struct ws_service service;
    struct ws_http_server *server;
    int has_service;
};

static unsigned core_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

int ws_daemon_start(struct ws_daemon **out, const struct ws_daemon_options *options,
                    struct ws_error *err)
{
    struct ws_daemon *daemon = calloc(1, sizeof(*daemon));
    if (daemon == NULL)
        return ws_error_nomem(err);
    /* The address first: it is cheap, and models may take minutes to load. */
    struct ws_guard_options guard = options->guard;
    guard.open_rights = WS_RIGHT_ALL;
    int rc = ws_guard_open(&daemon->guard, &guard, err);
    if (rc == 0)
        rc = ws_host_create(&daemon->host, &options->host, err);
    for (size_t i = 0; rc == 0 && i < options->model_count; i++)
        rc = ws_host_add(daemon->host, options->models[i], err);
    if (rc == 0)
        rc = ws_service_init(&daemon->service, daemon->host, options->allow_writes,
                             options->slots > 0 ? options->slots : core_count(), err);
    daemon->has_service = rc == 0;
    daemon->service.access = daemon->guard.access;
    daemon->service.control = options->control;
    daemon->service.account = options->account;
    daemon->service.body_max =
        options->body_max > 0 ? options->body_max : WS_OIP_BODY_MAX;
    const struct ws_http_server_options http = {
        .fd = daemon->guard.listen.fd,
        .tls = daemon->guard.tls,
        .handler = ws_service_handle,
        .admit = ws_service_admit,
        .user = &daemon->service,
        .body_max = daemon->service.body_max,
        .idle_s = options->idle_s > 0 ? options->idle_s : IDLE_S,
        .grace_s = options->grace_s > 0 ? options->grace_s : GRACE_S,
        .requests_max = options->requests_max,
        .held_max = options->held_max,
        .client_requests_max = options->client_requests_max,
        .client_held_max = options->client_held_max,
    };
    if (rc == 0)
        rc = ws_http_server_start(&daemon->server, &http, err);
    if (rc == 0)
        ws_guard_url(daemon->url, sizeof(daemon->url), &daemon->guard);
    if (rc != 0)
        ws_daemon_stop(daemon, 0);
    else
        *out = daemon;
    return rc;
}

void ws_daemon_stop(struct ws_daemon *daemon, int64_t drain_ms)
{
    if (daemon == NULL)
        return;
    atomic_store(&daemon->service.is_draining, 1);
    ws_http_server_stop(daemon->server, drain_ms);
    if (daemon->has_service)
        ws_service_fini(&daemon->service);
    ws_host_destroy(daemon->host);
    ws_guard_close(&daemon->guard);
    free(daemon);
}

const char *ws_daemon_url(const struct ws_daemon *daemon)
{
    return daemon->url;
}

const struct ws_guard *ws_daemon_guard(const struct ws_daemon *daemon)
{
    return &daemon->guard;
}
