#include "search/quality.h"

#include <math.h>
#include <stdlib.h>

#include "search/pareto.h"
#include "search/probe.h"

static const double reference_point = 1.1;

/* Finite coordinates of the trials that know all objectives; returns how many. */
static size_t coordinates(double *out, const struct ws_search_task *task,
                          const struct ws_trials *trials)
{
    size_t count = 0;
    for (size_t i = 0; i < trials->count; i++) {
        double *at = out + count * task->objective_count;
        if (ws_search_coordinates(at, &trials->items[i].outcome, task->objectives,
                                  task->objective_count) != 0)
            continue;
        int finite = 1;
        for (size_t d = 0; d < task->objective_count; d++)
            finite &= isfinite(at[d]) != 0;
        count += finite != 0;
    }
    return count;
}

static int volume(double *out, double *points, size_t count, size_t dims,
                  const double *least, const double *largest, struct ws_error *err)
{
    double reference[WS_OBJECTIVES_MAX];
    for (size_t d = 0; d < dims; d++) {
        reference[d] = reference_point;
        double range = largest[d] - least[d];
        for (size_t i = 0; i < count; i++) {
            double *x = &points[i * dims + d];
            *x = range > 0 ? (*x - least[d]) / range : 0;
        }
    }
    return ws_hypervolume(out, points, count, dims, reference, err);
}

int ws_search_volume_ratio(double *out, const struct ws_search_task *task,
                           const struct ws_trials *trials, const struct ws_trials *whole,
                           struct ws_error *err)
{
    size_t dims = task->objective_count;
    double least[WS_OBJECTIVES_MAX];
    double largest[WS_OBJECTIVES_MAX];
    double some = 0;
    double all = 0;
    double *points = malloc((trials->count + 1) * dims * sizeof(*points));
    double *whole_points = malloc((whole->count + 1) * dims * sizeof(*whole_points));
    int rc = points == NULL || whole_points == NULL ? ws_error_nomem(err) : 0;
    if (rc != 0)
        goto out;
    size_t count = coordinates(points, task, trials);
    size_t whole_count = coordinates(whole_points, task, whole);
    for (size_t d = 0; d < dims; d++) {
        least[d] = INFINITY;
        largest[d] = -INFINITY;
        for (size_t i = 0; i < whole_count; i++) {
            least[d] = fmin(least[d], whole_points[i * dims + d]);
            largest[d] = fmax(largest[d], whole_points[i * dims + d]);
        }
    }
    rc = volume(&all, whole_points, whole_count, dims, least, largest, err);
    if (rc == 0 && all <= 0)
        rc = ws_error_set(err, WS_E_UNKNOWN, "the objectives are not known");
    if (rc == 0)
        rc = volume(&some, points, count, dims, least, largest, err);
    if (rc == 0)
        *out = some / all;
out:
    free(points);
    free(whole_points);
    return rc;
}
