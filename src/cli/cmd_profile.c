#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "cli/cluster_measure.h"
#include "cli/command.h"
#include "cli/metering.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/plan_study.h"
#include "cli/secure_options.h"
#include "profile/planning.h"
#include "profile/profiling.h"

enum { VARIANTS_MAX = 16 };
static const double idle_s = 1; /* of the edge doing nothing, before it starts */

struct profile_options {
    struct ws_model_options model;
    struct ws_identity_options identity;
    struct ws_profiling_options profiling;
    struct ws_executor_variant variants[VARIANTS_MAX];
    char *names[VARIANTS_MAX]; /* NAME of NAME=FILE */
    struct ws_plan_study_options plan;
    const char *cluster; /* profiled instead; NULL: none */
    const char *meter;   /* of a local edge; NULL: the best there is */
    struct ws_metering *metering;
    /* Of the progress bar. */
    int is_terminal;
    size_t budget, done, measured;
    int64_t started_ns;
    size_t invalid;
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
static int take_link(void *field, const char *text, const struct ws_cli_option *option,
                     struct ws_error *err)
{
    struct ws_profiling_options *options = field;
    (void)option;
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

static int take_variant(void *field, const char *text, const struct ws_cli_option *option,
                        struct ws_error *err)
{
    struct profile_options *options = field;
    (void)option;
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

static int take_seed(void *field, const char *value, const struct ws_cli_option *option,
                     struct ws_error *err)
{
    struct ws_profiling_options *options = field;
    int rc = ws_cli_take_seed(&options->seed, value, option, err);
    options->measure.seed = options->seed;
    return rc;
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT(
        "cluster", "FILE", struct profile_options, cluster,
        "instead: measures the nodes and variants of a cluster (images/s, "
        "J/image, accuracy, delay, link) for `wattshed distribute --study`, with "
        "--data (a folder, or .npy without labels), --data-limit, --timeout and "
        "--json")},
    {WS_CLI_TEXT("edge", "BOARD", struct profile_options, profiling.edge,
                 "the edge: local for this machine (default), else a board to emulate, "
                 "by name or file, e.g. rpi4-coral")},
    {WS_CLI_TEXT(
        "meter", "NAME", struct profile_options, meter,
        "of a local edge (default: the best it has of its own): " WS_METER_HELP)},
    {WS_CLI_TEXT("node", "URL", struct profile_options, profiling.url,
                 "hosts the tails: a `wattshed node` with the same models")},
    {WS_CLI_TEXT("cloud", "BOARD", struct profile_options, profiling.cloud,
                 "a model of the node's machine, for the first guess")},
    {WS_CLI_TAKE("link", "RATE[,DELAY]", struct profile_options, profiling, take_link,
                 "emulates a link to the node: Mbit/s, and ms one way")},
    {WS_CLI_TAKE_WHOLE("variant", "NAME=FILE", take_variant,
                       "another form of the model; MODEL itself is \"base\"")},
    {WS_CLI_TEXT("testbed", "FILE", struct profile_options, profiling.testbed_path,
                 "the space of knobs (default: STUDY's name with the ending "
                 ".testbed.json, which is written first where it is not there)")},
    {WS_CLI_TEXT("data", "DIR", struct profile_options, profiling.data,
                 "labelled data (IDX, .npy, CIFAR's .bin, or tensors with labels.txt): "
                 "measures accuracy as well")},
    {WS_CLI_SIZE("data-limit", "N", struct profile_options, profiling.data_limit, 1,
                 10000000, "samples of it (default 500)")},
    {WS_CLI_NUMBER("data-scale", "F", struct profile_options, profiling.data_scale, -1e9,
                   1e9,
                   "bytes are multiplied by F where the model wants floats (default "
                   "1/255)")},
    {WS_CLI_TEXT("search", "S", struct profile_options, profiling.search,
                 "as in `wattshed plan` (default guided)")},
    {WS_CLI_TAKE("budget", "F|N", struct profile_options, profiling.budget,
                 ws_cli_take_budget,
                 "trials: a share of the settings up to 1, or a number above (default "
                 "0.05, but 12 at least)")},
    {WS_CLI_NUMBER("tolerance", "F", struct profile_options, profiling.measure.tolerance,
                   1e-4, 1,
                   "half the 95 % interval of a mean, over the mean (default "
                   "0.02)")},
    {WS_CLI_SIZE("samples", "N", struct profile_options, profiling.measure.samples_max, 2,
                 1000000, "at most, for one measurement (default 200)")},
    {WS_CLI_NUMBER("check", "F", struct profile_options, profiling.measure.check_share, 0,
                   1, "share of composed settings to measure whole (default 0.1)")},
    {WS_CLI_TAKE("seed", "N", struct profile_options, profiling, take_seed,
                 "of all random choices (default 1)")},
    {WS_CLI_FLAG("virtual", struct profile_options, profiling.is_virtual,
                 "nothing runs: samples are drawn around what the models of edge (--edge "
                 "BOARD) and node (--cloud BOARD) predict")},
    {WS_CLI_TEXT("plan", "FILE", struct profile_options, plan.plan_path,
                 "write the plan as well")},
    {WS_CLI_TEXT("plot", "FILE", struct profile_options, plan.plot_path,
                 "draw trials and front, .svg or .png")},
    {WS_CLI_WHOLE("timeout", "MS", struct profile_options, profiling.timeout_ms, 1,
                  86400000, "of one request (default 30000)")},
    {WS_CLI_TEXT("output", "STUDY", struct profile_options, profiling.study_path,
                 "the study, an SQLite file"),
     .letter = 'o'},
    {WS_CLI_FLAG("json", struct profile_options, plan.json, "print JSON")},
    {WS_CLI_GROUP(ws_identity_cli, struct profile_options, identity)},
    {WS_CLI_GROUP(ws_model_cli, struct profile_options, model)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "profile",
    .synopsis = "MODEL [--variant NAME=FILE ...] [--edge BOARD|local]\n"
                " --node URL -o STUDY [OPTION ...]\n"
                "--cluster FILE --data X -o STUDY [OPTION ...]",
    .about =
        "Measures the settings of a model and two machines and searches for the ones "
        "worth choosing from. Trials go into STUDY as they finish; run the same line "
        "again after an interruption, and it goes on. Each part of a setting is measured "
        "once: warm-up until steady, then samples until their mean is known; a share of "
        "what is composed of known parts is measured from end to end all the same, to "
        "say how far composing is off. MODEL may be the folder of a network whose "
        "feature "
        "maps are shared (docs/dvfo.md): its knob is `share`, and every setting is "
        "measured from end to end.",
    .options = options_table,
    .example = "  $ wattshed node --listen 127.0.0.1:8000 etc/demo/digits.onnx &\n"
               "  $ wattshed profile etc/demo/digits.onnx --edge rpi4-coral \\\n"
               "  > --node http://127.0.0.1:8000 --link 20,2 --budget 40 \\\n"
               "  > -o digits.study",
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

static int open_meter(struct profile_options *options, struct ws_error *err)
{
    struct ws_profiling_options *profiling = &options->profiling;
    if (profiling->is_virtual || strcmp(profiling->edge, "local") != 0)
        return options->meter == NULL
                   ? 0
                   : ws_error_set(err, WS_E_USAGE, "--meter: the edge is no real one");
    int rc = ws_metering_open_edge(&options->metering, options->meter, idle_s, err);
    if (options->metering != NULL) {
        profiling->sampler = ws_metering_sampler(options->metering);
        profiling->meter = ws_metering_info(options->metering);
        profiling->idle_w = ws_metering_idle_w(options->metering);
    }
    return rc;
}

static int profile(struct profile_options *options, struct ws_error *err)
{
    struct ws_profiling *profiling = NULL;
    struct ws_trials trials = {0};
    struct ws_error closing = {0};
    int rc = open_meter(options, err);
    if (rc == 0)
        rc = ws_profiling_open(&profiling, &options->profiling, err);
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
    ws_metering_close(options->metering);
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
    if (ws_cli_parse(&status, &options, argc, argv, &usage) != 0)
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
