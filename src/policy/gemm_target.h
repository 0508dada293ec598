/*
 * The bodies of gemm.c for one target; included once for each, so there is no guard.
 * Before it: SUFFIX, TARGET (an attribute, or nothing), WIDTH (floats of a register),
 * ROWS x VECS (the tile of registers that sums are kept in), WIDE (registers of one row,
 * as in a decision). All are undefined after it.
 */
#define JOIN_(a, b) a##_##b
#define JOIN(a, b)  JOIN_(a, b)
#define NAME(what)  JOIN(what, SUFFIX)
#define lanes       NAME(lanes)
#define tile        NAME(tile)
#define strip       NAME(strip)
#define multiply    NAME(multiply)
#define adam        NAME(adam)
#define kernels     NAME(kernels)

typedef float lanes __attribute__((vector_size(4 * WIDTH), aligned(4)));

/* A tile of `rows` x `vecs` registers, constants after inlining: c = a b. Each element is
 * one sum in the order of k. */
TARGET INLINE void tile(float *c, size_t c_stride, const float *a, size_t a_row,
                        size_t a_col, const float *b, size_t b_stride, size_t depth,
                        int add, const int rows, const int vecs)
{
    lanes sum[ROWS_MAX][LANES_MAX];
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vecs; j++)
            sum[i][j] =
                add ? *(const lanes *)(c + (size_t)i * c_stride + (size_t)j * WIDTH)
                    : (lanes){0};
    }
    for (size_t k = 0; k < depth; k++) {
        lanes row[LANES_MAX];
        for (int j = 0; j < vecs; j++)
            row[j] = *(const lanes *)(b + k * b_stride + (size_t)j * WIDTH);
        for (int i = 0; i < rows; i++) {
            float left = a[(size_t)i * a_row + k * a_col];
            for (int j = 0; j < vecs; j++)
                sum[i][j] += left * row[j];
        }
    }
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vecs; j++)
            *(lanes *)(c + (size_t)i * c_stride + (size_t)j * WIDTH) = sum[i][j];
    }
}

/* One strip of `rows` rows: tiles of `vecs` registers, then of one. */
TARGET INLINE void strip(float *c, size_t c_stride, const float *a, size_t a_row,
                         size_t a_col, const float *b, size_t b_stride, size_t n,
                         size_t depth, int add, const int rows, const int vecs)
{
    size_t j = 0, wide = (size_t)vecs * WIDTH;
    for (; j + wide <= n; j += wide)
        tile(c + j, c_stride, a, a_row, a_col, b + j, b_stride, depth, add, rows, vecs);
    for (; j < n; j += WIDTH)
        tile(c + j, c_stride, a, a_row, a_col, b + j, b_stride, depth, add, rows, 1);
}

TARGET static void multiply(float *restrict c, size_t c_stride, const float *restrict a,
                            size_t a_row, size_t a_col, const float *restrict b,
                            size_t b_stride, size_t m, size_t n, size_t depth, int add)
{
    size_t i = 0;
    for (; i + ROWS <= m; i += ROWS)
        strip(c + i * c_stride, c_stride, a + i * a_row, a_row, a_col, b, b_stride, n,
              depth, add, ROWS, VECS);
    for (; i < m; i++)
        strip(c + i * c_stride, c_stride, a + i * a_row, a_row, a_col, b, b_stride, n,
              depth, add, 1, WIDE);
}

TARGET static void adam(float *restrict param, float *restrict mean,
                        float *restrict square, const float *restrict gradient,
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

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
static const struct ws_kernels kernels = {TEXT(SUFFIX), multiply, adam};

#undef TEXT
#undef TEXT_
#undef lanes
#undef tile
#undef strip
#undef multiply
#undef adam
#undef kernels
#undef NAME
#undef JOIN
#undef JOIN_
#undef SUFFIX
#undef TARGET
#undef WIDTH
#undef ROWS
#undef VECS
#undef WIDE
