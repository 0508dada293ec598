#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "onnx/build.h"

static const int64_t square[] = {3, 3};

static int fill_counting(void *user, const char *name, uint64_t from, void *out,
                         size_t size, struct ws_error *err)
{
    (void)err;
    assert_string_equal(name, "later");
    uint64_t *expected = user;
    assert_int_equal(from, *expected);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)(from + i);
    *expected += size;
    return 0;
}

static int fill_failing(void *user, const char *name, uint64_t from, void *out,
                        size_t size, struct ws_error *err)
{
    (void)user;
    (void)from;
    (void)out;
    (void)size;
    return ws_error_set(err, WS_E_UNKNOWN, "no data for %s", name);
}

/* y = x + w, with an attribute on the node for good measure. */
static struct ws_builder *make_sum(void)
{
    struct ws_builder *b = NULL;
    static const float w[9] = {1, 2, 3};
    assert_int_equal(ws_builder_create(&b, "sum", 17, NULL), 0);
    ws_builder_input(b, "x", WS_DTYPE_FP32, (const int64_t[]){-1, 3}, 2);
    ws_builder_output(b, "y", WS_DTYPE_FP32, NULL, 0);
    ws_builder_weight(b, "w", WS_DTYPE_FP32, square, 2, w);
    Onnx__NodeProto *node = ws_builder_node(
        b, "Add", "add", (const char *[]){"x", "w", NULL}, (const char *[]){"y", NULL});
    ws_builder_ints(b, node, "pads", (const int64_t[]){1, 2, 3}, 3);
    ws_builder_int(b, node, "group", 4);
    ws_builder_float(b, node, "alpha", 0.5f);
    ws_builder_metadata(b, "key", "value");
    return b;
}

static void assert_sum(const Onnx__ModelProto *model)
{
    assert_non_null(model);
    assert_int_equal(model->opset_import[0]->version, 17);
    assert_string_equal(model->metadata_props[0]->value, "value");
    const Onnx__GraphProto *graph = model->graph;
    assert_string_equal(graph->name, "sum");
    const Onnx__TensorShapeProto *shape = graph->input[0]->type->tensor_type->shape;
    assert_int_equal(shape->dim[0]->value_case,
                     ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET);
    assert_int_equal(shape->dim[1]->dim_value, 3);
    assert_null(graph->output[0]->type->tensor_type->shape);
    const Onnx__NodeProto *node = graph->node[0];
    assert_int_equal(node->n_input, 2);
    assert_string_equal(node->input[1], "w");
    assert_int_equal(node->n_attribute, 3);
    assert_int_equal(node->attribute[0]->ints[2], 3);
    assert_int_equal(node->attribute[1]->i, 4);
    assert_near(node->attribute[2]->f, 0.5, 0);
    assert_int_equal(graph->initializer[0]->raw_data.len, 36);
    assert_near(((const float *)(const void *)graph->initializer[0]->raw_data.data)[2], 3,
                0);
}

static void test_pack(void **state)
{
    (void)state;
    struct ws_builder *b = make_sum();
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_builder_pack(&buf, b, NULL), 0);
    ws_builder_destroy(b);
    Onnx__ModelProto *model =
        onnx__model_proto__unpack(NULL, buf.size, (const uint8_t *)buf.data);
    assert_sum(model);
    onnx__model_proto__free_unpacked(model, NULL);
    ws_buf_fini(&buf);
}

