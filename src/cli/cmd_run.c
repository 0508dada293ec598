#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/local.h"
#include "cli/model_options.h"
#include "cli/outputs.h"
#include "cli/syntax.h"
#include "split/pipe.h"

static const char usage[] =
    "usage: wattshed run MODEL [--cut K] --input FILE ... [-o DIR]\n"
    "\n"
    "Runs a model in this process: whole, or cut in one place with everything that "
    "would\n"
    "happen between two machines except the network.\n"
    "\n"
    "  --input FILE       an input, .npy or .pb; in order, or as NAME=FILE\n"
    "  --cut K            where to cut: a number, an identity or tensor names as\n"
    "                     `wattshed inspect` lists them (default: not at all)\n"
    "  --codec C          none, fp16, int8 or int8c (default none); int8c takes its "
    "ranges\n"
    "                     from the inputs given\n"
    "  --encoding E       none, zstd, lz4, gzip or deflate (default none)\n"
    "  --repeat N         runs to take the median times of (default 1)\n"
    "  -o DIR             writes the outputs there as NAME.npy, other kinds as NAME.pb\n"
    "  --json             prints the result as JSON\n" WS_LOCAL_HELP WS_MODEL_OPTIONS_HELP
    "\n"
    "example: wattshed run etc/demo/digits.onnx --cut 30 --codec int8 \\\n"
    "             --input etc/demo/test_data_set_0/input_0.pb\n";

struct run_options {
    struct ws_model_options model;
    const char *path;
    const char *cut;
    enum ws_codec codec;
    enum ws_encoding encoding;
    size_t repeat;
    const char *out_dir;
    int json;
    const char *inputs[WS_GRAPH_IO_MAX];
    size_t input_count;
    struct ws_local_options local;
};

enum {
    OPT_CUT = 256,
    OPT_CODEC,
    OPT_ENCODING,
    OPT_INPUT,
    OPT_REPEAT,
    OPT_JSON,
    OPT_SET,
    OPT_METER
};

static const struct option long_options[] = {
    {"cut", required_argument, NULL, OPT_CUT},
    {"codec", required_argument, NULL, OPT_CODEC},
    {"encoding", required_argument, NULL, OPT_ENCODING},
    {"input", required_argument, NULL, OPT_INPUT},
    {"repeat", required_argument, NULL, OPT_REPEAT},
    {"json", no_argument, NULL, OPT_JSON},
    {"set", required_argument, NULL, OPT_SET},
    {"meter", required_argument, NULL, OPT_METER},
    WS_MODEL_LONG_OPTIONS,
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int take_option(void *user, int option, const char *value, struct ws_error *err)
{
    struct run_options *options = user;
    switch (option) {
    case 'o':
        options->out_dir = value;
        return 0;
    case OPT_CUT:
        options->cut = value;
        return 0;
    case OPT_CODEC:
        return ws_codec_find(&options->codec, value, err);
    case OPT_ENCODING:
        return ws_encoding_find(&options->encoding, value, err);
    case OPT_INPUT:
        if (options->input_count == WS_GRAPH_IO_MAX)
            return ws_error_set(err, WS_E_LIMIT, "more than %d inputs", WS_GRAPH_IO_MAX);
        options->inputs[options->input_count++] = value;
        return 0;
    case OPT_REPEAT:
        return ws_parse_size(&options->repeat, value, 1, 1000000, "--repeat", err);
    case OPT_JSON:
        options->json = 1;
        return 0;
    case OPT_SET:
        return ws_local_add(&options->local, value, err);
    case OPT_METER:
        options->local.meter = value;
        return 0;
    default:
        return ws_model_options_take(&options->model, option, value, err);
    }
}

static const struct ws_cli_syntax syntax = {
    .command = "run",
    .usage = usage,
    .shorts = "o:",
    .longs = long_options,
    .take = take_option,
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
        rc = ws_inputs_load(&inputs, graph, options->inputs, options->input_count, err);
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
    if (ws_cli_read(&status, argc, argv, &syntax, options) == 0) {
        options->path = argv[optind];
        if (run_model(options, &err) != 0)
            status = ws_cli_fail(&err);
    }
    ws_model_options_fini(&options->model);
    free(options);
    return status;
}
