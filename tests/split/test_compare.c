#include "check.h"

#include <string.h>

#include "split/compare.h"

static struct ws_datum floats(float *data, int64_t rows, int64_t width)
{
    return (struct ws_datum){.kind = WS_DATUM_TENSOR,
                             .tensor = {.dtype = WS_DTYPE_FP32,
                                        .rank = 2,
                                        .dims = {rows, width},
                                        .data = data,
                                        .size_bytes = (size_t)(rows * width) * 4}};
}

/* Whether two rows of three agree, with and without the leniency for quantised ones. */
static void test_compare_floats(void **state)
{
    (void)state;
    static const struct {
        float actual[3], expected[3];
        int exact, quantised; /* expected to agree */
    } rows[] = {
        {{1, 2, 3}, {1, 2, 3}, 1, 1},
        {{1, 2, 3.002f}, {1, 2, 3}, 1, 1},          /* within rtol */
        {{1, 2, 3.01f}, {1, 2, 3}, 0, 1},           /* beyond, same largest */
        {{1, 4, 3.01f}, {1, 2, 3}, 0, 0},           /* another largest */
        {{NAN, 2, 3}, {NAN, 2, 3}, 1, 1},           /* NaN is NaN */
        {{NAN, 2, 3}, {0, 2, 3}, 0, 0},             /* NaN is no answer */
        {{INFINITY, 2, 3}, {INFINITY, 2, 3}, 1, 1}, /* same infinity */
        {{1, 2, 3}, {1, 2, INFINITY}, 0, 1},        /* no allowance is infinite */
        {{0, 0, 0.00002f}, {0, 0, 0}, 0, 0},  /* beyond atol, the first 0 is largest */
        {{0, 0, 0.000005f}, {0, 0, 0}, 1, 1}, /* within atol */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int quantised = 0; quantised < 2; quantised++) {
            float a[3], b[3];
            struct ws_difference difference = {0};
            struct ws_tolerance tolerance = {1e-3, 1e-5, quantised};
            memcpy(a, rows[i].actual, sizeof(a));
            memcpy(b, rows[i].expected, sizeof(b));
            struct ws_datum actual = floats(a, 1, 3), expected = floats(b, 1, 3);
            assert_int_equal(
                ws_compare_datum(&difference, &actual, &expected, &tolerance, NULL), 0);
            int agrees = quantised ? rows[i].quantised : rows[i].exact;
            if (difference.disagrees == agrees)
                fail_msg("row %zu, quantised %d: disagrees %d", i, quantised,
                         difference.disagrees);
            assert_int_equal(difference.elements, 3);
        }
    }
}

static void test_compare_every_row_counts(void **state)
{
    (void)state;
    float a[] = {0, 9, 0, 9}, b[] = {0, 9, 9, 0};
    struct ws_datum actual = floats(a, 2, 2), expected = floats(b, 2, 2);
    struct ws_tolerance tolerance = {1e-3, 1e-5, 1};
    struct ws_difference difference = {0};
    assert_int_equal(ws_compare_datum(&difference, &actual, &expected, &tolerance, NULL),
                     0);
    assert_int_equal(difference.rows, 2);
    assert_int_equal(difference.rows_agree, 1);
    assert_true(difference.disagrees);
    assert_near(difference.abs_max, 9, 0);
}

static void test_compare_quanta(void **state)
{
    (void)state;
    uint8_t a[] = {10, 20}, b[] = {11, 20};
    struct ws_datum actual = {
        .tensor = {
            .dtype = WS_DTYPE_UINT8, .rank = 1, .dims = {2}, .data = a, .size_bytes = 2}};
    struct ws_datum expected = actual;
    expected.tensor.data = b;
    for (int quantised = 0; quantised < 2; quantised++) {
        struct ws_tolerance tolerance = {1e-3, 1e-5, quantised};
        struct ws_difference difference = {0};
        ws_compare_datum(&difference, &actual, &expected, &tolerance, NULL);
        assert_int_equal(difference.disagrees, !quantised);
    }
}

static void test_compare_shapes(void **state)
{
    (void)state;
    float a[] = {0, 1}, b[] = {0, 1};
    struct ws_datum actual = floats(a, 1, 2), expected = floats(b, 2, 1);
    struct ws_tolerance tolerance = {1e-3, 1e-5, 0};
    struct ws_difference difference = {0};
    struct ws_error err = {0};
    assert_int_equal(ws_compare_datum(&difference, &actual, &expected, &tolerance, &err),
                     WS_E_MISMATCH);
    assert_string_equal(err.text, "FP32[1,2] instead of FP32[2,1]");
}

static void test_compare_strings(void **state)
{
    (void)state;
    char *a[] = {(char *)(uintptr_t) "0.97676110", (char *)(uintptr_t) "cut"};
    char *b[] = {(char *)(uintptr_t) "0.9767611", (char *)(uintptr_t) "cut"};
    struct ws_datum actual = {.tensor = {.dtype = WS_DTYPE_STRING,
                                         .rank = 1,
                                         .dims = {2},
                                         .data = a,
                                         .size_bytes = sizeof(a)}};
    struct ws_datum expected = actual;
    expected.tensor.data = b;
    struct ws_tolerance tolerance = {1e-3, 1e-5, 0};
    struct ws_difference difference = {0};
    ws_compare_datum(&difference, &actual, &expected, &tolerance, NULL);
    assert_false(difference.disagrees);
    b[1] = (char *)(uintptr_t) "cat";
    ws_compare_datum(&difference, &actual, &expected, &tolerance, NULL);
    assert_true(difference.disagrees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare_floats),
        cmocka_unit_test(test_compare_every_row_counts),
        cmocka_unit_test(test_compare_quanta),
        cmocka_unit_test(test_compare_shapes),
        cmocka_unit_test(test_compare_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
