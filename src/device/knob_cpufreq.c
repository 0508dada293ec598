/* cpufreq: one governor and one pinned frequency for each group of equal policies. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/device_impl.h"

#define CPUFREQ "devices/system/cpu/cpufreq"

enum {
    RANGE_STEPS_MAX = 24, /* values offered where the driver lists none */
    RANGE_STEP_KHZ = 100000,
    POLICIES_MAX = 256,
};

/* Policies that list the same frequencies and governors: a laptop has one per thread. */
struct group {
    char key[2 * WS_SYSFS_TEXT_MAX];
    char frequencies[WS_SYSFS_TEXT_MAX]; /* "" where there is only a range */
    char governors[WS_SYSFS_TEXT_MAX];
    char driver[64];
    int64_t min_khz, max_khz; /* of the hardware */
    int policies[POLICIES_MAX];
    size_t policy_count;
};

struct cpufreq {
    struct ws_actuator base;
    int *policies;
    size_t policy_count;
    int is_measured; /* scaling_cur_freq is a mean of what ran, not what is set */
};

static const char *const written[] = {"scaling_governor", "scaling_max_freq",
                                      "scaling_min_freq", "scaling_setspeed"};

static int policy_path(char *out, int policy, const char *name, struct ws_error *err)
{
    return ws_sysfs_path(out, err, CPUFREQ "/policy%d/%s", policy, name);
}

static void cpufreq_destroy(struct ws_actuator *actuator)
{
    struct cpufreq *cpufreq = (struct cpufreq *)actuator;
    free(cpufreq->policies);
    free(cpufreq);
}

static int cpufreq_paths(const struct ws_actuator *actuator, ws_device_path_fn fn,
                         void *user, struct ws_error *err)
{
    const struct cpufreq *cpufreq = (const struct cpufreq *)actuator;
    size_t count = sizeof(written) / sizeof(written[0]);
    char path[WS_SYSFS_PATH_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cpufreq->policy_count * count; i++) {
        const char *name = written[i % count];
        if ((strcmp(name, "scaling_governor") == 0) !=
            (cpufreq->base.rank == WS_RANK_GOVERNOR))
            continue;
        rc = policy_path(path, cpufreq->policies[i / count], name, err);
        if (rc == 0)
            rc = fn(user, path, err);
    }
    return rc;
}

/* Calls `set` for each policy that is there; those of processors that are off are not. */
static int each_policy(const struct cpufreq *cpufreq, struct ws_device *device,
                       int (*set)(struct ws_device *device, int policy, const char *value,
                                  struct ws_error *err),
                       const char *value, struct ws_error *err)
{
    size_t absent = 0;
    for (size_t i = 0; i < cpufreq->policy_count; i++) {
        struct ws_error here = {0};
        int rc = set(device, cpufreq->policies[i], value, &here);
        if (rc == WS_E_NOT_FOUND)
            absent++;
        else if (rc != 0)
            return ws_error_set(err, rc, "%s", here.text);
    }
    if (absent == cpufreq->policy_count)
        return ws_error_set(err, WS_E_NOT_FOUND, "none of the policies is there");
    return 0;
}

/* The value common to all policies that are there, or WS_E_UNKNOWN. */
static int common(char *out, size_t size, const struct cpufreq *cpufreq,
                  struct ws_device *device, const char *name, struct ws_error *err)
{
    char text[64];
    char path[WS_SYSFS_PATH_MAX];
    size_t seen = 0;
    for (size_t i = 0; i < cpufreq->policy_count; i++) {
        int rc = policy_path(path, cpufreq->policies[i], name, err);
        if (rc == 0)
            rc = ws_sysfs_read(text, sizeof(text), device->fs, path, err);
        if (rc == WS_E_NOT_FOUND)
            continue;
        if (rc != 0)
            return rc;
        if (seen++ == 0)
            (void)snprintf(out, size, "%s", text);
        else if (strcmp(out, text) != 0)
            return ws_error_set(err, WS_E_UNKNOWN, "%s differs between policies", name);
    }
    return seen > 0 ? 0 : ws_error_set(err, WS_E_NOT_FOUND, "%s: no policy", name);
}

