/*
 * Inputs out of nothing: tensors of any type and shape from a seed, to run a model that
 * came without data. Floats are standard normal, as normalised images are; bytes are
 * uniform over their whole range, as raw images are; wider integers are small and not
 * negative, since they mostly are indices, lengths or labels; strings are short words.
 * The same seed gives the same tensor (normal numbers: up to the rounding of the C
 * library's logarithm).
 */
#ifndef WS_CORE_SAMPLE_H
#define WS_CORE_SAMPLE_H

#include <stdint.h>

#include "base/error.h"
#include "core/tensor.h"

/* Wider integers are below this. */
enum { WS_SAMPLE_INDEX_BOUND = 4 };

/* Dimensions that are not known (-1) become 1. WS_E_TYPE for an unknown type. */
int ws_sample_tensor(struct ws_tensor *out, enum ws_dtype dtype, const int64_t *dims,
                     size_t rank, uint64_t seed, struct ws_error *err);

#endif
