#include "search/foresight.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/stats.h"

/* Parts of a total and whose knobs move them. The last may be unknown. */
static const struct {
    enum ws_measure total;
    struct {
        enum ws_measure measure;
        enum ws_part part;
    } parts[WS_FORESIGHT_PARTS_MAX];
} sums[] = {
    {WS_LATENCY_MS,
     {{WS_EDGE_MS, WS_PART_EDGE},
      {WS_CLOUD_MS, WS_PART_CLOUD},
      {WS_TRANSFER_MS, WS_PART_TRANSFER}}},
    {WS_ENERGY_J,
     {{WS_EDGE_ENERGY_J, WS_PART_EDGE},
      {WS_CLOUD_ENERGY_J, WS_PART_CLOUD},
      {WS_TRANSFER_ENERGY_J, WS_PART_TRANSFER}}},
};

/* Parts add up if they miss the total by no more than this share of it, nearly always. */
static const double sum_tolerance = 0.02;

/* Before the logarithm, one of these shares of the median is added, by likelihood: with
 * more, noise that does not grow with the value is the same everywhere. */
static const double offset_shares[] = {0.02, 0.3, 1.5};

/* No addend is expected to fall so many standard deviations below its middle. */
static const double floor_spreads = 2.5;

/* How much of the noise a steady quantity leaves out. */
static const double steady_share = 0.9;

/* Spreads of a logarithm beyond this say no more than "unknown". */
static const double variance_max = 1.5;

/* Whether the first `count` parts of a sum are known and add up in the trials. */
static int adds_up(size_t sum, size_t count, const struct ws_trials *trials)
{
    size_t misses = 0;
    for (size_t i = 0; i < trials->count; i++) {
        const struct ws_outcome *outcome = &trials->items[i].outcome;
        double total = 0;
        double parts = 0;
        if (ws_outcome_get(&total, outcome, sums[sum].total) != 0)
            continue;
        for (size_t p = 0; p < count; p++) {
            double part = 0;
            if (ws_outcome_get(&part, outcome, sums[sum].parts[p].measure) != 0)
                return 0;
            parts += part;
        }
        misses += fabs(parts - total) > sum_tolerance * total;
    }
    return 10 * misses <= trials->count;
}

static int knows_all(enum ws_measure measure, const struct ws_trials *trials)
{
    for (size_t i = 0; i < trials->count; i++) {
        if (!ws_outcome_knows(&trials->items[i].outcome, measure))
            return 0;
    }
    return 1;
}

static int add_addend(struct ws_foresight *out, enum ws_measure measure,
                      enum ws_part part, struct ws_error *err)
{
    struct ws_addend *addend = &out->addends[out->addend_count++];
    addend->measure = measure;
    addend->part = part;
    int rc = ws_surrogate_create(&addend->surrogate, out->space, part, err);
    for (size_t k = 0; rc == 0 && k < out->space->knob_count; k++) {
        const struct ws_knob *knob = &out->space->knobs[k];
        if (knob->part != WS_PART_SHARED)
            continue;
        addend->nothing[k] = calloc(knob->value_count, 1);
        if (addend->nothing[k] == NULL)
            rc = ws_error_nomem(err);
    }
    return rc;
}

int ws_foresight_init(struct ws_foresight *out, const struct ws_space *space,
                      enum ws_measure measure, const struct ws_trials *trials,
                      struct ws_error *err)
{
    struct ws_foresight foresight = {.measure = measure, .space = space};
    int rc = 0;
    foresight.logarithmic = ws_measure_minimised(measure);
    for (size_t s = 0; s < sizeof(sums) / sizeof(sums[0]); s++) {
        if (sums[s].total != measure)
            continue;
        size_t count = adds_up(s, 3, trials) ? 3 : adds_up(s, 2, trials) ? 2 : 0;
        for (size_t p = 0; rc == 0 && p < count; p++) {
            int through_bytes = sums[s].parts[p].measure == WS_TRANSFER_MS &&
                                knows_all(WS_TENSOR_BYTES, trials);
            /* How many bytes there are may depend on the head that runs, hence on any
             * knob. */
            rc = add_addend(&foresight, sums[s].parts[p].measure,
                            through_bytes ? WS_PART_SHARED : sums[s].parts[p].part, err);
            foresight.addends[p].through_bytes = through_bytes;
        }
    }
    if (rc == 0 && foresight.addend_count == 0)
        rc = add_addend(&foresight, measure, WS_PART_SHARED, err);
    if (rc == 0)
        *out = foresight;
    else
        ws_foresight_fini(&foresight);
    return rc;
}

void ws_foresight_fini(struct ws_foresight *foresight)
{
    for (size_t a = 0; a < foresight->addend_count; a++) {
        ws_surrogate_destroy(foresight->addends[a].surrogate);
        for (size_t k = 0; k < WS_KNOBS_MAX; k++)
            free(foresight->addends[a].nothing[k]);
    }
    *foresight = (struct ws_foresight){0};
}

