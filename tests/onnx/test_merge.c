#include "check.h"
#include "onnx/run_once.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/sample.h"
#include "onnx/codec.h"
#include "onnx/segment.h"
#include "onnx/zoo.h"

/* A cut in the middle of a network, inside a residual block: two tensors cross. */
static const char *const cut[] = {"/features.5.conv.1.2/Clip_output_0",
                                  "/features.4.conv.2/Conv_output_0"};
enum { CLASSES = 1000 };

static char path[64];
static struct ws_engine *engine;
static struct ws_model *model;
static struct ws_graph *graph;
static struct ws_tensor image;

static int setup(void **state)
{
    (void)state;
    const struct ws_zoo_arch *arch = NULL;
    snprintf(path, sizeof(path), "%s", "/tmp/wattshed-test-XXXXXX");
    close(mkstemp(path));
    if (ws_zoo_find(&arch, "mobilenet_v2", NULL) != 0 ||
        ws_zoo_write(NULL, path, arch, &(struct ws_zoo_options){.batch = 1}, NULL) != 0 ||
        ws_model_open(&model, path, NULL) != 0 ||
        ws_graph_create(&graph, model, NULL) != 0 ||
        ws_graph_infer_shapes(graph, NULL, NULL, NULL, 0, NULL) != 0 ||
        ws_engine_create(&engine, &(struct ws_engine_options){.threads = 1}, NULL) != 0 ||
        ws_sample_tensor(&image, WS_DTYPE_FP32, (const int64_t[]){1, 3, 224, 224}, 4, 11,
                         NULL) != 0)
        return -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ws_tensor_fini(&image);
    ws_engine_destroy(engine);
    ws_graph_destroy(graph);
    ws_model_close(model);
    unlink(path);
    return 0;
}

/* One side of the cut with its side of the codec merged in (coding NULL: without), run.
 */
static size_t run_side(struct ws_tensor *outputs, const struct ws_coding *coding,
                       enum ws_codec_side side, const struct ws_tensor *inputs,
                       size_t input_count)
{
    struct ws_error err = {0};
    struct ws_builder *builder = NULL;
    struct ws_buf bytes;
    size_t middle[2];
    int head = side == WS_CODEC_ENCODE;
    ws_buf_init(&bytes, 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(ws_graph_find(&middle[i], graph, cut[i], NULL), 0);
    struct ws_segment_spec spec = {.from = head ? graph->inputs : middle,
                                   .from_count = head ? graph->input_count : 2,
                                   .to = head ? middle : graph->outputs,
                                   .to_count = head ? 2 : graph->output_count,
                                   .weights = WS_WEIGHTS_INLINE};
    assert_int_equal(ws_builder_create(&builder, "codec", 17, NULL), 0);
    if (coding != NULL) {
        ws_coding_declare(builder, coding, side);
        assert_int_equal(ws_coding_nodes(builder, coding, side, 17, NULL), 0);
        const Onnx__GraphProto *extra = ws_builder_graph(builder);
        spec.extra_weights = extra->initializer;
        spec.extra_weight_count = extra->n_initializer;
        *(head ? &spec.epilogue : &spec.prologue) = extra->node;
        *(head ? &spec.epilogue_count : &spec.prologue_count) = extra->n_node;
        spec.outputs = extra->output;
        spec.output_count = extra->n_output;
        spec.inputs = extra->input;
        spec.input_count = extra->n_input;
    }
    if (ws_segment_build(&bytes, NULL, graph, &spec, &err) != 0)
        fail_msg("%s", err.text);
    ws_builder_destroy(builder);
    const struct ws_session_source source = {
        .bytes = bytes.data, .size_bytes = bytes.size, .level = WS_LEVEL_ALL};
    size_t count = run_once(outputs, engine, &source, inputs, input_count);
    ws_buf_fini(&bytes);
    return count;
}

static void fini_all(struct ws_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ws_tensor_fini(&tensors[i]);
}

/* Head, codec and tail; the logits against those of `whole`, as relative RMS error. */
static double error_of(enum ws_codec codec, const struct ws_tensor *crossing,
                       const struct ws_tensor *whole, uint64_t *bytes)
{
    struct ws_codec_tensor tensors[2];
    struct ws_codec_range ranges[2] = {{0}};
    struct ws_coding *coding = NULL;
    struct ws_tensor wires[RUN_IO_MAX], logits[1];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(ws_codec_range_add(&ranges[i], &crossing[i], NULL), 0);
        tensors[i] = (struct ws_codec_tensor){.name = cut[i],
                                              .dtype = WS_DTYPE_FP32,
                                              .has_shape = 1,
                                              .rank = crossing[i].rank,
                                              .range = &ranges[i]};
        memcpy(tensors[i].dims, crossing[i].dims, sizeof(tensors[i].dims));
    }
    assert_int_equal(ws_coding_create(&coding, codec, tensors, 2, NULL), 0);
    assert_int_equal(ws_coding_bytes(bytes, coding, NULL), 0);
    size_t count = run_side(wires, coding, WS_CODEC_ENCODE, &image, 1);
    assert_int_equal(count, ws_coding_wire_count(coding));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(wires[i].dtype, ws_coding_wire(coding, i)->dtype);
    assert_int_equal(run_side(logits, coding, WS_CODEC_DECODE, wires, count), 1);
    double error = 0, power = 0;
    for (size_t i = 0; i < CLASSES; i++) {
        double x = (double)((const float *)logits[0].data)[i];
        double y = (double)((const float *)whole->data)[i];
        error += (x - y) * (x - y);
        power += y * y;
    }
    fini_all(logits, 1);
    fini_all(wires, count);
    ws_coding_destroy(coding);
    for (size_t i = 0; i < 2; i++)
        ws_codec_range_fini(&ranges[i]);
    return sqrt(error / power);
}

