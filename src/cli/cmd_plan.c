#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/front.h"
#include "cli/options.h"
#include "cli/plan_study.h"
#include "cli/plot_plan.h"
#include "device/modelled.h"
#include "search/quality.h"
#include "study/planfile.h"
#include "study/recorded.h"

struct args {
    const char *testbed_path;
    const char *search_name;
    double budget; /* a share up to 1, or a number of trials */
    uint64_t seed;
    const char *plan_path;
    const char *plot_path;
    int json;
};

static void list_searches(void)
{
    const struct ws_search *search = NULL;
    for (size_t i = 0; (search = ws_search_at(i)) != NULL; i++)
        ws_cli_print_value(search->name, search->summary);
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("search", "S", struct args, search_name,
                 "where trials go (default guided):"),
     .more = list_searches},
    {WS_CLI_TAKE("budget", "F|N", struct args, budget, ws_cli_take_budget,
                 "trials: a share of the settings up to 1, or a number above (default "
                 "0.05, but 12 at least)")},
    {WS_CLI_TAKE("seed", "N", struct args, seed, ws_cli_take_seed,
                 "of all random choices (default 1)")},
    {WS_CLI_TEXT("output", "PLAN.json", struct args, plan_path, "write the plan"),
     .letter = 'o'},
    {WS_CLI_TEXT("plot", "FILE", struct args, plot_path,
                 "draw trials and front, .svg or .png")},
    {WS_CLI_FLAG("json", struct args, json, "print JSON")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "plan",
    .synopsis = "TESTBED.json|STUDY [OPTION ...]",
    .about = "Searches a testbed for the settings worth choosing from and says how good "
             "they are. Of a study, that `wattshed profile` made, it takes the trials "
             "that are there and searches nothing.",
    .options = options_table,
    .words_min = 1,
    .words_max = 1,
    .wants = "one testbed or study is needed",
};

/* What one run works with. */
struct work {
    struct ws_testbed testbed;
    struct ws_table table;
    struct ws_evaluator *evaluator;
    struct ws_search_task task;
    struct ws_trials trials;
    struct ws_trials whole; /* every setting, for comparison */
    struct ws_plan plan;
    enum ws_truth truth;
    size_t space; /* settings there are */
    double volume_ratio;
};

static void work_fini(struct work *work)
{
    ws_plan_fini(&work->plan);
    ws_trials_fini(&work->trials);
    ws_trials_fini(&work->whole);
    ws_evaluator_destroy(work->evaluator);
    ws_table_fini(&work->table);
    ws_testbed_fini(&work->testbed);
}

static size_t budget_of(const struct args *args, size_t space)
{
    const double default_share = 0.05;
    const size_t default_least = 12;
    double trials = args->budget > 1 ? args->budget : floor(args->budget * (double)space);
    if (args->budget <= 0) {
        trials = floor(default_share * (double)space);
        trials = fmax(trials, (double)default_least);
    }
    return trials < 1 ? 1 : (size_t)trials;
}

/* A recorded table where the testbed has one, else its model. */
static int open_evaluator(struct work *work, struct ws_error *err)
{
    const struct ws_testbed *testbed = &work->testbed;
    work->task.stages = ws_testbed_stages(testbed);
    if (testbed->table_path == NULL && testbed->model_path != NULL) {
        int rc = ws_modelled_create(&work->evaluator, &testbed->space, testbed->switch_ms,
                                    testbed->model_path, err);
        if (rc != 0)
            return rc;
        work->task.reference = *ws_modelled_link(work->evaluator);
        work->task.edge_idle_w = ws_modelled_edge_idle_w(work->evaluator);
        work->truth = WS_MODELLED;
        return 0;
    }
    int rc = ws_table_load(&work->table, testbed, err);
    if (rc == 0)
        rc = ws_recorded_create(&work->evaluator, &work->table, WS_NOISE_NONE, err);
    work->task.reference = work->table.reference;
    work->task.edge_idle_w = testbed->edge_idle_w;
    work->truth = testbed->truth;
    return rc;
}

