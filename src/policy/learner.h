/*
 * Learners: what they see, what they choose, what they are told afterwards. A learner
 * chooses a setting from a view of things and learns from every request: what it saw,
 * what it chose, what that gave, and what it saw next. The course of replay/course.h
 * trains and compares them, and the policy `dvfo` asks a trained one in replay and while
 * serving. What is minimised is DVFO's cost,
 *     eta * energy + (1 - eta) * greatest power * latency,
 * eta being part of the view; a deadline or an accuracy that is missed makes it dearer,
 * so that both act as constraints. Learners are deterministic in their seed. Not
 * thread-safe.
 */
#ifndef WS_POLICY_LEARNER_H
#define WS_POLICY_LEARNER_H

#include "base/error.h"
#include "core/evaluator.h"

/* What a decision is made from. What is not known stands at what it was trained around:
 * the caller fills it in. */
struct ws_view {
    double link_mbit_s;
    double link_delay_ms;
    double attention; /* importance that the top half of the maps holds, 0.5 to 1 */
    double temperature_c;
    double queue;              /* requests that wait behind this one */
    double edge_scale;         /* time of the edge over the planned, of late */
    double power_scale;        /* energy of the edge over the planned, of late */
    double eta;                /* 1: only energy counts, 0: only time */
    double lambda;             /* weight of the edge's half in fusion */
    double deadline_ms;        /* infinite: none */
    double elapsed_ms;         /* that the request before this one has taken so far */
    struct ws_setting current; /* in force: of the request before this one */
};

/* The attention of an input of which nothing is known. */
#define WS_VIEW_ATTENTION 0.75

/* What is wanted, apart from eta and deadline, which come with each request. */
struct ws_cost {
    double max_power_w;
    double accuracy_floor; /* 0: none */
};

/* How much dearer a request gets: by this share for a missed deadline, and by this share
 * for each point of accuracy below the floor. */
#define WS_COST_LATE  1.0
#define WS_COST_POINT 1.0
/* A request that never comes back counts as long as this. */
#define WS_COST_LOST_MS 60000.0

/* The cost of a request; latency_ms may be infinite, and the cost is then large. */
double ws_cost_of(const struct ws_cost *cost, const struct ws_view *view,
                  const struct ws_outcome *outcome);

/* Everything there is to know before the first request. Pointers outlive the learner. */
struct ws_learner_task {
    const struct ws_space *space;
    struct ws_cost cost;
    /* Knobs that are not to be touched: fixed[k] is a value's index, or -1. NULL: none.
     */
    const int32_t *fixed;
    /* Where a learner starts from: a setting that is known to work. */
    struct ws_setting start;
    const struct ws_setting *cloud_only, *edge_only; /* NULL: the testbed has none */
    /* What a table of the testbed says, for those that look it up. NULL: there is none.
     */
    struct ws_evaluator *table;
    /* `dvfo` has the network learn what the table gets wrong; 1: it learns everything, as
     * published, and does not look at the table. */
    int no_prior;
    uint64_t steps; /* of training, over which exploration fades; 0: none */
    uint64_t seed;
    int no_attention; /* an ablation: the view's attention is not looked at */
    double gamma;     /* what the next request's cost counts; `dvfo` only */
};

struct ws_learner;

struct ws_learner_ops {
    const char *name;
    const char *summary;
    int (*create)(struct ws_learner **out, const struct ws_learner_task *task,
                  struct ws_error *err);
    /* `explore`: it may try something, as in training. */
    void (*choose)(struct ws_learner *learner, struct ws_setting *out,
                   const struct ws_view *view, int explore);
    /* What a choice gave. Its latency may be infinite. (optional) */
    void (*observe)(struct ws_learner *learner, const struct ws_view *view,
                    const struct ws_setting *setting, const struct ws_outcome *outcome,
                    const struct ws_view *next);
    void (*destroy)(struct ws_learner *learner);
};

/* Implementations embed this first. */
struct ws_learner {
    const struct ws_learner_ops *ops;
    const struct ws_learner_task *task;
};

/* All of them, NULL-terminated. */
const struct ws_learner_ops *const *ws_learner_all(void);
/* WS_E_USAGE lists the names there are. */
int ws_learner_find(const struct ws_learner_ops **out, const char *name,
                    struct ws_error *err);
void ws_learner_choose(struct ws_learner *learner, struct ws_setting *out,
                       const struct ws_view *view, int explore);
void ws_learner_observe(struct ws_learner *learner, const struct ws_view *view,
                        const struct ws_setting *setting,
                        const struct ws_outcome *outcome, const struct ws_view *next);
/* Takes NULL. */
void ws_learner_destroy(struct ws_learner *learner);

/* Values of a knob as this task may choose them: first and last. */
static inline uint16_t ws_learner_low(const struct ws_learner_task *task, size_t knob)
{
    return task->fixed != NULL && task->fixed[knob] >= 0 ? (uint16_t)task->fixed[knob]
                                                         : 0;
}

static inline uint16_t ws_learner_high(const struct ws_learner_task *task, size_t knob)
{
    return task->fixed != NULL && task->fixed[knob] >= 0
               ? (uint16_t)task->fixed[knob]
               : (uint16_t)(task->space->knobs[knob].value_count - 1);
}

#endif
