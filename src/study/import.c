#include "study/import.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/csv.h"
#include "base/file.h"
#include "base/json.h"
#include "base/names.h"
#include "base/parse.h"
#include "study/table.h"

enum { WHERE_MAX = 16 };

/* A knob's column and the values seen in it, in the order of their appearance. */
struct import_knob {
    struct ws_json node;
    const char *column_name;
    size_t column;
    struct ws_names seen;
    char **values;
    size_t count;
    size_t capacity;
};

struct import_measure {
    int wanted;
    struct ws_json node;
    const char *column_name; /* NULL: computed from terms */
    double scale;
    size_t column;
    double terms[WS_MEASURE_COUNT];
};

struct filter {
    const char *column_name;
    const char *value;
    size_t column;
};

struct importing {
    struct ws_json root;
    const char *csv_path;
    struct import_knob knobs[WS_KNOBS_MAX];
    size_t knob_count;
    struct import_measure measures[WS_MEASURE_COUNT];
    struct filter filters[WHERE_MAX];
    size_t filter_count;
    struct ws_buf table;
    struct ws_import_result result;
};

/* --- The map -------------------------------------------------------------------------
 */

static const char *const passed_on[] = {
    "name",      "source", "energy_boundary", "objectives", "constraints", "baselines",
    "switch_ms", "link",   "edge_idle_w",     "truth",      NULL,
};
static const char *const map_keys[] = {
    "name",      "source", "energy_boundary", "objectives", "constraints", "baselines",
    "switch_ms", "link",   "edge_idle_w",     "truth",      "where",       "knobs",
    "measures",  NULL,
};

static int read_where(struct importing *im, struct ws_error *err)
{
    struct ws_json where;
    struct ws_json member = {0};
    if (!ws_json_find(&where, &im->root, "where"))
        return 0;
    int rc = ws_json_object(&where, err);
    while (rc == 0 && ws_json_next(&member, &where)) {
        if (im->filter_count == WHERE_MAX)
            return ws_json_fail(&where, WS_E_LIMIT, err, "more than %d columns",
                                WHERE_MAX);
        struct filter *filter = &im->filters[im->filter_count++];
        filter->column_name = member.key;
        rc = ws_json_string(&filter->value, &member, err);
    }
    return rc;
}

static int read_knobs(struct importing *im, const struct ws_json *knobs,
                      struct ws_error *err)
{
    static const char *const keys[] = {"column", "part", "kind", NULL};
    struct ws_json member = {0};
    int rc = ws_json_object(knobs, err);
    while (rc == 0 && ws_json_next(&member, knobs)) {
        if (im->knob_count == WS_KNOBS_MAX)
            return ws_json_fail(knobs, WS_E_LIMIT, err, "more than %d knobs",
                                WS_KNOBS_MAX);
        struct import_knob *knob = &im->knobs[im->knob_count++];
        knob->node = member;
        rc = ws_json_only(&member, keys, err);
        if (rc == 0)
            rc = ws_json_get_string(&knob->column_name, &member, "column", err);
    }
    if (rc == 0 && im->knob_count == 0)
        rc = ws_json_fail(knobs, WS_E_FORMAT, err, "expected at least one knob");
    return rc;
}

static int read_terms(struct import_measure *out, const struct ws_json *terms,
                      struct ws_error *err)
{
    struct ws_json member = {0};
    int rc = ws_json_object(terms, err);
    while (rc == 0 && ws_json_next(&member, terms)) {
        enum ws_measure measure;
        if (ws_measure_find(&measure, member.key, NULL) != 0)
            return ws_json_fail(&member, WS_E_NOT_FOUND, err, "\"%s\" is no measure",
                                member.key);
        rc = ws_json_double(&out->terms[measure], &member, -1e12, 1e12, err);
    }
    if (rc == 0 && ws_json_count(terms) == 0)
        rc = ws_json_fail(terms, WS_E_FORMAT, err, "expected a measure, got none");
    return rc;
}

static int read_measure(struct importing *im, const struct ws_json *node,
                        struct ws_error *err)
{
    static const char *const keys[] = {"column", "scale", "terms", NULL};
    enum ws_measure measure;
    struct ws_json member;
    if (ws_measure_find(&measure, node->key, NULL) != 0)
        return ws_json_fail(node, WS_E_NOT_FOUND, err, "\"%s\" is no measure", node->key);
    struct import_measure *out = &im->measures[measure];
    out->wanted = 1;
    out->node = *node;
    out->scale = 1;
    int rc = ws_json_only(node, keys, err);
    if (rc != 0)
        return rc;
    if (ws_json_find(&member, node, "terms"))
        return read_terms(out, &member, err);
    rc = ws_json_get_string(&out->column_name, node, "column", err);
    if (rc == 0 && ws_json_find(&member, node, "scale"))
        rc = ws_json_double(&out->scale, &member, -1e15, 1e15, err);
    return rc;
}

