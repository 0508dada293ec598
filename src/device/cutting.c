#include "device/cutting.h"

#include <stdlib.h>
#include <string.h>

static int read_class(size_t *out, const struct ws_json *member, struct ws_error *err)
{
    size_t c = 0;
    while (c < WS_WORK_CLASS_COUNT &&
           strcmp(member->key, ws_work_class_name((enum ws_work_class)c)) != 0)
        c++;
    *out = c;
    return c < WS_WORK_CLASS_COUNT
               ? 0
               : ws_json_fail(member, WS_E_NOT_FOUND, err, "there is no such class");
}

static double *amount_of(struct ws_work *work, size_t offset, size_t which)
{
    return (double *)((char *)work + offset) + which;
}

/* {CLASS: [n for each cut]}. */
static int read_by_class(struct ws_work *out, size_t cuts, const struct ws_json *node,
                         size_t offset, struct ws_error *err)
{
    struct ws_json member = {0};
    double *amounts = calloc(cuts, sizeof(*amounts));
    int rc = amounts == NULL ? ws_error_nomem(err) : ws_json_object(node, err);
    while (rc == 0 && ws_json_next(&member, node)) {
        size_t c = 0;
        rc = read_class(&c, &member, err);
        if (rc == 0)
            rc = ws_json_doubles(amounts, &member, cuts, 0, 1e18, err);
        for (size_t i = 0; rc == 0 && i < cuts; i++)
            *amount_of(&out[i], offset, c) = amounts[i];
    }
    free(amounts);
    return rc;
}

/* {"total": {CLASS: n}, "edge": {CLASS: [n before each cut]}}, of multiplications or of
 * bytes; or, where the edge works on while the rest is away, {"edge", "beside", "cloud"}
 * of {CLASS: [n for each value]}. `offset` is where struct ws_work has them. */
static int read_amounts(struct ws_cutting *out, const struct ws_json *node, size_t offset,
                        struct ws_error *err)
{
    static const char *const keys[] = {"total", "edge", "beside", "cloud", NULL};
    struct ws_json edge, part, totals, member = {0};
    int rc = ws_json_only(node, keys, err);
    if (rc == 0)
        rc = ws_json_member(&edge, node, "edge", err);
    if (rc == 0)
        rc = read_by_class(out->before, out->count, &edge, offset, err);
    if (rc == 0 && ws_json_find(&part, node, "beside")) {
        if (out->beside == NULL)
            out->beside = calloc(out->count, sizeof(*out->beside));
        rc = out->beside == NULL
                 ? ws_error_nomem(err)
                 : read_by_class(out->beside, out->count, &part, offset, err);
        if (rc == 0)
            rc = ws_json_member(&part, node, "cloud", err);
        return rc == 0 ? read_by_class(out->after, out->count, &part, offset, err) : rc;
    }
    if (rc == 0)
        rc = ws_json_member(&totals, node, "total", err);
    if (rc == 0)
        rc = ws_json_object(&totals, err);
    while (rc == 0 && ws_json_next(&member, &totals)) {
        double total = 0;
        size_t c = 0;
        rc = read_class(&c, &member, err);
        if (rc == 0)
            rc = ws_json_double(&total, &member, 0, 1e18, err);
        if (rc == 0)
            rc = ws_json_member(&part, &edge, member.key, err);
        for (size_t i = 0; rc == 0 && i < out->count; i++) {
            double before = *amount_of(&out->before[i], offset, c);
            if (before > total)
                rc = ws_json_fail(&member, WS_E_FORMAT, err,
                                  "more lies before value %zu: %g", i, before);
            *amount_of(&out->after[i], offset, c) = total - before;
        }
    }
    return rc;
}

static int read_crossing(struct ws_cutting *out, const struct ws_json *list,
                         struct ws_error *err)
{
    double *bytes = calloc(out->count, sizeof(*bytes));
    if (bytes == NULL)
        return ws_error_nomem(err);
    int rc = ws_json_doubles(bytes, list, out->count, 0, 1e15, err);
    for (size_t i = 0; rc == 0 && i < out->count; i++)
        out->before[i].crossing_bytes = out->after[i].crossing_bytes = bytes[i];
    free(bytes);
    return rc;
}

static int read_cutting(struct ws_cutting *out, const struct ws_json *cut,
                        struct ws_error *err)
{
    struct ws_json list;
    struct ws_json amounts;
    int rc = ws_json_member(&list, cut, "crossing_bytes", err);
    if (rc == 0)
        rc = ws_json_array(&list, err);
    if (rc != 0)
        return rc;
    if (out->count == 0)
        out->count = ws_json_count(&list);
    if (out->count < 1 || out->count > WS_KNOB_VALUES_MAX)
        return ws_json_fail(&list, WS_E_LIMIT, err, "expected 1 to %d numbers, got %zu",
                            WS_KNOB_VALUES_MAX, out->count);
    out->before = calloc(out->count, sizeof(*out->before));
    out->after = calloc(out->count, sizeof(*out->after));
    if (out->before == NULL || out->after == NULL)
        return ws_error_nomem(err);
    rc = ws_json_member(&amounts, cut, "macs", err);
    if (rc == 0)
        rc = read_amounts(out, &amounts, offsetof(struct ws_work, macs), err);
    if (rc == 0 && ws_json_find(&amounts, cut, "bytes"))
        rc = read_amounts(out, &amounts, offsetof(struct ws_work, bytes), err);
    return rc == 0 ? read_crossing(out, &list, err) : rc;
}

int ws_cutting_read(struct ws_cutting *out, const struct ws_json *cut, size_t count,
                    struct ws_error *err)
{
    struct ws_cutting made = {.count = count};
    int rc = read_cutting(&made, cut, err);
    if (rc == 0)
        *out = made;
    else
        ws_cutting_fini(&made);
    return rc;
}

void ws_cutting_fini(struct ws_cutting *cutting)
{
    free(cutting->before);
    free(cutting->after);
    free(cutting->beside);
    *cutting = (struct ws_cutting){0};
}
