/*
 * A batch shared among simulated nodes on a virtual clock: the dispatcher of
 * agent/dispatch.h, driven as src/node/cluster.h drives it, with nodes that are a link, a
 * queue and a machine each. A node computes one chunk at a time while the next one
 * travels; what it really takes may differ from what the dispatcher was told, varies with
 * the seed, and changes when an event says so. Counts how often each input got a result,
 * by itself and not by what the dispatcher says. Pure computation.
 */
#ifndef WS_REPLAY_FLEET_H
#define WS_REPLAY_FLEET_H

#include "agent/dispatch.h"

enum ws_fleet_verb {
    WS_FLEET_SLOW,  /* the node's computing takes `factor` times as long from now on */
    WS_FLEET_DIE,   /* it answers nothing any more; noticed after `detect_s` */
    WS_FLEET_LEAVE, /* it goes and says so */
    WS_FLEET_JOIN,  /* it is (again) there */
};

struct ws_fleet_event {
    double at_s;
    size_t node;
    enum ws_fleet_verb verb;
    double factor; /* of SLOW */
};

struct ws_fleet_options {
    const struct ws_dispatch_options *dispatch; /* what the dispatcher is told */
    const struct ws_dispatch_node *truth; /* how the nodes are; NULL: as it is told */
    double jitter; /* relative deviation of a chunk's computing, log-normal; 0: none */
    uint64_t seed;
    double detect_s;
    const struct ws_fleet_event *events; /* in order of time */
    size_t event_count;
};

struct ws_fleet_outcome {
    double time_s;               /* until the last input had its result */
    size_t lost, doubled, wrong; /* inputs without a result, with more than one that was
                                  * kept, with one that is not said to be whose it is */
    struct ws_dispatch_state state;
    struct ws_dispatch_state at_death; /* of the last node that died, when it did */
    struct ws_share_plan plan;         /* the first, without its counts */
};

/* A batch that cannot end, for lack of nodes, is no error: `lost` says so. */
int ws_fleet_run(struct ws_fleet_outcome *out, const struct ws_fleet_options *options,
                 struct ws_error *err);

#endif
