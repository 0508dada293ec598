/* The page of a comparison. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/page.h"
#include "replay/report.h"

static const char *dash(const struct ws_compared *row)
{
    return row->is_oracle ? " stroke-dasharray=\"4 3\"" : "";
}

static int knows(const struct ws_compared *row, enum ws_figure figure)
{
    return row->figures[figure].count > 0;
}

static double mean_of(const struct ws_compared *row, enum ws_figure figure)
{
    return row->figures[figure].mean;
}

enum { WIDE = 480, LABELS = 104, RIGHT = 470 };

/* Horizontal bars: energy a request, edge and cloud apart where both are known, the
 * interval over seeds, and the share of deadlines met behind it. */
static void energy_plot(struct ws_page *page, const struct ws_comparison *c)
{
    double most = 1e-9;
    for (size_t i = 0; i < c->count; i++)
        most = fmax(most, mean_of(&c->rows[i], WS_FIGURE_ENERGY_J) +
                              ws_stats_ci95(&c->rows[i].figures[WS_FIGURE_ENERGY_J]));
    double right = RIGHT - 86, scale = (right - LABELS) / most;
    int high = (int)(26 * c->count) + 34;
    ws_page_put(page, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDE, high);
    for (double x = 0; x <= most; x += ws_page_step(most, 5))
        ws_page_put(page,
                    "<path class=\"grid\" d=\"M%.1f 4V%d\"/><text x=\"%.1f\" y=\"%d\" "
                    "text-anchor=\"middle\">%g</text>\n",
                    LABELS + x * scale, high - 22, LABELS + x * scale, high - 8, x);
    for (size_t i = 0; i < c->count; i++) {
        const struct ws_compared *row = &c->rows[i];
        double y = 8 + 26 * (double)i, all = mean_of(row, WS_FIGURE_ENERGY_J);
        int parts = knows(row, WS_FIGURE_EDGE_ENERGY_J);
        double edge = parts ? mean_of(row, WS_FIGURE_EDGE_ENERGY_J) : 0;
        double ci = ws_stats_ci95(&row->figures[WS_FIGURE_ENERGY_J]);
        ws_page_put(page, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                    LABELS - 6, y + 13, row->policy);
        ws_page_put(
            page,
            "<rect class=\"edge\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"17\"/>"
            "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"17\"/>",
            LABELS, y, edge * scale, parts ? "cloud" : "both", LABELS + edge * scale, y,
            (all - edge) * scale);
        if (ci > 0)
            ws_page_put(page, "<path class=\"ci\" d=\"M%.1f %.1fH%.1f\"/>",
                        LABELS + (all - ci) * scale, y + 8.5,
                        LABELS + (all + ci) * scale);
        ws_page_put(page, "<text x=\"%.1f\" y=\"%.1f\">%.3g J, %.1f %%</text>\n",
                    LABELS + (all + ci) * scale + 4, y + 13, all,
                    mean_of(row, WS_FIGURE_MET_PCT));
    }
    ws_page_put(
        page, "</svg><figcaption>Energy of a request in joules, "
              "<span class=\"edgekey\">edge</span> and "
              "<span class=\"cloudkey\">cloud</span> (grey: not known apart); behind the "
              "bars the energy and the "
              "share of deadlines met.</figcaption></figure>\n");
}

static void legend(struct ws_page *page, const struct ws_comparison *c)
{
    ws_page_put(page, "<p class=\"legend\">");
    for (size_t i = 0; i < c->count; i++)
        ws_page_put(
            page,
            "<span><svg viewBox=\"0 0 20 8\" width=\"20\" height=\"8\"><path d=\"M0 "
            "4H20\" stroke=\"%s\" stroke-width=\"2.5\"%s/></svg> %s</span>\n",
            ws_page_colour(i), dash(&c->rows[i]), c->rows[i].policy);
    ws_page_put(page, "</p>");
}

