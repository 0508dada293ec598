/*
 * What else is to know of a machine before its knobs are trusted: how hot it is, whether
 * something holds it back, who else sets its knobs, and which files we would need rights
 * to. Read once; nothing is changed. One thread.
 */
#ifndef WS_DEVICE_HEALTH_H
#define WS_DEVICE_HEALTH_H

#include <stddef.h>

#include "base/error.h"
#include "device/device.h"
#include "device/sysfs.h"

enum { WS_HEALTH_ITEMS_MAX = 64, WS_UNLOCK_LINES_MAX = 64 };

struct ws_temperature {
    char name[48];
    double celsius;
};

/* Another program that sets knobs, and what it will do to ours. */
struct ws_rival {
    const char *name;
    const char *effect;
};

struct ws_health {
    char machine[128]; /* "Raspberry Pi 4 Model B Rev 1.4"; "" if it does not say */
    struct ws_temperature temperatures[WS_HEALTH_ITEMS_MAX];
    size_t temperature_count;
    char limits[WS_HEALTH_ITEMS_MAX][96]; /* what holds it back, a phrase each */
    size_t limit_count;
    struct ws_rival rivals[8];
    size_t rival_count;
};

int ws_health_read(struct ws_health *out, const struct ws_sysfs *fs,
                   struct ws_error *err);

/* How full the batteries are on average, 0 to 1. WS_E_NOT_FOUND where there is none. */
int ws_health_battery(double *out, const struct ws_sysfs *fs);

/* Lines of a tmpfiles.d file that give the group `wattshed` what this process may not
 * write (knobs) or read (meters). What lies in debugfs cannot be given that way and is
 * only counted. */
struct ws_unlock {
    char lines[WS_UNLOCK_LINES_MAX][192];
    size_t count;
    size_t root_only_count;
};
int ws_unlock_collect(struct ws_unlock *out, struct ws_device *device,
                      const struct ws_sysfs *fs, struct ws_error *err);
/* Whether this process may write all that the knob writes. */
int ws_unlock_knob_writable(struct ws_device *device, const struct ws_sysfs *fs,
                            size_t knob);

#endif
