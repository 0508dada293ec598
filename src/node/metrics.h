/*
 * Figures for Prometheus: families of counters, gauges and histograms, each with the
 * labels it was declared with, written in the text exposition format. A family keeps one
 * series for each combination of label values it was given, up to
 * WS_SERIES_MAX, and counts in one series "other" beyond. Families are declared
 * before there are threads; counting and writing are thread-safe and allocate only for
 * the first time of a combination.
 */
#ifndef WS_NODE_METRICS_H
#define WS_NODE_METRICS_H

#include <stddef.h>

#include "base/buf.h"

struct ws_metrics;
struct ws_metric; /* one family; belongs to its registry */

enum ws_metric_kind { WS_METRIC_COUNTER, WS_METRIC_GAUGE, WS_METRIC_HISTOGRAM };

enum { WS_METRIC_LABELS_MAX = 4, WS_METRIC_BUCKETS_MAX = 24 };

struct ws_metric_spec {
    enum ws_metric_kind kind;
    const char *name; /* of counters without the "_total" that is written */
    const char *help;
    const char *labels[WS_METRIC_LABELS_MAX]; /* NULL: no more */
    const double *buckets; /* upper bounds, ascending, of a histogram */
    size_t bucket_count;
};

int ws_metrics_create(struct ws_metrics **out, struct ws_error *err);
/* Takes NULL. */
void ws_metrics_destroy(struct ws_metrics *metrics);

/* The spec's strings and buckets must outlive the registry. */
int ws_metrics_add(struct ws_metric **out, struct ws_metrics *metrics,
                   const struct ws_metric_spec *spec, struct ws_error *err);

/* `values` are as many as the family has labels; NULL for none. */
void ws_metric_count(struct ws_metric *metric, const char *const *values, double by);
void ws_metric_set(struct ws_metric *metric, const char *const *values, double to);
void ws_metric_observe(struct ws_metric *metric, const char *const *values, double x);
/* Forgets all series of a family, before a gauge is set anew. */
void ws_metric_clear(struct ws_metric *metric);

int ws_metrics_write(struct ws_buf *out, struct ws_metrics *metrics,
                     struct ws_error *err);

#endif
