#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/stats.h"
#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/secure_options.h"
#include "onnx/npy.h"
#include "split/compare.h"
#include "split/pipe.h"
#include "split/relay.h"

struct compare_options {
    struct ws_model_options model;
    struct ws_identity_options identity;
    const char *path, *samples, *labels, *node;
    int use_codec[WS_CODEC_COUNT];
    enum ws_encoding encoding;
    size_t limit;
    size_t calibrate;
    int json;
};

/* The samples and what the whole model says of them. */
struct samples {
    struct ws_npy inputs;
    struct ws_tensor labels;
    size_t count;
    size_t *answers;
};

/* What one cut with one codec gave, over all samples. */
struct row {
    const struct ws_cut *cut;
    enum ws_codec codec;
    uint64_t tensor_bytes, wire_bytes;
    double head_ms, codec_ms, tail_ms; /* medians */
    double transfer_ms, cloud_ms;      /* with a node */
    int is_sent;                       /* the last cut sends nothing */
    size_t agree, right;
};

static int take_codecs(void *field, const char *list, const struct ws_cli_option *option,
                       struct ws_error *err)
{
    int *use_codec = field;
    (void)option;
    char copy[64];
    char *rest = NULL;
    memset(use_codec, 0, WS_CODEC_COUNT * sizeof(int));
    (void)snprintf(copy, sizeof(copy), "%s", list);
    for (char *name = strtok_r(copy, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        enum ws_codec codec = WS_CODEC_NONE;
        int rc = ws_codec_find(&codec, name, err);
        if (rc != 0)
            return rc;
        use_codec[codec] = 1;
    }
    return 0;
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("samples", "FILE", struct compare_options, samples,
                 "inputs [N, ...], one along the first dimension each")},
    {WS_CLI_TEXT("labels", "FILE", struct compare_options, labels,
                 "the right answers [N], integers (default: no top-1)")},
    {WS_CLI_TAKE("codec", "LIST", struct compare_options, use_codec, take_codecs,
                 "of none,fp16,int8,int8c (default: all four)")},
    {WS_CLI_TAKE("encoding", "E", struct compare_options, encoding, ws_cli_take_encoding,
                 "none, zstd, lz4, gzip or deflate on top (default none)")},
    {WS_CLI_TEXT("node", "URL", struct compare_options, node,
                 "a node that hosts the model: runs each tail there as well and adds the "
                 "transfer and the cloud's time; the answers are the node's")},
    {WS_CLI_SIZE("limit", "N", struct compare_options, limit, 1, INT64_MAX,
                 "the first N samples only")},
    {WS_CLI_SIZE("calibrate", "N", struct compare_options, calibrate, 1, INT64_MAX,
                 "samples, from the end of the file, that int8c takes its ranges from "
                 "(default 16)")},
    {WS_CLI_FLAG("json", struct compare_options, json, "prints the result as JSON")},
    {WS_CLI_GROUP(ws_identity_cli, struct compare_options, identity)},
    {WS_CLI_GROUP(ws_model_cli, struct compare_options, model)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "compare",
    .synopsis = "MODEL --samples X.npy [--labels Y.npy] [OPTION ...]",
    .about = "Runs labelled samples through a model, whole and cut at every natural "
             "place with every codec, and prints what crosses, the time of both sides, "
             "how often the answer is the whole model's, and how often it is right.",
    .options = options_table,
    .example = "  $ wattshed compare etc/demo/digits.onnx \\\n"
               "  > --samples etc/demo/digits_inputs.npy \\\n"
               "  > --labels etc/demo/digits_labels.npy --limit 50",
    .words_min = 1,
    .words_max = 1,
    .wants = "one MODEL is needed",
};

static int open_samples(struct samples *samples, const struct compare_options *options,
                        const struct ws_graph *graph, struct ws_error *err)
{
    if (graph->input_count != 1)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "%s has %zu inputs; compare takes models with one",
                            options->path, graph->input_count);
    int rc = ws_npy_open(&samples->inputs, options->samples, err);
    if (rc != 0)
        return rc;
    if (samples->inputs.rank == 0)
        return ws_error_set(err, WS_E_TYPE, "%s: a scalar holds no samples",
                            options->samples);
    samples->count = (size_t)samples->inputs.dims[0];
    if (options->labels != NULL)
        rc = ws_npy_load(&samples->labels, options->labels, err);
    if (rc == 0 && options->labels != NULL &&
        (samples->labels.dtype != WS_DTYPE_INT64 || samples->labels.rank != 1 ||
         (size_t)samples->labels.dims[0] != samples->count))
        rc = ws_error_set(err, WS_E_TYPE,
                          "%s: wants INT64[%zu], one label for each sample",
                          options->labels, samples->count);
    if (options->limit != 0 && options->limit < samples->count)
        samples->count = options->limit;
    samples->answers = calloc(samples->count + 1, sizeof(*samples->answers));
    if (rc == 0 && samples->answers == NULL)
        rc = ws_error_nomem(err);
    return rc;
}

