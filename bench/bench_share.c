/*
 * Time of one decision how to share a batch, for clusters drawn at random: both goals,
 * and how far whole images stay from the relaxation's bound. Each problem is solved three
 * times; the least is its time.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/stats.h"
#include "policy/share.h"

enum { PROBLEMS = 200 };

static struct ws_share_level levels[WS_SHARE_NODES_MAX][WS_SHARE_LEVELS_MAX];
static struct ws_share_node nodes[WS_SHARE_NODES_MAX];

static void draw(struct ws_share_problem *out, struct ws_rng *rng, size_t node_count,
                 size_t level_count, size_t images)
{
    double capacity = 0.0;
    for (size_t i = 0; i < node_count; i++) {
        double pace = 0.002 * (1.0 + 9.0 * ws_rng_uniform(rng));
        for (size_t j = 0; j < level_count; j++) {
            double size = (double)(j + 1) / (double)level_count;
            double image_s = pace * (0.15 + size) * (0.7 + 0.6 * ws_rng_uniform(rng));
            levels[i][j] = (struct ws_share_level){
                .image_s = image_s,
                .accuracy = 0.6 + 0.2 * size + 0.04 * ws_rng_uniform(rng),
                .energy_j = image_s * (2.0 + 4.0 * ws_rng_uniform(rng))};
        }
        nodes[i] =
            (struct ws_share_node){levels[i], level_count, 0.02 * ws_rng_uniform(rng)};
        capacity += 1.0 / levels[i][level_count / 2].image_s;
    }
    *out = (struct ws_share_problem){.nodes = nodes,
                                     .node_count = node_count,
                                     .images = images,
                                     .budget_s = 0.02 + (double)images / capacity *
                                                            (0.4 + ws_rng_uniform(rng)),
                                     .min_accuracy = 0.62 + 0.16 * ws_rng_uniform(rng),
                                     .knows_energy = 1};
}

static void time_goal(struct ws_share *share, size_t node_count, size_t level_count,
                      size_t images, enum ws_share_goal goal)
{
    static double ms[PROBLEMS], gap[PROBLEMS];
    struct ws_rng rng;
    size_t met = 0;
    ws_rng_init(&rng, 1);
    for (size_t p = 0; p < PROBLEMS; p++) {
        struct ws_share_problem problem;
        struct ws_share_plan plan;
        draw(&problem, &rng, node_count, level_count, images);
        problem.goal = goal;
        ms[p] = INFINITY;
        for (int k = 0; k < 3; k++) {
            int64_t start = ws_clock_now_ns();
            if (ws_share_solve(&plan, share, &problem, NULL) != 0)
                exit(1);
            ms[p] = fmin(ms[p], (double)(ws_clock_now_ns() - start) / 1e6);
        }
        if (plan.meets_throughput && plan.meets_accuracy)
            gap[met++] = goal == WS_SHARE_ENERGY ? plan.energy_j / plan.bound - 1.0
                                                 : 1.0 - plan.accuracy / plan.bound;
    }
    ws_stats_sort(ms, PROBLEMS);
    ws_stats_sort(gap, met);
    printf("%2zu nodes x %2zu levels, %5zu images, %-8s: median %.3f ms, worst %.3f ms; "
           "of %zu met (of %d) median %.4f %%, worst %.4f %% from the bound\n",
           node_count, level_count, images,
           goal == WS_SHARE_ENERGY ? "energy" : "accuracy", ms[PROBLEMS / 2],
           ms[PROBLEMS - 1], met, PROBLEMS, 100.0 * gap[met / 2], 100.0 * gap[met - 1]);
}

int main(void)
{
    static const size_t sizes[][3] = {{3, 7, 1000}, {8, 6, 1000}, {64, 16, 10000}};
    struct ws_share *share = NULL;
    if (ws_share_create(&share, NULL) != 0)
        return 1;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        time_goal(share, sizes[s][0], sizes[s][1], sizes[s][2], WS_SHARE_ACCURACY);
        time_goal(share, sizes[s][0], sizes[s][1], sizes[s][2], WS_SHARE_ENERGY);
    }
    ws_share_destroy(share);
    return 0;
}
