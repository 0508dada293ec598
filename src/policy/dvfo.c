#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/dvfo_impl.h"
#include "policy/learners.h"

enum {
    WARM_UP = 500,    /* requests before training starts */
    UPDATES = 1,      /* steps of training per request */
    UPDATES_ALL = 2,  /* without a prior there is more to learn */
    ROWS = 64,        /* of a step of training; without a prior WS_DVFO_BATCH */
    CAPACITY = 32768, /* requests remembered */
};

/* On a logarithmic scale, how much better than the table's choice another setting must be
 * foreseen to be: less than that may be noise, of which it was learnt. */
static const float margin = 0.02f;
static const float learn_first = 1e-3f, learn_last = 2e-5f, follow = 0.02f, decay = 5;
/* Probability that a knob is moved away from the best, and how early it is least. */
static const double explore_first = 0.6, explore_last = 0.05, explore_until = 0.8;
/* Of the moves of an ordered knob, the share that goes one or two steps only. */
static const double step_share = 0.7;
/* Etas and deadlines that a request is learnt for. */
static const double eta_low = 0.05, eta_high = 0.95, deadline_log_span = 1.2;

/* ---- what the network sees and what it is told ---- */

/* Every number is of the order of one. Three forms of the rate spare the network the
 * bends: transfers go with its inverse. */
void ws_dvfo_features(float *out, const struct ws_dvfo *self, const struct ws_view *view)
{
    const struct ws_space *space = self->base.task->space;
    double rate = fmax(view->link_mbit_s, 1e-3);
    size_t n = 0;
    out[n++] = (float)(log(rate) / 2 - 1);
    out[n++] = (float)(2 / (1 + rate));
    out[n++] = (float)(4 / (4 + rate));
    out[n++] = (float)(view->link_delay_ms / 20);
    /* Which shares keep the accuracy turns on small differences of attention. */
    out[n++] = (float)(4 * (view->attention - WS_VIEW_ATTENTION));
    for (int i = 0; i < WS_DVFO_BUMPS; i++) {
        double away = (view->attention - (0.55 + 0.1 * i)) / 0.06;
        out[n++] = (float)exp(-away * away);
    }
    out[n++] = (float)((view->temperature_c - 50) / 20);
    out[n++] = (float)(fmin(view->queue, 16) / 8);
    out[n++] = (float)(2 * log(fmax(view->edge_scale, 0.1)));
    out[n++] = (float)(2 * log(fmax(view->power_scale, 0.1)));
    out[n++] = (float)(4 * (view->eta - 0.5));
    out[n++] = (float)(2 * (view->lambda - 0.5));
    out[n++] = isfinite(view->deadline_ms)
                   ? (float)(log(fmax(view->deadline_ms, 1)) / 2 - 2.5)
                   : 4;
    out[n++] = (float)(fmin(view->elapsed_ms, 2000) / 500);
    for (size_t k = 0; k < space->knob_count; k++)
        out[n++] = space->knobs[k].value_count < 2
                       ? 0
                       : 2 * (float)view->current.value[k] /
                                 (float)(space->knobs[k].value_count - 1) -
                             1;
}

double ws_dvfo_foresee(const struct ws_dvfo *self, const struct ws_view *view,
                       const struct ws_setting *setting)
{
    return self->prior == NULL ? -self->log_cost
                               : -ws_prior_log_cost(self->prior, view, setting);
}

/* Minus the cost, on a logarithmic scale: a per cent is worth the same over a link of any
 * rate, and what the knobs do multiplies, so that branches add up. What a table foresees
 * is taken off; where it is right, nothing is left to be learnt. */
float ws_dvfo_reward(const struct ws_dvfo *self, const struct ws_step *step,
                     const struct ws_view *view)
{
    struct ws_outcome outcome = {.known = 0};
    ws_outcome_set(&outcome, WS_LATENCY_MS, (double)step->latency_ms);
    ws_outcome_set(&outcome, WS_ENERGY_J, (double)step->energy_j);
    ws_outcome_set(&outcome, WS_ACCURACY, (double)step->accuracy);
    double cost = ws_cost_of(&self->base.task->cost, view, &outcome);
    return (float)(-log(fmax(cost, 1e-12)) - ws_dvfo_foresee(self, view, &step->setting));
}

/* ---- making ---- */

