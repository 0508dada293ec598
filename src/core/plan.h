/*
 * A plan: settings worth choosing from, with what each is expected to give. It keeps
 * every setting that is non-dominated in its parts, so that it still answers when the
 * link changes. An entry is a list of stages, each a machine, a segment and the knob
 * values that concern it; a plain split has two. Immutable once built; read from any
 * thread.
 */
#ifndef WS_CORE_PLAN_H
#define WS_CORE_PLAN_H

#include "base/error.h"
#include "core/knob.h"
#include "core/outcome.h"

struct ws_stage {
    const char *machine; /* "edge", "cloud", or a node's name; owned by the plan */
    const char *segment; /* "NAME~CUT~CODEC", or NULL where the testbed names none */
    uint32_t knobs;      /* bit k: knob k of the space concerns this stage */
};

struct ws_plan_entry {
    struct ws_setting setting;
    struct ws_outcome outcome;
    struct ws_stage stages[WS_STAGES_MAX];
    uint8_t stage_count;
    uint8_t on_front; /* on the Pareto front under the conditions of planning */
};

struct ws_plan {
    struct ws_space space;
    struct ws_conditions conditions; /* of planning; the reference for transfer times */
    struct ws_plan_entry *entries;
    size_t entry_count;
    /* The objectives the front was taken in. */
    enum ws_measure objectives[WS_OBJECTIVES_MAX];
    size_t objective_count;
};

#endif
