/*
 * How good the plans of each search are at the same budget, over 31 seeds: the energy
 * that DynaSplit's rule serves a workload with from the plan, against the plan of the
 * whole table; the share of deadlines met; the hypervolume. By the table's means. Then
 * how long plans and tables take to load.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/stats.h"
#include "search/quality.h"
#include "study/planfile.h"
#include "study/recorded.h"
#include "study/workload.h"

enum { SEEDS = 31, BUDGET_LEAST = 12 };

static _Noreturn void fail(const struct ws_error *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

struct point {
    double latency_ms;
    double energy_j;
};

struct served {
    double energy_j;
    double met_pct;
};

static int by_energy(const void *a, const void *b)
{
    const struct point *x = a;
    const struct point *y = b;
    if (x->energy_j != y->energy_j)
        return x->energy_j < y->energy_j ? -1 : 1;
    return (x->latency_ms > y->latency_ms) - (x->latency_ms < y->latency_ms);
}

/* In order of energy the first entry that meets the deadline, else the fastest. */
static struct served serve(const struct ws_plan *plan, const struct ws_workload *workload)
{
    struct point *points = malloc(plan->entry_count * sizeof(*points));
    struct point fastest = {INFINITY, 0};
    double sum = 0;
    double met = 0;
    for (size_t i = 0; i < plan->entry_count; i++) {
        const double *value = plan->entries[i].outcome.value;
        points[i] = (struct point){value[WS_LATENCY_MS], value[WS_ENERGY_J]};
        if (points[i].latency_ms < fastest.latency_ms)
            fastest = points[i];
    }
    qsort(points, plan->entry_count, sizeof(*points), by_energy);
    for (size_t r = 0; r < workload->count; r++) {
        double deadline_ms = workload->requests[r].deadline_ms;
        const struct point *choice = &fastest;
        for (size_t i = 0; i < plan->entry_count; i++) {
            if (points[i].latency_ms <= deadline_ms) {
                choice = &points[i];
                break;
            }
        }
        sum += choice->energy_j;
        met += choice->latency_ms <= deadline_ms;
    }
    free(points);
    double count = (double)workload->count;
    return (struct served){sum / count, 100 * met / count};
}

/* One search: its plan served, and its trials' share of the whole's hypervolume. */
static struct served try_search(double *out_volume, const struct ws_search *search,
                                const struct ws_search_task *task,
                                const struct ws_trials *whole,
                                const struct ws_workload *workload)
{
    struct ws_error err = {0};
    struct ws_trials trials = {0};
    struct ws_plan plan = {0};
    if (ws_search_run(&trials, search, task, &err) != 0 ||
        ws_plan_from_trials(&plan, "bench", task, &trials, &err) != 0 ||
        ws_search_volume_ratio(out_volume, task, &trials, whole, &err) != 0)
        fail(&err);
    struct served served = serve(&plan, workload);
    ws_plan_fini(&plan);
    ws_trials_fini(&trials);
    return served;
}

static void print_search(const char *name, const struct ws_search_task *whole_task,
                         const struct ws_trials *whole, const struct served *all,
                         const struct ws_workload *workload)
{
    double excess[SEEDS];
    double met[SEEDS];
    double volume[SEEDS];
    struct ws_error err = {0};
    const struct ws_search *search = NULL;
    struct ws_search_task task = *whole_task;
    if (ws_search_find(&search, name, &err) != 0)
        fail(&err);
    int64_t start = ws_clock_now_ns();
    for (size_t i = 0; i < SEEDS; i++) {
        task.seed = i + 1;
        struct served one = try_search(&volume[i], search, &task, whole, workload);
        excess[i] = 100 * (one.energy_j / all->energy_j - 1);
        met[i] = one.met_pct - all->met_pct;
    }
    double seconds = (double)(ws_clock_now_ns() - start) / 1e9 / SEEDS;
    ws_stats_sort(met, SEEDS);
    ws_stats_sort(excess, SEEDS);
    printf("  %-7s %+8.2f %+8.2f %+8.2f %+8.2f %9.4f %9.3f\n", name, excess[SEEDS / 2],
           excess[SEEDS - 1], met[SEEDS / 2], met[0], ws_stats_median(volume, SEEDS),
           seconds);
}

