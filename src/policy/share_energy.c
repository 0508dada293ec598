#include <math.h>
#include <string.h>

#include "policy/share_impl.h"

enum {
    DOUBLINGS = 60,
    BISECTIONS = 40,
    MOVES_MAX = 256,
    ACROSS_MAX = 128,
    PAIRS_MAX = 128,
    PAIRINGS_MAX = 4
};

/* Counts on their way from the relaxation to whole images. */
struct books {
    const struct ws_share_problem *problem;
    size_t *counts;
    double left_s[SHARE_NODES];
    double right; /* sum of accuracies */
    double energy_j;
    double wanted; /* of right */
    int across;    /* images may move between nodes */
};

struct move {
    size_t from_node, from, to_node, to;
    size_t count;
    double gain;
};

static const struct ws_share_level *level_of(const struct books *books, size_t node,
                                             size_t level)
{
    return &books->problem->nodes[node].levels[level];
}

static void open_books(struct books *books, const struct ws_share_problem *problem,
                       size_t *counts, double budget_s)
{
    size_t cells = 0;
    *books = (struct books){.problem = problem,
                            .counts = counts,
                            .wanted = problem->min_accuracy * (double)problem->images};
    for (size_t i = 0; i < problem->node_count; i++) {
        books->left_s[i] = time_of(&problem->nodes[i], budget_s);
        cells += problem->nodes[i].level_count;
        for (size_t j = 0; j < problem->nodes[i].level_count; j++) {
            double count = (double)counts[cell(i, j)];
            books->left_s[i] -= count * level_of(books, i, j)->image_s;
            books->right += count * level_of(books, i, j)->accuracy;
            books->energy_j += count * level_of(books, i, j)->energy_j;
        }
    }
    books->across = cells <= ACROSS_MAX;
}

static int is_accurate(const struct books *books, double right)
{
    return right >= books->wanted - 1e-9 * (double)books->problem->images;
}

/* Puts `count` images more at a level, or with is_back takes them from it. */
static void post(struct books *books, size_t node, size_t level, size_t count,
                 int is_back)
{
    const struct ws_share_level *of = level_of(books, node, level);
    double signed_count = is_back ? -(double)count : (double)count;
    books->counts[cell(node, level)] += is_back ? (size_t)0 - count : count;
    books->left_s[node] -= signed_count * of->image_s;
    books->right += signed_count * of->accuracy;
    books->energy_j += signed_count * of->energy_j;
}

/* How often one image can go that way within counts and time. */
static size_t move_room(const struct books *books, const struct move *move)
{
    double there_s = level_of(books, move->to_node, move->to)->image_s;
    double count = (double)books->counts[cell(move->from_node, move->from)];
    if (move->from_node == move->to_node)
        there_s -= level_of(books, move->from_node, move->from)->image_s;
    if (there_s > 0)
        count = fmin(count, floor((books->left_s[move->to_node] + 1e-12) / there_s));
    return count > 0 ? (size_t)count : 0;
}

typedef void (*value_fn)(struct move *move, const struct books *books,
                         const struct ws_share_level *from,
                         const struct ws_share_level *to);

/* Joules saved, as far as the accuracy allows. */
static void value_saving(struct move *move, const struct books *books,
                         const struct ws_share_level *from,
                         const struct ws_share_level *to)
{
    double saved = from->energy_j - to->energy_j, lost = from->accuracy - to->accuracy;
    move->gain = 0.0;
    if (!(saved > 1e-12))
        return;
    if (lost > 0) {
        double slack = 1e-9 * (double)books->problem->images;
        double most = floor((books->right - books->wanted + slack) / lost);
        if (most < (double)move->count)
            move->count = most > 0 ? (size_t)most : 0;
    }
    move->gain = (double)move->count * saved;
}

/* Accuracy for few joules: those that need one at a time. */
static void value_repair(struct move *move, const struct books *books,
                         const struct ws_share_level *from,
                         const struct ws_share_level *to)
{
    double won = to->accuracy - from->accuracy, price = to->energy_j - from->energy_j;
    (void)books;
    move->count = 1;
    move->gain = won > 1e-12 ? (price > 0 ? won / price : 1e30 * won) : 0.0;
}

