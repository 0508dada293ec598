/*
 * How a batch is shared among unequal nodes: each node has levels (variants of one model,
 * each with its own speed, accuracy and energy), and it is decided how many of the
 * batch's images every node works at every level, so that the whole meets a throughput
 * and an accuracy requirement (Taufique et al., arXiv 2310.10157). A node may use several
 * levels in one batch, and levels need not be ordered: a slower one may be the worse.
 *
 * A node that works n_j images at level j is done after delay_s + sum of n_j * image_s;
 * the batch is done when the last node is. Goal accuracy: the greatest mean accuracy
 * within the requirements, of equals the soonest done, of those the least energy. Goal
 * energy: the least energy that meets both. The linear relaxation has a closed form (a
 * concave piecewise linear function a node, filled in order of slope); whole images come
 * from it by a dynamic program over nodes in a window around the relaxed shares. The
 * answer of goal accuracy is exact for batches of up to WS_SHARE_EXACT_MAX images over up
 * to 4 nodes, where the window is everything, and carries the relaxation's bound always.
 *
 * The published strategies that this is compared with are here too. Nothing is allocated
 * after creation. One thread at a time.
 */
#ifndef WS_POLICY_SHARE_H
#define WS_POLICY_SHARE_H

#include <stddef.h>

#include "base/error.h"

enum { WS_SHARE_EXACT_MAX = 24 };

enum ws_share_goal { WS_SHARE_ACCURACY, WS_SHARE_ENERGY };
/* What is held on to where both requirements cannot be met. */
enum ws_share_keep { WS_SHARE_KEEP_ACCURACY, WS_SHARE_KEEP_THROUGHPUT };

struct ws_share_level {
    double image_s;  /* for one image in a long run, above 0: of computing and sending
                      * whichever is the slower */
    double accuracy; /* 0 to 1 */
    double energy_j; /* of one image; not looked at where the problem knows none */
};

struct ws_share_node {
    const struct ws_share_level *levels;
    size_t level_count; /* 1 to WS_SHARE_LEVELS_MAX */
    double delay_s;     /* before it starts on its share */
};

struct ws_share_problem {
    const struct ws_share_node *nodes;
    size_t node_count;   /* 1 to WS_SHARE_NODES_MAX */
    size_t images;       /* 1 to WS_BATCH_MAX */
    double budget_s;     /* images / required throughput; 0: as long as it takes */
    double min_accuracy; /* mean of the batch; 0: any */
    int knows_energy;
    enum ws_share_goal goal;
    enum ws_share_keep keep;
};

struct ws_share_plan {
    /* Images of node i at level j: counts[i * WS_SHARE_LEVELS_MAX + j]. Belongs to the
     * solver until its next call. */
    const size_t *counts;
    double time_s;   /* until the last node is done */
    double accuracy; /* mean */
    double energy_j; /* of all images; 0 where the problem knows none */
    int meets_throughput;
    int meets_accuracy;
    /* No plan that meets the throughput is better in the goal (accuracy: mean; energy: J)
     * than this. Where the throughput was given up, that of the time it takes now. */
    double bound;
};

struct ws_share;

int ws_share_create(struct ws_share **out, struct ws_error *err);
void ws_share_destroy(struct ws_share *share);

/* A requirement that cannot be met is no error: the plan says so. WS_E_USAGE for a
 * problem that makes no sense, WS_E_UNKNOWN for goal energy without energies. */
int ws_share_solve(struct ws_share_plan *out, struct ws_share *share,
                   const struct ws_share_problem *problem, struct ws_error *err);

/*
 * The baselines, as far as the paper is public: equal shares, or shares in proportion to
 * the nodes' speeds, everybody at the most accurate level; and the same shares with
 * approximation, where each node steps down to its most accurate level that does its
 * share in time, or where none does to its fastest.
 */
enum ws_share_baseline {
    WS_SHARE_UNIFORM,
    WS_SHARE_UNIFORM_APPROX,
    WS_SHARE_ASYMMETRIC,
    WS_SHARE_ASYMMETRIC_APPROX,
    WS_SHARE_BASELINE_COUNT
};

/* "uniform+approx". */
const char *ws_share_baseline_name(enum ws_share_baseline baseline);
/* `bound` is not set. */
int ws_share_baseline(struct ws_share_plan *out, struct ws_share *share,
                      const struct ws_share_problem *problem,
                      enum ws_share_baseline baseline, struct ws_error *err);

/* Time, mean accuracy and energy of counts, however they came about. */
void ws_share_judge(struct ws_share_plan *plan, const struct ws_share_problem *problem);

#endif
