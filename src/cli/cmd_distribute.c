#include "cli/cmd_distribute.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/cluster_measure.h"
#include "cli/command.h"
#include "cli/outputs.h"
#include "cli/secure_options.h"
#include "cli/syntax.h"
#include "node/measure.h"
#include "node/membership.h"
#include "study/cluster_study.h"

static const char usage[] =
    "usage: wattshed distribute --nodes FILE | --study STUDY --input X [OPTION ...]\n"
    "\n"
    "Shares a batch of inputs among unequal nodes, and chooses for each node which "
    "variants\n"
    "of the model it uses for its share, so that throughput and accuracy are as asked "
    "for.\n"
    "What is left is planned anew when a node slows, goes or comes; every input gets "
    "one\n"
    "result, in order.\n"
    "\n"
    "  --nodes FILE       the cluster: variants, nodes, and what was measured of them\n"
    "  --study STUDY      instead: a study in which `wattshed profile --cluster` keeps "
    "it;\n"
    "                     every batch refreshes the speeds there\n"
    "  --input X          inputs: X.npy [N, ...], or a folder of labelled data, as for\n"
    "                     `wattshed profile --data`\n"
    "  --mdns             asks the network where the nodes are: those that announce "
    "themselves\n"
    "                     by a name of the cluster's (wattshed node --announce); with\n"
    "                     --measure others join\n"
    "  --model NAME       the model that FILE has to be about\n"
    "  --images-per-s P   throughput required (default: none)\n"
    "  --min-accuracy A   mean accuracy required, 0 to 1 (default 0)\n"
    "  --minimise energy  the least energy within both, instead of the most accuracy\n"
    "  --keep WHICH       accuracy or throughput: what is held on to where both cannot "
    "be\n"
    "                     had (default accuracy)\n"
    "  --strategy NAME    wattshed (default), uniform, uniform+approx, asymmetric,\n"
    "                     asymmetric+approx: the published baselines\n"
    "  --reserve R        share of the time that plans keep back (default 0.05)\n"
    "  --labels Y.npy     right answers INT64[N]: counts how many results are right\n"
    "  --repeat K         the inputs K times over, as one batch\n"
    "  -o DIR             writes the results there as outputs.npy\n"
    "  --json             prints the result as JSON\n"
    "\n"
    "  --measure          measures the nodes instead, and with --labels the variants'\n"
    "                     accuracy, and writes it into FILE, or into STUDY if given "
    "too\n"
    "  --refresh          writes what the batch showed of the nodes' speeds into FILE\n"
    "  --save OTHER       ... into OTHER instead\n"
    "\n"
    "  --sweep RxC        every strategy with R throughputs and C accuracies, in a "
    "table\n"
    "  --virtual          on a virtual clock, from FILE's figures alone; with --images "
    "N\n"
    "                     instead of --input\n"
    "  --seed S           of the virtual nodes' variation (default 1)\n"
    "\n" WS_IDENTITY_OPTIONS_HELP "\n"
    "example: wattshed distribute --nodes cluster.json --input pictures.npy \\\n"
    "             --images-per-s 400 --min-accuracy 0.75\n";

enum { MDNS_WAIT_MS = 3000 };

struct options {
    struct ws_distribute how;
    struct ws_identity_options identity;
    const char *nodes, *study, *model, *input, *labels, *save, *out_dir;
    size_t repeat, images, strategy;
    size_t rows, columns; /* of the sweep; 0: none */
    int is_measure, is_refresh, is_mdns;
    int64_t seed;
};

enum {
    OPT_NODES = 256,
    OPT_STUDY,
    OPT_MDNS,
    OPT_MODEL,
    OPT_INPUT,
    OPT_RATE,
    OPT_ACCURACY,
    OPT_MINIMISE,
    OPT_KEEP,
    OPT_STRATEGY,
    OPT_RESERVE,
    OPT_LABELS,
    OPT_REPEAT,
    OPT_MEASURE,
    OPT_REFRESH,
    OPT_SAVE,
    OPT_SWEEP,
    OPT_VIRTUAL,
    OPT_IMAGES,
    OPT_SEED,
    OPT_JSON
};

