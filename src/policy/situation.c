#include "policy/situation.h"

#include <math.h>

/* Of a link that is gone: finite, because nothing times infinity is not nothing. */
static const double pace_max = 1e9;

/* What the link itself should take for `bytes`, split. Without a known rate or size the
 * whole time is said to follow the pace; a delay that is not known is none. */
struct ws_transfer ws_transfer_of(const struct ws_outcome *outcome,
                                  const struct ws_conditions *reference)
{
    double ms = 0, rate = 0, delay = 0, bytes = 0;
    if (ws_outcome_get(&ms, outcome, WS_TRANSFER_MS) != 0)
        return (struct ws_transfer){0, 0};
    if (ws_conditions_get(&rate, reference, WS_LINK_MBIT_S) != 0 || rate <= 0 ||
        ws_outcome_get(&bytes, outcome, WS_TENSOR_BYTES) != 0 || bytes <= 0)
        return (struct ws_transfer){0, ms};
    (void)ws_conditions_get(&delay, reference, WS_LINK_DELAY_MS);
    double wire = bytes * 8 / (rate * 1000); /* Mbit/s are kbit/ms */
    return (struct ws_transfer){ms / (delay + wire), ms * wire / (delay + wire)};
}

struct ws_situation ws_situation_nominal(const struct ws_conditions *reference)
{
    struct ws_situation now = {.edge_scale = 1, .cloud_scale = 1, .pace = 1};
    double delay;
    if (ws_conditions_get(&delay, reference, WS_LINK_DELAY_MS) == 0)
        now.delay_ms = delay;
    return now;
}

void ws_situation_set_link(struct ws_situation *out,
                           const struct ws_conditions *reference,
                           const struct ws_conditions *now)
{
    double then, rate;
    if (ws_conditions_get(&then, reference, WS_LINK_MBIT_S) == 0 &&
        ws_conditions_get(&rate, now, WS_LINK_MBIT_S) == 0)
        out->pace = fmin(then / rate, pace_max);
    (void)ws_conditions_get(&out->delay_ms, now, WS_LINK_DELAY_MS);
}

double ws_situation_foresee(const struct ws_situation *now,
                            const struct ws_outcome *outcome,
                            const struct ws_conditions *reference)
{
    double latency = 0, edge = 0, transfer = 0, cloud = 0, beside = 0;
    (void)ws_outcome_get(&latency, outcome, WS_LATENCY_MS);
    (void)ws_outcome_get(&edge, outcome, WS_EDGE_MS);
    (void)ws_outcome_get(&transfer, outcome, WS_TRANSFER_MS);
    (void)ws_outcome_get(&cloud, outcome, WS_CLOUD_MS);
    (void)ws_outcome_get(&beside, outcome, WS_BESIDE_MS);
    struct ws_transfer split = ws_transfer_of(outcome, reference);
    return (edge - beside) * now->edge_scale +
           fmax(beside * now->edge_scale, split.per_delay * now->delay_ms +
                                              split.at_pace * now->pace +
                                              cloud * now->cloud_scale) +
           (latency - (edge - beside) - fmax(beside, transfer + cloud));
}

double ws_situation_edge_w(const struct ws_outcome *outcome)
{
    double ms, joules;
    if (ws_outcome_get(&ms, outcome, WS_EDGE_MS) != 0 || !(ms > 0) ||
        ws_outcome_get(&joules, outcome, WS_EDGE_ENERGY_J) != 0)
        return 0;
    return joules / ms * 1000;
}
