#include "check.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "onnx/tensorpb.h"

static const char testdata[] = "/usr/share/libonnx-testdata/data";

/* What each typed field holds must come out as the same plain bytes. */
static void test_typed_fields(void **state)
{
    (void)state;
    int32_t i32[] = {1, -2, 0x3c00};
    int64_t i64[] = {1, -2, 3}, dims[] = {3};
    uint64_t u64[] = {1, 0xffffffff, 3};
    float f32[] = {1, -2, 0.5f, 3, 4, 5};
    double f64[] = {1, -2, 0.5};
    static const uint16_t u16_bytes[] = {1, 0xfffe, 0x3c00};
    static const int8_t i8_bytes[] = {1, -2, 0};
    static const uint32_t u32_bytes[] = {1, 0xffffffff, 3};
    const struct {
        enum ws_dtype dtype;
        const void *bytes;
        size_t size;
    } rows[] = {
        {WS_DTYPE_FP32, f32, 12},         {WS_DTYPE_FP64, f64, 24},
        {WS_DTYPE_INT64, i64, 24},        {WS_DTYPE_UINT64, u64, 24},
        {WS_DTYPE_UINT32, u32_bytes, 12}, {WS_DTYPE_INT32, i32, 12},
        {WS_DTYPE_FP16, u16_bytes, 6},    {WS_DTYPE_BF16, u16_bytes, 6},
        {WS_DTYPE_UINT16, u16_bytes, 6},  {WS_DTYPE_INT16, u16_bytes, 6},
        {WS_DTYPE_INT8, i8_bytes, 3},     {WS_DTYPE_FP8E4M3FN, i8_bytes, 3},
        {WS_DTYPE_COMPLEX64, f32, 24},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Onnx__TensorProto proto = ONNX__TENSOR_PROTO__INIT;
        struct ws_tensor tensor;
        proto.n_dims = 1;
        proto.dims = dims;
        proto.data_type = (int32_t)rows[i].dtype;
        proto.float_data = f32;
        proto.n_float_data = rows[i].dtype == WS_DTYPE_COMPLEX64 ? 6 : 3;
        proto.double_data = f64;
        proto.int32_data = i32;
        proto.int64_data = i64;
        proto.uint64_data = u64;
        proto.n_double_data = proto.n_int32_data = proto.n_int64_data =
            proto.n_uint64_data = 3;
        assert_int_equal(ws_tensorpb_tensor(&tensor, &proto, NULL), 0);
        assert_int_equal(tensor.size_bytes, rows[i].size);
        assert_memory_equal(tensor.data, rows[i].bytes, rows[i].size);
        ws_tensor_fini(&tensor);
    }
}

static void test_four_bits(void **state)
{
    (void)state;
    int64_t dims[] = {3};
    int32_t pairs[] = {0x21, 0x03};
    Onnx__TensorProto proto = ONNX__TENSOR_PROTO__INIT;
    struct ws_tensor tensor;
    proto.n_dims = 1;
    proto.dims = dims;
    proto.data_type = WS_DTYPE_UINT4;
    proto.int32_data = pairs;
    proto.n_int32_data = 2;
    assert_int_equal(ws_tensorpb_tensor(&tensor, &proto, NULL), 0);
    assert_int_equal(tensor.size_bytes, 2);
    assert_memory_equal(tensor.data, "\x21\x03", 2);
    ws_tensor_fini(&tensor);
}

static void test_refused(void **state)
{
    (void)state;
    int64_t huge[] = {1 << 20, 1 << 10}, negative[] = {-1};
    struct ws_tensor tensor;
    struct ws_error err = {0};
    Onnx__TensorProto proto = ONNX__TENSOR_PROTO__INIT;
    proto.name = (char *)(uintptr_t) "weights";
    proto.has_data_type = 1;
    proto.data_type = WS_DTYPE_FP32;
    proto.n_dims = 2;
    proto.dims = huge;
    uint8_t bytes[64];
    size_t size = onnx__tensor_proto__pack(&proto, bytes);
    assert_int_equal(ws_tensorpb_decode(&tensor, bytes, size, &err), WS_E_MISMATCH);
    assert_non_null(strstr(err.text, "tensor \"weights\": "));
    proto.n_dims = 1;
    proto.dims = negative;
    assert_int_equal(ws_tensorpb_tensor(&tensor, &proto, &err), WS_E_TYPE);
    proto.data_type = 99;
    assert_int_equal(ws_tensorpb_tensor(&tensor, &proto, &err), WS_E_TYPE);
    proto.data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    assert_int_equal(ws_tensorpb_tensor(&tensor, &proto, &err), WS_E_UNSUPPORTED);
    assert_int_equal(ws_tensorpb_decode(&tensor, "\x08\xff", 2, &err), WS_E_FORMAT);
    assert_int_equal(ws_tensorpb_decode(&tensor, "", 0, &err), WS_E_TYPE);
}

