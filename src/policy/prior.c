#include "policy/prior.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

enum {
    PIVOT_VALUES_MAX = 32,
    ROW_MIN = 64,    /* settings of a row, if there are as many */
    ATTENTIONS = 65, /* points of an accuracy's curve */
};

static const double attention_low = 0.5, attention_high = 1;
/* Links that tell the terms of a setting apart. */
static const double free_mbit_s = 1e12, probe_mbit_s = 1, probe_delay_ms = 10;
static const double beyond_ms = 1000;
/* Bounds are a little lower than worked out, so that rounding does not lift them. */
static const float bound_room = 0.9999f;

/* Of a setting; each has an array of its own. */
enum term {
    EDGE_MS,   /* what neither transfer nor cloud can hide */
    BESIDE_MS, /* what runs beside them */
    JOULES,    /* of all that does not depend on the link */
    WAIT_KW,   /* while the edge has nothing to do but wait: joules per ms */
    AWAY_FIXED_MS,
    AWAY_PER_DELAY,
    AWAY_PER_RATE, /* ms x Mbit/s */
    RADIO_KW,      /* while something travels */
    ACCURACY,      /* at the middle attention */
    TERM_COUNT,
    /* From there on terms are most often the same for a whole block. */
    BLOCK_TERMS = AWAY_FIXED_MS
};

static const char *const term_names[TERM_COUNT] = {
    "edge_ms",        "beside_ms",     "joules",   "wait_kw",  "away_fixed_ms",
    "away_per_delay", "away_per_rate", "radio_kw", "accuracy",
};

/* Settings lie in blocks, one for each value of the pivot; a block in rows, one for each
 * joint value of the first other knobs (the outer ones); a row has those of the last
 * ones, the very last fastest, and then padding that is never chosen. */
struct ws_prior {
    const struct ws_space *space;
    struct ws_cost cost;
    size_t pivot, block_count;
    size_t others[WS_KNOBS_MAX]; /* all knobs but the pivot */
    size_t other_count, outer_count;
    size_t row_count, row_size, width; /* width: row_size with what pads */
    float *terms[TERM_COUNT];          /* [block_count][row_count][width] */
    float *curve;               /* [block_count][ATTENTIONS]: of its first setting */
    unsigned char *is_even;     /* [block_count]: its terms from BLOCK_TERMS on are one */
    float *floors[BLOCK_TERMS]; /* [block_count]: the least that a term is in it */
    float *bounds[2];           /* [block_count], of one choice */
    /* Of one choice. */
    float *room;                              /* holds what follows */
    float *away, *travel, *price, *weight[2]; /* [row_count][width] */
    float *inner[2], *late[2];                /* [width] */
    float *outer[2];                          /* [row_count] */
    float *ones;
    struct ws_prior_factors plain;
};

size_t ws_prior_pivot(const struct ws_space *space)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        if (space->knobs[k].part == WS_PART_SHARED &&
            space->knobs[k].value_count <= PIVOT_VALUES_MAX)
            return k;
    }
    return WS_NO_PIVOT;
}

/* ---- places ---- */

static size_t cells_of(const struct ws_prior *prior)
{
    return prior->block_count * prior->row_count * prior->width;
}

static size_t cell_of(const struct ws_prior *prior, const struct ws_setting *setting)
{
    size_t block = prior->pivot == WS_NO_PIVOT ? 0 : setting->value[prior->pivot];
    size_t row = 0, at = 0;
    for (size_t i = 0; i < prior->other_count; i++) {
        size_t k = prior->others[i], count = prior->space->knobs[k].value_count;
        if (i < prior->outer_count)
            row = row * count + setting->value[k];
        else
            at = at * count + setting->value[k];
    }
    return (block * prior->row_count + row) * prior->width + at;
}

static void setting_of(const struct ws_prior *prior, uint16_t *out, size_t block,
                       size_t row, size_t at)
{
    if (prior->pivot != WS_NO_PIVOT)
        out[prior->pivot] = (uint16_t)block;
    for (size_t i = prior->other_count; i-- > 0;) {
        size_t k = prior->others[i], count = prior->space->knobs[k].value_count;
        size_t *place = i < prior->outer_count ? &row : &at;
        out[k] = (uint16_t)(*place % count);
        *place /= count;
    }
}

