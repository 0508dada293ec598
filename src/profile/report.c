#include "profile/report.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/page.h"
#include "profile/planning.h"

enum { WIDE = 480, LEFT = 54, RIGHT = 470, TOP = 10, BOTTOM = 250, BARS_MAX = 24 };

/* Axes over more than this factor are logarithmic. */
static const double log_factor = 8;

struct report {
    struct ws_page *page;
    struct ws_study *study;
    const struct ws_testbed *testbed;
    struct ws_study_trial *trials;
    size_t count, room;
    struct ws_plan plan;
    int has_plan;
    size_t cut_knob; /* the first shared knob: what colours mean */
    uint32_t known;  /* measures that any trial knows */
};

static int take_trial(void *user, const struct ws_study_trial *trial,
                      struct ws_error *err)
{
    struct report *r = user;
    if (r->count == r->room) {
        size_t room = r->room == 0 ? 64 : 2 * r->room;
        struct ws_study_trial *trials = realloc(r->trials, room * sizeof(*trials));
        if (trials == NULL)
            return ws_error_nomem(err);
        r->trials = trials;
        r->room = room;
    }
    r->trials[r->count++] = *trial;
    r->known |= trial->outcome.known;
    return 0;
}

/* --- Words ---------------------------------------------------------------------------
 */

static const char *value_text(const struct report *r, const struct ws_setting *setting,
                              size_t knob)
{
    return r->testbed->space.knobs[knob].values[setting->value[knob]].text;
}

/* "17, int8, 1800000": the values in the space's order. */
static void put_setting(const struct report *r, const struct ws_setting *setting)
{
    for (size_t k = 0; k < r->testbed->space.knob_count; k++) {
        if (k > 0)
            ws_page_put(r->page, ", ");
        ws_page_text(r->page, value_text(r, setting, k));
    }
}

static const char *measure_title(enum ws_measure measure)
{
    static const char *const titles[] = {
        [WS_LATENCY_MS] = "latency, ms",
        [WS_ENERGY_J] = "energy, J",
        [WS_ACCURACY] = "accuracy",
        [WS_EDGE_MS] = "edge, ms",
        [WS_TRANSFER_MS] = "transfer, ms",
        [WS_CLOUD_MS] = "cloud, ms",
        [WS_BESIDE_MS] = "side by side, ms",
        [WS_EDGE_ENERGY_J] = "edge energy, J",
        [WS_TRANSFER_ENERGY_J] = "transfer energy, J",
        [WS_CLOUD_ENERGY_J] = "cloud energy, J",
        [WS_TENSOR_BYTES] = "bytes sent",
        [WS_EDGE_MEM_BYTES] = "edge memory, bytes",
        [WS_CLOUD_MEM_BYTES] = "cloud memory, bytes",
    };
    static_assert(sizeof(titles) / sizeof(titles[0]) == WS_MEASURE_COUNT,
                  "every measure has a title");
    return titles[measure];
}

/* Four digits, and whole numbers whole. */
static void put_number(const struct report *r, double value)
{
    ws_page_put(r->page, fabs(value) >= 1e4 ? "<td>%.0f</td>" : "<td>%.4g</td>", value);
}

static void put_cell(const struct report *r, const struct ws_outcome *outcome,
                     enum ws_measure measure)
{
    double value = 0;
    if (ws_outcome_get(&value, outcome, measure) != 0)
        ws_page_put(r->page, "<td>&ndash;</td>");
    else
        put_number(r, value);
}

/* The second objective: what latency is paid with. */
static enum ws_measure cost_of(const struct report *r)
{
    return r->testbed->objectives[r->testbed->objective_count > 1 ? 1 : 0];
}

/* --- The picture of the trials -------------------------------------------------------
 */

struct axis {
    enum ws_measure measure;
    double least, most;
    int is_log;
    double from, to; /* on the page */
};

static double place(const struct axis *axis, double value)
{
    double share = axis->is_log ? log(value / axis->least) / log(axis->most / axis->least)
                                : (value - axis->least) / (axis->most - axis->least);
    return axis->from + (axis->to - axis->from) * share;
}

