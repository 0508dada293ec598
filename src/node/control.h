/*
 * The knobs of a node's machine, for clients that may set them: those of the board it
 * passes for, or of the real machine. What is `edge.x` to the machine itself is `cloud.x`
 * to a client. A client that sets knobs holds the machine for a while, and setting again
 * prolongs that; another one is told who holds it meanwhile, since two that set the same
 * clock would both measure nonsense. Requests of everybody go on all the time. A real
 * machine gets its own values back when the node ends. Thread-safe.
 */
#ifndef WS_NODE_CONTROL_H
#define WS_NODE_CONTROL_H

#include "base/buf.h"
#include "device/device.h"
#include "node/account.h"

struct ws_control;

struct ws_control_options {
    struct ws_account *account; /* (optional) of the board; must outlive */
    struct ws_setting preset;   /* the board's, as the account has it */
    struct ws_device *device;   /* (optional) of the real machine; must outlive */
    int may_set;                /* 0: it only tells */
    int64_t hold_ms;            /* 0: a minute */
};

int ws_control_create(struct ws_control **out, const struct ws_control_options *options,
                      struct ws_error *err);
/* Takes NULL. */
void ws_control_destroy(struct ws_control *control);

/* Appends {"machine", "emulated", "energy", "may_set", "knobs": {"cloud.x": {"part",
 * "kind", "values", "now"}}}. */
int ws_control_describe(struct ws_buf *out, struct ws_control *control,
                        struct ws_error *err);
/* Takes {"owner": NAME, "knobs": {"cloud.x": value, ...}} and appends {"exact",
 * "switch_ms", "reason"}. WS_E_DENIED where it only tells, WS_E_BUSY where somebody else
 * holds the machine, WS_E_NOT_FOUND for a knob or value that it does not have. */
int ws_control_set(struct ws_buf *out, struct ws_control *control, const void *body,
                   size_t size, struct ws_error *err);

#endif
