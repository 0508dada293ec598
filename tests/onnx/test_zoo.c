#include "check.h"
#include "onnx/run_once.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "core/sample.h"
#include "onnx/graph.h"
#include "onnx/model.h"
#include "onnx/zoo.h"

enum { CLASSES = 1000 };

/* torchvision's documented counts, and its GFLOPS where two decimals are given. */
static void test_published_counts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t parameters;
        double gmacs, within;
    } rows[] = {
        {"mobilenet_v2", 3504872, 0.30, 0.005},
        {"resnet50", 25557032, 4.09, 0.005},
        {"vgg16", 138357544, 15.47, 0.005},
        {"vit_b_16", 86567656, 17.56, 0.005},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ws_zoo_arch *arch = NULL;
        assert_int_equal(ws_zoo_find(&arch, rows[i].name, NULL), 0);
        for (int keep_norms = 0; keep_norms < 2; keep_norms++) {
            struct ws_zoo_facts facts;
            struct ws_zoo_options options = {.batch = 1, .keep_norms = keep_norms};
            assert_int_equal(ws_zoo_measure(&facts, arch, &options, NULL), 0);
            assert_int_equal(facts.parameters, rows[i].parameters);
            assert_near((double)facts.macs / 1e9, rows[i].gmacs, rows[i].within);
            assert_int_equal(arch->parameters, facts.parameters);
            assert_int_equal(arch->macs, facts.macs);
            options.batch = 3;
            assert_int_equal(ws_zoo_measure(&facts, arch, &options, NULL), 0);
            assert_int_equal(facts.parameters, rows[i].parameters);
            assert_int_equal(facts.macs, 3 * arch->macs);
        }
    }
}

static void test_refused(void **state)
{
    (void)state;
    const struct ws_zoo_arch *arch = NULL;
    struct ws_zoo_facts facts;
    struct ws_error err = {0};
    assert_int_equal(ws_zoo_find(&arch, "resnet51", &err), WS_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "resnet51"));
    assert_int_equal(ws_zoo_measure(&facts, ws_zoo_arch(0),
                                    &(struct ws_zoo_options){.batch = 0}, &err),
                     WS_E_USAGE);
    assert_int_equal(ws_zoo_write(NULL, "/nowhere/at/all.onnx", ws_zoo_arch(0),
                                  &(struct ws_zoo_options){.batch = 1}, &err),
                     WS_E_IO);
    assert_non_null(strstr(err.text, "/nowhere/at/all.onnx"));
}

static char path[64];

