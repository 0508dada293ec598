/* Graphs, cuts and segments of models small enough to know the answer by heart. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/build.h"
#include "onnx/cut.h"
#include "onnx/segment.h"

/* ---- a model with what is made of it ---- */

struct subject {
    struct ws_buf bytes; /* where it was made by a builder */
    struct ws_model *model;
    struct ws_graph *graph;
    struct ws_cuts *cuts;
};

static void subject_derive(struct subject *subject)
{
    struct ws_error err = {0};
    if (ws_graph_create(&subject->graph, subject->model, &err) != 0 ||
        ws_cuts_create(&subject->cuts, subject->graph, &err) != 0)
        fail_msg("%s", err.text);
}

static struct subject subject_of(struct ws_builder *builder)
{
    struct subject subject = {0};
    struct ws_error err = {0};
    ws_buf_init(&subject.bytes, 0);
    if (ws_builder_pack(&subject.bytes, builder, &err) != 0 ||
        ws_model_open_bytes(&subject.model, (const uint8_t *)subject.bytes.data,
                            subject.bytes.size, &err) != 0)
        fail_msg("%s", err.text);
    ws_builder_destroy(builder);
    subject_derive(&subject);
    return subject;
}

static char *seed_path(char path[static 4096], const char *name)
{
    const char *root = getenv("WS_SOURCE_ROOT");
    (void)snprintf(path, 4096, "%s/fuzz/corpus/onnx/%s.onnx", root != NULL ? root : ".",
                   name);
    return path;
}

/* One of the models that tools/make_onnx_seeds.py writes. */
static struct subject subject_seed(const char *name)
{
    struct subject subject = {0};
    struct ws_error err = {0};
    char path[4096];
    ws_buf_init(&subject.bytes, 0);
    if (ws_model_open(&subject.model, seed_path(path, name), &err) != 0)
        fail_msg("%s", err.text);
    subject_derive(&subject);
    return subject;
}

static void subject_fini(struct subject *subject)
{
    ws_cuts_destroy(subject->cuts);
    ws_graph_destroy(subject->graph);
    ws_model_close(subject->model);
    ws_buf_fini(&subject->bytes);
}

/* The names of some values, joined by spaces. */
static const char *names_of(char text[static 256], const struct ws_graph *graph,
                            const size_t *values, size_t count)
{
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, 256 - used, "%s%s", i > 0 ? " " : "",
                       graph->values[values[i]].name);
    }
    return text;
}

/* Checks which tensors cross at each cut; `expected` ends with NULL. */
static void assert_cuts(const struct subject *subject, const char *const *expected)
{
    char text[256];
    size_t i = 0;
    for (; expected[i] != NULL; i++) {
        assert_true(i < subject->cuts->count);
        const struct ws_cut *cut = &subject->cuts->cuts[i];
        assert_int_equal(cut->number, i);
        assert_string_equal(
            names_of(text, subject->graph, cut->tensors, cut->tensor_count), expected[i]);
    }
    assert_int_equal(subject->cuts->count, i);
}

static void assert_outputs(const struct subject *subject, size_t number,
                           const char *of_head, const char *of_tail)
{
    char text[256];
    size_t values[8];
    size_t count = ws_cut_outputs(values, subject->cuts, number, 0);
    assert_string_equal(names_of(text, subject->graph, values, count), of_head);
    count = ws_cut_outputs(values, subject->cuts, number, 1);
    assert_string_equal(names_of(text, subject->graph, values, count), of_tail);
}

static struct ws_builder *builder(void)
{
    struct ws_builder *b = NULL;
    assert_int_equal(ws_builder_create(&b, "g", 17, NULL), 0);
    return b;
}

/* A node with up to three inputs and one output. */
static Onnx__NodeProto *node(struct ws_builder *b, const char *op, const char *output,
                             const char *a, const char *c, const char *d)
{
    const char *inputs[] = {a, c, d, NULL};
    const char *outputs[] = {output, NULL};
    return ws_builder_node(b, op, output, inputs, outputs);
}