static struct axis make_axis(const struct report *r, enum ws_measure measure, double from,
                             double to)
{
    struct axis axis = {
        .measure = measure, .least = INFINITY, .most = 0, .from = from, .to = to};
    for (size_t i = 0; i < r->count; i++) {
        double value = 0;
        if (ws_outcome_get(&value, &r->trials[i].outcome, measure) != 0)
            continue;
        axis.least = fmin(axis.least, value);
        axis.most = fmax(axis.most, value);
    }
    axis.is_log = axis.least > 0 && axis.most > log_factor * axis.least;
    if (!axis.is_log)
        axis.least = fmin(axis.least, 0);
    axis.most *= 1.05;
    return axis;
}

/* Marks at round values: 1, 2 and 5 times powers of ten on a logarithmic axis. */
static size_t marks_of(double *out, size_t most, const struct axis *axis)
{
    static const double leads[] = {1, 2, 5};
    size_t count = 0;
    if (axis->is_log) {
        int every = axis->most / axis->least < 300;
        for (double power = pow(10, floor(log10(axis->least))); power <= axis->most;
             power *= 10) {
            for (size_t k = 0; k < (every ? 3u : 1u); k++) {
                double at = power * leads[k];
                if (at >= axis->least && at <= axis->most && count < most)
                    out[count++] = at;
            }
        }
        return count;
    }
    double step = ws_page_step(axis->most, 5);
    for (double at = 0; at <= axis->most && count < most; at += step)
        out[count++] = at;
    return count;
}

static void put_axes(const struct report *r, const struct axis *x, const struct axis *y)
{
    double marks[64];
    size_t count = marks_of(marks, 64, x);
    for (size_t i = 0; i < count; i++)
        ws_page_put(r->page,
                    "<path class=\"grid\" d=\"M%.1f %dV%d\"/><text x=\"%.1f\" y=\"%d\" "
                    "text-anchor=\"middle\">%g</text>\n",
                    place(x, marks[i]), TOP, BOTTOM, place(x, marks[i]), BOTTOM + 16,
                    marks[i]);
    count = marks_of(marks, 64, y);
    for (size_t i = 0; i < count; i++)
        ws_page_put(r->page,
                    "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" "
                    "text-anchor=\"end\">%g</text>\n",
                    LEFT, place(y, marks[i]), RIGHT, LEFT - 5, place(y, marks[i]) + 4,
                    marks[i]);
    ws_page_put(r->page, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", RIGHT,
                BOTTOM + 32, measure_title(x->measure));
}

static int by_latency(const void *a, const void *b)
{
    const struct ws_plan_entry *const *x = a, *const *y = b;
    double left = (*x)->outcome.value[WS_LATENCY_MS];
    double right = (*y)->outcome.value[WS_LATENCY_MS];
    return (left > right) - (left < right);
}

/* Entries of the front, fastest first; the caller frees. */
static const struct ws_plan_entry **front_of(const struct report *r, size_t *out_count)
{
    size_t count = 0;
    const struct ws_plan_entry **front =
        calloc(r->plan.entry_count + 1, sizeof(struct ws_plan_entry *));
    for (size_t i = 0; front != NULL && i < r->plan.entry_count; i++) {
        if (r->plan.entries[i].on_front)
            front[count++] = &r->plan.entries[i];
    }
    if (front != NULL)
        qsort(front, count, sizeof(*front), by_latency);
    *out_count = count;
    return front;
}

/* Among more than two objectives the front is no staircase of two: its points alone. */
static void put_front_line(const struct report *r, const struct axis *x,
                           const struct axis *y)
{
    size_t count = 0;
    const struct ws_plan_entry **front = front_of(r, &count);
    if (front != NULL && count > 1 && r->testbed->objective_count == 2) {
        ws_page_put(r->page, "<path fill=\"none\" stroke=\"#555\" d=\"");
        for (size_t i = 0; i < count; i++)
            ws_page_put(r->page, "%c%.1f %.1f", i == 0 ? 'M' : 'L',
                        place(x, front[i]->outcome.value[x->measure]),
                        place(y, front[i]->outcome.value[y->measure]));
        ws_page_put(r->page, "\"/>\n");
    }
    free(front);
}

