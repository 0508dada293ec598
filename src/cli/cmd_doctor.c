#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/metering.h"
#include "cli/options.h"
#include "device/capture.h"
#include "device/device.h"
#include "device/health.h"
#include "device/lease.h"
#include "device/meter.h"
#include "engine/engine.h"

enum { METER_WINDOW_NS = 300000000 };

struct facts {
    struct ws_sysfs *fs;
    struct ws_device *device;
    struct ws_meters meters;
    double watts[WS_METERS_MAX]; /* now; negative: cannot be told */
    char why[WS_METERS_MAX][128];
    struct ws_health health;
    struct ws_unlock unlock;
    char runtime[64];
    char **providers;
    size_t provider_count;
};

static void facts_fini(struct facts *facts)
{
    ws_meters_fini(&facts->meters);
    (void)ws_device_close(facts->device, NULL);
    ws_sysfs_close(facts->fs);
    free(facts->providers);
}

/* Watts of each meter now; counters are watched for a moment. */
static void measure(struct facts *facts)
{
    struct ws_meter_reading first[WS_METERS_MAX];
    struct ws_meter_reading now;
    struct ws_error err = {0};
    int has_counter = 0;
    for (size_t i = 0; i < facts->meters.count; i++) {
        struct ws_meter *meter = facts->meters.meters[i];
        facts->watts[i] = -1;
        int rc = ws_meter_read(meter, &first[i], &err);
        if (rc != 0)
            (void)snprintf(facts->why[i], sizeof(facts->why[i]), "%.127s", err.text);
        else if (meter->info.is_counter)
            has_counter = 1;
        else
            facts->watts[i] = first[i].value;
    }
    if (!has_counter)
        return;
    ws_clock_sleep_until(ws_clock_now_ns() + METER_WINDOW_NS);
    for (size_t i = 0; i < facts->meters.count; i++) {
        struct ws_meter *meter = facts->meters.meters[i];
        if (!meter->info.is_counter || facts->why[i][0] != '\0')
            continue;
        if (ws_meter_read(meter, &now, &err) == 0 && now.time_ns > first[i].time_ns)
            facts->watts[i] = (now.value - first[i].value) * 1e9 /
                              (double)(now.time_ns - first[i].time_ns);
        else
            (void)snprintf(facts->why[i], sizeof(facts->why[i]), "%.127s", err.text);
    }
}

static int ask_runtime(struct facts *facts, struct ws_error *err)
{
    struct ws_engine_options options = {.threads = 1};
    struct ws_engine *engine = NULL;
    int rc = ws_engine_create(&engine, &options, err);
    if (rc == 0) {
        (void)snprintf(facts->runtime, sizeof(facts->runtime), "%s",
                       ws_engine_version(engine));
        rc = ws_engine_providers(&facts->providers, &facts->provider_count, engine, err);
    }
    ws_engine_destroy(engine);
    return rc;
}

static int look(struct facts *facts, const char *root, struct ws_error *err)
{
    int rc = ws_sysfs_open(&facts->fs, root, err);
    if (rc == 0)
        rc = ws_device_open(&facts->device, facts->fs, NULL, err);
    if (rc == 0)
        rc = ws_metering_discover(&facts->meters, facts->fs, err);
    if (rc == 0)
        rc = ws_health_read(&facts->health, facts->fs, err);
    if (rc == 0)
        rc = ws_unlock_collect(&facts->unlock, facts->device, facts->fs, err);
    if (rc == 0)
        rc = ask_runtime(facts, err);
    if (rc == 0)
        measure(facts);
    return rc;
}

/* --- as text --- */

static void print_knobs(struct facts *facts)
{
    const struct ws_space *space = ws_device_space(facts->device);
    puts("\nknobs");
    for (size_t k = 0; k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        char now[64];
        char values[64];
        int known = ws_device_current(now, sizeof(now), facts->device, k, NULL) == 0;
        (void)snprintf(values, sizeof(values), "%zu: %.20s .. %.20s", knob->value_count,
                       knob->values[0].text, knob->values[knob->value_count - 1].text);
        printf("  %-18s %-32s now %-12s %s\n", knob->name, values, known ? now : "mixed",
               ws_unlock_knob_writable(facts->device, facts->fs, k) ? "can be set"
                                                                    : "LOCKED");
    }
    if (space->knob_count == 0)
        puts(
            "  none: this machine shows nothing that can be set (a virtual machine or a\n"
            "  container, perhaps)");
}

