#include "device/health.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THERMAL  "class/thermal"
#define POWERCAP "class/powercap"

/* The attribute DIR/NAME/LEAF; 0 if it cannot be read. */
static int read_leaf(char *out, size_t size, const struct ws_sysfs *fs, const char *dir,
                     const char *name, const char *leaf)
{
    char path[WS_SYSFS_PATH_MAX];
    return ws_sysfs_path(path, NULL, "%s/%s/%s", dir, name, leaf) == 0 &&
           ws_sysfs_read(out, size, fs, path, NULL) == 0;
}

static int read_leaf_i64(int64_t *out, const struct ws_sysfs *fs, const char *dir,
                         const char *name, const char *leaf)
{
    char path[WS_SYSFS_PATH_MAX];
    return ws_sysfs_path(path, NULL, "%s/%s/%s", dir, name, leaf) == 0 &&
           ws_sysfs_read_i64(out, fs, path, -300000, INT32_MAX, NULL) == 0;
}

static void read_machine(struct ws_health *health, const struct ws_sysfs *fs)
{
    char text[WS_SYSFS_TEXT_MAX];
    if (ws_machine_read(text, sizeof(text), fs, "proc/device-tree/model", NULL) != 0 &&
        ws_sysfs_read(text, sizeof(text), fs, "devices/virtual/dmi/id/product_name",
                      NULL) != 0)
        text[0] = '\0';
    for (char *at = text; *at != '\0'; at++) {
        if (!isprint((unsigned char)*at))
            *at = '?';
    }
    (void)snprintf(health->machine, sizeof(health->machine), "%.127s", text);
}

static int read_temperatures(struct ws_health *health, const struct ws_sysfs *fs,
                             struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    int rc = ws_sysfs_list(&names, fs, THERMAL, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        struct ws_temperature *out = &health->temperatures[health->temperature_count];
        int64_t millidegrees = 0;
        if (health->temperature_count == WS_HEALTH_ITEMS_MAX ||
            strncmp(names.names[i], "thermal_zone", 12) != 0 ||
            !read_leaf(out->name, sizeof(out->name), fs, THERMAL, names.names[i],
                       "type") ||
            !read_leaf_i64(&millidegrees, fs, THERMAL, names.names[i], "temp"))
            continue;
        out->celsius = (double)millidegrees / 1000;
        health->temperature_count++;
    }
    free(names.names);
    return rc;
}

/* The next phrase's place; the last one is used again when there are too many. */
static char *add_limit(struct ws_health *health)
{
    if (health->limit_count < WS_HEALTH_ITEMS_MAX)
        health->limit_count++;
    return health->limits[health->limit_count - 1];
}

static int read_cooling(struct ws_health *health, const struct ws_sysfs *fs,
                        struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    int rc = ws_sysfs_list(&names, fs, THERMAL, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        char type[48];
        int64_t now = 0;
        int64_t max = 0;
        if (strncmp(names.names[i], "cooling_device", 14) != 0 ||
            !read_leaf(type, sizeof(type), fs, THERMAL, names.names[i], "type") ||
            !read_leaf_i64(&now, fs, THERMAL, names.names[i], "cur_state") ||
            !read_leaf_i64(&max, fs, THERMAL, names.names[i], "max_state") || now <= 0 ||
            strstr(type, "fan") != NULL || strstr(type, "Fan") != NULL)
            continue; /* a fan holds nothing back */
        (void)snprintf(add_limit(health), sizeof(health->limits[0]),
                       "%s is cooled by slowing it down, step %d of %d", type, (int)now,
                       (int)max);
    }
    free(names.names);
    return rc;
}

/* The Raspberry Pi's firmware: bits of now, and 16 higher of since boot, in hexadecimal.
 */
static void read_throttled(struct ws_health *health, const struct ws_sysfs *fs)
{
    static const char *const bits[] = {"the supply's voltage is too low",
                                       "the frequency is capped", "it is throttled",
                                       "the soft temperature limit holds"};
    char text[32];
    unsigned long value = 0;
    if (ws_sysfs_read(text, sizeof(text), fs,
                      "devices/platform/soc/soc:firmware/get_throttled", NULL) != 0)
        return;
    for (const char *at = text; isxdigit((unsigned char)*at); at++) {
        int digit = tolower((unsigned char)*at);
        value =
            value << 4 | (unsigned long)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        if ((value >> i & 1) != 0)
            (void)snprintf(add_limit(health), sizeof(health->limits[0]), "%s", bits[i]);
        else if ((value >> (i + 16) & 1) != 0)
            (void)snprintf(add_limit(health), sizeof(health->limits[0]),
                           "since boot it happened that %s", bits[i]);
    }
}

/* As /proc shows them, which is cut to 15 bytes. */
static const struct {
    const char *comm;
    struct ws_rival rival;
} rivals[] = {
    {"power-profiles-",
     {"power-profiles-daemon",
      "sets the governor or the driver's preference whenever the "
      "profile or the power supply changes"}},
    {"tuned",
     {"tuned", "sets governor and frequency bounds when its profile is applied"}},
    {"auto-cpufreq",
     {"auto-cpufreq", "sets the governor anew every few seconds: stop it while knobs are "
                      "set"}},
    {"thermald", {"thermald", "lowers limits when it is hot"}},
    {"tlp", {"tlp", "sets governor and bounds when the power supply changes"}},
    {"nvpmodel", {"nvpmodel", "sets cores and bounds when its mode is chosen"}},
};

static int is_listed(const struct ws_health *health, const char *name)
{
    for (size_t i = 0; i < health->rival_count; i++) {
        if (strcmp(health->rivals[i].name, name) == 0)
            return 1;
    }
    return 0;
}

