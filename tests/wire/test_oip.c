#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "wire/oip.h"

static int parse_text(struct ws_oip_request *out, const char *text, struct ws_error *err)
{
    return ws_oip_request_parse(out, text, strlen(text), WS_OIP_NO_HEADER, err);
}

static void test_request_json(void **state)
{
    (void)state;
    struct ws_oip_request r;
    struct ws_error err = {0};
    int rc = parse_text(
        &r,
        "{\"id\":\"a7\",\"parameters\":{\"timeout\":2500,\"priority\":1,\"x\":[]},"
        "\"inputs\":[{\"name\":\"a\",\"shape\":[2,2],\"datatype\":\"FP32\","
        "\"data\":[[1,2.5],[-3,4e2]]},{\"name\":\"b\",\"shape\":[3],\"datatype\":"
        "\"UINT8\",\"data\":[0,128,255]},{\"name\":\"s\",\"shape\":[1,2],\"datatype\":"
        "\"BYTES\",\"data\":[\"x\",\"yz\"]},{\"name\":\"e\",\"shape\":[0,4],"
        "\"datatype\":\"INT64\",\"data\":[]},{\"name\":\"t\",\"shape\":[2],"
        "\"datatype\":\"BOOL\",\"data\":[true,0]}],"
        "\"outputs\":[{\"name\":\"o\",\"parameters\":{\"binary_data\":true}},"
        "{\"name\":\"p\"}]}",
        &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    assert_string_equal(r.id, "a7");
    assert_int_equal(r.timeout_us, 2500);
    assert_int_equal(r.priority, 1);
    assert_int_equal(r.input_count, 5);
    const float *a = r.inputs[0].tensor.data;
    assert_near(a[1], 2.5, 0);
    assert_near(a[3], 400, 0);
    assert_int_equal(r.inputs[0].tensor.rank, 2);
    assert_memory_equal(r.inputs[1].tensor.data, "\0\x80\xff", 3);
    assert_string_equal(((char **)r.inputs[2].tensor.data)[1], "yz");
    assert_int_equal(r.inputs[3].tensor.size_bytes, 0);
    assert_memory_equal(r.inputs[4].tensor.data, "\1\0", 2);
    assert_int_equal(r.output_count, 2);
    assert_int_equal(r.outputs[0].is_binary, 1);
    assert_int_equal(r.outputs[1].is_binary, 0);
    ws_oip_request_fini(&r);
}

#define IN(rest) "{\"inputs\":[{\"name\":\"a\"," rest "}]}"

static void test_request_json_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"", WS_E_FORMAT},
        {"{", WS_E_FORMAT},
        {"[]", WS_E_FORMAT},
        {"null", WS_E_FORMAT},
        {"{}", WS_E_FORMAT},
        {"{\"inputs\":{}}", WS_E_FORMAT},
        {"{\"inputs\":[7]}", WS_E_FORMAT},
        {"{\"id\":7,\"inputs\":[]}", WS_E_FORMAT},
        {"{\"parameters\":[],\"inputs\":[]}", WS_E_FORMAT},
        {"{\"parameters\":{\"timeout\":-1},\"inputs\":[]}", WS_E_LIMIT},
        {"{\"parameters\":{\"timeout\":\"1\"},\"inputs\":[]}", WS_E_FORMAT},
        {"{\"inputs\":[],\"outputs\":[{}]}", WS_E_FORMAT},
        {"{\"inputs\":[],\"outputs\":[{\"name\":\"o\"},{\"name\":\"o\"}]}", WS_E_FORMAT},
        {IN("\"shape\":[1],\"data\":[1]"), WS_E_FORMAT},
        {IN("\"datatype\":\"FP32\",\"data\":[1]"), WS_E_FORMAT},
        {IN("\"shape\":[1],\"datatype\":\"FP32\""), WS_E_FORMAT},
        {IN("\"shape\":[1],\"datatype\":\"FLOAT\",\"data\":[1]"), WS_E_TYPE},
        {IN("\"shape\":[1],\"datatype\":\"FP16\",\"data\":[1]"), WS_E_TYPE},
        {IN("\"shape\":[1],\"datatype\":\"BF16\",\"data\":[1]"), WS_E_TYPE},
        {IN("\"shape\":[-1],\"datatype\":\"FP32\",\"data\":[1]"), WS_E_LIMIT},
        {IN("\"shape\":[1.0],\"datatype\":\"FP32\",\"data\":[1]"), WS_E_FORMAT},
        {IN("\"shape\":3,\"datatype\":\"FP32\",\"data\":[1]"), WS_E_FORMAT},
        {IN("\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"datatype\":\"FP32\","
            "\"data\":[1]"),
         WS_E_LIMIT},
        {IN("\"shape\":[2],\"datatype\":\"FP32\",\"data\":[1]"), WS_E_MISMATCH},
        {IN("\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1,2]"), WS_E_MISMATCH},
        {IN("\"shape\":[9223372036854775807,3],\"datatype\":\"FP32\",\"data\":[1]"),
         WS_E_LIMIT},
        {IN("\"shape\":[60000000000],\"datatype\":\"FP32\",\"data\":[1]"), WS_E_MISMATCH},
        {IN("\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":[[1,2],[3]]"), WS_E_MISMATCH},
        {IN("\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":[[1,2],3]"), WS_E_FORMAT},
        {IN("\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":[1,[2,3],4]"), WS_E_MISMATCH},
        {IN("\"shape\":[4],\"datatype\":\"FP32\",\"data\":[1,[2,3],4,5]"), WS_E_FORMAT},
        {IN("\"shape\":[2],\"datatype\":\"FP32\",\"data\":[[1],[2]]"), WS_E_FORMAT},
        {IN("\"shape\":[],\"datatype\":\"FP32\",\"data\":[[1]]"), WS_E_MISMATCH},
        {IN("\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1e39]"), WS_E_LIMIT},
        {IN("\"shape\":[1],\"datatype\":\"FP32\",\"data\":[\"1\"]"), WS_E_FORMAT},
        {IN("\"shape\":[1],\"datatype\":\"FP32\",\"data\":[null]"), WS_E_FORMAT},
        {IN("\"shape\":[1],\"datatype\":\"UINT8\",\"data\":[256]"), WS_E_LIMIT},
        {IN("\"shape\":[1],\"datatype\":\"UINT8\",\"data\":[-1]"), WS_E_LIMIT},
        {IN("\"shape\":[1],\"datatype\":\"INT8\",\"data\":[-129]"), WS_E_LIMIT},
        {IN("\"shape\":[1],\"datatype\":\"INT32\",\"data\":[2147483648]"), WS_E_LIMIT},
        {IN("\"shape\":[1],\"datatype\":\"INT64\",\"data\":[9223372036854775808]"),
         WS_E_FORMAT},
        {IN("\"shape\":[1],\"datatype\":\"INT32\",\"data\":[1.5]"), WS_E_FORMAT},
        {IN("\"shape\":[1],\"datatype\":\"BOOL\",\"data\":[2]"), WS_E_LIMIT},
        {IN("\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[7]"), WS_E_FORMAT},
        {IN("\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"a\\u0000b\"]"),
         WS_E_FORMAT},
        {IN("\"shape\":[1],\"datatype\":\"FP32\",\"data\":7"), WS_E_FORMAT},
        {IN("\"shape\":[1],\"datatype\":\"FP32\",\"parameters\":{\"binary_data_size\":"
            "4}"),
         WS_E_MISMATCH},
        {"{\"inputs\":[{\"name\":\"a\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1]},"
         "{\"name\":\"a\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1]}]}",
         WS_E_FORMAT},
    };
    static const char *const lists[] = {"{\"inputs\":[0",
                                        "{\"inputs\":[],\"outputs\":[0"};
    struct ws_oip_request much;
    struct ws_buf many;
    ws_buf_init(&many, 0);
    for (size_t k = 0; k < 2; k++) {
        ws_buf_clear(&many);
        assert_int_equal(ws_buf_add_text(&many, lists[k], NULL), 0);
        for (size_t i = 0; i < WS_GRAPH_IO_MAX; i++)
            assert_int_equal(ws_buf_add_text(&many, ",0", NULL), 0);
        assert_int_equal(ws_buf_add_text(&many, "]}", NULL), 0);
        assert_int_equal(parse_text(&much, many.data, NULL), WS_E_LIMIT);
    }
    /* A name as long as may be is taken, or refused for another reason, one longer not.
     */
    for (size_t length = WS_NAME_MAX; length <= WS_NAME_MAX + 1; length++) {
        ws_buf_clear(&many);
        assert_int_equal(
            ws_buf_add_text(&many, "{\"inputs\":[],\"outputs\":[{\"name\":\"", NULL), 0);
        for (size_t i = 0; i < length; i++)
            assert_int_equal(ws_buf_add_text(&many, "n", NULL), 0);
        assert_int_equal(ws_buf_add_text(&many, "\"}]}", NULL), 0);
        assert_int_equal(parse_text(&much, many.data, NULL),
                         length > WS_NAME_MAX ? WS_E_LIMIT : 0);
        if (length <= WS_NAME_MAX)
            ws_oip_request_fini(&much);
    }
    /* JSON beyond its limit is not looked at. */
    ws_buf_clear(&many);
    assert_int_equal(ws_buf_reserve(&many, WS_OIP_JSON_MAX + 1, NULL), 0);
    memset(many.data, ' ', WS_OIP_JSON_MAX + 1);
    assert_int_equal(ws_oip_request_parse(&much, many.data, WS_OIP_JSON_MAX + 1,
                                          WS_OIP_NO_HEADER, NULL),
                     WS_E_LIMIT);
    ws_buf_fini(&many);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_oip_request r;
        struct ws_error err = {0};
        int rc = parse_text(&r, rows[i].text, &err);
        if (rc != rows[i].code)
            print_error("%s: %d, %s\n", rows[i].text, rc, err.text);
        assert_int_equal(rc, rows[i].code);
        assert_true(err.text[0] != '\0');
    }
}

static void test_request_json_too_deep(void **state)
{
    (void)state;
    struct ws_oip_request r;
    char *text = malloc(200001);
    assert_non_null(text);
    memset(text, '[', 200000);
    assert_int_equal(ws_oip_request_parse(&r, text, 200000, WS_OIP_NO_HEADER, NULL),
                     WS_E_LIMIT);
    free(text);
}

/* A body with a JSON head and blobs, 64-byte aligned or not. */
static int parse_binary(struct ws_oip_request *out, uint8_t *at, const char *head,
                        const void *blob, size_t blob_size, struct ws_error *err)
{
    size_t head_size = strlen(head);
    memcpy(at, head, head_size);
    if (blob_size > 0)
        memcpy(at + head_size, blob, blob_size);
    return ws_oip_request_parse(out, at, head_size + blob_size, (int64_t)head_size, err);
}

static void test_request_binary(void **state)
{
    (void)state;
    static const char head[] =
        "{\"inputs\":[{\"name\":\"h\",\"shape\":[2],\"datatype\":\"FP16\",\"parameters\":"
        "{\"binary_data_size\":4}},{\"name\":\"j\",\"shape\":[1],\"datatype\":\"INT8\","
        "\"data\":[5]},{\"name\":\"s\",\"shape\":[2],\"datatype\":\"BYTES\","
        "\"parameters\":{\"binary_data_size\":10}}]}";
    static const char blob[] = "\x00\x3c\x00\x40\x02\0\0\0ab\0\0\0\0";
    uint8_t *body = aligned_alloc(64, 1024);
    assert_non_null(body);
    struct ws_oip_request r;
    struct ws_error err = {0};
    for (size_t shift = 0; shift < 64; shift += 9) {
        assert_int_equal(parse_binary(&r, body + shift, head, blob, 14, &err), 0);
        assert_int_equal(r.input_count, 3);
        assert_memory_equal(r.inputs[0].tensor.data, blob, 4);
        assert_int_equal((uintptr_t)r.inputs[0].tensor.data % WS_TENSOR_ALIGN, 0);
        assert_int_equal(r.inputs[0].is_borrowed, (shift + strlen(head)) % 64 == 0);
        assert_string_equal(((char **)r.inputs[2].tensor.data)[0], "ab");
        assert_string_equal(((char **)r.inputs[2].tensor.data)[1], "");
        ws_oip_request_fini(&r);
    }
    free(body);
}

#define BIN(type, shape, size)                                                           \
    "{\"inputs\":[{\"name\":\"a\",\"shape\":" shape ",\"datatype\":\"" type              \
    "\",\"parameters\":{\"binary_data_size\":" size "}}]}"

static void test_request_binary_refused(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        const char *blob;
        size_t size;
        int code;
    } rows[] = {
        {BIN("FP32", "[2]", "8"), "1234567", 7, WS_E_MISMATCH},
        {BIN("FP32", "[2]", "8"), "123456789", 9, WS_E_MISMATCH},
        {BIN("FP32", "[2]", "7"), "1234567", 7, WS_E_MISMATCH},
        {BIN("FP32", "[2]", "-8"), "12345678", 8, WS_E_LIMIT},
        {BIN("FP32", "[2]", "8.0"), "12345678", 8, WS_E_FORMAT},
        {BIN("FP32", "[2]", "\"8\""), "12345678", 8, WS_E_FORMAT},
        {BIN("FP32", "[2]", "9223372036854775807"), "12345678", 8, WS_E_MISMATCH},
        {BIN("FP32", "[2]", "18446744073709551616"), "12345678", 8, WS_E_FORMAT},
        {BIN("FP32", "[4611686018427387904,4]", "8"), "12345678", 8, WS_E_LIMIT},
        {BIN("FP32", "[-2]", "8"), "12345678", 8, WS_E_LIMIT},
        {BIN("BOOL", "[2]", "2"), "\1\2", 2, WS_E_TYPE},
        {BIN("COMPLEX64", "[1]", "8"), "12345678", 8, WS_E_TYPE},
        {BIN("BYTES", "[1]", "4"), "\5\0\0\0", 4, WS_E_FORMAT},
        {BIN("BYTES", "[1]", "4"), "\xff\xff\xff\xff", 4, WS_E_FORMAT},
        {BIN("BYTES", "[2]", "4"), "\0\0\0\0", 4, WS_E_MISMATCH},
        {BIN("BYTES", "[1]", "5"), "\0\0\0\0x", 5, WS_E_MISMATCH},
        {BIN("BYTES", "[1]", "6"), "\2\0\0\0a\0", 6, WS_E_TYPE},
        {BIN("BYTES", "[60000000000]", "4"), "\0\0\0\0", 4, WS_E_MISMATCH},
        {"{\"inputs\":[{\"name\":\"a\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1],"
         "\"parameters\":{\"binary_data_size\":1}}]}",
         "\1", 1, WS_E_FORMAT},
        {"{\"inputs\":[{\"name\":\"a\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1]}]"
         "}",
         "x", 1, WS_E_MISMATCH},
    };
    uint8_t body[1024];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_oip_request r;
        struct ws_error err = {0};
        int rc = parse_binary(&r, body, rows[i].head, rows[i].blob, rows[i].size, &err);
        if (rc != rows[i].code)
            print_error("%s: %d, %s\n", rows[i].head, rc, err.text);
        assert_int_equal(rc, rows[i].code);
    }
}

static void test_header_size(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int rc_is_0;
        int64_t size;
    } rows[] = {
        {NULL, 1, WS_OIP_NO_HEADER},
        {"0", 1, 0},
        {"10", 1, 10},
        {"11", 0, 0},
        {"-1", 0, 0},
        {"", 0, 0},
        {"1x", 0, 0},
        {" 1", 0, 0},
        {"0x1", 0, 0},
        {"1.0", 0, 0},
        {"99999999999999999999", 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t size = 77;
        int rc = ws_oip_header_size(&size, rows[i].value, 10, NULL);
        assert_int_equal(rc == 0, rows[i].rc_is_0);
        assert_int_equal(size, rows[i].rc_is_0 ? rows[i].size : 77);
    }
    struct ws_oip_request r;
    assert_int_equal(ws_oip_request_parse(&r, "{}", 2, 3, NULL), WS_E_MISMATCH);
}

static void test_request_raw(void **state)
{
    (void)state;
    static const struct {
        enum ws_dtype dtype;
        int64_t dims[3];
        size_t rank;
        int code;
        int64_t free_dim;
    } rows[] = {
        {WS_DTYPE_FP32, {-1, 2}, 2, 0, 3},
        {WS_DTYPE_FP32, {3, 2}, 2, 0, 3},
        {WS_DTYPE_UINT8, {-1}, 1, 0, 24},
        {WS_DTYPE_FP32, {-1, 5}, 2, WS_E_MISMATCH, 0},
        {WS_DTYPE_FP32, {2, 2}, 2, WS_E_MISMATCH, 0},
        {WS_DTYPE_FP32, {-1, -1}, 2, WS_E_TYPE, 0},
        {WS_DTYPE_FP32, {-1, 0}, 2, WS_E_MISMATCH, 0},
        {WS_DTYPE_STRING, {1}, 1, WS_E_TYPE, 0},
    };
    uint8_t body[24] = {1, 2, 3};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_oip_request r;
        assert_int_equal(ws_oip_request_parse(&r, body, sizeof(body), 0, NULL), 0);
        assert_int_equal(ws_oip_request_take_raw(&r, "x", rows[i].dtype, rows[i].dims,
                                                 rows[i].rank, NULL),
                         rows[i].code);
        if (rows[i].code == 0) {
            assert_int_equal(r.inputs[0].tensor.dims[0], rows[i].free_dim);
            assert_memory_equal(r.inputs[0].tensor.data, body, sizeof(body));
        }
        ws_oip_request_fini(&r);
    }
}

