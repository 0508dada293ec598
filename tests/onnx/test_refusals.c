/* Models that no writer would write, field by field: what is refused, in which words, and
 * what is unusual and taken all the same. */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "onnx/graph.h"
#include "raw_proto.h"

/* Fields of the messages that are written here. */
enum { MODEL_GRAPH = 7, MODEL_OPSET = 8 };
enum {
    GRAPH_NODE = 1,
    GRAPH_WEIGHT = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_SPARSE = 15,
};
enum { SPARSE_VALUES = 1 };
enum { NODE_INPUT = 1, NODE_OUTPUT, NODE_NAME, NODE_OP, NODE_ATTRIBUTE };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_GRAPH = 6, ATTRIBUTE_TYPE = 20, TYPE_GRAPH = 5 };
enum {
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_FLOATS = 4,
    TENSOR_STRINGS = 6,
    TENSOR_INT64S = 7,
    TENSOR_NAME = 8,
    TENSOR_DOUBLES = 10,
    TENSOR_EXTERNAL = 13,
    TENSOR_LOCATION = 14,
};

/* What the parts of a model grow in; the model comes out of finish(). */
struct parts {
    struct ws_buf tensor, graph, model;
};

static void begin(struct parts *parts)
{
    ws_buf_init(&parts->tensor, 0);
    ws_buf_init(&parts->graph, 0);
    ws_buf_init(&parts->model, 0);
}

static void end(struct parts *parts)
{
    ws_buf_fini(&parts->tensor);
    ws_buf_fini(&parts->graph);
    ws_buf_fini(&parts->model);
}

/* Opens what was put together: the graph, the tensor if there is any in front of it. The
 * model may borrow from the parts. */
static int finish(struct ws_model **model, struct ws_graph **graph, struct parts *parts,
                  struct ws_error *err)
{
    struct ws_buf whole;
    ws_buf_init(&whole, 0);
    if (parts->tensor.size > 0)
        put_bytes(&whole, GRAPH_WEIGHT, parts->tensor.data, parts->tensor.size);
    if (parts->graph.size > 0)
        assert_int_equal(ws_buf_add(&whole, parts->graph.data, parts->graph.size, NULL),
                         0);
    if (whole.size > 0)
        put_bytes(&parts->model, MODEL_GRAPH, whole.data, whole.size);
    int rc = ws_model_open_bytes(model, (const uint8_t *)parts->model.data,
                                 parts->model.size, err);
    if (rc == 0)
        rc = ws_graph_create(graph, *model, err);
    ws_buf_fini(&whole);
    return rc;
}

static void put_text(struct ws_buf *buf, unsigned number, const char *text)
{
    put_bytes(buf, number, text, strlen(text));
}

/* A ValueInfoProto that is a name alone. */
static void put_value(struct ws_buf *graph, unsigned number, const char *name)
{
    struct ws_buf value;
    ws_buf_init(&value, 0);
    put_text(&value, 1, name);
    put_bytes(graph, number, value.data, value.size);
    ws_buf_fini(&value);
}

/* `count` times the same field, each an empty message. */
static void put_empty(struct ws_buf *buf, unsigned number, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_bytes(buf, number, "", 0);
}

/* A node that has a graph in an attribute. */
static void put_body(struct ws_buf *graph, const struct ws_buf *body)
{
    struct ws_buf attribute, node;
    ws_buf_init(&attribute, 0);
    ws_buf_init(&node, 0);
    put_text(&attribute, ATTRIBUTE_NAME, "then_branch");
    put_bytes(&attribute, ATTRIBUTE_GRAPH, body->data, body->size);
    put_number(&attribute, ATTRIBUTE_TYPE, TYPE_GRAPH);
    put_text(&node, NODE_OUTPUT, "y");
    put_text(&node, NODE_NAME, "branch");
    put_text(&node, NODE_OP, "If");
    put_bytes(&node, NODE_ATTRIBUTE, attribute.data, attribute.size);
    put_bytes(graph, GRAPH_NODE, node.data, node.size);
    ws_buf_fini(&attribute);
    ws_buf_fini(&node);
}

/* ---- refused ---- */

static void broken_key(struct parts *parts)
{
    assert_int_equal(ws_buf_add(&parts->model, "\x80", 1, NULL), 0);
}

static void broken_length(struct parts *parts)
{
    assert_int_equal(ws_buf_add(&parts->model, "\x3a\x80", 2, NULL), 0);
}

static void field_zero(struct parts *parts)
{
    assert_int_equal(ws_buf_add(&parts->model, "\x00\x01", 2, NULL), 0);
}

