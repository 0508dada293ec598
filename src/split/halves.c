#include "split/halves.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "onnx/graph.h"
#include "split/shapes.h"

struct ws_halves {
    struct ws_engine *engine;
    struct ws_parts parts;
    struct ws_session *extract, *select, *edge;
    struct ws_tensor nothing_sent; /* a bitmap of zeros */
    size_t class_count;
};

enum { PORTS_MAX = 3 };

/* What a part takes and gives, in order; NULL: any name. */
struct ports {
    enum ws_parts_file file;
    const char *inputs[PORTS_MAX];
    size_t input_count;
    const char *outputs[PORTS_MAX];
    size_t output_count;
};

static const struct ports extract_ports = {
    WS_PARTS_EXTRACT, {NULL}, 1, {"features", "importance"}, 2};
static const struct ports select_ports = {WS_PARTS_SELECT,
                                          {"features", "importance", "secondary_count"},
                                          3,
                                          {"primary", "secondary", "bitmap"},
                                          3};
static const struct ports edge_ports = {
    WS_PARTS_EDGE, {"primary", "bitmap"}, 2, {NULL}, 1};

static int check_port(const struct ws_io_type *port, const char *name, const char *path,
                      struct ws_error *err)
{
    if (!port->is_tensor || !port->has_shape ||
        (name != NULL && strcmp(port->name, name) != 0))
        return ws_error_set(err, WS_E_MISMATCH,
                            "%s: expected a tensor \"%s\" of known rank, got \"%s\"",
                            path, name == NULL ? "logits" : name, port->name);
    return 0;
}

static int open_part(struct ws_session **out, struct ws_halves *halves,
                     const struct ports *ports, enum ws_level level, struct ws_error *err)
{
    const struct ws_session_source source = {.path = halves->parts.paths[ports->file],
                                             .level = level};
    struct ws_session *session = NULL;
    int rc = ws_session_create(&session, halves->engine, &source, err);
    if (rc != 0)
        return rc;
    if (ws_session_input_count(session) != ports->input_count ||
        ws_session_output_count(session) != ports->output_count)
        rc = ws_error_set(err, WS_E_MISMATCH,
                          "%s: expected %zu inputs and %zu outputs, got %zu and %zu",
                          source.path, ports->input_count, ports->output_count,
                          ws_session_input_count(session),
                          ws_session_output_count(session));
    for (size_t i = 0; rc == 0 && i < ports->input_count; i++)
        rc = check_port(ws_session_input(session, i), ports->inputs[i], source.path, err);
    for (size_t i = 0; rc == 0 && i < ports->output_count; i++)
        rc = check_port(ws_session_output(session, i), ports->outputs[i], source.path,
                        err);
    if (rc != 0)
        ws_session_destroy(session);
    else
        *out = session;
    return rc;
}

/* One picture at a time; the number of maps is the manifest's. */
static int check_shapes(struct ws_halves *halves, struct ws_error *err)
{
    const struct ws_io_type *importance = ws_session_output(halves->extract, 1);
    const struct ws_io_type *bitmap = ws_session_output(halves->select, 2);
    const struct ws_io_type *logits = ws_session_output(halves->edge, 0);
    if (importance->dtype != WS_DTYPE_FP32 || importance->rank != 2 ||
        importance->dims[0] != 1 ||
        importance->dims[1] != (int64_t)halves->parts.map_count)
        return ws_error_set(
            err, WS_E_MISMATCH, "%s: \"importance\" is not FP32[1,%zu], one for each map",
            halves->parts.paths[WS_PARTS_EXTRACT], halves->parts.map_count);
    if (logits->dtype != WS_DTYPE_FP32 || logits->rank != 2 || logits->dims[0] != 1 ||
        logits->dims[1] < 1)
        return ws_error_set(err, WS_E_MISMATCH, "%s: logits are not FP32[1,N]",
                            halves->parts.paths[WS_PARTS_EDGE]);
    halves->class_count = (size_t)logits->dims[1];
    return ws_tensor_init(&halves->nothing_sent, bitmap->dtype, bitmap->dims,
                          bitmap->rank, err);
}

