#include "replay/report.h"

#include <math.h>
#include <stdio.h>

/* ---- terminal ---- */

/* "12.34", with "±0.56" behind it where there are several seeds; "-" where unknown. */
static void figure_text(char *out, size_t size, const struct ws_compared *row,
                        enum ws_figure figure, int digits)
{
    const struct ws_stats *s = &row->figures[figure];
    if (s->count == 0)
        snprintf(out, size, "-");
    else if (s->count == 1)
        snprintf(out, size, "%.*f", digits, s->mean);
    else
        snprintf(out, size, "%.*f\xc2\xb1%.*f", digits, s->mean, digits,
                 ws_stats_ci95(s));
}

/* Pads by what is seen, not by bytes. */
static int cell(struct ws_buf *out, const char *text, int width, int left,
                struct ws_error *err)
{
    int seen = 0;
    for (const char *c = text; *c != '\0'; c++)
        seen += (*c & 0xc0) != 0x80;
    int pad = width > seen ? width - seen : 0;
    return left ? ws_buf_printf(out, err, "%s%*s", text, pad, "")
                : ws_buf_printf(out, err, "%*s%s", pad + 1, "", text);
}

static const struct column {
    const char *title;
    enum ws_figure figure;
    int digits;
} columns[] = {
    {"met %", WS_FIGURE_MET_PCT, 1},
    {"J/request", WS_FIGURE_ENERGY_J, 2},
    {"edge J", WS_FIGURE_EDGE_ENERGY_J, 2},
    {"cloud J", WS_FIGURE_CLOUD_ENERGY_J, 2},
    {"saved %", WS_FIGURE_SAVING_PCT, 1},
    {"p50 ms", WS_FIGURE_LATENCY_P50_MS, 0},
    {"p95 ms", WS_FIGURE_LATENCY_P95_MS, 0},
    {"p99 ms", WS_FIGURE_LATENCY_P99_MS, 0},
    {"late by", WS_FIGURE_EXCEED_MS, 1},
    {"regret %", WS_FIGURE_REGRET_PCT, 1},
    {"of mean %", WS_FIGURE_MEAN_REGRET_PCT, 1},
    {"decide ns", WS_FIGURE_DECISION_NS, 0},
};

enum { COLUMN_COUNT = sizeof(columns) / sizeof(columns[0]) };

static int head_text(struct ws_buf *out, const struct ws_report_head *head,
                     const struct ws_comparison *comparison, struct ws_error *err)
{
    size_t requests = comparison->count > 0 ? comparison->rows[0].first.requests : 0;
    int rc = ws_buf_printf(out, err, "%s (%s), workload %s: %zu requests, ",
                           head->testbed, head->truth, head->workload, requests);
    if (rc == 0 && comparison->seeds > 1)
        rc = ws_buf_printf(out, err, "seeds %llu to %llu\n",
                           (unsigned long long)head->seed,
                           (unsigned long long)(head->seed + comparison->seeds - 1));
    else if (rc == 0)
        rc = ws_buf_printf(out, err, "seed %llu\n", (unsigned long long)head->seed);
    if (rc == 0)
        rc = ws_buf_printf(out, err, "plan of %zu settings, %s search of %zu; noise %s",
                           head->plan_size, head->search, head->evaluated, head->noise);
    if (rc == 0)
        rc = head->guard > 0 ? ws_buf_printf(out, err, ", guard %g", head->guard)
                             : ws_buf_add_text(out, ", guard off", err);
    if (rc == 0 && head->link != NULL)
        rc = ws_buf_printf(out, err, ", link %s", head->link);
    if (rc == 0 && head->energy_boundary != NULL)
        rc = ws_buf_printf(out, err, "\nenergy: %s", head->energy_boundary);
    return rc != 0 ? rc : ws_buf_add_text(out, "\n\n", err);
}

static int width_of(const struct ws_comparison *comparison)
{
    return comparison->seeds > 1 ? 13 : 9;
}

/* Joules of small boards want more digits than those of servers. */
static int digits_of(const struct ws_comparison *comparison, const struct column *column)
{
    double most = 0;
    int energy = column->figure == WS_FIGURE_ENERGY_J ||
                 column->figure == WS_FIGURE_EDGE_ENERGY_J ||
                 column->figure == WS_FIGURE_CLOUD_ENERGY_J;
    for (size_t i = 0; i < comparison->count; i++)
        most = fmax(most, comparison->rows[i].figures[WS_FIGURE_ENERGY_J].mean);
    return column->digits + (energy && most < 5 ? 2 : 0);
}

