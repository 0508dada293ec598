#include "onnx/zoo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "onnx/zoo_layers.h"

enum { ZOO_OPSET = 17 };

static const struct {
    struct ws_zoo_arch arch;
    void (*make)(struct ws_zoo *zoo, struct ws_zoo_tensor x);
} archs[] = {
    {{"mobilenet_v2", "inverted residuals, width 1.0 (Sandler and others 2018)", 3504872,
      300774272},
     ws_zoo_make_mobilenet_v2},
    {{"resnet50", "bottleneck residuals, v1.5 (He and others 2016)", 25557032,
      4089184256},
     ws_zoo_make_resnet50},
    {{"vit_b_16", "vision transformer, patches of 16 (Dosovitskiy and others 2021)",
      86567656, 17563828224},
     ws_zoo_make_vit_b_16},
    {{"vgg16", "plain 3 x 3 convolutions (Simonyan and Zisserman 2015)", 138357544,
      15470264320},
     ws_zoo_make_vgg16},
};
enum { ARCH_COUNT = sizeof(archs) / sizeof(archs[0]) };

size_t ws_zoo_count(void)
{
    return ARCH_COUNT;
}

const struct ws_zoo_arch *ws_zoo_arch(size_t index)
{
    return &archs[index].arch;
}

int ws_zoo_find(const struct ws_zoo_arch **out, const char *name, struct ws_error *err)
{
    for (size_t i = 0; i < ARCH_COUNT; i++) {
        if (strcmp(archs[i].arch.name, name) == 0) {
            *out = &archs[i].arch;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND,
                        "no \"%s\" in the zoo (mobilenet_v2, resnet50, vit_b_16, vgg16)",
                        name);
}

static void describe(struct ws_zoo *zoo, const struct ws_zoo_arch *arch)
{
    char text[64];
    snprintf(text, sizeof(text), "%s, seed %" PRIu64 ", batch norm %s", arch->name,
             zoo->options.seed, zoo->options.keep_norms ? "kept" : "folded");
    ws_builder_metadata(zoo->builder, "wattshed.zoo", text);
}

/* Builds the graph; the caller finishes *out, also after a failure. */
static int make(struct ws_zoo *out, const struct ws_zoo_arch *arch,
                const struct ws_zoo_options *options, struct ws_error *err)
{
    *out = (struct ws_zoo){.options = *options, .weights = {.seed = options->seed}};
    if (options->batch < 1 || options->batch > WS_ZOO_BATCH_MAX)
        return ws_error_set(err, WS_E_USAGE, "batch of %" PRId64 ", 1 to %d",
                            options->batch, WS_ZOO_BATCH_MAX);
    int rc = ws_builder_create(&out->builder, arch->name, ZOO_OPSET, err);
    if (rc != 0)
        return rc;
    describe(out, arch);
    for (size_t i = 0; i < ARCH_COUNT; i++) {
        if (arch == &archs[i].arch)
            archs[i].make(out, ws_zoo_input(out));
    }
    return out->rc != 0 ? ws_error_nomem(err) : ws_builder_status(out->builder, err);
}

static void finish(struct ws_zoo *zoo)
{
    ws_zoo_weights_fini(&zoo->weights);
    ws_builder_destroy(zoo->builder);
}

int ws_zoo_measure(struct ws_zoo_facts *out, const struct ws_zoo_arch *arch,
                   const struct ws_zoo_options *options, struct ws_error *err)
{
    struct ws_zoo zoo;
    int rc = make(&zoo, arch, options, err);
    if (rc == 0)
        *out = zoo.facts;
    finish(&zoo);
    return rc;
}

int ws_zoo_write(struct ws_zoo_facts *out, const char *path,
                 const struct ws_zoo_arch *arch, const struct ws_zoo_options *options,
                 struct ws_error *err)
{
    struct ws_zoo zoo;
    int rc = make(&zoo, arch, options, err);
    if (rc == 0)
        rc = ws_builder_write(path, zoo.builder, ws_zoo_weights_fill, &zoo.weights, err);
    if (rc == 0 && out != NULL)
        *out = zoo.facts;
    finish(&zoo);
    return rc;
}
