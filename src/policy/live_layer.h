/*
 * What a trained network gets wrong on the machine at hand, learnt from few requests: a
 * linear model of (reward - what the network foresaw) over simple functions of setting
 * and view, fitted by recursive least squares that forgets. Few numbers, so it is right
 * after tens of requests where a network would need thousands, and near 0 while the
 * network is right. It adds up over the knobs as the network's branches do, so that the
 * best of both together is found as fast. Plain data; nothing allocates.
 */
#ifndef WS_POLICY_LIVE_LAYER_H
#define WS_POLICY_LIVE_LAYER_H

#include "policy/dqn.h"
#include "policy/learner.h"

enum {
    WS_LIVE_KNOBS_MAX = 8, /* the first that leave a choice; others are not corrected */
    WS_LIVE_COMMON = 4,
    WS_LIVE_PER_KNOB = 5,
    WS_LIVE_TERMS_MAX = WS_LIVE_COMMON + WS_LIVE_KNOBS_MAX * WS_LIVE_PER_KNOB,
};

struct ws_live_layer {
    const struct ws_space *space;
    size_t pivot; /* knob, or WS_NO_PIVOT */
    size_t knobs[WS_LIVE_KNOBS_MAX];
    size_t knob_count, term_count;
    double weight[WS_LIVE_TERMS_MAX];
    double spread[WS_LIVE_TERMS_MAX][WS_LIVE_TERMS_MAX]; /* of the weights */
};

void ws_live_layer_init(struct ws_live_layer *out, const struct ws_space *space,
                        size_t pivot);
/* What it adds to the value of a setting. */
double ws_live_layer_value(const struct ws_live_layer *layer, const struct ws_view *view,
                           const struct ws_setting *setting);
/* The network was `error` too low. */
void ws_live_layer_learn(struct ws_live_layer *layer, const struct ws_view *view,
                         const struct ws_setting *setting, double error);
/* The same as ws_live_layer_value, for every value of every knob, as ws_dqn_best takes
 * it: pivot_bonus [values of the pivot], bonus [values of the pivot, or 1][row]. */
void ws_live_layer_bonus(float *pivot_bonus, float *bonus,
                         const struct ws_live_layer *layer, const struct ws_view *view);

#endif
