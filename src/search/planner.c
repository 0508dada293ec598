/* From trials to a plan. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/pareto.h"
#include "search/probe.h"

/* What can make a setting worth keeping when link or load change. */
static const enum ws_measure part_measures[] = {
    WS_EDGE_MS,         WS_EDGE_ENERGY_J,  WS_TENSOR_BYTES, WS_TRANSFER_ENERGY_J,
    WS_CLOUD_MS,        WS_CLOUD_ENERGY_J, WS_ACCURACY,     WS_EDGE_MEM_BYTES,
    WS_CLOUD_MEM_BYTES, WS_BESIDE_MS,
};

/* Trials that know every objective, finite, and what all of them know. */
static size_t usable_trials(const struct ws_trial **out, uint32_t *out_known,
                            const struct ws_search_task *task,
                            const struct ws_trials *trials)
{
    size_t count = 0;
    *out_known = (1u << WS_MEASURE_COUNT) - 1;
    for (size_t i = 0; i < trials->count; i++) {
        double at[WS_OBJECTIVES_MAX];
        const struct ws_trial *trial = &trials->items[i];
        if (ws_search_coordinates(at, &trial->outcome, task->objectives,
                                  task->objective_count) != 0)
            continue;
        int finite = 1;
        for (size_t d = 0; d < task->objective_count; d++)
            finite &= isfinite(at[d]) != 0;
        if (!finite)
            continue;
        out[count++] = trial;
        *out_known &= trial->outcome.known;
    }
    return count;
}

/* The measures of an outcome, all to be small. Of the edge's time the part that runs
 * beside transfer and cloud is a measure of its own where it is known: to move work there
 * makes neither larger. */
static void coordinates_of(double *out, const struct ws_outcome *outcome,
                           const enum ws_measure *measures, size_t dims)
{
    double beside_ms = 0;
    (void)ws_search_coordinates(out, outcome, measures, dims);
    if (ws_outcome_get(&beside_ms, outcome, WS_BESIDE_MS) != 0)
        return;
    for (size_t d = 0; d < dims; d++)
        out[d] -= measures[d] == WS_EDGE_MS ? beside_ms : 0;
}

static int front_of(uint8_t *out, const struct ws_trial *const *trials, size_t count,
                    const enum ws_measure *measures, size_t dims, struct ws_error *err)
{
    double *points = malloc((count * dims + 1) * sizeof(*points));
    if (points == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++)
        coordinates_of(points + i * dims, &trials[i]->outcome, measures, dims);
    int rc = ws_pareto_front(out, points, count, dims, err);
    free(points);
    return rc;
}

/* Fills in everything but the entries. */
static int start_plan(struct ws_plan *out, const char *testbed,
                      const struct ws_search_task *task, struct ws_error *err)
{
    struct ws_plan plan = {.objective_count = task->objective_count,
                           .conditions = task->reference,
                           .edge_idle_w = task->edge_idle_w};
    memcpy(plan.objectives, task->objectives, sizeof(plan.objectives));
    if (task->conditions != NULL)
        plan.conditions = *task->conditions;
    plan.testbed = strdup(testbed);
    plan.stage_lists = calloc(1, sizeof(*plan.stage_lists));
    int rc = plan.testbed == NULL || plan.stage_lists == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0)
        rc = ws_space_copy(&plan.space, task->evaluator->space, err);
    if (rc == 0)
        rc = task->stages != NULL
                 ? ws_stage_list_copy(&plan.stage_lists[0], task->stages, err)
                 : ws_stage_list_default(&plan.stage_lists[0], &plan.space, err);
    if (rc != 0) {
        ws_plan_fini(&plan);
        return rc;
    }
    plan.stage_list_count = 1;
    *out = plan;
    return 0;
}

static int fill_plan(struct ws_plan *plan, const struct ws_trial *const *trials,
                     size_t count, uint32_t known, struct ws_error *err)
{
    enum ws_measure parts[WS_PARETO_DIMS_MAX];
    size_t part_count = 0;
    uint8_t *marks = malloc(2 * count);
    if (marks == NULL)
        return ws_error_nomem(err);
    uint8_t *on_front = marks;
    uint8_t *kept = marks + count;
    for (size_t i = 0; i < sizeof(part_measures) / sizeof(part_measures[0]); i++) {
        if ((known >> part_measures[i] & 1u) != 0)
            parts[part_count++] = part_measures[i];
    }
    int rc =
        front_of(on_front, trials, count, plan->objectives, plan->objective_count, err);
    memcpy(kept, on_front, count);
    if (rc == 0 && part_count > 0)
        rc = front_of(kept, trials, count, parts, part_count, err);
    if (rc == 0) {
        plan->entries = calloc(count, sizeof(*plan->entries));
        rc = plan->entries == NULL ? ws_error_nomem(err) : 0;
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!kept[i] && !on_front[i])
            continue;
        if (plan->entry_count == WS_PLAN_ENTRIES_MAX) {
            rc = ws_error_set(err, WS_E_LIMIT, "the plan has more than %d entries",
                              WS_PLAN_ENTRIES_MAX);
            break;
        }
        plan->entries[plan->entry_count++] = (struct ws_plan_entry){
            .setting = trials[i]->setting,
            .outcome = trials[i]->outcome,
            .sample_count = (uint32_t)trials[i]->sample_count,
            .on_front = on_front[i],
        };
    }
    free(marks);
    return rc;
}

int ws_plan_from_trials(struct ws_plan *out, const char *testbed,
                        const struct ws_search_task *task, const struct ws_trials *trials,
                        struct ws_error *err)
{
    const struct ws_trial **usable = malloc((trials->count + 1) * sizeof(*usable));
    if (usable == NULL)
        return ws_error_nomem(err);
    uint32_t known = 0;
    struct ws_plan plan = {0};
    int rc = 0;
    size_t count = usable_trials(usable, &known, task, trials);
    if (count == 0)
        rc = ws_error_set(err, WS_E_INFEASIBLE, "none of %zu trials knows all objectives",
                          trials->count);
    if (rc == 0)
        rc = start_plan(&plan, testbed, task, err);
    if (rc == 0)
        rc = fill_plan(&plan, usable, count, known, err);
    free(usable);
    if (rc == 0)
        *out = plan;
    else
        ws_plan_fini(&plan);
    return rc;
}
