/*
 * The guided search. It starts with settings that lie far apart, then spends each trial
 * where a request would gain most: surrogates by part (foresight.h) say what a setting
 * may give and how sure that is, and the expected lowering of the cost served
 * (served.h), over that uncertainty, decides. Other objectives, such as accuracy, come in
 * as requirements that a request may or may not make.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/foresight.h"
#include "search/searches.h"
#include "search/served.h"

enum {
    BATCH_SHARE = 40,       /* a fit decides one trial, and one more for so many trials */
    LEVELS_MAX = 4,         /* of one further objective */
    CANDIDATES_MAX = 20000, /* looked at for one fit */
    FAR_CANDIDATES_MAX = 4000 /* looked at for one of the first settings */
};

/* A sweep ends when no new shared values promise to gain this share of the cost. */
static const double hopeless = 1e-3;

/* Nodes and weights of Gauss and Hermite for a standard normal variable. */
enum { NODES = 5 };
static const double nodes[NODES] = {-2.856970013872806, -1.355626179974266, 0,
                                    1.355626179974266, 2.856970013872806};
static const double weights[NODES] = {0.01125741132772069, 0.2220759220056126,
                                      0.5333333333333333, 0.2220759220056126,
                                      0.01125741132772069};

/* A requirement: further objective `axis` at most `bound` (all want to be small). */
struct level {
    size_t axis;
    double bound;
    double weight;
    struct ws_staircase stairs;
};

struct candidate {
    struct ws_setting setting;
    struct ws_expected expected[WS_OBJECTIVES_MAX];
    int taken;
};

struct guided {
    struct ws_probe *probe;
    struct ws_rng rng;
    uint64_t *all; /* indices of all settings, or NULL for a space too large for that */
    size_t all_count;
    /* Objectives with the two axes of serving first: time, then cost. */
    enum ws_measure axes[WS_OBJECTIVES_MAX];
    size_t axis_count;
    struct ws_foresight foresights[WS_OBJECTIVES_MAX];
    size_t foresight_count;
    struct level levels[1 + WS_OBJECTIVES_MAX * LEVELS_MAX];
    size_t level_count;
    struct ws_setting fast; /* the fastest of the first trials */
    double served;          /* cost over log deadline without requirements, now */
    struct candidate *candidates;
    size_t candidate_count;
};

/* Puts the objective that deadlines limit first and the one that is paid second. */
static void choose_axes(struct guided *g)
{
    const struct ws_search_task *task = g->probe->task;
    static const enum ws_measure wanted[] = {WS_LATENCY_MS, WS_ENERGY_J};
    g->axis_count = task->objective_count;
    memcpy(g->axes, task->objectives, sizeof(g->axes));
    for (size_t w = 0; w < 2 && w < g->axis_count; w++) {
        for (size_t i = w; i < g->axis_count; i++) {
            if (g->axes[i] != wanted[w])
                continue;
            g->axes[i] = g->axes[w];
            g->axes[w] = wanted[w];
        }
    }
    /* Time must be something to be small. */
    for (size_t i = 1; i < g->axis_count && !ws_measure_minimised(g->axes[0]); i++) {
        enum ws_measure swap = g->axes[0];
        g->axes[0] = g->axes[i];
        g->axes[i] = swap;
    }
}

/* --- The first settings --------------------------------------------------------------
 */

/* How many shared ordered knobs are at an end of theirs. */
static double at_ends(const struct ws_space *space, const struct ws_setting *setting)
{
    size_t count = 0;
    for (size_t k = 0; k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        count += knob->part == WS_PART_SHARED && knob->kind == WS_KIND_ORDERED &&
                 (setting->value[k] == 0 || setting->value[k] + 1u == knob->value_count);
    }
    return (double)count;
}

/* A random untried setting. WS_E_END when there is none, or none was found. */
static int draw(struct ws_setting *out, struct guided *g)
{
    if (g->all == NULL)
        return ws_search_draw(out, g->probe, &g->rng);
    for (size_t i = 0; i < 64 + 4 * g->all_count; i++) {
        ws_setting_from_index(out, g->probe->task->evaluator->space,
                              g->all[ws_rng_below(&g->rng, g->all_count)]);
        if (!ws_probe_tried(NULL, g->probe, out))
            return 0;
    }
    return WS_E_END;
}

