#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "scene.h"
#include "split/upload.h"
#include "wire/oip_load.h"

/* A node of its own that takes models, and three small ones to send. */
enum { MODELS = 3 };

struct keep {
    const struct scene *scene;
    struct ws_daemon *daemon;
    char dir[64], url[80];
    struct ws_model *models[MODELS];
    size_t sizes[MODELS];
    char digests[MODELS][WS_DIGEST_TEXT];
};

static void start(struct keep *keep, uint64_t budget_bytes)
{
    const struct ws_daemon_options options = {
        .guard.listen = "127.0.0.1:0",
        .allow_writes = 1,
        .host = {.engine = keep->scene->engine,
                 .splitter = {.level = WS_LEVEL_ALL},
                 .store = {.dir = keep->dir, .budget_bytes = budget_bytes}},
    };
    struct ws_error err = {0};
    if (ws_daemon_start(&keep->daemon, &options, &err) != 0)
        fail_msg("%s", err.text);
    (void)snprintf(keep->url, sizeof(keep->url), "%s", ws_daemon_url(keep->daemon));
}

static void restart(struct keep *keep, uint64_t budget_bytes)
{
    ws_daemon_stop(keep->daemon, 1000);
    start(keep, budget_bytes);
}

static void begin(struct keep *keep, const struct scene *scene)
{
    static const char *const names[MODELS] = {"residual", "chain", "quantised"};
    char path[512];
    *keep = (struct keep){.scene = scene};
    (void)snprintf(keep->dir, sizeof(keep->dir), "/tmp/wattshed-store-XXXXXX");
    assert_non_null(mkdtemp(keep->dir));
    for (size_t i = 0; i < MODELS; i++) {
        (void)snprintf(path, sizeof(path), "%s/fuzz/corpus/onnx/%s.onnx",
                       getenv("WS_SOURCE_ROOT"), names[i]);
        assert_int_equal(ws_model_open(&keep->models[i], path, NULL), 0);
        assert_int_equal(ws_model_digest(keep->digests[i], keep->models[i], NULL), 0);
    }
    start(keep, 1 << 24);
}

static void end(struct keep *keep)
{
    char path[512];
    const struct dirent *entry;
    ws_daemon_stop(keep->daemon, 1000);
    DIR *dir = opendir(keep->dir);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s", keep->dir, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(dir);
    (void)rmdir(keep->dir);
    for (size_t i = 0; i < MODELS; i++)
        ws_model_close(keep->models[i]);
}

/* Sends model `index` as `name`; the bytes that had to go. */
static size_t send_as(struct keep *keep, size_t index, const char *name)
{
    const struct ws_http_client_options http = {.timeout_ms = 60000};
    struct ws_error err = {0};
    size_t sent = 0;
    if (ws_upload_model(&sent, keep->url, &http, keep->models[index], name, &err) != 0)
        fail_msg("%s", err.text);
    if (sent > 0)
        keep->sizes[index] = sent;
    return sent;
}

static int status_of(const struct keep *keep, const char *method, const char *path)
{
    struct ws_http_client *client = NULL;
    const struct ws_http_client_options options = {.timeout_ms = 60000};
    struct ws_http_answer answer;
    assert_int_equal(ws_http_client_create(&client, keep->url, &options, NULL), 0);
    int status = scene_call(&answer, client, method, path, "", 0, NULL);
    ws_http_client_destroy(client);
    return status;
}

static int is_stored(const struct keep *keep, size_t index, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s.%s.onnx", keep->dir, name,
                   keep->digests[index]);
    return access(path, F_OK) == 0;
}

