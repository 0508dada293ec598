/*
 * What a decision is made from: the request, and how things stand now relative to the
 * plan. The time of an entry is foreseen as
 *     edge part * edge_scale + transfer part over the link as it is now
 *     + cloud part * cloud_scale + whatever the parts leave over
 * where of transfer and cloud only that counts which lasts longer than the edge's work
 * beside them (WS_BESIDE_MS, times edge_scale),
 * and, where the hardware has to change for it, the cost of switching. The transfer part
 * of an entry that took t ms for its bytes over the plan's own link is t / L ms per ms
 * of delay and t * (wire time) / L ms at the plan's own rate, with L = delay + wire time
 * as that link should take: the same rule as ws_outcome_relink, and linear in delay and
 * pace, which is what the index lives on. Plain data.
 */
#ifndef WS_POLICY_SITUATION_H
#define WS_POLICY_SITUATION_H

#include <stddef.h>

#include "core/knob.h"
#include "core/outcome.h"
#include "core/plan.h"

/* No entry of the plan. */
#define WS_NO_ENTRY ((size_t)-1)

struct ws_policy_request {
    double deadline_ms;  /* from now on: what was waited is taken off */
    double min_accuracy; /* 0: any */
    /* What is left to those that wait behind this one for the same hardware, in the order
     * in which they will be served; as many as the agent cares to say. */
    const double *behind_ms;
    size_t behind_count;
    double attention; /* of its feature maps, as WS_ATTENTION; 0: not known (yet) */
};

struct ws_situation {
    double edge_scale;  /* time of the edge part over the plan's: 1 is as profiled */
    double cloud_scale; /* the same for the cloud part */
    double delay_ms;    /* of the link, one way; the plan's own where it is not known */
    double pace;        /* the plan's link rate over the rate now: 10 is a tenth */
    const struct ws_setting *current; /* what the hardware is set to; NULL: no matter */
    /* What a setting may draw and take on the edge, where it has to be spared; 0: any. An
     * entry that does not know passes. */
    double edge_w_max;
    double edge_bytes_max;
};

struct ws_decision {
    struct ws_setting setting;
    size_t entry;      /* of the plan, or WS_NO_ENTRY */
    double latency_ms; /* foreseen, switching included as far as the policy knows of it;
                        * 0 where the setting is a baseline that the plan lacks */
};

/* Transfer time of an entry under the plan's own link, split as said above: so many ms
 * per ms of delay, and so many ms at pace 1. */
struct ws_transfer {
    double per_delay;
    double at_pace;
};

struct ws_transfer ws_transfer_of(const struct ws_outcome *outcome,
                                  const struct ws_conditions *reference);

/* Everything as it was when the plan was made. */
struct ws_situation ws_situation_nominal(const struct ws_conditions *reference);

/* Sets delay and pace from what is known of the link. A rate of 0 gives a pace that
 * no deadline survives.
 */
void ws_situation_set_link(struct ws_situation *out,
                           const struct ws_conditions *reference,
                           const struct ws_conditions *now);

/* Time foreseen for an outcome of the plan, without switching. */
double ws_situation_foresee(const struct ws_situation *now,
                            const struct ws_outcome *outcome,
                            const struct ws_conditions *reference);

/* Mean power of an outcome's edge part, or 0 where it is not known. */
double ws_situation_edge_w(const struct ws_outcome *outcome);

#endif
