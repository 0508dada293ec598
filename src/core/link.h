/*
 * A link as the conditions know it: rate, delay one way, jitter around it, and the share
 * of packets that get lost. What is not known does not slow anything down. The same
 * arithmetic stands behind modelled transfers and is what the shaping proxy
 * (net/shaper.h) does to real ones. Plain functions of plain data.
 */
#ifndef WS_CORE_LINK_H
#define WS_CORE_LINK_H

#include "core/outcome.h"

enum {
    WS_LINK_PACKET_BYTES = 1448, /* of data in a TCP segment over Ethernet */
    WS_LINK_RESEND_MS = 200,     /* Linux: the least time before a silence is a loss */
    WS_LINK_RESEND_AFTER = 3,    /* packets behind a lost one that betray it at once */
};

/* WS_E_USAGE names a value that no link has: a negative one, or a loss of 1 or more. */
int ws_link_check(const struct ws_conditions *link, struct ws_error *err);

/* Sets in `link` what `now` knows of a link; NULL: nothing. */
void ws_link_update(struct ws_conditions *link, const struct ws_conditions *now);

/* For how long a lost packet holds back all that is behind it: a round trip where enough
 * packets follow to betray the loss, else until the sender's patience ends. */
double ws_link_stall_ms(const struct ws_conditions *link, double packets_behind);

/* Mean milliseconds until the last of `bytes`, sent in one go, has come over. Infinite at
 * a rate of 0 (but 0 for no bytes). */
double ws_link_transfer_ms(const struct ws_conditions *link, double bytes);

#endif
