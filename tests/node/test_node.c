#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "scene.h"
#include "wire/oip_meta.h"

static void test_paths(void **state)
{
    static const struct {
        const char *method;
        const char *path;
        const char *body;
        int status;
        const char *part; /* of the reply */
    } rows[] = {
        {"GET", "/v2", "", 200, "\"binary_tensor_data\""},
        {"GET", "/v2/", "", 200, "\"wattshed\""},
        {"GET", "/v2/health/live", "", 200, "{\"live\":true}"},
        {"GET", "/v2/health/ready", "", 200, "{\"ready\":true}"},
        {"GET", "/v2/models/digits", "", 200, "\"shape\":[-1,1,96,96]"},
        {"GET", "/v2/models/digits/versions/1", "", 200, "\"digest\":\""},
        {"GET", "/v2/models/digits/ready", "", 200,
         "{\"name\":\"digits\",\"ready\":true}"},
        {"GET", "/v2/models/digits/config", "", 200, "\"TYPE_UINT8\""},
        {"GET", "/v2/models/digits/stats", "", 200, "\"model_stats\":[{"},
        {"GET", "/v2/models/digits/versions/1/stats", "", 200, "\"queue\":{\"count\":"},
        {"GET", "/v2/models/stats", "", 200, "\"model_stats\":["},
        {"GET", "/v2/models/digits~0~fp16", "", 200, "\"digits~0~fp16\""},
        {"POST", "/v2/repository/index", "", 200, "[{\"name\":\"digits\""},
        {"POST", "/v2/repository/index", "{\"ready\":true}", 200, "\"READY\""},
        {"POST", "/v2/repository/index", "{", 400, "{\"error\":\""},
        {"GET", "/", "", 404, "{\"error\":\""},
        {"GET", "/v1", "", 404, "{\"error\":\""},
        {"GET", "/v2/models", "", 404, "{\"error\":\""},
        {"GET", "/v2/models/", "", 404, "{\"error\":\""},
        {"GET", "/v2/models/none", "", 404, "no model"},
        {"GET", "/v2/models/none/ready", "", 404, "no model"},
        {"GET", "/v2/models/digits/nonsense", "", 404, "{\"error\":\""},
        {"GET", "/v2/models/digits/versions/2", "", 404, "{\"error\":\""},
        {"GET", "/v2/models/digits~0~zip", "", 404, "{\"error\":\""},
        {"GET", "/v2/models/digits~9999~none", "", 404, "{\"error\":\""},
        {"GET", "/v2/models/digits~none", "", 404, "{\"error\":\""},
        {"GET", "/v2/models/~~", "", 404, "{\"error\":\""},
        {"GET", "/v2/models/digits~0~int8c", "", 200, "\"digits~0~int8c\""},
        {"GET", "/v2/models/digits/infer", "", 405, "{\"error\":\""},
        {"POST", "/v2/models/digits", "{}", 405, "{\"error\":\""},
        {"GET", "/v2/repository/index", "", 405, "{\"error\":\""},
        {"POST", "/v2/repository/models/none/load", "", 404, "no model"},
        {"POST", "/v2/repository/models/..%2fx/load", "", 404, "{\"error\":\""},
        {"POST", "/v2/repository/models/digits/eat", "", 404, "{\"error\":\""},
        {"POST", "/v2/models/none/infer", "{}", 404, "no model"},
    };
    struct ws_http_client *client = scene_connect(*state);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_http_answer answer;
        int status = scene_call(&answer, client, rows[i].method, rows[i].path,
                                rows[i].body, strlen(rows[i].body), NULL);
        int has = memmem(answer.body, answer.body_size, rows[i].part,
                         strlen(rows[i].part)) != NULL;
        if (status != rows[i].status || !has)
            print_error("%s %s: %d %.*s\n", rows[i].method, rows[i].path, status,
                        (int)answer.body_size, (const char *)answer.body);
        assert_int_equal(status, rows[i].status);
        assert_true(has);
    }
    ws_http_client_destroy(client);
}

#define JSON_IN(type, shape, data)                                                       \
    "{\"inputs\":[{\"name\":\"pixels\",\"datatype\":\"" type "\",\"shape\":" shape       \
    ",\"data\":" data "}]}"

