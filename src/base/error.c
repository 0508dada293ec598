#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[] = {
    [-WS_OK] = "ok",
    [-WS_E_USAGE] = "usage",
    [-WS_E_NOMEM] = "out of memory",
    [-WS_E_IO] = "input/output",
    [-WS_E_FORMAT] = "format",
    [-WS_E_LIMIT] = "limit",
    [-WS_E_NOT_FOUND] = "not found",
    [-WS_E_TYPE] = "type",
    [-WS_E_UNSUPPORTED] = "unsupported",
    [-WS_E_RUNTIME] = "runtime",
    [-WS_E_MISMATCH] = "mismatch",
    [-WS_E_UNKNOWN] = "unknown value",
    [-WS_E_BUSY] = "busy",
    [-WS_E_TIMEOUT] = "timeout",
    [-WS_E_REMOTE] = "remote",
    [-WS_E_INFEASIBLE] = "infeasible",
    [-WS_E_END] = "end",
};
_Static_assert(sizeof(code_names) / sizeof(code_names[0]) == -WS_E_END + 1,
               "every code has a name");

/* Keeps a line one line, whatever a hostile file put into a name. */
static void clean(char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            *text = '?';
    }
}

int ws_error_set(struct ws_error *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    clean(err->text);
    err->code = code;
    return code;
}

int ws_error_set_errno(struct ws_error *err, int code, int errnum, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    clean(err->text);
    size_t used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(errnum));
    err->code = code;
    return code;
}

int ws_error_context(struct ws_error *err, const char *fmt, ...)
{
    if (err == NULL)
        return WS_E_RUNTIME;
    char rest[WS_ERROR_TEXT_MAX];
    memcpy(rest, err->text, sizeof(rest));
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    clean(err->text);
    size_t used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof(err->text) - used, ": %.*s",
                   (int)(sizeof(err->text) - used), rest);
    return err->code;
}

int ws_error_nomem(struct ws_error *err)
{
    return ws_error_set(err, WS_E_NOMEM, "out of memory");
}

const char *ws_error_name(int code)
{
    if (code > 0 || code < WS_E_END)
        return "unknown code";
    return code_names[-code];
}
