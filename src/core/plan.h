/*
 * A plan: settings worth choosing from, with what each is expected to give. It keeps
 * every setting that is non-dominated in its parts, so that it still answers when the
 * link changes. An entry is a list of stages, each a machine, a segment and the knob
 * values that concern it; a plain split has two that follow one another, shared feature
 * maps three of which the last two run side by side, and entries that are staged alike
 * share one list. The plan owns all it points to. Immutable once built; read from any
 * thread.
 */
#ifndef WS_CORE_PLAN_H
#define WS_CORE_PLAN_H

#include "base/error.h"
#include "core/knob.h"
#include "core/outcome.h"

struct ws_stage {
    char *machine;  /* "edge", "cloud", or a node's name */
    char *segment;  /* "NAME~CUT~CODEC", or NULL where the testbed names none */
    uint32_t knobs; /* bit k: knob k of the space concerns this stage */
    int is_beside;  /* it runs side by side with the stage before it, not after it */
};

struct ws_stage_list {
    struct ws_stage stages[WS_STAGES_MAX];
    size_t count;
};

struct ws_plan_entry {
    struct ws_setting setting;
    struct ws_outcome outcome;
    uint32_t stage_list;   /* index into the plan's stage_lists */
    uint32_t sample_count; /* behind the outcome */
    uint8_t on_front;      /* on the Pareto front under the conditions of planning */
};

struct ws_plan {
    char *testbed; /* name of the testbed it was made for */
    struct ws_space space;
    struct ws_conditions conditions; /* of planning; the reference for transfer times */
    double edge_idle_w;              /* as the testbed has it; 0: not counted */
    struct ws_stage_list *stage_lists;
    size_t stage_list_count;
    struct ws_plan_entry *entries;
    size_t entry_count;
    /* The objectives the front was taken in. */
    enum ws_measure objectives[WS_OBJECTIVES_MAX];
    size_t objective_count;
};

/* Frees what the plan holds, not the plan. */
void ws_plan_fini(struct ws_plan *plan);
/* Likewise of a list. */
void ws_stage_list_fini(struct ws_stage_list *list);
int ws_stage_list_copy(struct ws_stage_list *out, const struct ws_stage_list *list,
                       struct ws_error *err);

/* What an outcome becomes under other conditions: where the rate of the link is known in
 * the reference and the outcome knows its transfer time, that part is scaled by the ratio
 * of the two links' times for its bytes (bytes unknown: of the two rates), and the
 * latency moves with it, as far as no work of the edge beside it hides that. Whatever is
 * unknown stays as it is. A transfer of 0 ms stays 0; any other becomes infinite on a
 * link of 0 Mbit/s. `edge_idle_w` is what the edge draws while it waits, and is counted
 * for the time added or saved (0: not counted). Allocates nothing. */
void ws_outcome_relink(struct ws_outcome *outcome, const struct ws_conditions *reference,
                       const struct ws_conditions *now, double edge_idle_w);

/* The default stages of a space: "edge" with its edge, transfer and shared knobs, "cloud"
 * with its cloud, transfer and shared ones. */
int ws_stage_list_default(struct ws_stage_list *out, const struct ws_space *space,
                          struct ws_error *err);

#endif
