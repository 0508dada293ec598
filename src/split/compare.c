#include "split/compare.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/parse.h"
#include "core/half.h"

static int is_float(enum ws_dtype dtype)
{
    return dtype == WS_DTYPE_FP32 || dtype == WS_DTYPE_FP64 || dtype == WS_DTYPE_FP16 ||
           dtype == WS_DTYPE_BF16;
}

static double element(const struct ws_tensor *tensor, size_t index)
{
    const void *data = tensor->data;
    switch (tensor->dtype) {
    case WS_DTYPE_FP32:
        return ((const float *)data)[index];
    case WS_DTYPE_FP64:
        return ((const double *)data)[index];
    case WS_DTYPE_FP16:
        return ws_half_to_float(((const uint16_t *)data)[index]);
    case WS_DTYPE_BF16:
        return ws_bf16_to_float(((const uint16_t *)data)[index]);
    case WS_DTYPE_INT8:
        return ((const int8_t *)data)[index];
    case WS_DTYPE_INT16:
        return ((const int16_t *)data)[index];
    case WS_DTYPE_INT32:
        return ((const int32_t *)data)[index];
    case WS_DTYPE_INT64:
        return (double)((const int64_t *)data)[index];
    case WS_DTYPE_UINT16:
        return ((const uint16_t *)data)[index];
    case WS_DTYPE_UINT32:
        return ((const uint32_t *)data)[index];
    case WS_DTYPE_UINT64:
        return (double)((const uint64_t *)data)[index];
    default: /* UINT8, BOOL, and types compared byte by byte */
        return ((const uint8_t *)data)[index];
    }
}

/* Elements that element() can index; complex numbers as pairs are left to bytes. */
static size_t element_count(const struct ws_tensor *tensor)
{
    size_t bits = ws_dtype_bits(tensor->dtype);
    int readable = is_float(tensor->dtype) ||
                   (bits >= 8 && bits <= 64 && tensor->dtype != WS_DTYPE_COMPLEX64);
    return readable ? tensor->size_bytes / (bits / 8) : tensor->size_bytes;
}

size_t ws_compare_argmax(const struct ws_tensor *tensor, size_t first, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        if (element(tensor, first + i) > element(tensor, first + best))
            best = i;
    }
    return best;
}

/* How far apart two elements are: 0 for the same, NaN included, infinite where one of
 * them is not finite. */
static double distance(double a, double b)
{
    if (a == b || (isnan(a) && isnan(b)))
        return 0;
    double d = fabs(a - b);
    return isnan(d) ? INFINITY : d;
}

/* Runtimes print numbers with more digits or fewer: two strings that are both numbers are
 * compared as such. */
static int strings_differ(const char *a, const char *b,
                          const struct ws_tolerance *tolerance)
{
    double x = 0, y = 0;
    if (strcmp(a, b) == 0)
        return 0;
    if (ws_parse_double(&x, a, "", NULL) != 0 || ws_parse_double(&y, b, "", NULL) != 0)
        return 1;
    return !(fabs(x - y) <= tolerance->atol + tolerance->rtol * fabs(y));
}

static int compare_strings(struct ws_difference *difference,
                           const struct ws_tensor *actual,
                           const struct ws_tensor *expected,
                           const struct ws_tolerance *tolerance)
{
    char *const *a = actual->data, *const *b = expected->data;
    size_t count = actual->size_bytes / sizeof(char *), beyond = 0;
    for (size_t i = 0; i < count; i++)
        beyond += (size_t)strings_differ(a[i], b[i], tolerance);
    difference->elements += count;
    difference->beyond += beyond;
    difference->disagrees |= beyond > 0;
    return 0;
}

static void compare_rows(size_t *rows, size_t *agree, const struct ws_tensor *actual,
                         const struct ws_tensor *expected, size_t count)
{
    size_t width = expected->rank > 0 ? (size_t)expected->dims[expected->rank - 1] : 1;
    *rows = *agree = 0;
    for (size_t at = 0; width > 0 && at + width <= count; at += width) {
        (*rows)++;
        *agree += ws_compare_argmax(actual, at, width) ==
                  ws_compare_argmax(expected, at, width);
    }
}

