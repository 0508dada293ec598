/*
 * Layers of the zoo's networks, for this room alone: each appends its nodes, announces
 * its weights, declares its result's shape and counts its work. Tensors are passed by
 * value and named after the layer, as PyTorch's exporter does. Failures are kept by the
 * builder (onnx/build.h), so nothing here returns a code. Channels come second (NCHW).
 */
#ifndef WS_ONNX_ZOO_LAYERS_H
#define WS_ONNX_ZOO_LAYERS_H

#include "onnx/build.h"
#include "onnx/zoo.h"
#include "onnx/zoo_weights.h"

enum { WS_ZOO_RANK_MAX = 5, WS_ZOO_CLASSES = 1000, WS_ZOO_IMAGE = 224 };

struct ws_zoo {
    struct ws_builder *builder;
    struct ws_zoo_weights weights;
    struct ws_zoo_options options;
    struct ws_zoo_facts facts;
    uint64_t stream_count; /* random streams given out */
    int rc;                /* first failure to note a recipe */
};

/* A float tensor of the graph. */
struct ws_zoo_tensor {
    const char *name;
    size_t rank;
    int64_t dims[WS_ZOO_RANK_MAX];
};

/* The images, [batch, 3, 224, 224]. */
struct ws_zoo_tensor ws_zoo_input(struct ws_zoo *zoo);

struct ws_zoo_conv {
    int64_t channels; /* of the result */
    int64_t kernel, stride, padding;
    int64_t groups;   /* 0: one */
    double gain;      /* variance of the result over that of the input's square */
    const char *norm; /* name of the batch normalisation behind it, or NULL: a bias */
    double norm_gain; /* its scale; less than 1 on residual branches */
};

struct ws_zoo_tensor ws_zoo_conv(struct ws_zoo *zoo, const char *name,
                                 struct ws_zoo_tensor x, const struct ws_zoo_conv *conv);
struct ws_zoo_tensor ws_zoo_relu(struct ws_zoo *zoo, const char *name,
                                 struct ws_zoo_tensor x);
struct ws_zoo_tensor ws_zoo_relu6(struct ws_zoo *zoo, const char *name,
                                  struct ws_zoo_tensor x);
struct ws_zoo_tensor ws_zoo_max_pool(struct ws_zoo *zoo, const char *name,
                                     struct ws_zoo_tensor x, int64_t kernel,
                                     int64_t stride, int64_t padding);
/* [N, C, H, W] -> [N, C, 1, 1] */
struct ws_zoo_tensor ws_zoo_average(struct ws_zoo *zoo, const char *name,
                                    struct ws_zoo_tensor x);
/* [N, ...] -> [N, the rest] */
struct ws_zoo_tensor ws_zoo_flatten(struct ws_zoo *zoo, const char *name,
                                    struct ws_zoo_tensor x);
/* Same shapes, or one that broadcasts to x. */
struct ws_zoo_tensor ws_zoo_add(struct ws_zoo *zoo, const char *name,
                                struct ws_zoo_tensor x, const char *y);

/* Fully connected, [N, in] -> [N, out], weight [out, in] and bias. */
struct ws_zoo_tensor ws_zoo_gemm(struct ws_zoo *zoo, const char *name,
                                 struct ws_zoo_tensor x, int64_t out, double gain);
/* The last one, to the classes: what the model gives, named "output". */
void ws_zoo_classify(struct ws_zoo *zoo, const char *name, struct ws_zoo_tensor x);
/* The same over the last axis of any tensor: MatMul by [in, out], then Add. */
struct ws_zoo_tensor ws_zoo_linear(struct ws_zoo *zoo, const char *name,
                                   struct ws_zoo_tensor x, int64_t out, double gain);
/* Over the last axis, eps 1e-6. */
struct ws_zoo_tensor ws_zoo_layer_norm(struct ws_zoo *zoo, const char *name,
                                       struct ws_zoo_tensor x);
struct ws_zoo_tensor ws_zoo_softmax(struct ws_zoo *zoo, const char *name,
                                    struct ws_zoo_tensor x);
/* x / 2 * (1 + erf(x / sqrt 2)) */
struct ws_zoo_tensor ws_zoo_gelu(struct ws_zoo *zoo, const char *name,
                                 struct ws_zoo_tensor x);
/* x * a constant */
struct ws_zoo_tensor ws_zoo_scale(struct ws_zoo *zoo, const char *name,
                                  struct ws_zoo_tensor x, float factor);
/* [..., m, k] x [..., k, n] */
struct ws_zoo_tensor ws_zoo_matmul(struct ws_zoo *zoo, const char *name,
                                   struct ws_zoo_tensor x, struct ws_zoo_tensor y);
struct ws_zoo_tensor ws_zoo_reshape(struct ws_zoo *zoo, const char *name,
                                    struct ws_zoo_tensor x, size_t rank,
                                    const int64_t *dims);
struct ws_zoo_tensor ws_zoo_transpose(struct ws_zoo *zoo, const char *name,
                                      struct ws_zoo_tensor x, const int64_t *order);
/* Item `index` along an axis, which is then gone. */
struct ws_zoo_tensor ws_zoo_pick(struct ws_zoo *zoo, const char *name,
                                 struct ws_zoo_tensor x, size_t axis, int64_t index);
/* y in front of x along axis 1. */
struct ws_zoo_tensor ws_zoo_prepend(struct ws_zoo *zoo, const char *name,
                                    struct ws_zoo_tensor x, struct ws_zoo_tensor y);
/* x repeated along the first axis: [1, ...] -> [batch, ...]. */
struct ws_zoo_tensor ws_zoo_expand(struct ws_zoo *zoo, const char *name,
                                   struct ws_zoo_tensor x, int64_t batch);

/* A trained weight of its own, centred on 0. */
struct ws_zoo_tensor ws_zoo_weight(struct ws_zoo *zoo, const char *name, size_t rank,
                                   const int64_t *dims, double bound);

/* The networks, from the images to the output; zoo_cnn.c, zoo_vit.c. */
void ws_zoo_make_mobilenet_v2(struct ws_zoo *zoo, struct ws_zoo_tensor x);
void ws_zoo_make_resnet50(struct ws_zoo *zoo, struct ws_zoo_tensor x);
void ws_zoo_make_vgg16(struct ws_zoo *zoo, struct ws_zoo_tensor x);
void ws_zoo_make_vit_b_16(struct ws_zoo *zoo, struct ws_zoo_tensor x);

#endif