static void short_fixed64(struct parts *parts)
{
    assert_int_equal(ws_buf_add(&parts->model, "\x39\x01", 2, NULL), 0);
}

static void many_messages(struct parts *parts)
{
    put_empty(&parts->model, MODEL_OPSET, WS_PROTO_MSGS_MAX);
}

static void broken_tensor(struct parts *parts)
{
    assert_int_equal(ws_buf_add(&parts->tensor, "\x80", 1, NULL), 0);
}

static void put_high_rank(struct parts *parts, uint64_t type)
{
    for (int i = 0; i <= WS_TENSOR_RANK_MAX; i++)
        put_number(&parts->tensor, TENSOR_DIMS, 1);
    put_number(&parts->tensor, TENSOR_TYPE, type);
    put_text(&parts->tensor, TENSOR_NAME, "w");
}

static void high_rank(struct parts *parts)
{
    put_high_rank(parts, WS_DTYPE_UINT8);
}

/* Of a type that nobody knows, whose values are not looked at. */
static void high_rank_unknown(struct parts *parts)
{
    put_high_rank(parts, 99);
}

/* A sparse weight of the name that an ordinary one has. */
static void sparse_twice(struct parts *parts)
{
    struct ws_buf values, sparse;
    ws_buf_init(&values, 0);
    ws_buf_init(&sparse, 0);
    put_text(&parts->tensor, TENSOR_NAME, "w");
    put_text(&values, TENSOR_NAME, "w");
    put_bytes(&sparse, SPARSE_VALUES, values.data, values.size);
    put_bytes(&parts->graph, GRAPH_SPARSE, sparse.data, sparse.size);
    ws_buf_fini(&values);
    ws_buf_fini(&sparse);
}

static void external_nowhere(struct parts *parts)
{
    put_number(&parts->tensor, TENSOR_TYPE, WS_DTYPE_UINT8);
    put_text(&parts->tensor, TENSOR_NAME, "w");
    put_number(&parts->tensor, TENSOR_LOCATION, 1);
}

static void long_name(struct parts *parts)
{
    char name[WS_NAME_MAX + 2];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    put_value(&parts->graph, GRAPH_INPUT, name);
}

static void input_twice(struct parts *parts)
{
    put_value(&parts->graph, GRAPH_INPUT, "x");
    put_value(&parts->graph, GRAPH_INPUT, "x");
}

static void output_twice(struct parts *parts)
{
    put_value(&parts->graph, GRAPH_INPUT, "x");
    put_value(&parts->graph, GRAPH_OUTPUT, "x");
    put_value(&parts->graph, GRAPH_OUTPUT, "x");
}

static void many_inputs(struct parts *parts)
{
    put_empty(&parts->graph, GRAPH_INPUT, WS_GRAPH_IO_MAX + 1);
}

static void many_outputs(struct parts *parts)
{
    put_empty(&parts->graph, GRAPH_OUTPUT, WS_GRAPH_IO_MAX + 1);
}

static void many_nodes(struct parts *parts)
{
    put_empty(&parts->graph, GRAPH_NODE, WS_GRAPH_NODES_MAX + 1);
}

static void many_nodes_inside(struct parts *parts)
{
    struct ws_buf body;
    ws_buf_init(&body, 0);
    put_empty(&body, GRAPH_NODE, WS_GRAPH_NODES_MAX);
    put_body(&parts->graph, &body);
    ws_buf_fini(&body);
}

