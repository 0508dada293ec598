#include "onnx/zoo_layers.h"

#include <math.h>
#include <string.h>

/* ---- What all layers share ---- */

static uint64_t count_of(size_t rank, const int64_t *dims)
{
    uint64_t count = 1;
    for (size_t i = 0; i < rank; i++)
        count *= (uint64_t)dims[i];
    return count;
}

/* Appends a node NAME/OP with one output, NAME/OP_output_0, of this shape. `inputs` ends
 * with NULL. *out_node, for attributes, may be NULL. */
static struct ws_zoo_tensor add_op(struct ws_zoo *zoo, const char *name, const char *op,
                                   const char *const *inputs, size_t rank,
                                   const int64_t *dims, Onnx__NodeProto **out_node)
{
    struct ws_builder *b = zoo->builder;
    const char *node_name = ws_builder_text(b, "/%s/%s", name, op);
    struct ws_zoo_tensor y = {ws_builder_text(b, "%s_output_0", node_name), rank, {0}};
    memcpy(y.dims, dims, rank * sizeof(*dims));
    Onnx__NodeProto *node =
        ws_builder_node(b, op, node_name, inputs, (const char *[]){y.name, NULL});
    ws_builder_value(b, y.name, WS_DTYPE_FP32, y.dims, rank);
    zoo->facts.node_count++;
    if (out_node != NULL)
        *out_node = node;
    return y;
}

/* One input, same shape. */
static struct ws_zoo_tensor add_unary(struct ws_zoo *zoo, const char *name,
                                      const char *op, struct ws_zoo_tensor x)
{
    return add_op(zoo, name, op, (const char *[]){x.name, NULL}, x.rank, x.dims, NULL);
}

static uint64_t next_stream(struct ws_zoo *zoo)
{
    return zoo->stream_count++;
}

/* A weight left for later, and how to make it. */
static void announce(struct ws_zoo *zoo, const char *name, size_t rank,
                     const int64_t *dims, const struct ws_zoo_recipe *recipe)
{
    ws_builder_weight_later(zoo->builder, name, WS_DTYPE_FP32, dims, rank);
    zoo->facts.stored += count_of(rank, dims);
    if (zoo->rc == 0)
        zoo->rc = ws_zoo_weights_add(&zoo->weights, recipe, NULL);
}

static void announce_uniform(struct ws_zoo *zoo, const char *name, size_t rank,
                             const int64_t *dims, double center, double bound)
{
    const struct ws_zoo_recipe recipe = {.kind = WS_ZOO_UNIFORM,
                                         .stream = next_stream(zoo),
                                         .center = center,
                                         .bound = bound};
    announce(zoo, name, rank, dims, &recipe);
    zoo->facts.parameters += count_of(rank, dims);
}

/* A uniform distribution within +- this has variance gain / fan_in. */
static double fan_in_bound(int64_t fan_in, double gain)
{
    return sqrt(3 * gain / (double)fan_in);
}

enum { BIAS_PERCENT = 5 };

/* ---- Convolutional networks ---- */

struct ws_zoo_tensor ws_zoo_input(struct ws_zoo *zoo)
{
    struct ws_zoo_tensor x = {
        "input", 4, {zoo->options.batch, 3, WS_ZOO_IMAGE, WS_ZOO_IMAGE}};
    ws_builder_input(zoo->builder, x.name, WS_DTYPE_FP32, x.dims, x.rank);
    return x;
}

static int64_t window_count(int64_t size, int64_t kernel, int64_t stride, int64_t padding)
{
    return (size + 2 * padding - kernel) / stride + 1;
}

static void add_window(struct ws_zoo *zoo, Onnx__NodeProto *node, int64_t kernel,
                       int64_t stride, int64_t padding)
{
    ws_builder_ints(zoo->builder, node, "kernel_shape", (int64_t[]){kernel, kernel}, 2);
    ws_builder_ints(zoo->builder, node, "pads",
                    (int64_t[]){padding, padding, padding, padding}, 4);
    ws_builder_ints(zoo->builder, node, "strides", (int64_t[]){stride, stride}, 2);
}

