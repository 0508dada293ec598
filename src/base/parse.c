#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int ws_parse_i64(int64_t *out, const char *text, int64_t min, int64_t max,
                 const char *what, struct ws_error *err)
{
    char *end = NULL;
    errno = 0;
    int negative = text[0] == '-';
    if (!isdigit((unsigned char)text[negative]))
        return ws_error_set(err, WS_E_FORMAT, "%s: \"%s\" is not a whole number", what,
                            text);
    long long value = strtoll(text, &end, 10);
    if (*end != '\0')
        return ws_error_set(err, WS_E_FORMAT, "%s: \"%s\" is not a whole number", what,
                            text);
    if (errno == ERANGE || value < min || value > max)
        return ws_error_set(err, WS_E_LIMIT, "%s: %s is outside %" PRId64 " .. %" PRId64,
                            what, text, min, max);
    *out = value;
    return 0;
}

int ws_parse_size(size_t *out, const char *text, size_t min, size_t max, const char *what,
                  struct ws_error *err)
{
    int64_t value = 0;
    int64_t top = max > INT64_MAX ? INT64_MAX : (int64_t)max;
    int rc = ws_parse_i64(&value, text, (int64_t)min, top, what, err);
    if (rc == 0)
        *out = (size_t)value;
    return rc;
}

int ws_parse_double(double *out, const char *text, const char *what, struct ws_error *err)
{
    char *end = NULL;
    double value = strtod(text, &end);
    unsigned char first = (unsigned char)text[0];
    if (end == text || *end != '\0' || isspace(first) || !isfinite(value))
        return ws_error_set(err, WS_E_FORMAT, "%s: \"%s\" is not a finite number", what,
                            text);
    *out = value;
    return 0;
}

int ws_parse_bytes(uint64_t *out, const char *text, const char *what,
                   struct ws_error *err)
{
    static const char suffixes[] = "KMG";
    char digits[32];
    size_t size = strlen(text);
    unsigned shift = 0;
    const char *suffix =
        size > 0 ? strchr(suffixes, toupper((unsigned char)text[size - 1])) : NULL;
    if (suffix != NULL && *suffix != '\0') {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        size--;
    }
    if (size == 0 || size >= sizeof(digits))
        return ws_error_set(err, WS_E_FORMAT,
                            "%s: \"%s\" is not a size (a number, then K, M or G)", what,
                            text);
    memcpy(digits, text, size);
    digits[size] = '\0';
    int64_t value = 0;
    int rc = ws_parse_i64(&value, digits, 0, INT64_MAX >> shift, what, err);
    if (rc == 0)
        *out = (uint64_t)value << shift;
    return rc;
}

int ws_parse_lines(const void *bytes, size_t size, const char *name, ws_line_fn take,
                   void *user, struct ws_error *err)
{
    const char *at = bytes, *end = at + size;
    int rc = 0;
    if (size > 0 && memchr(at, '\0', size) != NULL)
        return ws_error_set(err, WS_E_FORMAT, "%s: holds a NUL", name);
    for (size_t number = 1; rc == 0 && size > 0 && at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        rc = take(user, at, stop, name, number, err);
        at = stop + 1;
    }
    return rc;
}
