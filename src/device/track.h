/*
 * What a meter said over time, and the energy of any window of it. Watts are integrated
 * by the trapezoid rule, with the line between two samples cut where the window cuts it;
 * a counter's joules are spread evenly between two changes of its value, which is the
 * correction for windows shorter than its interval: it would read 0 in most of them and
 * too much in the rest. A meter slower than its reader still holds what it told last for
 * a while, watts as they are, a counter's joules as in the stretch before. Where a sample
 * was lost, or two are too far apart to mean anything, the energy is WS_E_UNKNOWN and
 * never 0. A ring of fixed size; the oldest sample goes first. Adding allocates nothing.
 * The caller locks.
 */
#ifndef WS_DEVICE_TRACK_H
#define WS_DEVICE_TRACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_track;

struct ws_track_options {
    size_t capacity; /* samples kept, at least 2 */
    int is_counter;  /* values are joules, not watts */
    int64_t gap_ns;  /* samples farther apart have something missing; 0: never */
    /* How long what was told last holds: until then an unchanged counter tells nothing
     * new, and windows may end after the last sample. */
    int64_t refresh_ns;
};

int ws_track_create(struct ws_track **out, const struct ws_track_options *options,
                    struct ws_error *err);
/* Takes NULL. */
void ws_track_destroy(struct ws_track *track);

/* Times rise: WS_E_MISMATCH (a clock that was set back), and the sample is not taken. A
 * counter that falls is a lost sample and then a new beginning. */
int ws_track_add(struct ws_track *track, int64_t time_ns, double value,
                 struct ws_error *err);
/* A reading failed: whatever window holds the stretch up to the next one is unknown. */
void ws_track_lose(struct ws_track *track);

struct ws_energy {
    double energy_j;
    int is_interpolated; /* no sample lies inside: the window is shorter than the meter's
                            interval, and this is its share of a longer one */
};
/* Joules from start to end. WS_E_UNKNOWN: before the first sample kept, after what
 * the last holds for, or across a gap. WS_E_USAGE: end before start. */
int ws_track_energy(struct ws_energy *out, const struct ws_track *track, int64_t start_ns,
                    int64_t end_ns, struct ws_error *err);
/* Times of the oldest and newest sample; WS_E_UNKNOWN without one. */
int ws_track_span(int64_t *first_ns, int64_t *last_ns, const struct ws_track *track);

#endif
