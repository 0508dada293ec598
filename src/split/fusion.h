/*
 * Two halves' answers made one: each half's logits become probabilities at its own
 * temperature, and the answer is their logarithmic pool, the normalised
 *     (edge^lambda * cloud^(1 - lambda))^(1 / temperature)
 * in which what either half rules out stays ruled out. Temperatures and lambda were
 * fitted for some shares on held-out pictures; between two of them they are interpolated.
 * Also the shape of an attention's distribution, which is what a policy can know about a
 * picture before it decides. Pure functions.
 */
#ifndef WS_SPLIT_FUSION_H
#define WS_SPLIT_FUSION_H

#include <stddef.h>

/* How the halves are weighed where `share` of the maps went to the cloud. */
struct ws_fusion {
    double share;  /* 0 to 1 */
    double lambda; /* of the edge's half, 0 to 1 */
    double edge_temperature;
    double cloud_temperature;
    double temperature; /* of the pool; all positive */
};

/* Interpolates a table of `count` >= 1 rows in strictly ascending order of share; beyond
 * its ends, the end row holds. */
struct ws_fusion ws_fusion_at(const struct ws_fusion *table, size_t count, double share);

/* out[count] = softmax(logits / temperature); out may be logits. */
void ws_fusion_probabilities(float *out, const float *logits, size_t count,
                             double temperature);

/* out[count] = the pool of two rows of probabilities; out may be either. */
void ws_fusion_pool(float *out, const float *edge, const float *cloud, size_t count,
                    double lambda, double temperature);

/* How much importance the most important maps hold: out[i] is the sum of the largest
 * (i + 1) / parts of importance[count], 0 to 1, so the last is 1; where nothing has any
 * importance all maps count alike. parts <= count. Sorts `importance`. */
void ws_attention_held(double *out, size_t parts, float *importance, size_t count);

#endif
