/* NSGA-III over settings: one gene a knob, each new setting a trial. */
#include <math.h>
#include <string.h>

#include "search/nsga3.h"
#include "search/searches.h"

/* Tries to make an offspring that was tried before, or is lacking, a new one. */
enum { CHANGES_MAX = 64 };

/* Stands for an objective that a trial does not know: worse than any. */
static const double unknown = 1e30;

static void to_setting(struct ws_setting *out, const struct ws_space *space,
                       const double *genes)
{
    memset(out, 0, sizeof(*out));
    for (size_t k = 0; k < space->knob_count; k++)
        out->value[k] = (uint16_t)lround(genes[k]);
}

/* Sets knobs that a constraint forbids to a random value that it allows. */
static void repair(struct ws_setting *setting, const struct ws_space *space,
                   struct ws_rng *rng)
{
    for (size_t c = 0; c < space->constraint_count; c++) {
        const struct ws_constraint *rule = &space->constraints[c];
        size_t given = setting->value[rule->if_knob];
        size_t count = space->knobs[rule->then_knob].value_count;
        size_t allowed = 0;
        size_t pick = setting->value[rule->then_knob];
        if ((rule->if_values[given / 64] >> (given % 64) & 1u) == 0 ||
            (rule->then_values[pick / 64] >> (pick % 64) & 1u) != 0)
            continue;
        for (size_t v = 0; v < count; v++) {
            if ((rule->then_values[v / 64] >> (v % 64) & 1u) != 0 &&
                ws_rng_below(rng, ++allowed) == 0)
                pick = v;
        }
        setting->value[rule->then_knob] = (uint16_t)pick;
    }
}

/* Goes from a setting to a new one near it: ever more knobs change. */
static int make_new(struct ws_setting *setting, struct ws_probe *probe,
                    struct ws_rng *rng)
{
    struct ws_evaluator *evaluator = probe->task->evaluator;
    const struct ws_space *space = evaluator->space;
    for (int i = 0; i < CHANGES_MAX; i++) {
        repair(setting, space, rng);
        if (ws_evaluator_has(evaluator, setting) && !ws_probe_tried(NULL, probe, setting))
            return 0;
        size_t k = ws_rng_below(rng, space->knob_count);
        size_t count = space->knobs[k].value_count;
        size_t v = setting->value[k];
        if (space->knobs[k].kind == WS_KIND_NOMINAL)
            v = ws_rng_below(rng, count);
        else if (ws_rng_uniform(rng) < 0.5)
            v += v + 1 < count;
        else
            v -= v > 0;
        setting->value[k] = (uint16_t)v;
    }
    return ws_search_draw(setting, probe, rng);
}

static int evaluate(void *user, double *out, double *violation, double *genes,
                    struct ws_rng *rng, struct ws_error *err)
{
    struct ws_probe *probe = user;
    const struct ws_search_task *task = probe->task;
    struct ws_setting setting;
    (void)violation; /* repair leaves none */
    if (ws_probe_left(probe) == 0)
        return WS_E_END;
    to_setting(&setting, task->evaluator->space, genes);
    int rc = make_new(&setting, probe, rng);
    if (rc == 0)
        rc = ws_probe_try(probe, &setting, err);
    if (rc != 0)
        return rc;
    for (size_t k = 0; k < task->evaluator->space->knob_count; k++)
        genes[k] = setting.value[k];
    const struct ws_trial *trial = &probe->trials->items[probe->trials->count - 1];
    for (size_t d = 0; d < task->objective_count; d++) {
        if (ws_search_coordinates(&out[d], &trial->outcome, &task->objectives[d], 1) !=
                0 ||
            !isfinite(out[d]))
            out[d] = unknown;
    }
    return 0;
}

int ws_search_nsga3(struct ws_probe *probe, struct ws_error *err)
{
    const struct ws_space *space = probe->task->evaluator->space;
    struct ws_gene genes[WS_KNOBS_MAX];
    struct ws_nsga3_result result;
    for (size_t k = 0; k < space->knob_count; k++) {
        genes[k].kind =
            space->knobs[k].kind == WS_KIND_ORDERED ? WS_GENE_ORDERED : WS_GENE_NOMINAL;
        genes[k].low = 0;
        genes[k].high = (double)(space->knobs[k].value_count - 1);
    }
    struct ws_nsga3_problem problem = {
        .genes = genes,
        .gene_count = space->knob_count,
        .objective_count = probe->task->objective_count,
        .evaluate = evaluate,
        .user = probe,
    };
    /* A quarter of a small budget, so that there are generations at all; 50 for a large
     * one, as DynaSplit's authors had it. */
    size_t population = probe->task->budget / 4;
    population = population < 8 ? 8 : population > 50 ? 50 : population;
    struct ws_nsga3_options options = {
        .population = population,
        .generations = probe->task->budget, /* the budget ends it earlier */
        .crossover_eta = 10,
        .seed = probe->task->seed,
    };
    int rc = ws_nsga3_run(&result, &problem, &options, err);
    if (rc == 0)
        ws_nsga3_result_fini(&result);
    return rc;
}
