/*
 * A tensor in memory: element type, shape, bytes in C order, little-endian, as every room
 * passes it on. Element types carry ONNX's own numbers. Data is aligned to 64 bytes,
 * which the runtime's kernels want. A tensor of strings holds `char *` elements, each its
 * own allocation. The caller owns a tensor; init/fini. Not thread-safe to change.
 */
#ifndef WS_CORE_TENSOR_H
#define WS_CORE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { WS_TENSOR_ALIGN = 64 };

/* TensorProto.DataType of ONNX 1.17. */
enum ws_dtype {
    WS_DTYPE_UNDEFINED = 0,
    WS_DTYPE_FP32 = 1,
    WS_DTYPE_UINT8 = 2,
    WS_DTYPE_INT8 = 3,
    WS_DTYPE_UINT16 = 4,
    WS_DTYPE_INT16 = 5,
    WS_DTYPE_INT32 = 6,
    WS_DTYPE_INT64 = 7,
    WS_DTYPE_STRING = 8,
    WS_DTYPE_BOOL = 9,
    WS_DTYPE_FP16 = 10,
    WS_DTYPE_FP64 = 11,
    WS_DTYPE_UINT32 = 12,
    WS_DTYPE_UINT64 = 13,
    WS_DTYPE_COMPLEX64 = 14,
    WS_DTYPE_COMPLEX128 = 15,
    WS_DTYPE_BF16 = 16,
    WS_DTYPE_FP8E4M3FN = 17,
    WS_DTYPE_FP8E4M3FNUZ = 18,
    WS_DTYPE_FP8E5M2 = 19,
    WS_DTYPE_FP8E5M2FNUZ = 20,
    WS_DTYPE_UINT4 = 21,
    WS_DTYPE_INT4 = 22,
    WS_DTYPE_COUNT
};

struct ws_tensor {
    enum ws_dtype dtype;
    size_t rank;
    int64_t dims[WS_TENSOR_RANK_MAX];
    void *data; /* NULL when the tensor has no elements */
    size_t size_bytes;
};

/* "FP32", "UINT8", ... as the Open Inference Protocol spells them; for types it lacks, in
 * the same manner. "?" for an unknown number. */
const char *ws_dtype_name(enum ws_dtype dtype);
/* Bits of one element; 0 for strings and unknown types. 4-bit types are packed in pairs.
 */
size_t ws_dtype_bits(enum ws_dtype dtype);
/* Number of elements; WS_E_LIMIT on overflow or above WS_TENSOR_BYTES_MAX elements,
 * WS_E_TYPE on a negative dimension. */
int ws_shape_count(uint64_t *out, const int64_t *dims, size_t rank, struct ws_error *err);
/* Bytes of a tensor of this type and shape (strings: of the pointers). */
int ws_shape_bytes(uint64_t *out, enum ws_dtype dtype, const int64_t *dims, size_t rank,
                   struct ws_error *err);
/* Allocates zeroed data for the shape. */
int ws_tensor_init(struct ws_tensor *out, enum ws_dtype dtype, const int64_t *dims,
                   size_t rank, struct ws_error *err);
void ws_tensor_fini(struct ws_tensor *tensor);
/* "FP32[1,3,224,224]" into text, cut to fit; returns text. */
char *ws_tensor_describe(char *text, size_t size, enum ws_dtype dtype,
                         const int64_t *dims, size_t rank);

#endif
