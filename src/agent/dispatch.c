#include "agent/dispatch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

enum {
    NODES = WS_SHARE_NODES_MAX,
    LEVELS = WS_SHARE_LEVELS_MAX,
    /* Chunks of a node that are known at once: those it has, and late ones. */
    CHUNKS = 4 * WS_DISPATCH_DEPTH,
    /* Times in a batch that a new plan spends what older ones kept back. */
    SPENDINGS = 16,
};

static const double DRIFT = 0.08;   /* of a node's speed that makes a plan stale */
static const double LEARN = 0.5;    /* weight of the newest measurement, if it is long */
static const double LEARN_S = 0.05; /* one of this length by the profile weighs half */
static const double LEAP = 2.0;     /* no single one changes more than by this factor */
static const double STEADY = 0.1;   /* weight of the newest deviation */
static const double RESERVE_MAX = 0.3;   /* however unsteady the nodes are */
static const double OVERDUE_SHARE = 1.0; /* of a chunk's time, over what was expected */
static const double OVERDUE_S = 0.05;    /* and at least this */
static const double CHUNK_S = 0.25;      /* no chunk is meant to take longer */
/* Least time between two plans for each cell of the problem, where no node came or went;
 * making one takes about a hundredth of it. */
static const double PAUSE_S = 0.0005;

enum input_state { PENDING, OUT, DONE };

struct input {
    uint8_t state;
    uint8_t node, level; /* that have it, or gave the result */
};

/* A chunk that has no answer yet. */
struct outstanding {
    struct ws_dispatch_chunk chunk;
    double overdue_s;
    int is_late; /* its inputs were given to others */
};

struct node {
    struct ws_share_level levels[LEVELS];
    struct ws_share_level now[LEVELS]; /* as this moment's plan sees them */
    size_t level_count;
    double delay_s, send_s, request_s;
    size_t chunk[LEVELS]; /* images of a chunk in a long run */
    int is_starting;      /* it has had one chunk since it had nothing */
    int is_up;
    double scale;        /* time over the profile's, learnt */
    double planned_with; /* scale of the plan that is carried out */
    struct outstanding outstanding[CHUNKS];
    size_t outstanding_count;
    double free_s; /* when it last finished something */
    size_t quota[LEVELS];
    double seen_s[LEVELS]; /* requests' own cost aside */
    size_t seen[LEVELS];
    /* Of the chunks that scale has not learnt from: what they took, what the profile
     * says. */
    double took_s, told_s;
    int unlearnt, unlearnt_chunks; /* images, chunks */
};

struct ws_dispatch {
    struct ws_dispatch_options options;
    struct ws_share *share;
    struct ws_share_plan first_plan;
    size_t first_counts[NODES * LEVELS];
    struct node nodes[NODES];
    struct input *inputs;
    size_t cursor; /* no pending input before it */
    size_t pending, out, done;
    size_t part;            /* of SPENDINGS */
    double right, energy_j; /* of what is done */
    double out_right;       /* of what is out */
    double unsteady; /* mean deviation of what chunks take from what was expected */
    double start_s, planned_s;
    int is_stale;
    int is_urgent; /* stale for more than a drift of speeds */
    int is_fixed;  /* the caller's plan is carried out */
    uint64_t next_id;
    size_t plans, reissued, doubles;
};

/* What a node is told to compute for so many images in one request, by the profile. */
static double told_s(const struct node *node, size_t level, size_t count)
{
    return node->request_s + (double)count * node->levels[level].image_s;
}

/* Time of an image in a long run: the link works while the node computes. */
static double image_s(const struct node *node, size_t level)
{
    size_t chunk = node->chunk[level];
    double compute_s = told_s(node, level, chunk) / (double)chunk * node->scale;
    return fmax(compute_s, node->send_s);
}

/* So many images in a chunk that its exchange hides behind the one before: while the node
 * computes (or the link carries) that, this one's delay and sending pass; and that what
 * each request costs is a tenth at most. Still no chunk takes long, or so much of the
 * batch that losing it would hurt. */