static int set_governor(struct ws_device *device, int policy, const char *value,
                        struct ws_error *err)
{
    char path[WS_SYSFS_PATH_MAX];
    int rc = policy_path(path, policy, "scaling_governor", err);
    return rc != 0 ? rc : ws_device_write(device, path, value, err);
}

static int governor_set(struct ws_actuator *actuator, struct ws_device *device,
                        size_t value, struct ws_error *err)
{
    return each_policy((struct cpufreq *)actuator, device, set_governor,
                       ws_device_value(device, actuator, value), err);
}

static int governor_get(char *out, size_t size, const struct ws_actuator *actuator,
                        struct ws_device *device, struct ws_error *err)
{
    return common(out, size, (const struct cpufreq *)actuator, device, "scaling_governor",
                  err);
}

/* Under the userspace governor the bounds only have to admit the speed. */
static int set_speed(struct ws_device *device, int policy, const char *value,
                     const char *min_path, const char *max_path, struct ws_error *err)
{
    char path[WS_SYSFS_PATH_MAX];
    int64_t min = 0;
    int64_t max = 0;
    int64_t khz = 0;
    size_t count = 0;
    int64_t *number = NULL;
    int rc = ws_numbers_parse(&number, &count, value, 1, "frequency", err);
    if (rc != 0)
        return rc;
    khz = number[0];
    free(number);
    rc = ws_sysfs_read_i64(&min, device->fs, min_path, 0, INT64_MAX, err);
    if (rc == 0)
        rc = ws_sysfs_read_i64(&max, device->fs, max_path, 0, INT64_MAX, err);
    if (rc == 0 && khz > max)
        rc = ws_device_write(device, max_path, value, err);
    if (rc == 0 && khz < min)
        rc = ws_device_write(device, min_path, value, err);
    if (rc == 0)
        rc = policy_path(path, policy, "scaling_setspeed", err);
    return rc != 0 ? rc : ws_device_write(device, path, value, err);
}

static int set_khz(struct ws_device *device, int policy, const char *value,
                   struct ws_error *err)
{
    char path[WS_SYSFS_PATH_MAX];
    char min_path[WS_SYSFS_PATH_MAX];
    char max_path[WS_SYSFS_PATH_MAX];
    char governor[64];
    int rc = policy_path(path, policy, "scaling_governor", err);
    if (rc == 0)
        rc = policy_path(min_path, policy, "scaling_min_freq", err);
    if (rc == 0)
        rc = policy_path(max_path, policy, "scaling_max_freq", err);
    if (rc == 0)
        rc = ws_sysfs_read(governor, sizeof(governor), device->fs, path, err);
    if (rc != 0)
        return rc;
    if (strcmp(governor, "userspace") == 0)
        return set_speed(device, policy, value, min_path, max_path, err);
    size_t count = 0;
    int64_t *number = NULL;
    rc = ws_numbers_parse(&number, &count, value, 1, "frequency", err);
    if (rc == 0)
        rc = ws_device_pin(device, min_path, max_path, number[0], err);
    free(number);
    return rc;
}

static int khz_set(struct ws_actuator *actuator, struct ws_device *device, size_t value,
                   struct ws_error *err)
{
    return each_policy((struct cpufreq *)actuator, device, set_khz,
                       ws_device_value(device, actuator, value), err);
}

/* What is in force: the speed itself where the driver tells what it set, else the upper
 * bound, which a limit of the firmware or of the heat lowers. */
static int khz_get(char *out, size_t size, const struct ws_actuator *actuator,
                   struct ws_device *device, struct ws_error *err)
{
    const struct cpufreq *cpufreq = (const struct cpufreq *)actuator;
    char min[64];
    if (!cpufreq->is_measured)
        return common(out, size, cpufreq, device, "scaling_cur_freq", err);
    int rc = common(out, size, cpufreq, device, "scaling_max_freq", err);
    if (rc == 0)
        rc = common(min, sizeof(min), cpufreq, device, "scaling_min_freq", err);
    if (rc == 0 && strcmp(min, out) != 0)
        rc = ws_error_set(err, WS_E_UNKNOWN, "the frequency is between %s and %s kHz",
                          min, out);
    return rc;
}