int ws_halves_create(struct ws_halves **out, struct ws_engine *engine, const char *dir,
                     enum ws_level level, struct ws_error *err)
{
    struct ws_halves *halves = calloc(1, sizeof(*halves));
    if (halves == NULL)
        return ws_error_nomem(err);
    halves->engine = engine;
    int rc = ws_parts_load(&halves->parts, dir, err);
    if (rc == 0)
        rc = open_part(&halves->extract, halves, &extract_ports, level, err);
    if (rc == 0)
        rc = open_part(&halves->select, halves, &select_ports, level, err);
    if (rc == 0)
        rc = open_part(&halves->edge, halves, &edge_ports, level, err);
    if (rc == 0)
        rc = check_shapes(halves, err);
    if (rc != 0)
        ws_halves_destroy(halves);
    else
        *out = halves;
    return rc;
}

void ws_halves_destroy(struct ws_halves *halves)
{
    if (halves == NULL)
        return;
    ws_session_destroy(halves->extract);
    ws_session_destroy(halves->select);
    ws_session_destroy(halves->edge);
    ws_tensor_fini(&halves->nothing_sent);
    ws_parts_fini(&halves->parts);
    free(halves);
}

int ws_halves_are_in(const char *path)
{
    char *file = NULL;
    if (asprintf(&file, "%s/features.json", path) < 0)
        return 0;
    int is_there = access(file, F_OK) == 0;
    free(file);
    return is_there;
}

size_t ws_halves_class_count(const struct ws_halves *halves)
{
    return halves->class_count;
}

const struct ws_io_type *ws_halves_input(const struct ws_halves *halves)
{
    return ws_session_input(halves->extract, 0);
}

const struct ws_parts *ws_halves_parts(const struct ws_halves *halves)
{
    return &halves->parts;
}

size_t ws_halves_secondary_count(const struct ws_halves *halves, double share)
{
    return (size_t)lround(share * (double)halves->parts.map_count);
}

struct ws_fusion ws_halves_fusion(const struct ws_halves *halves, double share)
{
    return ws_fusion_at(halves->parts.fusion, halves->parts.fusion_count, share);
}

static int is_open(const struct ws_graph *graph, const size_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct ws_value *value =
            values[i] == WS_NONE ? NULL : &graph->values[values[i]];
        for (size_t d = 0; value != NULL && d < value->rank; d++) {
            if (value->dims[d] < 0)
                return 1;
        }
    }
    return 0;
}

int ws_halves_count_work(struct ws_halves_work *out, const struct ws_halves *halves,
                         enum ws_parts_file part, struct ws_error *err)
{
    struct ws_model *model = NULL;
    struct ws_graph *graph = NULL;
    struct ws_halves_work work = {0};
    int rc = ws_model_open(&model, halves->parts.paths[part], err);
    if (rc == 0)
        rc = ws_graph_create(&graph, model, err);
    if (rc == 0)
        rc = ws_graph_infer_shapes(graph, ws_shapes_from_engine, halves->engine, NULL, 0,
                                   err);
    for (size_t n = 0; rc == 0 && n < graph->node_count; n++) {
        const struct ws_node *node = &graph->nodes[n];
        struct ws_work one;
        int is_each = is_open(graph, node->inputs, node->input_count) ||
                      is_open(graph, node->outputs, node->output_count);
        ws_graph_work(&one, graph, n, n + 1);
        ws_work_add(is_each ? &work.each : &work.once, &one);
    }
    if (rc == 0)
        *out = work;
    ws_graph_destroy(graph);
    ws_model_close(model);
    return rc;
}

struct ws_work ws_halves_work_of(const struct ws_halves_work *work, size_t maps)
{
    struct ws_work all = work->each;
    ws_work_scale(&all, (double)maps);
    ws_work_add(&all, &work->once);
    return all;
}

static void drop(struct ws_engine_value **value)
{
    ws_engine_value_destroy(*value);
    *value = NULL;
}

