#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/parse.h"
#include "cli/command.h"
#include "cli/options.h"
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

/* ---- arguments ---- */

static int take_guard(void *field, const char *text, const struct ws_cli_option *option,
                      struct ws_error *err)
{
    double p = 0;
    (void)option;
    if (strcmp(text, "off") == 0) {
        *(double *)field = 0;
        return 0;
    }
    int rc = ws_parse_double(&p, text, "--guard", err);
    if (rc != 0)
        return rc;
    if (!(p > 0 && p < 1))
        return ws_error_set(err, WS_E_USAGE,
                            "--guard %s: expected a probability between 0 and 1, or off",
                            text);
    *(double *)field = p;
    return 0;
}

static int take_eta(void *field, const char *text, const struct ws_cli_option *option,
                    struct ws_error *err)
{
    double eta = 0;
    (void)option;
    int rc = ws_parse_double(&eta, text, "--eta", err);
    if (rc == 0 && !(eta > 0 && eta <= 1))
        rc = ws_error_set(err, WS_E_USAGE, "--eta %s: expected above 0, up to 1", text);
    if (rc == 0)
        *(double *)field = eta;
    return rc;
}

static int take_policies(void *field, const char *text,
                         const struct ws_cli_option *option, struct ws_error *err)
{
    struct args *args = field;
    char *rest = NULL;
    (void)option;
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

static int take_noise(void *field, const char *text, const struct ws_cli_option *option,
                      struct ws_error *err)
{
    struct args *args = field;
    (void)option;
    args->noise_name = text;
    return ws_noise_find(&args->input.noise, text, err);
}

static void list_policies(void)
{
    for (const struct ws_policy_ops *const *p = ws_policy_all(); *p != NULL; p++)
        ws_cli_print_value((*p)->name, (*p)->summary);
    ws_cli_print_value("guard-oracle",
                       "knows the means and true spreads of the moment, and "
                       "keeps deadlines as `wattshed` does; oracle and mean-oracle are "
                       "added without being named");
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("workload", "W.csv", struct args, input.workload_path,
                 "the requests: arrivals and deadlines")},
    {WS_CLI_TAKE_WHOLE("policy", "A,B,...", take_policies,
                       "policies to compare (default all that the testbed allows):"),
     .more = list_policies},
    {WS_CLI_TEXT("search", "S", struct args, input.search,
                 "search the plan comes from (default exhaustive)")},
    {WS_CLI_TAKE("budget", "F|N", struct args, input.budget, ws_cli_take_budget,
                 "trials of the search: a share up to 1, or a number above (default 1: "
                 "as many as there are settings)")},
    {WS_CLI_TEXT("plan", "FILE", struct args, input.plan_path,
                 "take a plan that was saved, instead of a search")},
    {WS_CLI_TAKE("guard", "P|off", struct args, input.guard, take_guard,
                 "probability with which `wattshed` keeps a deadline (default 0.95)")},
    {WS_CLI_TEXT("agent", "FILE", struct args, input.agent_path,
                 "of `dvfo`, as `wattshed learn` wrote it")},
    {WS_CLI_TAKE("eta", "E", struct args, input.eta, take_eta,
                 "of `dvfo`: what energy weighs, up to 1 (default 0.5)")},
    {WS_CLI_TAKE_WHOLE("noise", "KIND", take_noise,
                       "own: an execution is one of the setting's recorded samples "
                       "(default); pooled: and settings with fewer than five vary as the "
                       "others do; none: every execution gives the mean")},
    {WS_CLI_TEXT("link", "TRACE.csv", struct args, input.link_path,
                 "how the link changes: time_s and link_mbit_s, link_delay_ms or "
                 "link_scale")},
    {WS_CLI_CHOICE("order", "fifo|deadline", struct args, input.order,
                   "who is next when requests wait (default fifo)")},
    {WS_CLI_FLAG("refuse", struct args, input.refuse_late,
                 "refuse requests that are not foreseen to be in time")},
    {WS_CLI_TAKE("seed", "N", struct args, input.seed, ws_cli_take_seed,
                 "of all random draws (default 1)")},
    {WS_CLI_SIZE("seeds", "N", struct args, seeds, 1, SEEDS_MAX,
                 "runs N seeds, from --seed on, and shows 95 % intervals")},
    {WS_CLI_FLAG("json", struct args, json, "print JSON")},
    {WS_CLI_TEXT("report", "FILE.html", struct args, report_path,
                 "write a page with plots")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "replay",
    .synopsis = "TESTBED.json --workload W.csv [OPTION ...]",
    .about = "Serves a workload from a recorded testbed on a virtual clock, once with "
             "every policy, and compares them with each other and with oracles.",
    .options = options_table,
    .words_min = 1,
    .words_max = 1,
    .wants = "expected one testbed file",
};

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
    int status = WS_EXIT_OK;
    if (ws_cli_parse(&status, &args, argc, argv, &usage) == 0) {
        args.input.testbed_path = argv[optind];
        if (args.input.workload_path == NULL)
            status = ws_cli_usage_error("replay", "--workload is missing");
        else if (replay(&args, &err) != 0)
            status = ws_cli_fail(&err);
    }
    free(args.policies);
    return status;
}
