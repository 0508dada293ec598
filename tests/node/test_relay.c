#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_server.h"
#include "net/listen.h"
#include "scene.h"
#include "split/relay.h"

static int relay_run(struct ws_tensor *out, struct ws_splitter *splitter,
                     const struct ws_relay_options *options,
                     const struct ws_tensor *input, struct ws_passage_times *times,
                     int *is_checked, struct ws_error *err)
{
    struct ws_relay *relay = NULL;
    const struct ws_datum in = {.kind = WS_DATUM_TENSOR, .tensor = *input};
    struct ws_datum datum = {0};
    int rc = ws_relay_create(&relay, splitter, options, err);
    if (rc == 0)
        rc = ws_relay_run(relay, &in, &datum, times, err);
    if (rc == 0) {
        *out = datum.tensor;
        *is_checked = ws_relay_checked(relay);
    }
    ws_relay_destroy(relay);
    return rc;
}

/* Runs one cut over the network and in process: the same bits. */
static void check_cut(const struct scene *scene, size_t cut, enum ws_codec codec,
                      enum ws_encoding encoding, const struct ws_tensor *input)
{
    struct ws_codec_range ranges[WS_CUT_TENSORS_MAX] = {0};
    const struct ws_relay_options options = {.cut = cut,
                                             .codec = codec,
                                             .ranges = ranges,
                                             .model_name = "digits",
                                             .url = scene->url,
                                             .encoding = encoding};
    struct ws_passage_times times;
    struct ws_error err = {0};
    struct ws_tensor got, expected = scene_expected(scene, cut, (int)codec, input);
    int is_checked = 0;
    int is_last = cut + 1 == ws_splitter_cuts(scene->splitter)->count;
    if (codec == WS_CODEC_INT8C)
        scene_ranges(ranges, scene, cut, input);
    int rc = relay_run(&got, scene->splitter, &options, input, &times, &is_checked, &err);
    if (rc != 0)
        print_error("cut %zu %s: %s\n", cut, ws_codec_name(codec), err.text);
    assert_int_equal(rc, 0);
    assert_int_equal(is_checked, 1);
    assert_int_equal(got.size_bytes, expected.size_bytes);
    assert_memory_equal(got.data, expected.data, expected.size_bytes);
    assert_int_equal(times.is_told, !is_last);
    assert_int_equal(times.sent_bytes == 0, is_last);
    if (encoding == WS_ENCODING_IDENTITY && !is_last)
        assert_true(times.sent_bytes > times.tensor_bytes);
    if (!is_last)
        assert_true(times.cloud_ns > 0 && times.transfer_ns > 0 && times.encode_ns > 0);
    ws_tensor_fini(&got);
    ws_tensor_fini(&expected);
    for (size_t i = 0; i < WS_CUT_TENSORS_MAX; i++)
        ws_codec_range_fini(&ranges[i]);
}

static void test_every_cut(void **state)
{
    const struct scene *scene = *state;
    const struct ws_cuts *cuts = ws_splitter_cuts(scene->splitter);
    size_t tried = 0;
    struct ws_tensor input = scene_input(2, 9);
    for (size_t c = 0; c < cuts->count; c++) {
        if (cuts->cuts[c].natural != WS_NATURAL_YES)
            continue;
        for (int codec = WS_CODEC_NONE; codec < WS_CODEC_COUNT; codec++)
            check_cut(scene, c, (enum ws_codec)codec, WS_ENCODING_IDENTITY, &input);
        tried++;
    }
    assert_true(tried > 10);
    ws_tensor_fini(&input);
}

static void test_encodings(void **state)
{
    const struct scene *scene = *state;
    struct ws_tensor input = scene_input(1, 4);
    for (int e = 0; e < WS_ENCODING_COUNT; e++)
        check_cut(scene, 0, WS_CODEC_NONE, (enum ws_encoding)e, &input);
    ws_tensor_fini(&input);
}

static void test_another_model(void **state)
{
    const struct scene *scene = *state;
    char path[600];
    struct ws_splitter *other = NULL;
    struct ws_relay *relay = NULL;
    struct ws_error err = {0};
    const struct ws_splitter_options level = {.level = WS_LEVEL_ALL};
    const struct ws_relay_options options = {.model_name = "digits", .url = scene->url};
    (void)snprintf(path, sizeof(path), "%s/fuzz/corpus/onnx/residual.onnx",
                   getenv("WS_SOURCE_ROOT"));
    assert_int_equal(ws_splitter_create(&other, scene->engine, path, &level, &err), 0);
    assert_int_equal(ws_relay_create(&relay, other, &options, &err), WS_E_MISMATCH);
    assert_non_null(strstr(err.text, "\"digits\" at http://127.0.0.1:"));
    assert_non_null(strstr(err.text, "is another model"));
    ws_splitter_destroy(other);
    /* The node, too, refuses a request that means another model. */
    struct ws_http_client *client = scene_connect(scene);
    struct ws_http_answer answer;
    static const char body[] = "{\"parameters\":{\"digest\":\"00\"},\"inputs\":[]}";
    assert_int_equal(scene_call(&answer, client, "POST", "/v2/models/digits/infer", body,
                                strlen(body), NULL),
                     400);
    assert_non_null(memmem(answer.body, answer.body_size, "not the same model", 18));
    ws_http_client_destroy(client);
}

/* A server that is none of ours: no extensions, no digest, JSON alone. Inference itself
 * it leaves to the node. */
struct foreign {
    struct ws_listen listen;
    struct ws_http_server *server;
    struct ws_http_client *client;
    struct ws_oip_part part;
    int saw_binary;
};