static const struct ws_actuator_ops governor_ops = {
    .paths = cpufreq_paths,
    .set = governor_set,
    .get = governor_get,
    .destroy = cpufreq_destroy,
};
static const struct ws_actuator_ops khz_ops = {
    .paths = cpufreq_paths,
    .set = khz_set,
    .get = khz_get,
    .destroy = cpufreq_destroy,
};

/* These report what the processor counted since the last look. */
static int is_measured(const char *driver)
{
    static const char *const drivers[] = {"intel_pstate",   "intel_cpufreq", "amd-pstate",
                                          "amd-pstate-epp", "acpi-cpufreq",  "tegra186",
                                          "tegra194"};
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (strcmp(driver, drivers[i]) == 0)
            return 1;
    }
    return 0;
}

static struct ws_actuator *make(const struct group *group,
                                const struct ws_actuator_ops *ops, enum ws_rank rank)
{
    struct cpufreq *cpufreq = calloc(1, sizeof(*cpufreq));
    if (cpufreq == NULL)
        return NULL;
    cpufreq->policies = calloc(group->policy_count, sizeof(*cpufreq->policies));
    if (cpufreq->policies == NULL) {
        free(cpufreq);
        return NULL;
    }
    memcpy(cpufreq->policies, group->policies,
           group->policy_count * sizeof(*cpufreq->policies));
    cpufreq->policy_count = group->policy_count;
    cpufreq->is_measured = is_measured(group->driver);
    cpufreq->base = (struct ws_actuator){.ops = ops, .rank = rank};
    return &cpufreq->base;
}

static int add_governor(struct ws_device *device, struct group *group, const char *name,
                        struct ws_error *err)
{
    const char *values[64];
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(group->governors, " ", &rest); word != NULL && count < 64;
         word = strtok_r(NULL, " ", &rest))
        values[count++] = word;
    if (count < 2)
        return 0;
    struct ws_actuator *actuator = make(group, &governor_ops, WS_RANK_GOVERNOR);
    if (actuator == NULL)
        return ws_error_nomem(err);
    return ws_device_add(device, actuator, name, WS_KIND_NOMINAL, values, count, err);
}

/* Round steps between the ends, no more than a person can look over. */
static int range_hz(int64_t **out, size_t *count, const struct group *group,
                    struct ws_error *err)
{
    int64_t span = group->max_khz - group->min_khz;
    int64_t step = RANGE_STEP_KHZ;
    while (span / step > RANGE_STEPS_MAX)
        step += RANGE_STEP_KHZ;
    int64_t *hz = calloc(RANGE_STEPS_MAX + 4, sizeof(*hz));
    if (hz == NULL)
        return ws_error_nomem(err);
    size_t n = 0;
    hz[n++] = group->min_khz * 1000;
    for (int64_t khz = (group->min_khz / step + 1) * step; khz < group->max_khz;
         khz += step)
        hz[n++] = khz * 1000;
    if (span > 0)
        hz[n++] = group->max_khz * 1000;
    *out = hz;
    *count = n;
    return 0;
}

static int add_khz(struct ws_device *device, const struct group *group, const char *name,
                   struct ws_error *err)
{
    int64_t *hz = NULL;
    size_t count = 0;
    int rc = group->frequencies[0] == '\0'
                 ? range_hz(&hz, &count, group, err)
                 : ws_numbers_parse(&hz, &count, group->frequencies, 1000, name, err);
    if (rc != 0)
        return rc;
    struct ws_actuator *actuator = make(group, &khz_ops, WS_RANK_CPU);
    rc = actuator == NULL ? ws_error_nomem(err)
                          : ws_device_add_khz(device, actuator, name, hz, count, err);
    free(hz);
    return rc;
}

