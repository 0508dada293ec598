/*
 * Plans made up for tests of decisions: written out by hand, or drawn from a seed. The
 * space of a drawn plan has four knobs of 8 values; every entry has its parts, and a few
 * lack one measure or the other.
 */
#ifndef WS_TESTS_MAKE_PLAN_H
#define WS_TESTS_MAKE_PLAN_H

#include "base/rng.h"
#include "core/plan.h"

struct plan_row {
    double edge_ms, transfer_ms, cloud_ms, energy_j, accuracy, bytes;
};

/* One knob, value k for row k. Freed with free_plan. */
void make_plan(struct ws_plan *out, const struct plan_row *rows, size_t count);
void make_random_plan(struct ws_plan *out, struct ws_rng *rng, size_t count);
void free_plan(struct ws_plan *plan);

#endif