static const struct ws_value *value_of(const struct subject *subject, const char *name)
{
    size_t id = 0;
    assert_int_equal(ws_graph_find(&id, subject->graph, name, NULL), 0);
    return &subject->graph->values[id];
}

/* ---- cuts ---- */

static void test_cuts_residual(void **state)
{
    (void)state;
    struct subject s = subject_seed("residual");
    assert_cuts(&s, (const char *[]){"x", "a", "a b", "", NULL});
    subject_fini(&s);
}

/* The file lists Neg before the Relu it depends on. */
static void test_cuts_out_of_order(void **state)
{
    (void)state;
    struct subject s = subject_seed("out-of-order");
    assert_string_equal(ws_node_op(&s.graph->nodes[0]), "Relu");
    assert_cuts(&s, (const char *[]){"x", "t", "", NULL});
    subject_fini(&s);
}

/* q crosses, never what is made of it; and a tensor that only waits for its
 * QuantizeLinear does not cross at all. */
static void test_cuts_quantised(void **state)
{
    (void)state;
    struct subject s = subject_seed("quantised");
    assert_cuts(&s, (const char *[]){"x", "q", "q r", "", NULL});
    subject_fini(&s);

    struct ws_builder *b = builder();
    ws_builder_input(b, "x", WS_DTYPE_FP32, (const int64_t[]){4}, 1);
    ws_builder_output(b, "y", WS_DTYPE_FP32, (const int64_t[]){4}, 1);
    ws_builder_weight(b, "s", WS_DTYPE_FP32, NULL, 0, &(float){0.5f});
    node(b, "Relu", "r", "x", NULL, NULL);
    node(b, "QuantizeLinear", "q", "r", "s", NULL);
    node(b, "DequantizeLinear", "d", "q", "s", NULL);
    node(b, "Neg", "y", "d", NULL, NULL);
    s = subject_of(b);
    assert_cuts(&s, (const char *[]){"x", "q", "", NULL});
    assert_int_equal(s.cuts->skipped, 1);
    subject_fini(&s);
}

/* a and b come back from whoever has made them, x and w too. */
static void test_cuts_early_outputs(void **state)
{
    (void)state;
    struct subject s = subject_seed("outputs-early");
    assert_cuts(&s, (const char *[]){"x", "a", "", NULL});
    assert_outputs(&s, 0, "", "a b x w");
    assert_outputs(&s, 1, "a x", "b w");
    assert_outputs(&s, 2, "a b x w", "");
    subject_fini(&s);
}

static void test_cuts_recurrent_state(void **state)
{
    (void)state;
    struct subject s = subject_seed("recurrent");
    assert_cuts(&s, (const char *[]){"x h", "s", "hn", "", NULL});
    assert_outputs(&s, 1, "", "y hn");
    assert_outputs(&s, 2, "hn", "y");
    subject_fini(&s);
}

/* t is made inside the outer body, so only the Add needs it from outside; z is taken
 * through two bodies. */
static void test_cuts_captured(void **state)
{
    (void)state;
    struct subject s = subject_seed("captures");
    assert_cuts(&s, (const char *[]){"x c", "c t", "", NULL});
    subject_fini(&s);

    s = subject_seed("shadows");
    assert_cuts(&s, (const char *[]){"x c", "x c t", "x c t z", "t v", "", NULL});
    subject_fini(&s);
}

static void test_cuts_sequence(void **state)
{
    (void)state;
    struct subject s = subject_seed("sequence");
    assert_cuts(&s, (const char *[]){"x", "", NULL});
    assert_int_equal(s.cuts->skipped, 1);
    assert_false(value_of(&s, "q")->is_tensor);
    subject_fini(&s);
}

/* A weight that is declared as an input as well is a weight. */
static void test_graph_weight_is_input(void **state)
{
    (void)state;
    struct subject s = subject_seed("weight-is-input");
    assert_int_equal(s.graph->input_count, 1);
    assert_true(value_of(&s, "w")->is_weight);
    assert_cuts(&s, (const char *[]){"x", "", NULL});
    subject_fini(&s);
}

