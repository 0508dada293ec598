#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "study/trace.h"
#include "study/workload.h"

static void test_workload_rows(void **state)
{
    (void)state;
    static const char text[] =
        "min_accuracy,deadline_ms,index,arrival_ms\n0.5,10,7,0\n0,20.5,3,4\n";
    struct ws_workload w;
    struct ws_error err = {0};
    assert_int_equal(ws_workload_parse(&w, text, strlen(text), "w.csv", &err), 0);
    assert_int_equal(w.count, 2);
    assert_true(w.has_arrivals && w.has_accuracy);
    assert_int_equal(w.requests[0].index, 7);
    assert_near(w.requests[0].min_accuracy, 0.5, 0);
    assert_near(w.requests[1].deadline_ms, 20.5, 0);
    assert_near(w.requests[1].arrival_ms, 4, 0);
    struct ws_workload again;
    char path[] = "/tmp/wattshed-workload-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(ws_workload_save(&w, path, NULL), 0);
    assert_int_equal(ws_workload_load(&again, path, NULL), 0);
    assert_memory_equal(again.requests, w.requests, 2 * sizeof(*w.requests));
    (void)unlink(path);
    ws_workload_fini(&again);
    ws_workload_fini(&w);
}

static void test_workload_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"index\n1\n", "w.csv:1: no column \"deadline_ms\" among index"},
        {"index,deadline_ms\n", "w.csv: no rows, expected at least one request"},
        {"index,deadline_ms\n0,nan\n",
         "w.csv:2: column 2: deadline_ms: \"nan\" is not a finite number"},
        {"index,deadline_ms\n0,5\n1,0\n",
         "w.csv:3: column 2: deadline_ms: expected more than 0, got 0"},
        {"index,deadline_ms\n4,5\n1,5\n4,5\n", "w.csv: index 4 is there twice"},
        {"index,deadline_ms\nx,5\n",
         "w.csv:2: column 1: index: \"x\" is not a whole number"},
        {"index,deadline_ms,arrival_ms\n0,5,9\n1,5,8\n",
         "w.csv:3: column 3: arrival_ms: 8 comes before the request above it (9)"},
        {"index,deadline_ms,min_accuracy\n0,5,1.5\n",
         "w.csv:2: column 3: min_accuracy: 1.5 is outside 0 .. 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ws_workload w;
        struct ws_error err = {0};
        assert_int_not_equal(
            ws_workload_parse(&w, cases[i].text, strlen(cases[i].text), "w.csv", &err),
            0);
        assert_string_equal(err.text, cases[i].error);
    }
}

static void test_trace(void **state)
{
    (void)state;
    static const char text[] =
        "time_s,link_scale,cloud_load\n10,0.1,\n20,1,0.5\n30.5,,0\n";
    struct ws_trace trace;
    struct ws_error err = {0};
    struct ws_conditions link = {0};
    ws_conditions_set(&link, WS_LINK_MBIT_S, 200);
    assert_int_equal(ws_trace_parse(&trace, text, strlen(text), "l.csv", &link, &err), 0);
    static const struct {
        double time_s;
        double rate;
        double load; /* below 0: unknown */
    } expected[] = {{0, 200, -1},   {9.9, 200, -1}, {10, 20, -1}, {19, 20, -1},
                    {20, 200, 0.5}, {30, 200, 0.5}, {31, 200, 0}, {1e9, 200, 0}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct ws_conditions now = link;
        double load = -1;
        ws_trace_at(&trace, expected[i].time_s, &now);
        assert_near(now.value[WS_LINK_MBIT_S], expected[i].rate, 1e-12);
        (void)ws_conditions_get(&load, &now, WS_CLOUD_LOAD);
        assert_near(load, expected[i].load, 0);
    }
    ws_trace_fini(&trace);
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"time_s,link\n0,1\n",
         "l.csv:1: \"link\" is no condition (time_s, then link_mbit_s, link_delay_ms, "
         "link_jitter_ms, link_loss, link_scale, edge_load, cloud_load, "
         "temperature_c, battery)"},
        {"link_mbit_s\n1\n", "l.csv:1: no column \"time_s\" among link_mbit_s"},
        {"time_s,link_scale\n",
         "l.csv:1: link_scale needs a testbed whose link is known"},
        {"time_s,link_mbit_s\n", "l.csv: no rows, expected at least one"},
        {"time_s,link_mbit_s\n1,1\n1,2\n", "l.csv:3: time_s: 1 does not come after 1"},
        {"time_s,edge_load\n1,1.5\n",
         "l.csv:2: column 2: edge_load: 1.5 is outside 0 .. 1"},
    };
    struct ws_conditions nothing = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_not_equal(ws_trace_parse(&trace, cases[i].text, strlen(cases[i].text),
                                            "l.csv", &nothing, &err),
                             0);
        assert_string_equal(err.text, cases[i].error);
    }
}

/* Between the two ends, both of which are there; half of an exponential lies below ln 2
 * times its mean; the same seed gives the same; and a file says it all. */
static void test_workload_draw(void **state)
{
    (void)state;
    struct ws_workload drawn, again, read;
    char path[] = "/tmp/wattshed-workload-XXXXXX";
    const struct ws_workload_draw draw = {4001, 10, 250, 5, 7};
    double least = 1e9, most = 0, sum = 0;
    size_t below = 0;
    assert_int_equal(ws_workload_draw(&drawn, &draw, NULL), 0);
    assert_int_equal(ws_workload_draw(&again, &draw, NULL), 0);
    assert_memory_equal(drawn.requests, again.requests,
                        draw.count * sizeof(*drawn.requests));
    for (size_t i = 0; i < draw.count; i++) {
        double x = drawn.requests[i].deadline_ms;
        least = x < least ? x : least;
        most = x > most ? x : most;
        sum += x - 10;
    }
    assert_near(least, 10, 1e-9);
    assert_near(most, 250, 1e-9);
    for (size_t i = 0; i < draw.count; i++)
        below += drawn.requests[i].deadline_ms - 10 < 0.6931 * sum / (double)draw.count;
    assert_in_range(below, 1850, 2150);
    assert_near(drawn.requests[4000].arrival_ms, 20000, 1e-9);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(ws_workload_save(&drawn, path, NULL), 0);
    assert_int_equal(ws_workload_load(&read, path, NULL), 0);
    assert_int_equal(read.count, draw.count);
    assert_int_equal(read.has_arrivals, 1);
    assert_near(read.requests[17].deadline_ms, drawn.requests[17].deadline_ms, 1e-5);
    (void)unlink(path);
    ws_workload_fini(&drawn);
    ws_workload_fini(&again);
    ws_workload_fini(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workload_rows),
        cmocka_unit_test(test_workload_refuses),
        cmocka_unit_test(test_workload_draw),
        cmocka_unit_test(test_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