/* How unlike two settings are, knob by knob. */
static double unlike(const struct ws_space *space, const struct ws_setting *a,
                     const struct ws_setting *b)
{
    double sum = 0;
    for (size_t k = 0; k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        if (a->value[k] == b->value[k])
            continue;
        sum += knob->kind == WS_KIND_ORDERED
                   ? fabs((double)a->value[k] - (double)b->value[k]) /
                         (double)(knob->value_count - 1)
                   : 1;
    }
    return sum;
}

/* The untried setting most like `wanted` that shares its value of knob k. */
static int find_like(struct ws_setting *out, const struct guided *g,
                     const struct ws_setting *wanted, size_t k)
{
    const struct ws_space *space = g->probe->task->evaluator->space;
    double best = 1e9;
    if (ws_evaluator_has(g->probe->task->evaluator, wanted) &&
        !ws_probe_tried(NULL, g->probe, wanted)) {
        *out = *wanted;
        return 1;
    }
    for (size_t i = 0; i < g->all_count; i++) {
        struct ws_setting setting;
        ws_setting_from_index(&setting, space, g->all[i]);
        double d = unlike(space, &setting, wanted);
        if (d < best && setting.value[k] == wanted->value[k] &&
            !ws_probe_tried(NULL, g->probe, &setting)) {
            best = d;
            *out = setting;
        }
    }
    return best < 1e9;
}

/* The first objective of a trial; large where it is unknown. */
static double first_axis(const struct guided *g, size_t trial)
{
    double value = 0;
    if (ws_search_coordinates(&value, &g->probe->trials->items[trial].outcome, g->axes,
                              1) != 0)
        return 1e300;
    return value;
}

/* Tries what knob k does to trial *base: every other value of a nominal knob, the other
 * end of an ordered one. Where that very setting is lacking, the one most like it. The
 * fastest of them becomes the base. */
static int try_changes(struct guided *g, size_t *base, size_t k, size_t wanted,
                       struct ws_error *err)
{
    const struct ws_trials *trials = g->probe->trials;
    const struct ws_knob *knob = &g->probe->task->evaluator->space->knobs[k];
    struct ws_setting from = trials->items[*base].setting;
    size_t last = knob->value_count - 1;
    int rc = 0;
    for (size_t v = 0; rc == 0 && v <= last; v++) {
        struct ws_setting change = from;
        struct ws_setting setting;
        if (v == from.value[k] || trials->count >= wanted ||
            (knob->kind == WS_KIND_ORDERED && v != (from.value[k] > last / 2 ? 0 : last)))
            continue;
        change.value[k] = (uint16_t)v;
        if (!find_like(&setting, g, &change, k))
            continue;
        rc = ws_probe_try(g->probe, &setting, err);
        if (rc == 0 && first_axis(g, trials->count - 1) < first_axis(g, *base))
            *base = trials->count - 1;
    }
    return rc;
}

/* How far a setting is from the middle of the shared ordered knobs and an end of the
 * others. */
static double off_centre(const struct ws_space *space, const struct ws_setting *setting)
{
    double sum = 0;
    for (size_t k = 0; k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        if (knob->kind != WS_KIND_ORDERED || knob->value_count < 2)
            continue;
        double x = (double)setting->value[k] / (double)(knob->value_count - 1);
        double off = knob->part == WS_PART_SHARED ? fabs(x - 0.5) : fmin(x, 1 - x);
        sum += off * off;
    }
    return sum;
}

/* A setting in the middle of what is shared, and from there one change at a time, going
 * on from the fastest: what each knob of a part does, and a first fast setting. */
