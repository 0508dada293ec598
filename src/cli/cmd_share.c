#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/parse.h"
#include "base/rng.h"
#include "base/stats.h"
#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/secure_options.h"
#include "onnx/npy.h"
#include "onnx/tensorpb.h"
#include "split/compare.h"
#include "split/halves.h"

enum { SHARES_MAX = 101 };

struct share_options {
    struct ws_model_options model;
    struct ws_identity_options identity;
    const char *dir, *node, *input, *samples, *labels, *records;
    double shares[SHARES_MAX];
    size_t share_count;
    double lambda;
    enum ws_codec codec;
    enum ws_encoding encoding;
    int is_random;
    uint64_t seed;
    int64_t timeout_ms;
    size_t limit;
    int json;
};

/* Everything that is open while the command runs. */
struct scene {
    const struct share_options *options;
    struct ws_engine *engine;
    struct ws_splitter *cloud;
    struct ws_halves *halves;
    struct ws_offload *offload;
    struct ws_session *whole;
    struct ws_datum input; /* where there is one */
    struct ws_npy samples;
    struct ws_map records;
    struct ws_tensor labels;
    size_t count;
};

/* What one share gave, over all samples. */
struct row {
    double share;
    size_t secondary_count;
    struct ws_stats lambda;
    struct ws_stats held;      /* of the importance, by the maps kept here */
    struct ws_stats attention; /* by the more important half of all */
    struct ws_stats tensor_bytes, sent_bytes;
    double extract_ms, edge_ms, beside_ms, cloud_ms, total_ms; /* medians */
    size_t cloud_told; /* answers of a node that tells its times */
    size_t right, edge_right, cloud_right;
    size_t answer; /* to the last sample, and how probable it is said to be */
    double probability;
    size_t edge_count, cloud_count; /* answers of each half */
    struct ws_error failure;        /* the last of the cloud's */
};