static void dvfo_destroy(struct ws_learner *learner)
{
    struct ws_dvfo *self = (struct ws_dvfo *)learner;
    ws_dqn_destroy(self->dqn);
    ws_dvfo_live_fini(self);
    ws_experience_fini(&self->experience);
    ws_prior_destroy(self->prior);
    free(self->known);
    free(self->state);
    free(self->next);
    free(self->reward);
    free(self->discount);
    free(self->action);
    free(self->next_view);
    free(self->wishes);
    free(self);
}

static struct ws_dqn_shape shape_of(const struct ws_space *space, int with_curves)
{
    struct ws_dqn_shape shape = {
        .state_count = WS_DVFO_VIEW + space->knob_count,
        .branch_count = space->knob_count,
        .pivot = ws_prior_pivot(space),
        .hidden = {128, 64},
    };
    for (size_t k = 0; k < space->knob_count; k++)
        shape.branches[k] = space->knobs[k].value_count;
    for (size_t k = 0; with_curves && k < space->knob_count; k++)
        shape.curves |= (uint64_t)(space->knobs[k].kind == WS_KIND_ORDERED) << k;
    return shape;
}

static int allocate(struct ws_dvfo *self, const struct ws_dqn_shape *shape,
                    struct ws_error *err)
{
    self->state = calloc(WS_DVFO_BATCH * shape->state_count, sizeof(*self->state));
    self->next = calloc(WS_DVFO_BATCH * shape->state_count, sizeof(*self->next));
    self->reward = calloc(WS_DVFO_BATCH, sizeof(*self->reward));
    self->discount = calloc(WS_DVFO_BATCH, sizeof(*self->discount));
    self->action = calloc(WS_DVFO_BATCH * shape->branch_count, sizeof(*self->action));
    self->next_view = calloc(WS_DVFO_BATCH, sizeof(*self->next_view));
    self->wishes = calloc(WS_DVFO_BATCH, sizeof(*self->wishes));
    self->known = calloc(WS_DVFO_SLOTS, sizeof(*self->known));
    if (self->state == NULL || self->next == NULL || self->reward == NULL ||
        self->discount == NULL || self->action == NULL || self->next_view == NULL ||
        self->wishes == NULL || self->known == NULL)
        return ws_error_nomem(err);
    return ws_experience_init(&self->experience, CAPACITY, err);
}

int ws_dvfo_make(struct ws_dvfo **out, const struct ws_learner_task *task,
                 struct ws_prior *prior, struct ws_error *err)
{
    struct ws_dqn_shape shape = shape_of(task->space, prior != NULL);
    struct ws_dqn_options options = {.batch_max = WS_DVFO_BATCH,
                                     .learning_rate = learn_first,
                                     .follow = follow,
                                     .decay = prior == NULL ? 0 : decay,
                                     .seed = task->seed};
    uint64_t size = 0;
    int rc = ws_space_size(&size, task->space, err);
    struct ws_dvfo *self = rc == 0 ? calloc(1, sizeof(*self)) : NULL;
    if (self == NULL) {
        ws_prior_destroy(prior);
        return rc == 0 ? ws_error_nomem(err) : rc;
    }
    self->base = (struct ws_learner){&ws_learner_dvfo, task};
    self->prior = prior;
    for (size_t k = 0; k < task->space->knob_count; k++) {
        self->low[k] = ws_learner_low(task, k);
        self->high[k] = ws_learner_high(task, k);
    }
    ws_rng_init_stream(&self->rng, task->seed, 1);
    rc = allocate(self, &shape, err);
    if (rc == 0)
        rc = ws_dqn_create(&self->dqn, &shape, &options, err);
    if (rc != 0) {
        dvfo_destroy(&self->base);
        return rc;
    }
    /* Before it has learnt anything, the network has nothing to add. */
    if (prior != NULL)
        ws_dqn_hush(self->dqn);
    *out = self;
    return 0;
}

static int dvfo_create(struct ws_learner **out, const struct ws_learner_task *task,
                       struct ws_error *err)
{
    struct ws_dvfo *self = NULL;
    struct ws_prior *prior = NULL;
    int rc = 0;
    if (task->table != NULL && !task->no_prior)
        rc = ws_prior_create(&prior, task->table, &task->cost, err);
    /* A table that is too large for an agent's file is none. */
    if (rc == 0 || rc == WS_E_LIMIT)
        rc = ws_dvfo_make(&self, task, prior, err);
    if (rc == 0)
        *out = &self->base;
    return rc;
}

