#include "policy/gemm.h"

#include <math.h>

/* A row of floats that every compiler maps to what its target has: one register of
 * AVX-512, two of AVX2, four of SSE or NEON. */
typedef float lanes __attribute__((vector_size(4 * WS_GEMM_LANES), aligned(4)));

#define INLINE static inline __attribute__((always_inline))

enum { ROWS_MAX = 8, LANES_MAX = 8 };

/* A tile of `rows` x `vecs` registers, constants after inlining: c = a b. Each element is
 * one sum in the order of k. */
INLINE void tile(float *c, size_t c_stride, const float *a, size_t a_row, size_t a_col,
                 const float *b, size_t b_stride, size_t depth, int add, const int rows,
                 const int vecs)
{
    lanes sum[ROWS_MAX][LANES_MAX];
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vecs; j++)
            sum[i][j] = add ? *(const lanes *)(c + (size_t)i * c_stride +
                                               (size_t)j * WS_GEMM_LANES)
                            : (lanes){0};
    }
    for (size_t k = 0; k < depth; k++) {
        lanes row[LANES_MAX];
        for (int j = 0; j < vecs; j++)
            row[j] = *(const lanes *)(b + k * b_stride + (size_t)j * WS_GEMM_LANES);
        for (int i = 0; i < rows; i++) {
            float left = a[(size_t)i * a_row + k * a_col];
            for (int j = 0; j < vecs; j++)
                sum[i][j] += left * row[j];
        }
    }
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vecs; j++)
            *(lanes *)(c + (size_t)i * c_stride + (size_t)j * WS_GEMM_LANES) = sum[i][j];
    }
}

/* One strip of `rows` rows: tiles of `vecs` registers, then of one. */
INLINE void strip(float *c, size_t c_stride, const float *a, size_t a_row, size_t a_col,
                  const float *b, size_t b_stride, size_t n, size_t depth, int add,
                  const int rows, const int vecs)
{
    size_t j = 0, wide = (size_t)vecs * WS_GEMM_LANES;
    for (; j + wide <= n; j += wide)
        tile(c + j, c_stride, a, a_row, a_col, b + j, b_stride, depth, add, rows, vecs);
    for (; j < n; j += WS_GEMM_LANES)
        tile(c + j, c_stride, a, a_row, a_col, b + j, b_stride, depth, add, rows, 1);
}

/* `rows` x `vecs` is what the registers of the target hold; a single row, as in a
 * decision, is spread over `wide` of them. */
INLINE void multiply(float *c, size_t c_stride, const float *a, size_t a_row,
                     size_t a_col, const float *b, size_t b_stride, size_t m, size_t n,
                     size_t depth, int add, const int rows, const int vecs,
                     const int wide)
{
    size_t i = 0;
    for (; i + (size_t)rows <= m; i += (size_t)rows)
        strip(c + i * c_stride, c_stride, a + i * a_row, a_row, a_col, b, b_stride, n,
              depth, add, rows, vecs);
    for (; i < m; i++)
        strip(c + i * c_stride, c_stride, a + i * a_row, a_row, a_col, b, b_stride, n,
              depth, add, 1, wide);
}

INLINE void adam(float *param, float *mean, float *square, const float *gradient,
                 size_t count, const struct ws_adam *step)
{
    const struct ws_adam s = *step;
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i];
        float m = s.beta1 * mean[i] + (1 - s.beta1) * g;
        float v = s.beta2 * square[i] + (1 - s.beta2) * g * g;
        mean[i] = m;
        square[i] = v;
        param[i] -= s.step_size * m / (sqrtf(v) * s.second_scale + s.epsilon);
    }
}

/* The same bodies for one target. */
#define KERNELS(target, suffix, rows, vecs, wide)                                        \
    target static void multiply_##suffix(                                                \
        float *restrict c, size_t c_stride, const float *restrict a, size_t a_row,       \
        size_t a_col, const float *restrict b, size_t b_stride, size_t m, size_t n,      \
        size_t depth, int add)                                                           \
    {                                                                                    \
        multiply(c, c_stride, a, a_row, a_col, b, b_stride, m, n, depth, add, rows,      \
                 vecs, wide);                                                            \
    }                                                                                    \
    target static void adam_##suffix(                                                    \
        float *restrict param, float *restrict mean, float *restrict square,             \
        const float *restrict gradient, size_t count, const struct ws_adam *step)        \
    {                                                                                    \
        adam(param, mean, square, gradient, count, step);                                \
    }                                                                                    \
    static const struct ws_kernels kernels_##suffix = {#suffix, multiply_##suffix,       \
                                                       adam_##suffix};

KERNELS(, portable, 2, 1, 2)

#if defined(__x86_64__)
KERNELS(__attribute__((target("avx2,fma"))), avx2, 6, 1, 4)
KERNELS(__attribute__((target("avx512f,fma"))), avx512, 8, 3, 8)
#endif

const struct ws_kernels *ws_kernels_at(size_t i)
{
    switch (i) {
    case 0:
        return &kernels_portable;
#if defined(__x86_64__)
    case 1:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
                   ? &kernels_avx2
                   : NULL;
    case 2:
        return __builtin_cpu_supports("avx512f") ? &kernels_avx512 : NULL;
#endif
    default:
        return NULL;
    }
}

const struct ws_kernels *ws_kernels_best(void)
{
    const struct ws_kernels *best = &kernels_portable;
    for (size_t i = 1; ws_kernels_at(i) != NULL; i++)
        best = ws_kernels_at(i);
    return best;
}
