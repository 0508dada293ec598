#include "device/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/stats.h"

/* Terms of the time: one for each class, all bytes, what crosses, and 1. */
enum { TERM_BYTES = WS_WORK_CLASS_COUNT, TERM_CROSSING, TERM_FIXED, TERM_COUNT };
enum { REWEIGHTS = 15, SWEEPS = 3000, SAMPLES_MIN = 4 };
static const double exponent_max = 1.6;

/* Of work, of what crosses, of the fixed cost. */
enum { POWER_WORK, POWER_CROSSING, POWER_FIXED, POWER_COUNT };

/* Terms of a sample as shares of its time: with the right coefficients they add up to 1.
 */
static void terms_of(double *terms, const struct ws_sample *sample,
                     const double *exponents)
{
    double speed = pow(sample->clock, exponents[POWER_WORK]) * sample->ms;
    double bytes = 0;
    for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++) {
        terms[c] = sample->work.macs[c] / speed;
        bytes += sample->work.bytes[c];
    }
    terms[TERM_BYTES] = bytes / speed;
    terms[TERM_CROSSING] = sample->work.crossing_bytes /
                           (pow(sample->clock, exponents[POWER_CROSSING]) * sample->ms);
    terms[TERM_FIXED] = 1 / (pow(sample->clock, exponents[POWER_FIXED]) * sample->ms);
}

static double residual(const double *terms, const double *x)
{
    double sum = -1;
    for (size_t t = 0; t < TERM_COUNT; t++)
        sum += terms[t] * x[t];
    return sum;
}

/* Weighted least squares with x >= 0, one coordinate after the other: G x = b, where
 * G[i][j] = sum of w a_i a_j and b[i] = sum of w a_i. */
static void solve(double *x, double (*g)[TERM_COUNT], const double *b)
{
    const double still = 1e-9;
    double moved = 1;
    for (int sweep = 0; sweep < SWEEPS && moved > still; sweep++) {
        moved = 0;
        for (size_t i = 0; i < TERM_COUNT; i++) {
            double rest = b[i];
            if (g[i][i] <= 0)
                continue; /* nobody has any of it */
            for (size_t j = 0; j < TERM_COUNT; j++)
                rest -= j == i ? 0 : g[i][j] * x[j];
            double next = fmax(rest / g[i][i], 0);
            moved = fmax(moved, fabs(next - x[i]));
            x[i] = next;
        }
    }
}

/* What is fitted to, and room for its terms. */
struct fitting {
    const struct ws_sample *samples;
    size_t count;
    double (*terms)[TERM_COUNT];
};

/* The terms of all samples, scaled to the largest of their kind, so that seconds and
 * nanoseconds weigh alike. */
static void fill_terms(struct fitting *fitting, double *scale, const double *exponents)
{
    memset(scale, 0, TERM_COUNT * sizeof(*scale));
    for (size_t k = 0; k < fitting->count; k++) {
        terms_of(fitting->terms[k], &fitting->samples[k], exponents);
        for (size_t t = 0; t < TERM_COUNT; t++)
            scale[t] = fmax(scale[t], fitting->terms[k][t]);
    }
    for (size_t k = 0; k < fitting->count; k++) {
        for (size_t t = 0; t < TERM_COUNT; t++)
            fitting->terms[k][t] /= scale[t] > 0 ? scale[t] : 1;
    }
}

/* Coefficients of least mean absolute residual for these exponents, and that mean:
 * squares weighted by one over the residual before, again and again. */
static double fit_terms(double *x, struct fitting *fitting, const double *exponents)
{
    double scale[TERM_COUNT];
    double mean = 0;
    fill_terms(fitting, scale, exponents);
    memset(x, 0, TERM_COUNT * sizeof(*x));
    for (int round = 0; round <= REWEIGHTS; round++) {
        double g[TERM_COUNT][TERM_COUNT] = {{0}};
        double b[TERM_COUNT] = {0};
        mean = 0;
        for (size_t k = 0; k < fitting->count; k++) {
            const double *terms = fitting->terms[k];
            double off = fabs(residual(terms, x));
            double weight = round == 0 ? 1 : 1 / fmax(off, 1e-3);
            mean += off / (double)fitting->count;
            for (size_t i = 0; i < TERM_COUNT; i++) {
                b[i] += weight * terms[i];
                for (size_t j = 0; j < TERM_COUNT; j++)
                    g[i][j] += weight * terms[i] * terms[j];
            }
        }
        if (round < REWEIGHTS)
            solve(x, g, b);
    }
    for (size_t t = 0; t < TERM_COUNT; t++)
        x[t] = scale[t] > 0 ? x[t] / scale[t] : 0;
    return mean;
}

