#include "replay/school.h"

enum { PROGRESS_EVERY = 100 };

int ws_school_train(struct ws_learner *learner, const struct ws_course_options *options,
                    ws_school_progress progress, void *user, struct ws_error *err)
{
    const struct ws_learner_task *task = learner->task;
    struct ws_course course;
    int rc = 0;
    ws_course_init(&course, options, &task->start);
    for (uint64_t i = 0; rc == 0 && i < task->steps; i++) {
        struct ws_view view = course.view;
        struct ws_course_result result;
        struct ws_setting setting;
        ws_learner_choose(learner, &setting, &view, 1);
        rc = ws_course_step(&course, &result, &setting, err);
        if (rc == 0)
            ws_learner_observe(learner, &view, &setting, &result.outcome, &course.view);
        if (progress != NULL && i % PROGRESS_EVERY == 0)
            progress(user, i, task->steps);
    }
    return rc;
}

/* One request; adds to sums. */
static int judge_one(struct ws_school_mark *sum, struct ws_course *course,
                     struct ws_learner *learner, int learns, int with_oracle,
                     struct ws_error *err)
{
    struct ws_view view = course->view;
    struct ws_course_result result;
    struct ws_setting setting, best;
    double least = 0, accuracy = 1;
    int rc = 0;
    if (with_oracle || learner == NULL)
        rc = ws_course_oracle(&best, &least, course, err);
    if (learner == NULL)
        setting = best;
    else
        ws_learner_choose(learner, &setting, &view, learns);
    if (rc == 0)
        rc = ws_course_step(course, &result, &setting, err);
    if (rc != 0)
        return rc;
    if (learner != NULL && learns)
        ws_learner_observe(learner, &view, &setting, &result.outcome, &course->view);
    sum->energy_j += result.expected.value[WS_ENERGY_J];
    sum->latency_ms += result.expected.value[WS_LATENCY_MS];
    sum->cost += result.cost;
    sum->oracle_cost += least;
    sum->temperature_c += course->temperature_c;
    (void)ws_outcome_get(&accuracy, &result.expected, WS_ACCURACY);
    sum->short_share += accuracy < course->options->cost.accuracy_floor;
    return 0;
}

int ws_school_judge(struct ws_school_mark *out, struct ws_learner *learner,
                    const struct ws_course_options *options,
                    const struct ws_setting *start, size_t requests, int learns,
                    int with_oracle, struct ws_error *err)
{
    struct ws_school_mark sum = {.requests = requests};
    struct ws_course course;
    int rc = 0;
    ws_course_init(&course, options, start);
    for (size_t i = 0; rc == 0 && i < requests; i++)
        rc = judge_one(&sum, &course, learner, learns, with_oracle, err);
    if (rc != 0)
        return rc;
    double n = (double)requests;
    sum.energy_j /= n;
    sum.latency_ms /= n;
    sum.cost /= n;
    sum.oracle_cost /= n;
    sum.temperature_c /= n;
    sum.short_share /= n;
    sum.span_s = course.now_ms / 1000;
    sum.regret = sum.oracle_cost > 0 ? sum.cost / sum.oracle_cost - 1 : 0;
    *out = sum;
    return 0;
}
