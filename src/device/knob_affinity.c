/* edge.cpus: which of the processors this process uses, all its threads together. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "device/device_impl.h"

#define CPU_DIR "devices/system/cpu"

struct affinity {
    struct ws_actuator base;
    cpu_set_t original;
    int is_changed;
    struct ws_cpu_set *sets; /* of each value */
    size_t count;
};

static void affinity_destroy(struct ws_actuator *actuator)
{
    struct affinity *affinity = (struct affinity *)actuator;
    free(affinity->sets);
    free(affinity);
}

static void to_native(cpu_set_t *out, const struct ws_cpu_set *set)
{
    CPU_ZERO(out);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (ws_cpu_set_has(set, cpu))
            CPU_SET(cpu, out);
    }
}

static void from_native(struct ws_cpu_set *out, const cpu_set_t *set)
{
    *out = (struct ws_cpu_set){0};
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, set))
            ws_cpu_set_add(out, cpu);
    }
}

/* Moves every thread of the process: a runtime's pool must come along. */
static int move_threads(struct ws_device *device, const cpu_set_t *set,
                        struct ws_error *err)
{
    struct ws_sysfs_names tasks = {0};
    int rc = ws_machine_list(&tasks, device->fs, "proc/self/task", err);
    for (size_t i = 0; rc == 0 && i < tasks.count; i++) {
        int64_t *id = NULL;
        size_t count = 0;
        rc = ws_numbers_parse(&id, &count, tasks.names[i], 1, "thread", err);
        if (rc == 0 && sched_setaffinity((pid_t)id[0], sizeof(*set), set) != 0 &&
            errno != ESRCH)
            rc = ws_error_set_errno(err, WS_E_IO, errno, "move a thread");
        free(id);
    }
    free(tasks.names);
    return rc;
}

static int affinity_restore(struct ws_actuator *actuator, struct ws_device *device,
                            struct ws_error *err)
{
    struct affinity *affinity = (struct affinity *)actuator;
    if (!affinity->is_changed)
        return 0;
    affinity->is_changed = 0;
    return move_threads(device, &affinity->original, err);
}

static int affinity_set(struct ws_actuator *actuator, struct ws_device *device,
                        size_t value, struct ws_error *err)
{
    struct affinity *affinity = (struct affinity *)actuator;
    cpu_set_t set;
    cpu_set_t now;
    to_native(&set, &affinity->sets[value]);
    if (sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_EQUAL(&now, &set))
        return 0;
    affinity->is_changed = 1;
    device->write_count++;
    return move_threads(device, &set, err);
}

static int affinity_get(char *out, size_t size, const struct ws_actuator *actuator,
                        struct ws_device *device, struct ws_error *err)
{
    cpu_set_t now;
    struct ws_cpu_set set;
    (void)actuator;
    (void)device;
    if (sched_getaffinity(0, sizeof(now), &now) != 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "ask for the affinity");
    from_native(&set, &now);
    ws_cpu_set_text(out, size, &set);
    return 0;
}

static const struct ws_actuator_ops affinity_ops = {
    .set = affinity_set,
    .get = affinity_get,
    .restore = affinity_restore,
    .destroy = affinity_destroy,
};

/* A choice, if there is something in it and it is not there yet. */
static void add_set(struct affinity *affinity, const struct ws_cpu_set *set,
                    const struct ws_cpu_set *allowed)
{
    struct ws_cpu_set within = *set;
    for (size_t i = 0; i < WS_CPUS_MAX / 64; i++)
        within.bits[i] &= allowed->bits[i];
    if (ws_cpu_set_count(&within) == 0)
        return;
    for (size_t i = 0; i < affinity->count; i++) {
        if (memcmp(&affinity->sets[i], &within, sizeof(within)) == 0)
            return;
    }
    affinity->sets[affinity->count++] = within;
}

/* Each cluster of cpufreq, then everything the cpuset allows. */
static int find_sets(struct affinity *affinity, struct ws_device *device,
                     const struct ws_cpu_set *allowed, struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    char path[WS_SYSFS_PATH_MAX];
    char text[WS_SYSFS_TEXT_MAX];
    int rc = ws_sysfs_list(&names, device->fs, CPU_DIR "/cpufreq", err);
    if (rc != 0)
        return rc;
    affinity->sets = calloc(names.count + 1, sizeof(*affinity->sets));
    if (affinity->sets == NULL)
        rc = ws_error_nomem(err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        struct ws_cpu_set set;
        rc = ws_sysfs_path(path, err, CPU_DIR "/cpufreq/%s/related_cpus", names.names[i]);
        if (rc != 0 || ws_sysfs_read(text, sizeof(text), device->fs, path, NULL) != 0)
            continue;
        for (char *at = text; *at != '\0'; at++) {
            if (*at == ' ')
                *at = ','; /* this one attribute is "0 1 2 3" */
        }
        if (ws_cpu_set_parse(&set, text, NULL) == 0)
            add_set(affinity, &set, allowed);
    }
    free(names.names);
    if (rc == 0)
        add_set(affinity, allowed, allowed);
    return rc;
}

int ws_knob_affinity_discover(struct ws_device *device, struct ws_error *err)
{
    struct ws_cpu_set allowed;
    if (!device->own_processors)
        return 0; /* a tree of files runs no process */
    struct affinity *affinity = calloc(1, sizeof(*affinity));
    if (affinity == NULL)
        return ws_error_nomem(err);
    affinity->base = (struct ws_actuator){.ops = &affinity_ops, .rank = WS_RANK_PROCESS};
    int rc = 0;
    if (sched_getaffinity(0, sizeof(affinity->original), &affinity->original) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "ask for the affinity");
    if (rc == 0) {
        from_native(&allowed, &affinity->original);
        rc = find_sets(affinity, device, &allowed, err);
    }
    char(*texts)[64] = calloc(affinity->count + 1, sizeof(*texts));
    const char **values = calloc(affinity->count + 1, sizeof(*values));
    if (rc == 0 && (texts == NULL || values == NULL))
        rc = ws_error_nomem(err);
    for (size_t i = 0; rc == 0 && i < affinity->count; i++)
        values[i] = ws_cpu_set_text(texts[i], sizeof(texts[i]), &affinity->sets[i]);
    if (rc != 0 || affinity->count < 2)
        affinity_destroy(&affinity->base);
    else
        rc = ws_device_add(device, &affinity->base, "edge.cpus", WS_KIND_NOMINAL, values,
                           affinity->count, err);
    free(values);
    free(texts);
    return rc;
}
