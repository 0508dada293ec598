#include "study/planfile.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/names.h"
#include "base/parse.h"
#include "core/stages.h"
#include "study/testbed.h"

static const char format_name[] = "wattshed-plan";
static const char knob_prefix[] = "knob.";

/* Columns that are neither knobs nor measures, after them in this order. */
enum extra { EXTRA_TRUTH, EXTRA_SAMPLES, EXTRA_FRONT, EXTRA_STAGES, EXTRA_COUNT };
static const char *const extra_names[] = {
    [EXTRA_TRUTH] = "truth",
    [EXTRA_SAMPLES] = "samples",
    [EXTRA_FRONT] = "on_front",
    [EXTRA_STAGES] = "stages",
};
_Static_assert(sizeof(extra_names) / sizeof(extra_names[0]) == EXTRA_COUNT,
               "every column has a name");

/* --- Saving --------------------------------------------------------------------------
 */

static json_t *conditions_to_json(const struct ws_conditions *conditions)
{
    json_t *object = json_object();
    for (int i = 0; i < WS_CONDITION_COUNT; i++) {
        double value = 0;
        if (ws_conditions_get(&value, conditions, (enum ws_condition)i) == 0)
            (void)json_object_set_new(object, ws_condition_name((enum ws_condition)i),
                                      json_real(value));
    }
    return object;
}

static json_t *stage_lists_to_json(const struct ws_plan *plan)
{
    json_t *lists = json_array();
    for (size_t i = 0; i < plan->stage_list_count; i++)
        (void)json_array_append_new(
            lists, ws_stage_list_to_json(&plan->stage_lists[i], &plan->space));
    return lists;
}

/* Measures that any entry knows. */
static uint32_t measures_of(const struct ws_plan *plan)
{
    uint32_t known = 0;
    for (size_t i = 0; i < plan->entry_count; i++)
        known |= plan->entries[i].outcome.known;
    return known;
}

static json_t *columns_to_json(const struct ws_plan *plan, uint32_t measures)
{
    json_t *columns = json_array();
    for (size_t k = 0; k < plan->space.knob_count; k++)
        (void)json_array_append_new(
            columns, json_sprintf("%s%s", knob_prefix, plan->space.knobs[k].name));
    for (int m = 0; m < WS_MEASURE_COUNT; m++) {
        if ((measures >> m & 1u) != 0)
            (void)json_array_append_new(columns,
                                        json_string(ws_measure_name((enum ws_measure)m)));
    }
    for (int i = 0; i < EXTRA_COUNT; i++)
        (void)json_array_append_new(columns, json_string(extra_names[i]));
    return columns;
}

/* Everything before the entries. */
static int head_to_json(json_t **out, const struct ws_plan *plan, uint32_t measures,
                        struct ws_error *err)
{
    json_t *knobs = NULL;
    json_t *constraints = NULL;
    int rc = ws_space_to_json(&knobs, &constraints, &plan->space, err);
    if (rc != 0)
        return rc;
    json_t *objectives = json_array();
    for (size_t i = 0; i < plan->objective_count; i++)
        (void)json_array_append_new(objectives,
                                    json_string(ws_measure_name(plan->objectives[i])));
    json_t *head =
        json_pack("{s:s, s:i, s:s, s:o, s:f, s:o, s:o, s:o, s:o, s:o}", "format",
                  format_name, "version", WS_PLAN_VERSION, "testbed", plan->testbed,
                  "conditions", conditions_to_json(&plan->conditions), "edge_idle_w",
                  plan->edge_idle_w, "objectives", objectives, "knobs", knobs,
                  "constraints", constraints, "stage_lists", stage_lists_to_json(plan),
                  "columns", columns_to_json(plan, measures));
    if (head == NULL)
        return ws_error_set(err, WS_E_FORMAT,
                            "the plan cannot be written (a name is not UTF-8?)");
    *out = head;
    return 0;
}

/* The shortest decimal that reads back as the same number. */
static int add_number(struct ws_buf *buf, double value, struct ws_error *err)
{
    char digits[40];
    for (int precision = 9; precision <= 17; precision += precision == 9 ? 6 : 1) {
        double back = 0;
        (void)snprintf(digits, sizeof(digits), "%.*g", precision, value);
        if (ws_parse_double(&back, digits, "value", NULL) == 0 && back == value)
            break;
    }
    return ws_buf_add_text(buf, digits, err);
}

static int add_value(struct ws_buf *buf, const struct ws_knob_value *value,
                     struct ws_error *err)
{
    json_t *json = ws_value_to_json(value);
    char *text =
        json == NULL
            ? NULL
            : json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
    int rc = text == NULL ? ws_error_nomem(err) : ws_buf_add_text(buf, text, err);
    free(text);
    json_decref(json);
    return rc;
}