/* Marks the values of shared knobs for which the part was there and always 0. */
static void find_nothing(struct ws_addend *addend, const struct ws_space *space,
                         const struct ws_trials *trials)
{
    enum { UNSEEN, ALWAYS, SOMETHING };
    for (size_t k = 0; k < space->knob_count; k++) {
        uint8_t *nothing = addend->nothing[k];
        if (nothing == NULL)
            continue;
        memset(nothing, UNSEEN, space->knobs[k].value_count);
        for (size_t i = 0; i < trials->count; i++) {
            double value = 0;
            size_t v = trials->items[i].setting.value[k];
            if (ws_outcome_get(&value, &trials->items[i].outcome, addend->measure) != 0)
                continue;
            if (value > 0)
                nothing[v] = SOMETHING;
            else if (nothing[v] == UNSEEN)
                nothing[v] = ALWAYS;
        }
        for (size_t v = 0; v < space->knobs[k].value_count; v++)
            nothing[v] = nothing[v] == ALWAYS;
    }
}

static int is_nothing(const struct ws_addend *addend, const struct ws_space *space,
                      const struct ws_setting *setting)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        if (addend->nothing[k] != NULL && addend->nothing[k][setting->value[k]])
            return 1;
    }
    return 0;
}

/* The trials to learn from: all, or the later half of what fits and an even choice of
 * those before. */
static size_t choose(size_t *out, size_t count)
{
    const size_t most = WS_SURROGATE_TRIALS_MAX;
    if (count <= most) {
        for (size_t i = 0; i < count; i++)
            out[i] = i;
        return count;
    }
    size_t early = count - most / 2;
    for (size_t i = 0; i < most / 2; i++)
        out[i] = i * early / (most / 2);
    for (size_t i = most / 2; i < most; i++)
        out[i] = early + i - most / 2;
    return most;
}

int ws_link_fit(double *out_delay_ms, double *out_ms_per_byte, double *out_jitter,
                const double *bytes, const double *ms, size_t count, struct ws_error *err)
{
    double *scratch = malloc((count * count + 1) * sizeof(*scratch));
    size_t slopes = 0;
    if (scratch == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (bytes[i] != bytes[k])
                scratch[slopes++] = (ms[i] - ms[k]) / (bytes[i] - bytes[k]);
        }
    }
    double slope = slopes > 0 ? ws_stats_median(scratch, slopes) : 0;
    for (size_t i = 0; i < count; i++)
        scratch[i] = ms[i] - slope * bytes[i];
    double delay = ws_stats_median(scratch, count);
    if (slope <= 0 || delay < 0) {
        for (size_t i = 0; i < count; i++)
            scratch[i] = ms[i] / bytes[i];
        slope = ws_stats_median(scratch, count);
        delay = 0;
    }
    for (size_t i = 0; i < count; i++)
        scratch[i] = fabs(log(ms[i] / (delay + slope * bytes[i])));
    *out_delay_ms = delay;
    *out_ms_per_byte = slope;
    *out_jitter = 1.4826 * ws_stats_median(scratch, count); /* of a normal variable */
    free(scratch);
    return 0;
}

/* What one fit learns from. */
struct lesson {
    struct ws_setting settings[WS_SURROGATE_TRIALS_MAX];
    double x[WS_SURROGATE_TRIALS_MAX];
    double ms[WS_SURROGATE_TRIALS_MAX]; /* of transfers, where x holds their bytes */
    double y[WS_SURROGATE_TRIALS_MAX];
    size_t count;
};

static void gather(struct lesson *out, const struct ws_foresight *f,
                   const struct ws_addend *addend, const struct ws_trials *trials)
{
    size_t chosen[WS_SURROGATE_TRIALS_MAX];
    size_t chosen_count = choose(chosen, trials->count);
    out->count = 0;
    for (size_t i = 0; i < chosen_count; i++) {
        const struct ws_trial *trial = &trials->items[chosen[i]];
        double value = 0;
        if (ws_outcome_get(&value, &trial->outcome, addend->measure) != 0 ||
            !isfinite(value) ||
            (f->logarithmic && is_nothing(addend, f->space, &trial->setting)))
            continue;
        size_t n = out->count;
        out->settings[n] = trial->setting;
        out->x[n] = ws_measure_minimised(addend->measure) ? value : -value;
        if (addend->through_bytes) {
            out->ms[n] = value;
            out->x[n] = trial->outcome.value[WS_TENSOR_BYTES];
            if (value <= 0 || out->x[n] <= 0)
                continue;
        }
        out->count++;
    }
}

/* Fits the logarithm with each offset and keeps the likeliest, the change of scale
 * counted in. Without `tune` the offset stays. */