void ws_division_fini(struct ws_division *division)
{
    drop(&division->features);
    drop(&division->importance);
    drop(&division->primary);
    drop(&division->secondary);
    drop(&division->bitmap);
    *division = (struct ws_division){0};
}

int ws_halves_extract(struct ws_division *out, struct ws_halves *halves,
                      const struct ws_datum *input, struct ws_error *err)
{
    struct ws_engine_value *in = NULL, *made[2] = {NULL};
    int64_t start = ws_clock_now_ns();
    int rc = ws_engine_value_from_datum(&in, halves->engine, input, err);
    if (rc == 0)
        rc = ws_session_run(halves->extract, &in, made, err);
    ws_engine_value_destroy(in);
    if (rc == 0)
        *out = (struct ws_division){.features = made[0],
                                    .importance = made[1],
                                    .extract_ns = ws_clock_now_ns() - start};
    return rc;
}

int ws_halves_importance(float *out, const struct ws_halves *halves,
                         const struct ws_division *division, struct ws_error *err)
{
    struct ws_tensor view;
    int rc = ws_engine_value_view(&view, division->importance, err);
    if (rc == 0)
        memcpy(out, view.data, halves->parts.map_count * sizeof(*out));
    return rc;
}

int ws_halves_attention(double *out, const struct ws_halves *halves,
                        const struct ws_division *division, struct ws_error *err)
{
    float *sorted = malloc(halves->parts.map_count * sizeof(*sorted));
    double held[2];
    int rc = sorted == NULL ? ws_error_nomem(err)
                            : ws_halves_importance(sorted, halves, division, err);
    if (rc == 0) {
        ws_attention_held(held, 2, sorted, halves->parts.map_count);
        *out = held[0];
    }
    free(sorted);
    return rc;
}

int ws_halves_divide(struct ws_division *division, struct ws_halves *halves, double share,
                     const float *ranking, struct ws_error *err)
{
    int64_t count = (int64_t)ws_halves_secondary_count(halves, share);
    const struct ws_tensor counts = {WS_DTYPE_INT64, 1, {1}, &count, sizeof(count)};
    const struct ws_tensor ranks = {WS_DTYPE_FP32,
                                    2,
                                    {1, (int64_t)halves->parts.map_count},
                                    (void *)(uintptr_t)ranking,
                                    halves->parts.map_count * sizeof(float)};
    struct ws_engine_value *counted = NULL, *ranked = NULL, *made[3] = {NULL};
    int64_t start = ws_clock_now_ns();
    int rc = ws_engine_value_from_tensor(&counted, halves->engine, &counts, err);
    if (rc == 0 && ranking != NULL)
        rc = ws_engine_value_from_tensor(&ranked, halves->engine, &ranks, err);
    if (rc == 0) {
        struct ws_engine_value *in[] = {
            division->features, ranked != NULL ? ranked : division->importance, counted};
        rc = ws_session_run(halves->select, in, made, err);
    }
    ws_engine_value_destroy(ranked);
    ws_engine_value_destroy(counted);
    if (rc != 0)
        return rc;
    drop(&division->primary);
    drop(&division->secondary);
    drop(&division->bitmap);
    division->primary = made[0];
    division->secondary = made[1];
    division->bitmap = made[2];
    division->secondary_count = (size_t)count;
    division->divide_ns = ws_clock_now_ns() - start;
    return 0;
}

int ws_halves_edge(float *logits, struct ws_halves *halves,
                   const struct ws_division *division, int all_maps, struct ws_error *err)
{
    struct ws_engine_value *zeros = NULL, *made = NULL;
    struct ws_engine_value *in[] = {division->primary, division->bitmap};
    struct ws_tensor view;
    int rc = 0;
    if (all_maps) {
        rc = ws_engine_value_from_tensor(&zeros, halves->engine, &halves->nothing_sent,
                                         err);
        in[0] = division->features;
        in[1] = zeros;
    }
    if (rc == 0)
        rc = ws_session_run(halves->edge, in, &made, err);
    if (rc == 0)
        rc = ws_engine_value_view(&view, made, err);
    if (rc == 0)
        memcpy(logits, view.data, halves->class_count * sizeof(*logits));
    ws_engine_value_destroy(made);
    ws_engine_value_destroy(zeros);
    return rc;
}

