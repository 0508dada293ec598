/*
 * Seeded values for a model's inputs, where nobody gave any: floats are standard normal,
 * integers small and not negative (so that an index or a class is rarely out of range),
 * booleans fair, strings short words. The same seed
 * gives the same bytes everywhere.
 */
#ifndef WS_ONNX_SAMPLE_H
#define WS_ONNX_SAMPLE_H

#include <stdint.h>

#include "base/error.h"
#include "core/tensor.h"

/* A tensor of this type and shape; dimensions of -1 become 1. WS_E_UNSUPPORTED for
 * element types that no value can be drawn for. */
int ws_sample_draw(struct ws_tensor *out, enum ws_dtype dtype, const int64_t *dims,
                   size_t rank, uint64_t seed, struct ws_error *err);

#endif