/* A 16-bit float cannot be nearer than a unit in its last place. */
static double rtol_of(enum ws_dtype dtype, double rtol)
{
    if (dtype == WS_DTYPE_BF16)
        return fmax(rtol, 0x1p-7);
    return dtype == WS_DTYPE_FP16 ? fmax(rtol, 0x1p-10) : rtol;
}

static void compare_numbers(struct ws_difference *difference,
                            const struct ws_tensor *actual,
                            const struct ws_tensor *expected,
                            const struct ws_tolerance *tolerance)
{
    int floats = is_float(expected->dtype);
    double rtol = rtol_of(expected->dtype, tolerance->rtol);
    size_t count = element_count(expected), beyond = 0, rows = 0, agree = 0;
    double abs_max = 0;
    for (size_t i = 0; i < count; i++) {
        double a = element(actual, i), b = element(expected, i), d = distance(a, b);
        double allowed =
            floats ? tolerance->atol + rtol * fabs(b) : (tolerance->quantised ? 1 : 0);
        /* Written so that an infinite allowance does not let everything through. */
        beyond += d > 0 && !(d <= allowed && isfinite(d));
        abs_max = d > abs_max ? d : abs_max;
        if (b != 0 && isfinite(b) && d / fabs(b) > difference->rel_max)
            difference->rel_max = d / fabs(b);
    }
    difference->abs_max = abs_max > difference->abs_max ? abs_max : difference->abs_max;
    difference->elements += count;
    difference->beyond += beyond;
    if (floats)
        compare_rows(&rows, &agree, actual, expected, count);
    difference->rows += rows;
    difference->rows_agree += agree;
    int same_top = tolerance->quantised && rows > 0 && agree == rows;
    difference->disagrees |= beyond > 0 && !same_top;
}

static int compare_tensor(struct ws_difference *difference,
                          const struct ws_tensor *actual,
                          const struct ws_tensor *expected,
                          const struct ws_tolerance *tolerance, struct ws_error *err)
{
    char got[128], wanted[128];
    struct ws_tensor bits = *expected;
    /* NumPy has no bfloat16: ONNX's own test data keeps its bits as UINT16. */
    if (actual->dtype == WS_DTYPE_BF16 && expected->dtype == WS_DTYPE_UINT16) {
        bits.dtype = WS_DTYPE_BF16;
        expected = &bits;
    }
    if (actual->dtype != expected->dtype || actual->rank != expected->rank ||
        memcmp(actual->dims, expected->dims, actual->rank * sizeof(actual->dims[0])) != 0)
        return ws_error_set(err, WS_E_MISMATCH, "%s instead of %s",
                            ws_tensor_describe(got, sizeof(got), actual->dtype,
                                               actual->dims, actual->rank),
                            ws_tensor_describe(wanted, sizeof(wanted), expected->dtype,
                                               expected->dims, expected->rank));
    if (expected->dtype == WS_DTYPE_STRING)
        return compare_strings(difference, actual, expected, tolerance);
    compare_numbers(difference, actual, expected, tolerance);
    return 0;
}

/* An optional tensor that holds something is a tensor to the runtime. */
static const struct ws_datum *inside(const struct ws_datum *datum)
{
    while (datum->kind == WS_DATUM_OPTIONAL && datum->item_count == 1)
        datum = &datum->items[0];
    return datum;
}

int ws_compare_datum(struct ws_difference *difference, const struct ws_datum *actual,
                     const struct ws_datum *expected,
                     const struct ws_tolerance *tolerance, struct ws_error *err)
{
    actual = inside(actual);
    expected = inside(expected);
    if (actual->kind != expected->kind || actual->item_count != expected->item_count)
        return ws_error_set(err, WS_E_MISMATCH, "%s of %zu instead of %s of %zu",
                            ws_datum_kind_name(actual->kind), actual->item_count,
                            ws_datum_kind_name(expected->kind), expected->item_count);
    if (expected->kind == WS_DATUM_TENSOR)
        return compare_tensor(difference, &actual->tensor, &expected->tensor, tolerance,
                              err);
    for (size_t i = 0; i < expected->item_count; i++) {
        int rc = ws_compare_datum(difference, &actual->items[i], &expected->items[i],
                                  tolerance, err);
        if (rc != 0)
            return ws_error_context(err, "item %zu", i);
    }
    return 0;
}
