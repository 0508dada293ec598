#include "policy/live_layer.h"

#include <math.h>
#include <string.h>

/* How far a weight may be off at first, how exact a reward is, and how fast doubt comes
 * back: the share of the first doubt per request. */
static const double prior_sd = 0.03, noise_sd = 0.1, wander = 1e-4;

void ws_live_layer_init(struct ws_live_layer *out, const struct ws_space *space,
                        size_t pivot)
{
    *out = (struct ws_live_layer){.space = space, .pivot = pivot};
    for (size_t k = 0; k < space->knob_count; k++) {
        if (space->knobs[k].value_count > 1 && out->knob_count < WS_LIVE_KNOBS_MAX)
            out->knobs[out->knob_count++] = k;
    }
    out->term_count = WS_LIVE_COMMON + out->knob_count * WS_LIVE_PER_KNOB;
    for (size_t i = 0; i < out->term_count; i++)
        out->spread[i][i] = prior_sd * prior_sd;
}

/* Where a value lies among its knob's, -1 to 1. */
static double place(const struct ws_live_layer *layer, size_t knob, size_t value)
{
    size_t count = layer->space->knobs[knob].value_count;
    return count < 2 ? 0 : 2 * (double)value / (double)(count - 1) - 1;
}

struct context {
    double rate, heat, pivot;
};

static struct context context_of(const struct ws_live_layer *layer,
                                 const struct ws_view *view, size_t pivot_value)
{
    return (struct context){
        .rate = log(fmax(view->link_mbit_s, 0.01)) / 2 - 1,
        .heat = fmin(fmax((view->temperature_c - 50) / 20, -2), 2),
        .pivot =
            layer->pivot == WS_NO_PIVOT ? 0 : place(layer, layer->pivot, pivot_value),
    };
}

static void knob_terms(double *out, double x, const struct context *c)
{
    out[0] = x;
    out[1] = x * x;
    out[2] = x * c->rate;
    out[3] = x * c->heat;
    out[4] = x * c->pivot;
}

static void terms_of(double *out, const struct ws_live_layer *layer,
                     const struct ws_view *view, const struct ws_setting *setting)
{
    size_t pivot_value = layer->pivot == WS_NO_PIVOT ? 0 : setting->value[layer->pivot];
    struct context c = context_of(layer, view, pivot_value);
    const double common[WS_LIVE_COMMON] = {1, c.rate, c.heat, c.rate * c.rate};
    memcpy(out, common, sizeof(common));
    for (size_t i = 0; i < layer->knob_count; i++) {
        size_t k = layer->knobs[i];
        /* The pivot with itself would be its square twice. */
        double x = place(layer, k, setting->value[k]);
        knob_terms(out + WS_LIVE_COMMON + i * WS_LIVE_PER_KNOB, x, &c);
        if (k == layer->pivot)
            out[WS_LIVE_COMMON + i * WS_LIVE_PER_KNOB + 4] = x * c.rate * c.rate;
    }
}

double ws_live_layer_value(const struct ws_live_layer *layer, const struct ws_view *view,
                           const struct ws_setting *setting)
{
    double terms[WS_LIVE_TERMS_MAX], sum = 0;
    terms_of(terms, layer, view, setting);
    for (size_t i = 0; i < layer->term_count; i++)
        sum += layer->weight[i] * terms[i];
    return sum;
}

/* A Kalman filter whose weights may wander: the spread grows a little at each request,
 * up to what it was at first. */
void ws_live_layer_learn(struct ws_live_layer *layer, const struct ws_view *view,
                         const struct ws_setting *setting, double error)
{
    double terms[WS_LIVE_TERMS_MAX], pull[WS_LIVE_TERMS_MAX];
    double expected = 0, variance = noise_sd * noise_sd;
    size_t n = layer->term_count;
    terms_of(terms, layer, view, setting);
    for (size_t i = 0; i < n; i++) {
        pull[i] = 0;
        for (size_t j = 0; j < n; j++)
            pull[i] += layer->spread[i][j] * terms[j];
        expected += layer->weight[i] * terms[i];
    }
    for (size_t i = 0; i < n; i++)
        variance += pull[i] * terms[i];
    double surprise = fmin(fmax(error, -3), 3) - expected;
    for (size_t i = 0; i < n; i++) {
        layer->weight[i] += pull[i] / variance * surprise;
        for (size_t j = 0; j < n; j++)
            layer->spread[i][j] -= pull[i] * pull[j] / variance;
    }
    for (size_t i = 0; i < n; i++)
        layer->spread[i][i] += (prior_sd * prior_sd - layer->spread[i][i]) * wander;
}

void ws_live_layer_bonus(float *pivot_bonus, float *bonus,
                         const struct ws_live_layer *layer, const struct ws_view *view)
{
    size_t rows =
        layer->pivot == WS_NO_PIVOT ? 1 : layer->space->knobs[layer->pivot].value_count;
    for (size_t p = 0; p < rows; p++) {
        struct context c = context_of(layer, view, p);
        if (layer->pivot != WS_NO_PIVOT)
            pivot_bonus[p] = 0;
        for (size_t k = 0, i = 0; k < layer->space->knob_count; k++) {
            int corrected = i < layer->knob_count && layer->knobs[i] == k;
            const double *w = layer->weight + WS_LIVE_COMMON + i * WS_LIVE_PER_KNOB;
            i += corrected != 0;
            for (size_t v = 0; v < layer->space->knobs[k].value_count; v++) {
                double terms[WS_LIVE_PER_KNOB], sum = 0, x = place(layer, k, v);
                if (k == layer->pivot && v != p)
                    continue;
                knob_terms(terms, x, &c);
                if (k == layer->pivot)
                    terms[4] = x * c.rate * c.rate;
                for (size_t t = 0; corrected && t < WS_LIVE_PER_KNOB; t++)
                    sum += w[t] * terms[t];
                if (k == layer->pivot)
                    pivot_bonus[p] = (float)sum;
                else
                    *bonus++ = (float)sum;
            }
        }
    }
}
