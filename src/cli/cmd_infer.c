#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/local.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "cli/secure_options.h"
#include "split/pipe.h"
#include "split/relay.h"
#include "split/upload.h"

struct infer_options {
    struct ws_model_options model;
    struct ws_identity_options identity;
    const char *path;
    const char *node;
    const char *cut;
    const char *name;
    enum ws_codec codec;
    enum ws_encoding encoding;
    int64_t timeout_ms;
    size_t repeat;
    const char *out_dir;
    int json;
    int upload;
    struct ws_local_options local;
    struct ws_cli_texts inputs;
};

/* What came of it, whichever way it went. */
struct infer_result {
    const char **names;
    struct ws_datum *outputs;
    size_t output_count;
    struct ws_passage_times *times; /* of each run */
    const struct ws_cut *cut;       /* NULL: none */
    int is_checked;
    /* What the names belong to. */
    char **owned_names;
    struct ws_local *local;   /* NULL: nothing was asked of this machine */
    int64_t start_ns, end_ns; /* of all runs */
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("node", "URL", struct infer_options, node,
                 "the server, e.g. http://127.0.0.1:8000")},
    {WS_CLI_TEXTS("input", "FILE", struct infer_options, inputs,
                  "an input, .npy or .pb; in order, or as NAME=FILE")},
    {WS_CLI_TEXT("cut", "K", struct infer_options, cut,
                 "where to cut: a number, an identity or tensor names as `wattshed "
                 "inspect` lists them")},
    {WS_CLI_TAKE("codec", "C", struct infer_options, codec, ws_cli_take_codec,
                 "none, fp16, int8 or int8c (default none); int8c takes its ranges from "
                 "the inputs")},
    {WS_CLI_TAKE("encoding", "E", struct infer_options, encoding, ws_cli_take_encoding,
                 "none, zstd, lz4, gzip or deflate, both ways (default none); a foreign "
                 "server may know the last two")},
    {WS_CLI_TEXT("name", "NAME", struct infer_options, name,
                 "what the server calls it (default: MODEL's stem, or STEM~CUT~CODEC "
                 "with --cut)")},
    {WS_CLI_FLAG("upload", struct infer_options, upload,
                 "sends the model to a node that lacks it and takes such (wattshed node "
                 "--store)")},
    {WS_CLI_WHOLE("timeout", "MS", struct infer_options, timeout_ms, 1, 86400000,
                  "for one request (default 300000)")},
    {WS_CLI_SIZE("repeat", "N", struct infer_options, repeat, 1, 1000000,
                 "requests to take the median times of (default 1)")},
    {WS_CLI_TEXT("output", "DIR", struct infer_options, out_dir,
                 "writes the outputs there as NAME.npy"),
     .letter = 'o'},
    {WS_CLI_FLAG("json", struct infer_options, json, "prints the result as JSON")},
    {WS_CLI_GROUP(ws_local_cli, struct infer_options, local)},
    {WS_CLI_GROUP(ws_identity_cli, struct infer_options, identity)},
    {WS_CLI_GROUP(ws_model_cli, struct infer_options, model)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "infer",
    .synopsis = "MODEL [--cut K] --node URL --input FILE ... [-o DIR]",
    .about = "Runs a model with the network between: up to the cut here, the rest on a "
             "node. Without --cut all of it runs there, and MODEL may be a name that any "
             "server of the Open Inference Protocol v2 knows; with a file, it is its "
             "stem, and the digests are compared.",
    .options = options_table,
    .example = "  $ wattshed node etc/demo/digits.onnx &\n"
               "  $ wattshed infer etc/demo/digits.onnx --cut 30 --codec int8 \\\n"
               "  > --node http://127.0.0.1:8000 \\\n"
               "  > --input etc/demo/test_data_set_0/input_0.pb",
    .words_min = 1,
    .words_max = 1,
    .wants = "one MODEL is needed",
};