/* The message as one run of bytes, 64-byte aligned. */
static uint8_t *flatten(const struct ws_oip_message *message)
{
    uint8_t *bytes = aligned_alloc(64, (message->size_bytes / 64 + 1) * 64);
    assert_non_null(bytes);
    size_t at = 0;
    for (size_t i = 0; i < message->part_count; i++) {
        if (message->parts[i].size > 0)
            memcpy(bytes + at, message->parts[i].data, message->parts[i].size);
        at += message->parts[i].size;
    }
    assert_int_equal(at, message->size_bytes);
    return bytes;
}

/* Every type the protocol has, built and parsed again: the same bits. */
static void test_round_trip(void **state)
{
    (void)state;
    static const enum ws_dtype dtypes[] = {
        WS_DTYPE_BOOL, WS_DTYPE_UINT8, WS_DTYPE_UINT16, WS_DTYPE_UINT32, WS_DTYPE_UINT64,
        WS_DTYPE_INT8, WS_DTYPE_INT16, WS_DTYPE_INT32,  WS_DTYPE_INT64,  WS_DTYPE_FP16,
        WS_DTYPE_FP32, WS_DTYPE_FP64,  WS_DTYPE_BF16,   WS_DTYPE_STRING,
    };
    const int64_t dims[] = {2, 3};
    for (size_t d = 0; d < sizeof(dtypes) / sizeof(dtypes[0]); d++) {
        for (int is_binary = 0; is_binary < 2; is_binary++) {
            struct ws_oip_tensor tensor = {.name = (char *)(uintptr_t) "t\xc3\xa9\"/0",
                                           .is_binary = is_binary != 0};
            struct ws_oip_request request = {.id = (char *)(uintptr_t) "i",
                                             .inputs = &tensor,
                                             .input_count = 1,
                                             .timeout_us = 9,
                                             .digest = (char *)(uintptr_t) "d1",
                                             .wants_times = 1,
                                             .policy = (char *)(uintptr_t) "p\"1",
                                             .minimise = (char *)(uintptr_t) "energy",
                                             .images_per_s = 0.3,
                                             .min_accuracy = 0.1},
                                  back;
            struct ws_oip_message message;
            struct ws_error err = {0};
            assert_int_equal(ws_tensor_init(&tensor.tensor, dtypes[d], dims, 2, NULL), 0);
            if (dtypes[d] == WS_DTYPE_STRING) {
                ((char **)tensor.tensor.data)[0] = strdup("a\"b");
                ((char **)tensor.tensor.data)[5] = strdup("z");
            } else {
                uint8_t *bytes = tensor.tensor.data;
                for (size_t i = 0; i < tensor.tensor.size_bytes; i++)
                    bytes[i] = dtypes[d] == WS_DTYPE_BOOL
                                   ? i & 1
                                   : (uint8_t)(i % 8 == 7 ? 0 : i * 5 + 1);
            }
            int rc = ws_oip_request_build(&message, &request, &err);
            if (!is_binary && !ws_oip_dtype_in_json(dtypes[d])) {
                assert_int_equal(rc, WS_E_TYPE);
                ws_tensor_fini(&tensor.tensor);
                continue;
            }
            assert_int_equal(rc, 0);
            if (is_binary)
                assert_int_equal(message.head.size % WS_TENSOR_ALIGN, 0);
            uint8_t *bytes = flatten(&message);
            rc = ws_oip_request_parse(&back, bytes, message.size_bytes,
                                      message.header_size, &err);
            assert_string_equal(err.text, "");
            assert_int_equal(rc, 0);
            assert_string_equal(back.id, "i");
            assert_string_equal(back.digest, "d1");
            assert_int_equal(back.wants_times, 1);
            assert_string_equal(back.policy, "p\"1");
            assert_near(back.min_accuracy, 0.1, 0);
            assert_near(back.images_per_s, 0.3, 0);
            assert_string_equal(back.minimise, "energy");
            assert_string_equal(back.inputs[0].name, tensor.name);
            assert_int_equal(back.inputs[0].tensor.dtype, dtypes[d]);
            if (dtypes[d] == WS_DTYPE_STRING) {
                assert_string_equal(((char **)back.inputs[0].tensor.data)[0], "a\"b");
                assert_string_equal(((char **)back.inputs[0].tensor.data)[5], "z");
            } else {
                assert_memory_equal(back.inputs[0].tensor.data, tensor.tensor.data,
                                    tensor.tensor.size_bytes);
                assert_int_equal(back.inputs[0].is_borrowed, is_binary);
            }
            ws_oip_request_fini(&back);
            ws_oip_message_fini(&message);
            ws_tensor_fini(&tensor.tensor);
            free(bytes);
        }
    }
}

