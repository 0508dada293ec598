#include "cli/local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "device/device.h"

struct ws_local {
    struct ws_sysfs *fs;
    struct ws_device *device;
    struct ws_metering *metering;
};

const struct ws_cli_option ws_local_cli[] = {
    {WS_CLI_TAKE("set", "KNOB=VALUE", struct ws_local_options, settings, ws_cli_take_pair,
                 "sets a knob of this machine for the time, as `wattshed doctor` lists "
                 "them; again for another")},
    {WS_CLI_TEXT("meter", "NAME", struct ws_local_options, meter, WS_METER_HELP)},
    {0},
};

static int no_knob(const struct ws_space *space, const char *name, struct ws_error *err)
{
    struct ws_buf names;
    ws_buf_init(&names, 0);
    int rc = ws_buf_add_text(&names, space->knob_count == 0 ? "none" : "", err);
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++)
        rc = ws_buf_printf(&names, err, "%s%s", k == 0 ? "" : ", ", space->knobs[k].name);
    if (rc == 0)
        rc = ws_error_set(err, WS_E_NOT_FOUND, "this machine has no knob \"%s\" among %s",
                          name, names.data);
    ws_buf_fini(&names);
    return rc;
}

/* One knob, as a space of its own: the others stay as they are. */
static int set_knob(struct ws_device *device, const char *text, struct ws_error *err)
{
    const struct ws_space *space = ws_device_space(device);
    const char *equals = strchr(text, '=');
    char name[WS_NAME_MAX];
    size_t knob = 0;
    size_t value = 0;
    (void)snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
    if (ws_space_find(&knob, space, name, NULL) != 0)
        return no_knob(space, name, err);
    int rc = ws_knob_find(&value, &space->knobs[knob], equals + 1, err);
    if (rc != 0)
        return rc;
    const struct ws_space one = {.knobs = &space->knobs[knob], .knob_count = 1};
    const struct ws_setting setting = {.value = {(uint16_t)value}};
    struct ws_device_report report;
    rc = ws_device_apply(device, &report, &one, &setting, err);
    const struct ws_applied_knob *applied = &report.knobs[0];
    if (rc == 0 && applied->applied != WS_APPLIED_SET &&
        applied->applied != WS_APPLIED_SAME)
        rc = ws_error_set(
            err, WS_E_IO, "%s: %s%s%s", text, ws_applied_name(applied->applied),
            applied->reason[0] != '\0' ? ", " : "",
            applied->reason[0] != '\0' ? applied->reason : applied->achieved);
    return rc;
}

static int set_knobs(struct ws_local *local, const struct ws_local_options *options,
                     struct ws_error *err)
{
    const struct ws_device_options device = {.catch_signals = 1};
    int rc = ws_sysfs_open(&local->fs, NULL, err);
    if (rc == 0)
        rc = ws_device_open(&local->device, local->fs, &device, err);
    for (size_t i = 0; rc == 0 && i < options->settings.count; i++)
        rc = set_knob(local->device, options->settings.at[i], err);
    return rc;
}

int ws_local_open(struct ws_local **out, const struct ws_local_options *options,
                  struct ws_error *err)
{
    const double idle_s = 1;
    *out = NULL;
    if (options->settings.count == 0 && options->meter == NULL)
        return 0;
    struct ws_local *local = calloc(1, sizeof(*local));
    if (local == NULL)
        return ws_error_nomem(err);
    int rc = options->settings.count > 0 ? set_knobs(local, options, err) : 0;
    if (rc == 0 && options->meter != NULL)
        rc = ws_metering_open(&local->metering, options->meter, idle_s, err);
    if (rc == 0)
        *out = local;
    else
        ws_local_close(local);
    return rc;
}

void ws_local_close(struct ws_local *local)
{
    struct ws_error err = {0};
    if (local == NULL)
        return;
    ws_metering_close(local->metering);
    if (local->device != NULL && ws_device_close(local->device, &err) != 0)
        fprintf(stderr, "wattshed: %s (wattshed doctor --restore)\n", err.text);
    ws_sysfs_close(local->fs);
    free(local);
}

/* 1 and the energy, or 0: there is no meter, or `why` it failed. */
static int measure(struct ws_energy *out, struct ws_error *why, struct ws_local *local,
                   int64_t start_ns, int64_t end_ns)
{
    if (local == NULL || local->metering == NULL)
        return 0;
    struct ws_sampler *sampler = ws_metering_sampler(local->metering);
    ws_sampler_wait(sampler, 0, end_ns);
    return ws_sampler_energy(out, sampler, 0, start_ns, end_ns, why) == 0;
}

void ws_local_print(struct ws_local *local, int64_t start_ns, int64_t end_ns,
                    size_t count)
{
    struct ws_energy energy;
    struct ws_error why = {0};
    if (measure(&energy, &why, local, start_ns, end_ns)) {
        const struct ws_meter_info *info = ws_metering_info(local->metering);
        printf("edge energy %.4g J a request (%s, %s: %s%s; idle %.3g W)\n",
               energy.energy_j / (double)count, ws_truth_name(info->truth),
               ws_boundary_name(info->boundary), info->name,
               energy.is_interpolated ? ", its share of a longer interval" : "",
               ws_metering_idle_w(local->metering));
    } else if (why.code != 0) {
        printf("edge energy unknown: %s\n", why.text);
    }
}

void ws_local_json(json_t *root, struct ws_local *local, int64_t start_ns, int64_t end_ns,
                   size_t count)
{
    struct ws_energy energy;
    struct ws_error why = {0};
    if (measure(&energy, &why, local, start_ns, end_ns)) {
        const struct ws_meter_info *info = ws_metering_info(local->metering);
        json_object_set_new(root, "edge_energy",
                            json_pack("{s:f, s:s, s:s, s:s, s:b, s:f}", "energy_j",
                                      energy.energy_j / (double)count, "truth",
                                      ws_truth_name(info->truth), "boundary",
                                      ws_boundary_name(info->boundary), "meter",
                                      info->name, "interpolated", energy.is_interpolated,
                                      "idle_w", ws_metering_idle_w(local->metering)));
    } else if (why.code != 0) {
        json_object_set_new(root, "edge_energy", json_pack("{s:s}", "unknown", why.text));
    }
}