/* Backdates a file, so that the order of use does not hang on the clock. */
static void use_at(const struct keep *keep, size_t index, const char *name, time_t when_s)
{
    char path[512];
    const struct timespec times[2] = {{.tv_sec = when_s}, {.tv_sec = when_s}};
    (void)snprintf(path, sizeof(path), "%s/%s.%s.onnx", keep->dir, name,
                   keep->digests[index]);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_send_and_restart(void **state)
{
    struct keep keep;
    begin(&keep, *state);
    assert_int_equal(status_of(&keep, "GET", "/v2/models/a"), 404);
    assert_true(send_as(&keep, 0, "a") > 0);
    assert_int_equal(status_of(&keep, "GET", "/v2/models/a"), 200);
    assert_int_equal(send_as(&keep, 0, "a"), 0); /* it is there */
    restart(&keep, 1 << 24);
    assert_int_equal(status_of(&keep, "GET", "/v2/models/a"), 404);
    assert_int_equal(send_as(&keep, 0, "a"), 0); /* and still is */
    assert_int_equal(status_of(&keep, "GET", "/v2/models/a"), 200);
    /* Another model under the same name takes its place, and gives it back. */
    assert_true(send_as(&keep, 1, "a") > 0);
    assert_int_equal(send_as(&keep, 0, "a"), 0);
    assert_int_equal(status_of(&keep, "POST", "/v2/repository/models/a/unload"), 200);
    assert_int_equal(status_of(&keep, "POST", "/v2/repository/models/a/load"), 200);
    end(&keep);
}

static void test_budget(void **state)
{
    struct keep keep;
    begin(&keep, *state);
    for (size_t i = 0; i < MODELS; i++)
        assert_true(send_as(&keep, i, i == 0 ? "a" : i == 1 ? "b" : "c") > 0);
    use_at(&keep, 0, "a", 3000);
    use_at(&keep, 1, "b", 1000);
    use_at(&keep, 2, "c", 2000);
    /* Room for what is there and a byte less than one more: b goes, across a restart. */
    size_t total = keep.sizes[0] + keep.sizes[1] + keep.sizes[2];
    restart(&keep, total + keep.sizes[0] - 1);
    assert_int_equal(status_of(&keep, "POST", "/v2/repository/models/b/load"), 200);
    use_at(&keep, 1, "b", 1000);
    assert_true(send_as(&keep, 0, "d") > 0);
    assert_true(is_stored(&keep, 0, "a"));
    assert_false(is_stored(&keep, 1, "b"));
    assert_true(is_stored(&keep, 2, "c"));
    assert_true(is_stored(&keep, 0, "d"));
    /* It was loaded: it is not any more, and says so. */
    assert_int_equal(status_of(&keep, "GET", "/v2/models/b"), 503);
    assert_int_equal(status_of(&keep, "POST", "/v2/repository/models/b/load"), 404);
    end(&keep);
}

static void test_refused(void **state)
{
    static const struct {
        const char *name;
        size_t digest;    /* which model's, MODELS: none */
        size_t cut_bytes; /* off the model's end */
        uint64_t budget_bytes;
        int status;
    } rows[] = {
        {"a", 0, 0, 1 << 20, 200},      {"a", 1, 0, 1 << 20, 400},
        {"a", MODELS, 0, 1 << 20, 400}, {"a", 0, 1, 1 << 20, 400},
        {"a", 0, 0, 64, 400},           {"..%2fa", 0, 0, 1 << 20, 404},
        {".a", 0, 0, 1 << 20, 400},     {"%2fetc%2fa", 0, 0, 1 << 20, 404},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct keep keep;
        struct ws_buf packed;
        struct ws_oip_message message;
        struct ws_http_client *client = NULL;
        struct ws_http_answer answer;
        struct ws_oip_load load = {0};
        char header[80], path[200];
        const struct ws_http_client_options options = {.timeout_ms = 60000};
        begin(&keep, *state);
        restart(&keep, rows[i].budget_bytes);
        ws_buf_init(&packed, 0);
        assert_int_equal(ws_model_pack(&packed, keep.models[0],
                                       &ws_model_proto(keep.models[0])->base,
                                       WS_WEIGHTS_INLINE, NULL, NULL),
                         0);
        load.model = (const uint8_t *)packed.data;
        load.model_size = packed.size - rows[i].cut_bytes;
        if (rows[i].digest < MODELS)
            memcpy(load.digest, keep.digests[rows[i].digest], WS_DIGEST_TEXT);
        assert_int_equal(ws_oip_load_build(&message, &load, NULL), 0);
        (void)snprintf(header, sizeof(header), "Inference-Header-Content-Length: %d",
                       (int)message.header_size);
        (void)snprintf(path, sizeof(path), "/v2/repository/models/%s/load", rows[i].name);
        const struct ws_http_call call = {.method = "POST",
                                          .path = path,
                                          .parts = message.parts,
                                          .part_count = message.part_count,
                                          .headers = {header}};
        assert_int_equal(ws_http_client_create(&client, keep.url, &options, NULL), 0);
        assert_int_equal(ws_http_client_call(&answer, client, &call, NULL), 0);
        if (answer.status != rows[i].status)
            print_error("row %zu: %d %.*s\n", i, answer.status, (int)answer.body_size,
                        (const char *)answer.body);
        assert_int_equal(answer.status, rows[i].status);
        assert_int_equal(is_stored(&keep, 0, "a"), rows[i].status == 200);
        ws_http_client_destroy(client);
        ws_oip_message_fini(&message);
        ws_buf_fini(&packed);
        end(&keep);
    }
}

/* A node without a store says so, and keeps the models that are its own. */
static void test_own_models(void **state)
{
    const struct scene *scene = *state;
    const struct ws_http_client_options http = {.timeout_ms = 60000};
    struct keep keep;
    struct ws_error err = {0};
    size_t sent = 0;
    begin(&keep, scene);
    assert_int_equal(
        ws_upload_model(&sent, scene->url, &http, keep.models[0], "new", &err),
        WS_E_REMOTE);
    assert_non_null(strstr(err.text, "--store"));
    assert_int_equal(
        ws_upload_model(&sent, scene->url, &http, keep.models[0], "digits", &err),
        WS_E_REMOTE);
    end(&keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send_and_restart),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_own_models),
    };
    return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
