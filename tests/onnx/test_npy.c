#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "onnx/npy.h"

/* The fuzzer's seeds were written by NumPy itself, so they serve as references here. */
static char *seed_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/fuzz/corpus/npy/%s.npy", getenv("WS_SOURCE_ROOT"),
             name);
    return path;
}

static void load(struct ws_tensor *out, const char *name)
{
    struct ws_error err = {0};
    if (ws_npy_load(out, seed_path(name), &err) != 0)
        fail_msg("%s", err.text);
}

static void assert_dims(const struct ws_tensor *tensor, size_t rank, const int64_t *dims)
{
    assert_int_equal(tensor->rank, rank);
    for (size_t i = 0; i < rank; i++)
        assert_int_equal(tensor->dims[i], dims[i]);
}

static void test_load_float(void **state)
{
    (void)state;
    struct ws_tensor tensor;
    load(&tensor, "f4");
    assert_int_equal(tensor.dtype, WS_DTYPE_FP32);
    assert_dims(&tensor, 2, (const int64_t[]){2, 3});
    for (int i = 0; i < 6; i++)
        assert_near(((const float *)tensor.data)[i], i, 0);
    ws_tensor_fini(&tensor);
    load(&tensor, "scalar");
    assert_int_equal(tensor.dtype, WS_DTYPE_FP64);
    assert_int_equal(tensor.rank, 0);
    assert_near(*(const double *)tensor.data, 3.5, 0);
    ws_tensor_fini(&tensor);
}

static void test_load_versions(void **state)
{
    (void)state;
    struct ws_tensor tensor;
    load(&tensor, "v2");
    assert_int_equal(tensor.dtype, WS_DTYPE_UINT8);
    assert_int_equal(((const uint8_t *)tensor.data)[3], 3);
    ws_tensor_fini(&tensor);
    load(&tensor, "v3");
    assert_int_equal(tensor.dtype, WS_DTYPE_FP16);
    assert_int_equal(((const uint16_t *)tensor.data)[1], 0x3c00);
    ws_tensor_fini(&tensor);
}

static void test_load_fortran(void **state)
{
    (void)state;
    struct ws_tensor tensor;
    load(&tensor, "fortran");
    assert_dims(&tensor, 3, (const int64_t[]){2, 3, 4});
    for (int i = 0; i < 24; i++)
        assert_int_equal(((const int32_t *)tensor.data)[i], i);
    ws_tensor_fini(&tensor);
}

static void test_load_empty(void **state)
{
    (void)state;
    struct ws_tensor tensor;
    load(&tensor, "empty");
    assert_dims(&tensor, 3, (const int64_t[]){3, 0, 2});
    assert_int_equal(tensor.size_bytes, 0);
    ws_tensor_fini(&tensor);
}

static void test_load_strings(void **state)
{
    (void)state;
    struct ws_tensor tensor;
    load(&tensor, "bytes");
    assert_int_equal(tensor.dtype, WS_DTYPE_STRING);
    assert_string_equal(((char **)tensor.data)[1], "cdef");
    assert_string_equal(((char **)tensor.data)[2], "");
    ws_tensor_fini(&tensor);
    load(&tensor, "python2");
    assert_int_equal(tensor.dims[0], 2);
    assert_near(((float *)tensor.data)[1], 2, 0);
    ws_tensor_fini(&tensor);
    load(&tensor, "unicode");
    assert_string_equal(((char **)tensor.data)[0], "\u00e9t\u00e9");
    assert_string_equal(((char **)tensor.data)[1], "\U0001f600");
    ws_tensor_fini(&tensor);
}

static void test_load_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int code;
    } rows[] = {
        {"big_endian", WS_E_UNSUPPORTED}, {"structured", WS_E_UNSUPPORTED},
        {"object", WS_E_UNSUPPORTED},     {"bad_version", WS_E_UNSUPPORTED},
        {"bad_type", WS_E_UNSUPPORTED},   {"bad_huge", WS_E_LIMIT},
        {"bad_widthless", WS_E_LIMIT},    {"bad_rank", WS_E_LIMIT},
        {"bad_length", WS_E_LIMIT},       {"bad_surrogate", WS_E_FORMAT},
        {"bad_negative", WS_E_FORMAT},    {"bad_twice", WS_E_FORMAT},
        {"bad_short", WS_E_FORMAT},       {"bad_rest", WS_E_FORMAT},
        {"bad_open", WS_E_FORMAT},        {"bad_magic", WS_E_FORMAT},
        {"bad_empty", WS_E_FORMAT},       {"no_such_file", WS_E_IO},
        {"bad_shape", WS_E_FORMAT},       {"bad_order", WS_E_FORMAT},
        {"bad_colon", WS_E_FORMAT},       {"bad_list", WS_E_FORMAT},
        {"bad_header", WS_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_tensor tensor;
        struct ws_error err = {0};
        int rc = ws_npy_load(&tensor, seed_path(rows[i].name), &err);
        if (rc != rows[i].code)
            fail_msg("%s: %s (%s)", rows[i].name, ws_error_name(rc), err.text);
        /* The line names the file. */
        assert_non_null(strstr(err.text, rows[i].name));
    }
}

