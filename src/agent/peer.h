/*
 * A node as the agent sees it: whether it may be asked (breaker), the link to it, how its
 * machine compares with the plan's cloud, and how much is under way there. Plain data.
 */
#ifndef WS_AGENT_PEER_H
#define WS_AGENT_PEER_H

#include <stddef.h>

#include "agent/breaker.h"
#include "agent/link.h"
#include "core/plan.h"

struct ws_peer {
    struct ws_breaker breaker;
    struct ws_link link;
    struct ws_drift cloud;
    size_t in_flight;
    double heard_ms; /* when it last answered, or was asked to; -INFINITY: never */
    int is_probed;   /* a probe is under way */
};

/* What sending costs on average over the settings of a plan that send: to compare nodes
 * by. And, as a line through their transfers, what a probe would take over the plan's
 * link: its delay alone does not say, since plans differ in what they count as transfer.
 */
struct ws_peer_load {
    double per_delay, at_pace; /* as of struct ws_transfer */
    double cloud_ms;
    double probe_fixed_ms;
    double probe_ms_per_byte; /* 0: the plan does not tell */
};

void ws_peer_load_of(struct ws_peer_load *out, const struct ws_plan *plan);
/* Milliseconds that such a request would take now, those under way counted in: they share
 * link and machine. */
double ws_peer_score(const struct ws_peer *peer, const struct ws_peer_load *load,
                     double now_ms);

#endif
