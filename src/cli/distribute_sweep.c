#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd_distribute.h"

/* One throughput and accuracy asked for, and what came of it. */
struct cell {
    double images_per_s, accuracy; /* required */
    double bound;                  /* of the mean accuracy at that throughput; below 0: it
                                    * cannot be had */
    struct ws_distributed by[WS_STRATEGY_COUNT];
};

/* Sums over cells, of one strategy. */
struct column {
    size_t met;
    double delivered; /* throughput, as far as it was asked for, over what was */
    double accuracy;
};

static int is_met(const struct cell *cell, size_t strategy)
{
    const struct ws_distributed *by = &cell->by[strategy];
    return by->images_per_s >= cell->images_per_s &&
           by->accuracy >= cell->accuracy - 1e-9;
}

/* What the cluster can do at its most accurate and at its quickest, in images/s, and the
 * span of the variants' accuracies. */
struct span {
    double slow, quick, least, most;
};

/* The cluster as a problem to solve, with what solving it takes. */
struct puzzle {
    struct ws_share *share;
    struct ws_batch_view *view;
    struct ws_share_node nodes[WS_SHARE_NODES_MAX];
    struct ws_share_problem problem;
};

static int puzzle_init(struct puzzle *puzzle, const struct ws_distribute *how,
                       struct ws_error *err)
{
    *puzzle = (struct puzzle){.view = calloc(1, sizeof(*puzzle->view))};
    int rc =
        puzzle->view == NULL ? ws_error_nomem(err) : ws_share_create(&puzzle->share, err);
    if (rc == 0) {
        ws_distribute_pose(&puzzle->problem, puzzle->nodes, puzzle->view, how);
        puzzle->problem.goal = WS_SHARE_ACCURACY;
    }
    return rc;
}

static void puzzle_fini(struct puzzle *puzzle)
{
    free(puzzle->view);
    ws_share_destroy(puzzle->share);
}

static int measure_span(struct span *out, const struct ws_distribute *how,
                        struct ws_error *err)
{
    struct puzzle puzzle;
    struct ws_share_plan plan;
    *out = (struct span){.least = 1.0};
    for (size_t j = 0; j < how->cluster->variant_count; j++) {
        out->least = fmin(out->least, how->cluster->variants[j].accuracy);
        out->most = fmax(out->most, how->cluster->variants[j].accuracy);
    }
    int rc = puzzle_init(&puzzle, how, err);
    if (rc == 0) {
        puzzle.problem.budget_s = 0.0;
        rc = ws_share_solve(&plan, puzzle.share, &puzzle.problem, err);
    }
    if (rc == 0) {
        out->slow = (double)how->images / plan.time_s;
        puzzle.problem.budget_s = 1e-6;
        puzzle.problem.min_accuracy = 0.0;
        puzzle.problem.keep = WS_SHARE_KEEP_THROUGHPUT;
        rc = ws_share_solve(&plan, puzzle.share, &puzzle.problem, err);
    }
    if (rc == 0)
        out->quick = (double)how->images / plan.time_s;
    puzzle_fini(&puzzle);
    return rc;
}

static int find_bound(struct cell *cell, const struct ws_distribute *how,
                      struct ws_error *err)
{
    struct puzzle puzzle;
    struct ws_share_plan plan;
    int rc = puzzle_init(&puzzle, how, err);
    if (rc == 0) {
        puzzle.problem.keep = WS_SHARE_KEEP_THROUGHPUT;
        rc = ws_share_solve(&plan, puzzle.share, &puzzle.problem, err);
    }
    if (rc == 0)
        cell->bound = plan.meets_throughput ? plan.bound : -1.0;
    puzzle_fini(&puzzle);
    return rc;
}

/* `same` is a cell of the same throughput, or NULL: the baselines know nothing of the
 * accuracy, so they run once a throughput. */
