#include "profile/rig.h"

#include <assert.h>

static const char *const names[] = {
    [WS_SIDE_EDGE] = "edge", [WS_SIDE_TRANSFER] = "transfer", [WS_SIDE_CLOUD] = "cloud"};
static_assert(sizeof(names) / sizeof(names[0]) == WS_SIDE_COUNT, "every side has a name");

int ws_side_key(struct ws_buf *out, const struct ws_space *space, enum ws_side side,
                const struct ws_setting *setting, struct ws_error *err)
{
    static const enum ws_part own[] = {[WS_SIDE_EDGE] = WS_PART_EDGE,
                                       [WS_SIDE_TRANSFER] = WS_PART_TRANSFER,
                                       [WS_SIDE_CLOUD] = WS_PART_CLOUD};
    ws_buf_clear(out);
    int rc = ws_buf_add_text(out, names[side], err);
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        if (knob->part == own[side] || knob->part == WS_PART_TRANSFER ||
            knob->part == WS_PART_SHARED)
            rc = ws_buf_printf(out, err, " %s=%s", knob->name,
                               knob->values[setting->value[k]].text);
    }
    return rc;
}

void ws_outcome_of_sides(struct ws_outcome *out, const struct ws_rig_sample *sample,
                         double edge_idle_w, enum ws_truth truth)
{
    const double *ms = sample->ms, *j = sample->energy_j;
    double away_ms = ms[WS_SIDE_TRANSFER] + ms[WS_SIDE_CLOUD];
    int knows_edge = (sample->energy_known >> WS_SIDE_EDGE & 1u) != 0;
    int knows_cloud = (sample->energy_known >> WS_SIDE_CLOUD & 1u) != 0;
    *out = (struct ws_outcome){.truth = truth};
    if (sample->beside_ms > 0)
        ws_outcome_set(out, WS_BESIDE_MS, sample->beside_ms);
    double added_ms = ws_outcome_added_ms(out, away_ms);
    double edge_j = j[WS_SIDE_EDGE] + edge_idle_w * added_ms / 1000;
    ws_outcome_set(out, WS_EDGE_MS, ms[WS_SIDE_EDGE]);
    ws_outcome_set(out, WS_TRANSFER_MS, ms[WS_SIDE_TRANSFER]);
    ws_outcome_set(out, WS_CLOUD_MS, ms[WS_SIDE_CLOUD]);
    ws_outcome_set(out, WS_LATENCY_MS, ms[WS_SIDE_EDGE] + added_ms);
    ws_outcome_set(out, WS_TENSOR_BYTES, sample->bytes);
    if (knows_edge)
        ws_outcome_set(out, WS_EDGE_ENERGY_J, edge_j);
    if (knows_cloud)
        ws_outcome_set(out, WS_CLOUD_ENERGY_J, j[WS_SIDE_CLOUD]);
    if (knows_edge && knows_cloud)
        ws_outcome_set(out, WS_ENERGY_J, edge_j + j[WS_SIDE_CLOUD]);
}

void ws_rig_destroy(struct ws_rig *rig)
{
    if (rig != NULL)
        rig->ops->destroy(rig);
}