/* ---- making ---- */

static void lay_out(struct ws_prior *prior)
{
    const struct ws_knob *knobs = prior->space->knobs;
    prior->block_count =
        prior->pivot == WS_NO_PIVOT ? 1 : knobs[prior->pivot].value_count;
    for (size_t k = 0; k < prior->space->knob_count; k++) {
        if (k != prior->pivot)
            prior->others[prior->other_count++] = k;
    }
    prior->outer_count = prior->other_count;
    prior->row_size = prior->row_count = 1;
    while (prior->outer_count > 0 && prior->row_size < ROW_MIN)
        prior->row_size *= knobs[prior->others[--prior->outer_count]].value_count;
    for (size_t i = 0; i < prior->outer_count; i++)
        prior->row_count *= knobs[prior->others[i]].value_count;
    prior->width = ws_gemm_pad(prior->row_size);
}

static int allocate(struct ws_prior *prior, struct ws_error *err)
{
    size_t cells = cells_of(prior), block = prior->row_count * prior->width;
    size_t factors = prior->block_count;
    int whole = 1;
    for (size_t i = 0; i < prior->other_count; i++)
        factors += prior->space->knobs[prior->others[i]].value_count;
    for (int t = 0; t < TERM_COUNT; t++) {
        prior->terms[t] = calloc(cells, sizeof(float));
        whole &= prior->terms[t] != NULL;
    }
    prior->curve = calloc(prior->block_count * ATTENTIONS, sizeof(float));
    prior->is_even = calloc(prior->block_count, 1);
    prior->floors[0] = calloc((BLOCK_TERMS + 2) * prior->block_count, sizeof(float));
    prior->room =
        calloc(5 * block + 4 * prior->width + 2 * prior->row_count, sizeof(float));
    prior->ones = calloc(factors, sizeof(float));
    if (!whole || prior->curve == NULL || prior->is_even == NULL ||
        prior->floors[0] == NULL || prior->room == NULL || prior->ones == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < cells; i++)
        prior->terms[EDGE_MS][i] = prior->terms[JOULES][i] = INFINITY;
    for (size_t t = 1; t < BLOCK_TERMS; t++)
        prior->floors[t] = prior->floors[0] + t * prior->block_count;
    for (size_t w = 0; w < 2; w++)
        prior->bounds[w] = prior->floors[0] + (BLOCK_TERMS + w) * prior->block_count;
    float *at = prior->room;
    float **const blocks[] = {&prior->away, &prior->travel, &prior->price,
                              &prior->weight[0], &prior->weight[1]};
    for (size_t i = 0; i < 5; i++, at += block)
        *blocks[i] = at;
    for (int w = 0; w < 2; w++) {
        prior->inner[w] = at;
        prior->late[w] = at + prior->width;
        prior->outer[w] = at + 2 * prior->width;
        at += 2 * prior->width + prior->row_count;
    }
    for (size_t i = 0; i < factors; i++)
        prior->ones[i] = 1;
    prior->plain =
        (struct ws_prior_factors){prior->ones, prior->ones + prior->block_count, 0};
    return 0;
}

static int make(struct ws_prior **out, const struct ws_space *space,
                const struct ws_cost *cost, struct ws_error *err)
{
    uint64_t size = 0;
    int rc = ws_space_size(&size, space, err);
    if (rc == 0 && size > WS_PRIOR_MAX)
        rc = ws_error_set(err, WS_E_LIMIT,
                          "a table of %llu settings: an agent takes at most %d",
                          (unsigned long long)size, WS_PRIOR_MAX);
    if (rc != 0)
        return rc;
    struct ws_prior *prior = calloc(1, sizeof(*prior));
    if (prior == NULL)
        return ws_error_nomem(err);
    prior->space = space;
    prior->cost = *cost;
    prior->pivot = ws_prior_pivot(space);
    lay_out(prior);
    rc = allocate(prior, err);
    if (rc == 0)
        *out = prior;
    else
        ws_prior_destroy(prior);
    return rc;
}