/* Share of requests answered within a time, the time on a logarithmic axis. */
static void latency_plot(struct ws_page *page, const struct ws_comparison *c)
{
    const double left = 40, top = 8, bottom = 232;
    double least = INFINITY, most = 0;
    for (size_t i = 0; i < c->count; i++) {
        const double *grid = c->rows[i].first.latency_grid;
        if (grid[0] > 0)
            least = fmin(least, grid[0]);
        most = fmax(most, grid[WS_REPLAY_GRID - 1]);
    }
    if (!(most > least))
        return;
    double low = log10(least), span = log10(most) - low;
    ws_page_put(page, "<figure><svg viewBox=\"0 0 %d 260\" role=\"img\">\n", WIDE);
    for (int q = 0; q <= 100; q += 25) {
        double y = bottom - (bottom - top) * q / 100;
        ws_page_put(
            page,
            "<path class=\"grid\" d=\"M%.0f %.1fH%d\"/><text x=\"%.0f\" y=\"%.1f\" "
            "text-anchor=\"end\">%d</text>\n",
            left, y, RIGHT, left - 5, y + 4, q);
    }
    for (double power = pow(10, floor(low)); power <= most; power *= 10) {
        static const double leads[] = {1, 2, 5};
        for (size_t k = 0; k < 3; k++) {
            double ms = power * leads[k], at = (log10(ms) - low) / span;
            if (at < 0 || at > 1)
                continue;
            ws_page_put(
                page,
                "<path class=\"grid\" d=\"M%.1f %.0fV%.0f\"/><text x=\"%.1f\" y=\"250\" "
                "text-anchor=\"middle\">%g</text>\n",
                left + (RIGHT - left) * at, top, bottom, left + (RIGHT - left) * at, ms);
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        const double *grid = c->rows[i].first.latency_grid;
        ws_page_put(page, "<path fill=\"none\" stroke-width=\"1.8\" stroke=\"%s\"%s d=\"",
                    ws_page_colour(i), dash(&c->rows[i]));
        for (size_t q = 0; q < WS_REPLAY_GRID; q++) {
            double ms = fmax(grid[q], least);
            ws_page_put(page, "%c%.1f %.1f", q == 0 ? 'M' : 'L',
                        left + (RIGHT - left) * (log10(ms) - low) / span,
                        bottom - (bottom - top) * (double)q / (WS_REPLAY_GRID - 1));
        }
        ws_page_put(page, "\"/>\n");
    }
    ws_page_put(page, "</svg>");
    legend(page, c);
    ws_page_put(page,
                "<figcaption>Share of requests (%%) answered within a time (ms), waiting "
                "and switching included.</figcaption></figure>\n");
}

/* What share of the requests each cut served, from the first cut (light) to the last. */
static void cuts_plot(struct ws_page *page, const struct ws_report_head *head,
                      const struct ws_comparison *c)
{
    if (head->cut_knob == NULL)
        return;
    double width = RIGHT - LABELS, last = (double)head->cut_knob->value_count - 1;
    ws_page_put(page, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDE,
                (int)(26 * c->count) + 8);
    for (size_t i = 0; i < c->count; i++) {
        const struct ws_replay_result *r = &c->rows[i].first;
        double y = 4 + 26 * (double)i, x = LABELS, total = 0;
        for (size_t v = 0; v < r->use_count; v++)
            total += (double)r->uses[v];
        ws_page_put(page, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                    LABELS - 6, y + 13, r->policy);
        for (size_t v = 0; total > 0 && v < r->use_count; v++) {
            double share = (double)r->uses[v] / total;
            double depth = last > 0 ? (double)v / last : 0;
            if (share <= 0)
                continue;
            ws_page_put(page,
                        "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"17\" "
                        "fill=\"hsl(%.0f 60%% %.0f%%)\"><title>",
                        x, y, share * width, 210 - 170 * depth, 78 - 34 * depth);
            ws_page_text(page, head->cut_knob->values[v].text);
            ws_page_put(page, ": %.1f %%</title></rect>", 100 * share);
            if (share > 0.07) {
                ws_page_put(
                    page,
                    "<text class=\"on\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                    x + share * width / 2, y + 13);
                ws_page_text(page, head->cut_knob->values[v].text);
                ws_page_put(page, "</text>");
            }
            x += share * width;
        }
        ws_page_put(page, "\n");
    }
    ws_page_put(page, "</svg><figcaption>Share of requests by ");
    ws_page_text(page, head->cut_knob->name);
    ws_page_put(page,
                ", from the first to the last (first seed).</figcaption></figure>\n");
}

static void cell(struct ws_page *page, const struct ws_compared *row,
                 enum ws_figure figure, int digits)
{
    const struct ws_stats *s = &row->figures[figure];
    if (s->count == 0)
        ws_page_put(page, "<td>&ndash;</td>");
    else if (s->count == 1)
        ws_page_put(page, "<td>%.*f</td>", digits, s->mean);
    else
        ws_page_put(page, "<td>%.*f<small> &plusmn;%.*f</small></td>", digits, s->mean,
                    digits, ws_stats_ci95(s));
}

static void table(struct ws_page *page, const struct ws_comparison *c)
{
    static const struct {
        const char *title;
        enum ws_figure figure;
        int digits;
    } columns[] = {
        {"deadlines met, %", WS_FIGURE_MET_PCT, 1},
        {"energy, J", WS_FIGURE_ENERGY_J, 2},
        {"edge, J", WS_FIGURE_EDGE_ENERGY_J, 2},
        {"cloud, J", WS_FIGURE_CLOUD_ENERGY_J, 2},
        {"saved against cloud-only, %", WS_FIGURE_SAVING_PCT, 1},
        {"latency p50, ms", WS_FIGURE_LATENCY_P50_MS, 0},
        {"p95", WS_FIGURE_LATENCY_P95_MS, 0},
        {"p99", WS_FIGURE_LATENCY_P99_MS, 0},
        {"late by (median), ms", WS_FIGURE_EXCEED_MS, 1},
        {"energy above oracle, %", WS_FIGURE_REGRET_PCT, 1},
        {"above mean-oracle, %", WS_FIGURE_MEAN_REGRET_PCT, 1},
        {"decision (median), ns", WS_FIGURE_DECISION_NS, 0},
    };
    /* Joules of small boards want more digits than those of servers. */
    int small = 1;
    for (size_t i = 0; i < c->count; i++)
        small &= mean_of(&c->rows[i], WS_FIGURE_ENERGY_J) < 5;
    ws_page_put(page, "<div class=\"scroll\"><table><thead><tr><th>policy</th>");
    for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++)
        ws_page_put(page, "<th>%s</th>", columns[k].title);
    ws_page_put(page, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < c->count; i++) {
        ws_page_put(page, "<tr><th>%s</th>", c->rows[i].policy);
        for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++) {
            int joules = k >= 1 && k <= 3;
            cell(page, &c->rows[i], columns[k].figure,
                 columns[k].digits + (joules && small ? 2 : 0));
        }
        ws_page_put(page, "</tr>\n");
    }
    ws_page_put(page, "</tbody></table></div>\n");
}

