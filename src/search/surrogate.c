#include "search/surrogate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The scales that marginal likelihood chooses: for each knob how much it matters next to
 * what it does not change, and how far along it values stay alike; and the noise. */
struct scales {
    double effect[WS_KNOBS_MAX];
    double reach[WS_KNOBS_MAX]; /* in lengths of the knob; ordered knobs only */
    double noise;               /* variance, next to 1 for the whole */
};
static const double effects[] = {0.01, 0.03, 0.1, 0.3, 1, 3, 10};
static const double reaches[] = {0.1, 0.3, 1, 3};
static const double noises[] = {1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1};

/* What is likely before any trial: log-normal, its middle and its spread. */
static const double effect_middle = 0.4;
static const double effect_spread = 1.5;
static const double noise_middle = 1e-3;
static const double noise_spread = 2.5;

/* The effect of a knob that belongs to another part. */
static const double foreign_effect = 0.005;

/* Inverse-gamma prior of the overall variance: as if this many observations had shown
 * this variance (of logarithms: a factor of two or so). */
static const double prior_count = 2;
static const double prior_variance = 0.5;

struct surrogate_knob {
    double *position; /* [value_count] */
    int ordered;
    int shared;
    int own;
};

struct ws_surrogate {
    const struct ws_space *space;
    struct surrogate_knob knobs[WS_KNOBS_MAX];
    struct scales scales;
    struct ws_setting *settings; /* [WS_SURROGATE_TRIALS_MAX], likewise below */
    double *factor;              /* lower Cholesky factor, row by row */
    double *weights;             /* K^-1 (y - mean) */
    double *scratch;
    double mean;
    double variance; /* overall */
    double likelihood;
    size_t count;
};

double ws_knob_position(const struct ws_knob *knob, size_t value)
{
    double first = 0;
    double last = 0;
    double here = 0;
    int numbers = 1;
    int positive = 1;
    for (size_t v = 0; v < knob->value_count; v++) {
        numbers &= knob->values[v].number_count == 1;
        positive &= numbers && knob->values[v].numbers[0] > 0;
    }
    if (knob->value_count < 2)
        return 0;
    if (knob->kind == WS_KIND_ORDERED && numbers) {
        first = knob->values[0].numbers[0];
        last = knob->values[knob->value_count - 1].numbers[0];
        here = knob->values[value].numbers[0];
        if (positive) {
            first = log(first);
            last = log(last);
            here = log(here);
        }
        double position = (here - first) / (last - first);
        if (isfinite(position) && position >= 0 && position <= 1)
            return position;
    }
    return (double)value / (double)(knob->value_count - 1);
}

int ws_surrogate_create(struct ws_surrogate **out, const struct ws_space *space,
                        enum ws_part part, struct ws_error *err)
{
    const size_t most = WS_SURROGATE_TRIALS_MAX;
    struct ws_surrogate *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return ws_error_nomem(err);
    s->space = space;
    s->scales.noise = noise_middle;
    s->settings = malloc(most * sizeof(*s->settings));
    s->factor = malloc(most * most * sizeof(*s->factor));
    s->weights = malloc(most * sizeof(*s->weights));
    s->scratch = malloc(most * sizeof(*s->scratch));
    int failed = s->settings == NULL || s->factor == NULL || s->weights == NULL ||
                 s->scratch == NULL;
    for (size_t k = 0; !failed && k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        s->knobs[k].ordered = knob->kind == WS_KIND_ORDERED;
        s->knobs[k].own =
            part == WS_PART_SHARED || knob->part == WS_PART_SHARED || knob->part == part;
        s->scales.effect[k] = s->knobs[k].own ? effect_middle : foreign_effect;
        s->scales.reach[k] = 1;
        s->knobs[k].position = malloc(knob->value_count * sizeof(double));
        failed = s->knobs[k].position == NULL;
        for (size_t v = 0; !failed && v < knob->value_count; v++)
            s->knobs[k].position[v] = ws_knob_position(knob, v);
    }
    if (failed) {
        ws_surrogate_destroy(s);
        return ws_error_nomem(err);
    }
    *out = s;
    return 0;
}

