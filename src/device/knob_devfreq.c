/* devfreq: frequency of the GPU and of the memory; and Jetson's memory controller, which
 * lives in debugfs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/device_impl.h"

#define DEVFREQ "class/devfreq"

enum { PATHS_MAX = 3 };

/* min, max for devfreq; rate and what makes it hold for Jetson's controller. */
struct devfreq {
    struct ws_actuator base;
    char paths[PATHS_MAX][WS_SYSFS_PATH_MAX];
    size_t path_count;
    char current[WS_SYSFS_PATH_MAX]; /* read back from here */
    int64_t *hz;
    size_t count;
};

static void devfreq_destroy(struct ws_actuator *actuator)
{
    struct devfreq *devfreq = (struct devfreq *)actuator;
    free(devfreq->hz);
    free(devfreq);
}

static int devfreq_paths(const struct ws_actuator *actuator, ws_device_path_fn fn,
                         void *user, struct ws_error *err)
{
    const struct devfreq *devfreq = (const struct devfreq *)actuator;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < devfreq->path_count; i++)
        rc = fn(user, devfreq->paths[i], err);
    return rc;
}

static int devfreq_set(struct ws_actuator *actuator, struct ws_device *device,
                       size_t value, struct ws_error *err)
{
    struct devfreq *devfreq = (struct devfreq *)actuator;
    return ws_device_pin(device, devfreq->paths[0], devfreq->paths[1], devfreq->hz[value],
                         err);
}

/* In kHz, as the knob's values are named. */
static int read_khz(char *out, size_t size, const struct ws_sysfs *fs, const char *path,
                    struct ws_error *err)
{
    int64_t hz = 0;
    int rc = ws_sysfs_read_i64(&hz, fs, path, 0, INT64_MAX, err);
    if (rc == 0)
        (void)snprintf(out, size, "%" PRId64, hz / 1000);
    return rc;
}

/* The bounds, which limits of power and heat move; cur_freq is stale or 0 while a GPU
 * sleeps. */
static int devfreq_get(char *out, size_t size, const struct ws_actuator *actuator,
                       struct ws_device *device, struct ws_error *err)
{
    const struct devfreq *devfreq = (const struct devfreq *)actuator;
    char min[24];
    int rc = read_khz(min, sizeof(min), device->fs, devfreq->paths[0], err);
    if (rc == 0)
        rc = read_khz(out, size, device->fs, devfreq->paths[1], err);
    if (rc == 0 && strcmp(min, out) != 0)
        rc = ws_error_set(err, WS_E_UNKNOWN, "the frequency is between %s and %s kHz",
                          min, out);
    return rc;
}

static const struct ws_actuator_ops devfreq_ops = {
    .paths = devfreq_paths,
    .set = devfreq_set,
    .get = devfreq_get,
    .destroy = devfreq_destroy,
};

/* The rate first, then the switch that makes it override. */
static int emc_set(struct ws_actuator *actuator, struct ws_device *device, size_t value,
                   struct ws_error *err)
{
    struct devfreq *emc = (struct devfreq *)actuator;
    int rc = ws_device_write_i64(device, emc->paths[0], emc->hz[value], err);
    return rc != 0 ? rc : ws_device_write(device, emc->paths[1], "1", err);
}

static int emc_get(char *out, size_t size, const struct ws_actuator *actuator,
                   struct ws_device *device, struct ws_error *err)
{
    const struct devfreq *emc = (const struct devfreq *)actuator;
    return read_khz(out, size, device->fs, emc->current, err);
}

static const struct ws_actuator_ops emc_ops = {
    .paths = devfreq_paths,
    .set = emc_set,
    .get = emc_get,
    .destroy = devfreq_destroy,
};

static int contains_any(const char *name, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strstr(name, words[i]) != NULL)
            return 1;
    }
    return 0;
}

/* "edge.gpu_khz", "edge.mem_khz", or NULL for what is neither (a disk, an NPU's bus). */
static const char *knob_of(const char *name)
{
    static const char *const gpus[] = {"gpu",   "gv11b", "gp10b",    "ga10b",
                                       "gb10b", "mali",  "panfrost", NULL};
    static const char *const memories[] = {"dmc",       "emc", "ddr", "memory-controller",
                                           "bus_wcore", NULL};
    if (contains_any(name, gpus))
        return "edge.gpu_khz";
    return contains_any(name, memories) ? "edge.mem_khz" : NULL;
}

