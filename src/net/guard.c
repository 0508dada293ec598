#include "net/guard.h"

#include <stdio.h>

static int open_parts(struct ws_guard *guard, const struct ws_guard_options *options,
                      struct ws_error *err)
{
    const struct ws_tls_options tls = {
        .cert = options->cert, .key = options->key, .client_ca = options->client_ca};
    if ((options->cert == NULL) != (options->key == NULL))
        return ws_error_set(err, WS_E_USAGE, "a certificate and its key go together");
    if (options->client_ca != NULL && options->cert == NULL)
        return ws_error_set(err, WS_E_USAGE,
                            "clients' certificates need one of the server's own");
    int is_safe =
        options->cert != NULL && (options->client_ca != NULL || options->tokens != NULL);
    int rc = ws_listen_open(&guard->listen, options->listen,
                            !is_safe && !options->insecure, err);
    if (rc == 0)
        guard->is_open = !is_safe && !guard->listen.is_loopback;
    if (rc == 0 && options->cert != NULL)
        rc = ws_tls_create(&guard->tls, &tls, err);
    if (rc == 0)
        rc = ws_access_create(&guard->access, options->tokens, options->open_rights, err);
    return rc;
}

int ws_guard_open(struct ws_guard *out, const struct ws_guard_options *options,
                  struct ws_error *err)
{
    struct ws_guard guard = {.listen = {.fd = -1}};
    int rc = open_parts(&guard, options, err);
    if (rc != 0)
        ws_guard_close(&guard);
    else
        *out = guard;
    return rc;
}

void ws_guard_close(struct ws_guard *guard)
{
    if (guard->listen.port != 0)
        ws_listen_close(&guard->listen);
    ws_access_destroy(guard->access);
    ws_tls_destroy(guard->tls);
    *guard = (struct ws_guard){0};
}

void ws_guard_url(char *out, size_t size, const struct ws_guard *guard)
{
    (void)snprintf(out, size, "%s://%s", guard->tls != NULL ? "https" : "http",
                   guard->listen.text);
}