int ws_halves_offload(struct ws_offload *offload, const struct ws_division *division,
                      struct ws_error *err)
{
    struct ws_datum inputs[2] = {{0}};
    int rc = ws_engine_value_to_datum(&inputs[0], division->secondary, err);
    if (rc == 0)
        rc = ws_engine_value_to_datum(&inputs[1], division->bitmap, err);
    if (rc == 0)
        rc = ws_offload_start(offload, inputs, err);
    ws_datum_fini(&inputs[0]);
    ws_datum_fini(&inputs[1]);
    return rc;
}

/* What an answer says of its picture, and of the maps that were kept. */
static int tell_attention(struct ws_halves_answer *answer, const struct ws_halves *halves,
                          const struct ws_division *division, struct ws_error *err)
{
    struct ws_tensor bitmap = {0};
    int rc = ws_halves_importance(answer->importance, halves, division, err);
    if (rc == 0)
        rc = ws_halves_attention(&answer->attention, halves, division, err);
    if (rc == 0 && division->bitmap != NULL)
        rc = ws_engine_value_view(&bitmap, division->bitmap, err);
    const uint8_t *bits = bitmap.data;
    for (size_t m = 0; rc == 0 && m < halves->parts.map_count; m++) {
        if (m / 8 >= bitmap.size_bytes || (bits[m / 8] >> (m % 8) & 1) == 0)
            answer->held += (double)answer->importance[m];
    }
    return rc;
}

/* The cloud's logits into answer->cloud, as they came. */
static int wait_cloud(struct ws_halves_answer *answer, const struct ws_halves *halves,
                      struct ws_offload *offload, int64_t until_ns, struct ws_error *err)
{
    struct ws_datum logits = {0};
    size_t size = halves->class_count * sizeof(float);
    int rc = ws_offload_wait(&logits, &answer->times.cloud, offload, until_ns, err);
    if (rc != 0)
        return rc;
    if (logits.tensor.dtype != WS_DTYPE_FP32 || logits.tensor.size_bytes != size)
        rc = ws_error_set(
            err, WS_E_TYPE, "the cloud's half gave %zu bytes of %s, not %zu",
            logits.tensor.size_bytes, ws_dtype_name(logits.tensor.dtype), size);
    else
        memcpy(answer->cloud, logits.tensor.data, size);
    ws_datum_fini(&logits);
    return rc;
}

/* Both tails at once, or the one that has something to do. A failure of the cloud's is
 * kept in the answer. */
static int run_tails(struct ws_halves_answer *answer, struct ws_halves *halves,
                     struct ws_offload *offload, const struct ws_division *division,
                     int64_t timeout_ms, struct ws_error *err)
{
    int is_offloaded = division->secondary_count > 0;
    int rc = 0;
    int64_t start = ws_clock_now_ns();
    int64_t until =
        timeout_ms > 0 ? start + timeout_ms * 1000000 : start + INT64_C(86400000000000);
    if (is_offloaded)
        answer->cloud_rc = ws_halves_offload(offload, division, &answer->cloud_err);
    if (division->secondary_count < halves->parts.map_count) {
        rc = ws_halves_edge(answer->edge, halves, division, !is_offloaded, err);
        answer->times.edge_ns = ws_clock_now_ns() - start;
    }
    if (is_offloaded && answer->cloud_rc == 0) {
        answer->cloud_rc = wait_cloud(answer, halves, offload, until, &answer->cloud_err);
        answer->times.beside_ns = ws_clock_now_ns() - start;
    }
    return rc;
}

