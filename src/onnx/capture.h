/*
 * What the bodies of a control-flow node (If, Loop, Scan) take from the graph around it.
 * A name that a body makes itself, as input, initializer or node output, hides the same
 * name outside; the bodies of nodes within a body are looked through too.
 */
#ifndef WS_ONNX_CAPTURE_H
#define WS_ONNX_CAPTURE_H

#include <stddef.h>

#include "base/error.h"
#include "onnx.pb-c.h"

typedef int (*ws_capture_fn)(void *user, const char *name, struct ws_error *err);

/*
 * Calls `fn` for each outer name that node's bodies use, maybe several times for one.
 * Adds the nodes in the bodies to *node_count. WS_E_LIMIT for deep nesting.
 */
int ws_capture_each(const Onnx__NodeProto *node, ws_capture_fn fn, void *user,
                    size_t *node_count, struct ws_error *err);

/* Calls `fn` for each body of a node, in order; stops at the first that is not 0. */
typedef int (*ws_body_fn)(void *user, const Onnx__GraphProto *body, struct ws_error *err);
int ws_body_each(const Onnx__NodeProto *node, ws_body_fn fn, void *user,
                 struct ws_error *err);

#endif
