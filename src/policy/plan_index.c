#include "policy/plan_index.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAF_MAX = 8,   /* entries of a leaf */
    DEPTH_MAX = 48, /* of the tree: halves, so 2^48 leaves */
    SWITCH_KNOBS_MAX = 8,
};

/* The terms of a foreseen time, margin multiplied in, and of a foreseen energy. A box
 * holds the smallest of each, and the greatest accuracy. */
struct terms {
    double edge;   /* without what runs beside transfer and cloud */
    double beside; /* that */
    double per_delay;
    double at_pace;
    double cloud;
    double rest;
    double energy;   /* without the idle energy of the transfer */
    double hidden;   /* minus the transfer time that the edge works through */
    double idle;     /* idle_w / 1000 / margin: joules per (multiplied) ms of transfer */
    double accuracy; /* -INFINITY where unknown */
};

enum { TERM_COUNT = sizeof(struct terms) / sizeof(double) };

struct node {
    struct terms low;
    /* Of the knobs that cost something to switch: the values found below here. */
    uint16_t knob_low[SWITCH_KNOBS_MAX];
    uint16_t knob_high[SWITCH_KNOBS_MAX];
    uint32_t first; /* leaf: first entry; else the left child, the right one behind it */
    uint32_t count; /* of a leaf's entries; 0: not a leaf */
};

struct ws_index {
    struct terms *terms; /* [count], in the tree's order */
    struct hardware {
        uint16_t value[SWITCH_KNOBS_MAX];
    } * hardware;                /* likewise: values of switch_knobs; NULL: none cost */
    struct ws_setting *settings; /* likewise, only where more knobs than those cost */
    uint32_t *entries;           /* likewise: number in the plan */
    struct demand {
        double edge_w, edge_bytes; /* 0 where unknown */
    } * demands;                   /* likewise */
    size_t count;
    struct node *nodes;
    size_t node_count;
    size_t knob_count;
    double switch_ms[WS_KNOBS_MAX];
    /* The knobs that cost something, or the first of them. */
    uint8_t switch_knobs[SWITCH_KNOBS_MAX];
    double switch_costs[SWITCH_KNOBS_MAX][2]; /* unchanged: 0, changed */
    size_t switch_knob_count;
    int switch_more; /* whether there are more */
};

static inline double larger(double a, double b)
{
    return a > b ? a : b; /* one instruction, unlike fmax, which minds NaN */
}

/* Both are monotone in every term, also in floating point: the bound of a box is never
 * above the value of what it holds. */
static inline double latency_of(const struct terms *t, const struct ws_situation *now)
{
    double away = t->per_delay * now->delay_ms + t->at_pace * now->pace +
                  t->cloud * now->cloud_scale;
    return t->edge * now->edge_scale + larger(t->beside * now->edge_scale, away) +
           t->rest;
}

static inline double energy_of(const struct terms *t, const struct ws_situation *now)
{
    double transfer = t->per_delay * now->delay_ms + t->at_pace * now->pace;
    return t->energy + t->idle * larger(transfer + t->hidden, 0);
}

/* A query with what is worked out once for it. */
struct question {
    struct ws_situation now;
    double deadline_ms;
    double min_accuracy; /* -INFINITY: any, unknown ones too */
    int switching;       /* whether the hardware is set to something that counts */
    int stay;            /* it must not change */
    int sparing;         /* whether the edge is to be spared */
    struct hardware current;
};

static inline double switch_of(const struct ws_index *index, const struct question *q,
                               size_t i)
{
    double cost = 0;
    if (!q->switching)
        return 0;
    if (index->switch_more)
        return ws_switch_ms(index->switch_ms, index->knob_count, q->now.current,
                            &index->settings[i]);
    for (size_t k = 0; k < index->switch_knob_count; k++) {
        size_t changes = index->hardware[i].value[k] != q->current.value[k];
        cost = larger(cost, index->switch_costs[k][changes]);
    }
    return cost;
}

static inline double switch_bound(const struct ws_index *index, const struct question *q,
                                  const struct node *node)
{
    double cost = 0;
    for (size_t k = 0; k < index->switch_knob_count; k++) {
        uint16_t value = q->current.value[k];
        size_t changes = (value < node->knob_low[k]) | (value > node->knob_high[k]);
        cost = larger(cost, index->switch_costs[k][changes]);
    }
    return cost;
}

