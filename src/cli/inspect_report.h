/*
 * What `wattshed inspect` says of a model's cuts: as a table, as JSON, as a graph for
 * Graphviz. Everything goes to the stream given; nothing fails but the stream and memory.
 */
#ifndef WS_CLI_INSPECT_REPORT_H
#define WS_CLI_INSPECT_REPORT_H

#include <stdio.h>

#include "onnx/cut.h"

struct ws_inspect_view {
    const struct ws_cuts *cuts;
    const char *digest;
    const char *note; /* "" or what the reader must know */
    int all;          /* cuts that are not natural too */
};

void ws_inspect_table(FILE *to, const struct ws_inspect_view *view);
int ws_inspect_json(FILE *to, const struct ws_inspect_view *view, struct ws_error *err);
int ws_inspect_dot(FILE *to, const struct ws_inspect_view *view, struct ws_error *err);

#endif