static void ghost_inside(struct parts *parts)
{
    struct ws_buf node, body;
    ws_buf_init(&node, 0);
    ws_buf_init(&body, 0);
    put_text(&node, NODE_INPUT, "ghost");
    put_text(&node, NODE_OUTPUT, "z");
    put_bytes(&body, GRAPH_NODE, node.data, node.size);
    put_body(&parts->graph, &body);
    ws_buf_fini(&node);
    ws_buf_fini(&body);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *name;
        void (*put)(struct parts *parts);
        int code;
        const char *says;
    } rows[] = {
        {"broken key", broken_key, WS_E_FORMAT, "not an ONNX model"},
        {"broken length", broken_length, WS_E_FORMAT, "not an ONNX model"},
        {"field zero", field_zero, WS_E_FORMAT, "field number 0"},
        {"short fixed64", short_fixed64, WS_E_FORMAT, "not an ONNX model"},
        {"many messages", many_messages, WS_E_LIMIT, "more than 4000000 messages"},
        {"broken tensor", broken_tensor, WS_E_FORMAT, "not an ONNX model"},
        {"high rank", high_rank, WS_E_LIMIT, "tensor \"w\": rank 17, at most 16"},
        {"high rank, unknown type", high_rank_unknown, WS_E_LIMIT,
         "tensor \"w\": rank 17, at most 16"},
        {"sparse twice", sparse_twice, WS_E_FORMAT, "tensor \"w\" is made twice"},
        {"external nowhere", external_nowhere, WS_E_FORMAT,
         "tensor \"w\": external data without a location"},
        {"long name", long_name, WS_E_LIMIT, "name of 1025 bytes"},
        {"input twice", input_twice, WS_E_FORMAT, "input \"x\" is declared twice"},
        {"output twice", output_twice, WS_E_FORMAT, "output \"x\" is declared twice"},
        {"many inputs", many_inputs, WS_E_LIMIT, "1025 inputs and 0 outputs"},
        {"many outputs", many_outputs, WS_E_LIMIT, "0 inputs and 1025 outputs"},
        {"many nodes", many_nodes, WS_E_LIMIT, "200001 nodes, at most 200000"},
        {"many nodes inside", many_nodes_inside, WS_E_LIMIT, "bodies included"},
        {"ghost inside", ghost_inside, WS_E_FORMAT, "reads tensor \"ghost\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_model *model = NULL;
        struct ws_graph *graph = NULL;
        struct ws_error err = {0};
        struct parts parts;
        begin(&parts);
        rows[i].put(&parts);
        int code = finish(&model, &graph, &parts, &err);
        if (code != rows[i].code || strstr(err.text, rows[i].says) == NULL)
            fail_msg("%s: code %d, \"%s\"", rows[i].name, code, err.text);
        ws_graph_destroy(graph);
        ws_model_close(model);
        end(&parts);
    }
}

/* ---- unusual, and taken ---- */

/* A weight of `count` elements and nothing else. */
static void begin_weight(struct parts *parts, enum ws_dtype dtype, size_t count)
{
    begin(parts);
    put_number(&parts->tensor, TENSOR_DIMS, count);
    put_number(&parts->tensor, TENSOR_TYPE, dtype);
    put_text(&parts->tensor, TENSOR_NAME, "w");
}

static void check_weight(struct parts *parts, const void *data, size_t size_bytes)
{
    struct ws_model *model = NULL;
    struct ws_graph *graph = NULL;
    struct ws_error err = {0};
    const uint8_t *bytes = NULL;
    size_t size = 0, id = 0;
    if (finish(&model, &graph, parts, &err) != 0)
        fail_msg("%s", err.text);
    const Onnx__TensorProto *tensor = ws_model_proto(model)->graph->initializer[0];
    assert_int_equal(ws_model_tensor_bytes(&bytes, &size, model, tensor, &err), 0);
    assert_int_equal(size, size_bytes);
    assert_memory_equal(bytes, data, size);
    assert_int_equal(ws_graph_find(&id, graph, "w", &err), 0);
    assert_int_equal(ws_graph_find(&id, graph, "v", &err), WS_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "no tensor \"v\""));
    ws_graph_destroy(graph);
    ws_model_close(model);
    end(parts);
}

enum { MANY = 200 };

/* Typed fields in every form that a reader has to take. */
static void test_typed_weights(void **state)
{
    struct parts parts;
    struct ws_buf packed;
    double doubles[MANY];
    int64_t numbers[MANY];
    const float one = 0.5F;
    (void)state;
    /* A float that is not packed, and a field of 8 bytes that nobody knows. */
    begin_weight(&parts, WS_DTYPE_FP32, 1);
    put_varint(&parts.tensor, TENSOR_FLOATS << 3 | 5);
    assert_int_equal(ws_buf_add(&parts.tensor, &one, sizeof(one), NULL), 0);
    put_varint(&parts.tensor, 99 << 3 | 1);
    assert_int_equal(ws_buf_add(&parts.tensor, "12345678", 8, NULL), 0);
    check_weight(&parts, &one, sizeof(one));
    /* Packed doubles lie in the file as they are used; numbers are varints. */
    ws_buf_init(&packed, 0);
    for (int i = 0; i < MANY; i++) {
        doubles[i] = i / 7.0;
        numbers[i] = (int64_t)i * i;
        put_varint(&packed, (uint64_t)numbers[i]);
    }
    begin_weight(&parts, WS_DTYPE_FP64, MANY);
    put_bytes(&parts.tensor, TENSOR_DOUBLES, doubles, sizeof(doubles));
    check_weight(&parts, doubles, sizeof(doubles));
    begin_weight(&parts, WS_DTYPE_INT64, MANY);
    put_bytes(&parts.tensor, TENSOR_INT64S, packed.data, packed.size);
    check_weight(&parts, numbers, sizeof(numbers));
    ws_buf_fini(&packed);
}

