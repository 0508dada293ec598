#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "cli/cluster_measure.h"
#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/plan_study.h"
#include "cli/secure_options.h"
#include "cli/syntax.h"
#include "profile/planning.h"
#include "profile/profiling.h"

static const char usage[] =
    "usage: wattshed profile MODEL [--variant NAME=FILE ...] [--edge BOARD|local]\n"
    "                        --node URL -o STUDY [OPTION ...]\n"
    "       wattshed profile --cluster FILE --data X -o STUDY [OPTION ...]\n"
    "\n"
    "Measures the settings of a model and two machines and searches for the ones worth\n"
    "choosing from. Trials go into STUDY as they finish; run the same line again after "
    "an\n"
    "interruption, and it goes on. Each part of a setting is measured once: warm-up "
    "until\n"
    "steady, then samples until their mean is known; a share of what is composed of "
    "known\n"
    "parts is measured from end to end all the same, to say how far composing is off.\n"
    "MODEL may be the folder of a network whose feature maps are shared (docs/dvfo.md):\n"
    "its knob is `share`, and every setting is measured from end to end.\n"
    "\n"
    "  --cluster FILE     instead: measures the nodes and variants of a cluster "
    "(images/s,\n"
    "                     J/image, accuracy, delay, link) for `wattshed distribute "
    "--study`,\n"
    "                     with --data (a folder, or .npy without labels), "
    "--data-limit,\n"
    "                     --timeout and --json\n"
    "  --edge BOARD       the edge: local for this machine (default), else a board to\n"
    "                     emulate, by name or file, e.g. rpi4-coral\n"
    "  --node URL         hosts the tails: a `wattshed node` with the same models\n"
    "  --cloud BOARD      a model of the node's machine, for the first guess\n"
    "  --link RATE[,DELAY]  emulates a link to the node: Mbit/s, and ms one way\n"
    "  --variant NAME=FILE  another form of the model; MODEL itself is \"base\"\n"
    "  --testbed FILE     the space of knobs (default: STUDY's name with the ending\n"
    "                     .testbed.json, which is written first where it is not there)\n"
    "  --data DIR         labelled data (IDX, .npy, CIFAR's .bin, or tensors with\n"
    "                     labels.txt): measures accuracy as well\n"
    "  --data-limit N     samples of it (default 500)\n"
    "  --data-scale F     bytes are multiplied by F where the model wants floats\n"
    "                     (default 1/255)\n"
    "  --search S         as in `wattshed plan` (default guided)\n"
    "  --budget F|N       trials: a share of the settings up to 1, or a number above\n"
    "                     (default 0.05, but 12 at least)\n"
    "  --tolerance F      half the 95 % interval of a mean, over the mean (default "
    "0.02)\n"
    "  --samples N        at most, for one measurement (default 200)\n"
    "  --check F          share of composed settings to measure whole (default 0.1)\n"
    "  --seed N           of all random choices (default 1)\n"
    "  --virtual          nothing runs: samples are drawn around what the models of "
    "edge\n"
    "                     (--edge BOARD) and node (--cloud BOARD) predict\n"
    "  --plan FILE        write the plan as well\n"
    "  --plot FILE        draw trials and front, .svg or .png\n"
    "  --timeout MS       of one request (default 30000)\n"
    "  -o STUDY           the study, an SQLite file\n"
    "  --json             print JSON\n" WS_IDENTITY_OPTIONS_HELP WS_MODEL_OPTIONS_HELP
    "\n"
    "example: wattshed node --listen 127.0.0.1:8000 etc/demo/digits.onnx &\n"
    "         wattshed profile etc/demo/digits.onnx --edge rpi4-coral \\\n"
    "             --node http://127.0.0.1:8000 --link 20,2 --budget 40 -o digits.study\n";

enum { VARIANTS_MAX = 16 };

struct profile_options {
    struct ws_model_options model;
    struct ws_identity_options identity;
    struct ws_profiling_options profiling;
    struct ws_executor_variant variants[VARIANTS_MAX];
    char *names[VARIANTS_MAX]; /* NAME of NAME=FILE */
    struct ws_plan_study_options plan;
    const char *cluster; /* profiled instead; NULL: none */
    /* Of the progress bar. */
    int is_terminal;
    size_t budget, done, measured;
    int64_t started_ns;
    size_t invalid;
};

