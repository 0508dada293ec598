#include "check.h"
#include "onnx/run_once.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "core/half.h"
#include "onnx/codec.h"

enum { CHANNELS = 3, TENSORS_MAX = RUN_IO_MAX };

static struct ws_engine *engine;

static int make_engine(void **state)
{
    (void)state;
    return ws_engine_create(&engine, &(struct ws_engine_options){.threads = 1}, NULL);
}

static int destroy_engine(void **state)
{
    (void)state;
    ws_engine_destroy(engine);
    return 0;
}

/* Channel c holds values of magnitude 10^c around c, so that one scale does not fit all.
 */
static struct ws_tensor sample_tensor(enum ws_dtype dtype, uint64_t seed)
{
    struct ws_tensor tensor;
    struct ws_rng rng;
    ws_rng_init(&rng, seed);
    const int64_t dims[] = {2, CHANNELS, 4, 5};
    assert_int_equal(ws_tensor_init(&tensor, dtype, dims, 4, NULL), 0);
    for (size_t i = 0; i < 2 * CHANNELS * 20; i++) {
        size_t c = i / 20 % CHANNELS;
        double value = pow(10, (double)c) * (2 * ws_rng_uniform(&rng) - 1) + (double)c;
        if (dtype == WS_DTYPE_FP32)
            ((float *)tensor.data)[i] = (float)value;
        else if (dtype == WS_DTYPE_FP64)
            ((double *)tensor.data)[i] = value;
        else
            ((uint16_t *)tensor.data)[i] = ws_half_from_float((float)value);
    }
    return tensor;
}

static double element(const struct ws_tensor *tensor, size_t i)
{
    if (tensor->dtype == WS_DTYPE_FP32)
        return (double)((const float *)tensor->data)[i];
    if (tensor->dtype == WS_DTYPE_FP64)
        return ((const double *)tensor->data)[i];
    assert_int_equal(tensor->dtype, WS_DTYPE_FP16);
    return (double)ws_half_to_float(((const uint16_t *)tensor->data)[i]);
}

/* Runs one side; outputs are copies. */
static size_t run_side(struct ws_tensor *outputs, const struct ws_coding *coding,
                       enum ws_codec_side side, const struct ws_tensor *inputs,
                       size_t input_count)
{
    struct ws_error err = {0};
    struct ws_buf model;
    ws_buf_init(&model, 0);
    if (ws_coding_model(&model, coding, side, &err) != 0)
        fail_msg("%s", err.text);
    const struct ws_session_source source = {
        .bytes = model.data, .size_bytes = model.size, .level = WS_LEVEL_ALL};
    size_t count = run_once(outputs, engine, &source, inputs, input_count);
    ws_buf_fini(&model);
    return count;
}

/* Encodes and decodes one tensor; returns the largest error of each channel. */
static void round_trip(double errors[CHANNELS], const struct ws_coding *coding,
                       const struct ws_tensor *tensor)
{
    struct ws_tensor wire[TENSORS_MAX], back[TENSORS_MAX];
    size_t wires = run_side(wire, coding, WS_CODEC_ENCODE, tensor, 1);
    assert_int_equal(wires, ws_coding_wire_count(coding));
    uint64_t bytes = 0, expected = 0;
    for (size_t i = 0; i < wires; i++) {
        assert_int_equal(wire[i].dtype, ws_coding_wire(coding, i)->dtype);
        assert_int_equal(wire[i].rank, ws_coding_wire(coding, i)->rank);
        bytes += wire[i].size_bytes;
    }
    assert_int_equal(ws_coding_bytes(&expected, coding, NULL), 0);
    assert_int_equal(bytes, expected);
    assert_int_equal(run_side(back, coding, WS_CODEC_DECODE, wire, wires), 1);
    assert_int_equal(back[0].dtype, tensor->dtype);
    assert_int_equal(back[0].size_bytes, tensor->size_bytes);
    memset(errors, 0, CHANNELS * sizeof(*errors));
    for (size_t i = 0; i < 2 * CHANNELS * 20; i++) {
        size_t c = i / 20 % CHANNELS;
        errors[c] = fmax(errors[c], fabs(element(&back[0], i) - element(tensor, i)));
    }
    for (size_t i = 0; i < wires; i++)
        ws_tensor_fini(&wire[i]);
    ws_tensor_fini(&back[0]);
}

