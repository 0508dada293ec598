/*
 * The project's own policy: the cheapest setting that meets the deadline with a
 * probability that was asked for, given machines, link, queue and the cost of switching
 * as they are now. The time held against the deadline is the foreseen one times the
 * ratio that samples of the setting stayed below with that probability: its own samples'
 * where there are enough, those of all trials pooled where not. Nothing qualifies: the
 * fastest, as DynaSplit does; but where that is late as surely as the guard wants others
 * in time, the one with the least energy times time, of those not much slower. Guard off:
 * DynaSplit's walk, identical.
 *
 * Ratios learnt offline can be off when the machines are not what they were. How often
 * outcomes kept below their foreseen quantile is fed back as adaptive conformal inference
 * does (Gibbs and Candes, 2021): each excess raises a common factor by a step, each
 * outcome below lowers it, in the proportion that balances at the asked-for probability.
 * The factor acts only beyond a band that a stationary world does not leave in thousands
 * of requests, so that noise alone changes no decision.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/plan_index.h"
#include "policy/policies.h"
#include "policy/policy_dynasplit.h"

static const double feedback_step = 0.01; /* of the common factor's logarithm */
static const double feedback_band = 0.10; /* within which it counts as noise */
static const double feedback_max = 1.5;
static const double late_most = 1.5; /* times the fastest, where that is late already */
/* A time may always come out so much shorter than foreseen, however little times vary on
 * record. */
static const double late_least = 0.9;

struct wattshed {
    struct ws_policy base;
    struct ws_walk *walk; /* guard off */
    struct ws_index *index;
    double *margin; /* [entry_count]: of time over foreseen, a ratio hardly exceeded */
    double *least;  /* likewise, that it hardly falls below */
    double guard;
    double hysteresis;
    const double *switch_ms; /* [knob_count] or NULL; the caller's */
    double feedback;         /* logarithm of the common factor, before the band */
};

static void wattshed_destroy(struct ws_policy *policy)
{
    struct wattshed *self = (struct wattshed *)policy;
    ws_walk_destroy(self->walk);
    ws_index_destroy(self->index);
    free(self->margin);
    free(self->least);
    free(self);
}

static int create_index(struct wattshed *self, const struct ws_plan *plan,
                        const struct ws_policy_options *options, struct ws_error *err)
{
    self->margin = calloc(plan->entry_count + 1, sizeof(*self->margin));
    self->least = calloc(plan->entry_count + 1, sizeof(*self->least));
    if (self->margin == NULL || self->least == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct ws_spread *spread = &options->pooled;
        if (options->own != NULL && options->own[i].count > 0)
            spread = &options->own[i];
        self->margin[i] = ws_spread_quantile(spread, options->guard);
        self->least[i] = fmin(ws_spread_quantile(spread, 1 - options->guard), late_least);
    }
    struct ws_index_options index = {self->margin, options->switch_ms, options->idle_w};
    return ws_index_create(&self->index, plan, &index, err);
}

