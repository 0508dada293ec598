#include "policy/learner.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "policy/learners.h"

double ws_cost_of(const struct ws_cost *cost, const struct ws_view *view,
                  const struct ws_outcome *outcome)
{
    double latency = WS_COST_LOST_MS, energy = 0, accuracy = 1, price = 1;
    (void)ws_outcome_get(&latency, outcome, WS_LATENCY_MS);
    (void)ws_outcome_get(&energy, outcome, WS_ENERGY_J);
    (void)ws_outcome_get(&accuracy, outcome, WS_ACCURACY);
    latency = fmin(latency, WS_COST_LOST_MS);
    if (latency > view->deadline_ms)
        price += WS_COST_LATE;
    if (accuracy < cost->accuracy_floor)
        price += WS_COST_POINT * 100 * (cost->accuracy_floor - accuracy);
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

/* The view of a learner that is not to look at attention. */
static const struct ws_view *seen(struct ws_view *room, const struct ws_learner *learner,
                                  const struct ws_view *view)
{
    if (!learner->task->no_attention)
        return view;
    *room = *view;
    room->attention = WS_VIEW_ATTENTION;
    return room;
}

void ws_learner_choose(struct ws_learner *learner, struct ws_setting *out,
                       const struct ws_view *view, int explore)
{
    struct ws_view room;
    learner->ops->choose(learner, out, seen(&room, learner, view), explore);
}

void ws_learner_observe(struct ws_learner *learner, const struct ws_view *view,
                        const struct ws_setting *setting,
                        const struct ws_outcome *outcome, const struct ws_view *next)
{
    struct ws_view room, next_room;
    if (learner->ops->observe != NULL)
        learner->ops->observe(learner, seen(&room, learner, view), setting, outcome,
                              seen(&next_room, learner, next));
}

void ws_learner_destroy(struct ws_learner *learner)
{
    if (learner != NULL)
        learner->ops->destroy(learner);
}
