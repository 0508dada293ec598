#include "policy/share.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/share_impl.h"

enum { BISECTIONS = 40, ROUNDINGS = 12 };

int ws_share_create(struct ws_share **out, struct ws_error *err)
{
    struct ws_share *share = calloc(1, sizeof(*share));
    if (share == NULL)
        return ws_error_nomem(err);
    *out = share;
    return 0;
}

void ws_share_destroy(struct ws_share *share)
{
    free(share);
}

static int check_node(const struct ws_share_node *node, size_t number,
                      struct ws_error *err)
{
    if (node->level_count == 0 || node->level_count > WS_SHARE_LEVELS_MAX)
        return ws_error_set(err, WS_E_USAGE, "node %zu: %zu levels, 1 to %d it may have",
                            number, node->level_count, WS_SHARE_LEVELS_MAX);
    if (!(node->delay_s >= 0) || isinf(node->delay_s))
        return ws_error_set(err, WS_E_USAGE, "node %zu: a delay of %g s", number,
                            node->delay_s);
    for (size_t j = 0; j < node->level_count; j++) {
        const struct ws_share_level *level = &node->levels[j];
        if (!(level->image_s > 0) || isinf(level->image_s))
            return ws_error_set(err, WS_E_USAGE, "node %zu, level %zu: %g s an image",
                                number, j, level->image_s);
        if (!(level->accuracy >= 0) || level->accuracy > 1)
            return ws_error_set(err, WS_E_USAGE, "node %zu, level %zu: an accuracy of %g",
                                number, j, level->accuracy);
    }
    return 0;
}

int ws_share_check(const struct ws_share_problem *problem, struct ws_error *err)
{
    if (problem->node_count == 0 || problem->node_count > WS_SHARE_NODES_MAX)
        return ws_error_set(err, WS_E_USAGE, "%zu nodes, 1 to %d there may be",
                            problem->node_count, WS_SHARE_NODES_MAX);
    if (problem->images == 0 || problem->images > WS_BATCH_MAX)
        return ws_error_set(err, WS_E_USAGE, "a batch of %zu, 1 to %d it may have",
                            problem->images, WS_BATCH_MAX);
    if (!(problem->budget_s >= 0) || isinf(problem->budget_s))
        return ws_error_set(err, WS_E_USAGE, "a budget of %g s", problem->budget_s);
    if (!(problem->min_accuracy >= 0) || problem->min_accuracy > 1)
        return ws_error_set(err, WS_E_USAGE, "a least accuracy of %g",
                            problem->min_accuracy);
    if (problem->goal == WS_SHARE_ENERGY && !problem->knows_energy)
        return ws_error_set(err, WS_E_UNKNOWN,
                            "least energy is asked for, but not every level's is known");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < problem->node_count; i++)
        rc = check_node(&problem->nodes[i], i, err);
    return rc;
}

void ws_share_judge(struct ws_share_plan *plan, const struct ws_share_problem *problem)
{
    double right = 0.0;
    plan->time_s = plan->energy_j = 0.0;
    for (size_t i = 0; i < problem->node_count; i++) {
        const struct ws_share_node *node = &problem->nodes[i];
        double busy_s = 0.0;
        for (size_t j = 0; j < node->level_count; j++) {
            double count = (double)plan->counts[cell(i, j)];
            busy_s += count * node->levels[j].image_s;
            right += count * node->levels[j].accuracy;
            if (problem->knows_energy)
                plan->energy_j += count * node->levels[j].energy_j;
        }
        if (busy_s > 0 && node->delay_s + busy_s > plan->time_s)
            plan->time_s = node->delay_s + busy_s;
    }
    plan->accuracy = right / (double)problem->images;
    plan->meets_throughput =
        !(problem->budget_s > 0) || fits(plan->time_s, problem->budget_s);
    plan->meets_accuracy = plan->accuracy >= problem->min_accuracy - 1e-9;
}

/* A time in which any node alone could do everything, however slow its levels. */
static double long_enough_s(const struct ws_share_problem *problem)
{
    double worst = 0.0, delay = 0.0;
    for (size_t i = 0; i < problem->node_count; i++) {
        const struct ws_share_node *node = &problem->nodes[i];
        delay = fmax(delay, node->delay_s);
        for (size_t j = 0; j < node->level_count; j++)
            worst = fmax(worst, node->levels[j].image_s);
    }
    return delay + worst * (double)problem->images;
}

