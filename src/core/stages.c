#include "core/stages.h"

#include <stdlib.h>
#include <string.h>

static int read_knobs(struct ws_stage *out, const struct ws_space *space,
                      const struct ws_json *node, struct ws_error *err)
{
    struct ws_json knobs;
    int rc = ws_json_member(&knobs, node, "knobs", err);
    if (rc == 0)
        rc = ws_json_array(&knobs, err);
    for (size_t i = 0; rc == 0 && i < ws_json_count(&knobs); i++) {
        struct ws_json item = ws_json_at(&knobs, i);
        const char *text = NULL;
        size_t knob = 0;
        rc = ws_json_string(&text, &item, err);
        if (rc == 0 && ws_space_find(&knob, space, text, NULL) != 0)
            rc =
                ws_json_fail(&item, WS_E_NOT_FOUND, err, "there is no knob \"%s\"", text);
        out->knobs |= 1u << knob;
    }
    return rc;
}

static int read_stage(struct ws_stage *out, const struct ws_space *space,
                      const struct ws_json *node, struct ws_error *err)
{
    struct ws_json member;
    const char *text = NULL;
    int rc = ws_json_get_string(&text, node, "machine", err);
    if (rc != 0)
        return rc;
    out->machine = strdup(text);
    if (out->machine == NULL)
        return ws_error_nomem(err);
    if (ws_json_find(&member, node, "segment")) {
        rc = ws_json_string(&text, &member, err);
        if (rc != 0)
            return rc;
        out->segment = strdup(text);
        if (out->segment == NULL)
            return ws_error_nomem(err);
    }
    if (ws_json_find(&member, node, "beside"))
        rc = ws_json_bool(&out->is_beside, &member, err);
    return rc == 0 ? read_knobs(out, space, node, err) : rc;
}

int ws_stage_list_from_json(struct ws_stage_list *out, const struct ws_space *space,
                            const struct ws_json *array, struct ws_error *err)
{
    struct ws_stage_list list = {0};
    int rc = ws_json_array(array, err);
    size_t count = rc == 0 ? ws_json_count(array) : 0;
    if (rc == 0 && (count < 1 || count > WS_STAGES_MAX))
        rc = ws_json_fail(array, WS_E_LIMIT, err, "expected 1 to %d stages, got %zu",
                          WS_STAGES_MAX, count);
    while (rc == 0 && list.count < count) {
        struct ws_json stage = ws_json_at(array, list.count);
        rc = read_stage(&list.stages[list.count++], space, &stage, err);
        if (rc == 0 && list.stages[0].is_beside)
            rc = ws_json_fail(&stage, WS_E_FORMAT, err,
                              "the first stage has none before it to run beside");
    }
    if (rc != 0)
        ws_stage_list_fini(&list);
    else
        *out = list;
    return rc;
}

json_t *ws_stage_list_to_json(const struct ws_stage_list *list,
                              const struct ws_space *space)
{
    json_t *array = json_array();
    for (size_t s = 0; s < list->count; s++) {
        const struct ws_stage *stage = &list->stages[s];
        json_t *knobs = json_array();
        for (size_t k = 0; k < space->knob_count; k++) {
            if ((stage->knobs >> k & 1u) != 0)
                (void)json_array_append_new(knobs, json_string(space->knobs[k].name));
        }
        json_t *object = json_pack("{s:s, s:s?, s:o}", "machine", stage->machine,
                                   "segment", stage->segment, "knobs", knobs);
        if (stage->is_beside)
            (void)json_object_set_new(object, "beside", json_true());
        (void)json_array_append_new(array, object);
    }
    return array;
}
