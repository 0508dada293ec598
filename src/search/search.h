/*
 * Searches: ways to spend a budget of trials on an evaluator, so that a plan made from
 * them serves requests with little energy. A search sees the space (parts and kinds of
 * knobs, never their names), what the evaluator says of a setting, and a seed; the same
 * seed gives the same trials. A trial is the expected outcome of one setting, and no
 * setting is tried twice. Settings that the evaluator lacks cost no trial and are
 * withheld from every search alike.
 */
#ifndef WS_SEARCH_SEARCH_H
#define WS_SEARCH_SEARCH_H

#include "core/evaluator.h"
#include "core/plan.h"

/* What a search is asked. */
struct ws_search_task {
    struct ws_evaluator *evaluator;
    const struct ws_conditions *conditions; /* NULL: the source's own */
    enum ws_measure objectives[WS_OBJECTIVES_MAX];
    size_t objective_count;
    /* What a plan is told: the source's own link, and the edge's power while it waits. */
    struct ws_conditions reference;
    double edge_idle_w;
    const struct ws_stage_list *stages; /* of every setting; NULL: edge, then cloud */
    size_t budget;                      /* trials */
    /* (optional) Settings to try before the search chooses any, in this order: what is
     * foreseen to be good. They count against the budget; those that the evaluator lacks
     * are passed over. */
    const struct ws_setting *first;
    size_t first_count;
    uint64_t seed;
};

/* Trials in the order they were made. */
struct ws_trials {
    struct ws_trial *items;
    size_t count;
    size_t capacity;
};

void ws_trials_fini(struct ws_trials *trials);

struct ws_probe;

struct ws_search {
    const char *name;
    const char *summary;
    /* Spends the probe's budget; stops early when nothing is left to try. */
    int (*run)(struct ws_probe *probe, struct ws_error *err);
};

/* "exhaustive", "random", "nsga3", "screen", "guided"; WS_E_USAGE lists them. */
int ws_search_find(const struct ws_search **out, const char *name, struct ws_error *err);
/* Number `index` of them, NULL past the last. */
const struct ws_search *ws_search_at(size_t index);
/* WS_E_INFEASIBLE where nothing can be tried. */
int ws_search_run(struct ws_trials *out, const struct ws_search *search,
                  const struct ws_search_task *task, struct ws_error *err);

/* Number of settings that constraints allow and the evaluator has; WS_E_LIMIT for a space
 * too large to count through. */
int ws_search_space_size(size_t *out, struct ws_evaluator *evaluator,
                         struct ws_error *err);

/* The plan of some trials: every setting that is non-dominated in its parts or in the
 * objectives; those on the front of the objectives say so. Trials that lack an objective
 * are left out; WS_E_INFEASIBLE if none is left. Copies the space. */
int ws_plan_from_trials(struct ws_plan *out, const char *testbed,
                        const struct ws_search_task *task, const struct ws_trials *trials,
                        struct ws_error *err);

#endif
