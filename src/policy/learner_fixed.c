/*
 * What learns nothing: the testbed's two baselines, AppealNet's rule over them, and the
 * argmin over a table. AppealNet (arXiv 2105.04104) keeps an input that its little
 * network is sure of and lets a hard one appeal to the big one; here both are at the
 * baselines' clocks, and sure is whose attention is concentrated.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/learners.h"
#include "policy/prior.h"

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

struct argmin {
    struct ws_learner base;
    struct ws_prior *prior;
};

static void argmin_destroy(struct ws_learner *learner)
{
    struct argmin *self = (struct argmin *)learner;
    ws_prior_destroy(self->prior);
    free(self);
}

static int argmin_create(struct ws_learner **out, const struct ws_learner_task *task,
                         struct ws_error *err)
{
    struct ws_prior *prior = NULL;
    if (task->table == NULL)
        return ws_error_set(err, WS_E_NOT_FOUND, "argmin: there is no table to look in");
    int rc = ws_prior_create(&prior, task->table, &task->cost, err);
    if (rc != 0)
        return rc;
    struct argmin *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        ws_prior_destroy(prior);
        return ws_error_nomem(err);
    }
    *self = (struct argmin){{&ws_learner_argmin, task}, prior};
    for (size_t k = 0; task->fixed != NULL && k < task->space->knob_count; k++) {
        if (task->fixed[k] >= 0)
            ws_prior_fix(prior, k, (size_t)task->fixed[k]);
    }
    *out = &self->base;
    return 0;
}

/* The least cost that the table foresees over the link as it is now. */
static void argmin_choose(struct ws_learner *learner, struct ws_setting *out,
                          const struct ws_view *view, int explore)
{
    struct argmin *self = (struct argmin *)learner;
    struct ws_view plain = *view;
    struct ws_prior_hit hit;
    (void)explore;
    plain.edge_scale = plain.power_scale = 1; /* it believes the table */
    *out = learner->task->start;
    if (ws_prior_best(self->prior, &hit, NULL, &plain, ws_prior_plain(self->prior),
                      ws_kernels_best()))
        memcpy(out->value, hit.value,
               sizeof(*out->value) * learner->task->space->knob_count);
}

const struct ws_learner_ops ws_learner_argmin = {
    .name = "argmin",
    .summary = "the least cost of the table, over the link as it is now",
    .create = argmin_create,
    .choose = argmin_choose,
    .destroy = argmin_destroy,
};