enum {
    OPT_CLUSTER = 256,
    OPT_EDGE,
    OPT_NODE,
    OPT_CLOUD,
    OPT_LINK,
    OPT_VARIANT,
    OPT_TESTBED,
    OPT_DATA,
    OPT_DATA_LIMIT,
    OPT_DATA_SCALE,
    OPT_SEARCH,
    OPT_BUDGET,
    OPT_TOLERANCE,
    OPT_SAMPLES,
    OPT_CHECK,
    OPT_SEED,
    OPT_VIRTUAL,
    OPT_PLAN,
    OPT_PLOT,
    OPT_TIMEOUT,
    OPT_JSON
};

static const struct option long_options[] = {
    {"cluster", required_argument, NULL, OPT_CLUSTER},
    {"edge", required_argument, NULL, OPT_EDGE},
    {"node", required_argument, NULL, OPT_NODE},
    {"cloud", required_argument, NULL, OPT_CLOUD},
    {"link", required_argument, NULL, OPT_LINK},
    {"variant", required_argument, NULL, OPT_VARIANT},
    {"testbed", required_argument, NULL, OPT_TESTBED},
    {"data", required_argument, NULL, OPT_DATA},
    {"data-limit", required_argument, NULL, OPT_DATA_LIMIT},
    {"data-scale", required_argument, NULL, OPT_DATA_SCALE},
    {"search", required_argument, NULL, OPT_SEARCH},
    {"budget", required_argument, NULL, OPT_BUDGET},
    {"tolerance", required_argument, NULL, OPT_TOLERANCE},
    {"samples", required_argument, NULL, OPT_SAMPLES},
    {"check", required_argument, NULL, OPT_CHECK},
    {"seed", required_argument, NULL, OPT_SEED},
    {"virtual", no_argument, NULL, OPT_VIRTUAL},
    {"plan", required_argument, NULL, OPT_PLAN},
    {"plot", required_argument, NULL, OPT_PLOT},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"json", no_argument, NULL, OPT_JSON},
    WS_IDENTITY_LONG_OPTIONS,
    WS_MODEL_LONG_OPTIONS,
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* A number within bounds, both included. */
static int take_number(double *out, const char *text, const char *what, double min,
                       double max, struct ws_error *err)
{
    double value = 0;
    int rc = ws_parse_double(&value, text, what, err);
    if (rc == 0 && (value < min || value > max))
        rc = ws_error_set(err, WS_E_USAGE, "%s %s: expected %g to %g", what, text, min,
                          max);
    if (rc == 0)
        *out = value;
    return rc;
}

/* RATE or RATE,DELAY. */
static int take_link(struct ws_profiling_options *options, const char *text,
                     struct ws_error *err)
{
    const char *comma = strchr(text, ',');
    char *rate = comma == NULL ? strdup(text) : strndup(text, (size_t)(comma - text));
    if (rate == NULL)
        return ws_error_nomem(err);
    int rc = take_number(&options->link_mbit_s, rate, "--link", 1e-3, 1e6, err);
    if (rc == 0 && comma != NULL)
        rc = take_number(&options->link_delay_ms, comma + 1, "--link", 0, 1e6, err);
    free(rate);
    return rc;
}

static int take_variant(struct profile_options *options, const char *text,
                        struct ws_error *err)
{
    size_t at = options->profiling.variant_count;
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || equals[1] == '\0')
        return ws_error_set(err, WS_E_USAGE, "--variant %s: expected NAME=FILE", text);
    if (at == VARIANTS_MAX)
        return ws_error_set(err, WS_E_LIMIT, "more than %d variants", VARIANTS_MAX);
    options->names[at] = strndup(text, (size_t)(equals - text));
    if (options->names[at] == NULL)
        return ws_error_nomem(err);
    for (size_t v = 0; v < at; v++) {
        if (strcmp(options->variants[v].name, options->names[at]) == 0)
            return ws_error_set(err, WS_E_USAGE,
                                "--variant %s: there is a \"%s\" already", text,
                                options->names[at]);
    }
    options->variants[at].name = options->names[at];
    options->variants[at].path = equals + 1;
    options->profiling.variant_count++;
    return 0;
}

static int take_budget(double *out, const char *text, struct ws_error *err)
{
    double budget = 0;
    int rc = take_number(&budget, text, "--budget", 1e-9, 1e9, err);
    if (rc == 0 && budget > 1 && budget != floor(budget))
        rc = ws_error_set(err, WS_E_USAGE,
                          "--budget %s: expected a share up to 1 or a number of trials",
                          text);
    if (rc == 0)
        *out = budget;
    return rc;
}

