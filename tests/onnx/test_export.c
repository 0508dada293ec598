/*
 * The two sides of a cut as files: head and tail, run one after the other by the runtime
 * from what was written, give exactly what the whole gives.
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/datum.h"
#include "core/sample.h"
#include "engine/engine.h"
#include "onnx/export.h"
#include "split/shapes.h"

enum { IO_MAX = 80, CUTS_TRIED = 6 };

static struct ws_engine *engine;
static char folder[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/wattshed-test-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    return ws_engine_create(&engine, &(struct ws_engine_options){.threads = 1}, NULL);
}

static const char *in_folder(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int teardown(void **state)
{
    (void)state;
    ws_engine_destroy(engine);
    (void)unlink(in_folder("head.onnx"));
    (void)unlink(in_folder("tail.onnx"));
    (void)unlink(in_folder("weights.bin"));
    return rmdir(folder);
}

/* ---- tensors by name ---- */

struct named {
    char name[256];
    struct ws_datum datum;
};

struct bag {
    struct named items[4 * IO_MAX];
    size_t count;
};

static const struct ws_datum *bag_find(const struct bag *bag, const char *name)
{
    for (size_t i = 0; i < bag->count; i++) {
        if (strcmp(bag->items[i].name, name) == 0)
            return &bag->items[i].datum;
    }
    return NULL;
}

/* Takes the datum over; one that is there already is the same tensor passed on. */
static void bag_put(struct bag *bag, const char *name, struct ws_datum *datum)
{
    if (bag_find(bag, name) != NULL) {
        ws_datum_fini(datum);
        return;
    }
    assert_in_range(bag->count, 0, 4 * IO_MAX - 1);
    struct named *item = &bag->items[bag->count++];
    (void)snprintf(item->name, sizeof(item->name), "%s", name);
    item->datum = *datum;
}

static void bag_fini(struct bag *bag)
{
    for (size_t i = 0; i < bag->count; i++)
        ws_datum_fini(&bag->items[i].datum);
    bag->count = 0;
}

/* Runs the model at `path` on tensors of the bag and puts its outputs there too. */
static void run_file(struct bag *bag, const char *path)
{
    struct ws_error err = {0};
    struct ws_session *session = NULL;
    struct ws_engine_value *in[IO_MAX] = {0}, *out[IO_MAX] = {0};
    const struct ws_session_source source = {.path = path, .level = WS_LEVEL_NONE};
    if (ws_session_create(&session, engine, &source, &err) != 0)
        fail_msg("%s", err.text);
    size_t in_count = ws_session_input_count(session);
    size_t out_count = ws_session_output_count(session);
    assert_true(in_count <= IO_MAX && out_count <= IO_MAX);
    for (size_t i = 0; i < in_count; i++) {
        const char *name = ws_session_input(session, i)->name;
        const struct ws_datum *datum = bag_find(bag, name);
        if (datum == NULL)
            fail_msg("%s wants \"%s\", which nothing has made", path, name);
        assert_int_equal(ws_engine_value_from_datum(&in[i], engine, datum, &err), 0);
    }
    if (ws_session_run(session, in, out, &err) != 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < out_count; i++) {
        struct ws_datum datum;
        assert_int_equal(ws_engine_value_to_datum(&datum, out[i], &err), 0);
        bag_put(bag, ws_session_output(session, i)->name, &datum);
        ws_engine_value_destroy(out[i]);
    }
    for (size_t i = 0; i < in_count; i++)
        ws_engine_value_destroy(in[i]);
    ws_session_destroy(session);
}

static void draw_inputs(struct bag *bag, const struct ws_graph *graph)
{
    for (size_t i = 0; i < graph->input_count; i++) {
        const struct ws_value *value = &graph->values[graph->inputs[i]];
        int64_t dims[WS_TENSOR_RANK_MAX];
        struct ws_datum datum = {.kind = WS_DATUM_TENSOR};
        for (size_t k = 0; k < value->rank; k++)
            dims[k] = value->dims[k] < 0 ? 1 : value->dims[k];
        assert_int_equal(
            ws_sample_tensor(&datum.tensor, value->dtype, dims, value->rank, i + 1, NULL),
            0);
        bag_put(bag, value->name, &datum);
    }
}

/* ---- one model ---- */

struct subject {
    const char *path;
    struct ws_model *model;
    struct ws_graph *graph;
    struct ws_cuts *cuts;
    struct bag whole; /* inputs, and the whole model's outputs */
};

