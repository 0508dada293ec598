/*
 * Several meters at once, read by one thread at a steady pace, each into its track. Any
 * thread may ask for the energy of a window. Where the window ends after the last sample,
 * a reading is taken on the spot; not of a meter slower than the pace, which would say
 * nothing new and may take long (a card 4 ms, a plug a round trip): what it told last
 * goes on (track.h), and who has time waits for what it says. Nobody who asks waits for
 * another's reading. The meters must outlive the sampler and are its alone meanwhile.
 */
#ifndef WS_DEVICE_SAMPLER_H
#define WS_DEVICE_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "device/meter.h"
#include "device/track.h"

struct ws_sampler;

struct ws_sampler_options {
    int64_t period_ns; /* between readings; 0: 20 ms */
    int64_t memory_ns; /* how far back windows may reach; 0: 60 s */
};

int ws_sampler_create(struct ws_sampler **out, struct ws_meter *const *meters,
                      size_t count, const struct ws_sampler_options *options,
                      struct ws_error *err);
/* Ends the thread. Takes NULL. */
void ws_sampler_destroy(struct ws_sampler *sampler);

/* Energy of a window by meter `index`. Codes of ws_track_energy; where the meter's last
 * reading failed, that one's code and line. */
int ws_sampler_energy(struct ws_energy *out, struct ws_sampler *sampler, size_t index,
                      int64_t start_ns, int64_t end_ns, struct ws_error *err);
/* Waits until the meter has told of that time, at most three of its intervals. */
void ws_sampler_wait(struct ws_sampler *sampler, size_t index, int64_t time_ns);
/* Mean power over the last `window_ns`: of an idle machine, its baseline. */
int ws_sampler_power(double *out_w, struct ws_sampler *sampler, size_t index,
                     int64_t window_ns, struct ws_error *err);

#endif
