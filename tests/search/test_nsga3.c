#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "search/nsga3.h"
#include "search/pareto.h"

static void test_nsga3_directions(void **state)
{
    (void)state;
    struct ws_error err = {0};
    double *directions = NULL;
    size_t count = 0;
    assert_int_equal(ws_nsga3_directions(&directions, &count, 3, 12, &err), 0);
    assert_int_equal(count, 91);
    for (size_t i = 0; i < count; i++)
        assert_near(directions[3 * i] + directions[3 * i + 1] + directions[3 * i + 2], 1,
                    1e-12);
    free(directions);
    assert_int_equal(ws_nsga3_directions(&directions, &count, 2, 4, &err), 0);
    assert_int_equal(count, 5);
    assert_near(directions[2], 0.25, 1e-12);
    assert_near(directions[3], 0.75, 1e-12);
    free(directions);
}

/* DTLZ2 with three objectives. */
static int sphere(void *user, double *out, double *violation, double *x,
                  struct ws_rng *rng, struct ws_error *err)
{
    double g = 0;
    (void)rng;
    (void)err;
    for (size_t i = 2; i < 12; i++)
        g += (x[i] - 0.5) * (x[i] - 0.5);
    out[0] = (1 + g) * cos(x[0] * M_PI / 2) * cos(x[1] * M_PI / 2);
    out[1] = (1 + g) * cos(x[0] * M_PI / 2) * sin(x[1] * M_PI / 2);
    out[2] = (1 + g) * sin(x[0] * M_PI / 2);
    /* With `user`: only the half with a large first objective is allowed. */
    if (user != NULL)
        *violation = fmax(0, 0.5 - out[0]);
    return 0;
}

static void run(struct ws_nsga3_result *out, void *user, uint64_t seed)
{
    struct ws_gene genes[12];
    struct ws_error err = {0};
    for (size_t i = 0; i < 12; i++)
        genes[i] = (struct ws_gene){WS_GENE_REAL, 0, 1};
    struct ws_nsga3_problem problem = {genes, 12, 3, sphere, user};
    struct ws_nsga3_options options = {
        .population = 92, .divisions = 12, .generations = 250, .seed = seed};
    assert_int_equal(ws_nsga3_run(out, &problem, &options, &err), 0);
    assert_int_equal(out->count, 92);
}

/* Volume of the points where the directions meet the unit sphere. */
static double ideal_volume(const double *reference)
{
    struct ws_error err = {0};
    double *directions = NULL;
    double volume = 0;
    size_t count = 0;
    assert_int_equal(ws_nsga3_directions(&directions, &count, 3, 12, &err), 0);
    for (size_t i = 0; i < count; i++) {
        double *w = directions + 3 * i;
        double length = sqrt(w[0] * w[0] + w[1] * w[1] + w[2] * w[2]);
        for (size_t d = 0; d < 3; d++)
            w[d] /= length;
    }
    assert_int_equal(ws_hypervolume(&volume, directions, count, 3, reference, &err), 0);
    free(directions);
    return volume;
}

static void test_nsga3_dtlz2(void **state)
{
    (void)state;
    static const double reference[] = {1.1, 1.1, 1.1};
    struct ws_nsga3_result result;
    struct ws_nsga3_result again;
    struct ws_error err = {0};
    double volume = 0;
    run(&result, NULL, 5);
    run(&again, NULL, 5);
    assert_memory_equal(result.objectives, again.objectives, 92 * 3 * sizeof(double));
    assert_int_equal(
        ws_hypervolume(&volume, result.objectives, result.count, 3, reference, &err), 0);
    /* Where the reference directions meet the true front is all that it aims at. */
    double ideal = ideal_volume(reference);
    assert_near(volume, ideal, 0.01 * ideal);
    ws_nsga3_result_fini(&result);
    ws_nsga3_result_fini(&again);
}

static void test_nsga3_constraint(void **state)
{
    (void)state;
    struct ws_nsga3_result result;
    int constrained = 1;
    run(&result, &constrained, 6);
    double mean_radius = 0;
    for (size_t i = 0; i < result.count; i++) {
        const double *f = result.objectives + 3 * i;
        assert_true(f[0] >= 0.5 - 1e-9);
        mean_radius +=
            sqrt(f[0] * f[0] + f[1] * f[1] + f[2] * f[2]) / (double)result.count;
    }
    assert_near(mean_radius, 1, 0.03);
    ws_nsga3_result_fini(&result);
}

/* Ordered and nominal genes: x of 0 .. 99 on two slopes, but only colour 2 is cheap. */
static int mixed(void *user, double *out, double *violation, double *x,
                 struct ws_rng *rng, struct ws_error *err)
{
    size_t *calls = user;
    (void)violation;
    (void)rng;
    assert_true(x[0] == round(x[0]) && x[0] >= 0 && x[0] <= 99);
    assert_true(x[1] == round(x[1]) && x[1] >= 0 && x[1] <= 4);
    if (++*calls > 2000)
        return ws_error_set(err, WS_E_END, "enough");
    double penalty = x[1] == 2 ? 0 : 50;
    out[0] = x[0] + penalty;
    out[1] = 99 - x[0] + penalty;
    return 0;
}

static void test_nsga3_mixed_genes(void **state)
{
    (void)state;
    static const struct ws_gene genes[] = {{WS_GENE_ORDERED, 0, 99},
                                           {WS_GENE_NOMINAL, 0, 4}};
    struct ws_error err = {0};
    struct ws_nsga3_result result;
    size_t calls = 0;
    struct ws_nsga3_problem problem = {genes, 2, 2, mixed, &calls};
    struct ws_nsga3_options options = {.population = 12, .generations = 1000, .seed = 1};
    assert_int_equal(ws_nsga3_run(&result, &problem, &options, &err), 0);
    assert_int_equal(calls, 2001);
    size_t lowest = 99;
    size_t highest = 0;
    for (size_t i = 0; i < 12; i++) {
        assert_near(result.genes[2 * i + 1], 2, 0);
        size_t x = (size_t)result.genes[2 * i];
        lowest = x < lowest ? x : lowest;
        highest = x > highest ? x : highest;
    }
    assert_int_equal(lowest, 0);
    assert_int_equal(highest, 99);
    ws_nsga3_result_fini(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nsga3_directions),
        cmocka_unit_test(test_nsga3_dtlz2),
        cmocka_unit_test(test_nsga3_constraint),
        cmocka_unit_test(test_nsga3_mixed_genes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
