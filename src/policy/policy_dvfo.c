/*
 * A trained agent as a policy. What it sees is made of request and situation; what it
 * chooses was served before, in training or since, or the plan decides: its cheapest
 * entry in time, else its fastest. It learns live (dvfo_live.c), one request late,
 * because what is seen next belongs to what is learnt.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/dvfo.h"
#include "policy/plan_index.h"
#include "policy/policies.h"

static const double explore = 0.02, deadline_room = 1.05;
/* What stands for what a situation does not know: the middle of training. */
static const double usual_temperature_c = 45, usual_lambda = 0.5;
static const double usual_eta = 0.5;

struct dvfo {
    struct ws_policy base;
    struct ws_learner *learner;
    struct ws_index *index;
    struct place {
        uint64_t setting; /* its index */
        size_t entry;
    } * places; /* [entry_count], by setting */
    double eta;
    double rate_mbit_s; /* of the plan's link */
    double elapsed_ms;  /* of the request before */
    struct ws_view view;
    int has_pending; /* what came of the request before, to be learnt */
    struct {
        struct ws_view view;
        struct ws_setting setting;
        struct ws_outcome outcome;
    } pending;
};

static void dvfo_destroy(struct ws_policy *policy)
{
    struct dvfo *self = (struct dvfo *)policy;
    ws_learner_destroy(self->learner);
    ws_index_destroy(self->index);
    free(self->places);
    free(self);
}

static int by_setting(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->setting > y->setting) - (x->setting < y->setting);
}

static int list_places(struct dvfo *self, struct ws_error *err)
{
    const struct ws_plan *plan = self->base.plan;
    self->places = calloc(plan->entry_count + 1, sizeof(*self->places));
    if (self->places == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < plan->entry_count; i++)
        self->places[i] = (struct place){
            ws_setting_to_index(&plan->space, &plan->entries[i].setting), i};
    qsort(self->places, plan->entry_count, sizeof(*self->places), by_setting);
    return 0;
}

/* Number of the entry with that setting, or WS_NO_ENTRY. */
static size_t entry_of(const struct dvfo *self, const struct ws_setting *setting)
{
    const struct ws_plan *plan = self->base.plan;
    struct place key = {ws_setting_to_index(&plan->space, setting), 0};
    const struct place *found =
        bsearch(&key, self->places, plan->entry_count, sizeof(*self->places), by_setting);
    return found == NULL ? WS_NO_ENTRY : found->entry;
}

