#include "onnx/zoo_weights.h"

#include <math.h>
#include <stdlib.h>

int ws_zoo_weights_add(struct ws_zoo_weights *weights, const struct ws_zoo_recipe *recipe,
                       struct ws_error *err)
{
    struct ws_zoo_recipe *recipes =
        realloc(weights->recipes, (weights->count + 1) * sizeof(*recipes));
    if (recipes == NULL)
        return ws_error_nomem(err);
    recipes[weights->count++] = *recipe;
    weights->recipes = recipes;
    return 0;
}

void ws_zoo_weights_fini(struct ws_zoo_weights *weights)
{
    free(weights->recipes);
    *weights = (struct ws_zoo_weights){0};
}

/* Uniform in center +- bound. The sum is a statement of its own: a compiler may fuse a
 * product and a sum within one expression, which rounds differently. */
static double draw(struct ws_rng *rng, double center, double bound)
{
    double offset = bound * (2 * ws_rng_uniform(rng) - 1);
    return center + offset;
}

/* One channel of a batch normalisation, as it might be after training. */
struct norm {
    double gamma, beta, mean, variance;
};

static struct norm draw_norm(struct ws_rng *rng, double gain)
{
    /* In this order, whichever of them is wanted. Rounded to what the file can hold, so
     * that folding starts from the values that are kept otherwise. */
    struct norm norm;
    norm.gamma = (float)(gain * draw(rng, 1, 0.2));
    norm.beta = (float)draw(rng, 0, 0.1);
    norm.mean = (float)draw(rng, 0, 0.1);
    norm.variance = (float)draw(rng, 1, 0.2);
    return norm;
}

static double norm_scale(const struct norm *norm)
{
    return norm->gamma / sqrt(norm->variance + (double)WS_ZOO_NORM_EPSILON);
}

static double norm_value(enum ws_zoo_recipe_kind kind, const struct norm *norm)
{
    switch (kind) {
    case WS_ZOO_GAMMA:
        return norm->gamma;
    case WS_ZOO_BETA:
        return norm->beta;
    case WS_ZOO_MEAN:
        return norm->mean;
    case WS_ZOO_VARIANCE:
        return norm->variance;
    default: {
        double shift = norm->mean * norm_scale(norm);
        return norm->beta - shift;
    }
    }
}

/* Value number `index` of the recipe; values are asked for in order. */
static double next_value(struct ws_zoo_weights *w, const struct ws_zoo_recipe *recipe,
                         uint64_t index)
{
    if (recipe->kind == WS_ZOO_UNIFORM)
        return draw(&w->rng, recipe->center, recipe->bound);
    if (recipe->kind != WS_ZOO_FOLDED_CONV) {
        struct norm norm = draw_norm(&w->norm_rng, recipe->norm_gain);
        return norm_value(recipe->kind, &norm);
    }
    if (index % recipe->channel_size == 0) {
        struct norm norm = draw_norm(&w->norm_rng, recipe->norm_gain);
        w->channel_scale = norm_scale(&norm);
    }
    return draw(&w->rng, 0, recipe->bound) * w->channel_scale;
}

int ws_zoo_weights_fill(void *user, const char *name, uint64_t from, void *out,
                        size_t size, struct ws_error *err)
{
    struct ws_zoo_weights *w = user;
    float *values = out;
    if (from == 0 && w->at == w->count)
        return ws_error_set(err, WS_E_MISMATCH, "no recipe for weight %s", name);
    if (from == 0) {
        const struct ws_zoo_recipe *recipe = &w->recipes[w->at++];
        ws_rng_init_stream(&w->rng, w->seed, recipe->stream);
        ws_rng_init_stream(&w->norm_rng, w->seed, recipe->norm_stream);
    }
    const struct ws_zoo_recipe *recipe = &w->recipes[w->at - 1];
    uint64_t first = from / sizeof(*values);
    for (size_t i = 0; i < size / sizeof(*values); i++)
        values[i] = (float)next_value(w, recipe, first + i);
    return 0;
}
