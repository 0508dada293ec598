/*
 * Learning while it serves. The network stays as it was trained; what it gets wrong on
 * this machine is the live layer's to learn (live_layer.h). The best of all together is
 * taken where it is of the table or was served before; otherwise the setting in force
 * moves towards it, one knob by one step. Every so many requests the rewards are held
 * against what the network foresaw: where they fell clearly, the layer goes back to the
 * last good one, and if that does not help it was the machine that changed, and what was
 * learnt is taken up again.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/dvfo_impl.h"

/* Requests that one judgement stands on. */
enum { WINDOW = 100 };

static const double worse = 0.1; /* of the logarithm of the cost */
static const double latency_follow = 0.1;
/* Nothing is tried where the deadline is below so many times the time of late. */
static const double deadline_room = 1.5;
/* Nor is, where there is a table to foresee with, what is so much dearer, on a
 * logarithmic scale. */
static const double dear = 0.1;

int ws_dvfo_go_live(struct ws_dvfo *dvfo, const struct ws_dvfo_safety *safety,
                    struct ws_error *err)
{
    const struct ws_learner_task *task = dvfo->base.task;
    struct ws_dvfo_live *live = &dvfo->live;
    const struct ws_dqn_shape *shape = ws_dqn_shape(dvfo->dqn);
    size_t rows = shape->pivot == WS_NO_PIVOT ? 1 : shape->branches[shape->pivot];
    size_t row = 0;
    for (size_t d = 0; d < shape->branch_count; d++)
        row += shape->branches[d];
    if (live->bonus == NULL)
        live->bonus = calloc(rows * row, sizeof(*live->bonus));
    if (live->pivot_bonus == NULL)
        live->pivot_bonus = calloc(rows, sizeof(*live->pivot_bonus));
    if (live->bonus == NULL || live->pivot_bonus == NULL)
        return ws_error_nomem(err);
    ws_live_layer_init(&live->layer, task->space, shape->pivot);
    live->good = live->layer;
    live->safety = *safety;
    live->on = 1;
    ws_dvfo_note_known(dvfo, ws_setting_to_index(task->space, &task->start));
    return 0;
}

void ws_dvfo_live_fini(struct ws_dvfo *self)
{
    free(self->live.bonus);
    free(self->live.pivot_bonus);
}

struct ws_dvfo_tally ws_dvfo_tally(const struct ws_dvfo *dvfo)
{
    return dvfo->live.tally;
}

/* One knob of `from` moves one step towards `to`: the one that is farthest away. */
static void step_towards(const struct ws_space *space, struct ws_setting *from,
                         const struct ws_setting *to)
{
    size_t farthest = 0;
    int most = 0;
    for (size_t k = 0; k < space->knob_count; k++) {
        int away = abs(to->value[k] - from->value[k]);
        if (away > most) {
            most = away;
            farthest = k;
        }
    }
    if (most == 0)
        return;
    if (space->knobs[farthest].kind == WS_KIND_NOMINAL)
        from->value[farthest] = to->value[farthest];
    else if (to->value[farthest] > from->value[farthest])
        from->value[farthest]++;
    else
        from->value[farthest]--;
}

/* One step of one knob; 0 where that knob cannot go there. */
static int neighbour(struct ws_dvfo *self, struct ws_setting *setting)
{
    const struct ws_learner_task *task = self->base.task;
    size_t k = ws_rng_below(&self->rng, task->space->knob_count);
    int low = self->low[k], high = self->high[k];
    int to = setting->value[k] + (ws_rng_below(&self->rng, 2) == 0 ? -1 : 1);
    if (task->space->knobs[k].kind == WS_KIND_NOMINAL)
        to = low + (int)ws_rng_below(&self->rng, (uint64_t)(high - low) + 1);
    if (to < low || to > high || to == setting->value[k])
        return 0;
    setting->value[k] = (uint16_t)to;
    return ws_space_allows(task->space, setting);
}

/* Served before, or in the table. */
static int is_trusted(const struct ws_dvfo *self, const struct ws_setting *setting)
{
    return ws_dvfo_knows(self, setting) ||
           (self->prior != NULL && ws_prior_has(self->prior, setting));
}

