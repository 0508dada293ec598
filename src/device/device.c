#include "device/device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "device/device_impl.h"

static const char *const applied_names[] = {
    [WS_APPLIED_ABSENT] = "absent",   [WS_APPLIED_SAME] = "same",
    [WS_APPLIED_SET] = "set",         [WS_APPLIED_CLAMPED] = "clamped",
    [WS_APPLIED_REFUSED] = "refused",
};
_Static_assert(sizeof(applied_names) / sizeof(applied_names[0]) == WS_APPLIED_REFUSED + 1,
               "every outcome has a name");

const char *ws_applied_name(enum ws_applied applied)
{
    return applied_names[applied];
}

const struct ws_space *ws_device_space(const struct ws_device *device)
{
    return &device->space;
}

/* A value's text and, where it is a number, its reading. */
static int value_init(struct ws_knob_value *value, const char *text, struct ws_error *err)
{
    double number = 0;
    value->text = strdup(text);
    if (value->text == NULL)
        return ws_error_nomem(err);
    if (ws_parse_double(&number, text, "value", NULL) != 0)
        return 0;
    value->numbers = malloc(sizeof(*value->numbers));
    if (value->numbers == NULL)
        return ws_error_nomem(err);
    value->numbers[0] = number;
    value->number_count = 1;
    return 0;
}

static void knob_fini(struct ws_knob *knob)
{
    for (size_t v = 0; v < knob->value_count; v++) {
        free(knob->values[v].text);
        free(knob->values[v].numbers);
    }
    free(knob->values);
    free(knob->name);
}

static int knob_init(struct ws_knob *out, const char *name, enum ws_kind kind,
                     const char *const *values, size_t value_count, struct ws_error *err)
{
    struct ws_knob knob = {.part = WS_PART_EDGE, .kind = kind};
    int rc = 0;
    knob.name = strdup(name);
    knob.values = calloc(value_count, sizeof(*knob.values));
    if (knob.name == NULL || knob.values == NULL)
        rc = ws_error_nomem(err);
    for (size_t v = 0; rc == 0 && v < value_count; v++) {
        knob.value_count = v + 1;
        rc = value_init(&knob.values[v], values[v], err);
    }
    if (rc == 0)
        *out = knob;
    else
        knob_fini(&knob);
    return rc;
}

int ws_device_add(struct ws_device *device, struct ws_actuator *actuator,
                  const char *name, enum ws_kind kind, const char *const *values,
                  size_t value_count, struct ws_error *err)
{
    struct ws_space *space = &device->space;
    size_t index = 0;
    int rc = 0;
    if (space->knob_count == WS_KNOBS_MAX)
        rc = ws_error_set(err, WS_E_LIMIT, "%s: more than %d knobs", name, WS_KNOBS_MAX);
    else if (value_count == 0 || value_count > WS_KNOB_VALUES_MAX)
        rc = ws_error_set(err, WS_E_LIMIT, "%s: %zu values, not 1 .. %d", name,
                          value_count, WS_KNOB_VALUES_MAX);
    else if (ws_space_find(&index, space, name, NULL) == 0)
        rc = ws_error_set(err, WS_E_MISMATCH, "%s: a knob of that name is there", name);
    if (rc == 0)
        rc = knob_init(&space->knobs[space->knob_count], name, kind, values, value_count,
                       err);
    if (rc != 0) {
        actuator->ops->destroy(actuator);
        return rc;
    }
    device->actuators[space->knob_count++] = actuator;
    return 0;
}

int ws_device_add_khz(struct ws_device *device, struct ws_actuator *actuator,
                      const char *name, const int64_t *hz, size_t count,
                      struct ws_error *err)
{
    char(*texts)[24] = calloc(count, sizeof(*texts));
    const char **values = calloc(count, sizeof(*values));
    int rc = 0;
    if (texts == NULL || values == NULL) {
        actuator->ops->destroy(actuator);
        rc = ws_error_nomem(err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%" PRId64, hz[i] / 1000);
        values[i] = texts[i];
    }
    if (rc == 0)
        rc = ws_device_add(device, actuator, name, WS_KIND_ORDERED, values, count, err);
    free(values);
    free(texts);
    return rc;
}

const char *ws_device_value(const struct ws_device *device,
                            const struct ws_actuator *actuator, size_t value)
{
    size_t k = 0;
    while (device->actuators[k] != actuator)
        k++;
    return device->space.knobs[k].values[value].text;
}

/* Writes, and counts it; nothing once the process is ending. */
static int put(struct ws_device *device, const char *path, const char *text,
               struct ws_error *err)
{
    if (ws_lease_ended(device->lease))
        return ws_error_set(err, WS_E_BUSY, "%s: this process is ending", path);
    device->write_count++;
    return ws_sysfs_write(device->fs, path, text, err);
}

int ws_device_write(struct ws_device *device, const char *path, const char *text,
                    struct ws_error *err)
{
    char now[WS_SYSFS_TEXT_MAX];
    if (ws_sysfs_read(now, sizeof(now), device->fs, path, NULL) == 0 &&
        strcmp(now, text) == 0)
        return 0;
    return put(device, path, text, err);
}

int ws_device_write_i64(struct ws_device *device, const char *path, int64_t value,
                        struct ws_error *err)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    return ws_device_write(device, path, text, err);
}

