/*
 * Nodes that say by mDNS that they are there: the service `_wattshed._tcp` of the local
 * network, through the machine's avahi daemon. A node announces the name that clusters
 * have for it, its port, and in the text record `scheme`, http or https. Where the
 * program was built without avahi's client library both give WS_E_UNSUPPORTED. Whoever
 * announces something can be anybody: certificates say who a node is, not its name here.
 */
#ifndef WS_NET_MDNS_H
#define WS_NET_MDNS_H

#include <stdint.h>

#include "base/error.h"

/* One node that was found, at "http://192.0.2.7:8001"; another code than 0 ends the
 * search with it. */
typedef int (*ws_mdns_found_fn)(void *user, const char *name, const char *url,
                                struct ws_error *err);
/* Something that searches for `wait_ms` at most, as ws_mdns_browse does. */
typedef int (*ws_mdns_browse_fn)(int64_t wait_ms, ws_mdns_found_fn found, void *user,
                                 struct ws_error *err);

/* Ends early when the daemon knows of no more. WS_E_IO: no daemon is there. A node with
 * several addresses is found once for each. */
int ws_mdns_browse(int64_t wait_ms, ws_mdns_found_fn found, void *user,
                   struct ws_error *err);

struct ws_mdns_announcement;
/* Announces the node until it is withdrawn, also across restarts of the daemon. A thread
 * of its own does so. A name that another node has is an error in the log, and nothing
 * is announced: clusters go by names. */
int ws_mdns_announce(struct ws_mdns_announcement **out, const char *name, int is_tls,
                     uint16_t port, struct ws_error *err);
/* Takes NULL. */
void ws_mdns_withdraw(struct ws_mdns_announcement *announcement);

#endif
