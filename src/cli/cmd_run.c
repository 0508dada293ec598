#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/local.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "split/pipe.h"

struct run_options {
    struct ws_model_options model;
    const char *path;
    const char *cut;
    enum ws_codec codec;
    enum ws_encoding encoding;
    size_t repeat;
    const char *out_dir;
    int json;
    struct ws_cli_texts inputs;
    struct ws_local_options local;
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXTS("input", "FILE", struct run_options, inputs,
                  "an input, .npy or .pb; in order, or as NAME=FILE")},
    {WS_CLI_TEXT("cut", "K", struct run_options, cut,
                 "where to cut: a number, an identity or tensor names as `wattshed "
                 "inspect` lists them (default: not at all)")},
    {WS_CLI_TAKE("codec", "C", struct run_options, codec, ws_cli_take_codec,
                 "none, fp16, int8 or int8c (default none); int8c takes its ranges from "
                 "the inputs given")},
    {WS_CLI_TAKE("encoding", "E", struct run_options, encoding, ws_cli_take_encoding,
                 "none, zstd, lz4, gzip or deflate (default none)")},
    {WS_CLI_SIZE("repeat", "N", struct run_options, repeat, 1, 1000000,
                 "runs to take the median times of (default 1)")},
    {WS_CLI_TEXT("output", "DIR", struct run_options, out_dir,
                 "writes the outputs there as NAME.npy, other kinds as NAME.pb"),
     .letter = 'o'},
    {WS_CLI_FLAG("json", struct run_options, json, "prints the result as JSON")},
    {WS_CLI_GROUP(ws_local_cli, struct run_options, local)},
    {WS_CLI_GROUP(ws_model_cli, struct run_options, model)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "run",
    .synopsis = "MODEL [--cut K] --input FILE ... [-o DIR]",
    .about = "Runs a model in this process: whole, or cut in one place with everything "
             "that would happen between two machines except the network.",
    .options = options_table,
    .example = "  $ wattshed run etc/demo/digits.onnx --cut 30 --codec int8 \\\n"
               "  > --input etc/demo/test_data_set_0/input_0.pb",
    .words_min = 1,
    .words_max = 1,
    .wants = "one MODEL is needed",
};

struct run_result {
    const char **names; /* of the outputs */
    struct ws_datum *outputs;
    struct ws_pipe_times *times; /* of each run */
    struct ws_local *local;      /* NULL: nothing was asked of this machine */
    int64_t start_ns, end_ns;    /* of all runs */
};

static int run_all(struct run_result *result, struct ws_pipe *pipe,
                   const struct ws_graph *graph, const struct ws_inputs *inputs,
                   size_t repeat, struct ws_error *err)
{
    result->outputs = calloc(graph->output_count + 1, sizeof(*result->outputs));
    result->times = calloc(repeat, sizeof(*result->times));
    result->names = calloc(graph->output_count + 1, sizeof(char *));
    if (result->outputs == NULL || result->times == NULL || result->names == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < graph->output_count; i++)
        result->names[i] = graph->values[graph->outputs[i]].name;
    int rc = 0;
    result->start_ns = ws_clock_now_ns();
    for (size_t r = 0; rc == 0 && r < repeat; r++) {
        for (size_t i = 0; i < graph->output_count; i++)
            ws_datum_fini(&result->outputs[i]);
        rc = ws_pipe_run_datums(pipe, inputs->data, result->outputs, &result->times[r],
                                err);
    }
    result->end_ns = ws_clock_now_ns();
    return rc;
}

#define MEDIAN_MS(result, count, field)                                                  \
    ws_cli_median_ms((result)->times, (count), sizeof(struct ws_pipe_times),             \
                     offsetof(struct ws_pipe_times, field))

static json_t *result_json(const struct run_options *options,
                           const struct ws_graph *graph, const struct ws_cut *cut,
                           const struct run_result *result)
{
    size_t n = options->repeat;
    json_t *outputs =
        ws_cli_outputs_json(result->names, result->outputs, graph->output_count);
    return json_pack(
        "{s:s, s:I, s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:o}", "model",
        options->path, "cut", (json_int_t)cut->number, "id", cut->id, "codec",
        ws_codec_name(options->codec), "encoding", ws_encoding_name(options->encoding),
        "runs", (json_int_t)n, "head_ms", MEDIAN_MS(result, n, head_ns), "encode_ms",
        MEDIAN_MS(result, n, encode_ns), "decode_ms", MEDIAN_MS(result, n, decode_ns),
        "tail_ms", MEDIAN_MS(result, n, tail_ns), "tensor_bytes",
        (json_int_t)result->times[n - 1].tensor_bytes, "wire_bytes",
        (json_int_t)result->times[n - 1].wire_bytes, "outputs", outputs);
}

