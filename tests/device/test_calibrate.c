/* The fit of a unit finds again what its trials were made from. */
#include <stdlib.h>

#include "base/rng.h"
#include "check.h"
#include "device/calibrate.h"

enum { COUNT = 240 };

/* A unit whose multiplications, crossing bytes and fixed costs follow the clock in three
 * ways. `off` is how far single trials are off, one in ten by half. */
static void make_samples(struct ws_sample *out, size_t count, double off)
{
    static const double clocks[] = {1.0 / 3, 0.5, 2.0 / 3, 0.8, 1};
    struct ws_rng rng;
    ws_rng_init(&rng, 3);
    for (size_t i = 0; i < count; i++) {
        struct ws_sample *s = &out[i];
        *s = (struct ws_sample){.clock = clocks[i % 5], .has_power = 1};
        s->work.macs[WS_WORK_CONV] = 1e9 * ws_rng_uniform(&rng);
        s->work.macs[WS_WORK_MATMUL] = 1e8 * ws_rng_uniform(&rng);
        s->work.crossing_bytes = 1e6 * ws_rng_uniform(&rng);
        s->ms = (s->work.macs[WS_WORK_CONV] / 1e10 + s->work.macs[WS_WORK_MATMUL] / 1e9) *
                    1000 / pow(s->clock, 0.9) +
                s->work.crossing_bytes / 2e7 * 1000 / pow(s->clock, 0.4) + 12;
        s->power_w = 2 + 3 * s->clock;
        s->ms *= 1 + off * (ws_rng_uniform(&rng) - 0.5);
        if (off > 0 && i % 10 == 0)
            s->ms *= 1.5;
    }
}

static void check_fit(double off, double within)
{
    static struct ws_sample samples[COUNT];
    struct ws_fit fit;
    struct ws_error err = {0};
    make_samples(samples, COUNT, off);
    if (ws_calibrate_unit(&fit, samples, COUNT, &err) != 0)
        fail_msg("%s", err.text);
    assert_near(fit.macs_per_s[WS_WORK_CONV] / 1e10, 1, within);
    assert_near(fit.macs_per_s[WS_WORK_MATMUL] / 1e9, 1, within);
    assert_near(fit.macs_per_s[WS_WORK_DEPTHWISE], 0, 0); /* nobody had any */
    assert_near(fit.bytes_per_s, 0, 0);
    assert_near(fit.crossing_bytes_per_s / 2e7, 1, within);
    assert_near(fit.fixed_ms / 12, 1, 2 * within);
    assert_near(fit.exponent, 0.9, within);
    assert_near(fit.crossing_exponent, 0.4, 2 * within);
    assert_int_equal(fit.power_count, 5);
    assert_near(fit.clock[0], 1.0 / 3, 0);
    assert_near(fit.power_w[4], 5, 1e-9);
    assert_near(fit.power_w[1], 3.5, 1e-9);
}

static void test_calibrate_exact(void **state)
{
    (void)state;
    check_fit(0, 0.02);
}

/* Outliers do not move it far: it is the median that counts. */
static void test_calibrate_noisy(void **state)
{
    (void)state;
    check_fit(0.04, 0.1);
}

static void test_calibrate_refuses(void **state)
{
    static struct ws_sample samples[COUNT];
    struct ws_fit fit = {.fixed_ms = -1};
    struct ws_error err = {0};
    (void)state;
    make_samples(samples, COUNT, 0);
    assert_int_equal(ws_calibrate_unit(&fit, samples, 3, &err), WS_E_UNKNOWN);
    assert_string_equal(err.text, "3 trials are too few to fit to");
    for (size_t i = 0; i < COUNT; i++)
        samples[i].clock = 1 + (double)i;
    assert_int_equal(ws_calibrate_unit(&fit, samples, COUNT, &err), WS_E_LIMIT);
    assert_near(fit.fixed_ms, -1, 0);
    /* A clock that never moves has no exponent, and power that nobody knows no table. */
    for (size_t i = 0; i < COUNT; i++) {
        samples[i].clock = 0.5;
        samples[i].has_power = 0;
    }
    assert_int_equal(ws_calibrate_unit(&fit, samples, COUNT, &err), 0);
    assert_near(fit.exponent, 0, 0);
    assert_int_equal(fit.power_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calibrate_exact),
        cmocka_unit_test(test_calibrate_noisy),
        cmocka_unit_test(test_calibrate_refuses),
    };
    return cmocka_run_group_tests_name("calibrate", tests, NULL, NULL);
}
