/* edge.nvpmodel: the power mode of a Jetson, by NVIDIA's command. A mode sets cores and
 * bounds anew, so it goes before all other knobs, whose originals are kept before it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "device/child.h"
#include "device/device_impl.h"

#define CONF "etc/nvpmodel.conf"

enum { COMMAND_MS = 10000 };

struct nvpmodel {
    struct ws_actuator base;
    char *command;
    int timeout_ms;
    char *conf;         /* the text that the names point into */
    const char **names; /* of each value */
    int64_t *ids;       /* and its number for nvpmodel -m */
    size_t count;
    int is_kept; /* the mode that was in force is in the lease */
};

static void nvpmodel_destroy(struct ws_actuator *actuator)
{
    struct nvpmodel *nvpmodel = (struct nvpmodel *)actuator;
    free(nvpmodel->command);
    free(nvpmodel->conf);
    free(nvpmodel->names);
    free(nvpmodel->ids);
    free(nvpmodel);
}

/* --- the command --- */

/* nvpmodel -m ID; the words are in the lease's form. */
static void words_for(const char *words[4], char number[24],
                      const struct nvpmodel *nvpmodel, size_t mode)
{
    (void)snprintf(number, 24, "%lld", (long long)nvpmodel->ids[mode]);
    words[0] = nvpmodel->command;
    words[1] = "-m";
    words[2] = number;
    words[3] = NULL;
}

