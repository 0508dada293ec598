/* Meters of the machine's own attributes. All are sums of products of attributes, with a
 * scale, so that one implementation reads them: a counter in uJ, a power in uW, volts
 * times amperes in mV and mA. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/meter.h"

struct attribute_meter {
    struct ws_meter base;
    const struct ws_sysfs *fs;
    char path[WS_SYSFS_PATH_MAX];
    char by[WS_SYSFS_PATH_MAX];     /* a second factor, or "" */
    char unless[WS_SYSFS_PATH_MAX]; /* an attribute that must read ... or "" */
    const char *unless_text;        /* ... this, or there is no value now */
    double scale;
    int64_t wrap; /* of a counter; 0: never wraps */
    int64_t last; /* of a counter, as read */
    double total; /* of it since it was opened, in its own unit */
    int has_last;
};

/* A counter's way since the last reading, whichever side of its wrap it is. */
static int count_on(struct attribute_meter *meter, int64_t now, struct ws_error *err)
{
    if (!meter->has_last) {
        meter->has_last = 1;
    } else if (now >= meter->last) {
        meter->total += (double)(now - meter->last);
    } else if (meter->wrap > 0 && meter->last <= meter->wrap) {
        meter->total += (double)(meter->wrap - meter->last) + (double)now;
    } else {
        meter->last = now;
        return ws_error_set(err, WS_E_UNKNOWN, "%s: the counter fell",
                            meter->base.info.name);
    }
    meter->last = now;
    return 0;
}

static int attribute_read(struct ws_meter *base, struct ws_meter_reading *out,
                          struct ws_error *err)
{
    struct attribute_meter *meter = (struct attribute_meter *)base;
    int64_t a = 0;
    int64_t b = 1;
    char text[64];
    if (meter->unless[0] != '\0') {
        int rc = ws_sysfs_read(text, sizeof(text), meter->fs, meter->unless, err);
        if (rc != 0)
            return rc;
        if (strcmp(text, meter->unless_text) != 0)
            return ws_error_set(err, WS_E_UNKNOWN, "%s: %s, so it tells nothing of us",
                                base->info.name, text);
    }
    /* The counters and powers read here are never negative but a battery's current. */
    int64_t min = base->info.is_counter ? 0 : INT32_MIN * (int64_t)1000000;
    int rc = ws_sysfs_read_i64(&a, meter->fs, meter->path, min, INT64_MAX, err);
    if (rc == 0 && meter->by[0] != '\0')
        rc = ws_sysfs_read_i64(&b, meter->fs, meter->by, min, INT64_MAX, err);
    if (rc == 0 && base->info.is_counter)
        rc = count_on(meter, a, err);
    if (rc != 0)
        return rc;
    out->time_ns = ws_clock_now_ns();
    if (base->info.is_counter)
        out->value = meter->total * meter->scale;
    else
        out->value = (double)a * (double)b * meter->scale;
    /* Some drivers count what a battery gives as negative. */
    if (base->info.boundary == WS_BOUNDARY_BATTERY)
        out->value = fabs(out->value);
    return 0;
}

static void attribute_destroy(struct ws_meter *meter)
{
    free(meter);
}

static const struct ws_meter_ops attribute_ops = {attribute_read, attribute_destroy};

/* What the discoverers fill in. */
struct found {
    struct ws_meter_info info;
    const char *path;
    const char *by; /* NULL: none */
    const char *unless;
    const char *unless_text;
    double scale;
    int64_t wrap;
};

/* Adds a meter if it can be read; else says so in the log. */
static int add(struct ws_meters *meters, const struct ws_sysfs *fs,
               const struct found *found, struct ws_error *err)
{
    struct attribute_meter *meter = calloc(1, sizeof(*meter));
    struct ws_meter_reading reading;
    struct ws_error here = {0};
    if (meter == NULL)
        return ws_error_nomem(err);
    meter->base.ops = &attribute_ops;
    meter->base.info = found->info;
    meter->base.info.truth = WS_MEASURED;
    meter->fs = fs;
    meter->scale = found->scale;
    meter->wrap = found->wrap;
    (void)snprintf(meter->path, sizeof(meter->path), "%s", found->path);
    if (found->by != NULL)
        (void)snprintf(meter->by, sizeof(meter->by), "%s", found->by);
    if (found->unless != NULL)
        (void)snprintf(meter->unless, sizeof(meter->unless), "%s", found->unless);
    meter->unless_text = found->unless_text;
    int rc = ws_meter_read(&meter->base, &reading, &here);
    if (rc != 0 && rc != WS_E_UNKNOWN) {
        ws_log(WS_LOG_INFO, "meter %s: %s", found->info.name, here.text);
        free(meter);
        return 0;
    }
    return ws_meters_add(meters, &meter->base, err);
}

