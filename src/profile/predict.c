#include "profile/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An ordinary machine: a core or two with vector units, and their memory. */
static const double ordinary_macs_per_s = 2e10, ordinary_bytes_per_s = 8e9,
                    ordinary_fixed_ms = 0.1;

struct ws_predictor {
    struct ws_evaluator base; /* so that a search can run on it */
    struct ws_executor *executor;
    const struct ws_space *space;
    const struct ws_board *edge, *cloud;
    struct ws_binding *edge_binding, *cloud_binding;
    double link_mbit_s, link_delay_ms;
};

static int predict_side(double *out_ms, double *out_j, int *out_has_j,
                        const struct ws_board *board, const struct ws_binding *binding,
                        const struct ws_setting *setting, const struct ws_work *work,
                        struct ws_error *err)
{
    struct ws_setting own;
    double macs = 0, bytes = 0;
    *out_has_j = board != NULL;
    *out_j = 0;
    if (board != NULL) {
        ws_binding_setting(&own, binding, setting);
        return ws_board_predict(out_ms, out_j, board, &own, work, err);
    }
    for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++) {
        macs += work->macs[c];
        bytes += work->bytes[c];
    }
    *out_ms = macs + bytes > 0 ? 1000 * fmax(macs / ordinary_macs_per_s,
                                             bytes / ordinary_bytes_per_s) +
                                     ordinary_fixed_ms
                               : 0;
    return 0;
}

/* The edge's work before and beside what is away, as one side. */
static int predict_edge(struct ws_rig_sample *sample, int *out_has_j,
                        const struct ws_predictor *predictor,
                        const struct ws_setting *setting,
                        const struct ws_executor_work *work, struct ws_error *err)
{
    double beside_j = 0;
    int rc = predict_side(&sample->ms[WS_SIDE_EDGE], &sample->energy_j[WS_SIDE_EDGE],
                          out_has_j, predictor->edge, predictor->edge_binding, setting,
                          &work->head, err);
    if (rc == 0)
        rc = predict_side(&sample->beside_ms, &beside_j, out_has_j, predictor->edge,
                          predictor->edge_binding, setting, &work->beside, err);
    sample->ms[WS_SIDE_EDGE] += sample->beside_ms;
    sample->energy_j[WS_SIDE_EDGE] += beside_j;
    return rc;
}

int ws_predictor_predict(struct ws_rig_sample *out, struct ws_predictor *predictor,
                         const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_rig_sample sample = {0};
    struct ws_executor_work work;
    int knows_edge = 0, knows_cloud = 0;
    int rc = ws_executor_work(&work, predictor->executor, setting, err);
    if (rc == 0)
        rc = predict_edge(&sample, &knows_edge, predictor, setting, &work, err);
    if (rc == 0 && work.has_tail)
        rc = predict_side(&sample.ms[WS_SIDE_CLOUD], &sample.energy_j[WS_SIDE_CLOUD],
                          &knows_cloud, predictor->cloud, predictor->cloud_binding,
                          setting, &work.tail, err);
    if (rc != 0)
        return rc;
    if (work.has_tail) {
        sample.bytes = work.bytes;
        /* The answer, which is small, comes back over the same way. */
        sample.ms[WS_SIDE_TRANSFER] = 2 * predictor->link_delay_ms +
                                      sample.bytes * 8 / (predictor->link_mbit_s * 1000);
    }
    if (knows_edge)
        sample.energy_known |= 1u << WS_SIDE_EDGE;
    if (knows_cloud || !work.has_tail)
        sample.energy_known |= 1u << WS_SIDE_CLOUD;
    *out = sample;
    return 0;
}

static int predictor_evaluate(struct ws_evaluator *evaluator, struct ws_outcome *out,
                              const struct ws_setting *setting,
                              const struct ws_setting *previous,
                              const struct ws_conditions *conditions, uint64_t seed,
                              struct ws_error *err)
{
    struct ws_predictor *predictor = (struct ws_predictor *)evaluator;
    struct ws_rig_sample sample;
    (void)previous;
    (void)conditions;
    (void)seed;
    int rc = ws_predictor_predict(&sample, predictor, setting, err);
    if (rc == 0)
        ws_outcome_of_sides(
            out, &sample, predictor->edge != NULL ? ws_board_idle_w(predictor->edge) : 0,
            WS_MODELLED);
    return rc;
}

static int predictor_expect(struct ws_evaluator *evaluator, struct ws_outcome *out,
                            const struct ws_setting *setting,
                            const struct ws_conditions *conditions, struct ws_error *err)
{
    return predictor_evaluate(evaluator, out, setting, NULL, conditions, 0, err);
}

