/*
 * NSGA-III on test problems whose hypervolumes are known from the literature: DTLZ1 to 4
 * with three objectives at the budgets of Deb and Jain (2014), and ZDT at 50,000
 * evaluations (500 generations of 100). Hypervolumes of DTLZ are of objectives over the
 * true front's range, reference point 1.1, as in Yuan, Xu, Wang and Yao (2016); those of
 * ZDT over the true front's range, reference point 1, as in Nebro and others (SMPSO,
 * 2009). The reference figures were set down from memory of those works and have not been
 * held against the printed tables; tests/search compares with ideal sets computed there.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/stats.h"
#include "search/nsga3.h"
#include "search/pareto.h"

enum { SEEDS = 11, GENES_MAX = 30 };

struct function {
    const char *name;
    void (*evaluate)(double *out, const double *x, size_t n);
    size_t genes;
    size_t objectives;
    size_t population;
    size_t divisions;
    size_t generations;
    double published;
    double reference;
    double least[3]; /* of the true front */
    double range[3];
    double low_rest; /* bounds of the genes after the first (ZDT4) */
    double high_rest;
};

static double rugged(const double *x, size_t from, size_t n)
{
    double sum = (double)(n - from);
    for (size_t i = from; i < n; i++)
        sum += (x[i] - 0.5) * (x[i] - 0.5) - cos(20 * M_PI * (x[i] - 0.5));
    return 100 * sum;
}

static double bowl(const double *x, size_t from, size_t n)
{
    double sum = 0;
    for (size_t i = from; i < n; i++)
        sum += (x[i] - 0.5) * (x[i] - 0.5);
    return sum;
}

static void dtlz1(double *out, const double *x, size_t n)
{
    double g = rugged(x, 2, n);
    out[0] = 0.5 * x[0] * x[1] * (1 + g);
    out[1] = 0.5 * x[0] * (1 - x[1]) * (1 + g);
    out[2] = 0.5 * (1 - x[0]) * (1 + g);
}

static void sphere(double *out, double a, double b, double g)
{
    out[0] = (1 + g) * cos(a * M_PI / 2) * cos(b * M_PI / 2);
    out[1] = (1 + g) * cos(a * M_PI / 2) * sin(b * M_PI / 2);
    out[2] = (1 + g) * sin(a * M_PI / 2);
}

static void dtlz2(double *out, const double *x, size_t n)
{
    sphere(out, x[0], x[1], bowl(x, 2, n));
}

static void dtlz3(double *out, const double *x, size_t n)
{
    sphere(out, x[0], x[1], rugged(x, 2, n));
}

static void dtlz4(double *out, const double *x, size_t n)
{
    sphere(out, pow(x[0], 100), pow(x[1], 100), bowl(x, 2, n));
}

static double mean_rest(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        sum += x[i];
    return sum / (double)(n - 1);
}

static void zdt1(double *out, const double *x, size_t n)
{
    double g = 1 + 9 * mean_rest(x, n);
    out[0] = x[0];
    out[1] = g * (1 - sqrt(x[0] / g));
}

static void zdt2(double *out, const double *x, size_t n)
{
    double g = 1 + 9 * mean_rest(x, n);
    out[0] = x[0];
    out[1] = g * (1 - (x[0] / g) * (x[0] / g));
}

static void zdt3(double *out, const double *x, size_t n)
{
    double g = 1 + 9 * mean_rest(x, n);
    out[0] = x[0];
    out[1] = g * (1 - sqrt(x[0] / g) - x[0] / g * sin(10 * M_PI * x[0]));
}

static void zdt4(double *out, const double *x, size_t n)
{
    double g = 1 + 10 * (double)(n - 1);
    for (size_t i = 1; i < n; i++)
        g += x[i] * x[i] - 10 * cos(4 * M_PI * x[i]);
    out[0] = x[0];
    out[1] = g * (1 - sqrt(x[0] / g));
}

static void zdt6(double *out, const double *x, size_t n)
{
    double g = 1 + 9 * pow(mean_rest(x, n), 0.25);
    out[0] = 1 - exp(-4 * x[0]) * pow(sin(6 * M_PI * x[0]), 6);
    out[1] = g * (1 - (out[0] / g) * (out[0] / g));
}