static int find_move(struct move *out, const struct books *books, value_fn value)
{
    const struct ws_share_problem *problem = books->problem;
    *out = (struct move){0};
    for (size_t i = 0; i < problem->node_count; i++) {
        for (size_t j = 0; j < problem->nodes[i].level_count; j++) {
            size_t first = books->across ? 0 : i;
            size_t last = books->across ? problem->node_count - 1 : i;
            if (books->counts[cell(i, j)] == 0)
                continue;
            for (size_t k = first; k <= last; k++) {
                for (size_t l = 0; l < problem->nodes[k].level_count; l++) {
                    struct move move = {i, j, k, l, 0, 0.0};
                    if ((i == k && j == l) || (move.count = move_room(books, &move)) == 0)
                        continue;
                    value(&move, books, level_of(books, i, j), level_of(books, k, l));
                    if (move.count > 0 && move.gain > out->gain)
                        *out = move;
                }
            }
        }
    }
    return out->gain > 0;
}

static int improve(struct books *books, value_fn value)
{
    struct move move;
    if (!find_move(&move, books, value))
        return 0;
    post(books, move.from_node, move.from, move.count, 1);
    post(books, move.to_node, move.to, move.count, 0);
    return 1;
}

/* Every way that one image can go, counts aside; 0 where they are too many to pair. */
static size_t list_moves(struct move *out, const struct books *books)
{
    const struct ws_share_problem *problem = books->problem;
    size_t count = 0;
    for (size_t from = 0; from < problem->node_count * SHARE_LEVELS; from++) {
        if (books->counts[from] == 0)
            continue;
        for (size_t k = 0; k < problem->node_count; k++) {
            for (size_t l = 0; l < problem->nodes[k].level_count; l++) {
                if (cell(k, l) == from)
                    continue;
                if (count == PAIRS_MAX)
                    return 0;
                out[count++] =
                    (struct move){from / SHARE_LEVELS, from % SHARE_LEVELS, k, l, 1, 0.0};
            }
        }
    }
    return count;
}

static void post_move(struct books *books, const struct move *move, int is_back)
{
    post(books, move->from_node, move->from, move->count, !is_back);
    post(books, move->to_node, move->to, move->count, is_back);
}

static int is_kept(const struct books *books, const struct move *a, const struct move *b)
{
    return fits(-books->left_s[a->to_node], 0.0) &&
           fits(-books->left_s[b->to_node], 0.0) && is_accurate(books, books->right);
}

/* Two images at once, where the one gives what the other takes: time or accuracy. */
static int improve_by_pair(struct books *books)
{
    struct move moves[PAIRS_MAX];
    size_t count = list_moves(moves, books), best_a = 0, best_b = 0;
    double before = books->energy_j, best_j = before - 1e-9 * (1.0 + before);
    const double least = best_j;
    for (size_t a = 0; a < count; a++) {
        post_move(books, &moves[a], 0);
        for (size_t b = a + 1; b < count; b++) {
            if (books->counts[cell(moves[b].from_node, moves[b].from)] == 0)
                continue;
            double joules = books->energy_j +
                            level_of(books, moves[b].to_node, moves[b].to)->energy_j -
                            level_of(books, moves[b].from_node, moves[b].from)->energy_j;
            if (joules >= best_j)
                continue;
            post_move(books, &moves[b], 0);
            if (is_kept(books, &moves[a], &moves[b])) {
                best_j = joules;
                best_a = a;
                best_b = b;
            }
            post_move(books, &moves[b], 1);
        }
        post_move(books, &moves[a], 1);
    }
    if (!(best_j < least))
        return 0;
    post_move(books, &moves[best_a], 0);
    post_move(books, &moves[best_b], 0);
    return 1;
}

/* Places the images that rounding down left over, one at a time, where they weigh most.
 */
static int place_rest(struct books *books, const struct ws_share *share, size_t rest)
{
    const struct ws_share_problem *problem = books->problem;
    for (; rest > 0; rest--) {
        size_t node = SHARE_NODES, level = 0;
        double best = -INFINITY;
        for (size_t i = 0; i < problem->node_count; i++) {
            for (size_t j = 0; j < problem->nodes[i].level_count; j++) {
                if (share->weight[cell(i, j)] > best &&
                    fits(level_of(books, i, j)->image_s, books->left_s[i])) {
                    best = share->weight[cell(i, j)];
                    node = i;
                    level = j;
                }
            }
        }
        if (node == SHARE_NODES)
            return 0;
        post(books, node, level, 1, 0);
    }
    return 1;
}