/* ---- building ---- */

static double term(const struct terms *terms, size_t k)
{
    double values[TERM_COUNT];
    memcpy(values, terms, sizeof(values));
    return values[k];
}

static int terms_of(struct terms *out, const struct ws_plan *plan, size_t entry,
                    const struct ws_index_options *options)
{
    const struct ws_outcome *outcome = &plan->entries[entry].outcome;
    double latency, energy, edge = 0, transfer = 0, cloud = 0, beside = 0;
    double accuracy = -INFINITY;
    double margin = options->margin == NULL ? 1 : options->margin[entry];
    if (ws_outcome_get(&latency, outcome, WS_LATENCY_MS) != 0 ||
        ws_outcome_get(&energy, outcome, WS_ENERGY_J) != 0)
        return 0;
    (void)ws_outcome_get(&edge, outcome, WS_EDGE_MS);
    (void)ws_outcome_get(&transfer, outcome, WS_TRANSFER_MS);
    (void)ws_outcome_get(&cloud, outcome, WS_CLOUD_MS);
    (void)ws_outcome_get(&beside, outcome, WS_BESIDE_MS);
    (void)ws_outcome_get(&accuracy, outcome, WS_ACCURACY);
    struct ws_transfer split = ws_transfer_of(outcome, &plan->conditions);
    double hidden = fmax(beside - cloud, 0);
    *out = (struct terms){
        .edge = (edge - beside) * margin,
        .beside = beside * margin,
        .per_delay = split.per_delay * margin,
        .at_pace = split.at_pace * margin,
        .cloud = cloud * margin,
        .rest = (latency - (edge - beside) - fmax(beside, transfer + cloud)) * margin,
        .energy = energy - options->idle_w / 1000 * fmax(transfer - hidden, 0),
        .hidden = -hidden * margin,
        .idle = options->idle_w / 1000 / margin,
        .accuracy = accuracy,
    };
    return 1;
}

struct sort_item {
    double key;
    uint32_t at; /* in the tree's order so far */
};

static int by_key(const void *a, const void *b)
{
    const struct sort_item *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

struct builder {
    struct ws_index *index;
    const struct ws_plan *plan;
    struct terms *terms; /* [count], in the order of `order`'s values */
    uint32_t *entries;   /* [count] */
    uint32_t *order;     /* [count] */
    struct sort_item *sort;
    double weight[TERM_COUNT + SWITCH_KNOBS_MAX]; /* of a coordinate, in ms */
};

/* Coordinate `d` of an item: its terms, then the values of the knobs that cost. */
static double coordinate(const struct builder *b, uint32_t item, size_t d)
{
    if (d < TERM_COUNT)
        return term(&b->terms[item], d);
    size_t knob = b->index->switch_knobs[d - TERM_COUNT];
    return b->plan->entries[b->entries[item]].setting.value[knob];
}

static double span_of(const struct builder *b, size_t first, size_t count, size_t d)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = first; i < first + count; i++) {
        double x = coordinate(b, b->order[i], d);
        low = fmin(low, x);
        high = fmax(high, x);
    }
    return high > low && isfinite(low) && isfinite(high) ? high - low : 0;
}

/* What a coordinate's width is worth in milliseconds, so that boxes are split where their
 * bounds are loosest. A rate may change tenfold, machines and delays hardly; energies are
 * worth as much as the times they are traded for, over the whole plan. */
static void weigh(struct builder *b)
{
    struct ws_index *index = b->index;
    double *w = b->weight, pace_changes = 3;
    double nominal_delay = ws_situation_nominal(&b->plan->conditions).delay_ms;
    w[offsetof(struct terms, edge) / sizeof(double)] = 1;
    w[offsetof(struct terms, beside) / sizeof(double)] = 1;
    w[offsetof(struct terms, per_delay) / sizeof(double)] = nominal_delay;
    w[offsetof(struct terms, at_pace) / sizeof(double)] = pace_changes;
    w[offsetof(struct terms, cloud) / sizeof(double)] = 1;
    w[offsetof(struct terms, rest) / sizeof(double)] = 1;
    double times = 0, energies = 0;
    for (size_t d = 0; d < TERM_COUNT; d++) {
        if (w[d] > 0)
            times = fmax(times, w[d] * span_of(b, 0, index->count, d));
    }
    size_t energy = offsetof(struct terms, energy) / sizeof(double);
    energies = span_of(b, 0, index->count, energy);
    w[energy] = energies > 0 ? 2 * times / energies : 0;
    for (size_t k = 0; k < index->switch_knob_count; k++) {
        double values = span_of(b, 0, index->count, TERM_COUNT + k);
        w[TERM_COUNT + k] = values > 0 ? index->switch_costs[k][1] / values : 0;
    }
}

