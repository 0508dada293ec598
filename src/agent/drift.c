#include "agent/drift.h"

#include <math.h>
#include <string.h>

static const double noise_first = 0.1 * 0.1; /* variance, before anything was seen */
static const double noise_least = 0.02 * 0.02;
static const double noise_most = 0.25 * 0.25;
static const double noise_rate = 1.0 / 64; /* weight of one observation in the noise */
static const double walk = 1.0 / 4096; /* share of the prior's variance added a time */
static const double outlier = 3;       /* standard deviations */
static const double factor_least = 0.01, factor_most = 1000;

void ws_drift_init(struct ws_drift *drift, const struct ws_drift_options *options)
{
    memset(drift, 0, sizeof(*drift));
    drift->options = *options;
    drift->factor[0] = drift->factor[1] = 1;
    drift->p[0] = options->prior_sd[0] * options->prior_sd[0];
    drift->p[2] = options->prior_sd[1] * options->prior_sd[1];
    drift->noise = noise_first;
}

void ws_drift_inherit(struct ws_drift *drift, const struct ws_drift *from,
                      double shift_ms)
{
    const struct ws_drift_options options = drift->options;
    *drift = *from;
    drift->options = options;
    drift->at_ms += shift_ms;
}

static double remembered(const struct ws_drift *drift, double now_ms)
{
    double forget = drift->options.forget_ms;
    if (!(forget > 0) || drift->count == 0 || now_ms <= drift->at_ms)
        return 1;
    return exp(-(now_ms - drift->at_ms) / forget);
}

/* The filter's own factors, forgetting counted in. */
static void recall(double out[2], const struct ws_drift *drift, double now_ms)
{
    double keep = remembered(drift, now_ms);
    for (int i = 0; i < 2; i++)
        out[i] = 1 + (drift->factor[i] - 1) * keep;
}

void ws_drift_get(double out[2], const struct ws_drift *drift, double now_ms)
{
    double band = drift->options.band;
    recall(out, drift, now_ms);
    for (int i = 0; i < 2; i++) {
        double off = fabs(out[i] - 1);
        if (off < 2 * band)
            out[i] = 1 + copysign(2 * fmax(off - band, 0), out[i] - 1);
    }
}

/* One step of the filter with observation variance `noise`. The innovation may be cut
 * down before, which is what makes it robust. */
static void correct(struct ws_drift *d, const double h[2], double innovation,
                    double noise)
{
    double a = d->p[0] * h[0] + d->p[1] * h[1]; /* P h */
    double b = d->p[1] * h[0] + d->p[2] * h[1];
    double s = h[0] * a + h[1] * b + noise;
    d->factor[0] += a / s * innovation;
    d->factor[1] += b / s * innovation;
    d->p[0] -= a * a / s;
    d->p[1] -= a * b / s;
    d->p[2] -= b * b / s;
    for (int i = 0; i < 2; i++)
        d->factor[i] = fmin(fmax(d->factor[i], factor_least), factor_most);
}

void ws_drift_observe(struct ws_drift *drift, const double share[2], double ratio,
                      double now_ms)
{
    const struct ws_drift_options *o = &drift->options;
    double now[2];
    recall(now, drift, now_ms);
    memcpy(drift->factor, now, sizeof(now));
    drift->p[0] += walk * o->prior_sd[0] * o->prior_sd[0];
    drift->p[2] += walk * o->prior_sd[1] * o->prior_sd[1];

    /* Noise is relative: a link ten times slower jitters ten times as much. */
    double foreseen = share[0] * now[0] + share[1] * now[1];
    double noise = drift->noise * foreseen * foreseen;
    double spread = share[0] * share[0] * drift->p[0] +
                    2 * share[0] * share[1] * drift->p[1] +
                    share[1] * share[1] * drift->p[2] + noise;
    double innovation = ratio - foreseen;
    double score = innovation / sqrt(spread);
    if (fabs(score) <= outlier) {
        drift->surprise = 0;
        /* Only as much of it as the uncertainty of the factors does not explain. */
        drift->noise += noise_rate * drift->noise * (score * score - 1);
        drift->noise = fmin(fmax(drift->noise, noise_least), noise_most);
    } else if (drift->surprise * score > 0) {
        /* The second in a row: not noise. Believe it at once. */
        drift->p[0] += o->jump_sd[0] * o->jump_sd[0];
        drift->p[2] += o->jump_sd[1] * o->jump_sd[1];
    } else {
        drift->surprise = copysign(1, score);
        innovation *= outlier / fabs(score);
    }
    correct(drift, share, innovation, noise);
    drift->at_ms = now_ms;
    drift->count++;
}
