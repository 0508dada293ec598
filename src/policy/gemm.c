#include "policy/gemm.h"

#include <math.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

enum { ROWS_MAX = 8, LANES_MAX = 8 };

/* SSE and NEON, and whatever a compiler makes of four floats. */
#define SUFFIX portable
#define TARGET
#define WIDTH 4
#define ROWS  4
#define VECS  2
#define WIDE  4
#include "policy/gemm_target.h"

#if defined(__x86_64__)
#define SUFFIX avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH  8
#define ROWS   6
#define VECS   2
#define WIDE   8
#include "policy/gemm_target.h"

#define SUFFIX avx512
#define TARGET __attribute__((target("avx512f,fma")))
#define WIDTH  16
#define ROWS   8
#define VECS   3
#define WIDE   8
#include "policy/gemm_target.h"
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
