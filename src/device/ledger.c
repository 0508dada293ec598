#include "device/ledger.h"

#include <stdlib.h>

/* A request starts or ends. */
struct event {
    int64_t time_ns;
    size_t share;
    int is_start;
};

static int order_events(const void *a, const void *b)
{
    const struct event *x = a;
    const struct event *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    /* By request, so that the sums do not depend on the sort; and a request of no length,
     * cut off by the period, starts before it ends. */
    if (x->share != y->share)
        return x->share < y->share ? -1 : 1;
    return y->is_start - x->is_start;
}

/* The running state between events. */
struct walk {
    int64_t time_ns;
    double weights;  /* of the requests under way */
    size_t underway; /* exact where the sum of weights is not */
    double per_unit; /* joules that one unit of weight has had since the start */
    double idle_j;
    double idle_w;
};

/* From the last event to `until_ns`. */
static int step(struct walk *walk, int64_t until_ns, ws_ledger_energy energy, void *user,
                struct ws_error *err)
{
    double drawn_j = 0;
    if (until_ns == walk->time_ns)
        return 0;
    int rc = energy(user, &drawn_j, walk->time_ns, until_ns, err);
    if (rc != 0)
        return rc;
    double idle_j = walk->idle_w * (double)(until_ns - walk->time_ns) * 1e-9;
    if (walk->underway == 0 || idle_j > drawn_j)
        idle_j = drawn_j;
    walk->idle_j += idle_j;
    if (walk->underway > 0)
        walk->per_unit += (drawn_j - idle_j) / walk->weights;
    walk->time_ns = until_ns;
    return 0;
}

static int64_t within(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

int ws_ledger_share(struct ws_share *shares, size_t count, double *idle_j,
                    int64_t start_ns, int64_t end_ns, double idle_w,
                    ws_ledger_energy energy, void *user, struct ws_error *err)
{
    struct walk walk = {.time_ns = start_ns, .idle_w = idle_w};
    struct event *events = calloc(2 * count + 1, sizeof(*events));
    double *filled_j = calloc(count + 1, sizeof(*filled_j));
    int rc = events == NULL || filled_j == NULL ? ws_error_nomem(err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (shares[i].end_ns <= shares[i].start_ns || !(shares[i].weight > 0))
            rc = ws_error_set(err, WS_E_USAGE, "share %zu is empty", i);
        events[2 * i] =
            (struct event){within(shares[i].start_ns, start_ns, end_ns), i, 1};
        events[2 * i + 1] =
            (struct event){within(shares[i].end_ns, start_ns, end_ns), i, 0};
    }
    if (rc == 0)
        qsort(events, 2 * count, sizeof(*events), order_events);
    for (size_t e = 0; rc == 0 && e < 2 * count; e++) {
        const struct event *event = &events[e];
        double weight = shares[event->share].weight;
        rc = step(&walk, event->time_ns, energy, user, err);
        /* What one unit has had up to its end, less what it had up to its start. */
        filled_j[event->share] +=
            event->is_start ? -weight * walk.per_unit : weight * walk.per_unit;
        walk.underway += event->is_start ? 1 : (size_t)-1;
        walk.weights += event->is_start ? weight : -weight;
        if (walk.underway == 0)
            walk.weights = 0; /* and no rest of rounding */
    }
    if (rc == 0)
        rc = step(&walk, end_ns, energy, user, err);
    if (rc == 0) {
        for (size_t i = 0; i < count; i++)
            shares[i].energy_j = filled_j[i];
        *idle_j = walk.idle_j;
    }
    free(filled_j);
    free(events);
    return rc;
}
