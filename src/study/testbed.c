#include "study/testbed.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"

enum { BASELINES_MAX = 256 };

static const char *const members[] = {
    "name",      "source", "energy_boundary", "truth",     "table",
    "model",     "knobs",  "constraints",     "baselines", "objectives",
    "switch_ms", "link",   "edge_idle_w",     "stages",    NULL,
};

/* A copy of an optional string member; *out stays NULL without one. */
static int copy_string(char **out, const struct ws_json *object, const char *key,
                       struct ws_error *err)
{
    struct ws_json node;
    const char *text = NULL;
    if (!ws_json_find(&node, object, key))
        return 0;
    int rc = ws_json_string(&text, &node, err);
    if (rc != 0)
        return rc;
    *out = strdup(text);
    return *out == NULL ? ws_error_nomem(err) : 0;
}

/* The same for a path relative to `dir`. */
static int copy_path(char **out, const struct ws_json *object, const char *key,
                     const char *dir, struct ws_error *err)
{
    char *path = NULL;
    int rc = copy_string(&path, object, key, err);
    if (rc != 0 || path == NULL)
        return rc;
    if (path[0] == '/' || dir[0] == '\0') {
        *out = path;
        return 0;
    }
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    rc = ws_buf_printf(&buf, err, "%s/%s", dir, path);
    if (rc == 0)
        *out = ws_buf_take(&buf);
    ws_buf_fini(&buf);
    free(path);
    return rc;
}

int ws_testbed_read_objectives(enum ws_measure *out, size_t *out_count,
                               const struct ws_json *root, struct ws_error *err)
{
    struct ws_json list;
    int rc = ws_json_member(&list, root, "objectives", err);
    if (rc == 0)
        rc = ws_json_array(&list, err);
    if (rc != 0)
        return rc;
    size_t count = ws_json_count(&list);
    if (count < 1 || count > WS_OBJECTIVES_MAX)
        return ws_json_fail(&list, WS_E_LIMIT, err,
                            "expected 1 to %d objectives, got %zu", WS_OBJECTIVES_MAX,
                            count);
    for (size_t i = 0; i < count; i++) {
        struct ws_json item = ws_json_at(&list, i);
        const char *name = NULL;
        rc = ws_json_string(&name, &item, err);
        if (rc != 0)
            return rc;
        if (ws_measure_find(&out[i], name, NULL) != 0)
            return ws_json_fail(&item, WS_E_NOT_FOUND, err,
                                "\"%s\" is no measure (latency_ms, energy_j, accuracy, "
                                "..., as table columns are named)",
                                name);
        for (size_t k = 0; k < i; k++) {
            if (out[k] == out[i])
                return ws_json_fail(&item, WS_E_FORMAT, err, "\"%s\" is there twice",
                                    name);
        }
    }
    *out_count = count;
    return 0;
}

static int read_baselines(struct ws_testbed *out, const struct ws_json *root,
                          struct ws_error *err)
{
    struct ws_json all;
    if (!ws_json_find(&all, root, "baselines"))
        return 0;
    int rc = ws_json_object(&all, err);
    if (rc != 0)
        return rc;
    size_t count = ws_json_count(&all);
    if (count > BASELINES_MAX)
        return ws_json_fail(&all, WS_E_LIMIT, err, "more than %d baselines",
                            BASELINES_MAX);
    out->baselines = calloc(count + 1, sizeof(*out->baselines));
    if (out->baselines == NULL)
        return ws_error_nomem(err);
    struct ws_json member = {0};
    while (ws_json_next(&member, &all)) {
        struct ws_baseline *baseline = &out->baselines[out->baseline_count];
        rc = ws_setting_from_json(&baseline->setting, &out->space, &member, err);
        if (rc != 0)
            return rc;
        if (!ws_space_allows(&out->space, &baseline->setting))
            return ws_json_fail(&member, WS_E_INFEASIBLE, err,
                                "the testbed's constraints forbid this setting");
        baseline->name = strdup(member.key);
        if (baseline->name == NULL)
            return ws_error_nomem(err);
        out->baseline_count++;
    }
    return 0;
}

