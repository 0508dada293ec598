/*
 * What learns nothing: the testbed's two baselines, AppealNet's rule over them, and the
 * argmin over a table. AppealNet (arXiv 2105.04104) keeps an input that its little
 * network is sure of and lets a hard one appeal to the big one; here both are at the
 * baselines' clocks, and sure is whose attention is concentrated.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/learners.h"

/* From this attention on an input counts as easy. */
static const double easy_attention = 0.75;

struct fixed {
    struct ws_learner base;
    struct ws_setting easy, hard;
};

static void fixed_destroy(struct ws_learner *learner)
{
    free(learner);
}

static int fixed_create(struct ws_learner **out, const struct ws_learner_ops *ops,
                        const struct ws_learner_task *task, const struct ws_setting *easy,
                        const struct ws_setting *hard, struct ws_error *err)
{
    if (easy == NULL || hard == NULL)
        return ws_error_set(err, WS_E_NOT_FOUND, "%s: the testbed lacks a baseline",
                            ops->name);
    struct fixed *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    *self = (struct fixed){{ops, task}, *easy, *hard};
    *out = &self->base;
    return 0;
}

static int cloud_create(struct ws_learner **out, const struct ws_learner_task *task,
                        struct ws_error *err)
{
    return fixed_create(out, &ws_learner_cloud_only, task, task->cloud_only,
                        task->cloud_only, err);
}

static int edge_create(struct ws_learner **out, const struct ws_learner_task *task,
                       struct ws_error *err)
{
    return fixed_create(out, &ws_learner_edge_only, task, task->edge_only,
                        task->edge_only, err);
}

static int appeal_create(struct ws_learner **out, const struct ws_learner_task *task,
                         struct ws_error *err)
{
    return fixed_create(out, &ws_learner_appealnet, task, task->edge_only,
                        task->cloud_only, err);
}

static void fixed_choose(struct ws_learner *learner, struct ws_setting *out,
                         const struct ws_view *view, int explore)
{
    const struct fixed *self = (const struct fixed *)learner;
    (void)explore;
    *out = view->attention >= easy_attention ? self->easy : self->hard;
}

const struct ws_learner_ops ws_learner_cloud_only = {
    .name = "cloud-only",
    .summary = "the testbed's baseline of that name",
    .create = cloud_create,
    .choose = fixed_choose,
    .destroy = fixed_destroy,
};

const struct ws_learner_ops ws_learner_edge_only = {
    .name = "edge-only",
    .summary = "the testbed's baseline of that name",
    .create = edge_create,
    .choose = fixed_choose,
    .destroy = fixed_destroy,
};

const struct ws_learner_ops ws_learner_appealnet = {
    .name = "appealnet",
    .summary = "edge-only for inputs that it is sure of, cloud-only for the others",
    .create = appeal_create,
    .choose = fixed_choose,
    .destroy = fixed_destroy,
};

/* ---- argmin ---- */

static int argmin_create(struct ws_learner **out, const struct ws_learner_task *task,
                         struct ws_error *err)
{
    uint64_t size = 0;
    if (task->table == NULL)
        return ws_error_set(err, WS_E_NOT_FOUND, "argmin: there is no table to look in");
    int rc = ws_space_size(&size, task->space, err);
    if (rc == 0 && size > WS_SEARCH_ALL_MAX)
        rc = ws_error_set(err, WS_E_LIMIT, "argmin: %llu settings, at most %d can be",
                          (unsigned long long)size, WS_SEARCH_ALL_MAX);
    if (rc != 0)
        return rc;
    return fixed_create(out, &ws_learner_argmin, task, &task->start, &task->start, err);
}

/* The least cost that the table foresees over the link as it is now; first of equals. */
static void argmin_choose(struct ws_learner *learner, struct ws_setting *out,
                          const struct ws_view *view, int explore)
{
    const struct ws_learner_task *task = learner->task;
    struct ws_conditions now = {.known = 0};
    uint64_t size = 0;
    double least = INFINITY;
    (void)explore;
    (void)ws_space_size(&size, task->space, NULL);
    ws_conditions_set(&now, WS_LINK_MBIT_S, view->link_mbit_s);
    ws_conditions_set(&now, WS_LINK_DELAY_MS, view->link_delay_ms);
    if (!task->no_attention)
        ws_conditions_set(&now, WS_ATTENTION, view->attention);
    *out = task->start;
    for (uint64_t i = 0; i < size; i++) {
        struct ws_setting setting;
        struct ws_outcome outcome;
        ws_setting_from_index(&setting, task->space, i);
        int touched = 0;
        for (size_t k = 0; k < task->space->knob_count; k++)
            touched |= setting.value[k] < ws_learner_low(task, k) ||
                       setting.value[k] > ws_learner_high(task, k);
        if (touched ||
            ws_evaluator_expect(task->table, &outcome, &setting, &now, NULL) != 0)
            continue;
        double cost = ws_cost_of(&task->cost, view, &outcome);
        if (cost < least) {
            least = cost;
            *out = setting;
        }
    }
}

const struct ws_learner_ops ws_learner_argmin = {
    .name = "argmin",
    .summary = "the least cost of the table, over the link as it is now",
    .create = argmin_create,
    .choose = argmin_choose,
    .destroy = fixed_destroy,
};