static int add_entry(struct ws_buf *buf, const struct ws_plan *plan, size_t number,
                     uint32_t measures, struct ws_error *err)
{
    const struct ws_plan_entry *entry = &plan->entries[number];
    int rc = ws_buf_add_text(buf, number == 0 ? "\n  [" : ",\n  [", err);
    for (size_t k = 0; rc == 0 && k < plan->space.knob_count; k++) {
        rc = add_value(buf, &plan->space.knobs[k].values[entry->setting.value[k]], err);
        if (rc == 0)
            rc = ws_buf_add_text(buf, ", ", err);
    }
    for (int m = 0; rc == 0 && m < WS_MEASURE_COUNT; m++) {
        double value = 0;
        if ((measures >> m & 1u) == 0)
            continue;
        if (ws_outcome_get(&value, &entry->outcome, (enum ws_measure)m) == 0 &&
            isfinite(value))
            rc = add_number(buf, value, err);
        else
            rc = ws_buf_add_text(buf, "null", err);
        if (rc == 0)
            rc = ws_buf_add_text(buf, ", ", err);
    }
    if (rc == 0)
        rc = ws_buf_printf(buf, err, "\"%s\", %" PRIu32 ", %s, %" PRIu32 "]",
                           ws_truth_name(entry->outcome.truth), entry->sample_count,
                           entry->on_front ? "true" : "false", entry->stage_list);
    return rc;
}

int ws_plan_save(const struct ws_plan *plan, const char *path, struct ws_error *err)
{
    uint32_t measures = measures_of(plan);
    json_t *head = NULL;
    char *text = NULL;
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    int rc = head_to_json(&head, plan, measures, err);
    if (rc != 0)
        goto out;
    text = json_dumps(head, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
    if (text == NULL) {
        rc = ws_error_nomem(err);
        goto out;
    }
    /* The head's last brace makes room for the entries, one a line. */
    rc = ws_buf_add(&buf, text, strlen(text) - strlen("\n}"), err);
    if (rc == 0)
        rc = ws_buf_add_text(&buf, ",\n \"entries\": [", err);
    for (size_t i = 0; rc == 0 && i < plan->entry_count; i++)
        rc = add_entry(&buf, plan, i, measures, err);
    if (rc == 0)
        rc = ws_buf_add_text(&buf, "\n ]\n}\n", err);
    if (rc == 0)
        rc = strcmp(path, "-") == 0
                 ? ws_file_write_fd(STDOUT_FILENO, buf.data, buf.size, err)
                 : ws_file_write(path, buf.data, buf.size, err);
out:
    ws_buf_fini(&buf);
    free(text);
    json_decref(head);
    return rc;
}

/* --- Loading -------------------------------------------------------------------------
 */

/* What each position of an entry holds. */
struct columns {
    struct ws_names values[WS_KNOBS_MAX]; /* text of a value -> its index */
    size_t count;
    size_t knob[WS_KNOBS_MAX];
    size_t measure[WS_MEASURE_COUNT]; /* SIZE_MAX: none */
    size_t extra[EXTRA_COUNT];
};

static int read_conditions(struct ws_plan *out, const struct ws_json *root,
                           struct ws_error *err)
{
    struct ws_json object;
    struct ws_json member;
    if (!ws_json_find(&object, root, "conditions"))
        return 0;
    int rc = ws_json_object(&object, err);
    for (int i = 0; rc == 0 && i < WS_CONDITION_COUNT; i++) {
        double value = 0;
        if (!ws_json_find(&member, &object, ws_condition_name((enum ws_condition)i)))
            continue;
        rc = ws_json_double(&value, &member, -1e12, 1e12, err);
        if (rc == 0)
            ws_conditions_set(&out->conditions, (enum ws_condition)i, value);
    }
    return rc;
}

static int read_stage_lists(struct ws_plan *out, const struct ws_json *root,
                            struct ws_error *err)
{
    struct ws_json lists;
    int rc = ws_json_member(&lists, root, "stage_lists", err);
    if (rc == 0)
        rc = ws_json_array(&lists, err);
    if (rc != 0)
        return rc;
    size_t count = ws_json_count(&lists);
    if (count < 1 || count > WS_PLAN_ENTRIES_MAX)
        return ws_json_fail(&lists, WS_E_LIMIT, err, "expected 1 to %d lists, got %zu",
                            WS_PLAN_ENTRIES_MAX, count);
    out->stage_lists = calloc(count, sizeof(*out->stage_lists));
    if (out->stage_lists == NULL)
        return ws_error_nomem(err);
    out->stage_list_count = count;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct ws_json list = ws_json_at(&lists, i);
        rc = ws_stage_list_from_json(&out->stage_lists[i], &out->space, &list, err);
    }
    return rc;
}