static int take_shares(void *field, const char *list, const struct ws_cli_option *option,
                       struct ws_error *err)
{
    struct share_options *options = field;
    char *copy = strdup(list), *rest = NULL;
    int rc = copy == NULL ? ws_error_nomem(err) : 0;
    (void)option;
    options->share_count = 0;
    for (char *text = rc == 0 ? strtok_r(copy, ",", &rest) : NULL;
         rc == 0 && text != NULL; text = strtok_r(NULL, ",", &rest)) {
        double share = 0;
        if (options->share_count == SHARES_MAX)
            rc = ws_error_set(err, WS_E_LIMIT, "more than %d shares", SHARES_MAX);
        if (rc == 0)
            rc = ws_parse_double(&share, text, "--share", err);
        if (rc == 0 && !(share >= 0 && share <= 1))
            rc = ws_error_set(err, WS_E_USAGE, "--share %s is not between 0 and 1", text);
        if (rc == 0)
            options->shares[options->share_count++] = share;
    }
    free(copy);
    return rc;
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("node", "URL", struct share_options, node,
                 "the server that hosts the cloud's part, e.g. http://127.0.0.1:8000 "
                 "(default: in this process, no network)")},
    {WS_CLI_TEXT("input", "FILE", struct share_options, input, "one input, .npy or .pb")},
    {WS_CLI_TEXT("samples", "FILE", struct share_options, samples,
                 "inputs [N, ...], .npy, one along the first dimension each")},
    {WS_CLI_TEXT("labels", "FILE", struct share_options, labels,
                 "the right answers [N], integers (default: no top-1)")},
    {WS_CLI_TEXT("records", "FILE", struct share_options, records,
                 "samples and labels in one, as CIFAR-10 has them: a byte that is the "
                 "label, then the bytes of the input")},
    {WS_CLI_TAKE_WHOLE("share", "LIST", take_shares,
                       "shares of the maps that are sent, 0 to 1 (default: 0.5 for an "
                       "input, 0.1,0.2,...,0.9 for samples)")},
    {WS_CLI_NUMBER("lambda", "L", struct share_options, lambda, 0, 1,
                   "weight of the edge's half, 0 to 1 (default: as it was fitted for the "
                   "share)")},
    {WS_CLI_TAKE("codec", "C", struct share_options, codec, ws_cli_take_codec,
                 "int8, fp16 or none (default int8)")},
    {WS_CLI_TAKE("encoding", "E", struct share_options, encoding, ws_cli_take_encoding,
                 "none, zstd, lz4 or gzip, on top (default none)")},
    {WS_CLI_CHOICE("maps", "importance|random", struct share_options, is_random,
                   "random, to see what the ranking is worth (default importance)")},
    {WS_CLI_TAKE("seed", "N", struct share_options, seed, ws_cli_take_seed,
                 "of the random maps (default 1)")},
    {WS_CLI_WHOLE("timeout", "MS", struct share_options, timeout_ms, 1, 86400000,
                  "for the cloud's half of one request (default 1000)")},
    {WS_CLI_SIZE("limit", "N", struct share_options, limit, 1, INT64_MAX,
                 "the first N samples only")},
    {WS_CLI_FLAG("json", struct share_options, json, "prints the result as JSON")},
    {WS_CLI_GROUP(ws_identity_cli, struct share_options, identity)},
    {WS_CLI_GROUP(ws_model_cli, struct share_options, model)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "share",
    .synopsis = "DIR [--node URL] --input FILE [OPTION ...]\n"
                "DIR [--node URL] --samples X.npy --labels Y.npy [...]",
    .about =
        "Runs a network whose feature maps are shared between edge and cloud. The "
        "extractor runs here and its attention ranks the maps; then the important ones "
        "go through the edge's tail here while the others, as int8 with a bitmap of "
        "which they are, go through the cloud's tail on a node. Both answers are fused "
        "as calibrated probabilities with the weight lambda. Where the node fails or is "
        "late, the edge's tail answers alone. DIR holds the parts and features.json "
        "(docs/dvfo.md).",
    .options = options_table,
    .example = "  $ wattshed node etc/dvfo/cifar10_cloud.onnx &\n"
               "  $ wattshed share etc/dvfo --node http://127.0.0.1:8000 \\\n"
               "  > --samples etc/cifar/pictures.npy --labels etc/cifar/labels.npy",
    .words_min = 1,
    .words_max = 1,
    .wants = "one DIR is needed",
};

static int open_input(struct scene *scene, struct ws_error *err)
{
    const char *path = scene->options->input;
    size_t length = strlen(path);
    scene->count = 1;
    if (length > 3 && strcmp(path + length - 3, ".pb") == 0)
        return ws_datumpb_load(&scene->input, path, NULL, err);
    return ws_npy_load(&scene->input.tensor, path, err);
}

static int open_samples(struct scene *scene, struct ws_error *err)
{
    const struct share_options *options = scene->options;
    int rc = ws_npy_open(&scene->samples, options->samples, err);
    if (rc == 0 && scene->samples.rank == 0)
        rc = ws_error_set(err, WS_E_TYPE, "%s: a scalar holds no samples",
                          options->samples);
    if (rc != 0)
        return rc;
    scene->count = (size_t)scene->samples.dims[0];
    if (options->labels != NULL)
        rc = ws_npy_load(&scene->labels, options->labels, err);
    if (rc == 0 && options->labels != NULL &&
        (scene->labels.dtype != WS_DTYPE_INT64 || scene->labels.rank != 1 ||
         (size_t)scene->labels.dims[0] != scene->count))
        rc = ws_error_set(err, WS_E_TYPE,
                          "%s: wants INT64[%zu], one label for each sample",
                          options->labels, scene->count);
    if (options->limit != 0 && options->limit < scene->count)
        scene->count = options->limit;
    return rc;
}

