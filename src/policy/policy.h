/*
 * Policies: plan, request and the state of things in, a setting out. Each is one
 * `struct ws_policy_ops` in one table, found by name; replay and the serving agent ask
 * them through the same three calls. A policy may keep pointers to the plan and to what
 * the options point at, so those must outlive it. Deciding and learning allocate
 * nothing and take the situation as it is; what drifts (machines, link, queue) is the
 * agent's to estimate, what a policy learns on top is its own. Not thread-safe.
 */
#ifndef WS_POLICY_POLICY_H
#define WS_POLICY_POLICY_H

#include "base/error.h"
#include "policy/situation.h"

struct ws_policy;

/* Latencies over their expected value, ascending; how uncertain a foreseen time is. */
struct ws_spread {
    const double *ratio;
    size_t count;
};

struct ws_policy_options {
    /* `wattshed`: probability with which a deadline is to be met, above 0 and below 1.
     * 0: off. */
    double guard;
    /* The testbed's baselines; NULL where it names none. */
    const struct ws_setting *cloud_only;
    const struct ws_setting *edge_only;
    /* Every cut at default hardware, from the first to the last; for the policies that
     * choose a cut and nothing else. May be NULL. */
    const struct ws_plan_entry *profile;
    size_t profile_count;
    /* Uncertainty learnt from trials: of all of them, and [entry_count] of those with
     * enough samples of their own (NULL, or count 0 where there are too few). */
    struct ws_spread pooled;
    const struct ws_spread *own;
    const double *switch_ms; /* [knob_count of the plan's space]; NULL: no cost */
    double idle_w;           /* of the edge, for transfer time beyond the plan's */
    /* `wattshed`: hardware is switched only where that saves more than this share of a
     * request's energy, or where the deadline needs it. 0: off. */
    double hysteresis;
    const char *agent;  /* `dvfo`: path of its file; NULL: there is none */
    double eta;         /* `dvfo`: 1 only energy counts, near 0 only time; 0: a half */
    const void *oracle; /* for replay's own; policies here know nothing of it */
};

struct ws_policy_ops {
    const char *name;
    const char *summary;
    /* What the options must hold or the plan must know for it is its own to say
     * (WS_E_INFEASIBLE, WS_E_UNKNOWN, WS_E_USAGE). */
    int (*create)(struct ws_policy **out, const struct ws_plan *plan,
                  const struct ws_policy_options *options, struct ws_error *err);
    /* WS_E_INFEASIBLE: nothing has the accuracy asked for. A deadline that nothing can
     * meet is no error: policies then do the best they know. Allocates nothing. */
    int (*decide)(struct ws_policy *policy, struct ws_decision *out,
                  const struct ws_policy_request *request, const struct ws_situation *now,
                  struct ws_error *err);
    /* Once more, with the request's attention, now that the edge's hardware is set and
     * nothing was sent: may change the knobs that are not the edge's. As decide was asked
     * else. Allocates nothing. (optional: most do not look at it) */
    void (*revise)(struct ws_policy *policy, struct ws_decision *decision,
                   const struct ws_policy_request *request,
                   const struct ws_situation *then);
    /* What a decision gave, and the situation it was made in. Allocates nothing.
     * (optional: most learn nothing) */
    void (*learn)(struct ws_policy *policy, const struct ws_decision *decision,
                  const struct ws_situation *then, const struct ws_outcome *outcome);
    void (*destroy)(struct ws_policy *policy);
};

/* Implementations embed this first. */
struct ws_policy {
    const struct ws_policy_ops *ops;
    const struct ws_plan *plan;
};

/* All of them, NULL-terminated, in the order in which tables show them. */
const struct ws_policy_ops *const *ws_policy_all(void);
/* WS_E_USAGE lists the names there are. */
int ws_policy_find(const struct ws_policy_ops **out, const char *name,
                   struct ws_error *err);

int ws_policy_decide(struct ws_policy *policy, struct ws_decision *out,
                     const struct ws_policy_request *request,
                     const struct ws_situation *now, struct ws_error *err);
void ws_policy_revise(struct ws_policy *policy, struct ws_decision *decision,
                      const struct ws_policy_request *request,
                      const struct ws_situation *then);
void ws_policy_learn(struct ws_policy *policy, const struct ws_decision *decision,
                     const struct ws_situation *then, const struct ws_outcome *outcome);
/* Takes NULL. */
void ws_policy_destroy(struct ws_policy *policy);

/* Value that a share `p` of a spread does not exceed: the smallest with at least that
 * share at or below it. 1 for an empty spread. */
double ws_spread_quantile(const struct ws_spread *spread, double p);

#endif
