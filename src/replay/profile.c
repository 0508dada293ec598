#include "replay/profile.h"

#include <stdlib.h>

/* Counts up the shared knobs like the digits of a number, the last one fastest; 0 when
 * all combinations have been. */
static int next_cut(struct ws_setting *setting, const struct ws_space *space)
{
    for (size_t k = space->knob_count; k-- > 0;) {
        if (space->knobs[k].part != WS_PART_SHARED)
            continue;
        if (++setting->value[k] < space->knobs[k].value_count)
            return 1;
        setting->value[k] = 0;
    }
    return 0;
}

/* The cut of `cut` on the first hardware that can have it; 0 if none can. */
static int on_hardware(struct ws_setting *out, struct ws_evaluator *evaluator,
                       const struct ws_setting *cut, const struct ws_setting *cloud_only,
                       const struct ws_setting *edge_only)
{
    const struct ws_space *space = evaluator->space;
    const struct ws_setting *const choices[3][2] = {
        {edge_only, cloud_only}, {cloud_only, cloud_only}, {edge_only, edge_only}};
    for (size_t c = 0; c < 3; c++) {
        struct ws_setting setting = *cut;
        for (size_t k = 0; k < space->knob_count; k++) {
            enum ws_part part = space->knobs[k].part;
            if (part != WS_PART_SHARED)
                setting.value[k] = choices[c][part != WS_PART_EDGE]->value[k];
        }
        if (ws_evaluator_has(evaluator, &setting)) {
            *out = setting;
            return 1;
        }
    }
    return 0;
}

static int cut_count(size_t *out, const struct ws_space *space, struct ws_error *err)
{
    size_t count = 1;
    for (size_t k = 0; k < space->knob_count; k++) {
        if (space->knobs[k].part == WS_PART_SHARED)
            count *= space->knobs[k].value_count;
        if (count > WS_PROFILE_MAX)
            return ws_error_set(err, WS_E_LIMIT, "more than %d cuts", WS_PROFILE_MAX);
    }
    *out = count;
    return 0;
}

int ws_profile_create(struct ws_profile *out, struct ws_evaluator *evaluator,
                      const struct ws_setting *cloud_only,
                      const struct ws_setting *edge_only, struct ws_error *err)
{
    struct ws_profile profile = {0};
    struct ws_setting cut = {{0}};
    size_t count = 0;
    if (cloud_only == NULL || edge_only == NULL) {
        *out = profile;
        return 0;
    }
    int rc = cut_count(&count, evaluator->space, err);
    if (rc != 0)
        return rc;
    profile.entries = calloc(count, sizeof(*profile.entries));
    if (profile.entries == NULL)
        return ws_error_nomem(err);
    do {
        struct ws_plan_entry entry = {0};
        if (!on_hardware(&entry.setting, evaluator, &cut, cloud_only, edge_only))
            continue;
        rc = ws_evaluator_expect(evaluator, &entry.outcome, &entry.setting, NULL, err);
        if (rc != 0) {
            ws_profile_fini(&profile);
            return rc;
        }
        profile.entries[profile.count++] = entry;
    } while (next_cut(&cut, evaluator->space));
    *out = profile;
    return 0;
}

void ws_profile_fini(struct ws_profile *profile)
{
    free(profile->entries);
    *profile = (struct ws_profile){0};
}