static const struct option long_options[] = {
    {"nodes", required_argument, NULL, OPT_NODES},
    {"study", required_argument, NULL, OPT_STUDY},
    {"mdns", no_argument, NULL, OPT_MDNS},
    {"model", required_argument, NULL, OPT_MODEL},
    {"input", required_argument, NULL, OPT_INPUT},
    {"images-per-s", required_argument, NULL, OPT_RATE},
    {"min-accuracy", required_argument, NULL, OPT_ACCURACY},
    {"minimise", required_argument, NULL, OPT_MINIMISE},
    {"keep", required_argument, NULL, OPT_KEEP},
    {"strategy", required_argument, NULL, OPT_STRATEGY},
    {"reserve", required_argument, NULL, OPT_RESERVE},
    {"labels", required_argument, NULL, OPT_LABELS},
    {"repeat", required_argument, NULL, OPT_REPEAT},
    {"measure", no_argument, NULL, OPT_MEASURE},
    {"refresh", no_argument, NULL, OPT_REFRESH},
    {"save", required_argument, NULL, OPT_SAVE},
    {"sweep", required_argument, NULL, OPT_SWEEP},
    {"virtual", no_argument, NULL, OPT_VIRTUAL},
    {"images", required_argument, NULL, OPT_IMAGES},
    {"seed", required_argument, NULL, OPT_SEED},
    {"json", no_argument, NULL, OPT_JSON},
    WS_IDENTITY_LONG_OPTIONS,
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int find_strategy(size_t *out, const char *name, struct ws_error *err)
{
    for (size_t s = 0; s < WS_STRATEGY_COUNT; s++) {
        if (strcmp(name, ws_strategy_name(s)) == 0) {
            *out = s;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_USAGE, "no strategy \"%.60s\"", name);
}

static int parse_between(double *out, const char *text, double min, double max,
                         const char *what, struct ws_error *err)
{
    double value = 0.0;
    int rc = ws_parse_double(&value, text, what, err);
    if (rc == 0 && (value < min || value > max))
        rc = ws_error_set(err, WS_E_USAGE, "%s: %s is not from %g to %g", what, text, min,
                          max);
    if (rc == 0)
        *out = value;
    return rc;
}

/* "5x4" */
static int parse_grid(size_t *rows, size_t *columns, const char *text,
                      struct ws_error *err)
{
    char first[16];
    const char *cross = strchr(text, 'x');
    if (cross == NULL || (size_t)(cross - text) >= sizeof(first))
        return ws_error_set(err, WS_E_USAGE, "--sweep: \"%.40s\" is not like 5x4", text);
    memcpy(first, text, (size_t)(cross - text));
    first[cross - text] = '\0';
    int rc = ws_parse_size(rows, first, 1, 100, "--sweep, rows", err);
    return rc == 0 ? ws_parse_size(columns, cross + 1, 1, 100, "--sweep, columns", err)
                   : rc;
}

static int take_word(const char **words, int *out, const char *value, const char *what,
                     struct ws_error *err)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], value) == 0) {
            *out = i;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_USAGE, "%s: \"%.40s\" is not known", what, value);
}

static int take_requirement(struct ws_batch_options *batch, int option, const char *value,
                            struct ws_error *err)
{
    static const char *goals[] = {"accuracy", "energy", NULL};
    static const char *keeps[] = {"accuracy", "throughput", NULL};
    int word = 0, rc = 0;
    switch (option) {
    case OPT_RATE:
        return parse_between(&batch->images_per_s, value, 1e-6, 1e9, "--images-per-s",
                             err);
    case OPT_ACCURACY:
        return parse_between(&batch->min_accuracy, value, 0, 1, "--min-accuracy", err);
    case OPT_RESERVE:
        return parse_between(&batch->reserve, value, 0, 0.9, "--reserve", err);
    case OPT_MINIMISE:
        rc = take_word(goals, &word, value, "--minimise", err);
        batch->goal = (enum ws_share_goal)word;
        return rc;
    default:
        rc = take_word(keeps, &word, value, "--keep", err);
        batch->keep = (enum ws_share_keep)word;
        return rc;
    }
}

