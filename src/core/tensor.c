#include "core/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bits;
} dtypes[] = {
    [WS_DTYPE_UNDEFINED] = {"?", 0},
    [WS_DTYPE_FP32] = {"FP32", 32},
    [WS_DTYPE_UINT8] = {"UINT8", 8},
    [WS_DTYPE_INT8] = {"INT8", 8},
    [WS_DTYPE_UINT16] = {"UINT16", 16},
    [WS_DTYPE_INT16] = {"INT16", 16},
    [WS_DTYPE_INT32] = {"INT32", 32},
    [WS_DTYPE_INT64] = {"INT64", 64},
    [WS_DTYPE_STRING] = {"BYTES", 0},
    [WS_DTYPE_BOOL] = {"BOOL", 8},
    [WS_DTYPE_FP16] = {"FP16", 16},
    [WS_DTYPE_FP64] = {"FP64", 64},
    [WS_DTYPE_UINT32] = {"UINT32", 32},
    [WS_DTYPE_UINT64] = {"UINT64", 64},
    [WS_DTYPE_COMPLEX64] = {"COMPLEX64", 64},
    [WS_DTYPE_COMPLEX128] = {"COMPLEX128", 128},
    [WS_DTYPE_BF16] = {"BF16", 16},
    [WS_DTYPE_FP8E4M3FN] = {"FP8E4M3FN", 8},
    [WS_DTYPE_FP8E4M3FNUZ] = {"FP8E4M3FNUZ", 8},
    [WS_DTYPE_FP8E5M2] = {"FP8E5M2", 8},
    [WS_DTYPE_FP8E5M2FNUZ] = {"FP8E5M2FNUZ", 8},
    [WS_DTYPE_UINT4] = {"UINT4", 4},
    [WS_DTYPE_INT4] = {"INT4", 4},
};
_Static_assert(sizeof(dtypes) / sizeof(dtypes[0]) == WS_DTYPE_COUNT,
               "every element type has a row");

const char *ws_dtype_name(enum ws_dtype dtype)
{
    return (unsigned)dtype < WS_DTYPE_COUNT ? dtypes[dtype].name : "?";
}

size_t ws_dtype_bits(enum ws_dtype dtype)
{
    return (unsigned)dtype < WS_DTYPE_COUNT ? dtypes[dtype].bits : 0;
}

int ws_shape_count(uint64_t *out, const int64_t *dims, size_t rank, struct ws_error *err)
{
    if (rank > WS_TENSOR_RANK_MAX)
        return ws_error_set(err, WS_E_LIMIT, "rank %zu, at most %d", rank,
                            WS_TENSOR_RANK_MAX);
    uint64_t count = 1;
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return ws_error_set(err, WS_E_TYPE, "dimension %zu is %" PRId64, i, dims[i]);
        uint64_t dim = (uint64_t)dims[i];
        if (dim != 0 && count > WS_TENSOR_BYTES_MAX / dim)
            return ws_error_set(err, WS_E_LIMIT,
                                "a tensor of more than %" PRIu64 " elements",
                                WS_TENSOR_BYTES_MAX);
        count *= dim;
    }
    *out = count;
    return 0;
}

int ws_shape_bytes(uint64_t *out, enum ws_dtype dtype, const int64_t *dims, size_t rank,
                   struct ws_error *err)
{
    size_t bits = dtype == WS_DTYPE_STRING ? 8 * sizeof(char *) : ws_dtype_bits(dtype);
    if (bits == 0)
        return ws_error_set(err, WS_E_TYPE, "element type %d is unknown", (int)dtype);
    uint64_t count = 0;
    int rc = ws_shape_count(&count, dims, rank, err);
    if (rc != 0)
        return rc;
    uint64_t bytes = (count * bits + 7) / 8;
    if (bytes > WS_TENSOR_BYTES_MAX)
        return ws_error_set(err, WS_E_LIMIT,
                            "a tensor of %" PRIu64 " bytes, at most %" PRIu64, bytes,
                            WS_TENSOR_BYTES_MAX);
    *out = bytes;
    return 0;
}

int ws_tensor_init(struct ws_tensor *out, enum ws_dtype dtype, const int64_t *dims,
                   size_t rank, struct ws_error *err)
{
    uint64_t size = 0;
    int rc = ws_shape_bytes(&size, dtype, dims, rank, err);
    if (rc != 0)
        return rc;
    struct ws_tensor tensor = {.dtype = dtype, .rank = rank, .size_bytes = size};
    if (rank > 0)
        memcpy(tensor.dims, dims, rank * sizeof(*dims));
    if (size > 0) {
        size_t padded = (size + WS_TENSOR_ALIGN - 1) & ~(size_t)(WS_TENSOR_ALIGN - 1);
        tensor.data = aligned_alloc(WS_TENSOR_ALIGN, padded);
        if (tensor.data == NULL)
            return ws_error_nomem(err);
        memset(tensor.data, 0, padded);
    }
    *out = tensor;
    return 0;
}

void ws_tensor_fini(struct ws_tensor *tensor)
{
    if (tensor->dtype == WS_DTYPE_STRING) {
        char **strings = tensor->data;
        for (size_t i = 0; i < tensor->size_bytes / sizeof(char *); i++)
            free(strings[i]);
    }
    free(tensor->data);
    *tensor = (struct ws_tensor){0};
}

char *ws_tensor_describe(char *text, size_t size, enum ws_dtype dtype,
                         const int64_t *dims, size_t rank)
{
    size_t used = (size_t)snprintf(text, size, "%s[", ws_dtype_name(dtype));
    for (size_t i = 0; i < rank && used < size; i++) {
        const char *comma = i > 0 ? "," : "";
        int put = dims[i] < 0
                      ? snprintf(text + used, size - used, "%s?", comma)
                      : snprintf(text + used, size - used, "%s%" PRId64, comma, dims[i]);
        used += (size_t)put;
    }
    if (used < size)
        (void)snprintf(text + used, size - used, "]");
    return text;
}
