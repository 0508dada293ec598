#include "node/control.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "core/space.h"

enum { HOLD_MS = 60000 };

struct ws_control {
    struct ws_control_options options;
    const struct ws_space *space; /* the machine's own, as edge.x */
    pthread_mutex_t lock;         /* over: */
    struct ws_setting now;
    char owner[64]; /* "": nobody */
    int64_t until_ns;
};

/* Where a machine has nothing to set. */
static const struct ws_space no_knobs = {0};

int ws_control_create(struct ws_control **out, const struct ws_control_options *options,
                      struct ws_error *err)
{
    struct ws_control *control = calloc(1, sizeof(*control));
    if (control == NULL)
        return ws_error_nomem(err);
    control->options = *options;
    if (control->options.hold_ms <= 0)
        control->options.hold_ms = HOLD_MS;
    const struct ws_board *board =
        options->account != NULL ? ws_account_board(options->account) : NULL;
    control->space = board != NULL             ? ws_board_space(board)
                     : options->device != NULL ? ws_device_space(options->device)
                                               : &no_knobs;
    control->now = options->preset;
    pthread_mutex_init(&control->lock, NULL);
    *out = control;
    return 0;
}

void ws_control_destroy(struct ws_control *control)
{
    if (control == NULL)
        return;
    pthread_mutex_destroy(&control->lock);
    free(control);
}

static const struct ws_board *board_of(const struct ws_control *control)
{
    return control->options.account != NULL ? ws_account_board(control->options.account)
                                            : NULL;
}

/* "cloud.x" of "edge.x". */
static void cloud_name(char *out, size_t size, const char *name)
{
    const char *dot = strchr(name, '.');
    (void)snprintf(out, size, "cloud%s", dot != NULL ? dot : ".");
}

static json_t *knob_json(const struct ws_control *control, size_t k)
{
    const struct ws_knob *knob = &control->space->knobs[k];
    json_t *values = json_array();
    char now[64] = "";
    for (size_t v = 0; v < knob->value_count; v++)
        (void)json_array_append_new(values, ws_value_to_json(&knob->values[v]));
    if (board_of(control) != NULL)
        (void)snprintf(now, sizeof(now), "%s", knob->values[control->now.value[k]].text);
    else
        (void)ws_device_current(now, sizeof(now), control->options.device, k, NULL);
    return json_pack("{s:s, s:s, s:o, s:s}", "part", ws_part_name(WS_PART_CLOUD), "kind",
                     ws_kind_name(knob->kind), "values", values, "now", now);
}

int ws_control_describe(struct ws_buf *out, struct ws_control *control,
                        struct ws_error *err)
{
    const struct ws_board *board = board_of(control);
    json_t *knobs = json_object();
    pthread_mutex_lock(&control->lock);
    for (size_t k = 0; k < control->space->knob_count; k++) {
        char name[WS_NAME_MAX];
        cloud_name(name, sizeof(name), control->space->knobs[k].name);
        (void)json_object_set_new(knobs, name, knob_json(control, k));
    }
    pthread_mutex_unlock(&control->lock);
    const char *energy = board != NULL                      ? ws_truth_name(WS_MODELLED)
                         : control->options.account != NULL ? ws_truth_name(WS_MEASURED)
                                                            : "unknown";
    json_t *root = json_pack("{s:s, s:b, s:s, s:b, s:o}", "machine",
                             board != NULL ? ws_board_name(board) : "this machine",
                             "emulated", board != NULL, "energy", energy, "may_set",
                             control->options.may_set, "knobs", knobs);
    char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    int rc = text == NULL ? ws_error_nomem(err) : ws_buf_add_text(out, text, err);
    free(text);
    json_decref(root);
    return rc;
}

/* The knobs that a request names, over those of `setting`. */
static int read_knobs(struct ws_setting *setting, const struct ws_control *control,
                      const struct ws_json *knobs, struct ws_error *err)
{
    struct ws_json member = {0};
    int rc = ws_json_object(knobs, err);
    while (rc == 0 && ws_json_next(&member, knobs)) {
        char name[WS_NAME_MAX];
        size_t knob = 0, value = 0;
        const char *dot = strchr(member.key, '.');
        (void)snprintf(name, sizeof(name), "edge%s", dot != NULL ? dot : ".");
        if (strncmp(member.key, "cloud.", 6) != 0 ||
            ws_space_find(&knob, control->space, name, NULL) != 0)
            return ws_error_set(err, WS_E_NOT_FOUND, "this node has no knob \"%.100s\"",
                                member.key);
        rc = ws_knob_find_json(&value, &control->space->knobs[knob], &member, err);
        if (rc == 0)
            setting->value[knob] = (uint16_t)value;
    }
    return rc;
}