/* Scale, shift and running statistics as nodes of their own. */
static struct ws_zoo_tensor add_norm(struct ws_zoo *zoo, const struct ws_zoo_conv *conv,
                                     struct ws_zoo_tensor x, uint64_t stream)
{
    static const struct {
        const char *suffix;
        enum ws_zoo_recipe_kind kind;
    } parts[] = {
        {"weight", WS_ZOO_GAMMA},
        {"bias", WS_ZOO_BETA},
        {"running_mean", WS_ZOO_MEAN},
        {"running_var", WS_ZOO_VARIANCE},
    };
    const char *inputs[6] = {x.name};
    for (size_t i = 0; i < 4; i++) {
        const struct ws_zoo_recipe recipe = {
            .kind = parts[i].kind, .norm_stream = stream, .norm_gain = conv->norm_gain};
        inputs[i + 1] =
            ws_builder_text(zoo->builder, "%s.%s", conv->norm, parts[i].suffix);
        announce(zoo, inputs[i + 1], 1, &conv->channels, &recipe);
    }
    Onnx__NodeProto *node = NULL;
    struct ws_zoo_tensor y =
        add_op(zoo, conv->norm, "BatchNormalization", inputs, x.rank, x.dims, &node);
    ws_builder_float(zoo->builder, node, "epsilon", WS_ZOO_NORM_EPSILON);
    return y;
}

/* The weight, and the bias if the form asked for has one; inputs[1] and inputs[2]. */
static void add_conv_weights(struct ws_zoo *zoo, const char *name,
                             const struct ws_zoo_conv *conv, int64_t group_channels,
                             uint64_t norm_stream, const char **inputs)
{
    int folded = conv->norm != NULL && !zoo->options.keep_norms;
    const int64_t dims[] = {conv->channels, group_channels, conv->kernel, conv->kernel};
    int64_t fan_in = group_channels * conv->kernel * conv->kernel;
    struct ws_zoo_recipe recipe = {.kind = folded ? WS_ZOO_FOLDED_CONV : WS_ZOO_UNIFORM,
                                   .stream = next_stream(zoo),
                                   .norm_stream = norm_stream,
                                   .bound = fan_in_bound(fan_in, conv->gain),
                                   .norm_gain = conv->norm_gain,
                                   .channel_size = (uint64_t)fan_in};
    inputs[1] = ws_builder_text(zoo->builder, "%s.weight", name);
    announce(zoo, inputs[1], 4, dims, &recipe);
    zoo->facts.parameters += count_of(4, dims);
    if (conv->norm != NULL && !folded)
        return;
    inputs[2] = ws_builder_text(zoo->builder, "%s.bias", name);
    if (!folded) {
        announce_uniform(zoo, inputs[2], 1, dims, 0, BIAS_PERCENT / 100.0);
        return;
    }
    recipe.kind = WS_ZOO_FOLDED_BIAS;
    announce(zoo, inputs[2], 1, dims, &recipe);
}

struct ws_zoo_tensor ws_zoo_conv(struct ws_zoo *zoo, const char *name,
                                 struct ws_zoo_tensor x, const struct ws_zoo_conv *conv)
{
    int64_t groups = conv->groups == 0 ? 1 : conv->groups;
    const int64_t dims[] = {
        x.dims[0], conv->channels,
        window_count(x.dims[2], conv->kernel, conv->stride, conv->padding),
        window_count(x.dims[3], conv->kernel, conv->stride, conv->padding)};
    const char *inputs[4] = {x.name};
    uint64_t norm_stream = next_stream(zoo);
    add_conv_weights(zoo, name, conv, x.dims[1] / groups, norm_stream, inputs);
    Onnx__NodeProto *node = NULL;
    struct ws_zoo_tensor y = add_op(zoo, name, "Conv", inputs, 4, dims, &node);
    ws_builder_ints(zoo->builder, node, "dilations", (int64_t[]){1, 1}, 2);
    ws_builder_int(zoo->builder, node, "group", groups);
    add_window(zoo, node, conv->kernel, conv->stride, conv->padding);
    zoo->facts.macs += count_of(4, dims) * (uint64_t)(x.dims[1] / groups) *
                       (uint64_t)(conv->kernel * conv->kernel);
    if (conv->norm == NULL)
        return y;
    zoo->facts.parameters += 2 * (uint64_t)conv->channels;
    return zoo->options.keep_norms ? add_norm(zoo, conv, y, norm_stream) : y;
}

struct ws_zoo_tensor ws_zoo_relu(struct ws_zoo *zoo, const char *name,
                                 struct ws_zoo_tensor x)
{
    return add_unary(zoo, name, "Relu", x);
}

