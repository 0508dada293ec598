/*
 * Tabular Q-learning as in AutoScale (Kim and Wu, MICRO 2020): a coarse state, a few
 * values of each knob, and a table of what each pair is worth. AutoScale's own state is
 * that of a phone; here it is the link, eta and attention in bins. Knobs with an order
 * are thinned to a few values, or no table would ever be filled.
 */
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "policy/learners.h"

enum { RATE_BINS = 8, ETA_BINS = 3, ATTENTION_BINS = 2, VALUES_MAX = 3 };

static const double rate_log_low = -1, rate_log_high = 5;
static const double explore_first = 1, explore_last = 0.05, learn_least = 0.05;

struct tabular {
    struct ws_learner base;
    struct ws_rng rng;
    uint16_t values[WS_KNOBS_MAX][VALUES_MAX];
    size_t counts[WS_KNOBS_MAX];
    size_t action_count;
    float *q;        /* [states][action_count]: expected logarithm of the cost */
    uint32_t *tried; /* likewise */
    uint64_t seen;
};

static size_t state_of(const struct ws_view *view)
{
    double rate =
        (log(view->link_mbit_s) - rate_log_low) / (rate_log_high - rate_log_low);
    size_t r = (size_t)fmin(fmax(rate * RATE_BINS, 0), RATE_BINS - 1);
    size_t e = (size_t)fmin(fmax(view->eta * ETA_BINS, 0), ETA_BINS - 1);
    size_t a = view->attention >= WS_VIEW_ATTENTION;
    return (r * ETA_BINS + e) * ATTENTION_BINS + a;
}

static void tabular_destroy(struct ws_learner *learner)
{
    struct tabular *self = (struct tabular *)learner;
    free(self->q);
    free(self->tried);
    free(self);
}

static int tabular_create(struct ws_learner **out, const struct ws_learner_task *task,
                          struct ws_error *err)
{
    struct tabular *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    self->base = (struct ws_learner){&ws_learner_autoscale, task};
    ws_rng_init(&self->rng, task->seed);
    self->action_count = 1;
    for (size_t k = 0; k < task->space->knob_count; k++) {
        size_t low = ws_learner_low(task, k), high = ws_learner_high(task, k);
        size_t all = high - low + 1, count = all < VALUES_MAX ? all : VALUES_MAX;
        for (size_t i = 0; i < count; i++)
            self->values[k][i] =
                (uint16_t)(low + (count == 1 ? 0 : i * (all - 1) / (count - 1)));
        self->counts[k] = count;
        self->action_count *= count;
        if (self->action_count > 100000) {
            tabular_destroy(&self->base);
            return ws_error_set(err, WS_E_LIMIT, "autoscale: too many knobs for a table");
        }
    }
    size_t cells = (size_t)RATE_BINS * ETA_BINS * ATTENTION_BINS * self->action_count;
    self->q = calloc(cells, sizeof(*self->q));
    self->tried = calloc(cells, sizeof(*self->tried));
    if (self->q == NULL || self->tried == NULL) {
        tabular_destroy(&self->base);
        return ws_error_nomem(err);
    }
    *out = &self->base;
    return 0;
}

static void setting_of(struct ws_setting *out, const struct tabular *self, size_t action)
{
    *out = self->base.task->start;
    for (size_t k = self->base.task->space->knob_count; k-- > 0;) {
        out->value[k] = self->values[k][action % self->counts[k]];
        action /= self->counts[k];
    }
}

/* The number of a setting's nearest action. */
static size_t action_of(const struct tabular *self, const struct ws_setting *setting)
{
    size_t action = 0;
    for (size_t k = 0; k < self->base.task->space->knob_count; k++) {
        size_t best = 0;
        for (size_t i = 1; i < self->counts[k]; i++) {
            if (abs(self->values[k][i] - setting->value[k]) <
                abs(self->values[k][best] - setting->value[k]))
                best = i;
        }
        action = action * self->counts[k] + best;
    }
    return action;
}

static void tabular_choose(struct ws_learner *learner, struct ws_setting *out,
                           const struct ws_view *view, int explore)
{
    struct tabular *self = (struct tabular *)learner;
    uint64_t steps = learner->task->steps;
    double done = steps == 0 ? 1 : fmin((double)self->seen / (double)steps, 1);
    double chance = explore ? explore_first + done * (explore_last - explore_first) : 0;
    size_t action = ws_rng_below(&self->rng, self->action_count);
    if (!(ws_rng_uniform(&self->rng) < chance)) {
        size_t first = state_of(view) * self->action_count, best = SIZE_MAX;
        for (size_t a = 0; a < self->action_count; a++) {
            if (self->tried[first + a] > 0 &&
                (best == SIZE_MAX || self->q[first + a] < self->q[first + best]))
                best = a;
        }
        action = best == SIZE_MAX ? action : best;
    }
    setting_of(out, self, action);
}

static void tabular_observe(struct ws_learner *learner, const struct ws_view *view,
                            const struct ws_setting *setting,
                            const struct ws_outcome *outcome, const struct ws_view *next)
{
    struct tabular *self = (struct tabular *)learner;
    size_t cell = state_of(view) * self->action_count + action_of(self, setting);
    double goal = log(ws_cost_of(&learner->task->cost, view, outcome));
    (void)next;
    self->tried[cell]++;
    double rate = fmax(1 / (double)self->tried[cell], learn_least);
    self->q[cell] += (float)(rate * (goal - (double)self->q[cell]));
    self->seen++;
}

const struct ws_learner_ops ws_learner_autoscale = {
    .name = "autoscale",
    .summary = "tabular Q-learning over a coarse state and a few values of each knob",
    .create = tabular_create,
    .choose = tabular_choose,
    .observe = tabular_observe,
    .destroy = tabular_destroy,
};
