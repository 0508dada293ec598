#include "policy/policy.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "policy/policies.h"

static const struct ws_policy_ops *const policies[] = {
    &ws_policy_cloud_only,   &ws_policy_edge_only,
    &ws_policy_fastest,      &ws_policy_thrifty,
    &ws_policy_neurosurgeon, &ws_policy_dynamic_split,
    &ws_policy_dynasplit,    &ws_policy_dvfo,
    &ws_policy_wattshed,     NULL,
};

const struct ws_policy_ops *const *ws_policy_all(void)
{
    return policies;
}

int ws_policy_find(const struct ws_policy_ops **out, const char *name,
                   struct ws_error *err)
{
    char names[256] = "";
    size_t used = 0;
    for (size_t i = 0; policies[i] != NULL; i++) {
        if (strcmp(policies[i]->name, name) == 0) {
            *out = policies[i];
            return 0;
        }
        int n = snprintf(names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : ", ",
                         policies[i]->name);
        assert(n > 0 && (size_t)n < sizeof(names) - used);
        used += (size_t)n;
    }
    return ws_error_set(err, WS_E_USAGE, "no policy \"%s\"; there are %s", name, names);
}

int ws_policy_decide(struct ws_policy *policy, struct ws_decision *out,
                     const struct ws_policy_request *request,
                     const struct ws_situation *now, struct ws_error *err)
{
    return policy->ops->decide(policy, out, request, now, err);
}

void ws_policy_revise(struct ws_policy *policy, struct ws_decision *decision,
                      const struct ws_policy_request *request,
                      const struct ws_situation *then)
{
    if (policy->ops->revise != NULL)
        policy->ops->revise(policy, decision, request, then);
}

void ws_policy_learn(struct ws_policy *policy, const struct ws_decision *decision,
                     const struct ws_situation *then, const struct ws_outcome *outcome)
{
    if (policy->ops->learn != NULL)
        policy->ops->learn(policy, decision, then, outcome);
}

void ws_policy_destroy(struct ws_policy *policy)
{
    if (policy != NULL)
        policy->ops->destroy(policy);
}

double ws_spread_quantile(const struct ws_spread *spread, double p)
{
    if (spread->count == 0)
        return 1;
    /* The epsilon keeps 0.95 of 20 at the 19th in spite of binary fractions. */
    double rank = ceil(p * (double)spread->count - 1e-9);
    size_t at = rank < 1 ? 0 : (size_t)rank - 1;
    return spread->ratio[at < spread->count ? at : spread->count - 1];
}

size_t ws_plan_entry_of(const struct ws_plan *plan, const struct ws_setting *setting)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        if (memcmp(&plan->entries[i].setting, setting, sizeof(*setting)) == 0)
            return i;
    }
    return WS_NO_ENTRY;
}
