#include "node/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One combination of label values. */
struct series {
    struct series *next;
    char *values[WS_METRIC_LABELS_MAX];
    double value; /* of a histogram: the sum */
    uint64_t counts[WS_METRIC_BUCKETS_MAX + 1];
};

struct ws_metric {
    struct ws_metrics *metrics;
    struct ws_metric *next;
    struct ws_metric_spec spec;
    size_t label_count;
    struct series *first, **end;
    size_t series_count;
};

struct ws_metrics {
    pthread_mutex_t lock;
    struct ws_metric *first, **end;
};

int ws_metrics_create(struct ws_metrics **out, struct ws_error *err)
{
    struct ws_metrics *metrics = calloc(1, sizeof(*metrics));
    if (metrics == NULL)
        return ws_error_nomem(err);
    (void)pthread_mutex_init(&metrics->lock, NULL);
    metrics->end = &metrics->first;
    *out = metrics;
    return 0;
}

static void series_destroy(struct series *series)
{
    for (size_t i = 0; i < WS_METRIC_LABELS_MAX; i++)
        free(series->values[i]);
    free(series);
}

static void clear(struct ws_metric *metric)
{
    while (metric->first != NULL) {
        struct series *next = metric->first->next;
        series_destroy(metric->first);
        metric->first = next;
    }
    metric->end = &metric->first;
    metric->series_count = 0;
}

