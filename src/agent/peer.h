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
    double heard_ms; /* when it last answered, failed or was probed; -INFINITY: never */
    int is_probed;   /* a probe is under way */
    int is_asked_again; /* or is due at once, to confirm a surprise of the link */
    /* Of a machine that was found slow: when a request was last sent there to see, and
     * how long to let it be. */
    double tried_ms, trial_wait_ms;
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

/* Whether the machine has been let be for long enough. */
int ws_peer_may_be_tried(const struct ws_peer *peer, double now_ms);
/* A trial's tail took `ratio` times the plan's (infinite: it did not come). Nearer to the
 * plan than to what is believed, it may be chance, and the next trial follows at once;
 * else the wait doubles, from `wait_ms` on. */
void ws_peer_tried(struct ws_peer *peer, double ratio, double wait_ms, double now_ms);

void ws_peer_load_of(struct ws_peer_load *out, const struct ws_plan *plan);
/* Milliseconds that such a request would take now, those under way counted in: they share
 * link and machine. */
double ws_peer_score(const struct ws_peer *peer, const struct ws_peer_load *load,
                     double now_ms);

#endif
