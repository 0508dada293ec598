/*
 * From a study to a plan, without models or machines at hand: what the trials gave, the
 * link they were taken over, and for each entry the segments that run where.
 */
#ifndef WS_PROFILE_PLANNING_H
#define WS_PROFILE_PLANNING_H

#include "core/plan.h"
#include "search/search.h"
#include "study/study.h"

/* The valid trials, in the order they were made. */
int ws_study_trials(struct ws_trials *out, struct ws_study *study, struct ws_error *err);
/* The link the trials were taken over: the testbed's, or estimated from what crossed and
 * how long it took. WS_E_UNKNOWN. */
int ws_study_link(struct ws_conditions *out, struct ws_study *study,
                  const struct ws_trials *trials, struct ws_error *err);
/* WS_E_INFEASIBLE where no trial knows all objectives. */
int ws_study_plan(struct ws_plan *out, struct ws_study *study,
                  const struct ws_trials *trials, struct ws_error *err);

/* What of a setting a study says: the model's name of a variant, and the identity of a
 * cut in it; NULL where it does not. Facts "name.VARIANT" and "cut.VARIANT.VALUE". */
const char *ws_study_cut_id(const struct ws_study *study, const char *variant,
                            const char *cut);

/* How far composing is from measuring: relative errors of the trials that know both. */
struct ws_composition {
    size_t count;                         /* that know both latencies */
    double latency_median, latency_worst; /* |composed - whole| / whole */
    size_t energy_count;
    double energy_median, energy_worst;
};
int ws_study_composition(struct ws_composition *out, struct ws_study *study,
                         struct ws_error *err);

#endif