static void close_samples(struct samples *samples)
{
    ws_npy_close(&samples->inputs);
    ws_tensor_fini(&samples->labels);
    free(samples->answers);
}

/* Runs sample number `index`; *answer is the largest element of the first output. */
static int run_sample(size_t *answer, struct ws_pipe_times *times, struct ws_pipe *pipe,
                      struct ws_engine *engine, const struct samples *samples,
                      size_t index, struct ws_error *err)
{
    struct ws_tensor input = {0}, output;
    struct ws_engine_value *value = NULL;
    int rc = ws_npy_slice(&input, &samples->inputs, index, 1, err);
    if (rc == 0)
        rc = ws_engine_value_from_tensor(&value, engine, &input, err);
    if (rc == 0)
        rc = ws_pipe_run(pipe, &value, times, err);
    if (rc == 0)
        rc = ws_engine_value_view(&output, ws_pipe_output(pipe, 0), err);
    if (rc == 0) {
        uint64_t count = 0;
        rc = ws_shape_count(&count, output.dims, output.rank, err);
        if (rc == 0)
            *answer = count > 0 ? ws_compare_argmax(&output, 0, (size_t)count) : 0;
    }
    ws_engine_value_destroy(value);
    ws_tensor_fini(&input);
    return rc;
}

/* Ranges of the crossing tensors over the last samples of the file. */
static int calibrate(struct ws_codec_range *ranges, struct ws_splitter *splitter,
                     size_t cut, const struct samples *samples, size_t count,
                     struct ws_error *err)
{
    struct ws_pipe_options plain = {.cut = cut};
    struct ws_pipe *pipe = NULL;
    size_t all = (size_t)samples->inputs.dims[0], answer = 0;
    int rc = ws_pipe_create(&pipe, splitter, &plain, err);
    for (size_t i = all > count ? all - count : 0; rc == 0 && i < all; i++) {
        rc = run_sample(&answer, NULL, pipe, ws_splitter_engine(splitter), samples, i,
                        err);
        if (rc == 0)
            rc = ws_pipe_calibrate(ranges, pipe, err);
    }
    ws_pipe_destroy(pipe);
    return rc;
}

/* All samples through one pipe. A row without a cut is the whole: its answers are the
 * ones that the others are compared with. */