static int is_on_front(const struct report *r, const struct ws_setting *setting)
{
    for (size_t i = 0; i < r->plan.entry_count; i++) {
        if (r->plan.entries[i].on_front &&
            memcmp(&r->plan.entries[i].setting, setting, sizeof(*setting)) == 0)
            return 1;
    }
    return 0;
}

static void put_trials_plot(const struct report *r)
{
    struct axis x = make_axis(r, WS_LATENCY_MS, LEFT, RIGHT);
    struct axis y = make_axis(r, cost_of(r), BOTTOM, TOP);
    if (!isfinite(x.least) || !isfinite(y.least) || x.measure == y.measure)
        return;
    ws_page_put(r->page, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDE,
                BOTTOM + 38);
    put_axes(r, &x, &y);
    put_front_line(r, &x, &y);
    for (size_t i = 0; i < r->count; i++) {
        const struct ws_study_trial *trial = &r->trials[i];
        double at_x = 0, at_y = 0;
        if (ws_outcome_get(&at_x, &trial->outcome, x.measure) != 0 ||
            ws_outcome_get(&at_y, &trial->outcome, y.measure) != 0)
            continue;
        int front = is_on_front(r, &trial->setting);
        ws_page_put(r->page,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\"%s><title>",
                    place(&x, at_x), place(&y, at_y), front ? "5" : "3",
                    ws_page_colour(trial->setting.value[r->cut_knob]),
                    front ? " stroke=\"#000\"" : " fill-opacity=\"0.6\"");
        put_setting(r, &trial->setting);
        ws_page_put(r->page, ": %.4g, %.4g</title></circle>\n", at_x, at_y);
    }
    ws_page_put(r->page, "</svg><p class=\"legend\">");
    const struct ws_knob *knob = &r->testbed->space.knobs[r->cut_knob];
    for (size_t v = 0; v < knob->value_count; v++) {
        ws_page_put(r->page,
                    "<span><svg viewBox=\"0 0 8 8\" width=\"9\" height=\"9\"><circle "
                    "cx=\"4\" cy=\"4\" r=\"4\" fill=\"%s\"/></svg> ",
                    ws_page_colour(v));
        ws_page_text(r->page, knob->name);
        ws_page_put(r->page, " ");
        ws_page_text(r->page, knob->values[v].text);
        ws_page_put(r->page, "</span>\n");
    }
    ws_page_put(r->page,
                "</p><figcaption>Every trial: %s against latency; larger and framed: on "
                "the front.</figcaption></figure>\n",
                measure_title(y.measure));
}

/* --- Bars by part --------------------------------------------------------------------
 */

struct bar {
    const struct ws_setting *setting;
    const struct ws_outcome *outcome;
    const char *name; /* of a baseline, else NULL */
};

/* The front, and the baselines that have a trial. */
static size_t choose_bars(struct bar *out, const struct report *r)
{
    size_t count = 0, front_count = 0;
    const struct ws_plan_entry **front = front_of(r, &front_count);
    for (size_t b = 0; b < r->testbed->baseline_count && count < BARS_MAX; b++) {
        const struct ws_baseline *baseline = &r->testbed->baselines[b];
        for (size_t i = 0; i < r->count; i++) {
            if (r->trials[i].is_valid && memcmp(&r->trials[i].setting, &baseline->setting,
                                                sizeof(baseline->setting)) == 0)
                out[count++] = (struct bar){&r->trials[i].setting, &r->trials[i].outcome,
                                            baseline->name};
        }
    }
    for (size_t i = 0; front != NULL && i < front_count && count < BARS_MAX; i++)
        out[count++] = (struct bar){&front[i]->setting, &front[i]->outcome, NULL};
    free(front);
    return count;
}

static double known(const struct ws_outcome *outcome, enum ws_measure measure)
{
    double value = 0;
    (void)ws_outcome_get(&value, outcome, measure);
    return value;
}

