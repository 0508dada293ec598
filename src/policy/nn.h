/*
 * A multi-layer perceptron: linear layers with ReLU between, single floats, one thread.
 * Parameters lie in one block, each layer's weights as [in][padded out] and then its
 * biases [padded out]; what pads is zero and stays zero. Gradients are averaged by who
 * calls (they are sums over the batch of what is handed in). The same seed, build and
 * machine give the same weights bit for bit. Not thread-safe; `forward` writes into the
 * network's own buffers.
 */
#ifndef WS_POLICY_NN_H
#define WS_POLICY_NN_H

#include <stdint.h>

#include "base/error.h"
#include "policy/gemm.h"

enum { WS_NN_LAYERS_MAX = 8, WS_NN_WIDTH_MAX = 8192, WS_NN_BATCH_MAX = 4096 };

struct ws_nn_layer {
    size_t in, out;
    size_t in_pad, out_pad;
    size_t weight, bias; /* offsets into params */
};

struct ws_nn {
    const struct ws_kernels *kernels;
    struct ws_nn_layer layers[WS_NN_LAYERS_MAX];
    size_t layer_count;
    size_t param_count; /* padding included */
    size_t batch_max;
    float *params, *gradient, *mean, *square; /* [param_count] */
    uint64_t step_count;                      /* of Adam */
    float *input;                             /* [batch_max][layers[0].in_pad] */
    float *output[WS_NN_LAYERS_MAX];          /* [batch_max][out_pad], after ReLU */
    float *back[2];                           /* [batch_max][widest], gradients */
    float *turned;                            /* a layer's weights as [out][in_pad] */
};

/* `widths` has layer_count + 1 entries: inputs, ..., outputs. Weights are He's uniform
 * (2015) from the seed, biases 0. kernels NULL: the best of this machine. WS_E_LIMIT. */
int ws_nn_create(struct ws_nn **out, const size_t *widths, size_t layer_count,
                 size_t batch_max, uint64_t seed, const struct ws_kernels *kernels,
                 struct ws_error *err);
void ws_nn_destroy(struct ws_nn *nn);

/* Where row `i` of the input goes: [in], then zeros. */
static inline float *ws_nn_input(struct ws_nn *nn, size_t i)
{
    return nn->input + i * nn->layers[0].in_pad;
}

/* Outputs of `batch` rows of the input, [batch][out_pad of the last layer]; they live
 * until the next call. */
const float *ws_nn_forward(struct ws_nn *nn, size_t batch);
/* The gradient of the parameters, from that of the outputs of the last forward,
 * [batch][out_pad], zeros in what pads. */
void ws_nn_backward(struct ws_nn *nn, const float *output_gradient, size_t batch);
/* One step of Adam with PyTorch's defaults for the rest. */
void ws_nn_adam(struct ws_nn *nn, float learning_rate);
/* Parameters of a network of the same shape, Adam's state included where `all`. */
void ws_nn_copy(struct ws_nn *to, const struct ws_nn *from, int all);
/* to += rate * (from - to), of the parameters. */
void ws_nn_follow(struct ws_nn *to, const struct ws_nn *from, float rate);

#endif
