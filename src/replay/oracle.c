#include "replay/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/plan_index.h"

struct oracle {
    struct ws_policy base;
    const struct ws_world *world;
    const struct ws_world_now *now;
    double guard;
    const double *switch_ms;
    size_t knob_count;
    /* Every setting of the world with what it is expected to give under `conditions`;
     * settings without latency or energy know neither and are passed over. */
    struct ws_plan means;
    struct ws_conditions conditions;
    double *margin; /* [setting_count] of guard-oracle, else NULL */
    struct ws_index *index;
    struct rank {
        double key;
        size_t entry;
    } * by_energy, *by_latency; /* of `oracle`: [rank_count] */
    size_t rank_count;
};

static void oracle_destroy(struct ws_policy *policy)
{
    struct oracle *self = (struct oracle *)policy;
    ws_index_destroy(self->index);
    free(self->means.entries);
    free(self->margin);
    free(self->by_energy);
    free(self->by_latency);
    free(self);
}

static int by_key(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static void sort_ranks(struct oracle *self)
{
    self->rank_count = 0;
    for (size_t i = 0; i < self->means.entry_count; i++) {
        double latency, energy;
        const struct ws_outcome *outcome = &self->means.entries[i].outcome;
        if (ws_outcome_get(&latency, outcome, WS_LATENCY_MS) != 0 ||
            ws_outcome_get(&energy, outcome, WS_ENERGY_J) != 0)
            continue;
        self->by_energy[self->rank_count] = (struct rank){energy, i};
        self->by_latency[self->rank_count++] = (struct rank){latency, i};
    }
    qsort(self->by_energy, self->rank_count, sizeof(struct rank), by_key);
    qsort(self->by_latency, self->rank_count, sizeof(struct rank), by_key);
}

/* What everything is expected to give under the conditions of the moment. Done again
 * whenever they change, by asking the evaluator: an oracle presumes no model of links. */
static int refresh(struct oracle *self, struct ws_error *err)
{
    const struct ws_world *world = self->world;
    for (size_t i = 0; i < world->setting_count; i++) {
        struct ws_plan_entry *entry = &self->means.entries[i];
        entry->setting = world->settings[i];
        int rc = ws_evaluator_expect(world->evaluator, &entry->outcome, &entry->setting,
                                     &self->now->conditions, err);
        if (rc != 0)
            return rc;
        if (ws_outcome_knows(&entry->outcome, WS_LATENCY_MS) &&
            !isfinite(entry->outcome.value[WS_LATENCY_MS]))
            entry->outcome.known &= ~(1u << WS_LATENCY_MS);
    }
    self->conditions = self->now->conditions;
    self->means.conditions = self->now->conditions;
    if (self->by_energy != NULL) {
        sort_ranks(self);
        return 0;
    }
    struct ws_index *index = NULL;
    struct ws_index_options options = {self->margin, self->switch_ms, 0};
    int rc = ws_index_create(&index, &self->means, &options, err);
    if (rc != 0)
        return rc;
    ws_index_destroy(self->index);
    self->index = index;
    return 0;
}

static int make_margins(struct oracle *self, struct ws_error *err)
{
    const struct ws_world *world = self->world;
    self->margin = calloc(world->setting_count + 1, sizeof(*self->margin));
    if (self->margin == NULL)
        return ws_error_nomem(err);
    double pooled = ws_spread_quantile(&world->pooled, self->guard);
    for (size_t i = 0; i < world->setting_count; i++) {
        self->margin[i] = pooled;
        if (world->own != NULL && world->own[i].count > 0)
            self->margin[i] = ws_spread_quantile(&world->own[i], self->guard);
    }
    return 0;
}

static int oracle_create(struct ws_policy **out, const struct ws_policy_ops *ops,
                         const struct ws_plan *plan,
                         const struct ws_policy_options *options, struct ws_error *err)
{
    const struct ws_oracle_context *context = options->oracle;
    struct oracle *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return ws_error_nomem(err);
    size_t count = context->world->setting_count;
    self->base = (struct ws_policy){ops, plan};
    self->world = context->world;
    self->now = context->now;
    self->guard = options->guard;
    self->switch_ms = options->switch_ms;
    self->knob_count = self->world->evaluator->space->knob_count;
    self->means.space = *self->world->evaluator->space; /* borrowed */
    self->means.entry_count = count;
    self->means.entries = calloc(count + 1, sizeof(*self->means.entries));
    int rc = self->means.entries == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0 && ops == &ws_oracle_guard && self->guard > 0)
        rc = make_margins(self, err);
    if (rc == 0 && ops == &ws_oracle_draws) {
        self->by_energy = calloc(count + 1, sizeof(*self->by_energy));
        self->by_latency = calloc(count + 1, sizeof(*self->by_latency));
        if (self->by_energy == NULL || self->by_latency == NULL)
            rc = ws_error_nomem(err);
    }
    if (rc == 0)
        rc = refresh(self, err);
    if (rc != 0) {
        oracle_destroy(&self->base);
        return rc;
    }
    *out = &self->base;
    return 0;
}

