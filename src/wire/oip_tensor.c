#include "wire/oip_tensor.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The protocol's types; 16-bit floats have no form in JSON. */
static const struct {
    enum ws_dtype dtype;
    const char *name;
    int in_json;
} oip_dtypes[] = {
    {WS_DTYPE_BOOL, "BOOL", 1},     {WS_DTYPE_UINT8, "UINT8", 1},
    {WS_DTYPE_UINT16, "UINT16", 1}, {WS_DTYPE_UINT32, "UINT32", 1},
    {WS_DTYPE_UINT64, "UINT64", 1}, {WS_DTYPE_INT8, "INT8", 1},
    {WS_DTYPE_INT16, "INT16", 1},   {WS_DTYPE_INT32, "INT32", 1},
    {WS_DTYPE_INT64, "INT64", 1},   {WS_DTYPE_FP16, "FP16", 0},
    {WS_DTYPE_FP32, "FP32", 1},     {WS_DTYPE_FP64, "FP64", 1},
    {WS_DTYPE_BF16, "BF16", 0},     {WS_DTYPE_STRING, "BYTES", 1},
};
enum { OIP_DTYPE_COUNT = sizeof(oip_dtypes) / sizeof(oip_dtypes[0]) };

int ws_oip_dtype_find(enum ws_dtype *out, const char *name, struct ws_error *err)
{
    for (size_t i = 0; i < OIP_DTYPE_COUNT; i++) {
        if (strcmp(oip_dtypes[i].name, name) == 0) {
            *out = oip_dtypes[i].dtype;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_TYPE, "no datatype \"%.32s\"", name);
}

const char *ws_oip_dtype_name(enum ws_dtype dtype)
{
    return dtype == WS_DTYPE_STRING ? "BYTES" : ws_dtype_name(dtype);
}

int ws_oip_dtype_is_known(enum ws_dtype dtype)
{
    for (size_t i = 0; i < OIP_DTYPE_COUNT; i++) {
        if (oip_dtypes[i].dtype == dtype)
            return 1;
    }
    return 0;
}

int ws_oip_dtype_in_json(enum ws_dtype dtype)
{
    for (size_t i = 0; i < OIP_DTYPE_COUNT; i++) {
        if (oip_dtypes[i].dtype == dtype)
            return oip_dtypes[i].in_json;
    }
    return 0;
}

/* Where elements go while a JSON tensor is read. */
struct filler {
    struct ws_tensor *tensor;
    size_t next;
};

static int put_whole(struct filler *at, const struct ws_json *node, struct ws_error *err)
{
    static const struct {
        int64_t min, max;
    } bounds[WS_DTYPE_COUNT] = {
        [WS_DTYPE_UINT8] = {0, UINT8_MAX},   [WS_DTYPE_INT8] = {INT8_MIN, INT8_MAX},
        [WS_DTYPE_UINT16] = {0, UINT16_MAX}, [WS_DTYPE_INT16] = {INT16_MIN, INT16_MAX},
        [WS_DTYPE_UINT32] = {0, UINT32_MAX}, [WS_DTYPE_INT32] = {INT32_MIN, INT32_MAX},
        [WS_DTYPE_UINT64] = {0, INT64_MAX},  [WS_DTYPE_INT64] = {INT64_MIN, INT64_MAX},
    };
    enum ws_dtype dtype = at->tensor->dtype;
    int64_t value = 0;
    int rc = ws_json_i64(&value, node, bounds[dtype].min, bounds[dtype].max, err);
    if (rc != 0)
        return rc;
    /* Little-endian, so the low bytes are the value. */
    size_t bytes = ws_dtype_bits(dtype) / 8;
    memcpy((uint8_t *)at->tensor->data + at->next * bytes, &value, bytes);
    return 0;
}

static int put_string(struct filler *at, const struct ws_json *node, struct ws_error *err)
{
    const char *text = NULL;
    int rc = ws_json_string(&text, node, err);
    if (rc != 0)
        return rc;
    char *copy = strdup(text);
    if (copy == NULL)
        return ws_error_nomem(err);
    free(((char **)at->tensor->data)[at->next]);
    ((char **)at->tensor->data)[at->next] = copy;
    return 0;
}

static int put_bool(struct filler *at, const struct ws_json *node, struct ws_error *err)
{
    int64_t value = 0;
    int rc = 0;
    if (json_is_boolean(node->value))
        value = json_is_true(node->value);
    else
        rc = ws_json_i64(&value, node, 0, 1, err);
    if (rc == 0)
        ((uint8_t *)at->tensor->data)[at->next] = (uint8_t)value;
    return rc;
}

static int put_element(struct filler *at, const struct ws_json *node,
                       struct ws_error *err)
{
    double real = 0;
    int rc = 0;
    switch (at->tensor->dtype) {
    case WS_DTYPE_FP32:
        rc = ws_json_double(&real, node, -(double)FLT_MAX, FLT_MAX, err);
        if (rc == 0)
            ((float *)at->tensor->data)[at->next] = (float)real;
        break;
    case WS_DTYPE_FP64:
        rc = ws_json_double(&real, node, -DBL_MAX, DBL_MAX, err);
        if (rc == 0)
            ((double *)at->tensor->data)[at->next] = real;
        break;
    case WS_DTYPE_BOOL:
        rc = put_bool(at, node, err);
        break;
    case WS_DTYPE_STRING:
        rc = put_string(at, node, err);
        break;
    default:
        rc = put_whole(at, node, err);
        break;
    }
    at->next += rc == 0;
    return rc;
}

/* Nested arrays must have the shape's lengths at every depth. */
static int check_nested(const struct ws_json *node, const int64_t *dims, size_t rank,
                        size_t depth, struct ws_error *err)
{
    int rc = ws_json_array(node, err);
    size_t count = rc == 0 ? ws_json_count(node) : 0;
    if (rc == 0 && (int64_t)count != dims[depth])
        rc = ws_json_fail(node, WS_E_MISMATCH, err,
                          "%zu elements where the shape says %" PRId64, count,
                          dims[depth]);
    for (size_t i = 0; rc == 0 && depth + 1 < rank && i < count; i++) {
        struct ws_json child = ws_json_at(node, i);
        rc = check_nested(&child, dims, rank, depth + 1, err);
    }
    return rc;
}

static int fill(struct filler *at, const struct ws_json *node, size_t depth,
                struct ws_error *err)
{
    int rc = 0;
    size_t count = ws_json_count(node);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct ws_json child = ws_json_at(node, i);
        rc = depth > 1 ? fill(at, &child, depth - 1, err) : put_element(at, &child, err);
    }
    return rc;
}

