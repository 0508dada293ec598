/*
 * The fixed screen, the baseline to beat: every value of the shared knobs with all other
 * knobs at their last value (testbeds list the fastest hardware last), then corners,
 * where every knob is at its first or last value. Where a setting is forbidden or
 * lacking, the one most like it stands in. What the budget leaves after that is not
 * spent. With less budget than shared values, those are tried that lie evenly.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/searches.h"

/* How unlike two settings are; shared knobs outweigh all others together. */
static double unlike(const struct ws_space *space, const struct ws_setting *a,
                     const struct ws_setting *b)
{
    double sum = 0;
    for (size_t k = 0; k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        double d = a->value[k] != b->value[k];
        if (knob->kind == WS_KIND_ORDERED && knob->value_count > 1)
            d = fabs((double)a->value[k] - (double)b->value[k]) /
                (double)(knob->value_count - 1);
        sum += knob->part == WS_PART_SHARED ? d * 10 * WS_KNOBS_MAX : d;
    }
    return sum;
}

/* Tries `wanted`, or the setting most like it. One that was tried already stands as it
 * is. */
static int try_like(struct ws_probe *probe, const uint64_t *all, size_t count,
                    const struct ws_setting *wanted, struct ws_error *err)
{
    const struct ws_space *space = probe->task->evaluator->space;
    struct ws_setting best = *wanted;
    double least = INFINITY;
    for (size_t i = 0; i < count && least > 0; i++) {
        struct ws_setting setting;
        ws_setting_from_index(&setting, space, all[i]);
        double d = unlike(space, &setting, wanted);
        if (d < least) {
            least = d;
            best = setting;
        }
    }
    if (ws_probe_left(probe) == 0 || ws_probe_tried(NULL, probe, &best))
        return 0;
    return ws_probe_try(probe, &best, err);
}

static void last_values(struct ws_setting *out, const struct ws_space *space)
{
    memset(out, 0, sizeof(*out));
    for (size_t k = 0; k < space->knob_count; k++)
        out->value[k] = (uint16_t)(space->knobs[k].value_count - 1);
}

static int try_shared(struct ws_probe *probe, const uint64_t *all, size_t count,
                      struct ws_error *err)
{
    const struct ws_space *space = probe->task->evaluator->space;
    uint64_t combinations = 1;
    for (size_t k = 0; k < space->knob_count; k++) {
        if (space->knobs[k].part == WS_PART_SHARED)
            combinations *= space->knobs[k].value_count;
    }
    uint64_t wanted = ws_probe_left(probe);
    wanted = wanted < combinations ? wanted : combinations;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < wanted; i++) {
        uint64_t index = wanted > 1 ? i * (combinations - 1) / (wanted - 1) : 0;
        struct ws_setting setting;
        last_values(&setting, space);
        for (size_t k = space->knob_count; k-- > 0;) {
            if (space->knobs[k].part != WS_PART_SHARED)
                continue;
            setting.value[k] = (uint16_t)(index % space->knobs[k].value_count);
            index /= space->knobs[k].value_count;
        }
        rc = try_like(probe, all, count, &setting, err);
    }
    return rc;
}

static int try_corners(struct ws_probe *probe, const uint64_t *all, size_t count,
                       struct ws_error *err)
{
    const struct ws_space *space = probe->task->evaluator->space;
    const size_t knobs = space->knob_count < 20 ? space->knob_count : 20;
    int rc = 0;
    for (uint32_t corner = 0; rc == 0 && corner < 1u << knobs; corner++) {
        struct ws_setting setting;
        last_values(&setting, space);
        for (size_t k = 0; k < knobs; k++) {
            if ((corner >> k & 1u) != 0)
                setting.value[k] = 0;
        }
        if (ws_probe_left(probe) == 0)
            break;
        rc = try_like(probe, all, count, &setting, err);
    }
    return rc;
}

int ws_search_screen(struct ws_probe *probe, struct ws_error *err)
{
    uint64_t *all = NULL;
    size_t count = 0;
    int rc = ws_search_enumerate(&all, &count, probe->task->evaluator, err);
    if (rc == 0)
        rc = try_shared(probe, all, count, err);
    if (rc == 0)
        rc = try_corners(probe, all, count, err);
    free(all);
    return rc;
}
