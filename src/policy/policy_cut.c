/*
 * Policies that choose a cut and leave the hardware at its default. Neurosurgeon (Kang et
 * al., ASPLOS 2017) predicts every layer's time on both sides and takes the cut with the
 * least sum for the bandwidth and server load of the moment. Dynamic split computing
 * (arXiv 2205.11269) looks only at natural bottlenecks, cuts whose tensors are smaller
 * than the input and than those of every earlier cut, and takes the fastest for the state
 * of the channel.
 *
 * What is known of layers is what the profile of cuts tells: the time of layer k is the
 * difference between the heads of cut k and k - 1, and no layer takes less than no time.
 * The least-squares fit under that condition is the isotonic regression of the heads'
 * times, which pooling adjacent violators finds.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "policy/policies.h"

struct cut {
    double edge_ms;
    double cloud_ms;
    double rest_ms; /* of the latency that no part accounts for */
    struct ws_transfer transfer;
    struct ws_decision decision;
};

struct cut_policy {
    struct ws_policy base;
    struct cut *cuts;
    size_t count;
    int heeds_cloud_load;
};

static void cut_destroy(struct ws_policy *policy)
{
    struct cut_policy *self = (struct cut_policy *)policy;
    free(self->cuts);
    free(self);
}

static int cut_from(struct cut *out, const struct ws_plan *plan,
                    const struct ws_plan_entry *entry, struct ws_error *err)
{
    static const enum ws_measure needed[] = {WS_EDGE_MS, WS_CLOUD_MS, WS_TRANSFER_MS,
                                             WS_LATENCY_MS};
    double value[4];
    for (size_t i = 0; i < 4; i++) {
        if (ws_outcome_get(&value[i], &entry->outcome, needed[i]) != 0)
            return ws_error_set(err, WS_E_UNKNOWN,
                                "a cut at default hardware does not know its %s",
                                ws_measure_name(needed[i]));
    }
    *out = (struct cut){
        .edge_ms = value[0],
        .cloud_ms = value[1],
        .rest_ms = value[3] - value[0] - value[1] - value[2],
        .transfer = ws_transfer_of(&entry->outcome, &plan->conditions),
        .decision = {.setting = entry->setting,
                     .entry = ws_plan_entry_of(plan, &entry->setting)},
    };
    return 0;
}

static int cut_create(struct cut_policy **out, const struct ws_policy_ops *ops,
                      const struct ws_plan *plan, const struct ws_policy_options *options,
                      struct ws_error *err)
{
    if (options->profile_count == 0)
        return ws_error_set(err, WS_E_INFEASIBLE,
                            "%s: no cut is known at default hardware", ops->name);
    struct cut_policy *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    self->base = (struct ws_policy){ops, plan};
    self->cuts = calloc(options->profile_count, sizeof(*self->cuts));
    if (self->cuts == NULL) {
        cut_destroy(&self->base);
        return ws_error_nomem(err);
    }
    *out = self;
    return 0;
}

/* Pools neighbours that go down until none does: y becomes the closest sequence that does
 * not fall. In place; `weight` is scratch for the sizes of pools. */
static void isotonic(double *y, size_t *weight, size_t count)
{
    size_t pools = 0;
    for (size_t i = 0; i < count; i++) {
        y[pools] = y[i];
        weight[pools] = 1;
        while (pools > 0 && y[pools - 1] > y[pools]) {
            double w = (double)weight[pools - 1], v = (double)weight[pools];
            y[pools - 1] = (w * y[pools - 1] + v * y[pools]) / (w + v);
            weight[pools - 1] += weight[pools];
            pools--;
        }
        pools++;
    }
    for (size_t i = count; pools-- > 0;) {
        for (size_t k = weight[pools]; k-- > 0;)
            y[--i] = y[pools];
    }
}

