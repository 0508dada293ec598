#include "policy/nn.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* On a border of 64 bytes, so that a row never straddles two lines; zeroed. */
static float *floats(size_t count)
{
    size_t size = (count * sizeof(float) + 63) / 64 * 64;
    float *made = aligned_alloc(64, size == 0 ? 64 : size);
    if (made != NULL)
        memset(made, 0, size);
    return made;
}

static int lay_out(struct ws_nn *nn, const size_t *widths, struct ws_error *err)
{
    for (size_t l = 0; l < nn->layer_count; l++) {
        struct ws_nn_layer *layer = &nn->layers[l];
        if (widths[l] < 1 || widths[l + 1] < 1 || widths[l] > WS_NN_WIDTH_MAX ||
            widths[l + 1] > WS_NN_WIDTH_MAX)
            return ws_error_set(err, WS_E_LIMIT, "a layer of %zu by %zu: 1 to %d can be",
                                widths[l], widths[l + 1], WS_NN_WIDTH_MAX);
        *layer = (struct ws_nn_layer){.in = widths[l],
                                      .out = widths[l + 1],
                                      .in_pad = ws_gemm_pad(widths[l]),
                                      .out_pad = ws_gemm_pad(widths[l + 1]),
                                      .weight = nn->param_count};
        layer->bias = layer->weight + layer->in * layer->out_pad;
        nn->param_count = layer->bias + layer->out_pad;
    }
    return 0;
}

static int allocate(struct ws_nn *nn, struct ws_error *err)
{
    size_t widest = 0, largest = 0;
    int complete = 1;
    for (size_t l = 0; l < nn->layer_count; l++) {
        const struct ws_nn_layer *layer = &nn->layers[l];
        nn->output[l] = floats(nn->batch_max * layer->out_pad);
        complete &= nn->output[l] != NULL;
        widest = layer->in_pad > widest ? layer->in_pad : widest;
        size_t size = layer->out * layer->in_pad;
        largest = size > largest ? size : largest;
    }
    nn->params = floats(nn->param_count);
    nn->gradient = floats(nn->param_count);
    nn->mean = floats(nn->param_count);
    nn->square = floats(nn->param_count);
    nn->input = floats(nn->batch_max * nn->layers[0].in_pad);
    nn->back[0] = floats(nn->batch_max * widest);
    nn->back[1] = floats(nn->batch_max * widest);
    nn->turned = floats(largest);
    if (!complete || nn->params == NULL || nn->gradient == NULL || nn->mean == NULL ||
        nn->square == NULL || nn->input == NULL || nn->back[0] == NULL ||
        nn->back[1] == NULL || nn->turned == NULL)
        return ws_error_nomem(err);
    return 0;
}

static void draw(struct ws_nn *nn, uint64_t seed)
{
    struct ws_rng rng;
    ws_rng_init(&rng, seed);
    for (size_t l = 0; l < nn->layer_count; l++) {
        const struct ws_nn_layer *layer = &nn->layers[l];
        float *weight = nn->params + layer->weight;
        double bound = sqrt(6 / (double)layer->in);
        for (size_t i = 0; i < layer->in; i++) {
            for (size_t o = 0; o < layer->out; o++)
                weight[i * layer->out_pad + o] =
                    (float)(bound * (2 * ws_rng_uniform(&rng) - 1));
        }
    }
}

int ws_nn_create(struct ws_nn **out, const size_t *widths, size_t layer_count,
                 size_t batch_max, uint64_t seed, const struct ws_kernels *kernels,
                 struct ws_error *err)
{
    if (layer_count < 1 || layer_count > WS_NN_LAYERS_MAX || batch_max < 1 ||
        batch_max > WS_NN_BATCH_MAX)
        return ws_error_set(err, WS_E_LIMIT,
                            "%zu layers for batches of %zu: 1 to %d and 1 to %d can be",
                            layer_count, batch_max, WS_NN_LAYERS_MAX, WS_NN_BATCH_MAX);
    struct ws_nn *nn = calloc(1, sizeof(*nn));
    if (nn == NULL)
        return ws_error_nomem(err);
    nn->kernels = kernels == NULL ? ws_kernels_best() : kernels;
    nn->layer_count = layer_count;
    nn->batch_max = batch_max;
    int rc = lay_out(nn, widths, err);
    if (rc == 0)
        rc = allocate(nn, err);
    if (rc != 0) {
        ws_nn_destroy(nn);
        return rc;
    }
    draw(nn, seed);
    *out = nn;
    return 0;
}