/* Bytes of one record: the label's, then the input's. */
static int record_bytes(size_t *out, const struct scene *scene, struct ws_error *err)
{
    const struct ws_io_type *input = ws_halves_input(scene->halves);
    uint64_t bytes = 0;
    int rc = ws_shape_bytes(&bytes, input->dtype, input->dims, input->rank, err);
    if (rc != 0)
        return ws_error_context(err, "input \"%s\"", input->name);
    *out = (size_t)bytes + 1;
    return 0;
}

static int open_records(struct scene *scene, struct ws_error *err)
{
    const struct share_options *options = scene->options;
    size_t size = 0;
    int rc = ws_map_open(&scene->records, options->records, 0, err);
    if (rc == 0)
        rc = record_bytes(&size, scene, err);
    if (rc == 0 && scene->records.size % size != 0)
        rc = ws_error_set(err, WS_E_FORMAT, "%s: %zu bytes are no records of %zu",
                          options->records, scene->records.size, size);
    if (rc != 0)
        return rc;
    scene->count = scene->records.size / size;
    if (options->limit != 0 && options->limit < scene->count)
        scene->count = options->limit;
    const int64_t dims[] = {(int64_t)scene->count};
    rc = ws_tensor_init(&scene->labels, WS_DTYPE_INT64, dims, 1, err);
    int64_t *labels = scene->labels.data;
    for (size_t i = 0; rc == 0 && i < scene->count; i++)
        labels[i] = scene->records.data[i * size];
    return rc;
}

static int open_scene(struct scene *scene, struct ws_error *err)
{
    const struct share_options *options = scene->options;
    enum ws_level level = options->model.splitter.level;
    struct ws_parts parts = {0};
    int rc = ws_parts_load(&parts, options->dir, err);
    if (rc == 0)
        rc = ws_model_options_open(&scene->engine, &scene->cloud, &options->model,
                                   parts.paths[WS_PARTS_CLOUD], err);
    if (rc == 0)
        rc = ws_halves_create(&scene->halves, scene->engine, options->dir, level, err);
    if (rc == 0) {
        const struct ws_session_source whole = {.path = parts.paths[WS_PARTS_WHOLE],
                                                .level = level};
        rc = ws_session_create(&scene->whole, scene->engine, &whole, err);
    }
    if (rc == 0) {
        const struct ws_offload_options to = {.splitter = scene->cloud,
                                              .model_name = parts.cloud_name,
                                              .url = options->node,
                                              .identity = options->identity.identity,
                                              .codec = options->codec,
                                              .encoding = options->encoding,
                                              .timeout_ms = options->timeout_ms};
        rc = ws_offload_create(&scene->offload, &to, err);
    }
    if (rc == 0)
        rc = options->input != NULL     ? open_input(scene, err)
             : options->records != NULL ? open_records(scene, err)
                                        : open_samples(scene, err);
    ws_parts_fini(&parts);
    return rc;
}

static void close_scene(struct scene *scene)
{
    ws_offload_destroy(scene->offload);
    ws_session_destroy(scene->whole);
    ws_halves_destroy(scene->halves);
    ws_splitter_destroy(scene->cloud);
    ws_engine_destroy(scene->engine);
    ws_datum_fini(&scene->input);
    ws_npy_close(&scene->samples);
    ws_map_close(&scene->records);
    ws_tensor_fini(&scene->labels);
}

/* A copy of sample number `index` as it is in its file. */
static int read_sample(struct ws_tensor *out, const struct scene *scene, size_t index,
                       struct ws_error *err)
{
    const struct ws_io_type *input = ws_halves_input(scene->halves);
    const struct ws_tensor *given = &scene->input.tensor;
    const void *bytes = given->data;
    int rc = 0;
    if (scene->options->samples != NULL)
        return ws_npy_slice(out, &scene->samples, index, 1, err);
    if (scene->options->records != NULL) {
        rc = ws_tensor_init(out, input->dtype, input->dims, input->rank, err);
        if (rc == 0)
            bytes = scene->records.data + index * (out->size_bytes + 1) + 1;
    } else {
        rc = ws_tensor_init(out, given->dtype, given->dims, given->rank, err);
    }
    if (rc == 0 && out->size_bytes > 0)
        memcpy(out->data, bytes, out->size_bytes);
    return rc;
}

