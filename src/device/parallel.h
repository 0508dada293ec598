/*
 * A network whose halves run side by side, as an evaluator: DVFO's way to split. The
 * edge runs extractor and attention; then its own half works on the maps of primary
 * importance while the rest, the knob `share` of them, travels and is worked on by the
 * cloud:
 *     latency = extract + max(local, transfer + cloud) + fusion
 * The edge's time is the sum of what its processor, accelerator and memory take, each at
 * its own clock; its power the sum of theirs. The rest are constants of a model file
 * (JSON), whose format is docs/learning.md. A scenario (JSON) says where a machine
 * differs from its model: a clock that heat holds down, other load, drift over time;
 * what a table made of the model does not know. Every outcome is marked modelled.
 *
 * Conditions it minds: link rate and delay, attention, edge load, temperature, time.
 */
#ifndef WS_DEVICE_PARALLEL_H
#define WS_DEVICE_PARALLEL_H

#include "core/evaluator.h"

/* What a machine is and no setting changes. */
struct ws_parallel_facts {
    struct ws_conditions link; /* of the model; the reference of a plan made with it */
    double max_power_w;
    double idle_w; /* at the lowest clocks */
    double accuracy, accuracy_floor;
    /* Heat: the temperature goes to ambient + watts * c_per_w with this time constant. */
    double ambient_c, c_per_w, heat_s;
};

/* Reads the model at `path`, and the scenario at `scenario_path` (NULL: none), for a
 * space whose knobs they name. The space outlives the evaluator. switch_ms: cost of
 * changing each knob, or NULL; the largest counts. WS_E_FORMAT, WS_E_NOT_FOUND with file
 * and key. */
int ws_parallel_create(struct ws_evaluator **out, const struct ws_space *space,
                       const double *switch_ms, const char *path,
                       const char *scenario_path, struct ws_error *err);
int ws_parallel_parse(struct ws_evaluator **out, const struct ws_space *space,
                      const double *switch_ms, const void *bytes, size_t size,
                      const char *name, struct ws_error *err);
const struct ws_parallel_facts *ws_parallel_facts(const struct ws_evaluator *evaluator);

#endif
