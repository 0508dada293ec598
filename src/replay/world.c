#include "replay/world.h"

#include <stdlib.h>

#include "base/stats.h"

void ws_world_at(struct ws_conditions *out, const struct ws_world *world, double now_ms)
{
    *out = *world->reference;
    ws_trace_at(world->trace, now_ms / 1000, out);
}

static size_t own_count(const struct ws_table *table, enum ws_noise noise,
                        const struct ws_setting *setting, size_t *number)
{
    if (noise == WS_NOISE_NONE || !ws_table_find(number, table, setting))
        return 0;
    size_t count = ws_table_samples_of(table, *number);
    size_t least = noise == WS_NOISE_POOLED ? WS_RECORDED_OWN_SAMPLES_MIN : 2;
    return count < least ? 0 : count;
}

/* Ratios of one setting's samples to their mean, ascending; how many. Those that do not
 * know their latency are left out. */
static size_t own_ratios(double *out, const struct ws_table *table, size_t number,
                         size_t count)
{
    size_t known = 0;
    double mean;
    if (ws_outcome_get(&mean, &table->means[number], WS_LATENCY_MS) != 0 || !(mean > 0))
        return 0;
    for (size_t k = 0; k < count; k++) {
        struct ws_outcome sample;
        double latency;
        ws_table_sample(&sample, table, number, k);
        if (ws_outcome_get(&latency, &sample, WS_LATENCY_MS) == 0)
            out[known++] = latency / mean;
    }
    ws_stats_sort(out, known);
    return known;
}

int ws_spreads_create(struct ws_spreads *out, const struct ws_table *table,
                      enum ws_noise noise, const struct ws_setting *settings,
                      size_t setting_count, struct ws_error *err)
{
    struct ws_spreads made = {0};
    size_t pooled = noise == WS_NOISE_POOLED ? table->residual_count : 0;
    size_t total = pooled + 1, number = 0;
    for (size_t i = 0; i < setting_count; i++)
        total += own_count(table, noise, &settings[i], &number);
    made.ratio = calloc(total, sizeof(*made.ratio));
    made.own = calloc(setting_count + 1, sizeof(*made.own));
    if (made.ratio == NULL || made.own == NULL) {
        ws_spreads_fini(&made);
        return ws_error_nomem(err);
    }
    size_t used = pooled;
    for (size_t i = 0; i < used; i++)
        made.ratio[i] = table->residuals[i][0];
    ws_stats_sort(made.ratio, used);
    made.pooled = (struct ws_spread){made.ratio, used};
    for (size_t i = 0; i < setting_count; i++) {
        size_t count = own_count(table, noise, &settings[i], &number);
        if (count == 0)
            continue;
        made.own[i].ratio = made.ratio + used;
        made.own[i].count = own_ratios(made.ratio + used, table, number, count);
        used += made.own[i].count;
    }
    *out = made;
    return 0;
}

void ws_spreads_fini(struct ws_spreads *spreads)
{
    free(spreads->ratio);
    free(spreads->own);
    *spreads = (struct ws_spreads){0};
}
