/*
 * The page of a comparison. Plots are written as SVG by hand: they are few and small, and
 * so the page needs no script, no font and no second file, looks the same printed, and
 * scales down to a phone.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "replay/report.h"

/* A buffer whose first failure sticks, so that pages need not check every line. */
struct page {
    struct ws_buf *out;
    int rc;
    struct ws_error *err;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *page, const char *fmt,
                                                      ...)
{
    char line[2048];
    va_list args;
    if (page->rc != 0)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    page->rc = ws_buf_add_text(page->out, line, page->err);
}

static void put_escaped(struct page *page, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            put(page, "&lt;");
            break;
        case '>':
            put(page, "&gt;");
            break;
        case '&':
            put(page, "&amp;");
            break;
        case '"':
            put(page, "&quot;");
            break;
        default:
            put(page, "%c", *text);
        }
    }
}

/* Told apart in print and by the colour-blind (Okabe and Ito), then lighter again. */
static const char *colour(size_t i)
{
    static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                          "#e69f00", "#56b4e9", "#7f7f7f", "#b8a000",
                                          "#000000", "#8c564b"};
    return colours[i % (sizeof(colours) / sizeof(colours[0]))];
}

static const char *dash(const struct ws_compared *row)
{
    return row->is_oracle ? " stroke-dasharray=\"4 3\"" : "";
}