static int clock_moves(const struct ws_sample *samples, size_t count)
{
    for (size_t k = 1; k < count; k++) {
        if (samples[k].clock != samples[0].clock)
            return 1;
    }
    return 0;
}

/* Goes from `exponents` to the best of its neighbours at this distance, once for each
 * sign of each exponent; whether one was better. */
static int move(double *exponents, double *error, double step, struct fitting *fitting)
{
    enum { SIGNS = 27 };
    double best[POWER_COUNT];
    double x[TERM_COUNT];
    int moved = 0;
    memcpy(best, exponents, sizeof(best));
    for (int which = 0; which < SIGNS; which++) {
        const int signs[POWER_COUNT] = {which % 3 - 1, which / 3 % 3 - 1, which / 9 - 1};
        double at[POWER_COUNT];
        for (size_t p = 0; p < POWER_COUNT; p++)
            at[p] = fmin(fmax(exponents[p] + signs[p] * step, 0), exponent_max);
        if (memcmp(at, exponents, sizeof(at)) == 0)
            continue;
        double there = fit_terms(x, fitting, at);
        if (there >= *error)
            continue;
        *error = there;
        memcpy(best, at, sizeof(best));
        moved = 1;
    }
    memcpy(exponents, best, sizeof(best));
    return moved;
}

/* One exponent of work and crossing alike for a few samples, which do not tell powers
 * apart; else three. Steps get smaller where no neighbour is better. */
static void search_exponents(double *exponents, struct fitting *fitting)
{
    enum { MANY = 40, MOVES_MAX = 60 };
    const double first = 0.4;
    const double last = 0.004;
    double x[TERM_COUNT];
    double error = INFINITY;
    for (double e = 0; e <= exponent_max; e += last) {
        const double same[POWER_COUNT] = {e, e, 0};
        double there = fit_terms(x, fitting, same);
        if (there < error)
            memcpy(exponents, same, sizeof(same));
        error = fmin(error, there);
        e += fitting->count >= MANY ? 10 * last : 0;
    }
    double step = first;
    for (int moves = 0; fitting->count >= MANY && step > last && moves < MOVES_MAX;
         moves++) {
        if (!move(exponents, &error, step, fitting))
            step /= 2;
    }
}

/* The median power at every clock, ascending. */
static int fit_power(struct ws_fit *out, const struct ws_sample *samples, size_t count,
                     struct ws_error *err)
{
    double *powers = malloc(count * sizeof(*powers));
    double last = 0;
    if (powers == NULL)
        return ws_error_nomem(err);
    for (;;) {
        double next = INFINITY;
        size_t have = 0;
        for (size_t k = 0; k < count; k++) {
            if (samples[k].has_power && samples[k].clock > last)
                next = fmin(next, samples[k].clock);
        }
        if (!isfinite(next))
            break;
        for (size_t k = 0; k < count; k++) {
            if (samples[k].has_power && samples[k].clock == next)
                powers[have++] = samples[k].power_w;
        }
        if (out->power_count == WS_BOARD_POINTS_MAX) {
            free(powers);
            return ws_error_set(err, WS_E_LIMIT, "power at more than %d clocks",
                                WS_BOARD_POINTS_MAX);
        }
        out->clock[out->power_count] = last = next;
        out->power_w[out->power_count++] = ws_stats_median(powers, have);
    }
    free(powers);
    return 0;
}

static double rate(double ms_each)
{
    return ms_each > 0 ? 1000 / ms_each : 0;
}

int ws_calibrate_unit(struct ws_fit *out, const struct ws_sample *samples, size_t count,
                      struct ws_error *err)
{
    struct ws_fit fit = {0};
    double exponents[POWER_COUNT] = {0};
    double x[TERM_COUNT];
    if (count < SAMPLES_MIN)
        return ws_error_set(err, WS_E_UNKNOWN, "%zu trials are too few to fit to", count);
    struct fitting fitting = {.samples = samples,
                              .count = count,
                              .terms = calloc(count, sizeof(*fitting.terms))};
    if (fitting.terms == NULL)
        return ws_error_nomem(err);
    if (clock_moves(samples, count))
        search_exponents(exponents, &fitting);
    fit.error = fit_terms(x, &fitting, exponents);
    free(fitting.terms);
    fit.exponent = exponents[POWER_WORK];
    fit.crossing_exponent = exponents[POWER_CROSSING];
    fit.fixed_exponent = exponents[POWER_FIXED];
    for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++)
        fit.macs_per_s[c] = rate(x[c]);
    fit.bytes_per_s = rate(x[TERM_BYTES]);
    fit.crossing_bytes_per_s = rate(x[TERM_CROSSING]);
    fit.fixed_ms = x[TERM_FIXED];
    int rc = fit_power(&fit, samples, count, err);
    if (rc == 0)
        *out = fit;
    return rc;
}