static int read_text(char *out, size_t size, const struct ws_sysfs *fs, const char *dir,
                     const char *name)
{
    char path[WS_SYSFS_PATH_MAX];
    if (ws_sysfs_path(path, NULL, "%s/%s", dir, name) != 0)
        return 0;
    return ws_sysfs_read(out, size, fs, path, NULL) == 0;
}

/* --- RAPL --- */

#define POWERCAP "class/powercap"

/* The zone that counts this one's joules too: the package for its parts, the package for
 * the same package through MMIO; psys counts them all but need not cover them. */
static void rapl_overlap(char *out, size_t size, const char *zone, const char *name)
{
    const char *number = strchr(zone, ':');
    int is_part = number != NULL && strchr(number + 1, ':') != NULL;
    int is_mmio = strncmp(zone, "intel-rapl-mmio", 15) == 0;
    out[0] = '\0';
    if (is_part && number[1] >= '0' && number[1] <= '9')
        (void)snprintf(out, size, "rapl package-%c", number[1]);
    else if (is_mmio)
        (void)snprintf(out, size, "rapl %s", name);
}

static int add_rapl(struct ws_meters *meters, const struct ws_sysfs *fs, const char *zone,
                    struct ws_error *err)
{
    char name[32];
    char dir[WS_SYSFS_PATH_MAX];
    char path[WS_SYSFS_PATH_MAX];
    char max[WS_SYSFS_PATH_MAX];
    struct found found = {.scale = 1e-6, .path = path};
    int rc = ws_sysfs_path(dir, err, POWERCAP "/%s", zone);
    if (rc == 0)
        rc = ws_sysfs_path(path, err, POWERCAP "/%s/energy_uj", zone);
    if (rc == 0)
        rc = ws_sysfs_path(max, err, POWERCAP "/%s/max_energy_range_uj", zone);
    if (rc != 0 || !read_text(name, sizeof(name), fs, dir, "name"))
        return rc;
    int is_mmio = strncmp(zone, "intel-rapl-mmio", 15) == 0;
    int is_psys = strcmp(name, "psys") == 0;
    (void)ws_sysfs_read_i64(&found.wrap, fs, max, 1, INT64_MAX, NULL);
    found.info = (struct ws_meter_info){
        .boundary = is_psys ? WS_BOUNDARY_BOARD : WS_BOUNDARY_PACKAGE,
        .counts = is_psys ? "the whole platform, as its maker wired it"
                          : "everything that runs on this package",
        .is_counter = 1,
        .interval_s = 0.001,
        .resolution = 61e-6,
    };
    (void)snprintf(found.info.name, sizeof(found.info.name), "rapl %s%s", name,
                   is_mmio ? " mmio" : "");
    (void)snprintf(found.info.source, sizeof(found.info.source), "RAPL, %.80s", dir);
    rapl_overlap(found.info.overlap, sizeof(found.info.overlap), zone, name);
    return add(meters, fs, &found, err);
}

static int discover_rapl(struct ws_meters *meters, const struct ws_sysfs *fs,
                         struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    int rc = ws_sysfs_list(&names, fs, POWERCAP, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        if (strchr(names.names[i], ':') != NULL)
            rc = add_rapl(meters, fs, names.names[i], err);
    }
    free(names.names);
    return rc;
}

/* --- rails of a board --- */

/* The board's input, by the labels that boards give it. */
static int is_input_rail(const char *label)
{
    static const char *const labels[] = {"VDD_IN", "POM_5V_IN", "VDD_5V_IN", "SYS_IN"};
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        if (strcmp(label, labels[i]) == 0)
            return 1;
    }
    return 0;
}

