#include "check.h"

#include <string.h>

#include "split/fusion.h"

/* Logits that are logarithms have their arguments' ratios as probabilities; a temperature
 * of 2 takes the square root of each. */
static void test_probabilities(void **state)
{
    (void)state;
    const float logits[] = {(float)log(1), (float)log(4), (float)log(16), (float)log(4)};
    float p[4];
    ws_fusion_probabilities(p, logits, 4, 1);
    for (int i = 0; i < 4; i++)
        assert_near((double)p[i], exp((double)logits[i]) / 25, 1e-6);
    ws_fusion_probabilities(p, logits, 4, 2);
    for (int i = 0; i < 4; i++)
        assert_near((double)p[i], exp((double)logits[i] / 2) / 9, 1e-6);
}

static void test_probabilities_of_large_logits(void **state)
{
    (void)state;
    float p[3] = {1e30F, -1e30F, 1e30F};
    ws_fusion_probabilities(p, p, 3, 0.05);
    assert_near((double)p[0], 0.5, 0);
    assert_near((double)p[1], 0, 0);
    assert_near((double)p[2], 0.5, 0);
}

/* Fourths and halves: roots and powers of two that can be worked out by hand. */
static void test_pool(void **state)
{
    (void)state;
    const float edge[] = {0.5F, 0.25F, 0.25F}, cloud[] = {0.125F, 0.5F, 0.375F};
    float p[3];
    ws_fusion_pool(p, edge, cloud, 3, 0.5, 1);
    double a = 0.25, b = sqrt(0.125), c = sqrt(0.25 * 0.375);
    assert_near((double)p[0], a / (a + b + c), 1e-6);
    assert_near((double)p[1], b / (a + b + c), 1e-6);
    /* At half the temperature every product is squared. */
    ws_fusion_pool(p, edge, cloud, 3, 0.5, 0.5);
    assert_near((double)p[1], b * b / (a * a + b * b + c * c), 1e-6);
    ws_fusion_pool(p, edge, cloud, 3, 1, 1);
    for (int i = 0; i < 3; i++)
        assert_near((double)p[i], (double)edge[i], 1e-6);
    ws_fusion_pool(p, edge, cloud, 3, 0, 1);
    for (int i = 0; i < 3; i++)
        assert_near((double)p[i], (double)cloud[i], 1e-6);
    /* What one half rules out stays ruled out, and nothing is not a number. */
    const float sure[] = {1, 0, 0};
    ws_fusion_pool(p, sure, cloud, 3, 0.5, 1);
    assert_near((double)p[0], 1, 1e-6);
    assert_near((double)p[1], 0, 1e-6);
}

static void test_interpolation(void **state)
{
    (void)state;
    static const struct ws_fusion table[] = {
        {0.2, 0.9, 1.0, 3.0, 1}, {0.4, 0.5, 2.0, 1.0, 3}, {0.8, 0.1, 2.5, 1.5, 1}};
    static const struct {
        double share, lambda, edge, cloud;
    } rows[] = {
        {0, 0.9, 1, 3},       {0.2, 0.9, 1, 3},       {0.3, 0.7, 1.5, 2},
        {0.4, 0.5, 2, 1},     {0.6, 0.3, 2.25, 1.25}, {0.7, 0.2, 2.375, 1.375},
        {0.8, 0.1, 2.5, 1.5}, {1, 0.1, 2.5, 1.5},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_fusion at = ws_fusion_at(table, 3, rows[i].share);
        assert_near(at.share, rows[i].share, 0);
        assert_near(at.lambda, rows[i].lambda, 1e-12);
        assert_near(at.edge_temperature, rows[i].edge, 1e-12);
        assert_near(at.cloud_temperature, rows[i].cloud, 1e-12);
    }
    assert_near(ws_fusion_at(table, 1, 0.9).lambda, 0.9, 0);
    assert_near(ws_fusion_at(table, 3, 0.3).temperature, 2, 1e-12);
}

static void test_attention_held(void **state)
{
    (void)state;
    float importance[] = {0.125F, 0.5F, 0, 0.25F, 0.125F, 0};
    double held[6];
    ws_attention_held(held, 3, importance, 6);
    assert_near(held[0], 0.75, 1e-7);
    assert_near(held[1], 1, 1e-7);
    assert_near(held[2], 1, 1e-7);
    ws_attention_held(held, 6, importance, 6);
    assert_near(held[0], 0.5, 1e-7);
    assert_near(held[2], 0.875, 1e-7);
    /* Parts that do not divide the maps: 4 of 6 are 1, 3, 4 and 6 maps. */
    ws_attention_held(held, 4, importance, 6);
    assert_near(held[0], 0.5, 1e-7);
    assert_near(held[1], 0.875, 1e-7);
    memset(importance, 0, sizeof(importance));
    ws_attention_held(held, 2, importance, 6);
    assert_near(held[0], 0.5, 0);
    assert_near(held[1], 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probabilities),
        cmocka_unit_test(test_probabilities_of_large_logits),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_interpolation),
        cmocka_unit_test(test_attention_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
