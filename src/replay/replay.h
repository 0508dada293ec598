/*
 * Replay: a workload served by the agent on a virtual clock, every execution answered by
 * the world. One run is one policy over all requests; runs of the same seed see the same
 * draws, so that policies and oracles can be compared request by request. Requests that
 * arrive while the hardware is busy wait; latency counts from arrival and holds waiting
 * and switching. What never comes back (a link of 0 Mbit/s) is lost when its deadline
 * passes. The same task and seed give the same result but for the decision times, which
 * are measured. Not thread-safe.
 */
#ifndef WS_REPLAY_REPLAY_H
#define WS_REPLAY_REPLAY_H

#include "agent/agent.h"
#include "replay/world.h"
#include "study/workload.h"

struct ws_replay_task {
    const struct ws_world *world;
    const struct ws_workload *workload;
    const struct ws_plan *plan;
    struct ws_policy_options options;
    enum ws_agent_order order;
    int refuse_late;
    /* The knob whose values `uses` counts: (size_t)-1 for none. */
    size_t cut_knob;
};

enum { WS_REPLAY_GRID = 101 }; /* points of a kept distribution */

struct ws_replay_result {
    const char *policy;
    size_t requests;
    size_t met;
    size_t refused; /* by admission, for accuracy, or by a full queue */
    size_t lost;
    size_t switches;
    double energy_j_mean; /* over requests that were served */
    double edge_energy_j_mean, cloud_energy_j_mean;
    int parts_known;                     /* whether every outcome knew both */
    double latency_ms[3];                /* p50, p95, p99 of those served */
    double latency_grid[WS_REPLAY_GRID]; /* quantiles 0, 0.01, ..., 1 */
    double exceed_ms_median;             /* of those served too late */
    size_t late;
    double decision_ns_median, decision_ns_worst;
    double span_ms; /* from the first arrival to the last answer */
    size_t *uses;   /* [value_count of cut_knob], or NULL; owned */
    size_t use_count;
};

/* Runs one policy, or an oracle, through the workload. */
int ws_replay_run(struct ws_replay_result *out, const struct ws_replay_task *task,
                  const struct ws_policy_ops *policy, uint64_t seed,
                  struct ws_error *err);
void ws_replay_result_fini(struct ws_replay_result *result);

#endif