/* Data that stands in the JSON, nested or flat. Memory is taken only once the elements
 * were counted, so that a shape cannot ask for more than was sent. */
static int parse_data(struct ws_tensor *out, enum ws_dtype dtype, const int64_t *dims,
                      size_t rank, const struct ws_json *data, struct ws_error *err)
{
    uint64_t wanted = 0;
    if (!ws_oip_dtype_in_json(dtype))
        return ws_json_fail(data, WS_E_TYPE, err,
                            "%s has no form in JSON: send it binary",
                            ws_oip_dtype_name(dtype));
    int rc = ws_json_array(data, err);
    if (rc == 0)
        rc = ws_shape_count(&wanted, dims, rank, err);
    if (rc != 0)
        return rc;
    size_t count = ws_json_count(data);
    struct ws_json first = {0};
    if (count > 0)
        first = ws_json_at(data, 0);
    int is_nested = count > 0 && json_is_array(first.value);
    if (is_nested && rank == 0)
        return ws_json_fail(data, WS_E_MISMATCH, err, "nested data for a scalar");
    if (is_nested)
        rc = check_nested(data, dims, rank, 0, err);
    else if (count != wanted)
        rc = ws_json_fail(data, WS_E_MISMATCH, err,
                          "%zu elements where the shape says %" PRIu64, count, wanted);
    if (rc == 0)
        rc = ws_tensor_init(out, dtype, dims, rank, err);
    if (rc != 0)
        return rc;
    struct filler at = {.tensor = out};
    rc = fill(&at, data, is_nested ? rank : 1, err);
    if (rc != 0)
        ws_tensor_fini(out);
    return rc;
}

