#include "agent/link.h"

#include <math.h>

#include "policy/situation.h"

/* Times of what never came are infinite; this many times the planned is slow enough. */
static const double late_max = 1000;

/* The rate of a link changes far more than its delay, and it is looked at again after a
 * while. */
static const struct ws_drift_options drift_options = {
    .prior_sd = {0.02, 0.05}, .jump_sd = {0.5, 20}, .band = 0.1, .forget_ms = 30000};

void ws_link_init(struct ws_link *link, const struct ws_conditions *reference,
                  double forget_ms)
{
    struct ws_drift_options options = drift_options;
    if (forget_ms > 0)
        options.forget_ms = forget_ms;
    ws_drift_init(&link->drift, &options);
    link->reference = *reference;
}

/* Which share of a planned transfer is delay, and which follows the rate; 0 where the
 * plan has no transfer. */
static int shares_of(double out[2], const struct ws_link *link,
                     const struct ws_outcome *planned)
{
    struct ws_transfer split = ws_transfer_of(planned, &link->reference);
    double delay = split.per_delay * ws_situation_nominal(&link->reference).delay_ms;
    double sum = delay + split.at_pace;
    if (!(sum > 0))
        return 0;
    out[0] = delay / sum;
    out[1] = split.at_pace / sum;
    return 1;
}

void ws_link_observe(struct ws_link *link, const struct ws_outcome *planned,
                     double took_ms, double now_ms)
{
    double share[2], transfer;
    if (ws_outcome_get(&transfer, planned, WS_TRANSFER_MS) == 0 && transfer > 0 &&
        took_ms > 0 && shares_of(share, link, planned))
        ws_drift_observe(&link->drift, share, fmin(took_ms / transfer, late_max), now_ms);
}

void ws_link_observe_least(struct ws_link *link, const struct ws_outcome *planned,
                           double least_ms, double now_ms)
{
    double share[2], transfer, factor[2];
    if (ws_outcome_get(&transfer, planned, WS_TRANSFER_MS) != 0 || !(transfer > 0) ||
        !shares_of(share, link, planned))
        return;
    ws_drift_get(factor, &link->drift, now_ms);
    double foreseen = transfer * (share[0] * factor[0] + share[1] * factor[1]);
    if (least_ms > foreseen)
        ws_link_observe(link, planned, least_ms, now_ms);
}

void ws_link_observe_probe(struct ws_link *link, double fixed_ms, double wire_ms,
                           double took_ms, double now_ms)
{
    double planned = fixed_ms + wire_ms;
    if (!(took_ms > 0) || !(planned > 0))
        return;
    const double share[2] = {fixed_ms / planned, wire_ms / planned};
    ws_drift_observe(&link->drift, share, fmin(took_ms / planned, late_max), now_ms);
}

void ws_link_forget(struct ws_link *link)
{
    const struct ws_drift_options options = link->drift.options;
    ws_drift_init(&link->drift, &options);
}

static double delay_of(const struct ws_link *link)
{
    return ws_situation_nominal(&link->reference).delay_ms;
}

static double rate_of(const struct ws_link *link)
{
    double rate = 0;
    (void)ws_conditions_get(&rate, &link->reference, WS_LINK_MBIT_S);
    return rate;
}

void ws_link_inherit(struct ws_link *link, const struct ws_link *from, double shift_ms)
{
    const double was[2] = {delay_of(from), 1 / rate_of(from)};
    const double is[2] = {delay_of(link), 1 / rate_of(link)};
    ws_drift_inherit(&link->drift, &from->drift, shift_ms);
    for (int i = 0; i < 2; i++) {
        /* The factors are relative to the reference. */
        if (was[i] > 0 && is[i] > 0 && isfinite(was[i]) && isfinite(is[i]))
            link->drift.factor[i] *= was[i] / is[i];
    }
}

void ws_link_note(struct ws_link *link, const struct ws_conditions *now, double now_ms)
{
    struct ws_situation plan = ws_situation_nominal(&link->reference), then = plan;
    ws_situation_set_link(&then, &link->reference, now);
    ws_link_forget(link);
    link->drift.factor[0] = plan.delay_ms > 0 ? then.delay_ms / plan.delay_ms : 1;
    link->drift.factor[1] = then.pace;
    link->drift.at_ms = now_ms;
    link->drift.count = 1;
}

void ws_link_get(struct ws_link_estimate *out, const struct ws_link *link, double now_ms)
{
    double factor[2], rate = 0;
    ws_drift_get(factor, &link->drift, now_ms);
    (void)ws_conditions_get(&rate, &link->reference, WS_LINK_MBIT_S);
    *out = (struct ws_link_estimate){
        .delay_ms = ws_situation_nominal(&link->reference).delay_ms * factor[0],
        .pace = factor[1],
        .mbit_s = rate / factor[1],
        .spread = sqrt(link->drift.noise),
        .age_ms = link->drift.count == 0 ? INFINITY : now_ms - link->drift.at_ms,
    };
}