static int fit_logarithm(struct ws_addend *addend, struct lesson *lesson, int tune,
                         struct ws_error *err)
{
    double best = -INFINITY;
    double kept = addend->offset;
    memcpy(lesson->y, lesson->x, lesson->count * sizeof(*lesson->y));
    double median = ws_stats_median(lesson->y, lesson->count);
    size_t choices = sizeof(offset_shares) / sizeof(offset_shares[0]);
    int rc = 0;
    for (size_t c = 0; rc == 0 && tune && c < choices; c++) {
        double offset = offset_shares[c] * median + 1e-12;
        double jacobian = 0;
        for (size_t i = 0; i < lesson->count; i++) {
            lesson->y[i] = log(lesson->x[i] + offset);
            jacobian -= lesson->y[i];
        }
        rc = ws_surrogate_fit(addend->surrogate, lesson->settings, lesson->y,
                              lesson->count, 1, err);
        double likelihood = ws_surrogate_likelihood(addend->surrogate) + jacobian;
        if (rc == 0 && likelihood > best) {
            best = likelihood;
            kept = offset;
        }
    }
    addend->offset = kept;
    for (size_t i = 0; i < lesson->count; i++)
        lesson->y[i] = log(lesson->x[i] + addend->offset);
    return rc != 0 ? rc
                   : ws_surrogate_fit(addend->surrogate, lesson->settings, lesson->y,
                                      lesson->count, tune, err);
}

static int fit_addend(struct ws_foresight *f, struct ws_addend *addend,
                      struct lesson *lesson, const struct ws_trials *trials, int tune,
                      struct ws_error *err)
{
    if (f->logarithmic)
        find_nothing(addend, f->space, trials);
    gather(lesson, f, addend, trials);
    int first = !addend->fitted;
    addend->fitted = lesson->count > 0;
    if (lesson->count == 0)
        return 0;
    if (!f->logarithmic)
        return ws_surrogate_fit(addend->surrogate, lesson->settings, lesson->x,
                                lesson->count, tune, err);
    int rc = 0;
    if (addend->through_bytes)
        rc = ws_link_fit(&addend->delay_ms, &addend->ms_per_byte, &addend->jitter,
                         lesson->x, lesson->ms, lesson->count, err);
    return rc != 0 ? rc : fit_logarithm(addend, lesson, tune || first, err);
}

int ws_foresight_fit(struct ws_foresight *foresight, const struct ws_trials *trials,
                     int tune, struct ws_error *err)
{
    struct lesson *lesson = malloc(sizeof(*lesson));
    if (lesson == NULL)
        return ws_error_nomem(err);
    int rc = 0;
    for (size_t a = 0; rc == 0 && a < foresight->addend_count; a++)
        rc = fit_addend(foresight, &foresight->addends[a], lesson, trials, tune, err);
    free(lesson);
    return rc;
}

double ws_foresight_value(const struct ws_foresight *foresight,
                          const struct ws_expected *expected, double z)
{
    double x = expected->centre + expected->spread * z;
    return foresight->logarithmic ? expected->floor + exp(x) : x;
}

double ws_foresight_at_most(const struct ws_foresight *foresight,
                            const struct ws_expected *expected, double bound)
{
    const double equal = 1e-9;
    if (foresight->logarithmic) {
        if (bound <= expected->floor)
            return 0;
        bound = log(bound - expected->floor);
    }
    double slack = bound - expected->centre;
    if (expected->spread <= equal)
        return slack >= -equal;
    return 0.5 * erfc(-slack / expected->spread / sqrt(2));
}

void ws_foresight_predict(struct ws_expected *out, const struct ws_foresight *foresight,
                          const struct ws_setting *setting)
{
    const double least = 1e-12; /* a sum of nothing still has a logarithm */
    double floor = 0;
    double sum = 0;
    double sum_variance = 0;
    *out = (struct ws_expected){0};
    for (size_t a = 0; a < foresight->addend_count; a++) {
        const struct ws_addend *addend = &foresight->addends[a];
        double mean = 0;
        double variance = 0;
        if (!addend->fitted ||
            (foresight->logarithmic && is_nothing(addend, foresight->space, setting)))
            continue;
        ws_surrogate_predict(&mean, &variance, addend->surrogate, setting);
        if (!foresight->logarithmic) {
            out->centre = mean;
            out->spread = sqrt(variance);
            return;
        }
        if (foresight->steady)
            variance -= steady_share * ws_surrogate_noise(addend->surrogate);
        variance = variance < variance_max ? variance : variance_max;
        double x = exp(mean);
        double low = exp(mean - floor_spreads * sqrt(variance));
        double spread = x * sqrt(exp(variance) - 1);
        x = x > addend->offset ? x - addend->offset : 0;
        low = low > addend->offset ? low - addend->offset : 0;
        if (addend->through_bytes) {
            spread *= addend->ms_per_byte;
            x = addend->delay_ms + addend->ms_per_byte * x;
            low = (addend->delay_ms + addend->ms_per_byte * low) *
                  exp(-floor_spreads * addend->jitter);
            sum_variance += x * x * addend->jitter * addend->jitter;
        }
        sum += x;
        floor += low;
        sum_variance += spread * spread;
    }
    /* What the addends are above their floors, taken to be log-normal as a whole. */
    double rest = sum - floor;
    rest = rest > least ? rest : least;
    out->floor = floor;
    out->centre = log(rest);
    out->spread = sqrt(log(1 + sum_variance / (rest * rest)));
}
