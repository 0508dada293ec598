/*
 * What replay runs against: an evaluator that answers for every execution, the list of
 * settings it has, and how conditions change over time. The world is what oracles know
 * and policies do not. Plain data that points to what its maker owns, and that must
 * outlive it.
 */
#ifndef WS_REPLAY_WORLD_H
#define WS_REPLAY_WORLD_H

#include "core/evaluator.h"
#include "policy/policy.h"
#include "study/recorded.h"
#include "study/table.h"
#include "study/trace.h"

struct ws_world {
    struct ws_evaluator *evaluator;
    const struct ws_setting *settings; /* [setting_count]: all that can be evaluated */
    size_t setting_count;
    const struct ws_conditions *reference; /* what plan and settings are relative to */
    const struct ws_trace *trace;          /* NULL: everything stays at the reference */
    /* The true spread of latencies: of settings in general, and [setting_count] of those
     * that have their own (count 0: none of its own). For `guard-oracle`. */
    struct ws_spread pooled;
    const struct ws_spread *own;
    /* No execution of a setting without a spread of its own gives less than these times
     * its expected latency and energy. 0: nothing is promised. Lets `oracle` pass over
     * settings that cannot win. */
    double least_latency, least_energy;
};

/* Where a run stands; replay moves it before every decision, oracles look at it. */
struct ws_world_now {
    uint64_t seed; /* of the execution about to happen */
    struct ws_conditions conditions;
};

/* Conditions at a time: the reference, and what the trace changes of it. */
void ws_world_at(struct ws_conditions *out, const struct ws_world *world, double now_ms);

/* Latencies over their means as a table's samples say. How an execution varies depends on
 * the kind of noise: by a setting's own samples (from two on, or from
 * WS_RECORDED_OWN_SAMPLES_MIN on where others draw pooled residuals), by the pooled
 * residuals, or not at all. */
struct ws_spreads {
    double *ratio; /* all that the spreads point into; owned */
    struct ws_spread pooled;
    struct ws_spread *own; /* [setting_count of the call], owned */
};

/* `settings` may hold some that the table lacks; those have none of their own. */
int ws_spreads_create(struct ws_spreads *out, const struct ws_table *table,
                      enum ws_noise noise, const struct ws_setting *settings,
                      size_t setting_count, struct ws_error *err);
void ws_spreads_fini(struct ws_spreads *spreads);

#endif