static size_t long_run_chunk(const struct node *node, size_t level,
                             const struct ws_dispatch_options *options)
{
    double compute_s = node->levels[level].image_s;
    double long_s = fmax(compute_s, node->send_s);
    double spare_s = fmax(fabs(compute_s - node->send_s), 0.4 * long_s);
    double size = ceil(2.0 * node->delay_s / spare_s);
    size = fmax(size, ceil(9.0 * node->request_s / long_s));
    size = fmin(size, floor(CHUNK_S / long_s));
    size =
        fmin(size, ceil((double)options->images / (4.0 * (double)options->node_count)));
    if (options->chunk_max > 0)
        size = fmin(size, (double)options->chunk_max);
    return size < 1 ? 1 : (size_t)size;
}

static int in_hand(const struct node *node)
{
    int count = 0;
    for (size_t i = 0; i < node->outstanding_count; i++)
        count += !node->outstanding[i].is_late;
    return count;
}

/* When a node will have done all that it has. */
static double busy_until(const struct node *node, double now_s)
{
    double until = now_s;
    for (size_t i = 0; i < node->outstanding_count; i++)
        until = fmax(until, node->outstanding[i].chunk.expected_s);
    return until;
}

static size_t up_count(const struct ws_dispatch *dispatch)
{
    size_t count = 0;
    for (size_t i = 0; i < dispatch->options.node_count; i++)
        count += dispatch->nodes[i].is_up != 0;
    return count;
}

/* As asked for, and more where nodes turn out to be less steady than that. */
static double reserve_of(const struct ws_dispatch *dispatch)
{
    double asked = dispatch->options.reserve;
    return asked > 0 ? fmax(asked, fmin(RESERVE_MAX, dispatch->unsteady)) : 0.0;
}

/* The problem of what is pending. Nodes that are away are left out; *map says which are
 * which. */
static void pose(struct ws_share_problem *out, struct ws_share_node *nodes, size_t *map,
                 struct ws_dispatch *dispatch, double now_s)
{
    const struct ws_dispatch_options *options = &dispatch->options;
    double left = (double)dispatch->pending;
    double wanted = options->min_accuracy * (double)options->images - dispatch->right -
                    dispatch->out_right;
    *out = (struct ws_share_problem){.nodes = nodes,
                                     .images = dispatch->pending,
                                     .knows_energy = options->knows_energy,
                                     .goal = options->goal,
                                     .keep = options->keep};
    out->min_accuracy = fmin(1.0, fmax(0.0, wanted / left));
    if (options->images_per_s > 0) {
        double whole_s = (double)options->images / options->images_per_s;
        double left_s = dispatch->start_s + whole_s - now_s;
        double kept_s = reserve_of(dispatch) * fmax(left_s, 0.3 * whole_s);
        /* Too late already is still a requirement: as soon as possible. */
        out->budget_s = fmax(1e-6, left_s - kept_s);
    }
    for (size_t i = 0; i < options->node_count; i++) {
        struct node *node = &dispatch->nodes[i];
        if (!node->is_up)
            continue;
        for (size_t j = 0; j < node->level_count; j++) {
            node->now[j] = node->levels[j];
            node->now[j].image_s = image_s(node, j);
        }
        double wait_s = busy_until(node, now_s) - now_s;
        nodes[out->node_count] =
            (struct ws_share_node){.levels = node->now,
                                   .level_count = node->level_count,
                                   .delay_s = wait_s > 0 ? wait_s : node->delay_s};
        map[out->node_count++] = i;
    }
}

