#include "cli/cmd_distribute.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/cluster_measure.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "cli/secure_options.h"
#include "node/measure.h"
#include "node/membership.h"
#include "study/cluster_study.h"

enum { MDNS_WAIT_MS = 3000 };

struct options {
    struct ws_distribute how;
    struct ws_identity_options identity;
    const char *nodes, *study, *model, *input, *labels, *save, *out_dir;
    size_t repeat, images, strategy;
    size_t rows, columns; /* of the sweep; 0: none */
    int is_measure, is_refresh, is_mdns;
};

static int take_strategy(void *field, const char *name,
                         const struct ws_cli_option *option, struct ws_error *err)
{
    (void)option;
    for (size_t s = 0; s < WS_STRATEGY_COUNT; s++) {
        if (strcmp(name, ws_strategy_name(s)) == 0) {
            *(size_t *)field = s;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_USAGE, "no strategy \"%.60s\"", name);
}

/* "5x4" */
static int take_grid(void *field, const char *text, const struct ws_cli_option *option,
                     struct ws_error *err)
{
    struct options *options = field;
    (void)option;
    char first[16];
    const char *cross = strchr(text, 'x');
    if (cross == NULL || (size_t)(cross - text) >= sizeof(first))
        return ws_error_set(err, WS_E_USAGE, "--sweep: \"%.40s\" is not like 5x4", text);
    memcpy(first, text, (size_t)(cross - text));
    first[cross - text] = '\0';
    int rc = ws_parse_size(&options->rows, first, 1, 100, "--sweep, rows", err);
    return rc == 0 ? ws_parse_size(&options->columns, cross + 1, 1, 100,
                                   "--sweep, columns", err)
                   : rc;
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("nodes", "FILE", struct options, nodes,
                 "the cluster: variants, nodes, and what was measured of them")},
    {WS_CLI_TEXT("study", "STUDY", struct options, study,
                 "instead: a study in which `wattshed profile --cluster` keeps it; every "
                 "batch refreshes the speeds there")},
    {WS_CLI_TEXT("input", "X", struct options, input,
                 "inputs: X.npy [N, ...], or a folder of labelled data, as for `wattshed "
                 "profile --data`")},
    {WS_CLI_FLAG("mdns", struct options, is_mdns,
                 "asks the network where the nodes are: those that announce themselves "
                 "by a name of the cluster's (wattshed node --announce); with --measure "
                 "others join")},
    {WS_CLI_TEXT("model", "NAME", struct options, model,
                 "the model that FILE has to be about")},
    {WS_CLI_NUMBER("images-per-s", "P", struct options, how.batch.images_per_s, 1e-6, 1e9,
                   "throughput required (default: none)")},
    {WS_CLI_NUMBER("min-accuracy", "A", struct options, how.batch.min_accuracy, 0, 1,
                   "mean accuracy required, 0 to 1 (default 0)")},
    {WS_CLI_CHOICE("minimise", "accuracy|energy", struct options, how.batch.goal,
                   "energy: the least of it within both, instead of the most accuracy")},
    {WS_CLI_CHOICE("keep", "accuracy|throughput", struct options, how.batch.keep,
                   "what is held on to where both cannot be had (default accuracy)")},
    {WS_CLI_TAKE("strategy", "NAME", struct options, strategy, take_strategy,
                 "wattshed (default), uniform, uniform+approx, asymmetric, "
                 "asymmetric+approx: the published baselines")},
    {WS_CLI_NUMBER("reserve", "R", struct options, how.batch.reserve, 0, 0.9,
                   "share of the time that plans keep back (default 0.05)")},
    {WS_CLI_TEXT("labels", "Y.npy", struct options, labels,
                 "right answers INT64[N]: counts how many results are right")},
    {WS_CLI_SIZE("repeat", "K", struct options, repeat, 1, 100000,
                 "the inputs K times over, as one batch")},
    {WS_CLI_TEXT("output", "DIR", struct options, out_dir,
                 "writes the results there as outputs.npy"),
     .letter = 'o'},
    {WS_CLI_FLAG("json", struct options, how.json, "prints the result as JSON")},
    {WS_CLI_HEADING("What the nodes can do:")},
    {WS_CLI_FLAG("measure", struct options, is_measure,
                 "measures the nodes instead, and with --labels the variants' accuracy, "
                 "and writes it into FILE, or into STUDY if given too")},
    {WS_CLI_FLAG("refresh", struct options, is_refresh,
                 "writes what the batch showed of the nodes' speeds into FILE")},
    {WS_CLI_TEXT("save", "OTHER", struct options, save, "... into OTHER instead")},
    {WS_CLI_HEADING("To see what comes of requirements:")},
    {WS_CLI_TAKE_WHOLE("sweep", "RxC", take_grid,
                       "every strategy with R throughputs and C accuracies, in a table")},
    {WS_CLI_FLAG("virtual", struct options, how.is_virtual,
                 "on a virtual clock, from FILE's figures alone")},
    {WS_CLI_SIZE("images", "N", struct options, images, 1, WS_BATCH_MAX,
                 "with --virtual, instead of --input")},
    {WS_CLI_TAKE("seed", "S", struct options, how.seed, ws_cli_take_seed,
                 "of the virtual nodes' variation (default 1)")},
    {WS_CLI_GROUP(ws_identity_cli, struct options, identity)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "distribute",
    .synopsis = "--nodes FILE | --study STUDY --input X [OPTION ...]",
    .about = "Shares a batch of inputs among unequal nodes, and chooses for each node "
             "which variants of the model it uses for its share, so that throughput and "
             "accuracy are as asked for. What is left is planned anew when a node slows, "
             "goes or comes; every input gets one result, in order.",
    .options = options_table,
    .example = "  $ wattshed distribute --nodes cluster.json --input pictures.npy \\\n"
               "  > --images-per-s 400 --min-accuracy 0.75",
};

/* 0, or 1 with an exit status. */
static int parse(struct options *options, int *status, int argc, char **argv)
{
    if (ws_cli_parse(status, options, argc, argv, &usage) != 0)
        return 1;
    int is_virtual = options->how.is_virtual;
    if (options->nodes == NULL && options->study == NULL)
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
    struct options options = {.repeat = 1, .how = {.seed = 1}};
    int status = WS_EXIT_OK;
    options.how.batch.reserve = 0.05;
    options.how.jitter = 0.03;
    if (parse(&options, &status, argc, argv) == 0 && distribute(&options, &err) != 0)
        status = ws_cli_fail(&err);
    ws_identity_options_fini(&options.identity);
    return status;
}
