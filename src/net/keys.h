/*
 * A small private certificate authority for a fleet, as files of one folder: ca.pem and
 * ca.key, NAME.pem and NAME.key for each machine, NAME.token and the list `tokens` that
 * daemons read (net/access.h). What is private is readable by its owner alone. Keys are
 * on the curve P-256, certificates X.509 version 3 with what each may be used for. Made
 * again, a machine gets a new certificate and key under the same names, in an order that
 * a running daemon bears; the authority and the token stay. Not thread-safe on one
 * folder.
 */
#ifndef WS_NET_KEYS_H
#define WS_NET_KEYS_H

#include <stddef.h>

#include "base/error.h"

struct ws_keys;

enum { WS_KEYS_HOSTS_MAX = 32 };

struct ws_keys_machine {
    const char *name;                     /* letters, digits, '.', '_' and '-' */
    const char *hosts[WS_KEYS_HOSTS_MAX]; /* a server's DNS names and IP addresses beside
                                             its name; NULL: no more */
    int is_server;                        /* else a client */
    const char *rights;                   /* of a client, as in net/access.h */
    long lifetime_s;                      /* until the certificate expires */
};

/* Opens the authority in the folder, or makes both; `made` says which. */
int ws_keys_open(struct ws_keys **out, const char *dir, long lifetime_s, int *made,
                 struct ws_error *err);
void ws_keys_close(struct ws_keys *keys);

/* Makes key and certificate of one machine, and for a client its token and its lines in
 * the list. WS_E_USAGE for a name or right that is none. */
int ws_keys_issue(struct ws_keys *keys, const struct ws_keys_machine *machine,
                  struct ws_error *err);

#endif
