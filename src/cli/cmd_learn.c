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
#include "cli/syntax.h"
#include "policy/dvfo.h"

static const char usage[] =
    "usage: wattshed learn TESTBED.json|STUDY -o AGENT.json [OPTION ...]\n"
    "\n"
    "Trains DVFO's learner on a testbed, recorded or modelled, or on a study's trials,\n"
    "on a virtual clock: which setting costs least, eta x energy + (1 - eta) x greatest\n"
    "power x latency, for any link, eta and deadline. The agent is for the policy "
    "`dvfo`,\n"
    "which goes on learning while it serves. Says how far it is from the oracle, which\n"
    "knows the link and tries every setting.\n"
    "\n"
    "  -o, --output FILE  write the agent\n"
    "  --steps N          requests to learn from (default 20000)\n"
    "  --link LO-HI       Mbit/s that training goes through (default from a twentieth\n"
    "                     of the testbed's own to 15 times that)\n"
    "  --fix KNOB=VALUE   leave a knob alone; may be repeated\n"
    "  --max-power W      the greatest power in the cost (default: what the model says,\n"
    "                     or the most that a setting draws)\n"
    "  --min-accuracy A   below this a request gets dearer\n"
    "  --gamma G          what the next request's cost counts (default 0.1)\n"
    "  --no-attention     do not look at how concentrated attention is\n"
    "  --requests N       requests of the judgement, for each of six links (default 50)\n"
    "  --seed N           of all random choices (default 1)\n"
    "  --json             print JSON\n"
    "\n"
    "example: wattshed learn etc/testbeds/dvfo-nano/testbed.json -o /tmp/agent.json\n";

enum { FIXES_MAX = WS_KNOBS_MAX, LINKS = 6 };

struct args {
    const char *output;
    uint64_t steps, seed;
    struct ws_range link; /* 0: the default */
    const char *fixes[FIXES_MAX];
    size_t fix_count;
    double max_power_w, accuracy, gamma;
    int no_attention, json;
    size_t requests;
};

enum {
    OPT_STEPS = 256,
    OPT_LINK,
    OPT_FIX,
    OPT_POWER,
    OPT_ACCURACY,
    OPT_GAMMA,
    OPT_BLIND,
    OPT_REQUESTS,
    OPT_SEED,
    OPT_JSON
};

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"steps", required_argument, NULL, OPT_STEPS},
    {"link", required_argument, NULL, OPT_LINK},
    {"fix", required_argument, NULL, OPT_FIX},
    {"max-power", required_argument, NULL, OPT_POWER},
    {"min-accuracy", required_argument, NULL, OPT_ACCURACY},
    {"gamma", required_argument, NULL, OPT_GAMMA},
    {"no-attention", no_argument, NULL, OPT_BLIND},
    {"requests", required_argument, NULL, OPT_REQUESTS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int read_whole(uint64_t *out, const char *text, int64_t min, const char *what,
                      struct ws_error *err)
{
    int64_t value = 0;
    int rc = ws_parse_i64(&value, text, min, 1000000000, what, err);
    if (rc == 0)
        *out = (uint64_t)value;
    return rc;
}

static int read_between(double *out, const char *text, double low, double high,
                        const char *what, struct ws_error *err)
{
    double value = 0;
    int rc = ws_parse_double(&value, text, what, err);
    if (rc == 0 && !(value >= low && value <= high))
        rc = ws_error_set(err, WS_E_USAGE, "%s %s: expected %g to %g", what, text, low,
                          high);
    if (rc == 0)
        *out = value;
    return rc;
}

/* "0.5-8". */
static int read_link(struct ws_range *out, const char *text, struct ws_error *err)
{
    struct ws_range range = {0, 0};
    const char *dash = strchr(text, '-');
    char *low = dash == NULL ? NULL : strndup(text, (size_t)(dash - text));
    if (low == NULL)
        return ws_error_set(err, WS_E_USAGE, "--link %s: expected LO-HI in Mbit/s", text);
    int rc = read_between(&range.low, low, 1e-3, 1e6, "--link", err);
    free(low);
    if (rc == 0)
        rc = read_between(&range.high, dash + 1, range.low, 1e6, "--link", err);
    if (rc == 0)
        *out = range;
    return rc;
}

static int take_option(void *user, int option, const char *value, struct ws_error *err)
{
    struct args *args = user;
    switch (option) {
    case 'o':
        args->output = value;
        return 0;
    case OPT_STEPS:
        return read_whole(&args->steps, value, 1, "--steps", err);
    case OPT_LINK:
        return read_link(&args->link, value, err);
    case OPT_FIX:
        if (args->fix_count == FIXES_MAX)
            return ws_error_set(err, WS_E_LIMIT, "--fix: more than %d knobs", FIXES_MAX);
        args->fixes[args->fix_count++] = value;
        return 0;
    case OPT_POWER:
        return read_between(&args->max_power_w, value, 1e-6, 1e6, "--max-power", err);
    case OPT_ACCURACY:
        return read_between(&args->accuracy, value, 0, 1, "--min-accuracy", err);
    case OPT_GAMMA:
        return read_between(&args->gamma, value, 0, 0.99, "--gamma", err);
    case OPT_BLIND:
        args->no_attention = 1;
        return 0;
    case OPT_REQUESTS:
        return ws_parse_size(&args->requests, value, 1, 1000000, "--requests", err);
    case OPT_SEED:
        return read_whole(&args->seed, value, 0, "--seed", err);
    default:
        args->json = 1;
        return 0;
    }
}

static const struct ws_cli_syntax syntax = {
    .command = "learn",
    .usage = usage,
    .shorts = "o:",
    .longs = long_options,
    .take = take_option,
    .words_min = 1,
    .words_max = 1,
    .wants = "one TESTBED or STUDY is needed",
};

/* What the options change of what the testbed says. */
static int apply(struct ws_learn_input *input, const struct args *args,
                 struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < args->fix_count; i++)
        rc = ws_learn_input_fix(input, args->fixes[i], err);
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
    if (ws_cli_read(&status, argc, argv, &syntax, &args) != 0)
        return status;
    if (args.output == NULL)
        return ws_cli_usage_error("learn", "-o AGENT is missing");
    return learn(argv[optind], &args, &err) == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
