/*
 * How a setting is measured: warm-up until steady, samples until the mean is known well
 * enough, and nothing twice. A setting's sides are kept apart by key; what another
 * setting has measured of a side is not measured again, and where all sides are known the
 * outcome is composed. A share of the settings that could be composed is measured from
 * end to end all the same, which is how the composition's error is known. Where sides run
 * at once (a rig that is whole), every setting is measured so. An attempt that
 * the machines spoil (throttling, a clamped clock, a gap of a meter) counts for nothing;
 * after some of them the trial is invalid, and says why. One thread.
 */
#ifndef WS_PROFILE_MEASURE_H
#define WS_PROFILE_MEASURE_H

#include "profile/rig.h"
#include "study/study.h"

struct ws_measure_options {
    double tolerance;   /* half the 95 % interval of the mean, over the mean */
    size_t samples_min; /* before the interval is believed, at least 2 */
    size_t samples_max; /* of one attempt */
    size_t warmups_max;
    unsigned attempts_max;
    double check_share; /* of settings that could be composed, to be measured whole */
    uint64_t seed;      /* of which these are */
    /* Least time to warm up, and of samples, in seconds: a slow meter has to see them. */
    double settle_s, span_s;
};
/* 2 %, 5 to 200 samples, up to 10 to warm up, 3 attempts, every tenth checked, seed 1. */
void ws_measure_defaults(struct ws_measure_options *out);

struct ws_measurer;

/* The rig must outlive it. */
int ws_measurer_create(struct ws_measurer **out, struct ws_rig *rig,
                       const struct ws_measure_options *options, struct ws_error *err);
void ws_measurer_destroy(struct ws_measurer *measurer);

/* A side as a study has it. */
int ws_measurer_restore(struct ws_measurer *measurer, const struct ws_study_part *part,
                        struct ws_error *err);

/* One trial; number, run and the wall time of its start are left to others. An invalid
 * trial is no failure. Fails where going on makes no sense: the codes of a rig's sample
 * and apply. */
int ws_measurer_run(struct ws_study_trial *out, struct ws_measurer *measurer,
                    const struct ws_setting *setting, struct ws_error *err);
/* The sides that the last run added to. */
int ws_measurer_each_changed(struct ws_measurer *measurer, ws_study_part_fn fn,
                             void *user, struct ws_error *err);

#endif