static int dvfo_create(struct ws_policy **out, const struct ws_plan *plan,
                       const struct ws_policy_options *options, struct ws_error *err)
{
    const struct ws_dvfo_safety safety = {INFINITY, explore};
    const struct ws_index_options index = {NULL, options->switch_ms, options->idle_w};
    if (options->agent == NULL)
        return ws_error_set(err, WS_E_NOT_FOUND,
                            "dvfo needs an agent (--agent FILE, made by wattshed learn)");
    struct dvfo *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    self->base = (struct ws_policy){&ws_policy_dvfo, plan};
    self->eta = options->eta > 0 ? options->eta : usual_eta;
    if (ws_conditions_get(&self->rate_mbit_s, &plan->conditions, WS_LINK_MBIT_S) != 0)
        self->rate_mbit_s = 1;
    int rc = ws_dvfo_load(&self->learner, &plan->space, options->agent, 1, err);
    if (rc == 0)
        rc = ws_dvfo_go_live(ws_dvfo_of(self->learner), &safety, err);
    if (rc == 0)
        rc = ws_index_create(&self->index, plan, &index, err);
    if (rc == 0)
        rc = list_places(self, err);
    if (rc != 0) {
        dvfo_destroy(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

/* What is left for this one request: no more than its own deadline, and so little that
 * those that wait behind it could each take as long and be in time; but never less than
 * the fastest takes, since less tells nothing. */
static double deadline_of(const struct dvfo *self,
                          const struct ws_policy_request *request,
                          const struct ws_situation *now)
{
    struct ws_index_query query = {now, request->deadline_ms, request->min_accuracy};
    struct ws_index_hit fastest = ws_index_fastest(self->index, &query);
    double left = request->deadline_ms;
    for (size_t k = 0; k < request->behind_count; k++)
        left = fmin(left, request->behind_ms[k] / (double)(k + 2));
    return fastest.entry == WS_NO_ENTRY ? fmax(left, 1)
                                        : fmax(left, deadline_room * fastest.latency_ms);
}

static struct ws_view view_of(const struct dvfo *self,
                              const struct ws_policy_request *request,
                              const struct ws_situation *now)
{
    struct ws_view view = {
        .link_mbit_s = self->rate_mbit_s / fmax(now->pace, 1e-9),
        .link_delay_ms = now->delay_ms,
        .attention = WS_VIEW_ATTENTION,
        .temperature_c = usual_temperature_c,
        .queue = (double)request->behind_count,
        .edge_scale = now->edge_scale,
        .power_scale = now->edge_scale,
        .eta = self->eta,
        .lambda = usual_lambda,
        .deadline_ms = deadline_of(self, request, now),
        .elapsed_ms = self->elapsed_ms,
    };
    (void)ws_conditions_get(&view.attention, &self->base.plan->conditions, WS_ATTENTION);
    if (request->attention > 0)
        view.attention = request->attention;
    view.current = now->current != NULL ? *now->current : self->learner->task->start;
    return view;
}

/* Whether a setting may be taken: it was served before, and the plan does not say that it
 * lacks the accuracy or draws more than the edge is allowed now. */
static int may_take(const struct dvfo *self, const struct ws_setting *setting,
                    const struct ws_plan_entry *entry,
                    const struct ws_policy_request *request)
{
    double accuracy = 0;
    if (!ws_space_allows(&self->base.plan->space, setting) ||
        !ws_dvfo_knows(ws_dvfo_of(self->learner), setting))
        return 0;
    return request->min_accuracy <= 0 ||
           (entry != NULL &&
            ws_outcome_get(&accuracy, &entry->outcome, WS_ACCURACY) == 0 &&
            accuracy >= request->min_accuracy);
}

static int dvfo_decide(struct ws_policy *policy, struct ws_decision *out,
                       const struct ws_policy_request *request,
                       const struct ws_situation *now, struct ws_error *err)
{
    struct dvfo *self = (struct dvfo *)policy;
    const struct ws_plan *plan = policy->plan;
    struct ws_setting setting;
    self->view = view_of(self, request, now);
    ws_learner_choose(self->learner, &setting, &self->view, 1);
    size_t entry = entry_of(self, &setting);
    int spared = now->edge_w_max > 0 || now->edge_bytes_max > 0;
    if (!spared &&
        may_take(self, &setting, entry == WS_NO_ENTRY ? NULL : &plan->entries[entry],
                 request)) {
        *out = (struct ws_decision){setting, entry, 0};
        if (entry != WS_NO_ENTRY)
            out->latency_ms = ws_situation_foresee(now, &plan->entries[entry].outcome,
                                                   &plan->conditions);
        return 0;
    }
    struct ws_index_query query = {now, request->deadline_ms, request->min_accuracy};
    struct ws_index_hit hit = ws_index_cheapest(self->index, &query);
    if (hit.entry == WS_NO_ENTRY)
        hit = ws_index_fastest(self->index, &query);
    if (hit.entry == WS_NO_ENTRY)
        return ws_error_set(err, WS_E_INFEASIBLE,
                            "no entry of the plan has an accuracy of %g",
                            request->min_accuracy);
    *out =
        (struct ws_decision){plan->entries[hit.entry].setting, hit.entry, hit.latency_ms};
    return 0;
}

/* What the picture's own attention makes of it; the hardware stays as it is set. What is
 * learnt from the request is seen with that attention either way. */
static void dvfo_revise(struct ws_policy *policy, struct ws_decision *decision,
                        const struct ws_policy_request *request,
                        const struct ws_situation *then)
{
    struct dvfo *self = (struct dvfo *)policy;
    const struct ws_plan *plan = policy->plan;
    struct ws_setting setting;
    self->view = view_of(self, request, then);
    if (then->edge_w_max > 0 || then->edge_bytes_max > 0)
        return;
    ws_learner_choose(self->learner, &setting, &self->view, 1);
    for (size_t k = 0; k < plan->space.knob_count; k++) {
        if (plan->space.knobs[k].part == WS_PART_EDGE)
            setting.value[k] = decision->setting.value[k];
    }
    size_t entry = entry_of(self, &setting);
    const struct ws_plan_entry *found =
        entry == WS_NO_ENTRY ? NULL : &plan->entries[entry];
    if (!may_take(self, &setting, found, request))
        return;
    *decision = (struct ws_decision){setting, entry, 0};
    if (found != NULL)
        decision->latency_ms =
            ws_situation_foresee(then, &found->outcome, &plan->conditions);
}

static void dvfo_learn(struct ws_policy *policy, const struct ws_decision *decision,
                       const struct ws_situation *then, const struct ws_outcome *outcome)
{
    struct dvfo *self = (struct dvfo *)policy;
    (void)then;
    if (self->has_pending)
        ws_learner_observe(self->learner, &self->pending.view, &self->pending.setting,
                           &self->pending.outcome, &self->view);
    self->pending.view = self->view;
    self->pending.setting = decision->setting;
    self->pending.outcome = *outcome;
    self->has_pending = ws_outcome_knows(outcome, WS_LATENCY_MS) &&
                        ws_outcome_knows(outcome, WS_ENERGY_J);
    (void)ws_outcome_get(&self->elapsed_ms, outcome, WS_LATENCY_MS);
}

const struct ws_policy_ops ws_policy_dvfo = {
    .name = "dvfo",
    .summary = "what an agent has learnt (wattshed learn), and goes on learning",
    .create = dvfo_create,
    .decide = dvfo_decide,
    .revise = dvfo_revise,
    .learn = dvfo_learn,
    .destroy = dvfo_destroy,
};
