#include <stdlib.h>
#include <string.h>

#include "cli/cmd_distribute.h"
#include "node/measure.h"
#include "replay/fleet.h"

const char *ws_strategy_name(size_t strategy)
{
    return strategy == 0 ? "wattshed"
                         : ws_share_baseline_name((enum ws_share_baseline)(strategy - 1));
}

void ws_distribute_pose(struct ws_share_problem *out, struct ws_share_node *nodes,
                        struct ws_batch_view *view, const struct ws_distribute *how)
{
    struct ws_dispatch_options options = {.node_count = how->cluster->node_count,
                                          .images = how->images};
    ws_batch_view_init(view, how->cluster);
    options.nodes = view->nodes;
    for (size_t i = 0; i < options.node_count; i++) {
        struct ws_dispatch_node *node = &view->nodes[i];
        for (size_t j = 0; j < node->level_count; j++)
            view->levels[i][j].image_s = ws_dispatch_image_s(&options, i, j);
        nodes[i] = (struct ws_share_node){.levels = view->levels[i],
                                          .level_count = node->level_count,
                                          .delay_s = node->delay_s};
    }
    *out = (struct ws_share_problem){
        .nodes = nodes,
        .node_count = options.node_count,
        .images = how->images,
        .budget_s = how->batch.images_per_s > 0
                        ? (double)how->images / how->batch.images_per_s
                        : 0.0,
        .min_accuracy = how->batch.min_accuracy,
        .knows_energy = ws_cluster_knows_energy(how->cluster),
        .goal = how->batch.goal,
        .keep = how->batch.keep};
}

/* A baseline's counts; NULL for ours. */
static int plan_baseline(size_t **out, const struct ws_distribute *how, size_t strategy,
                         struct ws_error *err)
{
    struct ws_share *share = NULL;
    struct ws_share_problem problem;
    struct ws_share_node nodes[WS_SHARE_NODES_MAX];
    struct ws_share_plan plan;
    *out = NULL;
    if (strategy == 0)
        return 0;
    struct ws_batch_view *view = calloc(1, sizeof(*view));
    size_t size = WS_SHARE_NODES_MAX * WS_SHARE_LEVELS_MAX * sizeof(size_t);
    size_t *counts = malloc(size);
    int rc = view == NULL || counts == NULL ? ws_error_nomem(err)
                                            : ws_share_create(&share, err);
    if (rc == 0) {
        ws_distribute_pose(&problem, nodes, view, how);
        /* They get the same reserve as ours. */
        problem.budget_s *= 1.0 - how->batch.reserve;
        rc = ws_share_baseline(&plan, share, &problem,
                               (enum ws_share_baseline)(strategy - 1), err);
    }
    if (rc == 0) {
        memcpy(counts, plan.counts, size);
        *out = counts;
        counts = NULL;
    }
    free(counts);
    free(view);
    ws_share_destroy(share);
    return rc;
}

static int run_virtual(struct ws_distributed *out, const struct ws_distribute *how,
                       const size_t *counts, struct ws_error *err)
{
    struct ws_fleet_outcome outcome;
    struct ws_batch_view *view = calloc(1, sizeof(*view));
    if (view == NULL)
        return ws_error_nomem(err);
    ws_batch_view_init(view, how->cluster);
    const struct ws_dispatch_options dispatch = {
        .nodes = view->nodes,
        .node_count = how->cluster->node_count,
        .images = how->images,
        .images_per_s = how->batch.images_per_s,
        .min_accuracy = how->batch.min_accuracy,
        .knows_energy = ws_cluster_knows_energy(how->cluster),
        .goal = how->batch.goal,
        .keep = how->batch.keep,
        .reserve = how->batch.reserve,
        .counts = counts};
    const struct ws_fleet_options fleet = {
        .dispatch = &dispatch, .jitter = how->jitter, .seed = how->seed};
    int rc = ws_fleet_run(&outcome, &fleet, err);
    free(view);
    if (rc != 0)
        return rc;
    *out = (struct ws_distributed){.images_per_s = (double)how->images / outcome.time_s,
                                   .accuracy = outcome.state.accuracy,
                                   .energy_j = outcome.state.energy_j,
                                   .knows_energy = dispatch.knows_energy,
                                   .top1 = -1.0,
                                   .plan = outcome.plan};
    return 0;
}

int ws_distribute_run(struct ws_distributed *out, struct ws_batch_result *result,
                      const struct ws_distribute *how, size_t strategy,
                      struct ws_error *err)
{
    struct ws_batch_options batch = how->batch;
    struct ws_batch_result *own = NULL;
    size_t *counts = NULL;
    int rc = ws_cluster_check_measured(how->cluster, err);
    if (rc == 0)
        rc = plan_baseline(&counts, how, strategy, err);
    if (rc == 0 && how->is_virtual) {
        rc = run_virtual(out, how, counts, err);
    } else if (rc == 0) {
        batch.counts = counts;
        own = calloc(1, sizeof(*own));
        rc = own == NULL ? ws_error_nomem(err) : ws_batch_run(own, &batch, err);
    }
    if (rc == 0 && own != NULL) {
        *out =
            (struct ws_distributed){.images_per_s = (double)how->images / own->time_s,
                                    .accuracy = own->state.accuracy,
                                    .energy_j = own->state.energy_j,
                                    .knows_energy = ws_cluster_knows_energy(how->cluster),
                                    .top1 = -1.0,
                                    .plan = own->plan};
        if (how->labels != NULL)
            rc = ws_measure_top1(&out->top1, &own->outputs, how->labels, err);
    }
    if (rc == 0 && own != NULL && result != NULL)
        *result = *own;
    else if (own != NULL)
        ws_batch_result_fini(own);
    free(own);
    free(counts);
    return rc;
}