/* 0, or 1 with an exit status. */
static int parse(struct infer_options *options, int *status, int argc, char **argv)
{
    if (ws_cli_parse(status, options, argc, argv, &usage) != 0)
        return 1;
    options->path = argv[optind];
    if (options->node == NULL)
        *status = ws_cli_usage_error("infer", "--node URL is needed");
    else if (options->cut == NULL && options->codec != WS_CODEC_NONE)
        *status = ws_cli_usage_error("infer", "--codec is for --cut");
    else
        return 0;
    return 1;
}

static int result_init(struct infer_result *result, size_t output_count, size_t repeat,
                       struct ws_error *err)
{
    result->output_count = output_count;
    result->names = calloc(output_count + 1, sizeof(char *));
    result->owned_names = calloc(output_count + 1, sizeof(char *));
    result->outputs = calloc(output_count + 1, sizeof(*result->outputs));
    result->times = calloc(repeat, sizeof(*result->times));
    if (result->names == NULL || result->owned_names == NULL || result->outputs == NULL ||
        result->times == NULL)
        return ws_error_nomem(err);
    return 0;
}

static void result_fini(struct infer_result *result)
{
    for (size_t i = 0; i < result->output_count; i++) {
        if (result->outputs != NULL)
            ws_datum_fini(&result->outputs[i]);
        if (result->owned_names != NULL)
            free(result->owned_names[i]);
    }
    free(result->outputs);
    free(result->owned_names);
    free(result->names);
    free(result->times);
}

static void clear_outputs(struct infer_result *result)
{
    for (size_t i = 0; i < result->output_count; i++)
        ws_datum_fini(&result->outputs[i]);
}

static int own_name(struct infer_result *result, size_t index, const char *name,
                    struct ws_error *err)
{
    free(result->owned_names[index]);
    result->owned_names[index] = strdup(name);
    result->names[index] = result->owned_names[index];
    return result->names[index] == NULL ? ws_error_nomem(err) : 0;
}

/* Where that is asked for, sees to it that the node has the model. */
static int upload(const struct infer_options *options, struct ws_model *model,
                  const char *name, struct ws_error *err)
{
    const struct ws_http_client_options http = {.identity = options->identity.identity,
                                                .timeout_ms = options->timeout_ms};
    size_t sent = 0;
    int rc = 0;
    if (options->upload)
        rc = ws_upload_model(&sent, options->node, &http, model, name, err);
    if (rc == 0 && sent > 0)
        fprintf(stderr, "wattshed infer: sent the model, %zu bytes\n", sent);
    return rc;
}

/* Head here, tail there. */
static int run_cut(struct infer_result *result, const struct infer_options *options,
                   struct ws_splitter *splitter, struct ws_error *err)
{
    char stem[WS_NAME_MAX];
    struct ws_relay *relay = NULL;
    struct ws_inputs inputs = {0};
    struct ws_codec_range ranges[WS_CUT_TENSORS_MAX] = {0};
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    const struct ws_cuts *cuts = ws_splitter_cuts(splitter);
    struct ws_relay_options at = {.codec = options->codec,
                                  .name = options->name,
                                  .model_name = stem,
                                  .url = options->node,
                                  .identity = options->identity.identity,
                                  .encoding = options->encoding,
                                  .timeout_ms = options->timeout_ms};
    ws_file_stem(stem, sizeof(stem), options->path);
    int rc = ws_cuts_find(&at.cut, cuts, options->cut, err);
    if (rc == 0)
        rc = ws_inputs_load(&inputs, graph, options->inputs.at, options->inputs.count,
                            err);
    if (rc == 0 && options->codec == WS_CODEC_INT8C) {
        rc = ws_pipe_learn_ranges(ranges, splitter, at.cut, inputs.data, err);
        at.ranges = ranges;
    }
    if (rc == 0)
        rc = upload(options, graph->model, stem, err);
    if (rc == 0)
        rc = ws_relay_create(&relay, splitter, &at, err);
    if (rc == 0)
        rc = result_init(result, graph->output_count, options->repeat, err);
    for (size_t i = 0; rc == 0 && i < graph->output_count; i++)
        rc = own_name(result, i, graph->values[graph->outputs[i]].name, err);
    result->start_ns = ws_clock_now_ns();
    for (size_t r = 0; rc == 0 && r < options->repeat; r++) {
        clear_outputs(result);
        rc = ws_relay_run(relay, inputs.data, result->outputs, &result->times[r], err);
    }
    result->end_ns = ws_clock_now_ns();
    if (rc == 0) {
        result->cut = &cuts->cuts[at.cut];
        result->is_checked = ws_relay_checked(relay);
    }
    ws_relay_destroy(relay);
    for (size_t i = 0; i < WS_CUT_TENSORS_MAX; i++)
        ws_codec_range_fini(&ranges[i]);
    ws_inputs_fini(&inputs);
    return rc;
}

