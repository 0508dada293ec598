#include "replay/input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/search.h"
#include "study/planfile.h"

static size_t trials_of(double budget, size_t space)
{
    return budget <= 1 ? (size_t)ceil(budget * (double)space - 1e-9) : (size_t)budget;
}

static int make_plan(struct ws_replay_input *input,
                     const struct ws_replay_options *options, struct ws_error *err)
{
    const struct ws_search *search = NULL;
    struct ws_trials trials = {0};
    struct ws_search_task task = {
        .evaluator = input->evaluator,
        .objective_count = input->testbed.objective_count,
        .reference = input->table.reference,
        .edge_idle_w = input->testbed.edge_idle_w,
        .stages = ws_testbed_stages(&input->testbed),
        .budget = trials_of(options->budget, input->table.setting_count),
        .seed = options->seed,
    };
    memcpy(task.objectives, input->testbed.objectives, sizeof(task.objectives));
    int rc = ws_search_find(&search, options->search, err);
    if (rc == 0)
        rc = ws_search_run(&trials, search, &task, err);
    if (rc == 0)
        rc = ws_plan_from_trials(&input->plan, input->testbed.name, &task, &trials, err);
    input->evaluated = trials.count;
    ws_trials_fini(&trials);
    return rc;
}

/* A plan of another space would choose settings that mean something else here. */
static int check_plan(const struct ws_replay_input *input, const char *path,
                      struct ws_error *err)
{
    const struct ws_space *a = &input->plan.space, *b = &input->testbed.space;
    int same = a->knob_count == b->knob_count;
    for (size_t k = 0; same && k < a->knob_count; k++) {
        same = strcmp(a->knobs[k].name, b->knobs[k].name) == 0 &&
               a->knobs[k].value_count == b->knobs[k].value_count;
        for (size_t v = 0; same && v < a->knobs[k].value_count; v++)
            same = strcmp(a->knobs[k].values[v].text, b->knobs[k].values[v].text) == 0;
    }
    if (!same)
        return ws_error_set(err, WS_E_MISMATCH,
                            "%s: its knobs are not those of testbed \"%s\"", path,
                            input->testbed.name);
    return 0;
}

static int list_settings(struct ws_replay_input *input, struct ws_error *err)
{
    input->settings = calloc(input->table.setting_count + 1, sizeof(*input->settings));
    if (input->settings == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < input->table.setting_count; i++)
        ws_table_setting(&input->settings[i], &input->table, i);
    return 0;
}

static int spreads_of(struct ws_replay_input *input, enum ws_noise noise,
                      struct ws_error *err)
{
    struct ws_setting *chosen = calloc(input->plan.entry_count + 1, sizeof(*chosen));
    if (chosen == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < input->plan.entry_count; i++)
        chosen[i] = input->plan.entries[i].setting;
    int rc = ws_spreads_create(&input->plan_spreads, &input->table, noise, chosen,
                               input->plan.entry_count, err);
    free(chosen);
    if (rc == 0)
        rc = ws_spreads_create(&input->world_spreads, &input->table, noise,
                               input->settings, input->table.setting_count, err);
    return rc;
}

static const struct ws_setting *baseline(const struct ws_replay_input *input,
                                         const char *name)
{
    const struct ws_baseline *found = ws_testbed_baseline(&input->testbed, name);
    return found == NULL ? NULL : &found->setting;
}

static size_t shared_knob(const struct ws_space *space)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        if (space->knobs[k].part == WS_PART_SHARED)
            return k;
    }
    return (size_t)-1;
}

static double least_of(const struct ws_table *table, size_t which)
{
    double least = 1;
    for (size_t i = 0; i < table->residual_count; i++)
        least = fmin(least, table->residuals[i][which]);
    return least;
}

