#include "device/track.h"

#include <inttypes.h>
#include <stdlib.h>

struct sample {
    int64_t time_ns;
    double value;   /* J or W */
    double total_j; /* from the track's first sample on, gaps counted as 0 */
    uint64_t gaps;  /* before this sample */
};

struct ws_track {
    struct ws_track_options options;
    struct sample *ring;
    size_t first;
    size_t count;
    int is_lost; /* since the last sample */
};

int ws_track_create(struct ws_track **out, const struct ws_track_options *options,
                    struct ws_error *err)
{
    struct ws_track *track = calloc(1, sizeof(*track));
    if (track == NULL)
        return ws_error_nomem(err);
    track->options = *options;
    track->ring = calloc(options->capacity, sizeof(*track->ring));
    if (track->ring == NULL) {
        free(track);
        return ws_error_nomem(err);
    }
    *out = track;
    return 0;
}

void ws_track_destroy(struct ws_track *track)
{
    if (track == NULL)
        return;
    free(track->ring);
    free(track);
}

static const struct sample *at(const struct ws_track *track, size_t index)
{
    return &track->ring[(track->first + index) % track->options.capacity];
}

static double seconds(int64_t from_ns, int64_t to_ns)
{
    return (double)(to_ns - from_ns) * 1e-9;
}

/* Joules between neighbours that nothing is missing between. */
static double between(const struct ws_track *track, const struct sample *a,
                      const struct sample *b)
{
    if (track->options.is_counter)
        return b->value - a->value;
    return (a->value + b->value) / 2 * seconds(a->time_ns, b->time_ns);
}

int ws_track_add(struct ws_track *track, int64_t time_ns, double value,
                 struct ws_error *err)
{
    struct sample sample = {.time_ns = time_ns, .value = value};
    if (track->count > 0) {
        const struct sample *last = at(track, track->count - 1);
        int64_t apart_ns = time_ns - last->time_ns;
        if (apart_ns <= 0)
            return ws_error_set(err, WS_E_MISMATCH,
                                "a sample %" PRId64 " ns before the last one", -apart_ns);
        int is_same = track->options.is_counter && value == last->value;
        if (is_same && !track->is_lost && apart_ns < track->options.refresh_ns)
            return 0;
        int is_gap = track->is_lost ||
                     (track->options.gap_ns > 0 && apart_ns > track->options.gap_ns) ||
                     (track->options.is_counter && value < last->value);
        sample.gaps = last->gaps + (is_gap ? 1 : 0);
        sample.total_j = last->total_j + (is_gap ? 0 : between(track, last, &sample));
    }
    track->is_lost = 0;
    if (track->count == track->options.capacity)
        track->first = (track->first + 1) % track->options.capacity;
    else
        track->count++;
    track->ring[(track->first + track->count - 1) % track->options.capacity] = sample;
    return 0;
}

void ws_track_lose(struct ws_track *track)
{
    track->is_lost = 1;
}

/* Index of the last sample at or before the time, which is not before the first. */
static size_t find(const struct ws_track *track, int64_t time_ns)
{
    size_t low = 0;
    size_t high = track->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (at(track, middle)->time_ns <= time_ns)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Whether what came last still holds then; of a counter the stretch that ends there. */
static int is_open_until(const struct ws_track *track, int64_t time_ns)
{
    const struct sample *last = at(track, track->count - 1);
    if (track->is_lost || time_ns >= last->time_ns + track->options.refresh_ns)
        return 0;
    return !track->options.is_counter ||
           (track->count > 1 && at(track, track->count - 2)->gaps == last->gaps);
}

/* total_j at any time within the track, or until which it is open. */
static double total_at(const struct ws_track *track, size_t index, int64_t time_ns)
{
    const struct sample *from = at(track, index);
    int is_after = index + 1 == track->count;
    if (from->time_ns == time_ns)
        return from->total_j;
    if (is_after && !track->options.is_counter)
        return from->total_j + from->value * seconds(from->time_ns, time_ns);
    const struct sample *a = at(track, index - (size_t)is_after);
    const struct sample *b = at(track, index + 1 - (size_t)is_after);
    double whole_s = seconds(a->time_ns, b->time_ns);
    double part_s = seconds(a->time_ns, time_ns);
    if (track->options.is_counter)
        return a->total_j + (b->total_j - a->total_j) * part_s / whole_s;
    double slope = (b->value - a->value) / whole_s;
    return a->total_j + (a->value + slope * part_s / 2) * part_s;
}

int ws_track_energy(struct ws_energy *out, const struct ws_track *track, int64_t start_ns,
                    int64_t end_ns, struct ws_error *err)
{
    if (end_ns < start_ns)
        return ws_error_set(err, WS_E_USAGE, "a window that ends before it starts");
    if (track->count == 0)
        return ws_error_set(err, WS_E_UNKNOWN, "no sample yet");
    const struct sample *last = at(track, track->count - 1);
    if (start_ns < at(track, 0)->time_ns)
        return ws_error_set(err, WS_E_UNKNOWN,
                            "the window starts %.3f s before the track",
                            seconds(start_ns, at(track, 0)->time_ns));
    if (end_ns > last->time_ns && !is_open_until(track, end_ns))
        return ws_error_set(err, WS_E_UNKNOWN, "the window ends %.3f s after the track",
                            seconds(last->time_ns, end_ns));
    size_t i = find(track, start_ns);
    size_t j = find(track, end_ns);
    /* The stretch after sample j counts only where the window reaches into it. */
    uint64_t gaps = at(track, j)->time_ns == end_ns || j + 1 == track->count
                        ? at(track, j)->gaps
                        : at(track, j + 1)->gaps;
    if (gaps != at(track, i)->gaps)
        return ws_error_set(err, WS_E_UNKNOWN, "samples are missing in the window");
    out->energy_j = total_at(track, j, end_ns) - total_at(track, i, start_ns);
    int is_between = i + 1 < track->count && at(track, i + 1)->time_ns < end_ns;
    int is_exact = at(track, i)->time_ns == start_ns && at(track, j)->time_ns == end_ns;
    out->is_interpolated = !is_between && !is_exact;
    return 0;
}

int ws_track_span(int64_t *first_ns, int64_t *last_ns, const struct ws_track *track)
{
    if (track->count == 0)
        return WS_E_UNKNOWN;
    *first_ns = at(track, 0)->time_ns;
    *last_ns = at(track, track->count - 1)->time_ns;
    return 0;
}
