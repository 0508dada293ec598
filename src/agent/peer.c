#include "agent/peer.h"

#include "policy/situation.h"

void ws_peer_load_of(struct ws_peer_load *out, const struct ws_plan *plan)
{
    struct ws_peer_load sum = {0, 0, 0};
    size_t count = 0;
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
        count++;
    }
    double n = count > 0 ? (double)count : 1;
    *out = (struct ws_peer_load){sum.per_delay / n, sum.at_pace / n, sum.cloud_ms / n};
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