static int make_plan(struct ws_dispatch *dispatch, double now_s, struct ws_error *err)
{
    struct ws_share_node nodes[NODES];
    size_t map[NODES];
    struct ws_share_problem problem;
    struct ws_share_plan plan;
    dispatch->is_stale = dispatch->is_urgent = 0;
    dispatch->planned_s = now_s;
    if (dispatch->pending == 0 || up_count(dispatch) == 0)
        return 0;
    pose(&problem, nodes, map, dispatch, now_s);
    int rc = ws_share_solve(&plan, dispatch->share, &problem, err);
    /* A requirement for energies that are not known was refused at creation. */
    if (rc != 0)
        return rc;
    for (size_t k = 0; k < problem.node_count; k++) {
        struct node *node = &dispatch->nodes[map[k]];
        memcpy(node->quota, &plan.counts[k * LEVELS], sizeof(node->quota));
        node->planned_with = node->scale;
        if (dispatch->plans == 0)
            memcpy(&dispatch->first_counts[map[k] * LEVELS], node->quota,
                   sizeof(node->quota));
    }
    if (dispatch->plans++ == 0) {
        dispatch->first_plan = plan;
        dispatch->first_plan.counts = dispatch->first_counts;
    }
    return 0;
}

/* Takes the caller's plan. */
static void adopt_plan(struct ws_dispatch *dispatch)
{
    const struct ws_dispatch_options *options = &dispatch->options;
    struct ws_share_node nodes[NODES];
    size_t map[NODES];
    struct ws_share_problem problem;
    for (size_t i = 0; i < options->node_count; i++)
        memcpy(dispatch->nodes[i].quota, &options->counts[i * LEVELS],
               sizeof(dispatch->nodes[i].quota));
    memcpy(dispatch->first_counts, options->counts,
           options->node_count * LEVELS * sizeof(size_t));
    dispatch->first_plan.counts = dispatch->first_counts;
    pose(&problem, nodes, map, dispatch, dispatch->start_s);
    ws_share_judge(&dispatch->first_plan, &problem);
    dispatch->is_fixed = 1;
    dispatch->plans = 1;
}

static void take_node(struct node *node, const struct ws_dispatch_options *options,
                      size_t number)
{
    const struct ws_dispatch_node *from = &options->nodes[number];
    *node = (struct node){.level_count = from->level_count,
                          .delay_s = from->delay_s,
                          .send_s = from->send_s,
                          .request_s = from->request_s,
                          .is_up = !from->is_away,
                          .scale = 1.0,
                          .planned_with = 1.0};
    memcpy(node->levels, from->levels, from->level_count * sizeof(*from->levels));
    for (size_t j = 0; j < node->level_count; j++)
        node->chunk[j] = long_run_chunk(node, j, options);
}

double ws_dispatch_image_s(const struct ws_dispatch_options *options, size_t number,
                           size_t level)
{
    struct node node;
    take_node(&node, options, number);
    return image_s(&node, level);
}

static int check_counts(const struct ws_dispatch_options *options, struct ws_error *err)
{
    size_t sum = 0;
    for (size_t i = 0; i < options->node_count * LEVELS; i++) {
        if (options->counts[i] > 0 &&
            (i % LEVELS >= options->nodes[i / LEVELS].level_count ||
             options->nodes[i / LEVELS].is_away))
            return ws_error_set(err, WS_E_USAGE, "a plan for what node %zu cannot do",
                                i / LEVELS);
        sum += options->counts[i];
    }
    return sum == options->images
               ? 0
               : ws_error_set(err, WS_E_USAGE, "a plan for %zu of %zu inputs", sum,
                              options->images);
}

static int check(const struct ws_dispatch_options *options, struct ws_error *err)
{
    if (options->node_count == 0 || options->node_count > NODES)
        return ws_error_set(err, WS_E_USAGE, "%zu nodes, 1 to %d there may be",
                            options->node_count, NODES);
    if (options->images == 0 || options->images > WS_BATCH_MAX)
        return ws_error_set(err, WS_E_USAGE, "a batch of %zu, 1 to %d it may have",
                            options->images, WS_BATCH_MAX);
    if (options->goal == WS_SHARE_ENERGY && !options->knows_energy)
        return ws_error_set(err, WS_E_UNKNOWN,
                            "least energy is asked for, but not every level's is known");
    for (size_t i = 0; i < options->node_count; i++) {
        const struct ws_dispatch_node *node = &options->nodes[i];
        if (node->level_count == 0 || node->level_count > LEVELS)
            return ws_error_set(err, WS_E_USAGE, "node %zu: %zu levels", i,
                                node->level_count);
        if (!(node->delay_s >= 0) || !(node->send_s >= 0))
            return ws_error_set(err, WS_E_USAGE,
                                "node %zu: a delay of %g s, %g s to send", i,
                                node->delay_s, node->send_s);
    }
    return options->counts == NULL ? 0 : check_counts(options, err);
}

