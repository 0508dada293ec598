#include "check.h"

#include <string.h>

#include "wire/oip_load.h"
#include "wire/oip_meta.h"

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal;
}

static void test_model(void **state)
{
    (void)state;
    struct ws_oip_port in = {text("x"), WS_DTYPE_FP32, 1, 2, {-1, 3}};
    struct ws_oip_port out = {text("s"), WS_DTYPE_STRING, 0, 0, {0}};
    struct ws_oip_model model = {text("m~3~int8"), text("ab12"), &in, 1, &out, 1}, back;
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_oip_model_build(&buf, &model, NULL), 0);
    assert_string_equal(
        buf.data,
        "{\"name\":\"m~3~int8\",\"versions\":[\"1\"],\"platform\":\"onnx_onnxv1\","
        "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,3]}],"
        "\"outputs\":[{\"name\":\"s\",\"datatype\":\"BYTES\",\"shape\":[]}],"
        "\"parameters\":{\"digest\":\"ab12\"}}");
    assert_int_equal(ws_oip_model_parse(&back, buf.data, buf.size, NULL), 0);
    assert_string_equal(back.name, "m~3~int8");
    assert_string_equal(back.digest, "ab12");
    assert_int_equal(back.inputs[0].dims[0], -1);
    assert_int_equal(back.outputs[0].dtype, WS_DTYPE_STRING);
    ws_oip_model_fini(&back);
    ws_buf_clear(&buf);
    assert_int_equal(ws_oip_config_build(&buf, &model, NULL), 0);
    assert_non_null(strstr(buf.data, "\"data_type\":\"TYPE_FP32\",\"dims\":[-1,3]"));
    assert_non_null(strstr(buf.data, "\"data_type\":\"TYPE_STRING\""));
    ws_buf_fini(&buf);
}

static void test_model_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "[]",
        "{}",
        "{\"name\":1}",
        "{\"name\":\"m\",\"inputs\":7}",
        "{\"name\":\"m\",\"inputs\":[{}]}",
        "{\"name\":\"m\",\"inputs\":[{\"name\":\"x\",\"datatype\":1}]}",
        "{\"name\":\"m\",\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":"
        "[-2]}]}",
        "{\"name\":\"m\",\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":"
        "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}]}",
        "{\"name\":\"m\",\"parameters\":{\"digest\":7}}",
    };
    struct ws_oip_model model;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_not_equal(ws_oip_model_parse(&model, rows[i], strlen(rows[i]), NULL),
                             0);
    struct ws_buf many;
    ws_buf_init(&many, 0);
    assert_int_equal(ws_buf_add_text(&many, "{\"name\":\"m\",\"inputs\":[0", NULL), 0);
    for (size_t i = 0; i < WS_GRAPH_IO_MAX; i++)
        assert_int_equal(ws_buf_add_text(&many, ",0", NULL), 0);
    assert_int_equal(ws_buf_add_text(&many, "]}", NULL), 0);
    assert_int_equal(ws_oip_model_parse(&model, many.data, many.size, NULL), WS_E_LIMIT);
    ws_buf_fini(&many);
}

static void test_server(void **state)
{
    (void)state;
    struct ws_buf buf;
    int has = 7;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_oip_server_build(&buf, NULL), 0);
    assert_int_equal(
        ws_oip_server_has(&has, buf.data, buf.size, "binary_tensor_data", NULL), 0);
    assert_int_equal(has, 1);
    assert_int_equal(ws_oip_server_has(&has, buf.data, buf.size, "binary", NULL), 0);
    assert_int_equal(has, 0);
    assert_int_equal(ws_oip_server_has(&has, "{\"extensions\":7}", 16, "x", NULL), 0);
    assert_int_equal(has, 0);
    assert_int_equal(ws_oip_server_has(&has, "<html>", 6, "x", NULL), WS_E_FORMAT);
    ws_buf_fini(&buf);
}