/* A round step that gives about `want` marks up to `most`. */
static double step_of(double most, double want)
{
    double raw = most / want, power = pow(10, floor(log10(raw)));
    double lead = raw / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
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
static void energy_plot(struct page *page, const struct ws_comparison *c)
{
    double most = 1e-9;
    for (size_t i = 0; i < c->count; i++)
        most = fmax(most, mean_of(&c->rows[i], WS_FIGURE_ENERGY_J) +
                              ws_stats_ci95(&c->rows[i].figures[WS_FIGURE_ENERGY_J]));
    double right = RIGHT - 86, scale = (right - LABELS) / most;
    int high = (int)(26 * c->count) + 34;
    put(page, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDE, high);
    for (double x = 0; x <= most; x += step_of(most, 5))
        put(page,
            "<path class=\"grid\" d=\"M%.1f 4V%d\"/><text x=\"%.1f\" y=\"%d\" "
            "text-anchor=\"middle\">%g</text>\n",
            LABELS + x * scale, high - 22, LABELS + x * scale, high - 8, x);
    for (size_t i = 0; i < c->count; i++) {
        const struct ws_compared *row = &c->rows[i];
        double y = 8 + 26 * (double)i, all = mean_of(row, WS_FIGURE_ENERGY_J);
        int parts = knows(row, WS_FIGURE_EDGE_ENERGY_J);
        double edge = parts ? mean_of(row, WS_FIGURE_EDGE_ENERGY_J) : 0;
        double ci = ws_stats_ci95(&row->figures[WS_FIGURE_ENERGY_J]);
        put(page, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", LABELS - 6,
            y + 13, row->policy);
        put(page,
            "<rect class=\"edge\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"17\"/>"
            "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"17\"/>",
            LABELS, y, edge * scale, parts ? "cloud" : "both", LABELS + edge * scale, y,
            (all - edge) * scale);
        if (ci > 0)
            put(page, "<path class=\"ci\" d=\"M%.1f %.1fH%.1f\"/>",
                LABELS + (all - ci) * scale, y + 8.5, LABELS + (all + ci) * scale);
        put(page, "<text x=\"%.1f\" y=\"%.1f\">%.3g J, %.1f %%</text>\n",
            LABELS + (all + ci) * scale + 4, y + 13, all,
            mean_of(row, WS_FIGURE_MET_PCT));
    }
    put(page, "</svg><figcaption>Energy of a request in joules, "
              "<span class=\"edgekey\">edge</span> and "
              "<span class=\"cloudkey\">cloud</span> (grey: not known apart); behind the "
              "bars the energy and the "
              "share of deadlines met.</figcaption></figure>\n");
}

static void legend(struct page *page, const struct ws_comparison *c)
{
    put(page, "<p class=\"legend\">");
    for (size_t i = 0; i < c->count; i++)
        put(page,
            "<span><svg viewBox=\"0 0 20 8\" width=\"20\" height=\"8\"><path d=\"M0 "
            "4H20\" stroke=\"%s\" stroke-width=\"2.5\"%s/></svg> %s</span>\n",
            colour(i), dash(&c->rows[i]), c->rows[i].policy);
    put(page, "</p>");
}

/* Share of requests answered within a time, the time on a logarithmic axis. */
static void latency_plot(struct page *page, const struct ws_comparison *c)
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
    put(page, "<figure><svg viewBox=\"0 0 %d 260\" role=\"img\">\n", WIDE);
    for (int q = 0; q <= 100; q += 25) {
        double y = bottom - (bottom - top) * q / 100;
        put(page,
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
            put(page,
                "<path class=\"grid\" d=\"M%.1f %.0fV%.0f\"/><text x=\"%.1f\" y=\"250\" "
                "text-anchor=\"middle\">%g</text>\n",
                left + (RIGHT - left) * at, top, bottom, left + (RIGHT - left) * at, ms);
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        const double *grid = c->rows[i].first.latency_grid;
        put(page, "<path fill=\"none\" stroke-width=\"1.8\" stroke=\"%s\"%s d=\"",
            colour(i), dash(&c->rows[i]));
        for (size_t q = 0; q < WS_REPLAY_GRID; q++) {
            double ms = fmax(grid[q], least);
            put(page, "%c%.1f %.1f", q == 0 ? 'M' : 'L',
                left + (RIGHT - left) * (log10(ms) - low) / span,
                bottom - (bottom - top) * (double)q / (WS_REPLAY_GRID - 1));
        }
        put(page, "\"/>\n");
    }
    put(page, "</svg>");
    legend(page, c);
    put(page, "<figcaption>Share of requests (%%) answered within a time (ms), waiting "
              "and switching included.</figcaption></figure>\n");
}

/* What share of the requests each cut served, from the first cut (light) to the last. */
static void cuts_plot(struct page *page, const struct ws_report_head *head,
                      const struct ws_comparison *c)
{
    if (head->cut_knob == NULL)
        return;
    double width = RIGHT - LABELS, last = (double)head->cut_knob->value_count - 1;
    put(page, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDE,
        (int)(26 * c->count) + 8);
    for (size_t i = 0; i < c->count; i++) {
        const struct ws_replay_result *r = &c->rows[i].first;
        double y = 4 + 26 * (double)i, x = LABELS, total = 0;
        for (size_t v = 0; v < r->use_count; v++)
            total += (double)r->uses[v];
        put(page, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", LABELS - 6,
            y + 13, r->policy);
        for (size_t v = 0; total > 0 && v < r->use_count; v++) {
            double share = (double)r->uses[v] / total;
            double depth = last > 0 ? (double)v / last : 0;
            if (share <= 0)
                continue;
            put(page,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"17\" "
                "fill=\"hsl(%.0f 60%% %.0f%%)\"><title>",
                x, y, share * width, 210 - 170 * depth, 78 - 34 * depth);
            put_escaped(page, head->cut_knob->values[v].text);
            put(page, ": %.1f %%</title></rect>", 100 * share);
            if (share > 0.07) {
                put(page,
                    "<text class=\"on\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                    x + share * width / 2, y + 13);
                put_escaped(page, head->cut_knob->values[v].text);
                put(page, "</text>");
            }
            x += share * width;
        }
        put(page, "\n");
    }
    put(page, "</svg><figcaption>Share of requests by ");
    put_escaped(page, head->cut_knob->name);
    put(page, ", from the first to the last (first seed).</figcaption></figure>\n");
}

static void cell(struct page *page, const struct ws_compared *row, enum ws_figure figure,
                 int digits)
{
    const struct ws_stats *s = &row->figures[figure];
    if (s->count == 0)
        put(page, "<td>&ndash;</td>");
    else if (s->count == 1)
        put(page, "<td>%.*f</td>", digits, s->mean);
    else
        put(page, "<td>%.*f<small> &plusmn;%.*f</small></td>", digits, s->mean, digits,
            ws_stats_ci95(s));
}

static void table(struct page *page, const struct ws_comparison *c)
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
    put(page, "<div class=\"scroll\"><table><thead><tr><th>policy</th>");
    for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++)
        put(page, "<th>%s</th>", columns[k].title);
    put(page, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < c->count; i++) {
        put(page, "<tr><th>%s</th>", c->rows[i].policy);
        for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++) {
            int joules = k >= 1 && k <= 3;
            cell(page, &c->rows[i], columns[k].figure,
                 columns[k].digits + (joules && small ? 2 : 0));
        }
        put(page, "</tr>\n");
    }
    put(page, "</tbody></table></div>\n");
}

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;"
    "max-width:860px;margin:1.5rem auto;padding:0 1rem}\n"
    "h1{font-size:1.35rem;margin:0 0 .3rem}h2{font-size:1.05rem;margin:1.6rem 0 .3rem}\n"
    "p,figcaption{color:#444;margin:.3rem 0}figure{margin:0;break-inside:avoid}\n"
    "figure>svg{width:100%;max-width:720px;height:auto;display:block}\n"
    "svg text{font:12px system-ui,sans-serif;fill:#333}svg text.on{fill:#111}\n"
    ".grid{stroke:#ddd;fill:none}.ci{stroke:#000;stroke-width:1.5;fill:none}\n"
    ".edge{fill:#009e73}.cloud{fill:#0072b2}.both{fill:#999}\n"
    ".edgekey{color:#007a59;font-weight:600}.cloudkey{color:#0072b2;font-weight:600}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:13px}\n"
    ".legend svg{vertical-align:middle}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13px}\n"
    "td,tbody th{white-space:nowrap}td{text-align:right}\n"
    "th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;vertical-align:bottom}\n"
    "tbody th{text-align:left}small{color:#777}\n"
    "@media print{body{margin:0;max-width:none;font-size:11px}.scroll{overflow:visible}"
    "table{font-size:8px}td,th{padding:.15rem .3rem}thead th{white-space:normal}"
    "figure>svg{max-width:520px}}\n";