static void test_strings_have_no_bytes(void **state)
{
    struct ws_model *model = NULL;
    struct ws_graph *graph = NULL;
    struct ws_error err = {0};
    struct parts parts;
    const uint8_t *bytes = NULL;
    size_t size = 0;
    (void)state;
    begin_weight(&parts, WS_DTYPE_STRING, 1);
    put_text(&parts.tensor, TENSOR_STRINGS, "a text");
    assert_int_equal(finish(&model, &graph, &parts, &err), 0);
    const Onnx__TensorProto *tensor = ws_model_proto(model)->graph->initializer[0];
    assert_int_equal(ws_model_tensor_bytes(&bytes, &size, model, tensor, &err),
                     WS_E_TYPE);
    assert_non_null(strstr(err.text, "\"w\" of type BYTES has no plain bytes"));
    ws_graph_destroy(graph);
    ws_model_close(model);
    end(&parts);
}

/* ---- external data ---- */

/* Adds a weight of one byte that lies in the file of that name. */
static void put_external(struct ws_buf *graph, const char *name, const char *length)
{
    const char *const entries[][2] = {{"location", name}, {"length", length}};
    struct ws_buf entry, tensor;
    ws_buf_init(&entry, 0);
    ws_buf_init(&tensor, 0);
    put_number(&tensor, TENSOR_DIMS, 1);
    put_number(&tensor, TENSOR_TYPE, WS_DTYPE_UINT8);
    put_text(&tensor, TENSOR_NAME, name);
    for (size_t i = 0; i < 2; i++) {
        ws_buf_clear(&entry);
        put_text(&entry, 1, entries[i][0]);
        put_text(&entry, 2, entries[i][1]);
        put_bytes(&tensor, TENSOR_EXTERNAL, entry.data, entry.size);
    }
    put_number(&tensor, TENSOR_LOCATION, 1);
    put_bytes(graph, GRAPH_WEIGHT, tensor.data, tensor.size);
    ws_buf_fini(&entry);
    ws_buf_fini(&tensor);
}

/* Writes the model beside its files and opens it by its name alone, from its folder. */
static int open_here(struct ws_model **model, const struct ws_buf *graph,
                     struct ws_error *err)
{
    struct ws_buf bytes;
    ws_buf_init(&bytes, 0);
    put_bytes(&bytes, MODEL_GRAPH, graph->data, graph->size);
    assert_int_equal(ws_file_write("m.onnx", bytes.data, bytes.size, NULL), 0);
    ws_buf_fini(&bytes);
    return ws_model_open(model, "m.onnx", err);
}

static void test_external(void **state)
{
    char folder[] = "/tmp/wattshed-test-XXXXXX", before[4096];
    struct ws_model *model = NULL;
    struct ws_error err = {0};
    struct ws_buf graph;
    char name[16];
    (void)state;
    assert_non_null(getcwd(before, sizeof(before)));
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(ws_file_write("w.bin", "wide", 4, NULL), 0);
    ws_buf_init(&graph, 0);
    put_external(&graph, "w.bin", "1");
    if (open_here(&model, &graph, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(ws_model_weight(model, 0)->data[0], 'w');
    ws_model_close(model);
    ws_buf_clear(&graph);
    put_external(&graph, "w.bin", "3");
    assert_int_equal(open_here(&model, &graph, &err), WS_E_FORMAT);
    assert_non_null(strstr(err.text, "3 bytes where its shape needs 1"));
    /* As many files as may be, and one more; the model itself is one. */
    ws_buf_clear(&graph);
    for (int i = 0; i < WS_MODEL_FILES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        assert_int_equal(link("w.bin", name), 0);
        put_external(&graph, name, "1");
    }
    assert_int_equal(open_here(&model, &graph, &err), WS_E_LIMIT);
    assert_non_null(strstr(err.text, "external data in more than 4096 files"));
    for (int i = 0; i < WS_MODEL_FILES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        assert_int_equal(unlink(name), 0);
    }
    ws_buf_fini(&graph);
    (void)unlink("w.bin");
    (void)unlink("m.onnx");
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_typed_weights),
        cmocka_unit_test(test_strings_have_no_bytes),
        cmocka_unit_test(test_external),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
