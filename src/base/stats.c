#include "base/stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

void ws_stats_add(struct ws_stats *stats, double x)
{
    stats->min = stats->count == 0 || x < stats->min ? x : stats->min;
    stats->max = stats->count == 0 || x > stats->max ? x : stats->max;
    stats->count++;
    double delta = x - stats->mean;
    stats->mean += delta / (double)stats->count;
    stats->m2 += delta * (x - stats->mean);
}

void ws_stats_merge(struct ws_stats *stats, const struct ws_stats *other)
{
    if (other->count == 0)
        return;
    if (stats->count == 0) {
        *stats = *other;
        return;
    }
    double n = (double)stats->count, m = (double)other->count;
    double apart = other->mean - stats->mean;
    stats->mean += apart * m / (n + m);
    stats->m2 += other->m2 + apart * apart * n * m / (n + m);
    stats->min = other->min < stats->min ? other->min : stats->min;
    stats->max = other->max > stats->max ? other->max : stats->max;
    stats->count += other->count;
}

double ws_stats_variance(const struct ws_stats *stats)
{
    return stats->count < 2 ? 0 : stats->m2 / (double)(stats->count - 1);
}

double ws_stats_t975(size_t dof)
{
    static const double table[] = {0,      12.706, 4.3027, 3.1824, 2.7764, 2.5706,
                                   2.4469, 2.3646, 2.3060, 2.2622, 2.2281};
    assert(dof >= 1);
    if (dof < sizeof(table) / sizeof(table[0]))
        return table[dof];
    /* Cornish-Fisher expansion around the normal quantile; below 1e-4 from 11 on. */
    double z = 1.959963984540054, n = (double)dof, z3 = z * z * z, z5 = z3 * z * z;
    return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n);
}

double ws_stats_ci95(const struct ws_stats *stats)
{
    if (stats->count < 2)
        return 0;
    double n = (double)stats->count;
    return ws_stats_t975(stats->count - 1) * sqrt(ws_stats_variance(stats) / n);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void ws_stats_sort(double *x, size_t count)
{
    qsort(x, count, sizeof(*x), by_value);
}

double ws_stats_quantile_sorted(const double *sorted, size_t count, double q)
{
    assert(count >= 1 && q >= 0 && q <= 1);
    double at = q * (double)(count - 1);
    size_t low = (size_t)at;
    if (low + 1 >= count)
        return sorted[count - 1];
    return sorted[low] + (at - (double)low) * (sorted[low + 1] - sorted[low]);
}

double ws_stats_median(double *x, size_t count)
{
    ws_stats_sort(x, count);
    return ws_stats_quantile_sorted(x, count, 0.5);
}
