#include "split/fusion.h"

#include <math.h>
#include <stdlib.h>

static double between(double from, double to, double along)
{
    return from + (to - from) * along;
}

struct ws_fusion ws_fusion_at(const struct ws_fusion *table, size_t count, double share)
{
    size_t next = 0;
    while (next < count && table[next].share < share)
        next++;
    struct ws_fusion at = next < count ? table[next] : table[count - 1];
    if (next > 0 && next < count) {
        const struct ws_fusion *low = &table[next - 1], *high = &table[next];
        double along = (share - low->share) / (high->share - low->share);
        at.lambda = between(low->lambda, high->lambda, along);
        at.edge_temperature =
            between(low->edge_temperature, high->edge_temperature, along);
        at.cloud_temperature =
            between(low->cloud_temperature, high->cloud_temperature, along);
        at.temperature = between(low->temperature, high->temperature, along);
    }
    at.share = share;
    return at;
}

void ws_fusion_probabilities(float *out, const float *logits, size_t count,
                             double temperature)
{
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, (double)logits[i]);
    for (size_t i = 0; i < count; i++) {
        double power = exp(((double)logits[i] - largest) / temperature);
        out[i] = (float)power;
        sum += power;
    }
    for (size_t i = 0; i < count; i++)
        out[i] = (float)((double)out[i] / sum);
}

void ws_fusion_pool(float *out, const float *edge, const float *cloud, size_t count,
                    double lambda, double temperature)
{
    static const double least = 1e-30; /* next to impossible, and finite */
    for (size_t i = 0; i < count; i++)
        out[i] = (float)(lambda * log(fmax((double)edge[i], least)) +
                         (1 - lambda) * log(fmax((double)cloud[i], least)));
    ws_fusion_probabilities(out, out, count, temperature);
}

static int compare_descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

void ws_attention_held(double *out, size_t parts, float *importance, size_t count)
{
    double total = 0, held = 0;
    size_t taken = 0;
    qsort(importance, count, sizeof(*importance), compare_descending);
    for (size_t i = 0; i < count; i++)
        total += (double)importance[i];
    for (size_t part = 0; part < parts; part++) {
        for (; taken < (part + 1) * count / parts; taken++)
            held += (double)importance[taken];
        out[part] = total > 0 ? held / total : (double)(part + 1) / (double)parts;
    }
}
