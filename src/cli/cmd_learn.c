#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/parse.h"
#include "cli/command.h"
#include "cli/learn_input.h"
#include "cli/options.h"
#include "policy/dvfo.h"

enum { LINKS = 6 };

struct args {
    const char *output;
    size_t steps;
    uint64_t seed;
    struct ws_range link; /* 0: the default */
    struct ws_cli_texts fixes;
    double max_power_w, accuracy, gamma;
    int no_attention, no_table, json;
    size_t requests;
};

/* "0.5-8". */
static int take_link(void *field, const char *text, const struct ws_cli_option *option,
                     struct ws_error *err)
{
    struct ws_range range = {0, 0};
    const char *dash = strchr(text, '-');
    char *low = dash == NULL ? NULL : strndup(text, (size_t)(dash - text));
    (void)option;
    if (low == NULL)
        return ws_error_set(err, WS_E_USAGE, "--link %s: expected LO-HI in Mbit/s", text);
    int rc = ws_parse_double(&range.low, low, "--link", err);
    if (rc == 0)
        rc = ws_parse_double(&range.high, dash + 1, "--link", err);
    if (rc == 0 && !(range.low >= 1e-3 && range.low <= range.high && range.high <= 1e6))
        rc = ws_error_set(err, WS_E_USAGE, "--link %s: expected LO-HI within 0.001-1e6",
                          text);
    free(low);
    if (rc == 0)
        *(struct ws_range *)field = range;
    return rc;
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("output", "FILE", struct args, output, "write the agent"),
     .letter = 'o'},
    {WS_CLI_SIZE("steps", "N", struct args, steps, 1, 1000000000,
                 "requests to learn from (default 20000)")},
    {WS_CLI_TAKE("link", "LO-HI", struct args, link, take_link,
                 "Mbit/s that training goes through (default from a twentieth of the "
                 "testbed's own to 15 times that)")},
    {WS_CLI_TEXTS("fix", "KNOB=VALUE", struct args, fixes,
                  "leave a knob alone; may be repeated")},
    {WS_CLI_NUMBER("max-power", "W", struct args, max_power_w, 1e-6, 1e6,
                   "the greatest power in the cost (default: what the model says, or the "
                   "most that a setting draws)")},
    {WS_CLI_NUMBER("min-accuracy", "A", struct args, accuracy, 0, 1,
                   "below this a request gets dearer")},
    {WS_CLI_NUMBER("gamma", "G", struct args, gamma, 0, 0.99,
                   "what the next request's cost counts (default 0.1)")},
    {WS_CLI_FLAG("no-attention", struct args, no_attention,
                 "do not look at how concentrated attention is")},
    {WS_CLI_FLAG("no-table", struct args, no_table,
                 "learn everything, as DVFO was published; otherwise only what the "
                 "testbed's own table or model gets wrong is learnt")},
    {WS_CLI_SIZE("requests", "N", struct args, requests, 1, 1000000,
                 "requests of the judgement, for each of six links (default 50)")},
    {WS_CLI_TAKE("seed", "N", struct args, seed, ws_cli_take_seed,
                 "of all random choices (default 1)")},
    {WS_CLI_FLAG("json", struct args, json, "print JSON")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "learn",
    .synopsis = "TESTBED.json|STUDY -o AGENT.json [OPTION ...]",
    .about =
        "Trains DVFO's learner on a testbed, recorded or modelled, or on a study's "
        "trials, on a virtual clock: which setting costs least, eta x energy + (1 - eta) "
        "x greatest power x latency, for any link, eta and deadline. The agent is for "
        "the policy `dvfo`, which goes on learning while it serves. Says how far it is "
        "from the oracle, which knows the link and tries every setting.",
    .options = options_table,
    .example =
        "  $ wattshed learn etc/testbeds/dvfo-nano/testbed.json -o /tmp/agent.json",
    .words_min = 1,
    .words_max = 1,
    .wants = "one TESTBED or STUDY is needed",
};

/* What the options change of what the testbed says. */
static int apply(struct ws_learn_input *input, const struct args *args,
                 struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < args->fixes.count; i++)
        rc = ws_learn_input_fix(input, args->fixes.at[i], err);
    if (args->link.low > 0)
        input->course.link_mbit_s = args->link;
    if (args->max_power_w > 0)
        input->task.cost.max_power_w = args->max_power_w;
    if (args->accuracy > 0)
        input->task.cost.accuracy_floor = args->accuracy;
    input->task.steps = args->steps;
    input->task.seed = args->seed;
    input->task.gamma = args->gamma;
    input->task.no_attention = args->no_attention;
    input->task.no_prior = args->no_table;
    input->course.cost = input->task.cost;
    input->course.seed = args->seed;
    return rc;
}

static void show_progress(void *user, uint64_t done, uint64_t steps)
{
    (void)user;
    fprintf(stderr, "\rlearning: %3.0f %%", 100 * (double)done / (double)steps);
}