static int predictor_has(struct ws_evaluator *evaluator, const struct ws_setting *setting)
{
    return ws_executor_has(((struct ws_predictor *)evaluator)->executor, setting);
}

static const struct ws_evaluator_ops ops = {
    .evaluate = predictor_evaluate, .expect = predictor_expect, .has = predictor_has};

int ws_predictor_create(struct ws_predictor **out,
                        const struct ws_predictor_options *options, struct ws_error *err)
{
    struct ws_predictor *predictor = calloc(1, sizeof(*predictor));
    if (predictor == NULL)
        return ws_error_nomem(err);
    predictor->base = (struct ws_evaluator){.ops = &ops, .space = options->space};
    predictor->executor = options->executor;
    predictor->space = options->space;
    predictor->edge = options->edge;
    predictor->cloud = options->cloud;
    predictor->link_mbit_s = options->link_mbit_s;
    predictor->link_delay_ms = options->link_delay_ms;
    int rc = 0;
    if (options->edge != NULL)
        rc = ws_binding_create(&predictor->edge_binding, options->edge, options->space,
                               "edge", err);
    if (rc == 0 && options->cloud != NULL)
        rc = ws_binding_create(&predictor->cloud_binding, options->cloud, options->space,
                               "cloud", err);
    if (rc != 0)
        ws_predictor_destroy(predictor);
    else
        *out = predictor;
    return rc;
}

void ws_predictor_destroy(struct ws_predictor *predictor)
{
    if (predictor == NULL)
        return;
    ws_binding_destroy(predictor->edge_binding);
    ws_binding_destroy(predictor->cloud_binding);
    free(predictor);
}

/* --- A cold start --------------------------------------------------------------------
 */

enum { FORESEEN_MAX = 20000 }; /* trials of the model; more settings are searched */

/* Whether every setting's prediction knows the measure. */
static int foresees(const struct ws_trials *trials, enum ws_measure measure)
{
    for (size_t i = 0; i < trials->count; i++) {
        if (!ws_outcome_knows(&trials->items[i].outcome, measure))
            return 0;
    }
    return trials->count > 0;
}

static int by_measure(const void *a, const void *b, void *measure)
{
    const struct ws_plan_entry *x = a, *y = b;
    enum ws_measure m = *(const enum ws_measure *)measure;
    return (x->outcome.value[m] > y->outcome.value[m]) -
           (x->outcome.value[m] < y->outcome.value[m]);
}

/* Evenly along the front, both ends included. */
static int spread(struct ws_setting **out, size_t *out_count, struct ws_plan *plan,
                  size_t want, struct ws_error *err)
{
    size_t front = 0, count = 0;
    for (size_t i = 0; i < plan->entry_count; i++) {
        if (plan->entries[i].on_front)
            plan->entries[front++] = plan->entries[i];
    }
    qsort_r(plan->entries, front, sizeof(*plan->entries), by_measure,
            &plan->objectives[0]);
    want = want < front ? want : front;
    struct ws_setting *settings = calloc(want + 1, sizeof(*settings));
    if (settings == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < want; i++) {
        size_t at = want == 1 ? 0 : i * (front - 1) / (want - 1);
        settings[count++] = plan->entries[at].setting;
    }
    *out = settings;
    *out_count = count;
    return 0;
}

int ws_predictor_first(struct ws_setting **out, size_t *out_count,
                       struct ws_predictor *predictor, const struct ws_search_task *task,
                       size_t want, struct ws_error *err)
{
    const struct ws_search *search = NULL;
    struct ws_search_task model = *task;
    struct ws_trials trials = {0};
    struct ws_plan plan = {0};
    uint64_t size = 0;
    model.evaluator = &predictor->base;
    model.conditions = NULL;
    model.first = NULL;
    model.first_count = 0;
    model.budget = FORESEEN_MAX;
    int rc = ws_space_size(&size, predictor->space, err);
    if (rc == 0)
        rc = ws_search_find(&search, size > FORESEEN_MAX ? "random" : "exhaustive", err);
    if (rc == 0)
        rc = ws_search_run(&trials, search, &model, err);
    size_t kept = 0;
    for (size_t i = 0; rc == 0 && i < task->objective_count; i++) {
        if (foresees(&trials, task->objectives[i]))
            model.objectives[kept++] = task->objectives[i];
    }
    model.objective_count = kept;
    if (rc == 0 && kept > 0)
        rc = ws_plan_from_trials(&plan, "prediction", &model, &trials, err);
    if (rc == 0 && kept > 0)
        rc = spread(out, out_count, &plan, want, err);
    else if (rc == 0)
        *out_count = 0, *out = NULL;
    ws_plan_fini(&plan);
    ws_trials_fini(&trials);
    return rc;
}