static int run_cell(struct cell *cell, const struct cell *same,
                    const struct ws_distribute *how, struct ws_error *err)
{
    struct ws_distribute at = *how;
    at.batch.images_per_s = cell->images_per_s;
    at.batch.min_accuracy = cell->accuracy;
    int rc = find_bound(cell, &at, err);
    for (size_t s = 0; rc == 0 && s < WS_STRATEGY_COUNT; s++) {
        if (s > 0 && same != NULL)
            cell->by[s] = same->by[s];
        else
            rc = ws_distribute_run(&cell->by[s], NULL, &at, s, err);
    }
    return rc;
}

static void print_head(const struct ws_distribute *how, const struct span *span)
{
    printf(
        "%zu images, %zu nodes, %s; from %.0f images/s at the greatest accuracy to %.0f "
        "at the least\n",
        how->images, how->cluster->node_count, how->is_virtual ? "virtual clock" : "live",
        span->slow, span->quick);
    printf(
        "throughput delivered (images/s) and mean accuracy; * both requirements met\n\n");
    printf("%18s %7s", "required", "bound");
    for (size_t s = 0; s < WS_STRATEGY_COUNT; s++)
        printf(" %17s", ws_strategy_name(s));
    putchar('\n');
}

static void print_cell(const struct cell *cell)
{
    printf("%9.1f  %.4f  ", cell->images_per_s, cell->accuracy);
    if (cell->bound >= 0)
        printf(" %.4f", cell->bound);
    else
        printf(" %6s", "-");
    for (size_t s = 0; s < WS_STRATEGY_COUNT; s++)
        printf("  %8.1f %.4f%c", cell->by[s].images_per_s, cell->by[s].accuracy,
               is_met(cell, s) ? '*' : ' ');
    putchar('\n');
    (void)fflush(stdout);
}

static json_t *cell_json(const struct cell *cell)
{
    json_t *json = json_pack("{s:f, s:f}", "images_per_s", cell->images_per_s, "accuracy",
                             cell->accuracy);
    json_object_set_new(json, "bound",
                        cell->bound >= 0 ? json_real(cell->bound) : json_null());
    for (size_t s = 0; s < WS_STRATEGY_COUNT; s++) {
        const struct ws_distributed *by = &cell->by[s];
        json_t *row = json_pack("{s:f, s:f, s:b}", "images_per_s", by->images_per_s,
                                "accuracy", by->accuracy, "met", is_met(cell, s));
        if (by->top1 >= 0)
            json_object_set_new(row, "top1", json_real(by->top1));
        if (by->knows_energy)
            json_object_set_new(row, "energy_j", json_real(by->energy_j));
        json_object_set_new(json, ws_strategy_name(s), row);
    }
    return json;
}

/* Whether any plan could meet both, as the linear bound has it. */
static int can_be_met(const struct cell *cell)
{
    return cell->bound >= cell->accuracy;
}

/* Over those cells that can be met; returns how many. */
static size_t add_up(struct column *columns, const struct cell *cells, size_t count)
{
    size_t seen = 0;
    for (size_t c = 0; c < count; c++) {
        if (!can_be_met(&cells[c]))
            continue;
        seen++;
        for (size_t s = 0; s < WS_STRATEGY_COUNT; s++) {
            const struct ws_distributed *by = &cells[c].by[s];
            columns[s].met += is_met(&cells[c], s) != 0;
            columns[s].delivered += fmin(1.0, by->images_per_s / cells[c].images_per_s);
            columns[s].accuracy += by->accuracy;
        }
    }
    return seen;
}

/* Cells that a baseline met and ours did not, or did less accurately. */
static size_t count_below(const struct cell *cells, size_t count)
{
    size_t below = 0;
    for (size_t c = 0; c < count; c++) {
        int is_below = 0;
        for (size_t s = 1; s < WS_STRATEGY_COUNT; s++)
            is_below |= is_met(&cells[c], s) &&
                        (!is_met(&cells[c], 0) ||
                         cells[c].by[0].accuracy < cells[c].by[s].accuracy - 1e-9);
        below += is_below != 0;
    }
    return below;
}

