#include "study/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "base/log.h"
#include "base/names.h"
#include "base/parse.h"
#include "base/stats.h"
#include "study/link_estimate.h"

static const char knob_prefix[] = "knob.";

/* A table while it is read, samples still in the file's order. */
struct loading {
    struct ws_table *table;
    const char *name;
    struct ws_names values[WS_KNOBS_MAX]; /* text of a value -> its index */
    size_t knob_column[WS_KNOBS_MAX];
    size_t measure_column[WS_MEASURE_COUNT]; /* SIZE_MAX: none */
    uint64_t *index;                         /* [capacity]: setting of each sample */
    size_t capacity;
};

/* --- The header ----------------------------------------------------------------------
 */

static int find_measures(struct loading *load, const struct ws_csv_row *header,
                         struct ws_error *err)
{
    for (size_t m = 0; m < WS_MEASURE_COUNT; m++)
        load->measure_column[m] = SIZE_MAX;
    for (size_t c = 0; c < header->count; c++) {
        const char *name = header->fields[c];
        enum ws_measure measure;
        size_t knob = 0;
        if (strncmp(name, knob_prefix, sizeof(knob_prefix) - 1) == 0) {
            int rc = ws_space_find(&knob, &load->table->testbed->space,
                                   name + sizeof(knob_prefix) - 1, err);
            if (rc != 0)
                return ws_error_context(err, "column %zu", c + 1);
        } else if (ws_measure_find(&measure, name, NULL) == 0) {
            load->measure_column[measure] = c;
        } else {
            ws_log(WS_LOG_INFO, "%s: column \"%s\" is no measure and is passed over",
                   load->name, name);
        }
    }
    const struct ws_testbed *testbed = load->table->testbed;
    for (size_t i = 0; i < testbed->objective_count; i++) {
        if (load->measure_column[testbed->objectives[i]] == SIZE_MAX)
            return ws_error_set(err, WS_E_FORMAT,
                                "no column \"%s\", which is an objective of the testbed",
                                ws_measure_name(testbed->objectives[i]));
    }
    return 0;
}

static int on_header(void *user, const struct ws_csv_row *header, struct ws_error *err)
{
    struct loading *load = user;
    const struct ws_space *space = &load->table->testbed->space;
    int rc = ws_csv_unique(header, err);
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++) {
        char name[WS_NAME_MAX + sizeof(knob_prefix)];
        (void)snprintf(name, sizeof(name), "%s%s", knob_prefix, space->knobs[k].name);
        rc = ws_csv_column(&load->knob_column[k], header, name, err);
        for (size_t v = 0; rc == 0 && v < space->knobs[k].value_count; v++)
            rc = ws_names_add(&load->values[k], space->knobs[k].values[v].text, v, err);
    }
    return rc != 0 ? rc : find_measures(load, header, err);
}

/* --- Rows ----------------------------------------------------------------------------
 */