void ws_metrics_destroy(struct ws_metrics *metrics)
{
    if (metrics == NULL)
        return;
    while (metrics->first != NULL) {
        struct ws_metric *next = metrics->first->next;
        clear(metrics->first);
        free(metrics->first);
        metrics->first = next;
    }
    (void)pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

int ws_metrics_add(struct ws_metric **out, struct ws_metrics *metrics,
                   const struct ws_metric_spec *spec, struct ws_error *err)
{
    assert(spec->bucket_count <= WS_METRIC_BUCKETS_MAX);
    struct ws_metric *metric = calloc(1, sizeof(*metric));
    if (metric == NULL)
        return ws_error_nomem(err);
    metric->metrics = metrics;
    metric->spec = *spec;
    metric->end = &metric->first;
    while (metric->label_count < WS_METRIC_LABELS_MAX &&
           spec->labels[metric->label_count] != NULL)
        metric->label_count++;
    *metrics->end = metric;
    metrics->end = &metric->next;
    *out = metric;
    return 0;
}

/* ---- counting ---- */

static struct series *find(struct ws_metric *metric, const char *const *values)
{
    for (struct series *s = metric->first; s != NULL; s = s->next) {
        size_t i = 0;
        while (i < metric->label_count && strcmp(s->values[i], values[i]) == 0)
            i++;
        if (i == metric->label_count)
            return s;
    }
    return NULL;
}

static struct series *add(struct ws_metric *metric, const char *const *values)
{
    struct series *series = calloc(1, sizeof(*series));
    int is_whole = series != NULL;
    for (size_t i = 0; is_whole && i < metric->label_count; i++) {
        series->values[i] = strdup(values[i]);
        is_whole = series->values[i] != NULL;
    }
    if (!is_whole) {
        if (series != NULL)
            series_destroy(series);
        return NULL;
    }
    *metric->end = series;
    metric->end = &series->next;
    metric->series_count++;
    return series;
}

/* The series of these values, made where it is the first time; NULL without memory: then
 * the figure is lost, and nothing else. */
static struct series *series_of(struct ws_metric *metric, const char *const *values)
{
    static const char *const other[WS_METRIC_LABELS_MAX] = {"other", "other", "other",
                                                            "other"};
    struct series *series = find(metric, values);
    if (series != NULL)
        return series;
    if (metric->series_count < WS_SERIES_MAX)
        return add(metric, values);
    series = find(metric, other);
    return series != NULL ? series : add(metric, other);
}

void ws_metric_count(struct ws_metric *metric, const char *const *values, double by)
{
    (void)pthread_mutex_lock(&metric->metrics->lock);
    struct series *series = series_of(metric, values);
    if (series != NULL)
        series->value += by;
    (void)pthread_mutex_unlock(&metric->metrics->lock);
}

void ws_metric_set(struct ws_metric *metric, const char *const *values, double to)
{
    (void)pthread_mutex_lock(&metric->metrics->lock);
    struct series *series = series_of(metric, values);
    if (series != NULL)
        series->value = to;
    (void)pthread_mutex_unlock(&metric->metrics->lock);
}

void ws_metric_observe(struct ws_metric *metric, const char *const *values, double x)
{
    size_t bucket = 0;
    while (bucket < metric->spec.bucket_count && x > metric->spec.buckets[bucket])
        bucket++;
    (void)pthread_mutex_lock(&metric->metrics->lock);
    struct series *series = series_of(metric, values);
    if (series != NULL) {
        series->value += x;
        series->counts[bucket]++;
    }
    (void)pthread_mutex_unlock(&metric->metrics->lock);
}

void ws_metric_clear(struct ws_metric *metric)
{
    (void)pthread_mutex_lock(&metric->metrics->lock);
    clear(metric);
    (void)pthread_mutex_unlock(&metric->metrics->lock);
}

/* ---- writing ---- */

static int add_escaped(struct ws_buf *out, const char *text, struct ws_error *err)
{
    int rc = 0;
    for (; rc == 0 && *text != '\0'; text++) {
        if (*text == '\n')
            rc = ws_buf_add_text(out, "\\n", err);
        else if (*text == '\\' || *text == '"')
            rc = ws_buf_printf(out, err, "\\%c", *text);
        else
            rc = ws_buf_add(out, text, 1, err);
    }
    return rc;
}

static int add_number(struct ws_buf *out, double x, struct ws_error *err)
{
    if (isnan(x))
        return ws_buf_add_text(out, "NaN", err);
    if (isinf(x))
        return ws_buf_add_text(out, x > 0 ? "+Inf" : "-Inf", err);
    return ws_buf_printf(out, err, "%.15g", x);
}

/* NAME[SUFFIX]{labels[,le="..."]} NUMBER. `bound`: of a bucket, else NULL. */
static int add_line(struct ws_buf *out, const struct ws_metric *metric,
                    const struct series *series, const char *suffix, const double *bound,
                    double x, struct ws_error *err)
{
    size_t count = metric->label_count;
    int rc = ws_buf_printf(out, err, "%s%s", metric->spec.name, suffix);
    if (rc == 0 && (count > 0 || bound != NULL))
        rc = ws_buf_add_text(out, "{", err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = ws_buf_printf(out, err, "%s%s=\"", i > 0 ? "," : "", metric->spec.labels[i]);
        if (rc == 0)
            rc = add_escaped(out, series->values[i], err);
        if (rc == 0)
            rc = ws_buf_add_text(out, "\"", err);
    }
    if (rc == 0 && bound != NULL) {
        rc = ws_buf_printf(out, err, "%sle=\"", count > 0 ? "," : "");
        if (rc == 0)
            rc = add_number(out, *bound, err);
        if (rc == 0)
            rc = ws_buf_add_text(out, "\"", err);
    }
    if (rc == 0)
        rc = ws_buf_add_text(out, count > 0 || bound != NULL ? "} " : " ", err);
    if (rc == 0)
        rc = add_number(out, x, err);
    return rc == 0 ? ws_buf_add_text(out, "\n", err) : rc;
}

static int add_histogram(struct ws_buf *out, const struct ws_metric *metric,
                         const struct series *series, struct ws_error *err)
{
    static const double infinite = INFINITY;
    uint64_t sum = 0;
    int rc = 0;
    for (size_t b = 0; rc == 0 && b <= metric->spec.bucket_count; b++) {
        sum += series->counts[b];
        rc =
            add_line(out, metric, series, "_bucket",
                     b < metric->spec.bucket_count ? &metric->spec.buckets[b] : &infinite,
                     (double)sum, err);
    }
    if (rc == 0)
        rc = add_line(out, metric, series, "_sum", NULL, series->value, err);
    return rc == 0 ? add_line(out, metric, series, "_count", NULL, (double)sum, err) : rc;
}

static int add_family(struct ws_buf *out, const struct ws_metric *metric,
                      struct ws_error *err)
{
    static const char *const kinds[] = {[WS_METRIC_COUNTER] = "counter",
                                        [WS_METRIC_GAUGE] = "gauge",
                                        [WS_METRIC_HISTOGRAM] = "histogram"};
    const char *suffix = metric->spec.kind == WS_METRIC_COUNTER ? "_total" : "";
    int rc = ws_buf_printf(out, err, "# HELP %s%s %s\n# TYPE %s%s %s\n",
                           metric->spec.name, suffix, metric->spec.help,
                           metric->spec.name, suffix, kinds[metric->spec.kind]);
    for (const struct series *s = metric->first; rc == 0 && s != NULL; s = s->next)
        rc = metric->spec.kind == WS_METRIC_HISTOGRAM
                 ? add_histogram(out, metric, s, err)
                 : add_line(out, metric, s, suffix, NULL, s->value, err);
    return rc;
}

int ws_metrics_write(struct ws_buf *out, struct ws_metrics *metrics, struct ws_error *err)
{
    int rc = 0;
    (void)pthread_mutex_lock(&metrics->lock);
    for (const struct ws_metric *m = metrics->first; rc == 0 && m != NULL; m = m->next) {
        if (m->first != NULL)
            rc = add_family(out, m, err);
    }
    (void)pthread_mutex_unlock(&metrics->lock);
    return rc;
}
