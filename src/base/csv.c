#include "base/csv.h"

#include <csv.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/parse.h"

/* One reading. libcsv hands over fields and row ends by callback and cannot be stopped
 * from inside one, so after a failure the callbacks do nothing. */
struct reading {
    struct csv_parser parser;
    const char *name;
    const struct ws_csv_handler *handler;
    size_t rows_max;
    struct ws_buf text; /* the row's fields, each with its NUL */
    size_t *offsets;    /* of the fields in text */
    char **fields;
    size_t count;
    size_t capacity;
    size_t columns; /* 0 until the header was seen */
    size_t row_count;
    size_t line;        /* of the row being read */
    size_t inner_lines; /* line ends inside its quoted fields */
    int rc;
    struct ws_error *err;
};

static int grow_fields(struct reading *r)
{
    if (r->count < r->capacity)
        return 0;
    size_t capacity = r->capacity == 0 ? 16 : r->capacity * 2;
    if (capacity > WS_CSV_COLUMNS_MAX)
        return ws_error_set(r->err, WS_E_LIMIT, "more than %d columns",
                            WS_CSV_COLUMNS_MAX);
    size_t *offsets = realloc(r->offsets, capacity * sizeof(*offsets));
    if (offsets == NULL)
        return ws_error_nomem(r->err);
    r->offsets = offsets;
    char **fields = realloc(r->fields, capacity * sizeof(*fields));
    if (fields == NULL)
        return ws_error_nomem(r->err);
    r->fields = fields;
    r->capacity = capacity;
    return 0;
}

static void on_field(void *bytes, size_t size, void *user)
{
    struct reading *r = user;
    if (r->rc != 0)
        return;
    r->rc = grow_fields(r);
    if (r->rc != 0)
        return;
    if (size > 0 && memchr(bytes, '\0', size) != NULL) {
        r->rc =
            ws_error_set(r->err, WS_E_FORMAT, "a NUL byte in field %zu", r->count + 1);
        return;
    }
    for (const char *at = bytes; size > 0 && at != NULL; at++) {
        at = memchr(at, '\n', size - (size_t)(at - (const char *)bytes));
        if (at == NULL)
            break;
        r->inner_lines++;
    }
    r->offsets[r->count++] = r->text.size;
    r->rc = size > 0 ? ws_buf_add(&r->text, bytes, size, r->err) : 0;
    if (r->rc == 0)
        r->rc = ws_buf_add(&r->text, "", 1, r->err);
}

static int give_row(struct reading *r)
{
    for (size_t i = 0; i < r->count; i++)
        r->fields[i] = r->text.data + r->offsets[i];
    struct ws_csv_row row = {.fields = r->fields, .count = r->count, .line = r->line};
    if (r->columns == 0) {
        r->columns = r->count;
        return r->handler->header == NULL
                   ? 0
                   : r->handler->header(r->handler->user, &row, r->err);
    }
    if (r->count != r->columns)
        return ws_error_set(r->err, WS_E_FORMAT, "expected %zu fields, got %zu",
                            r->columns, r->count);
    if (++r->row_count > r->rows_max)
        return ws_error_set(r->err, WS_E_LIMIT, "more than %zu rows", r->rows_max);
    return r->handler->row(r->handler->user, &row, r->err);
}

/* With CSV_REPALL_NL every line end comes here, an empty line's with no fields. "\r\n"
 * ends a row once and leaves an empty one behind, told apart by the character. */
static void on_row(int terminator, void *user)
{
    struct reading *r = user;
    if (r->rc != 0)
        return;
    if (r->count > 0) {
        r->rc = give_row(r);
        if (r->rc != 0)
            return;
    }
    r->line += r->inner_lines + (terminator == CSV_LF);
    r->inner_lines = 0;
    r->count = 0;
    ws_buf_clear(&r->text);
}

static int feed(struct reading *r, const void *bytes, size_t size)
{
    size_t done = csv_parse(&r->parser, bytes, size, on_field, on_row, r);
    if (r->rc == 0 && done != size)
        r->rc =
            ws_error_set(r->err, WS_E_FORMAT, "%s", csv_strerror(csv_error(&r->parser)));
    return r->rc;
}

