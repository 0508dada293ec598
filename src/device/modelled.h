/*
 * Two boards (device/board.h) and a link between them as an evaluator: what a network's
 * cuts would take on an edge device and a server, computed from a few constants (JSON),
 * so that searches, policies and demos run where there is no hardware. The edge draws
 * idle power while it waits. Times and energies vary log-normally with the seed. Every
 * outcome is marked modelled. The format is docs/device-model.md.
 */
#ifndef WS_DEVICE_MODELLED_H
#define WS_DEVICE_MODELLED_H

#include <stddef.h>

#include "core/evaluator.h"

/* Reads the model at `path` for a space whose knobs it names. The space outlives the
 * evaluator. switch_ms: cost of changing each knob, or NULL; the largest counts.
 * WS_E_FORMAT, WS_E_NOT_FOUND with file and key. */
int ws_modelled_create(struct ws_evaluator **out, const struct ws_space *space,
                       const double *switch_ms, const char *path, struct ws_error *err);
int ws_modelled_parse(struct ws_evaluator **out, const struct ws_space *space,
                      const double *switch_ms, const void *bytes, size_t size,
                      const char *name, struct ws_error *err);
/* The link of the model: the reference of a plan made with it. */
const struct ws_conditions *ws_modelled_link(const struct ws_evaluator *evaluator);
/* What the edge draws while it waits. */
double ws_modelled_edge_idle_w(const struct ws_evaluator *evaluator);

#endif