static void test_graph_left_out(void **state)
{
    (void)state;
    struct subject s = subject_seed("left-out");
    const struct ws_node *mystery = &s.graph->nodes[0];
    assert_int_equal(mystery->input_count, 2);
    assert_int_equal(mystery->inputs[1], WS_NONE);
    assert_int_equal(mystery->outputs[0], WS_NONE);
    subject_fini(&s);
}

/* The shape of a fixed input is a constant: r alone crosses, and the tail needs no x. */
static void test_cuts_fixed_shape(void **state)
{
    (void)state;
    struct subject s = subject_seed("fixed-shape");
    assert_cuts(&s, (const char *[]){"x", "r", "", NULL});
    struct ws_segment_spec spec = {.from = s.cuts->cuts[1].tensors,
                                   .from_count = 1,
                                   .to = s.graph->outputs,
                                   .to_count = 1,
                                   .weights = WS_WEIGHTS_INLINE};
    struct ws_buf buf;
    struct ws_model *tail = NULL;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_segment_build(&buf, NULL, s.graph, &spec, NULL), 0);
    assert_int_equal(
        ws_model_open_bytes(&tail, (const uint8_t *)buf.data, buf.size, NULL), 0);
    const Onnx__GraphProto *graph = ws_model_proto(tail)->graph;
    assert_int_equal(graph->n_input, 1);
    assert_string_equal(graph->node[0]->op_type, "Constant");
    const int64_t expected[] = {2, 4};
    assert_int_equal(graph->node[0]->attribute[0]->t->raw_data.len, sizeof(expected));
    assert_memory_equal(graph->node[0]->attribute[0]->t->raw_data.data, expected,
                        sizeof(expected));
    ws_model_close(tail);
    ws_buf_fini(&buf);
    subject_fini(&s);
}

static void fix_r(void *user, const char *path, ws_shape_sink sink, void *sink_user)
{
    (void)path;
    sink(sink_user, "r", WS_DTYPE_FP32, (const int64_t[]){*(const int64_t *)user, 4}, 2);
    sink(sink_user, "no such tensor", WS_DTYPE_FP32, NULL, 0);
}

static int source_of_r(void *user, const char *path, ws_shape_sink sink, void *sink_user,
                       const struct ws_dim *dims, size_t dim_count, struct ws_error *err)
{
    (void)dims;
    (void)dim_count;
    if (*(const int64_t *)user == 0)
        return ws_error_set(err, WS_E_RUNTIME, "no answer");
    fix_r(user, path, sink, sink_user);
    return 0;
}

static void test_shapes_from_source(void **state)
{
    (void)state;
    struct ws_error err = {0};
    struct ws_builder *b = builder();
    ws_builder_input(b, "x", WS_DTYPE_FP32, (const int64_t[]){3, 4}, 2);
    ws_builder_output(b, "y", WS_DTYPE_FP32, NULL, 0);
    node(b, "Relu", "r", "x", NULL, NULL);
    node(b, "Neg", "y", "r", NULL, NULL);
    struct subject s = subject_of(b);
    uint64_t bytes = 0;
    size_t assumed = 0;
    assert_int_equal(ws_value_bytes(&bytes, &assumed, value_of(&s, "r"), NULL),
                     WS_E_UNKNOWN);
    assert_false(s.cuts->cuts[1].bytes_known);
    int64_t rows = 3;
    assert_int_equal(ws_graph_infer_shapes(s.graph, source_of_r, &rows, NULL, 0, &err),
                     0);
    assert_int_equal(ws_value_bytes(&bytes, &assumed, value_of(&s, "r"), NULL), 0);
    assert_int_equal(bytes, 3 * 4 * 4);
    assert_int_equal(assumed, 0);
    rows = -1;
    assert_int_equal(ws_graph_infer_shapes(s.graph, source_of_r, &rows, NULL, 0, &err),
                     0);
    assert_int_equal(ws_value_bytes(&bytes, &assumed, value_of(&s, "r"), NULL), 0);
    assert_int_equal(bytes, 4 * 4);
    assert_int_equal(assumed, 1);
    rows = 0;
    assert_int_equal(ws_graph_infer_shapes(s.graph, source_of_r, &rows, NULL, 0, &err),
                     WS_E_RUNTIME);
    assert_string_equal(err.text, "infer shapes of (memory): no answer");
    subject_fini(&s);
}

