#include "check.h"

#include "scene.h"

#include <stdlib.h>
#include <string.h>

#include "core/sample.h"
#include "split/pipe.h"

int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct ws_error err = {0};
    const char *root = getenv("WS_SOURCE_ROOT");
    const struct ws_engine_options engine = {.threads = 2};
    const struct ws_splitter_options splitter = {.level = WS_LEVEL_ALL};
    if (scene == NULL || root == NULL)
        return -1;
    (void)snprintf(scene->model, sizeof(scene->model), "%s/etc/demo/digits.onnx", root);
    const char *models[] = {scene->model};
    int rc = ws_engine_create(&scene->engine, &engine, &err);
    if (rc == 0)
        rc = ws_splitter_create(&scene->splitter, scene->engine, scene->model, &splitter,
                                &err);
    const struct ws_daemon_options options = {
        .guard.listen = "127.0.0.1:0",
        .allow_writes = 1,
        .idle_s = 2,
        .grace_s = 2,
        .host = {.engine = scene->engine, .splitter = splitter},
        .models = models,
        .model_count = 1,
    };
    if (rc == 0)
        rc = ws_daemon_start(&scene->daemon, &options, &err);
    if (rc != 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    (void)snprintf(scene->url, sizeof(scene->url), "%s", ws_daemon_url(scene->daemon));
    *state = scene;
    return 0;
}

int scene_teardown(void **state)
{
    struct scene *scene = *state;
    ws_daemon_stop(scene->daemon, 5000);
    ws_splitter_destroy(scene->splitter);
    ws_engine_destroy(scene->engine);
    free(scene);
    return 0;
}

struct ws_http_client *scene_connect(const struct scene *scene)
{
    struct ws_http_client *client = NULL;
    const struct ws_http_client_options options = {.timeout_ms = 60000};
    assert_int_equal(ws_http_client_create(&client, scene->url, &options, NULL), 0);
    return client;
}

int scene_call(struct ws_http_answer *out, struct ws_http_client *client,
               const char *method, const char *path, const void *body, size_t size,
               const char *header_size)
{
    char header[80];
    struct ws_error err = {0};
    const struct ws_oip_part part = {body, size};
    struct ws_http_call call = {
        .method = method, .path = path, .parts = &part, .part_count = 1};
    if (header_size != NULL) {
        (void)snprintf(header, sizeof(header), "Inference-Header-Content-Length: %s",
                       header_size);
        call.headers[0] = header;
    }
    if (ws_http_client_call(out, client, &call, &err) != 0) {
        print_error("%s\n", err.text);
        fail();
    }
    return out->status;
}

struct ws_tensor scene_input(int64_t batch, uint64_t seed)
{
    struct ws_tensor tensor;
    const int64_t dims[] = {batch, 1, 96, 96};
    assert_int_equal(ws_sample_tensor(&tensor, WS_DTYPE_UINT8, dims, 4, seed, NULL), 0);
    return tensor;
}

void scene_ranges(struct ws_codec_range *ranges, const struct scene *scene, size_t cut,
                  const struct ws_tensor *input)
{
    const struct ws_datum in = {.kind = WS_DATUM_TENSOR, .tensor = *input};
    assert_int_equal(ws_pipe_learn_ranges(ranges, scene->splitter, cut, &in, NULL), 0);
}

struct ws_tensor scene_expected(const struct scene *scene, size_t cut, int codec,
                                const struct ws_tensor *input)
{
    struct ws_pipe *pipe = NULL;
    const struct ws_datum in = {.kind = WS_DATUM_TENSOR, .tensor = *input};
    struct ws_datum out;
    struct ws_codec_range ranges[WS_CUT_TENSORS_MAX] = {0};
    struct ws_pipe_options options = {.cut = cut, .codec = (enum ws_codec)codec};
    if (options.codec == WS_CODEC_INT8C) {
        scene_ranges(ranges, scene, cut, input);
        options.ranges = ranges;
    }
    assert_int_equal(ws_pipe_create(&pipe, scene->splitter, &options, NULL), 0);
    assert_int_equal(ws_pipe_run_datums(pipe, &in, &out, NULL, NULL), 0);
    ws_pipe_destroy(pipe);
    for (size_t i = 0; i < WS_CUT_TENSORS_MAX; i++)
        ws_codec_range_fini(&ranges[i]);
    return out.tensor;
}