void ws_surrogate_destroy(struct ws_surrogate *surrogate)
{
    if (surrogate == NULL)
        return;
    for (size_t k = 0; k < surrogate->space->knob_count; k++)
        free(surrogate->knobs[k].position);
    free(surrogate->settings);
    free(surrogate->factor);
    free(surrogate->weights);
    free(surrogate->scratch);
    free(surrogate);
}

/* Covariance of two settings without noise, for an overall variance of 1: a product over
 * the knobs of "what it does not change" plus "what it does". Multiplied out, that is a
 * level, an effect of every knob, and of every group of knobs together, each as large as
 * the effects of its members make it. */
static double kernel(const struct ws_surrogate *s, const struct scales *scales,
                     const struct ws_setting *a, const struct ws_setting *b)
{
    double product = 1;
    for (size_t k = 0; k < s->space->knob_count; k++) {
        const struct surrogate_knob *knob = &s->knobs[k];
        double effect = scales->effect[k];
        double alike = a->value[k] == b->value[k];
        if (knob->ordered) {
            double x = knob->position[a->value[k]];
            double y = knob->position[b->value[k]];
            double far = fabs(x - y) / scales->reach[k];
            double trend = (2 * x - 1) * (2 * y - 1);
            /* Half of it a straight trend. The rest may bend: smoothly for a knob of one
             * part (Matern 3/2), and for a shared one with kinks and cliffs, since there
             * work moves from part to part. */
            if (knob->shared)
                alike = 0.5 * trend + 0.45 * exp(-far) + 0.05 * alike;
            else
                alike = 0.5 * trend + 0.5 * (1 + sqrt(3) * far) * exp(-sqrt(3) * far);
        }
        product *= (1 + effect * alike) / (1 + effect);
    }
    return product;
}

/* Cholesky factor of K + noise into s->factor. 0 if K is not positive definite. */
static int factorise(struct ws_surrogate *s, const struct scales *scales)
{
    size_t n = s->count;
    double *l = s->factor;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = kernel(s, scales, &s->settings[i], &s->settings[j]);
            if (i == j)
                sum += scales->noise;
            for (size_t k = 0; k < j; k++)
                sum -= l[i * n + k] * l[j * n + k];
            if (i != j)
                l[i * n + j] = sum / l[j * n + j];
            else if (sum > 0)
                l[i * n + i] = sqrt(sum);
            else
                return 0;
        }
    }
    return 1;
}

/* Solves L x = b in place. */
static void forward(const struct ws_surrogate *s, double *x)
{
    size_t n = s->count;
    for (size_t i = 0; i < n; i++) {
        double sum = x[i];
        for (size_t k = 0; k < i; k++)
            sum -= s->factor[i * n + k] * x[k];
        x[i] = sum / s->factor[i * n + i];
    }
}

/* Solves L^T x = b in place. */
static void backward(const struct ws_surrogate *s, double *x)
{
    size_t n = s->count;
    for (size_t i = n; i-- > 0;) {
        double sum = x[i];
        for (size_t k = i + 1; k < n; k++)
            sum -= s->factor[k * n + i] * x[k];
        x[i] = sum / s->factor[i * n + i];
    }
}

/* Fits with the given scales; returns the logarithm of the marginal likelihood, up to a
 * constant, with the overall variance integrated at its most likely value. */
static double fit_with(struct ws_surrogate *s, const struct scales *scales,
                       const double *y)
{
    size_t n = s->count;
    if (!factorise(s, scales))
        return -INFINITY;
    double squares = 0;
    double log_determinant = 0;
    for (size_t i = 0; i < n; i++)
        s->weights[i] = y[i] - s->mean;
    forward(s, s->weights);
    for (size_t i = 0; i < n; i++) {
        squares += s->weights[i] * s->weights[i];
        log_determinant += 2 * log(s->factor[i * n + i]);
    }
    backward(s, s->weights);
    double count = (double)n + prior_count;
    s->variance = (squares + prior_count * prior_variance) / count;
    return -0.5 * (count * log(s->variance) + log_determinant);
}

