/*
 * What must hold of every model and every cut of it, over Debian's ONNX test data and the
 * shared models.
 */
#include "check.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/engine.h"
#include "onnx/cut.h"
#include "onnx/segment.h"
#include "split/shapes.h"

static struct ws_engine *engine;
static const char *const debian_data = "/usr/share/libonnx-testdata/data";

static struct {
    size_t models;
    size_t cuts;     /* interior ones */
    size_t inferred; /* models that the runtime took */
    const char *path;
} seen;

static void fail_model(const char *what, size_t number, const struct ws_error *err)
{
    fail_msg("%s, cut %zu: %s: %s", seen.path, number, what, err->text);
}

static size_t distinct(const size_t *values, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (values[k] != values[i])
            k++;
        found += k == i;
    }
    return found;
}

/* A piece found twice must be found alike, and must itself be a model with a graph. */
static void check_packed(const struct ws_graph *graph, const struct ws_segment *segment,
                         const size_t *from, size_t from_count, const size_t *to,
                         size_t to_count, size_t number)
{
    struct ws_error err = {0};
    struct ws_buf buf;
    struct ws_model *model = NULL;
    struct ws_graph *again = NULL;
    ws_buf_init(&buf, 0);
    struct ws_segment_spec spec = {.from = from,
                                   .from_count = from_count,
                                   .to = to,
                                   .to_count = to_count,
                                   .weights = WS_WEIGHTS_INLINE};
    int rc = ws_segment_build(&buf, NULL, graph, &spec, &err);
    if (rc == WS_E_UNKNOWN) {
        /* Only a runtime knows the types within this one. */
        ws_buf_fini(&buf);
        return;
    }
    if (rc != 0)
        fail_model("build", number, &err);
    if (ws_model_open_bytes(&model, (const uint8_t *)buf.data, buf.size, &err) != 0)
        fail_model("open the segment", number, &err);
    if (ws_graph_create(&again, model, &err) != 0)
        fail_model("graph of the segment", number, &err);
    assert_int_equal(again->node_count, segment->node_count);
    assert_int_equal(again->input_count, segment->input_count);
    assert_int_equal(again->output_count, distinct(to, to_count));
    ws_graph_destroy(again);
    ws_model_close(model);
    ws_buf_fini(&buf);
}

/* Takes part in the counts of how often a node is computed. */
static struct ws_segment *take_side(unsigned char *times, const struct ws_graph *graph,
                                    const size_t *from, size_t from_count,
                                    const size_t *to, size_t to_count, size_t number)
{
    struct ws_error err = {0};
    struct ws_segment *segment = NULL;
    if (ws_segment_create(&segment, graph, from, from_count, to, to_count, &err) != 0)
        fail_model("segment", number, &err);
    for (size_t i = 0; i < segment->node_count; i++)
        times[segment->nodes[i]]++;
    check_packed(graph, segment, from, from_count, to, to_count, number);
    return segment;
}

static void check_cut(const struct ws_cuts *cuts, size_t number)
{
    const struct ws_graph *graph = cuts->graph;
    const struct ws_cut *cut = &cuts->cuts[number];
    unsigned char *times = calloc(graph->node_count + 1, 1);
    size_t *to = calloc(graph->output_count + cut->tensor_count + 1, sizeof(*to));
    assert_non_null(times);
    assert_non_null(to);

    size_t outputs = 0, count = 0;
    if (number > 0) {
        memcpy(to, cut->tensors, cut->tensor_count * sizeof(*to));
        outputs = ws_cut_outputs(to + cut->tensor_count, cuts, number, 0);
        count = cut->tensor_count + outputs;
        ws_segment_destroy(take_side(times, graph, graph->inputs, graph->input_count, to,
                                     count, number));
    }
    count = ws_cut_outputs(to, cuts, number, 1);
    assert_int_equal(outputs + count, graph->output_count);
    struct ws_segment *tail =
        take_side(times, graph, cut->tensors, cut->tensor_count, to, count, number);
    /* What crosses is what the tail takes, all of it. */
    if (tail->input_count != cut->tensor_count)
        fail_msg("%s, cut %zu: %zu tensors cross, the tail takes %zu", seen.path, number,
                 cut->tensor_count, tail->input_count);
    ws_segment_destroy(tail);

    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ws_node *node = &graph->nodes[i];
        if (!node->is_needed && times[i] != 0)
            fail_msg("%s, cut %zu: node %zu is computed for nothing", seen.path, number,
                     i);
        if (node->is_needed && !node->is_free && times[i] != 1)
            fail_msg("%s, cut %zu: node %zu (%s) is computed %d times", seen.path, number,
                     i, node->proto->op_type, times[i]);
    }
    free(times);
    free(to);
}

