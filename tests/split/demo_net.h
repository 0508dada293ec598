/*
 * The demo network open in an engine of one thread: what the tests of this room cut.
 */
#ifndef WS_TESTS_DEMO_NET_H
#define WS_TESTS_DEMO_NET_H

#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "core/sample.h"
#include "split/pipe.h"

struct demo_net {
    struct ws_engine *engine;
    struct ws_splitter *splitter;
    struct ws_datum input; /* one picture */
};

static inline void demo_path(char path[4096])
{
    const char *root = getenv("WS_SOURCE_ROOT");
    snprintf(path, 4096, "%s/etc/demo/digits.onnx", root != NULL ? root : ".");
}

static inline void demo_open(struct demo_net *net, uint64_t memory_bytes_max)
{
    char path[4096];
    struct ws_error err = {0};
    struct ws_engine_options engine = {.threads = 1};
    struct ws_splitter_options options = {.level = WS_LEVEL_ALL,
                                          .memory_bytes_max = memory_bytes_max};
    const int64_t dims[] = {1, 1, 96, 96};
    demo_path(path);
    *net = (struct demo_net){0};
    if (ws_engine_create(&net->engine, &engine, &err) != 0 ||
        ws_splitter_create(&net->splitter, net->engine, path, &options, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(
        ws_sample_tensor(&net->input.tensor, WS_DTYPE_UINT8, dims, 4, 7, NULL), 0);
}

static inline void demo_close(struct demo_net *net)
{
    ws_datum_fini(&net->input);
    ws_splitter_destroy(net->splitter);
    ws_engine_destroy(net->engine);
}

/* The natural interior cut with the fewest bytes. */
static inline size_t demo_bottleneck(const struct demo_net *net)
{
    const struct ws_cuts *cuts = ws_splitter_cuts(net->splitter);
    size_t best = 0;
    for (size_t c = 1; c + 1 < cuts->count; c++) {
        if (cuts->cuts[c].natural == WS_NATURAL_YES &&
            (best == 0 || cuts->cuts[c].bytes < cuts->cuts[best].bytes))
            best = c;
    }
    return best;
}

#endif
