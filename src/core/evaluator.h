/*
 * The one interface behind which settings are tried: live machines, a recorded table, or
 * a device model. Search, learning and replay see nothing else and cannot tell which it
 * is. An evaluator is used by one thread at a time; several may exist over one shared
 * source. The caller owns the evaluator and destroys it.
 */
#ifndef WS_CORE_EVALUATOR_H
#define WS_CORE_EVALUATOR_H

#include "base/error.h"
#include "core/knob.h"
#include "core/outcome.h"

struct ws_evaluator;

struct ws_evaluator_ops {
    /* Executes `setting` once, coming from `previous` (NULL: from itself, no switch)
     * under `conditions` (NULL: those of the source). The same seed gives the same
     * outcome where the source is not live. WS_E_NOT_FOUND: the space allows the setting,
     * but this source cannot evaluate it; it costs no trial. WS_E_INFEASIBLE: a
     * constraint forbids it. */
    int (*evaluate)(struct ws_evaluator *evaluator, struct ws_outcome *out,
                    const struct ws_setting *setting, const struct ws_setting *previous,
                    const struct ws_conditions *conditions, uint64_t seed,
                    struct ws_error *err);

    /* The expected outcome, as a trial of many samples would give it. (optional: the
     * default runs evaluate with seeds 0 .. 31 and averages what is known) */
    int (*expect)(struct ws_evaluator *evaluator, struct ws_outcome *out,
                  const struct ws_setting *setting,
                  const struct ws_conditions *conditions, struct ws_error *err);

    /* Whether evaluate would answer WS_E_NOT_FOUND. (optional: default yes for all that
     * the space allows) */
    int (*has)(struct ws_evaluator *evaluator, const struct ws_setting *setting);

    void (*destroy)(struct ws_evaluator *evaluator);
};

/* Implementations embed this first. */
struct ws_evaluator {
    const struct ws_evaluator_ops *ops;
    const struct ws_space *space; /* outlives the evaluator */
    const double *switch_ms;      /* of each knob, likewise; NULL: no switch takes time */
};

/* The slots with their defaults filled in; what everybody calls. */
int ws_evaluate(struct ws_evaluator *evaluator, struct ws_outcome *out,
                const struct ws_setting *setting, const struct ws_setting *previous,
                const struct ws_conditions *conditions, uint64_t seed,
                struct ws_error *err);
int ws_evaluator_expect(struct ws_evaluator *evaluator, struct ws_outcome *out,
                        const struct ws_setting *setting,
                        const struct ws_conditions *conditions, struct ws_error *err);
int ws_evaluator_has(struct ws_evaluator *evaluator, const struct ws_setting *setting);
double ws_evaluator_switch_ms(struct ws_evaluator *evaluator,
                              const struct ws_setting *from, const struct ws_setting *to);
/* Takes NULL. */
void ws_evaluator_destroy(struct ws_evaluator *evaluator);

#endif
