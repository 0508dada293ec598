#include <assert.h>
#include <math.h>
#include <string.h>

#include "policy/share_impl.h"

static const char *const names[] = {
    [WS_SHARE_UNIFORM] = "uniform",
    [WS_SHARE_UNIFORM_APPROX] = "uniform+approx",
    [WS_SHARE_ASYMMETRIC] = "asymmetric",
    [WS_SHARE_ASYMMETRIC_APPROX] = "asymmetric+approx",
};
static_assert(sizeof(names) / sizeof(names[0]) == WS_SHARE_BASELINE_COUNT, "names");

const char *ws_share_baseline_name(enum ws_share_baseline baseline)
{
    return names[baseline];
}

/* Of levels that do `count` images in the time the most accurate, of equals the faster;
 * where none does, the fastest. */
static size_t choose_level(const struct ws_share_node *node, double count, double time_s)
{
    size_t best = node->level_count, fastest = 0;
    for (size_t j = 0; j < node->level_count; j++) {
        const struct ws_share_level *level = &node->levels[j];
        if (level->image_s < node->levels[fastest].image_s)
            fastest = j;
        if (!fits(count * level->image_s, time_s))
            continue;
        const struct ws_share_level *so_far =
            best < node->level_count ? &node->levels[best] : NULL;
        if (so_far == NULL || level->accuracy > so_far->accuracy ||
            (level->accuracy >= so_far->accuracy && level->image_s < so_far->image_s))
            best = j;
    }
    return best < node->level_count ? best : fastest;
}

/* Whole shares in proportion to the weights: the largest remainders get what is left. */
static void divide(size_t *out, const double *weights, size_t count, size_t images)
{
    double sum = 0.0, rest[SHARE_NODES];
    size_t left = images;
    for (size_t i = 0; i < count; i++)
        sum += weights[i];
    for (size_t i = 0; i < count; i++) {
        double share = (double)images * weights[i] / sum;
        out[i] = (size_t)share;
        rest[i] = share - floor(share);
        left -= out[i];
    }
    for (; left > 0; left--) {
        size_t most = 0;
        for (size_t i = 1; i < count; i++)
            most = rest[i] > rest[most] ? i : most;
        out[most]++;
        rest[most] = -1.0;
    }
}

int ws_share_baseline(struct ws_share_plan *out, struct ws_share *share,
                      const struct ws_share_problem *problem,
                      enum ws_share_baseline baseline, struct ws_error *err)
{
    struct ws_share_plan plan = {.counts = share->best};
    double weights[SHARE_NODES];
    size_t shares[SHARE_NODES];
    int rc = ws_share_check(problem, err);
    if (rc != 0)
        return rc;
    int is_asymmetric =
        baseline == WS_SHARE_ASYMMETRIC || baseline == WS_SHARE_ASYMMETRIC_APPROX;
    int is_approx =
        baseline == WS_SHARE_UNIFORM_APPROX || baseline == WS_SHARE_ASYMMETRIC_APPROX;
    for (size_t i = 0; i < problem->node_count; i++) {
        const struct ws_share_node *node = &problem->nodes[i];
        const struct ws_share_level *top =
            &node->levels[choose_level(node, 0.0, INFINITY)];
        weights[i] = is_asymmetric ? 1.0 / top->image_s : 1.0;
    }
    divide(shares, weights, problem->node_count, problem->images);
    memset(share->best, 0, sizeof(share->best));
    for (size_t i = 0; i < problem->node_count; i++) {
        double time_s = is_approx && problem->budget_s > 0
                            ? time_of(&problem->nodes[i], problem->budget_s)
                            : INFINITY;
        size_t level = choose_level(&problem->nodes[i], (double)shares[i], time_s);
        share->best[cell(i, level)] = shares[i];
    }
    ws_share_judge(&plan, problem);
    *out = plan;
    return 0;
}
