#include <assert.h>
#include <math.h>
#include <string.h>

#include "policy/share_impl.h"

enum { DFS_STEPS_MAX = 4096, EXCHANGES_MAX = 8 };

/* One node, while x images are put to its levels. */
struct desk {
    const struct ws_share *share;
    const struct ws_share_problem *problem;
    const struct ws_share_node *node;
    const double *weight;
    size_t number; /* of the node */
    double time_s;
    double fastest_s;
    size_t order[SHARE_LEVELS]; /* levels, the heaviest first */
    unsigned steps;
};

static void judge_mix(struct mix *mix, const struct desk *desk)
{
    mix->weight = mix->energy_j = 0.0;
    for (size_t j = 0; j < desk->node->level_count; j++) {
        mix->weight += (double)mix->counts[j] * desk->weight[j];
        mix->energy_j += (double)mix->counts[j] * desk->node->levels[j].energy_j;
    }
}

/* One image goes from level `from` to the heaviest that the time left over allows. */
static int find_upgrade(size_t *to, double *gain, const struct desk *desk, size_t from,
                        double spare_s)
{
    int found = 0;
    for (size_t j = 0; j < desk->node->level_count; j++) {
        double more = desk->node->levels[j].image_s - desk->node->levels[from].image_s;
        double better = desk->weight[j] - desk->weight[from];
        if (better > *gain && fits(more, spare_s)) {
            *gain = better;
            *to = j;
            found = 1;
        }
    }
    return found;
}

/* The relaxed mix of two neighbours on the hull, rounded down, and what time is left
 * spent on single images. At most one image's step on the hull below the relaxation. */
static int fill(struct mix *out, const struct desk *desk, size_t x)
{
    const struct hull *hull = &desk->share->hulls[desk->number];
    memset(out, 0, sizeof(*out));
    if (x == 0)
        return 1;
    if (!fits((double)x * desk->fastest_s, desk->time_s))
        return 0;
    size_t m = hull->count - 1;
    while (m > 0 &&
           !fits((double)x * desk->node->levels[hull->level[m]].image_s, desk->time_s))
        m--;
    size_t lower = hull->level[m], up = 0;
    double spent = (double)x * desk->node->levels[lower].image_s;
    if (m + 1 < hull->count) {
        size_t upper = hull->level[m + 1];
        double step =
            desk->node->levels[upper].image_s - desk->node->levels[lower].image_s;
        double count = floor((desk->time_s - spent) / step);
        up = count > 0 ? (size_t)fmin(count, (double)x) : 0;
        out->counts[upper] = up;
        spent += (double)up * step;
    }
    out->counts[lower] += x - up;
    for (int rounds = 0; rounds < 4 && m + 1 < hull->count; rounds++) {
        size_t from = 0, to = 0;
        double gain = 0.0;
        for (size_t j = 0; j < desk->node->level_count; j++) {
            if (out->counts[j] > 0 &&
                find_upgrade(&to, &gain, desk, j, desk->time_s - spent))
                from = j;
        }
        if (!(gain > 0))
            break;
        out->counts[from]--;
        out->counts[to]++;
        spent += desk->node->levels[to].image_s - desk->node->levels[from].image_s;
    }
    judge_mix(out, desk);
    return 1;
}

/* One image up and another down, where that fits the time better: the best such pair.
 * Too slow for every share that the program looks at; done to those it chose. */
static int exchange(struct mix *mix, const struct desk *desk, double *spare_s)
{
    const struct ws_share_level *levels = desk->node->levels;
    size_t count = desk->node->level_count;
    size_t best[4] = {0};
    double best_gain = 1e-12, best_s = 0.0;
    for (size_t a = 0; a < count; a++) {
        for (size_t up = 0; mix->counts[a] > 0 && up < count; up++) {
            double won = desk->weight[up] - desk->weight[a];
            double first_s = levels[up].image_s - levels[a].image_s;
            if (!(won > best_gain))
                continue;
            for (size_t b = 0; b < count; b++) {
                if (mix->counts[b] < 1 + (size_t)(a == b))
                    continue;
                for (size_t down = 0; down < count; down++) {
                    double gain = won + desk->weight[down] - desk->weight[b];
                    double more = first_s + levels[down].image_s - levels[b].image_s;
                    if (gain > best_gain && fits(more, *spare_s)) {
                        best_gain = gain;
                        best_s = more;
                        memcpy(best, (size_t[]){a, up, b, down}, sizeof(best));
                    }
                }
            }
        }
    }
    if (best[0] == best[1])
        return 0;
    mix->counts[best[0]]--;
    mix->counts[best[1]]++;
    mix->counts[best[2]]--;
    mix->counts[best[3]]++;
    *spare_s -= best_s;
    return 1;
}