/* Copies or moves a reply's outputs out of it. */
static int take_reply(struct infer_result *result, struct ws_oip_reply *reply,
                      struct ws_error *err)
{
    int rc = 0;
    if (reply->output_count != result->output_count)
        return ws_error_set(err, WS_E_MISMATCH, "%zu outputs came, the model has %zu",
                            reply->output_count, result->output_count);
    for (size_t i = 0; rc == 0 && i < reply->output_count; i++) {
        struct ws_tensor *from = &reply->outputs[i].tensor;
        struct ws_tensor *to = &result->outputs[i].tensor;
        rc = own_name(result, i, reply->outputs[i].name, err);
        if (rc == 0 && reply->outputs[i].is_borrowed) {
            rc = ws_tensor_init(to, from->dtype, from->dims, from->rank, err);
            if (rc == 0 && to->size_bytes > 0)
                memcpy(to->data, from->data, to->size_bytes);
        } else if (rc == 0) {
            *to = *from;
            *from = (struct ws_tensor){0};
        }
    }
    return rc;
}

static void fill_times(struct ws_passage_times *out, const struct ws_remote_times *from)
{
    const struct ws_oip_times *node = &from->node;
    *out = (struct ws_passage_times){.encode_ns = from->encode_ns,
                                     .exchange_ns = from->exchange_ns,
                                     .decode_ns = from->decode_ns,
                                     .is_told = node->is_known,
                                     .sent_bytes = from->sent_bytes,
                                     .received_bytes = from->received_bytes};
    if (node->is_known) {
        out->transfer_ns = from->exchange_ns - node->total_ns;
        out->cloud_ns = node->total_ns - node->decode_ns;
        out->decode_ns += node->decode_ns;
    }
    out->total_ns = from->encode_ns + from->exchange_ns + from->decode_ns;
    out->cloud = from->energy;
}

/* The digest of a model that is a file here; "" for a bare name. */
static int digest_of(char out[static WS_DIGEST_TEXT], const struct infer_options *options,
                     struct ws_error *err)
{
    char stem[WS_NAME_MAX];
    struct ws_model *model = NULL;
    out[0] = '\0';
    if (access(options->path, R_OK) != 0)
        return 0;
    ws_file_stem(stem, sizeof(stem), options->path);
    int rc = ws_model_open(&model, options->path, err);
    if (rc == 0)
        rc = ws_model_digest(out, model, err);
    if (rc == 0)
        rc = upload(options, model, stem, err);
    ws_model_close(model);
    return rc;
}

