/*
 * A node on a free port of this machine that hosts the shipped digits model, an engine
 * and a splitter of this side for comparison, and short ways to say things to it.
 */
#ifndef WS_TESTS_NODE_SCENE_H
#define WS_TESTS_NODE_SCENE_H

#include "net/http_client.h"
#include "node/daemon.h"
#include "onnx/codec.h"
#include "split/splitter.h"

struct scene {
    struct ws_engine *engine;
    struct ws_splitter *splitter; /* of the same model, here */
    struct ws_daemon *daemon;
    char model[512]; /* its path */
    char url[80];
};

/* Group setup and teardown for cmocka. */
int scene_setup(void **state);
int scene_teardown(void **state);

struct ws_http_client *scene_connect(const struct scene *scene);
/* One call; the status. `header_size` may be NULL. */
int scene_call(struct ws_http_answer *out, struct ws_http_client *client,
               const char *method, const char *path, const void *body, size_t size,
               const char *header_size);
/* The model's input from a seed: UINT8 [batch,1,96,96]. */
struct ws_tensor scene_input(int64_t batch, uint64_t seed);
/* What int8c goes by at a cut, learnt from this input; WS_CUT_TENSORS_MAX of them. */
void scene_ranges(struct ws_codec_range *ranges, const struct scene *scene, size_t cut,
                  const struct ws_tensor *input);
/* What the model gives for it in process, cut at `cut`: FP32 [batch,10]. */
struct ws_tensor scene_expected(const struct scene *scene, size_t cut, int codec,
                                const struct ws_tensor *input);

#endif
