#include <stdlib.h>
#include <string.h>

#include "policy/share_impl.h"

/* Faster first, of equals the heavier, of those the one of less energy. */
static int goes_before(const struct ws_share_node *node, const double *weight, size_t a,
                       size_t b, int knows_energy)
{
    const struct ws_share_level *x = &node->levels[a], *y = &node->levels[b];
    if (x->image_s < y->image_s || x->image_s > y->image_s)
        return x->image_s < y->image_s;
    if (weight[a] < weight[b] || weight[a] > weight[b])
        return weight[a] > weight[b];
    return knows_energy && x->energy_j < y->energy_j;
}

/* Upper hull of the levels as points (time, weight), from the fastest to the heaviest. */
static void make_hull(struct hull *hull, const struct ws_share_node *node,
                      const double *weight, int knows_energy)
{
    size_t order[SHARE_LEVELS];
    for (size_t j = 0; j < node->level_count; j++) {
        size_t k = j;
        for (; k > 0 && goes_before(node, weight, j, order[k - 1], knows_energy); k--)
            order[k] = order[k - 1];
        order[k] = j;
    }
    hull->count = 0;
    for (size_t j = 0; j < node->level_count; j++) {
        size_t level = order[j];
        if (hull->count > 0 && weight[level] <= weight[hull->level[hull->count - 1]])
            continue;
        while (hull->count > 1) {
            size_t a = hull->level[hull->count - 2], b = hull->level[hull->count - 1];
            double ab = (weight[b] - weight[a]) *
                        (node->levels[level].image_s - node->levels[a].image_s);
            double ac = (weight[level] - weight[a]) *
                        (node->levels[b].image_s - node->levels[a].image_s);
            if (ab > ac)
                break;
            hull->count--;
        }
        hull->level[hull->count++] = level;
    }
}

static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->slope > y->slope || x->slope < y->slope)
        return x->slope > y->slope ? -1 : 1;
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

void ws_share_shape(struct ws_share *share, const struct ws_share_problem *problem)
{
    share->piece_count = 0;
    for (size_t i = 0; i < problem->node_count; i++) {
        const struct ws_share_node *node = &problem->nodes[i];
        const double *weight = &share->weight[cell(i, 0)];
        struct hull *hull = &share->hulls[i];
        make_hull(hull, node, weight, problem->knows_energy);
        /* With t the times and w the weights of the hull: the first 1/t[top] images for
         * each second of budget have w[top]. Beyond, x images in B seconds are a mix of
         * two neighbours with sum w[m] x + s (B - t[m] x), s = dw / dt: each further one
         * adds w[m] - s t[m], the intercept of the hull's edge. */
        size_t top = hull->count - 1;
        share->pieces[share->piece_count++] =
            (struct piece){.slope = weight[hull->level[top]],
                           .per_s = 1.0 / node->levels[hull->level[top]].image_s,
                           .node = i};
        for (size_t m = top; m-- > 0;) {
            double t0 = node->levels[hull->level[m]].image_s;
            double t1 = node->levels[hull->level[m + 1]].image_s;
            double w0 = weight[hull->level[m]], w1 = weight[hull->level[m + 1]];
            share->pieces[share->piece_count++] =
                (struct piece){.slope = w0 - (w1 - w0) / (t1 - t0) * t0,
                               .per_s = 1.0 / t0 - 1.0 / t1,
                               .node = i,
                               .order = top - m};
        }
    }
    qsort(share->pieces, share->piece_count, sizeof(*share->pieces), compare_pieces);
}

int ws_share_relax(double *out, struct ws_share *share,
                   const struct ws_share_problem *problem, double budget_s)
{
    double left = (double)problem->images, sum = 0.0;
    memset(share->shares, 0, sizeof(share->shares));
    for (size_t p = 0; p < share->piece_count && left > 0; p++) {
        const struct piece *piece = &share->pieces[p];
        double length = piece->per_s * time_of(&problem->nodes[piece->node], budget_s);
        double take = length < left ? length : left;
        share->shares[piece->node] += take;
        sum += piece->slope * take;
        left -= take;
    }
    if (left > 1e-9 * (double)problem->images)
        return 0;
    *out = sum;
    return 1;
}

/* The edge of the hull on which x images in the time lie: *share_up of them at the upper
 * level. Returns the lower level's place in the hull. */
static size_t find_edge(double *share_up, const struct hull *hull,
                        const struct ws_share_node *node, double time_s, double x)
{
    size_t m = hull->count - 1;
    *share_up = 0.0;
    while (m > 0 && x * node->levels[hull->level[m]].image_s > time_s)
        m--;
    if (m + 1 < hull->count) {
        double t0 = node->levels[hull->level[m]].image_s;
        double t1 = node->levels[hull->level[m + 1]].image_s;
        double up = (time_s - x * t0) / (t1 - t0);
        *share_up = up > 0 ? (up < x ? up : x) : 0.0;
    }
    return m;
}

double ws_share_hull_value(const struct ws_share *share,
                           const struct ws_share_problem *problem, size_t node,
                           double time_s, double x)
{
    const struct hull *hull = &share->hulls[node];
    const double *weight = &share->weight[cell(node, 0)];
    double up = 0.0;
    size_t m = find_edge(&up, hull, &problem->nodes[node], time_s, x);
    double lower = weight[hull->level[m]];
    return up > 0 ? (x - up) * lower + up * weight[hull->level[m + 1]] : x * lower;
}

void ws_share_spread(double *real, const struct ws_share *share,
                     const struct ws_share_problem *problem, double budget_s)
{
    memset(real, 0, SHARE_CELLS * sizeof(*real));
    for (size_t i = 0; i < problem->node_count; i++) {
        const struct hull *hull = &share->hulls[i];
        double up = 0.0, x = share->shares[i];
        if (!(x > 0))
            continue;
        size_t m = find_edge(&up, hull, &problem->nodes[i],
                             time_of(&problem->nodes[i], budget_s), x);
        real[cell(i, hull->level[m])] = x - up;
        if (up > 0)
            real[cell(i, hull->level[m + 1])] = up;
    }
}
