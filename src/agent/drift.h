/*
 * What is learnt while serving about how far things are from the plan: one filter for
 * each of the edge part, the cloud part, and the link. A filter tracks two factors, both
 * 1 as planned, of which an observation sees a mixture: observed time over planned time =
 * share[0] * factor[0] + share[1] * factor[1] + noise. It is a Kalman filter that hardly
 * moves while observations look like noise, gives one outlier little weight, and opens up
 * when two in a row point the same way. Untouched for long, it drifts back to the plan,
 * so that a link that was left for being bad is tried again. Plain data, no allocation.
 */
#ifndef WS_AGENT_DRIFT_H
#define WS_AGENT_DRIFT_H

struct ws_drift_options {
    double prior_sd[2]; /* how far a factor may be off at first, and is let drift */
    double jump_sd[2];  /* how far it may have jumped once things clearly changed */
    double band;      /* as far from 1 as this a factor counts as 1: the plan is trusted;
                       * from twice as far it counts in full */
    double forget_ms; /* time constant of the way back to the plan; 0: never */
};

struct ws_drift {
    struct ws_drift_options options;
    double factor[2];
    double p[3];     /* covariance: [0][0], [0][1], [1][1] */
    double noise;    /* variance of the noise, learnt */
    double surprise; /* sign of the last observation that was no noise, else 0 */
    double at_ms;    /* of the last observation */
    unsigned long count;
};

void ws_drift_init(struct ws_drift *drift, const struct ws_drift_options *options);

/* What `from` has learnt, by its own options; its clock lies `shift_ms` before. */
void ws_drift_inherit(struct ws_drift *drift, const struct ws_drift *from,
                      double shift_ms);

/* `ratio`: observed over planned time, above 0; shares sum to 1. */
void ws_drift_observe(struct ws_drift *drift, const double share[2], double ratio,
                      double now_ms);

/* The factors at a time, forgetting counted in. */
void ws_drift_get(double out[2], const struct ws_drift *drift, double now_ms);

#endif
