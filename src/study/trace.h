/*
 * How conditions change over time (CSV): `time_s`, ascending from 0 or later, then any of
 * the conditions' names (`link_mbit_s`, `link_delay_ms`, `link_loss`, `cloud_load`, ...),
 * or `link_scale`, a factor on the rate of the testbed's own link. A row holds until the
 * next; before the first row the conditions are those of the testbed. Immutable once
 * loaded.
 */
#ifndef WS_STUDY_TRACE_H
#define WS_STUDY_TRACE_H

#include <stddef.h>

#include "base/error.h"
#include "core/outcome.h"

struct ws_trace {
    double *time_s;           /* [count], ascending */
    struct ws_conditions *at; /* [count]; what the trace is silent about is unknown */
    size_t count;
};

/* `reference` is the testbed's link; a link_scale without a known rate there is
 * WS_E_UNKNOWN. */
int ws_trace_load(struct ws_trace *out, const char *path,
                  const struct ws_conditions *reference, struct ws_error *err);
int ws_trace_parse(struct ws_trace *out, const void *bytes, size_t size, const char *name,
                   const struct ws_conditions *reference, struct ws_error *err);
void ws_trace_fini(struct ws_trace *trace);
/* Sets in `conditions` what the trace knows at that time. NULL or empty trace: nothing.
 */
void ws_trace_at(const struct ws_trace *trace, double time_s,
                 struct ws_conditions *conditions);

#endif
