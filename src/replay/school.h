/*
 * Training a learner on a course, and judging what it learnt: mean energy, latency and
 * cost of what it chooses, beside what the oracle of the same course would have cost
 * (brute force over all settings, knowing the link at the moment of execution). Costs are
 * expected ones, so that noise does not judge. One thread.
 */
#ifndef WS_REPLAY_SCHOOL_H
#define WS_REPLAY_SCHOOL_H

#include "replay/course.h"

/* Called now and then with how far training has come; NULL: never. */
typedef void (*ws_school_progress)(void *user, uint64_t done, uint64_t steps);

/* Serves task->steps requests of the course, exploring. */
int ws_school_train(struct ws_learner *learner, const struct ws_course_options *course,
                    ws_school_progress progress, void *user, struct ws_error *err);

struct ws_school_mark {
    size_t requests;
    double energy_j, latency_ms, cost; /* means */
    double oracle_cost;   /* mean of what the oracle says before each request */
    double regret;        /* cost / oracle_cost - 1; 0 without an oracle */
    double short_share;   /* requests below the accuracy floor */
    double temperature_c; /* mean */
    double span_s;        /* on the virtual clock */
};

/* Serves `requests`. learner NULL: the oracle itself. `learns`: it is told what came of
 * it and may explore. `with_oracle`: look up the oracle's cost before each request, which
 * is what takes time. */
int ws_school_judge(struct ws_school_mark *out, struct ws_learner *learner,
                    const struct ws_course_options *course,
                    const struct ws_setting *start, size_t requests, int learns,
                    int with_oracle, struct ws_error *err);

#endif