static void describe_rail(struct ws_meter_info *out, const char *chip, const char *label,
                          const char *dir)
{
    int is_input = is_input_rail(label);
    *out = (struct ws_meter_info){
        .boundary = is_input ? WS_BOUNDARY_BOARD : WS_BOUNDARY_RAIL,
        .counts = is_input ? "the whole board" : "everything else on this rail",
    };
    (void)snprintf(out->name, sizeof(out->name), "%.20s %.40s", chip, label);
    (void)snprintf(out->source, sizeof(out->source), "%.20s, %.70s", chip, dir);
}

/* A rail of the board is part of its input, where that has a meter. */
static void note_overlaps(struct ws_meters *meters, size_t first)
{
    const char *input = NULL;
    for (size_t i = first; i < meters->count; i++) {
        if (meters->meters[i]->info.boundary == WS_BOUNDARY_BOARD)
            input = meters->meters[i]->info.name;
    }
    for (size_t i = first; input != NULL && i < meters->count; i++) {
        struct ws_meter_info *info = &meters->meters[i]->info;
        if (info->boundary == WS_BOUNDARY_RAIL)
            (void)snprintf(info->overlap, sizeof(info->overlap), "%s", input);
    }
}

/* --- hwmon --- */

#define HWMON "class/hwmon"

/* Channel n of a chip: energyN_input, powerN_input, or inN_input times currN_input. */
static int add_channel(struct ws_meters *meters, const struct ws_sysfs *fs,
                       const char *dir, const char *chip, size_t n, struct ws_error *err)
{
    static const struct {
        const char *word, *what;
        int is_counter;
    } kinds[] = {{"energy", "input", 1}, {"power", "input", 0}, {"power", "average", 0}};
    char path[WS_SYSFS_PATH_MAX];
    char by[WS_SYSFS_PATH_MAX];
    char label[40];
    char name[32];
    for (size_t k = 0; k < 3; k++) {
        (void)ws_sysfs_path(path, NULL, "%.100s/%s%zu_%s", dir, kinds[k].word, n,
                            kinds[k].what);
        (void)snprintf(name, sizeof(name), "%s%zu_label", kinds[k].word, n);
        if (!ws_sysfs_exists(fs, path))
            continue;
        if (!read_text(label, sizeof(label), fs, dir, name))
            (void)snprintf(label, sizeof(label), "%zu", n);
        struct found found = {.path = path, .scale = 1e-6};
        describe_rail(&found.info, chip, label, dir);
        found.info.is_counter = kinds[k].is_counter;
        found.info.resolution = 1e-6;
        return add(meters, fs, &found, err);
    }
    (void)ws_sysfs_path(path, NULL, "%.100s/in%zu_input", dir, n);
    (void)ws_sysfs_path(by, NULL, "%.100s/curr%zu_input", dir, n);
    (void)snprintf(name, sizeof(name), "in%zu_label", n);
    if (!ws_sysfs_exists(fs, path) || !ws_sysfs_exists(fs, by))
        return 0;
    if (!read_text(label, sizeof(label), fs, dir, name))
        (void)snprintf(label, sizeof(label), "%zu", n);
    if (strcmp(label, "NC") == 0)
        return 0; /* nothing is connected */
    struct found found = {.path = path, .by = by, .scale = 1e-6};
    describe_rail(&found.info, chip, label, dir);
    found.info.resolution = 0.04; /* 40 uV at the shunt's 5 mOhm, at 5 V */
    return add(meters, fs, &found, err);
}

static int discover_hwmon(struct ws_meters *meters, const struct ws_sysfs *fs,
                          struct ws_error *err)
{
    enum { CHANNELS = 16 };
    struct ws_sysfs_names names = {0};
    char dir[WS_SYSFS_PATH_MAX];
    char chip[32];
    int rc = ws_sysfs_list(&names, fs, HWMON, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        size_t first = meters->count;
        rc = ws_sysfs_path(dir, err, HWMON "/%.64s", names.names[i]);
        if (rc != 0 || !read_text(chip, sizeof(chip), fs, dir, "name"))
            continue;
        for (size_t n = 1; rc == 0 && n <= CHANNELS; n++)
            rc = add_channel(meters, fs, dir, chip, n, err);
        note_overlaps(meters, first);
    }
    free(names.names);
    return rc;
}

