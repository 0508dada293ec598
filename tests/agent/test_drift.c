#include "check.h"

#include "agent/drift.h"
#include "base/rng.h"

static const struct ws_drift_options machine = {{0.02, 0}, {2, 0}, 0, 0};
static const struct ws_drift_options link_options = {{0.02, 0.05}, {0.5, 20}, 0, 30000};
static const double whole[2] = {1, 0};

static double factor(const struct ws_drift *drift, int i, double now_ms)
{
    double out[2];
    ws_drift_get(out, drift, now_ms);
    return out[i];
}

static void test_drift_noise_moves_little(void **state)
{
    (void)state;
    struct ws_drift drift;
    struct ws_rng rng;
    ws_rng_init(&rng, 1);
    ws_drift_init(&drift, &machine);
    for (int i = 0; i < 10000; i++) {
        ws_drift_observe(&drift, whole, 1 + 0.05 * ws_rng_normal(&rng), i);
        assert_near(factor(&drift, 0, i), 1, 0.03);
    }
}

static void test_drift_one_outlier(void **state)
{
    (void)state;
    struct ws_drift drift;
    ws_drift_init(&drift, &machine);
    for (int i = 0; i < 100; i++)
        ws_drift_observe(&drift, whole, i == 50 ? 20 : 1, i);
    assert_near(factor(&drift, 0, 100), 1, 0.03);
}

static void test_drift_jump_is_followed(void **state)
{
    (void)state;
    struct ws_drift drift;
    struct ws_rng rng;
    ws_rng_init(&rng, 2);
    ws_drift_init(&drift, &machine);
    for (int i = 0; i < 1000; i++)
        ws_drift_observe(&drift, whole, 1 + 0.03 * ws_rng_normal(&rng), i);
    for (int i = 0; i < 3; i++)
        ws_drift_observe(&drift, whole, 3, 1000 + i);
    assert_near(factor(&drift, 0, 1003), 3, 0.1);
    for (int i = 0; i < 3; i++)
        ws_drift_observe(&drift, whole, 1, 1010 + i);
    assert_near(factor(&drift, 0, 1013), 1, 0.1);
}

/* Rate to a tenth, seen through two kinds of transfers: mostly delay, mostly wire. */
static void test_drift_tells_rate_from_delay(void **state)
{
    (void)state;
    struct ws_drift drift;
    static const double small[2] = {0.9, 0.1}, large[2] = {0.2, 0.8};
    ws_drift_init(&drift, &link_options);
    for (int i = 0; i < 20; i++) {
        const double *share = i % 2 ? small : large;
        ws_drift_observe(&drift, share, share[0] + share[1] * 10, i);
    }
    assert_near(factor(&drift, 0, 20), 1, 0.1);
    assert_near(factor(&drift, 1, 20), 10, 0.5);
    /* From small ones alone, too: a rate is likelier to have changed than a delay. */
    ws_drift_init(&drift, &link_options);
    for (int i = 0; i < 5; i++)
        ws_drift_observe(&drift, small, small[0] + small[1] * 10, i);
    assert_near(factor(&drift, 1, 5), 10, 1);
}

static void test_drift_forgets(void **state)
{
    (void)state;
    struct ws_drift drift;
    ws_drift_init(&drift, &link_options);
    for (int i = 0; i < 4; i++)
        ws_drift_observe(&drift, whole, 5, i);
    assert_near(factor(&drift, 0, 4), 5, 0.5);
    assert_near(factor(&drift, 0, 4 + 300000), 1, 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drift_noise_moves_little),
        cmocka_unit_test(test_drift_one_outlier),
        cmocka_unit_test(test_drift_jump_is_followed),
        cmocka_unit_test(test_drift_tells_rate_from_delay),
        cmocka_unit_test(test_drift_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