static void print_meters(const struct facts *facts)
{
    puts("\nmeters");
    for (size_t i = 0; i < facts->meters.count; i++) {
        const struct ws_meter_info *info = &facts->meters.meters[i]->info;
        char watts[32] = "unknown";
        if (facts->watts[i] >= 0)
            (void)snprintf(watts, sizeof(watts), "%.3f W", facts->watts[i]);
        printf("  %-26s %10s  %s: %s\n", info->name, watts,
               ws_boundary_name(info->boundary), info->counts);
        if (info->overlap[0] != '\0')
            printf("  %-26s %10s  is part of %s: do not add them\n", "", "",
                   info->overlap);
        if (facts->why[i][0] != '\0')
            printf("  %-26s %10s  %s\n", "", "", facts->why[i]);
    }
    if (facts->meters.count == 0)
        puts(
            "  none: energy is unknown here; a plug with a meter (Shelly, Tasmota) or a\n"
            "  bench meter can stand in");
}

static void print_health(const struct ws_health *health)
{
    puts("\nhealth");
    for (size_t i = 0; i < health->temperature_count; i++)
        printf("  %-26s %8.1f C\n", health->temperatures[i].name,
               health->temperatures[i].celsius);
    for (size_t i = 0; i < health->limit_count; i++)
        printf("  HELD BACK: %s\n", health->limits[i]);
    for (size_t i = 0; i < health->rival_count; i++)
        printf("  ALSO GOVERNS: %s %s\n", health->rivals[i].name,
               health->rivals[i].effect);
    if (health->temperature_count + health->limit_count + health->rival_count == 0)
        puts("  nothing to read, nobody else who governs");
}

static void print_unlock(const struct ws_unlock *unlock)
{
    if (unlock->count > 0) {
        puts("\nto unlock without being root: put into /etc/tmpfiles.d/wattshed.conf");
        for (size_t i = 0; i < unlock->count; i++)
            printf("  %s\n", unlock->lines[i]);
        puts("then\n"
             "  sudo groupadd -f wattshed && sudo usermod -aG wattshed \"$USER\"\n"
             "  sudo systemd-tmpfiles --create /etc/tmpfiles.d/wattshed.conf\n"
             "and log in again.");
    }
    if (unlock->root_only_count > 0)
        printf("\n%zu attributes lie in debugfs and need root.\n",
               unlock->root_only_count);
}

static void print_text(struct facts *facts)
{
    const char *machine = facts->health.machine;
    printf("%s\n",
           machine[0] == '\0' ? "a machine that does not say what it is" : machine);
    print_knobs(facts);
    print_meters(facts);
    print_health(&facts->health);
    printf("\nruntime\n  %s on", facts->runtime);
    for (size_t i = 0; i < facts->provider_count; i++)
        printf("%s %s", i == 0 ? "" : ",", facts->providers[i]);
    puts("");
    print_unlock(&facts->unlock);
}

/* --- as JSON --- */

static json_t *knobs_json(struct facts *facts)
{
    const struct ws_space *space = ws_device_space(facts->device);
    json_t *list = json_array();
    for (size_t k = 0; k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        char now[64];
        int known = ws_device_current(now, sizeof(now), facts->device, k, NULL) == 0;
        json_t *values = json_array();
        for (size_t v = 0; v < knob->value_count; v++)
            json_array_append_new(values, json_string(knob->values[v].text));
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:o, s:o, s:b}", "name", knob->name, "part",
                      ws_part_name(knob->part), "kind", ws_kind_name(knob->kind),
                      "values", values, "now", known ? json_string(now) : json_null(),
                      "writable", ws_unlock_knob_writable(facts->device, facts->fs, k)));
    }
    return list;
}

static json_t *meters_json(const struct facts *facts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < facts->meters.count; i++) {
        const struct ws_meter_info *info = &facts->meters.meters[i]->info;
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:f, s:o, s:o}", "name",
                      info->name, "source", info->source, "boundary",
                      ws_boundary_name(info->boundary), "counts", info->counts, "reads",
                      info->is_counter ? "joules" : "watts", "truth",
                      ws_truth_name(info->truth), "interval_s", info->interval_s,
                      "resolution", info->resolution, "part_of",
                      info->overlap[0] == '\0' ? json_null() : json_string(info->overlap),
                      "power_w",
                      facts->watts[i] < 0 ? json_null() : json_real(facts->watts[i])));
    }
    return list;
}