/* The coordinate in which these items are widest. */
static size_t widest(const struct builder *b, size_t first, size_t count)
{
    size_t best = 0, dims = TERM_COUNT + b->index->switch_knob_count;
    double most = -1;
    for (size_t d = 0; d < dims; d++) {
        double width = b->weight[d] > 0 ? span_of(b, first, count, d) * b->weight[d] : 0;
        if (width > most) {
            best = d;
            most = width;
        }
    }
    return best;
}

static void bound(const struct builder *b, struct node *node, size_t first, size_t count)
{
    double low[TERM_COUNT];
    for (size_t d = 0; d < TERM_COUNT; d++)
        low[d] = INFINITY;
    double accuracy = -INFINITY;
    memset(node->knob_low, 0xff, sizeof(node->knob_low));
    memset(node->knob_high, 0, sizeof(node->knob_high));
    for (size_t i = first; i < first + count; i++) {
        uint32_t item = b->order[i];
        for (size_t d = 0; d < TERM_COUNT; d++)
            low[d] = fmin(low[d], term(&b->terms[item], d));
        accuracy = fmax(accuracy, b->terms[item].accuracy);
        for (size_t k = 0; k < b->index->switch_knob_count; k++) {
            uint16_t v = b->plan->entries[b->entries[item]]
                             .setting.value[b->index->switch_knobs[k]];
            node->knob_low[k] = v < node->knob_low[k] ? v : node->knob_low[k];
            node->knob_high[k] = v > node->knob_high[k] ? v : node->knob_high[k];
        }
    }
    memcpy(&node->low, low, sizeof(low));
    node->low.accuracy = accuracy;
}

/* Halves the items at the median of their widest coordinate, down to the leaves. Halving
 * keeps the depth at log2(count), which is what bounds the stack here and of a search. */
static void build(struct builder *b, size_t at, size_t first, size_t count)
{
    struct node *node = &b->index->nodes[at];
    bound(b, node, first, count);
    if (count <= LEAF_MAX) {
        node->first = (uint32_t)first;
        node->count = (uint32_t)count;
        return;
    }
    size_t d = widest(b, first, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t item = b->order[first + i];
        b->sort[i] = (struct sort_item){coordinate(b, item, d), item};
    }
    qsort(b->sort, count, sizeof(*b->sort), by_key);
    for (size_t i = 0; i < count; i++)
        b->order[first + i] = b->sort[i].at;
    size_t left = b->index->node_count;
    b->index->node_count += 2;
    node->first = (uint32_t)left;
    node->count = 0;
    build(b, left, first, count / 2);
    build(b, left + 1, first + count / 2, count - count / 2);
}

static void note_switch_costs(struct ws_index *index, const double *switch_ms)
{
    for (size_t k = 0; switch_ms != NULL && k < index->knob_count; k++) {
        index->switch_ms[k] = switch_ms[k];
        if (!(switch_ms[k] > 0))
            continue;
        if (index->switch_knob_count == SWITCH_KNOBS_MAX) {
            index->switch_more = 1;
            continue;
        }
        index->switch_costs[index->switch_knob_count][1] = switch_ms[k];
        index->switch_knobs[index->switch_knob_count++] = (uint8_t)k;
    }
}

