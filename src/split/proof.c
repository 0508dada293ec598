#include "split/proof.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Share of the largest value by which a lossy codec may move an element. */
static const double codec_error[WS_CODEC_COUNT] = {
    [WS_CODEC_FP16] = 0.01,
    [WS_CODEC_INT8] = 0.1,
    [WS_CODEC_INT8C] = 0.1,
};

const char *ws_proof_obstacle(const struct ws_graph *graph)
{
    static const char *const random_ops[] = {"RandomNormal",  "RandomNormalLike",
                                             "RandomUniform", "RandomUniformLike",
                                             "Bernoulli",     "Multinomial"};
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct ws_node *node = &graph->nodes[n];
        for (size_t i = 0; i < sizeof(random_ops) / sizeof(random_ops[0]); i++) {
            if (strcmp(node->proto->op_type, random_ops[i]) == 0)
                return "draws random numbers";
        }
        /* Dropout with a third input may be in training mode. */
        if (strcmp(node->proto->op_type, "Dropout") == 0 && node->named_input_count > 2)
            return "Dropout in training mode draws random numbers";
    }
    return NULL;
}

static double largest_value(const struct ws_datum *datum)
{
    double largest = 0;
    if (datum->kind != WS_DATUM_TENSOR || datum->tensor.dtype != WS_DTYPE_FP32)
        return 0;
    const float *data = datum->tensor.data;
    for (size_t i = 0; i < datum->tensor.size_bytes / sizeof(*data); i++) {
        double x = fabs((double)data[i]);
        if (isfinite(x) && x > largest)
            largest = x;
    }
    return largest;
}

struct ws_tolerance ws_proof_tolerance(const struct ws_splitter *splitter,
                                       enum ws_codec codec,
                                       const struct ws_datum *expected, size_t count)
{
    struct ws_tolerance tolerance = {
        .rtol = 1e-3,
        .atol = 1e-5,
        .quantised = ws_splitter_is_quantised(splitter) || codec != WS_CODEC_NONE,
    };
    for (size_t i = 0; codec != WS_CODEC_NONE && i < count; i++)
        tolerance.atol =
            fmax(tolerance.atol, codec_error[codec] * largest_value(&expected[i]));
    return tolerance;
}

static void fini_all(struct ws_datum *data, size_t count)
{
    for (size_t i = 0; data != NULL && i < count; i++)
        ws_datum_fini(&data[i]);
}

/* Runs the file as it is, in one session that none of our segments has a part in. */
static int run_whole(struct ws_datum *outputs, struct ws_splitter *splitter,
                     const char *model_path, const struct ws_datum *inputs,
                     struct ws_error *err)
{
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    struct ws_engine *engine = ws_splitter_engine(splitter);
    struct ws_session *session = NULL;
    struct ws_session_source source = {
        .path = model_path,
        .level = ws_splitter_level(splitter),
        .keep_layout = ws_splitter_keeps_layout(splitter),
    };
    struct ws_engine_value **in = calloc(graph->input_count + 1, sizeof(*in));
    struct ws_engine_value **out = calloc(graph->output_count + 1, sizeof(*out));
    int rc = in == NULL || out == NULL
                 ? ws_error_nomem(err)
                 : ws_session_create(&session, engine, &source, err);
    size_t taken = rc == 0 ? ws_session_input_count(session) : 0;
    for (size_t i = 0; rc == 0 && i < taken; i++) {
        size_t value = WS_NONE;
        rc = ws_graph_find(&value, graph, ws_session_input(session, i)->name, err);
        for (size_t g = 0; rc == 0 && g < graph->input_count; g++) {
            if (graph->inputs[g] == value)
                rc = ws_engine_value_from_datum(&in[i], engine, &inputs[g], err);
        }
    }
    if (rc == 0)
        rc = ws_session_run(session, in, out, err);
    for (size_t i = 0; rc == 0 && i < graph->output_count; i++)
        rc = ws_engine_value_to_datum(&outputs[i], out[i], err);
    for (size_t i = 0; in != NULL && i < taken; i++)
        ws_engine_value_destroy(in[i]);
    for (size_t i = 0; out != NULL && i < graph->output_count; i++)
        ws_engine_value_destroy(out[i]);
    free(in);
    free(out);
    ws_session_destroy(session);
    return rc;
}