static void answer_foreign(void *user, const struct ws_http_request *request,
                           struct ws_http_reply *reply)
{
    static const char metadata[] =
        "{\"name\":\"tail\",\"versions\":[\"1\"],\"platform\":\"x\",\"inputs\":[{"
        "\"name\":"
        "\"pixels\",\"datatype\":\"UINT8\",\"shape\":[-1,1,96,96]}],\"outputs\":[{"
        "\"name\":\"logits\",\"datatype\":\"FP32\",\"shape\":[-1,10]}]}";
    struct foreign *foreign = user;
    struct ws_http_answer answer;
    reply->status = 200;
    reply->content_type = "application/json";
    if (strcmp(request->path, "/v2") == 0) {
        foreign->part = (struct ws_oip_part){"{\"name\":\"mine\"}", 15};
    } else if (strcmp(request->path, "/v2/models/tail") == 0) {
        foreign->part = (struct ws_oip_part){metadata, strlen(metadata)};
    } else if (strcmp(request->path, "/v2/models/tail/infer") == 0) {
        foreign->saw_binary |=
            ws_http_request_header(request, "Inference-Header-Content-Length") != NULL;
        reply->status =
            scene_call(&answer, foreign->client, "POST", "/v2/models/digits/infer",
                       request->body, request->body_size, NULL);
        foreign->part = (struct ws_oip_part){answer.body, answer.body_size};
    } else {
        reply->status = 404;
        foreign->part = (struct ws_oip_part){"{\"detail\":\"no\"}", 15};
    }
    reply->parts = &foreign->part;
    reply->part_count = 1;
}

static void test_foreign_server(void **state)
{
    const struct scene *scene = *state;
    struct foreign foreign = {.client = scene_connect(scene)};
    char url[80];
    assert_int_equal(ws_listen_open(&foreign.listen, "127.0.0.1:0", 1, NULL), 0);
    const struct ws_http_server_options server = {.fd = foreign.listen.fd,
                                                  .handler = answer_foreign,
                                                  .user = &foreign,
                                                  .body_max = 1 << 24,
                                                  .idle_s = 5,
                                                  .grace_s = 5};
    assert_int_equal(ws_http_server_start(&foreign.server, &server, NULL), 0);
    (void)snprintf(url, sizeof(url), "http://%s", foreign.listen.text);
    struct ws_tensor input = scene_input(1, 3);
    struct ws_tensor got, expected = scene_expected(scene, 0, WS_CODEC_NONE, &input);
    struct ws_relay_options options = {
        .name = "tail", .model_name = "digits", .url = url};
    struct ws_passage_times times;
    struct ws_error err = {0};
    int is_checked = 1;
    assert_int_equal(
        relay_run(&got, scene->splitter, &options, &input, &times, &is_checked, &err), 0);
    assert_int_equal(is_checked, 0);
    assert_int_equal(foreign.saw_binary, 0);
    assert_int_equal(times.is_told, 0);
    assert_memory_equal(got.data, expected.data, expected.size_bytes);
    /* What has no form in JSON cannot go there; what the server lacks, it says. */
    options.codec = WS_CODEC_FP16;
    options.name = "other";
    assert_int_equal(
        relay_run(&got, scene->splitter, &options, &input, &times, &is_checked, &err),
        WS_E_REMOTE);
    assert_non_null(strstr(err.text, "answered 404: no"));
    ws_tensor_fini(&got);
    ws_tensor_fini(&expected);
    ws_tensor_fini(&input);
    ws_http_server_stop(foreign.server, 1000);
    ws_http_client_destroy(foreign.client);
    ws_listen_close(&foreign.listen);
}

struct worker {
    pthread_t thread;
    const struct scene *scene;
    const struct ws_tensor *input, *expected;
    size_t cut;
};

enum { WORKERS = 6, ROUNDS = 8 };

static void *work(void *user)
{
    const struct worker *worker = user;
    const struct ws_relay_options options = {
        .cut = worker->cut, .model_name = "digits", .url = worker->scene->url};
    const struct ws_datum in = {.kind = WS_DATUM_TENSOR, .tensor = *worker->input};
    struct ws_relay *relay = NULL;
    assert_int_equal(ws_relay_create(&relay, worker->scene->splitter, &options, NULL), 0);
    for (int r = 0; r < ROUNDS; r++) {
        struct ws_datum out;
        assert_int_equal(ws_relay_run(relay, &in, &out, NULL, NULL), 0);
        assert_memory_equal(out.tensor.data, worker->expected->data,
                            worker->expected->size_bytes);
        ws_datum_fini(&out);
    }
    ws_relay_destroy(relay);
    return NULL;
}

static void test_mixed_cuts_at_once(void **state)
{
    const struct scene *scene = *state;
    const struct ws_cuts *cuts = ws_splitter_cuts(scene->splitter);
    struct worker workers[WORKERS];
    struct ws_tensor expected[WORKERS], input = scene_input(1, 8);
    size_t cut = 0;
    for (int w = 0; w < WORKERS; w++) {
        while (cuts->cuts[cut].natural != WS_NATURAL_YES)
            cut++;
        expected[w] = scene_expected(scene, cut, WS_CODEC_NONE, &input);
        workers[w] = (struct worker){
            .scene = scene, .input = &input, .expected = &expected[w], .cut = cut++};
    }
    for (int w = 0; w < WORKERS; w++)
        assert_int_equal(pthread_create(&workers[w].thread, NULL, work, &workers[w]), 0);
    for (int w = 0; w < WORKERS; w++) {
        assert_int_equal(pthread_join(workers[w].thread, NULL), 0);
        ws_tensor_fini(&expected[w]);
    }
    ws_tensor_fini(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),          cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_another_model),      cmocka_unit_test(test_foreign_server),
        cmocka_unit_test(test_mixed_cuts_at_once),
    };
    return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