static int column_of(size_t *out, const struct ws_json *list, const char *name)
{
    for (size_t i = 0; i < ws_json_count(list); i++) {
        struct ws_json item = ws_json_at(list, i);
        const char *text = NULL;
        if (ws_json_string(&text, &item, NULL) == 0 && strcmp(text, name) == 0) {
            *out = i;
            return 1;
        }
    }
    return 0;
}

static int read_columns(struct columns *out, const struct ws_plan *plan,
                        const struct ws_json *root, struct ws_error *err)
{
    struct ws_json list;
    int rc = ws_json_member(&list, root, "columns", err);
    if (rc == 0)
        rc = ws_json_array(&list, err);
    if (rc != 0)
        return rc;
    out->count = ws_json_count(&list);
    for (size_t k = 0; rc == 0 && k < plan->space.knob_count; k++) {
        const struct ws_knob *knob = &plan->space.knobs[k];
        char name[WS_NAME_MAX + sizeof(knob_prefix)];
        (void)snprintf(name, sizeof(name), "%s%s", knob_prefix, knob->name);
        if (!column_of(&out->knob[k], &list, name))
            return ws_json_fail(&list, WS_E_FORMAT, err, "\"%s\" is missing", name);
        for (size_t v = 0; rc == 0 && v < knob->value_count; v++)
            rc = ws_names_add(&out->values[k], knob->values[v].text, v, err);
    }
    for (int m = 0; m < WS_MEASURE_COUNT; m++) {
        out->measure[m] = SIZE_MAX;
        (void)column_of(&out->measure[m], &list, ws_measure_name((enum ws_measure)m));
    }
    for (int i = 0; rc == 0 && i < EXTRA_COUNT; i++) {
        if (!column_of(&out->extra[i], &list, extra_names[i]))
            rc = ws_json_fail(&list, WS_E_FORMAT, err, "\"%s\" is missing",
                              extra_names[i]);
    }
    return rc;
}

/* The usual values, whole numbers and words, are found without building a value. */
static int read_value(size_t *out, const struct columns *columns,
                      const struct ws_plan *plan, size_t k, const struct ws_json *item,
                      struct ws_error *err)
{
    const struct ws_knob *knob = &plan->space.knobs[k];
    char digits[32];
    const char *text = NULL;
    if (json_is_string(item->value)) {
        text = json_string_value(item->value);
    } else if (json_is_integer(item->value)) {
        (void)snprintf(digits, sizeof(digits), "%" PRId64,
                       (int64_t)json_integer_value(item->value));
        text = digits;
    }
    if (text != NULL && ws_names_find(out, &columns->values[k], text))
        return 0;
    return ws_knob_find_json(out, knob, item, err);
}

static int read_extras(struct ws_plan_entry *out, const struct columns *columns,
                       const struct ws_plan *plan, const struct ws_json *row,
                       struct ws_error *err)
{
    struct ws_json item = ws_json_at(row, columns->extra[EXTRA_TRUTH]);
    const char *word = NULL;
    int64_t number = 0;
    int flag = 0;
    int rc = ws_json_string(&word, &item, err);
    if (rc != 0)
        return rc;
    int truth = WS_MEASURED;
    while (truth <= WS_MODELLED && strcmp(word, ws_truth_name((enum ws_truth)truth)) != 0)
        truth++;
    if (truth > WS_MODELLED)
        return ws_json_fail(&item, WS_E_FORMAT, err,
                            "\"%s\" is neither measured, recorded nor modelled", word);
    out->outcome.truth = (enum ws_truth)truth;
    item = ws_json_at(row, columns->extra[EXTRA_SAMPLES]);
    rc = ws_json_i64(&number, &item, 0, UINT32_MAX, err);
    out->sample_count = (uint32_t)number;
    item = ws_json_at(row, columns->extra[EXTRA_FRONT]);
    if (rc == 0)
        rc = ws_json_bool(&flag, &item, err);
    out->on_front = (uint8_t)flag;
    item = ws_json_at(row, columns->extra[EXTRA_STAGES]);
    if (rc == 0)
        rc = ws_json_i64(&number, &item, 0, (int64_t)plan->stage_list_count - 1, err);
    out->stage_list = (uint32_t)number;
    return rc;
}

