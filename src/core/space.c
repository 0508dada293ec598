/* Knobs, constraints and settings between JSON and core's types. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/names.h"
#include "base/parse.h"
#include "core/space.h"

/* Text of one number as a table would hold it. */
static int add_number(struct ws_buf *text, const struct ws_json *node, double *out,
                      struct ws_error *err)
{
    int rc = ws_json_double(out, node, -1e300, 1e300, err);
    if (rc != 0)
        return rc;
    if (json_is_integer(node->value))
        return ws_buf_printf(text, err, "%" PRId64,
                             (int64_t)json_integer_value(node->value));
    char digits[40];
    for (int precision = 15; precision <= 17; precision++) {
        double back = 0;
        (void)snprintf(digits, sizeof(digits), "%.*g", precision, *out);
        if (ws_parse_double(&back, digits, "value", NULL) == 0 && back == *out)
            break;
    }
    return ws_buf_add_text(text, digits, err);
}

static int vector_value(struct ws_buf *text, struct ws_knob_value *out,
                        const struct ws_json *node, struct ws_error *err)
{
    size_t count = ws_json_count(node);
    if (count == 0 || count > WS_KNOB_VALUES_MAX)
        return ws_json_fail(node, WS_E_LIMIT, err, "expected 1 to %d numbers, got %zu",
                            WS_KNOB_VALUES_MAX, count);
    out->numbers = calloc(count, sizeof(*out->numbers));
    if (out->numbers == NULL)
        return ws_error_nomem(err);
    out->number_count = count;
    for (size_t i = 0; i < count; i++) {
        struct ws_json item = ws_json_at(node, i);
        int rc = i > 0 ? ws_buf_add_text(text, ":", err) : 0;
        if (rc == 0)
            rc = add_number(text, &item, &out->numbers[i], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The identity of a value as text: a word, a number, or numbers joined by ':'. A word
 * that reads as a number has that reading too. */
static int value_text(struct ws_buf *text, struct ws_knob_value *out,
                      const struct ws_json *node, struct ws_error *err)
{
    if (json_is_array(node->value))
        return vector_value(text, out, node, err);
    double number = 0;
    int is_number = json_is_number(node->value);
    int rc = 0;
    if (is_number) {
        rc = add_number(text, node, &number, err);
    } else {
        const char *word = NULL;
        rc = ws_json_string(&word, node, err);
        if (rc == 0 && (word[0] == '\0' || strlen(word) > WS_NAME_MAX))
            rc = ws_json_fail(node, WS_E_LIMIT, err, "expected 1 to %d bytes",
                              WS_NAME_MAX);
        if (rc == 0)
            rc = ws_buf_add_text(text, word, err);
        is_number = rc == 0 && ws_parse_double(&number, word, "value", NULL) == 0;
    }
    if (rc != 0 || !is_number)
        return rc;
    out->numbers = malloc(sizeof(*out->numbers));
    if (out->numbers == NULL)
        return ws_error_nomem(err);
    out->numbers[0] = number;
    out->number_count = 1;
    return 0;
}

static int read_value(struct ws_knob_value *out, const struct ws_json *node,
                      struct ws_error *err)
{
    struct ws_buf text;
    ws_buf_init(&text, 0);
    int rc = value_text(&text, out, node, err);
    if (rc == 0)
        out->text = ws_buf_take(&text);
    ws_buf_fini(&text);
    return rc;
}

static int find_word(size_t *out, const char *const *words, size_t count,
                     const struct ws_json *node, struct ws_error *err)
{
    const char *word = NULL;
    int rc = ws_json_string(&word, node, err);
    if (rc != 0)
        return rc;
    char expected[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return 0;
        }
        int put = snprintf(expected + used, sizeof(expected) - used, "%s\"%s\"",
                           i > 0 ? ", " : "", words[i]);
        used += put > 0 ? (size_t)put : 0;
    }
    return ws_json_fail(node, WS_E_FORMAT, err, "\"%s\" is none of %s", word, expected);
}

static int read_part_and_kind(struct ws_knob *out, const struct ws_json *node,
                              struct ws_error *err)
{
    const char *parts[] = {ws_part_name(WS_PART_EDGE), ws_part_name(WS_PART_TRANSFER),
                           ws_part_name(WS_PART_CLOUD), ws_part_name(WS_PART_SHARED)};
    const char *kinds[] = {ws_kind_name(WS_KIND_ORDERED), ws_kind_name(WS_KIND_NOMINAL)};
    struct ws_json member;
    size_t index = 0;
    int rc = ws_json_member(&member, node, "part", err);
    if (rc == 0)
        rc = find_word(&index, parts, 4, &member, err);
    if (rc != 0)
        return rc;
    out->part = (enum ws_part)index;
    rc = ws_json_member(&member, node, "kind", err);
    if (rc == 0)
        rc = find_word(&index, kinds, 2, &member, err);
    if (rc == 0)
        out->kind = (enum ws_kind)index;
    return rc;
}

static int read_knob(struct ws_knob *out, const struct ws_json *node,
                     struct ws_error *err)
{
    struct ws_json values;
    struct ws_names seen = {0};
    int rc = read_part_and_kind(out, node, err);
    if (rc == 0)
        rc = ws_json_member(&values, node, "values", err);
    if (rc == 0)
        rc = ws_json_array(&values, err);
    if (rc != 0)
        return rc;
    size_t count = ws_json_count(&values);
    if (count == 0 || count > WS_KNOB_VALUES_MAX)
        return ws_json_fail(&values, WS_E_LIMIT, err, "expected 1 to %d values, got %zu",
                            WS_KNOB_VALUES_MAX, count);
    out->name = strdup(node->key);
    out->values = calloc(count, sizeof(*out->values));
    if (out->name == NULL || out->values == NULL)
        return ws_error_nomem(err);
    for (size_t v = 0; rc == 0 && v < count; v++) {
        struct ws_json item = ws_json_at(&values, v);
        out->value_count = v + 1;
        rc = read_value(&out->values[v], &item, err);
        if (rc == 0 && ws_names_find(NULL, &seen, out->values[v].text))
            rc = ws_json_fail(&item, WS_E_FORMAT, err, "%s is there twice",
                              out->values[v].text);
        if (rc == 0)
            rc = ws_names_add(&seen, out->values[v].text, v, err);
    }
    ws_names_fini(&seen);
    return rc;
}

static int read_knobs(struct ws_space *out, const struct ws_json *knobs,
                      struct ws_error *err)
{
    int rc = ws_json_object(knobs, err);
    if (rc != 0)
        return rc;
    size_t count = ws_json_count(knobs);
    if (count == 0 || count > WS_KNOBS_MAX)
        return ws_json_fail(knobs, WS_E_LIMIT, err, "expected 1 to %d knobs, got %zu",
                            WS_KNOBS_MAX, count);
    out->knobs = calloc(count, sizeof(*out->knobs));
    if (out->knobs == NULL)
        return ws_error_nomem(err);
    struct ws_json member = {0};
    while (rc == 0 && ws_json_next(&member, knobs)) {
        if (member.key[0] == '\0' || strlen(member.key) > WS_NAME_MAX)
            return ws_json_fail(knobs, WS_E_LIMIT, err, "a knob's name has 1 to %d bytes",
                                WS_NAME_MAX);
        rc = read_knob(&out->knobs[out->knob_count++], &member, err);
    }
    uint64_t size = 0;
    if (rc == 0 && ws_space_size(&size, out, err) != 0)
        rc = ws_json_fail(knobs, WS_E_LIMIT, err, "more than 2^53 settings");
    return rc;
}

int ws_knob_find_json(size_t *out, const struct ws_knob *knob, const struct ws_json *node,
                      struct ws_error *err)
{
    struct ws_knob_value value = {0};
    int rc = read_value(&value, node, err);
    if (rc == 0 && ws_knob_find(out, knob, value.text, NULL) != 0)
        rc = ws_json_fail(node, WS_E_NOT_FOUND, err, "knob \"%s\" has no value %s",
                          knob->name, value.text);
    free(value.text);
    free(value.numbers);
    return rc;
}

static int find_knob(size_t *out, const struct ws_space *space,
                     const struct ws_json *member, struct ws_error *err)
{
    if (ws_space_find(out, space, member->key, NULL) != 0)
        return ws_json_fail(member, WS_E_NOT_FOUND, err, "there is no knob \"%s\"",
                            member->key);
    return 0;
}

/* A set of values from one value or an array of them. A vector value stands in an array
 * of its own. */
static int read_set(uint64_t **out, const struct ws_knob *knob,
                    const struct ws_json *node, struct ws_error *err)
{
    uint64_t *set = calloc((knob->value_count + 63) / 64, sizeof(*set));
    if (set == NULL)
        return ws_error_nomem(err);
    int is_list = json_is_array(node->value);
    size_t count = is_list ? ws_json_count(node) : 1;
    int rc = 0;
    if (count == 0)
        rc = ws_json_fail(node, WS_E_FORMAT, err, "expected a value, got none");
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct ws_json item = is_list ? ws_json_at(node, i) : *node;
        size_t v = 0;
        rc = ws_knob_find_json(&v, knob, &item, err);
        if (rc == 0)
            set[v / 64] |= (uint64_t)1 << (v % 64);
    }
    if (rc == 0)
        *out = set;
    else
        free(set);
    return rc;
}

static int read_then(struct ws_space *out, size_t if_knob, const struct ws_json *if_node,
                     const struct ws_json *then_node, struct ws_error *err)
{
    size_t then_knob = 0;
    int rc = find_knob(&then_knob, out, then_node, err);
    if (rc != 0)
        return rc;
    if (then_knob == if_knob)
        return ws_json_fail(then_node, WS_E_FORMAT, err,
                            "a knob cannot be a condition on itself");
    if (out->constraint_count == WS_CONSTRAINTS_MAX)
        return ws_json_fail(then_node, WS_E_LIMIT, err, "more than %d constraints",
                            WS_CONSTRAINTS_MAX);
    struct ws_constraint *rule = &out->constraints[out->constraint_count++];
    rule->if_knob = if_knob;
    rule->then_knob = then_knob;
    rc = read_set(&rule->if_values, &out->knobs[if_knob], if_node, err);
    if (rc == 0)
        rc = read_set(&rule->then_values, &out->knobs[then_knob], then_node, err);
    return rc;
}

static int read_constraint(struct ws_space *out, const struct ws_json *node,
                           struct ws_error *err)
{
    static const char *const keys[] = {"if", "then", NULL};
    struct ws_json when;
    struct ws_json then;
    int rc = ws_json_only(node, keys, err);
    if (rc == 0)
        rc = ws_json_member(&when, node, "if", err);
    if (rc == 0)
        rc = ws_json_object(&when, err);
    if (rc == 0)
        rc = ws_json_member(&then, node, "then", err);
    if (rc == 0)
        rc = ws_json_object(&then, err);
    if (rc != 0)
        return rc;
    if (ws_json_count(&when) != 1)
        return ws_json_fail(&when, WS_E_FORMAT, err, "expected one knob, got %zu",
                            ws_json_count(&when));
    if (ws_json_count(&then) == 0)
        return ws_json_fail(&then, WS_E_FORMAT, err, "expected a knob, got none");
    struct ws_json if_node = {0};
    (void)ws_json_next(&if_node, &when);
    size_t if_knob = 0;
    rc = find_knob(&if_knob, out, &if_node, err);
    struct ws_json then_node = {0};
    while (rc == 0 && ws_json_next(&then_node, &then))
        rc = read_then(out, if_knob, &if_node, &then_node, err);
    return rc;
}

static int has_bit(const uint64_t *set, size_t bit)
{
    return (int)(set[bit / 64] >> (bit % 64) & 1u);
}

/* Two rules that apply to one value and leave another knob nothing contradict. */
static int check_contradiction(const struct ws_space *space, const struct ws_json *node,
                               size_t a, size_t b, struct ws_error *err)
{
    const struct ws_constraint *one = &space->constraints[a];
    const struct ws_constraint *two = &space->constraints[b];
    if (one->if_knob != two->if_knob || one->then_knob != two->then_knob)
        return 0;
    const struct ws_knob *left = &space->knobs[one->then_knob];
    for (size_t w = 0; w < (left->value_count + 63) / 64; w++) {
        if ((one->then_values[w] & two->then_values[w]) != 0)
            return 0;
    }
    const struct ws_knob *knob = &space->knobs[one->if_knob];
    for (size_t v = 0; v < knob->value_count; v++) {
        if (has_bit(one->if_values, v) && has_bit(two->if_values, v))
            return ws_json_fail(
                node, WS_E_INFEASIBLE, err,
                "contradiction: no value of \"%s\" is left for \"%s\" = %s", left->name,
                knob->name, knob->values[v].text);
    }
    return 0;
}

/* Looks for one allowed setting, knob by knob with backtracking. `steps` bounds the
 * search: constraints that resist it are taken to be satisfiable. */
static int satisfiable(const struct ws_space *space, struct ws_setting *setting,
                       size_t knob, size_t *steps)
{
    if (knob == space->knob_count)
        return 1;
    for (size_t v = 0; v < space->knobs[knob].value_count; v++) {
        if (*steps == 0)
            return 1;
        (*steps)--;
        setting->value[knob] = (uint16_t)v;
        int allowed = 1;
        for (size_t c = 0; allowed && c < space->constraint_count; c++) {
            const struct ws_constraint *rule = &space->constraints[c];
            if (rule->if_knob <= knob && rule->then_knob <= knob)
                allowed = !has_bit(rule->if_values, setting->value[rule->if_knob]) ||
                          has_bit(rule->then_values, setting->value[rule->then_knob]);
        }
        if (allowed && satisfiable(space, setting, knob + 1, steps))
            return 1;
    }
    return 0;
}

static int read_constraints(struct ws_space *out, const struct ws_json *constraints,
                            struct ws_error *err)
{
    int rc = ws_json_array(constraints, err);
    if (rc != 0)
        return rc;
    out->constraints = calloc(WS_CONSTRAINTS_MAX, sizeof(*out->constraints));
    if (out->constraints == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < ws_json_count(constraints); i++) {
        struct ws_json node = ws_json_at(constraints, i);
        size_t before = out->constraint_count;
        rc = read_constraint(out, &node, err);
        for (size_t b = before; rc == 0 && b < out->constraint_count; b++) {
            for (size_t a = 0; rc == 0 && a < b; a++)
                rc = check_contradiction(out, &node, a, b, err);
        }
        if (rc != 0)
            return rc;
    }
    struct ws_setting setting = {0};
    size_t steps = 1000000;
    if (!satisfiable(out, &setting, 0, &steps))
        return ws_json_fail(constraints, WS_E_INFEASIBLE, err,
                            "contradiction: they allow no setting at all");
    return 0;
}

int ws_space_from_json(struct ws_space *out, const struct ws_json *knobs,
                       const struct ws_json *constraints, struct ws_error *err)
{
    struct ws_space space = {0};
    int rc = read_knobs(&space, knobs, err);
    if (rc == 0 && constraints != NULL)
        rc = read_constraints(&space, constraints, err);
    if (rc != 0) {
        ws_space_fini(&space);
        return rc;
    }
    *out = space;
    return 0;
}

json_t *ws_value_to_json(const struct ws_knob_value *value)
{
    if (value->number_count == 1) {
        double number = value->numbers[0];
        int64_t whole = 0;
        if (ws_parse_i64(&whole, value->text, INT64_MIN, INT64_MAX, "value", NULL) == 0)
            return json_integer(whole);
        return json_real(number);
    }
    if (value->number_count == 0)
        return json_string(value->text);
    json_t *list = json_array();
    for (size_t i = 0; i < value->number_count; i++)
        (void)json_array_append_new(list, json_real(value->numbers[i]));
    return list;
}

static json_t *set_to_json(const struct ws_knob *knob, const uint64_t *set)
{
    json_t *list = json_array();
    for (size_t v = 0; v < knob->value_count; v++) {
        if (has_bit(set, v))
            (void)json_array_append_new(list, ws_value_to_json(&knob->values[v]));
    }
    return list;
}

int ws_space_to_json(json_t **out_knobs, json_t **out_constraints,
                     const struct ws_space *space, struct ws_error *err)
{
    json_t *knobs = json_object();
    json_t *constraints = json_array();
    for (size_t k = 0; k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        json_t *values = json_array();
        for (size_t v = 0; v < knob->value_count; v++)
            (void)json_array_append_new(values, ws_value_to_json(&knob->values[v]));
        (void)json_object_set_new(knobs, knob->name,
                                  json_pack("{s:s, s:s, s:o}", "part",
                                            ws_part_name(knob->part), "kind",
                                            ws_kind_name(knob->kind), "values", values));
    }
    for (size_t c = 0; c < space->constraint_count; c++) {
        const struct ws_constraint *rule = &space->constraints[c];
        const struct ws_knob *when = &space->knobs[rule->if_knob];
        const struct ws_knob *then = &space->knobs[rule->then_knob];
        (void)json_array_append_new(
            constraints, json_pack("{s:{s:o}, s:{s:o}}", "if", when->name,
                                   set_to_json(when, rule->if_values), "then", then->name,
                                   set_to_json(then, rule->then_values)));
    }
    /* jansson passes a NULL along, so one check of the sizes finds any failure. */
    if (json_object_size(knobs) != space->knob_count ||
        json_array_size(constraints) != space->constraint_count) {
        json_decref(knobs);
        json_decref(constraints);
        return ws_error_nomem(err);
    }
    *out_knobs = knobs;
    *out_constraints = constraints;
    return 0;
}

int ws_setting_from_json(struct ws_setting *out, const struct ws_space *space,
                         const struct ws_json *object, struct ws_error *err)
{
    struct ws_setting setting = {0};
    struct ws_json member = {0};
    int rc = ws_json_object(object, err);
    while (rc == 0 && ws_json_next(&member, object)) {
        size_t knob = 0;
        rc = find_knob(&knob, space, &member, err);
    }
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++) {
        size_t v = 0;
        rc = ws_json_member(&member, object, space->knobs[k].name, err);
        if (rc == 0)
            rc = ws_knob_find_json(&v, &space->knobs[k], &member, err);
        setting.value[k] = (uint16_t)v;
    }
    if (rc == 0)
        *out = setting;
    return rc;
}
