/*
 * Fitting one computing unit of a device model to trials of a real one. Time is what the
 * model says it is (docs/device-model.md): work over rates, times powers of one clock,
 * and a fixed cost. The fit is the one of least mean absolute relative error: rates and
 * fixed cost by non-negative least squares whose weights are adapted, the exponents by a
 * search over them. Power is the median at each value of the clock. What no trial shows
 * comes back as 0, which stands for "not seen". Pure functions.
 */
#ifndef WS_DEVICE_CALIBRATE_H
#define WS_DEVICE_CALIBRATE_H

#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"
#include "core/work.h"

/* One trial: what a segment took. */
struct ws_sample {
    struct ws_work work;
    double clock; /* value of the unit's clock, relative to its reference */
    double ms;
    double power_w;
    int has_power;
};

struct ws_fit {
    double macs_per_s[WS_WORK_CLASS_COUNT];
    double bytes_per_s; /* of all classes */
    double crossing_bytes_per_s;
    double fixed_ms;
    /* Of the clock, by what it speeds up; all 0 where it never moved. Handing over runs
     * on a processor even where the multiplications do not. */
    double exponent, crossing_exponent, fixed_exponent;
    double clock[WS_BOARD_POINTS_MAX];
    double power_w[WS_BOARD_POINTS_MAX];
    size_t power_count; /* ascending clocks */
    double error;       /* mean absolute relative, of the times fitted to */
};

/* WS_E_UNKNOWN: too few samples to tell anything, WS_E_LIMIT: more clocks than a table
 * holds. */
int ws_calibrate_unit(struct ws_fit *out, const struct ws_sample *samples, size_t count,
                      struct ws_error *err);

#endif
