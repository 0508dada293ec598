/*
 * The arithmetic of small networks, and of looking for the least of many costs: a product
 * of matrices, Adam's update, exponentials, minima of rows; for single floats, in one
 * thread. The same source is compiled for several instruction sets and one
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

/*
 * Costs of settings in rows: of setting (r, i), by weights w,
 *     L = edge_scale * edge + max(edge_scale * beside, away), at most lost_ms
 *     E = joules + wait * max(away - beside, 0)
 *     outer[r] * (weight + (late_weight where L is beyond the deadline))
 *              * (per_joule * E + per_ms * L + travel)
 */
struct ws_rows {
    size_t rows, width;                         /* width: a multiple of WS_GEMM_LANES */
    const float *edge, *beside, *joules, *wait; /* [rows][width] */
    const float *away, *travel;                 /* [rows][width], or [width] */
    size_t stride; /* of these, and of weights: width, or 0 */
    struct ws_row_weights {
        const float *weight;      /* [rows][width], or [width] */
        const float *late_weight; /* [width] */
        const float *outer;       /* [rows] */
    } weights[2];
    float edge_scale, per_joule, per_ms, lost_ms;
    float deadline_ms; /* infinite: none */
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
    /* x = e^x, from -80 to 80, which is where it is held; to six digits. */
    void (*exponential)(float *x, size_t count);
    /* The least of rows from..to, by the one weights and by the other. A cost that is not
     * a number is none. */
    void (*rows_least)(float least[2], const struct ws_rows *rows, size_t from,
                       size_t to);
    /* Where in row `r` its least by weights `w` is; the first of equals. */
    size_t (*row_place)(const struct ws_rows *rows, size_t r, size_t w);
};

/* The fastest that this machine runs. */
const struct ws_kernels *ws_kernels_best(void);
/* One by number, slowest first; NULL past the last, or where this machine cannot run it.
 */
const struct ws_kernels *ws_kernels_at(size_t i);

#endif