static void compare(const char *testbed_path, const char *workload_path)
{
    static const char *const names[] = {"random", "nsga3", "screen", "guided"};
    struct ws_error err = {0};
    struct ws_testbed testbed = {0};
    struct ws_table table = {0};
    struct ws_workload workload = {0};
    struct ws_trials whole = {0};
    struct ws_evaluator *evaluator = NULL;
    const struct ws_search *exhaustive = NULL;
    double volume = 0;
    if (ws_testbed_load(&testbed, testbed_path, &err) != 0 ||
        ws_table_load(&table, &testbed, &err) != 0 ||
        ws_workload_load(&workload, workload_path, &err) != 0 ||
        ws_recorded_create(&evaluator, &table, WS_NOISE_NONE, &err) != 0 ||
        ws_search_find(&exhaustive, "exhaustive", &err) != 0)
        fail(&err);
    struct ws_search_task task = {.evaluator = evaluator,
                                  .objective_count = testbed.objective_count,
                                  .budget = table.setting_count};
    memcpy(task.objectives, testbed.objectives, sizeof(task.objectives));
    if (ws_search_run(&whole, exhaustive, &task, &err) != 0)
        fail(&err);
    struct served all = try_search(&volume, exhaustive, &task, &whole, &workload);
    task.budget = table.setting_count / 20;
    if (task.budget < BUDGET_LEAST)
        task.budget = BUDGET_LEAST;
    printf("%s (%s), %zu requests: %zu of %zu settings, %d seeds; the whole table's plan "
           "serves with %.3f J and meets %.2f %%\n",
           testbed.name, ws_truth_name(testbed.truth), workload.count, task.budget,
           table.setting_count, SEEDS, all.energy_j, all.met_pct);
    printf("  %-7s %8s %8s %8s %8s %9s %9s\n  %-7s %8s %8s %8s %8s %9s %9s\n", "search",
           "energy,%", "worst", "met,pts", "worst", "hypervol.", "s/search", "", "median",
           "", "median", "", "median", "");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        print_search(names[i], &task, &whole, &all, &workload);
    ws_trials_fini(&whole);
    ws_evaluator_destroy(evaluator);
    ws_workload_fini(&workload);
    ws_table_fini(&table);
    ws_testbed_fini(&testbed);
}

/* --- Loading -------------------------------------------------------------------------
 */

static const char space_text[] =
    "{\"name\": \"large\", \"objectives\": [\"latency_ms\", \"energy_j\"], \"knobs\": {"
    "\"cut\": {\"part\": \"shared\", \"kind\": \"ordered\", \"values\": [%s]},"
    "\"khz\": {\"part\": \"edge\", \"kind\": \"ordered\", \"values\": [%s]},"
    "\"gpu\": {\"part\": \"cloud\", \"kind\": \"nominal\","
    " \"values\": [\"off\", \"on\"]}}}";

static void make_space(struct ws_testbed *out)
{
    struct ws_error err = {0};
    struct ws_buf cuts;
    struct ws_buf clocks;
    struct ws_buf text;
    ws_buf_init(&cuts, 0);
    ws_buf_init(&clocks, 0);
    ws_buf_init(&text, 0);
    for (int i = 0; i < 500; i++)
        (void)ws_buf_printf(&cuts, &err, "%s%d", i > 0 ? "," : "", i);
    for (int i = 1; i <= 100; i++)
        (void)ws_buf_printf(&clocks, &err, "%s%d", i > 1 ? "," : "", i * 20000);
    (void)ws_buf_printf(&text, &err, space_text, cuts.data, clocks.data);
    if (ws_testbed_parse(out, text.data, text.size, "large", "", &err) != 0)
        fail(&err);
    ws_buf_fini(&cuts);
    ws_buf_fini(&clocks);
    ws_buf_fini(&text);
}