/* u32 length and bytes, for each element. */
static int unpack_strings(struct ws_tensor *out, const int64_t *dims, size_t rank,
                          const uint8_t *data, size_t size, struct ws_error *err)
{
    uint64_t count = 0;
    struct ws_cursor cursor = ws_cursor_make(data, size);
    int rc = ws_shape_count(&count, dims, rank, err);
    if (rc == 0 && (count > size / 4 || count > WS_OIP_STRINGS_MAX))
        rc = ws_error_set(err, WS_E_MISMATCH,
                          "%" PRIu64 " BYTES elements do not fit in %zu bytes", count,
                          size);
    if (rc == 0)
        rc = ws_tensor_init(out, WS_DTYPE_STRING, dims, rank, err);
    if (rc != 0)
        return rc;
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        uint32_t length = 0;
        const uint8_t *bytes = NULL;
        rc = ws_cursor_u32(&length, &cursor, err);
        if (rc == 0)
            rc = ws_cursor_bytes(&bytes, length, &cursor, err);
        if (rc == 0 && length > 0 && memchr(bytes, 0, length) != NULL)
            rc = ws_error_set(err, WS_E_TYPE, "BYTES element %" PRIu64 " holds a NUL", i);
        char *copy = rc == 0 ? strndup((const char *)bytes, length) : NULL;
        if (rc == 0 && copy == NULL)
            rc = ws_error_nomem(err);
        if (rc == 0) {
            free(((char **)out->data)[i]);
            ((char **)out->data)[i] = copy;
        }
    }
    if (rc == 0 && ws_cursor_left(&cursor) != 0)
        rc = ws_error_set(err, WS_E_MISMATCH, "%zu bytes behind the last BYTES element",
                          ws_cursor_left(&cursor));
    if (rc != 0)
        ws_tensor_fini(out);
    return rc;
}

int ws_oip_tensor_from_bytes(struct ws_oip_tensor *out, enum ws_dtype dtype,
                             const int64_t *dims, size_t rank, const uint8_t *data,
                             size_t size, struct ws_error *err)
{
    uint64_t wanted = 0;
    out->is_binary = 1;
    if (dtype == WS_DTYPE_STRING)
        return unpack_strings(&out->tensor, dims, rank, data, size, err);
    int rc = ws_shape_bytes(&wanted, dtype, dims, rank, err);
    if (rc == 0 && wanted != size)
        rc = ws_error_set(err, WS_E_MISMATCH,
                          "%zu bytes where type and shape say %" PRIu64, size, wanted);
    if (rc != 0)
        return rc;
    if (size == 0 || (uintptr_t)data % WS_TENSOR_ALIGN != 0) {
        rc = ws_tensor_init(&out->tensor, dtype, dims, rank, err);
        if (rc == 0 && size > 0)
            memcpy(out->tensor.data, data, size);
    } else {
        out->tensor = (struct ws_tensor){.dtype = dtype,
                                         .rank = rank,
                                         .data = (void *)(uintptr_t)data,
                                         .size_bytes = size};
        if (rank > 0)
            memcpy(out->tensor.dims, dims, rank * sizeof(*dims));
        out->is_borrowed = 1;
    }
    /* The runtime takes a byte that is neither 0 nor 1 for undefined behaviour. */
    const uint8_t *bytes = out->tensor.data;
    for (size_t i = 0; rc == 0 && dtype == WS_DTYPE_BOOL && i < size; i++) {
        if (bytes[i] > 1)
            rc = ws_error_set(err, WS_E_TYPE, "BOOL element %zu is %u", i, bytes[i]);
    }
    if (rc != 0 && !out->is_borrowed)
        ws_tensor_fini(&out->tensor);
    return rc;
}

static int parse_shape(int64_t *dims, size_t *rank, const struct ws_json *tensor,
                       struct ws_error *err)
{
    struct ws_json shape;
    int rc = ws_json_member(&shape, tensor, "shape", err);
    if (rc == 0)
        rc = ws_json_array(&shape, err);
    if (rc == 0 && ws_json_count(&shape) > WS_TENSOR_RANK_MAX)
        rc = ws_json_fail(&shape, WS_E_LIMIT, err, "%zu dimensions, at most %d",
                          ws_json_count(&shape), WS_TENSOR_RANK_MAX);
    if (rc != 0)
        return rc;
    *rank = ws_json_count(&shape);
    for (size_t i = 0; rc == 0 && i < *rank; i++) {
        struct ws_json dim = ws_json_at(&shape, i);
        rc = ws_json_i64(&dims[i], &dim, 0, INT64_MAX, err);
    }
    return rc;
}