static void write_model(struct ws_zoo_facts *facts, const char *name,
                        struct ws_zoo_options options)
{
    const struct ws_zoo_arch *arch = NULL;
    struct ws_error err = {0};
    snprintf(path, sizeof(path), "%s", "/tmp/wattshed-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ws_zoo_find(&arch, name, NULL), 0);
    if (ws_zoo_write(facts, path, arch, &options, &err) != 0)
        fail_msg("%s", err.text);
}

/* The weights, read back: SHA-256 over names and bytes; *stored counts float values in
 * tensors of rank 1 and more, which leaves out the constants of Clip. */
static void digest_weights(char text[static WS_DIGEST_TEXT], uint64_t *stored)
{
    struct ws_error err = {0};
    struct ws_model *model = NULL;
    struct ws_digest *digest = NULL;
    if (ws_model_open(&model, path, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(ws_digest_create(&digest, NULL), 0);
    *stored = 0;
    for (size_t i = 0; i < ws_model_weight_count(model); i++) {
        const struct ws_weight *weight = ws_model_weight(model, i);
        ws_digest_add_sized(digest, weight->name, strlen(weight->name));
        ws_digest_add_sized(digest, weight->data, weight->size_bytes);
        if (weight->dtype == WS_DTYPE_FP32 && weight->rank > 0)
            *stored += weight->size_bytes / sizeof(float);
    }
    ws_digest_finish(text, digest);
    ws_digest_destroy(digest);
    ws_model_close(model);
}

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    struct ws_zoo_facts facts;
    char first[WS_DIGEST_TEXT], again[WS_DIGEST_TEXT], other[WS_DIGEST_TEXT];
    uint64_t stored = 0;
    write_model(&facts, "mobilenet_v2", (struct ws_zoo_options){.batch = 1});
    digest_weights(first, &stored);
    unlink(path);
    assert_int_equal(stored, facts.stored);
    /* The same on every machine and with every compiler. */
    assert_string_equal(
        first, "f03da4e09f63ff6a4afe41e0e5584973e028630f1f55843c87709dd933b7595f");
    write_model(&facts, "mobilenet_v2", (struct ws_zoo_options){.batch = 2});
    digest_weights(again, &stored);
    unlink(path);
    assert_string_equal(again, first);
    write_model(&facts, "mobilenet_v2", (struct ws_zoo_options){.seed = 1, .batch = 1});
    digest_weights(other, &stored);
    unlink(path);
    assert_string_not_equal(other, first);
}

/* The graph, read back, counts the same nodes and the same work. */
static void test_graph_agrees(void **state)
{
    (void)state;
    struct ws_error err = {0};
    struct ws_zoo_facts facts;
    struct ws_model *model = NULL;
    struct ws_graph *graph = NULL;
    write_model(&facts, "mobilenet_v2", (struct ws_zoo_options){.batch = 2});
    assert_int_equal(ws_model_open(&model, path, &err), 0);
    assert_int_equal(ws_graph_create(&graph, model, &err), 0);
    if (ws_graph_infer_shapes(graph, NULL, NULL, NULL, 0, &err) != 0)
        fail_msg("%s", err.text);
    uint64_t macs = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        macs += graph->nodes[i].macs;
    assert_int_equal(graph->node_count, facts.node_count);
    assert_int_equal(macs, facts.macs);
    struct ws_work work;
    ws_graph_work(&work, graph, 0, graph->node_count);
    /* 9 multiplications for each output of the paper's seventeen depthwise layers; one
     * fully connected layer of 1280 x 1000. */
    assert_near(work.macs[WS_WORK_DEPTHWISE], 2 * 20716416.0, 0);
    assert_near(work.macs[WS_WORK_MATMUL], 2 * 1280000.0, 0);
    assert_near(work.macs[WS_WORK_CONV], (double)macs - 2 * (20716416.0 + 1280000.0), 0);
    for (size_t i = 0; i < graph->value_count; i++)
        assert_true(graph->values[i].has_shape);
    ws_graph_destroy(graph);
    ws_model_close(model);
    unlink(path);
}

/* Runs the model on a seeded normal image; the logits. */
static void run_model(float logits[CLASSES])
{
    struct ws_engine *engine = NULL;
    struct ws_tensor image, out[RUN_IO_MAX];
    const struct ws_session_source source = {.path = path, .level = WS_LEVEL_ALL};
    assert_int_equal(ws_sample_tensor(&image, WS_DTYPE_FP32,
                                      (const int64_t[]){1, 3, 224, 224}, 4, 7, NULL),
                     0);
    assert_int_equal(
        ws_engine_create(&engine, &(struct ws_engine_options){.threads = 1}, NULL), 0);
    assert_int_equal(run_once(out, engine, &source, &image, 1), 1);
    assert_int_equal(out[0].size_bytes, CLASSES * sizeof(float));
    memcpy(logits, out[0].data, out[0].size_bytes);
    ws_tensor_fini(&out[0]);
    ws_tensor_fini(&image);
    ws_engine_destroy(engine);
}

static void assert_sane(const float logits[CLASSES])
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < CLASSES; i++) {
        double value = (double)logits[i];
        assert_true(isfinite(value) && fabs(value) < 1e3);
        sum += value;
        squares += value * value;
    }
    double mean = sum / CLASSES;
    assert_true(squares / CLASSES - mean * mean > 0.1);
}

static void test_logits_sane(void **state)
{
    (void)state;
    float logits[CLASSES];
    write_model(NULL, "resnet50", (struct ws_zoo_options){.seed = 3, .batch = 1});
    run_model(logits);
    unlink(path);
    assert_sane(logits);
}

/* Batch normalisation folded or kept computes the same, but for rounding. */
static void test_folding(void **state)
{
    (void)state;
    float folded[CLASSES], kept[CLASSES];
    struct ws_zoo_facts facts;
    write_model(NULL, "mobilenet_v2", (struct ws_zoo_options){.batch = 1});
    run_model(folded);
    unlink(path);
    assert_sane(folded);
    write_model(&facts, "mobilenet_v2",
                (struct ws_zoo_options){.batch = 1, .keep_norms = 1});
    run_model(kept);
    unlink(path);
    /* Running statistics are stored and are no parameters; two for each of the 17056
     * channels. */
    assert_int_equal(facts.stored, facts.parameters + 2 * 17056);
    for (size_t i = 0; i < CLASSES; i++)
        assert_near((double)kept[i], (double)folded[i], 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_counts),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_same_seed_same_bytes), cmocka_unit_test(test_graph_agrees),
        cmocka_unit_test(test_logits_sane),          cmocka_unit_test(test_folding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