static int read_entry(struct ws_plan_entry *out, const struct columns *columns,
                      const struct ws_plan *plan, const struct ws_json *row,
                      struct ws_error *err)
{
    int rc = ws_json_array(row, err);
    if (rc == 0 && ws_json_count(row) != columns->count)
        rc = ws_json_fail(row, WS_E_FORMAT, err, "expected %zu values, got %zu",
                          columns->count, ws_json_count(row));
    for (size_t k = 0; rc == 0 && k < plan->space.knob_count; k++) {
        struct ws_json item = ws_json_at(row, columns->knob[k]);
        size_t v = 0;
        rc = read_value(&v, columns, plan, k, &item, err);
        out->setting.value[k] = (uint16_t)v;
    }
    if (rc == 0 && !ws_space_allows(&plan->space, &out->setting))
        rc = ws_json_fail(row, WS_E_INFEASIBLE, err,
                          "the plan's constraints forbid this setting");
    for (int m = 0; rc == 0 && m < WS_MEASURE_COUNT; m++) {
        if (columns->measure[m] == SIZE_MAX)
            continue;
        struct ws_json item = ws_json_at(row, columns->measure[m]);
        if (json_is_null(item.value))
            continue;
        double value = 0;
        rc = ws_json_double(&value, &item, 0, m == WS_ACCURACY ? 1 : 1e300, err);
        if (rc == 0)
            ws_outcome_set(&out->outcome, (enum ws_measure)m, value);
    }
    return rc == 0 ? read_extras(out, columns, plan, row, err) : rc;
}

static int read_entries(struct ws_plan *out, const struct ws_json *root,
                        struct ws_error *err)
{
    struct columns columns = {0};
    struct ws_json list;
    int rc = read_columns(&columns, out, root, err);
    if (rc == 0)
        rc = ws_json_member(&list, root, "entries", err);
    if (rc == 0)
        rc = ws_json_array(&list, err);
    if (rc != 0)
        goto out;
    size_t count = ws_json_count(&list);
    if (count < 1 || count > WS_PLAN_ENTRIES_MAX) {
        rc = ws_json_fail(&list, WS_E_LIMIT, err, "expected 1 to %d entries, got %zu",
                          WS_PLAN_ENTRIES_MAX, count);
        goto out;
    }
    out->entries = calloc(count, sizeof(*out->entries));
    if (out->entries == NULL) {
        rc = ws_error_nomem(err);
        goto out;
    }
    out->entry_count = count;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct ws_json row = ws_json_at(&list, i);
        rc = read_entry(&out->entries[i], &columns, out, &row, err);
    }
out:
    for (size_t k = 0; k < WS_KNOBS_MAX; k++)
        ws_names_fini(&columns.values[k]);
    return rc;
}

static int read_plan(struct ws_plan *out, const struct ws_json *root,
                     struct ws_error *err)
{
    struct ws_json knobs;
    struct ws_json constraints;
    struct ws_json node;
    const char *text = NULL;
    int64_t version = 0;
    int rc = ws_json_get_string(&text, root, "format", err);
    if (rc == 0 && strcmp(text, format_name) != 0)
        rc = ws_json_fail(root, WS_E_FORMAT, err,
                          "expected \"format\": \"%s\", got \"%s\"", format_name, text);
    if (rc == 0)
        rc = ws_json_get_i64(&version, root, "version", 1, INT64_MAX, err);
    if (rc == 0 && version > WS_PLAN_VERSION)
        rc =
            ws_json_fail(root, WS_E_UNSUPPORTED, err,
                         "version %" PRId64 " is newer than %d, which this program reads",
                         version, WS_PLAN_VERSION);
    if (rc == 0)
        rc = ws_json_get_text(&out->testbed, root, "testbed", err);
    if (rc == 0)
        rc = ws_json_member(&knobs, root, "knobs", err);
    if (rc == 0)
        rc = ws_space_from_json(
            &out->space, &knobs,
            ws_json_find(&constraints, root, "constraints") ? &constraints : NULL, err);
    if (rc == 0)
        rc = read_conditions(out, root, err);
    if (rc == 0 && ws_json_find(&node, root, "edge_idle_w"))
        rc = ws_json_double(&out->edge_idle_w, &node, 0, 1e6, err);
    if (rc == 0)
        rc =
            ws_testbed_read_objectives(out->objectives, &out->objective_count, root, err);
    if (rc == 0)
        rc = read_stage_lists(out, root, err);
    return rc == 0 ? read_entries(out, root, err) : rc;
}

static int finish_load(struct ws_plan *out, struct ws_json_doc *doc, struct ws_error *err)
{
    struct ws_plan plan = {0};
    struct ws_json root = ws_json_root(doc);
    int rc = read_plan(&plan, &root, err);
    ws_json_doc_fini(doc);
    if (rc == 0)
        *out = plan;
    else
        ws_plan_fini(&plan);
    return rc;
}

int ws_plan_load(struct ws_plan *out, const char *path, struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_load(&doc, path, err);
    return rc != 0 ? rc : finish_load(out, &doc, err);
}

int ws_plan_parse(struct ws_plan *out, const void *bytes, size_t size, const char *name,
                  struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_parse(&doc, bytes, size, name, err);
    return rc != 0 ? rc : finish_load(out, &doc, err);
}
