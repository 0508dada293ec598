#include "device/meter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const boundary_names[] = {
    [WS_BOUNDARY_RAIL] = "rail",       [WS_BOUNDARY_PACKAGE] = "package",
    [WS_BOUNDARY_CARD] = "card",       [WS_BOUNDARY_BOARD] = "board",
    [WS_BOUNDARY_BATTERY] = "battery", [WS_BOUNDARY_WALL] = "wall",
};
_Static_assert(sizeof(boundary_names) / sizeof(boundary_names[0]) == WS_BOUNDARY_WALL + 1,
               "every boundary has a name");

const char *ws_boundary_name(enum ws_boundary boundary)
{
    return boundary_names[boundary];
}

int ws_meter_read(struct ws_meter *meter, struct ws_meter_reading *out,
                  struct ws_error *err)
{
    struct ws_meter_reading reading = {0};
    int rc = meter->ops->read(meter, &reading, err);
    if (rc == 0 && !isfinite(reading.value))
        rc = ws_error_set(err, WS_E_UNKNOWN, "%s: no value now", meter->info.name);
    if (rc == 0)
        *out = reading;
    return rc;
}

void ws_meter_destroy(struct ws_meter *meter)
{
    if (meter != NULL)
        meter->ops->destroy(meter);
}

void ws_meters_fini(struct ws_meters *meters)
{
    for (size_t i = 0; i < meters->count; i++)
        ws_meter_destroy(meters->meters[i]);
    meters->count = 0;
}

int ws_meters_add(struct ws_meters *meters, struct ws_meter *meter, struct ws_error *err)
{
    if (meters->count == WS_METERS_MAX) {
        ws_meter_destroy(meter);
        return ws_error_set(err, WS_E_LIMIT, "more than %d meters", WS_METERS_MAX);
    }
    meters->meters[meters->count++] = meter;
    return 0;
}

/* --- a recording --- */

struct replay {
    struct ws_meter base;
    const int64_t *times_ns;
    const double *watts;
    size_t count;
    size_t at;
};

static int replay_read(struct ws_meter *meter, struct ws_meter_reading *out,
                       struct ws_error *err)
{
    struct replay *replay = (struct replay *)meter;
    if (replay->at == replay->count)
        return ws_error_set(err, WS_E_END, "%s: the recording ends here",
                            meter->info.name);
    out->time_ns = replay->times_ns[replay->at];
    out->value = replay->watts[replay->at++];
    return 0;
}

static void replay_destroy(struct ws_meter *meter)
{
    free(meter);
}

int ws_meter_replay_create(struct ws_meter **out, const char *name,
                           const int64_t *times_ns, const double *watts, size_t count,
                           struct ws_error *err)
{
    static const struct ws_meter_ops ops = {replay_read, replay_destroy};
    struct replay *replay = calloc(1, sizeof(*replay));
    if (replay == NULL)
        return ws_error_nomem(err);
    *replay = (struct replay){.times_ns = times_ns, .watts = watts, .count = count};
    replay->base.ops = &ops;
    replay->base.info = (struct ws_meter_info){
        .counts = "what the recording counted",
        .boundary = WS_BOUNDARY_BOARD,
        .truth = WS_RECORDED,
    };
    (void)snprintf(replay->base.info.name, sizeof(replay->base.info.name), "%s", name);
    (void)snprintf(replay->base.info.source, sizeof(replay->base.info.source),
                   "a recording of %zu readings", count);
    *out = &replay->base;
    return 0;
}