static double log_normal(double x, double middle, double spread)
{
    double z = log(x / middle) / spread;
    return -0.5 * z * z;
}

/* Marginal likelihood and prior of the scales. */
static double score(struct ws_surrogate *s, const struct scales *scales, const double *y)
{
    double sum =
        fit_with(s, scales, y) + log_normal(scales->noise, noise_middle, noise_spread);
    for (size_t k = 0; k < s->space->knob_count; k++) {
        if (s->knobs[k].own)
            sum += log_normal(scales->effect[k], effect_middle, effect_spread);
    }
    return sum;
}

/* Puts the best of the choices into *scale, which lies inside `scales`. */
static void choose(struct ws_surrogate *s, struct scales *scales, double *scale,
                   const double *choices, size_t count, const double *y, double *best)
{
    double kept = *scale;
    for (size_t i = 0; i < count; i++) {
        if (choices[i] == kept)
            continue;
        *scale = choices[i];
        double here = score(s, scales, y);
        if (here > *best) {
            *best = here;
            kept = choices[i];
        }
    }
    *scale = kept;
}

/* One scale after the other, twice over, from where the last fit ended. */
static void tune_scales(struct ws_surrogate *s, const double *y)
{
    struct scales scales = s->scales;
    double best = score(s, &scales, y);
    for (int sweep = 0; sweep < 2; sweep++) {
        for (size_t k = 0; k < s->space->knob_count; k++) {
            if (!s->knobs[k].own || s->space->knobs[k].value_count < 2)
                continue;
            choose(s, &scales, &scales.effect[k], effects,
                   sizeof(effects) / sizeof(effects[0]), y, &best);
            if (s->knobs[k].ordered)
                choose(s, &scales, &scales.reach[k], reaches,
                       sizeof(reaches) / sizeof(reaches[0]), y, &best);
        }
        choose(s, &scales, &scales.noise, noises, sizeof(noises) / sizeof(noises[0]), y,
               &best);
    }
    s->scales = scales;
}

int ws_surrogate_fit(struct ws_surrogate *surrogate, const struct ws_setting *settings,
                     const double *y, size_t count, int tune, struct ws_error *err)
{
    struct ws_surrogate *s = surrogate;
    s->count = count;
    s->mean = 0;
    memcpy(s->settings, settings, count * sizeof(*settings));
    for (size_t i = 0; i < count; i++)
        s->mean += y[i] / (double)count;
    if (tune)
        tune_scales(s, y);
    s->likelihood = score(s, &s->scales, y);
    if (!isfinite(s->likelihood))
        return ws_error_set(err, WS_E_FORMAT, "the trials cannot be fitted");
    return 0;
}

double ws_surrogate_noise(const struct ws_surrogate *surrogate)
{
    return surrogate->scales.noise * surrogate->variance;
}

double ws_surrogate_likelihood(const struct ws_surrogate *surrogate)
{
    return surrogate->likelihood;
}

void ws_surrogate_predict(double *out_mean, double *out_variance,
                          const struct ws_surrogate *surrogate,
                          const struct ws_setting *setting)
{
    const struct ws_surrogate *s = surrogate;
    double mean = s->mean;
    for (size_t i = 0; i < s->count; i++) {
        s->scratch[i] = kernel(s, &s->scales, setting, &s->settings[i]);
        mean += s->scratch[i] * s->weights[i];
    }
    forward(s, s->scratch);
    double variance = kernel(s, &s->scales, setting, setting) + s->scales.noise;
    for (size_t i = 0; i < s->count; i++)
        variance -= s->scratch[i] * s->scratch[i];
    *out_mean = mean;
    *out_variance =
        (variance > s->scales.noise ? variance : s->scales.noise) * s->variance;
}
