/*
 * The arithmetic of small networks: a product of matrices and Adam's update, for single
 * floats, in one thread. The same source is compiled for several instruction sets and one
 * is chosen when the program runs, so that one build serves every machine of an
 * architecture. For one instruction set the order of every sum is fixed: the same inputs
 * give the same bits. Pure functions; the table is constant.
 */
#ifndef WS_POLICY_GEMM_H
#define WS_POLICY_GEMM_H

#include <stddef.h>

/* Widths of matrices are rounded up to this many floats; what is added holds zeros. */
enum { WS_GEMM_LANES = 16 };

static inline size_t ws_gemm_pad(size_t width)
{
    return (width + WS_GEMM_LANES - 1) / WS_GEMM_LANES * WS_GEMM_LANES;
}

/* Of one step of Adam (Kingma and Ba, 2015), bias corrections worked out. */
struct ws_adam {
    float beta1, beta2, epsilon;
    float step_size;    /* learning rate / (1 - beta1^t) */
    float second_scale; /* 1 / sqrt(1 - beta2^t) */
};

struct ws_kernels {
    const char *name; /* "portable", "avx2", "avx512" */
    /* c[m][n] = a b (+ c where `add`), a(i, k) = a[i * a_row + k * a_col], b and c in
     * rows of the given strides, n a multiple of WS_GEMM_LANES. */
    void (*multiply)(float *c, size_t c_stride, const float *a, size_t a_row,
                     size_t a_col, const float *b, size_t b_stride, size_t m, size_t n,
                     size_t depth, int add);
    /* param -= step_size * mean / (sqrt(square) * second_scale + epsilon), the moments
     * updated before. */
    void (*adam)(float *param, float *mean, float *square, const float *gradient,
                 size_t count, const struct ws_adam *step);
};

/* The fastest that this machine runs. */
const struct ws_kernels *ws_kernels_best(void);
/* One by number, slowest first; NULL past the last, or where this machine cannot run it.
 */
const struct ws_kernels *ws_kernels_at(size_t i);

#endif