static int start(struct reading *r, const char *name, size_t rows_max,
                 const struct ws_csv_handler *handler, struct ws_error *err)
{
    *r = (struct reading){
        .name = name, .handler = handler, .rows_max = rows_max, .line = 1, .err = err};
    ws_buf_init(&r->text, WS_TEXT_FILE_MAX);
    if (csv_init(&r->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL) != 0)
        return ws_error_nomem(err);
    return 0;
}

/* Ends the reading, whatever happened, and frees it. */
static int finish(struct reading *r)
{
    if (r->rc == 0 && csv_fini(&r->parser, on_field, on_row, r) != 0 && r->rc == 0)
        r->rc = ws_error_set(r->err, WS_E_FORMAT, "a quoted field without its end");
    if (r->rc != 0)
        ws_error_context(r->err, "%s:%zu", r->name, r->line);
    else if (r->columns == 0)
        r->rc = ws_error_set(r->err, WS_E_FORMAT, "%s: empty, expected a header line",
                             r->name);
    csv_free(&r->parser);
    ws_buf_fini(&r->text);
    free(r->offsets);
    free(r->fields);
    return r->rc;
}

int ws_csv_parse(const void *bytes, size_t size, const char *name, size_t rows_max,
                 const struct ws_csv_handler *handler, struct ws_error *err)
{
    struct reading r;
    int rc = start(&r, name, rows_max, handler, err);
    if (rc != 0)
        return rc;
    if (size > 0)
        (void)feed(&r, bytes, size);
    return finish(&r);
}

int ws_csv_read(const char *path, size_t rows_max, const struct ws_csv_handler *handler,
                struct ws_error *err)
{
    int from_stdin = strcmp(path, "-") == 0;
    int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "open %s", path);
    struct reading r;
    int rc = start(&r, path, rows_max, handler, err);
    if (rc != 0)
        goto out;
    for (;;) {
        char chunk[65536];
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            r.rc = ws_error_set_errno(err, WS_E_IO, errno, "read");
        if (got <= 0 || feed(&r, chunk, (size_t)got) != 0)
            break;
    }
    rc = finish(&r);
out:
    if (!from_stdin)
        close(fd);
    return rc;
}

int ws_csv_column(size_t *out, const struct ws_csv_row *header, const char *name,
                  struct ws_error *err)
{
    for (size_t i = 0; i < header->count; i++) {
        if (strcmp(header->fields[i], name) == 0) {
            *out = i;
            return 0;
        }
    }
    char names[320] = "";
    size_t used = 0;
    for (size_t i = 0; i < header->count && used < sizeof(names); i++) {
        int put = snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "",
                           header->fields[i]);
        used += put > 0 ? (size_t)put : 0;
    }
    return ws_error_set(err, WS_E_NOT_FOUND, "no column \"%s\" among %s", name, names);
}

int ws_csv_unique(const struct ws_csv_row *header, struct ws_error *err)
{
    for (size_t i = 0; i < header->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(header->fields[i], header->fields[k]) == 0)
                return ws_error_set(err, WS_E_FORMAT, "column \"%s\" is there twice",
                                    header->fields[i]);
        }
    }
    return 0;
}

int ws_csv_double(double *out, const struct ws_csv_row *row, size_t column,
                  const char *name, double min, double max, struct ws_error *err)
{
    double value = 0;
    int rc = ws_parse_double(&value, row->fields[column], name, err);
    if (rc != 0)
        return ws_error_context(err, "column %zu", column + 1);
    if (value < min || value > max)
        return ws_error_set(err, WS_E_LIMIT, "column %zu: %s: %g is outside %g .. %g",
                            column + 1, name, value, min, max);
    *out = value;
    return 0;
}

int ws_csv_size(size_t *out, const struct ws_csv_row *row, size_t column,
                const char *name, size_t max, struct ws_error *err)
{
    int rc = ws_parse_size(out, row->fields[column], 0, max, name, err);
    return rc != 0 && err != NULL ? ws_error_context(err, "column %zu", column + 1) : rc;
}
