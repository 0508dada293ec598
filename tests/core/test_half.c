#include "check.h"

#include "core/half.h"

/* Bit patterns from the definition of binary16. */
static void test_half_known(void **state)
{
    (void)state;
    static const struct {
        uint16_t half;
        float value;
    } rows[] = {
        {0x0000, 0.0f},          {0x3c00, 1.0f},        {0xc000, -2.0f},
        {0x7bff, 65504.0f},      {0x0400, 0x1p-14f},    {0x0001, 0x1p-24f},
        {0x83ff, -0x1.ff8p-15f}, {0x3555, 0x1.554p-2f}, {0x7c00, INFINITY},
        {0xfc00, -INFINITY},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(ws_half_to_float(rows[i].half) == rows[i].value);
        assert_int_equal(ws_half_from_float(rows[i].value), rows[i].half);
    }
}

static void test_half_round_trip(void **state)
{
    (void)state;
    for (uint32_t half = 0; half <= 0xffff; half++) {
        float value = ws_half_to_float((uint16_t)half);
        if (isnan(value))
            assert_true(isnan(ws_half_to_float(ws_half_from_float(value))));
        else
            assert_int_equal(ws_half_from_float(value), half);
    }
}

static void test_half_rounding(void **state)
{
    (void)state;
    /* Halfway goes to the even neighbour; just off it, to the nearer one. */
    assert_int_equal(ws_half_from_float(1 + 0x1p-11f), 0x3c00);
    assert_int_equal(ws_half_from_float(1 + 0x1p-11f + 0x1p-20f), 0x3c01);
    assert_int_equal(ws_half_from_float(1 + 0x3p-11f), 0x3c02);
    assert_int_equal(ws_half_from_float(0x1p-25f), 0);
    assert_int_equal(ws_half_from_float(0x3p-25f), 2);
    assert_int_equal(ws_half_from_float(65519.0f), 0x7bff);
    assert_int_equal(ws_half_from_float(65520.0f), 0x7c00);
    assert_int_equal(ws_half_from_float(1e-30f), 0);
    /* The largest float below 2^-14 rounds up into the normal numbers. */
    assert_int_equal(ws_half_from_float(0x1.fffffep-15f), 0x0400);
}

static void test_bf16(void **state)
{
    (void)state;
    assert_near(ws_bf16_to_float(0x3f80), 1, 0);
    for (uint32_t bits = 0; bits <= 0xffff; bits++) {
        float value = ws_bf16_to_float((uint16_t)bits);
        if (isnan(value))
            assert_true(isnan(ws_bf16_to_float(ws_bf16_from_float(value))));
        else
            assert_int_equal(ws_bf16_from_float(value), bits);
    }
    assert_int_equal(ws_bf16_from_float(1 + 0x1p-8f), 0x3f80);
    assert_int_equal(ws_bf16_from_float(1 + 0x3p-8f), 0x3f82);
    assert_int_equal(ws_bf16_from_float(0x1.fffffep127f), 0x7f80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_known),
        cmocka_unit_test(test_half_round_trip),
        cmocka_unit_test(test_half_rounding),
        cmocka_unit_test(test_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
