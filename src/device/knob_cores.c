/* edge.cores: how many processors are online. */
#include <stdio.h>
#include <stdlib.h>

#include "device/device_impl.h"

#define CPU_DIR "devices/system/cpu"

struct cores {
    struct ws_actuator base;
    size_t fixed; /* processors that cannot go: there is no switch */
    size_t *cpus; /* those that have one, ascending */
    size_t count;
};

static void cores_destroy(struct ws_actuator *actuator)
{
    struct cores *cores = (struct cores *)actuator;
    free(cores->cpus);
    free(cores);
}

static int online_path(char *out, size_t cpu, struct ws_error *err)
{
    return ws_sysfs_path(out, err, CPU_DIR "/cpu%zu/online", cpu);
}

static int cores_paths(const struct ws_actuator *actuator, ws_device_path_fn fn,
                       void *user, struct ws_error *err)
{
    const struct cores *cores = (const struct cores *)actuator;
    char path[WS_SYSFS_PATH_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cores->count; i++) {
        rc = online_path(path, cores->cpus[i], err);
        if (rc == 0)
            rc = fn(user, path, err);
    }
    return rc;
}

/* Value i keeps the first i processors that have a switch. */
static int cores_set(struct ws_actuator *actuator, struct ws_device *device, size_t value,
                     struct ws_error *err)
{
    struct cores *cores = (struct cores *)actuator;
    size_t wanted = value + (cores->fixed == 0);
    char path[WS_SYSFS_PATH_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cores->count; i++) {
        rc = online_path(path, cores->cpus[i], err);
        if (rc == 0)
            rc = ws_device_write(device, path, i < wanted ? "1" : "0", err);
    }
    return rc;
}

static int cores_get(char *out, size_t size, const struct ws_actuator *actuator,
                     struct ws_device *device, struct ws_error *err)
{
    const struct cores *cores = (const struct cores *)actuator;
    char path[WS_SYSFS_PATH_MAX];
    size_t online = cores->fixed;
    for (size_t i = 0; i < cores->count; i++) {
        int64_t on = 0;
        int rc = online_path(path, cores->cpus[i], err);
        if (rc == 0)
            rc = ws_sysfs_read_i64(&on, device->fs, path, 0, 1, err);
        if (rc != 0)
            return rc;
        online += (size_t)on;
    }
    (void)snprintf(out, size, "%zu", online);
    return 0;
}

static const struct ws_actuator_ops cores_ops = {
    .paths = cores_paths,
    .set = cores_set,
    .get = cores_get,
    .destroy = cores_destroy,
};

/* Splits the present processors into those with and without a switch. */
static int read_cores(struct cores *cores, struct ws_device *device,
                      const struct ws_cpu_set *present, struct ws_error *err)
{
    char path[WS_SYSFS_PATH_MAX];
    cores->cpus = calloc(WS_CPUS_MAX, sizeof(*cores->cpus));
    if (cores->cpus == NULL)
        return ws_error_nomem(err);
    for (size_t cpu = 0; cpu < WS_CPUS_MAX; cpu++) {
        if (!ws_cpu_set_has(present, cpu))
            continue;
        int rc = online_path(path, cpu, err);
        if (rc != 0)
            return rc;
        if (ws_sysfs_exists(device->fs, path))
            cores->cpus[cores->count++] = cpu;
        else
            cores->fixed++;
    }
    return 0;
}

static int add_cores(struct ws_device *device, struct cores *cores, struct ws_error *err)
{
    char texts[WS_CPUS_MAX][8];
    const char *values[WS_CPUS_MAX];
    size_t first = cores->fixed == 0 ? 1 : cores->fixed;
    size_t count = cores->fixed + cores->count - first + 1;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%zu", first + i);
        values[i] = texts[i];
    }
    return ws_device_add(device, &cores->base, "edge.cores", WS_KIND_ORDERED, values,
                         count, err);
}

int ws_knob_cores_discover(struct ws_device *device, struct ws_error *err)
{
    char text[WS_SYSFS_TEXT_MAX];
    struct ws_cpu_set present;
    int rc = ws_sysfs_read(text, sizeof(text), device->fs, CPU_DIR "/present", err);
    if (rc == 0)
        rc = ws_cpu_set_parse(&present, text, err);
    if (rc != 0)
        return rc == WS_E_NOT_FOUND ? 0 : rc;
    struct cores *cores = calloc(1, sizeof(*cores));
    if (cores == NULL)
        return ws_error_nomem(err);
    cores->base = (struct ws_actuator){.ops = &cores_ops, .rank = WS_RANK_CORES};
    rc = read_cores(cores, device, &present, err);
    if (rc != 0 || cores->count == 0) {
        cores_destroy(&cores->base);
        return rc;
    }
    return add_cores(device, cores, err);
}
