#include "study/recorded.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "core/plan.h"

struct recorded {
    struct ws_evaluator base;
    const struct ws_table *table;
    enum ws_noise noise;
};

/* Times by the pair's first factor and energies by its second, so that sums still hold.
 */
static void scale(struct ws_outcome *outcome, const double pair[2])
{
    static const enum ws_measure times[] = {WS_LATENCY_MS, WS_EDGE_MS, WS_TRANSFER_MS,
                                            WS_CLOUD_MS};
    static const enum ws_measure energies[] = {WS_ENERGY_J, WS_EDGE_ENERGY_J,
                                               WS_TRANSFER_ENERGY_J, WS_CLOUD_ENERGY_J};
    for (size_t i = 0; i < 4; i++) {
        outcome->value[times[i]] *= pair[0];
        outcome->value[energies[i]] *= pair[1];
    }
}

static int find(size_t *out, const struct recorded *recorded,
                const struct ws_setting *setting, struct ws_error *err)
{
    if (ws_table_find(out, recorded->table, setting))
        return 0;
    return ws_error_set(err, WS_E_NOT_FOUND, "the table of \"%s\" lacks the setting",
                        recorded->table->testbed->name);
}

static int recorded_evaluate(struct ws_evaluator *evaluator, struct ws_outcome *out,
                             const struct ws_setting *setting,
                             const struct ws_setting *previous,
                             const struct ws_conditions *conditions, uint64_t seed,
                             struct ws_error *err)
{
    (void)previous; /* what a switch costs is asked through switch_ms */
    struct recorded *recorded = (struct recorded *)evaluator;
    const struct ws_table *table = recorded->table;
    size_t number = 0;
    int rc = find(&number, recorded, setting, err);
    if (rc != 0)
        return rc;
    struct ws_outcome outcome = table->means[number];
    size_t samples = ws_table_samples_of(table, number);
    struct ws_rng rng;
    ws_rng_init(&rng, seed);
    int own = recorded->noise == WS_NOISE_OWN || (recorded->noise == WS_NOISE_POOLED &&
                                                  samples >= WS_RECORDED_OWN_SAMPLES_MIN);
    if (own)
        ws_table_sample(&outcome, table, number, ws_rng_below(&rng, samples));
    else if (recorded->noise == WS_NOISE_POOLED && table->residual_count > 0)
        scale(&outcome, table->residuals[ws_rng_below(&rng, table->residual_count)]);
    ws_outcome_relink(&outcome, &table->reference, conditions,
                      table->testbed->edge_idle_w);
    *out = outcome;
    return 0;
}

static int recorded_expect(struct ws_evaluator *evaluator, struct ws_outcome *out,
                           const struct ws_setting *setting,
                           const struct ws_conditions *conditions, struct ws_error *err)
{
    struct recorded *recorded = (struct recorded *)evaluator;
    size_t number = 0;
    int rc = find(&number, recorded, setting, err);
    if (rc != 0)
        return rc;
    *out = recorded->table->means[number];
    ws_outcome_relink(out, &recorded->table->reference, conditions,
                      recorded->table->testbed->edge_idle_w);
    return 0;
}

static int recorded_has(struct ws_evaluator *evaluator, const struct ws_setting *setting)
{
    size_t number = 0;
    return ws_table_find(&number, ((struct recorded *)evaluator)->table, setting);
}

static void recorded_destroy(struct ws_evaluator *evaluator)
{
    free(evaluator);
}

static const struct ws_evaluator_ops recorded_ops = {
    .evaluate = recorded_evaluate,
    .expect = recorded_expect,
    .has = recorded_has,
    .destroy = recorded_destroy,
};

int ws_recorded_create(struct ws_evaluator **out, const struct ws_table *table,
                       enum ws_noise noise, struct ws_error *err)
{
    struct recorded *recorded = malloc(sizeof(*recorded));
    if (recorded == NULL)
        return ws_error_nomem(err);
    *recorded = (struct recorded){
        .base = {.ops = &recorded_ops,
                 .space = &table->testbed->space,
                 .switch_ms = table->testbed->switch_ms},
        .table = table,
        .noise = noise,
    };
    *out = &recorded->base;
    return 0;
}

int ws_noise_find(enum ws_noise *out, const char *name, struct ws_error *err)
{
    if (strcmp(name, "pooled") == 0)
        *out = WS_NOISE_POOLED;
    else if (strcmp(name, "own") == 0)
        *out = WS_NOISE_OWN;
    else if (strcmp(name, "none") == 0)
        *out = WS_NOISE_NONE;
    else
        return ws_error_set(err, WS_E_USAGE, "noise \"%s\": expected pooled, own or none",
                            name);
    return 0;
}
