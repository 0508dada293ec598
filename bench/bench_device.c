/*
 * Our own time on plain files that stand for a board: applying a setting of every knob,
 * reading one meter, and what a sampler costs that only samples. The kernel's time for a
 * real knob or meter comes on top. Usage: bench_device TREE DIR: a
 * captured device, and an empty folder for its files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/stats.h"
#include "device/capture.h"
#include "device/device.h"
#include "device/meter.h"
#include "device/sampler.h"

enum { SETTINGS = 2000, READINGS = 20000, SAMPLE_S = 5 };

static void die(const struct ws_error *err)
{
    fprintf(stderr, "bench_device: %s\n", err->text);
    exit(1);
}

static void bench_apply(struct ws_sysfs *fs, const char *dir)
{
    static double us[SETTINGS];
    char lease[256];
    struct ws_error err = {0};
    struct ws_device *device = NULL;
    struct ws_device_report report;
    struct ws_rng rng;
    size_t writes = 0;
    (void)snprintf(lease, sizeof(lease), "%s/lease.json", dir);
    struct ws_device_options options = {.lease_path = lease};
    ws_rng_init(&rng, 1);
    if (ws_device_open(&device, fs, &options, &err) != 0)
        die(&err);
    const struct ws_space *space = ws_device_space(device);
    double first_us = 0;
    for (size_t i = 0; i <= SETTINGS; i++) {
        struct ws_setting setting = {0};
        for (size_t k = 0; k < space->knob_count; k++)
            setting.value[k] = (uint16_t)ws_rng_below(&rng, space->knobs[k].value_count);
        if (ws_device_apply(device, &report, space, &setting, &err) != 0)
            die(&err);
        /* The first one writes and syncs the lease. */
        if (i == 0)
            first_us = (double)report.time_ns / 1000;
        else
            us[i - 1] = (double)report.time_ns / 1000;
        writes += report.write_count;
    }
    size_t knobs = space->knob_count;
    if (ws_device_close(device, &err) != 0)
        die(&err);
    ws_stats_sort(us, SETTINGS);
    printf(
        "apply a setting of %zu knobs, %.1f writes: median %.0f us, 99 %% %.0f us; the "
        "first, with its lease, %.0f us\n",
        knobs, (double)writes / (SETTINGS + 1),
        ws_stats_quantile_sorted(us, SETTINGS, 0.5),
        ws_stats_quantile_sorted(us, SETTINGS, 0.99), first_us);
}

static void bench_read(struct ws_meters *meters)
{
    static double us[READINGS];
    struct ws_meter_reading reading;
    struct ws_error err = {0};
    for (size_t m = 0; m < meters->count; m++) {
        for (size_t i = 0; i < READINGS; i++) {
            int64_t start_ns = ws_clock_now_ns();
            if (ws_meter_read(meters->meters[m], &reading, &err) != 0)
                die(&err);
            us[i] = (double)(ws_clock_now_ns() - start_ns) / 1000;
        }
        ws_stats_sort(us, READINGS);
        printf("read %s: median %.1f us, 99 %% %.1f us\n", meters->meters[m]->info.name,
               ws_stats_quantile_sorted(us, READINGS, 0.5),
               ws_stats_quantile_sorted(us, READINGS, 0.99));
    }
}

static void bench_sampler(struct ws_meters *meters)
{
    struct ws_sampler *sampler = NULL;
    struct ws_error err = {0};
    if (ws_sampler_create(&sampler, meters->meters, meters->count, NULL, &err) != 0)
        die(&err);
    int64_t start_ns = ws_clock_now_ns();
    int64_t cpu_ns = ws_clock_cpu_ns();
    ws_clock_sleep_until(start_ns + SAMPLE_S * INT64_C(1000000000));
    cpu_ns = ws_clock_cpu_ns() - cpu_ns;
    printf("sample %zu meters every 20 ms: %.2f %% of a core\n", meters->count,
           100 * (double)cpu_ns / (double)(ws_clock_now_ns() - start_ns));
    ws_sampler_destroy(sampler);
}

int main(int argc, char **argv)
{
    struct ws_error err = {0};
    struct ws_sysfs *fs = NULL;
    struct ws_meters meters = {.count = 0};
    if (argc != 3) {
        fputs("usage: bench_device TREE DIR, DIR empty\n", stderr);
        return 2;
    }
    if (ws_capture_unpack(argv[1], argv[2], &err) != 0 ||
        ws_sysfs_open(&fs, argv[2], &err) != 0 ||
        ws_meter_sysfs_discover(&meters, fs, &err) != 0)
        die(&err);
    bench_apply(fs, argv[2]);
    bench_read(&meters);
    bench_sampler(&meters);
    ws_meters_fini(&meters);
    ws_sysfs_close(fs);
    return 0;
}
