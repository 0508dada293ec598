/*
 * Running a command of the machine (vcgencmd, nvpmodel, what the user names) without a
 * shell, with a time limit, and taking what it prints. The child gets no input and a
 * process group of its own, which dies whole when time is up. Safe from several threads.
 */
#ifndef WS_DEVICE_CHILD_H
#define WS_DEVICE_CHILD_H

#include "base/buf.h"
#include "base/error.h"

/* argv[0] is looked up in $PATH. What it prints on stdout is added to `output`, within
 * its limit; NULL drops it. WS_E_NOT_FOUND: no such program; WS_E_RUNTIME: it failed (the
 * line has its status); WS_E_TIMEOUT. */
int ws_child_run(struct ws_buf *output, const char *const *argv, int timeout_ms,
                 struct ws_error *err);

#endif
