/*
 * What every search tries its settings through: it keeps the trials and the budget, and
 * never pays for a setting twice or for one that the evaluator lacks. Internal to this
 * room.
 */
#ifndef WS_SEARCH_PROBE_H
#define WS_SEARCH_PROBE_H

#include "base/rng.h"
#include "search/search.h"

struct ws_probe {
    const struct ws_search_task *task;
    struct ws_trials *trials;
    uint64_t *slots;    /* open addressing: (index of a tried setting) + 1, 0 is free */
    uint32_t *trial_of; /* [slot_count]: its trial */
    size_t slot_count;
};

int ws_probe_init(struct ws_probe *out, const struct ws_search_task *task,
                  struct ws_trials *trials, struct ws_error *err);
void ws_probe_fini(struct ws_probe *probe);
/* Trials left in the budget. */
size_t ws_probe_left(const struct ws_probe *probe);
/* 1 and the trial's number if the setting was tried. */
int ws_probe_tried(size_t *out, const struct ws_probe *probe,
                   const struct ws_setting *setting);
/* Tries a setting that is allowed, there, and untried; there must be budget left. */
int ws_probe_try(struct ws_probe *probe, const struct ws_setting *setting,
                 struct ws_error *err);

/* All settings that constraints allow and the evaluator has, as indices, ascending; the
 * caller frees. WS_E_LIMIT above WS_SEARCH_ALL_MAX raw settings. */
int ws_search_enumerate(uint64_t **out, size_t *out_count, struct ws_evaluator *evaluator,
                        struct ws_error *err);
/* A random setting that is allowed, there, and untried; gives up with WS_E_END after many
 * draws. */
int ws_search_draw(struct ws_setting *out, const struct ws_probe *probe,
                   struct ws_rng *rng);

/* Objectives as coordinates that want to be small. 0, or WS_E_UNKNOWN. */
int ws_search_coordinates(double *out, const struct ws_outcome *outcome,
                          const enum ws_measure *measures, size_t count);

#endif