static void assemble(struct ws_replay_input *input,
                     const struct ws_replay_options *options)
{
    int noisy = options->noise == WS_NOISE_POOLED; /* otherwise those give their mean */
    input->world = (struct ws_world){
        .evaluator = input->evaluator,
        .settings = input->settings,
        .setting_count = input->table.setting_count,
        .reference = &input->table.reference,
        .trace = &input->trace,
        .least_latency = noisy ? least_of(&input->table, 0) : 1,
        .least_energy = noisy ? least_of(&input->table, 1) : 1,
        .pooled = input->world_spreads.pooled,
        .own = input->world_spreads.own,
    };
    input->task = (struct ws_replay_task){
        .world = &input->world,
        .workload = &input->workload,
        .plan = &input->plan,
        .options = {.guard = options->guard,
                    .cloud_only = baseline(input, "cloud-only"),
                    .edge_only = baseline(input, "edge-only"),
                    .profile = input->profile.entries,
                    .profile_count = input->profile.count,
                    .pooled = input->plan_spreads.pooled,
                    .own = input->plan_spreads.own,
                    .switch_ms = input->testbed.switch_ms,
                    .idle_w = input->testbed.edge_idle_w,
                    .agent = options->agent_path,
                    .eta = options->eta},
        .order = options->order,
        .refuse_late = options->refuse_late,
        .cut_knob = shared_knob(&input->testbed.space),
    };
}

int ws_replay_input_init(struct ws_replay_input *input,
                         const struct ws_replay_options *options, struct ws_error *err)
{
    int rc = ws_testbed_load(&input->testbed, options->testbed_path, err);
    if (rc == 0 && input->testbed.table_path == NULL)
        rc = ws_error_set(err, WS_E_UNSUPPORTED,
                          "%s: replay needs a recorded \"table\", and there is none",
                          options->testbed_path);
    if (rc == 0)
        rc = ws_table_load(&input->table, &input->testbed, err);
    if (rc == 0)
        rc = ws_workload_load(&input->workload, options->workload_path, err);
    if (rc == 0 && options->link_path != NULL)
        rc = ws_trace_load(&input->trace, options->link_path, &input->table.reference,
                           err);
    if (rc == 0)
        rc = ws_recorded_create(&input->evaluator, &input->table, options->noise, err);
    if (rc == 0)
        rc = list_settings(input, err);
    if (rc == 0 && options->plan_path != NULL) {
        rc = ws_plan_load(&input->plan, options->plan_path, err);
        if (rc == 0)
            rc = check_plan(input, options->plan_path, err);
        input->evaluated = rc == 0 ? input->plan.entry_count : 0;
    } else if (rc == 0) {
        rc = make_plan(input, options, err);
    }
    if (rc == 0)
        rc = ws_profile_create(&input->profile, input->evaluator,
                               baseline(input, "cloud-only"),
                               baseline(input, "edge-only"), err);
    if (rc == 0)
        rc = spreads_of(input, options->noise, err);
    if (rc == 0)
        assemble(input, options);
    return rc;
}

void ws_replay_input_fini(struct ws_replay_input *input)
{
    ws_spreads_fini(&input->plan_spreads);
    ws_spreads_fini(&input->world_spreads);
    ws_profile_fini(&input->profile);
    ws_plan_fini(&input->plan);
    free(input->settings);
    ws_evaluator_destroy(input->evaluator);
    ws_trace_fini(&input->trace);
    ws_workload_fini(&input->workload);
    ws_table_fini(&input->table);
    ws_testbed_fini(&input->testbed);
}

size_t ws_replay_hopeless(double *fastest_ms, const struct ws_replay_input *input)
{
    size_t hopeless = 0;
    double fastest = INFINITY;
    for (size_t i = 0; i < input->table.setting_count; i++) {
        double ms;
        if (ws_outcome_get(&ms, &input->table.means[i], WS_LATENCY_MS) == 0)
            fastest = fmin(fastest, ms);
    }
    for (size_t i = 0; i < input->workload.count; i++)
        hopeless += input->workload.requests[i].deadline_ms < fastest;
    *fastest_ms = fastest;
    return hopeless;
}