static int read_switch_ms(struct ws_testbed *out, const struct ws_json *root,
                          struct ws_error *err)
{
    const double ms_max = 1e9;
    struct ws_json node;
    struct ws_json member = {0};
    double all = 0;
    int rc = 0;
    if (!ws_json_find(&node, root, "switch_ms"))
        return 0;
    if (json_is_number(node.value))
        rc = ws_json_double(&all, &node, 0, ms_max, err);
    else if (json_is_object(node.value) && ws_json_find(&member, &node, "default"))
        rc = ws_json_double(&all, &member, 0, ms_max, err);
    else
        rc = ws_json_object(&node, err);
    for (size_t k = 0; k < out->space.knob_count; k++)
        out->switch_ms[k] = all;
    member = (struct ws_json){0};
    while (rc == 0 && json_is_object(node.value) && ws_json_next(&member, &node)) {
        size_t knob = 0;
        if (strcmp(member.key, "default") == 0)
            continue;
        if (ws_space_find(&knob, &out->space, member.key, NULL) != 0)
            return ws_json_fail(&member, WS_E_NOT_FOUND, err, "there is no knob \"%s\"",
                                member.key);
        rc = ws_json_double(&out->switch_ms[knob], &member, 0, ms_max, err);
    }
    return rc;
}

static int read_link(struct ws_testbed *out, const struct ws_json *root,
                     struct ws_error *err)
{
    static const char *const keys[] = {"mbit_s", "delay_ms", NULL};
    struct ws_json node;
    struct ws_json member;
    double value = 0;
    if (!ws_json_find(&node, root, "link"))
        return 0;
    int rc = ws_json_only(&node, keys, err);
    if (rc == 0)
        rc = ws_json_get_double(&value, &node, "mbit_s", 1e-6, 1e9, err);
    if (rc != 0)
        return rc;
    ws_conditions_set(&out->link, WS_LINK_MBIT_S, value);
    if (ws_json_find(&member, &node, "delay_ms")) {
        rc = ws_json_double(&value, &member, 0, 1e9, err);
        if (rc == 0)
            ws_conditions_set(&out->link, WS_LINK_DELAY_MS, value);
    }
    return rc;
}

static int read_truth(struct ws_testbed *out, const struct ws_json *root,
                      struct ws_error *err)
{
    struct ws_json node;
    const char *word = NULL;
    out->truth = WS_RECORDED;
    if (!ws_json_find(&node, root, "truth"))
        return 0;
    int rc = ws_json_string(&word, &node, err);
    if (rc != 0)
        return rc;
    if (strcmp(word, ws_truth_name(WS_MODELLED)) == 0)
        out->truth = WS_MODELLED;
    else if (strcmp(word, ws_truth_name(WS_RECORDED)) != 0)
        return ws_json_fail(&node, WS_E_FORMAT, err,
                            "\"%s\" is neither \"recorded\" nor \"modelled\"", word);
    return 0;
}

static void warn_of_strangers(const struct ws_json *root)
{
    struct ws_json member = {0};
    while (ws_json_next(&member, root)) {
        size_t k = 0;
        while (members[k] != NULL && strcmp(members[k], member.key) != 0)
            k++;
        if (members[k] == NULL)
            ws_log(WS_LOG_WARNING, "%s: \"%s\" means nothing here and is passed over",
                   root->doc->name, member.key);
    }
}

