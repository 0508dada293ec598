/*
 * Everything that a replay of a recorded testbed stands on, made from files: testbed,
 * table, workload, link, the plan (from a search or from a file), the cuts at default
 * hardware, and what the samples say of uncertainty. Strings of the options must outlive
 * the input; the rest is copied or owned. An input must not move once made: its task
 * points into it.
 */
#ifndef WS_REPLAY_INPUT_H
#define WS_REPLAY_INPUT_H

#include "replay/compare.h"
#include "replay/profile.h"
#include "study/testbed.h"

struct ws_replay_options {
    const char *testbed_path;
    const char *workload_path;
    const char *link_path; /* a trace, or NULL */
    const char *plan_path; /* a saved plan, or NULL: search */
    const char *search;    /* "exhaustive", ... */
    double budget;         /* of the search: a share up to 1, or a number of trials */
    enum ws_noise noise;
    double guard;
    const char *agent_path; /* of `dvfo`, or NULL */
    double eta;             /* likewise */
    enum ws_agent_order order;
    int refuse_late;
    uint64_t seed; /* of the search */
};

struct ws_replay_input {
    struct ws_testbed testbed;
    struct ws_table table;
    struct ws_workload workload;
    struct ws_trace trace;
    struct ws_evaluator *evaluator;
    struct ws_setting *settings; /* [table.setting_count] */
    struct ws_plan plan;
    size_t evaluated; /* trials of the search */
    struct ws_profile profile;
    struct ws_spreads world_spreads, plan_spreads;
    struct ws_world world;
    struct ws_replay_task task;
};

/* Zero-initialise `out` first; after a failure, too, it has to go through fini. */
int ws_replay_input_init(struct ws_replay_input *out,
                         const struct ws_replay_options *options, struct ws_error *err);
void ws_replay_input_fini(struct ws_replay_input *input);

/* Requests whose deadline is below the mean of the fastest setting, and that mean. */
size_t ws_replay_hopeless(double *fastest_ms, const struct ws_replay_input *input);

#endif