static void test_encode_round_trip(void **state)
{
    (void)state;
    static const enum ws_dtype dtypes[] = {WS_DTYPE_FP32, WS_DTYPE_INT4, WS_DTYPE_BF16,
                                           WS_DTYPE_BOOL, WS_DTYPE_STRING};
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        struct ws_tensor tensor, again;
        struct ws_buf buf;
        ws_buf_init(&buf, 0);
        assert_int_equal(
            ws_tensor_init(&tensor, dtypes[i], (const int64_t[]){2, 2}, 2, NULL), 0);
        if (dtypes[i] == WS_DTYPE_STRING)
            ((char **)tensor.data)[3] = strdup("last");
        else
            memset(tensor.data, 1, tensor.size_bytes);
        assert_int_equal(ws_tensorpb_encode(&buf, &tensor, "t", NULL), 0);
        assert_int_equal(ws_tensorpb_decode(&again, buf.data, buf.size, NULL), 0);
        assert_int_equal(again.dtype, dtypes[i]);
        assert_int_equal(again.size_bytes, tensor.size_bytes);
        if (dtypes[i] == WS_DTYPE_STRING)
            assert_string_equal(((char **)again.data)[3], "last");
        else
            assert_memory_equal(again.data, tensor.data, tensor.size_bytes);
        ws_tensor_fini(&again);
        ws_tensor_fini(&tensor);
        ws_buf_fini(&buf);
    }
}

static Onnx__TypeProto tensor_type = ONNX__TYPE_PROTO__INIT;
static Onnx__TypeProto__Tensor float_tensor = ONNX__TYPE_PROTO__TENSOR__INIT;
static Onnx__TypeProto sequence_type = ONNX__TYPE_PROTO__INIT;
static Onnx__TypeProto__Sequence sequence = ONNX__TYPE_PROTO__SEQUENCE__INIT;
static Onnx__TypeProto optional_type = ONNX__TYPE_PROTO__INIT;
static Onnx__TypeProto__Optional optional = ONNX__TYPE_PROTO__OPTIONAL__INIT;

/* optional(sequence(tensor(float))) and what is inside. */
static int make_types(void **state)
{
    (void)state;
    float_tensor.has_elem_type = 1;
    float_tensor.elem_type = WS_DTYPE_FP32;
    tensor_type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    tensor_type.tensor_type = &float_tensor;
    sequence.elem_type = &tensor_type;
    sequence_type.value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    sequence_type.sequence_type = &sequence;
    optional.elem_type = &sequence_type;
    optional_type.value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
    optional_type.optional_type = &optional;
    return 0;
}

static void load_node_data(struct ws_datum *out, const char *test, const char *file,
                           const Onnx__TypeProto *type)
{
    char path[4096];
    struct ws_error err = {0};
    snprintf(path, sizeof(path), "%s/node/%s/test_data_set_0/%s", testdata, test, file);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not installed (libonnx-testdata)\n", path);
        skip();
    }
    if (ws_datumpb_load(out, path, type, &err) != 0)
        fail_msg("%s", err.text);
}

static void test_sequence(void **state)
{
    (void)state;
    struct ws_datum datum, again;
    load_node_data(&datum, "test_identity_sequence", "input_0.pb", &sequence_type);
    assert_int_equal(datum.kind, WS_DATUM_SEQUENCE);
    assert_int_equal(datum.item_count, 2);
    assert_int_equal(datum.items[1].tensor.rank, 4);
    assert_near(((const float *)datum.items[1].tensor.data)[3], 5, 0);
    char path[] = "/tmp/wattshed-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ws_datumpb_save(path, &datum, "x", NULL), 0);
    assert_int_equal(ws_datumpb_load(&again, path, &sequence_type, NULL), 0);
    assert_int_equal(again.item_count, 2);
    assert_memory_equal(again.items[0].tensor.data, datum.items[0].tensor.data, 16);
    unlink(path);
    ws_datum_fini(&again);
    ws_datum_fini(&datum);
}

/* Of the two names that onnx has given a test over the years, the one that is here. */
static const char *either(const char *newer, const char *older)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/node/%s", testdata, newer);
    return access(path, R_OK) == 0 ? newer : older;
}

static void test_optional(void **state)
{
    (void)state;
    struct ws_datum datum;
    load_node_data(&datum,
                   either("test_optional_get_element_optional_sequence",
                          "test_optional_get_element_sequence"),
                   "input_0.pb", &optional_type);
    assert_int_equal(datum.kind, WS_DATUM_OPTIONAL);
    assert_int_equal(datum.item_count, 1);
    assert_int_equal(datum.items[0].kind, WS_DATUM_SEQUENCE);
    assert_int_equal(datum.items[0].item_count, 1);
    assert_int_equal(((const int32_t *)datum.items[0].items[0].tensor.data)[3], 4);
    ws_datum_fini(&datum);
    load_node_data(&datum,
                   either("test_optional_has_element_empty_optional_input",
                          "test_optional_has_element_empty"),
                   "input_0.pb", &optional_type);
    assert_int_equal(datum.item_count, 0);
    assert_int_equal(datum.tensor.dtype, WS_DTYPE_FP32);
    ws_datum_fini(&datum);
}

