/*
 * The link that outcomes were taken over, where nobody says it: from what crossed and how
 * long that took. Robust: medians of equal sizes, then the line through them by the
 * median of slopes (Theil and Sen).
 */
#ifndef WS_STUDY_LINK_ESTIMATE_H
#define WS_STUDY_LINK_ESTIMATE_H

#include "base/error.h"
#include "core/outcome.h"

/* Sets rate and delay of `out`. WS_E_UNKNOWN where no outcome knows bytes and time of a
 * transfer. */
int ws_link_estimate(struct ws_conditions *out, const struct ws_outcome *outcomes,
                     size_t count, struct ws_error *err);

#endif