static int take_option(void *user, int option, const char *value, struct ws_error *err)
{
    struct options *options = user;
    switch (option) {
    case 'o':
        options->out_dir = value;
        return 0;
    case OPT_NODES:
        options->nodes = value;
        return 0;
    case OPT_STUDY:
        options->study = value;
        return 0;
    case OPT_MDNS:
        options->is_mdns = 1;
        return 0;
    case OPT_MODEL:
        options->model = value;
        return 0;
    case OPT_INPUT:
        options->input = value;
        return 0;
    case OPT_LABELS:
        options->labels = value;
        return 0;
    case OPT_SAVE:
        options->save = value;
        return 0;
    case OPT_STRATEGY:
        return find_strategy(&options->strategy, value, err);
    case OPT_REPEAT:
        return ws_parse_size(&options->repeat, value, 1, 100000, "--repeat", err);
    case OPT_IMAGES:
        return ws_parse_size(&options->images, value, 1, WS_BATCH_MAX, "--images", err);
    case OPT_SWEEP:
        return parse_grid(&options->rows, &options->columns, value, err);
    case OPT_SEED:
        return ws_parse_i64(&options->seed, value, 0, INT64_MAX, "--seed", err);
    case OPT_MEASURE:
        options->is_measure = 1;
        return 0;
    case OPT_REFRESH:
        options->is_refresh = 1;
        return 0;
    case OPT_VIRTUAL:
        options->how.is_virtual = 1;
        return 0;
    case OPT_JSON:
        options->how.json = 1;
        return 0;
    case OPT_RATE:
    case OPT_ACCURACY:
    case OPT_RESERVE:
    case OPT_MINIMISE:
    case OPT_KEEP:
        return take_requirement(&options->how.batch, option, value, err);
    default:
        return ws_identity_options_take(&options->identity, option, value, err);
    }
}

static const struct ws_cli_syntax syntax = {
    .command = "distribute",
    .usage = usage,
    .shorts = "o:",
    .longs = long_options,
    .take = take_option,
    .words_min = 0,
    .words_max = 0,
    .wants = "nothing but options is taken",
};

/* 0, or 1 with an exit status. */
static int parse(struct options *options, int *status, int argc, char **argv)
{
    if (ws_cli_read(status, argc, argv, &syntax, options) != 0)
        return 1;
    int is_virtual = options->how.is_virtual;
    if (argc > optind)
        *status =
            ws_cli_usage_error("distribute", "\"%s\" is not an option", argv[optind]);
    else if (options->nodes == NULL && options->study == NULL)
        *status = ws_cli_usage_error(
            "distribute", "--nodes FILE is needed, or --study STUDY that knows them");
    else if (options->nodes != NULL && options->study != NULL && !options->is_measure)
        *status = ws_cli_usage_error(
            "distribute", "--study knows the nodes; --nodes beside it is for --measure");
    else if (options->input == NULL && !(is_virtual && options->images > 0))
        *status = ws_cli_usage_error("distribute", "--input X is needed");
    else if (is_virtual && (options->is_measure || options->is_refresh))
        *status = ws_cli_usage_error("distribute", "--virtual measures nothing");
    else if (is_virtual && options->is_mdns)
        *status = ws_cli_usage_error("distribute", "--virtual needs no --mdns");
    else if (options->images > 0 && !is_virtual)
        *status = ws_cli_usage_error("distribute", "--images is for --virtual");
    else
        return 0;
    return 1;
}

/* The tensor over and over: [N, ...] becomes [N * times, ...]. */
static int repeat(struct ws_tensor *tensor, size_t times, struct ws_error *err)
{
    struct ws_tensor longer;
    int64_t dims[WS_TENSOR_RANK_MAX];
    if (times == 1)
        return 0;
    if (tensor->rank == 0)
        return ws_error_set(err, WS_E_TYPE, "inputs [N, ...] are needed");
    memcpy(dims, tensor->dims, sizeof(dims));
    dims[0] *= (int64_t)times;
    int rc = ws_tensor_init(&longer, tensor->dtype, dims, tensor->rank, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < times && tensor->size_bytes > 0; i++)
        memcpy((char *)longer.data + i * tensor->size_bytes, tensor->data,
               tensor->size_bytes);
    ws_tensor_fini(tensor);
    *tensor = longer;
    return 0;
}

static void show_progress(void *user, const struct ws_dispatch_state *state,
                          size_t images)
{
    enum { WIDTH = 40 };
    char bar[WIDTH + 1];
    size_t filled = state->done * WIDTH / images;
    (void)user;
    for (size_t i = 0; i < WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %zu/%zu  accuracy %.4f  %zu nodes  plan %zu ", bar,
            state->done, images, state->accuracy, state->up, state->plans);
    if (state->done == images)
        fputc('\n', stderr);
}

static json_t *nodes_json(const struct ws_cluster *cluster,
                          const struct ws_batch_result *result)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < cluster->node_count; i++) {
        json_t *variants = json_object();
        for (size_t j = 0; j < cluster->variant_count; j++) {
            if (result->counts[i][j] == 0)
                continue;
            json_t *variant =
                json_pack("{s:I}", "images", (json_int_t)result->counts[i][j]);
            json_object_set_new(variant, "image_ms",
                                result->image_s[i][j] > 0
                                    ? json_real(1e3 * result->image_s[i][j])
                                    : json_null());
            json_object_set_new(variants, cluster->variants[j].name, variant);
        }
        json_array_append_new(nodes,
                              json_pack("{s:s, s:o}", "name", cluster->nodes[i].name,
                                        "variants", variants));
    }
    return nodes;
}

