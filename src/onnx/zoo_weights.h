/*
 * Weights of the zoo, for this room alone: a list of recipes, one for each weight left
 * for later, in order, and the function that follows them while the file is written.
 * Every weight draws from a stream of its own, so that a layer's values do not depend on
 * the others'; a batch normalisation has one stream, whether it is folded or kept, so
 * both forms of a model compute the same. Only correctly rounded operations are used:
 * the bytes are the same on every machine.
 */
#ifndef WS_ONNX_ZOO_WEIGHTS_H
#define WS_ONNX_ZOO_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rng.h"

enum ws_zoo_recipe_kind {
    WS_ZOO_UNIFORM,     /* center +- bound */
    WS_ZOO_FOLDED_CONV, /* +- bound, times the channel's gamma / sqrt(variance + eps) */
    WS_ZOO_FOLDED_BIAS, /* beta - mean * gamma / sqrt(variance + eps) */
    WS_ZOO_GAMMA,
    WS_ZOO_BETA,
    WS_ZOO_MEAN,
    WS_ZOO_VARIANCE,
};

struct ws_zoo_recipe {
    enum ws_zoo_recipe_kind kind;
    uint64_t stream;      /* of the values */
    uint64_t norm_stream; /* of the batch normalisation */
    double center, bound;
    double norm_gain;
    uint64_t channel_size; /* values of one output channel */
};

struct ws_zoo_weights {
    uint64_t seed;
    struct ws_zoo_recipe *recipes;
    size_t count;
    /* Where filling stands. */
    size_t at;
    struct ws_rng rng, norm_rng;
    double channel_scale;
};

/* The epsilon of PyTorch's batch normalisation. */
#define WS_ZOO_NORM_EPSILON 1e-5f

/* Appends a recipe. */
int ws_zoo_weights_add(struct ws_zoo_weights *weights, const struct ws_zoo_recipe *recipe,
                       struct ws_error *err);
void ws_zoo_weights_fini(struct ws_zoo_weights *weights);

/* A ws_weight_fill; user is a struct ws_zoo_weights. */
int ws_zoo_weights_fill(void *user, const char *name, uint64_t from, void *out,
                        size_t size, struct ws_error *err);

#endif