static int try_first(struct guided *g, struct ws_error *err)
{
    const struct ws_space *space = g->probe->task->evaluator->space;
    size_t wanted = ws_probe_left(g->probe) / 4 + 1;
    struct ws_setting base = {0};
    double best = 1e9;
    size_t draws = g->all == NULL || g->all_count > FAR_CANDIDATES_MAX
                       ? FAR_CANDIDATES_MAX
                       : g->all_count;
    for (size_t i = 0; i < draws; i++) {
        struct ws_setting setting;
        if (g->all == NULL || draws < g->all_count) {
            if (draw(&setting, g) != 0)
                break;
        } else {
            ws_setting_from_index(&setting, space, g->all[i]);
        }
        /* A little chance decides between equals. */
        double off = off_centre(space, &setting) + 1e-6 * ws_rng_uniform(&g->rng);
        if (off < best && !ws_probe_tried(NULL, g->probe, &setting)) {
            best = off;
            base = setting;
        }
    }
    if (best >= 1e9)
        return WS_E_END;
    size_t fastest = g->probe->trials->count;
    int rc = ws_probe_try(g->probe, &base, err);
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++) {
        if (space->knobs[k].part != WS_PART_SHARED)
            rc = try_changes(g, &fastest, k, wanted, err);
    }
    g->fast = g->probe->trials->items[fastest].setting;
    return rc;
}

/* --- What a setting would gain -------------------------------------------------------
 */

/* A trial's coordinate on an axis as staircases want it: logarithmic time, plain cost. */
static int coordinate(double *out, const struct ws_trial *trial, enum ws_measure measure)
{
    return ws_search_coordinates(out, &trial->outcome, &measure, 1);
}

static void levels_fini(struct guided *g)
{
    for (size_t i = 0; i < g->level_count; i++)
        ws_staircase_fini(&g->levels[i].stairs);
    g->level_count = 0;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

/* Bounds on one further objective, where the trials differ in it: quantiles of what was
 * seen, together weighing as much as the range next to the largest value. */
static int add_levels(struct guided *g, size_t axis, struct ws_error *err)
{
    const struct ws_trials *trials = g->probe->trials;
    double *seen = malloc((trials->count + 1) * sizeof(*seen));
    size_t count = 0;
    if (seen == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < trials->count; i++)
        count += coordinate(&seen[count], &trials->items[i], g->axes[axis]) == 0;
    qsort(seen, count, sizeof(*seen), by_value);
    double range = count > 0 ? seen[count - 1] - seen[0] : 0;
    if (range > 0) {
        double size = fmax(fabs(seen[0]), fabs(seen[count - 1]));
        for (size_t i = 0; i < LEVELS_MAX; i++) {
            double bound = seen[i * (count - 1) / LEVELS_MAX];
            if (i > 0 && bound <= g->levels[g->level_count - 1].bound)
                continue;
            g->levels[g->level_count++] = (struct level){
                .axis = axis, .bound = bound, .weight = range / size / LEVELS_MAX};
        }
    }
    free(seen);
    return 0;
}

static int fill_stairs(struct guided *g, struct level *level, struct ws_error *err)
{
    const struct ws_trials *trials = g->probe->trials;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < trials->count; i++) {
        double time = 1;
        double cost = 0;
        double bounded = 0;
        size_t cost_axis = g->axis_count > 1 ? 1 : 0;
        if (coordinate(&cost, &trials->items[i], g->axes[cost_axis]) != 0 ||
            (g->axis_count > 1 && coordinate(&time, &trials->items[i], g->axes[0]) != 0))
            continue;
        if (level->axis > 1 &&
            (coordinate(&bounded, &trials->items[i], g->axes[level->axis]) != 0 ||
             bounded > level->bound))
            continue;
        if (isfinite(time) && isfinite(cost))
            rc = ws_staircase_add(&level->stairs, log(time > 1e-12 ? time : 1e-12), cost,
                                  err);
    }
    return rc;
}

