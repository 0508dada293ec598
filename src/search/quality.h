/*
 * How good trials are as a front: their hypervolume next to that of every setting a
 * recorded source has. Objectives are normalised by the range of the whole, and the
 * reference point lies at 1.1 in each.
 */
#ifndef WS_SEARCH_QUALITY_H
#define WS_SEARCH_QUALITY_H

#include "search/search.h"

/* Volume of `trials` over that of `whole`, both of the task's objectives. WS_E_UNKNOWN
 * where the whole does not know an objective or dominates no volume. */
int ws_search_volume_ratio(double *out, const struct ws_search_task *task,
                           const struct ws_trials *trials, const struct ws_trials *whole,
                           struct ws_error *err);

#endif
