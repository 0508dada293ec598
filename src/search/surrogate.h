/*
 * A Gaussian process over settings, for one quantity of an outcome. Its kernel is what
 * parts and kinds of knobs say: each knob of the quantity's own part, and each shared
 * one, has an effect of its own (a trend along the order plus something rougher, or one
 * level per nominal value), all of them together have an interaction, and knobs of other
 * parts have hardly any effect. Positive quantities are modelled by their logarithm, in
 * which a product of work and speed is a sum of effects. A few scales are chosen by
 * marginal likelihood. See Rasmussen and Williams, Gaussian Processes for Machine
 * Learning (2006), chapters 2 and 5. The space must outlive it; not thread-safe.
 */
#ifndef WS_SEARCH_SURROGATE_H
#define WS_SEARCH_SURROGATE_H

#include "base/error.h"
#include "core/knob.h"

/* Trials that one fit can hold: cubic in time. */
enum { WS_SURROGATE_TRIALS_MAX = 256 };

struct ws_surrogate;

/* `part`: whose knobs matter besides the shared ones; WS_PART_SHARED: all matter. */
int ws_surrogate_create(struct ws_surrogate **out, const struct ws_space *space,
                        enum ws_part part, struct ws_error *err);
void ws_surrogate_destroy(struct ws_surrogate *surrogate);
/* Fits y[i] at settings[i]; count in 1 .. WS_SURROGATE_TRIALS_MAX. With `tune` the scales
 * are chosen anew, else those of the last fit are kept. */
int ws_surrogate_fit(struct ws_surrogate *surrogate, const struct ws_setting *settings,
                     const double *y, size_t count, int tune, struct ws_error *err);
/* Variance of the noise alone, as of the last fit. */
double ws_surrogate_noise(const struct ws_surrogate *surrogate);
/* Logarithm of the last fit's marginal likelihood, scales' prior included, up to a
 * constant: to compare fits of differently transformed values. */
double ws_surrogate_likelihood(const struct ws_surrogate *surrogate);
/* Mean and variance of what a trial of the setting would give, noise included. Needs a
 * fit before. */
void ws_surrogate_predict(double *out_mean, double *out_variance,
                          const struct ws_surrogate *surrogate,
                          const struct ws_setting *setting);

/* Where a value lies along its knob, 0 to 1: by the logarithm of its number where all are
 * positive, else by its number, else by rank. Nominal knobs: by rank. */
double ws_knob_position(const struct ws_knob *knob, size_t value);

#endif