static int take_levels(struct guided *g, struct ws_error *err)
{
    levels_fini(g);
    g->levels[g->level_count++] = (struct level){.axis = 0, .weight = 1};
    int rc = 0;
    for (size_t axis = 2; rc == 0 && axis < g->axis_count; axis++)
        rc = add_levels(g, axis, err);
    for (size_t i = 0; rc == 0 && i < g->level_count; i++)
        rc = fill_stairs(g, &g->levels[i], err);
    if (rc == 0 && g->levels[0].stairs.count > 0)
        g->served = ws_staircase_gain(&g->levels[0].stairs,
                                      g->levels[0].stairs.steps[0].log_time, 0);
    return rc;
}

/* Probability that a further objective keeps its bound. */
static double keeps(const struct guided *g, const struct candidate *candidate,
                    const struct level *level)
{
    if (level->axis < 2)
        return 1;
    return ws_foresight_at_most(&g->foresights[level->axis],
                                &candidate->expected[level->axis], level->bound);
}

/* Expected gain of trying a candidate. */
static double gain_of(const struct guided *g, const struct candidate *candidate)
{
    size_t cost_axis = g->axis_count > 1 ? 1 : 0;
    double log_time[NODES] = {0};
    double cost[NODES];
    double gain = 0;
    for (size_t i = 0; i < NODES; i++) {
        if (g->axis_count > 1)
            log_time[i] = log(fmax(
                ws_foresight_value(&g->foresights[0], &candidate->expected[0], nodes[i]),
                1e-12));
        cost[i] = ws_foresight_value(&g->foresights[cost_axis],
                                     &candidate->expected[cost_axis], nodes[i]);
    }
    for (size_t l = 0; l < g->level_count; l++) {
        const struct level *level = &g->levels[l];
        double share = level->weight * keeps(g, candidate, level);
        if (share <= 0)
            continue;
        for (size_t i = 0; i < NODES; i++) {
            for (size_t k = 0; k < NODES; k++)
                gain += share * weights[i] * weights[k] *
                        ws_staircase_gain(&level->stairs, log_time[i], cost[k]);
        }
    }
    return gain;
}

/* --- Steps ---------------------------------------------------------------------------
 */

static int add_candidate(struct guided *g, const struct ws_setting *setting)
{
    struct candidate *candidate = &g->candidates[g->candidate_count++];
    *candidate = (struct candidate){.setting = *setting};
    for (size_t i = 0; i < g->foresight_count; i++)
        ws_foresight_predict(&candidate->expected[i], &g->foresights[i], setting);
    return 0;
}

/* All untried settings, or as many as prediction can afford, drawn. */
static int take_candidates(struct guided *g)
{
    const struct ws_space *space = g->probe->task->evaluator->space;
    size_t trials = g->probe->trials->count;
    if (trials > WS_SURROGATE_TRIALS_MAX)
        trials = WS_SURROGATE_TRIALS_MAX;
    size_t most = 80000000 / (trials * trials + 1000);
    most = most < 1000 ? 1000 : most > CANDIDATES_MAX ? CANDIDATES_MAX : most;
    g->candidate_count = 0;
    if (g->all != NULL && g->all_count <= most) {
        for (size_t i = 0; i < g->all_count; i++) {
            struct ws_setting setting;
            ws_setting_from_index(&setting, space, g->all[i]);
            if (!ws_probe_tried(NULL, g->probe, &setting))
                (void)add_candidate(g, &setting);
        }
        return g->candidate_count > 0 ? 0 : WS_E_END;
    }
    for (size_t i = 0; i < most; i++) {
        struct ws_setting setting;
        if (draw(&setting, g) != 0)
            break;
        (void)add_candidate(g, &setting);
    }
    return g->candidate_count > 0 ? 0 : WS_E_END;
}

/* Believes what is expected of a candidate until its trial has been fitted. */
static int believe(struct guided *g, const struct candidate *candidate,
                   struct ws_error *err)
{
    size_t cost_axis = g->axis_count > 1 ? 1 : 0;
    double log_time = 0;
    if (g->axis_count > 1)
        log_time = log(fmax(
            ws_foresight_value(&g->foresights[0], &candidate->expected[0], 0), 1e-12));
    double cost =
        ws_foresight_value(&g->foresights[cost_axis], &candidate->expected[cost_axis], 0);
    int rc = 0;
    for (size_t l = 0; rc == 0 && l < g->level_count; l++) {
        if (keeps(g, candidate, &g->levels[l]) > 0.5)
            rc = ws_staircase_add(&g->levels[l].stairs, log_time, cost, err);
    }
    return rc;
}