static void test_merged_codecs(void **state)
{
    (void)state;
    struct ws_tensor crossing[2], whole[1];
    uint64_t bytes[WS_CODEC_COUNT];
    double error[WS_CODEC_COUNT];
    assert_int_equal(run_side(crossing, NULL, WS_CODEC_ENCODE, &image, 1), 2);
    assert_int_equal(run_side(whole, NULL, WS_CODEC_DECODE, crossing, 2), 1);
    for (int codec = 0; codec < WS_CODEC_COUNT; codec++)
        error[codec] = error_of((enum ws_codec)codec, crossing, whole, &bytes[codec]);
    /* The less travels, the more is lost, but never much; a scale for each channel loses
     * less than one for all. */
    assert_near(error[WS_CODEC_NONE], 0, 1e-6);
    assert_near(error[WS_CODEC_FP16], 0, 1e-3);
    assert_near(error[WS_CODEC_INT8], 0, 0.02);
    assert_true(error[WS_CODEC_FP16] < error[WS_CODEC_INT8C]);
    assert_true(error[WS_CODEC_INT8C] < error[WS_CODEC_INT8]);
    assert_int_equal(bytes[WS_CODEC_NONE],
                     crossing[0].size_bytes + crossing[1].size_bytes);
    assert_int_equal(bytes[WS_CODEC_FP16], bytes[WS_CODEC_NONE] / 2);
    assert_int_equal(bytes[WS_CODEC_INT8C], bytes[WS_CODEC_NONE] / 4);
    assert_int_equal(bytes[WS_CODEC_INT8], bytes[WS_CODEC_INT8C] + 2 * 5);
    print_message("relative error: fp16 %.2g, int8 %.2g, int8c %.2g\n",
                  error[WS_CODEC_FP16], error[WS_CODEC_INT8], error[WS_CODEC_INT8C]);
    fini_all(whole, 1);
    fini_all(crossing, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merged_codecs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