static int draws_create(struct ws_policy **out, const struct ws_plan *plan,
                        const struct ws_policy_options *options, struct ws_error *err)
{
    return oracle_create(out, &ws_oracle_draws, plan, options, err);
}

static int means_create(struct ws_policy **out, const struct ws_plan *plan,
                        const struct ws_policy_options *options, struct ws_error *err)
{
    return oracle_create(out, &ws_oracle_means, plan, options, err);
}

static int guard_create(struct ws_policy **out, const struct ws_plan *plan,
                        const struct ws_policy_options *options, struct ws_error *err)
{
    return oracle_create(out, &ws_oracle_guard, plan, options, err);
}

static int refresh_if_changed(struct oracle *self, struct ws_error *err)
{
    if (memcmp(&self->conditions, &self->now->conditions, sizeof(self->conditions)) == 0)
        return 0;
    return refresh(self, err);
}

static int no_accuracy(const struct ws_policy_request *request, struct ws_error *err)
{
    return ws_error_set(err, WS_E_INFEASIBLE, "no setting has an accuracy of %g",
                        request->min_accuracy);
}

/* ---- oracles over expected outcomes ---- */

static int index_decide(struct ws_policy *policy, struct ws_decision *out,
                        const struct ws_policy_request *request,
                        const struct ws_situation *now, struct ws_error *err)
{
    struct oracle *self = (struct oracle *)policy;
    int rc = refresh_if_changed(self, err);
    if (rc != 0)
        return rc;
    struct ws_situation nominal = ws_situation_nominal(&self->means.conditions);
    nominal.current = now->current;
    struct ws_index_query query = {&nominal, request->deadline_ms, request->min_accuracy,
                                   0};
    struct ws_index_hit hit = ws_index_cheapest(self->index, &query);
    if (hit.entry == WS_NO_ENTRY)
        hit = ws_index_fastest(self->index, &query);
    if (hit.entry == WS_NO_ENTRY)
        return no_accuracy(request, err);
    *out = (struct ws_decision){self->means.entries[hit.entry].setting, WS_NO_ENTRY,
                                hit.latency_ms};
    return 0;
}

/* ---- the oracle that knows the draws ---- */

struct draw {
    double latency_ms, energy_j;
    size_t entry;
};

static int accurate(const struct oracle *self, size_t entry,
                    const struct ws_policy_request *request)
{
    double accuracy;
    if (request->min_accuracy <= 0)
        return 1;
    return ws_outcome_get(&accuracy, &self->means.entries[entry].outcome, WS_ACCURACY) ==
               0 &&
           accuracy >= request->min_accuracy;
}

