/*
 * A plan's front as a table on standard output: a line for each setting on it, knobs and
 * objectives, in the plan's order.
 */
#ifndef WS_CLI_FRONT_H
#define WS_CLI_FRONT_H

#include "core/plan.h"

void ws_cli_print_front(const struct ws_plan *plan);
/* Entries on it. */
size_t ws_cli_front_size(const struct ws_plan *plan);

#endif