void ws_prior_destroy(struct ws_prior *prior)
{
    if (prior == NULL)
        return;
    for (int t = 0; t < TERM_COUNT; t++)
        free(prior->terms[t]);
    free(prior->curve);
    free(prior->is_even);
    free(prior->floors[0]);
    free(prior->room);
    free(prior->ones);
    free(prior);
}

static void find_floors(struct ws_prior *prior)
{
    size_t block = prior->row_count * prior->width;
    for (size_t b = 0; b < prior->block_count; b++) {
        for (int t = 0; t < BLOCK_TERMS; t++) {
            float least = INFINITY;
            for (size_t i = b * block; i < (b + 1) * block; i++) {
                if (isfinite(prior->terms[EDGE_MS][i]))
                    least = fminf(least, prior->terms[t][i]);
            }
            prior->floors[t][b] = least;
        }
    }
}

/* Marks the blocks whose settings all have the same terms from BLOCK_TERMS on. */
static void find_even(struct ws_prior *prior)
{
    size_t block = prior->row_count * prior->width;
    for (size_t b = 0; b < prior->block_count; b++) {
        size_t first = b * block;
        int even = 1;
        while (first < (b + 1) * block && !isfinite(prior->terms[EDGE_MS][first]))
            first++;
        for (size_t i = first; i < (b + 1) * block; i++) {
            for (int t = BLOCK_TERMS; t < TERM_COUNT; t++)
                even &= !isfinite(prior->terms[EDGE_MS][i]) ||
                        fabsf(prior->terms[t][i] - prior->terms[t][first]) <=
                            1e-6f * fabsf(prior->terms[t][first]);
        }
        prior->is_even[b] = (unsigned char)even;
        /* One look at the first cell is enough then. */
        for (int t = BLOCK_TERMS; even && first < (b + 1) * block && t < TERM_COUNT; t++)
            prior->terms[t][b * block] = prior->terms[t][first];
    }
}

/* ---- reading a table ---- */

struct probe {
    struct ws_evaluator *table;
    const struct ws_setting *setting;
};

static double measure(const struct ws_outcome *outcome, enum ws_measure which,
                      double otherwise)
{
    double value = otherwise;
    (void)ws_outcome_get(&value, outcome, which);
    return value;
}

static int look(struct ws_outcome *out, const struct probe *probe, double delay_ms,
                double mbit_s, double attention, struct ws_error *err)
{
    struct ws_conditions now = {.known = 0};
    ws_conditions_set(&now, WS_LINK_DELAY_MS, delay_ms);
    ws_conditions_set(&now, WS_LINK_MBIT_S, mbit_s);
    ws_conditions_set(&now, WS_ATTENTION, attention);
    return ws_evaluator_expect(probe->table, out, probe->setting, &now, err);
}

/* The energy over a link on which the transfer takes `ms` more than over a free one. */
static int joules_at(double *out, const struct probe *probe, const double *terms,
                     double ms, struct ws_error *err)
{
    struct ws_outcome outcome;
    int by_rate = terms[AWAY_PER_RATE] > 0;
    int rc =
        look(&outcome, probe, by_rate ? 0 : ms / terms[AWAY_PER_DELAY],
             by_rate ? terms[AWAY_PER_RATE] / ms : free_mbit_s, WS_VIEW_ATTENTION, err);
    if (rc == 0)
        *out = measure(&outcome, WS_ENERGY_J, 0);
    return rc;
}

/* Energy is bent where transfer and cloud take as long as what runs beside them: one look
 * at the bend and one beyond it. */
static int read_energy(double *terms, const struct probe *probe, double free_joules,
                       struct ws_error *err)
{
    double hidden = terms[BESIDE_MS] - terms[AWAY_FIXED_MS];
    double at_bend = free_joules, beyond = free_joules;
    int rc = 0;
    terms[JOULES] = free_joules;
    if (terms[AWAY_PER_RATE] <= 0 && terms[AWAY_PER_DELAY] <= 0)
        return 0;
    if (hidden > 0) {
        rc = joules_at(&at_bend, probe, terms, hidden, err);
        terms[RADIO_KW] = (at_bend - free_joules) / hidden;
    }
    if (rc == 0)
        rc = joules_at(&beyond, probe, terms, fmax(hidden, 0) + beyond_ms, err);
    terms[WAIT_KW] = (beyond - at_bend) / beyond_ms - terms[RADIO_KW];
    terms[JOULES] -= terms[WAIT_KW] * fmax(-hidden, 0);
    return rc;
}