/* What the execution will give; 0 if that is not known. */
static int draw(struct draw *out, const struct oracle *self, size_t entry,
                const struct ws_setting *current)
{
    struct ws_outcome outcome;
    const struct ws_setting *setting = &self->world->settings[entry];
    if (ws_evaluate(self->world->evaluator, &outcome, setting, current,
                    &self->now->conditions, self->now->seed, NULL) != 0 ||
        ws_outcome_get(&out->latency_ms, &outcome, WS_LATENCY_MS) != 0 ||
        ws_outcome_get(&out->energy_j, &outcome, WS_ENERGY_J) != 0)
        return 0;
    out->latency_ms += ws_switch_ms(self->switch_ms, self->knob_count, current, setting);
    out->entry = entry;
    return 1;
}

/* Nothing is promised of settings with a spread of their own. */
static double least_of(const struct oracle *self, size_t entry, double least)
{
    const struct ws_world *world = self->world;
    return world->own != NULL && world->own[entry].count > 0 ? 0 : least;
}

static struct draw cheapest_draw(const struct oracle *self,
                                 const struct ws_policy_request *request,
                                 const struct ws_setting *current)
{
    struct draw best = {INFINITY, INFINITY, WS_NO_ENTRY};
    for (size_t i = 0; i < self->rank_count; i++) {
        size_t entry = self->by_energy[i].entry;
        double latency = self->means.entries[entry].outcome.value[WS_LATENCY_MS];
        struct draw one;
        if (self->by_energy[i].key * least_of(self, entry, self->world->least_energy) >
                best.energy_j ||
            latency * least_of(self, entry, self->world->least_latency) >
                request->deadline_ms ||
            !accurate(self, entry, request) || !draw(&one, self, entry, current))
            continue;
        if (one.latency_ms <= request->deadline_ms && one.energy_j < best.energy_j)
            best = one;
    }
    return best;
}

static struct draw fastest_draw(const struct oracle *self,
                                const struct ws_policy_request *request,
                                const struct ws_setting *current)
{
    struct draw best = {INFINITY, INFINITY, WS_NO_ENTRY};
    for (size_t i = 0; i < self->rank_count; i++) {
        size_t entry = self->by_latency[i].entry;
        struct draw one;
        if (self->by_latency[i].key * least_of(self, entry, self->world->least_latency) >
                best.latency_ms ||
            !accurate(self, entry, request) || !draw(&one, self, entry, current))
            continue;
        if (one.latency_ms < best.latency_ms)
            best = one;
    }
    return best;
}

static int draws_decide(struct ws_policy *policy, struct ws_decision *out,
                        const struct ws_policy_request *request,
                        const struct ws_situation *now, struct ws_error *err)
{
    struct oracle *self = (struct oracle *)policy;
    int rc = refresh_if_changed(self, err);
    if (rc != 0)
        return rc;
    struct draw best = cheapest_draw(self, request, now->current);
    if (best.entry == WS_NO_ENTRY)
        best = fastest_draw(self, request, now->current);
    if (best.entry == WS_NO_ENTRY)
        return no_accuracy(request, err);
    *out = (struct ws_decision){self->world->settings[best.entry], WS_NO_ENTRY,
                                best.latency_ms};
    return 0;
}

const struct ws_policy_ops ws_oracle_draws = {
    .name = "oracle",
    .summary = "knows what every setting will give this very time",
    .create = draws_create,
    .decide = draws_decide,
    .destroy = oracle_destroy,
};

const struct ws_policy_ops ws_oracle_means = {
    .name = "mean-oracle",
    .summary = "knows every setting's mean under the conditions of the moment",
    .create = means_create,
    .decide = index_decide,
    .destroy = oracle_destroy,
};

const struct ws_policy_ops ws_oracle_guard = {
    .name = "guard-oracle",
    .summary = "knows the means and the true spread; keeps wattshed's probability",
    .create = guard_create,
    .decide = index_decide,
    .destroy = oracle_destroy,
};

const struct ws_policy_ops *ws_oracle_find(const char *name)
{
    static const struct ws_policy_ops *const oracles[] = {
        &ws_oracle_draws, &ws_oracle_means, &ws_oracle_guard};
    for (size_t i = 0; i < sizeof(oracles) / sizeof(oracles[0]); i++) {
        if (strcmp(oracles[i]->name, name) == 0)
            return oracles[i];
    }
    return NULL;
}
