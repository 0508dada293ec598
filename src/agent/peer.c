#include "agent/peer.h"

#include <math.h>

#include "policy/situation.h"

static const double trial_wait_max = 30000;

int ws_peer_may_be_tried(const struct ws_peer *peer, double now_ms)
{
    return now_ms - fmax(peer->cloud.at_ms, peer->tried_ms) >= peer->trial_wait_ms;
}

void ws_peer_tried(struct ws_peer *peer, double ratio, double wait_ms, double now_ms)
{
    double believed[2];
    ws_drift_get(believed, &peer->cloud, now_ms);
    peer->trial_wait_ms =
        ratio - 1 < (believed[0] - 1) / 2
            ? 0
            : fmin(fmax(2 * peer->trial_wait_ms, wait_ms), trial_wait_max);
}

/* Least squares of transfer times over bytes. */
static void fit_probe(struct ws_peer_load *out, const struct ws_plan *plan)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, bytes, ms;
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct ws_outcome *outcome = &plan->entries[i].outcome;
        if (ws_outcome_get(&ms, outcome, WS_TRANSFER_MS) != 0 || !(ms > 0) ||
            ws_outcome_get(&bytes, outcome, WS_TENSOR_BYTES) != 0)
            continue;
        n++;
        sx += bytes;
        sy += ms;
        sxx += bytes * bytes;
        sxy += bytes * ms;
    }
    double spread = n * sxx - sx * sx;
    if (n < 2 || !(spread > 0))
        return;
    double slope = (n * sxy - sx * sy) / spread;
    double fixed = (sy - slope * sx) / n;
    if (!(slope > 0))
        return;
    out->probe_ms_per_byte = slope;
    out->probe_fixed_ms = fixed > 0 ? fixed : 0;
}

void ws_peer_load_of(struct ws_peer_load *out, const struct ws_plan *plan)
{
    struct ws_peer_load sum = {0};
    double n = 0;
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct ws_outcome *outcome = &plan->entries[i].outcome;
        double transfer = 0, cloud = 0;
        if (ws_outcome_get(&transfer, outcome, WS_TRANSFER_MS) != 0 || !(transfer > 0))
            continue;
        struct ws_transfer split = ws_transfer_of(outcome, &plan->conditions);
        (void)ws_outcome_get(&cloud, outcome, WS_CLOUD_MS);
        sum.per_delay += split.per_delay;
        sum.at_pace += split.at_pace;
        sum.cloud_ms += cloud;
        n++;
    }
    *out = (struct ws_peer_load){0};
    if (n > 0) {
        out->per_delay = sum.per_delay / n;
        out->at_pace = sum.at_pace / n;
        out->cloud_ms = sum.cloud_ms / n;
    }
    fit_probe(out, plan);
}

double ws_peer_score(const struct ws_peer *peer, const struct ws_peer_load *load,
                     double now_ms)
{
    struct ws_link_estimate link;
    double cloud[2], share = 1 + (double)peer->in_flight;
    ws_link_get(&link, &peer->link, now_ms);
    ws_drift_get(cloud, &peer->cloud, now_ms);
    return load->per_delay * link.delay_ms +
           share * (load->at_pace * link.pace + load->cloud_ms * cloud[0]);
}
