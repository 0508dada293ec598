#include "check.h"

#include "agent/breaker.h"

static void test_breaker_opens_after_failures_in_a_row(void **state)
{
    (void)state;
    struct ws_breaker b;
    ws_breaker_init(&b, &(const struct ws_breaker_options){.failures = 3});
    for (int i = 0; i < 10; i++) {
        ws_breaker_fail(&b, i);
        ws_breaker_fail(&b, i);
        assert_int_equal(ws_breaker_allows(&b, i), 1);
        ws_breaker_succeed(&b);
    }
    for (int i = 0; i < 3; i++)
        ws_breaker_fail(&b, 100);
    assert_int_equal(ws_breaker_state(&b, 100), WS_BREAKER_OPEN);
    assert_int_equal(b.opened, 1);
    /* What was sent before it opened, and fails now, changes nothing. */
    ws_breaker_fail(&b, 300);
    assert_int_equal(ws_breaker_state(&b, 599), WS_BREAKER_OPEN);
    assert_int_equal(ws_breaker_state(&b, 600), WS_BREAKER_TRIAL);
}

static void test_breaker_waits_longer_each_time(void **state)
{
    (void)state;
    static const double waits[] = {10, 20, 40, 50, 50};
    struct ws_breaker b;
    ws_breaker_init(&b, &(const struct ws_breaker_options){1, 10, 50});
    double now = 0;
    ws_breaker_fail(&b, now);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ws_breaker_allows(&b, now + waits[i] - 1), 0);
        now += waits[i];
        assert_int_equal(ws_breaker_state(&b, now), WS_BREAKER_TRIAL);
        ws_breaker_begin(&b, now);
        assert_int_equal(ws_breaker_allows(&b, now), 0); /* one trial at a time */
        if (i < 4)
            ws_breaker_fail(&b, now);
    }
    ws_breaker_succeed(&b);
    assert_int_equal(ws_breaker_state(&b, now), WS_BREAKER_CLOSED);
    /* From the beginning again. */
    ws_breaker_fail(&b, now);
    assert_int_equal(ws_breaker_state(&b, now + 9), WS_BREAKER_OPEN);
    assert_int_equal(ws_breaker_state(&b, now + 10), WS_BREAKER_TRIAL);
    assert_string_equal(ws_breaker_state_name(WS_BREAKER_TRIAL), "trial");
}

/* A trial whose end nobody tells does not keep the node away for ever. */
static void test_breaker_forgets_a_lost_trial(void **state)
{
    (void)state;
    struct ws_breaker b;
    ws_breaker_init(&b, &(const struct ws_breaker_options){1, 10, 50});
    ws_breaker_fail(&b, 0);
    ws_breaker_begin(&b, 10);
    assert_int_equal(ws_breaker_allows(&b, 59), 0);
    assert_int_equal(ws_breaker_allows(&b, 60), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_breaker_opens_after_failures_in_a_row),
        cmocka_unit_test(test_breaker_waits_longer_each_time),
        cmocka_unit_test(test_breaker_forgets_a_lost_trial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
