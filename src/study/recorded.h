/*
 * A recorded table as an evaluator. Executing a setting draws one of its samples with the
 * seed. With noise `pooled`, settings with fewer than five samples give their mean times
 * a pooled relative residual: one factor for all times, one for all energies, drawn
 * together from the table's residuals. With `own` they draw from the samples they have,
 * be it one; with `none` every execution of any setting gives the mean. Conditions that
 * know the link change the transfer part relative to the table's own link
 * (ws_outcome_relink). The table must outlive the evaluator; many evaluators may share
 * it.
 */
#ifndef WS_STUDY_RECORDED_H
#define WS_STUDY_RECORDED_H

#include "core/evaluator.h"
#include "study/table.h"

enum ws_noise { WS_NOISE_POOLED, WS_NOISE_OWN, WS_NOISE_NONE };

/* Below this many samples of its own, a setting draws pooled residuals. */
enum { WS_RECORDED_OWN_SAMPLES_MIN = 5 };

int ws_recorded_create(struct ws_evaluator **out, const struct ws_table *table,
                       enum ws_noise noise, struct ws_error *err);
/* "pooled", "own" or "none"; WS_E_USAGE. */
int ws_noise_find(enum ws_noise *out, const char *name, struct ws_error *err);

#endif
