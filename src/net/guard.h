/*
 * What stands before a daemon, the same for every daemon of this program: the address it
 * listens on, TLS, and who may do what. An address that others can reach needs all of it,
 * a certificate and either tokens or clients' certificates, unless the owner insists.
 */
#ifndef WS_NET_GUARD_H
#define WS_NET_GUARD_H

#include "net/access.h"
#include "net/listen.h"

struct ws_guard_options {
    const char *listen; /* ADDR:PORT */
    int insecure;       /* listen wherever that is, protected or not */
    const char *cert;   /* PEM files, see ws_tls_options; NULL: no TLS */
    const char *key;
    const char *client_ca;
    const char *tokens; /* see ws_access; NULL: everybody has the open rights */
    unsigned open_rights;
};

struct ws_guard {
    struct ws_listen listen;
    struct ws_tls *tls; /* NULL: none */
    struct ws_access *access;
    int is_open; /* others can reach it, and it lacks TLS or does not ask who they are */
};

/* Binds the address and reads the files. WS_E_USAGE where they do not go together. */
int ws_guard_open(struct ws_guard *out, const struct ws_guard_options *options,
                  struct ws_error *err);
/* After the server is stopped. Zeroed memory is closed already. */
void ws_guard_close(struct ws_guard *guard);

/* "http://ADDR:PORT" or "https://ADDR:PORT", with the port that was bound. */
void ws_guard_url(char *out, size_t size, const struct ws_guard *guard);

#endif