/* The same, of the type that the extractor takes. */
static int sample_at(struct ws_datum *out, const struct scene *scene, size_t index,
                     struct ws_error *err)
{
    const struct ws_io_type *wanted = ws_halves_input(scene->halves);
    struct ws_datum sample = {.kind = WS_DATUM_TENSOR};
    int rc = read_sample(&sample.tensor, scene, index, err);
    if (rc != 0)
        return rc;
    int fits = sample.tensor.dtype == wanted->dtype && sample.tensor.rank == wanted->rank;
    for (size_t i = 0; fits && i < wanted->rank; i++)
        fits = wanted->dims[i] < 0 || wanted->dims[i] == sample.tensor.dims[i];
    if (!fits) {
        char want[128], got[128];
        ws_tensor_describe(want, sizeof(want), wanted->dtype, wanted->dims, wanted->rank);
        ws_tensor_describe(got, sizeof(got), sample.tensor.dtype, sample.tensor.dims,
                           sample.tensor.rank);
        ws_datum_fini(&sample);
        return ws_error_set(err, WS_E_TYPE, "input \"%s\" wants %s, got %s", wanted->name,
                            want, got);
    }
    *out = sample;
    return 0;
}

static size_t best_of(const struct scene *scene, const float *scores)
{
    const struct ws_tensor row = {.dtype = WS_DTYPE_FP32,
                                  .data = (void *)(uintptr_t)scores};
    return ws_compare_argmax(&row, 0, ws_halves_class_count(scene->halves));
}

static int is_right(const struct scene *scene, size_t index, const float *scores)
{
    const int64_t *labels = scene->labels.data;
    return labels != NULL && scores != NULL &&
           (int64_t)best_of(scene, scores) == labels[index];
}

/* How often the unsplit network is right. */
static int run_whole(size_t *right, const struct scene *scene, struct ws_error *err)
{
    int rc = 0;
    *right = 0;
    for (size_t i = 0; rc == 0 && i < scene->count; i++) {
        struct ws_datum sample = {0};
        struct ws_engine_value *in = NULL, *made = NULL;
        struct ws_tensor logits;
        rc = sample_at(&sample, scene, i, err);
        if (rc == 0)
            rc = ws_engine_value_from_datum(&in, scene->engine, &sample, err);
        if (rc == 0)
            rc = ws_session_run(scene->whole, &in, &made, err);
        if (rc == 0)
            rc = ws_engine_value_view(&logits, made, err);
        if (rc == 0)
            *right += (size_t)is_right(scene, i, logits.data);
        ws_engine_value_destroy(made);
        ws_engine_value_destroy(in);
        ws_datum_fini(&sample);
    }
    return rc;
}

/* Of one share's run, the times of each request in ms and what draws random maps. */
struct timing {
    double *extract, *edge, *beside, *cloud, *total;
    float *ranking;
    struct ws_rng rng;
};

static int timing_init(struct timing *timing, const struct scene *scene,
                       struct ws_error *err)
{
    size_t maps = ws_halves_parts(scene->halves)->map_count;
    double *block = calloc(5 * scene->count + 1, sizeof(*block));
    timing->ranking = calloc(maps, sizeof(*timing->ranking));
    timing->extract = block;
    if (block == NULL || timing->ranking == NULL)
        return ws_error_nomem(err);
    timing->edge = block + scene->count;
    timing->beside = block + 2 * scene->count;
    timing->cloud = block + 3 * scene->count;
    timing->total = block + 4 * scene->count;
    return 0;
}

static void timing_fini(struct timing *timing)
{
    free(timing->extract);
    free(timing->ranking);
}

