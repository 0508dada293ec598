#include "device/sampler.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

enum { PERIOD_NS = 20000000, SAMPLES_MIN = 16, SAMPLES_MAX = 1 << 20 };
enum { READINGS = 5 }; /* of a slow meter in its interval, to see when it changes */
static const int64_t memory_ns_default = 60000000000;

struct channel {
    struct ws_meter *meter;
    struct ws_track *track;
    struct ws_error failure; /* code 0: the last reading succeeded */
    int is_slow;             /* it says something new less often than the period */
    int64_t pace_ns, due_ns; /* between its readings; of the next */
};

struct ws_sampler {
    struct channel channels[WS_METERS_MAX];
    size_t count;
    int64_t period_ns;
    pthread_t thread;
    pthread_mutex_t reading; /* one reads meters at a time; taken before the lock */
    pthread_mutex_t lock;    /* guards all of the below, tracks and failures */
    pthread_cond_t wake;
    int is_ending;
};

/* One reading into the track. */
static void sample(struct ws_sampler *sampler, struct channel *channel)
{
    struct ws_meter_reading reading = {0};
    struct ws_error failure = {0};
    pthread_mutex_lock(&sampler->reading);
    int rc = ws_meter_read(channel->meter, &reading, &failure);
    pthread_mutex_lock(&sampler->lock);
    if (rc == 0)
        rc = ws_track_add(channel->track, reading.time_ns, reading.value, &failure);
    if (rc != 0 && rc != WS_E_MISMATCH)
        ws_track_lose(channel->track);
    channel->failure = failure;
    channel->failure.code = rc;
    pthread_mutex_unlock(&sampler->lock);
    pthread_mutex_unlock(&sampler->reading);
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
}

static void *run(void *user)
{
    struct ws_sampler *sampler = user;
    int64_t due_ns = ws_clock_now_ns();
    pthread_mutex_lock(&sampler->lock);
    while (!sampler->is_ending) {
        pthread_mutex_unlock(&sampler->lock);
        for (size_t i = 0; i < sampler->count; i++) {
            struct channel *channel = &sampler->channels[i];
            if (channel->due_ns > due_ns)
                continue;
            sample(sampler, channel);
            channel->due_ns = due_ns + channel->pace_ns;
        }
        pthread_mutex_lock(&sampler->lock);
        due_ns += sampler->period_ns;
        int64_t now_ns = ws_clock_now_ns();
        if (due_ns < now_ns)
            due_ns = now_ns; /* a slow meter sets the pace; no catching up */
        struct timespec until = timespec_of(due_ns);
        while (!sampler->is_ending &&
               pthread_cond_timedwait(&sampler->wake, &sampler->lock, &until) !=
                   ETIMEDOUT)
            ;
    }
    pthread_mutex_unlock(&sampler->lock);
    return NULL;
}

static int channel_init(struct channel *channel, struct ws_meter *meter,
                        int64_t period_ns, int64_t memory_ns, struct ws_error *err)
{
    int64_t samples = memory_ns / period_ns + 2;
    int64_t interval_ns = (int64_t)(meter->info.interval_s * 1e9);
    struct ws_track_options options = {
        .is_counter = meter->info.is_counter,
        /* Late is not lost: a busy machine delays the thread. */
        .gap_ns = 20 * (period_ns > interval_ns ? period_ns : interval_ns) + 1000000000,
        .refresh_ns = 2 * interval_ns,
    };
    if (samples < SAMPLES_MIN)
        samples = SAMPLES_MIN;
    options.capacity = samples > SAMPLES_MAX ? SAMPLES_MAX : (size_t)samples;
    channel->meter = meter;
    channel->is_slow = interval_ns > period_ns;
    channel->pace_ns =
        interval_ns / READINGS > period_ns ? interval_ns / READINGS : period_ns;
    return ws_track_create(&channel->track, &options, err);
}

static void sampler_free(struct ws_sampler *sampler)
{
    for (size_t i = 0; i < sampler->count; i++)
        ws_track_destroy(sampler->channels[i].track);
    pthread_cond_destroy(&sampler->wake);
    pthread_mutex_destroy(&sampler->lock);
    pthread_mutex_destroy(&sampler->reading);
    free(sampler);
}