/* What a part adds to the bar: of the edge's time, not what transfer and cloud hide. */
static double length_of(const struct ws_outcome *outcome, enum ws_measure part)
{
    double away = known(outcome, WS_TRANSFER_MS) + known(outcome, WS_CLOUD_MS);
    double hidden = fmin(known(outcome, WS_BESIDE_MS), away);
    return known(outcome, part) - (part == WS_EDGE_MS ? hidden : 0);
}

/* Stacked bars; `parts` end with WS_MEASURE_COUNT. */
static void put_bars(const struct report *r, const enum ws_measure *parts,
                     const char *const *classes, const char *caption)
{
    struct bar bars[BARS_MAX];
    size_t count = choose_bars(bars, r), shown = 0;
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (size_t p = 0; parts[p] != WS_MEASURE_COUNT; p++) {
            sum += length_of(bars[i].outcome, parts[p]);
            shown += ws_outcome_knows(bars[i].outcome, parts[p]) != 0;
        }
        most = fmax(most, sum);
    }
    if (shown == 0 || most <= 0)
        return;
    const double left = 168, right = RIGHT - 60;
    double scale = (right - left) / most;
    ws_page_put(r->page, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDE,
                (int)(22 * count) + 8);
    for (size_t i = 0; i < count; i++) {
        double y = 4 + 22 * (double)i, x = left, sum = 0;
        ws_page_put(r->page,
                    "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\" "
                    "style=\"font-size:9px\">",
                    left - 6, y + 12);
        if (bars[i].name != NULL)
            ws_page_text(r->page, bars[i].name);
        else
            put_setting(r, bars[i].setting);
        ws_page_put(r->page, "</text>");
        for (size_t p = 0; parts[p] != WS_MEASURE_COUNT; p++) {
            double value = length_of(bars[i].outcome, parts[p]);
            ws_page_put(r->page,
                        "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" "
                        "height=\"15\"/>",
                        classes[p], x, y, value * scale);
            x += value * scale;
            sum += value;
        }
        ws_page_put(r->page, "<text x=\"%.1f\" y=\"%.1f\">%.3g</text>\n", x + 4, y + 12,
                    sum);
    }
    ws_page_put(r->page,
                "</svg><figcaption>%s Baselines first, then the front from the "
                "fastest.</figcaption></figure>\n",
                caption);
}

static void put_parts(const struct report *r)
{
    static const enum ws_measure times[] = {WS_EDGE_MS, WS_TRANSFER_MS, WS_CLOUD_MS,
                                            WS_MEASURE_COUNT};
    static const enum ws_measure energies[] = {WS_EDGE_ENERGY_J, WS_CLOUD_ENERGY_J,
                                               WS_MEASURE_COUNT};
    static const char *const time_classes[] = {"edge", "transfer", "cloud"};
    static const char *const energy_classes[] = {"edge", "cloud"};
    ws_page_put(r->page, "<h2>By part</h2>\n");
    put_bars(r, times, time_classes,
             "Latency in ms: <span class=\"edgekey\">edge</span>, <span "
             "class=\"transferkey\">transfer</span>, <span "
             "class=\"cloudkey\">cloud</span>; what the edge does while those two last "
             "is left out.");
    put_bars(r, energies, energy_classes,
             "Energy in J: <span class=\"edgekey\">edge</span>, what it draws while it "
             "waits included, and <span class=\"cloudkey\">cloud</span>.");
}

/* --- Tables --------------------------------------------------------------------------
 */

static void put_head(const struct report *r, int with_how)
{
    ws_page_put(r->page, "<div class=\"scroll\"><table><thead><tr>");
    for (size_t k = 0; k < r->testbed->space.knob_count; k++) {
        ws_page_put(r->page, "<th>");
        ws_page_text(r->page, r->testbed->space.knobs[k].name);
        ws_page_put(r->page, "</th>");
    }
    for (int m = 0; m < WS_MEASURE_COUNT; m++) {
        if ((r->known >> m & 1u) != 0)
            ws_page_put(r->page, "<th>%s</th>", measure_title((enum ws_measure)m));
    }
    ws_page_put(r->page, "%s</tr></thead><tbody>\n",
                with_how ? "<th>&plusmn; ms</th><th>samples</th><th>how</th>" : "");
}

