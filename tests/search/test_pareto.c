#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "search/pareto.h"

/* Fills points with values of a coarse grid, so that ties and duplicates occur. */
static void fill(struct ws_rng *rng, double *points, size_t count, uint64_t grid)
{
    for (size_t i = 0; i < count; i++)
        points[i] = (double)ws_rng_below(rng, grid) / (double)grid;
}

static void test_pareto_front_brute(void **state)
{
    (void)state;
    static double points[500 * 8];
    struct ws_rng rng;
    struct ws_error err = {0};
    ws_rng_init(&rng, 1);
    for (size_t dims = 1; dims <= 8; dims++) {
        for (int round = 0; round < 6; round++) {
            size_t count = 1 + ws_rng_below(&rng, 500);
            uint8_t front[500];
            fill(&rng, points, count * dims, round % 2 == 0 ? 7 : 1u << 20);
            assert_int_equal(ws_pareto_front(front, points, count, dims, &err), 0);
            for (size_t i = 0; i < count; i++) {
                int dominated = 0;
                for (size_t k = 0; k < count; k++)
                    dominated |=
                        ws_pareto_dominates(points + k * dims, points + i * dims, dims);
                assert_int_equal(front[i], !dominated);
            }
        }
    }
}

static void test_pareto_ranks(void **state)
{
    (void)state;
    static const double points[] = {1, 4, 2, 2, 4, 1, 2, 4, 3, 3, 5, 5, 1, 4};
    static const uint32_t expected[] = {0, 0, 0, 1, 1, 2, 0};
    uint32_t ranks[7];
    struct ws_error err = {0};
    assert_int_equal(ws_pareto_ranks(ranks, points, 7, 2, &err), 0);
    assert_memory_equal(ranks, expected, sizeof(expected));
}

/* Inclusion and exclusion over all subsets. */
static double slow_volume(const double *points, size_t count, size_t dims,
                          const double *reference)
{
    double sum = 0;
    for (uint32_t set = 1; set < 1u << count; set++) {
        double box = 1;
        for (size_t d = 0; d < dims; d++) {
            double corner = -1e300;
            for (size_t i = 0; i < count; i++) {
                if ((set >> i & 1u) != 0 && points[i * dims + d] > corner)
                    corner = points[i * dims + d];
            }
            box *= reference[d] > corner ? reference[d] - corner : 0;
        }
        sum += __builtin_popcount(set) % 2 == 1 ? box : -box;
    }
    return sum;
}

static void test_hypervolume_slow(void **state)
{
    (void)state;
    const double reference[] = {1, 0.9, 1.1, 1, 0.8};
    struct ws_rng rng;
    struct ws_error err = {0};
    ws_rng_init(&rng, 2);
    for (size_t dims = 1; dims <= 5; dims++) {
        for (int round = 0; round < 30; round++) {
            double points[12 * 5];
            double fast = -1;
            size_t count = ws_rng_below(&rng, 13);
            fill(&rng, points, count * dims, round % 2 == 0 ? 5 : 1u << 20);
            assert_int_equal(ws_hypervolume(&fast, points, count, dims, reference, &err),
                             0);
            assert_near(fast, slow_volume(points, count, dims, reference), 1e-12);
        }
    }
}

static void test_hypervolume_known(void **state)
{
    (void)state;
    /* Two boxes of 0.5 x 1 overlapping in 0.5 x 0.5. */
    static const double points[] = {0.5, 0, 0, 0.5, 0.7, 0.7, 2, -1};
    static const double reference[] = {1, 1};
    struct ws_error err = {0};
    double volume = 0;
    assert_int_equal(ws_hypervolume(&volume, points, 4, 2, reference, &err), 0);
    assert_near(volume, 0.75, 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pareto_front_brute),
        cmocka_unit_test(test_pareto_ranks),
        cmocka_unit_test(test_hypervolume_slow),
        cmocka_unit_test(test_hypervolume_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
