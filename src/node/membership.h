/*
 * Which nodes of a cluster are there, by asking the network instead of the file: a node
 * that is found has the address that it was found at. What finds them is a function, so
 * that tests need no network; ws_mdns_browse is the real one.
 */
#ifndef WS_NODE_MEMBERSHIP_H
#define WS_NODE_MEMBERSHIP_H

#include "net/mdns.h"
#include "study/clusterfile.h"

struct ws_membership {
    size_t found;               /* of the nodes that the cluster had */
    size_t joined;              /* others, that it has now */
    char stranger[WS_NAME_MAX]; /* one of those that did not join; "": there is none */
};

/* Nodes of the cluster that are not found keep the address that the file has, if any.
 * `joins`: strangers become nodes, with all variants and nothing measured of them yet;
 * WS_E_LIMIT where they are too many. */
int ws_membership_find(struct ws_membership *out, struct ws_cluster *cluster,
                       ws_mdns_browse_fn browse, int64_t wait_ms, int joins,
                       struct ws_error *err);

#endif