static int read_setting(struct ws_prior *prior, const struct probe *probe,
                        struct ws_error *err)
{
    struct ws_outcome outcome, delayed, slow;
    double terms[TERM_COUNT] = {0};
    int rc = look(&outcome, probe, 0, free_mbit_s, WS_VIEW_ATTENTION, err);
    if (rc == 0)
        rc = look(&delayed, probe, probe_delay_ms, free_mbit_s, WS_VIEW_ATTENTION, err);
    if (rc == 0)
        rc = look(&slow, probe, 0, probe_mbit_s, WS_VIEW_ATTENTION, err);
    if (rc != 0)
        return rc;
    double transfer = measure(&outcome, WS_TRANSFER_MS, 0);
    terms[AWAY_PER_DELAY] =
        (measure(&delayed, WS_TRANSFER_MS, 0) - transfer) / probe_delay_ms;
    terms[AWAY_PER_RATE] = (measure(&slow, WS_TRANSFER_MS, 0) - transfer) * probe_mbit_s;
    terms[AWAY_FIXED_MS] = transfer + measure(&outcome, WS_CLOUD_MS, 0);
    terms[BESIDE_MS] = measure(&outcome, WS_BESIDE_MS, 0);
    terms[EDGE_MS] = measure(&outcome, WS_LATENCY_MS, INFINITY) -
                     fmax(terms[BESIDE_MS], terms[AWAY_FIXED_MS]);
    terms[ACCURACY] = measure(&outcome, WS_ACCURACY, 1);
    rc = read_energy(terms, probe, measure(&outcome, WS_ENERGY_J, 0), err);
    size_t cell = cell_of(prior, probe->setting);
    for (int t = 0; rc == 0 && t < TERM_COUNT; t++)
        prior->terms[t][cell] = (float)terms[t];
    return rc;
}

/* How the accuracy of a block's first setting goes with attention. */
static int read_curve(struct ws_prior *prior, const struct probe *probe, size_t block,
                      struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ATTENTIONS; i++) {
        struct ws_outcome outcome;
        double part = (double)i / (ATTENTIONS - 1);
        rc = look(&outcome, probe, 0, free_mbit_s,
                  attention_low + part * (attention_high - attention_low), err);
        if (rc == 0)
            prior->curve[block * ATTENTIONS + i] =
                (float)measure(&outcome, WS_ACCURACY, 1);
    }
    return rc;
}

/* What attention adds to or takes from the accuracy of a block's settings. */
static double attention_adds(const struct ws_prior *prior, size_t block, double attention)
{
    const float *curve = prior->curve + block * ATTENTIONS;
    double part = (attention - attention_low) / (attention_high - attention_low);
    double at = fmin(fmax(part, 0), 1) * (ATTENTIONS - 1);
    size_t i = (size_t)fmin(at, ATTENTIONS - 2);
    double here = (double)curve[i] + (at - (double)i) * (double)(curve[i + 1] - curve[i]);
    return here - (double)curve[(ATTENTIONS - 1) / 2];
}

int ws_prior_create(struct ws_prior **out, struct ws_evaluator *table,
                    const struct ws_cost *cost, struct ws_error *err)
{
    struct ws_prior *prior = NULL;
    uint64_t size = 0;
    size_t block = 0;
    int rc = make(&prior, table->space, cost, err);
    if (rc != 0)
        return rc;
    unsigned char *has_curve = calloc(prior->block_count, 1);
    if (has_curve == NULL)
        rc = ws_error_nomem(err);
    if (rc == 0)
        rc = ws_space_size(&size, table->space, err);
    for (uint64_t i = 0; rc == 0 && i < size; i++) {
        struct ws_setting setting;
        struct probe probe = {table, &setting};
        ws_setting_from_index(&setting, table->space, i);
        if (!ws_space_allows(table->space, &setting) ||
            !ws_evaluator_has(table, &setting))
            continue;
        rc = read_setting(prior, &probe, err);
        block = prior->pivot == WS_NO_PIVOT ? 0 : setting.value[prior->pivot];
        if (rc == 0 && !has_curve[block])
            rc = read_curve(prior, &probe, block, err);
        has_curve[block] = 1;
    }
    free(has_curve);
    if (rc != 0) {
        ws_prior_destroy(prior);
        return rc;
    }
    find_even(prior);
    find_floors(prior);
    *out = prior;
    return 0;
}