static void test_reply(void **state)
{
    (void)state;
    float values[2] = {1.0f / 3, -2};
    struct ws_oip_tensor output = {.name = (char *)(uintptr_t) "y",
                                   .tensor = {.dtype = WS_DTYPE_FP32,
                                              .rank = 1,
                                              .dims = {2},
                                              .data = values,
                                              .size_bytes = sizeof(values)}};
    struct ws_oip_reply reply = {.model_name = (char *)(uintptr_t) "m",
                                 .model_version = (char *)(uintptr_t) "1",
                                 .outputs = &output,
                                 .output_count = 1,
                                 .times = {1, 2, 3, 4, 5}},
                        back;
    struct ws_oip_message message;
    assert_int_equal(ws_oip_reply_build(&message, &reply, NULL), 0);
    assert_string_equal(
        message.head.data,
        "{\"model_name\":\"m\",\"model_version\":\"1\",\"parameters\":{\"queue_ns\":2,"
        "\"decode_ns\":3,\"compute_ns\":4,\"total_ns\":5},\"outputs\":[{\"name\":\"y\","
        "\"datatype\":\"FP32\",\"shape\":[2],\"data\":[0.333333343,-2]}]}");
    assert_int_equal(message.header_size, WS_OIP_NO_HEADER);
    assert_int_equal(ws_oip_reply_parse(&back, message.head.data, message.head.size,
                                        WS_OIP_NO_HEADER, NULL),
                     0);
    assert_int_equal(back.times.is_known, 1);
    assert_int_equal(back.times.compute_ns, 4);
    assert_memory_equal(back.outputs[0].tensor.data, values, sizeof(values));
    ws_oip_reply_fini(&back);
    ws_oip_message_fini(&message);
    /* An agent says more. */
    reply.more = "\"cut\":\"7\",\"energy_j\":0.5";
    for (int is_known = 0; is_known < 2; is_known++) {
        reply.times.is_known = is_known;
        assert_int_equal(ws_oip_reply_build(&message, &reply, NULL), 0);
        assert_int_equal(ws_oip_reply_parse(&back, message.head.data, message.head.size,
                                            WS_OIP_NO_HEADER, NULL),
                         0);
        assert_int_equal(back.times.is_known, is_known);
        assert_string_equal(json_string_value(json_object_get(back.parameters, "cut")),
                            "7");
        assert_near(json_number_value(json_object_get(back.parameters, "energy_j")), 0.5,
                    0);
        ws_oip_reply_fini(&back);
        ws_oip_message_fini(&message);
    }
    /* What JSON has no words for. */
    values[0] = (float)NAN;
    assert_int_equal(ws_oip_reply_build(&message, &reply, NULL), WS_E_TYPE);
    output.is_binary = 1;
    assert_int_equal(ws_oip_reply_build(&message, &reply, NULL), 0);
    ws_oip_message_fini(&message);
    output.is_binary = 0;
    uint64_t large = (uint64_t)1 << 63;
    memcpy(values, &large, sizeof(large));
    output.tensor.dtype = WS_DTYPE_UINT64;
    output.tensor.dims[0] = 1;
    assert_int_equal(ws_oip_reply_build(&message, &reply, NULL), WS_E_TYPE);
    output.is_binary = 1;
    output.tensor.dtype = WS_DTYPE_COMPLEX64;
    assert_int_equal(ws_oip_reply_build(&message, &reply, NULL), WS_E_UNSUPPORTED);
    assert_int_equal(
        ws_oip_reply_parse(&back, "{\"model_name\":\"m\"}", 18, WS_OIP_NO_HEADER, NULL),
        WS_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_json),
        cmocka_unit_test(test_request_json_refused),
        cmocka_unit_test(test_request_json_too_deep),
        cmocka_unit_test(test_request_binary),
        cmocka_unit_test(test_request_binary_refused),
        cmocka_unit_test(test_header_size),
        cmocka_unit_test(test_request_raw),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
