#include "onnx/zoo_layers.h"

/* ReLU and ReLU6 halve the mean square of what is centred, so their inputs double it. */
static const double he = 2;

/* Residual branches add this much of themselves, so that depth does not add up. */
static const double branch = 0.4;

/* ---- VGG16: Simonyan and Zisserman, 2015 (arXiv 1409.1556), configuration D ---- */

void ws_zoo_make_vgg16(struct ws_zoo *zoo, struct ws_zoo_tensor x)
{
    static const int64_t pool = 0;
    static const int64_t layout[] = {64, 64,  0,   128, 128, 0,   256, 256, 256,
                                     0,  512, 512, 512, 0,   512, 512, 512, 0};
    struct ws_builder *b = zoo->builder;
    /* torchvision numbers layers with their activations, so a convolution takes two. */
    int number = 0;
    for (size_t i = 0; i < sizeof(layout) / sizeof(layout[0]); i++) {
        const char *name = ws_builder_text(b, "features.%d", number);
        if (layout[i] == pool) {
            x = ws_zoo_max_pool(zoo, name, x, 2, 2, 0);
            number++;
            continue;
        }
        const struct ws_zoo_conv conv = {
            .channels = layout[i], .kernel = 3, .stride = 1, .padding = 1, .gain = he};
        x = ws_zoo_conv(zoo, name, x, &conv);
        x = ws_zoo_relu(zoo, ws_builder_text(b, "features.%d", number + 1), x);
        number += 2;
    }
    x = ws_zoo_flatten(zoo, "flatten", x);
    x = ws_zoo_relu(zoo, "classifier.1", ws_zoo_gemm(zoo, "classifier.0", x, 4096, he));
    x = ws_zoo_relu(zoo, "classifier.4", ws_zoo_gemm(zoo, "classifier.3", x, 4096, he));
    ws_zoo_classify(zoo, "classifier.6", x);
}

/* ---- ResNet50: He and others, 2016 (arXiv 1512.03385); the stride is in the 3 x 3
 * convolution, as in torchvision ("v1.5") ---- */

/* Convolution `name` with batch normalisation `norm`. */
static struct ws_zoo_tensor conv_norm(struct ws_zoo *zoo, const char *name,
                                      const char *norm, struct ws_zoo_tensor x,
                                      int64_t channels, int64_t kernel, int64_t stride,
                                      double norm_gain)
{
    const struct ws_zoo_conv conv = {.channels = channels,
                                     .kernel = kernel,
                                     .stride = stride,
                                     .padding = kernel / 2,
                                     .gain = he,
                                     .norm = norm,
                                     .norm_gain = norm_gain};
    return ws_zoo_conv(zoo, name, x, &conv);
}

static struct ws_zoo_tensor bottleneck(struct ws_zoo *zoo, const char *name,
                                       struct ws_zoo_tensor x, int64_t width,
                                       int64_t stride)
{
    struct ws_builder *b = zoo->builder;
    struct ws_zoo_tensor identity = x, y;
    y = conv_norm(zoo, ws_builder_text(b, "%s.conv1", name),
                  ws_builder_text(b, "%s.bn1", name), x, width, 1, 1, 1);
    y = ws_zoo_relu(zoo, ws_builder_text(b, "%s.relu", name), y);
    y = conv_norm(zoo, ws_builder_text(b, "%s.conv2", name),
                  ws_builder_text(b, "%s.bn2", name), y, width, 3, stride, 1);
    y = ws_zoo_relu(zoo, ws_builder_text(b, "%s.relu_1", name), y);
    y = conv_norm(zoo, ws_builder_text(b, "%s.conv3", name),
                  ws_builder_text(b, "%s.bn3", name), y, 4 * width, 1, 1, branch);
    if (x.dims[1] != 4 * width || stride != 1)
        identity = conv_norm(zoo, ws_builder_text(b, "%s.downsample.0", name),
                             ws_builder_text(b, "%s.downsample.1", name), x, 4 * width, 1,
                             stride, 1);
    y = ws_zoo_add(zoo, name, y, identity.name);
    return ws_zoo_relu(zoo, ws_builder_text(b, "%s.relu_2", name), y);
}

