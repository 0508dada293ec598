/*
 * What trials let us expect of a setting that was not tried: times and costs as sums of
 * parts, each part from its own surrogate over the few knobs that move it. Where trials
 * do not know their parts, or parts do not add up to the total, the total itself is
 * modelled. A part that was always nothing for some value of a shared knob (no transfer
 * where all runs at the edge) is taken to be nothing there. Internal to this room.
 */
#ifndef WS_SEARCH_FORESIGHT_H
#define WS_SEARCH_FORESIGHT_H

#include "base/rng.h"
#include "search/search.h"
#include "search/surrogate.h"

enum { WS_FORESIGHT_PARTS_MAX = 3 };

/* One addend. */
struct ws_addend {
    enum ws_measure measure;
    enum ws_part part;
    struct ws_surrogate *surrogate;
    uint8_t *nothing[WS_KNOBS_MAX]; /* [value_count] for shared knobs, else NULL */
    double offset;                  /* added before the logarithm */
    int fitted;                     /* 0: every trial gave nothing */
    /* A transfer whose bytes are known goes through them: the surrogate is of the bytes,
     * and time is delay + bytes * per_byte, give or take `jitter` (of its logarithm). */
    int through_bytes;
    double delay_ms;
    double ms_per_byte;
    double jitter;
};

/* One quantity: an objective and its addends. */
struct ws_foresight {
    enum ws_measure measure;
    const struct ws_space *space;
    struct ws_addend addends[WS_FORESIGHT_PARTS_MAX];
    size_t addend_count;
    int logarithmic; /* else modelled as it is */
    int steady;      /* expected without most of its noise */
};

/* A quantity as it is expected: a floor that it will hardly go below plus a log-normal
 * rest, by centre and spread of its logarithm; where it is not logarithmic, a normal
 * variable. Wants to be small, either way. */
struct ws_expected {
    double floor;
    double centre;
    double spread;
};

/* Time over bytes by the median of slopes (Theil and Sen), so that a few slow transfers
 * do not bend it; jitter from the median distance. Sorts nothing of the caller's. */
int ws_link_fit(double *out_delay_ms, double *out_ms_per_byte, double *out_jitter,
                const double *bytes, const double *ms, size_t count,
                struct ws_error *err);

/* Chooses addends by what the trials know. */
int ws_foresight_init(struct ws_foresight *out, const struct ws_space *space,
                      enum ws_measure measure, const struct ws_trials *trials,
                      struct ws_error *err);
void ws_foresight_fini(struct ws_foresight *foresight);
/* Learns from the trials; from a part of them where they are too many. */
int ws_foresight_fit(struct ws_foresight *foresight, const struct ws_trials *trials,
                     int tune, struct ws_error *err);
/* The value at `z` standard deviations from the middle. */
double ws_foresight_value(const struct ws_foresight *foresight,
                          const struct ws_expected *expected, double z);
/* Probability that the value is at most `bound`. */
double ws_foresight_at_most(const struct ws_foresight *foresight,
                            const struct ws_expected *expected, double bound);
void ws_foresight_predict(struct ws_expected *out, const struct ws_foresight *foresight,
                          const struct ws_setting *setting);

#endif
