/* The course on the shipped model of a Jetson Nano: repeatable, warm, and no setting is
 * better than the oracle's. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "device/parallel.h"
#include "replay/course.h"
#include "study/testbed.h"

static struct ws_testbed testbed;
static struct ws_evaluator *machine;
static struct ws_course_options options;

static int group_setup(void **state)
{
    struct ws_error err = {0};
    (void)state;
    if (ws_testbed_load(&testbed, getenv("WS_COURSE_TESTBED"), &err) != 0 ||
        ws_parallel_create(&machine, &testbed.space, testbed.switch_ms,
                           testbed.model_path, NULL, &err) != 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    const struct ws_parallel_facts *facts = ws_parallel_facts(machine);
    options = (struct ws_course_options){
        .machine = machine,
        .reference = facts->link,
        .cost = {facts->max_power_w, facts->accuracy_floor},
        .link_mbit_s = {0.5, 50},
        .hold = 3,
        .eta = {0.2, 0.8},
        .lambda = {0.5, 0.5},
        .ambient_c = facts->ambient_c,
        .c_per_w = facts->c_per_w,
        .heat_s = facts->heat_s,
        .idle_w = facts->idle_w,
        .seed = 6,
    };
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    ws_evaluator_destroy(machine);
    ws_testbed_fini(&testbed);
    return 0;
}

static struct ws_setting edge_only(void)
{
    return ws_testbed_baseline(&testbed, "edge-only")->setting;
}

static void test_same_seed_same_course(void **state)
{
    struct ws_course a, b;
    struct ws_setting start = edge_only(), other = start;
    (void)state;
    other.value[0] = 3;
    ws_course_init(&a, &options, &start);
    ws_course_init(&b, &options, &start);
    for (int i = 0; i < 50; i++) {
        struct ws_course_result x, y;
        assert_near(a.view.link_mbit_s, b.view.link_mbit_s, 0);
        assert_near(a.attention, b.attention, 0);
        assert_near(a.view.eta, b.view.eta, 0);
        assert_true(a.view.link_mbit_s >= 0.5 && a.view.link_mbit_s <= 50);
        assert_int_equal(ws_course_step(&a, &x, &start, NULL), 0);
        assert_int_equal(ws_course_step(&b, &y, i < 25 ? &start : &other, NULL), 0);
        if (i < 25)
            assert_memory_equal(&x.outcome, &y.outcome, sizeof(x.outcome));
    }
    assert_true(a.temperature_c > options.ambient_c + 2);
    assert_true(b.now_ms > a.now_ms);
}

static void test_oracle_is_least(void **state)
{
    struct ws_course course;
    struct ws_setting start = edge_only(), best;
    double least = 0;
    uint64_t size = 0;
    (void)state;
    ws_course_init(&course, &options, &start);
    assert_int_equal(ws_course_oracle(&best, &least, &course, NULL), 0);
    assert_int_equal(ws_space_size(&size, &testbed.space, NULL), 0);
    for (uint64_t i = 0; i < size; i += 37) {
        struct ws_setting setting;
        struct ws_outcome outcome;
        double cost = 0;
        ws_setting_from_index(&setting, &testbed.space, i);
        assert_int_equal(ws_course_cost(&cost, &course, &setting, &outcome, NULL), 0);
        assert_true(cost >= least);
    }
}

/* A decision that is not hidden is paid for by the request. */
static void test_sequential_pays_for_deciding(void **state)
{
    struct ws_course hidden, paid;
    struct ws_course_options slow = options;
    struct ws_setting start = edge_only();
    struct ws_course_result x, y;
    (void)state;
    slow.sequential = 1;
    slow.decide_ms = 12;
    ws_course_init(&hidden, &options, &start);
    ws_course_init(&paid, &slow, &start);
    assert_int_equal(ws_course_step(&hidden, &x, &start, NULL), 0);
    assert_int_equal(ws_course_step(&paid, &y, &start, NULL), 0);
    assert_near(y.expected.value[WS_LATENCY_MS], x.expected.value[WS_LATENCY_MS] + 12,
                1e-9);
    /* And it sees all of the request before, not a part of it. */
    assert_true(hidden.view.elapsed_ms < x.outcome.value[WS_LATENCY_MS]);
    assert_near(paid.view.elapsed_ms, y.outcome.value[WS_LATENCY_MS], 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_course),
        cmocka_unit_test(test_oracle_is_least),
        cmocka_unit_test(test_sequential_pays_for_deciding),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
