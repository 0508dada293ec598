/*
 * Every cut at default hardware, for the policies that choose a cut and nothing else.
 * Default hardware is what the testbed's baselines run on: edge knobs as in edge-only,
 * all others as in cloud-only; where a constraint or the table forbids that, as in
 * cloud-only alone, or in edge-only alone. "Cut" is any knob whose part is shared; no
 * name is looked at.
 */
#ifndef WS_REPLAY_PROFILE_H
#define WS_REPLAY_PROFILE_H

#include "core/evaluator.h"
#include "core/plan.h"

enum { WS_PROFILE_MAX = 4096 };

struct ws_profile {
    struct ws_plan_entry *entries; /* from the first cut to the last; owned */
    size_t count;
};

/* A baseline that is NULL gives an empty profile. WS_E_LIMIT above WS_PROFILE_MAX cuts.
 */
int ws_profile_create(struct ws_profile *out, struct ws_evaluator *evaluator,
                      const struct ws_setting *cloud_only,
                      const struct ws_setting *edge_only, struct ws_error *err);
void ws_profile_fini(struct ws_profile *profile);

#endif