/* --- iio, as JetPack 4 has the INA3221 --- */

#define IIO "bus/iio/devices"

static int discover_iio(struct ws_meters *meters, const struct ws_sysfs *fs,
                        struct ws_error *err)
{
    enum { CHANNELS = 4 };
    struct ws_sysfs_names names = {0};
    char dir[WS_SYSFS_PATH_MAX];
    char path[WS_SYSFS_PATH_MAX];
    char rail[32];
    char label[40];
    size_t first = meters->count;
    int rc = ws_sysfs_list(&names, fs, IIO, err);
    for (size_t i = 0; rc == 0 && i < names.count * CHANNELS; i++) {
        size_t n = i % CHANNELS;
        rc = ws_sysfs_path(dir, err, IIO "/%.64s", names.names[i / CHANNELS]);
        (void)snprintf(rail, sizeof(rail), "rail_name_%zu", n);
        if (rc != 0 || !read_text(label, sizeof(label), fs, dir, rail) ||
            strcmp(label, "NC") == 0)
            continue;
        struct found found = {.path = path, .scale = 1e-3};
        describe_rail(&found.info, "ina3221", label, dir);
        found.info.resolution = 0.001;
        rc = ws_sysfs_path(path, err, "%.100s/in_power%zu_input", dir, n);
        if (rc == 0)
            rc = add(meters, fs, &found, err);
    }
    free(names.names);
    note_overlaps(meters, first);
    return rc;
}

/* --- batteries --- */

#define SUPPLY "class/power_supply"

static int add_battery(struct ws_meters *meters, const struct ws_sysfs *fs,
                       const char *name, struct ws_error *err)
{
    char dir[WS_SYSFS_PATH_MAX];
    char path[WS_SYSFS_PATH_MAX];
    char by[WS_SYSFS_PATH_MAX];
    char status[WS_SYSFS_PATH_MAX];
    char type[32];
    struct found found = {
        .path = path, .scale = 1e-6, .unless = status, .unless_text = "Discharging"};
    int rc = ws_sysfs_path(dir, err, SUPPLY "/%.64s", name);
    if (rc != 0 || !read_text(type, sizeof(type), fs, dir, "type") ||
        strcmp(type, "Battery") != 0)
        return rc;
    (void)snprintf(status, sizeof(status), SUPPLY "/%.64s/status", name);
    (void)snprintf(path, sizeof(path), SUPPLY "/%.64s/power_now", name);
    if (!ws_sysfs_exists(fs, path)) {
        (void)snprintf(path, sizeof(path), SUPPLY "/%.64s/voltage_now", name);
        (void)snprintf(by, sizeof(by), SUPPLY "/%.64s/current_now", name);
        found.by = by;
        found.scale = 1e-12;
    }
    found.info = (struct ws_meter_info){
        .boundary = WS_BOUNDARY_BATTERY,
        .counts = "the whole machine, screen and radios included",
        .interval_s = 1,
        .resolution = 0.001,
    };
    (void)snprintf(found.info.name, sizeof(found.info.name), "battery %.32s", name);
    (void)snprintf(found.info.source, sizeof(found.info.source), "power_supply, %.70s",
                   dir);
    return add(meters, fs, &found, err);
}

static int discover_batteries(struct ws_meters *meters, const struct ws_sysfs *fs,
                              struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    int rc = ws_sysfs_list(&names, fs, SUPPLY, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++)
        rc = add_battery(meters, fs, names.names[i], err);
    free(names.names);
    return rc;
}

int ws_meter_sysfs_discover(struct ws_meters *meters, const struct ws_sysfs *fs,
                            struct ws_error *err)
{
    int rc = discover_rapl(meters, fs, err);
    if (rc == 0)
        rc = discover_hwmon(meters, fs, err);
    if (rc == 0)
        rc = discover_iio(meters, fs, err);
    if (rc == 0)
        rc = discover_batteries(meters, fs, err);
    return rc;
}
