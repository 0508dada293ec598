/*
 * A study as an evaluator: a setting that has a trial gives it, any other is measured,
 * and its trial is in the study before the answer is. So a search that is run again on
 * the same study, with the same seed, comes to where it was interrupted without measuring
 * anything twice, and goes on. An invalid trial gives an outcome of which nothing is
 * known. One thread.
 */
#ifndef WS_PROFILE_PROFILER_H
#define WS_PROFILE_PROFILER_H

#include "core/evaluator.h"
#include "profile/measure.h"

struct ws_profiler_options {
    struct ws_study *study; /* open to profile into; must outlive, as the rig must */
    struct ws_rig *rig;
    struct ws_measure_options measure;
    /* (optional) Accuracy of a setting: 0, or WS_E_UNKNOWN. */
    int (*accuracy)(void *user, double *out, const struct ws_setting *setting,
                    struct ws_error *err);
    /* (optional) Called with every trial, old ones included. */
    void (*on_trial)(void *user, const struct ws_study_trial *trial, int is_old);
    void *user;
};

int ws_profiler_create(struct ws_evaluator **out,
                       const struct ws_profiler_options *options, struct ws_error *err);

#endif
