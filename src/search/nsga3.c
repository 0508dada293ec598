#include "search/nsga3.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/pareto.h"

/* Rows of genes and objectives; parents first, then their offspring. */
struct evolution {
    const struct ws_nsga3_problem *problem;
    struct ws_nsga3_options options;
    struct ws_rng rng;
    size_t n;           /* population */
    size_t m;           /* objectives */
    size_t g;           /* genes */
    double *genes;      /* [2 n][g] */
    double *objectives; /* [2 n][m] */
    double *violation;  /* [2 n] */
    double *spare;      /* [2 n] rows of the larger of g and m, for moving */
    size_t count;       /* rows in use */
    double *directions; /* [direction_count][m] */
    size_t direction_count;
    double ideal[WS_NSGA3_OBJECTIVES_MAX];
    double extreme[WS_NSGA3_OBJECTIVES_MAX][WS_NSGA3_OBJECTIVES_MAX]; /* points */
    int has_extremes;
    double *scaled;  /* [2 n][m] normalised objectives */
    size_t *moved;   /* [n] */
    size_t *niche;   /* [2 n] direction of each row */
    double *niche_d; /* [2 n] distance from it */
    uint32_t *rank;  /* [2 n] */
    size_t *chosen;  /* [n] rows that live on */
    size_t *crowd;   /* [direction_count] chosen rows of each direction */
};

/* --- Reference directions ------------------------------------------------------------
 */

static size_t direction_number(size_t objectives, size_t divisions)
{
    /* C(divisions + objectives - 1, objectives - 1) */
    double count = 1;
    for (size_t i = 1; i < objectives; i++)
        count = count * (double)(divisions + i) / (double)i;
    return (size_t)(count + 0.5);
}

static void fill_directions(double *out, size_t *row, double *at, size_t objective,
                            size_t left, size_t objectives, size_t divisions)
{
    if (objective + 1 == objectives) {
        at[objective] = (double)left / (double)divisions;
        memcpy(out + *row * objectives, at, objectives * sizeof(*at));
        ++*row;
        return;
    }
    for (size_t i = 0; i <= left; i++) {
        at[objective] = (double)i / (double)divisions;
        fill_directions(out, row, at, objective + 1, left - i, objectives, divisions);
    }
}

int ws_nsga3_directions(double **out, size_t *out_count, size_t objectives,
                        size_t divisions, struct ws_error *err)
{
    double at[WS_NSGA3_OBJECTIVES_MAX];
    size_t count = direction_number(objectives, divisions);
    size_t row = 0;
    double *directions = malloc(count * objectives * sizeof(*directions));
    if (directions == NULL)
        return ws_error_nomem(err);
    fill_directions(directions, &row, at, 0, divisions, objectives, divisions);
    *out = directions;
    *out_count = row;
    return 0;
}

/* --- Variation -----------------------------------------------------------------------
 */

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* One side of bounded simulated binary crossover: the spread factor towards a bound that
 * lies `room` = 1 + 2 (distance to it) / (distance of parents) away. */
static double spread_factor(double room, double u, double eta)
{
    double alpha = 2 - pow(room, -(eta + 1));
    if (u <= 1 / alpha)
        return pow(u * alpha, 1 / (eta + 1));
    return pow(1 / (2 - u * alpha), 1 / (eta + 1));
}

static void cross_number(struct evolution *e, const struct ws_gene *gene, double *a,
                         double *b)
{
    const double same = 1e-14;
    double low = *a < *b ? *a : *b;
    double high = *a < *b ? *b : *a;
    if (ws_rng_uniform(&e->rng) > 0.5 || high - low <= same * (gene->high - gene->low))
        return;
    double u = ws_rng_uniform(&e->rng);
    double eta = e->options.crossover_eta;
    double below = spread_factor(1 + 2 * (low - gene->low) / (high - low), u, eta);
    double above = spread_factor(1 + 2 * (gene->high - high) / (high - low), u, eta);
    double x = clamp(0.5 * (low + high - below * (high - low)), gene->low, gene->high);
    double y = clamp(0.5 * (low + high + above * (high - low)), gene->low, gene->high);
    int swap = ws_rng_uniform(&e->rng) < 0.5;
    *a = swap ? y : x;
    *b = swap ? x : y;
}