/* A number as a weight with its data, not counted as a parameter. */
static const char *constant(struct ws_zoo *zoo, const char *name, const char *suffix,
                            float value)
{
    const char *full = ws_builder_text(zoo->builder, "/%s/%s", name, suffix);
    ws_builder_weight(zoo->builder, full, WS_DTYPE_FP32, NULL, 0, &value);
    return full;
}

struct ws_zoo_tensor ws_zoo_relu6(struct ws_zoo *zoo, const char *name,
                                  struct ws_zoo_tensor x)
{
    const char *inputs[] = {x.name, constant(zoo, name, "min", 0),
                            constant(zoo, name, "max", 6), NULL};
    return add_op(zoo, name, "Clip", inputs, x.rank, x.dims, NULL);
}

struct ws_zoo_tensor ws_zoo_max_pool(struct ws_zoo *zoo, const char *name,
                                     struct ws_zoo_tensor x, int64_t kernel,
                                     int64_t stride, int64_t padding)
{
    const int64_t dims[] = {x.dims[0], x.dims[1],
                            window_count(x.dims[2], kernel, stride, padding),
                            window_count(x.dims[3], kernel, stride, padding)};
    Onnx__NodeProto *node = NULL;
    struct ws_zoo_tensor y =
        add_op(zoo, name, "MaxPool", (const char *[]){x.name, NULL}, 4, dims, &node);
    ws_builder_int(zoo->builder, node, "ceil_mode", 0);
    add_window(zoo, node, kernel, stride, padding);
    return y;
}

struct ws_zoo_tensor ws_zoo_average(struct ws_zoo *zoo, const char *name,
                                    struct ws_zoo_tensor x)
{
    return add_op(zoo, name, "GlobalAveragePool", (const char *[]){x.name, NULL}, 4,
                  (int64_t[]){x.dims[0], x.dims[1], 1, 1}, NULL);
}

struct ws_zoo_tensor ws_zoo_flatten(struct ws_zoo *zoo, const char *name,
                                    struct ws_zoo_tensor x)
{
    Onnx__NodeProto *node = NULL;
    const int64_t dims[] = {x.dims[0], (int64_t)count_of(x.rank - 1, x.dims + 1)};
    struct ws_zoo_tensor y =
        add_op(zoo, name, "Flatten", (const char *[]){x.name, NULL}, 2, dims, &node);
    ws_builder_int(zoo->builder, node, "axis", 1);
    return y;
}

struct ws_zoo_tensor ws_zoo_add(struct ws_zoo *zoo, const char *name,
                                struct ws_zoo_tensor x, const char *y)
{
    return add_op(zoo, name, "Add", (const char *[]){x.name, y, NULL}, x.rank, x.dims,
                  NULL);
}

static const char *add_bias(struct ws_zoo *zoo, const char *name, int64_t out)
{
    const char *bias = ws_builder_text(zoo->builder, "%s.bias", name);
    announce_uniform(zoo, bias, 1, &out, 0, BIAS_PERCENT / 100.0);
    return bias;
}

/* The weight [out, in] and the bias of a Gemm; its attributes. */
static void gemm_weights(struct ws_zoo *zoo, const char *name, struct ws_zoo_tensor x,
                         int64_t out, double gain, const char *inputs[4])
{
    inputs[0] = x.name;
    inputs[1] = ws_builder_text(zoo->builder, "%s.weight", name);
    announce_uniform(zoo, inputs[1], 2, (int64_t[]){out, x.dims[1]}, 0,
                     fan_in_bound(x.dims[1], gain));
    inputs[2] = add_bias(zoo, name, out);
    inputs[3] = NULL;
    zoo->facts.macs += (uint64_t)(x.dims[0] * x.dims[1] * out);
}

static void gemm_attributes(struct ws_zoo *zoo, Onnx__NodeProto *node)
{
    ws_builder_float(zoo->builder, node, "alpha", 1);
    ws_builder_float(zoo->builder, node, "beta", 1);
    ws_builder_int(zoo->builder, node, "transB", 1);
}

struct ws_zoo_tensor ws_zoo_gemm(struct ws_zoo *zoo, const char *name,
                                 struct ws_zoo_tensor x, int64_t out, double gain)
{
    const char *inputs[4];
    Onnx__NodeProto *node = NULL;
    gemm_weights(zoo, name, x, out, gain, inputs);
    struct ws_zoo_tensor y =
        add_op(zoo, name, "Gemm", inputs, 2, (int64_t[]){x.dims[0], out}, &node);
    gemm_attributes(zoo, node);
    return y;
}