static void print_result(const struct run_options *options, const struct ws_graph *graph,
                         const struct ws_cut *cut, const struct run_result *result)
{
    size_t n = options->repeat;
    if (options->cut != NULL)
        printf("cut %zu (%s): %" PRIu64 " bytes cross, %" PRIu64 " on the wire\n",
               cut->number, cut->id, result->times[n - 1].tensor_bytes,
               result->times[n - 1].wire_bytes);
    printf("head %.3f ms  encode %.3f ms  decode %.3f ms  tail %.3f ms%s\n",
           MEDIAN_MS(result, n, head_ns), MEDIAN_MS(result, n, encode_ns),
           MEDIAN_MS(result, n, decode_ns), MEDIAN_MS(result, n, tail_ns),
           n > 1 ? "  (medians)" : "");
    ws_local_print(result->local, result->start_ns, result->end_ns, n);
    ws_cli_print_outputs(result->names, result->outputs, graph->output_count);
}

static int run_model(const struct run_options *options, struct ws_error *err)
{
    struct ws_engine *engine = NULL;
    struct ws_splitter *splitter = NULL;
    struct ws_pipe *pipe = NULL;
    struct ws_inputs inputs = {0};
    struct ws_codec_range ranges[WS_CUT_TENSORS_MAX] = {0};
    struct run_result result = {0};
    struct ws_pipe_options at = {.codec = options->codec, .encoding = options->encoding};
    int rc = ws_local_open(&result.local, &options->local, err);
    if (rc == 0)
        rc = ws_model_options_open(&engine, &splitter, &options->model, options->path,
                                   err);
    if (rc != 0)
        goto out;
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    const struct ws_cuts *cuts = ws_splitter_cuts(splitter);
    at.cut = cuts->count - 1;
    if (options->cut != NULL)
        rc = ws_cuts_find(&at.cut, cuts, options->cut, err);
    if (rc == 0)
        rc = ws_inputs_load(&inputs, graph, options->inputs.at, options->inputs.count,
                            err);
    if (rc == 0 && options->codec == WS_CODEC_INT8C) {
        rc = ws_pipe_learn_ranges(ranges, splitter, at.cut, inputs.data, err);
        at.ranges = ranges;
    }
    if (rc == 0)
        rc = ws_pipe_create(&pipe, splitter, &at, err);
    if (rc == 0)
        rc = run_all(&result, pipe, graph, &inputs, options->repeat, err);
    if (rc == 0 && options->out_dir != NULL)
        rc = ws_cli_save_outputs(options->out_dir, result.names, result.outputs,
                                 graph->output_count, err);
    if (rc != 0)
        goto out;
    if (options->json) {
        json_t *json = result_json(options, graph, &cuts->cuts[at.cut], &result);
        ws_local_json(json, result.local, result.start_ns, result.end_ns,
                      options->repeat);
        json_dumpf(json, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(json);
    } else {
        print_result(options, graph, &cuts->cuts[at.cut], &result);
    }
out:
    ws_local_close(result.local);
    for (size_t i = 0;
         result.outputs != NULL && i < ws_splitter_graph(splitter)->output_count; i++)
        ws_datum_fini(&result.outputs[i]);
    free(result.outputs);
    free(result.times);
    free(result.names);
    for (size_t i = 0; i < WS_CUT_TENSORS_MAX; i++)
        ws_codec_range_fini(&ranges[i]);
    ws_inputs_fini(&inputs);
    ws_pipe_destroy(pipe);
    ws_splitter_destroy(splitter);
    ws_engine_destroy(engine);
    return rc;
}

int ws_cmd_run(int argc, char **argv)
{
    struct ws_error err = {0};
    struct run_options *options = calloc(1, sizeof(*options));
    int status = WS_EXIT_OK;
    if (options == NULL) {
        ws_error_nomem(&err);
        return ws_cli_fail(&err);
    }
    ws_model_options_init(&options->model);
    options->repeat = 1;
    if (ws_cli_parse(&status, options, argc, argv, &usage) == 0) {
        options->path = argv[optind];
        if (run_model(options, &err) != 0)
            status = ws_cli_fail(&err);
    }
    ws_model_options_fini(&options->model);
    free(options);
    return status;
}