/* Polynomial mutation within bounds. */
static double mutate_number(struct evolution *e, const struct ws_gene *gene, double x)
{
    double range = gene->high - gene->low;
    if (range <= 0)
        return x;
    double power = e->options.mutation_eta + 1;
    double u = ws_rng_uniform(&e->rng);
    double step = 0;
    if (u < 0.5) {
        double room = 1 - (x - gene->low) / range;
        step = pow(2 * u + (1 - 2 * u) * pow(room, power), 1 / power) - 1;
    } else {
        double room = 1 - (gene->high - x) / range;
        step = 1 - pow(2 * (1 - u) + (2 * u - 1) * pow(room, power), 1 / power);
    }
    return clamp(x + step * range, gene->low, gene->high);
}

static void mutate(struct evolution *e, double *genes)
{
    for (size_t i = 0; i < e->g; i++) {
        const struct ws_gene *gene = &e->problem->genes[i];
        if (ws_rng_uniform(&e->rng) * (double)e->g >= 1)
            continue;
        if (gene->kind == WS_GENE_NOMINAL) {
            genes[i] = (double)ws_rng_below(&e->rng, (uint64_t)gene->high + 1);
            continue;
        }
        double x = mutate_number(e, gene, genes[i]);
        /* A step that would round away goes to a neighbour. */
        if (gene->kind == WS_GENE_ORDERED && round(x) == round(genes[i]))
            x = clamp(round(genes[i]) + (ws_rng_uniform(&e->rng) < 0.5 ? -1 : 1),
                      gene->low, gene->high);
        genes[i] = x;
    }
}

/* Two children into rows a and b from two parents. */
static void breed(struct evolution *e, size_t mother, size_t father, double *a, double *b)
{
    memcpy(a, e->genes + mother * e->g, e->g * sizeof(*a));
    memcpy(b, e->genes + father * e->g, e->g * sizeof(*b));
    for (size_t i = 0; i < e->g; i++) {
        const struct ws_gene *gene = &e->problem->genes[i];
        if (gene->kind != WS_GENE_NOMINAL) {
            cross_number(e, gene, &a[i], &b[i]);
        } else if (ws_rng_uniform(&e->rng) < 0.5) {
            double swap = a[i];
            a[i] = b[i];
            b[i] = swap;
        }
    }
    double *children[] = {a, b};
    for (size_t c = 0; c < 2; c++) {
        mutate(e, children[c]);
        for (size_t i = 0; i < e->g; i++) {
            if (e->problem->genes[i].kind == WS_GENE_ORDERED)
                children[c][i] = round(children[c][i]);
        }
    }
}

static int evaluate(struct evolution *e, size_t row, struct ws_error *err)
{
    double *objectives = e->objectives + row * e->m;
    e->violation[row] = 0;
    int rc = e->problem->evaluate(e->problem->user, objectives, &e->violation[row],
                                  e->genes + row * e->g, &e->rng, err);
    if (rc != 0)
        return rc;
    for (size_t d = 0; d < e->m && e->violation[row] <= 0; d++)
        e->ideal[d] = fmin(e->ideal[d], objectives[d]);
    return 0;
}

/* The better of two random rows where something tells them apart, else the first: smaller
 * violation; and of two rows of one niche the earlier front, then the smaller distance.
 * The second rule is Seada and Deb's (U-NSGA-III, 2014): with few objectives it brings
 * the pressure that random parents lack. */
static size_t pick_parent(struct evolution *e)
{
    size_t a = ws_rng_below(&e->rng, e->n);
    size_t b = ws_rng_below(&e->rng, e->n);
    if (e->violation[a] > 0 || e->violation[b] > 0)
        return e->violation[b] < e->violation[a] ? b : a;
    if (e->m > 2 || !e->has_extremes || e->niche[a] != e->niche[b])
        return a;
    if (e->rank[a] != e->rank[b])
        return e->rank[b] < e->rank[a] ? b : a;
    return e->niche_d[b] < e->niche_d[a] ? b : a;
}

/* --- Survival ------------------------------------------------------------------------
 */

/* Constrained domination as ranks: feasible rows by fronts, the others behind them in the
 * order of their violation. */