void ws_zoo_classify(struct ws_zoo *zoo, const char *name, struct ws_zoo_tensor x)
{
    struct ws_builder *b = zoo->builder;
    const char *inputs[4];
    gemm_weights(zoo, name, x, WS_ZOO_CLASSES, 1, inputs);
    Onnx__NodeProto *node =
        ws_builder_node(b, "Gemm", ws_builder_text(b, "/%s/Gemm", name), inputs,
                        (const char *[]){"output", NULL});
    gemm_attributes(zoo, node);
    ws_builder_output(b, "output", WS_DTYPE_FP32, (int64_t[]){x.dims[0], WS_ZOO_CLASSES},
                      2);
    zoo->facts.node_count++;
}

/* ---- Transformers ---- */

struct ws_zoo_tensor ws_zoo_weight(struct ws_zoo *zoo, const char *name, size_t rank,
                                   const int64_t *dims, double bound)
{
    struct ws_zoo_tensor weight = {name, rank, {0}};
    memcpy(weight.dims, dims, rank * sizeof(*dims));
    announce_uniform(zoo, name, rank, dims, 0, bound);
    return weight;
}

struct ws_zoo_tensor ws_zoo_linear(struct ws_zoo *zoo, const char *name,
                                   struct ws_zoo_tensor x, int64_t out, double gain)
{
    int64_t in = x.dims[x.rank - 1];
    const int64_t weight_dims[] = {in, out};
    const char *weight = ws_builder_text(zoo->builder, "%s.weight", name);
    announce_uniform(zoo, weight, 2, weight_dims, 0, fan_in_bound(in, gain));
    struct ws_zoo_tensor y = x;
    y.dims[x.rank - 1] = out;
    y = add_op(zoo, name, "MatMul", (const char *[]){x.name, weight, NULL}, x.rank,
               y.dims, NULL);
    zoo->facts.macs += count_of(x.rank, x.dims) * (uint64_t)out;
    return ws_zoo_add(zoo, name, y, add_bias(zoo, name, out));
}

struct ws_zoo_tensor ws_zoo_layer_norm(struct ws_zoo *zoo, const char *name,
                                       struct ws_zoo_tensor x)
{
    const int64_t dims[] = {x.dims[x.rank - 1]};
    const char *scale = ws_builder_text(zoo->builder, "%s.weight", name);
    const char *bias = ws_builder_text(zoo->builder, "%s.bias", name);
    announce_uniform(zoo, scale, 1, dims, 1, 0.1);
    announce_uniform(zoo, bias, 1, dims, 0, 0.1);
    Onnx__NodeProto *node = NULL;
    struct ws_zoo_tensor y =
        add_op(zoo, name, "LayerNormalization",
               (const char *[]){x.name, scale, bias, NULL}, x.rank, x.dims, &node);
    ws_builder_int(zoo->builder, node, "axis", -1);
    ws_builder_float(zoo->builder, node, "epsilon", 1e-6f);
    return y;
}

struct ws_zoo_tensor ws_zoo_softmax(struct ws_zoo *zoo, const char *name,
                                    struct ws_zoo_tensor x)
{
    Onnx__NodeProto *node = NULL;
    struct ws_zoo_tensor y = add_op(zoo, name, "Softmax", (const char *[]){x.name, NULL},
                                    x.rank, x.dims, &node);
    ws_builder_int(zoo->builder, node, "axis", -1);
    return y;
}

struct ws_zoo_tensor ws_zoo_gelu(struct ws_zoo *zoo, const char *name,
                                 struct ws_zoo_tensor x)
{
    const char *half_name = ws_builder_text(zoo->builder, "%s/half", name);
    struct ws_zoo_tensor y =
        add_op(zoo, name, "Div",
               (const char *[]){x.name, constant(zoo, name, "sqrt2", 1.41421356f), NULL},
               x.rank, x.dims, NULL);
    y = add_unary(zoo, name, "Erf", y);
    y = ws_zoo_add(zoo, name, y, constant(zoo, name, "one", 1));
    y = add_op(zoo, name, "Mul", (const char *[]){x.name, y.name, NULL}, x.rank, x.dims,
               NULL);
    return ws_zoo_scale(zoo, half_name, y, 0.5f);
}