static int run_samples(struct row *row, struct ws_pipe *pipe, struct ws_engine *engine,
                       struct samples *samples, struct ws_error *err)
{
    double *head = calloc(3 * samples->count + 1, sizeof(*head));
    if (head == NULL)
        return ws_error_nomem(err);
    double *codec = head + samples->count, *tail = codec + samples->count;
    const int64_t *labels = samples->labels.data;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < samples->count; i++) {
        struct ws_pipe_times times;
        size_t answer = 0;
        rc = run_sample(&answer, &times, pipe, engine, samples, i, err);
        if (rc != 0)
            break;
        if (row->cut == NULL)
            samples->answers[i] = answer;
        head[i] = (double)times.head_ns / 1e6;
        codec[i] = (double)(times.encode_ns + times.decode_ns) / 1e6;
        tail[i] = (double)times.tail_ns / 1e6;
        row->tensor_bytes = times.tensor_bytes;
        row->wire_bytes += times.wire_bytes;
        row->agree += answer == samples->answers[i];
        row->right += labels != NULL && (int64_t)answer == labels[i];
    }
    if (rc == 0 && samples->count > 0) {
        row->wire_bytes /= samples->count;
        row->head_ms = ws_stats_median(head, samples->count);
        row->codec_ms = ws_stats_median(codec, samples->count);
        row->tail_ms = ws_stats_median(tail, samples->count);
    }
    free(head);
    return rc;
}

/* All samples once more, the tail on the node, whose answers are the ones that count. */
static int run_apart(struct row *row, struct ws_relay *relay,
                     const struct samples *samples, struct ws_error *err)
{
    const int64_t *labels = samples->labels.data;
    double *transfer = calloc(2 * samples->count + 1, sizeof(*transfer));
    if (transfer == NULL)
        return ws_error_nomem(err);
    double *cloud = transfer + samples->count;
    int rc = 0;
    row->agree = row->right = 0;
    for (size_t i = 0; rc == 0 && i < samples->count; i++) {
        struct ws_datum input = {.kind = WS_DATUM_TENSOR}, output = {0};
        struct ws_passage_times times;
        size_t answer = 0;
        uint64_t count = 0;
        rc = ws_npy_slice(&input.tensor, &samples->inputs, i, 1, err);
        if (rc == 0)
            rc = ws_relay_run(relay, &input, &output, &times, err);
        if (rc == 0)
            rc = ws_shape_count(&count, output.tensor.dims, output.tensor.rank, err);
        if (rc == 0 && count > 0)
            answer = ws_compare_argmax(&output.tensor, 0, (size_t)count);
        ws_tensor_fini(&input.tensor);
        ws_datum_fini(&output);
        if (rc != 0)
            break;
        row->agree += answer == samples->answers[i];
        row->right += labels != NULL && (int64_t)answer == labels[i];
        row->is_sent = times.is_told;
        transfer[i] = (double)times.transfer_ns / 1e6;
        cloud[i] = (double)times.cloud_ns / 1e6;
    }
    if (rc == 0 && samples->count > 0) {
        row->transfer_ms = ws_stats_median(transfer, samples->count);
        row->cloud_ms = ws_stats_median(cloud, samples->count);
    }
    free(transfer);
    return rc;
}

static int run_on_node(struct row *row, const struct ws_pipe_options *at,
                       struct ws_splitter *splitter, const struct samples *samples,
                       const struct compare_options *options, struct ws_error *err)
{
    char stem[WS_NAME_MAX];
    struct ws_relay *relay = NULL;
    const struct ws_relay_options apart = {.cut = at->cut,
                                           .codec = at->codec,
                                           .ranges = at->ranges,
                                           .encoding = at->encoding,
                                           .model_name = stem,
                                           .url = options->node,
                                           .identity = options->identity.identity};
    ws_file_stem(stem, sizeof(stem), options->path);
    int rc = ws_relay_create(&relay, splitter, &apart, err);
    if (rc == 0)
        rc = run_apart(row, relay, samples, err);
    ws_relay_destroy(relay);
    return rc;
}

