/*
 * What finishing a request on the edge takes, where the plan meant its tail for a node:
 * the plan's whole network here, less the head that is done. Of the settings that send
 * nothing it looks for one with the same edge hardware, else takes the quickest; how far
 * that is off is learnt. It also knows what the plan's settings draw on the edge.
 */
#ifndef WS_AGENT_LOCAL_H
#define WS_AGENT_LOCAL_H

#include <stddef.h>

#include "agent/drift.h"
#include "base/error.h"
#include "core/plan.h"

struct ws_local {
    const struct ws_plan *plan;
    size_t *entries; /* that send nothing */
    size_t entry_count;
    size_t quickest; /* of them; only where there is one */
    struct ws_drift drift;
    double least_w, most_w; /* over all entries that know it; 0 where none does */
};

int ws_local_init(struct ws_local *local, const struct ws_plan *plan,
                  const struct ws_drift_options *drift, struct ws_error *err);
void ws_local_fini(struct ws_local *local);

/* For a setting of the plan, or one that it lacks (WS_NO_ENTRY). 0 where the plan has
 * nothing to go by. */
double ws_local_foresee(const struct ws_local *local, const struct ws_setting *setting,
                        size_t entry);
void ws_local_observe(struct ws_local *local, double foreseen_ms, double took_ms,
                      double now_ms);
/* Times what is foreseen; learnt. */
double ws_local_scale(const struct ws_local *local, double now_ms);

/* The power that settings may draw on the edge: all of the plan's at severity 0, only its
 * thriftiest at 1. 0: the plan knows none. */
double ws_local_power_w(const struct ws_local *local, double severity);

#endif