static int wattshed_create(struct ws_policy **out, const struct ws_plan *plan,
                           const struct ws_policy_options *options, struct ws_error *err)
{
    if (!(options->guard >= 0 && options->guard < 1))
        return ws_error_set(err, WS_E_USAGE,
                            "guard %g: expected a probability below 1, or 0 for off",
                            options->guard);
    struct wattshed *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    self->base = (struct ws_policy){&ws_policy_wattshed, plan};
    self->guard = options->guard;
    self->hysteresis = options->hysteresis;
    self->switch_ms = options->switch_ms;
    int rc = self->guard > 0 ? create_index(self, plan, options, err)
                             : ws_walk_create(&self->walk, plan, err);
    if (rc != 0) {
        wattshed_destroy(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

static double common_factor(const struct wattshed *self)
{
    if (fabs(self->feedback) <= feedback_band)
        return 1;
    return exp(self->feedback - copysign(feedback_band, self->feedback));
}

/* What the queue leaves: each one behind should still be in time if it and all before it
 * take the fastest way. Those that would be late even if this one took it do not count.
 */
static double budget_ms(const struct wattshed *self,
                        const struct ws_policy_request *request,
                        const struct ws_index_query *query)
{
    double budget = INFINITY;
    if (request->behind_count == 0)
        return budget;
    double fastest = ws_index_fastest(self->index, query).latency_ms;
    for (size_t k = 0; k < request->behind_count; k++) {
        double left = request->behind_ms[k] - (double)(k + 1) * fastest;
        if (left >= fastest)
            budget = fmin(budget, left);
    }
    return budget;
}

static double switching_ms(const struct wattshed *self, const struct ws_situation *now,
                           size_t entry)
{
    const struct ws_plan *plan = self->base.plan;
    return ws_switch_ms(self->switch_ms, plan->space.knob_count, now->current,
                        &plan->entries[entry].setting);
}

/* The cheapest within the query, unless the hardware would have to change for it and
 * hardly more is spent where it stays as it is: frequencies are not to flap. */
static struct ws_index_hit cheapest(const struct wattshed *self,
                                    const struct ws_index_query *query)
{
    struct ws_index_hit hit = ws_index_cheapest(self->index, query);
    if (!(self->hysteresis > 0) || hit.entry == WS_NO_ENTRY ||
        query->now->current == NULL)
        return hit;
    if (!(switching_ms(self, query->now, hit.entry) > 0))
        return hit;
    struct ws_index_query stay = *query;
    stay.stay = 1;
    struct ws_index_hit same = ws_index_cheapest(self->index, &stay);
    return same.entry != WS_NO_ENTRY &&
                   same.energy_j <= hit.energy_j * (1 + self->hysteresis)
               ? same
               : hit;
}

/* Where nothing is sure to be in time: the fastest has the best chance. Where it has none
 * either, time saved is worth no more than energy. */
static struct ws_index_hit make_the_best(const struct wattshed *self,
                                         const struct ws_index_query *query)
{
    double factor = fmax(common_factor(self), 1);
    const struct ws_plan *plan = self->base.plan;
    struct ws_index_hit fastest = ws_index_fastest(self->index, query);
    if (fastest.entry == WS_NO_ENTRY)
        return fastest;
    double at_best =
        ws_situation_foresee(query->now, &plan->entries[fastest.entry].outcome,
                             &plan->conditions) *
            self->least[fastest.entry] / factor +
        switching_ms(self, query->now, fastest.entry);
    if (at_best <= query->deadline_ms)
        return fastest;
    struct ws_index_query late = *query;
    late.deadline_ms = late_most * fastest.latency_ms;
    struct ws_index_hit cheap = cheapest(self, &late);
    return cheap.entry != WS_NO_ENTRY && cheap.energy_j * cheap.latency_ms <
                                             fastest.energy_j * fastest.latency_ms
               ? cheap
               : fastest;
}

/* Within the deadline and what the queue leaves; within the deadline; the best there is.
 */
static struct ws_index_hit choose_spared(const struct wattshed *self,
                                         const struct ws_policy_request *request,
                                         const struct ws_situation *now)
{
    struct ws_index_query query = {now, request->deadline_ms, request->min_accuracy, 0};
    double budget = budget_ms(self, request, &query);
    query.deadline_ms = fmin(request->deadline_ms, budget);
    struct ws_index_hit hit = cheapest(self, &query);
    if (hit.entry == WS_NO_ENTRY && budget < request->deadline_ms) {
        query.deadline_ms = request->deadline_ms;
        hit = cheapest(self, &query);
    }
    return hit.entry != WS_NO_ENTRY ? hit : make_the_best(self, &query);
}

/* An edge that is to be spared is, as long as anything can then be done at all. */
static struct ws_index_hit choose(const struct wattshed *self,
                                  const struct ws_policy_request *request,
                                  const struct ws_situation *now)
{
    double factor = common_factor(self);
    struct ws_situation inflated = *now;
    inflated.edge_scale *= factor;
    inflated.cloud_scale *= factor;
    inflated.delay_ms *= factor;
    inflated.pace *= factor;
    struct ws_index_hit hit = choose_spared(self, request, &inflated);
    if (hit.entry == WS_NO_ENTRY && (now->edge_w_max > 0 || now->edge_bytes_max > 0)) {
        inflated.edge_w_max = inflated.edge_bytes_max = 0;
        hit = choose_spared(self, request, &inflated);
    }
    return hit;
}

static int wattshed_decide(struct ws_policy *policy, struct ws_decision *out,
                           const struct ws_policy_request *request,
                           const struct ws_situation *now, struct ws_error *err)
{
    const struct wattshed *self = (const struct wattshed *)policy;
    if (self->walk != NULL)
        return ws_walk_decide(self->walk, policy->plan, out, request, err);
    struct ws_index_hit hit = choose(self, request, now);
    if (hit.entry == WS_NO_ENTRY)
        return ws_error_set(err, WS_E_INFEASIBLE,
                            "no entry of the plan has an accuracy of %g",
                            request->min_accuracy);
    const struct ws_plan *plan = policy->plan;
    const struct ws_plan_entry *entry = &plan->entries[hit.entry];
    *out = (struct ws_decision){entry->setting, hit.entry, 0};
    out->latency_ms = ws_situation_foresee(now, &entry->outcome, &plan->conditions) +
                      ws_switch_ms(self->switch_ms, plan->space.knob_count, now->current,
                                   &entry->setting);
    return 0;
}

static void wattshed_learn(struct ws_policy *policy, const struct ws_decision *decision,
                           const struct ws_situation *then,
                           const struct ws_outcome *outcome)
{
    struct wattshed *self = (struct wattshed *)policy;
    double latency;
    if (self->walk != NULL || decision->entry == WS_NO_ENTRY ||
        ws_outcome_get(&latency, outcome, WS_LATENCY_MS) != 0)
        return;
    const struct ws_plan *plan = policy->plan;
    double held = ws_situation_foresee(then, &plan->entries[decision->entry].outcome,
                                       &plan->conditions) *
                      self->margin[decision->entry] * common_factor(self) +
                  ws_switch_ms(self->switch_ms, plan->space.knob_count, then->current,
                               &decision->setting);
    double step = latency > held ? self->guard : self->guard - 1;
    self->feedback += feedback_step * step;
    double most = log(feedback_max) + feedback_band;
    self->feedback = fmin(fmax(self->feedback, -most), most);
}

const struct ws_policy_ops ws_policy_wattshed = {
    .name = "wattshed",
    .summary = "the cheapest setting that meets the deadline with the asked-for "
               "probability, as things are now",
    .create = wattshed_create,
    .decide = wattshed_decide,
    .learn = wattshed_learn,
    .destroy = wattshed_destroy,
};