/* A field names a value by its text, or by its number ("1800000.0"). */
static int read_knob(size_t *out, const struct loading *load, size_t k, const char *field,
                     struct ws_error *err)
{
    const struct ws_knob *knob = &load->table->testbed->space.knobs[k];
    double number = 0;
    if (ws_names_find(out, &load->values[k], field))
        return 0;
    if (ws_parse_double(&number, field, "value", NULL) == 0) {
        for (size_t v = 0; v < knob->value_count; v++) {
            if (knob->values[v].number_count == 1 &&
                knob->values[v].numbers[0] == number) {
                *out = v;
                return 0;
            }
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND,
                        "column %zu: knob \"%s\" has no value \"%s\"",
                        load->knob_column[k] + 1, knob->name, field);
}

static int grow(struct loading *load, struct ws_error *err)
{
    struct ws_table *table = load->table;
    if (table->sample_count < load->capacity)
        return 0;
    size_t capacity = load->capacity == 0 ? 1024 : load->capacity * 2;
    uint64_t *index = realloc(load->index, capacity * sizeof(*index));
    if (index == NULL)
        return ws_error_nomem(err);
    load->index = index;
    uint32_t *known = realloc(table->known, capacity * sizeof(*known));
    if (known == NULL)
        return ws_error_nomem(err);
    table->known = known;
    for (size_t m = 0; m < WS_MEASURE_COUNT; m++) {
        if (load->measure_column[m] == SIZE_MAX)
            continue;
        double *value = realloc(table->value[m], capacity * sizeof(*value));
        if (value == NULL)
            return ws_error_nomem(err);
        table->value[m] = value;
    }
    load->capacity = capacity;
    return 0;
}

static int read_measures(struct loading *load, const struct ws_csv_row *row,
                         struct ws_error *err)
{
    struct ws_table *table = load->table;
    size_t at = table->sample_count;
    table->known[at] = 0;
    for (size_t m = 0; m < WS_MEASURE_COUNT; m++) {
        size_t column = load->measure_column[m];
        if (column == SIZE_MAX)
            continue;
        table->value[m][at] = 0;
        if (row->fields[column][0] == '\0')
            continue;
        int rc = ws_csv_double(&table->value[m][at], row, column,
                               ws_measure_name((enum ws_measure)m), 0,
                               m == WS_ACCURACY ? 1 : 1e300, err);
        if (rc != 0)
            return rc;
        table->known[at] |= 1u << m;
    }
    return 0;
}

static int on_row(void *user, const struct ws_csv_row *row, struct ws_error *err)
{
    struct loading *load = user;
    struct ws_table *table = load->table;
    const struct ws_space *space = &table->testbed->space;
    struct ws_setting setting = {0};
    int rc = grow(load, err);
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++) {
        size_t v = 0;
        rc = read_knob(&v, load, k, row->fields[load->knob_column[k]], err);
        setting.value[k] = (uint16_t)v;
    }
    if (rc == 0 && !ws_space_allows(space, &setting))
        rc = ws_error_set(err, WS_E_INFEASIBLE,
                          "the testbed's constraints forbid this setting");
    if (rc == 0)
        rc = read_measures(load, row, err);
    if (rc != 0)
        return rc;
    load->index[table->sample_count++] = ws_setting_to_index(space, &setting);
    return 0;
}

/* --- By setting ----------------------------------------------------------------------
 */

struct order {
    uint64_t index;
    uint32_t sample;
};