/* What is foreseen of a setting by all together. */
static double worth_of(struct ws_dvfo *self, const struct ws_view *view,
                       const struct ws_setting *setting)
{
    return ws_dvfo_foresee(self, view, setting) +
           (double)ws_dvfo_value(self, view, setting) +
           ws_live_layer_value(&self->live.layer, view, setting);
}

void ws_dvfo_live_choose(struct ws_dvfo *self, struct ws_setting *out,
                         const struct ws_view *view, int explore)
{
    const struct ws_learner_task *task = self->base.task;
    struct ws_dvfo_live *live = &self->live;
    uint16_t low[WS_KNOBS_MAX], high[WS_KNOBS_MAX];
    int hot = view->temperature_c >= live->safety.hot_c;
    for (size_t k = 0; k < task->space->knob_count; k++) {
        const struct ws_knob *knob = &task->space->knobs[k];
        low[k] = self->low[k];
        high[k] = self->high[k];
        /* A higher value of an edge's ordered knob is more of something: more heat. */
        if (hot && knob->part == WS_PART_EDGE && knob->kind == WS_KIND_ORDERED &&
            view->current.value[k] >= low[k] && view->current.value[k] < high[k])
            high[k] = view->current.value[k];
    }
    ws_live_layer_bonus(live->pivot_bonus, live->bonus, &live->layer, view);
    struct ws_dqn_wish more = {
        .low = low, .high = high, .pivot_bonus = live->pivot_bonus, .bonus = live->bonus};
    ws_dvfo_best(self, out, NULL, view, &more);
    if (!ws_space_allows(task->space, out) || !is_trusted(self, out)) {
        struct ws_setting from = view->current;
        step_towards(task->space, &from, out);
        *out = ws_space_allows(task->space, &from) ? from : view->current;
        return;
    }
    if (!explore || !(ws_rng_uniform(&self->rng) < live->safety.explore))
        return;
    struct ws_setting tried = *out;
    if (!neighbour(self, &tried))
        return;
    int vetoed = view->deadline_ms < deadline_room * live->latency_ms;
    if (self->prior != NULL)
        vetoed |= worth_of(self, view, out) - worth_of(self, view, &tried) > dear;
    for (size_t k = 0; k < task->space->knob_count; k++)
        vetoed |= tried.value[k] > high[k];
    live->tally.vetoed += vetoed != 0;
    live->tally.explored += !vetoed;
    if (!vetoed)
        *out = tried;
}

/* At the end of a window: keep what was learnt, go back, or, after going back, forward
 * again where that did not help. */
static void judge(struct ws_dvfo *self)
{
    struct ws_dvfo_live *live = &self->live;
    double score = live->score / (double)live->window;
    int first = live->tally.served <= WINDOW;
    live->score = 0;
    live->window = 0;
    if (!first && !live->on_trial && score < live->base_score - worse) {
        live->aside = live->layer;
        live->layer = live->good;
        live->tally.rollbacks++;
        live->on_trial = 1;
        live->aside_score = score;
        return;
    }
    if (live->on_trial && score < live->aside_score + worse / 2)
        live->layer = live->aside;
    live->on_trial = 0;
    live->base_score = score;
    live->good = live->layer;
}

void ws_dvfo_live_observe(struct ws_dvfo *self, const struct ws_step *step)
{
    struct ws_dvfo_live *live = &self->live;
    struct ws_setting next, ignored;
    float best = 0;
    live->tally.served++;
    if (isfinite(step->latency_ms))
        live->latency_ms += (live->latency_ms > 0 ? latency_follow : 1) *
                            ((double)step->latency_ms - live->latency_ms);
    ws_dvfo_best(self, &next, NULL, &step->next, NULL);
    double got = (double)ws_dvfo_reward(self, step, &step->view) +
                 self->base.task->gamma * (double)ws_dvfo_value(self, &step->next, &next);
    double value = (double)ws_dvfo_value(self, &step->view, &step->setting);
    ws_dvfo_best(self, &ignored, &best, &step->view, NULL);
    live->score +=
        got + ws_dvfo_foresee(self, &step->view, &step->setting) - (double)best;
    live->window++;
    if (!live->on_trial)
        ws_live_layer_learn(&live->layer, &step->view, &step->setting, got - value);
    if (live->window == WINDOW)
        judge(self);
}