/* Largest difference, relative to the largest value. */
static double difference(const struct ws_tensor *a, const struct ws_tensor *b)
{
    double worst = 0, largest = 1e-6;
    const float *x = a->data, *y = b->data;
    for (size_t i = 0; i < a->size_bytes / sizeof(float); i++) {
        worst = fmax(worst, fabs((double)x[i] - (double)y[i]));
        largest = fmax(largest, fabs((double)y[i]));
    }
    return worst / largest;
}

static void compare(const struct subject *subject, const struct bag *got, size_t cut,
                    double tolerance)
{
    const struct ws_graph *graph = subject->graph;
    for (size_t i = 0; i < graph->output_count; i++) {
        const char *name = graph->values[graph->outputs[i]].name;
        const struct ws_datum *datum = bag_find(got, name);
        if (datum == NULL)
            fail_msg("%s, cut %zu: nobody gives \"%s\"", subject->path, cut, name);
        const struct ws_tensor *a = &datum->tensor;
        const struct ws_tensor *b = &bag_find(&subject->whole, name)->tensor;
        assert_int_equal(a->dtype, b->dtype);
        assert_int_equal(a->size_bytes, b->size_bytes);
        int same = a->size_bytes == 0 || memcmp(a->data, b->data, a->size_bytes) == 0;
        if (!same &&
            (tolerance <= 0 || a->dtype != WS_DTYPE_FP32 || difference(a, b) > tolerance))
            fail_msg("%s, cut %zu: \"%s\" differs", subject->path, cut, name);
    }
}

/* 0 where the codec does not go with the model's operator set. */
static int try_cut(const struct subject *subject, size_t cut, enum ws_codec codec,
                   int external, double tolerance)
{
    struct ws_error err = {0};
    struct bag *bag = calloc(1, sizeof(*bag));
    const struct ws_export_options options = {
        .dir = folder, .cut = cut, .codec = codec, .external = external};
    assert_non_null(bag);
    int rc = ws_export_cut(NULL, subject->cuts, &options, &err);
    if (rc != 0 && rc != WS_E_UNSUPPORTED)
        fail_msg("%s, cut %zu: %s", subject->path, cut, err.text);
    if (rc == 0) {
        draw_inputs(bag, subject->graph);
        run_file(bag, in_folder("head.onnx"));
        run_file(bag, in_folder("tail.onnx"));
        compare(subject, bag, cut, tolerance);
    }
    bag_fini(bag);
    free(bag);
    return rc == 0;
}

static void subject_open(struct subject *subject, const char *path)
{
    struct ws_error err = {0};
    subject->path = path;
    if (ws_model_open(&subject->model, path, &err) != 0 ||
        ws_graph_create(&subject->graph, subject->model, &err) != 0 ||
        ws_graph_infer_shapes(subject->graph, ws_shapes_from_engine, engine, NULL, 0,
                              &err) != 0 ||
        ws_cuts_create(&subject->cuts, subject->graph, &err) != 0)
        fail_msg("%s", err.text);
    subject->whole.count = 0;
    draw_inputs(&subject->whole, subject->graph);
    run_file(&subject->whole, path);
}

static void subject_fini(struct subject *subject)
{
    bag_fini(&subject->whole);
    ws_cuts_destroy(subject->cuts);
    ws_graph_destroy(subject->graph);
    ws_model_close(subject->model);
}

/* Some interior cuts, spread over the model; returns how many. In fp16 as well where the
 * model is small enough to lose little by it. */
static size_t check_model(const char *path, int in_fp16)
{
    struct subject *subject = calloc(1, sizeof(*subject));
    assert_non_null(subject);
    subject_open(subject, path);
    size_t interior = subject->cuts->count - 2, tried = 0;
    size_t step = interior / CUTS_TRIED + 1;
    for (size_t cut = 1; cut <= interior; cut += step) {
        tried++;
        assert_true(try_cut(subject, cut, WS_CODEC_NONE, 0, 0));
        assert_true(try_cut(subject, cut, WS_CODEC_NONE, 1, 0));
        if (in_fp16)
            assert_true(try_cut(subject, cut, WS_CODEC_FP16, 0, 0.01));
    }
    subject_fini(subject);
    free(subject);
    return tried;
}

/* ---- tests ---- */

/* "shadows" is not among them: the runtime holds every name to be unique. */
static void test_export_seeds(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "chain",         "residual",  "quantised",       "fixed-shape", "captures",
        "outputs-early", "recurrent", "weight-is-input", "big-weight",  "out-of-order",
    };
    const char *root = getenv("WS_SOURCE_ROOT");
    size_t tried = 0;
    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/fuzz/corpus/onnx/%s.onnx",
                       root != NULL ? root : ".", seeds[i]);
        tried += check_model(path, 1);
    }
    print_message("%zu cuts\n", tried);
    assert_true(tried >= 10);
}