/* ---- asking ---- */

const struct ws_prior_factors *ws_prior_plain(const struct ws_prior *prior)
{
    return &prior->plain;
}

void ws_prior_fix(struct ws_prior *prior, size_t knob, size_t value)
{
    float *factor = prior->ones;
    if (knob != prior->pivot)
        factor += prior->block_count;
    for (size_t k = 0; knob != prior->pivot && k < knob; k++)
        factor += k == prior->pivot ? 0 : prior->space->knobs[k].value_count;
    for (size_t v = 0; v < prior->space->knobs[knob].value_count; v++)
        factor[v] = v == value ? 1 : INFINITY;
}

int ws_prior_has(const struct ws_prior *prior, const struct ws_setting *setting)
{
    return isfinite(prior->terms[EDGE_MS][cell_of(prior, setting)]);
}

/* What a view comes to, worked out once. */
struct now {
    double delay_ms, per_rate; /* 1 over the rate in Mbit/s */
    double edge_scale, per_joule, per_ms;
    double deadline_ms;
};

static struct now now_of(const struct ws_prior *prior, const struct ws_view *view)
{
    return (struct now){
        .delay_ms = view->link_delay_ms,
        .per_rate = 1 / fmax(view->link_mbit_s, 1e-6),
        .edge_scale = view->edge_scale,
        .per_joule = view->eta * view->power_scale,
        .per_ms = (1 - view->eta) * prior->cost.max_power_w / 1000,
        .deadline_ms = view->deadline_ms,
    };
}

static double price_of(const struct ws_prior *prior, double accuracy)
{
    return 1 + WS_COST_POINT * 100 * fmax(prior->cost.accuracy_floor - accuracy, 0);
}

double ws_prior_log_cost(const struct ws_prior *prior, const struct ws_view *view,
                         const struct ws_setting *setting)
{
    struct now now = now_of(prior, view);
    double term[TERM_COUNT];
    size_t cell = cell_of(prior, setting);
    size_t block = prior->pivot == WS_NO_PIVOT ? 0 : setting->value[prior->pivot];
    for (int t = 0; t < TERM_COUNT; t++)
        term[t] = (double)prior->terms[t][cell];
    double travel =
        term[AWAY_PER_DELAY] * now.delay_ms + term[AWAY_PER_RATE] * now.per_rate;
    double away = travel + term[AWAY_FIXED_MS];
    double latency =
        now.edge_scale * term[EDGE_MS] + fmax(now.edge_scale * term[BESIDE_MS], away);
    double joules = term[JOULES] + term[RADIO_KW] * travel +
                    term[WAIT_KW] * fmax(away - term[BESIDE_MS], 0);
    double price =
        price_of(prior, term[ACCURACY] + attention_adds(prior, block, view->attention));
    if (latency > now.deadline_ms)
        price += WS_COST_LATE;
    if (!isfinite(latency))
        return INFINITY;
    latency = fmin(latency, WS_COST_LOST_MS);
    return log(fmax(price * (now.per_joule * joules + now.per_ms * latency), 1e-12));
}

/* Products of the factors of knobs from..to, the last fastest. */
static void multiply_out(float *out, const struct ws_prior *prior, const float *row,
                         size_t from, size_t to)
{
    size_t count = 1;
    for (size_t i = 0; i < from; i++)
        row += prior->space->knobs[prior->others[i]].value_count;
    out[0] = 1;
    for (size_t i = from; i < to; i++) {
        size_t values = prior->space->knobs[prior->others[i]].value_count;
        for (size_t j = count; j-- > 0;) {
            float before = out[j];
            for (size_t v = 0; v < values; v++)
                out[j * values + v] = before * row[v];
        }
        row += values;
        count *= values;
    }
}

/* What a setting weighs without its factors: nothing else than whether it may be chosen.
 */
static float plain_of(float factor)
{
    return factor < INFINITY ? 1 : INFINITY;
}

