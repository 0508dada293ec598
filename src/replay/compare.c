#include "replay/compare.h"

#include <stdlib.h>
#include <string.h>

#include "replay/oracle.h"

static const char *const figure_names[] = {
    [WS_FIGURE_MET_PCT] = "met_pct",
    [WS_FIGURE_ENERGY_J] = "energy_j_mean",
    [WS_FIGURE_EDGE_ENERGY_J] = "edge_energy_j_mean",
    [WS_FIGURE_CLOUD_ENERGY_J] = "cloud_energy_j_mean",
    [WS_FIGURE_SAVING_PCT] = "energy_saving_pct",
    [WS_FIGURE_LATENCY_P50_MS] = "latency_ms_p50",
    [WS_FIGURE_LATENCY_P95_MS] = "latency_ms_p95",
    [WS_FIGURE_LATENCY_P99_MS] = "latency_ms_p99",
    [WS_FIGURE_EXCEED_MS] = "exceed_ms_median",
    [WS_FIGURE_REGRET_PCT] = "regret_pct",
    [WS_FIGURE_MEAN_REGRET_PCT] = "regret_mean_pct",
    [WS_FIGURE_DECISION_NS] = "decision_ns_median",
    [WS_FIGURE_DECISION_NS_WORST] = "decision_ns_worst",
};
_Static_assert(sizeof(figure_names) / sizeof(figure_names[0]) == WS_FIGURE_COUNT,
               "every figure has a name");

const char *ws_figure_name(enum ws_figure figure)
{
    return figure_names[figure];
}

/* What is run: rows of the comparison, and cloud-only in any case if there is one. */
struct field {
    const struct ws_policy_ops **ops; /* [count] */
    size_t count;
    size_t shown;                      /* the first so many are rows */
    size_t cloud, oracle, mean_oracle; /* indices; count if absent */
};

static size_t find_name(const struct field *field, const char *name)
{
    size_t i = 0;
    while (i < field->count && strcmp(field->ops[i]->name, name) != 0)
        i++;
    return i;
}

static int add_names(struct field *field, const char *const *names, size_t name_count,
                     struct ws_error *err)
{
    for (size_t i = 0; i < name_count; i++) {
        const struct ws_policy_ops *ops = ws_oracle_find(names[i]);
        int rc = ops == NULL ? ws_policy_find(&ops, names[i], err) : 0;
        if (rc != 0)
            return rc;
        if (find_name(field, names[i]) < field->count)
            return ws_error_set(err, WS_E_USAGE, "policy \"%s\" is named twice",
                                names[i]);
        field->ops[field->count++] = ops;
    }
    return 0;
}

/* The oracles that nobody named, and a hidden cloud-only to save against. */
static void add_company(struct field *field, struct ws_comparison *out,
                        const struct ws_replay_task *task)
{
    double looks = (double)task->workload->count * (double)task->world->setting_count;
    if (find_name(field, "oracle") == field->count) {
        out->no_oracle = looks > WS_COMPARE_ORACLE_MAX;
        if (!out->no_oracle)
            field->ops[field->count++] = &ws_oracle_draws;
    }
    if (find_name(field, "mean-oracle") == field->count)
        field->ops[field->count++] = &ws_oracle_means;
    field->shown = field->count;
    const struct ws_policy_ops *cloud = NULL;
    if (find_name(field, "cloud-only") == field->count &&
        task->options.cloud_only != NULL &&
        ws_policy_find(&cloud, "cloud-only", NULL) == 0)
        field->ops[field->count++] = cloud;
    field->cloud = find_name(field, "cloud-only");
    field->oracle = find_name(field, "oracle");
    field->mean_oracle = find_name(field, "mean-oracle");
}

/* Percent of a above b, where b is known and above 0. */
static void add_excess(struct ws_stats *stats, const struct ws_replay_result *results,
                       size_t a, size_t b, size_t count, double sign)
{
    if (b < count && results[b].energy_j_mean > 0)
        ws_stats_add(stats,
                     sign * 100 *
                         (results[a].energy_j_mean / results[b].energy_j_mean - 1));
}