static int try_best(struct guided *g, struct ws_error *err)
{
    struct candidate *best = NULL;
    double best_gain = -1;
    for (size_t i = 0; i < g->candidate_count; i++) {
        struct candidate *candidate = &g->candidates[i];
        if (candidate->taken || ws_probe_tried(NULL, g->probe, &candidate->setting))
            continue;
        double gain = gain_of(g, candidate);
        if (gain > best_gain) {
            best_gain = gain;
            best = candidate;
        }
    }
    if (best == NULL)
        return WS_E_END;
    best->taken = 1;
    int rc = ws_probe_try(g->probe, &best->setting, err);
    return rc == 0 ? believe(g, best, err) : rc;
}

/* Learns from the trials and looks at what is left. */
static int fit(struct guided *g, int tune, struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->foresight_count; i++)
        rc = ws_foresight_fit(&g->foresights[i], g->probe->trials, tune, err);
    if (rc == 0)
        rc = take_levels(g, err);
    return rc == 0 ? take_candidates(g) : rc;
}

/* One fit and the trials that it decides: one, and more as trials become many. */
static int step(struct guided *g, size_t number, struct ws_error *err)
{
    size_t trials = g->probe->trials->count;
    int rc = fit(g, trials < 64 || number % 8 == 0, err);
    size_t batch = 1 + trials / BATCH_SHARE;
    for (size_t i = 0; rc == 0 && i < batch && ws_probe_left(g->probe) > 0; i++)
        rc = try_best(g, err);
    return rc;
}

/* Distance in the shared knobs alone. */
static double shared_distance(const struct ws_space *space, const struct ws_setting *a,
                              const struct ws_setting *b)
{
    double sum = 0;
    for (size_t k = 0; k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        if (knob->part != WS_PART_SHARED || a->value[k] == b->value[k])
            continue;
        double d = 1;
        if (knob->kind == WS_KIND_ORDERED)
            d = ((double)a->value[k] - (double)b->value[k]) /
                (double)(knob->value_count - 1);
        sum += d * d;
    }
    return sum;
}

/* Whether a setting with these shared values was tried since trial `first`. */
static double nearest_shared(const struct guided *g, size_t first,
                             const struct ws_setting *setting)
{
    const struct ws_trials *trials = g->probe->trials;
    const struct ws_space *space = g->probe->task->evaluator->space;
    double least = trials->count > first ? 1e9 : at_ends(space, setting);
    for (size_t t = first; t < trials->count; t++) {
        double d = shared_distance(space, setting, &trials->items[t].setting);
        least = d < least ? d : least;
    }
    return least;
}

/* Of the settings with the shared values of `like`, the untried one whose other knobs are
 * most like those of the fastest trial of the beginning; by time where several are. */
static const struct candidate *fast_version(const struct guided *g,
                                            const struct candidate *like)
{
    const struct ws_space *space = g->probe->task->evaluator->space;
    const struct candidate *best = NULL;
    double best_unlike = 0;
    double best_time = 0;
    for (size_t i = 0; i < g->candidate_count; i++) {
        const struct candidate *candidate = &g->candidates[i];
        if (shared_distance(space, &candidate->setting, &like->setting) > 0 ||
            ws_probe_tried(NULL, g->probe, &candidate->setting))
            continue;
        struct ws_setting fast = g->fast;
        for (size_t k = 0; k < space->knob_count; k++) {
            if (space->knobs[k].part == WS_PART_SHARED)
                fast.value[k] = candidate->setting.value[k];
        }
        double off = unlike(space, &candidate->setting, &fast);
        double time = ws_foresight_value(&g->foresights[0], &candidate->expected[0], 0);
        if (best == NULL || off < best_unlike ||
            (off == best_unlike && time < best_time)) {
            best = candidate;
            best_unlike = off;
            best_time = time;
        }
    }
    return best;
}