static int compare_all(struct ws_difference *difference, const struct ws_datum *actual,
                       const struct ws_datum *expected, size_t count,
                       const struct ws_tolerance *tolerance, const struct ws_graph *graph,
                       struct ws_error *err)
{
    for (size_t i = 0; i < count; i++) {
        int rc = ws_compare_datum(difference, &actual[i], &expected[i], tolerance, err);
        if (rc != 0)
            return ws_error_context(err, "output \"%s\"",
                                    graph->values[graph->outputs[i]].name);
    }
    return 0;
}

static int run_cut(struct ws_datum *outputs, struct ws_splitter *splitter, size_t cut,
                   const struct ws_datum *inputs, enum ws_codec codec,
                   struct ws_error *err)
{
    struct ws_codec_range ranges[WS_CUT_TENSORS_MAX] = {0};
    struct ws_pipe_options options = {.cut = cut, .codec = codec};
    struct ws_pipe *pipe = NULL;
    int rc = 0;
    if (codec == WS_CODEC_INT8C) {
        rc = ws_pipe_learn_ranges(ranges, splitter, cut, inputs, err);
        options.ranges = ranges;
    }
    if (rc == 0)
        rc = ws_pipe_create(&pipe, splitter, &options, err);
    if (rc == 0)
        rc = ws_pipe_run_datums(pipe, inputs, outputs, NULL, err);
    ws_pipe_destroy(pipe);
    for (size_t i = 0; i < WS_CUT_TENSORS_MAX; i++)
        ws_codec_range_fini(&ranges[i]);
    return rc == 0 ? 0 : ws_error_context(err, "cut %zu", cut);
}

static int prove_cuts(struct ws_proof *proof, struct ws_splitter *splitter,
                      const struct ws_datum *inputs, const struct ws_datum *whole,
                      enum ws_codec codec, struct ws_error *err)
{
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    const struct ws_cuts *cuts = ws_splitter_cuts(splitter);
    struct ws_tolerance tolerance =
        ws_proof_tolerance(splitter, codec, whole, graph->output_count);
    struct ws_datum *outputs = calloc(graph->output_count + 1, sizeof(*outputs));
    int rc = outputs == NULL ? ws_error_nomem(err) : 0;
    for (size_t c = 0; rc == 0 && c < cuts->count; c++) {
        if (cuts->cuts[c].natural != WS_NATURAL_YES)
            continue;
        double before = proof->cuts.abs_max;
        rc = run_cut(outputs, splitter, c, inputs, codec, err);
        if (rc == 0)
            rc = compare_all(&proof->cuts, outputs, whole, graph->output_count,
                             &tolerance, graph, err);
        fini_all(outputs, graph->output_count);
        proof->interior_cuts += c > 0 && c + 1 < cuts->count;
        if (proof->cuts.abs_max > before)
            proof->worst_cut = c;
    }
    free(outputs);
    return rc;
}

int ws_proof_run(struct ws_proof *out, struct ws_splitter *splitter,
                 const char *model_path, const struct ws_datum *inputs,
                 const struct ws_datum *expected, enum ws_codec codec,
                 struct ws_error *err)
{
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    struct ws_proof proof = {0};
    struct ws_datum *whole = calloc(graph->output_count + 1, sizeof(*whole));
    if (whole == NULL)
        return ws_error_nomem(err);
    for (size_t n = 0; n < graph->node_count; n++)
        proof.nodes += graph->nodes[n].is_needed && !graph->nodes[n].is_free;
    int rc = run_whole(whole, splitter, model_path, inputs, err);
    if (rc != 0) {
        ws_error_context(err, "the runtime cannot run it");
        rc = WS_E_UNSUPPORTED;
    }
    if (rc == 0 && expected != NULL) {
        struct ws_tolerance tolerance =
            ws_proof_tolerance(splitter, WS_CODEC_NONE, expected, graph->output_count);
        /* Others' sums run in another order: near 0 their error is that of the terms. */
        for (size_t i = 0; i < graph->output_count; i++)
            tolerance.atol = fmax(tolerance.atol, 1e-5 * largest_value(&expected[i]));
        rc = compare_all(&proof.reference, whole, expected, graph->output_count,
                         &tolerance, graph, err);
        if (rc != 0)
            ws_error_context(err, "against the reference");
    }
    if (rc == 0)
        rc = prove_cuts(&proof, splitter, inputs, whole, codec, err);
    fini_all(whole, graph->output_count);
    free(whole);
    if (rc == 0)
        *out = proof;
    return rc;
}
