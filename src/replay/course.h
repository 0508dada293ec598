/*
 * A course: one edge machine served request after request on a virtual clock, for
 * learners to be trained and compared on. The machine is an evaluator; link, load and
 * what else changes comes from a range, a trace, or stays; attention wanders as a
 * video's does; the machine warms up with the power it draws. A decision is concurrent
 * unless asked otherwise: what it sees is the state while the request before runs. Two
 * courses of the same options see the same links, attentions and noise, whatever is
 * chosen, as far as a trace does not tie them to the clock. Not thread-safe.
 */
#ifndef WS_REPLAY_COURSE_H
#define WS_REPLAY_COURSE_H

#include "base/rng.h"
#include "policy/learner.h"
#include "study/trace.h"

struct ws_range {
    double low, high; /* equal: fixed */
};

struct ws_course_options {
    struct ws_evaluator *machine;
    /* What was planned: `edge_scale` of a view is relative to it. NULL: machine. */
    struct ws_evaluator *table;
    struct ws_conditions reference; /* link of the testbed, and all that is not below */
    struct ws_cost cost;
    /* A rate drawn log-uniformly and held for some requests, or (trace) a trace. */
    struct ws_range link_mbit_s;
    size_t hold;
    const struct ws_trace *trace;
    struct ws_range eta, lambda, deadline_ms; /* deadline: half have none; 0..0: none */
    double ambient_c, c_per_w, heat_s;        /* heat_s 0: the temperature stays */
    /* Every so many requests the machine is another one: of a temperature up to so many
     * degrees above ambient, three times in ten with a load up to so much, and (others)
     * three in ten not quite the model's (WS_INDIVIDUAL). 0: never. For training, or all
     * it ever sees is one machine that is warm and idle. */
    size_t restart_every;
    double restart_above_c, restart_load;
    int restart_others;
    int sequential;   /* decide when the request before is done, for decide_ms */
    double decide_ms; /* then counted into the request's time, at idle_w */
    double idle_w;
    uint64_t seed;
};

struct ws_course {
    const struct ws_course_options *options;
    struct ws_rng draws, noise;
    struct ws_conditions now; /* true, at the start of the request to come */
    double now_ms;
    double temperature_c, edge_scale, power_scale, attention;
    double eta, lambda, deadline_ms;
    size_t held; /* requests for which the drawn rate still holds */
    uint64_t served;
    struct ws_setting current;
    struct ws_view view; /* what the decision sees */
};

/* What one request gave. */
struct ws_course_result {
    struct ws_outcome outcome;  /* with noise, as a learner is told it */
    struct ws_outcome expected; /* without, switching included in both */
    double cost;                /* expected */
};

void ws_course_init(struct ws_course *out, const struct ws_course_options *options,
                    const struct ws_setting *start);
/* Executes the request that `view` was of, and moves on to the next. */
int ws_course_step(struct ws_course *course, struct ws_course_result *out,
                   const struct ws_setting *setting, struct ws_error *err);

/* What `setting` would cost now, expected, and what the best of all would. */
int ws_course_cost(double *out, const struct ws_course *course,
                   const struct ws_setting *setting, struct ws_outcome *outcome,
                   struct ws_error *err);
int ws_course_oracle(struct ws_setting *out, double *out_cost,
                     const struct ws_course *course, struct ws_error *err);

#endif