static int take_option(void *user, int option, const char *value, struct ws_error *err)
{
    struct profile_options *options = user;
    struct ws_profiling_options *profiling = &options->profiling;
    int64_t seed = 0;
    int rc = 0;
    switch (option) {
    case 'o':
        profiling->study_path = value;
        return 0;
    case OPT_CLUSTER:
        options->cluster = value;
        return 0;
    case OPT_EDGE:
        profiling->edge = value;
        return 0;
    case OPT_NODE:
        profiling->url = value;
        return 0;
    case OPT_CLOUD:
        profiling->cloud = value;
        return 0;
    case OPT_LINK:
        return take_link(profiling, value, err);
    case OPT_VARIANT:
        return take_variant(options, value, err);
    case OPT_TESTBED:
        profiling->testbed_path = value;
        return 0;
    case OPT_DATA:
        profiling->data = value;
        return 0;
    case OPT_DATA_LIMIT:
        return ws_parse_size(&profiling->data_limit, value, 1, 10000000, "--data-limit",
                             err);
    case OPT_DATA_SCALE:
        return take_number(&profiling->data_scale, value, "--data-scale", -1e9, 1e9, err);
    case OPT_SEARCH:
        profiling->search = value;
        return 0;
    case OPT_BUDGET:
        return take_budget(&profiling->budget, value, err);
    case OPT_TOLERANCE:
        return take_number(&profiling->measure.tolerance, value, "--tolerance", 1e-4, 1,
                           err);
    case OPT_SAMPLES:
        return ws_parse_size(&profiling->measure.samples_max, value, 2, 1000000,
                             "--samples", err);
    case OPT_CHECK:
        return take_number(&profiling->measure.check_share, value, "--check", 0, 1, err);
    case OPT_SEED:
        rc = ws_parse_i64(&seed, value, 0, INT64_MAX, "--seed", err);
        profiling->seed = profiling->measure.seed = (uint64_t)seed;
        return rc;
    case OPT_VIRTUAL:
        profiling->is_virtual = 1;
        return 0;
    case OPT_PLAN:
        options->plan.plan_path = value;
        return 0;
    case OPT_PLOT:
        options->plan.plot_path = value;
        return 0;
    case OPT_TIMEOUT:
        return ws_parse_i64(&profiling->timeout_ms, value, 1, 86400000, "--timeout", err);
    case OPT_JSON:
        options->plan.json = 1;
        return 0;
    default:
        if (option >= WS_OPT_LISTEN)
            return ws_identity_options_take(&options->identity, option, value, err);
        return ws_model_options_take(&options->model, option, value, err);
    }
}

static const struct ws_cli_syntax syntax = {
    .command = "profile",
    .usage = usage,
    .shorts = "o:",
    .longs = long_options,
    .take = take_option,
    .words_min = 0,
    .words_max = 1,
    .wants = "one MODEL is needed",
};

/* --- What is said meanwhile ----------------------------------------------------------
 */

static void on_testbed(void *user, const char *path)
{
    (void)user;
    fprintf(stderr,
            "wattshed: wrote %s, the knobs to profile; edit it and begin again "
            "for others\n",
            path);
}

static void on_start(void *user, size_t budget, size_t space, size_t foreseen)
{
    struct profile_options *options = user;
    options->budget = budget;
    options->started_ns = ws_clock_now_ns();
    fprintf(stderr,
            "wattshed: %zu of %zu settings to try, the first %zu by baselines and models "
            "of the machines\n",
            budget, space, foreseen < budget ? foreseen : budget);
}