static void test_slice(void **state)
{
    (void)state;
    static const char *const names[] = {"f4", "fortran"};
    for (size_t i = 0; i < 2; i++) {
        struct ws_npy npy;
        struct ws_tensor whole, part;
        load(&whole, names[i]);
        assert_int_equal(ws_npy_open(&npy, seed_path(names[i]), NULL), 0);
        assert_int_equal(ws_npy_slice(&part, &npy, 1, 1, NULL), 0);
        assert_int_equal(part.dims[0], 1);
        assert_int_equal(part.size_bytes, whole.size_bytes / 2);
        assert_memory_equal(part.data, (char *)whole.data + part.size_bytes,
                            part.size_bytes);
        ws_tensor_fini(&part);
        assert_int_equal(ws_npy_slice(&part, &npy, 2, 1, NULL), WS_E_NOT_FOUND);
        assert_int_equal(ws_npy_slice(&part, &npy, 1, UINT64_MAX, NULL), WS_E_NOT_FOUND);
        ws_npy_close(&npy);
        ws_tensor_fini(&whole);
    }
    struct ws_tensor part;
    const struct ws_npy scalar = {.rank = 0};
    assert_int_equal(ws_npy_slice(&part, &scalar, 0, 1, NULL), WS_E_TYPE);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const enum ws_dtype dtypes[] = {
        WS_DTYPE_FP16,  WS_DTYPE_FP32,   WS_DTYPE_FP64,   WS_DTYPE_INT8,
        WS_DTYPE_INT16, WS_DTYPE_INT32,  WS_DTYPE_INT64,  WS_DTYPE_UINT8,
        WS_DTYPE_BOOL,  WS_DTYPE_UINT16, WS_DTYPE_UINT64, WS_DTYPE_COMPLEX128,
    };
    char path[] = "/tmp/wattshed-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        struct ws_tensor tensor, again;
        int64_t dims[] = {3, 5};
        assert_int_equal(ws_tensor_init(&tensor, dtypes[i], dims, 2, NULL), 0);
        for (size_t k = 0; k < tensor.size_bytes; k++)
            ((uint8_t *)tensor.data)[k] = (uint8_t)(k * 7);
        assert_int_equal(ws_npy_save(path, &tensor, NULL), 0);
        assert_int_equal(ws_npy_load(&again, path, NULL), 0);
        assert_int_equal(again.dtype, tensor.dtype);
        assert_dims(&again, 2, dims);
        assert_memory_equal(again.data, tensor.data, tensor.size_bytes);
        ws_tensor_fini(&again);
        ws_tensor_fini(&tensor);
    }
    unlink(path);
}

static void test_encode_strings(void **state)
{
    (void)state;
    struct ws_tensor tensor;
    struct ws_npy npy;
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    assert_int_equal(
        ws_tensor_init(&tensor, WS_DTYPE_STRING, (const int64_t[]){2}, 1, NULL), 0);
    ((char **)tensor.data)[0] = strdup("three");
    assert_int_equal(ws_npy_encode(&buf, &tensor, NULL), 0);
    ws_tensor_fini(&tensor);
    assert_int_equal(ws_npy_view(&npy, buf.data, buf.size, NULL), 0);
    assert_int_equal((npy.data - (const uint8_t *)buf.data) % WS_TENSOR_ALIGN, 0);
    assert_int_equal(ws_npy_tensor(&tensor, &npy, NULL), 0);
    assert_string_equal(((char **)tensor.data)[0], "three");
    assert_string_equal(((char **)tensor.data)[1], "");
    ws_tensor_fini(&tensor);
    ws_buf_fini(&buf);
}

static void test_encode_unsupported(void **state)
{
    (void)state;
    struct ws_tensor tensor;
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    assert_int_equal(
        ws_tensor_init(&tensor, WS_DTYPE_BF16, (const int64_t[]){2}, 1, NULL), 0);
    assert_int_equal(ws_npy_encode(&buf, &tensor, NULL), WS_E_UNSUPPORTED);
    assert_int_equal(buf.size, 0);
    ws_tensor_fini(&tensor);
    ws_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_float),     cmocka_unit_test(test_load_versions),
        cmocka_unit_test(test_load_fortran),   cmocka_unit_test(test_load_empty),
        cmocka_unit_test(test_load_strings),   cmocka_unit_test(test_load_refused),
        cmocka_unit_test(test_slice),          cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_encode_strings), cmocka_unit_test(test_encode_unsupported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
