/*
 * Requests that overlap on a machine with one meter, and what each of them drew: the
 * energy between two events is shared by those under way (ledger.h), so that all of them
 * and idle add up to the meter's total, but for what a slow meter tells too late
 * (track.h). Thread-safe.
 */
#ifndef WS_DEVICE_CLAIMS_H
#define WS_DEVICE_CLAIMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "device/sampler.h"

struct ws_claims;

struct ws_claims_options {
    struct ws_sampler *sampler; /* its first meter counts; must outlive */
    double idle_w;              /* what is nobody's; 0: all is somebody's */
};

int ws_claims_create(struct ws_claims **out, const struct ws_claims_options *options,
                     struct ws_error *err);
/* Takes NULL. */
void ws_claims_destroy(struct ws_claims *claims);

/* A request begins now. Each claim is ended, once. */
struct ws_claim {
    size_t number; /* WS_CLAIM_LOST: there was no room for it */
    int64_t start_ns;
};
#define WS_CLAIM_LOST SIZE_MAX
struct ws_claim ws_claims_begin(struct ws_claims *claims);
/* It ended then, which is not in the future. WS_E_LIMIT, WS_E_UNKNOWN and the codes of
 * the meter: its energy cannot be told. NULL for `out`: nobody asks. */
int ws_claims_end(struct ws_energy *out, struct ws_claims *claims, struct ws_claim claim,
                  int64_t end_ns, struct ws_error *err);

#endif