int ws_device_pin(struct ws_device *device, const char *min_path, const char *max_path,
                  int64_t value, struct ws_error *err)
{
    int64_t min = 0;
    int64_t max = 0;
    char text[24];
    int rc = ws_sysfs_read_i64(&max, device->fs, max_path, 0, INT64_MAX, err);
    if (rc == 0)
        rc = ws_sysfs_read_i64(&min, device->fs, min_path, 0, INT64_MAX, err);
    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    if (rc == 0 && value > max)
        rc = put(device, max_path, text, err);
    if (rc == 0 && value != min)
        rc = put(device, min_path, text, err);
    if (rc == 0 && value < max)
        rc = put(device, max_path, text, err);
    return rc;
}

static int order_numbers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int ws_numbers_parse(int64_t **out, size_t *count, const char *text, int64_t scale,
                     const char *what, struct ws_error *err)
{
    char copy[WS_SYSFS_TEXT_MAX];
    size_t size = strlen(text) + 1;
    if (size > sizeof(copy))
        return ws_error_set(err, WS_E_LIMIT, "%s: a list of %zu bytes", what, size);
    memcpy(copy, text, size);
    /* Every other byte may start a number. */
    int64_t *numbers = calloc(size / 2 + 1, sizeof(*numbers));
    if (numbers == NULL)
        return ws_error_nomem(err);
    int rc = 0;
    size_t n = 0;
    char *rest = NULL;
    for (char *word = strtok_r(copy, " \t\n", &rest); rc == 0 && word != NULL;
         word = strtok_r(NULL, " \t\n", &rest)) {
        rc = ws_parse_i64(&numbers[n], word, 0, INT64_MAX / scale, what, err);
        numbers[n++] *= scale;
    }
    if (rc == 0 && n == 0)
        rc = ws_error_set(err, WS_E_FORMAT, "%s: an empty list", what);
    if (rc != 0) {
        free(numbers);
        return rc;
    }
    qsort(numbers, n, sizeof(*numbers), order_numbers);
    size_t unique = 1;
    for (size_t i = 1; i < n; i++) {
        if (numbers[i] != numbers[unique - 1])
            numbers[unique++] = numbers[i];
    }
    *out = numbers;
    *count = unique;
    return 0;
}

/* What one kind of knob cannot read must not hide the others. */
static int discover(struct ws_device *device, const struct ws_device_options *options,
                    struct ws_error *err)
{
    static int (*const kinds[])(struct ws_device *, struct ws_error *) = {
        ws_knob_cores_discover, ws_knob_cpufreq_discover, ws_knob_devfreq_discover,
        ws_knob_emc_discover,   ws_knob_port_discover,    ws_knob_affinity_discover,
    };
    const size_t count = sizeof(kinds) / sizeof(kinds[0]);
    for (size_t i = 0; i <= count; i++) {
        struct ws_error here = {0};
        int rc = i < count ? kinds[i](device, &here)
                           : ws_knob_nvpmodel_discover(device, options, &here);
        if (rc == WS_E_NOMEM)
            return ws_error_nomem(err);
        if (rc != 0)
            ws_log(WS_LOG_WARNING, "%s", here.text);
    }
    return 0;
}

