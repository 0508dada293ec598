/*
 * A rig on a virtual clock: nothing runs and nobody waits; samples are drawn around what
 * models of both machines and the link predict, log-normally, each from its side's key,
 * its number and the seed. So the same seed gives the same samples in whatever order they
 * are asked for, which lets a study that was interrupted end as one that was not.
 */
#ifndef WS_PROFILE_VIRTUAL_H
#define WS_PROFILE_VIRTUAL_H

#include "profile/predict.h"

struct ws_virtual_options {
    struct ws_predictor *predictor; /* must outlive */
    struct ws_executor *executor;   /* likewise */
    const struct ws_space *space;
    double edge_idle_w;
    uint32_t metered;  /* sides whose energy the models know */
    double time_noise; /* standard deviations of logarithms */
    double energy_noise;
    uint64_t seed;
};

int ws_virtual_create(struct ws_rig **out, const struct ws_virtual_options *options,
                      struct ws_error *err);

#endif