static int parse_tensor(struct ws_oip_tensor *out, const struct ws_json *node,
                        struct ws_cursor *blobs, struct ws_error *err)
{
    const char *name = NULL, *type = NULL;
    enum ws_dtype dtype = WS_DTYPE_UNDEFINED;
    int64_t dims[WS_TENSOR_RANK_MAX] = {0};
    size_t rank = 0;
    struct ws_json parameters, size_node, data;
    int rc = ws_json_get_string(&name, node, "name", err);
    if (rc == 0)
        rc = ws_json_get_string(&type, node, "datatype", err);
    if (rc == 0)
        rc = ws_oip_dtype_find(&dtype, type, err);
    if (rc == 0)
        rc = parse_shape(dims, &rank, node, err);
    if (rc == 0 && (out->name = strndup(name, WS_NAME_MAX)) == NULL)
        rc = ws_error_nomem(err);
    if (rc != 0)
        return rc;
    int has_data = ws_json_find(&data, node, "data");
    if (ws_json_find(&parameters, node, "parameters") &&
        ws_json_find(&size_node, &parameters, "binary_data_size")) {
        int64_t size = 0;
        const uint8_t *bytes = NULL;
        if (has_data)
            return ws_json_fail(node, WS_E_FORMAT, err,
                                "both \"data\" and \"binary_data_size\"");
        rc = ws_json_i64(&size, &size_node, 0, INT64_MAX, err);
        if (rc == 0 && (uint64_t)size > ws_cursor_left(blobs))
            rc = ws_json_fail(&size_node, WS_E_MISMATCH, err,
                              "%" PRId64 " bytes, but only %zu are left in the body",
                              size, ws_cursor_left(blobs));
        if (rc == 0)
            rc = ws_cursor_bytes(&bytes, (size_t)size, blobs, err);
        if (rc == 0)
            rc = ws_oip_tensor_from_bytes(out, dtype, dims, rank, bytes, (size_t)size,
                                          err);
        if (rc != 0)
            (void)ws_error_context(err, "\"%s\"", out->name);
        return rc;
    }
    if (!has_data)
        return ws_json_fail(node, WS_E_FORMAT, err, "\"data\" is missing");
    return parse_data(&out->tensor, dtype, dims, rank, &data, err);
}

void ws_oip_tensors_fini(struct ws_oip_tensor *tensors, size_t count)
{
    for (size_t i = 0; tensors != NULL && i < count; i++) {
        if (!tensors[i].is_borrowed)
            ws_tensor_fini(&tensors[i].tensor);
        free(tensors[i].name);
    }
    free(tensors);
}

int ws_oip_tensors_parse(struct ws_oip_tensor **out, size_t *out_count,
                         const struct ws_json *array, struct ws_cursor *blobs,
                         struct ws_error *err)
{
    int rc = ws_json_array(array, err);
    size_t count = rc == 0 ? ws_json_count(array) : 0;
    if (rc == 0 && count > WS_GRAPH_IO_MAX)
        rc = ws_json_fail(array, WS_E_LIMIT, err, "%zu tensors, at most %d", count,
                          WS_GRAPH_IO_MAX);
    if (rc != 0)
        return rc;
    struct ws_oip_tensor *tensors = calloc(count + 1, sizeof(*tensors));
    if (tensors == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct ws_json node = ws_json_at(array, i);
        rc = parse_tensor(&tensors[i], &node, blobs, err);
        for (size_t k = 0; rc == 0 && k < i; k++) {
            if (strcmp(tensors[k].name, tensors[i].name) == 0)
                rc = ws_json_fail(&node, WS_E_FORMAT, err, "\"%s\" comes twice",
                                  tensors[i].name);
        }
    }
    if (rc == 0 && ws_cursor_left(blobs) != 0)
        rc = ws_error_set(err, WS_E_MISMATCH, "%zu bytes behind the last tensor",
                          ws_cursor_left(blobs));
    if (rc != 0) {
        ws_oip_tensors_fini(tensors, count);
        return rc;
    }
    *out = tensors;
    *out_count = count;
    return 0;
}
