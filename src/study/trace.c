#include "study/trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/csv.h"

enum { COLUMN_TIME = -1, COLUMN_SCALE = -2 };

struct loading {
    struct ws_trace trace;
    size_t capacity;
    const struct ws_conditions *reference;
    int meaning[WS_CONDITION_COUNT + 2]; /* of each column: a condition or COLUMN_x */
};

static int read_name(int *out, const char *name, struct ws_error *err)
{
    if (strcmp(name, "time_s") == 0) {
        *out = COLUMN_TIME;
        return 0;
    }
    if (strcmp(name, "link_scale") == 0) {
        *out = COLUMN_SCALE;
        return 0;
    }
    for (int i = 0; i < WS_CONDITION_COUNT; i++) {
        if (strcmp(name, ws_condition_name((enum ws_condition)i)) == 0) {
            *out = i;
            return 0;
        }
    }
    return ws_error_set(
        err, WS_E_NOT_FOUND,
        "\"%s\" is no condition (time_s, then link_mbit_s, link_delay_ms, "
        "link_jitter_ms, link_loss, link_scale, edge_load, cloud_load, "
        "temperature_c, battery)",
        name);
}

static int on_header(void *user, const struct ws_csv_row *header, struct ws_error *err)
{
    struct loading *load = user;
    size_t time_column = 0;
    double rate = 0;
    int rc = ws_csv_unique(header, err);
    if (rc == 0)
        rc = ws_csv_column(&time_column, header, "time_s", err);
    for (size_t c = 0; rc == 0 && c < header->count; c++) {
        /* Unique names that are all known cannot outnumber the array. */
        rc = read_name(&load->meaning[c], header->fields[c], err);
        if (rc == 0 && load->meaning[c] == COLUMN_SCALE &&
            ws_conditions_get(&rate, load->reference, WS_LINK_MBIT_S) != 0)
            rc = ws_error_set(err, WS_E_UNKNOWN,
                              "link_scale needs a testbed whose link is known");
    }
    return rc;
}

static int set_condition(struct ws_conditions *out, const struct loading *load,
                         const struct ws_csv_row *row, size_t column,
                         struct ws_error *err)
{
    int meaning = load->meaning[column];
    double value = 0;
    double rate = 0;
    if (row->fields[column][0] == '\0')
        return 0;
    if (meaning == COLUMN_SCALE) {
        int rc = ws_csv_double(&value, row, column, "link_scale", 0, 1e6, err);
        if (rc == 0)
            rc = ws_conditions_get(&rate, load->reference, WS_LINK_MBIT_S);
        if (rc == 0)
            ws_conditions_set(out, WS_LINK_MBIT_S, rate * value);
        return rc;
    }
    enum ws_condition condition = (enum ws_condition)meaning;
    int is_share = condition == WS_EDGE_LOAD || condition == WS_CLOUD_LOAD ||
                   condition == WS_BATTERY || condition == WS_LINK_LOSS;
    int rc = ws_csv_double(&value, row, column, ws_condition_name(condition),
                           condition == WS_TEMPERATURE_C ? -273.15 : 0,
                           is_share ? 1 : 1e12, err);
    if (rc == 0)
        ws_conditions_set(out, condition, value);
    return rc;
}

static int grow(struct loading *load, struct ws_error *err)
{
    if (load->trace.count < load->capacity)
        return 0;
    size_t capacity = load->capacity == 0 ? 64 : load->capacity * 2;
    double *time_s = realloc(load->trace.time_s, capacity * sizeof(*time_s));
    if (time_s == NULL)
        return ws_error_nomem(err);
    load->trace.time_s = time_s;
    struct ws_conditions *at = realloc(load->trace.at, capacity * sizeof(*at));
    if (at == NULL)
        return ws_error_nomem(err);
    load->trace.at = at;
    load->capacity = capacity;
    return 0;
}

static int on_row(void *user, const struct ws_csv_row *row, struct ws_error *err)
{
    struct loading *load = user;
    struct ws_conditions conditions = {0};
    double time_s = 0;
    int rc = grow(load, err);
    for (size_t c = 0; rc == 0 && c < row->count; c++) {
        if (load->meaning[c] == COLUMN_TIME)
            rc = ws_csv_double(&time_s, row, c, "time_s", 0, 1e12, err);
        else
            rc = set_condition(&conditions, load, row, c, err);
    }
    if (rc != 0)
        return rc;
    size_t count = load->trace.count;
    if (count > 0 && time_s <= load->trace.time_s[count - 1])
        return ws_error_set(err, WS_E_FORMAT, "time_s: %g does not come after %g", time_s,
                            load->trace.time_s[count - 1]);
    load->trace.time_s[count] = time_s;
    load->trace.at[count] = conditions;
    load->trace.count++;
    return 0;
}

static int load_trace(struct ws_trace *out, const void *bytes, size_t size,
                      const char *name, const struct ws_conditions *reference,
                      struct ws_error *err)
{
    struct loading load = {.reference = reference};
    struct ws_csv_handler handler = {on_header, on_row, &load};
    int rc = bytes == NULL
                 ? ws_csv_read(name, WS_TRACE_ROWS_MAX, &handler, err)
                 : ws_csv_parse(bytes, size, name, WS_TRACE_ROWS_MAX, &handler, err);
    if (rc == 0 && load.trace.count == 0)
        rc = ws_error_set(err, WS_E_FORMAT, "%s: no rows, expected at least one", name);
    if (rc == 0)
        *out = load.trace;
    else
        ws_trace_fini(&load.trace);
    return rc;
}

int ws_trace_load(struct ws_trace *out, const char *path,
                  const struct ws_conditions *reference, struct ws_error *err)
{
    return load_trace(out, NULL, 0, path, reference, err);
}

int ws_trace_parse(struct ws_trace *out, const void *bytes, size_t size, const char *name,
                   const struct ws_conditions *reference, struct ws_error *err)
{
    return load_trace(out, size == 0 ? "" : bytes, size, name, reference, err);
}

void ws_trace_fini(struct ws_trace *trace)
{
    free(trace->time_s);
    free(trace->at);
    *trace = (struct ws_trace){0};
}

void ws_trace_at(const struct ws_trace *trace, double time_s,
                 struct ws_conditions *conditions)
{
    if (trace == NULL || trace->count == 0 || time_s < trace->time_s[0])
        return;
    size_t low = 0;
    size_t high = trace->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (trace->time_s[middle] <= time_s)
            low = middle;
        else
            high = middle;
    }
    const struct ws_conditions *at = &trace->at[low];
    for (int i = 0; i < WS_CONDITION_COUNT; i++) {
        if ((at->known >> i & 1u) != 0)
            ws_conditions_set(conditions, (enum ws_condition)i, at->value[i]);
    }
}