int ws_sampler_create(struct ws_sampler **out, struct ws_meter *const *meters,
                      size_t count, const struct ws_sampler_options *options,
                      struct ws_error *err)
{
    struct ws_sampler *sampler = calloc(1, sizeof(*sampler));
    pthread_condattr_t attr;
    if (sampler == NULL)
        return ws_error_nomem(err);
    int64_t memory_ns = options == NULL || options->memory_ns == 0 ? memory_ns_default
                                                                   : options->memory_ns;
    sampler->period_ns =
        options == NULL || options->period_ns == 0 ? PERIOD_NS : options->period_ns;
    pthread_mutex_init(&sampler->reading, NULL);
    pthread_mutex_init(&sampler->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&sampler->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = 0;
    if (count > WS_METERS_MAX)
        rc = ws_error_set(err, WS_E_LIMIT, "more than %d meters", WS_METERS_MAX);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = channel_init(&sampler->channels[i], meters[i], sampler->period_ns, memory_ns,
                          err);
        sampler->count += rc == 0;
    }
    if (rc == 0) {
        int errnum = pthread_create(&sampler->thread, NULL, run, sampler);
        if (errnum != 0)
            rc = ws_error_set_errno(err, WS_E_IO, errnum, "start the sampler's thread");
    }
    if (rc != 0) {
        sampler_free(sampler);
        return rc;
    }
    *out = sampler;
    return 0;
}

void ws_sampler_destroy(struct ws_sampler *sampler)
{
    if (sampler == NULL)
        return;
    pthread_mutex_lock(&sampler->lock);
    sampler->is_ending = 1;
    pthread_cond_signal(&sampler->wake);
    pthread_mutex_unlock(&sampler->lock);
    pthread_join(sampler->thread, NULL);
    sampler_free(sampler);
}

/* The last sample's time; INT64_MIN without one. */
static int64_t told_until(struct ws_sampler *sampler, const struct channel *channel)
{
    int64_t first_ns = 0;
    int64_t last_ns = INT64_MIN;
    pthread_mutex_lock(&sampler->lock);
    (void)ws_track_span(&first_ns, &last_ns, channel->track);
    pthread_mutex_unlock(&sampler->lock);
    return last_ns;
}

/* From what is known already. */
static int known_energy(struct ws_energy *out, struct ws_sampler *sampler,
                        const struct channel *channel, int64_t start_ns, int64_t end_ns,
                        struct ws_error *err)
{
    pthread_mutex_lock(&sampler->lock);
    int rc = ws_track_energy(out, channel->track, start_ns, end_ns, err);
    if (rc == WS_E_UNKNOWN && channel->failure.code != 0)
        rc = ws_error_set(err, channel->failure.code, "%s", channel->failure.text);
    pthread_mutex_unlock(&sampler->lock);
    return rc;
}

int ws_sampler_energy(struct ws_energy *out, struct ws_sampler *sampler, size_t index,
                      int64_t start_ns, int64_t end_ns, struct ws_error *err)
{
    struct channel *channel = &sampler->channels[index];
    if (channel->is_slow &&
        known_energy(out, sampler, channel, start_ns, end_ns, NULL) == 0)
        return 0;
    if (told_until(sampler, channel) < end_ns)
        sample(sampler, channel);
    return known_energy(out, sampler, channel, start_ns, end_ns, err);
}

void ws_sampler_wait(struct ws_sampler *sampler, size_t index, int64_t time_ns)
{
    const struct channel *channel = &sampler->channels[index];
    int64_t until_ns = time_ns + (int64_t)(3e9 * channel->meter->info.interval_s);
    while (told_until(sampler, channel) < time_ns && ws_clock_now_ns() < until_ns)
        ws_clock_sleep_until(ws_clock_now_ns() + sampler->period_ns / 2);
}

int ws_sampler_power(double *out_w, struct ws_sampler *sampler, size_t index,
                     int64_t window_ns, struct ws_error *err)
{
    int64_t first_ns = 0;
    int64_t last_ns = 0;
    struct ws_energy energy;
    pthread_mutex_lock(&sampler->lock);
    int rc = ws_track_span(&first_ns, &last_ns, sampler->channels[index].track);
    pthread_mutex_unlock(&sampler->lock);
    if (rc != 0 || last_ns - window_ns < first_ns)
        return ws_error_set(err, WS_E_UNKNOWN, "%s: not sampled for that long yet",
                            sampler->channels[index].meter->info.name);
    rc = ws_sampler_energy(&energy, sampler, index, last_ns - window_ns, last_ns, err);
    if (rc == 0)
        *out_w = energy.energy_j / ((double)window_ns * 1e-9);
    return rc;
}
