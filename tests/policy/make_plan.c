#include "policy/make_plan.h"

#include <stdlib.h>
#include <string.h>

static void fill(struct ws_plan *out, size_t count, size_t knob_count)
{
    memset(out, 0, sizeof(*out));
    out->entries = calloc(count, sizeof(*out->entries));
    out->entry_count = count;
    out->space.knobs = calloc(knob_count, sizeof(*out->space.knobs));
    out->space.knob_count = knob_count;
    ws_conditions_set(&out->conditions, WS_LINK_MBIT_S, 100);
    ws_conditions_set(&out->conditions, WS_LINK_DELAY_MS, 2);
    if (out->entries == NULL || out->space.knobs == NULL)
        abort();
}

static void set_row(struct ws_outcome *outcome, const struct plan_row *row)
{
    ws_outcome_set(outcome, WS_EDGE_MS, row->edge_ms);
    ws_outcome_set(outcome, WS_TRANSFER_MS, row->transfer_ms);
    ws_outcome_set(outcome, WS_CLOUD_MS, row->cloud_ms);
    ws_outcome_set(outcome, WS_LATENCY_MS,
                   row->edge_ms + row->transfer_ms + row->cloud_ms);
    ws_outcome_set(outcome, WS_ENERGY_J, row->energy_j);
    ws_outcome_set(outcome, WS_ACCURACY, row->accuracy);
    ws_outcome_set(outcome, WS_TENSOR_BYTES, row->bytes);
}

void make_plan(struct ws_plan *out, const struct plan_row *rows, size_t count)
{
    fill(out, count, 1);
    for (size_t i = 0; i < count; i++) {
        out->entries[i].setting.value[0] = (uint16_t)i;
        set_row(&out->entries[i].outcome, &rows[i]);
    }
}

void make_random_plan(struct ws_plan *out, struct ws_rng *rng, size_t count)
{
    fill(out, count, 4);
    for (size_t i = 0; i < count; i++) {
        struct ws_plan_entry *entry = &out->entries[i];
        for (size_t k = 0; k < 4; k++)
            entry->setting.value[k] = (uint16_t)ws_rng_below(rng, 8);
        /* Deeper cuts: more edge, less transfer and cloud; coarse numbers, so that some
         * are equal. */
        double depth = ws_rng_uniform(rng);
        struct plan_row row = {
            .edge_ms = (double)(int)(depth * 400 * (0.5 + ws_rng_uniform(rng))),
            .transfer_ms = depth > 0.95 ? 0 : (1 - depth) * 80 * ws_rng_uniform(rng) + 2,
            .cloud_ms =
                depth > 0.95 ? 0 : (1 - depth) * 100 * (0.5 + ws_rng_uniform(rng)),
            .energy_j = (double)(int)(100 * (1 - depth) + 60 * ws_rng_uniform(rng)) + 2,
            .accuracy = 0.5 + (double)ws_rng_below(rng, 5) / 10,
            .bytes = depth > 0.95 ? 0 : 1e6 * (1 - depth),
        };
        set_row(&entry->outcome, &row);
        if (ws_rng_below(rng, 50) == 0)
            entry->outcome.known &= ~(1u << WS_ACCURACY);
        if (ws_rng_below(rng, 50) == 0)
            entry->outcome.known &= ~(1u << WS_TENSOR_BYTES);
        if (ws_rng_below(rng, 50) == 0 && count > 10)
            entry->outcome.known &= ~(1u << WS_ENERGY_J);
    }
}

void free_plan(struct ws_plan *plan)
{
    free(plan->entries);
    free(plan->space.knobs);
    memset(plan, 0, sizeof(*plan));
}