static int is_energy(size_t measure)
{
    return measure == WS_ENERGY_J || measure == WS_EDGE_ENERGY_J ||
           measure == WS_TRANSFER_ENERGY_J || measure == WS_CLOUD_ENERGY_J;
}

/* Terms must be columns, or terms further up the list of measures than what they make
 * (parts before totals): computed in two rounds, parts first. */
static int check_terms(struct importing *im, struct ws_error *err)
{
    for (size_t m = 0; m < WS_MEASURE_COUNT; m++) {
        struct import_measure *measure = &im->measures[m];
        for (size_t t = 0;
             measure->wanted && measure->column_name == NULL && t < WS_MEASURE_COUNT;
             t++) {
            if (measure->terms[t] == 0)
                continue;
            int total = m == WS_LATENCY_MS || m == WS_ENERGY_J;
            if (!im->measures[t].wanted ||
                (im->measures[t].column_name == NULL &&
                 (!total || t == WS_LATENCY_MS || t == WS_ENERGY_J)))
                return ws_json_fail(&measure->node, WS_E_FORMAT, err,
                                    "the term %s is not itself read from a column",
                                    ws_measure_name((enum ws_measure)t));
            im->result.modelled |= is_energy(m) && !is_energy(t);
        }
    }
    return 0;
}

static int read_map(struct importing *im, struct ws_error *err)
{
    struct ws_json knobs;
    struct ws_json measures;
    struct ws_json member = {0};
    int rc = ws_json_only(&im->root, map_keys, err);
    if (rc == 0)
        rc = read_where(im, err);
    if (rc == 0)
        rc = ws_json_member(&knobs, &im->root, "knobs", err);
    if (rc == 0)
        rc = read_knobs(im, &knobs, err);
    if (rc == 0)
        rc = ws_json_member(&measures, &im->root, "measures", err);
    if (rc == 0)
        rc = ws_json_object(&measures, err);
    while (rc == 0 && ws_json_next(&member, &measures))
        rc = read_measure(im, &member, err);
    return rc == 0 ? check_terms(im, err) : rc;
}

/* --- The rows ------------------------------------------------------------------------
 */

static int add_field(struct ws_buf *buf, const char *text, struct ws_error *err)
{
    if (strpbrk(text, ",\"\r\n") == NULL)
        return ws_buf_add_text(buf, text, err);
    int rc = ws_buf_add_text(buf, "\"", err);
    for (; rc == 0 && *text != '\0'; text++)
        rc = ws_buf_add(buf, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1, err);
    return rc == 0 ? ws_buf_add_text(buf, "\"", err) : rc;
}

static int on_header(void *user, const struct ws_csv_row *header, struct ws_error *err)
{
    struct importing *im = user;
    int rc = ws_csv_unique(header, err);
    for (size_t i = 0; rc == 0 && i < im->filter_count; i++)
        rc = ws_csv_column(&im->filters[i].column, header, im->filters[i].column_name,
                           err);
    for (size_t k = 0; rc == 0 && k < im->knob_count; k++) {
        rc = ws_csv_column(&im->knobs[k].column, header, im->knobs[k].column_name, err);
        if (rc == 0)
            rc = ws_buf_printf(&im->table, err, "%sknob.", k > 0 ? "," : "");
        if (rc == 0)
            rc = add_field(&im->table, im->knobs[k].node.key, err);
    }
    for (size_t m = 0; rc == 0 && m < WS_MEASURE_COUNT; m++) {
        struct import_measure *measure = &im->measures[m];
        if (!measure->wanted)
            continue;
        if (measure->column_name != NULL)
            rc = ws_csv_column(&measure->column, header, measure->column_name, err);
        if (rc == 0)
            rc = ws_buf_printf(&im->table, err, ",%s",
                               ws_measure_name((enum ws_measure)m));
    }
    return rc == 0 ? ws_buf_add_text(&im->table, "\n", err) : rc;
}