/* What the first `count` settings of a block come to that does not depend on the edge. */
static void fill_away(struct ws_prior *prior, size_t block, const struct now *now,
                      double adds, size_t count)
{
    size_t base = block * prior->row_count * prior->width;
    for (size_t i = 0; i < count; i++) {
        double travel = (double)prior->terms[AWAY_PER_DELAY][base + i] * now->delay_ms +
                        (double)prior->terms[AWAY_PER_RATE][base + i] * now->per_rate;
        double radio = (double)prior->terms[RADIO_KW][base + i];
        double accuracy = (double)prior->terms[ACCURACY][base + i] + adds;
        prior->away[i] = (float)(travel + (double)prior->terms[AWAY_FIXED_MS][base + i]);
        prior->travel[i] = (float)(now->per_joule * radio * travel);
        prior->price[i] = (float)price_of(prior, accuracy);
    }
}

/* What goes with a block rather than with a setting; one row of it where it is even. */
static void fill_block(struct ws_prior *prior, size_t block, const struct now *now,
                       double attention, const float *factors)
{
    double adds = attention_adds(prior, block, attention);
    size_t width = prior->width;
    size_t count = prior->is_even[block] ? width : prior->row_count * width;
    multiply_out(prior->outer[0], prior, factors, 0, prior->outer_count);
    multiply_out(prior->inner[0], prior, factors, prior->outer_count, prior->other_count);
    for (size_t r = 0; r < prior->row_count; r++)
        prior->outer[1][r] = plain_of(prior->outer[0][r]);
    for (size_t i = 0; i < width; i++) {
        prior->inner[1][i] = plain_of(prior->inner[0][i]);
        for (int w = 0; w < 2; w++)
            prior->late[w][i] = (float)WS_COST_LATE * prior->inner[w][i];
    }
    fill_away(prior, block, now, adds, prior->is_even[block] ? 1 : count);
    const float away = prior->away[0], travel = prior->travel[0], price = prior->price[0];
    for (size_t i = 1; prior->is_even[block] && i < width; i++) {
        prior->away[i] = away;
        prior->travel[i] = travel;
        prior->price[i] = price;
    }
    for (size_t i = 0; i < count; i += width) {
        for (size_t k = 0; k < width; k++) {
            prior->weight[0][i + k] = prior->price[i + k] * prior->inner[0][k];
            prior->weight[1][i + k] = prior->price[i + k] * prior->inner[1][k];
        }
    }
}

static struct ws_rows rows_of(const struct ws_prior *prior, size_t block,
                              const struct now *now)
{
    size_t base = block * prior->row_count * prior->width;
    return (struct ws_rows){
        .rows = prior->row_count,
        .width = prior->width,
        .edge = prior->terms[EDGE_MS] + base,
        .beside = prior->terms[BESIDE_MS] + base,
        .joules = prior->terms[JOULES] + base,
        .wait = prior->terms[WAIT_KW] + base,
        .away = prior->away,
        .travel = prior->travel,
        .stride = prior->is_even[block] ? 0 : prior->width,
        .weights = {{prior->weight[0], prior->late[0], prior->outer[0]},
                    {prior->weight[1], prior->late[1], prior->outer[1]}},
        .edge_scale = (float)now->edge_scale,
        .per_joule = (float)now->per_joule,
        .per_ms = (float)now->per_ms,
        .lost_ms = (float)WS_COST_LOST_MS,
        .deadline_ms = (float)now->deadline_ms,
    };
}

/* Where the least of a block is. */
static void place_of(const struct ws_prior *prior, struct ws_prior_hit *out, size_t block,
                     const struct ws_rows *rows, size_t w,
                     const struct ws_kernels *kernels)
{
    float least = INFINITY, cost[2];
    size_t best = 0;
    for (size_t r = 0; r < prior->row_count; r++) {
        kernels->rows_least(cost, rows, r, r + 1);
        best = cost[w] < least ? r : best;
        least = cost[w] < least ? cost[w] : least;
    }
    setting_of(prior, out->value, block, best, kernels->row_place(rows, best, w));
}

/* Below what no setting of a block can cost: of each of its terms and factors the least.
 * Far from where the best is, that alone shows that a block need not be looked at. */