static void take_answer(struct row *row, struct timing *timing,
                        const struct ws_halves_answer *answer, const struct scene *scene,
                        size_t index)
{
    const struct ws_halves_times *times = &answer->times;
    row->secondary_count = answer->secondary_count;
    ws_stats_add(&row->held, answer->held);
    ws_stats_add(&row->attention, answer->attention);
    ws_stats_add(&row->lambda, answer->lambda);
    timing->extract[index] = (double)times->extract_ns / 1e6;
    timing->edge[index] = (double)times->edge_ns / 1e6;
    timing->beside[index] = (double)times->beside_ns / 1e6;
    timing->total[index] = (double)times->total_ns / 1e6;
    row->answer = best_of(scene, answer->probabilities);
    row->probability = (double)answer->probabilities[row->answer];
    row->right += (size_t)is_right(scene, index, answer->probabilities);
    row->edge_right += (size_t)is_right(scene, index, answer->edge);
    row->cloud_right += (size_t)is_right(scene, index, answer->cloud);
    row->edge_count += answer->edge != NULL;
    row->cloud_count += answer->cloud != NULL;
    if (answer->cloud != NULL) {
        ws_stats_add(&row->tensor_bytes, (double)times->cloud.tensor_bytes);
        ws_stats_add(&row->sent_bytes, (double)times->cloud.sent_bytes);
        if (times->cloud.is_told)
            timing->cloud[row->cloud_told++] = (double)times->cloud.cloud_ns / 1e6;
    } else if (answer->cloud_rc != 0) {
        row->failure = answer->cloud_err;
    }
}

static int run_sample(struct row *row, struct timing *timing, const struct scene *scene,
                      size_t index, struct ws_error *err)
{
    const struct share_options *options = scene->options;
    size_t maps = ws_halves_parts(scene->halves)->map_count;
    struct ws_datum sample = {0};
    struct ws_halves_answer answer = {0};
    struct ws_halves_request request = {.input = &sample,
                                        .share = row->share,
                                        .lambda = options->lambda,
                                        .timeout_ms = options->timeout_ms};
    for (size_t m = 0; options->is_random && m < maps; m++)
        timing->ranking[m] = (float)ws_rng_uniform(&timing->rng);
    if (options->is_random)
        request.ranking = timing->ranking;
    int rc = sample_at(&sample, scene, index, err);
    if (rc == 0)
        rc = ws_halves_run(&answer, scene->halves, scene->offload, &request, err);
    if (rc == 0)
        take_answer(row, timing, &answer, scene, index);
    ws_halves_answer_fini(&answer);
    ws_datum_fini(&sample);
    return rc;
}

static int run_share(struct row *row, const struct scene *scene, struct ws_error *err)
{
    struct timing timing = {0};
    int progress = isatty(STDERR_FILENO) && scene->count > 1;
    struct row uncounted = *row; /* the first request loads what the others find */
    int rc = timing_init(&timing, scene, err);
    ws_rng_init(&timing.rng, (uint64_t)scene->options->seed);
    if (rc == 0 && scene->count > 0)
        rc = run_sample(&uncounted, &timing, scene, 0, err);
    ws_rng_init(&timing.rng, (uint64_t)scene->options->seed);
    for (size_t i = 0; rc == 0 && i < scene->count; i++) {
        rc = run_sample(row, &timing, scene, i, err);
        if (progress && i % 100 == 0)
            fprintf(stderr, "\rshare %.2f: %zu of %zu", row->share, i, scene->count);
    }
    if (progress)
        fputs("\r\033[K", stderr);
    if (rc == 0 && scene->count > 0) {
        row->extract_ms = ws_stats_median(timing.extract, scene->count);
        row->edge_ms = ws_stats_median(timing.edge, scene->count);
        row->beside_ms = ws_stats_median(timing.beside, scene->count);
        row->total_ms = ws_stats_median(timing.total, scene->count);
        if (row->cloud_told > 0)
            row->cloud_ms = ws_stats_median(timing.cloud, row->cloud_told);
    }
    timing_fini(&timing);
    return rc;
}