/* No ONNX file holds these, so none is written. */
static void test_save_refused(void **state)
{
    (void)state;
    struct ws_datum inner = {.kind = WS_DATUM_SEQUENCE};
    const struct ws_datum maybe = {.kind = WS_DATUM_OPTIONAL};
    const struct ws_datum nested = {
        .kind = WS_DATUM_SEQUENCE, .items = &inner, .item_count = 1};
    struct ws_error err = {0};
    assert_int_equal(ws_datumpb_save("/no/such", &maybe, "x", &err), WS_E_UNSUPPORTED);
    assert_string_equal(err.text, "/no/such: an optional as a file");
    assert_int_equal(ws_datumpb_save("/no/such", &nested, "x", &err), WS_E_UNSUPPORTED);
    assert_int_equal(ws_datumpb_save("/no/such", &inner, "x", &err), WS_E_IO);
}

static void test_sequence_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        int code;
    } rows[] = {
        {"\x1a", 1, WS_E_FORMAT},                 /* a tag alone */
        {"\x1a\x7f\x08", 3, WS_E_FORMAT},         /* longer than the file */
        {"\x1d\x01\x02\x03\x04", 5, WS_E_FORMAT}, /* fixed32 */
        {"\x32\x00", 2, WS_E_UNSUPPORTED},        /* a map */
        {"\x1a\x02\x08\x01", 4, WS_E_TYPE},       /* a tensor without a type */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_datum datum;
        assert_int_equal(
            ws_datumpb_decode(&datum, rows[i].bytes, rows[i].size, &sequence_type, NULL),
            rows[i].code);
    }
    struct ws_datum empty;
    const Onnx__TypeProto map = {.value_case = ONNX__TYPE_PROTO__VALUE_MAP_TYPE};
    assert_int_equal(ws_datumpb_decode(&empty, "", 0, &map, NULL), WS_E_UNSUPPORTED);
    /* A sequence in a sequence in a ... */
    struct ws_datum datum;
    uint8_t nested[100];
    for (uint8_t i = 0; i < 100; i += 2) {
        nested[i] = 0x2a;
        nested[i + 1] = (uint8_t)(98 - i);
    }
    assert_int_equal(ws_datumpb_decode(&datum, nested, 100, &sequence_type, NULL),
                     WS_E_LIMIT);
}

/* Every tensor file of the installed test data reads, and writes back to a tensor with
 * the same bytes. */
static void test_all_node_data(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof(path), "%s/node", testdata);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        print_message("skipped: %s is not installed (libonnx-testdata)\n", path);
        skip();
    }
    size_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        /* Names with "seq" or "opt": the file need not hold a tensor. */
        if (strstr(entry->d_name, "seq") != NULL ||
            strstr(entry->d_name, "opt") != NULL || entry->d_name[0] == '.')
            continue;
        struct ws_datum datum, again;
        struct ws_buf buf;
        struct ws_error err = {0};
        ws_buf_init(&buf, 0);
        snprintf(path, sizeof(path), "%s/node/%s/test_data_set_0/output_0.pb", testdata,
                 entry->d_name);
        if (access(path, R_OK) != 0)
            continue;
        if (ws_datumpb_load(&datum, path, NULL, &err) != 0)
            fail_msg("%s", err.text);
        assert_int_equal(ws_tensorpb_encode(&buf, &datum.tensor, NULL, NULL), 0);
        assert_int_equal(ws_datumpb_decode(&again, buf.data, buf.size, NULL, NULL), 0);
        assert_int_equal(again.tensor.size_bytes, datum.tensor.size_bytes);
        if (datum.tensor.dtype != WS_DTYPE_STRING && datum.tensor.size_bytes > 0)
            assert_memory_equal(again.tensor.data, datum.tensor.data,
                                datum.tensor.size_bytes);
        ws_datum_fini(&again);
        ws_datum_fini(&datum);
        ws_buf_fini(&buf);
        count++;
    }
    closedir(dir);
    print_message("%zu tensor files\n", count);
    assert_true(count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typed_fields),  cmocka_unit_test(test_four_bits),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_encode_round_trip),
        cmocka_unit_test(test_sequence),      cmocka_unit_test(test_optional),
        cmocka_unit_test(test_save_refused),  cmocka_unit_test(test_sequence_hostile),
        cmocka_unit_test(test_all_node_data),
    };
    return cmocka_run_group_tests(tests, make_types, NULL);
}
