/*
 * What `wattshed distribute` and its sweep share: the options of one batch, and ways to
 * run it, on the cluster or on the virtual clock.
 */
#ifndef WS_CLI_CMD_DISTRIBUTE_H
#define WS_CLI_CMD_DISTRIBUTE_H

#include "node/batch.h"
#include "study/clusterfile.h"

struct ws_distribute {
    struct ws_cluster *cluster;
    struct ws_batch_options batch; /* cluster and inputs are set; the rest as asked for */
    const struct ws_tensor *labels; /* NULL: none */
    size_t images;
    int is_virtual;
    double jitter; /* of the virtual clock's nodes */
    uint64_t seed;
    int json;
};

/* How one strategy fared with one batch. Accuracy and energy are what the levels that did
 * the work are known for; top-1 is counted where there are labels. */
struct ws_distributed {
    double images_per_s;
    double accuracy;
    double energy_j;
    int knows_energy;
    double top1;               /* below 0: not counted */
    struct ws_share_plan plan; /* the first; its counts are not kept */
};

/* The strategies: ours, then the baselines in their order. */
enum { WS_STRATEGY_COUNT = 1 + WS_SHARE_BASELINE_COUNT };
/* "wattshed", "uniform", ... */
const char *ws_strategy_name(size_t strategy);

/* The problem that a plan for the batch has to solve, without any reserve. */
void ws_distribute_pose(struct ws_share_problem *out, struct ws_share_node *nodes,
                        struct ws_batch_view *view, const struct ws_distribute *how);
/* One batch by one strategy, with how->batch's requirements. `result` may be NULL; else
 * it is filled in where the batch was live. */
int ws_distribute_run(struct ws_distributed *out, struct ws_batch_result *result,
                      const struct ws_distribute *how, size_t strategy,
                      struct ws_error *err);

/* All strategies over a grid of both requirements, `rows` throughputs by `columns`
 * accuracies, printed cell by cell. */
int ws_distribute_sweep(const struct ws_distribute *how, size_t rows, size_t columns,
                        struct ws_error *err);

#endif