static const struct function functions[] = {
    {"DTLZ1", dtlz1, 7, 3, 92, 12, 400, 1.117600, 1.1, {0}, {0.5, 0.5, 0.5}, 0, 1},
    {"DTLZ2", dtlz2, 12, 3, 92, 12, 250, 0.743523, 1.1, {0}, {1, 1, 1}, 0, 1},
    {"DTLZ3", dtlz3, 12, 3, 92, 12, 1000, 0.737407, 1.1, {0}, {1, 1, 1}, 0, 1},
    {"DTLZ4", dtlz4, 12, 3, 92, 12, 600, 0.743640, 1.1, {0}, {1, 1, 1}, 0, 1},
    {"ZDT1", zdt1, 30, 2, 100, 99, 500, 0.662, 1, {0}, {1, 1}, 0, 1},
    {"ZDT2", zdt2, 30, 2, 100, 99, 500, 0.329, 1, {0}, {1, 1}, 0, 1},
    {"ZDT3",
     zdt3,
     30,
     2,
     100,
     99,
     500,
     0.515,
     1,
     {0, -0.773369},
     {0.851833, 1.773369},
     0,
     1},
    {"ZDT4", zdt4, 10, 2, 100, 99, 500, 0.661, 1, {0}, {1, 1}, -5, 5},
    {"ZDT6",
     zdt6,
     10,
     2,
     100,
     99,
     500,
     0.401,
     1,
     {0.280775, 0},
     {0.719225, 0.921165},
     0,
     1},
};

static int evaluate(void *user, double *out, double *violation, double *genes,
                    struct ws_rng *rng, struct ws_error *err)
{
    const struct function *f = user;
    (void)violation;
    (void)rng;
    (void)err;
    f->evaluate(out, genes, f->genes);
    return 0;
}

static double run(const struct function *f, uint64_t seed)
{
    struct ws_gene genes[GENES_MAX];
    struct ws_error err = {0};
    struct ws_nsga3_result result;
    double volume = 0;
    double reference[3];
    for (size_t i = 0; i < f->genes; i++)
        genes[i] = (struct ws_gene){WS_GENE_REAL, i == 0 ? 0 : f->low_rest,
                                    i == 0 ? 1 : f->high_rest};
    struct ws_nsga3_problem problem = {genes, f->genes, f->objectives, evaluate,
                                       (void *)(uintptr_t)f};
    struct ws_nsga3_options options = {.population = f->population,
                                       .divisions = f->divisions,
                                       .generations = f->generations,
                                       .seed = seed};
    if (ws_nsga3_run(&result, &problem, &options, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    for (size_t i = 0; i < result.count; i++) {
        for (size_t d = 0; d < f->objectives; d++) {
            double *x = &result.objectives[i * f->objectives + d];
            *x = (*x - f->least[d]) / f->range[d];
        }
    }
    for (size_t d = 0; d < f->objectives; d++)
        reference[d] = f->reference;
    if (ws_hypervolume(&volume, result.objectives, result.count, f->objectives, reference,
                       &err) != 0)
        volume = -1;
    ws_nsga3_result_fini(&result);
    return volume;
}

int main(void)
{
    printf("NSGA-III, %d seeds\n%-6s %9s %10s %10s %8s %8s\n", SEEDS, "", "reference",
           "median", "worst", "median", "s/run");
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        double volumes[SEEDS];
        int64_t start = ws_clock_now_ns();
        for (uint64_t seed = 0; seed < SEEDS; seed++)
            volumes[seed] = run(&functions[i], seed + 1);
        double seconds = (double)(ws_clock_now_ns() - start) / 1e9 / SEEDS;
        double median = ws_stats_median(volumes, SEEDS);
        printf("%-6s %9.6f %10.6f %10.6f %+7.2f%% %8.2f\n", functions[i].name,
               functions[i].published, median, volumes[0],
               100 * (median / functions[i].published - 1), seconds);
    }
    return 0;
}