static json_t *unless_below(double value, int is_known)
{
    return is_known ? json_real(value) : json_null();
}

static void print_json(const struct options *options, const struct ws_distributed *done,
                       const struct ws_batch_result *result)
{
    const struct ws_batch_options *batch = &options->how.batch;
    const struct ws_share_plan *plan = &done->plan;
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:b, s:f, s:f}", "model", options->how.cluster->model,
                  "strategy", ws_strategy_name(options->strategy), "images",
                  (json_int_t)options->how.images, "virtual", options->how.is_virtual,
                  "images_per_s", done->images_per_s, "accuracy", done->accuracy);
    json_object_set_new(root, "top1", unless_below(done->top1, done->top1 >= 0));
    json_object_set_new(root, "energy_j",
                        unless_below(done->energy_j, done->knows_energy));
    json_object_set_new(
        root, "required",
        json_pack("{s:o, s:f}", "images_per_s",
                  unless_below(batch->images_per_s, batch->images_per_s > 0), "accuracy",
                  batch->min_accuracy));
    json_object_set_new(root, "planned",
                        json_pack("{s:f, s:f, s:b, s:b}", "images_per_s",
                                  (double)options->how.images / plan->time_s, "accuracy",
                                  plan->accuracy, "meets_throughput",
                                  plan->meets_throughput, "meets_accuracy",
                                  plan->meets_accuracy));
    if (!options->how.is_virtual) {
        json_object_set_new(root, "plans", json_integer((json_int_t)result->state.plans));
        json_object_set_new(root, "reissued",
                            json_integer((json_int_t)result->state.reissued));
        json_object_set_new(root, "answered_twice",
                            json_integer((json_int_t)result->state.doubles));
        json_object_set_new(root, "told_energy_j",
                            unless_below(result->told_j, result->told_count > 0));
        json_object_set_new(root, "nodes", nodes_json(options->how.cluster, result));
    }
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(root);
}

static void print_nodes(const struct ws_cluster *cluster,
                        const struct ws_batch_result *result)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        printf("  %-12s", cluster->nodes[i].name);
        for (size_t j = 0; j < cluster->variant_count; j++) {
            if (result->counts[i][j] > 0)
                printf("  %zu x %s", result->counts[i][j], cluster->variants[j].name);
        }
        putchar('\n');
    }
}

static void print_text(const struct options *options, const struct ws_distributed *done,
                       const struct ws_batch_result *result)
{
    const struct ws_batch_options *batch = &options->how.batch;
    printf("%zu images in %.3f s: %.1f images/s, accuracy %.4f%s", options->how.images,
           (double)options->how.images / done->images_per_s, done->images_per_s,
           done->accuracy, options->how.is_virtual ? " (virtual clock)" : "");
    if (done->top1 >= 0)
        printf(", top-1 here %.4f", done->top1);
    if (done->knows_energy)
        printf(", %.2f J by the profile", done->energy_j);
    putchar('\n');
    if (batch->images_per_s > 0 && done->images_per_s < batch->images_per_s)
        printf("throughput falls short of %.1f images/s by %.1f %%%s\n",
               batch->images_per_s,
               100.0 * (1.0 - done->images_per_s / batch->images_per_s),
               done->plan.meets_throughput ? "" : ", as planned");
    if (done->accuracy < batch->min_accuracy - 1e-9)
        printf("accuracy falls short of %.4f by %.2f points%s\n", batch->min_accuracy,
               100.0 * (batch->min_accuracy - done->accuracy),
               done->plan.meets_accuracy ? "" : ", as planned");
    if (options->how.is_virtual)
        return;
    print_nodes(options->how.cluster, result);
    if (result->state.reissued > 0)
        printf("  %zu inputs went out again, %zu answers came twice, %zu plans\n",
               result->state.reissued, result->state.doubles, result->state.plans);
}

/* The file that figures go into: the one given, unless a study takes them. */
static const char *file_of(const struct options *options)
{
    if (options->save != NULL)
        return options->save;
    return options->study == NULL ? options->nodes : NULL;
}