/* The seed's batch is free and called n. */
static void test_shapes_dims(void **state)
{
    (void)state;
    struct subject s = subject_seed("residual");
    const struct ws_dim dims[] = {{"other", 9}, {"n", 5}};
    assert_int_equal(value_of(&s, "a")->dims[0], -1);
    assert_string_equal(ws_value_dim_name(value_of(&s, "a"), 0), "n");
    assert_int_equal(ws_graph_infer_shapes(s.graph, NULL, NULL, dims, 2, NULL), 0);
    assert_int_equal(value_of(&s, "a")->dims[0], 5);
    subject_fini(&s);
}

/* ---- identity ---- */

static void test_cuts_find_table(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t number;
        int code;
    } rows[] = {
        {"0", 0, 0},
        {"2", 2, 0},
        {"a", 1, 0},
        {"a,b", 2, 0},
        {"b,a", 2, 0},
        {"x", 0, 0},
        {"4", 0, WS_E_NOT_FOUND},
        {"b", 0, WS_E_NOT_FOUND},
        {"", 0, WS_E_NOT_FOUND},
        {"a,", 0, WS_E_NOT_FOUND},
        {"a,a", 0, WS_E_NOT_FOUND},
        {"-1", 0, WS_E_NOT_FOUND},
        {"99999999999999999999", 0, WS_E_NOT_FOUND},
    };
    struct subject s = subject_seed("residual");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t number = 77;
        int code = ws_cuts_find(&number, s.cuts, rows[i].text, NULL);
        if (code != rows[i].code || number != (code == 0 ? rows[i].number : 77))
            fail_msg("\"%s\": %d, cut %zu", rows[i].text, code, number);
    }
    size_t number = 0;
    assert_int_equal(ws_cuts_find(&number, s.cuts, s.cuts->cuts[2].id, NULL), 0);
    assert_int_equal(number, 2);
    subject_fini(&s);
}

static struct subject scaled(float by)
{
    struct ws_builder *b = builder();
    ws_builder_input(b, "x", WS_DTYPE_FP32, (const int64_t[]){4}, 1);
    ws_builder_output(b, "y", WS_DTYPE_FP32, (const int64_t[]){4}, 1);
    ws_builder_weight(b, "w", WS_DTYPE_FP32, NULL, 0, &by);
    node(b, "Mul", "m", "x", "w", NULL);
    node(b, "Neg", "y", "m", NULL, NULL);
    return subject_of(b);
}

/* Names alone do not make a cut: the weights belong to its identity. */
static void test_cuts_identity_has_weights(void **state)
{
    (void)state;
    struct subject one = scaled(1), again = scaled(1), two = scaled(2);
    assert_string_equal(one.cuts->cuts[1].id, again.cuts->cuts[1].id);
    assert_string_not_equal(one.cuts->cuts[1].id, two.cuts->cuts[1].id);
    assert_string_not_equal(one.cuts->cuts[1].id, one.cuts->cuts[0].id);
    subject_fini(&one);
    subject_fini(&again);
    subject_fini(&two);
}

/* ---- work ---- */

