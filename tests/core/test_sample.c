#include "check.h"

#include <string.h>

#include "core/half.h"
#include "core/sample.h"

static const int64_t dims[] = {50, 41};
enum { COUNT = 50 * 41 };

static struct ws_tensor make(enum ws_dtype dtype, uint64_t seed)
{
    struct ws_tensor tensor;
    assert_int_equal(ws_sample_tensor(&tensor, dtype, dims, 2, seed, NULL), 0);
    return tensor;
}

static void test_same_seed(void **state)
{
    (void)state;
    for (int dtype = 1; dtype < WS_DTYPE_COUNT; dtype++) {
        if (dtype == WS_DTYPE_STRING)
            continue;
        struct ws_tensor a = make((enum ws_dtype)dtype, 1);
        struct ws_tensor b = make((enum ws_dtype)dtype, 1);
        struct ws_tensor c = make((enum ws_dtype)dtype, 2);
        assert_memory_equal(a.data, b.data, a.size_bytes);
        assert_memory_not_equal(a.data, c.data, a.size_bytes);
        ws_tensor_fini(&a);
        ws_tensor_fini(&b);
        ws_tensor_fini(&c);
    }
}

static void test_floats(void **state)
{
    (void)state;
    static const enum ws_dtype dtypes[] = {WS_DTYPE_FP32, WS_DTYPE_FP64, WS_DTYPE_FP16,
                                           WS_DTYPE_BF16};
    for (size_t k = 0; k < 4; k++) {
        struct ws_tensor tensor = make(dtypes[k], 3);
        double sum = 0, squares = 0;
        for (size_t i = 0; i < COUNT; i++) {
            double value = dtypes[k] == WS_DTYPE_FP32   ? ((float *)tensor.data)[i]
                           : dtypes[k] == WS_DTYPE_FP64 ? ((double *)tensor.data)[i]
                           : dtypes[k] == WS_DTYPE_FP16
                               ? ws_half_to_float(((uint16_t *)tensor.data)[i])
                               : ws_bf16_to_float(((uint16_t *)tensor.data)[i]);
            sum += value;
            squares += value * value;
        }
        assert_near(sum / COUNT, 0, 0.1);
        assert_near(squares / COUNT, 1, 0.1);
        ws_tensor_fini(&tensor);
    }
}

static void test_integers(void **state)
{
    (void)state;
    struct ws_tensor tensor = make(WS_DTYPE_INT64, 4);
    int seen = 0;
    for (size_t i = 0; i < COUNT; i++) {
        int64_t value = ((int64_t *)tensor.data)[i];
        assert_true(value >= 0 && value < WS_SAMPLE_INDEX_BOUND);
        seen |= 1 << value;
    }
    assert_int_equal(seen, (1 << WS_SAMPLE_INDEX_BOUND) - 1);
    ws_tensor_fini(&tensor);
    tensor = make(WS_DTYPE_BOOL, 4);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(((uint8_t *)tensor.data)[i] <= 1);
    ws_tensor_fini(&tensor);
}

static void test_strings(void **state)
{
    (void)state;
    struct ws_tensor a = make(WS_DTYPE_STRING, 5), b = make(WS_DTYPE_STRING, 5);
    for (size_t i = 0; i < COUNT; i++)
        assert_string_equal(((char **)a.data)[i], ((char **)b.data)[i]);
    ws_tensor_fini(&a);
    ws_tensor_fini(&b);
}

static void test_shapes(void **state)
{
    (void)state;
    struct ws_tensor tensor;
    const int64_t unknown[] = {3, -1}, many[WS_TENSOR_RANK_MAX + 1] = {0};
    assert_int_equal(ws_sample_tensor(&tensor, WS_DTYPE_FP32, unknown, 2, 0, NULL), 0);
    assert_int_equal(tensor.dims[0], 3);
    assert_int_equal(tensor.dims[1], 1);
    ws_tensor_fini(&tensor);
    assert_int_equal(ws_sample_tensor(&tensor, WS_DTYPE_INT8, unknown, 0, 0, NULL), 0);
    assert_int_equal(tensor.size_bytes, 1);
    ws_tensor_fini(&tensor);
    assert_int_equal(ws_sample_tensor(&tensor, WS_DTYPE_UNDEFINED, dims, 2, 0, NULL),
                     WS_E_TYPE);
    assert_int_equal(
        ws_sample_tensor(&tensor, WS_DTYPE_FP32, many, WS_TENSOR_RANK_MAX + 1, 0, NULL),
        WS_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed), cmocka_unit_test(test_floats),
        cmocka_unit_test(test_integers),  cmocka_unit_test(test_strings),
        cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
