/*
 * NumPy's .npy files (format versions 1.0, 2.0 and 3.0) to tensors and back. The elements
 * may be little-endian floats, complex numbers, integers and booleans, or fixed-width
 * text: '|S n' becomes strings of bytes, '<U n' strings of UTF-8. Fortran order is turned
 * into C order while copying. Structured, big-endian and pickled arrays are refused with
 * a line that says so. A file is mapped, so one sample of a large one can be read without
 * the rest. The bytes are not trusted. Not thread-safe on one object.
 */
#ifndef WS_ONNX_NPY_H
#define WS_ONNX_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "core/tensor.h"

/* What one element is in the file. */
enum ws_npy_text { WS_NPY_NUMBER, WS_NPY_BYTES, WS_NPY_UNICODE };

/* An array as it lies in memory; `data` belongs to the bytes it was made from. */
struct ws_npy {
    enum ws_dtype dtype;
    enum ws_npy_text text;
    size_t item_bytes; /* of one element in the file */
    size_t rank;
    int64_t dims[WS_TENSOR_RANK_MAX];
    int fortran_order;
    const uint8_t *data;
    uint64_t count;    /* elements */
    struct ws_map map; /* empty unless ws_npy_open made it */
};

/* Reads the header and checks that the data is all there; copies nothing. */
int ws_npy_view(struct ws_npy *out, const void *bytes, size_t size, struct ws_error *err);
/* The same over a mapped file. */
int ws_npy_open(struct ws_npy *out, const char *path, struct ws_error *err);
void ws_npy_close(struct ws_npy *npy);

/* Copies `count` samples along the first dimension, from `first` on, in C order:
 * [N, ...] gives [count, ...]. WS_E_NOT_FOUND past the end, WS_E_TYPE for a scalar. */
int ws_npy_slice(struct ws_tensor *out, const struct ws_npy *npy, uint64_t first,
                 uint64_t count, struct ws_error *err);
/* Copies the whole array. */
int ws_npy_tensor(struct ws_tensor *out, const struct ws_npy *npy, struct ws_error *err);

/* Open, copy, close. */
int ws_npy_load(struct ws_tensor *out, const char *path, struct ws_error *err);

/* Appends version 1.0 with the data at a multiple of 64 bytes; strings become '|S n'.
 * WS_E_UNSUPPORTED for element types that NumPy has no name for. */
int ws_npy_encode(struct ws_buf *out, const struct ws_tensor *tensor,
                  struct ws_error *err);
int ws_npy_save(const char *path, const struct ws_tensor *tensor, struct ws_error *err);

#endif
