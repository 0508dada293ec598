#include "cli/metering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "device/line.h"
#include "net/http_client.h"

enum { ASK_TIMEOUT_MS = 2000 };

struct ws_metering {
    struct ws_sysfs *fs;
    struct ws_meters meters; /* the one that counts is meters[0] by now */
    struct ws_http_client *plug;
    struct ws_line *instrument;
    struct ws_sampler *sampler;
    double idle_w;
};

int ws_metering_discover(struct ws_meters *out, const struct ws_sysfs *fs,
                         struct ws_error *err)
{
    struct ws_meter *pmic = NULL;
    struct ws_error here = {0};
    int rc = ws_meter_sysfs_discover(out, fs, err);
    if (rc != 0 || !ws_sysfs_is_live(fs))
        return rc;
    if (ws_meter_nvml_discover(out, NULL, &here) != 0)
        ws_log(WS_LOG_WARNING, "%s", here.text);
    if (ws_meter_pmic_create(&pmic, NULL, NULL) == 0)
        rc = ws_meters_add(out, pmic, err);
    return rc;
}

/* --- On the network --- */

/* A ws_meter_ask; `user` is a ws_http_client. */
static int ask_plug(void *user, struct ws_buf *answer, const char *question,
                    struct ws_error *err)
{
    struct ws_http_answer got;
    const struct ws_http_call call = {.method = "GET", .path = question};
    int rc = ws_http_client_call(&got, user, &call, err);
    if (rc == 0 && got.status != 200)
        rc = ws_error_set(err, WS_E_REMOTE, "%s: status %d", question, got.status);
    return rc == 0 ? ws_buf_add(answer, got.body, got.body_size, err) : rc;
}

static int open_plug(struct ws_metering *metering, enum ws_plug kind, const char *name,
                     const char *host, struct ws_error *err)
{
    const struct ws_http_client_options options = {.connect_timeout_ms = ASK_TIMEOUT_MS,
                                                   .timeout_ms = ASK_TIMEOUT_MS};
    struct ws_meter *meter = NULL;
    struct ws_buf url;
    ws_buf_init(&url, 0);
    int rc = ws_buf_printf(&url, err, "http://%s", host);
    if (rc == 0)
        rc = ws_http_client_create(&metering->plug, url.data, &options, err);
    if (rc == 0)
        rc = ws_meter_plug_create(&meter, kind, name, ask_plug, metering->plug, err);
    ws_buf_fini(&url);
    return rc == 0 ? ws_meters_add(&metering->meters, meter, err) : rc;
}

static int open_instrument(struct ws_metering *metering, const char *name,
                           const char *address, struct ws_error *err)
{
    struct ws_meter *meter = NULL;
    char host[256];
    const char *colon = strrchr(address, ':');
    size_t length = colon == NULL ? strlen(address) : (size_t)(colon - address);
    if (length == 0 || length >= sizeof(host))
        return ws_error_set(err, WS_E_USAGE, "\"%s\" names no host", name);
    memcpy(host, address, length);
    host[length] = '\0';
    int rc = ws_line_create(&metering->instrument, host, colon == NULL ? "23" : colon + 1,
                            ASK_TIMEOUT_MS, err);
    if (rc == 0)
        rc = ws_meter_scpi_create(&meter, name, ws_line_ask, metering->instrument, err);
    return rc == 0 ? ws_meters_add(&metering->meters, meter, err) : rc;
}

/* --- On this machine --- */

/* The more of the machine it counts, the better. */
static int worth(enum ws_boundary boundary)
{
    static const int worths[] = {
        [WS_BOUNDARY_RAIL] = 0,    [WS_BOUNDARY_CARD] = 1, [WS_BOUNDARY_PACKAGE] = 2,
        [WS_BOUNDARY_BATTERY] = 3, [WS_BOUNDARY_WALL] = 4, [WS_BOUNDARY_BOARD] = 5,
    };
    return worths[boundary];
}

static int list_names(struct ws_buf *out, const struct ws_meters *meters,
                      struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < meters->count; i++)
        rc = ws_buf_printf(out, err, "%s\"%s\"", i == 0 ? "" : ", ",
                           meters->meters[i]->info.name);
    return rc;
}

/* Brings the meter of that name to the front. */
static int choose(struct ws_meters *meters, const char *name, struct ws_error *err)
{
    size_t chosen = meters->count;
    int is_best = strcmp(name, "best") == 0;
    for (size_t i = 0; i < meters->count; i++) {
        const struct ws_meter_info *info = &meters->meters[i]->info;
        if (is_best
                ? chosen == meters->count ||
                      worth(info->boundary) > worth(meters->meters[chosen]->info.boundary)
                : strcmp(info->name, name) == 0)
            chosen = i;
    }
    if (chosen < meters->count) {
        struct ws_meter *first = meters->meters[0];
        meters->meters[0] = meters->meters[chosen];
        meters->meters[chosen] = first;
        return 0;
    }
    struct ws_buf names;
    ws_buf_init(&names, 0);
    int rc = list_names(&names, meters, err);
    if (rc == 0)
        rc = names.size == 0 ? ws_error_set(err, WS_E_NOT_FOUND,
                                            "this machine has no meter of its own")
                             : ws_error_set(err, WS_E_NOT_FOUND,
                                            "no meter \"%s\" among %s", name, names.data);
    ws_buf_fini(&names);
    return rc;
}

