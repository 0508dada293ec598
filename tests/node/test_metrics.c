#include "check.h"

#include <stdio.h>
#include <string.h>

#include "node/metrics.h"

static const double buckets[] = {0.1, 1};

struct all {
    struct ws_metrics *metrics;
    struct ws_metric *counter, *gauge, *histogram;
};

static void setup(struct all *a)
{
    const struct ws_metric_spec counter = {
        .kind = WS_METRIC_COUNTER,
        .name = "wattshed_things",
        .help = "Things that came by.",
        .labels = {"kind"},
    };
    const struct ws_metric_spec gauge = {
        .kind = WS_METRIC_GAUGE, .name = "wattshed_level", .help = "How high it stands."};
    const struct ws_metric_spec histogram = {
        .kind = WS_METRIC_HISTOGRAM,
        .name = "wattshed_wait_seconds",
        .help = "How long they waited.",
        .labels = {"part"},
        .buckets = buckets,
        .bucket_count = 2,
    };
    assert_int_equal(ws_metrics_create(&a->metrics, NULL), 0);
    assert_int_equal(ws_metrics_add(&a->counter, a->metrics, &counter, NULL), 0);
    assert_int_equal(ws_metrics_add(&a->gauge, a->metrics, &gauge, NULL), 0);
    assert_int_equal(ws_metrics_add(&a->histogram, a->metrics, &histogram, NULL), 0);
}

static void test_metrics_text(void **state)
{
    (void)state;
    struct all a;
    struct ws_buf text;
    setup(&a);
    ws_buf_init(&text, 0);
    assert_int_equal(ws_metrics_write(&text, a.metrics, NULL), 0);
    assert_int_equal(text.size, 0); /* nothing happened yet */
    const char *const edge[] = {"edge"}, *const odd[] = {"a\\b\"c\nd"};
    ws_metric_count(a.counter, edge, 1);
    ws_metric_count(a.counter, edge, 2);
    ws_metric_count(a.counter, odd, 0.5);
    ws_metric_set(a.gauge, NULL, 3);
    ws_metric_set(a.gauge, NULL, -4.25);
    ws_metric_observe(a.histogram, edge, 0.1);
    ws_metric_observe(a.histogram, edge, 0.5);
    ws_metric_observe(a.histogram, edge, 7);
    assert_int_equal(ws_metrics_write(&text, a.metrics, NULL), 0);
    assert_string_equal(text.data,
                        "# HELP wattshed_things_total Things that came by.\n"
                        "# TYPE wattshed_things_total counter\n"
                        "wattshed_things_total{kind=\"edge\"} 3\n"
                        "wattshed_things_total{kind=\"a\\\\b\\\"c\\nd\"} 0.5\n"
                        "# HELP wattshed_level How high it stands.\n"
                        "# TYPE wattshed_level gauge\n"
                        "wattshed_level -4.25\n"
                        "# HELP wattshed_wait_seconds How long they waited.\n"
                        "# TYPE wattshed_wait_seconds histogram\n"
                        "wattshed_wait_seconds_bucket{part=\"edge\",le=\"0.1\"} 1\n"
                        "wattshed_wait_seconds_bucket{part=\"edge\",le=\"1\"} 2\n"
                        "wattshed_wait_seconds_bucket{part=\"edge\",le=\"+Inf\"} 3\n"
                        "wattshed_wait_seconds_sum{part=\"edge\"} 7.6\n"
                        "wattshed_wait_seconds_count{part=\"edge\"} 3\n");
    ws_metric_clear(a.counter);
    ws_metric_clear(a.histogram);
    ws_buf_clear(&text);
    assert_int_equal(ws_metrics_write(&text, a.metrics, NULL), 0);
    assert_null(strstr(text.data, "things"));
    ws_buf_fini(&text);
    ws_metrics_destroy(a.metrics);
}

/* Whatever clients make up for label values, memory stays bounded. */
static void test_metrics_bounded(void **state)
{
    (void)state;
    struct all a;
    struct ws_buf text;
    setup(&a);
    ws_buf_init(&text, 0);
    for (int i = 0; i < WS_SERIES_MAX + 100; i++) {
        char name[32];
        const char *const values[] = {name};
        (void)snprintf(name, sizeof(name), "n%d", i);
        ws_metric_count(a.counter, values, 1);
    }
    assert_int_equal(ws_metrics_write(&text, a.metrics, NULL), 0);
    assert_non_null(strstr(text.data, "{kind=\"other\"} 100\n"));
    assert_null(strstr(text.data, "{kind=\"n1024\"}"));
    ws_buf_fini(&text);
    ws_metrics_destroy(a.metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_text),
        cmocka_unit_test(test_metrics_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