static void test_infer_refused(void **state)
{
    static const struct {
        const char *body;
        const char *header_size;
        int status;
        const char *part;
    } rows[] = {
        {"", NULL, 400, "error"},
        {"{}", NULL, 400, "inputs"},
        {"{\"inputs\":[]}", NULL, 400, "\\\"pixels\\\" is missing"},
        {JSON_IN("FP32", "[1]", "[1]"), NULL, 400, "expected UINT8[?,1,96,96]"},
        {JSON_IN("UINT8", "[1]", "[1]"), NULL, 400, "expected UINT8[?,1,96,96]"},
        {JSON_IN("UINT8", "[0,1,96,95]", "[]"), NULL, 400, "expected"},
        {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"UINT8\",\"shape\":[1],\"data\":[1]}"
         "]}",
         NULL, 400, "is missing"},
        {"{}", "-1", 400, "Inference-Header-Content-Length"},
        {"{}", "3", 400, "Inference-Header-Content-Length"},
        {"{}", "99999999999999999999", 400, "Inference-Header-Content-Length"},
        {"{}", "two", 400, "Inference-Header-Content-Length"},
        {"abc", "0", 400, "bytes"},
    };
    struct ws_http_client *client = scene_connect(*state);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_http_answer answer;
        int status = scene_call(&answer, client, "POST", "/v2/models/digits/infer",
                                rows[i].body, strlen(rows[i].body), rows[i].header_size);
        int has = memmem(answer.body, answer.body_size, rows[i].part,
                         strlen(rows[i].part)) != NULL;
        if (status != rows[i].status || !has)
            print_error("%s: %d %.*s\n", rows[i].body, status, (int)answer.body_size,
                        (const char *)answer.body);
        assert_int_equal(status, rows[i].status);
        assert_true(has);
        assert_memory_equal(answer.body, "{\"error\":\"", 10);
    }
    ws_http_client_destroy(client);
}

/* Sends one input and checks the one output against `expected`, bit for bit. */
static void check_infer(struct ws_http_client *client, const char *path,
                        const struct ws_tensor *input, const struct ws_tensor *expected,
                        int is_binary, const char *encoding)
{
    struct ws_oip_tensor tensor = {.name = (char *)(uintptr_t) "pixels",
                                   .tensor = *input,
                                   .is_binary = is_binary != 0};
    const struct ws_oip_request request = {.id = (char *)(uintptr_t) "17",
                                           .inputs = &tensor,
                                           .input_count = 1,
                                           .binary_outputs = is_binary};
    struct ws_oip_message message;
    struct ws_oip_reply reply;
    struct ws_http_answer answer;
    struct ws_error err = {0};
    char header[80], accept[80];
    int64_t header_size = 0;
    assert_int_equal(ws_oip_request_build(&message, &request, &err), 0);
    struct ws_http_call call = {.method = "POST",
                                .path = path,
                                .parts = message.parts,
                                .part_count = message.part_count};
    size_t h = 0;
    if (message.header_size != WS_OIP_NO_HEADER) {
        (void)snprintf(header, sizeof(header), "Inference-Header-Content-Length: %zu",
                       (size_t)message.header_size);
        call.headers[h++] = header;
    }
    (void)snprintf(accept, sizeof(accept), "Accept-Encoding: %s", encoding);
    call.headers[h++] = accept;
    assert_int_equal(ws_http_client_call(&answer, client, &call, &err), 0);
    if (answer.status != 200)
        print_error("%.*s\n", (int)answer.body_size, (const char *)answer.body);
    assert_int_equal(answer.status, 200);
    assert_int_equal(
        ws_oip_header_size(&header_size,
                           answer.header_size[0] == '\0' ? NULL : answer.header_size,
                           answer.body_size, &err),
        0);
    assert_int_equal(header_size != WS_OIP_NO_HEADER, is_binary);
    assert_int_equal(
        ws_oip_reply_parse(&reply, answer.body, answer.body_size, header_size, &err), 0);
    assert_string_equal(reply.id, "17");
    assert_string_equal(reply.model_version, "1");
    assert_int_equal(reply.output_count, 1);
    assert_int_equal(reply.outputs[0].tensor.size_bytes, expected->size_bytes);
    assert_memory_equal(reply.outputs[0].tensor.data, expected->data,
                        expected->size_bytes);
    ws_oip_reply_fini(&reply);
    ws_oip_message_fini(&message);
}

static void test_infer(void **state)
{
    const struct scene *scene = *state;
    struct ws_http_client *client = scene_connect(scene);
    size_t last = ws_splitter_cuts(scene->splitter)->count - 1;
    for (int64_t batch = 1; batch <= 3; batch++) {
        struct ws_tensor input = scene_input(batch, (uint64_t)batch);
        struct ws_tensor expected = scene_expected(scene, last, 0, &input);
        for (int is_binary = 0; is_binary < 2; is_binary++)
            check_infer(client, "/v2/models/digits/infer", &input, &expected, is_binary,
                        "identity");
        check_infer(client, "/v2/models/digits/versions/1/infer", &input, &expected, 1,
                    "br;q=1, zstd;q=0");
        ws_tensor_fini(&expected);
        ws_tensor_fini(&input);
    }
    ws_http_client_destroy(client);
}

/* perf_analyzer waits for this number to grow. */
static json_int_t queue_count(struct ws_http_client *client)
{
    struct ws_http_answer answer;
    assert_int_equal(
        scene_call(&answer, client, "GET", "/v2/models/digits/stats", NULL, 0, NULL),
        200);
    json_t *root = json_loadb((const char *)answer.body, answer.body_size, 0, NULL);
    json_int_t count = -1;
    assert_int_equal(json_unpack(root, "{s:[{s:{s:{s:I}}}]}", "model_stats",
                                 "inference_stats", "queue", "count", &count),
                     0);
    json_decref(root);
    return count;
}

