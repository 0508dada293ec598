#include "core/sample.h"

#include <string.h>

#include "base/rng.h"
#include "core/half.h"

static float normal(struct ws_rng *rng)
{
    return (float)ws_rng_normal(rng);
}

/* Consecutive values of one 32-, 64- or 16-bit floating type. */
static void fill_floats(struct ws_tensor *tensor, struct ws_rng *rng)
{
    size_t size = tensor->size_bytes;
    float *f32 = tensor->data;
    double *f64 = tensor->data;
    uint16_t *f16 = tensor->data;
    switch (tensor->dtype) {
    case WS_DTYPE_FP32:
    case WS_DTYPE_COMPLEX64:
        for (size_t i = 0; i < size / sizeof(*f32); i++)
            f32[i] = normal(rng);
        break;
    case WS_DTYPE_FP64:
    case WS_DTYPE_COMPLEX128:
        for (size_t i = 0; i < size / sizeof(*f64); i++)
            f64[i] = ws_rng_normal(rng);
        break;
    case WS_DTYPE_FP16:
        for (size_t i = 0; i < size / sizeof(*f16); i++)
            f16[i] = ws_half_from_float(normal(rng));
        break;
    default:
        for (size_t i = 0; i < size / sizeof(*f16); i++)
            f16[i] = ws_bf16_from_float(normal(rng));
        break;
    }
}

/* `keep` masks each byte and `set` is added: how 8-bit floats are kept near 1 and off
 * their infinities and NaN. */
static void fill_bytes(struct ws_tensor *tensor, struct ws_rng *rng, uint8_t keep,
                       uint8_t set)
{
    uint8_t *bytes = tensor->data;
    for (size_t i = 0; i < tensor->size_bytes; i++)
        bytes[i] = (uint8_t)((ws_rng_below(rng, 256) & keep) | set);
}

static void fill_indices(struct ws_tensor *tensor, struct ws_rng *rng)
{
    size_t width = ws_dtype_bits(tensor->dtype) / 8;
    uint8_t *bytes = tensor->data;
    /* Little-endian: the low byte is the number, the others are zero already. */
    for (size_t at = 0; at < tensor->size_bytes; at += width)
        bytes[at] = (uint8_t)ws_rng_below(rng, WS_SAMPLE_INDEX_BOUND);
}

static int fill_strings(struct ws_tensor *tensor, struct ws_rng *rng,
                        struct ws_error *err)
{
    static const char *const words[] = {"alpha", "beta", "gamma", "delta"};
    char **strings = tensor->data;
    for (size_t i = 0; i < tensor->size_bytes / sizeof(*strings); i++) {
        strings[i] = strdup(words[ws_rng_below(rng, 4)]);
        if (strings[i] == NULL)
            return ws_error_nomem(err);
    }
    return 0;
}

static int fill(struct ws_tensor *tensor, struct ws_rng *rng, struct ws_error *err)
{
    switch (tensor->dtype) {
    case WS_DTYPE_STRING:
        return fill_strings(tensor, rng, err);
    case WS_DTYPE_BOOL:
        fill_bytes(tensor, rng, 1, 0);
        return 0;
    case WS_DTYPE_UINT8:
    case WS_DTYPE_INT8:
    case WS_DTYPE_UINT4:
    case WS_DTYPE_INT4:
        fill_bytes(tensor, rng, 0xff, 0);
        return 0;
    case WS_DTYPE_FP8E4M3FN: /* sign, 3 of mantissa; exponent 6 or 7 of bias 7 */
    case WS_DTYPE_FP8E4M3FNUZ:
        fill_bytes(tensor, rng, 0x8f, 0x30);
        return 0;
    case WS_DTYPE_FP8E5M2: /* sign, 2 of mantissa; exponent 14 or 15 of bias 15 */
    case WS_DTYPE_FP8E5M2FNUZ:
        fill_bytes(tensor, rng, 0x87, 0x38);
        return 0;
    case WS_DTYPE_UINT16:
    case WS_DTYPE_INT16:
    case WS_DTYPE_INT32:
    case WS_DTYPE_INT64:
    case WS_DTYPE_UINT32:
    case WS_DTYPE_UINT64:
        fill_indices(tensor, rng);
        return 0;
    default:
        fill_floats(tensor, rng);
        return 0;
    }
}

int ws_sample_tensor(struct ws_tensor *out, enum ws_dtype dtype, const int64_t *dims,
                     size_t rank, uint64_t seed, struct ws_error *err)
{
    struct ws_tensor tensor = {0};
    struct ws_rng rng;
    int64_t known[WS_TENSOR_RANK_MAX] = {0};
    for (size_t i = 0; i < rank && i < WS_TENSOR_RANK_MAX; i++)
        known[i] = dims[i] < 0 ? 1 : dims[i];
    int rc = ws_tensor_init(&tensor, dtype, known, rank, err);
    if (rc != 0)
        return rc;
    ws_rng_init(&rng, seed);
    rc = fill(&tensor, &rng, err);
    if (rc != 0) {
        ws_tensor_fini(&tensor);
        return rc;
    }
    *out = tensor;
    return 0;
}