int ws_dispatch_create(struct ws_dispatch **out,
                       const struct ws_dispatch_options *options, double now_s,
                       struct ws_error *err)
{
    int rc = check(options, err);
    if (rc != 0)
        return rc;
    struct ws_dispatch *dispatch = calloc(1, sizeof(*dispatch));
    if (dispatch == NULL)
        return ws_error_nomem(err);
    dispatch->inputs = calloc(options->images, sizeof(*dispatch->inputs));
    dispatch->options = *options;
    dispatch->pending = options->images;
    dispatch->start_s = now_s;
    for (size_t i = 0; i < options->node_count; i++) {
        take_node(&dispatch->nodes[i], options, i);
        dispatch->nodes[i].free_s = now_s;
    }
    rc = dispatch->inputs == NULL ? ws_error_nomem(err)
                                  : ws_share_create(&dispatch->share, err);
    if (rc == 0 && options->counts != NULL)
        adopt_plan(dispatch);
    else if (rc == 0)
        rc = make_plan(dispatch, now_s, err);
    /* Neither is needed any more, nor has to outlive this call. */
    dispatch->options.counts = NULL;
    dispatch->options.nodes = NULL;
    if (rc != 0)
        ws_dispatch_destroy(dispatch);
    else
        *out = dispatch;
    return rc;
}

void ws_dispatch_destroy(struct ws_dispatch *dispatch)
{
    if (dispatch == NULL)
        return;
    ws_share_destroy(dispatch->share);
    free(dispatch->inputs);
    free(dispatch);
}

const struct ws_share_plan *ws_dispatch_plan(const struct ws_dispatch *dispatch)
{
    return &dispatch->first_plan;
}

/* The level a node goes on with: the one of which most is left, of equals the more
 * accurate. So the mix stays what it is until the end: what is left can be made quicker
 * when something goes wrong, and more accurate when nothing does. LEVELS: none. */
static size_t next_level(const struct node *node)
{
    size_t best = LEVELS;
    for (size_t j = 0; j < node->level_count; j++) {
        if (node->quota[j] == 0)
            continue;
        if (best == LEVELS || node->quota[j] > node->quota[best] ||
            (node->quota[j] == node->quota[best] &&
             node->levels[j].accuracy > node->levels[best].accuracy))
            best = j;
    }
    return best;
}

static size_t quota_of(const struct node *node)
{
    size_t sum = 0;
    for (size_t j = 0; j < node->level_count; j++)
        sum += node->quota[j];
    return sum;
}

/* Images of the next chunk: as in a long run, but few where nothing hides the exchange,
 * and fewer towards the end of a share, so that it does not end in one lump; though not
 * so few there that requests cost more than images, or that little of an exchange is
 * hidden. */
static size_t chunk_size(const struct node *node, size_t level)
{
    size_t size = node->chunk[level], quota = node->quota[level];
    size_t end = 1 + quota_of(node) / (2 * WS_DISPATCH_DEPTH);
    size_t dear = 1 + (size_t)(node->request_s / node->levels[level].image_s);
    size_t hidden = (node->chunk[level] + 1) / 2;
    end = end > dear ? end : dear;
    end = end > hidden ? end : hidden;
    if (in_hand(node) == 0)
        size = (size + 3) / 4;
    else if (node->is_starting)
        size = (size + 1) / 2;
    size = size < end ? size : end;
    return size < quota ? size : quota;
}

/* The first run of pending inputs, at most `most` of them. */
static size_t find_run(size_t *first, struct ws_dispatch *dispatch, size_t most)
{
    size_t at = dispatch->cursor, count = 0;
    while (at < dispatch->options.images && dispatch->inputs[at].state != PENDING)
        at++;
    dispatch->cursor = *first = at;
    while (count < most && at + count < dispatch->options.images &&
           dispatch->inputs[at + count].state == PENDING)
        count++;
    return count;
}

