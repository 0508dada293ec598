#include "policy/learner.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "policy/learners.h"

/* How much dearer a request gets: by this share for a missed deadline, and by this
 * share for each point of accuracy below the floor. */
static const double late_price = 1;
static const double point_price = 1;

/* A request that never comes back counts as long as this. */
static const double lost_ms = 60000;

double ws_cost_of(const struct ws_cost *cost, const struct ws_view *view,
                  const struct ws_outcome *outcome)
{
    double latency = lost_ms, energy = 0, accuracy = 1, price = 1;
    (void)ws_outcome_get(&latency, outcome, WS_LATENCY_MS);
    (void)ws_outcome_get(&energy, outcome, WS_ENERGY_J);
    (void)ws_outcome_get(&accuracy, outcome, WS_ACCURACY);
    latency = fmin(latency, lost_ms);
    if (latency > view->deadline_ms)
        price += late_price;
    if (accuracy < cost->accuracy_floor)
        price += point_price * 100 * (cost->accuracy_floor - accuracy);
    return price *
           (view->eta * energy + (1 - view->eta) * cost->max_power_w * latency / 1000);
}

static const struct ws_learner_ops *const learners[] = {
    &ws_learner_cloud_only, &ws_learner_edge_only,
    &ws_learner_appealnet,  &ws_learner_argmin,
    &ws_learner_bandit,     &ws_learner_autoscale,
    &ws_learner_dvfo,       NULL,
};

const struct ws_learner_ops *const *ws_learner_all(void)
{
    return learners;
}

int ws_learner_find(const struct ws_learner_ops **out, const char *name,
                    struct ws_error *err)
{
    char names[256] = "";
    size_t used = 0;
    for (size_t i = 0; learners[i] != NULL; i++) {
        if (strcmp(learners[i]->name, name) == 0) {
            *out = learners[i];
            return 0;
        }
        int n = snprintf(names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : ", ",
                         learners[i]->name);
        assert(n > 0 && (size_t)n < sizeof(names) - used);
        used += (size_t)n;
    }
    return ws_error_set(err, WS_E_USAGE, "no learner \"%s\"; there are %s", name, names);
}

void ws_learner_choose(struct ws_learner *learner, struct ws_setting *out,
                       const struct ws_view *view, int explore)
{
    learner->ops->choose(learner, out, view, explore);
}

void ws_learner_observe(struct ws_learner *learner, const struct ws_view *view,
                        const struct ws_setting *setting,
                        const struct ws_outcome *outcome, const struct ws_view *next)
{
    if (learner->ops->observe != NULL)
        learner->ops->observe(learner, view, setting, outcome, next);
}

void ws_learner_destroy(struct ws_learner *learner)
{
    if (learner != NULL)
        learner->ops->destroy(learner);
}