void ws_halves_fuse(float *out, float *edge, float *cloud, const struct ws_halves *halves,
                    double share, double lambda)
{
    size_t classes = halves->class_count;
    struct ws_fusion fusion = ws_halves_fusion(halves, share);
    if (lambda < 0)
        lambda = fusion.lambda;
    if (edge != NULL)
        ws_fusion_probabilities(edge, edge, classes, fusion.edge_temperature);
    if (cloud != NULL)
        ws_fusion_probabilities(cloud, cloud, classes, fusion.cloud_temperature);
    if (edge != NULL && cloud != NULL)
        ws_fusion_pool(out, edge, cloud, classes, lambda, fusion.temperature);
    else if (out != edge && out != cloud)
        memcpy(out, edge != NULL ? edge : cloud, classes * sizeof(*out));
}

int ws_halves_alone(float *out, struct ws_halves *halves,
                    const struct ws_division *division, struct ws_error *err)
{
    int rc = ws_halves_edge(out, halves, division, 1, err);
    if (rc == 0)
        ws_halves_fuse(out, out, NULL, halves, 0, -1);
    return rc;
}

/* One answer out of what came. */
static int fuse(struct ws_halves_answer *answer, struct ws_halves *halves,
                const struct ws_division *division,
                const struct ws_halves_request *request, struct ws_error *err)
{
    int rc = 0;
    if (division->secondary_count == 0 || answer->cloud_rc != 0)
        answer->cloud = NULL;
    if (division->secondary_count == halves->parts.map_count)
        answer->edge = NULL;
    answer->source = answer->cloud == NULL  ? WS_HALVES_EDGE
                     : answer->edge == NULL ? WS_HALVES_CLOUD
                                            : WS_HALVES_BOTH;
    answer->lambda = request->lambda >= 0
                         ? request->lambda
                         : ws_halves_fusion(halves, request->share).lambda;
    if (answer->edge != NULL || answer->cloud != NULL)
        ws_halves_fuse(answer->probabilities, answer->edge, answer->cloud, halves,
                       request->share, answer->lambda);
    if (answer->cloud_rc != 0) {
        int64_t start = ws_clock_now_ns();
        rc = ws_halves_alone(answer->probabilities, halves, division, err);
        answer->times.alone_ns = ws_clock_now_ns() - start;
    }
    return rc;
}

int ws_halves_run(struct ws_halves_answer *out, struct ws_halves *halves,
                  struct ws_offload *offload, const struct ws_halves_request *request,
                  struct ws_error *err)
{
    struct ws_division division = {0};
    struct ws_halves_answer answer = {0};
    size_t classes = halves->class_count;
    int64_t start = ws_clock_now_ns();
    if (!(request->share >= 0 && request->share <= 1))
        return ws_error_set(err, WS_E_USAGE, "a share of %g is not between 0 and 1",
                            request->share);
    answer.block = calloc(3 * classes + halves->parts.map_count, sizeof(float));
    if (answer.block == NULL)
        return ws_error_nomem(err);
    answer.probabilities = answer.block;
    answer.edge = answer.block + classes;
    answer.cloud = answer.block + 2 * classes;
    answer.importance = answer.block + 3 * classes;
    int rc = ws_halves_extract(&division, halves, request->input, err);
    if (rc == 0 && ws_halves_secondary_count(halves, request->share) > 0)
        rc = ws_halves_divide(&division, halves, request->share, request->ranking, err);
    if (rc == 0 && division.secondary_count > 0 && offload == NULL)
        rc = ws_error_set(err, WS_E_USAGE, "a share of %g needs somebody to send it to",
                          request->share);
    if (rc == 0)
        rc = tell_attention(&answer, halves, &division, err);
    answer.secondary_count = division.secondary_count;
    answer.times.extract_ns = division.extract_ns + division.divide_ns;
    if (rc == 0)
        rc = run_tails(&answer, halves, offload, &division, request->timeout_ms, err);
    if (rc == 0)
        rc = fuse(&answer, halves, &division, request, err);
    answer.times.total_ns = ws_clock_now_ns() - start;
    ws_division_fini(&division);
    if (rc != 0)
        ws_halves_answer_fini(&answer);
    else
        *out = answer;
    return rc;
}

void ws_halves_answer_fini(struct ws_halves_answer *answer)
{
    free(answer->block);
    *answer = (struct ws_halves_answer){0};
}