static void put_row(const struct report *r, const struct ws_setting *setting,
                    const struct ws_outcome *outcome)
{
    for (size_t k = 0; k < r->testbed->space.knob_count; k++) {
        ws_page_put(r->page, "<td>");
        ws_page_text(r->page, value_text(r, setting, k));
        ws_page_put(r->page, "</td>");
    }
    for (int m = 0; m < WS_MEASURE_COUNT; m++) {
        if ((r->known >> m & 1u) != 0)
            put_cell(r, outcome, (enum ws_measure)m);
    }
}

static void put_front_table(const struct report *r)
{
    size_t count = 0;
    const struct ws_plan_entry **front = front_of(r, &count);
    put_head(r, 0);
    for (size_t i = 0; front != NULL && i < count; i++) {
        ws_page_put(r->page, "<tr>");
        put_row(r, &front[i]->setting, &front[i]->outcome);
        ws_page_put(r->page, "</tr>\n");
    }
    ws_page_put(r->page, "</tbody></table></div>\n");
    free(front);
}

static void put_trials_table(const struct report *r)
{
    ws_page_put(r->page, "<details><summary>All %zu trials</summary>\n", r->count);
    put_head(r, 1);
    for (size_t i = 0; i < r->count; i++) {
        const struct ws_study_trial *trial = &r->trials[i];
        ws_page_put(r->page, "<tr>");
        put_row(r, &trial->setting, &trial->outcome);
        if (trial->latency_ci_ms >= 0)
            ws_page_put(r->page, "<td>%.3g</td>", trial->latency_ci_ms);
        else
            ws_page_put(r->page, "<td>&ndash;</td>");
        ws_page_put(r->page, "<td>%zu</td><td>", trial->samples);
        ws_page_text(r->page, trial->is_valid ? ws_how_name(trial->how) : trial->reason);
        ws_page_put(r->page, "</td></tr>\n");
    }
    ws_page_put(r->page, "</tbody></table></div></details>\n");
}

/* For each value of the cut's knob: what crosses, and the best that came of it. */
static void put_cuts(const struct report *r)
{
    const struct ws_knob *knob = &r->testbed->space.knobs[r->cut_knob];
    enum ws_measure cost = cost_of(r);
    const char *variant = ws_study_fact(r->study, "variant");
    ws_page_put(r->page,
                "<div class=\"scroll\"><table><thead><tr><th>%s</th><th>identity</th>"
                "<th>trials</th><th>fewest bytes</th><th>least latency, ms</th><th>least "
                "%s</th></tr></thead><tbody>\n",
                knob->name, measure_title(cost));
    for (size_t v = 0; v < knob->value_count; v++) {
        const char *id = ws_study_cut_id(r->study, variant != NULL ? variant : "",
                                         knob->values[v].text);
        const enum ws_measure wanted[] = {WS_TENSOR_BYTES, WS_LATENCY_MS, cost};
        double least[] = {INFINITY, INFINITY, INFINITY};
        size_t count = 0;
        for (size_t i = 0; i < r->count; i++) {
            if (r->trials[i].setting.value[r->cut_knob] != v || !r->trials[i].is_valid)
                continue;
            count++;
            for (size_t w = 0; w < 3; w++) {
                double value = 0;
                if (ws_outcome_get(&value, &r->trials[i].outcome, wanted[w]) == 0)
                    least[w] = fmin(least[w], value);
            }
        }
        ws_page_put(r->page, "<tr><th>");
        ws_page_text(r->page, knob->values[v].text);
        ws_page_put(r->page, "</th><td>%s</td><td>%zu</td>", id != NULL ? id : "", count);
        for (size_t w = 0; w < 3; w++) {
            if (isfinite(least[w]))
                put_number(r, least[w]);
            else
                ws_page_put(r->page, "<td>&ndash;</td>");
        }
        ws_page_put(r->page, "</tr>\n");
    }
    ws_page_put(r->page, "</tbody></table></div>\n");
}