static void temp_path(char path[static 32])
{
    snprintf(path, 32, "%s", "/tmp/wattshed-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static void test_write_later(void **state)
{
    (void)state;
    /* Not a multiple of the pieces that are written. */
    const int64_t dims[] = {1000, 701};
    struct ws_builder *b = make_sum();
    struct ws_buf buf;
    char path[32] = {0};
    uint64_t filled = 0;
    temp_path(path);
    ws_buf_init(&buf, 0);
    ws_builder_weight_later(b, "later", WS_DTYPE_UINT8, dims, 2);
    assert_int_equal(ws_builder_pack(&buf, b, NULL), WS_E_USAGE);
    assert_int_equal(ws_builder_write(path, b, NULL, NULL, NULL), WS_E_USAGE);
    assert_int_equal(ws_builder_write(path, b, fill_counting, &filled, NULL), 0);
    assert_int_equal(filled, 701000);
    assert_int_equal(ws_file_read(&buf, path, NULL), 0);
    Onnx__ModelProto *model =
        onnx__model_proto__unpack(NULL, buf.size, (const uint8_t *)buf.data);
    assert_sum(model);
    assert_int_equal(model->graph->n_initializer, 2);
    const Onnx__TensorProto *later = model->graph->initializer[1];
    assert_int_equal(later->raw_data.len, 701000);
    for (size_t i = 0; i < later->raw_data.len; i++)
        assert_int_equal(later->raw_data.data[i], (uint8_t)i);
    onnx__model_proto__free_unpacked(model, NULL);

    /* A failure while writing leaves the old file alone. */
    struct ws_error err = {0};
    assert_int_equal(ws_builder_write(path, b, fill_failing, NULL, &err), WS_E_UNKNOWN);
    assert_non_null(strstr(err.text, "later"));
    struct ws_buf again;
    ws_buf_init(&again, 0);
    assert_int_equal(ws_file_read(&again, path, NULL), 0);
    assert_int_equal(again.size, buf.size);
    ws_buf_fini(&again);
    ws_buf_fini(&buf);
    ws_builder_destroy(b);
    unlink(path);
}

/* Enough of everything for each list and the arena to grow many times. */
static void test_many(void **state)
{
    (void)state;
    struct ws_builder *b = NULL;
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_builder_create(&b, "chain", 13, NULL), 0);
    const char *at = "x";
    for (int i = 0; i < 1000; i++) {
        const char *to = ws_builder_text(b, "t%d", i);
        ws_builder_node(b, "Relu", to, (const char *[]){at, NULL},
                        (const char *[]){to, NULL});
        ws_builder_value(b, to, WS_DTYPE_FP32, square, 2);
        at = to;
    }
    assert_int_equal(ws_builder_pack(&buf, b, NULL), 0);
    ws_builder_destroy(b);
    Onnx__ModelProto *model =
        onnx__model_proto__unpack(NULL, buf.size, (const uint8_t *)buf.data);
    assert_int_equal(model->graph->n_node, 1000);
    assert_string_equal(model->graph->node[999]->input[0], "t998");
    assert_string_equal(model->graph->value_info[512]->name, "t512");
    onnx__model_proto__free_unpacked(model, NULL);
    ws_buf_fini(&buf);
}

static void test_first_failure_kept(void **state)
{
    (void)state;
    struct ws_builder *b = make_sum();
    struct ws_error err = {0};
    char path[32] = {0};
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    temp_path(path);
    ws_builder_weight(b, "bad", WS_DTYPE_FP32, (const int64_t[]){-7}, 1, NULL);
    /* Calls after it are harmless. */
    Onnx__NodeProto *node =
        ws_builder_node(b, "Relu", "r", (const char *[]){"x", NULL},
                        (const char *[]){ws_builder_text(b, "y%d", 1), NULL});
    ws_builder_int(b, node, "axis", 1);
    ws_builder_weight_later(b, "w2", WS_DTYPE_FP32, square, 2);
    ws_builder_output(b, "z", WS_DTYPE_FP32, square, 2);
    assert_int_equal(ws_builder_status(b, &err), WS_E_TYPE);
    assert_non_null(strstr(err.text, "-7"));
    assert_int_equal(ws_builder_pack(&buf, b, NULL), WS_E_TYPE);
    assert_int_equal(ws_builder_write(path, b, fill_failing, NULL, NULL), WS_E_TYPE);
    ws_buf_fini(&buf);
    ws_builder_destroy(b);
    ws_builder_destroy(NULL);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack),
        cmocka_unit_test(test_write_later),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_first_failure_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
