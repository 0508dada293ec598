/*
 * Pareto fronts and hypervolumes of points whose every coordinate is to be small; turn a
 * coordinate that should be large around before. Points lie row by row in one array. A
 * point is on the front unless another is at most as large in every coordinate and
 * smaller in one, so equal points are on it together or not at all. Nothing is kept
 * between calls.
 */
#ifndef WS_SEARCH_PARETO_H
#define WS_SEARCH_PARETO_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Coordinates of one point: enough for the parts of an outcome. */
enum { WS_PARETO_DIMS_MAX = 12 };

/* Whether a dominates b. */
int ws_pareto_dominates(const double *a, const double *b, size_t dims);

/* out_front[i] = 1 if point i is on the front. points: [count][dims], finite. Through a
 * k-d tree: about count * log(count) for two to four coordinates. */
int ws_pareto_front(uint8_t *out_front, const double *points, size_t count, size_t dims,
                    struct ws_error *err);

/* out_rank[i] = 0 for the front, 1 for the front of the rest, and so on. Quadratic; for
 * populations. */
int ws_pareto_ranks(uint32_t *out_rank, const double *points, size_t count, size_t dims,
                    struct ws_error *err);

/* Exact volume that points dominate below `reference` [dims], by the algorithm of While,
 * Bradstreet and Barone (A fast way of calculating exact hypervolumes, 2012). Points that
 * do not lie below it in every coordinate add nothing. 1 <= dims <= WS_PARETO_DIMS_MAX.
 */
int ws_hypervolume(double *out, const double *points, size_t count, size_t dims,
                   const double *reference, struct ws_error *err);

#endif
