#include "core/link.h"

#include <math.h>

static double value_of(const struct ws_conditions *link, enum ws_condition which)
{
    double value = 0;
    (void)ws_conditions_get(&value, link, which);
    return value;
}

static const enum ws_condition all[] = {WS_LINK_MBIT_S, WS_LINK_DELAY_MS,
                                        WS_LINK_JITTER_MS, WS_LINK_LOSS};
enum { ALL_COUNT = sizeof(all) / sizeof(all[0]) };

void ws_link_update(struct ws_conditions *link, const struct ws_conditions *now)
{
    for (size_t i = 0; now != NULL && i < ALL_COUNT; i++) {
        double value = 0;
        if (ws_conditions_get(&value, now, all[i]) == 0)
            ws_conditions_set(link, all[i], value);
    }
}

int ws_link_check(const struct ws_conditions *link, struct ws_error *err)
{
    for (size_t i = 0; i < ALL_COUNT; i++) {
        double value = value_of(link, all[i]);
        if (!(value >= 0) || (all[i] == WS_LINK_LOSS && value >= 1))
            return ws_error_set(err, WS_E_USAGE, "%s: no link has %g",
                                ws_condition_name(all[i]), value);
    }
    return 0;
}

double ws_link_stall_ms(const struct ws_conditions *link, double packets_behind)
{
    double round_trip_ms = 2 * value_of(link, WS_LINK_DELAY_MS);
    return packets_behind >= WS_LINK_RESEND_AFTER
               ? round_trip_ms
               : fmax(2 * round_trip_ms, WS_LINK_RESEND_MS);
}

double ws_link_transfer_ms(const struct ws_conditions *link, double bytes)
{
    double mbit_s = INFINITY;
    double loss = value_of(link, WS_LINK_LOSS);
    double packets = ceil(bytes / WS_LINK_PACKET_BYTES);
    (void)ws_conditions_get(&mbit_s, link, WS_LINK_MBIT_S);
    if (bytes <= 0)
        return 0;
    double last = fmin(packets, WS_LINK_RESEND_AFTER);
    double stalls_ms =
        loss * ((packets - last) * ws_link_stall_ms(link, WS_LINK_RESEND_AFTER) +
                last * ws_link_stall_ms(link, 0));
    return value_of(link, WS_LINK_DELAY_MS) + bytes * 8 / (mbit_s * 1000) + stalls_ms;
}
