/*
 * Statistics of samples. Quantiles interpolate linearly between order statistics (type 7
 * of Hyndman and Fan, as NumPy and R do). Functions that sort say so and reorder the
 * caller's array; nothing allocates.
 */
#ifndef WS_BASE_STATS_H
#define WS_BASE_STATS_H

#include <stddef.h>

/* Running mean and variance (Welford). Zero-initialise. */
struct ws_stats {
    size_t count;
    double mean;
    double m2; /* sum of squared distances from the mean */
    double min;
    double max;
};

void ws_stats_add(struct ws_stats *stats, double x);
/* Adds all that another has seen (Chan, Golub and LeVeque 1979). */
void ws_stats_merge(struct ws_stats *stats, const struct ws_stats *other);
/* Sample variance (n - 1); 0 below two samples. */
double ws_stats_variance(const struct ws_stats *stats);
/* Half-width of the 95 % interval of the mean (Student's t); 0 below two samples. */
double ws_stats_ci95(const struct ws_stats *stats);

void ws_stats_sort(double *x, size_t count);
/* Quantile q in [0, 1] of `count` >= 1 sorted values. */
double ws_stats_quantile_sorted(const double *sorted, size_t count, double q);
/* Sorts x, then its median; count >= 1. */
double ws_stats_median(double *x, size_t count);
/* Two-sided 97.5 % point of Student's t with `dof` >= 1 degrees of freedom. */
double ws_stats_t975(size_t dof);

#endif