struct ws_dvfo *ws_dvfo_of(struct ws_learner *learner)
{
    return learner->ops == &ws_learner_dvfo ? (struct ws_dvfo *)learner : NULL;
}

struct ws_dqn *ws_dvfo_dqn(struct ws_dvfo *dvfo)
{
    return dvfo->dqn;
}

/* ---- settings that were served ---- */

/* The slot that holds an index, or the free one where it would go. */
static uint64_t *slot_of(const struct ws_dvfo *self, uint64_t index)
{
    uint64_t at = (index + 1) * 0x9e3779b97f4a7c15u >> 48;
    while (self->known[at % WS_DVFO_SLOTS] != 0 &&
           self->known[at % WS_DVFO_SLOTS] != index + 1)
        at++;
    return &self->known[at % WS_DVFO_SLOTS];
}

void ws_dvfo_note_known(struct ws_dvfo *self, uint64_t index)
{
    uint64_t *slot = slot_of(self, index);
    if (*slot != 0 || self->known_count >= WS_DVFO_SLOTS / 2)
        return;
    *slot = index + 1;
    self->known_count++;
}

int ws_dvfo_knows(const struct ws_dvfo *dvfo, const struct ws_setting *setting)
{
    return *slot_of(dvfo, ws_setting_to_index(dvfo->base.task->space, setting)) != 0;
}

/* ---- choosing ---- */

static struct ws_dqn_wish wish_of(const struct ws_dvfo *self, const struct ws_view *view)
{
    return (struct ws_dqn_wish){
        .low = self->low, .high = self->high, .prior = self->prior, .view = view};
}

void ws_dvfo_best(struct ws_dvfo *self, struct ws_setting *out, float *value,
                  const struct ws_view *view, const struct ws_dqn_wish *more)
{
    float state[WS_DVFO_VIEW + WS_KNOBS_MAX];
    struct ws_dqn_wish wish = wish_of(self, view);
    wish.margin = margin;
    if (more != NULL) {
        wish.low = more->low;
        wish.high = more->high;
        wish.pivot_bonus = more->pivot_bonus;
        wish.bonus = more->bonus;
    }
    ws_dvfo_features(state, self, view);
    *out = (struct ws_setting){{0}};
    ws_dqn_best(self->dqn, out->value, value, state, &wish);
}

float ws_dvfo_value(struct ws_dvfo *self, const struct ws_view *view,
                    const struct ws_setting *setting)
{
    float state[WS_DVFO_VIEW + WS_KNOBS_MAX];
    ws_dvfo_features(state, self, view);
    return ws_dqn_value(self->dqn, state, setting->value);
}

/* How far training has come, 0 to 1. */
static double done_of(const struct ws_dvfo *self)
{
    uint64_t steps = self->base.task->steps;
    return steps == 0 ? 1 : fmin((double)self->seen / (double)steps, 1);
}

/* Some knobs are moved away from the best: by a step or two, or anywhere. */
static void disturb(struct ws_dvfo *self, struct ws_setting *setting, double chance)
{
    const struct ws_learner_task *task = self->base.task;
    for (size_t k = 0; k < task->space->knob_count; k++) {
        int low = self->low[k], high = self->high[k];
        if (low == high || !(ws_rng_uniform(&self->rng) < chance))
            continue;
        int to = low + (int)ws_rng_below(&self->rng, (uint64_t)(high - low) + 1);
        if (self->seen >= WARM_UP && task->space->knobs[k].kind == WS_KIND_ORDERED &&
            ws_rng_uniform(&self->rng) < step_share) {
            int step = 1 + (int)ws_rng_below(&self->rng, 2);
            to = setting->value[k] + (ws_rng_below(&self->rng, 2) == 0 ? -step : step);
        }
        setting->value[k] = (uint16_t)(to < low ? low : to > high ? high : to);
    }
}

static void dvfo_choose(struct ws_learner *learner, struct ws_setting *out,
                        const struct ws_view *view, int explore)
{
    struct ws_dvfo *self = (struct ws_dvfo *)learner;
    if (self->live.on) {
        ws_dvfo_live_choose(self, out, view, explore);
        return;
    }
    ws_dvfo_best(self, out, NULL, view, NULL);
    if (!explore)
        return;
    struct ws_setting best = *out;
    double fade = fmin(done_of(self) / explore_until, 1);
    double chance = explore_first * pow(explore_last / explore_first, fade);
    disturb(self, out, self->seen < WARM_UP ? 1 : chance);
    if (self->prior != NULL && !ws_prior_has(self->prior, out))
        *out = best;
}