/* "[#####.....]  37/80, 2 min 5 s left", over the line before. */
static void draw_bar(const struct profile_options *options)
{
    enum { WIDTH = 30 };
    char bar[WIDTH + 1];
    size_t full = options->budget > 0 ? options->done * WIDTH / options->budget : WIDTH;
    for (size_t i = 0; i < WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %zu/%zu", bar, options->done, options->budget);
    if (options->measured > 0 && options->done < options->budget) {
        double spent_s = (double)(ws_clock_now_ns() - options->started_ns) / 1e9;
        double left_s = spent_s / (double)options->measured *
                        (double)(options->budget - options->done);
        fprintf(stderr, ", %.0f min %02.0f s left ", floor(left_s / 60),
                fmod(left_s, 60));
    }
    fputs("\033[K", stderr);
    if (options->done == options->budget)
        fputc('\n', stderr);
    (void)fflush(stderr);
}

static void on_trial(void *user, const struct ws_study_trial *trial, int is_old)
{
    struct profile_options *options = user;
    options->done++;
    options->measured += !is_old;
    options->invalid += !trial->is_valid;
    if (!trial->is_valid && !is_old)
        fprintf(stderr, "%swattshed: trial %zu is invalid: %s\n",
                options->is_terminal ? "\r\033[K" : "", options->done, trial->reason);
    if (options->is_terminal)
        draw_bar(options);
}

static int profile(struct profile_options *options, struct ws_error *err)
{
    struct ws_profiling *profiling = NULL;
    struct ws_trials trials = {0};
    struct ws_error closing = {0};
    int rc = ws_profiling_open(&profiling, &options->profiling, err);
    if (rc == 0)
        rc = ws_profiling_run(&trials, profiling, err);
    if (options->is_terminal && options->done < options->budget)
        fputc('\n', stderr);
    if (rc == 0)
        rc = ws_cli_plan_study(ws_profiling_study(profiling), &options->plan, err);
    else if (options->done > 0)
        fprintf(stderr,
                "wattshed: %s holds the trials made so far; run the same line to go on\n",
                options->profiling.study_path);
    ws_trials_fini(&trials);
    int close_rc = ws_profiling_close(profiling, &closing);
    if (rc == 0 && close_rc != 0) {
        rc = close_rc;
        *err = closing;
    }
    return rc;
}

static int profile_cluster(const struct profile_options *options, struct ws_error *err)
{
    const struct ws_profiling_options *profiling = &options->profiling;
    struct ws_tensor inputs = {0}, labels = {0};
    struct ws_cluster *cluster = calloc(1, sizeof(*cluster));
    if (cluster == NULL)
        return ws_error_nomem(err);
    int rc = ws_cluster_load(cluster, options->cluster, err);
    if (rc == 0)
        rc = ws_cli_batch_load(&inputs, &labels, profiling->data, NULL,
                               profiling->data_limit, err);
    const struct ws_cli_cluster_options how = {.inputs = &inputs,
                                               .labels = &labels,
                                               .timeout_ms = profiling->timeout_ms,
                                               .identity = options->identity.identity,
                                               .study = profiling->study_path,
                                               .json = options->plan.json};
    if (rc == 0)
        rc = ws_cli_cluster_measure(cluster, &how, err);
    ws_tensor_fini(&inputs);
    ws_tensor_fini(&labels);
    ws_cluster_fini(cluster);
    free(cluster);
    return rc;
}

int ws_cmd_profile(int argc, char **argv)
{
    struct profile_options options = {.profiling = {.edge = "local",
                                                    .search = "guided",
                                                    .seed = 1,
                                                    .timeout_ms = 30000,
                                                    .data_limit = 500,
                                                    .data_scale = 1.0 / 255,
                                                    .variant_count = 1},
                                      .is_terminal = isatty(STDERR_FILENO)};
    struct ws_profiling_options *profiling = &options.profiling;
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    ws_model_options_init(&options.model);
    ws_measure_defaults(&profiling->measure);
    options.variants[0].name = "base";
    if (ws_cli_read(&status, argc, argv, &syntax, &options) != 0)
        goto out;
    options.variants[0].path = argv[optind]; /* NULL: none is given */
    profiling->variants = options.variants;
    profiling->identity = options.identity.identity;
    profiling->engine = options.model.engine;
    profiling->engine.provider_options = options.model.provider_options;
    profiling->splitter = options.model.splitter;
    profiling->splitter.dims = options.model.dims;
    profiling->on_testbed = on_testbed;
    profiling->on_start = on_start;
    profiling->on_trial = on_trial;
    profiling->user = &options;
    if ((argv[optind] == NULL) != (options.cluster != NULL))
        status = ws_cli_usage_error("profile", "one MODEL is needed, or --cluster FILE");
    else if (profiling->study_path == NULL)
        status = ws_cli_usage_error("profile", "-o STUDY is needed");
    else if (options.cluster != NULL && profiling->data == NULL)
        status = ws_cli_usage_error("profile", "--cluster: --data X is needed");
    else if (options.cluster != NULL)
        status = profile_cluster(&options, &err) != 0 ? ws_cli_fail(&err) : WS_EXIT_OK;
    else if (profiling->url == NULL && !profiling->is_virtual)
        status = ws_cli_usage_error("profile", "--node URL is needed");
    else if (profile(&options, &err) != 0)
        status = ws_cli_fail(&err);
out:
    for (size_t v = 0; v < VARIANTS_MAX; v++)
        free(options.names[v]);
    ws_identity_options_fini(&options.identity);
    ws_model_options_fini(&options.model);
    return status;
}
