#include "search/probe.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    return x ^ (x >> 29);
}

int ws_probe_init(struct ws_probe *out, const struct ws_search_task *task,
                  struct ws_trials *trials, struct ws_error *err)
{
    struct ws_probe probe = {.task = task, .trials = trials, .slot_count = 1024};
    probe.slots = calloc(probe.slot_count, sizeof(*probe.slots));
    probe.trial_of = calloc(probe.slot_count, sizeof(*probe.trial_of));
    if (probe.slots == NULL || probe.trial_of == NULL) {
        ws_probe_fini(&probe);
        return ws_error_nomem(err);
    }
    *out = probe;
    return 0;
}

void ws_probe_fini(struct ws_probe *probe)
{
    free(probe->slots);
    free(probe->trial_of);
    *probe = (struct ws_probe){0};
}

size_t ws_probe_left(const struct ws_probe *probe)
{
    size_t used = probe->trials->count;
    return probe->task->budget > used ? probe->task->budget - used : 0;
}

/* The slot that holds the index, or the free one where it belongs. */
static size_t slot_of(const struct ws_probe *probe, uint64_t index)
{
    size_t at = mix(index) & (probe->slot_count - 1);
    while (probe->slots[at] != 0 && probe->slots[at] != index + 1)
        at = (at + 1) & (probe->slot_count - 1);
    return at;
}

int ws_probe_tried(size_t *out, const struct ws_probe *probe,
                   const struct ws_setting *setting)
{
    size_t at =
        slot_of(probe, ws_setting_to_index(probe->task->evaluator->space, setting));
    if (probe->slots[at] == 0)
        return 0;
    if (out != NULL)
        *out = probe->trial_of[at];
    return 1;
}

static int grow_slots(struct ws_probe *probe, struct ws_error *err)
{
    if (2 * (probe->trials->count + 1) < probe->slot_count)
        return 0;
    struct ws_probe larger = *probe;
    larger.slot_count *= 4;
    larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
    larger.trial_of = calloc(larger.slot_count, sizeof(*larger.trial_of));
    if (larger.slots == NULL || larger.trial_of == NULL) {
        ws_probe_fini(&larger);
        return ws_error_nomem(err);
    }
    for (size_t i = 0; i < probe->slot_count; i++) {
        if (probe->slots[i] == 0)
            continue;
        size_t at = slot_of(&larger, probe->slots[i] - 1);
        larger.slots[at] = probe->slots[i];
        larger.trial_of[at] = probe->trial_of[i];
    }
    ws_probe_fini(probe);
    *probe = larger;
    return 0;
}

int ws_probe_try(struct ws_probe *probe, const struct ws_setting *setting,
                 struct ws_error *err)
{
    struct ws_trials *trials = probe->trials;
    const struct ws_search_task *task = probe->task;
    if (trials->count == trials->capacity) {
        size_t capacity = trials->capacity == 0 ? 64 : trials->capacity * 2;
        struct ws_trial *items = realloc(trials->items, capacity * sizeof(*items));
        if (items == NULL)
            return ws_error_nomem(err);
        trials->items = items;
        trials->capacity = capacity;
    }
    int rc = grow_slots(probe, err);
    if (rc != 0)
        return rc;
    struct ws_trial trial = {.setting = *setting, .sample_count = 1};
    if (task->conditions != NULL)
        trial.conditions = *task->conditions;
    rc = ws_evaluator_expect(task->evaluator, &trial.outcome, setting, task->conditions,
                             err);
    if (rc != 0)
        return rc;
    uint64_t index = ws_setting_to_index(task->evaluator->space, setting);
    size_t at = slot_of(probe, index);
    probe->slots[at] = index + 1;
    probe->trial_of[at] = (uint32_t)trials->count;
    trials->items[trials->count++] = trial;
    return 0;
}

int ws_search_enumerate(uint64_t **out, size_t *out_count, struct ws_evaluator *evaluator,
                        struct ws_error *err)
{
    uint64_t size = 0;
    int rc = ws_space_size(&size, evaluator->space, err);
    if (rc != 0)
        return rc;
    if (size > WS_SEARCH_ALL_MAX)
        return ws_error_set(err, WS_E_LIMIT,
                            "the space has more than %d settings, too many to try all",
                            WS_SEARCH_ALL_MAX);
    uint64_t *all = malloc(size * sizeof(*all));
    if (all == NULL)
        return ws_error_nomem(err);
    size_t count = 0;
    for (uint64_t i = 0; i < size; i++) {
        struct ws_setting setting;
        ws_setting_from_index(&setting, evaluator->space, i);
        if (ws_evaluator_has(evaluator, &setting))
            all[count++] = i;
    }
    *out = all;
    *out_count = count;
    return 0;
}

int ws_search_draw(struct ws_setting *out, const struct ws_probe *probe,
                   struct ws_rng *rng)
{
    const struct ws_space *space = probe->task->evaluator->space;
    const int tries = 100000;
    for (int i = 0; i < tries; i++) {
        struct ws_setting setting = {0};
        for (size_t k = 0; k < space->knob_count; k++)
            setting.value[k] = (uint16_t)ws_rng_below(rng, space->knobs[k].value_count);
        if (ws_evaluator_has(probe->task->evaluator, &setting) &&
            !ws_probe_tried(NULL, probe, &setting)) {
            *out = setting;
            return 0;
        }
    }
    return WS_E_END;
}

int ws_search_coordinates(double *out, const struct ws_outcome *outcome,
                          const enum ws_measure *measures, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double value = 0;
        int rc = ws_outcome_get(&value, outcome, measures[i]);
        if (rc != 0)
            return rc;
        out[i] = ws_measure_minimised(measures[i]) ? value : -value;
    }
    return 0;
}