static void check_totals(const struct ws_cuts *cuts)
{
    const struct ws_cut *first = &cuts->cuts[0], *last = &cuts->cuts[cuts->count - 1];
    assert_int_equal(first->macs_before, 0);
    assert_int_equal(last->macs_after, 0);
    assert_int_equal(first->weight_bytes_before, 0);
    assert_int_equal(last->tensor_count, 0);
    assert_int_equal(last->weight_bytes_before, first->weight_bytes_after);
    assert_int_equal(last->weight_bytes_after, 0);
    for (size_t i = 0; i + 1 < cuts->count; i++) {
        const struct ws_cut *cut = &cuts->cuts[i];
        assert_int_equal(cut->macs_before + cut->macs_after, first->macs_after);
        assert_true(cut->position <= cut[1].position);
        assert_true(cut->macs_before <= cut[1].macs_before);
        assert_true(cut->weight_bytes_before <= cut[1].weight_bytes_before);
        assert_true(cut->weight_bytes_after >= cut[1].weight_bytes_after);
    }
}

static void check_names(const struct ws_cuts *cuts)
{
    for (size_t i = 1; i + 1 < cuts->count; i++) {
        size_t number = 0;
        assert_int_equal(ws_cuts_find(&number, cuts, cuts->cuts[i].id, NULL), 0);
        assert_int_equal(number, i);
    }
}

/* Returns the number of interior cuts. */
static size_t check_graph(const struct ws_graph *graph)
{
    struct ws_error err = {0};
    struct ws_cuts *cuts = NULL;
    if (ws_cuts_create(&cuts, graph, &err) != 0)
        fail_msg("%s: %s", seen.path, err.text);
    check_totals(cuts);
    check_names(cuts);
    for (size_t i = 0; i < cuts->count; i++)
        check_cut(cuts, i);
    size_t interior = cuts->count - 2;
    ws_cuts_destroy(cuts);
    return interior;
}

/* Once with what the file says of shapes, once with what the runtime says; it refuses a
 * few models of training operators. */
static void check_model(const char *path)
{
    struct ws_error err = {0};
    struct ws_model *model = NULL;
    struct ws_graph *graph = NULL;
    seen.path = path;
    if (ws_model_open(&model, path, &err) != 0 ||
        ws_graph_create(&graph, model, &err) != 0)
        fail_msg("%s", err.text);
    seen.models++;
    seen.cuts += check_graph(graph);
    if (ws_graph_infer_shapes(graph, ws_shapes_from_engine, engine, NULL, 0, NULL) == 0) {
        seen.inferred++;
        (void)check_graph(graph);
    }
    ws_graph_destroy(graph);
    ws_model_close(model);
}

static int visit(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)at;
    size_t size = strlen(path);
    if (kind == FTW_F && size > 5 && strcmp(path + size - 5, ".onnx") == 0)
        check_model(path);
    return 0;
}

static void check_folder(const char *dir, size_t models_min)
{
    struct stat st;
    if (stat(dir, &st) != 0) {
        print_message("skipped: no %s\n", dir);
        skip();
    }
    seen.models = seen.cuts = seen.inferred = 0;
    assert_int_equal(nftw(dir, visit, 16, FTW_PHYS), 0);
    print_message("%s: %zu models, %zu of them known to the runtime, %zu interior cuts\n",
                  dir, seen.models, seen.inferred, seen.cuts);
    assert_true(seen.models >= models_min);
    assert_true(seen.inferred >= models_min / 10 * 9);
}

static void test_cuts_debian_models(void **state)
{
    (void)state;
    check_folder(debian_data, 900);
}

static void test_cuts_shared_models(void **state)
{
    (void)state;
    const char *data = getenv("WS_SHARED_DATA");
    const char *root = getenv("WS_SOURCE_ROOT");
    char dir[4096];
    (void)snprintf(dir, sizeof(dir), "%s/models", data != NULL ? data : "../shared/data");
    if (data == NULL && root != NULL)
        (void)snprintf(dir, sizeof(dir), "%s/../shared/data/models", root);
    check_folder(dir, 1);
}

static int setup(void **state)
{
    (void)state;
    return ws_engine_create(&engine, &(struct ws_engine_options){.threads = 1}, NULL);
}

static int teardown(void **state)
{
    (void)state;
    ws_engine_destroy(engine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts_debian_models),
        cmocka_unit_test(test_cuts_shared_models),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
