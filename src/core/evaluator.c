#include "core/evaluator.h"

#include <stddef.h>

enum { DEFAULT_EXPECT_SAMPLES = 32 };

int ws_evaluate(struct ws_evaluator *evaluator, struct ws_outcome *out,
                const struct ws_setting *setting, const struct ws_setting *previous,
                const struct ws_conditions *conditions, uint64_t seed,
                struct ws_error *err)
{
    if (!ws_space_allows(evaluator->space, setting))
        return ws_error_set(err, WS_E_INFEASIBLE, "a constraint forbids the setting");
    return evaluator->ops->evaluate(evaluator, out, setting, previous, conditions, seed,
                                    err);
}

/* Mean of what every sample knows; what one sample lacks is unknown in the mean. */
static int mean_of_samples(struct ws_evaluator *evaluator, struct ws_outcome *out,
                           const struct ws_setting *setting,
                           const struct ws_conditions *conditions, struct ws_error *err)
{
    struct ws_outcome mean = {.known = (1u << WS_MEASURE_COUNT) - 1};
    for (uint64_t seed = 0; seed < DEFAULT_EXPECT_SAMPLES; seed++) {
        struct ws_outcome one;
        int rc = ws_evaluate(evaluator, &one, setting, NULL, conditions, seed, err);
        if (rc != 0)
            return rc;
        mean.known &= one.known;
        mean.truth = one.truth;
        for (int i = 0; i < WS_MEASURE_COUNT; i++)
            mean.value[i] += one.value[i] / (double)DEFAULT_EXPECT_SAMPLES;
    }
    *out = mean;
    return 0;
}

int ws_evaluator_expect(struct ws_evaluator *evaluator, struct ws_outcome *out,
                        const struct ws_setting *setting,
                        const struct ws_conditions *conditions, struct ws_error *err)
{
    if (evaluator->ops->expect == NULL)
        return mean_of_samples(evaluator, out, setting, conditions, err);
    if (!ws_space_allows(evaluator->space, setting))
        return ws_error_set(err, WS_E_INFEASIBLE, "a constraint forbids the setting");
    return evaluator->ops->expect(evaluator, out, setting, conditions, err);
}

int ws_evaluator_has(struct ws_evaluator *evaluator, const struct ws_setting *setting)
{
    if (!ws_space_allows(evaluator->space, setting))
        return 0;
    return evaluator->ops->has == NULL || evaluator->ops->has(evaluator, setting);
}

double ws_evaluator_switch_ms(struct ws_evaluator *evaluator,
                              const struct ws_setting *from, const struct ws_setting *to)
{
    return ws_switch_ms(evaluator->switch_ms, evaluator->space->knob_count, from, to);
}

void ws_evaluator_destroy(struct ws_evaluator *evaluator)
{
    if (evaluator != NULL)
        evaluator->ops->destroy(evaluator);
}