/* Mean accuracy by cut and codec, from those trials that know it. */
static void put_accuracy(const struct report *r)
{
    const struct ws_space *space = &r->testbed->space;
    const struct ws_knob *cut = &space->knobs[r->cut_knob];
    size_t codec_knob = 0, known_count = 0;
    double value = 0;
    for (size_t i = 0; i < r->count; i++)
        known_count += ws_outcome_knows(&r->trials[i].outcome, WS_ACCURACY) != 0;
    if (known_count == 0 || ws_space_find(&codec_knob, space, "codec", NULL) != 0)
        return;
    const struct ws_knob *codec = &space->knobs[codec_knob];
    ws_page_put(r->page, "<h2>Accuracy</h2>\n<p>Top-1, means over the trials of each cut "
                         "and codec (variants together).</p>\n<div "
                         "class=\"scroll\"><table><thead><tr><th>cut</th>");
    for (size_t c = 0; c < codec->value_count; c++)
        ws_page_put(r->page, "<th>%s</th>", codec->values[c].text);
    ws_page_put(r->page, "</tr></thead><tbody>\n");
    for (size_t v = 0; v < cut->value_count; v++) {
        ws_page_put(r->page, "<tr><th>%s</th>", cut->values[v].text);
        for (size_t c = 0; c < codec->value_count; c++) {
            struct ws_stats stats = {0};
            for (size_t i = 0; i < r->count; i++) {
                const struct ws_study_trial *trial = &r->trials[i];
                if (trial->setting.value[r->cut_knob] == v &&
                    trial->setting.value[codec_knob] == c &&
                    ws_outcome_get(&value, &trial->outcome, WS_ACCURACY) == 0)
                    ws_stats_add(&stats, value);
            }
            if (stats.count > 0)
                ws_page_put(r->page, "<td>%.4f</td>", stats.mean);
            else
                ws_page_put(r->page, "<td>&ndash;</td>");
        }
        ws_page_put(r->page, "</tr>\n");
    }
    ws_page_put(r->page, "</tbody></table></div>\n");
}

/* --- Conditions ----------------------------------------------------------------------
 */

/* One member of a run's conditions as a row. */
static void put_member(const struct report *r, const char *key, const json_t *value)
{
    char *text =
        json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    ws_page_put(r->page, "<tr><th>");
    ws_page_text(r->page, key);
    ws_page_put(r->page, "</th><td style=\"text-align:left;white-space:normal\">");
    ws_page_text(r->page, text != NULL ? text : json_string_value(value));
    ws_page_put(r->page, "</td></tr>\n");
    free(text);
}

static int put_run(void *user, int64_t run, double started_s, const char *conditions,
                   struct ws_error *err)
{
    const struct report *r = user;
    struct ws_json_doc doc;
    const char *key = NULL;
    json_t *value = NULL;
    int rc = ws_json_parse(&doc, conditions, strlen(conditions), "run", err);
    if (rc != 0)
        return rc;
    char date[40] = "";
    time_t seconds = (time_t)started_s;
    struct tm utc;
    if (gmtime_r(&seconds, &utc) != NULL)
        (void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &utc);
    ws_page_put(r->page, "<h3>Run %lld, %s</h3><div class=\"scroll\"><table><tbody>\n",
                (long long)run, date);
    json_object_foreach(doc.root, key, value) put_member(r, key, value);
    ws_page_put(r->page, "</tbody></table></div>\n");
    ws_json_doc_fini(&doc);
    return 0;
}

static int put_conditions(struct report *r, struct ws_error *err)
{
    struct ws_study_fact fact;
    ws_page_put(r->page, "<h2>Conditions</h2>\n<div class=\"scroll\"><table><tbody>\n");
    for (size_t i = 0; ws_study_fact_at(&fact, r->study, i); i++) {
        if (strcmp(fact.key, "testbed") == 0 || strncmp(fact.key, "cut.", 4) == 0)
            continue;
        ws_page_put(r->page, "<tr><th>");
        ws_page_text(r->page, fact.key);
        ws_page_put(r->page, "</th><td style=\"text-align:left\">");
        ws_page_text(r->page, fact.value);
        ws_page_put(r->page, "</td></tr>\n");
    }
    ws_page_put(r->page, "</tbody></table></div>\n");
    return ws_study_each_run(r->study, put_run, r, err);
}

