#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/parse.h"
#include "cli/command.h"
#include "replay/compare.h"
#include "replay/oracle.h"
#include "replay/profile.h"
#include "replay/report.h"
#include "search/search.h"
#include "study/planfile.h"
#include "study/recorded.h"
#include "study/testbed.h"

enum { POLICIES_MAX = 32, SEEDS_MAX = 10000 };

struct args {
    const char *testbed_path, *workload_path, *link_path, *plan_path, *report_path;
    char *policies; /* cut up in place into names */
    const char *names[POLICIES_MAX];
    size_t name_count;
    int all;
    const char *search, *budget;
    double guard;
    enum ws_noise noise;
    const char *noise_name;
    uint64_t seed;
    size_t seeds;
    enum ws_agent_order order;
    int refuse_late, json, no_oracle;
};

/* Everything that a replay stands on, in the order in which it is made. */
struct stage {
    struct ws_testbed testbed;
    struct ws_table table;
    struct ws_workload workload;
    struct ws_trace trace;
    struct ws_evaluator *evaluator;
    struct ws_setting *settings;
    struct ws_plan plan;
    size_t evaluated;
    struct ws_profile profile;
    struct ws_spreads world_spreads, plan_spreads;
    struct ws_world world;
    struct ws_replay_task task;
};

static void print_help(void)
{
    fputs(
        "usage: wattshed replay TESTBED.json --workload W.csv [OPTION ...]\n\n"
        "Serves a workload from a recorded testbed on a virtual clock, once with every\n"
        "policy, and compares them with each other and with oracles.\n\n"
        "  --policy A,B,...   policies to compare (default all that the testbed\n"
        "                     allows):\n",
        stdout);
    for (const struct ws_policy_ops *const *p = ws_policy_all(); *p != NULL; p++)
        printf("                       %-14s %s\n", (*p)->name, (*p)->summary);
    fputs(
        "                     oracle and mean-oracle are added; guard-oracle may be\n"
        "                     named\n"
        "  --search S         search the plan comes from (default exhaustive)\n"
        "  --budget F|N       trials of the search: a share up to 1, or a number above\n"
        "                     (default 1: as many as there are settings)\n"
        "  --plan FILE        take a plan that was saved, instead of a search\n"
        "  --guard P|off      probability with which `wattshed` keeps a deadline\n"
        "                     (default 0.95)\n"
        "  --noise KIND       own: an execution is one of the setting's recorded "
        "samples\n"
        "                     (default); pooled: and settings with fewer than five vary\n"
        "                     as the others do; none: every execution gives the mean\n"
        "  --link TRACE.csv   how the link changes: time_s and link_mbit_s, "
        "link_delay_ms\n"
        "                     or link_scale\n"
        "  --order O          fifo (default) or deadline: who is next when requests "
        "wait\n"
        "  --refuse           refuse requests that are not foreseen to be in time\n"
        "  --seed N           of all random draws (default 1)\n"
        "  --seeds N          runs N seeds, from --seed on, and shows 95 % intervals\n"
        "  --json             print JSON\n"
        "  --report FILE.html write a page with plots\n"
        "  -h, --help         this text\n",
        stdout);
}

/* ---- arguments ---- */

enum {
    OPT_WORKLOAD = 256,
    OPT_POLICY,
    OPT_SEARCH,
    OPT_BUDGET,
    OPT_PLAN,
    OPT_GUARD,
    OPT_NOISE,
    OPT_LINK,
    OPT_ORDER,
    OPT_REFUSE,
    OPT_SEED,
    OPT_SEEDS,
    OPT_JSON,
    OPT_REPORT
};