static void test_index_and_stats(void **state)
{
    (void)state;
    const struct ws_oip_entry entries[] = {{"a", 1, ""}, {"b", 0, "unloaded"}};
    const struct ws_oip_stats stats = {
        .name = "a", .last_inference_ms = 5, .inference_count = 2, .queue = {2, 77}};
    struct ws_buf buf;
    int ready = 7;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_oip_index_build(&buf, entries, 2, NULL), 0);
    assert_string_equal(
        buf.data,
        "[{\"name\":\"a\",\"version\":\"1\",\"state\":\"READY\",\"reason\":\"\"}"
        ",{\"name\":\"b\",\"version\":\"1\",\"state\":\"UNAVAILABLE\","
        "\"reason\":\"unloaded\"}]");
    ws_buf_clear(&buf);
    const struct ws_oip_entry odd = {"\xff", 1, ""};
    assert_int_equal(ws_oip_index_build(&buf, &odd, 1, NULL), WS_E_FORMAT);
    assert_int_equal(ws_oip_index_build(&buf, NULL, 0, NULL), 0);
    assert_string_equal(buf.data, "[]");
    ws_buf_clear(&buf);
    assert_int_equal(ws_oip_stats_build(&buf, &stats, 1, NULL), 0);
    assert_non_null(strstr(buf.data, "\"queue\":{\"count\":2,\"ns\":77}"));
    assert_non_null(strstr(buf.data, "\"batch_stats\":[]"));
    assert_int_equal(ws_oip_index_parse(&ready, "", 0, NULL), 0);
    assert_int_equal(ready, 0);
    assert_int_equal(ws_oip_index_parse(&ready, "{\"ready\":true}", 14, NULL), 0);
    assert_int_equal(ready, 1);
    assert_int_equal(ws_oip_index_parse(&ready, "[]", 2, NULL), WS_E_FORMAT);
    ws_buf_fini(&buf);
}

static void test_statuses(void **state)
{
    (void)state;
    assert_int_equal(ws_oip_status(WS_E_STRANGER), 401);
    assert_int_equal(ws_oip_status(WS_E_DENIED), 403);
    assert_int_equal(ws_oip_status(WS_E_NOT_FOUND), 404);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *line;
    } rows[] = {
        {"{\"error\":\"no model \\\"x\\\"\"}", "no model \"x\""},
        {"{\"detail\":[{\"loc\":1}]}", "[{\"loc\":1}]"},
        {"<html>bad gateway", "<html>bad gateway"},
        {"{\"other\":1}", "{\"other\":1}"},
        {"", ""},
    };
    char line[256];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ws_oip_error_parse(line, sizeof(line), rows[i].body, strlen(rows[i].body));
        assert_string_equal(line, rows[i].line);
    }
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_oip_error_build(&buf, "bad \xff byte", NULL), 0);
    assert_string_equal(buf.data, "{\"error\":\"bad ? byte\"}");
    ws_buf_fini(&buf);
    assert_int_equal(ws_oip_status(WS_E_NOT_FOUND), 404);
    assert_int_equal(ws_oip_status(WS_E_BUSY), 503);
    assert_int_equal(ws_oip_status(WS_E_UNSUPPORTED), 501);
    assert_int_equal(ws_oip_status(WS_E_RUNTIME), 500);
    assert_int_equal(ws_oip_status(WS_E_MISMATCH), 400);
}

#define DIGEST "4774d0a0a7f435278dbb87534ff92d5e5ac39d738a32f778c5c64a7ab53e97fb"

static void test_load(void **state)
{
    static const struct {
        const char *body;
        int header_size;
        int rc;
        const char *model; /* NULL: none */
    } rows[] = {
        {"", WS_OIP_NO_HEADER, 0, NULL},
        {"{}", WS_OIP_NO_HEADER, 0, NULL},
        {"{\"parameters\":{\"config\":\"{}\"}}", WS_OIP_NO_HEADER, 0, NULL},
        {"{\"parameters\":{\"digest\":\"" DIGEST "\"}}", WS_OIP_NO_HEADER, 0, NULL},
        {"{\"parameters\":{\"binary_data_size\":3}}abc", 37, 0, "abc"},
        {"{\"parameters\":{\"binary_data_size\":4}}abc", 37, WS_E_MISMATCH, NULL},
        {"{\"parameters\":{\"binary_data_size\":-1}}abc", 38, WS_E_LIMIT, NULL},
        {"{\"parameters\":{}}abc", 17, WS_E_MISMATCH, NULL},
        {"{}abc", 2, WS_E_MISMATCH, NULL},
        {"{}abc", WS_OIP_NO_HEADER, WS_E_FORMAT, NULL},
        {"[]", WS_OIP_NO_HEADER, WS_E_FORMAT, NULL},
        {"{\"parameters\":{\"digest\":\"4774\"}}", WS_OIP_NO_HEADER, WS_E_FORMAT, NULL},
        {"{\"parameters\":{\"digest\":7}}", WS_OIP_NO_HEADER, WS_E_FORMAT, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_oip_load load;
        int rc = ws_oip_load_parse(&load, rows[i].body, strlen(rows[i].body),
                                   rows[i].header_size, NULL);
        if (rc != rows[i].rc)
            print_error("row %zu: %d\n", i, rc);
        assert_int_equal(rc, rows[i].rc);
        if (rc != 0)
            continue;
        assert_int_equal(load.model != NULL, rows[i].model != NULL);
        if (load.model != NULL)
            assert_memory_equal(load.model, rows[i].model, load.model_size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),    cmocka_unit_test(test_model_refused),
        cmocka_unit_test(test_server),   cmocka_unit_test(test_index_and_stats),
        cmocka_unit_test(test_statuses), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
