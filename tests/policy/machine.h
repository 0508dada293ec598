/*
 * The frame of a machine whose outcomes are exact: its includer has defined
 * machine_expect() and `space`, and gets the evaluator `machine`.
 */
#ifndef WS_TESTS_POLICY_MACHINE_H
#define WS_TESTS_POLICY_MACHINE_H

#include "core/evaluator.h"

static int machine_evaluate(struct ws_evaluator *self, struct ws_outcome *out,
                            const struct ws_setting *setting,
                            const struct ws_setting *previous,
                            const struct ws_conditions *now, uint64_t seed,
                            struct ws_error *err)
{
    (void)previous;
    (void)seed;
    return machine_expect(self, out, setting, now, err);
}

static void machine_destroy(struct ws_evaluator *self)
{
    (void)self;
}

static const struct ws_evaluator_ops machine_ops = {
    .evaluate = machine_evaluate, .expect = machine_expect, .destroy = machine_destroy};
static struct ws_evaluator machine = {&machine_ops, &space};

#endif
