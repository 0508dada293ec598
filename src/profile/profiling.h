/*
 * Profiling from end to end: machines, models and testbed put together, the study opened
 * and what the machines are written into it, a first guess from the machines' models, a
 * search over live or virtual trials, and the plan. What a command line, a test or
 * another program asks for in one structure. One thread.
 */
#ifndef WS_PROFILE_PROFILING_H
#define WS_PROFILE_PROFILING_H

#include "core/plan.h"
#include "device/sampler.h"
#include "net/http_client.h"
#include "profile/profiler.h"
#include "search/search.h"

struct ws_profiling_options {
    const char *study_path;
    const char *testbed_path; /* made where there is none; NULL: the study's path with
                                 .testbed.json for its ending */
    const struct ws_executor_variant *variants;
    size_t variant_count;
    struct ws_engine_options engine;
    struct ws_splitter_options splitter;
    const char *edge; /* "local", or a board to emulate */
    /* (optional) Of a local edge: its meter is the sampler's first; what it draws while
     * nothing is asked of it, in watts. Must outlive the profiling. */
    struct ws_sampler *sampler;
    const struct ws_meter_info *meter;
    double idle_w;
    const char
        *cloud; /* (optional) a board that is like the node's machine: for the first
                   guess, and, where the clock is virtual, in place of the node */
    struct ws_http_identity identity; /* to show to the node */
    const char *url; /* of the node; not asked where the clock is virtual */
    int64_t timeout_ms;
    double link_mbit_s, link_delay_ms; /* 0: not known */
    int is_virtual;
    const struct ws_datum *const *inputs; /* (optional) by variant; NULL: drawn */
    const char *data;  /* (optional) a folder of labelled data: accuracy is an outcome */
    size_t data_limit; /* samples of it */
    double data_scale; /* as in ws_accuracy_options */
    const char *search;
    double budget; /* a share of the settings up to 1, or a number of trials; 0: 5 %, but
                      12 at least */
    struct ws_measure_options measure;
    uint64_t seed;
    /* (optional) The testbed that was written, before anything runs. */
    void (*on_testbed)(void *user, const char *path);
    /* (optional) Before the first trial: how many there are to be. */
    void (*on_start)(void *user, size_t budget, size_t space, size_t foreseen);
    /* (optional) As in a profiler. */
    void (*on_trial)(void *user, const struct ws_study_trial *trial, int is_old);
    void *user;
};

struct ws_profiling;

int ws_profiling_open(struct ws_profiling **out,
                      const struct ws_profiling_options *options, struct ws_error *err);
/* Gives hardware back. Takes NULL. */
int ws_profiling_close(struct ws_profiling *profiling, struct ws_error *err);

/* Spends the budget; trials that the study has count. Trials made so far are in the study
 * also where this fails. */
int ws_profiling_run(struct ws_trials *out, struct ws_profiling *profiling,
                     struct ws_error *err);

struct ws_study *ws_profiling_study(const struct ws_profiling *profiling);

#endif
