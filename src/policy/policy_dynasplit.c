/*
 * DynaSplit's online controller as published (arXiv 2410.23881, algorithm 1): settings in
 * order of energy, the first whose latency meets the deadline, else the fastest. It goes
 * by the latencies of planning and knows nothing of link, queue or switching. The walk is
 * cut short: only entries faster than all cheaper ones can ever be the first, and among
 * those, from cheap to dear, latency falls, so a binary search finds the place where the
 * walk would have stopped.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/policies.h"
#include "policy/policy_dynasplit.h"

struct rung {
    double energy_j;
    double latency_ms;
    double accuracy; /* -INFINITY where unknown */
    size_t entry;
};

struct ws_walk {
    struct rung *rungs; /* all, in order of energy */
    size_t count;
    struct rung *stairs; /* those faster than all before them */
    size_t stair_count;
    double accuracy_min; /* of all rungs */
};

static int by_energy(const void *a, const void *b)
{
    const struct rung *x = a, *y = b;
    if (x->energy_j != y->energy_j)
        return x->energy_j < y->energy_j ? -1 : 1;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

int ws_walk_create(struct ws_walk **out, const struct ws_plan *plan, struct ws_error *err)
{
    int rc = 0;
    struct ws_walk *walk = calloc(1, sizeof(*walk));
    if (walk == NULL)
        return ws_error_nomem(err);
    walk->rungs = calloc(plan->entry_count + 1, sizeof(*walk->rungs));
    walk->stairs = calloc(plan->entry_count + 1, sizeof(*walk->stairs));
    if (walk->rungs == NULL || walk->stairs == NULL) {
        rc = ws_error_nomem(err);
        goto out;
    }
    walk->accuracy_min = INFINITY;
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct rung rung = {.accuracy = -INFINITY, .entry = i};
        const struct ws_outcome *outcome = &plan->entries[i].outcome;
        if (ws_outcome_get(&rung.energy_j, outcome, WS_ENERGY_J) != 0 ||
            ws_outcome_get(&rung.latency_ms, outcome, WS_LATENCY_MS) != 0)
            continue;
        (void)ws_outcome_get(&rung.accuracy, outcome, WS_ACCURACY);
        walk->accuracy_min = fmin(walk->accuracy_min, rung.accuracy);
        walk->rungs[walk->count++] = rung;
    }
    if (walk->count == 0) {
        rc = ws_error_set(err, WS_E_INFEASIBLE,
                          "no entry of the plan knows both latency_ms and energy_j");
        goto out;
    }
    qsort(walk->rungs, walk->count, sizeof(*walk->rungs), by_energy);
    for (size_t i = 0; i < walk->count; i++) {
        size_t n = walk->stair_count;
        if (n == 0 || walk->rungs[i].latency_ms < walk->stairs[n - 1].latency_ms)
            walk->stairs[walk->stair_count++] = walk->rungs[i];
    }
    *out = walk;
    walk = NULL;
out:
    ws_walk_destroy(walk);
    return rc;
}

void ws_walk_destroy(struct ws_walk *walk)
{
    if (walk == NULL)
        return;
    free(walk->rungs);
    free(walk->stairs);
    free(walk);
}

/* First of the stairs within the deadline; the last, the fastest, if there is none. */
static const struct rung *first_stair(const struct ws_walk *walk, double deadline_ms)
{
    size_t low = 0, high = walk->stair_count - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (walk->stairs[middle].latency_ms <= deadline_ms)
            high = middle;
        else
            low = middle + 1;
    }
    return &walk->stairs[low];
}

/* The walk itself, where entries have to be passed over for their accuracy. */
static const struct rung *walk_all(const struct ws_walk *walk,
                                   const struct ws_policy_request *request)
{
    const struct rung *fastest = NULL;
    for (size_t i = 0; i < walk->count; i++) {
        const struct rung *rung = &walk->rungs[i];
        if (rung->accuracy < request->min_accuracy)
            continue;
        if (rung->latency_ms <= request->deadline_ms)
            return rung;
        if (fastest == NULL || rung->latency_ms < fastest->latency_ms)
            fastest = rung;
    }
    return fastest;
}

int ws_walk_decide(const struct ws_walk *walk, const struct ws_plan *plan,
                   struct ws_decision *out, const struct ws_policy_request *request,
                   struct ws_error *err)
{
    const struct rung *rung;
    if (request->min_accuracy <= 0 || request->min_accuracy <= walk->accuracy_min)
        rung = first_stair(walk, request->deadline_ms);
    else
        rung = walk_all(walk, request);
    if (rung == NULL)
        return ws_error_set(err, WS_E_INFEASIBLE,
                            "no entry of the plan has an accuracy of %g",
                            request->min_accuracy);
    *out = (struct ws_decision){plan->entries[rung->entry].setting, rung->entry,
                                rung->latency_ms};
    return 0;
}

struct dynasplit {
    struct ws_policy base;
    struct ws_walk *walk;
};

static int dynasplit_create(struct ws_policy **out, const struct ws_plan *plan,
                            const struct ws_policy_options *options, struct ws_error *err)
{
    (void)options;
    struct dynasplit *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    self->base = (struct ws_policy){&ws_policy_dynasplit, plan};
    int rc = ws_walk_create(&self->walk, plan, err);
    if (rc != 0) {
        free(self);
        return rc;
    }
    *out = &self->base;
    return 0;
}

static int dynasplit_decide(struct ws_policy *policy, struct ws_decision *out,
                            const struct ws_policy_request *request,
                            const struct ws_situation *now, struct ws_error *err)
{
    const struct dynasplit *self = (const struct dynasplit *)policy;
    (void)now;
    return ws_walk_decide(self->walk, policy->plan, out, request, err);
}

static void dynasplit_destroy(struct ws_policy *policy)
{
    struct dynasplit *self = (struct dynasplit *)policy;
    ws_walk_destroy(self->walk);
    free(self);
}

const struct ws_policy_ops ws_policy_dynasplit = {
    .name = "dynasplit",
    .summary = "as published: by energy, the first whose latency meets the deadline, "
               "else the fastest",
    .create = dynasplit_create,
    .decide = dynasplit_decide,
    .destroy = dynasplit_destroy,
};
