#include <inttypes.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/subject.h"
#include "onnx/export.h"
#include "split/pipe.h"

struct split_options {
    struct ws_model_options model;
    struct ws_export_options export;
    const char *path;
    const char *cut;
    struct ws_cli_texts inputs;
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("cut", "K", struct split_options, cut,
                 "where: a number, an identity or tensor names as `wattshed inspect` "
                 "lists them")},
    {WS_CLI_TEXT("output", "DIR", struct split_options, export.dir,
                 "where to write; made where it is missing"),
     .letter = 'o'},
    {WS_CLI_TAKE("codec", "C", struct split_options, export.codec, ws_cli_take_codec,
                 "merged into both sides: none, fp16, int8 or int8c (default none)")},
    {WS_CLI_TEXTS("input", "FILE", struct split_options, inputs,
                  "an input, .npy or .pb, in order or as NAME=FILE: the sample that "
                  "int8c takes its ranges from")},
    {WS_CLI_FLAG("external", struct split_options, export.external,
                 "weights into DIR/weights.bin, shared by both, rather than inside")},
    {WS_CLI_GROUP(ws_model_threads_cli, struct split_options, model)},
    {WS_CLI_GROUP(ws_model_dims_cli, struct split_options, model)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "split",
    .synopsis = "MODEL --cut K -o DIR [--codec C] [--external] [OPTION ...]",
    .about = "Writes DIR/head.onnx and DIR/tail.onnx, the two sides of a cut, made of "
             "the model's own graph so that any ONNX runtime or server can load them.",
    .options = options_table,
    .example = "  $ wattshed split etc/demo/digits.onnx --cut 30 --codec int8 \\\n"
               "  > -o /tmp/digits",
    .words_min = 1,
    .words_max = 1,
    .wants = "one MODEL is needed",
};

/* What is missing, or NULL. */
static const char *what_lacks(const struct split_options *options)
{
    if (options->cut == NULL)
        return "--cut K is missing";
    if (options->export.dir == NULL)
        return "-o DIR is missing";
    if (options->export.codec == WS_CODEC_INT8C && options->inputs.count == 0)
        return "--codec int8c needs --input FILE to take its ranges from";
    return NULL;
}

static void print_facts(const struct split_options *options, const struct ws_cuts *cuts,
                        const struct ws_export_facts *facts)
{
    const struct ws_cut *cut = &cuts->cuts[options->export.cut];
    printf("cut %zu (%s), %zu tensor%s, codec %s, ", cut->number, cut->id,
           cut->tensor_count, cut->tensor_count == 1 ? "" : "s",
           ws_codec_name(options->export.codec));
    if (facts->wire_bytes_known)
        printf("%" PRIu64 " bytes travel\n", facts->wire_bytes);
    else
        printf("the bytes that travel vary\n");
    printf("%s/head.onnx: %zu nodes\n", options->export.dir, facts->head_nodes);
    printf("%s/tail.onnx: %zu nodes\n", options->export.dir, facts->tail_nodes);
    if (options->export.external)
        printf("%s/weights.bin\n", options->export.dir);
}

/* Ranges of what crosses, from a run at the level at which every cut is natural. */
static int find_ranges(struct ws_codec_range *ranges, const struct split_options *options,
                       struct ws_engine *engine, struct ws_error *err)
{
    struct ws_splitter_options at = options->model.splitter;
    struct ws_splitter *splitter = NULL;
    struct ws_inputs inputs = {0};
    at.level = WS_LEVEL_NONE;
    at.dims = options->model.dims;
    int rc = ws_splitter_create(&splitter, engine, options->path, &at, err);
    if (rc == 0)
        rc = ws_inputs_load(&inputs, ws_splitter_graph(splitter), options->inputs.at,
                            options->inputs.count, err);
    if (rc == 0)
        rc =
            ws_pipe_learn_ranges(ranges, splitter, options->export.cut, inputs.data, err);
    ws_inputs_fini(&inputs);
    ws_splitter_destroy(splitter);
    return rc;
}

static int split(struct split_options *options, struct ws_engine *engine,
                 struct ws_error *err)
{
    struct ws_codec_range ranges[WS_CUT_TENSORS_MAX] = {{0}};
    struct ws_subject subject = {0};
    struct ws_export_facts facts;
    int rc = ws_subject_init(&subject, options->path, engine, options->model.dims,
                             options->model.splitter.dim_count, err);
    if (rc == 0)
        rc = ws_cuts_find(&options->export.cut, subject.cuts, options->cut, err);
    if (rc == 0 && options->export.codec == WS_CODEC_INT8C) {
        rc = find_ranges(ranges, options, engine, err);
        options->export.ranges = ranges;
    }
    if (rc == 0)
        rc = ws_export_cut(&facts, subject.cuts, &options->export, err);
    if (rc == 0)
        print_facts(options, subject.cuts, &facts);
    for (size_t i = 0; i < WS_CUT_TENSORS_MAX; i++)
        ws_codec_range_fini(&ranges[i]);
    ws_subject_fini(&subject);
    return rc;
}

int ws_cmd_split(int argc, char **argv)
{
    struct split_options options = {0};
    struct ws_error err = {0};
    struct ws_engine *engine = NULL;
    int status = WS_EXIT_OK;
    ws_model_options_init(&options.model);
    if (ws_cli_parse(&status, &options, argc, argv, &usage) != 0)
        goto out;
    options.path = argv[optind];
    if (what_lacks(&options) != NULL) {
        status = ws_cli_usage_error("split", "%s", what_lacks(&options));
        goto out;
    }
    int rc = ws_engine_create(&engine, &options.model.engine, &err);
    if (rc == 0)
        rc = split(&options, engine, &err);
    if (rc != 0)
        status = ws_cli_fail(&err);
out:
    ws_engine_destroy(engine);
    ws_model_options_fini(&options.model);
    return status;
}