static int run_batch(const struct options *options, struct ws_error *err)
{
    struct ws_distributed done;
    struct ws_batch_result *result = calloc(1, sizeof(*result));
    if (result == NULL)
        return ws_error_nomem(err);
    int rc = ws_distribute_run(&done, result, &options->how, options->strategy, err);
    if (rc == 0 && options->out_dir != NULL && !options->how.is_virtual) {
        static const char *const names[] = {"outputs"};
        struct ws_datum datum = {.kind = WS_DATUM_TENSOR, .tensor = result->outputs};
        rc = ws_cli_save_outputs(options->out_dir, names, &datum, 1, err);
    }
    if (rc == 0 && !options->how.is_virtual &&
        (options->is_refresh || options->study != NULL)) {
        ws_measure_refresh(options->how.cluster, result);
        rc = ws_cli_cluster_keep(options->how.cluster, file_of(options), options->study,
                                 err);
    }
    if (rc == 0 && options->how.json)
        print_json(options, &done, result);
    else if (rc == 0)
        print_text(options, &done, result);
    ws_batch_result_fini(result);
    free(result);
    return rc;
}

static int find_nodes(struct ws_cluster *cluster, int joins, struct ws_error *err)
{
    struct ws_membership who;
    int rc = ws_membership_find(&who, cluster, ws_mdns_browse, MDNS_WAIT_MS, joins, err);
    if (rc == 0 && who.stranger[0] != '\0')
        fprintf(stderr,
                "wattshed: \"%s\" announces itself and is not known yet: --measure\n",
                who.stranger);
    return rc;
}

static int load_all(struct options *options, struct ws_cluster *cluster,
                    struct ws_tensor *inputs, struct ws_tensor *labels,
                    struct ws_error *err)
{
    struct ws_distribute *how = &options->how;
    int rc = options->nodes != NULL
                 ? ws_cluster_load(cluster, options->nodes, err)
                 : ws_cluster_study_load(cluster, options->study, options->model, err);
    if (rc == 0 && options->is_mdns)
        rc = find_nodes(cluster, options->is_measure, err);
    how->cluster = cluster;
    how->batch.cluster = cluster;
    how->images = options->images;
    how->seed = (uint64_t)options->seed;
    how->batch.identity = options->identity.identity;
    if (rc == 0 && options->model != NULL && strcmp(options->model, cluster->model) != 0)
        rc = ws_error_set(err, WS_E_MISMATCH, "%s is about model \"%.100s\", not %.100s",
                          options->nodes, cluster->model, options->model);
    if (rc == 0 && options->input != NULL) {
        rc = ws_cli_batch_load(inputs, labels, options->input, options->labels,
                               WS_BATCH_MAX, err);
        if (rc == 0)
            rc = repeat(inputs, options->repeat, err);
        if (rc == 0 && labels->rank > 0)
            rc = repeat(labels, options->repeat, err);
        if (rc == 0 && (inputs->rank == 0 || inputs->dims[0] < 1))
            rc = ws_error_set(err, WS_E_TYPE, "%s: inputs [N, ...] are needed",
                              options->input);
        how->batch.inputs = inputs;
        how->labels = labels->rank > 0 ? labels : NULL;
        if (rc == 0)
            how->images = (size_t)inputs->dims[0];
    }
    if (isatty(STDERR_FILENO) && options->rows == 0)
        how->batch.progress = show_progress;
    return rc;
}

static int distribute(struct options *options, struct ws_error *err)
{
    struct ws_cluster *cluster = calloc(1, sizeof(*cluster));
    struct ws_tensor inputs = {0}, labels = {0};
    if (cluster == NULL)
        return ws_error_nomem(err);
    int rc = load_all(options, cluster, &inputs, &labels, err);
    if (rc == 0 && options->is_measure)
        rc = ws_cli_cluster_measure(
            cluster,
            &(struct ws_cli_cluster_options){.inputs = &inputs,
                                             .labels = &labels,
                                             .identity = options->identity.identity,
                                             .file = file_of(options),
                                             .study = options->study,
                                             .json = options->how.json},
            err);
    else if (rc == 0 && options->rows > 0)
        rc = ws_distribute_sweep(&options->how, options->rows, options->columns, err);
    else if (rc == 0)
        rc = run_batch(options, err);
    ws_tensor_fini(&inputs);
    ws_tensor_fini(&labels);
    ws_cluster_fini(cluster);
    free(cluster);
    return rc;
}

int ws_cmd_distribute(int argc, char **argv)
{
    struct ws_error err = {0};
    struct options options = {.repeat = 1, .seed = 1};
    int status = WS_EXIT_OK;
    options.how.batch.reserve = 0.05;
    options.how.jitter = 0.03;
    if (parse(&options, &status, argc, argv) == 0 && distribute(&options, &err) != 0)
        status = ws_cli_fail(&err);
    ws_identity_options_fini(&options.identity);
    return status;
}