static const struct option long_options[] = {
    {"workload", required_argument, NULL, OPT_WORKLOAD},
    {"policy", required_argument, NULL, OPT_POLICY},
    {"search", required_argument, NULL, OPT_SEARCH},
    {"budget", required_argument, NULL, OPT_BUDGET},
    {"plan", required_argument, NULL, OPT_PLAN},
    {"guard", required_argument, NULL, OPT_GUARD},
    {"noise", required_argument, NULL, OPT_NOISE},
    {"link", required_argument, NULL, OPT_LINK},
    {"order", required_argument, NULL, OPT_ORDER},
    {"refuse", no_argument, NULL, OPT_REFUSE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"seeds", required_argument, NULL, OPT_SEEDS},
    {"json", no_argument, NULL, OPT_JSON},
    {"report", required_argument, NULL, OPT_REPORT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int read_guard(double *out, const char *text, struct ws_error *err)
{
    double p;
    if (strcmp(text, "off") == 0) {
        *out = 0;
        return 0;
    }
    int rc = ws_parse_double(&p, text, "--guard", err);
    if (rc != 0)
        return rc;
    if (!(p > 0 && p < 1))
        return ws_error_set(err, WS_E_USAGE,
                            "--guard %s: expected a probability between 0 and 1, or off",
                            text);
    *out = p;
    return 0;
}

static int read_policies(struct args *args, const char *text, struct ws_error *err)
{
    char *rest = NULL;
    free(args->policies);
    args->policies = strdup(text);
    if (args->policies == NULL)
        return ws_error_nomem(err);
    args->name_count = 0;
    for (char *name = strtok_r(args->policies, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        if (args->name_count == POLICIES_MAX)
            return ws_error_set(err, WS_E_LIMIT, "--policy: more than %d names",
                                POLICIES_MAX);
        args->names[args->name_count++] = name;
    }
    if (args->name_count == 0)
        return ws_error_set(err, WS_E_USAGE, "--policy: expected names, got \"%s\"",
                            text);
    args->all = args->name_count == 1 && strcmp(args->names[0], "all") == 0;
    return 0;
}

static int read_order(enum ws_agent_order *out, const char *text, struct ws_error *err)
{
    if (strcmp(text, "fifo") == 0)
        *out = WS_AGENT_FIFO;
    else if (strcmp(text, "deadline") == 0)
        *out = WS_AGENT_DEADLINE;
    else
        return ws_error_set(err, WS_E_USAGE, "--order %s: expected fifo or deadline",
                            text);
    return 0;
}

static int read_seed(uint64_t *out, const char *text, struct ws_error *err)
{
    int64_t seed;
    int rc = ws_parse_i64(&seed, text, 0, INT64_MAX - SEEDS_MAX, "--seed", err);
    if (rc == 0)
        *out = (uint64_t)seed;
    return rc;
}

static int read_option(struct args *args, int option, const char *value,
                       struct ws_error *err)
{
    switch (option) {
    case OPT_WORKLOAD:
        args->workload_path = value;
        return 0;
    case OPT_POLICY:
        return read_policies(args, value, err);
    case OPT_SEARCH:
        args->search = value;
        return 0;
    case OPT_BUDGET:
        args->budget = value;
        return 0;
    case OPT_PLAN:
        args->plan_path = value;
        return 0;
    case OPT_GUARD:
        return read_guard(&args->guard, value, err);
    case OPT_NOISE:
        args->noise_name = value;
        return ws_noise_find(&args->noise, value, err);
    case OPT_LINK:
        args->link_path = value;
        return 0;
    case OPT_ORDER:
        return read_order(&args->order, value, err);
    case OPT_REFUSE:
        args->refuse_late = 1;
        return 0;
    case OPT_SEED:
        return read_seed(&args->seed, value, err);
    case OPT_SEEDS:
        return ws_parse_size(&args->seeds, value, 1, SEEDS_MAX, "--seeds", err);
    case OPT_JSON:
        args->json = 1;
        return 0;
    default:
        args->report_path = value;
        return 0;
    }
}

/* Every policy whose needs the testbed meets. */
static int policy_possible(const struct stage *stage, const struct ws_policy_ops *ops)
{
    struct ws_policy *policy = NULL;
    if (ops->create(&policy, &stage->plan, &stage->task.options, NULL) != 0)
        return 0;
    ws_policy_destroy(policy);
    return 1;
}

static void name_all(struct args *args, const struct stage *stage)
{
    args->name_count = 0;
    for (const struct ws_policy_ops *const *p = ws_policy_all(); *p != NULL; p++) {
        if (policy_possible(stage, *p))
            args->names[args->name_count++] = (*p)->name;
    }
}

/* ---- what a replay stands on ---- */

static int read_budget(size_t *out, const char *text, size_t space, struct ws_error *err)
{
    double budget = 1;
    int rc = text == NULL ? 0 : ws_parse_double(&budget, text, "--budget", err);
    if (rc != 0)
        return rc;
    if (!(budget > 0) || (budget > 1 && budget != floor(budget)) || budget > 1e9)
        return ws_error_set(err, WS_E_USAGE,
                            "--budget %s: expected a share up to 1 or a number of trials",
                            text);
    *out = budget <= 1 ? (size_t)ceil(budget * (double)space - 1e-9) : (size_t)budget;
    return 0;
}

static int make_plan(struct stage *stage, const struct args *args, struct ws_error *err)
{
    const struct ws_search *search = NULL;
    struct ws_trials trials = {0};
    struct ws_search_task task = {
        .evaluator = stage->evaluator,
        .objective_count = stage->testbed.objective_count,
        .reference = stage->table.reference,
        .edge_idle_w = stage->testbed.edge_idle_w,
        .seed = args->seed,
    };
    memcpy(task.objectives, stage->testbed.objectives, sizeof(task.objectives));
    int rc = ws_search_find(&search, args->search, err);
    if (rc == 0)
        rc = read_budget(&task.budget, args->budget, stage->table.setting_count, err);
    if (rc == 0)
        rc = ws_search_run(&trials, search, &task, err);
    if (rc == 0)
        rc = ws_plan_from_trials(&stage->plan, stage->testbed.name, &task, &trials, err);
    stage->evaluated = trials.count;
    ws_trials_fini(&trials);
    return rc;
}

/* A plan of another space would choose settings that mean something else here. */
static int check_plan(const struct stage *stage, const char *path, struct ws_error *err)
{
    const struct ws_space *a = &stage->plan.space, *b = &stage->testbed.space;
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
                            stage->testbed.name);
    return 0;
}

static int list_settings(struct stage *stage, struct ws_error *err)
{
    stage->settings = calloc(stage->table.setting_count + 1, sizeof(*stage->settings));
    if (stage->settings == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < stage->table.setting_count; i++)
        ws_table_setting(&stage->settings[i], &stage->table, i);
    return 0;
}

static int spreads_of(struct stage *stage, enum ws_noise noise, struct ws_error *err)
{
    struct ws_setting *chosen = calloc(stage->plan.entry_count + 1, sizeof(*chosen));
    if (chosen == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < stage->plan.entry_count; i++)
        chosen[i] = stage->plan.entries[i].setting;
    int rc = ws_spreads_create(&stage->plan_spreads, &stage->table, noise, chosen,
                               stage->plan.entry_count, err);
    free(chosen);
    if (rc == 0)
        rc = ws_spreads_create(&stage->world_spreads, &stage->table, noise,
                               stage->settings, stage->table.setting_count, err);
    return rc;
}

static const struct ws_setting *baseline(const struct stage *stage, const char *name)
{
    const struct ws_baseline *found = ws_testbed_baseline(&stage->testbed, name);
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

static void assemble(struct stage *stage, const struct args *args)
{
    int noisy = args->noise == WS_NOISE_POOLED; /* otherwise those give their mean */
    stage->world = (struct ws_world){
        .evaluator = stage->evaluator,
        .settings = stage->settings,
        .setting_count = stage->table.setting_count,
        .reference = &stage->table.reference,
        .trace = &stage->trace,
        .least_latency = noisy ? least_of(&stage->table, 0) : 1,
        .least_energy = noisy ? least_of(&stage->table, 1) : 1,
        .pooled = stage->world_spreads.pooled,
        .own = stage->world_spreads.own,
    };
    stage->task = (struct ws_replay_task){
        .world = &stage->world,
        .workload = &stage->workload,
        .plan = &stage->plan,
        .options = {.guard = args->guard,
                    .cloud_only = baseline(stage, "cloud-only"),
                    .edge_only = baseline(stage, "edge-only"),
                    .profile = stage->profile.entries,
                    .profile_count = stage->profile.count,
                    .pooled = stage->plan_spreads.pooled,
                    .own = stage->plan_spreads.own,
                    .switch_ms = stage->testbed.switch_ms,
                    .idle_w = stage->testbed.edge_idle_w},
        .order = args->order,
        .refuse_late = args->refuse_late,
        .cut_knob = shared_knob(&stage->testbed.space),
    };
}

static int prepare(struct stage *stage, const struct args *args, struct ws_error *err)
{
    int rc = ws_testbed_load(&stage->testbed, args->testbed_path, err);
    if (rc == 0 && stage->testbed.table_path == NULL)
        rc = ws_error_set(err, WS_E_UNSUPPORTED,
                          "%s: replay needs a recorded \"table\", and there is none",
                          args->testbed_path);
    if (rc == 0)
        rc = ws_table_load(&stage->table, &stage->testbed, err);
    if (rc == 0)
        rc = ws_workload_load(&stage->workload, args->workload_path, err);
    if (rc == 0 && args->link_path != NULL)
        rc = ws_trace_load(&stage->trace, args->link_path, &stage->table.reference, err);
    if (rc == 0)
        rc = ws_recorded_create(&stage->evaluator, &stage->table, args->noise, err);
    if (rc == 0)
        rc = list_settings(stage, err);
    if (rc == 0 && args->plan_path != NULL) {
        rc = ws_plan_load(&stage->plan, args->plan_path, err);
        if (rc == 0)
            rc = check_plan(stage, args->plan_path, err);
        stage->evaluated = rc == 0 ? stage->plan.entry_count : 0;
    } else if (rc == 0) {
        rc = make_plan(stage, args, err);
    }
    if (rc == 0)
        rc = ws_profile_create(&stage->profile, stage->evaluator,
                               baseline(stage, "cloud-only"),
                               baseline(stage, "edge-only"), err);
    if (rc == 0)
        rc = spreads_of(stage, args->noise, err);
    if (rc == 0)
        assemble(stage, args);
    return rc;
}

static void stage_fini(struct stage *stage)
{
    ws_spreads_fini(&stage->plan_spreads);
    ws_spreads_fini(&stage->world_spreads);
    ws_profile_fini(&stage->profile);
    ws_plan_fini(&stage->plan);
    free(stage->settings);
    ws_evaluator_destroy(stage->evaluator);
    ws_trace_fini(&stage->trace);
    ws_workload_fini(&stage->workload);
    ws_table_fini(&stage->table);
    ws_testbed_fini(&stage->testbed);
}

/* ---- results ---- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static struct ws_report_head head_of(const struct stage *stage, const struct args *args)
{
    size_t knob = stage->task.cut_knob;
    return (struct ws_report_head){
        .testbed = stage->testbed.name,
        .workload = file_name(args->workload_path),
        .source = stage->testbed.source,
        .energy_boundary = stage->testbed.energy_boundary,
        .truth = ws_truth_name(stage->testbed.truth),
        .noise = args->noise_name,
        .search = args->plan_path != NULL ? file_name(args->plan_path) : args->search,
        .link = args->link_path == NULL ? NULL : file_name(args->link_path),
        .evaluated = stage->evaluated,
        .plan_size = stage->plan.entry_count,
        .seed = args->seed,
        .guard = args->guard,
        .cut_knob = knob == (size_t)-1 ? NULL : &stage->testbed.space.knobs[knob],
    };
}

/* Things that are no error, and that who reads the figures should know. */
static void print_notes(const struct stage *stage, const struct ws_comparison *comparison)
{
    double fastest = INFINITY;
    size_t hopeless = 0;
    for (size_t i = 0; i < stage->table.setting_count; i++) {
        double ms;
        if (ws_outcome_get(&ms, &stage->table.means[i], WS_LATENCY_MS) == 0)
            fastest = fmin(fastest, ms);
    }
    for (size_t i = 0; i < stage->workload.count; i++)
        hopeless += stage->workload.requests[i].deadline_ms < fastest;
    if (hopeless > 0)
        fprintf(stderr,
                "wattshed: %zu of %zu deadlines are below %.6g ms, the mean of the "
                "fastest setting\n",
                hopeless, stage->workload.count, fastest);
    if (comparison->no_oracle)
        fprintf(stderr,
                "wattshed: oracle is left out for %zu requests x %zu settings; name it "
                "in --policy to have it\n",
                stage->workload.count, stage->world.setting_count);
    if (stage->table.link_estimated && stage->trace.count > 0)
        fprintf(stderr, "wattshed: the testbed does not say over which link it was "
                        "recorded; it is estimated from bytes and times\n");
}

static int print_results(const struct ws_report_head *head, const struct args *args,
                         const struct ws_comparison *comparison, struct ws_error *err)
{
    struct ws_buf buf;
    json_t *root = NULL;
    int rc = 0;
    ws_buf_init(&buf, 0);
    if (args->report_path != NULL) {
        rc = ws_report_html(&buf, head, comparison, err);
        if (rc == 0)
            rc = ws_file_write(args->report_path, buf.data, buf.size, err);
        ws_buf_clear(&buf);
    }
    if (rc == 0 && args->json) {
        rc = ws_report_json(&root, head, comparison, err);
        if (rc == 0)
            rc = ws_json_write("-", root, err);
        json_decref(root);
    } else if (rc == 0) {
        rc = ws_report_text(&buf, head, comparison, err);
        if (rc == 0)
            fputs(buf.data, stdout);
    }
    ws_buf_fini(&buf);
    return rc;
}

static int replay(struct args *args, struct ws_error *err)
{
    struct stage stage = {0};
    struct ws_comparison comparison = {0};
    int rc = prepare(&stage, args, err);
    if (rc == 0 && args->all)
        name_all(args, &stage);
    if (rc == 0)
        rc = ws_compare(&comparison, &stage.task, args->names, args->name_count,
                        args->seed, args->seeds, err);
    if (rc == 0) {
        struct ws_report_head head = head_of(&stage, args);
        print_notes(&stage, &comparison);
        rc = print_results(&head, args, &comparison, err);
    }
    ws_comparison_fini(&comparison);
    stage_fini(&stage);
    return rc;
}

int ws_cmd_replay(int argc, char **argv)
{
    struct ws_error err = {0};
    struct args args = {
        .search = "exhaustive",
        .guard = 0.95,
        .noise = WS_NOISE_OWN,
        .noise_name = "own",
        .seed = 1,
        .seeds = 1,
        .all = 1,
    };
    int option, rc = 0;
    optind = 1;
    while (rc == 0 && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            free(args.policies);
            return WS_EXIT_OK;
        }
        if (option == '?') {
            free(args.policies);
            return WS_EXIT_USAGE;
        }
        rc = read_option(&args, option, optarg, &err);
    }
    if (rc != 0) {
        free(args.policies);
        return ws_cli_usage_error("replay", "%s", err.text);
    }
    if (optind + 1 != argc || args.workload_path == NULL) {
        free(args.policies);
        return ws_cli_usage_error("replay", optind + 1 != argc
                                                ? "expected one testbed file"
                                                : "--workload is missing");
    }
    args.testbed_path = argv[optind];
    rc = replay(&args, &err);
    free(args.policies);
    return rc == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
