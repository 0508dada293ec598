#include "core/knob.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const part_names[] = {
    [WS_PART_EDGE] = "edge",
    [WS_PART_TRANSFER] = "transfer",
    [WS_PART_CLOUD] = "cloud",
    [WS_PART_SHARED] = "shared",
};
static const char *const kind_names[] = {
    [WS_KIND_ORDERED] = "ordered",
    [WS_KIND_NOMINAL] = "nominal",
};

const char *ws_part_name(enum ws_part part)
{
    return part_names[part];
}

const char *ws_kind_name(enum ws_kind kind)
{
    return kind_names[kind];
}

static void knob_fini(struct ws_knob *knob)
{
    for (size_t v = 0; v < knob->value_count; v++) {
        free(knob->values[v].text);
        free(knob->values[v].numbers);
    }
    free(knob->values);
    free(knob->name);
}

void ws_space_fini(struct ws_space *space)
{
    for (size_t k = 0; k < space->knob_count; k++)
        knob_fini(&space->knobs[k]);
    for (size_t c = 0; c < space->constraint_count; c++) {
        free(space->constraints[c].if_values);
        free(space->constraints[c].then_values);
    }
    free(space->knobs);
    free(space->constraints);
    *space = (struct ws_space){0};
}

/* A copy of `size` bytes; NULL for NULL. *failed is set when memory is short. */
static void *copy_bytes(const void *bytes, size_t size, int *failed)
{
    if (bytes == NULL)
        return NULL;
    void *copy = malloc(size == 0 ? 1 : size);
    if (copy == NULL)
        *failed = 1;
    else
        memcpy(copy, bytes, size);
    return copy;
}

static void copy_knob(struct ws_knob *out, const struct ws_knob *knob, int *failed)
{
    *out = (struct ws_knob){.part = knob->part, .kind = knob->kind};
    out->name = copy_bytes(knob->name, strlen(knob->name) + 1, failed);
    out->values = calloc(knob->value_count, sizeof(*out->values));
    if (out->values == NULL) {
        *failed = 1;
        return;
    }
    out->value_count = knob->value_count;
    for (size_t v = 0; v < knob->value_count; v++) {
        const struct ws_knob_value *value = &knob->values[v];
        out->values[v].text = copy_bytes(value->text, strlen(value->text) + 1, failed);
        out->values[v].numbers = copy_bytes(
            value->numbers, value->number_count * sizeof(*value->numbers), failed);
        out->values[v].number_count = value->number_count;
    }
}

static size_t set_bytes(const struct ws_knob *knob)
{
    return (knob->value_count + 63) / 64 * sizeof(uint64_t);
}

int ws_space_copy(struct ws_space *out, const struct ws_space *space,
                  struct ws_error *err)
{
    int failed = 0;
    struct ws_space copy = {0};
    copy.knobs = calloc(space->knob_count + 1, sizeof(*copy.knobs));
    copy.constraints = calloc(space->constraint_count + 1, sizeof(*copy.constraints));
    if (copy.knobs == NULL || copy.constraints == NULL)
        failed = 1;
    for (size_t k = 0; !failed && k < space->knob_count; k++)
        copy_knob(&copy.knobs[copy.knob_count++], &space->knobs[k], &failed);
    for (size_t c = 0; !failed && c < space->constraint_count; c++) {
        const struct ws_constraint *rule = &space->constraints[c];
        struct ws_constraint *to = &copy.constraints[copy.constraint_count++];
        *to = *rule;
        to->if_values =
            copy_bytes(rule->if_values, set_bytes(&space->knobs[rule->if_knob]), &failed);
        to->then_values = copy_bytes(rule->then_values,
                                     set_bytes(&space->knobs[rule->then_knob]), &failed);
    }
    if (failed) {
        ws_space_fini(&copy);
        return ws_error_nomem(err);
    }
    *out = copy;
    return 0;
}

int ws_space_find(size_t *out, const struct ws_space *space, const char *knob,
                  struct ws_error *err)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        if (strcmp(space->knobs[k].name, knob) == 0) {
            *out = k;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND, "no knob \"%s\"", knob);
}

int ws_knob_find(size_t *out, const struct ws_knob *knob, const char *value,
                 struct ws_error *err)
{
    for (size_t v = 0; v < knob->value_count; v++) {
        if (strcmp(knob->values[v].text, value) == 0) {
            *out = v;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND, "knob \"%s\" has no value \"%s\"",
                        knob->name, value);
}

static int in_set(const uint64_t *set, size_t index)
{
    return (int)(set[index / 64] >> (index % 64) & 1u);
}

int ws_space_allows(const struct ws_space *space, const struct ws_setting *setting)
{
    for (size_t c = 0; c < space->constraint_count; c++) {
        const struct ws_constraint *rule = &space->constraints[c];
        if (in_set(rule->if_values, setting->value[rule->if_knob]) &&
            !in_set(rule->then_values, setting->value[rule->then_knob]))
            return 0;
    }
    return 1;
}

int ws_space_size(uint64_t *out, const struct ws_space *space, struct ws_error *err)
{
    const uint64_t size_max = (uint64_t)1 << 53;
    uint64_t size = 1;
    for (size_t k = 0; k < space->knob_count; k++) {
        uint64_t count = space->knobs[k].value_count;
        if (count != 0 && size > size_max / count)
            return ws_error_set(err, WS_E_LIMIT, "the space has more than 2^53 settings");
        size *= count;
    }
    *out = size;
    return 0;
}

void ws_setting_from_index(struct ws_setting *out, const struct ws_space *space,
                           uint64_t index)
{
    memset(out, 0, sizeof(*out));
    for (size_t k = space->knob_count; k-- > 0;) {
        uint64_t count = space->knobs[k].value_count;
        out->value[k] = (uint16_t)(index % count);
        index /= count;
    }
}

uint64_t ws_setting_to_index(const struct ws_space *space,
                             const struct ws_setting *setting)
{
    uint64_t index = 0;
    for (size_t k = 0; k < space->knob_count; k++)
        index = index * space->knobs[k].value_count + setting->value[k];
    return index;
}

double ws_switch_ms(const double *switch_ms, size_t knob_count,
                    const struct ws_setting *from, const struct ws_setting *to)
{
    double cost = 0;
    if (switch_ms == NULL || from == NULL)
        return 0;
    for (size_t k = 0; k < knob_count; k++) {
        if (from->value[k] != to->value[k])
            cost = fmax(cost, switch_ms[k]);
    }
    return cost;
}
