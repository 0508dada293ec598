/*
 * Sharing a meter's energy among requests that overlap. The rule: between two consecutive
 * events (a request starts or ends), the machine's idle power, but no more than was
 * drawn, goes to idle; the rest is shared by the requests under way in proportion to
 * their weights; where none is under way all of it is idle's. So the requests' joules and
 * idle's add up to the meter's total, whatever overlaps.
 */
#ifndef WS_DEVICE_LEDGER_H
#define WS_DEVICE_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_share {
    int64_t start_ns,
        end_ns;      /* end > start; what lies outside the period is not counted */
    double weight;   /* > 0; 1 for equals, or the share of processor time */
    double energy_j; /* out */
};

/* Energy of any window, e.g. through ws_sampler_energy. */
typedef int (*ws_ledger_energy)(void *user, double *out_j, int64_t start_ns,
                                int64_t end_ns, struct ws_error *err);

/* Fills the shares' energy and *idle_j for the period. A window that is unknown makes all
 * of it unknown: its code comes back and nothing is filled in. WS_E_USAGE: a share that
 * ends before it starts or weighs nothing. */
int ws_ledger_share(struct ws_share *shares, size_t count, double *idle_j,
                    int64_t start_ns, int64_t end_ns, double idle_w,
                    ws_ledger_energy energy, void *user, struct ws_error *err);

#endif
