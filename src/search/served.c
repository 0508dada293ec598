#include "search/served.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Deadlines beyond the cheapest trial's time, as a share of the range before it, and at
 * least so much of the logarithm. */
static const double tail_share = 0.5;
static const double tail_min = 0.3;

void ws_staircase_fini(struct ws_staircase *stairs)
{
    free(stairs->steps);
    *stairs = (struct ws_staircase){0};
}

/* First step whose time lies after `log_time`. */
static size_t step_after(const struct ws_staircase *stairs, double log_time)
{
    size_t low = 0;
    size_t high = stairs->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stairs->steps[middle].log_time <= log_time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int ws_staircase_add(struct ws_staircase *stairs, double log_time, double cost,
                     struct ws_error *err)
{
    size_t at = step_after(stairs, log_time);
    if (at > 0 && stairs->steps[at - 1].cost <= cost)
        return 0;
    if (stairs->count == stairs->capacity) {
        size_t capacity = stairs->capacity == 0 ? 32 : stairs->capacity * 2;
        struct ws_step *steps = realloc(stairs->steps, capacity * sizeof(*steps));
        if (steps == NULL)
            return ws_error_nomem(err);
        stairs->steps = steps;
        stairs->capacity = capacity;
    }
    if (at > 0 && stairs->steps[at - 1].log_time >= log_time)
        at--;
    size_t end = at; /* steps from `at` to here are no cheaper */
    while (end < stairs->count && stairs->steps[end].cost >= cost)
        end++;
    memmove(stairs->steps + at + 1, stairs->steps + end,
            (stairs->count - end) * sizeof(*stairs->steps));
    stairs->count = stairs->count - (end - at) + 1;
    stairs->steps[at] = (struct ws_step){log_time, cost};
    double first = stairs->steps[0].log_time;
    double last = stairs->steps[stairs->count - 1].log_time;
    double tail = tail_share * (last - first);
    stairs->end = last + (tail > tail_min ? tail : tail_min);
    return 0;
}

double ws_staircase_gain(const struct ws_staircase *stairs, double log_time, double cost)
{
    if (stairs->count == 0)
        return 0;
    double first = stairs->steps[0].log_time;
    double unmet = stairs->steps[0].cost + fabs(stairs->steps[0].cost);
    double gain = 0;
    if (log_time < first && unmet > cost)
        gain = (first - log_time) * (unmet - cost);
    double from = log_time > first ? log_time : first;
    for (size_t i = step_after(stairs, from); i > 0 && i <= stairs->count; i++) {
        const struct ws_step *step = &stairs->steps[i - 1];
        double to = i < stairs->count ? stairs->steps[i].log_time : stairs->end;
        if (step->cost <= cost || to <= from)
            break;
        gain += (to - from) * (step->cost - cost);
        from = to;
    }
    return gain;
}
