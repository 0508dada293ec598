#include "check.h"

#include <math.h>

#include "agent/link.h"

static struct ws_outcome transfer_of(double ms, double bytes)
{
    struct ws_outcome outcome = {0};
    ws_outcome_set(&outcome, WS_TRANSFER_MS, ms);
    ws_outcome_set(&outcome, WS_TENSOR_BYTES, bytes);
    return outcome;
}

/* 100 Mbit/s and 5 ms; 1 MB takes 80 ms and the delay. */
static struct ws_link make(double forget_ms)
{
    struct ws_link link;
    struct ws_conditions reference = {0};
    ws_conditions_set(&reference, WS_LINK_MBIT_S, 100);
    ws_conditions_set(&reference, WS_LINK_DELAY_MS, 5);
    ws_link_init(&link, &reference, forget_ms);
    return link;
}

static void test_link_starts_as_planned(void **state)
{
    (void)state;
    struct ws_link link = make(0);
    struct ws_link_estimate now;
    ws_link_get(&now, &link, 1000);
    assert_near(now.delay_ms, 5, 1e-12);
    assert_near(now.mbit_s, 100, 1e-9);
    assert_near(now.pace, 1, 1e-12);
    assert_true(isinf(now.age_ms));
}

/* A tenth of the rate is found from transfers, and told apart from delay; the age is that
 * of the last one; left alone it is forgotten. */
static void test_link_finds_rate_and_forgets(void **state)
{
    (void)state;
    struct ws_link link = make(10000);
    struct ws_link_estimate now;
    const struct ws_outcome planned = transfer_of(85, 1e6);
    double t = 0;
    for (int i = 0; i < 8; i++, t += 1000)
        ws_link_observe(&link, &planned, 5 + 800, t);
    ws_link_get(&now, &link, t - 1000);
    assert_in_range((int)now.mbit_s, 8, 12);
    assert_near(now.age_ms, 0, 0);
    ws_link_get(&now, &link, t + 4000);
    assert_near(now.age_ms, 5000, 0);
    assert_true(now.mbit_s > 10);
    ws_link_get(&now, &link, t + 200000);
    assert_near(now.mbit_s, 100, 1e-3);
}

/* Probes of two sizes see delay and rate apart. */
static void test_link_learns_from_probes(void **state)
{
    (void)state;
    struct ws_link link = make(0);
    struct ws_link_estimate now;
    for (int i = 0; i < 30; i++) {
        ws_link_observe_probe(&link, 5, 0, 30, i * 100);
        ws_link_observe_probe(&link, 5, 80, 30 + 400, i * 100 + 60);
    }
    ws_link_get(&now, &link, 3000);
    assert_in_range((int)now.delay_ms, 26, 34);
    assert_in_range((int)now.mbit_s, 15, 26);
    /* What is not planned cannot be compared. */
    link = make(0);
    ws_link_observe_probe(&link, 0, 0, 60, 0);
    ws_link_get(&now, &link, 0);
    assert_true(isinf(now.age_ms));
}

/* Giving up early says nothing, giving up late that it is slow. */
static void test_link_given_up(void **state)
{
    (void)state;
    struct ws_link link = make(0);
    struct ws_link_estimate now;
    const struct ws_outcome planned = transfer_of(85, 1e6);
    ws_link_observe_least(&link, &planned, 40, 0);
    ws_link_get(&now, &link, 0);
    assert_near(now.pace, 1, 0);
    for (int i = 1; i < 5; i++)
        ws_link_observe_least(&link, &planned, 400, i);
    ws_link_get(&now, &link, 5);
    assert_true(now.pace > 3);
}

static void test_link_is_told(void **state)
{
    (void)state;
    struct ws_link link = make(0);
    struct ws_link_estimate now;
    struct ws_conditions told = {0};
    ws_conditions_set(&told, WS_LINK_MBIT_S, 0);
    ws_conditions_set(&told, WS_LINK_DELAY_MS, 5);
    ws_link_note(&link, &told, 0);
    ws_link_get(&now, &link, 0);
    assert_true(now.mbit_s < 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_starts_as_planned),
        cmocka_unit_test(test_link_finds_rate_and_forgets),
        cmocka_unit_test(test_link_learns_from_probes),
        cmocka_unit_test(test_link_given_up),
        cmocka_unit_test(test_link_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