static char *shared_model(char path[static 4096], const char *name)
{
    const char *data = getenv("WS_SHARED_DATA");
    const char *root = getenv("WS_SOURCE_ROOT");
    (void)snprintf(path, 4096, "%s%s/models/%s/model.onnx",
                   data != NULL   ? data
                   : root != NULL ? root
                                  : ".",
                   data != NULL ? "" : "/../shared/data", name);
    if (access(path, R_OK) != 0) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    return path;
}

static void test_export_shared_models(void **state)
{
    (void)state;
    static const char *const models[] = {
        "mnist_cnn",
        "resnet20_cifar10",
        "squeezenet10_imagenet-external",
        "mlperftiny_resnet8-int8_qdq",
        "basic_pitch",
        "ultraface-slim-320_simplified",
    };
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        char path[4096];
        size_t tried = check_model(shared_model(path, models[i]), 0);
        print_message("%s: %zu cuts\n", models[i], tried);
        assert_true(tried > 0);
    }
}

/* Codecs lose something, but little. */
static void test_export_codecs(void **state)
{
    (void)state;
    char path[4096];
    struct subject *subject = calloc(1, sizeof(*subject));
    assert_non_null(subject);
    subject_open(subject, shared_model(path, "resnet20_cifar10"));
    size_t cut = subject->cuts->count / 2;
    assert_true(try_cut(subject, cut, WS_CODEC_FP16, 0, 0.01));
    assert_true(try_cut(subject, cut, WS_CODEC_INT8, 1, 0.2));
    subject_fini(subject);
    free(subject);
}

static void test_export_refuses_ends(void **state)
{
    (void)state;
    struct ws_error err = {0};
    char path[4096];
    const char *root = getenv("WS_SOURCE_ROOT");
    struct subject *subject = calloc(1, sizeof(*subject));
    assert_non_null(subject);
    (void)snprintf(path, sizeof(path), "%s/fuzz/corpus/onnx/chain.onnx",
                   root != NULL ? root : ".");
    subject_open(subject, path);
    struct ws_export_options options = {.dir = folder};
    assert_int_equal(ws_export_cut(NULL, subject->cuts, &options, &err), WS_E_USAGE);
    options.cut = subject->cuts->count - 1;
    assert_int_equal(ws_export_cut(NULL, subject->cuts, &options, &err), WS_E_USAGE);
    subject_fini(subject);
    free(subject);
}

/* The two sides say that they belong together, and to which model. */
static void test_export_metadata(void **state)
{
    (void)state;
    static const char *const sides[] = {"head", "tail"};
    char path[4096], digest[WS_DIGEST_TEXT];
    const char *root = getenv("WS_SOURCE_ROOT");
    struct subject *subject = calloc(1, sizeof(*subject));
    assert_non_null(subject);
    (void)snprintf(path, sizeof(path), "%s/fuzz/corpus/onnx/residual.onnx",
                   root != NULL ? root : ".");
    subject_open(subject, path);
    assert_true(try_cut(subject, 2, WS_CODEC_FP16, 0, 0.01));
    assert_int_equal(ws_model_digest(digest, subject->model, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        struct ws_model *side = NULL;
        char file[16];
        (void)snprintf(file, sizeof(file), "%s.onnx", sides[i]);
        assert_int_equal(ws_model_open(&side, in_folder(file), NULL), 0);
        const Onnx__ModelProto *proto = ws_model_proto(side);
        const char *const expected[][2] = {
            {"wattshed.model", digest},  {"wattshed.cut", subject->cuts->cuts[2].id},
            {"wattshed.tensors", "a,b"}, {"wattshed.codec", "fp16"},
            {"wattshed.side", sides[i]},
        };
        assert_int_equal(proto->n_metadata_props, 5);
        for (size_t k = 0; k < 5; k++) {
            assert_string_equal(proto->metadata_props[k]->key, expected[k][0]);
            assert_string_equal(proto->metadata_props[k]->value, expected[k][1]);
        }
        ws_model_close(side);
    }
    subject_fini(subject);
    free(subject);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_export_seeds),
        cmocka_unit_test(test_export_shared_models),
        cmocka_unit_test(test_export_codecs),
        cmocka_unit_test(test_export_refuses_ends),
        cmocka_unit_test(test_export_metadata),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
