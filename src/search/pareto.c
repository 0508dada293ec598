#include "search/pareto.h"

#include <stdlib.h>
#include <string.h>

int ws_pareto_dominates(const double *a, const double *b, size_t dims)
{
    int smaller = 0;
    for (size_t d = 0; d < dims; d++) {
        if (a[d] > b[d])
            return 0;
        smaller |= a[d] < b[d];
    }
    return smaller;
}

/* --- Front: a static k-d tree, asked for each point whether anything dominates it -----
 */

enum { LEAF_POINTS = 16 };

struct tree {
    const double *points;
    size_t dims;
    uint32_t *order; /* points by node */
    double *corners; /* [nodes][2][dims]: least and largest of each node */
};

/* Partitions order[from .. to) so that the middle one is in its sorted place. */
static void select_middle(const struct tree *tree, size_t from, size_t to, size_t axis)
{
    size_t middle = from + (to - from) / 2;
    size_t low = from;
    size_t high = to - 1;
    while (low < high) {
        double pivot =
            tree->points[tree->order[low + (high - low) / 2] * tree->dims + axis];
        size_t i = low;
        size_t j = high;
        for (;;) {
            while (tree->points[tree->order[i] * tree->dims + axis] < pivot)
                i++;
            while (tree->points[tree->order[j] * tree->dims + axis] > pivot)
                j--;
            if (i >= j)
                break;
            uint32_t swap = tree->order[i];
            tree->order[i++] = tree->order[j];
            tree->order[j--] = swap;
        }
        if (middle <= j)
            high = j;
        else
            low = j + 1;
    }
}

static void build(struct tree *tree, size_t node, size_t from, size_t to)
{
    double *least = tree->corners + node * 2 * tree->dims;
    double *largest = least + tree->dims;
    size_t axis = 0;
    for (size_t d = 0; d < tree->dims; d++) {
        least[d] = largest[d] = tree->points[tree->order[from] * tree->dims + d];
        for (size_t i = from + 1; i < to; i++) {
            double x = tree->points[tree->order[i] * tree->dims + d];
            least[d] = x < least[d] ? x : least[d];
            largest[d] = x > largest[d] ? x : largest[d];
        }
    }
    if (to - from <= LEAF_POINTS)
        return;
    /* Axes take turns by depth, so that no scale of the coordinates matters. */
    for (size_t n = node; n > 0; n = (n - 1) / 2)
        axis++;
    axis %= tree->dims;
    size_t middle = from + (to - from) / 2;
    select_middle(tree, from, to, axis);
    build(tree, 2 * node + 1, from, middle);
    build(tree, 2 * node + 2, middle, to);
}

static int at_most(const double *a, const double *b, size_t dims)
{
    for (size_t d = 0; d < dims; d++) {
        if (a[d] > b[d])
            return 0;
    }
    return 1;
}

static int dominated(const struct tree *tree, size_t node, size_t from, size_t to,
                     const double *point)
{
    const double *least = tree->corners + node * 2 * tree->dims;
    if (!at_most(least, point, tree->dims))
        return 0;
    /* All of the node at most as large, and one coordinate of all of it smaller. */
    if (ws_pareto_dominates(least + tree->dims, point, tree->dims))
        return 1;
    if (to - from <= LEAF_POINTS) {
        for (size_t i = from; i < to; i++) {
            if (ws_pareto_dominates(tree->points + tree->order[i] * tree->dims, point,
                                    tree->dims))
                return 1;
        }
        return 0;
    }
    size_t middle = from + (to - from) / 2;
    return dominated(tree, 2 * node + 1, from, middle, point) ||
           dominated(tree, 2 * node + 2, middle, to, point);
}

int ws_pareto_front(uint8_t *out_front, const double *points, size_t count, size_t dims,
                    struct ws_error *err)
{
    if (count == 0)
        return 0;
    size_t nodes = 1;
    for (size_t left = count; left > LEAF_POINTS; left = left - left / 2)
        nodes = 2 * nodes + 1;
    struct tree tree = {.points = points, .dims = dims};
    tree.order = malloc(count * sizeof(*tree.order));
    tree.corners = malloc(nodes * 2 * dims * sizeof(*tree.corners));
    int rc = tree.order == NULL || tree.corners == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0) {
        for (size_t i = 0; i < count; i++)
            tree.order[i] = (uint32_t)i;
        build(&tree, 0, 0, count);
        for (size_t i = 0; i < count; i++)
            out_front[i] = !dominated(&tree, 0, 0, count, points + i * dims);
    }
    free(tree.order);
    free(tree.corners);
    return rc;
}

