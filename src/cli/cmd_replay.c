#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/parse.h"
#include "cli/command.h"
#include "replay/input.h"
#include "replay/report.h"

enum { POLICIES_MAX = 32, SEEDS_MAX = 10000 };

struct args {
    struct ws_replay_options input;
    const char *report_path;
    char *policies; /* cut up in place into names */
    const char *names[POLICIES_MAX];
    size_t name_count;
    int all;
    const char *noise_name;
    size_t seeds;
    int json;
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
        "  --agent FILE       of `dvfo`, as `wattshed learn` wrote it\n"
        "  --eta E            of `dvfo`: what energy weighs, up to 1 (default 0.5)\n"
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
    OPT_AGENT,
    OPT_ETA,
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
    {"agent", required_argument, NULL, OPT_AGENT},
    {"eta", required_argument, NULL, OPT_ETA},
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

static int read_eta(double *out, const char *text, struct ws_error *err)
{
    double eta;
    int rc = ws_parse_double(&eta, text, "--eta", err);
    if (rc != 0)
        return rc;
    if (!(eta > 0 && eta <= 1))
        return ws_error_set(err, WS_E_USAGE, "--eta %s: expected above 0, up to 1", text);
    *out = eta;
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

static int read_budget(double *out, const char *text, struct ws_error *err)
{
    double budget;
    int rc = ws_parse_double(&budget, text, "--budget", err);
    if (rc != 0)
        return rc;
    if (!(budget > 0) || (budget > 1 && budget != floor(budget)) || budget > 1e9)
        return ws_error_set(err, WS_E_USAGE,
                            "--budget %s: expected a share up to 1 or a number of trials",
                            text);
    *out = budget;
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
        args->input.workload_path = value;
        return 0;
    case OPT_POLICY:
        return read_policies(args, value, err);
    case OPT_SEARCH:
        args->input.search = value;
        return 0;
    case OPT_BUDGET:
        return read_budget(&args->input.budget, value, err);
    case OPT_PLAN:
        args->input.plan_path = value;
        return 0;
    case OPT_GUARD:
        return read_guard(&args->input.guard, value, err);
    case OPT_AGENT:
        args->input.agent_path = value;
        return 0;
    case OPT_ETA:
        return read_eta(&args->input.eta, value, err);
    case OPT_NOISE:
        args->noise_name = value;
        return ws_noise_find(&args->input.noise, value, err);
    case OPT_LINK:
        args->input.link_path = value;
        return 0;
    case OPT_ORDER:
        return read_order(&args->input.order, value, err);
    case OPT_REFUSE:
        args->input.refuse_late = 1;
        return 0;
    case OPT_SEED:
        return read_seed(&args->input.seed, value, err);
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
static int policy_possible(const struct ws_replay_input *input,
                           const struct ws_policy_ops *ops)
{
    struct ws_policy *policy = NULL;
    if (ops->create(&policy, &input->plan, &input->task.options, NULL) != 0)
        return 0;
    ws_policy_destroy(policy);
    return 1;
}

static void name_all(struct args *args, const struct ws_replay_input *input)
{
    args->name_count = 0;
    for (const struct ws_policy_ops *const *p = ws_policy_all(); *p != NULL; p++) {
        if (policy_possible(input, *p))
            args->names[args->name_count++] = (*p)->name;
    }
}

/* ---- results ---- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static struct ws_report_head head_of(const struct ws_replay_input *input,
                                     const struct args *args)
{
    size_t knob = input->task.cut_knob;
    return (struct ws_report_head){
        .testbed = input->testbed.name,
        .workload = file_name(args->input.workload_path),
        .source = input->testbed.source,
        .energy_boundary = input->testbed.energy_boundary,
        .truth = ws_truth_name(input->testbed.truth),
        .noise = args->noise_name,
        .search = args->input.plan_path != NULL ? file_name(args->input.plan_path)
                                                : args->input.search,
        .link = args->input.link_path == NULL ? NULL : file_name(args->input.link_path),
        .evaluated = input->evaluated,
        .plan_size = input->plan.entry_count,
        .seed = args->input.seed,
        .guard = args->input.guard,
        .cut_knob = knob == (size_t)-1 ? NULL : &input->testbed.space.knobs[knob],
    };
}

/* Things that are no error, and that who reads the figures should know. */
static void print_notes(const struct ws_replay_input *input,
                        const struct ws_comparison *comparison)
{
    double fastest_ms;
    size_t hopeless = ws_replay_hopeless(&fastest_ms, input);
    if (hopeless > 0)
        fprintf(stderr,
                "wattshed: %zu of %zu deadlines are below %.6g ms, the mean of the "
                "fastest setting\n",
                hopeless, input->workload.count, fastest_ms);
    if (comparison->no_oracle)
        fprintf(stderr,
                "wattshed: oracle is left out for %zu requests x %zu settings; name it "
                "in --policy to have it\n",
                input->workload.count, input->world.setting_count);
    if (input->table.link_estimated && input->trace.count > 0)
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
    struct ws_replay_input input = {0};
    struct ws_comparison comparison = {0};
    int rc = ws_replay_input_init(&input, &args->input, err);
    if (rc == 0 && args->all)
        name_all(args, &input);
    if (rc == 0)
        rc = ws_compare(&comparison, &input.task, args->names, args->name_count,
                        args->input.seed, args->seeds, err);
    if (rc == 0) {
        struct ws_report_head head = head_of(&input, args);
        print_notes(&input, &comparison);
        rc = print_results(&head, args, &comparison, err);
    }
    ws_comparison_fini(&comparison);
    ws_replay_input_fini(&input);
    return rc;
}

int ws_cmd_replay(int argc, char **argv)
{
    struct ws_error err = {0};
    struct args args = {
        .input = {.search = "exhaustive",
                  .budget = 1,
                  .guard = 0.95,
                  .noise = WS_NOISE_OWN,
                  .seed = 1},
        .noise_name = "own",
        .seeds = 1,
        .all = 1,
    };
    int option, rc = 0;
    optind = 1;
    opterr = 0;
    while (rc == 0 &&
           (option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            free(args.policies);
            return WS_EXIT_OK;
        }
        if (option == '?' || option == ':') {
            free(args.policies);
            return ws_cli_usage_error("replay", "%s %s",
                                      option == ':' ? "no value for" : "no option",
                                      argv[optind - 1]);
        }
        rc = read_option(&args, option, optarg, &err);
    }
    if (rc != 0) {
        free(args.policies);
        return ws_cli_usage_error("replay", "%s", err.text);
    }
    if (optind + 1 != argc || args.input.workload_path == NULL) {
        free(args.policies);
        return ws_cli_usage_error("replay", optind + 1 != argc
                                                ? "expected one testbed file"
                                                : "--workload is missing");
    }
    args.input.testbed_path = argv[optind];
    rc = replay(&args, &err);
    free(args.policies);
    return rc == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
