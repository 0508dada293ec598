#include "agent/local.h"

#include <math.h>
#include <stdlib.h>

#include "policy/situation.h"

static int sends_nothing(const struct ws_outcome *outcome)
{
    double ms;
    return ws_outcome_get(&ms, outcome, WS_TRANSFER_MS) == 0 && !(ms > 0) &&
           ws_outcome_knows(outcome, WS_LATENCY_MS);
}

static double latency_of(const struct ws_local *local, size_t entry)
{
    return local->plan->entries[entry].outcome.value[WS_LATENCY_MS];
}

int ws_local_init(struct ws_local *local, const struct ws_plan *plan,
                  const struct ws_drift_options *drift, struct ws_error *err)
{
    *local = (struct ws_local){.plan = plan, .least_w = INFINITY};
    local->entries = calloc(plan->entry_count + 1, sizeof(*local->entries));
    if (local->entries == NULL)
        return ws_error_nomem(err);
    ws_drift_init(&local->drift, drift);
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct ws_outcome *outcome = &plan->entries[i].outcome;
        double watts = ws_situation_edge_w(outcome);
        if (watts > 0) {
            local->least_w = fmin(local->least_w, watts);
            local->most_w = fmax(local->most_w, watts);
        }
        if (!sends_nothing(outcome))
            continue;
        if (local->entry_count == 0 ||
            latency_of(local, i) < latency_of(local, local->quickest))
            local->quickest = i;
        local->entries[local->entry_count++] = i;
    }
    if (!(local->most_w > 0))
        local->least_w = 0;
    return 0;
}

void ws_local_fini(struct ws_local *local)
{
    free(local->entries);
    *local = (struct ws_local){0};
}

static int same_edge(const struct ws_space *space, const struct ws_setting *a,
                     const struct ws_setting *b)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        if (space->knobs[k].part == WS_PART_EDGE && a->value[k] != b->value[k])
            return 0;
    }
    return 1;
}

double ws_local_foresee(const struct ws_local *local, const struct ws_setting *setting,
                        size_t entry)
{
    double head = 0, whole = INFINITY;
    if (local->entry_count == 0)
        return 0;
    if (entry != WS_NO_ENTRY)
        (void)ws_outcome_get(&head, &local->plan->entries[entry].outcome, WS_EDGE_MS);
    for (size_t i = 0; i < local->entry_count; i++) {
        const struct ws_setting *other = &local->plan->entries[local->entries[i]].setting;
        if (same_edge(&local->plan->space, setting, other))
            whole = fmin(whole, latency_of(local, local->entries[i]));
    }
    if (!isfinite(whole))
        whole = latency_of(local, local->quickest);
    return fmax(whole - head, 0);
}

void ws_local_observe(struct ws_local *local, double foreseen_ms, double took_ms,
                      double now_ms)
{
    const double all[2] = {1, 0};
    if (foreseen_ms > 0 && took_ms > 0)
        ws_drift_observe(&local->drift, all, took_ms / foreseen_ms, now_ms);
}

double ws_local_scale(const struct ws_local *local, double now_ms)
{
    double factor[2];
    ws_drift_get(factor, &local->drift, now_ms);
    return factor[0];
}

double ws_local_power_w(const struct ws_local *local, double severity)
{
    return local->most_w - severity * (local->most_w - local->least_w);
}