/* Shrinks the budget as far as a sum of weights of `least` can still be had, first by the
 * relaxation, which no whole images can beat, then in whole images, which end in
 * share->best. `high_s` must do. Returns the budget. */
static double shrink(struct ws_share *share, const struct ws_share_problem *problem,
                     double least, double high_s)
{
    double slack = 1e-9 * (1.0 + fabs(least));
    double low_s = 0.0, at_s = high_s, sum = 0.0;
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = 0.5 * (low_s + at_s);
        if (ws_share_relax(&sum, share, problem, middle) && sum >= least - slack)
            at_s = middle;
        else
            low_s = middle;
    }
    if (ws_share_round(&sum, share, problem, at_s) && sum >= least - slack)
        high_s = at_s;
    else
        low_s = at_s;
    for (int i = 0; i < ROUNDINGS && high_s - low_s > 1e-6 * high_s; i++) {
        double middle = 0.5 * (low_s + high_s);
        if (ws_share_round(&sum, share, problem, middle) && sum >= least - slack)
            high_s = middle;
        else
            low_s = middle;
    }
    (void)ws_share_round(&sum, share, problem, high_s);
    memcpy(share->best, share->counts, sizeof(share->best));
    return high_s;
}

static void weigh_accuracy(struct ws_share *share, const struct ws_share_problem *problem)
{
    for (size_t i = 0; i < problem->node_count; i++) {
        for (size_t j = 0; j < problem->nodes[i].level_count; j++)
            share->weight[cell(i, j)] = problem->nodes[i].levels[j].accuracy;
    }
    ws_share_shape(share, problem);
}

/* The most accurate plan within the budget, in share->best, soonest done among its like;
 * where both requirements cannot be met, what is kept is met as well as it can be.
 * Returns the budget that was held in the end. */
static double most_accurate(double *bound, struct ws_share *share,
                            const struct ws_share_problem *problem)
{
    double images = (double)problem->images, sum = 0.0, most = 0.0;
    double wanted = problem->min_accuracy * images;
    double forever_s = long_enough_s(problem);
    double budget_s = problem->budget_s > 0 ? problem->budget_s : forever_s;
    int is_possible = ws_share_round(&sum, share, problem, budget_s);
    int is_short = is_possible && sum < wanted - 1e-9 * images;
    double held_s = fmax(budget_s, forever_s);
    if (is_possible && !(is_short && problem->keep == WS_SHARE_KEEP_ACCURACY)) {
        held_s = budget_s;
    } else {
        /* With all the time there is everything is at its best. */
        (void)ws_share_relax(&most, share, problem, held_s);
        if (problem->keep == WS_SHARE_KEEP_ACCURACY)
            sum = fmin(wanted, most);
        else
            sum = 0.0;
        held_s = shrink(share, problem, sum, held_s);
        (void)ws_share_round(&sum, share, problem, held_s);
    }
    (void)ws_share_relax(bound, share, problem, held_s);
    *bound /= images;
    held_s = shrink(share, problem, sum, held_s);
    return held_s;
}

int ws_share_solve(struct ws_share_plan *out, struct ws_share *share,
                   const struct ws_share_problem *problem, struct ws_error *err)
{
    struct ws_share_plan plan = {.counts = share->best};
    int rc = ws_share_check(problem, err);
    if (rc != 0)
        return rc;
    weigh_accuracy(share, problem);
    (void)most_accurate(&plan.bound, share, problem);
    ws_share_judge(&plan, problem);
    if (problem->goal == WS_SHARE_ENERGY) {
        double budget_s =
            problem->budget_s > 0 ? problem->budget_s : long_enough_s(problem);
        plan.bound = plan.energy_j;
        if (plan.meets_throughput && plan.meets_accuracy) {
            plan.bound = ws_share_save(share, problem, budget_s);
            ws_share_judge(&plan, problem);
        }
    }
    *out = plan;
    return 0;
}