static void print_head(const struct scene *scene, size_t whole_right)
{
    const struct share_options *options = scene->options;
    int has_labels = scene->labels.data != NULL;
    printf("%s, %zu sample%s, cloud's half %s%s, codec %s, maps by %s", options->dir,
           scene->count, scene->count == 1 ? "" : "s",
           options->node == NULL ? "in this process" : "at ",
           options->node == NULL ? "" : options->node, ws_codec_name(options->codec),
           options->is_random ? "chance" : "importance");
    if (has_labels)
        printf(", unsplit top-1 %.4f", (double)whole_right / (double)scene->count);
    printf("\nshare  maps  bytes  sent body  held  lambda  extract ms  edge ms  cloud ms"
           "  beside ms  total ms%s\n",
           has_labels          ? "   fused    loss  edge half  cloud half"
           : scene->count == 1 ? "  answer"
                               : "");
}

static void print_top1(size_t right, size_t count, int width)
{
    if (count > 0)
        printf("  %*.4f", width, (double)right / (double)count);
    else
        printf("  %*s", width, "-");
}

static void print_row(const struct row *row, const struct scene *scene,
                      size_t whole_right)
{
    double count = (double)scene->count;
    printf("%5.2f %5zu %6.0f %10.0f  %4.2f    %4.2f %11.3f %8.3f ", row->share,
           row->secondary_count, row->tensor_bytes.mean, row->sent_bytes.mean,
           row->held.mean, row->lambda.mean, row->extract_ms, row->edge_ms);
    if (row->cloud_told > 0)
        printf("%9.3f", row->cloud_ms);
    else
        printf("%9s", "-");
    printf("  %9.3f %9.3f", row->beside_ms, row->total_ms);
    if (scene->labels.data != NULL) {
        print_top1(row->right, scene->count, 6);
        printf(" %+7.4f", ((double)whole_right - (double)row->right) / count);
        print_top1(row->edge_right, row->edge_count, 9);
        print_top1(row->cloud_right, row->cloud_count, 10);
    } else if (scene->count == 1) {
        printf("  class %zu (%.3f)", row->answer, row->probability);
    }
    putchar('\n');
    fflush(stdout);
}

/* How often the edge's tail had to answer alone. */
static void tell_failures(const struct row *row, const struct scene *scene)
{
    size_t failed = row->secondary_count > 0 ? scene->count - row->cloud_count : 0;
    if (failed > 0)
        fprintf(stderr,
                "wattshed: share %.2f: the edge answered alone %zu of %zu times: "
                "%s\n",
                row->share, failed, scene->count, row->failure.text);
}

static json_t *known(int is_known, double value)
{
    return is_known ? json_real(value) : json_null();
}

static json_t *ratio(const struct scene *scene, size_t right, size_t count)
{
    return known(scene->labels.data != NULL && count > 0,
                 (double)right / (double)(count > 0 ? count : 1));
}

static json_t *row_json(const struct row *row, const struct scene *scene)
{
    int is_sent = row->cloud_count > 0;
    json_t *json = json_pack(
        "{s:f, s:I, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:o, s:f, s:f, s:I, s:o, s:o, "
        "s:o}",
        "share", row->share, "secondary_maps", (json_int_t)row->secondary_count,
        "tensor_bytes", known(is_sent, row->tensor_bytes.mean), "sent_bytes",
        known(is_sent, row->sent_bytes.mean), "held", row->held.mean, "attention",
        row->attention.mean, "lambda", row->lambda.mean, "extract_ms", row->extract_ms,
        "edge_ms", row->edge_ms, "cloud_ms", known(row->cloud_told > 0, row->cloud_ms),
        "beside_ms", row->beside_ms, "total_ms", row->total_ms, "cloud_answers",
        (json_int_t)row->cloud_count, "top1", ratio(scene, row->right, scene->count),
        "edge_top1", ratio(scene, row->edge_right, row->edge_count), "cloud_top1",
        ratio(scene, row->cloud_right, row->cloud_count));
    if (scene->count == 1) {
        json_object_set_new(json, "answer", json_integer((json_int_t)row->answer));
        json_object_set_new(json, "probability", json_real(row->probability));
    }
    return json;
}

