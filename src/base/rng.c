#include "base/rng.h"

#include <math.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void ws_rng_init(struct ws_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        rng->s[i] = splitmix(&seed);
}

void ws_rng_init_stream(struct ws_rng *rng, uint64_t seed, uint64_t stream)
{
    /* Two rounds, so that neighbouring streams share no state. */
    uint64_t state = seed;
    uint64_t mixed = splitmix(&state) ^ (stream * 0xd1342543de82ef95u);
    ws_rng_init(rng, splitmix(&mixed));
}

uint64_t ws_rng_u64(struct ws_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t ws_rng_below(struct ws_rng *rng, uint64_t bound)
{
    if (bound == 0)
        return 0;
    uint64_t threshold = -bound % bound;
    for (;;) {
        uint64_t r = ws_rng_u64(rng);
        if (r >= threshold)
            return r % bound;
    }
}

double ws_rng_uniform(struct ws_rng *rng)
{
    return (double)(ws_rng_u64(rng) >> 11) * 0x1.0p-53;
}

double ws_rng_normal(struct ws_rng *rng)
{
    for (;;) {
        double u = 2 * ws_rng_uniform(rng) - 1;
        double v = 2 * ws_rng_uniform(rng) - 1;
        double r2 = u * u + v * v;
        if (r2 > 0 && r2 < 1)
            return u * sqrt(-2 * log(r2) / r2);
    }
}

double ws_rng_weibull(struct ws_rng *rng, double shape)
{
    return pow(-log1p(-ws_rng_uniform(rng)), 1 / shape);
}

void ws_rng_permute(struct ws_rng *rng, uint32_t *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t j = (uint32_t)ws_rng_below(rng, (uint64_t)i + 1);
        out[i] = out[j];
        out[j] = i;
    }
}
