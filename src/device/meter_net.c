/* Meters on the network: plugs and bench instruments. Who carries the questions is
 * injected. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/parse.h"
#include "device/meter.h"

enum { ANSWER_MAX = 65536 };

struct remote {
    struct ws_meter base;
    enum ws_plug plug;
    ws_meter_ask ask;
    void *user;
};

static void remote_destroy(struct ws_meter *meter)
{
    free(meter);
}

/* A question and its answer, never without memory behind it. */
static int ask(struct remote *remote, struct ws_buf *answer, const char *question,
               struct ws_error *err)
{
    int rc = remote->ask(remote->user, answer, question, err);
    if (rc == 0)
        rc = ws_buf_reserve(answer, 1, err);
    if (rc != 0)
        ws_error_context(err, "%s", remote->base.info.name);
    return rc;
}

static struct remote *make(const struct ws_meter_ops *ops, const char *name,
                           const char *source, ws_meter_ask ask_fn, void *user)
{
    struct remote *remote = calloc(1, sizeof(*remote));
    if (remote == NULL)
        return NULL;
    remote->ask = ask_fn;
    remote->user = user;
    remote->base.ops = ops;
    remote->base.info = (struct ws_meter_info){
        .counts = "everything on this plug, its power supply included",
        .boundary = WS_BOUNDARY_WALL,
        .truth = WS_MEASURED,
    };
    (void)snprintf(remote->base.info.name, sizeof(remote->base.info.name), "%s", name);
    (void)snprintf(remote->base.info.source, sizeof(remote->base.info.source), "%s",
                   source);
    return remote;
}

/* --- plugs --- */

/* Follows the NULL-terminated keys down; WS_E_FORMAT names where it ends. */
static int number_at(double *out, const struct ws_json *root, const char *const *keys,
                     struct ws_error *err)
{
    struct ws_json steps[4] = {*root};
    size_t depth = 0;
    for (; keys[depth] != NULL; depth++) {
        int rc = ws_json_member(&steps[depth + 1], &steps[depth], keys[depth], err);
        if (rc != 0)
            return rc;
    }
    return ws_json_double(out, &steps[depth], 0, 1e9, err);
}

static int plug_read(struct ws_meter *meter, struct ws_meter_reading *out,
                     struct ws_error *err)
{
    static const char *const paths[] = {"/rpc/Switch.GetStatus?id=0",
                                        "/cm?cmnd=Status%2010"};
    static const char *const shelly[] = {"apower", NULL};
    static const char *const tasmota[] = {"StatusSNS", "ENERGY", "Power", NULL};
    struct remote *remote = (struct remote *)meter;
    struct ws_json_doc doc = {0};
    struct ws_buf answer;
    ws_buf_init(&answer, ANSWER_MAX);
    int rc = ask(remote, &answer, paths[remote->plug], err);
    out->time_ns = ws_clock_now_ns();
    if (rc == 0)
        rc = ws_json_parse(&doc, answer.data, answer.size, meter->info.name, err);
    if (rc == 0) {
        struct ws_json root = ws_json_root(&doc);
        rc = number_at(&out->value, &root,
                       remote->plug == WS_PLUG_SHELLY ? shelly : tasmota, err);
    }
    ws_json_doc_fini(&doc);
    ws_buf_fini(&answer);
    return rc;
}

int ws_meter_plug_create(struct ws_meter **out, enum ws_plug plug, const char *name,
                         ws_meter_ask ask_fn, void *user, struct ws_error *err)
{
    static const struct ws_meter_ops ops = {plug_read, remote_destroy};
    struct remote *remote =
        make(&ops, name,
             plug == WS_PLUG_SHELLY ? "Shelly plug, apower" : "Tasmota plug, Power",
             ask_fn, user);
    if (remote == NULL)
        return ws_error_nomem(err);
    remote->plug = plug;
    remote->base.info.interval_s = 1;
    remote->base.info.resolution = plug == WS_PLUG_SHELLY ? 0.1 : 1;
    *out = &remote->base;
    return 0;
}

/* --- SCPI --- */

static int scpi_read(struct ws_meter *meter, struct ws_meter_reading *out,
                     struct ws_error *err)
{
    struct remote *remote = (struct remote *)meter;
    struct ws_buf answer;
    ws_buf_init(&answer, ANSWER_MAX);
    int rc = ask(remote, &answer, ":NUM:NORM:VAL?", err);
    out->time_ns = ws_clock_now_ns();
    /* Its word for "nothing to measure now"; all else that is no number is nonsense. */
    if (rc == 0 && strcasecmp(answer.data, "nan") == 0)
        rc = ws_error_set(err, WS_E_UNKNOWN, "%s: no value now", meter->info.name);
    if (rc == 0)
        rc = ws_parse_double(&out->value, answer.data, meter->info.name, err);
    ws_buf_fini(&answer);
    return rc;
}

int ws_meter_scpi_create(struct ws_meter **out, const char *name, ws_meter_ask ask_fn,
                         void *user, struct ws_error *err)
{
    static const struct ws_meter_ops ops = {scpi_read, remote_destroy};
    struct remote *remote = make(&ops, name, "SCPI, active power", ask_fn, user);
    struct ws_buf answer;
    if (remote == NULL)
        return ws_error_nomem(err);
    ws_buf_init(&answer, ANSWER_MAX);
    int rc = ask(remote, &answer, "*IDN?", err);
    if (rc == 0 && answer.size == 0)
        rc = ws_error_set(err, WS_E_FORMAT, "%s: it does not say who it is", name);
    if (rc == 0)
        (void)snprintf(remote->base.info.source, sizeof(remote->base.info.source),
                       "SCPI, %.80s", answer.data);
    ws_buf_clear(&answer);
    if (rc == 0) /* the first item it tells is to be active power */
        rc = ask(remote, &answer, ":NUMeric:NORMal:ITEM1 P", err);
    ws_buf_fini(&answer);
    remote->base.info.interval_s = 0.1;
    remote->base.info.resolution = 0.001;
    if (rc == 0)
        *out = &remote->base;
    else
        free(remote);
    return rc;
}