static void set_bounds(struct ws_prior *prior, const struct now *now, double attention,
                       const struct ws_prior_factors *factors)
{
    for (size_t b = 0; b < prior->block_count; b++) {
        const float *row = factors->rest + b * factors->rest_stride;
        float factor = factors->pivot[b];
        for (size_t i = 0; i < prior->other_count; i++) {
            float least = INFINITY;
            size_t count = prior->space->knobs[prior->others[i]].value_count;
            for (size_t v = 0; v < count; v++)
                least = row[v] < least ? row[v] : least;
            row += count;
            factor *= least;
        }
        fill_away(prior, b, now, attention_adds(prior, b, attention), 1);
        float beside = (float)now->edge_scale * prior->floors[BESIDE_MS][b];
        float ms = (float)now->edge_scale * prior->floors[EDGE_MS][b] +
                   fmaxf(beside, prior->away[0]);
        float cost = (float)now->per_joule * prior->floors[JOULES][b] +
                     (float)now->per_ms * fminf(ms, (float)WS_COST_LOST_MS) +
                     prior->travel[0];
        int known = prior->is_even[b];
        prior->bounds[1][b] = known ? bound_room * prior->price[0] * cost : 0;
        prior->bounds[0][b] = factor < INFINITY ? factor * prior->bounds[1][b] : INFINITY;
    }
}

/* The block of which most is to be hoped. */
static size_t most_hopeful(const struct ws_prior *prior)
{
    size_t best = 0;
    for (size_t b = 1; b < prior->block_count; b++)
        best = prior->bounds[0][b] < prior->bounds[0][best] ? b : best;
    return best;
}

int ws_prior_best(struct ws_prior *prior, struct ws_prior_hit *out,
                  struct ws_prior_hit *out_plain, const struct ws_view *view,
                  const struct ws_prior_factors *factors,
                  const struct ws_kernels *kernels)
{
    struct ws_prior_hit *hits[2] = {out, out_plain};
    struct now now = now_of(prior, view);
    float least[2] = {INFINITY, INFINITY};
    size_t best[2] = {0, 0}, filled = SIZE_MAX;
    set_bounds(prior, &now, view->attention, factors);
    size_t first = most_hopeful(prior);
    for (size_t i = 0; i < prior->block_count; i++) {
        size_t b = i == 0 ? first : i == first ? 0 : i;
        const float pivot[2] = {factors->pivot[b], 1};
        float cost[2];
        if (!isfinite(pivot[0]) ||
            (prior->bounds[0][b] > least[0] &&
             (out_plain == NULL || prior->bounds[1][b] > least[1])))
            continue;
        fill_block(prior, b, &now, view->attention,
                   factors->rest + b * factors->rest_stride);
        filled = b;
        struct ws_rows rows = rows_of(prior, b, &now);
        kernels->rows_least(cost, &rows, 0, rows.rows);
        for (int w = 0; w < 2; w++) {
            best[w] = cost[w] * pivot[w] < least[w] ? b : best[w];
            least[w] = fminf(cost[w] * pivot[w], least[w]);
        }
    }
    if (!isfinite(least[0]))
        return 0;
    for (int w = 0; w < 2 && hits[w] != NULL; w++) {
        if (best[w] != filled)
            fill_block(prior, best[w], &now, view->attention,
                       factors->rest + best[w] * factors->rest_stride);
        filled = best[w];
        struct ws_rows rows = rows_of(prior, best[w], &now);
        place_of(prior, hits[w], best[w], &rows, (size_t)w, kernels);
        hits[w]->log_cost = logf(fmaxf(least[w], 1e-12f));
    }
    return 1;
}

/* ---- files ---- */

/* A block's numbers of one term: the one that they all are, or a list by rows, with null
 * where there is no setting. */
static json_t *block_json(const struct ws_prior *prior, enum term term, size_t block)
{
    size_t base = block * prior->row_count * prior->width;
    if (term >= BLOCK_TERMS && prior->is_even[block])
        return json_real((double)prior->terms[term][base]);
    json_t *list = json_array();
    for (size_t r = 0; r < prior->row_count; r++) {
        for (size_t i = 0; i < prior->row_size; i++) {
            double value = (double)prior->terms[term][base + r * prior->width + i];
            json_array_append_new(list, isfinite(value) ? json_real(value) : json_null());
        }
    }
    return list;
}