static struct ws_codec_tensor describe(const char *name, const struct ws_tensor *tensor)
{
    struct ws_codec_tensor described = {
        .name = name, .dtype = tensor->dtype, .has_shape = 1, .rank = tensor->rank};
    memcpy(described.dims, tensor->dims, sizeof(described.dims));
    return described;
}

static struct ws_coding *make_coding(enum ws_codec codec,
                                     const struct ws_codec_tensor *tensors, size_t count)
{
    struct ws_coding *coding = NULL;
    struct ws_error err = {0};
    if (ws_coding_create(&coding, codec, tensors, count, &err) != 0)
        fail_msg("%s", err.text);
    return coding;
}

static void test_fp16(void **state)
{
    (void)state;
    static const enum ws_dtype dtypes[] = {WS_DTYPE_FP32, WS_DTYPE_FP64};
    for (size_t i = 0; i < 2; i++) {
        struct ws_tensor tensor = sample_tensor(dtypes[i], 1);
        struct ws_codec_tensor described = describe("t", &tensor);
        struct ws_coding *coding = make_coding(WS_CODEC_FP16, &described, 1);
        assert_string_equal(ws_coding_wire(coding, 0)->name, "t.f16");
        double errors[CHANNELS];
        round_trip(errors, coding, &tensor);
        /* Half an ulp of 11 bits at the largest value, 1, 11 and 102. */
        assert_true(errors[0] <= 0x1p-12);
        assert_true(errors[1] <= 0x1p-8);
        assert_true(errors[2] <= 0x1p-5);
        ws_coding_destroy(coding);
        ws_tensor_fini(&tensor);
    }
}

static void test_int8(void **state)
{
    (void)state;
    static const enum ws_dtype dtypes[] = {WS_DTYPE_FP32, WS_DTYPE_FP64, WS_DTYPE_FP16};
    for (size_t i = 0; i < 3; i++) {
        struct ws_tensor tensor = sample_tensor(dtypes[i], 2);
        struct ws_codec_tensor described = describe("t", &tensor);
        struct ws_coding *coding = make_coding(WS_CODEC_INT8, &described, 1);
        assert_int_equal(ws_coding_wire_count(coding), 3);
        assert_string_equal(ws_coding_wire(coding, 0)->name, "t.q8");
        assert_string_equal(ws_coding_wire(coding, 1)->name, "t.scale");
        assert_string_equal(ws_coding_wire(coding, 2)->name, "t.zp");
        double errors[CHANNELS];
        round_trip(errors, coding, &tensor);
        /* One step of the whole tensor: its values span less than 204 / 255. */
        for (size_t c = 0; c < CHANNELS; c++)
            assert_true(errors[c] <= 0.81);
        ws_coding_destroy(coding);
        ws_tensor_fini(&tensor);
    }
}

static void test_int8c(void **state)
{
    (void)state;
    static const enum ws_dtype dtypes[] = {WS_DTYPE_FP32, WS_DTYPE_FP16};
    for (size_t i = 0; i < 2; i++) {
        struct ws_tensor tensor = sample_tensor(dtypes[i], 3);
        struct ws_codec_tensor described = describe("t", &tensor);
        struct ws_codec_range range = {0};
        assert_int_equal(ws_codec_range_add(&range, &tensor, NULL), 0);
        described.range = &range;
        struct ws_coding *coding = make_coding(WS_CODEC_INT8C, &described, 1);
        ws_codec_range_fini(&range);
        assert_int_equal(ws_coding_wire_count(coding), 1);
        double errors[CHANNELS];
        round_trip(errors, coding, &tensor);
        /* Every channel has a step of its own: 2, 20, 200 over 255; FP16 adds an ulp. */
        assert_true(errors[0] <= 2.1 / 255);
        assert_true(errors[1] <= 21.0 / 255);
        assert_true(errors[2] <= 210.0 / 255);
        ws_coding_destroy(coding);
        ws_tensor_fini(&tensor);
    }
}

static void test_int8c_scalar_range(void **state)
{
    (void)state;
    struct ws_tensor tensor;
    assert_int_equal(
        ws_tensor_init(&tensor, WS_DTYPE_FP32, (const int64_t[]){120}, 1, NULL), 0);
    for (int i = 0; i < 120; i++)
        ((float *)tensor.data)[i] = (float)i - 20;
    struct ws_codec_tensor described = describe("t", &tensor);
    struct ws_codec_range range = {0};
    assert_int_equal(ws_codec_range_add(&range, &tensor, NULL), 0);
    described.range = &range;
    struct ws_coding *coding = make_coding(WS_CODEC_INT8C, &described, 1);
    double errors[CHANNELS];
    round_trip(errors, coding, &tensor);
    for (size_t c = 0; c < CHANNELS; c++)
        assert_true(errors[c] <= 119.0 / 255 / 2 * 1.01);
    ws_coding_destroy(coding);
    ws_codec_range_fini(&range);
    ws_tensor_fini(&tensor);
}