static int read_rivals(struct ws_health *health, const struct ws_sysfs *fs,
                       struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    char path[WS_SYSFS_PATH_MAX];
    char comm[64];
    int rc = ws_machine_list(&names, fs, "proc", err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        if (!isdigit((unsigned char)names.names[i][0]) ||
            ws_sysfs_path(path, NULL, "proc/%s/comm", names.names[i]) != 0 ||
            ws_machine_read(comm, sizeof(comm), fs, path, NULL) != 0)
            continue; /* it has ended meanwhile */
        for (size_t r = 0; r < sizeof(rivals) / sizeof(rivals[0]); r++) {
            if (strcmp(comm, rivals[r].comm) == 0 &&
                !is_listed(health, rivals[r].rival.name))
                health->rivals[health->rival_count++] = rivals[r].rival;
        }
    }
    free(names.names);
    return rc;
}

int ws_health_read(struct ws_health *out, const struct ws_sysfs *fs, struct ws_error *err)
{
    memset(out, 0, sizeof(*out));
    read_machine(out, fs);
    read_throttled(out, fs);
    int rc = read_temperatures(out, fs, err);
    if (rc == 0)
        rc = read_cooling(out, fs, err);
    if (rc == 0)
        rc = read_rivals(out, fs, err);
    return rc;
}

/* --- rights --- */

struct collector {
    struct ws_unlock *out;
    const struct ws_sysfs *fs;
    int is_locked;
};

/* "policy3" and "cpu3" stand for their like: one line for all of them. */
static void generalise(char *out, size_t size, const char *path)
{
    static const char *const stems[] = {"policy", "cpu", "intel-rapl", "intel-rapl-mmio"};
    size_t used = 0;
    while (*path != '\0' && used + 2 < size) {
        size_t length = strcspn(path, "/");
        int is_numbered = 0;
        for (size_t i = 0; i < sizeof(stems) / sizeof(stems[0]); i++) {
            size_t stem = strlen(stems[i]);
            if (strncmp(path, stems[i], stem) != 0 || length == stem ||
                strspn(path + stem, "0123456789:") != length - stem)
                continue;
            used += (size_t)snprintf(out + used, size - used, "%s*", stems[i]);
            is_numbered = 1;
            break;
        }
        for (size_t i = 0; !is_numbered && i < length && used + 1 < size; i++)
            out[used++] = path[i];
        path += length;
        if (*path == '/' && used + 1 < size)
            out[used++] = *path++;
    }
    out[used < size ? used : size - 1] = '\0';
}

static void add_line(struct ws_unlock *out, const char *path, const char *mode)
{
    char shape[128];
    char name[144];
    char line[192];
    if (strncmp(path, "kernel/debug/", 13) == 0) {
        out->root_only_count++;
        return;
    }
    generalise(shape, sizeof(shape), path);
    ws_sysfs_name(name, sizeof(name), shape);
    (void)snprintf(line, sizeof(line), "z %s %s root wattshed -", name, mode);
    for (size_t i = 0; i < out->count; i++) {
        if (strcmp(out->lines[i], line) == 0)
            return;
    }
    if (out->count < WS_UNLOCK_LINES_MAX)
        memcpy(out->lines[out->count++], line, sizeof(line));
}

static int look_at(void *user, const char *path, struct ws_error *err)
{
    struct collector *collector = user;
    (void)err;
    if (!ws_sysfs_exists(collector->fs, path) || ws_sysfs_writable(collector->fs, path))
        return 0;
    collector->is_locked = 1;
    if (collector->out != NULL)
        add_line(collector->out, path, "0664");
    return 0;
}

int ws_unlock_knob_writable(struct ws_device *device, const struct ws_sysfs *fs,
                            size_t knob)
{
    struct collector collector = {
        .fs = fs, .is_locked = ws_device_needs_root(device, knob) && geteuid() != 0};
    int rc = ws_device_paths(device, knob, look_at, &collector, NULL);
    return rc == 0 && !collector.is_locked;
}

int ws_unlock_collect(struct ws_unlock *out, struct ws_device *device,
                      const struct ws_sysfs *fs, struct ws_error *err)
{
    struct collector collector = {.out = out, .fs = fs};
    struct ws_sysfs_names names = {0};
    char path[WS_SYSFS_PATH_MAX];
    char text[64];
    size_t count = ws_device_space(device)->knob_count;
    int rc = 0;
    memset(out, 0, sizeof(*out));
    for (size_t k = 0; rc == 0 && k < count; k++)
        rc = ws_device_paths(device, k, look_at, &collector, err);
    if (rc == 0)
        rc = ws_sysfs_list(&names, fs, POWERCAP, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        if (ws_sysfs_path(path, NULL, POWERCAP "/%s/energy_uj", names.names[i]) == 0 &&
            ws_sysfs_read(text, sizeof(text), fs, path, NULL) == WS_E_IO)
            add_line(out, path, "0440");
    }
    free(names.names);
    return rc;
}

int ws_health_battery(double *out, const struct ws_sysfs *fs)
{
    static const char dir[] = "class/power_supply";
    struct ws_sysfs_names names;
    double sum = 0;
    size_t count = 0;
    if (ws_sysfs_list(&names, fs, dir, NULL) != 0)
        return WS_E_NOT_FOUND;
    for (size_t i = 0; i < names.count; i++) {
        char path[WS_SYSFS_PATH_MAX];
        int64_t percent;
        if (ws_sysfs_path(path, NULL, "%s/%s/capacity", dir, names.names[i]) != 0 ||
            ws_sysfs_read_i64(&percent, fs, path, 0, 100, NULL) != 0)
            continue;
        sum += (double)percent / 100;
        count++;
    }
    free(names.names);
    if (count == 0)
        return WS_E_NOT_FOUND;
    *out = sum / (double)count;
    return 0;
}