static int is_there(const struct ws_device *device, const char *knob)
{
    size_t index = 0;
    return ws_space_find(&index, &device->space, knob, NULL) == 0;
}

static int add(struct ws_device *device, struct devfreq *devfreq, const char *knob,
               const char *text, struct ws_error *err)
{
    int rc = ws_numbers_parse(&devfreq->hz, &devfreq->count, text, 1, knob, err);
    if (rc != 0) {
        devfreq_destroy(&devfreq->base);
        return rc;
    }
    return ws_device_add_khz(device, &devfreq->base, knob, devfreq->hz, devfreq->count,
                             err);
}

static int discover_one(struct ws_device *device, const char *name, struct ws_error *err)
{
    const char *knob = knob_of(name);
    char text[WS_SYSFS_TEXT_MAX];
    char path[WS_SYSFS_PATH_MAX];
    if (knob == NULL || is_there(device, knob))
        return 0;
    int rc = ws_sysfs_path(path, err, DEVFREQ "/%s/available_frequencies", name);
    if (rc == 0)
        rc = ws_sysfs_read(text, sizeof(text), device->fs, path, err);
    if (rc != 0 || text[0] == '\0')
        return rc == WS_E_NOT_FOUND ? 0 : rc; /* some drivers list nothing */
    struct devfreq *devfreq = calloc(1, sizeof(*devfreq));
    if (devfreq == NULL)
        return ws_error_nomem(err);
    devfreq->base.ops = &devfreq_ops;
    devfreq->base.rank = knob[5] == 'g' ? WS_RANK_GPU : WS_RANK_MEM;
    devfreq->path_count = 2;
    rc = ws_sysfs_path(devfreq->paths[0], err, DEVFREQ "/%s/min_freq", name);
    if (rc == 0)
        rc = ws_sysfs_path(devfreq->paths[1], err, DEVFREQ "/%s/max_freq", name);
    if (rc != 0) {
        devfreq_destroy(&devfreq->base);
        return rc;
    }
    return add(device, devfreq, knob, text, err);
}

int ws_knob_devfreq_discover(struct ws_device *device, struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    int rc = ws_sysfs_list(&names, device->fs, DEVFREQ, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++)
        rc = discover_one(device, names.names[i], err);
    free(names.names);
    return rc;
}

/* Where the memory controller's clock is: Xavier and later ask their boot processor; the
 * Nano's kernel has the clock itself. As jetson_clocks writes them. */
struct emc_paths {
    const char *rates;
    const char *rate;
    const char *lock;
    const char *current;
};
static const struct emc_paths emcs[] = {
    {"kernel/debug/bpmp/debug/clk/emc/possible_rates",
     "kernel/debug/bpmp/debug/clk/emc/rate",
     "kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked",
     "kernel/debug/bpmp/debug/clk/emc/rate"},
    {"kernel/debug/clk/emc/clk_possible_rates",
     "kernel/debug/clk/override.emc/clk_update_rate",
     "kernel/debug/clk/override.emc/clk_state", "kernel/debug/clk/emc/clk_rate"},
};

static int add_emc(struct ws_device *device, const struct emc_paths *paths,
                   const char *rates, struct ws_error *err)
{
    struct devfreq *emc = calloc(1, sizeof(*emc));
    if (emc == NULL)
        return ws_error_nomem(err);
    emc->base.ops = &emc_ops;
    emc->base.rank = WS_RANK_MEM;
    emc->path_count = 2;
    (void)snprintf(emc->paths[0], sizeof(emc->paths[0]), "%s", paths->rate);
    (void)snprintf(emc->paths[1], sizeof(emc->paths[1]), "%s", paths->lock);
    (void)snprintf(emc->current, sizeof(emc->current), "%s", paths->current);
    return add(device, emc, "edge.mem_khz", rates, err);
}

int ws_knob_emc_discover(struct ws_device *device, struct ws_error *err)
{
    char rates[WS_SYSFS_TEXT_MAX];
    for (size_t i = 0; i < sizeof(emcs) / sizeof(emcs[0]); i++) {
        if (is_there(device, "edge.mem_khz") ||
            ws_sysfs_read(rates, sizeof(rates), device->fs, emcs[i].rates, NULL) != 0)
            continue; /* debugfs is root's; doctor says so */
        return add_emc(device, &emcs[i], rates, err);
    }
    return 0;
}