int ws_report_text(struct ws_buf *out, const struct ws_report_head *head,
                   const struct ws_comparison *comparison, struct ws_error *err)
{
    int width = width_of(comparison);
    int rc = head_text(out, head, comparison, err);
    if (rc == 0)
        rc = cell(out, "policy", 14, 1, err);
    for (size_t c = 0; rc == 0 && c < COLUMN_COUNT; c++)
        rc = cell(out, columns[c].title, width, 0, err);
    if (rc == 0)
        rc = ws_buf_add_text(out, "\n", err);
    for (size_t i = 0; rc == 0 && i < comparison->count; i++) {
        const struct ws_compared *row = &comparison->rows[i];
        char text[64];
        rc = cell(out, row->policy, 14, 1, err);
        for (size_t c = 0; rc == 0 && c < COLUMN_COUNT; c++) {
            figure_text(text, sizeof(text), row, columns[c].figure,
                        digits_of(comparison, &columns[c]));
            rc = cell(out, text, width, 0, err);
        }
        if (rc == 0 && row->first.refused > 0)
            rc = ws_buf_printf(out, err, "  refused %zu", row->first.refused);
        if (rc == 0 && row->first.lost > 0)
            rc = ws_buf_printf(out, err, "  lost %zu", row->first.lost);
        if (rc == 0)
            rc = ws_buf_add_text(out, "\n", err);
    }
    return rc;
}

/* ---- JSON ---- */

static json_t *figure_json(const struct ws_compared *row, enum ws_figure figure)
{
    const struct ws_stats *s = &row->figures[figure];
    return s->count == 0 ? json_null() : json_real(s->mean);
}

static json_t *intervals_json(const struct ws_compared *row)
{
    json_t *object = json_object();
    for (int f = 0; f < WS_FIGURE_COUNT; f++) {
        const struct ws_stats *s = &row->figures[f];
        if (s->count > 1 && f != WS_FIGURE_DECISION_NS_WORST)
            json_object_set_new(object, ws_figure_name((enum ws_figure)f),
                                json_real(ws_stats_ci95(s)));
    }
    return object;
}

static json_t *uses_json(const struct ws_compared *row, const struct ws_knob *knob)
{
    json_t *object = json_object();
    for (size_t v = 0; knob != NULL && v < row->first.use_count; v++) {
        if (row->first.uses[v] > 0)
            json_object_set_new(object, knob->values[v].text,
                                json_integer((json_int_t)row->first.uses[v]));
    }
    return object;
}

static json_t *row_json(const struct ws_compared *row, const struct ws_report_head *head,
                        size_t seeds)
{
    const struct ws_replay_result *first = &row->first;
    json_t *object = json_pack(
        "{s:s, s:I, s:o, s:o, s:o, s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o,"
        " s:o, s:I, s:I, s:I, s:o}",
        "policy", row->policy, "requests", (json_int_t)first->requests, "met_pct",
        figure_json(row, WS_FIGURE_MET_PCT), "energy_j_mean",
        figure_json(row, WS_FIGURE_ENERGY_J), "energy_saving_pct",
        figure_json(row, WS_FIGURE_SAVING_PCT), "latency_ms", "p50",
        figure_json(row, WS_FIGURE_LATENCY_P50_MS), "p95",
        figure_json(row, WS_FIGURE_LATENCY_P95_MS), "p99",
        figure_json(row, WS_FIGURE_LATENCY_P99_MS), "exceed_ms_median",
        figure_json(row, WS_FIGURE_EXCEED_MS), "regret_pct",
        figure_json(row, WS_FIGURE_REGRET_PCT), "regret_mean_pct",
        figure_json(row, WS_FIGURE_MEAN_REGRET_PCT), "edge_energy_j_mean",
        figure_json(row, WS_FIGURE_EDGE_ENERGY_J), "cloud_energy_j_mean",
        figure_json(row, WS_FIGURE_CLOUD_ENERGY_J), "decision_ns_median",
        figure_json(row, WS_FIGURE_DECISION_NS), "decision_ns_worst",
        json_real(row->figures[WS_FIGURE_DECISION_NS_WORST].max), "switches",
        (json_int_t)first->switches, "refused", (json_int_t)first->refused, "lost",
        (json_int_t)first->lost, "cuts", uses_json(row, head->cut_knob));
    if (object != NULL && seeds > 1)
        json_object_set_new(object, "ci95", intervals_json(row));
    return object;
}

int ws_report_json(json_t **out, const struct ws_report_head *head,
                   const struct ws_comparison *comparison, struct ws_error *err)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < comparison->count; i++)
        json_array_append_new(rows,
                              row_json(&comparison->rows[i], head, comparison->seeds));
    json_t *root = json_pack(
        "{s:s, s:s, s:s?, s:s?, s:s, s:I, s:I, s:o, s:s, s:s, s:I, s:I, s:s?, s:o}",
        "testbed", head->testbed, "workload", head->workload, "source", head->source,
        "energy_boundary", head->energy_boundary, "truth", head->truth, "seed",
        (json_int_t)head->seed, "seeds", (json_int_t)comparison->seeds, "guard",
        head->guard > 0 ? json_real(head->guard) : json_null(), "noise", head->noise,
        "search", head->search, "evaluated", (json_int_t)head->evaluated, "plan_size",
        (json_int_t)head->plan_size, "link", head->link, "policies", rows);
    if (root == NULL)
        return ws_error_nomem(err);
    *out = root;
    return 0;
}
