/*
 * Policies whose answer does not depend on the deadline: the testbed's two baselines, and
 * the least time and the least energy of the plan, as DynaSplit's authors compare with.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/policies.h"

/* A fixed setting, or the entry that is least in one measure among those accurate
 * enough: `order` then holds the entries by that measure. */
struct fixed {
    struct ws_policy base;
    struct ws_decision decision; /* a baseline's */
    struct key {
        double key;
        double accuracy;
        double latency_ms;
        size_t entry;
    } * order;
    size_t count;
};

static void fixed_destroy(struct ws_policy *policy)
{
    struct fixed *self = (struct fixed *)policy;
    free(self->order);
    free(self);
}

static int baseline_create(struct ws_policy **out, const struct ws_policy_ops *ops,
                           const struct ws_plan *plan, const struct ws_setting *setting,
                           struct ws_error *err)
{
    if (setting == NULL)
        return ws_error_set(err, WS_E_NOT_FOUND, "the testbed has no baseline \"%s\"",
                            ops->name);
    struct fixed *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    self->base = (struct ws_policy){ops, plan};
    self->decision = (struct ws_decision){*setting, ws_plan_entry_of(plan, setting), 0};
    if (self->decision.entry != WS_NO_ENTRY)
        (void)ws_outcome_get(&self->decision.latency_ms,
                             &plan->entries[self->decision.entry].outcome, WS_LATENCY_MS);
    *out = &self->base;
    return 0;
}

static int cloud_create(struct ws_policy **out, const struct ws_plan *plan,
                        const struct ws_policy_options *options, struct ws_error *err)
{
    return baseline_create(out, &ws_policy_cloud_only, plan, options->cloud_only, err);
}

static int edge_create(struct ws_policy **out, const struct ws_plan *plan,
                       const struct ws_policy_options *options, struct ws_error *err)
{
    return baseline_create(out, &ws_policy_edge_only, plan, options->edge_only, err);
}

/* A baseline is what it is, whatever accuracy was asked for. */
static int baseline_decide(struct ws_policy *policy, struct ws_decision *out,
                           const struct ws_policy_request *request,
                           const struct ws_situation *now, struct ws_error *err)
{
    (void)request;
    (void)now;
    (void)err;
    *out = ((struct fixed *)policy)->decision;
    return 0;
}

const struct ws_policy_ops ws_policy_cloud_only = {
    .name = "cloud-only",
    .summary = "the testbed's baseline of that name",
    .create = cloud_create,
    .decide = baseline_decide,
    .destroy = fixed_destroy,
};

const struct ws_policy_ops ws_policy_edge_only = {
    .name = "edge-only",
    .summary = "the testbed's baseline of that name",
    .create = edge_create,
    .decide = baseline_decide,
    .destroy = fixed_destroy,
};

static int by_key(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static int least_create(struct ws_policy **out, const struct ws_policy_ops *ops,
                        const struct ws_plan *plan, enum ws_measure measure,
                        struct ws_error *err)
{
    struct fixed *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    self->base = (struct ws_policy){ops, plan};
    self->order = calloc(plan->entry_count + 1, sizeof(*self->order));
    if (self->order == NULL) {
        fixed_destroy(&self->base);
        return ws_error_nomem(err);
    }
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct key key = {.accuracy = -INFINITY, .entry = i};
        const struct ws_outcome *outcome = &plan->entries[i].outcome;
        if (ws_outcome_get(&key.key, outcome, measure) != 0)
            continue;
        (void)ws_outcome_get(&key.accuracy, outcome, WS_ACCURACY);
        (void)ws_outcome_get(&key.latency_ms, outcome, WS_LATENCY_MS);
        self->order[self->count++] = key;
    }
    if (self->count == 0) {
        fixed_destroy(&self->base);
        return ws_error_set(err, WS_E_INFEASIBLE, "%s: no entry of the plan knows %s",
                            ops->name, ws_measure_name(measure));
    }
    qsort(self->order, self->count, sizeof(*self->order), by_key);
    *out = &self->base;
    return 0;
}

static int fastest_create(struct ws_policy **out, const struct ws_plan *plan,
                          const struct ws_policy_options *options, struct ws_error *err)
{
    (void)options;
    return least_create(out, &ws_policy_fastest, plan, WS_LATENCY_MS, err);
}

static int thrifty_create(struct ws_policy **out, const struct ws_plan *plan,
                          const struct ws_policy_options *options, struct ws_error *err)
{
    (void)options;
    return least_create(out, &ws_policy_thrifty, plan, WS_ENERGY_J, err);
}

static int least_decide(struct ws_policy *policy, struct ws_decision *out,
                        const struct ws_policy_request *request,
                        const struct ws_situation *now, struct ws_error *err)
{
    const struct fixed *self = (const struct fixed *)policy;
    (void)now;
    for (size_t i = 0; i < self->count; i++) {
        const struct key *key = &self->order[i];
        if (request->min_accuracy > 0 && key->accuracy < request->min_accuracy)
            continue;
        *out = (struct ws_decision){policy->plan->entries[key->entry].setting, key->entry,
                                    key->latency_ms};
        return 0;
    }
    return ws_error_set(err, WS_E_INFEASIBLE,
                        "no entry of the plan has an accuracy of %g",
                        request->min_accuracy);
}

const struct ws_policy_ops ws_policy_fastest = {
    .name = "fastest",
    .summary = "the least latency of the plan",
    .create = fastest_create,
    .decide = least_decide,
    .destroy = fixed_destroy,
};

const struct ws_policy_ops ws_policy_thrifty = {
    .name = "thrifty",
    .summary = "the least energy of the plan",
    .create = thrifty_create,
    .decide = least_decide,
    .destroy = fixed_destroy,
};