/* Heads do not get shorter from cut to cut, nor tails longer. */
static int predict_layers(struct cut_policy *self, struct ws_error *err)
{
    size_t n = self->count;
    double *y = calloc(n, sizeof(*y));
    size_t *weight = calloc(n, sizeof(*weight));
    if (y == NULL || weight == NULL) {
        free(y);
        free(weight);
        return ws_error_nomem(err);
    }
    for (size_t i = 0; i < n; i++)
        y[i] = self->cuts[i].edge_ms;
    isotonic(y, weight, n);
    for (size_t i = 0; i < n; i++)
        self->cuts[i].edge_ms = y[i];
    for (size_t i = 0; i < n; i++)
        y[i] = -self->cuts[i].cloud_ms;
    isotonic(y, weight, n);
    for (size_t i = 0; i < n; i++)
        self->cuts[i].cloud_ms = -y[i];
    free(y);
    free(weight);
    return 0;
}

static int neurosurgeon_create(struct ws_policy **out, const struct ws_plan *plan,
                               const struct ws_policy_options *options,
                               struct ws_error *err)
{
    struct cut_policy *self = NULL;
    int rc = cut_create(&self, &ws_policy_neurosurgeon, plan, options, err);
    if (rc != 0)
        return rc;
    self->heeds_cloud_load = 1;
    for (size_t i = 0; rc == 0 && i < options->profile_count; i++)
        rc = cut_from(&self->cuts[self->count++], plan, &options->profile[i], err);
    if (rc == 0)
        rc = predict_layers(self, err);
    if (rc != 0) {
        cut_destroy(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

static int dynamic_create(struct ws_policy **out, const struct ws_plan *plan,
                          const struct ws_policy_options *options, struct ws_error *err)
{
    struct cut_policy *self = NULL;
    double least = INFINITY;
    int rc = cut_create(&self, &ws_policy_dynamic_split, plan, options, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < options->profile_count; i++) {
        double bytes;
        const struct ws_plan_entry *entry = &options->profile[i];
        if (ws_outcome_get(&bytes, &entry->outcome, WS_TENSOR_BYTES) != 0) {
            rc = ws_error_set(err, WS_E_UNKNOWN,
                              "a cut at default hardware does not know its tensor_bytes");
            break;
        }
        if (bytes >= least)
            continue;
        least = bytes;
        rc = cut_from(&self->cuts[self->count++], plan, entry, err);
    }
    if (rc != 0) {
        cut_destroy(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

/* The least sum; deadline, accuracy and energy are not what these look at. */
static int cut_decide(struct ws_policy *policy, struct ws_decision *out,
                      const struct ws_policy_request *request,
                      const struct ws_situation *now, struct ws_error *err)
{
    const struct cut_policy *self = (const struct cut_policy *)policy;
    const struct cut *best = NULL;
    double best_ms = INFINITY, cloud = self->heeds_cloud_load ? now->cloud_scale : 1;
    (void)request;
    (void)err;
    assert(self->count > 0);
    for (size_t i = 0; i < self->count; i++) {
        const struct cut *cut = &self->cuts[i];
        double ms = cut->edge_ms + cut->transfer.per_delay * now->delay_ms +
                    cut->transfer.at_pace * now->pace + cut->cloud_ms * cloud +
                    cut->rest_ms;
        if (best == NULL || ms < best_ms) {
            best = cut;
            best_ms = ms;
        }
    }
    *out = best->decision;
    out->latency_ms = best_ms;
    return 0;
}

const struct ws_policy_ops ws_policy_neurosurgeon = {
    .name = "neurosurgeon",
    .summary = "the fastest cut by per-layer prediction, at default hardware",
    .create = neurosurgeon_create,
    .decide = cut_decide,
    .destroy = cut_destroy,
};

const struct ws_policy_ops ws_policy_dynamic_split = {
    .name = "dynamic-split",
    .summary = "the natural bottleneck that is fastest for the channel's state",
    .create = dynamic_create,
    .decide = cut_decide,
    .destroy = cut_destroy,
};