/* Takes share->counts as `best` where it meets all and costs less once improved. */
static void offer(struct ws_share *share, const struct ws_share_problem *problem,
                  double budget_s, double *best_j)
{
    struct books books;
    size_t rest = problem->images;
    open_books(&books, problem, share->counts, budget_s);
    for (size_t c = 0; c < problem->node_count * SHARE_LEVELS; c++)
        rest -= share->counts[c];
    if (!place_rest(&books, share, rest))
        return;
    for (int i = 0; i < MOVES_MAX && !is_accurate(&books, books.right); i++) {
        if (!improve(&books, value_repair))
            return;
    }
    if (!is_accurate(&books, books.right))
        return;
    for (int i = 0, pairs = 0; i < MOVES_MAX && pairs < PAIRINGS_MAX; i++) {
        if (improve(&books, value_saving))
            continue;
        if (!improve_by_pair(&books))
            break;
        pairs++;
    }
    if (books.energy_j < *best_j) {
        *best_j = books.energy_j;
        memcpy(share->best, share->counts, sizeof(share->best));
    }
}

/* The relaxation for a price of accuracy; *right its sum of accuracies. Returns the sum
 * of weights. */
static double price(double *right, double *real, struct ws_share *share,
                    const struct ws_share_problem *problem, double lambda,
                    double budget_s)
{
    double sum = 0.0;
    for (size_t i = 0; i < problem->node_count; i++) {
        for (size_t j = 0; j < problem->nodes[i].level_count; j++) {
            const struct ws_share_level *level = &problem->nodes[i].levels[j];
            share->weight[cell(i, j)] = lambda * level->accuracy - level->energy_j;
        }
    }
    ws_share_shape(share, problem);
    (void)ws_share_relax(&sum, share, problem, budget_s);
    ws_share_spread(real, share, problem, budget_s);
    *right = 0.0;
    for (size_t i = 0; i < problem->node_count; i++) {
        for (size_t j = 0; j < problem->nodes[i].level_count; j++)
            *right += real[cell(i, j)] * problem->nodes[i].levels[j].accuracy;
    }
    return sum;
}

static double energy_of(const struct ws_share *share,
                        const struct ws_share_problem *problem)
{
    double energy_j = 0.0;
    for (size_t i = 0; i < problem->node_count; i++) {
        for (size_t j = 0; j < problem->nodes[i].level_count; j++)
            energy_j +=
                (double)share->best[cell(i, j)] * problem->nodes[i].levels[j].energy_j;
    }
    return energy_j;
}

/* Whole images at prices somewhat above the relaxation's are other starts to improve. */
static const double dearer[] = {1.0, 1.01, 1.05, 1.2, 1.5};

double ws_share_save(struct ws_share *share, const struct ws_share_problem *problem,
                     double budget_s)
{
    double *under = share->real[0], *over = share->real[1];
    double wanted = problem->min_accuracy * (double)problem->images;
    double right_under = 0.0, right_over = 0.0, low = 0.0, high = 0.0;
    double best_j = energy_of(share, problem);
    /* What was found for accuracy is a first answer, and can be improved itself. */
    memcpy(share->counts, share->best, sizeof(share->counts));
    offer(share, problem, budget_s, &best_j);

    /* The price of accuracy at which the relaxation just has enough of it. */
    double sum = price(&right_under, under, share, problem, 0.0, budget_s);
    double share_over = 0.0;
    if (right_under < wanted) {
        high = 1e-6 * (1e-9 + best_j / (double)problem->images);
        for (int i = 0; i < DOUBLINGS; i++, low = high, high *= 4.0) {
            (void)price(&right_over, over, share, problem, high, budget_s);
            if (right_over >= wanted)
                break;
        }
        for (int i = 0; i < BISECTIONS; i++) {
            double middle = 0.5 * (low + high), right = 0.0;
            (void)price(&right, under, share, problem, middle, budget_s);
            if (right < wanted)
                low = middle;
            else
                high = middle;
        }
        (void)price(&right_under, under, share, problem, low, budget_s);
        sum = price(&right_over, over, share, problem, high, budget_s);
        if (right_over > right_under)
            share_over = (wanted - right_under) / (right_over - right_under);
        share_over = fmin(1.0, fmax(0.0, share_over));
    }
    /* Weak duality: whatever meets accuracy and time costs at least this. */
    double bound = high * wanted - sum;
    for (size_t c = 0; c < problem->node_count * SHARE_LEVELS; c++) {
        double real = (1.0 - share_over) * under[c] + share_over * over[c];
        share->counts[c] = (size_t)(real + 1e-9);
    }
    offer(share, problem, budget_s, &best_j);
    for (size_t k = 0; k < sizeof(dearer) / sizeof(dearer[0]); k++) {
        (void)price(&right_over, over, share, problem, dearer[k] * high, budget_s);
        if (ws_share_round(&sum, share, problem, budget_s))
            offer(share, problem, budget_s, &best_j);
    }
    return bound;
}