static void polish(struct mix *mix, const struct desk *desk)
{
    double spare_s = desk->time_s, before = mix->weight;
    for (size_t j = 0; j < desk->node->level_count; j++)
        spare_s -= (double)mix->counts[j] * desk->node->levels[j].image_s;
    for (int i = 0; i < EXCHANGES_MAX && exchange(mix, desk, &spare_s); i++)
        ;
    judge_mix(mix, desk);
    assert(mix->weight >= before - 1e-9);
}

/* Depth first over the counts of each level, the heaviest first, cut off by the
 * relaxation; `at` holds what is chosen so far. */
static void search_exact(struct mix *best, struct mix *at, struct desk *desk,
                         size_t depth, size_t left, double time_s, double weight)
{
    if (desk->steps++ >= DFS_STEPS_MAX)
        return;
    size_t level = desk->order[depth];
    double image_s = desk->node->levels[level].image_s;
    if (depth + 1 == desk->node->level_count) {
        if (!fits((double)left * image_s, time_s))
            return;
        weight += (double)left * desk->weight[level];
        if (weight > best->weight + 1e-12) {
            at->counts[level] = left;
            *best = *at;
            judge_mix(best, desk);
            at->counts[level] = 0;
        }
        return;
    }
    for (size_t n = left + 1; n-- > 0;) {
        double rest_s = time_s - (double)n * image_s;
        size_t rest = left - n;
        if (!fits((double)rest * desk->fastest_s, rest_s) || !fits(0.0, rest_s))
            continue;
        double now = weight + (double)n * desk->weight[level];
        if (now + ws_share_hull_value(desk->share, desk->problem, desk->number,
                                      rest_s > 0 ? rest_s : 0.0, (double)rest) <=
            best->weight + 1e-12)
            continue;
        at->counts[level] = n;
        search_exact(best, at, desk, depth + 1, rest, rest_s, now);
    }
    at->counts[level] = 0;
}

static int is_small(const struct ws_share_problem *problem)
{
    return problem->node_count <= SHARE_EXACT_NODES &&
           problem->images <= WS_SHARE_EXACT_MAX;
}

static int fill_best(struct mix *out, struct desk *desk, size_t x)
{
    if (!fill(out, desk, x))
        return 0;
    /* Beside the relaxation itself there is nothing to find. */
    if (x == 0 || !is_small(desk->problem) ||
        ws_share_hull_value(desk->share, desk->problem, desk->number, desk->time_s,
                            (double)x) <= out->weight + 1e-12)
        return 1;
    struct mix at = {0};
    desk->steps = 0;
    search_exact(out, &at, desk, 0, x, desk->time_s, 0.0);
    return 1;
}

static void open_desk(struct desk *desk, const struct ws_share *share,
                      const struct ws_share_problem *problem, size_t number,
                      double budget_s)
{
    const struct ws_share_node *node = &problem->nodes[number];
    *desk = (struct desk){.share = share,
                          .problem = problem,
                          .node = node,
                          .weight = &share->weight[cell(number, 0)],
                          .number = number,
                          .time_s = time_of(node, budget_s)};
    desk->fastest_s = node->levels[share->hulls[number].level[0]].image_s;
    for (size_t j = 0; j < node->level_count; j++) {
        size_t k = j;
        for (; k > 0 && desk->weight[desk->order[k - 1]] < desk->weight[j]; k--)
            desk->order[k] = desk->order[k - 1];
        desk->order[k] = j;
    }
}