/* Warnings, "NV Power Mode: MAXN", and its number on a line of its own. */
static int find_mode(size_t *out, const struct nvpmodel *nvpmodel, char *said,
                     struct ws_error *err)
{
    static const char title[] = "NV Power Mode:";
    int64_t id = 0;
    char *rest = NULL;
    char *line = strtok_r(said, "\r\n", &rest);
    while (line != NULL && strncmp(line, title, sizeof(title) - 1) != 0)
        line = strtok_r(NULL, "\r\n", &rest);
    while (line != NULL && ws_parse_i64(&id, line, 0, INT64_MAX, "", NULL) != 0)
        line = strtok_r(NULL, "\r\n", &rest);
    if (line == NULL)
        return ws_error_set(err, WS_E_FORMAT, "%s -q told no mode's number",
                            nvpmodel->command);
    for (size_t m = 0; m < nvpmodel->count; m++) {
        if (nvpmodel->ids[m] == id) {
            *out = m;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND, "%s -q told mode %s, which is not in /%s",
                        nvpmodel->command, line, CONF);
}

static int query(size_t *out, const struct nvpmodel *nvpmodel, struct ws_error *err)
{
    const char *const words[] = {nvpmodel->command, "-q", NULL};
    struct ws_buf said;
    ws_buf_init(&said, WS_SYSFS_TEXT_MAX);
    int rc = ws_child_run(&said, words, nvpmodel->timeout_ms, err);
    if (rc == 0)
        rc = ws_buf_add(&said, "", 1, err);
    if (rc == 0)
        rc = find_mode(out, nvpmodel, (char *)said.data, err);
    ws_buf_fini(&said);
    return rc;
}

/* --- the knob --- */

/* A mode that cannot be told now cannot be given back: then nothing is kept, and set
 * refuses. */
static int nvpmodel_keep(struct ws_actuator *actuator, struct ws_lease *lease,
                         struct ws_error *err)
{
    struct nvpmodel *nvpmodel = (struct nvpmodel *)actuator;
    const char *words[4];
    char number[24];
    size_t mode = 0;
    nvpmodel->is_kept = 0;
    if (query(&mode, nvpmodel, NULL) != 0)
        return 0;
    words_for(words, number, nvpmodel, mode);
    int rc = ws_lease_keep_command(lease, words, err);
    nvpmodel->is_kept = rc == 0;
    return rc;
}

static int nvpmodel_set(struct ws_actuator *actuator, struct ws_device *device,
                        size_t value, struct ws_error *err)
{
    struct nvpmodel *nvpmodel = (struct nvpmodel *)actuator;
    const char *words[4];
    char number[24];
    size_t now = 0;
    int rc = query(&now, nvpmodel, err);
    if (!nvpmodel->is_kept) {
        actuator->is_kept = 0; /* so that the next setting tries again */
        return rc != 0 ? rc
                       : ws_error_set(err, WS_E_UNKNOWN,
                                      "the mode to give back could not be told");
    }
    if (rc == 0 && now == value)
        return 0;
    if (ws_lease_ended(device->lease))
        return ws_error_set(err, WS_E_BUSY, "%s: this process is ending",
                            nvpmodel->command);
    device->write_count++;
    words_for(words, number, nvpmodel, value);
    return ws_child_run(NULL, words, nvpmodel->timeout_ms, err);
}

static int nvpmodel_get(char *out, size_t size, const struct ws_actuator *actuator,
                        struct ws_device *device, struct ws_error *err)
{
    const struct nvpmodel *nvpmodel = (const struct nvpmodel *)actuator;
    size_t mode = 0;
    (void)device;
    int rc = query(&mode, nvpmodel, err);
    if (rc == 0)
        (void)snprintf(out, size, "%s", nvpmodel->names[mode]);
    return rc;
}

static const struct ws_actuator_ops nvpmodel_ops = {
    .keep = nvpmodel_keep,
    .set = nvpmodel_set,
    .get = nvpmodel_get,
    .destroy = nvpmodel_destroy,
};

/* --- discovery --- */

/* "< POWER_MODEL ID=0 NAME=MAXN >", taken apart in place; other lines are none. */
static int add_mode(struct nvpmodel *nvpmodel, char *line, struct ws_error *err)
{
    char *rest = NULL;
    const char *id = NULL;
    const char *name = NULL;
    const char *word = strtok_r(line, " \t<>", &rest);
    if (word == NULL || strcmp(word, "POWER_MODEL") != 0)
        return 0;
    while ((word = strtok_r(NULL, " \t\r<>", &rest)) != NULL) {
        if (strncmp(word, "ID=", 3) == 0)
            id = word + 3;
        else if (strncmp(word, "NAME=", 5) == 0)
            name = word + 5;
    }
    size_t at = nvpmodel->count;
    if (id == NULL || name == NULL || *name == '\0')
        return ws_error_set(err, WS_E_FORMAT,
                            "/%s: a mode without an ID or a NAME (the %zuth)", CONF,
                            at + 1);
    int rc = ws_parse_i64(&nvpmodel->ids[at], id, 0, INT64_MAX, "/" CONF ": ID", err);
    if (rc != 0)
        return rc;
    for (size_t m = 0; m < at; m++) {
        if (nvpmodel->ids[m] == nvpmodel->ids[at] ||
            strcmp(nvpmodel->names[m], name) == 0)
            return ws_error_set(err, WS_E_FORMAT, "/%s: mode %s %s is there twice", CONF,
                                id, name);
    }
    nvpmodel->names[nvpmodel->count++] = name;
    return 0;
}

static int read_conf(struct nvpmodel *nvpmodel, const struct ws_device *device,
                     struct ws_error *err)
{
    nvpmodel->conf = malloc(WS_MODE_CONF_MAX);
    if (nvpmodel->conf == NULL)
        return ws_error_nomem(err);
    int rc = ws_machine_read(nvpmodel->conf, WS_MODE_CONF_MAX, device->fs, CONF, err);
    if (rc != 0)
        return rc;
    size_t lines = 1;
    for (const char *at = nvpmodel->conf; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    nvpmodel->names = calloc(lines, sizeof(*nvpmodel->names));
    nvpmodel->ids = calloc(lines, sizeof(*nvpmodel->ids));
    if (nvpmodel->names == NULL || nvpmodel->ids == NULL)
        return ws_error_nomem(err);
    char *rest = NULL;
    for (char *line = strtok_r(nvpmodel->conf, "\n", &rest); rc == 0 && line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '<')
            rc = add_mode(nvpmodel, line, err);
    }
    if (rc == 0 && nvpmodel->count == 0)
        rc = ws_error_set(err, WS_E_FORMAT, "/%s: no POWER_MODEL in it", CONF);
    return rc;
}

int ws_knob_nvpmodel_discover(struct ws_device *device,
                              const struct ws_device_options *options,
                              struct ws_error *err)
{
    const char *command = options->nvpmodel;
    if (command == NULL && ws_sysfs_is_live(device->fs))
        command = "nvpmodel"; /* a tree's mode is not this machine's */
    if (command == NULL || !ws_machine_exists(device->fs, CONF))
        return 0;
    struct nvpmodel *nvpmodel = calloc(1, sizeof(*nvpmodel));
    if (nvpmodel == NULL)
        return ws_error_nomem(err);
    nvpmodel->base = (struct ws_actuator){.ops = &nvpmodel_ops, .rank = WS_RANK_MODE};
    nvpmodel->base.needs_root = options->nvpmodel == NULL;
    nvpmodel->timeout_ms =
        options->nvpmodel_timeout_ms > 0 ? options->nvpmodel_timeout_ms : COMMAND_MS;
    nvpmodel->command = strdup(command);
    int rc = nvpmodel->command == NULL ? ws_error_nomem(err)
                                       : read_conf(nvpmodel, device, err);
    const char *const ask[] = {nvpmodel->command, "-q", NULL};
    /* Without the command there is no knob; whatever else it says may change. */
    if (rc != 0 ||
        ws_child_run(NULL, ask, nvpmodel->timeout_ms, NULL) == WS_E_NOT_FOUND) {
        nvpmodel_destroy(&nvpmodel->base);
        return rc;
    }
    return ws_device_add(device, &nvpmodel->base, "edge.nvpmodel", WS_KIND_NOMINAL,
                         nvpmodel->names, nvpmodel->count, err);
}