static void test_work_table(void **state)
{
    (void)state;
    static const int64_t image[] = {2, 3, 8, 8}, kernel[] = {16, 3, 3, 3};
    static const int64_t maps[] = {2, 16, 8, 8}, up[] = {16, 5, 2, 2};
    static const int64_t large[] = {2, 5, 16, 16}, rows[] = {7, 20}, flat[] = {20, 10};
    static const int64_t small[] = {7, 10};
    static const struct {
        const char *op;
        const int64_t *x, *w, *y;
        size_t x_rank, w_rank, y_rank;
        uint64_t macs;
        enum ws_work_class class;
    } rows_of[] = {
        {"Conv", image, kernel, maps, 4, 4, 4, 2 * 16 * 8 * 8 * 27, WS_WORK_CONV},
        {"ConvTranspose", maps, up, large, 4, 4, 4, 2 * 16 * 8 * 8 * 5 * 4, WS_WORK_CONV},
        {"MatMul", rows, flat, small, 2, 2, 2, 7 * 20 * 10, WS_WORK_MATMUL},
        {"Gemm", rows, flat, small, 2, 2, 2, 7 * 20 * 10, WS_WORK_MATMUL},
        {"Add", rows, rows, rows, 2, 2, 2, 0, WS_WORK_OTHER},
    };
    static const float zeroes[16 * 5 * 2 * 2 + 16 * 3 * 3 * 3 + 200] = {0};
    for (size_t i = 0; i < sizeof(rows_of) / sizeof(rows_of[0]); i++) {
        struct ws_builder *b = builder();
        ws_builder_input(b, "x", WS_DTYPE_FP32, rows_of[i].x, rows_of[i].x_rank);
        ws_builder_output(b, "y", WS_DTYPE_FP32, rows_of[i].y, rows_of[i].y_rank);
        ws_builder_weight(b, "w", WS_DTYPE_FP32, rows_of[i].w, rows_of[i].w_rank, zeroes);
        node(b, rows_of[i].op, "y", "x", "w", NULL);
        struct subject s = subject_of(b);
        assert_int_equal(s.graph->nodes[0].macs, rows_of[i].macs);
        assert_true(s.graph->nodes[0].macs_known);
        assert_int_equal(s.cuts->cuts[0].macs_after, rows_of[i].macs);
        assert_int_equal(s.cuts->cuts[0].weight_bytes_after,
                         s.graph->nodes[0].weight_bytes);
        struct ws_work work;
        ws_graph_work(&work, s.graph, 0, 1);
        for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++) {
            int is_it = c == rows_of[i].class;
            assert_near(work.macs[c], is_it ? (double)rows_of[i].macs : 0, 0);
            assert_near(work.bytes[c], is_it ? (double)s.graph->nodes[0].io_bytes : 0, 0);
        }
        ws_graph_work(&work, s.graph, 1, 1);
        assert_near(work.bytes[rows_of[i].class], 0, 0);
        subject_fini(&s);
    }
}

static void test_work_unknown(void **state)
{
    (void)state;
    struct ws_builder *b = builder();
    ws_builder_input(b, "x", WS_DTYPE_FP32, (const int64_t[]){-1, 2}, 2);
    ws_builder_output(b, "y", WS_DTYPE_FP32, (const int64_t[]){-1, 2}, 2);
    ws_builder_weight(b, "w", WS_DTYPE_FP32, (const int64_t[]){2, 2}, 2, (float[4]){0});
    node(b, "MatMul", "y", "x", "w", NULL);
    struct subject s = subject_of(b);
    assert_true(s.cuts->cuts[0].macs_known);
    assert_int_equal(s.cuts->cuts[0].macs_after, 4); /* for a batch of one */
    subject_fini(&s);

    b = builder();
    ws_builder_input(b, "x", WS_DTYPE_FP32, NULL, 0);
    ws_builder_output(b, "y", WS_DTYPE_FP32, NULL, 0);
    node(b, "MatMul", "y", "x", "x", NULL);
    s = subject_of(b);
    assert_false(s.cuts->cuts[0].macs_known);
    subject_fini(&s);

    s = subject_seed("captures"); /* what a body does is not counted */
    assert_false(s.cuts->cuts[0].macs_known);
    subject_fini(&s);
}