static int rank_rows(struct evolution *e, struct ws_error *err)
{
    size_t feasible = 0;
    uint32_t last = 0;
    size_t *row_of = e->niche; /* not needed until association */
    uint32_t *ranks = malloc(e->count * sizeof(*ranks));
    if (ranks == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < e->count; i++) {
        if (e->violation[i] > 0)
            continue;
        memcpy(e->scaled + feasible * e->m, e->objectives + i * e->m,
               e->m * sizeof(*e->scaled));
        row_of[feasible++] = i;
    }
    int rc = ws_pareto_ranks(ranks, e->scaled, feasible, e->m, err);
    for (size_t i = 0; rc == 0 && i < feasible; i++) {
        e->rank[row_of[i]] = ranks[i];
        last = ranks[i] + 1 > last ? ranks[i] + 1 : last;
    }
    for (size_t i = 0; rc == 0 && i < e->count; i++) {
        if (e->violation[i] <= 0)
            continue;
        e->rank[i] = last;
        for (size_t k = 0; k < e->count; k++)
            e->rank[i] += e->violation[k] > 0 && e->violation[k] < e->violation[i];
    }
    free(ranks);
    return rc;
}

/* Achievement scalarising function of translated objectives along one axis. */
static double along_axis(const struct evolution *e, const double *point, size_t axis)
{
    double worst = 0;
    for (size_t d = 0; d < e->m; d++)
        worst = fmax(worst, (point[d] - e->ideal[d]) / (d == axis ? 1 : 1e-6));
    return worst;
}

/* Extreme points of the first front, those of earlier generations in the running. */
static void find_extremes(struct evolution *e)
{
    for (size_t axis = 0; axis < e->m; axis++) {
        double best = e->has_extremes ? along_axis(e, e->extreme[axis], axis) : INFINITY;
        for (size_t i = 0; i < e->count; i++) {
            const double *point = e->objectives + i * e->m;
            if (e->rank[i] != 0 || e->violation[i] > 0)
                continue;
            double here = along_axis(e, point, axis);
            if (here < best) {
                best = here;
                memcpy(e->extreme[axis], point, e->m * sizeof(*point));
            }
        }
    }
    e->has_extremes = 1;
}

/* Intercepts of the plane through the extreme points: solves E x = 1, intercepts are
 * 1 / x. 0 if the plane is degenerate. */
static int intercepts_of(const struct evolution *e, double *out)
{
    double a[WS_NSGA3_OBJECTIVES_MAX][WS_NSGA3_OBJECTIVES_MAX + 1];
    size_t m = e->m;
    for (size_t i = 0; i < m; i++) {
        for (size_t d = 0; d < m; d++)
            a[i][d] = e->extreme[i][d] - e->ideal[d];
        a[i][m] = 1;
    }
    for (size_t c = 0; c < m; c++) {
        size_t pivot = c;
        for (size_t i = c + 1; i < m; i++)
            pivot = fabs(a[i][c]) > fabs(a[pivot][c]) ? i : pivot;
        if (fabs(a[pivot][c]) < 1e-12)
            return 0;
        for (size_t d = 0; d <= m; d++) {
            double swap = a[c][d];
            a[c][d] = a[pivot][d];
            a[pivot][d] = swap;
        }
        for (size_t i = 0; i < m; i++) {
            double factor = i == c ? 0 : a[i][c] / a[c][c];
            for (size_t d = c; d <= m; d++)
                a[i][d] -= factor * a[c][d];
        }
    }
    for (size_t d = 0; d < m; d++) {
        out[d] = a[d][d] / a[d][m];
        if (!isfinite(out[d]) || out[d] < 1e-6)
            return 0;
    }
    return 1;
}

static void normalise(struct evolution *e)
{
    double nadir[WS_NSGA3_OBJECTIVES_MAX];
    double intercepts[WS_NSGA3_OBJECTIVES_MAX];
    for (size_t d = 0; d < e->m; d++) {
        nadir[d] = 0;
        for (size_t i = 0; i < e->count; i++) {
            if (e->rank[i] == 0)
                nadir[d] = fmax(nadir[d], e->objectives[i * e->m + d] - e->ideal[d]);
        }
        nadir[d] = fmax(nadir[d], 1e-9);
    }
    find_extremes(e);
    int usable = intercepts_of(e, intercepts);
    for (size_t i = 0; i < e->count; i++) {
        for (size_t d = 0; d < e->m; d++)
            e->scaled[i * e->m + d] = (e->objectives[i * e->m + d] - e->ideal[d]) /
                                      (usable ? intercepts[d] : nadir[d]);
    }
}