static int by_index(const void *a, const void *b)
{
    const struct order *x = a;
    const struct order *y = b;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

/* Moves column after column into the order, through one spare column. */
static int reorder(struct ws_table *table, const struct order *order,
                   struct ws_error *err)
{
    size_t count = table->sample_count;
    double *spare = malloc(count * sizeof(*spare));
    uint32_t *known = malloc(count * sizeof(*known));
    if (spare == NULL || known == NULL) {
        free(spare);
        free(known);
        return ws_error_nomem(err);
    }
    for (size_t m = 0; m < WS_MEASURE_COUNT; m++) {
        double *value = table->value[m];
        if (value == NULL)
            continue;
        for (size_t i = 0; i < count; i++)
            spare[i] = value[order[i].sample];
        memcpy(value, spare, count * sizeof(*value));
    }
    for (size_t i = 0; i < count; i++)
        known[i] = table->known[order[i].sample];
    free(table->known);
    table->known = known;
    free(spare);
    return 0;
}

static int index_settings(struct loading *load, struct ws_error *err)
{
    struct ws_table *table = load->table;
    size_t count = table->sample_count;
    struct order *order = malloc(count * sizeof(*order));
    if (order == NULL)
        return ws_error_nomem(err);
    size_t settings = 0;
    for (size_t i = 0; i < count; i++)
        order[i] = (struct order){load->index[i], (uint32_t)i};
    qsort(order, count, sizeof(*order), by_index);
    for (size_t i = 0; i < count; i++)
        settings += i == 0 || order[i].index != order[i - 1].index;
    table->index = malloc(settings * sizeof(*table->index));
    table->first = malloc((settings + 1) * sizeof(*table->first));
    int rc = table->index == NULL || table->first == NULL ? ws_error_nomem(err)
                                                          : reorder(table, order, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (i > 0 && order[i].index == order[i - 1].index)
            continue;
        table->index[table->setting_count] = order[i].index;
        table->first[table->setting_count++] = (uint32_t)i;
    }
    if (rc == 0)
        table->first[settings] = (uint32_t)count;
    free(order);
    return rc;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    return x ^ (x >> 29);
}

static int hash_settings(struct ws_table *table, struct ws_error *err)
{
    table->slot_count = 16;
    while (table->slot_count < 2 * table->setting_count)
        table->slot_count *= 2;
    table->slots = calloc(table->slot_count, sizeof(*table->slots));
    if (table->slots == NULL)
        return ws_error_nomem(err);
    for (size_t s = 0; s < table->setting_count; s++) {
        size_t at = mix(table->index[s]) & (table->slot_count - 1);
        while (table->slots[at] != 0)
            at = (at + 1) & (table->slot_count - 1);
        table->slots[at] = s + 1;
    }
    return 0;
}

/* --- What is derived -----------------------------------------------------------------
 */

static int take_means(struct ws_table *table, struct ws_error *err)
{
    table->means = calloc(table->setting_count, sizeof(*table->means));
    if (table->means == NULL)
        return ws_error_nomem(err);
    for (size_t s = 0; s < table->setting_count; s++) {
        struct ws_outcome *mean = &table->means[s];
        size_t samples = ws_table_samples_of(table, s);
        mean->known = (1u << WS_MEASURE_COUNT) - 1;
        mean->truth = table->testbed->truth;
        for (size_t i = table->first[s]; i < table->first[s + 1]; i++)
            mean->known &= table->known[i];
        for (size_t m = 0; m < WS_MEASURE_COUNT; m++) {
            if (!ws_outcome_knows(mean, (enum ws_measure)m))
                continue;
            double sum = 0;
            for (size_t i = table->first[s]; i < table->first[s + 1]; i++)
                sum += table->value[m][i];
            mean->value[m] = sum / (double)samples;
        }
    }
    return 0;
}

/* x / mean, its distance from 1 widened because the mean came from the same samples. */
static double residual(const struct ws_table *table, enum ws_measure measure,
                       const struct ws_outcome *mean, size_t sample, double widening)
{
    const double least = 0.01; /* times and energies stay positive */
    if (!ws_outcome_knows(mean, measure) || mean->value[measure] <= 0)
        return 1;
    double r = 1 + (table->value[measure][sample] / mean->value[measure] - 1) * widening;
    return r > least ? r : least;
}

static int pool_residuals(struct ws_table *table, struct ws_error *err)
{
    size_t count = 0;
    for (size_t s = 0; s < table->setting_count; s++) {
        size_t samples = ws_table_samples_of(table, s);
        count += samples > 1 ? samples : 0;
    }
    if (count == 0)
        return 0;
    table->residuals = malloc(count * sizeof(*table->residuals));
    if (table->residuals == NULL)
        return ws_error_nomem(err);
    for (size_t s = 0; s < table->setting_count; s++) {
        double n = (double)ws_table_samples_of(table, s);
        if (n < 2)
            continue;
        double widening = sqrt(n / (n - 1));
        for (size_t i = table->first[s]; i < table->first[s + 1]; i++) {
            double *pair = table->residuals[table->residual_count++];
            pair[0] = residual(table, WS_LATENCY_MS, &table->means[s], i, widening);
            pair[1] = residual(table, WS_ENERGY_J, &table->means[s], i, widening);
        }
    }
    return 0;
}

static int find_link(struct ws_table *table, struct ws_error *err)
{
    table->reference = table->testbed->link;
    if (table->reference.known != 0)
        return 0;
    int rc = ws_link_estimate(&table->reference, table->means, table->setting_count, err);
    table->link_estimated = rc == 0;
    return rc == WS_E_UNKNOWN ? 0 : rc;
}

/* --- Interface -----------------------------------------------------------------------
 */

static int finish(struct loading *load, struct ws_error *err)
{
    struct ws_table *table = load->table;
    if (table->sample_count == 0)
        return ws_error_set(err, WS_E_FORMAT,
                            "%s: no rows, expected at least one setting", load->name);
    int rc = index_settings(load, err);
    if (rc == 0)
        rc = hash_settings(table, err);
    if (rc == 0)
        rc = take_means(table, err);
    if (rc == 0)
        rc = pool_residuals(table, err);
    if (rc == 0)
        rc = find_link(table, err);
    return rc;
}

static int load_table(struct ws_table *out, const struct ws_testbed *testbed,
                      const void *bytes, size_t size, const char *name,
                      struct ws_error *err)
{
    struct ws_table table = {.testbed = testbed};
    struct loading load = {.table = &table, .name = name};
    struct ws_csv_handler handler = {on_header, on_row, &load};
    int rc = bytes == NULL
                 ? ws_csv_read(name, WS_TABLE_ROWS_MAX, &handler, err)
                 : ws_csv_parse(bytes, size, name, WS_TABLE_ROWS_MAX, &handler, err);
    if (rc == 0)
        rc = finish(&load, err);
    for (size_t k = 0; k < WS_KNOBS_MAX; k++)
        ws_names_fini(&load.values[k]);
    free(load.index);
    if (rc == 0)
        *out = table;
    else
        ws_table_fini(&table);
    return rc;
}

int ws_table_load(struct ws_table *out, const struct ws_testbed *testbed,
                  struct ws_error *err)
{
    if (testbed->table_path == NULL)
        return ws_error_set(err, WS_E_NOT_FOUND, "testbed \"%s\" names no table",
                            testbed->name);
    return load_table(out, testbed, NULL, 0, testbed->table_path, err);
}

int ws_table_parse(struct ws_table *out, const struct ws_testbed *testbed,
                   const void *bytes, size_t size, const char *name, struct ws_error *err)
{
    return load_table(out, testbed, size == 0 ? "" : bytes, size, name, err);
}

void ws_table_fini(struct ws_table *table)
{
    for (size_t m = 0; m < WS_MEASURE_COUNT; m++)
        free(table->value[m]);
    free(table->index);
    free(table->first);
    free(table->means);
    free(table->known);
    free(table->residuals);
    free(table->slots);
    *table = (struct ws_table){0};
}

int ws_table_find(size_t *out, const struct ws_table *table,
                  const struct ws_setting *setting)
{
    uint64_t index = ws_setting_to_index(&table->testbed->space, setting);
    size_t at = mix(index) & (table->slot_count - 1);
    for (; table->slots[at] != 0; at = (at + 1) & (table->slot_count - 1)) {
        if (table->index[table->slots[at] - 1] == index) {
            *out = table->slots[at] - 1;
            return 1;
        }
    }
    return 0;
}

void ws_table_setting(struct ws_setting *out, const struct ws_table *table, size_t number)
{
    ws_setting_from_index(out, &table->testbed->space, table->index[number]);
}

size_t ws_table_samples_of(const struct ws_table *table, size_t number)
{
    return table->first[number + 1] - table->first[number];
}

void ws_table_sample(struct ws_outcome *out, const struct ws_table *table, size_t number,
                     size_t k)
{
    size_t at = table->first[number] + k;
    struct ws_outcome sample = {.known = table->known[at],
                                .truth = table->testbed->truth};
    for (size_t m = 0; m < WS_MEASURE_COUNT; m++) {
        if (table->value[m] != NULL)
            sample.value[m] = table->value[m][at];
    }
    *out = sample;
}