struct judged {
    double link_mbit_s;
    struct ws_school_mark mark;
};

/* Links from the slowest to the fastest, evenly on a logarithmic scale. */
static int judge(struct judged *out, const struct ws_learn_input *input,
                 struct ws_learner *learner, size_t requests, struct ws_error *err)
{
    int rc = 0;
    const struct ws_range link = input->course.link_mbit_s;
    for (size_t i = 0; rc == 0 && i < LINKS; i++) {
        struct ws_course_options course = input->course;
        double part = (double)i / (LINKS - 1);
        out[i].link_mbit_s = link.low * pow(link.high / link.low, part);
        course.link_mbit_s = (struct ws_range){out[i].link_mbit_s, out[i].link_mbit_s};
        course.eta = (struct ws_range){0.5, 0.5};
        course.restart_every = 0;
        course.seed = input->course.seed + 1;
        rc = ws_school_judge(&out[i].mark, learner, &course, &input->task.start, requests,
                             0, 1, err);
    }
    return rc;
}

static int print_json(const struct ws_learn_input *input, const struct args *args,
                      const struct judged *judged, double took_s, struct ws_error *err)
{
    json_t *links = json_array();
    for (size_t i = 0; i < LINKS; i++) {
        const struct ws_school_mark *m = &judged[i].mark;
        json_array_append_new(
            links, json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "link_mbit_s",
                             judged[i].link_mbit_s, "energy_j", m->energy_j, "latency_ms",
                             m->latency_ms, "cost", m->cost, "oracle_cost",
                             m->oracle_cost, "regret", m->regret));
    }
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:o}", "testbed", input->testbed->name,
                  "truth", ws_truth_name(input->truth), "steps", (json_int_t)args->steps,
                  "seed", (json_int_t)args->seed, "max_power_w",
                  input->task.cost.max_power_w, "took_s", took_s, "links", links);
    int rc = root == NULL ? ws_error_nomem(err) : ws_json_write("-", root, err);
    json_decref(root);
    return rc;
}

static void print_text(const struct ws_learn_input *input, const struct args *args,
                       const struct judged *judged, double took_s)
{
    printf("%10s %12s %12s %12s %12s %9s\n", "Mbit/s", "energy J", "latency ms", "cost",
           "oracle's", "regret");
    for (size_t i = 0; i < LINKS; i++) {
        const struct ws_school_mark *m = &judged[i].mark;
        printf("%10.3g %12.4g %12.4g %12.4g %12.4g %8.2f%%\n", judged[i].link_mbit_s,
               m->energy_j, m->latency_ms, m->cost, m->oracle_cost, 100 * m->regret);
    }
    printf("%s (%s): learnt from %llu requests in %.1f s, seed %llu; judged at eta 0.5, "
           "greatest power %.4g W\n",
           input->testbed->name, ws_truth_name(input->truth),
           (unsigned long long)args->steps, took_s, (unsigned long long)args->seed,
           input->task.cost.max_power_w);
}

static int learn(const char *testbed_path, const struct args *args, struct ws_error *err)
{
    struct ws_learn_input input = {0};
    struct ws_learner *learner = NULL;
    const struct ws_learner_ops *ops = NULL;
    struct judged judged[LINKS];
    int on_terminal = isatty(STDERR_FILENO);
    int rc = ws_learn_input_init(&input, testbed_path, err);
    if (rc == 0)
        rc = apply(&input, args, err);
    if (rc == 0)
        rc = ws_learner_find(&ops, "dvfo", err);
    if (rc == 0)
        rc = ops->create(&learner, &input.task, err);
    int64_t start = ws_clock_now_ns();
    if (rc == 0)
        rc = ws_school_train(learner, &input.course, on_terminal ? show_progress : NULL,
                             NULL, err);
    double took_s = (double)(ws_clock_now_ns() - start) / 1e9;
    if (on_terminal)
        fputs("\r               \r", stderr);
    if (rc == 0 && args->output != NULL)
        rc = ws_dvfo_save(ws_dvfo_of(learner), args->output, err);
    if (rc == 0)
        rc = judge(judged, &input, learner, args->requests, err);
    if (rc == 0 && args->json)
        rc = print_json(&input, args, judged, took_s, err);
    else if (rc == 0)
        print_text(&input, args, judged, took_s);
    ws_learner_destroy(learner);
    ws_learn_input_fini(&input);
    return rc;
}

int ws_cmd_learn(int argc, char **argv)
{
    struct args args = {.steps = 20000, .seed = 1, .gamma = 0.1, .requests = 50};
    struct ws_error err = {0};
    int status = 0;
    if (ws_cli_parse(&status, &args, argc, argv, &usage) != 0)
        return status;
    if (args.output == NULL)
        return ws_cli_usage_error("learn", "-o AGENT is missing");
    return learn(argv[optind], &args, &err) == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