static size_t quota_left(const struct ws_dispatch *dispatch)
{
    size_t sum = 0;
    for (size_t i = 0; i < dispatch->options.node_count; i++)
        sum += dispatch->nodes[i].is_up ? quota_of(&dispatch->nodes[i]) : 0;
    return sum;
}

/* A plan may be made anew now and then, not for every chunk. */
static void plan_if_stale(struct ws_dispatch *dispatch, double now_s)
{
    double cells = 0;
    for (size_t i = 0; i < dispatch->options.node_count; i++)
        cells += (double)dispatch->nodes[i].level_count;
    int is_time = dispatch->is_urgent || quota_left(dispatch) == 0 ||
                  now_s >= dispatch->planned_s + PAUSE_S * cells;
    if (dispatch->is_stale && !dispatch->is_fixed && is_time)
        (void)make_plan(dispatch, now_s, NULL);
}

static void forget(struct node *node, struct outstanding *which)
{
    size_t index = (size_t)(which - node->outstanding);
    node->outstanding_count--;
    memmove(which, which + 1,
            (node->outstanding_count - index) * sizeof(node->outstanding[0]));
}

/* There is one: a node has at most so many chunks that are not. */
static struct outstanding *oldest_late(struct node *node)
{
    struct outstanding *which = node->outstanding;
    while (!which->is_late)
        which++;
    return which;
}

int ws_dispatch_next(struct ws_dispatch *dispatch, struct ws_dispatch_chunk *out,
                     size_t number, double now_s)
{
    struct node *node = &dispatch->nodes[number];
    if (!node->is_up || dispatch->pending == 0 || in_hand(node) >= WS_DISPATCH_DEPTH)
        return 0;
    plan_if_stale(dispatch, now_s);
    size_t level = next_level(node), first = 0;
    if (level == LEVELS) {
        /* Quicker than planned, or not needed; the next plan will say. */
        dispatch->is_stale |= in_hand(node) == 0;
        return 0;
    }
    size_t count = find_run(&first, dispatch, chunk_size(node, level));
    for (size_t i = first; i < first + count; i++)
        dispatch->inputs[i] = (struct input){OUT, (uint8_t)number, (uint8_t)level};
    dispatch->pending -= count;
    dispatch->out += count;
    dispatch->out_right += (double)count * node->levels[level].accuracy;
    node->quota[level] -= count;
    node->is_starting = in_hand(node) == 0;
    double begin_s = fmax(busy_until(node, now_s), now_s + node->delay_s);
    double takes_s =
        fmax(told_s(node, level, count) * node->scale, (double)count * node->send_s);
    *out = (struct ws_dispatch_chunk){.id = ++dispatch->next_id,
                                      .node = number,
                                      .level = level,
                                      .first = first,
                                      .count = count,
                                      .sent_s = now_s,
                                      .expected_s = begin_s + takes_s};
    if (node->outstanding_count == CHUNKS)
        forget(node, oldest_late(node));
    node->outstanding[node->outstanding_count++] = (struct outstanding){
        .chunk = *out,
        .overdue_s = out->expected_s + node->delay_s +
                     fmax(OVERDUE_S, OVERDUE_SHARE * (out->expected_s - now_s))};
    return 1;
}

int ws_dispatch_wants(const struct ws_dispatch *dispatch, size_t input)
{
    return dispatch->inputs[input].state != DONE;
}

static struct outstanding *find_outstanding(struct node *node, uint64_t id)
{
    for (size_t i = 0; i < node->outstanding_count; i++) {
        if (node->outstanding[i].chunk.id == id)
            return &node->outstanding[i];
    }
    return NULL;
}