static int read_testbed(struct ws_testbed *out, const struct ws_json *root,
                        const char *dir, struct ws_error *err)
{
    struct ws_json knobs;
    struct ws_json constraints;
    struct ws_json node;
    const char *name = NULL;
    int rc = ws_json_get_string(&name, root, "name", err);
    if (rc == 0 && (name[0] == '\0' || strlen(name) > WS_NAME_MAX))
        rc = ws_json_fail(root, WS_E_LIMIT, err, "a name has 1 to %d bytes", WS_NAME_MAX);
    if (rc == 0)
        rc = copy_string(&out->name, root, "name", err);
    if (rc == 0)
        rc = copy_string(&out->source, root, "source", err);
    if (rc == 0)
        rc = copy_string(&out->energy_boundary, root, "energy_boundary", err);
    if (rc == 0)
        rc = copy_path(&out->table_path, root, "table", dir, err);
    if (rc == 0)
        rc = copy_path(&out->model_path, root, "model", dir, err);
    if (rc == 0)
        rc = read_truth(out, root, err);
    if (rc == 0)
        rc = ws_json_member(&knobs, root, "knobs", err);
    if (rc == 0)
        rc = ws_space_from_json(
            &out->space, &knobs,
            ws_json_find(&constraints, root, "constraints") ? &constraints : NULL, err);
    if (rc == 0)
        rc =
            ws_testbed_read_objectives(out->objectives, &out->objective_count, root, err);
    if (rc == 0)
        rc = read_baselines(out, root, err);
    if (rc == 0)
        rc = read_switch_ms(out, root, err);
    if (rc == 0)
        rc = read_link(out, root, err);
    if (rc == 0 && ws_json_find(&node, root, "edge_idle_w"))
        rc = ws_json_double(&out->edge_idle_w, &node, 0, 1e6, err);
    if (rc == 0 && ws_json_find(&node, root, "stages"))
        rc = ws_stage_list_from_json(&out->stages, &out->space, &node, err);
    if (rc == 0)
        warn_of_strangers(root);
    return rc;
}

int ws_testbed_parse(struct ws_testbed *out, const void *bytes, size_t size,
                     const char *name, const char *dir, struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_parse(&doc, bytes, size, name, err);
    if (rc != 0)
        return rc;
    struct ws_testbed testbed = {0};
    struct ws_json root = ws_json_root(&doc);
    rc = read_testbed(&testbed, &root, dir, err);
    ws_json_doc_fini(&doc);
    if (rc != 0) {
        ws_testbed_fini(&testbed);
        return rc;
    }
    *out = testbed;
    return 0;
}

int ws_testbed_load(struct ws_testbed *out, const char *path, struct ws_error *err)
{
    struct ws_buf buf;
    ws_buf_init(&buf, WS_TEXT_FILE_MAX);
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL ? strdup("") : strndup(path, (size_t)(slash - path) + 1);
    int rc = dir == NULL ? ws_error_nomem(err) : ws_file_read(&buf, path, err);
    if (rc != 0)
        goto out;
    /* "/t.json" keeps its slash, "d/t.json" loses it. */
    if (strlen(dir) > 1)
        dir[strlen(dir) - 1] = '\0';
    rc = ws_testbed_parse(out, buf.data, buf.size, path, dir, err);
out:
    ws_buf_fini(&buf);
    free(dir);
    return rc;
}

void ws_testbed_fini(struct ws_testbed *testbed)
{
    for (size_t i = 0; i < testbed->baseline_count; i++)
        free(testbed->baselines[i].name);
    free(testbed->baselines);
    free(testbed->name);
    free(testbed->source);
    free(testbed->energy_boundary);
    free(testbed->table_path);
    free(testbed->model_path);
    ws_stage_list_fini(&testbed->stages);
    ws_space_fini(&testbed->space);
    *testbed = (struct ws_testbed){0};
}

const struct ws_baseline *ws_testbed_baseline(const struct ws_testbed *testbed,
                                              const char *name)
{
    for (size_t i = 0; i < testbed->baseline_count; i++) {
        if (strcmp(testbed->baselines[i].name, name) == 0)
            return &testbed->baselines[i];
    }
    return NULL;
}

const struct ws_stage_list *ws_testbed_stages(const struct ws_testbed *testbed)
{
    return testbed->stages.count > 0 ? &testbed->stages : NULL;
}