void ws_nn_destroy(struct ws_nn *nn)
{
    if (nn == NULL)
        return;
    for (size_t l = 0; l < nn->layer_count; l++)
        free(nn->output[l]);
    free(nn->params);
    free(nn->gradient);
    free(nn->mean);
    free(nn->square);
    free(nn->input);
    free(nn->back[0]);
    free(nn->back[1]);
    free(nn->turned);
    free(nn);
}

const float *ws_nn_forward(struct ws_nn *nn, size_t batch)
{
    assert(batch <= nn->batch_max);
    const float *x = nn->input;
    for (size_t l = 0; l < nn->layer_count; l++) {
        const struct ws_nn_layer *layer = &nn->layers[l];
        const float *bias = nn->params + layer->bias;
        float *y = nn->output[l];
        for (size_t i = 0; i < batch; i++)
            memcpy(y + i * layer->out_pad, bias, layer->out_pad * sizeof(*y));
        nn->kernels->multiply(y, layer->out_pad, x, layer->in_pad, 1,
                              nn->params + layer->weight, layer->out_pad, batch,
                              layer->out_pad, layer->in, 1);
        for (size_t i = 0; l + 1 < nn->layer_count && i < batch * layer->out_pad; i++)
            y[i] = y[i] > 0 ? y[i] : 0;
        x = y;
    }
    return x;
}

/* The gradient of a layer's own parameters. */
static void gradient_of(struct ws_nn *nn, const struct ws_nn_layer *layer, const float *x,
                        const float *dy, size_t batch)
{
    float *bias = nn->gradient + layer->bias;
    nn->kernels->multiply(nn->gradient + layer->weight, layer->out_pad, x, 1,
                          layer->in_pad, dy, layer->out_pad, layer->in, layer->out_pad,
                          batch, 0);
    memset(bias, 0, layer->out_pad * sizeof(*bias));
    for (size_t i = 0; i < batch; i++) {
        for (size_t o = 0; o < layer->out_pad; o++)
            bias[o] += dy[i * layer->out_pad + o];
    }
}

/* dx = dy W', where the ReLU that made x let it pass. */
static void carry_back(struct ws_nn *nn, float *dx, const struct ws_nn_layer *layer,
                       const float *x, const float *dy, size_t batch)
{
    const float *weight = nn->params + layer->weight;
    for (size_t i = 0; i < layer->in; i++) {
        for (size_t o = 0; o < layer->out; o++)
            nn->turned[o * layer->in_pad + i] = weight[i * layer->out_pad + o];
    }
    for (size_t o = 0; o < layer->out; o++) {
        for (size_t i = layer->in; i < layer->in_pad; i++)
            nn->turned[o * layer->in_pad + i] = 0;
    }
    nn->kernels->multiply(dx, layer->in_pad, dy, layer->out_pad, 1, nn->turned,
                          layer->in_pad, batch, layer->in_pad, layer->out, 0);
    for (size_t i = 0; i < batch * layer->in_pad; i++)
        dx[i] = x[i] > 0 ? dx[i] : 0;
}

void ws_nn_backward(struct ws_nn *nn, const float *output_gradient, size_t batch)
{
    const float *dy = output_gradient;
    for (size_t l = nn->layer_count; l-- > 0;) {
        const struct ws_nn_layer *layer = &nn->layers[l];
        const float *x = l == 0 ? nn->input : nn->output[l - 1];
        gradient_of(nn, layer, x, dy, batch);
        if (l == 0)
            break;
        float *dx = nn->back[l % 2];
        carry_back(nn, dx, layer, x, dy, batch);
        dy = dx;
    }
}

void ws_nn_adam(struct ws_nn *nn, float learning_rate)
{
    const double beta1 = 0.9, beta2 = 0.999;
    nn->step_count++;
    double steps = (double)nn->step_count;
    struct ws_adam step = {
        .beta1 = (float)beta1,
        .beta2 = (float)beta2,
        .epsilon = 1e-8f,
        .step_size = (float)((double)learning_rate / (1 - pow(beta1, steps))),
        .second_scale = (float)(1 / sqrt(1 - pow(beta2, steps))),
    };
    nn->kernels->adam(nn->params, nn->mean, nn->square, nn->gradient, nn->param_count,
                      &step);
}

void ws_nn_copy(struct ws_nn *to, const struct ws_nn *from, int all)
{
    size_t size = from->param_count * sizeof(*from->params);
    assert(to->param_count == from->param_count);
    memcpy(to->params, from->params, size);
    if (!all)
        return;
    memcpy(to->mean, from->mean, size);
    memcpy(to->square, from->square, size);
    to->step_count = from->step_count;
}

void ws_nn_follow(struct ws_nn *to, const struct ws_nn *from, float rate)
{
    assert(to->param_count == from->param_count);
    for (size_t i = 0; i < from->param_count; i++)
        to->params[i] += rate * (from->params[i] - to->params[i]);
}
