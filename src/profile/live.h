/*
 * A rig of machines that run: requests through an executor, on a real edge or an emulated
 * one, with a node for the tail. For samples of what is away alone the tensors stay in
 * hand and only the exchange is repeated.
 */
#ifndef WS_PROFILE_LIVE_H
#define WS_PROFILE_LIVE_H

#include "profile/rig.h"
#include "split/machine.h"

struct ws_live_options {
    struct ws_executor *executor; /* must outlive, as all below */
    const struct ws_space *space;
    const char *url;            /* of the node */
    struct ws_machine *machine; /* (optional) the node's, where it has knobs */
    int64_t timeout_ms;
    const struct ws_datum *const *inputs; /* by variant: of its graph */
    int is_emulated;                      /* the edge is */
    double edge_idle_w;
    uint32_t metered;          /* sides that have a meter, or a model of one */
    const struct ws_sysfs *fs; /* (optional) of the real edge: throttling, heat */
    struct ws_conditions link; /* as far as it is known */
};

int ws_live_create(struct ws_rig **out, const struct ws_live_options *options,
                   struct ws_error *err);

#endif
