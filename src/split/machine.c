#include "split/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "core/space.h"
#include "wire/oip_meta.h"

static const char path[] = "/v2/control", set_path[] = "/v2/control/set";

struct ws_machine {
    struct ws_http_client *client;
    char *name;
    int knows_energy;
    enum ws_truth truth;
    struct ws_space space;
};

/* The knobs without "now", which a space does not know. */
static int read_knobs(struct ws_machine *machine, const struct ws_json *root,
                      struct ws_error *err)
{
    struct ws_json knobs, member = {0}, allowed;
    int may_set = 0;
    int rc = ws_json_member(&allowed, root, "may_set", err);
    if (rc == 0)
        rc = ws_json_bool(&may_set, &allowed, err);
    if (rc == 0)
        rc = ws_json_member(&knobs, root, "knobs", err);
    if (rc == 0)
        rc = ws_json_object(&knobs, err);
    if (rc != 0 || !may_set || ws_json_count(&knobs) == 0)
        return rc;
    while (ws_json_next(&member, &knobs)) {
        (void)json_object_del(member.value, "now");
        if (strncmp(member.key, "cloud.", 6) != 0)
            return ws_json_fail(&member, WS_E_FORMAT, err, "a node's knobs are cloud.x");
    }
    return ws_space_from_json(&machine->space, &knobs, NULL, err);
}

static int read_description(struct ws_machine *machine,
                            const struct ws_http_answer *answer, struct ws_error *err)
{
    struct ws_json_doc doc;
    char *energy = NULL;
    int rc = ws_json_parse(&doc, answer->body, answer->body_size, path, err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_json_get_text(&machine->name, &root, "machine", err);
    if (rc == 0)
        rc = ws_json_get_text(&energy, &root, "energy", err);
    if (rc == 0) {
        machine->knows_energy = strcmp(energy, "unknown") != 0;
        machine->truth =
            strcmp(energy, ws_truth_name(WS_MEASURED)) == 0 ? WS_MEASURED : WS_MODELLED;
        rc = read_knobs(machine, &root, err);
    }
    free(energy);
    ws_json_doc_fini(&doc);
    return rc;
}

static int refused(const struct ws_http_answer *answer, struct ws_error *err)
{
    char text[WS_ERROR_TEXT_MAX];
    ws_oip_error_parse(text, sizeof(text), answer->body, answer->body_size);
    return ws_error_set(err, answer->status == 404 ? WS_E_UNSUPPORTED : WS_E_REMOTE,
                        "%s: the server answered %d: %s", path, answer->status, text);
}

int ws_machine_open(struct ws_machine **out, const char *url,
                    const struct ws_http_client_options *options, struct ws_error *err)
{
    const struct ws_http_call call = {.method = "GET", .path = path};
    struct ws_http_answer answer;
    struct ws_machine *machine = calloc(1, sizeof(*machine));
    if (machine == NULL)
        return ws_error_nomem(err);
    int rc = ws_http_client_create(&machine->client, url, options, err);
    if (rc == 0)
        rc = ws_http_client_call(&answer, machine->client, &call, err);
    if (rc == 0)
        rc = answer.status == 200 ? read_description(machine, &answer, err)
                                  : refused(&answer, err);
    if (rc != 0)
        ws_machine_close(machine);
    else
        *out = machine;
    return rc;
}

void ws_machine_close(struct ws_machine *machine)
{
    if (machine == NULL)
        return;
    ws_http_client_destroy(machine->client);
    ws_space_fini(&machine->space);
    free(machine->name);
    free(machine);
}

const char *ws_machine_name(const struct ws_machine *machine)
{
    return machine->name;
}

int ws_machine_energy(enum ws_truth *out, const struct ws_machine *machine)
{
    *out = machine->truth;
    return machine->knows_energy;
}

const struct ws_space *ws_machine_space(const struct ws_machine *machine)
{
    return &machine->space;
}

static int read_result(double *out_switch_ms, int *out_exact, char *reason, size_t size,
                       const struct ws_http_answer *answer, struct ws_error *err)
{
    struct ws_json_doc doc;
    struct ws_json exact;
    const char *text = NULL;
    int rc = ws_json_parse(&doc, answer->body, answer->body_size, path, err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_json_get_double(out_switch_ms, &root, "switch_ms", 0, 1e9, err);
    if (rc == 0)
        rc = ws_json_member(&exact, &root, "exact", err);
    if (rc == 0)
        rc = ws_json_bool(out_exact, &exact, err);
    if (rc == 0)
        rc = ws_json_get_string(&text, &root, "reason", err);
    if (rc == 0)
        (void)snprintf(reason, size, "%s", text);
    ws_json_doc_fini(&doc);
    return rc;
}

int ws_machine_set(double *out_switch_ms, int *out_exact, char *reason, size_t size,
                   struct ws_machine *machine, const struct ws_space *space,
                   const struct ws_setting *setting, const char *owner,
                   struct ws_error *err)
{
    struct ws_http_answer answer;
    json_t *knobs = json_object();
    for (size_t k = 0; k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        if (strncmp(knob->name, "cloud.", 6) == 0)
            (void)json_object_set_new(knobs, knob->name,
                                      ws_value_to_json(&knob->values[setting->value[k]]));
    }
    json_t *root = json_pack("{s:s, s:o}", "owner", owner, "knobs", knobs);
    char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (text == NULL)
        return ws_error_nomem(err);
    const struct ws_oip_part part = {text, strlen(text)};
    const struct ws_http_call call = {.method = "POST",
                                      .path = set_path,
                                      .parts = &part,
                                      .part_count = 1,
                                      .headers = {"Content-Type: application/json"}};
    int rc = ws_http_client_call(&answer, machine->client, &call, err);
    free(text);
    if (rc == 0)
        rc = answer.status == 200
                 ? read_result(out_switch_ms, out_exact, reason, size, &answer, err)
                 : refused(&answer, err);
    return rc;
}