static int allocate(struct ws_index *index, struct builder *b, size_t capacity,
                    struct ws_error *err)
{
    b->terms = calloc(capacity, sizeof(*b->terms));
    b->entries = calloc(capacity, sizeof(*b->entries));
    b->order = calloc(capacity, sizeof(*b->order));
    b->sort = calloc(capacity, sizeof(*b->sort));
    index->terms = calloc(capacity, sizeof(*index->terms));
    index->entries = calloc(capacity, sizeof(*index->entries));
    index->demands = calloc(capacity, sizeof(*index->demands));
    /* Halving a count above LEAF_MAX leaves at least LEAF_MAX / 2 in each half. */
    index->nodes = calloc(4 * capacity / LEAF_MAX + 2, sizeof(*index->nodes));
    if (index->switch_knob_count > 0)
        index->hardware = calloc(capacity, sizeof(*index->hardware));
    if (index->switch_more)
        index->settings = calloc(capacity, sizeof(*index->settings));
    if (b->terms == NULL || b->entries == NULL || b->order == NULL || b->sort == NULL ||
        index->terms == NULL || index->entries == NULL || index->demands == NULL ||
        index->nodes == NULL ||
        (index->switch_knob_count > 0 && index->hardware == NULL) ||
        (index->switch_more && index->settings == NULL))
        return ws_error_nomem(err);
    return 0;
}

/* The arrays that are searched, in the tree's order. */
static void lay_out(struct builder *b)
{
    struct ws_index *index = b->index;
    for (size_t i = 0; i < index->count; i++) {
        uint32_t item = b->order[i];
        index->terms[i] = b->terms[item];
        index->entries[i] = b->entries[item];
        const struct ws_outcome *outcome = &b->plan->entries[b->entries[item]].outcome;
        index->demands[i].edge_w = ws_situation_edge_w(outcome);
        (void)ws_outcome_get(&index->demands[i].edge_bytes, outcome, WS_EDGE_MEM_BYTES);
        const struct ws_setting *setting = &b->plan->entries[b->entries[item]].setting;
        for (size_t k = 0; k < index->switch_knob_count; k++)
            index->hardware[i].value[k] = setting->value[index->switch_knobs[k]];
        if (index->settings != NULL)
            index->settings[i] = *setting;
    }
}

int ws_index_create(struct ws_index **out, const struct ws_plan *plan,
                    const struct ws_index_options *options, struct ws_error *err)
{
    int rc;
    struct builder b = {.plan = plan};
    struct ws_index *index = calloc(1, sizeof(*index));
    if (index == NULL)
        return ws_error_nomem(err);
    b.index = index;
    index->knob_count = plan->space.knob_count;
    note_switch_costs(index, options->switch_ms);
    rc = allocate(index, &b, plan->entry_count + 1, err);
    if (rc != 0)
        goto out;
    for (size_t i = 0; i < plan->entry_count; i++) {
        if (!terms_of(&b.terms[index->count], plan, i, options))
            continue;
        b.entries[index->count] = (uint32_t)i;
        b.order[index->count] = (uint32_t)index->count;
        index->count++;
    }
    if (index->count == 0) {
        rc = ws_error_set(err, WS_E_INFEASIBLE,
                          "no entry of the plan knows both latency_ms and energy_j");
        goto out;
    }
    weigh(&b);
    index->node_count = 1;
    build(&b, 0, 0, index->count);
    lay_out(&b);
    *out = index;
    index = NULL;
out:
    ws_index_destroy(index);
    free(b.terms);
    free(b.entries);
    free(b.order);
    free(b.sort);
    return rc;
}

void ws_index_destroy(struct ws_index *index)
{
    if (index == NULL)
        return;
    free(index->terms);
    free(index->hardware);
    free(index->settings);
    free(index->entries);
    free(index->demands);
    free(index->nodes);
    free(index);
}

/* ---- asking ---- */

/* What is looked for: `first` is minimised, then `second`, then the entry's number. */
struct best {
    double first, second;
    size_t entry;
    double latency_ms, energy_j;
};

static inline int better(double first, double second, size_t entry, const struct best *b)
{
    if (first != b->first)
        return first < b->first;
    if (second != b->second)
        return second < b->second;
    return entry < b->entry;
}

static inline int spares(const struct ws_index *index, const struct question *q, size_t i)
{
    const struct demand *demand = &index->demands[i];
    const struct ws_situation *now = &q->now;
    return (!(now->edge_w_max > 0) || demand->edge_w <= now->edge_w_max) &&
           (!(now->edge_bytes_max > 0) || demand->edge_bytes <= now->edge_bytes_max);
}

