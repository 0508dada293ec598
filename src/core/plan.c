#include "core/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/link.h"

void ws_stage_list_fini(struct ws_stage_list *list)
{
    for (size_t s = 0; s < list->count; s++) {
        free(list->stages[s].machine);
        free(list->stages[s].segment);
    }
    *list = (struct ws_stage_list){0};
}

int ws_stage_list_copy(struct ws_stage_list *out, const struct ws_stage_list *list,
                       struct ws_error *err)
{
    struct ws_stage_list copy = {.count = list->count};
    int rc = 0;
    for (size_t s = 0; rc == 0 && s < list->count; s++) {
        const struct ws_stage *from = &list->stages[s];
        struct ws_stage *to = &copy.stages[s];
        *to = (struct ws_stage){.knobs = from->knobs, .is_beside = from->is_beside};
        to->machine = strdup(from->machine);
        to->segment = from->segment == NULL ? NULL : strdup(from->segment);
        if (to->machine == NULL || (from->segment != NULL && to->segment == NULL))
            rc = ws_error_nomem(err);
    }
    if (rc != 0)
        ws_stage_list_fini(&copy);
    else
        *out = copy;
    return rc;
}

void ws_plan_fini(struct ws_plan *plan)
{
    for (size_t i = 0; i < plan->stage_list_count; i++)
        ws_stage_list_fini(&plan->stage_lists[i]);
    free(plan->stage_lists);
    free(plan->entries);
    free(plan->testbed);
    ws_space_fini(&plan->space);
    *plan = (struct ws_plan){0};
}

/* How much longer a transfer takes now than under the reference; 1 where not known. */
static double transfer_ratio(const struct ws_outcome *outcome,
                             const struct ws_conditions *reference,
                             const struct ws_conditions *now)
{
    struct ws_conditions link = *reference;
    double rate = 0;
    double bytes = 0;
    if (ws_conditions_get(&rate, reference, WS_LINK_MBIT_S) != 0 || rate <= 0)
        return 1;
    ws_link_update(&link, now);
    if (ws_outcome_get(&bytes, outcome, WS_TENSOR_BYTES) != 0 || bytes <= 0)
        return rate / link.value[WS_LINK_MBIT_S];
    return ws_link_transfer_ms(&link, bytes) / ws_link_transfer_ms(reference, bytes);
}

void ws_outcome_relink(struct ws_outcome *outcome, const struct ws_conditions *reference,
                       const struct ws_conditions *now, double edge_idle_w)
{
    double transfer_ms = 0;
    if (now == NULL || ws_outcome_get(&transfer_ms, outcome, WS_TRANSFER_MS) != 0 ||
        transfer_ms <= 0)
        return;
    double ratio = transfer_ratio(outcome, reference, now);
    double extra_ms = transfer_ms * (ratio - 1);
    double cloud_ms = 0;
    (void)ws_outcome_get(&cloud_ms, outcome, WS_CLOUD_MS);
    outcome->value[WS_TRANSFER_MS] = transfer_ms + extra_ms;
    /* Of the time added or saved, what the edge does not work through anyway. */
    if (ws_outcome_knows(outcome, WS_BESIDE_MS))
        extra_ms = ws_outcome_added_ms(outcome, transfer_ms + extra_ms + cloud_ms) -
                   ws_outcome_added_ms(outcome, transfer_ms + cloud_ms);
    if (ws_outcome_knows(outcome, WS_LATENCY_MS))
        outcome->value[WS_LATENCY_MS] += extra_ms;
    if (edge_idle_w <= 0 || !isfinite(extra_ms))
        return;
    double extra_j = edge_idle_w * extra_ms / 1000;
    if (ws_outcome_knows(outcome, WS_EDGE_ENERGY_J))
        outcome->value[WS_EDGE_ENERGY_J] += extra_j;
    if (ws_outcome_knows(outcome, WS_ENERGY_J))
        outcome->value[WS_ENERGY_J] += extra_j;
}

int ws_stage_list_default(struct ws_stage_list *out, const struct ws_space *space,
                          struct ws_error *err)
{
    static const struct {
        const char *machine;
        enum ws_part own;
    } sides[] = {{"edge", WS_PART_EDGE}, {"cloud", WS_PART_CLOUD}};
    struct ws_stage_list list = {.count = 2};
    for (size_t s = 0; s < list.count; s++) {
        list.stages[s].machine = strdup(sides[s].machine);
        if (list.stages[s].machine == NULL) {
            ws_stage_list_fini(&list);
            return ws_error_nomem(err);
        }
        for (size_t k = 0; k < space->knob_count; k++) {
            enum ws_part part = space->knobs[k].part;
            if (part == sides[s].own || part == WS_PART_TRANSFER ||
                part == WS_PART_SHARED)
                list.stages[s].knobs |= 1u << k;
        }
    }
    *out = list;
    return 0;
}
