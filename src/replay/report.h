/*
 * A comparison for people and programs: a table for the terminal, JSON, and one
 * self-contained HTML page with plots (inline SVG, no script, nothing fetched). What is
 * unknown is null in JSON and a dash elsewhere. Figures of several seeds are means and
 * carry their 95 % interval.
 */
#ifndef WS_REPLAY_REPORT_H
#define WS_REPLAY_REPORT_H

#include <jansson.h>

#include "base/buf.h"
#include "replay/compare.h"

/* What the figures are of. Strings may be NULL where there is nothing to say. */
struct ws_report_head {
    const char *testbed;
    const char *workload;
    const char *source;
    const char *energy_boundary;
    const char *truth; /* "recorded", ... */
    const char *noise;
    const char *search; /* that the plan came from */
    const char *link;   /* trace */
    size_t evaluated;   /* settings the search tried */
    size_t plan_size;
    uint64_t seed;
    double guard;                   /* 0: off */
    const struct ws_knob *cut_knob; /* whose uses are counted, or NULL */
};

int ws_report_text(struct ws_buf *out, const struct ws_report_head *head,
                   const struct ws_comparison *comparison, struct ws_error *err);
/* A new reference in *out. */
int ws_report_json(json_t **out, const struct ws_report_head *head,
                   const struct ws_comparison *comparison, struct ws_error *err);
int ws_report_html(struct ws_buf *out, const struct ws_report_head *head,
                   const struct ws_comparison *comparison, struct ws_error *err);

#endif
