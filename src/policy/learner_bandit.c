/*
 * A contextual bandit with a linear model: the logarithm of the cost is a sum over the
 * knobs of a linear function of the context, one for each value. Ridge regression, solved
 * anew every so many requests; exploration fades as in `dvfo`. It knows no next request
 * and no interaction of knobs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "policy/learners.h"

enum { FEATURES = 8, SOLVE_EVERY = 250, WARM_UP = 500 };

static const double ridge = 1e-2;
static const double explore_first = 0.5, explore_last = 0.05;

struct bandit {
    struct ws_learner base;
    struct ws_rng rng;
    size_t offset[WS_KNOBS_MAX]; /* of a knob's values */
    size_t size;                 /* weights: values of all knobs x FEATURES */
    double *gram, *factor;       /* [size][size], lower halves */
    double *moment, *weight;     /* [size] */
    uint64_t seen;
};

static void bandit_destroy(struct ws_learner *learner)
{
    struct bandit *self = (struct bandit *)learner;
    free(self->gram);
    free(self->factor);
    free(self->moment);
    free(self->weight);
    free(self);
}

static int bandit_create(struct ws_learner **out, const struct ws_learner_task *task,
                         struct ws_error *err)
{
    struct bandit *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    self->base = (struct ws_learner){&ws_learner_bandit, task};
    ws_rng_init(&self->rng, task->seed);
    for (size_t k = 0; k < task->space->knob_count; k++) {
        self->offset[k] = self->size;
        self->size += task->space->knobs[k].value_count * FEATURES;
    }
    self->gram = calloc(self->size * self->size, sizeof(*self->gram));
    self->factor = calloc(self->size * self->size, sizeof(*self->factor));
    self->moment = calloc(self->size, sizeof(*self->moment));
    self->weight = calloc(self->size, sizeof(*self->weight));
    if (self->gram == NULL || self->factor == NULL || self->moment == NULL ||
        self->weight == NULL) {
        bandit_destroy(&self->base);
        return ws_error_nomem(err);
    }
    for (size_t i = 0; i < self->size; i++)
        self->gram[i * self->size + i] = ridge;
    *out = &self->base;
    return 0;
}

static void context_of(double out[FEATURES], const struct ws_view *view)
{
    double rate = log(view->link_mbit_s);
    double attention = view->attention - WS_VIEW_ATTENTION;
    const double features[FEATURES] = {1,
                                       rate,
                                       rate * rate / 4,
                                       view->eta - 0.5,
                                       attention,
                                       rate * attention,
                                       rate * (view->eta - 0.5),
                                       1 / (1 + view->link_mbit_s)};
    memcpy(out, features, sizeof(features));
}

static double score(const struct bandit *self, const double *context, size_t knob,
                    size_t value)
{
    const double *w = self->weight + self->offset[knob] + value * FEATURES;
    double sum = 0;
    for (size_t f = 0; f < FEATURES; f++)
        sum += w[f] * context[f];
    return sum;
}

static double exploration(const struct bandit *self)
{
    const struct ws_learner_task *task = self->base.task;
    if (self->seen < WARM_UP)
        return 1;
    double done =
        task->steps == 0 ? 1 : fmin((double)self->seen / (double)task->steps, 1);
    return explore_first + done * (explore_last - explore_first);
}

static void bandit_choose(struct ws_learner *learner, struct ws_setting *out,
                          const struct ws_view *view, int explore)
{
    struct bandit *self = (struct bandit *)learner;
    const struct ws_learner_task *task = learner->task;
    double context[FEATURES], chance = explore ? exploration(self) : 0;
    context_of(context, view);
    *out = task->start;
    for (size_t k = 0; k < task->space->knob_count; k++) {
        uint16_t low = ws_learner_low(task, k), high = ws_learner_high(task, k);
        out->value[k] = low;
        if (ws_rng_uniform(&self->rng) < chance) {
            out->value[k] =
                (uint16_t)(low + ws_rng_below(&self->rng, (uint64_t)(high - low) + 1));
            continue;
        }
        for (uint16_t v = low; v <= high; v++) {
            if (score(self, context, k, v) < score(self, context, k, out->value[k]))
                out->value[k] = v;
        }
    }
}

/* Cholesky's factor of the Gram matrix, then both triangles. */
static void solve(struct bandit *self)
{
    size_t n = self->size;
    double *l = self->factor, *w = self->weight;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = self->gram[i * n + j];
            for (size_t k = 0; k < j; k++)
                sum -= l[i * n + k] * l[j * n + k];
            l[i * n + j] = i == j ? sqrt(fmax(sum, 1e-12)) : sum / l[j * n + j];
        }
    }
    for (size_t i = 0; i < n; i++) {
        double sum = self->moment[i];
        for (size_t k = 0; k < i; k++)
            sum -= l[i * n + k] * w[k];
        w[i] = sum / l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        double sum = w[i];
        for (size_t k = i + 1; k < n; k++)
            sum -= l[k * n + i] * w[k];
        w[i] = sum / l[i * n + i];
    }
}

static void bandit_observe(struct ws_learner *learner, const struct ws_view *view,
                           const struct ws_setting *setting,
                           const struct ws_outcome *outcome, const struct ws_view *next)
{
    struct bandit *self = (struct bandit *)learner;
    const struct ws_learner_task *task = learner->task;
    size_t count = task->space->knob_count * FEATURES;
    double context[FEATURES], x[WS_KNOBS_MAX * FEATURES];
    size_t at[WS_KNOBS_MAX * FEATURES];
    double goal = log(ws_cost_of(&task->cost, view, outcome));
    (void)next;
    context_of(context, view);
    for (size_t k = 0; k < task->space->knob_count; k++) {
        for (size_t f = 0; f < FEATURES; f++) {
            x[k * FEATURES + f] = context[f];
            at[k * FEATURES + f] = self->offset[k] + setting->value[k] * FEATURES + f;
        }
    }
    for (size_t i = 0; i < count; i++) {
        self->moment[at[i]] += goal * x[i];
        for (size_t j = 0; j <= i; j++)
            self->gram[at[i] * self->size + at[j]] += x[i] * x[j];
    }
    self->seen++;
    if (self->seen >= WARM_UP && self->seen % SOLVE_EVERY == 0)
        solve(self);
}

const struct ws_learner_ops ws_learner_bandit = {
    .name = "bandit",
    .summary = "a contextual bandit, linear in the context for each knob's values",
    .create = bandit_create,
    .choose = bandit_choose,
    .observe = bandit_observe,
    .destroy = bandit_destroy,
};