static int print_json(struct facts *facts, struct ws_error *err)
{
    const struct ws_health *health = &facts->health;
    json_t *temperatures = json_array();
    json_t *limits = json_array();
    json_t *rivals = json_array();
    json_t *providers = json_array();
    json_t *unlock = json_array();
    for (size_t i = 0; i < health->temperature_count; i++)
        json_array_append_new(
            temperatures, json_pack("{s:s, s:f}", "name", health->temperatures[i].name,
                                    "celsius", health->temperatures[i].celsius));
    for (size_t i = 0; i < health->limit_count; i++)
        json_array_append_new(limits, json_string(health->limits[i]));
    for (size_t i = 0; i < health->rival_count; i++)
        json_array_append_new(rivals,
                              json_pack("{s:s, s:s}", "name", health->rivals[i].name,
                                        "effect", health->rivals[i].effect));
    for (size_t i = 0; i < facts->provider_count; i++)
        json_array_append_new(providers, json_string(facts->providers[i]));
    for (size_t i = 0; i < facts->unlock.count; i++)
        json_array_append_new(unlock, json_string(facts->unlock.lines[i]));
    json_t *root = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:{s:s, s:o}, s:o}", "machine", health->machine,
        "knobs", knobs_json(facts), "meters", meters_json(facts), "temperatures",
        temperatures, "held_back", limits, "also_governing", rivals, "runtime", "version",
        facts->runtime, "providers", providers, "unlock", unlock);
    int rc = root == NULL ? ws_error_nomem(err) : ws_json_write("-", root, err);
    json_decref(root);
    return rc;
}

/* --- the command --- */

struct request {
    const char *root;
    const char *lease;
    const char *capture;
    int restore;
    int json;
};

static int restore(const struct request *request, struct ws_error *err)
{
    struct ws_sysfs *fs = NULL;
    struct ws_lease *lease = NULL;
    struct ws_lease_report report = {0};
    char path[WS_SYSFS_PATH_MAX];
    const char *name = request->lease;
    int rc = 0;
    if (name == NULL) {
        rc = ws_lease_default_path(path, sizeof(path), err);
        name = path;
    }
    if (rc == 0)
        rc = ws_sysfs_open(&fs, request->root, err);
    if (rc == 0)
        rc = ws_lease_open(&lease, &report, fs, name, err);
    if (rc == 0)
        rc = ws_lease_close(lease, err);
    ws_sysfs_close(fs);
    if (rc != 0)
        return rc;
    if (report.restored + report.vanished == 0)
        puts("nothing to give back");
    else
        printf("gave back %zu settings%s\n", report.restored,
               report.vanished > 0 ? "; some of the hardware is no longer there" : "");
    return 0;
}

static int capture(const struct request *request, struct ws_error *err)
{
    struct ws_sysfs *fs = NULL;
    size_t count = 0;
    int rc = ws_sysfs_open(&fs, request->root, err);
    if (rc == 0)
        rc = ws_capture_write(&count, fs, request->capture, err);
    ws_sysfs_close(fs);
    if (rc == 0)
        printf("%s: %zu attributes\n", request->capture, count);
    return rc;
}

static int examine(const struct request *request, struct ws_error *err)
{
    struct facts *facts = calloc(1, sizeof(*facts));
    if (facts == NULL)
        return ws_error_nomem(err);
    int rc = look(facts, request->root, err);
    if (rc == 0 && request->json)
        rc = print_json(facts, err);
    else if (rc == 0)
        print_text(facts);
    facts_fini(facts);
    free(facts);
    return rc;
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_FLAG("json", struct request, json, "the same for programs")},
    {WS_CLI_FLAG("restore", struct request, restore,
                 "give back the settings that a killed process left behind")},
    {WS_CLI_TEXT("capture", "FILE", struct request, capture,
                 "write the machine's attributes to a file, for tests elsewhere")},
    {WS_CLI_TEXT("root", "DIR", struct request, root,
                 "look at the tree in DIR instead of this machine")},
    {WS_CLI_TEXT("lease", "FILE", struct request, lease,
                 "where the originals are kept (default: /run/wattshed/lease.json for "
                 "root, else $XDG_RUNTIME_DIR/wattshed/lease.json)")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "doctor",
    .synopsis = "[--json]\n--restore\n--capture FILE",
    .about = "Says what this machine lets us set and measure, what is missing and the "
             "lines that unlock it, how hot it is, what holds it back, who else sets its "
             "knobs, and what ONNX Runtime can run on. Sets nothing.",
    .options = options_table,
};

int ws_cmd_doctor(int argc, char **argv)
{
    struct request request = {0};
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    if (ws_cli_parse(&status, &request, argc, argv, &usage) != 0)
        return status;
    if (request.restore + (request.capture != NULL) + request.json > 1)
        return ws_cli_usage_error("doctor",
                                  "--json, --restore or --capture, one of them");
    int rc = request.restore           ? restore(&request, &err)
             : request.capture != NULL ? capture(&request, &err)
                                       : examine(&request, &err);
    return rc == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