/* ---- learning ---- */

/* A request's time and energy depend neither on eta nor on its deadline, so each is worth
 * as many as there are of those: it is learnt for others than it was served for. */
static void relabel(struct ws_dvfo *self, struct ws_view *view, struct ws_view *next,
                    const struct ws_step *step)
{
    view->eta = eta_low + (eta_high - eta_low) * ws_rng_uniform(&self->rng);
    double factor = deadline_log_span * (2 * ws_rng_uniform(&self->rng) - 1);
    view->deadline_ms = INFINITY;
    if (ws_rng_uniform(&self->rng) < 0.5 && isfinite(step->latency_ms))
        view->deadline_ms = (double)step->latency_ms * exp(factor);
    next->eta = view->eta;
    next->deadline_ms = view->deadline_ms;
}

static void train(struct ws_dvfo *self, float learning_rate)
{
    const struct ws_learner_task *task = self->base.task;
    size_t width = ws_dqn_shape(self->dqn)->state_count, knobs = task->space->knob_count;
    size_t count = self->prior == NULL ? WS_DVFO_BATCH : ROWS;
    for (size_t i = 0; i < count; i++) {
        const struct ws_step *step = ws_experience_draw(&self->experience, &self->rng);
        struct ws_view view = step->view, *next = &self->next_view[i];
        *next = step->next;
        relabel(self, &view, next, step);
        ws_dvfo_features(self->state + i * width, self, &view);
        ws_dvfo_features(self->next + i * width, self, next);
        self->wishes[i] = wish_of(self, next);
        self->reward[i] = ws_dvfo_reward(self, step, &view);
        self->discount[i] = (float)task->gamma;
        memcpy(self->action + i * knobs, step->setting.value,
               knobs * sizeof(*self->action));
    }
    struct ws_dqn_batch batch = {count,
                                 self->state,
                                 self->action,
                                 self->reward,
                                 task->gamma > 0 ? self->next : NULL,
                                 self->discount,
                                 self->wishes};
    ws_dqn_set_learning_rate(self->dqn, learning_rate);
    (void)ws_dqn_train(self->dqn, &batch);
}

static void dvfo_observe(struct ws_learner *learner, const struct ws_view *view,
                         const struct ws_setting *setting,
                         const struct ws_outcome *outcome, const struct ws_view *next)
{
    struct ws_dvfo *self = (struct ws_dvfo *)learner;
    double latency = INFINITY, energy = 0, accuracy = 1;
    (void)ws_outcome_get(&latency, outcome, WS_LATENCY_MS);
    (void)ws_outcome_get(&energy, outcome, WS_ENERGY_J);
    (void)ws_outcome_get(&accuracy, outcome, WS_ACCURACY);
    struct ws_step step = {*view,         *next,          *setting,
                           (float)energy, (float)latency, (float)accuracy};
    /* Of what the table lacks there is nothing to hold a cost against. */
    if (self->prior != NULL && !ws_prior_has(self->prior, setting))
        return;
    if (isfinite(latency))
        ws_dvfo_note_known(self, ws_setting_to_index(learner->task->space, setting));
    if (self->live.on) {
        ws_dvfo_live_observe(self, &step);
        return;
    }
    ws_experience_add(&self->experience, &step);
    self->seen++;
    if (self->seen <= WARM_UP) {
        double cost = ws_cost_of(&learner->task->cost, view, outcome);
        self->log_cost += (log(fmax(cost, 1e-12)) - self->log_cost) / (double)self->seen;
        return;
    }
    const double pi = 3.14159265358979;
    double fade = 0.5 * (1 + cos(pi * done_of(self)));
    int updates = self->prior == NULL ? UPDATES_ALL : UPDATES;
    for (int i = 0; i < updates; i++)
        train(self, learn_last + (float)fade * (learn_first - learn_last));
}

const struct ws_learner_ops ws_learner_dvfo = {
    .name = "dvfo",
    .summary = "a branching Q-network over every knob, deciding while the last one runs",
    .create = dvfo_create,
    .choose = dvfo_choose,
    .observe = dvfo_observe,
    .destroy = dvfo_destroy,
};
