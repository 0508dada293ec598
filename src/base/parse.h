/*
 * Numbers from text, whole or not at all: no leading space, no rest, no overflow. These
 * stand in for atoi, strtol and sscanf, which are banned. `what` names the thing in the
 * error line. And a text file taken line by line.
 */
#ifndef WS_BASE_PARSE_H
#define WS_BASE_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Decimal, min and max inclusive. */
int ws_parse_i64(int64_t *out, const char *text, int64_t min, int64_t max,
                 const char *what, struct ws_error *err);
int ws_parse_size(size_t *out, const char *text, size_t min, size_t max, const char *what,
                  struct ws_error *err);
/* Finite decimal floating point in the C locale's form; "nan" and "inf" are refused. */
int ws_parse_double(double *out, const char *text, const char *what,
                    struct ws_error *err);
/* Bytes with an optional suffix K, M or G (powers of 1024). */
int ws_parse_bytes(uint64_t *out, const char *text, const char *what,
                   struct ws_error *err);

/* One line, without its end; numbers count from 1. `name` is the file's, for errors. */
typedef int (*ws_line_fn)(void *user, const char *line, const char *end, const char *name,
                          size_t number, struct ws_error *err);
/* Calls `take` for every line until one fails; WS_E_FORMAT where the text holds a NUL. */
int ws_parse_lines(const void *bytes, size_t size, const char *name, ws_line_fn take,
                   void *user, struct ws_error *err);

#endif