static void load_plan(const struct ws_space *space, size_t entries)
{
    struct ws_error err = {0};
    char path[] = "/tmp/wattshed-bench-XXXXXX";
    double best_ms = INFINITY;
    struct ws_plan plan = {.testbed = strdup("large"), .objective_count = 2};
    plan.objectives[1] = WS_ENERGY_J;
    plan.entries = calloc(entries, sizeof(*plan.entries));
    plan.stage_lists = calloc(1, sizeof(*plan.stage_lists));
    plan.stage_list_count = 1;
    plan.entry_count = entries;
    int fd = mkstemp(path);
    if (fd < 0 || ws_space_copy(&plan.space, space, &err) != 0 ||
        ws_stage_list_default(&plan.stage_lists[0], space, &err) != 0)
        fail(&err);
    for (size_t i = 0; i < entries; i++) {
        ws_setting_from_index(&plan.entries[i].setting, space, i * 7);
        for (int m = 0; m < WS_EDGE_MEM_BYTES; m++)
            ws_outcome_set(&plan.entries[i].outcome, (enum ws_measure)m,
                           1 / (1.0 + (double)i + m));
    }
    if (ws_plan_save(&plan, path, &err) != 0)
        fail(&err);
    for (int round = 0; round < 5; round++) {
        struct ws_plan loaded;
        int64_t start = ws_clock_now_ns();
        if (ws_plan_load(&loaded, path, &err) != 0)
            fail(&err);
        best_ms = fmin(best_ms, (double)(ws_clock_now_ns() - start) / 1e6);
        ws_plan_fini(&loaded);
    }
    printf("loading a plan of %zu entries: %.1f ms (best of 5)\n", entries, best_ms);
    close(fd);
    unlink(path);
    ws_plan_fini(&plan);
}

static void load_table(const struct ws_testbed *testbed, size_t rows)
{
    struct ws_error err = {0};
    struct ws_table table;
    struct ws_buf text;
    ws_buf_init(&text, 0);
    (void)ws_buf_add_text(&text,
                          "knob.cut,knob.khz,knob.gpu,latency_ms,energy_j,accuracy,"
                          "edge_ms,transfer_ms,cloud_ms,tensor_bytes\n",
                          &err);
    for (size_t i = 0; i < rows; i++)
        (void)ws_buf_printf(&text, &err,
                            "%zu,%zu,%s,%zu.25,0.%zu,0.9,%zu.5,7.25,9,10000\n", i % 500,
                            (1 + i / 500 % 100) * 20000,
                            i / 50000 % 2 == 0 ? "off" : "on", i % 977, i % 991, i % 97);
    int64_t start = ws_clock_now_ns();
    if (ws_table_parse(&table, testbed, text.data, text.size, "large", &err) != 0)
        fail(&err);
    printf("loading a table of %zu rows, %zu settings, %.0f MB: %.2f s\n", rows,
           table.setting_count, (double)text.size / 1e6,
           (double)(ws_clock_now_ns() - start) / 1e9);
    ws_table_fini(&table);
    ws_buf_fini(&text);
}

static void load_all(void)
{
    struct ws_testbed large;
    make_space(&large);
    load_plan(&large.space, 1000);
    load_plan(&large.space, 10000);
    load_table(&large, 100000);
    load_table(&large, 1000000);
    ws_testbed_fini(&large);
}

int main(int argc, char **argv)
{
    /* Pairs of testbed and workload. */
    for (int i = 1; i + 1 < argc; i += 2)
        compare(argv[i], argv[i + 1]);
    load_all();
    return 0;
}
