/*
 * Finds entries of a plan under conditions that change before every call: the one with
 * the least energy whose foreseen time keeps a deadline, or the one with the least time;
 * never one that draws or takes more on the edge than the situation allows.
 * Entries lie in a tree of boxes over the coefficients of their time (situation.h); the
 * smallest coefficient of a box bounds the time of all it holds whatever the scales are,
 * so most of the tree is never looked at, and the answer is exactly that of looking at
 * every entry. It knows no knob and groups by nothing but numbers. Immutable once built,
 * allocates nothing when asked, may be asked from any thread. Keeps no pointer to the
 * plan.
 */
#ifndef WS_POLICY_PLAN_INDEX_H
#define WS_POLICY_PLAN_INDEX_H

#include "base/error.h"
#include "policy/situation.h"

struct ws_index;

struct ws_index_options {
    /* [entry_count]: what an entry's foreseen time is multiplied by before it is held
     * against a deadline. NULL: 1. */
    const double *margin;
    const double *switch_ms; /* [knob_count], copied. NULL: switching costs nothing */
    double idle_w;           /* drawn by the edge for transfer time beyond the plan's */
};

struct ws_index_query {
    const struct ws_situation *now;
    double deadline_ms;
    double min_accuracy; /* entries with an unknown accuracy pass only 0 */
    int stay;            /* only entries that need no switching */
};

struct ws_index_hit {
    size_t entry;      /* WS_NO_ENTRY: none */
    double latency_ms; /* foreseen, with the margin and the cost of switching */
    double energy_j;   /* foreseen */
};

/* Entries that lack latency or energy are left out; WS_E_INFEASIBLE if none is left. */
int ws_index_create(struct ws_index **out, const struct ws_plan *plan,
                    const struct ws_index_options *options, struct ws_error *err);
void ws_index_destroy(struct ws_index *index);

/* Least energy among those within deadline and accuracy; of equals the first of the
 * plan. */
struct ws_index_hit ws_index_cheapest(const struct ws_index *index,
                                      const struct ws_index_query *query);
/* Least time (margin and switching counted) among those within accuracy; of equals the
 * cheaper, then the first. */
struct ws_index_hit ws_index_fastest(const struct ws_index *index,
                                     const struct ws_index_query *query);

#endif