/* The caller locks. */
static int take_hold(struct ws_control *control, const char *owner, struct ws_error *err)
{
    int64_t now = ws_clock_now_ns();
    if (control->owner[0] != '\0' && strcmp(control->owner, owner) != 0 &&
        now < control->until_ns)
        return ws_error_set(err, WS_E_BUSY,
                            "\"%s\" sets this machine's knobs, for %.0f s at least",
                            control->owner, (double)(control->until_ns - now) / 1e9);
    (void)snprintf(control->owner, sizeof(control->owner), "%s", owner);
    control->until_ns = now + control->options.hold_ms * 1000000;
    return 0;
}

/* Sets a real machine's knobs and says what did not go as wanted. The caller locks. */
static int set_device(struct ws_control *control, const struct ws_setting *setting,
                      double *out_ms, int *out_exact, char *reason, size_t size,
                      struct ws_error *err)
{
    struct ws_device_report report;
    int rc =
        ws_device_apply(control->options.device, &report, control->space, setting, err);
    if (rc != 0)
        return rc;
    *out_ms = (double)report.time_ns / 1e6;
    for (size_t k = 0; k < control->space->knob_count; k++) {
        const struct ws_applied_knob *knob = &report.knobs[k];
        if (knob->applied != WS_APPLIED_CLAMPED && knob->applied != WS_APPLIED_REFUSED)
            continue;
        *out_exact = 0;
        (void)snprintf(reason, size, "%s is %s: %.60s%.100s",
                       control->space->knobs[k].name, ws_applied_name(knob->applied),
                       knob->achieved, knob->reason);
    }
    return 0;
}

static int set(struct ws_buf *out, struct ws_control *control, const char *owner,
               const struct ws_json *knobs, struct ws_error *err)
{
    char reason[256] = "";
    double switch_ms = 0;
    int is_exact = 1;
    struct ws_setting setting = control->now;
    const struct ws_board *board = board_of(control);
    int rc = read_knobs(&setting, control, knobs, err);
    if (rc == 0)
        rc = take_hold(control, owner, err);
    if (rc == 0 && board != NULL) {
        switch_ms = ws_board_switch_ms(board, &control->now, &setting);
        ws_account_set(control->options.account, &setting);
    } else if (rc == 0 && control->options.device != NULL) {
        rc = set_device(control, &setting, &switch_ms, &is_exact, reason, sizeof(reason),
                        err);
    }
    if (rc != 0)
        return rc;
    control->now = setting;
    json_t *root = json_pack("{s:b, s:f, s:s}", "exact", is_exact, "switch_ms", switch_ms,
                             "reason", reason);
    char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    rc = text == NULL ? ws_error_nomem(err) : ws_buf_add_text(out, text, err);
    free(text);
    json_decref(root);
    return rc;
}

int ws_control_set(struct ws_buf *out, struct ws_control *control, const void *body,
                   size_t size, struct ws_error *err)
{
    static const char *const keys[] = {"owner", "knobs", NULL};
    struct ws_json_doc doc;
    struct ws_json knobs;
    const char *owner = NULL;
    if (!control->options.may_set)
        return ws_error_set(err, WS_E_DENIED,
                            "this node lets nobody set its knobs (--allow-control)");
    int rc = ws_json_parse(&doc, body, size, "control", err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_json_only(&root, keys, err);
    if (rc == 0)
        rc = ws_json_get_string(&owner, &root, "owner", err);
    if (rc == 0 && (owner[0] == '\0' || strlen(owner) >= sizeof(control->owner)))
        rc = ws_json_fail(&root, WS_E_LIMIT, err, "an owner has 1 to %zu bytes",
                          sizeof(control->owner) - 1);
    if (rc == 0)
        rc = ws_json_member(&knobs, &root, "knobs", err);
    if (rc == 0) {
        pthread_mutex_lock(&control->lock);
        rc = set(out, control, owner, &knobs, err);
        pthread_mutex_unlock(&control->lock);
    }
    ws_json_doc_fini(&doc);
    return rc;
}
