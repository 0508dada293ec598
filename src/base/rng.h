/*
 * Random numbers from a seed: xoshiro256** (Blackman and Vigna, 2018) seeded through
 * splitmix64. The same seed gives the same sequence on every machine. A stream can be
 * forked by a number, so that one consumer's draws do not shift another's. Not for keys.
 */
#ifndef WS_BASE_RNG_H
#define WS_BASE_RNG_H

#include <stdint.h>

struct ws_rng {
    uint64_t s[4];
};

void ws_rng_init(struct ws_rng *rng, uint64_t seed);
/* A generator of its own for (seed, stream). */
void ws_rng_init_stream(struct ws_rng *rng, uint64_t seed, uint64_t stream);
uint64_t ws_rng_u64(struct ws_rng *rng);
/* Uniform in [0, bound), without bias; bound 0 gives 0. */
uint64_t ws_rng_below(struct ws_rng *rng, uint64_t bound);
/* Uniform in [0, 1), 53 bits. */
double ws_rng_uniform(struct ws_rng *rng);
/* Standard normal (polar method; draws as many uniforms as it needs, keeps none). */
double ws_rng_normal(struct ws_rng *rng);
/* Weibull with scale 1. */
double ws_rng_weibull(struct ws_rng *rng, double shape);
/* Puts 0 .. count-1 into a random order. */
void ws_rng_permute(struct ws_rng *rng, uint32_t *out, uint32_t count);

#endif
