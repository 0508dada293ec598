/*
 * NSGA-III: many-objective evolution by reference points, after Deb and Jain (An
 * evolutionary many-objective optimization algorithm using reference-point-based
 * nondominated sorting approach, 2014, parts I and II). Reference directions are Das and
 * Dennis's; objectives are normalised by ideal point, extreme points and intercepts; the
 * last front is filled by niches. Genes may be real, ordered (an index that crosses over
 * and mutates as a number, then rounds) or nominal (swapped and drawn). Constraints enter
 * as a violation: a feasible point beats any other, then the smaller violation wins. The
 * same seed gives the same run.
 */
#ifndef WS_SEARCH_NSGA3_H
#define WS_SEARCH_NSGA3_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rng.h"

enum { WS_NSGA3_OBJECTIVES_MAX = 8 };

enum ws_gene_kind { WS_GENE_REAL, WS_GENE_ORDERED, WS_GENE_NOMINAL };

struct ws_gene {
    enum ws_gene_kind kind;
    double low;  /* ordered, nominal: 0 */
    double high; /* ordered, nominal: number of values - 1 */
};

struct ws_nsga3_problem {
    const struct ws_gene *genes;
    size_t gene_count;
    size_t objective_count;
    /* Objectives (all to be small) and violation (0: feasible) of genes. It may change
     * the genes, to repair them. WS_E_END ends the run without an error. */
    int (*evaluate)(void *user, double *out_objectives, double *out_violation,
                    double *genes, struct ws_rng *rng, struct ws_error *err);
    void *user;
};

struct ws_nsga3_options {
    size_t population; /* 0: the number of reference directions, made even */
    size_t divisions;  /* of Das and Dennis; 0: as many as the population affords */
    size_t generations;
    double crossover_eta; /* 0: 30 */
    double mutation_eta;  /* 0: 20 */
    uint64_t seed;
};

/* The last population; after WS_E_END, with the offspring that it had by then. */
struct ws_nsga3_result {
    double *genes;      /* [count][gene_count] */
    double *objectives; /* [count][objective_count] */
    size_t count;
};

int ws_nsga3_run(struct ws_nsga3_result *out, const struct ws_nsga3_problem *problem,
                 const struct ws_nsga3_options *options, struct ws_error *err);
void ws_nsga3_result_fini(struct ws_nsga3_result *result);

/* Reference directions on the unit simplex: [*out_count][objectives], the caller frees.
 */
int ws_nsga3_directions(double **out, size_t *out_count, size_t objectives,
                        size_t divisions, struct ws_error *err);

#endif