/* One trial of the sweep that began with trial `first`: of the shared values, those
 * farthest from the ones swept so far, first at an end; or, later, those new ones that
 * would gain most. */
static int try_sweep(struct guided *g, size_t first, int by_gain, struct ws_error *err)
{
    const struct candidate *best = NULL;
    double best_score = -1;
    for (size_t i = 0; i < g->candidate_count; i++) {
        const struct candidate *candidate = &g->candidates[i];
        if (ws_probe_tried(NULL, g->probe, &candidate->setting))
            continue;
        double score = nearest_shared(g, first, &candidate->setting);
        if (by_gain && score <= 0)
            continue;
        if (by_gain)
            score = gain_of(g, candidate);
        if (score > best_score) {
            best_score = score;
            best = candidate;
        }
    }
    if (best == NULL || (by_gain && best_score < hopeless * g->served))
        return WS_E_END;
    return ws_probe_try(g->probe, &fast_version(g, best)->setting, err);
}

/* Every part depends on the shared knobs, and at some of their values a part of the work
 * vanishes or steps, which no surrogate can know from the values between: so part of the
 * budget goes along them, evenly at first, then where it may pay. */
static int sweep(struct guided *g, struct ws_error *err)
{
    const struct ws_space *space = g->probe->task->evaluator->space;
    size_t budget = g->probe->task->budget;
    uint64_t shared = 1;
    for (size_t k = 0; k < space->knob_count; k++) {
        if (space->knobs[k].part == WS_PART_SHARED && shared <= budget)
            shared *= space->knobs[k].value_count;
    }
    /* All of them, where they are few. */
    size_t even = shared <= budget / 2 ? (size_t)shared : budget / 6;
    size_t wanted = budget * 5 / 10;
    size_t first = g->probe->trials->count;
    size_t fitted = 0; /* trials at the last fit */
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < wanted && ws_probe_left(g->probe) > 0; i++) {
        size_t trials = g->probe->trials->count;
        if (trials >= fitted + 1 + trials / BATCH_SHARE) {
            rc = fit(g, trials < 64 || i % 8 == 0, err);
            fitted = trials;
        }
        if (rc == 0)
            rc = try_sweep(g, first, i >= even, err);
    }
    return rc == WS_E_END ? 0 : rc;
}

static int run(struct guided *g, struct ws_error *err)
{
    const struct ws_space *space = g->probe->task->evaluator->space;
    int rc = try_first(g, err);
    for (size_t i = 0; rc == 0 && i < g->axis_count; i++) {
        rc = ws_foresight_init(&g->foresights[i], space, g->axes[i], g->probe->trials,
                               err);
        g->foresight_count += rc == 0;
        /* A lucky time keeps a deadline once; a lucky cost is at least a cost that was
         * paid. Without this, trials chase the noise of times. */
        g->foresights[i].steady = i == 0;
    }
    if (rc == 0 && ws_probe_left(g->probe) > 0)
        rc = sweep(g, err);
    for (size_t number = 0; rc == 0 && ws_probe_left(g->probe) > 0; number++)
        rc = step(g, number, err);
    return rc == WS_E_END ? 0 : rc;
}

int ws_search_guided(struct ws_probe *probe, struct ws_error *err)
{
    struct guided g = {.probe = probe};
    ws_rng_init(&g.rng, probe->task->seed);
    choose_axes(&g);
    int rc = ws_search_enumerate(&g.all, &g.all_count, probe->task->evaluator, NULL);
    if (rc == WS_E_LIMIT)
        rc = 0;
    g.candidates = malloc(CANDIDATES_MAX * sizeof(*g.candidates));
    if (rc != 0 || g.candidates == NULL)
        rc = ws_error_nomem(err);
    else
        rc = run(&g, err);
    for (size_t i = 0; i < g.foresight_count; i++)
        ws_foresight_fini(&g.foresights[i]);
    levels_fini(&g);
    free(g.candidates);
    free(g.all);
    return rc;
}