static void add_figures(struct ws_compared *row, const struct ws_replay_result *results,
                        size_t i, const struct field *field)
{
    const struct ws_replay_result *r = &results[i];
    struct ws_stats *f = row->figures;
    if (r->requests > 0)
        ws_stats_add(&f[WS_FIGURE_MET_PCT], 100.0 * (double)r->met / (double)r->requests);
    if (r->requests > r->refused) {
        ws_stats_add(&f[WS_FIGURE_ENERGY_J], r->energy_j_mean);
        for (size_t k = 0; k < 3; k++)
            ws_stats_add(&f[WS_FIGURE_LATENCY_P50_MS + k], r->latency_ms[k]);
        add_excess(&f[WS_FIGURE_SAVING_PCT], results, i, field->cloud, field->count, -1);
        add_excess(&f[WS_FIGURE_REGRET_PCT], results, i, field->oracle, field->count, 1);
        add_excess(&f[WS_FIGURE_MEAN_REGRET_PCT], results, i, field->mean_oracle,
                   field->count, 1);
    }
    if (r->requests > r->refused && r->parts_known) {
        ws_stats_add(&f[WS_FIGURE_EDGE_ENERGY_J], r->edge_energy_j_mean);
        ws_stats_add(&f[WS_FIGURE_CLOUD_ENERGY_J], r->cloud_energy_j_mean);
    }
    if (r->late > 0)
        ws_stats_add(&f[WS_FIGURE_EXCEED_MS], r->exceed_ms_median);
    ws_stats_add(&f[WS_FIGURE_DECISION_NS], r->decision_ns_median);
    ws_stats_add(&f[WS_FIGURE_DECISION_NS_WORST], r->decision_ns_worst);
}

static int run_seed(struct ws_comparison *out, const struct ws_replay_task *task,
                    const struct field *field, uint64_t seed, int first,
                    struct ws_error *err)
{
    int rc = 0;
    struct ws_replay_result *results = calloc(field->count, sizeof(*results));
    if (results == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; rc == 0 && i < field->count; i++)
        rc = ws_replay_run(&results[i], task, field->ops[i], seed, err);
    for (size_t i = 0; rc == 0 && i < field->shown; i++) {
        add_figures(&out->rows[i], results, i, field);
        if (first) {
            out->rows[i].first = results[i];
            results[i].uses = NULL;
        }
    }
    for (size_t i = 0; i < field->count; i++)
        ws_replay_result_fini(&results[i]);
    free(results);
    return rc;
}

int ws_compare(struct ws_comparison *out, const struct ws_replay_task *task,
               const char *const *names, size_t name_count, uint64_t seed, size_t seeds,
               struct ws_error *err)
{
    struct ws_comparison made = {.seeds = seeds};
    struct field field = {0};
    field.ops = calloc(name_count + 3, sizeof(*field.ops));
    if (field.ops == NULL)
        return ws_error_nomem(err);
    int rc = add_names(&field, names, name_count, err);
    if (rc != 0)
        goto out;
    add_company(&field, &made, task);
    made.count = field.shown;
    made.rows = calloc(made.count, sizeof(*made.rows));
    if (made.rows == NULL) {
        rc = ws_error_nomem(err);
        goto out;
    }
    for (size_t i = 0; i < made.count; i++) {
        made.rows[i].policy = field.ops[i]->name;
        made.rows[i].is_oracle = ws_oracle_find(field.ops[i]->name) != NULL;
    }
    for (size_t s = 0; rc == 0 && s < seeds; s++)
        rc = run_seed(&made, task, &field, seed + s, s == 0, err);
    if (rc == 0) {
        *out = made;
        made = (struct ws_comparison){0};
    }
out:
    ws_comparison_fini(&made);
    free(field.ops);
    return rc;
}

void ws_comparison_fini(struct ws_comparison *comparison)
{
    for (size_t i = 0; i < comparison->count && comparison->rows != NULL; i++)
        ws_replay_result_fini(&comparison->rows[i].first);
    free(comparison->rows);
    *comparison = (struct ws_comparison){0};
}