static void print_losses(const struct ws_stats *lost)
{
    if (lost->count > 1)
        printf("lost against the unsplit network: %.4f on average, %.4f at worst\n",
               lost->mean, lost->max);
}

static int run_all(const struct scene *scene, json_t *rows, struct ws_error *err)
{
    const struct share_options *options = scene->options;
    struct ws_stats lost = {0};
    size_t whole_right = 0;
    int rc = scene->labels.data == NULL ? 0 : run_whole(&whole_right, scene, err);
    if (rc == 0 && !options->json)
        print_head(scene, whole_right);
    for (size_t s = 0; rc == 0 && s < options->share_count; s++) {
        struct row row = {.share = options->shares[s]};
        rc = run_share(&row, scene, err);
        if (rc != 0)
            break;
        if (options->json)
            json_array_append_new(rows, row_json(&row, scene));
        else
            print_row(&row, scene, whole_right);
        ws_stats_add(&lost,
                     ((double)whole_right - (double)row.right) / (double)scene->count);
        tell_failures(&row, scene);
    }
    if (rc == 0 && !options->json && scene->labels.data != NULL)
        print_losses(&lost);
    if (rc == 0 && options->json) {
        json_t *all =
            json_pack("{s:s, s:s?, s:s, s:s, s:s, s:I, s:o, s:O}", "model", options->dir,
                      "node", options->node, "codec", ws_codec_name(options->codec),
                      "encoding", ws_encoding_name(options->encoding), "maps_by",
                      options->is_random ? "random" : "importance", "samples",
                      (json_int_t)scene->count, "unsplit_top1",
                      ratio(scene, whole_right, scene->count), "rows", rows);
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(all);
    }
    return rc;
}

static int share(const struct share_options *options, struct ws_error *err)
{
    struct scene scene = {.options = options};
    json_t *rows = json_array();
    int rc = open_scene(&scene, err);
    if (rc == 0)
        rc = run_all(&scene, rows, err);
    json_decref(rows);
    close_scene(&scene);
    return rc;
}

static void set_defaults(struct share_options *options)
{
    options->share_count = 1;
    options->shares[0] = 0.5;
    for (size_t i = 1; options->input == NULL && i <= 9; i++) {
        options->share_count = i;
        options->shares[i - 1] = (double)i / 10;
    }
}

/* 0, or 1 with an exit status. */
static int parse(struct share_options *options, int *status, int argc, char **argv)
{
    if (ws_cli_parse(status, options, argc, argv, &usage) != 0)
        return 1;
    options->dir = argv[optind];
    int sources = (options->input != NULL) + (options->samples != NULL) +
                  (options->records != NULL);
    if (sources != 1)
        *status = ws_cli_usage_error("share",
                                     "one of --input, --samples and --records is needed");
    else if (options->labels != NULL && options->samples == NULL)
        *status = ws_cli_usage_error("share", "--labels is for --samples");
    else if (options->codec == WS_CODEC_INT8C)
        *status = ws_cli_usage_error("share", "--codec is none, fp16 or int8");
    else
        return 0;
    return 1;
}

int ws_cmd_share(int argc, char **argv)
{
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    struct share_options *options = calloc(1, sizeof(*options));
    if (options == NULL) {
        ws_error_nomem(&err);
        return ws_cli_fail(&err);
    }
    ws_model_options_init(&options->model);
    options->lambda = -1;
    options->codec = WS_CODEC_INT8;
    options->seed = 1;
    options->timeout_ms = 1000;
    if (parse(options, &status, argc, argv) == 0) {
        if (options->share_count == 0)
            set_defaults(options);
        if (share(options, &err) != 0)
            status = ws_cli_fail(&err);
    }
    ws_model_options_fini(&options->model);
    ws_identity_options_fini(&options->identity);
    free(options);
    return status;
}