void ws_zoo_make_resnet50(struct ws_zoo *zoo, struct ws_zoo_tensor x)
{
    static const int64_t blocks[] = {3, 4, 6, 3};
    x = conv_norm(zoo, "conv1", "bn1", x, 64, 7, 2, 1);
    x = ws_zoo_relu(zoo, "relu", x);
    x = ws_zoo_max_pool(zoo, "maxpool", x, 3, 2, 1);
    for (int64_t stage = 0; stage < 4; stage++) {
        for (int64_t i = 0; i < blocks[stage]; i++) {
            const char *name =
                ws_builder_text(zoo->builder, "layer%d.%d", (int)stage + 1, (int)i);
            x = bottleneck(zoo, name, x, (int64_t)64 << stage,
                           stage > 0 && i == 0 ? 2 : 1);
        }
    }
    x = ws_zoo_flatten(zoo, "flatten", ws_zoo_average(zoo, "avgpool", x));
    ws_zoo_classify(zoo, "fc", x);
}

/* ---- MobileNetV2: Sandler and others, 2018 (arXiv 1801.04381), width 1.0 ---- */

/* Layer `part` of a block: torchvision's names for a convolution and its norm. */
struct unit {
    const char *conv, *norm, *act;
};

/* Convolution, norm and activation as one module: PART.0, PART.1, PART.2. */
static struct unit unit_of(struct ws_builder *b, const char *part)
{
    return (struct unit){ws_builder_text(b, "%s.0", part),
                         ws_builder_text(b, "%s.1", part),
                         ws_builder_text(b, "%s.2", part)};
}

static struct ws_zoo_tensor conv_relu6(struct ws_zoo *zoo, const char *part,
                                       struct ws_zoo_tensor x, struct ws_zoo_conv conv)
{
    struct unit unit = unit_of(zoo->builder, part);
    conv.padding = conv.kernel / 2;
    conv.norm = unit.norm;
    conv.norm_gain = 1;
    return ws_zoo_relu6(zoo, unit.act, ws_zoo_conv(zoo, unit.conv, x, &conv));
}

/* Expand by 1 x 1, filter each channel by 3 x 3, project by 1 x 1 without activation. */
static struct ws_zoo_tensor inverted_residual(struct ws_zoo *zoo, const char *name,
                                              struct ws_zoo_tensor x, int64_t expansion,
                                              int64_t channels, int64_t stride)
{
    struct ws_builder *b = zoo->builder;
    int residual = stride == 1 && x.dims[1] == channels;
    int64_t hidden = x.dims[1] * expansion;
    struct ws_zoo_tensor y = x;
    int part = 0;
    if (expansion != 1)
        /* What comes in was projected, not rectified, hence a gain of 1. */
        y = conv_relu6(zoo, ws_builder_text(b, "%s.conv.%d", name, part++), y,
                       (struct ws_zoo_conv){
                           .channels = hidden, .kernel = 1, .stride = 1, .gain = 1});
    y = conv_relu6(zoo, ws_builder_text(b, "%s.conv.%d", name, part++), y,
                   (struct ws_zoo_conv){.channels = hidden,
                                        .kernel = 3,
                                        .stride = stride,
                                        .groups = hidden,
                                        .gain = he});
    const struct ws_zoo_conv project = {
        .channels = channels,
        .kernel = 1,
        .stride = 1,
        .gain = he,
        .norm = ws_builder_text(b, "%s.conv.%d", name, part + 1),
        .norm_gain = residual ? branch : 1};
    y = ws_zoo_conv(zoo, ws_builder_text(b, "%s.conv.%d", name, part), y, &project);
    return residual ? ws_zoo_add(zoo, name, x, y.name) : y;
}

void ws_zoo_make_mobilenet_v2(struct ws_zoo *zoo, struct ws_zoo_tensor x)
{
    static const struct {
        int64_t expansion, channels, count, stride;
    } stages[] = {
        {1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2},  {6, 64, 4, 2},
        {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
    };
    struct ws_builder *b = zoo->builder;
    int number = 1;
    x = conv_relu6(
        zoo, "features.0", x,
        (struct ws_zoo_conv){.channels = 32, .kernel = 3, .stride = 2, .gain = 1});
    for (size_t s = 0; s < sizeof(stages) / sizeof(stages[0]); s++) {
        for (int64_t i = 0; i < stages[s].count; i++)
            x = inverted_residual(zoo, ws_builder_text(b, "features.%d", number++), x,
                                  stages[s].expansion, stages[s].channels,
                                  i == 0 ? stages[s].stride : 1);
    }
    x = conv_relu6(
        zoo, ws_builder_text(b, "features.%d", number), x,
        (struct ws_zoo_conv){.channels = 1280, .kernel = 1, .stride = 1, .gain = 1});
    x = ws_zoo_flatten(zoo, "flatten", ws_zoo_average(zoo, "avgpool", x));
    ws_zoo_classify(zoo, "classifier.1", x);
}
