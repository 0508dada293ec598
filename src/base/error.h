/*
 * Errors. A fallible function returns 0 or a negative `enum ws_code` and takes, last, a
 * `struct ws_error *` that is the caller's, of fixed size, and may be NULL. The one who
 * finds the fault writes one line that names the thing and the value; callers may put
 * context in front of it. Nothing here allocates, prints or exits. Not thread-safe on one
 * object; every thread has its own.
 */
#ifndef WS_BASE_ERROR_H
#define WS_BASE_ERROR_H

#include "base/limits.h"

/* Negative codes; docs/errors.md says for each what a user can do. */
enum ws_code {
    WS_OK = 0,
    WS_E_USAGE = -1,       /* the command line or a call's arguments make no sense */
    WS_E_NOMEM = -2,       /* out of memory */
    WS_E_IO = -3,          /* the operating system refused; the line holds its words */
    WS_E_FORMAT = -4,      /* bytes that are not what they claim to be */
    WS_E_LIMIT = -5,       /* a limit of base/limits.h or of the caller was hit */
    WS_E_NOT_FOUND = -6,   /* a name that does not exist */
    WS_E_TYPE = -7,        /* a wrong dtype, shape or kind */
    WS_E_UNSUPPORTED = -8, /* valid, but not something this program does */
    WS_E_RUNTIME = -9,     /* the inference runtime refused or failed */
    WS_E_MISMATCH = -10,   /* two things that must agree do not */
    WS_E_UNKNOWN = -11,    /* the quantity is not known; never 0 or NaN instead */
    WS_E_BUSY = -12,       /* somebody else holds it */
    WS_E_TIMEOUT = -13,    /* it took too long */
    WS_E_REMOTE = -14,     /* the other side answered with an error */
    WS_E_INFEASIBLE = -15, /* no setting satisfies what was asked */
    WS_E_END = -16,        /* no more items */
    WS_E_STRANGER = -17,   /* it is not known who asks */
    WS_E_DENIED = -18,     /* it is, and they may not */
};

struct ws_error {
    int code;
    char text[WS_ERROR_TEXT_MAX]; /* one line, NUL-terminated, no newline */
};

/* Writes the line and returns `code`; err may be NULL. Control characters become '?'. */
__attribute__((format(printf, 3, 4))) int ws_error_set(struct ws_error *err, int code,
                                                       const char *fmt, ...);

/* The same with ": " and the text of `errnum` behind it. */
__attribute__((format(printf, 4, 5))) int
ws_error_set_errno(struct ws_error *err, int code, int errnum, const char *fmt, ...);

/* Puts "context: " in front of the line that is there. Returns err's code, so only call
 * it after a failure. Without err the code is not known here: WS_E_RUNTIME, never
 * success; where callers tell codes apart, return your own. */
__attribute__((format(printf, 2, 3))) int ws_error_context(struct ws_error *err,
                                                           const char *fmt, ...);

/* WS_E_NOMEM with a fixed line. */
int ws_error_nomem(struct ws_error *err);

/* Short lower-case name of a code, e.g. "format"; "unknown code" for anything else. */
const char *ws_error_name(int code);

#endif
