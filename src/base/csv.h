/*
 * CSV with a header line, read row by row over libcsv, so that a file may be larger than
 * memory. A handler sees the header once and then every row; what it refuses is reported
 * with file and line. Every row must have as many fields as the header, blank lines are
 * skipped, fields may be quoted, and the text of a row lives until its handler returns.
 */
#ifndef WS_BASE_CSV_H
#define WS_BASE_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_csv_row {
    char *const *fields; /* NUL-terminated; "" where empty */
    size_t count;
    size_t line; /* of the file, from 1, where the row starts */
};

/* A non-zero return ends the reading with it; the error gets "FILE:LINE: " in front. */
typedef int (*ws_csv_fn)(void *user, const struct ws_csv_row *row, struct ws_error *err);

struct ws_csv_handler {
    ws_csv_fn header; /* (optional) */
    ws_csv_fn row;
    void *user;
};

/* `rows_max` data rows at most (WS_E_LIMIT). A file without a header is WS_E_FORMAT; one
 * without rows is no error here. "-" is standard input. */
int ws_csv_read(const char *path, size_t rows_max, const struct ws_csv_handler *handler,
                struct ws_error *err);
/* The same from memory; `name` stands for the file in error lines. */
int ws_csv_parse(const void *bytes, size_t size, const char *name, size_t rows_max,
                 const struct ws_csv_handler *handler, struct ws_error *err);

/* Index of a column of the header; WS_E_NOT_FOUND lists the columns there are. */
int ws_csv_column(size_t *out, const struct ws_csv_row *header, const char *name,
                  struct ws_error *err);
/* WS_E_FORMAT if two columns of the header have one name. */
int ws_csv_unique(const struct ws_csv_row *header, struct ws_error *err);
/* A finite number within the bounds; `name` is the column's, for the error line. */
int ws_csv_double(double *out, const struct ws_csv_row *row, size_t column,
                  const char *name, double min, double max, struct ws_error *err);
int ws_csv_size(size_t *out, const struct ws_csv_row *row, size_t column,
                const char *name, size_t max, struct ws_error *err);

#endif
