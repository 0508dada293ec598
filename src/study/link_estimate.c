#include "study/link_estimate.h"

#include <stdlib.h>

#include "base/stats.h"

struct transfer {
    double bytes;
    double ms;
};

static int by_bytes(const void *a, const void *b)
{
    const struct transfer *x = a;
    const struct transfer *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return (x->ms > y->ms) - (x->ms < y->ms);
}

/* Median times of equal sizes, compacted in place; returns how many sizes there are. */
static size_t medians_by_size(struct transfer *all, size_t count)
{
    size_t sizes = 0;
    qsort(all, count, sizeof(*all), by_bytes);
    for (size_t i = 0; i < count;) {
        size_t end = i;
        while (end < count && all[end].bytes == all[i].bytes)
            end++;
        all[sizes++] = (struct transfer){all[i].bytes, all[i + (end - i) / 2].ms};
        i = end;
    }
    return sizes;
}

/* Theil and Sen: the median of the slopes between any two sizes, then the median of what
 * each size leaves over. Sizes beyond a few hundred are thinned out. */
static int fit_line(struct ws_conditions *out, const struct transfer *sizes, size_t count,
                    struct ws_error *err)
{
    const size_t most = 400;
    size_t step = (count + most - 1) / most;
    size_t used = (count + step - 1) / step;
    double *slopes = malloc((used * used + 1) * sizeof(*slopes));
    if (slopes == NULL)
        return ws_error_nomem(err);
    size_t slope_count = 0;
    for (size_t i = 0; i < count; i += step) {
        for (size_t k = i + step; k < count; k += step)
            slopes[slope_count++] =
                (sizes[k].ms - sizes[i].ms) / (sizes[k].bytes - sizes[i].bytes);
    }
    double ms_per_byte = slope_count > 0 ? ws_stats_median(slopes, slope_count) : 0;
    for (size_t i = 0; i < used; i++)
        slopes[i] = sizes[i * step].ms - ms_per_byte * sizes[i * step].bytes;
    double delay_ms = ws_stats_median(slopes, used);
    if (ms_per_byte <= 0 || delay_ms < 0) {
        for (size_t i = 0; i < used; i++)
            slopes[i] = sizes[i * step].ms / sizes[i * step].bytes;
        ms_per_byte = ws_stats_median(slopes, used);
        delay_ms = 0;
    }
    free(slopes);
    ws_conditions_set(out, WS_LINK_MBIT_S, 8 / (ms_per_byte * 1000));
    ws_conditions_set(out, WS_LINK_DELAY_MS, delay_ms);
    return 0;
}

int ws_link_estimate(struct ws_conditions *out, const struct ws_outcome *outcomes,
                     size_t count, struct ws_error *err)
{
    const uint32_t both = 1u << WS_TRANSFER_MS | 1u << WS_TENSOR_BYTES;
    struct transfer *all = malloc((count + 1) * sizeof(*all));
    size_t used = 0;
    if (all == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        const struct ws_outcome *one = &outcomes[i];
        if ((one->known & both) == both && one->value[WS_TENSOR_BYTES] > 0 &&
            one->value[WS_TRANSFER_MS] > 0)
            all[used++] = (struct transfer){one->value[WS_TENSOR_BYTES],
                                            one->value[WS_TRANSFER_MS]};
    }
    size_t sizes = medians_by_size(all, used);
    int rc = sizes > 0 ? fit_line(out, all, sizes, err)
                       : ws_error_set(err, WS_E_UNKNOWN, "no transfer is known");
    free(all);
    return rc;
}