static void test_range(void **state)
{
    (void)state;
    struct ws_codec_range range = {0};
    struct ws_tensor tensor = sample_tensor(WS_DTYPE_FP32, 4), other;
    float *data = tensor.data;
    data[0] = INFINITY;
    data[1] = NAN;
    data[2] = -7;
    assert_int_equal(ws_codec_range_add(&range, &tensor, NULL), 0);
    assert_near(range.low[0], -7, 0);
    assert_true(range.high[0] <= 1 && range.high[1] > 2 && range.high[2] > 12);
    data[2] = -9;
    assert_int_equal(ws_codec_range_add(&range, &tensor, NULL), 0);
    assert_near(range.low[0], -9, 0);
    assert_int_equal(
        ws_tensor_init(&other, WS_DTYPE_FP32, (const int64_t[]){1, 4}, 2, NULL), 0);
    assert_int_equal(ws_codec_range_add(&range, &other, NULL), WS_E_MISMATCH);
    ws_tensor_fini(&other);
    assert_int_equal(
        ws_tensor_init(&other, WS_DTYPE_INT8, (const int64_t[]){1, 3}, 2, NULL), 0);
    assert_int_equal(ws_codec_range_add(&range, &other, NULL), WS_E_TYPE);
    ws_tensor_fini(&other);
    ws_tensor_fini(&tensor);
    ws_codec_range_fini(&range);
}

/* A cut of three: only what is floating point is touched. */
static void test_passing(void **state)
{
    (void)state;
    const struct ws_codec_tensor tensors[] = {
        {.name = "tokens",
         .dtype = WS_DTYPE_INT64,
         .has_shape = 1,
         .rank = 1,
         .dims = {8}},
        {.name = "x", .dtype = WS_DTYPE_FP32, .has_shape = 1, .rank = 2, .dims = {1, 10}},
        {.name = "words",
         .dtype = WS_DTYPE_STRING,
         .has_shape = 1,
         .rank = 1,
         .dims = {2}},
    };
    uint64_t bytes = 0;
    struct ws_coding *coding = make_coding(WS_CODEC_INT8, tensors, 3);
    assert_int_equal(ws_coding_wire_count(coding), 5);
    assert_string_equal(ws_coding_wire(coding, 0)->name, "tokens");
    assert_true(ws_coding_wire(coding, 0)->passes);
    assert_int_equal(ws_coding_wire(coding, 3)->tensor, 1);
    assert_string_equal(ws_coding_wire(coding, 4)->name, "words");
    assert_false(ws_coding_is_plain(coding));
    assert_int_equal(ws_coding_bytes(&bytes, coding, NULL), WS_E_UNKNOWN);
    ws_coding_destroy(coding);
    coding = make_coding(WS_CODEC_INT8, tensors, 2);
    assert_int_equal(ws_coding_bytes(&bytes, coding, NULL), 0);
    assert_int_equal(bytes, 8 * 8 + 10 + 4 + 1);
    ws_coding_destroy(coding);

    struct ws_buf model;
    ws_buf_init(&model, 0);
    coding = make_coding(WS_CODEC_NONE, tensors, 3);
    assert_true(ws_coding_is_plain(coding));
    assert_int_equal(ws_coding_model(&model, coding, WS_CODEC_ENCODE, NULL), WS_E_USAGE);
    ws_coding_destroy(coding);
    ws_buf_fini(&model);
}