int ws_device_open(struct ws_device **out, struct ws_sysfs *fs,
                   const struct ws_device_options *options, struct ws_error *err)
{
    static const struct ws_device_options defaults;
    struct ws_device *device = calloc(1, sizeof(*device));
    if (device == NULL)
        return ws_error_nomem(err);
    if (options == NULL)
        options = &defaults;
    int rc = 0;
    device->fs = fs;
    device->catch_signals = options->catch_signals;
    device->own_processors = options->own_processors || ws_sysfs_is_live(fs);
    device->space.knobs = calloc(WS_KNOBS_MAX, sizeof(*device->space.knobs));
    if (device->space.knobs == NULL)
        rc = ws_error_nomem(err);
    if (rc == 0 && options->lease_path != NULL) {
        device->lease_path = strdup(options->lease_path);
        if (device->lease_path == NULL)
            rc = ws_error_nomem(err);
    }
    if (rc == 0 && !options->bare)
        rc = discover(device, options, err);
    if (rc != 0) {
        (void)ws_device_close(device, NULL);
        return rc;
    }
    *out = device;
    return 0;
}

static int lease_take(struct ws_device *device, struct ws_error *err)
{
    char path[WS_SYSFS_PATH_MAX];
    const char *name = device->lease_path;
    int rc = 0;
    if (device->lease != NULL)
        return 0;
    if (name == NULL) {
        rc = ws_lease_default_path(path, sizeof(path), err);
        name = path;
    }
    struct ws_lease_report report = {0};
    if (rc == 0)
        rc = ws_lease_open(&device->lease, &report, device->fs, name, err);
    if (rc == 0 && report.restored > 0)
        ws_log(WS_LOG_WARNING, "gave back %zu values that a dead process had left",
               report.restored);
    if (rc == 0 && device->catch_signals)
        rc = ws_lease_catch_signals(device->lease, err);
    return rc;
}

static int keep_path(void *user, const char *path, struct ws_error *err)
{
    int rc = ws_lease_keep(user, path, err);
    /* What cannot be read will not be written either, or is not there. */
    return rc == WS_E_NOT_FOUND || rc == WS_E_IO ? 0 : rc;
}

/* Puts a knob's originals into the lease, in memory. */
static int keep(struct ws_device *device, struct ws_actuator *actuator,
                struct ws_error *err)
{
    int rc = 0;
    if (actuator->is_kept)
        return 0;
    if (actuator->ops->paths != NULL)
        rc = actuator->ops->paths(actuator, keep_path, device->lease, err);
    if (rc == 0 && actuator->ops->keep != NULL)
        rc = actuator->ops->keep(actuator, device->lease, err);
    actuator->is_kept = rc == 0;
    return rc;
}

/* Which actuator and value each knob of the space means here; -1 where none. */
struct target {
    int knob;
    size_t value;
};

/* Nothing is left behind by knobs of this process, or of a helper that keeps the
 * originals itself: they do not hold the machine. */
static int has_originals(const struct ws_device *device, const struct target *targets,
                         size_t count)
{
    for (size_t k = 0; k < count; k++) {
        if (targets[k].knob < 0)
            continue;
        const struct ws_actuator_ops *ops = device->actuators[targets[k].knob]->ops;
        if (ops->paths != NULL || ops->keep != NULL)
            return 1;
    }
    return 0;
}

/* Those of a setting's knobs. A mode changes others' attributes too: before one is set
 * they are all kept, as they are by now and not as the mode leaves them. */
static int keep_targets(struct ws_device *device, const struct target *targets,
                        size_t count, struct ws_error *err)
{
    int has_mode = 0;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < count; k++) {
        if (targets[k].knob < 0)
            continue;
        struct ws_actuator *actuator = device->actuators[targets[k].knob];
        has_mode |= actuator->rank == WS_RANK_MODE;
        rc = keep(device, actuator, err);
    }
    for (size_t k = 0; has_mode && rc == 0 && k < device->space.knob_count; k++) {
        if (device->actuators[k]->ops->paths != NULL)
            rc = keep(device, device->actuators[k], err);
    }
    return rc;
}

/* Sets one knob and looks at what came of it. */
static void apply_knob(struct ws_device *device, struct ws_applied_knob *out,
                       struct ws_actuator *actuator, size_t value)
{
    struct ws_error err = {0};
    const char *asked = ws_device_value(device, actuator, value);
    size_t writes = device->write_count;
    int64_t start_ns = ws_clock_now_ns();
    int rc = actuator->ops->set(actuator, device, value, &err);
    if (rc != 0) {
        out->applied = WS_APPLIED_REFUSED;
        (void)snprintf(out->reason, sizeof(out->reason), "%.*s",
                       (int)sizeof(out->reason) - 1, err.text);
    }
    int known = actuator->ops->get != NULL &&
                actuator->ops->get(out->achieved, sizeof(out->achieved), actuator, device,
                                   &err) == 0;
    if (!known)
        out->achieved[0] = '\0';
    if (rc == 0 && known && strcmp(out->achieved, asked) != 0)
        out->applied = WS_APPLIED_CLAMPED;
    else if (rc == 0)
        out->applied = device->write_count == writes ? WS_APPLIED_SAME : WS_APPLIED_SET;
    out->time_ns = ws_clock_now_ns() - start_ns;
}