/* Both of the following are written without early exits where a branch would be a coin's
 * toss: a wrong guess of the processor costs more than the arithmetic it would save. */
static inline void look(const struct ws_index *index, const struct question *q,
                        int fastest, size_t i, struct best *best)
{
    const struct terms *t = &index->terms[i];
    double energy = energy_of(t, &q->now);
    double latency = latency_of(t, &q->now);
    double first = fastest ? latency : energy;
    if (!((first <= best->first) & (t->accuracy >= q->min_accuracy) &
          (fastest | (latency <= q->deadline_ms))))
        return;
    if (q->sparing && !spares(index, q, i))
        return;
    if (q->switching) {
        double cost = switch_of(index, q, i);
        latency += cost;
        if ((!fastest && latency > q->deadline_ms) || (q->stay && cost > 0))
            return;
    }
    first = fastest ? latency : energy;
    double second = fastest ? energy : 0;
    if (better(first, second, index->entries[i], best))
        *best = (struct best){first, second, index->entries[i], latency, energy};
}

/* What a box can hold at best, or INFINITY if nothing that is as good as `bar`. */
static inline double promise(const struct ws_index *index, const struct question *q,
                             int fastest, double bar, size_t at)
{
    const struct node *node = &index->nodes[at];
    double energy = energy_of(&node->low, &q->now);
    double latency = latency_of(&node->low, &q->now);
    if (q->switching)
        latency += switch_bound(index, q, node);
    double first = fastest ? latency : energy;
    int useful = (first <= bar) & (node->low.accuracy >= q->min_accuracy) &
                 (fastest | (latency <= q->deadline_ms));
    return useful ? first : INFINITY;
}

static struct question ask(const struct ws_index *index,
                           const struct ws_index_query *query)
{
    struct question q = {
        .now = *query->now,
        .deadline_ms = query->deadline_ms,
        .min_accuracy = query->min_accuracy > 0 ? query->min_accuracy : -INFINITY,
        .switching = index->switch_knob_count > 0 && query->now->current != NULL,
        .stay = query->stay,
        .sparing = query->now->edge_w_max > 0 || query->now->edge_bytes_max > 0,
    };
    for (size_t k = 0; q.switching && k < index->switch_knob_count; k++)
        q.current.value[k] = query->now->current->value[index->switch_knobs[k]];
    return q;
}

/* Depth first, the more promising half before the other. */
static inline struct ws_index_hit search(const struct ws_index *index,
                                         const struct ws_index_query *query, int fastest)
{
    struct {
        double promise;
        size_t at;
    } stack[DEPTH_MAX];
    const struct question q = ask(index, query);
    struct best best = {INFINITY, INFINITY, WS_NO_ENTRY, 0, 0};
    size_t depth = 1;
    stack[0].promise = promise(index, &q, fastest, INFINITY, 0);
    stack[0].at = 0;
    while (depth > 0) {
        depth--;
        const struct node *node = &index->nodes[stack[depth].at];
        if (stack[depth].promise > best.first || stack[depth].promise == INFINITY)
            continue;
        if (node->count > 0) {
            for (size_t i = node->first; i < (size_t)node->first + node->count; i++)
                look(index, &q, fastest, i, &best);
            continue;
        }
        double left = promise(index, &q, fastest, best.first, node->first);
        double right = promise(index, &q, fastest, best.first, node->first + 1);
        size_t swap = left <= right;
        assert(depth + 2 <= DEPTH_MAX);
        /* Written either way, and kept if worth it. */
        stack[depth].promise = swap ? right : left;
        stack[depth].at = node->first + swap;
        depth += stack[depth].promise < INFINITY;
        stack[depth].promise = swap ? left : right;
        stack[depth].at = node->first + 1 - swap;
        depth += stack[depth].promise < INFINITY;
    }
    return (struct ws_index_hit){best.entry, best.latency_ms, best.energy_j};
}

struct ws_index_hit ws_index_cheapest(const struct ws_index *index,
                                      const struct ws_index_query *query)
{
    return search(index, query, 0);
}

struct ws_index_hit ws_index_fastest(const struct ws_index *index,
                                     const struct ws_index_query *query)
{
    return search(index, query, 1);
}