json_t *ws_prior_to_json(const struct ws_prior *prior)
{
    json_t *root = json_object(), *curve = json_array();
    for (int t = 0; t < TERM_COUNT; t++) {
        json_t *blocks = json_array();
        for (size_t b = 0; b < prior->block_count; b++)
            json_array_append_new(blocks, block_json(prior, (enum term)t, b));
        json_object_set_new(root, term_names[t], blocks);
    }
    for (size_t i = 0; i < prior->block_count * ATTENTIONS; i++)
        json_array_append_new(curve, json_real((double)prior->curve[i]));
    json_object_set_new(root, "accuracy_by_attention", curve);
    return root;
}

static int read_block(struct ws_prior *prior, enum term term, size_t block,
                      const struct ws_json *node, struct ws_error *err)
{
    size_t base = block * prior->row_count * prior->width;
    struct ws_json list = *node;
    double value = 0;
    int is_one = term >= BLOCK_TERMS && !json_is_array(node->value);
    int rc =
        is_one ? ws_json_double(&value, node, -1e9, 1e9, err) : ws_json_array(&list, err);
    if (rc == 0 && !is_one && ws_json_count(&list) != prior->row_count * prior->row_size)
        rc = ws_json_fail(&list, WS_E_FORMAT, err, "expected %zu numbers, got %zu",
                          prior->row_count * prior->row_size, ws_json_count(&list));
    for (size_t i = 0; rc == 0 && i < prior->row_count * prior->row_size; i++) {
        struct ws_json item = is_one ? *node : ws_json_at(&list, i);
        int is_gap = (term == EDGE_MS || term == JOULES) && json_is_null(item.value);
        rc = is_gap ? 0 : ws_json_double(&value, &item, -1e9, 1e9, err);
        prior->terms[term][base + i / prior->row_size * prior->width +
                           i % prior->row_size] = is_gap ? INFINITY : (float)value;
    }
    return rc;
}

static int read_blocks(struct ws_prior *prior, enum term term, const struct ws_json *json,
                       struct ws_error *err)
{
    struct ws_json blocks;
    int rc = ws_json_member(&blocks, json, term_names[term], err);
    if (rc == 0)
        rc = ws_json_array(&blocks, err);
    if (rc == 0 && ws_json_count(&blocks) != prior->block_count)
        rc = ws_json_fail(&blocks, WS_E_FORMAT, err, "expected %zu blocks, got %zu",
                          prior->block_count, ws_json_count(&blocks));
    for (size_t b = 0; rc == 0 && b < prior->block_count; b++) {
        struct ws_json node = ws_json_at(&blocks, b);
        rc = read_block(prior, term, b, &node, err);
    }
    return rc;
}

int ws_prior_from_json(struct ws_prior **out, const struct ws_json *json,
                       const struct ws_space *space, const struct ws_cost *cost,
                       struct ws_error *err)
{
    struct ws_prior *prior = NULL;
    struct ws_json curve;
    int rc = make(&prior, space, cost, err);
    if (rc != 0)
        return rc;
    for (int t = 0; rc == 0 && t < TERM_COUNT; t++)
        rc = read_blocks(prior, (enum term)t, json, err);
    if (rc == 0)
        rc = ws_json_member(&curve, json, "accuracy_by_attention", err);
    if (rc == 0)
        rc = ws_json_array(&curve, err);
    size_t points = prior->block_count * ATTENTIONS;
    if (rc == 0 && ws_json_count(&curve) != points)
        rc = ws_json_fail(&curve, WS_E_FORMAT, err, "expected %zu numbers, got %zu",
                          points, ws_json_count(&curve));
    for (size_t i = 0; rc == 0 && i < points; i++) {
        struct ws_json item = ws_json_at(&curve, i);
        double value = 0;
        rc = ws_json_double(&value, &item, 0, 1, err);
        prior->curve[i] = (float)value;
    }
    if (rc != 0) {
        ws_prior_destroy(prior);
        return rc;
    }
    find_even(prior);
    find_floors(prior);
    *out = prior;
    return 0;
}