static int open_own(struct ws_metering *metering, const char *name, struct ws_error *err)
{
    int rc = ws_sysfs_open(&metering->fs, NULL, err);
    if (rc == 0)
        rc = ws_metering_discover(&metering->meters, metering->fs, err);
    return rc == 0 ? choose(&metering->meters, name, err) : rc;
}

static const char *behind(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 ? name + length : NULL;
}

static int open_meter(struct ws_metering *metering, const char *name,
                      struct ws_error *err)
{
    const char *address = NULL;
    if ((address = behind(name, "shelly:")) != NULL)
        return open_plug(metering, WS_PLUG_SHELLY, name, address, err);
    if ((address = behind(name, "tasmota:")) != NULL)
        return open_plug(metering, WS_PLUG_TASMOTA, name, address, err);
    if ((address = behind(name, "scpi:")) != NULL)
        return open_instrument(metering, name, address, err);
    return open_own(metering, name, err);
}

/* Waits until the meter has told of so long; a slow one begins late. */
static int measure_window(struct ws_metering *metering, int64_t window_ns,
                          struct ws_error *err)
{
    enum { TRIES = 100 };
    const int64_t again_ns = 50000000;
    int64_t until_ns = ws_clock_now_ns() + window_ns;
    int rc = WS_E_UNKNOWN;
    for (int i = 0; rc == WS_E_UNKNOWN && i < TRIES; i++) {
        ws_clock_sleep_until(until_ns + i * again_ns);
        rc = ws_sampler_power(&metering->idle_w, metering->sampler, 0, window_ns, err);
    }
    return rc;
}

/* After work that has just ended a machine still draws more (a graphics card half as much
 * again, for seconds): measures again while the second half of the window is lower. */
static int measure_idle(struct ws_metering *metering, double idle_s, struct ws_error *err)
{
    enum { WINDOWS_MAX = 5 };
    const double falls = 0.97;
    int64_t window_ns = (int64_t)(idle_s * 1e9);
    double late_w = 0;
    int rc = 0;
    for (int i = 0; rc == 0 && i < WINDOWS_MAX && window_ns > 0; i++) {
        rc = measure_window(metering, window_ns, err);
        if (rc == 0)
            rc = ws_sampler_power(&late_w, metering->sampler, 0, window_ns / 2, err);
        if (rc == 0 && late_w >= falls * metering->idle_w)
            break;
    }
    return rc;
}

int ws_metering_open(struct ws_metering **out, const char *name, double idle_s,
                     struct ws_error *err)
{
    struct ws_metering *metering = calloc(1, sizeof(*metering));
    if (metering == NULL)
        return ws_error_nomem(err);
    int rc = open_meter(metering, name, err);
    if (rc == 0)
        rc = ws_sampler_create(&metering->sampler, metering->meters.meters, 1,
                               &(struct ws_sampler_options){0}, err);
    if (rc == 0)
        rc = measure_idle(metering, idle_s, err);
    if (rc == 0)
        *out = metering;
    else
        ws_metering_close(metering);
    return rc;
}

int ws_metering_open_edge(struct ws_metering **out, const char *name, double idle_s,
                          struct ws_error *err)
{
    struct ws_error here = {0};
    *out = NULL;
    if (name != NULL)
        return ws_metering_open(out, name, idle_s, err);
    int rc = ws_metering_open(out, "best", idle_s, &here);
    if (rc != 0 && rc != WS_E_NOT_FOUND)
        fprintf(stderr, "wattshed: the edge's energy is unknown: %s\n", here.text);
    return 0;
}

void ws_metering_close(struct ws_metering *metering)
{
    if (metering == NULL)
        return;
    ws_sampler_destroy(metering->sampler);
    ws_meters_fini(&metering->meters);
    ws_http_client_destroy(metering->plug);
    ws_line_destroy(metering->instrument);
    ws_sysfs_close(metering->fs);
    free(metering);
}

struct ws_sampler *ws_metering_sampler(struct ws_metering *metering)
{
    return metering->sampler;
}

const struct ws_meter_info *ws_metering_info(const struct ws_metering *metering)
{
    return &metering->meters.meters[0]->info;
}

double ws_metering_idle_w(const struct ws_metering *metering)
{
    return metering->idle_w;
}
