/*
 * The picture of a search: every trial by latency and energy, coloured by the first knob
 * that both sides share (the cut, usually), and the front through them. gnuplot draws it.
 * The plan's entries come in the order of energy.
 */
#ifndef WS_CLI_PLOT_PLAN_H
#define WS_CLI_PLOT_PLAN_H

#include "core/plan.h"
#include "search/search.h"

/* The ending of `path` says what is drawn: .svg or .png. WS_E_USAGE for another,
 * WS_E_NOT_FOUND without gnuplot. */
int ws_plot_plan(const char *path, const struct ws_plan *plan,
                 const struct ws_trials *trials, const char *truth, struct ws_error *err);

#endif
