#include "profile/profiler.h"

#include <stdlib.h>

#include "base/clock.h"

struct profiler {
    struct ws_evaluator base;
    struct ws_profiler_options options;
    struct ws_measurer *measurer;
};

static int put_part(void *user, const struct ws_study_part *part, struct ws_error *err)
{
    return ws_study_put_part(user, part, err);
}

static int measure(struct ws_study_trial *out, struct profiler *p,
                   const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_study *study = p->options.study;
    double started_s = ws_clock_wall_s(), accuracy = 0;
    int rc = ws_measurer_run(out, p->measurer, setting, err);
    if (rc != 0)
        return rc;
    out->started_s = started_s;
    if (out->is_valid && p->options.accuracy != NULL) {
        rc = p->options.accuracy(p->options.user, &accuracy, setting, err);
        if (rc == 0)
            ws_outcome_set(&out->outcome, WS_ACCURACY, accuracy);
        else if (rc != WS_E_UNKNOWN)
            return rc;
    }
    rc = ws_measurer_each_changed(p->measurer, put_part, study, err);
    if (rc == 0)
        rc = ws_study_put_trial(study, out, err);
    return rc == 0 ? ws_study_commit(study, err) : rc;
}

static int profiler_expect(struct ws_evaluator *evaluator, struct ws_outcome *out,
                           const struct ws_setting *setting,
                           const struct ws_conditions *conditions, struct ws_error *err)
{
    struct profiler *p = (struct profiler *)evaluator;
    struct ws_study_trial trial;
    (void)conditions; /* live machines have their own */
    int rc = ws_study_find_trial(&trial, p->options.study, setting, err);
    if (rc < 0)
        return rc;
    int is_old = rc == 1;
    if (!is_old)
        rc = measure(&trial, p, setting, err);
    if (!is_old && rc != 0)
        return rc;
    if (p->options.on_trial != NULL)
        p->options.on_trial(p->options.user, &trial, is_old);
    *out = trial.outcome;
    return 0;
}

static int profiler_evaluate(struct ws_evaluator *evaluator, struct ws_outcome *out,
                             const struct ws_setting *setting,
                             const struct ws_setting *previous,
                             const struct ws_conditions *conditions, uint64_t seed,
                             struct ws_error *err)
{
    (void)previous;
    (void)seed;
    return profiler_expect(evaluator, out, setting, conditions, err);
}

static int profiler_has(struct ws_evaluator *evaluator, const struct ws_setting *setting)
{
    struct ws_rig *rig = ((struct profiler *)evaluator)->options.rig;
    return rig->ops->has(rig, setting);
}

static void profiler_destroy(struct ws_evaluator *evaluator)
{
    struct profiler *p = (struct profiler *)evaluator;
    ws_measurer_destroy(p->measurer);
    free(p);
}

static const struct ws_evaluator_ops ops = {
    .evaluate = profiler_evaluate,
    .expect = profiler_expect,
    .has = profiler_has,
    .destroy = profiler_destroy,
};

static int restore_part(void *user, const struct ws_study_part *part,
                        struct ws_error *err)
{
    return ws_measurer_restore(user, part, err);
}

int ws_profiler_create(struct ws_evaluator **out,
                       const struct ws_profiler_options *options, struct ws_error *err)
{
    struct profiler *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return ws_error_nomem(err);
    p->base = (struct ws_evaluator){.ops = &ops,
                                    .space = &ws_study_testbed(options->study)->space};
    p->options = *options;
    int rc = ws_measurer_create(&p->measurer, options->rig, &options->measure, err);
    if (rc == 0)
        rc = ws_study_each_part(options->study, restore_part, p->measurer, err);
    if (rc != 0)
        profiler_destroy(&p->base);
    else
        *out = &p->base;
    return rc;
}