static void head_lines(struct page *page, const struct ws_report_head *head,
                       const struct ws_comparison *c)
{
    put(page, "<h1>");
    put_escaped(page, head->testbed);
    put(page, ": %zu requests of ", c->count > 0 ? c->rows[0].first.requests : 0);
    put_escaped(page, head->workload);
    put(page, "</h1>\n<p>Outcomes are %s. Plan of %zu settings from %zu tried (%s). ",
        head->truth, head->plan_size, head->evaluated, head->search);
    if (c->seeds > 1)
        put(page, "Means of %zu seeds from %llu on, with 95&#8239;%% intervals. ",
            c->seeds, (unsigned long long)head->seed);
    else
        put(page, "Seed %llu. ", (unsigned long long)head->seed);
    put(page, "Noise: %s. ", head->noise);
    if (head->guard > 0)
        put(page, "wattshed keeps each deadline with probability %g. ", head->guard);
    if (head->link != NULL) {
        put(page, "Link: ");
        put_escaped(page, head->link);
        put(page, ". ");
    }
    put(page, "</p>\n");
    if (head->energy_boundary != NULL) {
        put(page, "<p>Energy: ");
        put_escaped(page, head->energy_boundary);
        put(page, ".</p>\n");
    }
    if (head->source != NULL) {
        put(page, "<p>Source: ");
        put_escaped(page, head->source);
        put(page, ".</p>\n");
    }
}

int ws_report_html(struct ws_buf *out, const struct ws_report_head *head,
                   const struct ws_comparison *comparison, struct ws_error *err)
{
    struct page page = {.out = out, .err = err};
    put(&page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, "
               "initial-scale=1\">\n<title>wattshed replay: ");
    put_escaped(&page, head->testbed);
    put(&page, "</title>\n<style>\n");
    if (page.rc == 0)
        page.rc = ws_buf_add_text(out, style, err);
    put(&page, "</style></head><body>\n");
    head_lines(&page, head, comparison);
    put(&page, "<h2>Energy and deadlines</h2>\n");
    energy_plot(&page, comparison);
    put(&page, "<h2>Latency</h2>\n");
    latency_plot(&page, comparison);
    if (head->cut_knob != NULL)
        put(&page, "<h2>Where the network was cut</h2>\n");
    cuts_plot(&page, head, comparison);
    put(&page, "<h2>Figures</h2>\n");
    table(&page, comparison);
    put(&page, "<p>wattshed " WS_VERSION "</p></body></html>\n");
    return page.rc;
}
