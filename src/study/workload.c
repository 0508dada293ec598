#include "study/workload.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/csv.h"
#include "base/file.h"
#include "base/rng.h"

struct loading {
    struct ws_workload workload;
    size_t capacity;
    size_t index_column;
    size_t deadline_column;
    size_t arrival_column;  /* SIZE_MAX: none */
    size_t accuracy_column; /* likewise */
};

static int on_header(void *user, const struct ws_csv_row *header, struct ws_error *err)
{
    struct loading *load = user;
    load->arrival_column = SIZE_MAX;
    load->accuracy_column = SIZE_MAX;
    int rc = ws_csv_unique(header, err);
    if (rc == 0)
        rc = ws_csv_column(&load->index_column, header, "index", err);
    if (rc == 0)
        rc = ws_csv_column(&load->deadline_column, header, "deadline_ms", err);
    if (rc != 0)
        return rc;
    load->workload.has_arrivals =
        ws_csv_column(&load->arrival_column, header, "arrival_ms", NULL) == 0;
    load->workload.has_accuracy =
        ws_csv_column(&load->accuracy_column, header, "min_accuracy", NULL) == 0;
    return 0;
}

static int read_request(struct ws_request *out, const struct loading *load,
                        const struct ws_csv_row *row, struct ws_error *err)
{
    const double ms_max = 1e15;
    size_t index = 0;
    int rc = ws_csv_size(&index, row, load->index_column, "index", INT64_MAX, err);
    if (rc == 0)
        rc = ws_csv_double(&out->deadline_ms, row, load->deadline_column, "deadline_ms",
                           0, ms_max, err);
    if (rc == 0 && out->deadline_ms <= 0)
        rc = ws_error_set(err, WS_E_LIMIT,
                          "column %zu: deadline_ms: expected more than 0, got %s",
                          load->deadline_column + 1, row->fields[load->deadline_column]);
    if (rc == 0 && load->workload.has_arrivals)
        rc = ws_csv_double(&out->arrival_ms, row, load->arrival_column, "arrival_ms", 0,
                           ms_max, err);
    if (rc == 0 && load->workload.has_accuracy)
        rc = ws_csv_double(&out->min_accuracy, row, load->accuracy_column, "min_accuracy",
                           0, 1, err);
    out->index = index;
    return rc;
}

