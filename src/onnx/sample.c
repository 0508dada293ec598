#include "onnx/sample.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "core/half.h"

/* Integers are drawn below this. */
enum { INTEGER_BOUND = 4 };

static void draw_floats(struct ws_tensor *tensor, struct ws_rng *rng)
{
    size_t size = ws_dtype_bits(tensor->dtype) / 8;
    for (size_t i = 0; i < tensor->size_bytes / size; i++) {
        double x = ws_rng_normal(rng);
        float single = (float)x;
        uint16_t half = tensor->dtype == WS_DTYPE_BF16 ? ws_bf16_from_float(single)
                                                       : ws_half_from_float(single);
        const void *from = size == sizeof(x)        ? (const void *)&x
                           : size == sizeof(single) ? (const void *)&single
                                                    : (const void *)&half;
        memcpy((char *)tensor->data + i * size, from, size);
    }
}

/* Little-endian: the low byte carries a small number, the rest stays 0. */
static void draw_integers(struct ws_tensor *tensor, struct ws_rng *rng, uint64_t bound)
{
    size_t size = ws_dtype_bits(tensor->dtype) / 8;
    for (size_t i = 0; i < tensor->size_bytes / size; i++)
        ((uint8_t *)tensor->data)[i * size] = (uint8_t)ws_rng_below(rng, bound);
}

static int draw_strings(struct ws_tensor *tensor, struct ws_rng *rng,
                        struct ws_error *err)
{
    static const char *const words[] = {"edge", "cloud", "cut", "watt"};
    char **strings = tensor->data;
    for (size_t i = 0; i < tensor->size_bytes / sizeof(char *); i++) {
        strings[i] = strdup(words[ws_rng_below(rng, sizeof(words) / sizeof(words[0]))]);
        if (strings[i] == NULL)
            return ws_error_nomem(err);
    }
    return 0;
}

int ws_sample_draw(struct ws_tensor *out, enum ws_dtype dtype, const int64_t *dims,
                   size_t rank, uint64_t seed, struct ws_error *err)
{
    int64_t fixed[WS_TENSOR_RANK_MAX];
    struct ws_tensor tensor = {0};
    struct ws_rng rng;
    ws_rng_init(&rng, seed);
    for (size_t i = 0; i < rank && i < WS_TENSOR_RANK_MAX; i++)
        fixed[i] = dims[i] < 0 ? 1 : dims[i];
    int rc = ws_tensor_init(&tensor, dtype, fixed, rank, err);
    if (rc != 0)
        return rc;
    switch (dtype) {
    case WS_DTYPE_FP32:
    case WS_DTYPE_FP64:
    case WS_DTYPE_FP16:
    case WS_DTYPE_BF16:
        draw_floats(&tensor, &rng);
        break;
    case WS_DTYPE_UINT8:
    case WS_DTYPE_INT8:
        draw_integers(&tensor, &rng, 128);
        break;
    case WS_DTYPE_UINT16:
    case WS_DTYPE_INT16:
    case WS_DTYPE_UINT32:
    case WS_DTYPE_INT32:
    case WS_DTYPE_UINT64:
    case WS_DTYPE_INT64:
        draw_integers(&tensor, &rng, INTEGER_BOUND);
        break;
    case WS_DTYPE_BOOL:
        draw_integers(&tensor, &rng, 2);
        break;
    case WS_DTYPE_STRING:
        rc = draw_strings(&tensor, &rng, err);
        break;
    default:
        rc = ws_error_set(err, WS_E_UNSUPPORTED, "no values can be drawn for %s",
                          ws_dtype_name(dtype));
        break;
    }
    if (rc == 0)
        *out = tensor;
    else
        ws_tensor_fini(&tensor);
    return rc;
}