/* The inputs of a chunk that have no result become pending again. */
static void give_back(struct ws_dispatch *dispatch, const struct ws_dispatch_chunk *chunk)
{
    double accuracy = dispatch->nodes[chunk->node].levels[chunk->level].accuracy;
    size_t count = 0;
    for (size_t i = chunk->first; i < chunk->first + chunk->count; i++) {
        if (dispatch->inputs[i].state == OUT) {
            dispatch->inputs[i].state = PENDING;
            count++;
        }
    }
    dispatch->pending += count;
    dispatch->out -= count;
    dispatch->out_right -= (double)count * accuracy;
    dispatch->reissued += count;
    if (count > 0 && chunk->first < dispatch->cursor)
        dispatch->cursor = chunk->first;
    /* A plan that was handed in knows nothing of this. */
    dispatch->is_fixed = 0;
    dispatch->is_stale = dispatch->is_urgent = 1;
}

/* What a node's chunk tells of its speed. The first after a pause has the delay in it.
 * Learnt in pairs: a node that computes two chunks at once answers them at once. */
static void learn(struct ws_dispatch *dispatch, const struct ws_dispatch_chunk *chunk,
                  double now_s)
{
    struct node *node = &dispatch->nodes[chunk->node];
    double took_s = fmax(0.0, now_s - fmax(node->free_s, chunk->sent_s + node->delay_s));
    node->free_s = now_s;
    node->seen[chunk->level] += chunk->count;
    node->seen_s[chunk->level] += fmax(0.0, took_s - node->request_s);
    node->took_s += took_s;
    node->told_s += told_s(node, chunk->level, chunk->count);
    node->unlearnt += (int)chunk->count;
    if (++node->unlearnt_chunks < WS_DISPATCH_DEPTH)
        return;
    double ratio = node->took_s / node->told_s;
    double weight = LEARN * node->told_s / (node->told_s + LEARN_S);
    int is_link = node->took_s / node->unlearnt <= node->send_s * (1.0 + DRIFT);
    /* At the link's own pace nothing shows how much faster the node could be. */
    double off = fmin(1.0, fabs(ratio / node->scale - 1.0));
    if (!is_link)
        dispatch->unsteady += STEADY * (off - dispatch->unsteady);
    if (!is_link || ratio < node->scale) {
        /* A machine that stood still for a moment is not slow for good. */
        ratio = fmin(LEAP * node->scale, fmax(node->scale / LEAP, ratio));
        node->scale += weight * (ratio - node->scale);
    }
    node->took_s = node->told_s = 0.0;
    node->unlearnt = node->unlearnt_chunks = 0;
    if (fabs(node->scale / node->planned_with - 1.0) > DRIFT)
        dispatch->is_stale = 1;
}

void ws_dispatch_done(struct ws_dispatch *dispatch, const struct ws_dispatch_chunk *chunk,
                      double now_s)
{
    struct node *node = &dispatch->nodes[chunk->node];
    struct outstanding *known = find_outstanding(node, chunk->id);
    const struct ws_share_level *level = &node->levels[chunk->level];
    for (size_t i = chunk->first; i < chunk->first + chunk->count; i++) {
        struct input *input = &dispatch->inputs[i];
        if (input->state == DONE) {
            dispatch->doubles++;
            continue;
        }
        if (input->state == OUT) {
            /* It may be another's by now. */
            const struct node *owner = &dispatch->nodes[input->node];
            dispatch->out--;
            dispatch->out_right -= owner->levels[input->level].accuracy;
        } else {
            dispatch->pending--;
        }
        *input = (struct input){DONE, (uint8_t)chunk->node, (uint8_t)chunk->level};
        dispatch->done++;
        dispatch->right += level->accuracy;
        if (dispatch->options.knows_energy)
            dispatch->energy_j += level->energy_j;
    }
    learn(dispatch, chunk, now_s);
    /* As the end comes nearer less has to be kept back for it: the rest can be spent. */
    size_t part = dispatch->done * SPENDINGS / dispatch->options.images;
    dispatch->is_stale |= part != dispatch->part;
    dispatch->part = part;
    if (known != NULL) {
        dispatch->is_stale |= known->is_late;
        forget(node, known);
    }
}