static int on_row(void *user, const struct ws_csv_row *row, struct ws_error *err)
{
    struct loading *load = user;
    struct ws_workload *workload = &load->workload;
    if (workload->count == load->capacity) {
        size_t capacity = load->capacity == 0 ? 1024 : load->capacity * 2;
        struct ws_request *grown =
            realloc(workload->requests, capacity * sizeof(*workload->requests));
        if (grown == NULL)
            return ws_error_nomem(err);
        workload->requests = grown;
        load->capacity = capacity;
    }
    struct ws_request request = {0};
    int rc = read_request(&request, load, row, err);
    if (rc != 0)
        return rc;
    size_t before = workload->count;
    if (before > 0 && request.arrival_ms < workload->requests[before - 1].arrival_ms)
        return ws_error_set(
            err, WS_E_FORMAT,
            "column %zu: arrival_ms: %g comes before the request above it (%g)",
            load->arrival_column + 1, request.arrival_ms,
            workload->requests[before - 1].arrival_ms);
    workload->requests[workload->count++] = request;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static int check_indices(const struct ws_workload *workload, const char *name,
                         struct ws_error *err)
{
    if (workload->count == 0)
        return ws_error_set(err, WS_E_FORMAT,
                            "%s: no rows, expected at least one request", name);
    uint64_t *sorted = malloc(workload->count * sizeof(*sorted));
    if (sorted == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < workload->count; i++)
        sorted[i] = workload->requests[i].index;
    qsort(sorted, workload->count, sizeof(*sorted), by_value);
    int rc = 0;
    for (size_t i = 1; rc == 0 && i < workload->count; i++) {
        if (sorted[i] == sorted[i - 1])
            rc = ws_error_set(err, WS_E_FORMAT, "%s: index %" PRIu64 " is there twice",
                              name, sorted[i]);
    }
    free(sorted);
    return rc;
}

static int load_workload(struct ws_workload *out, const void *bytes, size_t size,
                         const char *name, struct ws_error *err)
{
    struct loading load = {0};
    struct ws_csv_handler handler = {on_header, on_row, &load};
    int rc = bytes == NULL
                 ? ws_csv_read(name, WS_WORKLOAD_MAX, &handler, err)
                 : ws_csv_parse(bytes, size, name, WS_WORKLOAD_MAX, &handler, err);
    if (rc == 0)
        rc = check_indices(&load.workload, name, err);
    if (rc == 0)
        *out = load.workload;
    else
        ws_workload_fini(&load.workload);
    return rc;
}

int ws_workload_load(struct ws_workload *out, const char *path, struct ws_error *err)
{
    return load_workload(out, NULL, 0, path, err);
}

int ws_workload_parse(struct ws_workload *out, const void *bytes, size_t size,
                      const char *name, struct ws_error *err)
{
    return load_workload(out, size == 0 ? "" : bytes, size, name, err);
}

int ws_workload_draw(struct ws_workload *out, const struct ws_workload_draw *draw,
                     struct ws_error *err)
{
    struct ws_rng rng;
    double least = INFINITY, most = -INFINITY;
    struct ws_request *requests = calloc(draw->count + 1, sizeof(*requests));
    if (requests == NULL)
        return ws_error_nomem(err);
    ws_rng_init(&rng, draw->seed);
    for (size_t i = 0; i < draw->count; i++) {
        double x = ws_rng_weibull(&rng, 1);
        least = fmin(least, x);
        most = fmax(most, x);
        requests[i] = (struct ws_request){
            .index = i, .deadline_ms = x, .arrival_ms = draw->every_ms * (double)i};
    }
    double scale = (draw->slowest_ms - draw->fastest_ms) / (most - least);
    for (size_t i = 0; i < draw->count; i++)
        requests[i].deadline_ms =
            draw->fastest_ms + (requests[i].deadline_ms - least) * scale;
    *out = (struct ws_workload){
        .requests = requests, .count = draw->count, .has_arrivals = draw->every_ms > 0};
    return 0;
}

int ws_workload_save(const struct ws_workload *workload, const char *path,
                     struct ws_error *err)
{
    struct ws_buf text;
    ws_buf_init(&text, WS_TEXT_FILE_MAX);
    int rc = ws_buf_printf(&text, err, "index,deadline_ms%s%s\n",
                           workload->has_arrivals ? ",arrival_ms" : "",
                           workload->has_accuracy ? ",min_accuracy" : "");
    for (size_t i = 0; rc == 0 && i < workload->count; i++) {
        const struct ws_request *request = &workload->requests[i];
        rc = ws_buf_printf(&text, err, "%" PRIu64 ",%.9g", request->index,
                           request->deadline_ms);
        if (rc == 0 && workload->has_arrivals)
            rc = ws_buf_printf(&text, err, ",%.9g", request->arrival_ms);
        if (rc == 0 && workload->has_accuracy)
            rc = ws_buf_printf(&text, err, ",%.9g", request->min_accuracy);
        if (rc == 0)
            rc = ws_buf_add_text(&text, "\n", err);
    }
    if (rc == 0)
        rc = strcmp(path, "-") == 0
                 ? ws_file_write_fd(STDOUT_FILENO, text.data, text.size, err)
                 : ws_file_write(path, text.data, text.size, err);
    ws_buf_fini(&text);
    return rc;
}

void ws_workload_fini(struct ws_workload *workload)
{
    free(workload->requests);
    *workload = (struct ws_workload){0};
}