static void find_targets(struct target *targets, struct ws_device_report *report,
                         const struct ws_device *device, const struct ws_space *space,
                         const struct ws_setting *setting)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        size_t knob = 0;
        const char *text = space->knobs[k].values[setting->value[k]].text;
        targets[k].knob = -1;
        if (ws_space_find(&knob, &device->space, space->knobs[k].name, NULL) != 0)
            continue;
        if (ws_knob_find(&targets[k].value, &device->space.knobs[knob], text, NULL) == 0)
            targets[k].knob = (int)knob;
        else
            (void)snprintf(report->knobs[k].reason, sizeof(report->knobs[k].reason),
                           "%s is none of its values here", text);
    }
}

int ws_device_apply(struct ws_device *device, struct ws_device_report *report,
                    const struct ws_space *space, const struct ws_setting *setting,
                    struct ws_error *err)
{
    struct target targets[WS_KNOBS_MAX];
    int64_t start_ns = ws_clock_now_ns();
    memset(report, 0, sizeof(*report));
    device->write_count = 0;
    int rc = 0;
    find_targets(targets, report, device, space, setting);
    if (has_originals(device, targets, space->knob_count)) {
        rc = lease_take(device, err);
        if (rc == 0)
            rc = keep_targets(device, targets, space->knob_count, err);
        if (rc == 0)
            rc = ws_lease_commit(device->lease, err);
    }
    for (int rank = 0; rc == 0 && rank < WS_RANK_COUNT; rank++) {
        for (size_t k = 0; k < space->knob_count; k++) {
            if (targets[k].knob < 0)
                continue;
            struct ws_actuator *actuator = device->actuators[targets[k].knob];
            if ((int)actuator->rank == rank)
                apply_knob(device, &report->knobs[k], actuator, targets[k].value);
        }
    }
    report->write_count = device->write_count;
    report->time_ns = ws_clock_now_ns() - start_ns;
    return rc;
}

int ws_device_current(char *out, size_t size, struct ws_device *device, size_t knob,
                      struct ws_error *err)
{
    struct ws_actuator *actuator = device->actuators[knob];
    if (actuator->ops->get == NULL)
        return ws_error_set(err, WS_E_UNKNOWN, "%s: cannot be read back",
                            device->space.knobs[knob].name);
    return actuator->ops->get(out, size, actuator, device, err);
}

int ws_device_paths(struct ws_device *device, size_t knob,
                    int (*fn)(void *user, const char *path, struct ws_error *err),
                    void *user, struct ws_error *err)
{
    struct ws_actuator *actuator = device->actuators[knob];
    if (actuator->ops->paths == NULL)
        return 0;
    return actuator->ops->paths(actuator, fn, user, err);
}

int ws_device_needs_root(const struct ws_device *device, size_t knob)
{
    return device->actuators[knob]->needs_root;
}

int ws_device_restore(struct ws_device *device, struct ws_error *err)
{
    struct ws_lease *lease = device->lease;
    int rc = 0;
    device->lease = NULL;
    for (size_t k = 0; k < device->space.knob_count; k++) {
        struct ws_actuator *actuator = device->actuators[k];
        actuator->is_kept = 0;
        if (actuator->ops->restore != NULL && rc == 0)
            rc = actuator->ops->restore(actuator, device, err);
    }
    /* The lease in any case, and its failure above the others'. */
    int closed = ws_lease_close(lease, err);
    return closed != 0 ? closed : rc;
}

int ws_device_close(struct ws_device *device, struct ws_error *err)
{
    if (device == NULL)
        return 0;
    int rc = ws_device_restore(device, err);
    for (size_t k = 0; k < device->space.knob_count; k++)
        device->actuators[k]->ops->destroy(device->actuators[k]);
    ws_space_fini(&device->space);
    free(device->lease_path);
    free(device);
    return rc;
}
