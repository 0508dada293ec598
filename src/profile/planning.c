#include "profile/planning.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/stats.h"
#include "study/link_estimate.h"

static int add_trial(struct ws_trials *trials, const struct ws_trial *trial,
                     struct ws_error *err)
{
    if (trials->count == trials->capacity) {
        size_t capacity = trials->capacity == 0 ? 64 : 2 * trials->capacity;
        struct ws_trial *items = realloc(trials->items, capacity * sizeof(*items));
        if (items == NULL)
            return ws_error_nomem(err);
        trials->items = items;
        trials->capacity = capacity;
    }
    trials->items[trials->count++] = *trial;
    return 0;
}

static int take_trial(void *user, const struct ws_study_trial *trial,
                      struct ws_error *err)
{
    const struct ws_trial plain = {.setting = trial->setting,
                                   .outcome = trial->outcome,
                                   .sample_count = trial->samples,
                                   .conditions = trial->conditions};
    return trial->is_valid ? add_trial(user, &plain, err) : 0;
}

int ws_study_trials(struct ws_trials *out, struct ws_study *study, struct ws_error *err)
{
    struct ws_trials trials = {0};
    int rc = ws_study_each_trial(study, take_trial, &trials, err);
    if (rc == 0)
        *out = trials;
    else
        ws_trials_fini(&trials);
    return rc;
}

int ws_study_link(struct ws_conditions *out, struct ws_study *study,
                  const struct ws_trials *trials, struct ws_error *err)
{
    const struct ws_testbed *testbed = ws_study_testbed(study);
    if (testbed->link.known != 0) {
        *out = testbed->link;
        return 0;
    }
    struct ws_outcome *outcomes = calloc(trials->count + 1, sizeof(*outcomes));
    if (outcomes == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < trials->count; i++)
        outcomes[i] = trials->items[i].outcome;
    int rc = ws_link_estimate(out, outcomes, trials->count, err);
    free(outcomes);
    return rc;
}

/* --- Segments ------------------------------------------------------------------------
 */

const char *ws_study_cut_id(const struct ws_study *study, const char *variant,
                            const char *cut)
{
    char key[2 * WS_NAME_MAX];
    (void)snprintf(key, sizeof(key), "cut.%s.%s", variant, cut);
    return ws_study_fact(study, key);
}

/* The text of a knob's value in a setting, or the default without such a knob. */
static const char *value_of(const struct ws_space *space, const char *name,
                            const struct ws_setting *setting, const char *otherwise)
{
    size_t knob = 0;
    return ws_space_find(&knob, space, name, NULL) != 0
               ? otherwise
               : space->knobs[knob].values[setting->value[knob]].text;
}

/* NAME~CUT~CODEC of one side; *out stays NULL where the study cannot say it. */
static int name_segment(char **out, const struct ws_study *study,
                        const struct ws_setting *setting, const char *side,
                        struct ws_error *err)
{
    const struct ws_space *space = &ws_study_testbed(study)->space;
    char knob[32], key[WS_NAME_MAX + 8];
    struct ws_buf name;
    const char *first = ws_study_fact(study, "variant");
    (void)snprintf(knob, sizeof(knob), "%s.variant", side);
    const char *variant =
        value_of(space, knob, setting,
                 value_of(space, "variant", setting, first != NULL ? first : ""));
    (void)snprintf(key, sizeof(key), "name.%s", variant);
    const char *model = ws_study_fact(study, key);
    const char *id = ws_study_cut_id(study, variant, value_of(space, "cut", setting, ""));
    if (model == NULL || id == NULL)
        return 0;
    ws_buf_init(&name, 0);
    int rc = ws_buf_printf(&name, err, "%s~%s~%s", model, id,
                           value_of(space, "codec", setting, "none"));
    *out = ws_buf_take(&name);
    ws_buf_fini(&name);
    return rc;
}

static int stage_entry(struct ws_stage_list *out, const struct ws_study *study,
                       const struct ws_setting *setting, struct ws_error *err)
{
    static const char *const sides[] = {"head", "tail"};
    const struct ws_stage_list *said = ws_testbed_stages(ws_study_testbed(study));
    if (said != NULL)
        return ws_stage_list_copy(out, said, err);
    int rc = ws_stage_list_default(out, &ws_study_testbed(study)->space, err);
    for (size_t s = 0; rc == 0 && s < 2; s++)
        rc = name_segment(&out->stages[s].segment, study, setting, sides[s], err);
    return rc;
}

static int same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static int same_stages(const struct ws_stage_list *a, const struct ws_stage_list *b)
{
    int same = a->count == b->count;
    for (size_t s = 0; same && s < a->count; s++)
        same = same_text(a->stages[s].segment, b->stages[s].segment);
    return same;
}

static void stages_free(struct ws_stage_list *list)
{
    for (size_t s = 0; s < list->count; s++) {
        free(list->stages[s].machine);
        free(list->stages[s].segment);
    }
    *list = (struct ws_stage_list){0};
}

/* One list for entries that are staged alike. The plan comes with one list, which says
 * no segments. */