static void test_raw_body_and_stats(void **state)
{
    struct ws_http_client *client = scene_connect(*state);
    struct ws_tensor input = scene_input(2, 5);
    struct ws_tensor expected = scene_expected(
        *state, ws_splitter_cuts(((struct scene *)*state)->splitter)->count - 1, 0,
        &input);
    struct ws_http_answer answer;
    struct ws_oip_reply reply;
    json_int_t before = queue_count(client);
    assert_int_equal(scene_call(&answer, client, "POST", "/v2/models/digits/infer",
                                input.data, input.size_bytes, "0"),
                     200);
    int64_t header_size = 0;
    assert_int_equal(
        ws_oip_header_size(&header_size, answer.header_size, answer.body_size, NULL), 0);
    assert_int_equal(
        ws_oip_reply_parse(&reply, answer.body, answer.body_size, header_size, NULL), 0);
    assert_memory_equal(reply.outputs[0].tensor.data, expected.data, expected.size_bytes);
    ws_oip_reply_fini(&reply);
    assert_int_equal(queue_count(client), before + 1);
    ws_tensor_fini(&expected);
    ws_tensor_fini(&input);
    ws_http_client_destroy(client);
}

static void test_load_and_unload(void **state)
{
    struct ws_http_client *client = scene_connect(*state);
    struct ws_http_answer answer;
    static const char unload[] = "/v2/repository/models/digits/unload";
    static const char load[] = "/v2/repository/models/digits/load";
    for (int i = 0; i < 2; i++) {
        assert_int_equal(scene_call(&answer, client, "POST", unload, "", 0, NULL), 200);
        assert_int_equal(
            scene_call(&answer, client, "GET", "/v2/models/digits/ready", NULL, 0, NULL),
            503);
        assert_int_equal(
            scene_call(&answer, client, "POST", "/v2/repository/index", "", 0, NULL),
            200);
        assert_non_null(memmem(answer.body, answer.body_size, "UNAVAILABLE", 11));
        assert_int_equal(scene_call(&answer, client, "POST", load, "", 0, NULL), 200);
        assert_int_equal(
            scene_call(&answer, client, "GET", "/v2/models/digits/ready", NULL, 0, NULL),
            200);
    }
    ws_http_client_destroy(client);
}

struct worker {
    pthread_t thread;
    const struct scene *scene;
    const struct ws_tensor *inputs, *expected;
    int number;
};

enum { WORKERS = 8, INPUTS = 4, ROUNDS = 12 };

static void *work(void *user)
{
    const struct worker *worker = user;
    struct ws_http_client *client = scene_connect(worker->scene);
    for (int i = 0; i < ROUNDS; i++) {
        int k = (worker->number + i) % INPUTS;
        check_infer(client, "/v2/models/digits/infer", &worker->inputs[k],
                    &worker->expected[k], 1, "identity");
    }
    ws_http_client_destroy(client);
    return NULL;
}

static void test_concurrent(void **state)
{
    const struct scene *scene = *state;
    struct ws_tensor inputs[INPUTS], expected[INPUTS];
    struct worker workers[WORKERS];
    size_t last = ws_splitter_cuts(scene->splitter)->count - 1;
    for (int k = 0; k < INPUTS; k++) {
        inputs[k] = scene_input(1 + k % 2, (uint64_t)k);
        expected[k] = scene_expected(scene, last, 0, &inputs[k]);
    }
    for (int w = 0; w < WORKERS; w++) {
        workers[w] = (struct worker){
            .scene = scene, .inputs = inputs, .expected = expected, .number = w};
        assert_int_equal(pthread_create(&workers[w].thread, NULL, work, &workers[w]), 0);
    }
    for (int w = 0; w < WORKERS; w++)
        assert_int_equal(pthread_join(workers[w].thread, NULL), 0);
    for (int k = 0; k < INPUTS; k++) {
        ws_tensor_fini(&inputs[k]);
        ws_tensor_fini(&expected[k]);
    }
}

static void test_start_refused(void **state)
{
    const struct scene *scene = *state;
    struct ws_daemon *daemon = NULL;
    struct ws_error err = {0};
    const char *models[] = {scene->model, scene->model};
    struct ws_daemon_options options = {
        .guard.listen = "0.0.0.0:0",
        .host = {.engine = scene->engine, .splitter = {.level = WS_LEVEL_ALL}},
        .models = models,
        .model_count = 2,
    };
    assert_int_equal(ws_daemon_start(&daemon, &options, &err), WS_E_USAGE);
    assert_non_null(strstr(err.text, "--insecure"));
    options.guard.listen = "127.0.0.1:0";
    assert_int_equal(ws_daemon_start(&daemon, &options, &err), WS_E_MISMATCH);
    models[0] = "no-such-file.onnx";
    assert_int_equal(ws_daemon_start(&daemon, &options, &err), WS_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),           cmocka_unit_test(test_infer_refused),
        cmocka_unit_test(test_infer),           cmocka_unit_test(test_raw_body_and_stats),
        cmocka_unit_test(test_load_and_unload), cmocka_unit_test(test_concurrent),
        cmocka_unit_test(test_start_refused),
    };
    return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