static int see_value(struct import_knob *knob, const char *text, struct ws_error *err)
{
    if (ws_names_find(NULL, &knob->seen, text))
        return 0;
    if (text[0] == '\0')
        return ws_error_set(err, WS_E_FORMAT, "column %zu: \"%s\" is empty",
                            knob->column + 1, knob->column_name);
    if (knob->count == WS_KNOB_VALUES_MAX)
        return ws_error_set(err, WS_E_LIMIT, "column %zu: more than %d values",
                            knob->column + 1, WS_KNOB_VALUES_MAX);
    if (knob->count == knob->capacity) {
        size_t capacity = knob->capacity == 0 ? 32 : knob->capacity * 2;
        char **values = realloc(knob->values, capacity * sizeof(*values));
        if (values == NULL)
            return ws_error_nomem(err);
        knob->values = values;
        knob->capacity = capacity;
    }
    char *copy = strdup(text);
    if (copy == NULL)
        return ws_error_nomem(err);
    knob->values[knob->count] = copy;
    return ws_names_add(&knob->seen, copy, knob->count++, err);
}

/* Values of one row; unknown where a field, or one of the terms, is empty. */
static int read_outcome(struct ws_outcome *out, const struct importing *im,
                        const struct ws_csv_row *row, struct ws_error *err)
{
    for (size_t m = 0; m < WS_MEASURE_COUNT; m++) {
        const struct import_measure *measure = &im->measures[m];
        double value = 0;
        if (!measure->wanted || measure->column_name == NULL ||
            row->fields[measure->column][0] == '\0')
            continue;
        int rc = ws_csv_double(&value, row, measure->column, measure->column_name, -1e300,
                               1e300, err);
        if (rc != 0)
            return rc;
        ws_outcome_set(out, (enum ws_measure)m, value * measure->scale);
    }
    /* Parts before totals: the totals come first in the list, so it runs backwards. */
    for (size_t m = WS_MEASURE_COUNT; m-- > 0;) {
        const struct import_measure *measure = &im->measures[m];
        double sum = 0;
        int known = measure->wanted && measure->column_name == NULL;
        for (size_t t = 0; known && t < WS_MEASURE_COUNT; t++) {
            if (measure->terms[t] == 0)
                continue;
            known = ws_outcome_knows(out, (enum ws_measure)t);
            sum += measure->terms[t] * out->value[t];
        }
        if (known)
            ws_outcome_set(out, (enum ws_measure)m, sum);
    }
    return 0;
}

static int on_row(void *user, const struct ws_csv_row *row, struct ws_error *err)
{
    struct importing *im = user;
    struct ws_outcome outcome = {0};
    for (size_t i = 0; i < im->filter_count; i++) {
        if (strcmp(row->fields[im->filters[i].column], im->filters[i].value) != 0) {
            im->result.left_count++;
            return 0;
        }
    }
    int rc = read_outcome(&outcome, im, row, err);
    for (size_t k = 0; rc == 0 && k < im->knob_count; k++) {
        struct import_knob *knob = &im->knobs[k];
        rc = see_value(knob, row->fields[knob->column], err);
        if (rc == 0 && k > 0)
            rc = ws_buf_add_text(&im->table, ",", err);
        if (rc == 0)
            rc = add_field(&im->table, row->fields[knob->column], err);
    }
    for (size_t m = 0; rc == 0 && m < WS_MEASURE_COUNT; m++) {
        double value = 0;
        if (!im->measures[m].wanted)
            continue;
        if (ws_outcome_get(&value, &outcome, (enum ws_measure)m) == 0)
            rc = ws_buf_printf(&im->table, err, ",%.12g", value);
        else
            rc = ws_buf_add_text(&im->table, ",", err);
    }
    im->result.row_count++;
    return rc == 0 ? ws_buf_add_text(&im->table, "\n", err) : rc;
}

/* --- The testbed ---------------------------------------------------------------------
 */

static int by_number(const void *a, const void *b)
{
    double x = 0;
    double y = 0;
    (void)ws_parse_double(&x, *(char *const *)a, "value", NULL);
    (void)ws_parse_double(&y, *(char *const *)b, "value", NULL);
    return (x > y) - (x < y);
}

static json_t *value_json(const char *text, int numbers)
{
    int64_t whole = 0;
    double number = 0;
    if (numbers && ws_parse_i64(&whole, text, INT64_MIN, INT64_MAX, "value", NULL) == 0)
        return json_integer(whole);
    if (numbers && ws_parse_double(&number, text, "value", NULL) == 0)
        return json_real(number);
    return json_string(text);
}