/* x 64 B, a 32 B, b 48 B, c 16 B. */
static void test_cuts_bottlenecks(void **state)
{
    (void)state;
    struct ws_builder *b = builder();
    static const char *const chain[] = {"x", "a", "b", "c", "y"};
    static const int64_t sizes[] = {16, 8, 12, 4, 1};
    ws_builder_input(b, "x", WS_DTYPE_FP32, &sizes[0], 1);
    ws_builder_output(b, "y", WS_DTYPE_FP32, &sizes[4], 1);
    for (size_t i = 1; i < 5; i++) {
        node(b, "Mystery", chain[i], chain[i - 1], NULL, NULL);
        if (i < 4)
            ws_builder_value(b, chain[i], WS_DTYPE_FP32, &sizes[i], 1);
    }
    struct subject s = subject_of(b);
    assert_cuts(&s, (const char *[]){"x", "a", "b", "c", "", NULL});
    assert_true(s.cuts->cuts[1].bottleneck);
    assert_false(s.cuts->cuts[2].bottleneck);
    assert_true(s.cuts->cuts[3].bottleneck);
    assert_false(s.cuts->cuts[4].bottleneck);
    s.cuts->cuts[1].natural = WS_NATURAL_NO;
    ws_cuts_mark_bottlenecks(s.cuts);
    assert_false(s.cuts->cuts[1].bottleneck);
    assert_true(s.cuts->cuts[2].bottleneck);
    subject_fini(&s);
}

/* ---- segments ---- */

static void test_segment_needs_input(void **state)
{
    (void)state;
    struct ws_error err = {0};
    struct ws_segment *segment = NULL;
    struct subject s = subject_seed("recurrent");
    size_t x = s.graph->inputs[0];
    assert_int_equal(
        ws_segment_create(&segment, s.graph, &x, 1, s.graph->outputs, 1, &err),
        WS_E_MISMATCH);
    assert_non_null(strstr(err.text, "\"h\""));
    subject_fini(&s);
}

static void test_segment_keeps_metadata(void **state)
{
    (void)state;
    char key[] = "made", value[] = "again";
    Onnx__StringStringEntryProto entry = ONNX__STRING_STRING_ENTRY_PROTO__INIT;
    entry.key = key;
    entry.value = value;
    Onnx__StringStringEntryProto *entries[] = {&entry};
    struct subject s = subject_seed("unknown-fields");
    struct ws_segment_spec spec = {.from = s.graph->inputs,
                                   .from_count = 1,
                                   .to = s.cuts->cuts[1].tensors,
                                   .to_count = 1,
                                   .metadata = entries,
                                   .metadata_count = 1};
    struct ws_buf buf;
    struct ws_model *head = NULL;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_segment_build(&buf, NULL, s.graph, &spec, NULL), 0);
    assert_int_equal(
        ws_model_open_bytes(&head, (const uint8_t *)buf.data, buf.size, NULL), 0);
    const Onnx__ModelProto *proto = ws_model_proto(head);
    assert_int_equal(proto->n_metadata_props, 1);
    assert_string_equal(proto->metadata_props[0]->value, "again");
    assert_int_equal(proto->base.n_unknown_fields, 2);
    assert_int_equal(proto->opset_import[0]->version, 17);
    ws_model_close(head);
    ws_buf_fini(&buf);
    subject_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts_residual),
        cmocka_unit_test(test_cuts_out_of_order),
        cmocka_unit_test(test_cuts_quantised),
        cmocka_unit_test(test_cuts_early_outputs),
        cmocka_unit_test(test_cuts_recurrent_state),
        cmocka_unit_test(test_cuts_captured),
        cmocka_unit_test(test_cuts_sequence),
        cmocka_unit_test(test_graph_weight_is_input),
        cmocka_unit_test(test_graph_left_out),
        cmocka_unit_test(test_cuts_fixed_shape),
        cmocka_unit_test(test_shapes_from_source),
        cmocka_unit_test(test_shapes_dims),
        cmocka_unit_test(test_cuts_find_table),
        cmocka_unit_test(test_cuts_identity_has_weights),
        cmocka_unit_test(test_work_table),
        cmocka_unit_test(test_work_unknown),
        cmocka_unit_test(test_cuts_bottlenecks),
        cmocka_unit_test(test_segment_needs_input),
        cmocka_unit_test(test_segment_keeps_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