/* The shares that the program may choose for one node: from..from+count-1. */
struct window {
    size_t from, count;
};

/* Whether one sum of weights is better, or as good with less energy. */
static int is_better(double weight, double joules, double than, double than_joules)
{
    if (isinf(than)) /* nothing yet */
        return 1;
    double slack = 1e-12 * (1.0 + fabs(than));
    return weight > than + slack || (weight >= than - slack && joules < than_joules);
}

static void open_windows(struct window *windows, size_t *near, struct ws_share *share,
                         const struct ws_share_problem *problem)
{
    for (size_t i = 0; i < problem->node_count; i++) {
        size_t x = (size_t)share->shares[i];
        /* A hair below a whole number is that number. */
        x += share->shares[i] - (double)x > 1.0 - 1e-9;
        near[i] = x;
        windows[i].from = x > SHARE_NEAR ? x - SHARE_NEAR : 0;
        size_t to = x + SHARE_NEAR;
        if (is_small(problem)) {
            windows[i].from = 0;
            to = problem->images;
        }
        to = to < problem->images ? to : problem->images;
        windows[i].count = to - windows[i].from + 1;
    }
}

/* Adds node i to the program. Drift is the sum of shares over the sum of `near`. */
static void extend(struct ws_share *share, const struct ws_share_problem *problem,
                   const struct window *window, size_t near, size_t i, double budget_s)
{
    double *from = share->value[i % 2], *from_j = share->joules[i % 2];
    double *to = share->value[(i + 1) % 2], *to_j = share->joules[(i + 1) % 2];
    struct desk desk;
    open_desk(&desk, share, problem, i, budget_s);
    for (size_t d = 0; d <= 2 * SHARE_DRIFT; d++)
        to[d] = -INFINITY;
    for (size_t k = 0; k < window->count; k++) {
        struct mix mix;
        if (!fill_best(&mix, &desk, window->from + k))
            break; /* more would fit even less */
        long move = (long)(window->from + k) - (long)near;
        long low = move < 0 ? -move : 0;
        long high = 2L * SHARE_DRIFT - (move > 0 ? move : 0);
        for (long d = low; d <= high; d++) {
            double value = from[d] + mix.weight, joules = from_j[d] + mix.energy_j;
            long at = d + move;
            if (from[d] > -INFINITY && is_better(value, joules, to[at], to_j[at])) {
                to[at] = value;
                to_j[at] = joules;
                share->choice[i][at] = (unsigned char)k;
            }
        }
    }
}

int ws_share_round(double *out, struct ws_share *share,
                   const struct ws_share_problem *problem, double budget_s)
{
    struct window windows[SHARE_NODES];
    size_t near[SHARE_NODES], sum = 0;
    double relaxed = 0.0;
    if (!ws_share_relax(&relaxed, share, problem, budget_s))
        return 0;
    open_windows(windows, near, share, problem);
    for (size_t i = 0; i < problem->node_count; i++)
        sum += near[i];
    long end = SHARE_DRIFT + (long)problem->images - (long)sum;
    for (size_t d = 0; d <= 2 * SHARE_DRIFT; d++)
        share->value[0][d] = -INFINITY;
    share->value[0][SHARE_DRIFT] = share->joules[0][SHARE_DRIFT] = 0.0;
    for (size_t i = 0; i < problem->node_count; i++)
        extend(share, problem, &windows[i], near[i], i, budget_s);
    double value = share->value[problem->node_count % 2][end];
    if (!(value > -INFINITY))
        return 0;
    memset(share->counts, 0, sizeof(share->counts));
    for (size_t i = problem->node_count; i-- > 0;) {
        struct mix mix;
        struct desk desk;
        size_t x = windows[i].from + share->choice[i][end];
        open_desk(&desk, share, problem, i, budget_s);
        (void)fill_best(&mix, &desk, x);
        value -= mix.weight;
        polish(&mix, &desk);
        value += mix.weight;
        memcpy(&share->counts[cell(i, 0)], mix.counts, sizeof(mix.counts));
        end -= (long)x - (long)near[i];
    }
    *out = value;
    return 1;
}