int ws_pareto_ranks(uint32_t *out_rank, const double *points, size_t count, size_t dims,
                    struct ws_error *err)
{
    const uint32_t unranked = UINT32_MAX;
    uint32_t *above = calloc(count + 1, sizeof(*above)); /* unranked that dominate it */
    if (above == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        out_rank[i] = unranked;
        for (size_t k = 0; k < count; k++)
            above[i] +=
                (uint32_t)ws_pareto_dominates(points + k * dims, points + i * dims, dims);
    }
    size_t left = count;
    for (uint32_t rank = 0; left > 0; rank++) {
        for (size_t i = 0; i < count; i++) {
            if (out_rank[i] == unranked && above[i] == 0) {
                out_rank[i] = rank;
                left--;
            }
        }
        for (size_t i = 0; i < count; i++) {
            for (size_t k = 0; out_rank[i] == rank && k < count; k++)
                above[k] -= (uint32_t)ws_pareto_dominates(points + i * dims,
                                                          points + k * dims, dims);
        }
    }
    free(above);
    return 0;
}

/* --- Hypervolume ----------------------------------------------------------------------
 * WFG: the volume of a set is the sum over its points of what each adds to those after
 * it: its box, less the volume that the others, limited to that box, dominate of it. */

struct volume {
    const double *reference;
    double *levels[WS_PARETO_DIMS_MAX + 1]; /* scratch: one limited set per depth */
};

/* Worst last coordinate first. */
static int by_last(const void *a, const void *b, void *dims)
{
    const double *x = a;
    const double *y = b;
    for (size_t d = *(const size_t *)dims; d-- > 0;) {
        if (x[d] != y[d])
            return x[d] < y[d] ? 1 : -1;
    }
    return 0;
}

/* Two coordinates: a sweep. Points come sorted by the second, worst first. */
static double area(const struct volume *volume, const double *points, size_t count)
{
    double sum = 0;
    double x = volume->reference[0];
    for (size_t i = count; i-- > 0;) {
        const double *point = points + 2 * i;
        if (point[0] >= x)
            continue;
        sum += (x - point[0]) * (volume->reference[1] - point[1]);
        x = point[0];
    }
    return sum;
}

/* Drops dominated points and all but one of equals; returns how many stay. Points come
 * sorted worst first, so only a later one can dominate an earlier one. */
static size_t keep_front(double *points, size_t count, size_t dims)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        int out = 0;
        for (size_t k = i + 1; !out && k < count; k++)
            out = at_most(points + k * dims, points + i * dims, dims);
        if (!out)
            memmove(points + kept++ * dims, points + i * dims, dims * sizeof(*points));
    }
    return kept;
}

/* Volume of `count` rows, which are reordered. */
static double volume_of(struct volume *volume, double *points, size_t count, size_t dims)
{
    qsort_r(points, count, dims * sizeof(*points), by_last, &dims);
    if (dims == 1)
        return count == 0 ? 0 : volume->reference[0] - points[count - 1];
    if (dims == 2)
        return area(volume, points, count);
    count = keep_front(points, count, dims);
    double sum = 0;
    double *limited = volume->levels[dims - 1];
    for (size_t i = 0; i < count; i++) {
        const double *point = points + i * dims;
        double box = 1;
        for (size_t d = 0; d + 1 < dims; d++)
            box *= volume->reference[d] - point[d];
        /* Those after it are no worse in the last coordinate, so the limited set is flat
         * there and one coordinate less remains. */
        for (size_t k = i + 1; k < count; k++) {
            for (size_t d = 0; d + 1 < dims; d++) {
                double x = points[k * dims + d];
                limited[(k - i - 1) * (dims - 1) + d] = x > point[d] ? x : point[d];
            }
        }
        double shared = volume_of(volume, limited, count - i - 1, dims - 1);
        sum += (volume->reference[dims - 1] - point[dims - 1]) * (box - shared);
    }
    return sum;
}

int ws_hypervolume(double *out, const double *points, size_t count, size_t dims,
                   const double *reference, struct ws_error *err)
{
    struct volume volume = {.reference = reference};
    int rc = 0;
    for (size_t d = 1; rc == 0 && d <= dims; d++) {
        volume.levels[d] = malloc((count * d + 1) * sizeof(double));
        if (volume.levels[d] == NULL)
            rc = ws_error_nomem(err);
    }
    if (rc == 0) {
        double *inside = volume.levels[dims];
        size_t inside_count = 0;
        for (size_t i = 0; i < count; i++) {
            const double *point = points + i * dims;
            int below = 1;
            for (size_t d = 0; d < dims; d++)
                below &= point[d] < reference[d];
            if (below)
                memcpy(inside + inside_count++ * dims, point, dims * sizeof(*point));
        }
        *out = volume_of(&volume, inside, inside_count, dims);
    }
    for (size_t d = 1; d <= dims; d++)
        free(volume.levels[d]);
    return rc;
}