static int put_summary(struct report *r, struct ws_error *err)
{
    struct ws_composition composition;
    size_t samples = 0, warmups = 0, valid = 0, whole = 0, composed = 0;
    double spent_s = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct ws_study_trial *trial = &r->trials[i];
        samples += trial->samples;
        warmups += trial->warmups;
        spent_s += trial->took_s;
        valid += trial->is_valid != 0;
        whole += trial->is_valid && trial->how == WS_HOW_WHOLE;
        composed += trial->is_valid && trial->how == WS_HOW_COMPOSED;
    }
    ws_page_put(r->page, "<h1>");
    ws_page_text(r->page, r->testbed->name);
    ws_page_put(r->page, ": %zu settings tried</h1>\n<p>", r->count);
    if (r->count > 0)
        ws_page_put(r->page, "Outcomes are <b>%s</b>. ",
                    ws_truth_name(r->trials[0].outcome.truth));
    ws_page_put(
        r->page,
        "%zu valid trials: %zu measured from end to end, %zu in part, %zu composed "
        "of parts that were known. %zu samples and %zu to warm up, %.0f s. ",
        valid, whole, valid - whole - composed, composed, samples, warmups, spent_s);
    if (samples > 0)
        ws_page_put(
            r->page,
            "A fixed 1,000 samples for each setting would have been %.0f times as "
            "many. ",
            1000.0 * (double)valid / (double)samples);
    int rc = ws_study_composition(&composition, r->study, err);
    if (rc == 0 && composition.count > 0)
        ws_page_put(
            r->page,
            "Composing was off by %.1f&#8239;%% of latency (median of %zu checked, "
            "worst %.1f&#8239;%%)",
            100 * composition.latency_median, composition.count,
            100 * composition.latency_worst);
    if (rc == 0 && composition.energy_count > 0)
        ws_page_put(r->page, ", %.1f&#8239;%% of energy (worst %.1f&#8239;%%)",
                    100 * composition.energy_median, 100 * composition.energy_worst);
    ws_page_put(r->page, "</p>\n");
    return rc;
}

/* --- The page ------------------------------------------------------------------------
 */

static size_t first_shared(const struct ws_space *space)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        if (space->knobs[k].part == WS_PART_SHARED)
            return k;
    }
    return 0;
}

/* A study whose trials do not make a plan yet is reported without one. */
static int make_plan(struct report *r, struct ws_error *err)
{
    struct ws_trials trials = {0};
    int rc = ws_study_trials(&trials, r->study, err);
    if (rc == 0)
        rc = ws_study_plan(&r->plan, r->study, &trials, err);
    r->has_plan = rc == 0;
    ws_trials_fini(&trials);
    return rc == WS_E_INFEASIBLE ? 0 : rc;
}

static int put_page(struct report *r, struct ws_error *err)
{
    char title[256];
    (void)snprintf(title, sizeof(title), "wattshed study: %s", r->testbed->name);
    ws_page_begin(r->page, title);
    int rc = put_summary(r, err);
    if (r->has_plan) {
        ws_page_put(r->page, "<h2>Trials and front</h2>\n");
        put_trials_plot(r);
        put_front_table(r);
        put_parts(r);
    }
    ws_page_put(r->page, "<h2>Cuts</h2>\n");
    put_cuts(r);
    put_accuracy(r);
    if (rc == 0)
        rc = put_conditions(r, err);
    ws_page_put(r->page, "<h2>Trials</h2>\n");
    put_trials_table(r);
    ws_page_end(r->page);
    return rc;
}

int ws_study_report(struct ws_buf *out, struct ws_study *study, struct ws_error *err)
{
    struct ws_page page = {.out = out, .err = err};
    struct report r = {.page = &page, .study = study, .testbed = ws_study_testbed(study)};
    r.cut_knob = first_shared(&r.testbed->space);
    int rc = ws_study_each_trial(study, take_trial, &r, err);
    if (rc == 0)
        rc = make_plan(&r, err);
    if (rc == 0)
        rc = put_page(&r, err);
    ws_plan_fini(&r.plan);
    free(r.trials);
    return rc != 0 ? rc : page.rc;
}