static int run_row(struct row *row, struct ws_splitter *splitter, struct samples *samples,
                   const struct compare_options *options, struct ws_error *err)
{
    struct ws_codec_range ranges[WS_CUT_TENSORS_MAX] = {0};
    struct ws_pipe_options at = {
        .cut = row->cut->number, .codec = row->codec, .encoding = options->encoding};
    struct ws_pipe *pipe = NULL;
    int rc = 0;
    if (row->codec == WS_CODEC_INT8C) {
        rc = calibrate(ranges, splitter, at.cut, samples, options->calibrate, err);
        at.ranges = ranges;
    }
    if (rc == 0)
        rc = ws_pipe_create(&pipe, splitter, &at, err);
    if (rc == 0)
        rc = run_samples(row, pipe, ws_splitter_engine(splitter), samples, err);
    if (rc == 0 && options->node != NULL)
        rc = run_on_node(row, &at, splitter, samples, options, err);
    ws_pipe_destroy(pipe);
    for (size_t i = 0; i < WS_CUT_TENSORS_MAX; i++)
        ws_codec_range_fini(&ranges[i]);
    return rc == 0 ? 0
                   : ws_error_context(err, "cut %zu, codec %s", at.cut,
                                      ws_codec_name(row->codec));
}

static void print_header(const struct compare_options *options,
                         const struct samples *samples, const struct row *whole)
{
    printf("%s, %zu samples: whole %.3f ms", options->path, samples->count,
           whole->head_ms);
    if (options->labels != NULL)
        printf(", top-1 %.4f", (double)whole->right / (double)samples->count);
    printf(
        "\n    cut codec     bytes  wire bytes   head ms  codec ms   tail ms%s  agreement"
        "%s  tensors\n",
        options->node != NULL ? "  transfer ms  cloud ms" : "",
        options->labels != NULL ? "   top-1" : "");
}

static void print_row(const struct row *row, const struct samples *samples,
                      const struct ws_graph *graph, int has_node)
{
    double count = (double)samples->count;
    printf("%c %5zu %-5s %9" PRIu64 " %11" PRIu64 " %9.3f %9.3f %9.3f",
           row->cut->bottleneck ? '*' : ' ', row->cut->number, ws_codec_name(row->codec),
           row->tensor_bytes, row->wire_bytes, row->head_ms, row->codec_ms, row->tail_ms);
    if (has_node && row->is_sent)
        printf("    %9.3f %9.3f", row->transfer_ms, row->cloud_ms);
    else if (has_node)
        printf("    %9s %9s", "-", "-");
    printf("     %6.4f", (double)row->agree / count);
    if (samples->labels.data != NULL)
        printf("  %6.4f", (double)row->right / count);
    for (size_t i = 0; row->codec == WS_CODEC_NONE && i < row->cut->tensor_count; i++)
        printf("%s%s", i > 0 ? ", " : "  ", graph->values[row->cut->tensors[i]].name);
    putchar('\n');
    fflush(stdout);
}

static json_t *row_json(const struct row *row, const struct samples *samples)
{
    double count = (double)samples->count;
    json_t *json = json_pack(
        "{s:I, s:s, s:s, s:b, s:I, s:I, s:f, s:f, s:f, s:f}", "cut",
        (json_int_t)row->cut->number, "id", row->cut->id, "codec",
        ws_codec_name(row->codec), "bottleneck", (int)row->cut->bottleneck,
        "tensor_bytes", (json_int_t)row->tensor_bytes, "wire_bytes",
        (json_int_t)row->wire_bytes, "head_ms", row->head_ms, "codec_ms", row->codec_ms,
        "tail_ms", row->tail_ms, "agreement", (double)row->agree / count);
    if (samples->labels.data != NULL)
        json_object_set_new(json, "top1", json_real((double)row->right / count));
    if (row->is_sent) {
        json_object_set_new(json, "transfer_ms", json_real(row->transfer_ms));
        json_object_set_new(json, "cloud_ms", json_real(row->cloud_ms));
    }
    return json;
}