static int run_requests(struct infer_result *result, const struct infer_options *options,
                        struct ws_remote *remote, struct ws_error *err)
{
    const struct ws_oip_model *model = ws_remote_model(remote);
    struct ws_oip_tensor *inputs = calloc(options->inputs.count + 1, sizeof(*inputs));
    int rc = inputs == NULL
                 ? ws_error_nomem(err)
                 : result_init(result, model->output_count, options->repeat, err);
    for (size_t i = 0; rc == 0 && i < options->inputs.count; i++)
        rc = ws_inputs_load_port(&inputs[i], model, options->inputs.at[i], i, err);
    result->start_ns = ws_clock_now_ns();
    for (size_t r = 0; rc == 0 && r < options->repeat; r++) {
        struct ws_oip_reply reply = {0};
        struct ws_remote_times times;
        clear_outputs(result);
        rc = ws_remote_infer(&reply, remote, inputs, options->inputs.count, &times, err);
        if (rc == 0)
            rc = take_reply(result, &reply, err);
        if (rc == 0)
            fill_times(&result->times[r], &times);
        ws_oip_reply_fini(&reply);
    }
    result->end_ns = ws_clock_now_ns();
    for (size_t i = 0; inputs != NULL && i < options->inputs.count; i++) {
        free(inputs[i].name);
        ws_tensor_fini(&inputs[i].tensor);
    }
    free(inputs);
    return rc;
}

/* All of it there. */
static int run_whole(struct infer_result *result, const struct infer_options *options,
                     struct ws_error *err)
{
    char digest[WS_DIGEST_TEXT], stem[WS_NAME_MAX];
    struct ws_remote *remote = NULL;
    int rc = digest_of(digest, options, err);
    if (rc != 0)
        return rc;
    if (digest[0] != '\0')
        ws_file_stem(stem, sizeof(stem), options->path);
    else
        (void)snprintf(stem, sizeof(stem), "%s", options->path);
    const struct ws_remote_options to = {
        .url = options->node,
        .identity = options->identity.identity,
        .name = options->name != NULL ? options->name : stem,
        .digest = digest[0] != '\0' ? digest : NULL,
        .encoding = options->encoding,
        .timeout_ms = options->timeout_ms,
    };
    rc = ws_remote_open(&remote, &to, err);
    if (rc == 0)
        rc = run_requests(result, options, remote, err);
    /* A bare name claims nothing that could be checked. */
    if (rc == 0)
        result->is_checked = digest[0] == '\0' || ws_remote_checked(remote);
    ws_remote_close(remote);
    return rc;
}

#define MEDIAN_MS(field)                                                                 \
    ws_cli_median_ms(result->times, options->repeat, sizeof(*result->times),             \
                     offsetof(struct ws_passage_times, field))

static json_t *known_ms(int is_known, double ms)
{
    return is_known ? json_real(ms) : json_null();
}

static void print_json(const struct infer_options *options,
                       const struct infer_result *result)
{
    const struct ws_passage_times *last = &result->times[options->repeat - 1];
    int is_told = last->is_told || last->sent_bytes == 0;
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:b}", "model", options->path, "node",
                  options->node, "codec", ws_codec_name(options->codec), "encoding",
                  ws_encoding_name(options->encoding), "runs",
                  (json_int_t)options->repeat, "digest_checked", result->is_checked);
    if (result->cut != NULL) {
        json_object_set_new(root, "cut", json_integer((json_int_t)result->cut->number));
        json_object_set_new(root, "id", json_string(result->cut->id));
        json_object_set_new(root, "tensor_bytes",
                            json_integer((json_int_t)last->tensor_bytes));
    }
    json_object_set_new(root, "edge_ms", json_real(MEDIAN_MS(edge_ns)));
    json_object_set_new(root, "encode_ms", json_real(MEDIAN_MS(encode_ns)));
    json_object_set_new(root, "exchange_ms", json_real(MEDIAN_MS(exchange_ns)));
    json_object_set_new(root, "transfer_ms", known_ms(is_told, MEDIAN_MS(transfer_ns)));
    json_object_set_new(root, "cloud_ms", known_ms(is_told, MEDIAN_MS(cloud_ns)));
    json_object_set_new(root, "decode_ms", json_real(MEDIAN_MS(decode_ns)));
    json_object_set_new(root, "total_ms", json_real(MEDIAN_MS(total_ns)));
    if (last->cloud.is_known) {
        json_object_set_new(root, "cloud_energy_j", json_real(last->cloud.energy_j));
        json_object_set_new(root, "truth", json_string(ws_truth_name(last->cloud.truth)));
        json_object_set_new(root, "boundary", json_string(last->cloud.boundary));
    }
    ws_local_json(root, result->local, result->start_ns, result->end_ns, options->repeat);
    json_object_set_new(root, "sent_bytes", json_integer((json_int_t)last->sent_bytes));
    json_object_set_new(root, "received_bytes",
                        json_integer((json_int_t)last->received_bytes));
    json_object_set_new(
        root, "outputs",
        ws_cli_outputs_json(result->names, result->outputs, result->output_count));
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(root);
}