struct ws_zoo_tensor ws_zoo_scale(struct ws_zoo *zoo, const char *name,
                                  struct ws_zoo_tensor x, float factor)
{
    const char *inputs[] = {x.name, constant(zoo, name, "factor", factor), NULL};
    return add_op(zoo, name, "Mul", inputs, x.rank, x.dims, NULL);
}

struct ws_zoo_tensor ws_zoo_matmul(struct ws_zoo *zoo, const char *name,
                                   struct ws_zoo_tensor x, struct ws_zoo_tensor y)
{
    struct ws_zoo_tensor z = x;
    z.dims[x.rank - 1] = y.dims[y.rank - 1];
    zoo->facts.macs += count_of(x.rank, x.dims) * (uint64_t)y.dims[y.rank - 1];
    return add_op(zoo, name, "MatMul", (const char *[]){x.name, y.name, NULL}, x.rank,
                  z.dims, NULL);
}

/* A vector of whole numbers as a weight with its data. */
static const char *constant_shape(struct ws_zoo *zoo, const char *name, size_t rank,
                                  const int64_t *dims)
{
    const char *full = ws_builder_text(zoo->builder, "/%s/shape", name);
    ws_builder_weight(zoo->builder, full, WS_DTYPE_INT64, (int64_t[]){(int64_t)rank}, 1,
                      dims);
    return full;
}

struct ws_zoo_tensor ws_zoo_reshape(struct ws_zoo *zoo, const char *name,
                                    struct ws_zoo_tensor x, size_t rank,
                                    const int64_t *dims)
{
    const char *inputs[] = {x.name, constant_shape(zoo, name, rank, dims), NULL};
    return add_op(zoo, name, "Reshape", inputs, rank, dims, NULL);
}

struct ws_zoo_tensor ws_zoo_transpose(struct ws_zoo *zoo, const char *name,
                                      struct ws_zoo_tensor x, const int64_t *order)
{
    int64_t dims[WS_ZOO_RANK_MAX];
    for (size_t i = 0; i < x.rank; i++)
        dims[i] = x.dims[order[i]];
    Onnx__NodeProto *node = NULL;
    struct ws_zoo_tensor y = add_op(zoo, name, "Transpose",
                                    (const char *[]){x.name, NULL}, x.rank, dims, &node);
    ws_builder_ints(zoo->builder, node, "perm", order, x.rank);
    return y;
}

struct ws_zoo_tensor ws_zoo_pick(struct ws_zoo *zoo, const char *name,
                                 struct ws_zoo_tensor x, size_t axis, int64_t index)
{
    const char *at = ws_builder_text(zoo->builder, "/%s/index", name);
    ws_builder_weight(zoo->builder, at, WS_DTYPE_INT64, NULL, 0, &index);
    int64_t dims[WS_ZOO_RANK_MAX];
    size_t rank = 0;
    for (size_t i = 0; i < x.rank; i++) {
        if (i != axis)
            dims[rank++] = x.dims[i];
    }
    Onnx__NodeProto *node = NULL;
    struct ws_zoo_tensor y = add_op(
        zoo, name, "Gather", (const char *[]){x.name, at, NULL}, rank, dims, &node);
    ws_builder_int(zoo->builder, node, "axis", (int64_t)axis);
    return y;
}

struct ws_zoo_tensor ws_zoo_prepend(struct ws_zoo *zoo, const char *name,
                                    struct ws_zoo_tensor x, struct ws_zoo_tensor y)
{
    struct ws_zoo_tensor z = x;
    z.dims[1] += y.dims[1];
    Onnx__NodeProto *node = NULL;
    z = add_op(zoo, name, "Concat", (const char *[]){y.name, x.name, NULL}, x.rank,
               z.dims, &node);
    ws_builder_int(zoo->builder, node, "axis", 1);
    return z;
}

struct ws_zoo_tensor ws_zoo_expand(struct ws_zoo *zoo, const char *name,
                                   struct ws_zoo_tensor x, int64_t batch)
{
    struct ws_zoo_tensor y = x;
    y.dims[0] = batch;
    const char *inputs[] = {x.name, constant_shape(zoo, name, x.rank, y.dims), NULL};
    return add_op(zoo, name, "Expand", inputs, x.rank, y.dims, NULL);
}