/* Fills a group with one policy. */
static int read_policy(struct group *out, const struct ws_sysfs *fs, int policy,
                       struct ws_error *err)
{
    char path[WS_SYSFS_PATH_MAX];
    char boost[WS_SYSFS_TEXT_MAX];
    *out = (struct group){.policies = {policy}, .policy_count = 1};
    int rc = policy_path(path, policy, "cpuinfo_min_freq", err);
    if (rc == 0)
        rc = ws_sysfs_read_i64(&out->min_khz, fs, path, 1, INT32_MAX, err);
    if (rc == 0)
        rc = policy_path(path, policy, "cpuinfo_max_freq", err);
    if (rc == 0)
        rc = ws_sysfs_read_i64(&out->max_khz, fs, path, out->min_khz, INT32_MAX, err);
    if (rc == 0)
        rc = policy_path(path, policy, "scaling_available_governors", err);
    if (rc == 0)
        rc = ws_sysfs_read(out->governors, sizeof(out->governors), fs, path, err);
    if (rc != 0)
        return rc;
    (void)policy_path(path, policy, "scaling_driver", NULL);
    (void)ws_sysfs_read(out->driver, sizeof(out->driver), fs, path, NULL);
    (void)policy_path(path, policy, "scaling_available_frequencies", NULL);
    (void)ws_sysfs_read(out->frequencies, sizeof(out->frequencies), fs, path, NULL);
    (void)policy_path(path, policy, "scaling_boost_frequencies", NULL);
    if (out->frequencies[0] != '\0' &&
        ws_sysfs_read(boost, sizeof(boost), fs, path, NULL) == 0) {
        size_t used = strlen(out->frequencies);
        (void)snprintf(out->frequencies + used, sizeof(out->frequencies) - used, " %s",
                       boost);
    }
    (void)snprintf(out->key, sizeof(out->key), "%s|%s|%" PRId64 "|%" PRId64,
                   out->frequencies, out->governors, out->min_khz, out->max_khz);
    return 0;
}

/* Puts a policy with its equals, or into a group of its own. */
static int sort_in(struct group **groups, size_t *count, const struct group *one,
                   struct ws_error *err)
{
    for (size_t g = 0; g < *count; g++) {
        struct group *group = &(*groups)[g];
        if (strcmp(group->key, one->key) != 0)
            continue;
        if (group->policy_count == POLICIES_MAX)
            return ws_error_set(err, WS_E_LIMIT, "more than %d policies", POLICIES_MAX);
        group->policies[group->policy_count++] = one->policies[0];
        return 0;
    }
    struct group *larger = realloc(*groups, (*count + 1) * sizeof(**groups));
    if (larger == NULL)
        return ws_error_nomem(err);
    larger[(*count)++] = *one;
    *groups = larger;
    return 0;
}

static int read_groups(struct group **groups, size_t *count, const struct ws_sysfs *fs,
                       struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    struct group *one = calloc(1, sizeof(*one));
    if (one == NULL)
        return ws_error_nomem(err);
    int rc = ws_sysfs_list(&names, fs, CPUFREQ, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        int64_t *policy = NULL;
        size_t found = 0;
        if (strncmp(names.names[i], "policy", 6) != 0)
            continue;
        rc = ws_numbers_parse(&policy, &found, names.names[i] + 6, 1, "policy", err);
        if (rc == 0)
            rc = read_policy(one, fs, (int)policy[0], err);
        if (rc == 0)
            rc = sort_in(groups, count, one, err);
        else if (rc == WS_E_NOT_FOUND)
            rc = 0; /* its processors are off */
        free(policy);
    }
    free(names.names);
    free(one);
    return rc;
}

int ws_knob_cpufreq_discover(struct ws_device *device, struct ws_error *err)
{
    struct group *groups = NULL;
    size_t count = 0;
    int rc = read_groups(&groups, &count, device->fs, err);
    for (size_t g = 0; rc == 0 && g < count; g++) {
        char cluster[16] = "";
        char name[64];
        if (g > 0)
            (void)snprintf(cluster, sizeof(cluster), "%d", groups[g].policies[0]);
        (void)snprintf(name, sizeof(name), "edge.cpu%s_khz", cluster);
        rc = add_khz(device, &groups[g], name, err);
        (void)snprintf(name, sizeof(name), "edge.cpu%s_governor", cluster);
        if (rc == 0)
            rc = add_governor(device, &groups[g], name, err);
    }
    free(groups);
    return rc;
}