static void print_text(const struct infer_options *options,
                       const struct infer_result *result)
{
    const struct ws_passage_times *last = &result->times[options->repeat - 1];
    if (result->cut != NULL)
        printf("cut %zu (%s): %" PRIu64 " bytes cross, a body of %zu sent\n",
               result->cut->number, result->cut->id, last->tensor_bytes,
               last->sent_bytes);
    printf("edge %.3f ms  encode %.3f ms  ", MEDIAN_MS(edge_ns), MEDIAN_MS(encode_ns));
    if (last->is_told || last->sent_bytes == 0)
        printf("transfer %.3f ms  cloud %.3f ms  ", MEDIAN_MS(transfer_ns),
               MEDIAN_MS(cloud_ns));
    else
        printf("transfer and cloud %.3f ms  ", MEDIAN_MS(exchange_ns));
    printf("decode %.3f ms  total %.3f ms%s\n", MEDIAN_MS(decode_ns), MEDIAN_MS(total_ns),
           options->repeat > 1 ? "  (medians)" : "");
    if (last->cloud.is_known)
        printf("cloud energy %.4g J (%s, %s)\n", last->cloud.energy_j,
               ws_truth_name(last->cloud.truth), last->cloud.boundary);
    ws_local_print(result->local, result->start_ns, result->end_ns, options->repeat);
    ws_cli_print_outputs(result->names, result->outputs, result->output_count);
}

static int infer(const struct infer_options *options, struct ws_error *err)
{
    struct ws_engine *engine = NULL;
    struct ws_splitter *splitter = NULL;
    struct infer_result result = {0};
    int rc = ws_local_open(&result.local, &options->local, err);
    if (rc == 0 && options->cut == NULL) {
        rc = run_whole(&result, options, err);
    } else if (rc == 0) {
        rc = ws_model_options_open(&engine, &splitter, &options->model, options->path,
                                   err);
        if (rc == 0)
            rc = run_cut(&result, options, splitter, err);
    }
    if (rc == 0 && options->out_dir != NULL)
        rc = ws_cli_save_outputs(options->out_dir, result.names, result.outputs,
                                 result.output_count, err);
    if (rc == 0 && !result.is_checked)
        fprintf(stderr,
                "wattshed infer: could not check that the server's model is the one "
                "here: it tells no digest\n");
    if (rc == 0 && options->json)
        print_json(options, &result);
    else if (rc == 0)
        print_text(options, &result);
    ws_local_close(result.local);
    result_fini(&result);
    ws_splitter_destroy(splitter);
    ws_engine_destroy(engine);
    return rc;
}

int ws_cmd_infer(int argc, char **argv)
{
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    struct infer_options *options = calloc(1, sizeof(*options));
    if (options == NULL) {
        (void)ws_error_nomem(&err);
        return ws_cli_fail(&err);
    }
    ws_model_options_init(&options->model);
    options->repeat = 1;
    if (parse(options, &status, argc, argv) == 0 && infer(options, &err) != 0)
        status = ws_cli_fail(&err);
    ws_identity_options_fini(&options->identity);
    ws_model_options_fini(&options->model);
    free(options);
    return status;
}