void ws_dispatch_fail(struct ws_dispatch *dispatch, const struct ws_dispatch_chunk *chunk,
                      double now_s)
{
    struct node *node = &dispatch->nodes[chunk->node];
    struct outstanding *known = find_outstanding(node, chunk->id);
    (void)now_s;
    if (known == NULL)
        return;
    int is_late = known->is_late;
    forget(node, known);
    if (!is_late)
        give_back(dispatch, chunk);
}

void ws_dispatch_leave(struct ws_dispatch *dispatch, size_t number, double now_s)
{
    struct node *node = &dispatch->nodes[number];
    (void)now_s;
    node->is_up = 0;
    for (size_t i = 0; i < node->outstanding_count; i++) {
        if (!node->outstanding[i].is_late)
            give_back(dispatch, &node->outstanding[i].chunk);
    }
    node->outstanding_count = 0;
    memset(node->quota, 0, sizeof(node->quota));
    dispatch->is_fixed = 0;
    dispatch->is_stale = dispatch->is_urgent = 1;
}

void ws_dispatch_join(struct ws_dispatch *dispatch, size_t number, double now_s)
{
    struct node *node = &dispatch->nodes[number];
    if (node->is_up)
        return;
    node->is_up = 1;
    node->scale = 1.0;
    node->free_s = now_s;
    dispatch->is_fixed = 0;
    dispatch->is_stale = dispatch->is_urgent = 1;
}

void ws_dispatch_tick(struct ws_dispatch *dispatch, double now_s)
{
    if (dispatch->is_fixed) /* nobody else has a share of it */
        return;
    for (size_t i = 0; i < dispatch->options.node_count; i++) {
        struct node *node = &dispatch->nodes[i];
        for (size_t k = 0; k < node->outstanding_count; k++) {
            struct outstanding *late = &node->outstanding[k];
            if (late->is_late || now_s < late->overdue_s)
                continue;
            late->is_late = 1;
            /* It is at least as slow as this. */
            double least_s = told_s(node, late->chunk.level, late->chunk.count);
            double since_s = fmax(node->free_s, late->chunk.sent_s + node->delay_s);
            node->scale = fmax(node->scale, (now_s - since_s) / least_s);
            late->chunk.expected_s = now_s + (now_s - late->chunk.sent_s);
            give_back(dispatch, &late->chunk);
        }
    }
}

double ws_dispatch_wake_s(const struct ws_dispatch *dispatch)
{
    double wake_s = INFINITY;
    for (size_t i = 0; !dispatch->is_fixed && i < dispatch->options.node_count; i++) {
        const struct node *node = &dispatch->nodes[i];
        for (size_t k = 0; k < node->outstanding_count; k++) {
            if (!node->outstanding[k].is_late)
                wake_s = fmin(wake_s, node->outstanding[k].overdue_s);
        }
    }
    return wake_s;
}

int ws_dispatch_is_finished(const struct ws_dispatch *dispatch)
{
    return dispatch->done == dispatch->options.images;
}

void ws_dispatch_read(struct ws_dispatch_state *out, const struct ws_dispatch *dispatch)
{
    *out = (struct ws_dispatch_state){
        .pending = dispatch->pending,
        .out = dispatch->out,
        .done = dispatch->done,
        .accuracy = dispatch->done > 0 ? dispatch->right / (double)dispatch->done : 0.0,
        .energy_j = dispatch->energy_j,
        .plans = dispatch->plans,
        .reissued = dispatch->reissued,
        .doubles = dispatch->doubles,
        .up = up_count(dispatch),
    };
}

int ws_dispatch_result(size_t *node, size_t *level, const struct ws_dispatch *dispatch,
                       size_t input)
{
    if (dispatch->inputs[input].state != DONE)
        return WS_E_UNKNOWN;
    *node = dispatch->inputs[input].node;
    *level = dispatch->inputs[input].level;
    return 0;
}

double ws_dispatch_observed(size_t *count, const struct ws_dispatch *dispatch,
                            size_t node, size_t level)
{
    *count = dispatch->nodes[node].seen[level];
    return *count > 0 ? dispatch->nodes[node].seen_s[level] / (double)*count : 0.0;
}