/* The direction whose line from the origin passes closest to each row. */
static void associate(struct evolution *e)
{
    for (size_t i = 0; i < e->count; i++) {
        const double *x = e->scaled + i * e->m;
        e->niche_d[i] = INFINITY;
        for (size_t r = 0; r < e->direction_count; r++) {
            const double *w = e->directions + r * e->m;
            double dot = 0;
            double square = 0;
            double distance = 0;
            for (size_t d = 0; d < e->m; d++) {
                dot += x[d] * w[d];
                square += w[d] * w[d];
            }
            for (size_t d = 0; d < e->m; d++) {
                double off = x[d] - dot / square * w[d];
                distance += off * off;
            }
            if (distance < e->niche_d[i]) {
                e->niche_d[i] = distance;
                e->niche[i] = r;
            }
        }
    }
}

/* Fills chosen[from .. n) with rows of rank `last`, always for a direction that has
 * fewest rows so far. */
static void fill_niches(struct evolution *e, size_t from, uint32_t last)
{
    const uint32_t taken = UINT32_MAX;
    memset(e->crowd, 0, e->direction_count * sizeof(*e->crowd));
    for (size_t i = 0; i < from; i++)
        e->crowd[e->niche[e->chosen[i]]]++;
    while (from < e->n) {
        size_t fewest = SIZE_MAX;
        size_t ties = 0;
        size_t direction = 0;
        for (size_t r = 0; r < e->direction_count; r++) {
            if (e->crowd[r] < fewest) {
                fewest = e->crowd[r];
                ties = 0;
            }
            if (e->crowd[r] == fewest && fewest != SIZE_MAX &&
                ws_rng_below(&e->rng, ++ties) == 0)
                direction = r;
        }
        /* Its closest row if it has none yet, else any. */
        size_t pick = SIZE_MAX;
        size_t rows = 0;
        for (size_t i = 0; i < e->count; i++) {
            if (e->rank[i] != last || e->niche[i] != direction)
                continue;
            rows++;
            if (pick == SIZE_MAX || (fewest == 0 ? e->niche_d[i] < e->niche_d[pick]
                                                 : ws_rng_below(&e->rng, rows) == 0))
                pick = i;
        }
        if (pick == SIZE_MAX) {
            e->crowd[direction] = SIZE_MAX; /* out of the running */
            continue;
        }
        e->chosen[from++] = pick;
        e->rank[pick] = taken;
        e->crowd[direction]++;
    }
}

/* Moves the chosen rows to the front of one array. */
static void keep_rows(struct evolution *e, double *rows, size_t width)
{
    for (size_t i = 0; i < e->n; i++)
        memcpy(e->spare + i * width, rows + e->chosen[i] * width, width * sizeof(*rows));
    memcpy(rows, e->spare, e->n * width * sizeof(*rows));
}

/* What survivors are to their parents' choice: front, niche and distance. */
static void keep_standing(struct evolution *e, const uint32_t *ranks)
{
    for (size_t i = 0; i < e->n; i++)
        e->rank[i] = ranks[e->chosen[i]];
    for (size_t i = 0; i < e->n; i++)
        e->moved[i] = e->niche[e->chosen[i]];
    memcpy(e->niche, e->moved, e->n * sizeof(*e->niche));
    keep_rows(e, e->niche_d, 1);
    keep_rows(e, e->genes, e->g);
    keep_rows(e, e->objectives, e->m);
    keep_rows(e, e->violation, 1);
    e->count = e->n;
}

static int survive(struct evolution *e, struct ws_error *err)
{
    uint32_t *ranks = malloc(e->count * sizeof(*ranks));
    int rc = ranks == NULL ? ws_error_nomem(err) : rank_rows(e, err);
    if (rc != 0)
        goto out;
    memcpy(ranks, e->rank, e->count * sizeof(*ranks));
    size_t taken = 0;
    uint32_t rank = 0;
    for (;; rank++) {
        size_t rows = 0;
        for (size_t i = 0; i < e->count; i++)
            rows += e->rank[i] == rank;
        if (taken + rows > e->n)
            break;
        for (size_t i = 0; i < e->count; i++) {
            if (e->rank[i] == rank)
                e->chosen[taken++] = i;
        }
        if (taken == e->n)
            break;
    }
    normalise(e);
    associate(e);
    fill_niches(e, taken, rank);
    keep_standing(e, ranks);
out:
    free(ranks);
    return rc;
}

/* --- The run -------------------------------------------------------------------------
 */

static void evolution_fini(struct evolution *e)
{
    free(e->genes);
    free(e->objectives);
    free(e->violation);
    free(e->spare);
    free(e->directions);
    free(e->scaled);
    free(e->moved);
    free(e->niche);
    free(e->niche_d);
    free(e->rank);
    free(e->chosen);
    free(e->crowd);
}

