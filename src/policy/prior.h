/*
 * What a table says that every setting costs, over any link: the part of a value that
 * need not be learnt. It is read out of an evaluator once, as numbers by which its times
 * and energies follow the link,
 *     away    = per_delay * delay + per_rate / rate + fixed
 *     latency = edge + max(beside, away)
 *     energy  = joules + radio * (away - fixed) + wait * max(away - beside, 0),
 * and kept in flat arrays, so that the best of ten thousand settings, each cost
 * multiplied by one factor for each of its knobs, is a few instructions a setting. Of the
 * edge's times and energies, those of late count as the view has them (edge_scale,
 * power_scale). Whether and how attention matters for the accuracy is kept for each value
 * of the pivot, the knob that decides what is sent away. It can be written to an agent's
 * file and read back without the evaluator. Choosing allocates nothing. Not thread-safe.
 */
#ifndef WS_POLICY_PRIOR_H
#define WS_POLICY_PRIOR_H

#include <jansson.h>

#include "base/json.h"
#include "policy/gemm.h"
#include "policy/learner.h"

/* Not a knob. */
#define WS_NO_PIVOT ((size_t)-1)

/* The knob that all others depend on, because it decides what is sent away: the first
 * whose part is shared, if it has few values; or WS_NO_PIVOT. */
size_t ws_prior_pivot(const struct ws_space *space);

struct ws_prior;

/* WS_E_LIMIT: more than WS_PRIOR_MAX settings. The space must outlive it, the
 * evaluator need not. */
int ws_prior_create(struct ws_prior **out, struct ws_evaluator *table,
                    const struct ws_cost *cost, struct ws_error *err);
/* Takes NULL. */
void ws_prior_destroy(struct ws_prior *prior);

json_t *ws_prior_to_json(const struct ws_prior *prior);
int ws_prior_from_json(struct ws_prior **out, const struct ws_json *json,
                       const struct ws_space *space, const struct ws_cost *cost,
                       struct ws_error *err);

/* Logarithm of what a setting costs; infinite where the table lacks it. */
double ws_prior_log_cost(const struct ws_prior *prior, const struct ws_view *view,
                         const struct ws_setting *setting);
int ws_prior_has(const struct ws_prior *prior, const struct ws_setting *setting);

/* What each cost is multiplied by: one factor of the pivot's value ([values], or one
 * where there is no pivot), and for each of those a row with one factor of every value of
 * every other knob, in the order of the knobs. Infinite: not to be chosen. */
struct ws_prior_factors {
    const float *pivot, *rest;
    size_t rest_stride; /* from row to row */
};

/* All of them 1, but for other values of knobs that were fixed: what the table itself
 * says is best. */
const struct ws_prior_factors *ws_prior_plain(const struct ws_prior *prior);
void ws_prior_fix(struct ws_prior *prior, size_t knob, size_t value);

struct ws_prior_hit {
    uint16_t value[WS_KNOBS_MAX];
    float log_cost;
};

/* The setting of which cost times factors is least, and beside it the one that is best by
 * the table alone among those that may be chosen (NULL: it is not asked for). 0: there is
 * none, and nothing is written. */
int ws_prior_best(struct ws_prior *prior, struct ws_prior_hit *out,
                  struct ws_prior_hit *out_plain, const struct ws_view *view,
                  const struct ws_prior_factors *factors,
                  const struct ws_kernels *kernels);

#endif
