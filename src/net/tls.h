/*
 * A server's TLS: certificate and key, and, where clients must show one, the authority
 * that signs theirs. The files are looked at again as connections come, and new ones take
 * effect at once for new connections; files that do not fit together, as in the middle of
 * a renewal, change nothing and are logged. TLS 1.2 and 1.3. Thread-safe. The library
 * behind this is named in this room alone.
 */
#ifndef WS_NET_TLS_H
#define WS_NET_TLS_H

#include <stdint.h>

#include "base/error.h"

enum { WS_TLS_NAME_MAX = 256 };

struct ws_tls;

struct ws_tls_options {
    const char *cert; /* PEM: the server's own first, then those up to its authority */
    const char *key;  /* PEM */
    const char *client_ca; /* (optional) PEM; then a client without a certificate of its
                              is turned away in the handshake */
};

/* The strings are copied. WS_E_IO, WS_E_FORMAT. */
int ws_tls_create(struct ws_tls **out, const struct ws_tls_options *options,
                  struct ws_error *err);
/* After the last detach. */
void ws_tls_destroy(struct ws_tls *tls);

/* For http_server.c: gives a session (a gnutls_session_t) the files as they are now, to
 * be detached after the session's end. NULL where memory is out. */
struct ws_tls_files;
struct ws_tls_files *ws_tls_attach(struct ws_tls *tls, void *session);
void ws_tls_detach(struct ws_tls *tls, struct ws_tls_files *files);
/* The common name in the certificate that the client showed and until when it holds, in
 * seconds since 1970; "" and 0 where it showed none. */
void ws_tls_peer(char name[static WS_TLS_NAME_MAX], int64_t *until_s, void *session);

/* Which settings of TLS a session may use, in the library's own words. */
const char *ws_tls_priorities(void);

#endif