/* On two machines: what the encoder's ranges give travels, the decoder has none. */
static void test_int8c_apart(void **state)
{
    (void)state;
    for (size_t rank = 1; rank <= 3; rank += 2) {
        float low[CHANNELS] = {0}, high[CHANNELS] = {1, 2, 3};
        struct ws_codec_range range = {low, high, rank == 1 ? 1 : CHANNELS};
        struct ws_codec_tensor tensor = {.name = "t",
                                         .dtype = WS_DTYPE_FP32,
                                         .has_shape = 1,
                                         .rank = rank,
                                         .dims = {4, CHANNELS, 2}};
        struct ws_coding *decoding = NULL;
        struct ws_buf model;
        ws_buf_init(&model, 0);
        assert_int_equal(
            ws_coding_create_apart(&decoding, WS_CODEC_INT8C, &tensor, 1, NULL), 0);
        assert_int_equal(ws_coding_wire_count(decoding), 3);
        assert_string_equal(ws_coding_wire(decoding, 1)->name, "t.scale");
        assert_int_equal(ws_coding_wire(decoding, 1)->rank, 1);
        assert_int_equal(ws_coding_wire(decoding, 1)->dims[0], range.channels);
        assert_int_equal(ws_coding_wire(decoding, 2)->dims[0], range.channels);
        assert_int_equal(ws_coding_model(&model, decoding, WS_CODEC_DECODE, NULL), 0);
        assert_int_equal(ws_coding_model(&model, decoding, WS_CODEC_ENCODE, NULL),
                         WS_E_USAGE);
        ws_coding_destroy(decoding);
        ws_buf_fini(&model);
    }
}

static void test_refused(void **state)
{
    (void)state;
    struct ws_error err = {0};
    struct ws_coding *coding = NULL;
    float low[3] = {0}, high[3] = {1, 1, 1};
    struct ws_codec_range range = {low, high, 3};
    struct ws_codec_tensor tensor = {.name = "feature", .dtype = WS_DTYPE_FP32};
    assert_int_equal(ws_coding_create(&coding, WS_CODEC_INT8C, &tensor, 1, &err),
                     WS_E_USAGE);
    tensor.range = &range;
    assert_int_equal(ws_coding_create(&coding, WS_CODEC_INT8C, &tensor, 1, &err),
                     WS_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "feature"));
    tensor.has_shape = 1;
    tensor.rank = 3;
    tensor.dims[1] = -1;
    assert_int_equal(ws_coding_create(&coding, WS_CODEC_INT8C, &tensor, 1, &err),
                     WS_E_UNSUPPORTED);
    tensor.dims[1] = 4;
    assert_int_equal(ws_coding_create(&coding, WS_CODEC_INT8C, &tensor, 1, &err),
                     WS_E_MISMATCH);
    enum ws_codec codec;
    assert_int_equal(ws_codec_find(&codec, "int9", &err), WS_E_NOT_FOUND);
}

static void test_opsets(void **state)
{
    (void)state;
    static const struct {
        enum ws_codec codec;
        size_t rank;
        int64_t oldest;
    } rows[] = {
        {WS_CODEC_FP16, 3, 6},
        {WS_CODEC_INT8, 3, 11},
        {WS_CODEC_INT8C, 3, 13},
        {WS_CODEC_INT8C, 1, 10},
    };
    float low[3] = {0}, high[3] = {1, 1, 1};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_codec_range range = {low, high, rows[i].rank > 1 ? 3 : 1};
        const struct ws_codec_tensor tensor = {.name = "feature",
                                               .dtype = WS_DTYPE_FP32,
                                               .has_shape = 1,
                                               .rank = rows[i].rank,
                                               .dims = {-1, 3, -1},
                                               .range = &range};
        struct ws_error err = {0};
        struct ws_builder *b = NULL;
        struct ws_coding *coding = make_coding(rows[i].codec, &tensor, 1);
        assert_int_equal(ws_builder_create(&b, "g", rows[i].oldest, NULL), 0);
        assert_int_equal(
            ws_coding_nodes(b, coding, WS_CODEC_ENCODE, rows[i].oldest - 1, &err),
            WS_E_UNSUPPORTED);
        assert_non_null(strstr(err.text, "feature"));
        assert_int_equal(ws_builder_graph(b)->n_node, 0);
        assert_int_equal(
            ws_coding_nodes(b, coding, WS_CODEC_ENCODE, rows[i].oldest, NULL), 0);
        assert_true(ws_builder_graph(b)->n_node > 0);
        ws_builder_destroy(b);
        ws_coding_destroy(coding);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fp16),        cmocka_unit_test(test_int8),
        cmocka_unit_test(test_int8c),       cmocka_unit_test(test_int8c_scalar_range),
        cmocka_unit_test(test_range),       cmocka_unit_test(test_passing),
        cmocka_unit_test(test_int8c_apart), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_opsets),
    };
    return cmocka_run_group_tests(tests, make_engine, destroy_engine);
}