static int evolution_init(struct evolution *e, const struct ws_nsga3_problem *problem,
                          const struct ws_nsga3_options *options, struct ws_error *err)
{
    *e = (struct evolution){.problem = problem,
                            .options = *options,
                            .n = options->population,
                            .m = problem->objective_count,
                            .g = problem->gene_count};
    if (e->options.crossover_eta <= 0)
        e->options.crossover_eta = 30;
    if (e->options.mutation_eta <= 0)
        e->options.mutation_eta = 20;
    size_t divisions = options->divisions;
    if (divisions == 0) {
        divisions = 1;
        while (direction_number(e->m, divisions + 1) <= e->n && e->m > 1)
            divisions++;
    }
    int rc =
        ws_nsga3_directions(&e->directions, &e->direction_count, e->m, divisions, err);
    if (rc != 0)
        return rc;
    if (e->n == 0)
        e->n = e->direction_count;
    e->n += e->n % 2;
    size_t rows = 2 * e->n;
    e->genes = calloc(rows * e->g, sizeof(*e->genes));
    e->objectives = calloc(rows * e->m, sizeof(*e->objectives));
    e->violation = calloc(rows, sizeof(*e->violation));
    e->spare = calloc(rows * (e->g > e->m ? e->g : e->m), sizeof(*e->spare));
    e->scaled = calloc(rows * e->m, sizeof(*e->scaled));
    e->moved = calloc(e->n, sizeof(*e->moved));
    e->niche = calloc(rows, sizeof(*e->niche));
    e->niche_d = calloc(rows, sizeof(*e->niche_d));
    e->rank = calloc(rows, sizeof(*e->rank));
    e->chosen = calloc(rows, sizeof(*e->chosen));
    e->crowd = calloc(e->direction_count, sizeof(*e->crowd));
    if (e->genes == NULL || e->objectives == NULL || e->violation == NULL ||
        e->spare == NULL || e->scaled == NULL || e->moved == NULL || e->niche == NULL ||
        e->niche_d == NULL || e->rank == NULL || e->chosen == NULL || e->crowd == NULL)
        return ws_error_nomem(err);
    for (size_t d = 0; d < e->m; d++)
        e->ideal[d] = INFINITY;
    ws_rng_init(&e->rng, options->seed);
    return 0;
}

static int first_generation(struct evolution *e, struct ws_error *err)
{
    for (e->count = 0; e->count < e->n; e->count++) {
        double *genes = e->genes + e->count * e->g;
        for (size_t i = 0; i < e->g; i++) {
            const struct ws_gene *gene = &e->problem->genes[i];
            if (gene->kind == WS_GENE_REAL)
                genes[i] = gene->low + ws_rng_uniform(&e->rng) * (gene->high - gene->low);
            else
                genes[i] = (double)ws_rng_below(&e->rng, (uint64_t)gene->high + 1);
        }
        int rc = evaluate(e, e->count, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int next_generation(struct evolution *e, struct ws_error *err)
{
    for (size_t i = 0; i < e->n; i += 2) {
        double *a = e->genes + (e->n + i) * e->g;
        breed(e, pick_parent(e), pick_parent(e), a, a + e->g);
        for (size_t c = 0; c < 2; c++) {
            int rc = evaluate(e, e->n + i + c, err);
            if (rc != 0)
                return rc;
            e->count++;
        }
    }
    return survive(e, err);
}

int ws_nsga3_run(struct ws_nsga3_result *out, const struct ws_nsga3_problem *problem,
                 const struct ws_nsga3_options *options, struct ws_error *err)
{
    struct evolution e;
    int rc = evolution_init(&e, problem, options, err);
    if (rc == 0)
        rc = first_generation(&e, err);
    for (size_t i = 0; rc == 0 && i < options->generations; i++)
        rc = next_generation(&e, err);
    if (rc == 0 || rc == WS_E_END) {
        *out = (struct ws_nsga3_result){e.genes, e.objectives, e.count};
        e.genes = NULL;
        e.objectives = NULL;
        rc = 0;
    }
    evolution_fini(&e);
    return rc;
}

void ws_nsga3_result_fini(struct ws_nsga3_result *result)
{
    free(result->genes);
    free(result->objectives);
    *result = (struct ws_nsga3_result){0};
}