static json_t *knob_json(struct import_knob *knob)
{
    int numbers = 1;
    for (size_t v = 0; v < knob->count; v++) {
        double x = 0;
        numbers &= ws_parse_double(&x, knob->values[v], "value", NULL) == 0;
    }
    if (numbers)
        qsort(knob->values, knob->count, sizeof(*knob->values), by_number);
    json_t *values = json_array();
    for (size_t v = 0; v < knob->count; v++)
        (void)json_array_append_new(values, value_json(knob->values[v], numbers));
    return json_pack("{s:O, s:O, s:o}", "part", json_object_get(knob->node.value, "part"),
                     "kind", json_object_get(knob->node.value, "kind"), "values", values);
}

static int write_testbed(struct importing *im, const char *path, struct ws_error *err)
{
    json_t *root = json_object();
    json_t *knobs = json_object();
    int failed = root == NULL || knobs == NULL;
    for (size_t i = 0; passed_on[i] != NULL; i++) {
        json_t *value = json_object_get(im->root.value, passed_on[i]);
        if (value != NULL)
            failed |= json_object_set(root, passed_on[i], value) != 0;
    }
    if (im->result.modelled)
        failed |= json_object_set_new(root, "truth",
                                      json_string(ws_truth_name(WS_MODELLED))) != 0;
    failed |= json_object_set_new(root, "table", json_string("table.csv")) != 0;
    for (size_t k = 0; k < im->knob_count; k++)
        failed |= json_object_set_new(knobs, im->knobs[k].node.key,
                                      knob_json(&im->knobs[k])) != 0;
    failed |= json_object_set_new(root, "knobs", knobs) != 0;
    int rc = failed ? ws_error_set(err, WS_E_FORMAT,
                                   "%s: \"part\" or \"kind\" of a knob "
                                   "is missing",
                                   im->root.doc->name)
                    : ws_json_write(path, root, err);
    json_decref(root);
    return rc;
}

/* Reads what was written: the map may have named things that make no testbed. */
static int read_back(struct importing *im, const char *path, struct ws_error *err)
{
    struct ws_testbed testbed = {0};
    struct ws_table table = {0};
    int rc = ws_testbed_load(&testbed, path, err);
    if (rc == 0)
        rc = ws_table_load(&table, &testbed, err);
    if (rc == 0)
        im->result.setting_count = table.setting_count;
    ws_table_fini(&table);
    ws_testbed_fini(&testbed);
    return rc;
}

static void importing_fini(struct importing *im)
{
    for (size_t k = 0; k < im->knob_count; k++) {
        ws_names_fini(&im->knobs[k].seen);
        for (size_t v = 0; v < im->knobs[k].count; v++)
            free(im->knobs[k].values[v]);
        free(im->knobs[k].values);
    }
    ws_buf_fini(&im->table);
}

static int import_with(struct importing *im, const char *dir, struct ws_error *err)
{
    char path[4096];
    struct ws_csv_handler handler = {on_header, on_row, im};
    int rc = read_map(im, err);
    if (rc == 0)
        rc = ws_csv_read(im->csv_path, WS_TABLE_ROWS_MAX, &handler, err);
    if (rc == 0 && im->result.row_count == 0)
        rc = ws_error_set(err, WS_E_FORMAT, "%s: none of %zu rows is what `where` wants",
                          im->csv_path, im->result.left_count);
    if (rc == 0)
        rc = ws_dir_create(dir, err);
    int length = snprintf(path, sizeof(path), "%s/table.csv", dir);
    if (rc == 0 && (length < 0 || (size_t)length + 3 >= sizeof(path)))
        rc = ws_error_set(err, WS_E_LIMIT, "%s: path too long", dir);
    if (rc == 0)
        rc = ws_file_write(path, im->table.data, im->table.size, err);
    (void)snprintf(path, sizeof(path), "%s/testbed.json", dir);
    if (rc == 0)
        rc = write_testbed(im, path, err);
    return rc == 0 ? read_back(im, path, err) : rc;
}

int ws_import(struct ws_import_result *out, const char *csv_path, const char *map_path,
              const char *dir, struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_load(&doc, map_path, err);
    if (rc != 0)
        return rc;
    struct importing *im = calloc(1, sizeof(*im));
    if (im == NULL) {
        rc = ws_error_nomem(err);
        goto out;
    }
    im->root = ws_json_root(&doc);
    im->csv_path = csv_path;
    ws_buf_init(&im->table, WS_TEXT_FILE_MAX);
    rc = import_with(im, dir, err);
    if (rc == 0)
        *out = im->result;
    importing_fini(im);
    free(im);
out:
    ws_json_doc_fini(&doc);
    return rc;
}
