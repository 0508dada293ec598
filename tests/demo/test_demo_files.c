/* The files of etc/demo belong together and stay small. What the network answers is
 * shown by `wattshed verify` and `make demo`. */
#include "check.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "onnx/npy.h"
#include "onnx/tensorpb.h"

enum { SIDE = 96, CLASSES = 10, PICTURE_BYTES = SIDE * SIDE };

static uint64_t total_bytes;
static size_t file_count;

static const char *demo_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/etc/demo%s%s", getenv("WS_SOURCE_ROOT"),
             *name ? "/" : "", name);
    return path;
}

static void load_npy(struct ws_tensor *out, const char *name)
{
    struct ws_error err = {0};
    if (ws_npy_load(out, demo_path(name), &err) != 0)
        fail_msg("%s", err.text);
}

static void load_pb(struct ws_tensor *out, size_t set, const char *name)
{
    struct ws_error err = {0};
    struct ws_buf bytes;
    char file[64];
    snprintf(file, sizeof(file), "test_data_set_%zu/%s", set, name);
    ws_buf_init(&bytes, 0);
    if (ws_file_read(&bytes, demo_path(file), &err) != 0 ||
        ws_tensorpb_decode(out, bytes.data, bytes.size, &err) != 0)
        fail_msg("%s", err.text);
    ws_buf_fini(&bytes);
}

static int add_file(const char *path, const struct stat *status, int kind,
                    struct FTW *place)
{
    (void)path;
    (void)place;
    if (kind == FTW_F) {
        total_bytes += (uint64_t)status->st_size;
        file_count++;
    }
    return 0;
}

static void test_size_total(void **state)
{
    (void)state;
    total_bytes = file_count = 0;
    assert_int_equal(nftw(demo_path(""), add_file, 8, FTW_PHYS), 0);
    assert_true(file_count >= 7);
    assert_true(total_bytes < 3000000);
}

/* As many labels as pictures, every digit equally often, in turn: any first tens of the
 * sample are balanced. */
static void test_sample_balanced(void **state)
{
    (void)state;
    struct ws_tensor inputs, labels;
    load_npy(&inputs, "digits_inputs.npy");
    load_npy(&labels, "digits_labels.npy");
    assert_int_equal(inputs.dtype, WS_DTYPE_UINT8);
    assert_int_equal(inputs.rank, 4);
    assert_int_equal(inputs.dims[1], 1);
    assert_int_equal(inputs.dims[2], SIDE);
    assert_int_equal(inputs.dims[3], SIDE);
    assert_int_equal(labels.dtype, WS_DTYPE_INT64);
    assert_int_equal(labels.rank, 1);
    assert_int_equal(labels.dims[0], inputs.dims[0]);
    assert_true(inputs.dims[0] >= 100);
    for (int64_t i = 0; i < labels.dims[0]; i++)
        assert_int_equal(((const int64_t *)labels.data)[i], i % CLASSES);
    ws_tensor_fini(&labels);
    ws_tensor_fini(&inputs);
}

/* The ONNX test sets hold the sample's first pictures, and the reference answers to them
 * are right: largest at the label. */
static void test_sets_agree(void **state)
{
    (void)state;
    struct ws_tensor sample, labels, inputs, outputs;
    load_npy(&sample, "digits_inputs.npy");
    load_npy(&labels, "digits_labels.npy");
    int64_t first = 0;
    for (size_t set = 0; set < 2; set++) {
        load_pb(&inputs, set, "input_0.pb");
        load_pb(&outputs, set, "output_0.pb");
        int64_t count = inputs.dims[0];
        assert_int_equal(inputs.size_bytes, count * PICTURE_BYTES);
        assert_memory_equal(inputs.data,
                            (const uint8_t *)sample.data + first * PICTURE_BYTES,
                            inputs.size_bytes);
        assert_int_equal(outputs.dtype, WS_DTYPE_FP32);
        assert_int_equal(outputs.size_bytes, count * CLASSES * (int64_t)sizeof(float));
        for (int64_t i = 0; i < count; i++) {
            const float *logits = (const float *)outputs.data + i * CLASSES;
            int best = 0;
            for (int c = 1; c < CLASSES; c++)
                best = logits[c] > logits[best] ? c : best;
            assert_int_equal(best, ((const int64_t *)labels.data)[first + i]);
        }
        first += count;
        ws_tensor_fini(&outputs);
        ws_tensor_fini(&inputs);
    }
    assert_true(first > 0);
    ws_tensor_fini(&labels);
    ws_tensor_fini(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size_total),
        cmocka_unit_test(test_sample_balanced),
        cmocka_unit_test(test_sets_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