static void print_gap(const struct cell *cells, size_t count)
{
    double worst = 0.0, sum = 0.0;
    size_t met = 0;
    for (size_t c = 0; c < count; c++) {
        if (!is_met(&cells[c], 0) || cells[c].bound < 0)
            continue;
        double gap = 1.0 - cells[c].by[0].accuracy / cells[c].bound;
        worst = fmax(worst, gap);
        sum += gap;
        met++;
    }
    if (met > 0)
        printf("accuracy below the linear bound, where both are met: mean %.3f %%, worst "
               "%.3f %%\n",
               100.0 * sum / (double)met, 100.0 * worst);
}

/* Gains over each baseline, and their means: of performance, the mean over cells of the
 * share of the required throughput that is delivered; of accuracy, its mean over cells.
 */
static void print_gains(const struct column *columns, size_t count)
{
    double performance = 0.0, points = 0.0;
    printf("\n%-18s %8s %22s %16s\n", "", "met", "gain in performance", "in accuracy");
    printf("%-18s %4zu/%-3zu\n", ws_strategy_name(0), columns[0].met, count);
    for (size_t s = 1; s < WS_STRATEGY_COUNT; s++) {
        double gain = 100.0 * (columns[0].delivered / columns[s].delivered - 1.0);
        double more = 100.0 * (columns[0].accuracy - columns[s].accuracy) / (double)count;
        performance += gain / WS_SHARE_BASELINE_COUNT;
        points += more / WS_SHARE_BASELINE_COUNT;
        printf("%-18s %4zu/%-3zu %20.2f %% %9.2f points\n", ws_strategy_name(s),
               columns[s].met, count, gain, more);
    }
    printf("%-18s %8s %20.2f %% %9.2f points\n", "mean", "", performance, points);
    printf("%-18s %8s %20s %% %9s %%\n", "arXiv 2310.10157", "", "41.52", "5.2");
    printf("performance: of the throughput asked for, the share delivered, ours over the "
           "other's; means over the\n%zu cells that can be met. The paper's own "
           "definition is not public in full; its figures are of its boards\nand "
           "models.\n",
           count);
}

static void print_summary(const struct cell *cells, size_t count)
{
    struct column columns[WS_STRATEGY_COUNT] = {{0}};
    size_t possible = add_up(columns, cells, count);
    if (possible > 0)
        print_gains(columns, possible);
    printf(
        "\ncells that a baseline met and ours did not, or less accurately: %zu of %zu\n",
        count_below(cells, count), count);
    print_gap(cells, count);
}

int ws_distribute_sweep(const struct ws_distribute *how, size_t rows, size_t columns,
                        struct ws_error *err)
{
    struct span span;
    struct cell *cells = calloc(rows * columns, sizeof(*cells));
    json_t *list = json_array();
    int rc = cells == NULL || list == NULL ? ws_error_nomem(err)
                                           : ws_cluster_check_measured(how->cluster, err);
    if (rc == 0)
        rc = measure_span(&span, how, err);
    if (rc == 0 && !how->json)
        print_head(how, &span);
    for (size_t c = 0; rc == 0 && c < rows * columns; c++) {
        /* From well below what the best variants manage to nearly what the quickest do.
         */
        double low = 0.6 * span.slow, high = 0.9 * span.quick;
        double along = rows > 1 ? (double)(c / columns) / (double)(rows - 1) : 0.5;
        double across = ((double)(c % columns) + 0.5) / (double)columns;
        cells[c].images_per_s = low * pow(high / low, along);
        cells[c].accuracy = span.least + (span.most - span.least) * across;
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\r%zu of %zu cells%s", c, rows * columns,
                    how->json ? "" : "\r              \r");
        rc = run_cell(&cells[c], c % columns > 0 ? &cells[c - 1] : NULL, how, err);
        if (rc == 0 && how->json)
            (void)json_array_append_new(list, cell_json(&cells[c]));
        else if (rc == 0)
            print_cell(&cells[c]);
    }
    if (rc == 0 && how->json) {
        json_dumpf(list, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
    } else if (rc == 0) {
        print_summary(cells, rows * columns);
    }
    json_decref(list);
    free(cells);
    return rc;
}