static int stage_plan(struct ws_plan *plan, const struct ws_study *study,
                      struct ws_error *err)
{
    struct ws_stage_list *lists =
        realloc(plan->stage_lists, (plan->entry_count + 1) * sizeof(*lists));
    if (lists == NULL)
        return ws_error_nomem(err);
    plan->stage_lists = lists;
    stages_free(&lists[0]);
    plan->stage_list_count = 0;
    for (size_t e = 0; e < plan->entry_count; e++) {
        struct ws_stage_list *next = &lists[plan->stage_list_count];
        size_t l = 0;
        *next = (struct ws_stage_list){0};
        int rc = stage_entry(next, study, &plan->entries[e].setting, err);
        if (rc != 0) {
            stages_free(next);
            return rc;
        }
        while (l < plan->stage_list_count && !same_stages(&lists[l], next))
            l++;
        if (l < plan->stage_list_count)
            stages_free(next);
        else
            plan->stage_list_count++;
        plan->entries[e].stage_list = (uint32_t)l;
    }
    return 0;
}

/* An evaluator of a space and nothing else: what planning looks at. */
static const struct ws_evaluator_ops no_ops = {0};

static int by_cost(const void *a, const void *b, void *plan)
{
    const struct ws_plan_entry *x = a, *y = b;
    const struct ws_plan *p = plan;
    enum ws_measure cost = p->objectives[p->objective_count > 1 ? 1 : 0];
    return (x->outcome.value[cost] > y->outcome.value[cost]) -
           (x->outcome.value[cost] < y->outcome.value[cost]);
}

int ws_study_plan(struct ws_plan *out, struct ws_study *study,
                  const struct ws_trials *trials, struct ws_error *err)
{
    const struct ws_testbed *testbed = ws_study_testbed(study);
    struct ws_evaluator evaluator = {.ops = &no_ops, .space = &testbed->space};
    struct ws_search_task task = {.evaluator = &evaluator,
                                  .objective_count = testbed->objective_count,
                                  .edge_idle_w = testbed->edge_idle_w};
    struct ws_plan plan = {0};
    memcpy(task.objectives, testbed->objectives, sizeof(task.objectives));
    int rc = ws_study_link(&task.reference, study, trials, err);
    if (rc == 0 || rc == WS_E_UNKNOWN)
        rc = ws_plan_from_trials(&plan, testbed->name, &task, trials, err);
    if (rc != 0)
        return rc;
    qsort_r(plan.entries, plan.entry_count, sizeof(*plan.entries), by_cost, &plan);
    rc = stage_plan(&plan, study, err);
    if (rc == 0)
        *out = plan;
    else
        ws_plan_fini(&plan);
    return rc;
}

/* --- Composition ---------------------------------------------------------------------
 */

struct errors {
    double *time, *energy;
    size_t time_count, energy_count, room;
};

/* |composed - whole| / whole into `list` where both are known. */
static void add_error(double *list, size_t *count, const struct ws_study_trial *trial,
                      enum ws_measure measure)
{
    double whole = 0, composed = 0;
    if (ws_outcome_get(&whole, &trial->outcome, measure) == 0 && whole > 0 &&
        ws_outcome_get(&composed, &trial->composed, measure) == 0)
        list[(*count)++] = fabs(composed - whole) / whole;
}

static int take_errors(void *user, const struct ws_study_trial *trial,
                       struct ws_error *err)
{
    struct errors *errors = user;
    if (errors->time_count == errors->room || errors->energy_count == errors->room) {
        size_t room = errors->room == 0 ? 64 : 2 * errors->room;
        double *time = realloc(errors->time, room * sizeof(*time));
        errors->time = time != NULL ? time : errors->time;
        double *energy = realloc(errors->energy, room * sizeof(*energy));
        errors->energy = energy != NULL ? energy : errors->energy;
        if (time == NULL || energy == NULL)
            return ws_error_nomem(err);
        errors->room = room;
    }
    size_t before = errors->energy_count;
    add_error(errors->time, &errors->time_count, trial, WS_LATENCY_MS);
    add_error(errors->energy, &errors->energy_count, trial, WS_ENERGY_J);
    if (errors->energy_count == before) /* no total: the edge's then */
        add_error(errors->energy, &errors->energy_count, trial, WS_EDGE_ENERGY_J);
    return 0;
}

int ws_study_composition(struct ws_composition *out, struct ws_study *study,
                         struct ws_error *err)
{
    struct errors errors = {0};
    *out = (struct ws_composition){0};
    int rc = ws_study_each_trial(study, take_errors, &errors, err);
    if (rc == 0 && errors.time_count > 0) {
        out->count = errors.time_count;
        out->latency_median = ws_stats_median(errors.time, errors.time_count);
        out->latency_worst = errors.time[errors.time_count - 1];
    }
    if (rc == 0 && errors.energy_count > 0) {
        out->energy_count = errors.energy_count;
        out->energy_median = ws_stats_median(errors.energy, errors.energy_count);
        out->energy_worst = errors.energy[errors.energy_count - 1];
    }
    free(errors.time);
    free(errors.energy);
    return rc;
}