static void head_lines(struct ws_page *page, const struct ws_report_head *head,
                       const struct ws_comparison *c)
{
    ws_page_put(page, "<h1>");
    ws_page_text(page, head->testbed);
    ws_page_put(page, ": %zu requests of ", c->count > 0 ? c->rows[0].first.requests : 0);
    ws_page_text(page, head->workload);
    ws_page_put(page,
                "</h1>\n<p>Outcomes are %s. Plan of %zu settings from %zu tried (%s). ",
                head->truth, head->plan_size, head->evaluated, head->search);
    if (c->seeds > 1)
        ws_page_put(page, "Means of %zu seeds from %llu on, with 95&#8239;%% intervals. ",
                    c->seeds, (unsigned long long)head->seed);
    else
        ws_page_put(page, "Seed %llu. ", (unsigned long long)head->seed);
    ws_page_put(page, "Noise: %s. ", head->noise);
    if (head->guard > 0)
        ws_page_put(page, "wattshed keeps each deadline with probability %g. ",
                    head->guard);
    if (head->link != NULL) {
        ws_page_put(page, "Link: ");
        ws_page_text(page, head->link);
        ws_page_put(page, ". ");
    }
    ws_page_put(page, "</p>\n");
    if (head->energy_boundary != NULL) {
        ws_page_put(page, "<p>Energy: ");
        ws_page_text(page, head->energy_boundary);
        ws_page_put(page, ".</p>\n");
    }
    if (head->source != NULL) {
        ws_page_put(page, "<p>Source: ");
        ws_page_text(page, head->source);
        ws_page_put(page, ".</p>\n");
    }
}

int ws_report_html(struct ws_buf *out, const struct ws_report_head *head,
                   const struct ws_comparison *comparison, struct ws_error *err)
{
    struct ws_page page = {.out = out, .err = err};
    char title[256];
    (void)snprintf(title, sizeof(title), "wattshed replay: %s", head->testbed);
    ws_page_begin(&page, title);
    head_lines(&page, head, comparison);
    ws_page_put(&page, "<h2>Energy and deadlines</h2>\n");
    energy_plot(&page, comparison);
    ws_page_put(&page, "<h2>Latency</h2>\n");
    latency_plot(&page, comparison);
    if (head->cut_knob != NULL)
        ws_page_put(&page, "<h2>Where the network was cut</h2>\n");
    cuts_plot(&page, head, comparison);
    ws_page_put(&page, "<h2>Figures</h2>\n");
    table(&page, comparison);
    ws_page_end(&page);
    return page.rc;
}