/* Whether a codec has anything to do at a cut: all else passes as it is. */
static int has_floats(const struct ws_graph *graph, const struct ws_cut *cut)
{
    for (size_t i = 0; i < cut->tensor_count; i++) {
        enum ws_dtype dtype = graph->values[cut->tensors[i]].dtype;
        if (dtype == WS_DTYPE_FP32 || dtype == WS_DTYPE_FP64)
            return 1;
    }
    return 0;
}

/* Every natural cut with every codec that does something there. */
static int compare_all(struct ws_splitter *splitter, struct samples *samples,
                       const struct compare_options *options, json_t *rows,
                       struct ws_error *err)
{
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    const struct ws_cuts *cuts = ws_splitter_cuts(splitter);
    int progress = isatty(STDERR_FILENO) && (options->json || !isatty(STDOUT_FILENO));
    for (size_t c = 0; c < cuts->count; c++) {
        if (cuts->cuts[c].natural != WS_NATURAL_YES)
            continue;
        if (progress)
            fprintf(stderr, "\rcut %zu of %zu", c, cuts->count - 1);
        for (int codec = 0; codec < WS_CODEC_COUNT; codec++) {
            struct row row = {.cut = &cuts->cuts[c], .codec = (enum ws_codec)codec};
            if (!options->use_codec[codec] ||
                (codec != WS_CODEC_NONE && !has_floats(graph, row.cut)))
                continue;
            int rc = run_row(&row, splitter, samples, options, err);
            if (rc != 0)
                return rc;
            if (options->json)
                json_array_append_new(rows, row_json(&row, samples));
            else
                print_row(&row, samples, graph, options->node != NULL);
        }
    }
    if (progress)
        fputs("\r\033[K", stderr);
    return 0;
}

static int compare_model(const struct compare_options *options, struct ws_error *err)
{
    struct ws_engine *engine = NULL;
    struct ws_splitter *splitter = NULL;
    struct ws_pipe *pipe = NULL;
    struct samples samples = {0};
    struct row whole = {0};
    json_t *rows = json_array();
    int rc =
        ws_model_options_open(&engine, &splitter, &options->model, options->path, err);
    if (rc == 0)
        rc = open_samples(&samples, options, ws_splitter_graph(splitter), err);
    if (rc == 0) {
        struct ws_pipe_options uncut = {.cut = ws_splitter_cuts(splitter)->count - 1};
        rc = ws_pipe_create(&pipe, splitter, &uncut, err);
    }
    if (rc == 0)
        rc = run_samples(&whole, pipe, engine, &samples, err);
    if (rc == 0 && !options->json)
        print_header(options, &samples, &whole);
    if (rc == 0)
        rc = compare_all(splitter, &samples, options, rows, err);
    if (rc == 0 && options->json) {
        json_t *all =
            json_pack("{s:s, s:I, s:f, s:O}", "model", options->path, "samples",
                      (json_int_t)samples.count, "whole_ms", whole.head_ms, "rows", rows);
        if (samples.labels.data != NULL)
            json_object_set_new(all, "whole_top1",
                                json_real((double)whole.right / (double)samples.count));
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
    }
    json_decref(rows);
    ws_pipe_destroy(pipe);
    close_samples(&samples);
    ws_splitter_destroy(splitter);
    ws_engine_destroy(engine);
    return rc;
}

int ws_cmd_compare(int argc, char **argv)
{
    struct ws_error err = {0};
    struct compare_options options = {.calibrate = 16};
    int status = WS_EXIT_OK;
    ws_model_options_init(&options.model);
    for (int codec = 0; codec < WS_CODEC_COUNT; codec++)
        options.use_codec[codec] = 1;
    if (ws_cli_parse(&status, &options, argc, argv, &usage) != 0)
        goto out;
    options.path = argv[optind];
    if (options.samples == NULL)
        status = ws_cli_usage_error("compare", "--samples FILE is needed");
    else if (compare_model(&options, &err) != 0)
        status = ws_cli_fail(&err);
out:
    ws_identity_options_fini(&options.identity);
    ws_model_options_fini(&options.model);
    return status;
}
