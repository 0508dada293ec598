/*
 * Inside the sharing decision: the relaxation (share_relax.c), whole images
 * (share_round.c), least energy (share_energy.c). For this room alone.
 *
 * Every step maximises a sum of weights, one for each node and level: the accuracy, or
 * for goal energy lambda * accuracy - energy.
 */
#ifndef WS_POLICY_SHARE_IMPL_H
#define WS_POLICY_SHARE_IMPL_H

#include "base/limits.h"
#include "policy/share.h"

enum {
    SHARE_NODES = WS_SHARE_NODES_MAX,
    SHARE_LEVELS = WS_SHARE_LEVELS_MAX,
    SHARE_CELLS = SHARE_NODES * SHARE_LEVELS,
    SHARE_EXACT_NODES = 4,
    SHARE_NEAR = 5,                             /* images either way of a relaxed share */
    SHARE_DRIFT = SHARE_NODES + 2 * SHARE_NEAR, /* of the sum of shares, either way */
};

/* The levels of one node worth mixing: time and weight both rise, weight less and less.
 */
struct hull {
    size_t count;
    size_t level[SHARE_LEVELS];
};

/* So many images a second of budget can be had of a node at this much weight each. */
struct piece {
    double slope;
    double per_s;
    size_t node;
    size_t order; /* within the node */
};

/* What one node does with x images. */
struct mix {
    double weight;
    double energy_j;
    size_t counts[SHARE_LEVELS];
};

struct ws_share {
    double weight[SHARE_CELLS];
    struct hull hulls[SHARE_NODES];
    struct piece pieces[SHARE_CELLS];
    size_t piece_count;
    double shares[SHARE_NODES];  /* relaxed */
    size_t counts[SHARE_CELLS];  /* what round found last */
    size_t best[SHARE_CELLS];    /* what is kept */
    double real[2][SHARE_CELLS]; /* relaxed, by level */
    /* The dynamic program: best weight and energy for each sum of shares so far, and the
     * choice that led there. */
    double value[2][2 * SHARE_DRIFT + 1];
    double joules[2][2 * SHARE_DRIFT + 1];
    unsigned char choice[SHARE_NODES][2 * SHARE_DRIFT + 1];
};

static inline size_t cell(size_t node, size_t level)
{
    return node * SHARE_LEVELS + level;
}

/* Time that a node has for its share. */
static inline double time_of(const struct ws_share_node *node, double budget_s)
{
    return budget_s > node->delay_s ? budget_s - node->delay_s : 0.0;
}

/* Whether so much time fits into the budget, rounding aside. */
static inline int fits(double time_s, double budget_s)
{
    return time_s <= budget_s * (1.0 + 1e-12) + 1e-12;
}

/* WS_E_USAGE, WS_E_UNKNOWN as ws_share_solve. */
int ws_share_check(const struct ws_share_problem *problem, struct ws_error *err);
/* Hulls and pieces for share->weight. */
void ws_share_shape(struct ws_share *share, const struct ws_share_problem *problem);
/* The relaxation at a budget: *out the sum of weights, share->shares. 0 where the nodes
 * cannot do all images in that time. */
int ws_share_relax(double *out, struct ws_share *share,
                   const struct ws_share_problem *problem, double budget_s);
/* share->shares at a budget by level, into real[CELLS]. */
void ws_share_spread(double *real, const struct ws_share *share,
                     const struct ws_share_problem *problem, double budget_s);
/* The most weight that x images of one node can have in the time, relaxed; x * the
 * fastest level must fit. */
double ws_share_hull_value(const struct ws_share *share,
                           const struct ws_share_problem *problem, size_t node,
                           double time_s, double x);
/* Whole images at a budget, into share->counts; *out their sum of weights. 0 where none
 * was found. Calls ws_share_relax. */
int ws_share_round(double *out, struct ws_share *share,
                   const struct ws_share_problem *problem, double budget_s);
/* Least energy within budget and accuracy, into share->best, where what is there already
 * meets both; returns the relaxation's bound in J. */
double ws_share_save(struct ws_share *share, const struct ws_share_problem *problem,
                     double budget_s);

#endif
