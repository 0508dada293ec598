/*
 * The zoo: well-known architectures at their published shapes and parameter counts, with
 * weights from a seed, so that anybody can measure without a download. The graph is what
 * PyTorch's exporter writes for torchvision's models in evaluation mode: batch
 * normalisation is folded into the convolutions unless asked otherwise, ReLU6 is Clip,
 * GELU is spelled out over Erf. Every tensor's shape is in the file. The weights know
 * nothing, but activations keep a sane size from end to end: fan-in scaled uniform
 * weights (He et al. 2015, arXiv 1502.01852), residual branches scaled down. The same
 * name, seed and options give the same bytes on every machine. Weights are made while the
 * file is written; memory does not grow with them.
 */
#ifndef WS_ONNX_ZOO_H
#define WS_ONNX_ZOO_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_zoo_arch {
    const char *name;    /* "resnet50" */
    const char *summary; /* one line: authors, year, what it is */
    uint64_t
        parameters; /* as published: trained values, running statistics not counted */
    uint64_t macs;  /* for one image of 3 x 224 x 224 */
};

/* The table, ordered by size; WS_E_NOT_FOUND lists what there is. */
size_t ws_zoo_count(void);
const struct ws_zoo_arch *ws_zoo_arch(size_t index);
int ws_zoo_find(const struct ws_zoo_arch **out, const char *name, struct ws_error *err);

struct ws_zoo_options {
    uint64_t seed;
    int64_t batch;  /* images at once, fixed in every shape; at least 1 */
    int keep_norms; /* BatchNormalization as nodes of their own */
};

/* What was written, counted while it was made. */
struct ws_zoo_facts {
    uint64_t parameters; /* in the published sense, folded or not */
    uint64_t stored;     /* values in the file: folding turns two per channel into one,
                            kept running statistics are two more */
    uint64_t macs;       /* for the whole batch */
    size_t node_count;
};

/* Only counts what ws_zoo_write would write. */
int ws_zoo_measure(struct ws_zoo_facts *out, const struct ws_zoo_arch *arch,
                   const struct ws_zoo_options *options, struct ws_error *err);
/* Writes the model to a file. out may be NULL. */
int ws_zoo_write(struct ws_zoo_facts *out, const char *path,
                 const struct ws_zoo_arch *arch, const struct ws_zoo_options *options,
                 struct ws_error *err);

#endif
