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
#define exponential NAME(exponential)
#define pick        NAME(pick)
#define masks       NAME(masks)
#define costs_at    NAME(costs_at)
#define weighed     NAME(weighed)
#define least_of    NAME(least_of)
#define rows_least  NAME(rows_least)
#define row_place   NAME(row_place)
#define kernels     NAME(kernels)

typedef float lanes __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef int32_t masks __attribute__((vector_size(4 * WIDTH), aligned(4)));

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

/* 2^n as bits, times a polynomial of what is left (Cephes' expf). */
TARGET static void exponential(float *restrict x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float y = x[i] < -80 ? -80 : x[i];
        y = y > 80 ? 80 : y;
        float n = y * 1.44269504f + 12582912.0f - 12582912.0f; /* rounds */
        float r = y - n * 0.693359375f + n * 2.12194440e-4f;
        float p = 1.9875691500e-4f;
        p = p * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        union {
            int32_t bits;
            float value;
        } two = {((int32_t)n + 127) * (1 << 23)};
        x[i] = (p * r * r + r + 1) * two.value;
    }
}

/* a where the mask is set, else b. */
TARGET INLINE lanes pick(masks mask, lanes a, lanes b)
{
    return (lanes)(((masks)a & mask) | ((masks)b & ~mask));
}

/* WIDTH settings: what they cost without their weights, and their times. */
TARGET INLINE lanes costs_at(lanes *ms_out, const struct ws_rows *rows, size_t at,
                             size_t shared)
{
    const lanes edge = *(const lanes *)(rows->edge + at);
    const lanes beside = *(const lanes *)(rows->beside + at);
    const lanes joules = *(const lanes *)(rows->joules + at);
    const lanes wait = *(const lanes *)(rows->wait + at);
    const lanes away = *(const lanes *)(rows->away + shared);
    const lanes travel = *(const lanes *)(rows->travel + shared);
    const lanes none = {0}, lost = none + rows->lost_ms;
    lanes local = rows->edge_scale * beside, over = away - beside;
    lanes ms = rows->edge_scale * edge + pick(local > away, local, away);
    ms = pick(ms < lost, ms, lost);
    *ms_out = ms;
    return rows->per_joule * (joules + wait * pick(over > none, over, none)) +
           (rows->per_ms * ms + travel);
}

TARGET INLINE lanes weighed(lanes cost, lanes ms, const struct ws_rows *rows, size_t r,
                            size_t i, const int w, const int timed)
{
    const struct ws_row_weights *weights = &rows->weights[w];
    const lanes none = {0}, deadline = none + rows->deadline_ms;
    lanes weight = *(const lanes *)(weights->weight + r * rows->stride + i);
    if (timed)
        weight += pick(ms > deadline, *(const lanes *)(weights->late_weight + i), none);
    return cost * weight * weights->outer[r];
}

/* `timed`, a constant after inlining: there is a deadline. */
TARGET INLINE void least_of(float least[2], const struct ws_rows *rows, size_t from,
                            size_t to, const int timed)
{
    const lanes none = {0};
    lanes low[2] = {none + INFINITY, none + INFINITY};
    for (size_t r = from; r < to; r++) {
        for (size_t i = 0; i < rows->width; i += WIDTH) {
            lanes ms,
                cost = costs_at(&ms, rows, r * rows->width + i, r * rows->stride + i);
            lanes a = weighed(cost, ms, rows, r, i, 0, timed);
            lanes b = weighed(cost, ms, rows, r, i, 1, timed);
            low[0] = pick(a < low[0], a, low[0]);
            low[1] = pick(b < low[1], b, low[1]);
        }
    }
    for (int w = 0; w < 2; w++) {
        least[w] = low[w][0];
        for (int j = 1; j < WIDTH; j++)
            least[w] = low[w][j] < least[w] ? low[w][j] : least[w];
    }
}

TARGET static void rows_least(float least[2], const struct ws_rows *rows, size_t from,
                              size_t to)
{
    if (isfinite(rows->deadline_ms))
        least_of(least, rows, from, to, 1);
    else
        least_of(least, rows, from, to, 0);
}

TARGET static size_t row_place(const struct ws_rows *rows, size_t r, size_t w)
{
    float least = INFINITY;
    size_t place = 0;
    for (size_t i = 0; i < rows->width; i += WIDTH) {
        lanes ms, cost = costs_at(&ms, rows, r * rows->width + i, r * rows->stride + i);
        cost = w == 0 ? weighed(cost, ms, rows, r, i, 0, 1)
                      : weighed(cost, ms, rows, r, i, 1, 1);
        for (size_t j = 0; j < WIDTH; j++) {
            place = cost[j] < least ? i + j : place;
            least = cost[j] < least ? cost[j] : least;
        }
    }
    return place;
}

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
static const struct ws_kernels kernels = {TEXT(SUFFIX), multiply,   adam,
                                          exponential,  rows_least, row_place};

#undef TEXT
#undef TEXT_
#undef lanes
#undef tile
#undef strip
#undef multiply
#undef adam
#undef exponential
#undef pick
#undef masks
#undef costs_at
#undef weighed
#undef least_of
#undef rows_least
#undef row_place
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
