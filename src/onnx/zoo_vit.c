#include "onnx/zoo_layers.h"

/* ViT-B/16: Dosovitskiy and others, 2021 (arXiv 2010.11929). Shapes below: N images,
 * T = 197 tokens (14 x 14 patches and the class token), D = 768, H = 12 heads of 64. */
enum { PATCH = 16, WIDTH = 768, HEADS = 12, HEAD_WIDTH = WIDTH / HEADS, LAYERS = 12 };
enum { MLP_WIDTH = 3072 };

static const double branch = 0.5; /* of the variance a residual branch adds */

/* softmax(Q K^T / sqrt 64) V over all heads at once; [N, T, D] -> [N, T, D]. */
static struct ws_zoo_tensor attention(struct ws_zoo *zoo, const char *name,
                                      struct ws_zoo_tensor x)
{
    struct ws_builder *b = zoo->builder;
    int64_t n = x.dims[0], t = x.dims[1];
    const char *of[] = {"q", "k", "v"};
    struct ws_zoo_tensor part[3], y;
    y = ws_zoo_linear(zoo, ws_builder_text(b, "%s.in_proj", name), x, 3 * WIDTH, 1);
    y = ws_zoo_reshape(zoo, ws_builder_text(b, "%s/split", name), y, 5,
                       (int64_t[]){n, t, 3, HEADS, HEAD_WIDTH});
    y = ws_zoo_transpose(zoo, ws_builder_text(b, "%s/split", name), y,
                         (int64_t[]){2, 0, 3, 1, 4});
    for (int64_t i = 0; i < 3; i++) /* [N, H, T, 64] each */
        part[i] = ws_zoo_pick(zoo, ws_builder_text(b, "%s/%s", name, of[i]), y, 0, i);
    part[1] = ws_zoo_transpose(zoo, ws_builder_text(b, "%s/k", name), part[1],
                               (int64_t[]){0, 1, 3, 2});
    part[0] = ws_zoo_scale(zoo, ws_builder_text(b, "%s/q", name), part[0], 0.125f);
    y = ws_zoo_matmul(zoo, ws_builder_text(b, "%s/scores", name), part[0], part[1]);
    y = ws_zoo_softmax(zoo, name, y);
    y = ws_zoo_matmul(zoo, ws_builder_text(b, "%s/mix", name), y, part[2]);
    y = ws_zoo_transpose(zoo, ws_builder_text(b, "%s/join", name), y,
                         (int64_t[]){0, 2, 1, 3});
    y = ws_zoo_reshape(zoo, ws_builder_text(b, "%s/join", name), y, 3,
                       (int64_t[]){n, t, WIDTH});
    return ws_zoo_linear(zoo, ws_builder_text(b, "%s.out_proj", name), y, WIDTH, 1);
}

static struct ws_zoo_tensor encoder_layer(struct ws_zoo *zoo, int number,
                                          struct ws_zoo_tensor x)
{
    struct ws_builder *b = zoo->builder;
    const char *name = ws_builder_text(b, "encoder.layers.encoder_layer_%d", number);
    struct ws_zoo_tensor y;
    y = ws_zoo_layer_norm(zoo, ws_builder_text(b, "%s.ln_1", name), x);
    y = attention(zoo, ws_builder_text(b, "%s.self_attention", name), y);
    x = ws_zoo_add(zoo, name, y, x.name);
    y = ws_zoo_layer_norm(zoo, ws_builder_text(b, "%s.ln_2", name), x);
    y = ws_zoo_linear(zoo, ws_builder_text(b, "%s.mlp.0", name), y, MLP_WIDTH, 1);
    y = ws_zoo_gelu(zoo, ws_builder_text(b, "%s.mlp.1", name), y);
    y = ws_zoo_linear(zoo, ws_builder_text(b, "%s.mlp.3", name), y, WIDTH, branch);
    return ws_zoo_add(zoo, ws_builder_text(b, "%s.mlp", name), x, y.name);
}

void ws_zoo_make_vit_b_16(struct ws_zoo *zoo, struct ws_zoo_tensor x)
{
    const struct ws_zoo_conv patches = {
        .channels = WIDTH, .kernel = PATCH, .stride = PATCH, .gain = 1};
    int64_t n = x.dims[0];
    x = ws_zoo_conv(zoo, "conv_proj", x, &patches); /* [N, D, 14, 14] */
    x = ws_zoo_reshape(zoo, "patches", x, 3,
                       (int64_t[]){n, WIDTH, x.dims[2] * x.dims[3]});
    x = ws_zoo_transpose(zoo, "patches", x, (int64_t[]){0, 2, 1});
    struct ws_zoo_tensor token =
        ws_zoo_weight(zoo, "class_token", 3, (int64_t[]){1, 1, WIDTH}, 0.5);
    if (n > 1)
        token = ws_zoo_expand(zoo, "class_token", token, n);
    x = ws_zoo_prepend(zoo, "tokens", x, token); /* [N, T, D] */
    ws_zoo_weight(zoo, "encoder.pos_embedding", 3, (int64_t[]){1, x.dims[1], WIDTH}, 0.5);
    x = ws_zoo_add(zoo, "encoder", x, "encoder.pos_embedding");
    for (int i = 0; i < LAYERS; i++)
        x = encoder_layer(zoo, i, x);
    x = ws_zoo_layer_norm(zoo, "encoder.ln", x);
    x = ws_zoo_pick(zoo, "token", x, 1, 0); /* [N, D] */
    ws_zoo_classify(zoo, "heads.head", x);
}