static int open_testbed(struct work *work, const struct args *args, struct ws_error *err)
{
    int rc = ws_testbed_load(&work->testbed, args->testbed_path, err);
    if (rc == 0)
        rc = open_evaluator(work, err);
    if (rc == 0)
        rc = ws_search_space_size(&work->space, work->evaluator, err);
    if (rc != 0)
        return rc;
    work->task.evaluator = work->evaluator;
    work->task.objective_count = work->testbed.objective_count;
    work->task.seed = args->seed;
    work->task.budget = budget_of(args, work->space);
    memcpy(work->task.objectives, work->testbed.objectives,
           sizeof(work->task.objectives));
    return 0;
}

/* Every setting of the table, as the whole that the search is measured against. */
static int try_all(struct work *work, struct ws_error *err)
{
    const struct ws_search *exhaustive = NULL;
    struct ws_search_task task = work->task;
    task.budget = work->space;
    int rc = ws_search_find(&exhaustive, "exhaustive", err);
    if (rc == 0)
        rc = ws_search_run(&work->whole, exhaustive, &task, err);
    return rc == 0 ? ws_search_volume_ratio(&work->volume_ratio, &work->task,
                                            &work->trials, &work->whole, err)
                   : rc;
}

static int print_json(const struct work *work, const struct args *args, size_t front_size,
                      struct ws_error *err)
{
    json_t *root = json_pack(
        "{s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:f}", "testbed", work->testbed.name,
        "search", args->search_name, "seed", (json_int_t)args->seed, "truth",
        ws_truth_name(work->truth), "evaluated", (json_int_t)work->trials.count, "space",
        (json_int_t)work->space, "front_size", (json_int_t)front_size, "plan_size",
        (json_int_t)work->plan.entry_count, "hypervolume_ratio", work->volume_ratio);
    int rc = root == NULL ? ws_error_nomem(err) : ws_json_write("-", root, err);
    json_decref(root);
    return rc;
}

static int by_energy(const void *a, const void *b)
{
    const struct ws_plan_entry *x = a;
    const struct ws_plan_entry *y = b;
    double dx = x->outcome.value[WS_ENERGY_J];
    double dy = y->outcome.value[WS_ENERGY_J];
    return (dx > dy) - (dx < dy);
}

static int plan_study(const struct args *args, struct ws_error *err)
{
    const struct ws_plan_study_options options = {
        .plan_path = args->plan_path, .plot_path = args->plot_path, .json = args->json};
    return ws_cli_plan_study_file(args->testbed_path, &options, err);
}

static int plan(const struct args *args, struct ws_error *err)
{
    struct work work = {0};
    const struct ws_search *search = NULL;
    int rc = ws_search_find(&search, args->search_name, err);
    if (rc == 0)
        rc = open_testbed(&work, args, err);
    if (rc == 0)
        rc = ws_search_run(&work.trials, search, &work.task, err);
    if (rc == 0)
        rc = ws_plan_from_trials(&work.plan, work.testbed.name, &work.task, &work.trials,
                                 err);
    if (rc == 0)
        rc = try_all(&work, err);
    if (rc == 0) {
        qsort(work.plan.entries, work.plan.entry_count, sizeof(*work.plan.entries),
              by_energy);
        if (args->plan_path != NULL)
            rc = ws_plan_save(&work.plan, args->plan_path, err);
    }
    if (rc == 0 && args->plot_path != NULL)
        rc = ws_plot_plan(args->plot_path, &work.plan, &work.trials,
                          ws_truth_name(work.truth), err);
    size_t front_size = ws_cli_front_size(&work.plan);
    if (rc == 0 && args->json) {
        rc = print_json(&work, args, front_size, err);
    } else if (rc == 0) {
        ws_cli_print_front(&work.plan);
        printf("%s (%s): %s, seed %llu: %zu of %zu settings tried, %zu on the front, "
               "%zu in the plan, hypervolume %.4f of the whole\n",
               work.testbed.name, ws_truth_name(work.truth), args->search_name,
               (unsigned long long)args->seed, work.trials.count, work.space, front_size,
               work.plan.entry_count, work.volume_ratio);
    }
    work_fini(&work);
    return rc;
}

int ws_cmd_plan(int argc, char **argv)
{
    struct args args = {.search_name = "guided", .seed = 1};
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    if (ws_cli_parse(&status, &args, argc, argv, &usage) != 0)
        return status;
    args.testbed_path = argv[optind];
    int rc =
        ws_cli_is_study(args.testbed_path) ? plan_study(&args, &err) : plan(&args, &err);
    return rc == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
