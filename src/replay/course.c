#include "replay/course.h"

#include <math.h>
#include <stddef.h>

/* Attention wanders around its middle with this memory and spread. */
static const double attention_middle = 0.75, attention_memory = 0.98;
static const double attention_spread = 0.1;
/* How fast the scale of the edge follows, per request. */
static const double scale_follow = 0.1;

static double between(struct ws_rng *rng, const struct ws_range *range)
{
    return range->low + (range->high - range->low) * ws_rng_uniform(rng);
}

/* What the conditions are at a time, apart from what the course itself keeps. */
static void set_conditions(struct ws_course *course, struct ws_conditions *out,
                           double at_ms)
{
    ws_trace_at(course->options->trace, at_ms / 1000, out);
    ws_conditions_set(out, WS_TIME_S, at_ms / 1000);
    ws_conditions_set(out, WS_TEMPERATURE_C, course->temperature_c);
    ws_conditions_set(out, WS_ATTENTION, course->attention);
}

/* Draws what comes with a new request. */
static void draw(struct ws_course *course)
{
    const struct ws_course_options *options = course->options;
    double low = log(options->link_mbit_s.low), high = log(options->link_mbit_s.high);
    double rate = exp(low + (high - low) * ws_rng_uniform(&course->draws));
    double eta = between(&course->draws, &options->eta);
    double lambda = between(&course->draws, &options->lambda);
    double deadline = between(&course->draws, &options->deadline_ms);
    int has_deadline = deadline > 0 && ws_rng_below(&course->draws, 2) == 1;
    if (options->deadline_ms.low > 0 &&
        options->deadline_ms.low >= options->deadline_ms.high)
        has_deadline = 1;
    course->attention = attention_middle +
                        attention_memory * (course->attention - attention_middle) +
                        attention_spread * sqrt(1 - attention_memory * attention_memory) *
                            ws_rng_normal(&course->draws);
    course->attention = fmin(fmax(course->attention, 0.5), 0.98);
    if (course->held == 0) {
        course->held = options->hold > 0 ? options->hold : 1;
        ws_conditions_set(&course->now, WS_LINK_MBIT_S, rate);
        course->eta = eta;
        course->lambda = lambda;
    }
    course->held--;
    course->deadline_ms = has_deadline ? deadline : INFINITY;
}

/* What is seen, with conditions as they were seen. */
static void look(struct ws_course *course, const struct ws_conditions *seen,
                 double elapsed_ms)
{
    struct ws_view *view = &course->view;
    *view = (struct ws_view){.temperature_c = course->temperature_c,
                             .edge_scale = course->edge_scale,
                             .power_scale = course->power_scale,
                             .eta = course->eta,
                             .lambda = course->lambda,
                             .deadline_ms = course->deadline_ms,
                             .elapsed_ms = elapsed_ms,
                             .current = course->current};
    view->link_mbit_s = 1;
    view->attention = attention_middle;
    (void)ws_conditions_get(&view->link_mbit_s, seen, WS_LINK_MBIT_S);
    (void)ws_conditions_get(&view->link_delay_ms, seen, WS_LINK_DELAY_MS);
    (void)ws_conditions_get(&view->attention, seen, WS_ATTENTION);
}

void ws_course_init(struct ws_course *out, const struct ws_course_options *options,
                    const struct ws_setting *start)
{
    *out = (struct ws_course){.options = options,
                              .now = options->reference,
                              .temperature_c = options->ambient_c,
                              .edge_scale = 1,
                              .power_scale = 1,
                              .attention = attention_middle,
                              .current = *start};
    ws_rng_init_stream(&out->draws, options->seed, 0);
    ws_rng_init_stream(&out->noise, options->seed, 1);
    draw(out);
    set_conditions(out, &out->now, 0);
    look(out, &out->now, 0);
}

/* Switching, and deciding where it is not hidden, come on top. */
static void add_waiting(const struct ws_course *course, struct ws_outcome *outcome,
                        const struct ws_setting *setting)
{
    const struct ws_course_options *options = course->options;
    double ms = ws_evaluator_switch_ms(options->machine, &course->current, setting);
    if (options->sequential)
        ms += options->decide_ms;
    outcome->value[WS_LATENCY_MS] += ms;
    outcome->value[WS_ENERGY_J] += options->idle_w * ms / 1000;
}

/* What the machine has taken of late over what the table says it should; `weight`: of the
 * last. */
static void follow(struct ws_course *course, const struct ws_outcome *planned,
                   const struct ws_outcome *outcome, double weight)
{
    static const enum ws_measure measures[] = {WS_EDGE_MS, WS_EDGE_ENERGY_J};
    double *const scales[] = {&course->edge_scale, &course->power_scale};
    for (size_t i = 0; i < 2; i++) {
        double was = 0, should = 0;
        if (ws_outcome_get(&was, outcome, measures[i]) == 0 &&
            ws_outcome_get(&should, planned, measures[i]) == 0 && should > 0)
            *scales[i] += weight * (was / should - *scales[i]);
    }
}

/* Another machine, so to speak, that has run like this for a while. */
static void restart(struct ws_course *course, const struct ws_outcome *planned)
{
    const struct ws_course_options *options = course->options;
    uint64_t other = ws_rng_below(&course->draws, 1000000);
    double warm = ws_rng_uniform(&course->draws), load = ws_rng_uniform(&course->draws);
    struct ws_outcome outcome;
    course->temperature_c = options->ambient_c + options->restart_above_c * warm;
    ws_conditions_set(&course->now, WS_TEMPERATURE_C, course->temperature_c);
    if (options->restart_load > 0)
        ws_conditions_set(&course->now, WS_EDGE_LOAD,
                          options->restart_load * fmax((load - 0.7) / 0.3, 0));
    if (options->restart_others)
        ws_conditions_set(&course->now, WS_INDIVIDUAL,
                          (double)(other % 10 < 7 ? 0 : other));
    if (ws_evaluator_expect(options->machine, &outcome, &course->current, &course->now,
                            NULL) == 0)
        follow(course, planned, &outcome, 1);
}

/* A decision while the request before runs sees the conditions at some moment of it. */
static void move_on(struct ws_course *course, const struct ws_setting *setting,
                    const struct ws_outcome *outcome, const struct ws_outcome *planned)
{
    const struct ws_course_options *options = course->options;
    double latency = fmin(outcome->value[WS_LATENCY_MS], 60000);
    double watts = outcome->value[WS_ENERGY_J] / latency * 1000;
    double part = 0.2 + 0.7 * ws_rng_uniform(&course->draws);
    struct ws_conditions seen = course->now;
    follow(course, planned, outcome, scale_follow);
    double seen_ms = course->now_ms + part * latency;
    course->now_ms += latency;
    course->current = *setting;
    if (options->heat_s > 0) {
        double goal = options->ambient_c + watts * options->c_per_w;
        course->temperature_c +=
            (goal - course->temperature_c) * (1 - exp(-latency / 1000 / options->heat_s));
    }
    course->served++;
    if (options->restart_every > 0 && course->served % options->restart_every == 0)
        restart(course, planned);
    double attention = course->attention, rate = 0;
    draw(course);
    set_conditions(course, &course->now, course->now_ms);
    /* A drawn rate is known from the first request that it holds for; of a trace, and of
     * the inputs, what is known is what was when it was looked at. */
    if (ws_conditions_get(&rate, &course->now, WS_LINK_MBIT_S) == 0)
        ws_conditions_set(&seen, WS_LINK_MBIT_S, rate);
    set_conditions(course, &seen, seen_ms);
    ws_conditions_set(&seen, WS_ATTENTION, attention);
    look(course, options->sequential ? &course->now : &seen,
         options->sequential ? latency : part * latency);
}

/* A setting that the machine does not have is a request that never comes back; the
 * hardware stays as it was. */
static void refuse(struct ws_course *course, struct ws_course_result *out)
{
    out->outcome = (struct ws_outcome){.truth = WS_MODELLED};
    ws_outcome_set(&out->outcome, WS_LATENCY_MS, INFINITY);
    out->expected = out->outcome;
    out->cost = ws_cost_of(&course->options->cost, &course->view, &out->outcome);
    draw(course);
    set_conditions(course, &course->now, course->now_ms);
    look(course, &course->now, 0);
}

int ws_course_step(struct ws_course *course, struct ws_course_result *out,
                   const struct ws_setting *setting, struct ws_error *err)
{
    const struct ws_course_options *options = course->options;
    struct ws_evaluator *table =
        options->table == NULL ? options->machine : options->table;
    struct ws_outcome planned;
    struct ws_conditions link = {.known = 0};
    for (int i = WS_LINK_MBIT_S; i <= WS_LINK_DELAY_MS; i++)
        ws_conditions_set(&link, (enum ws_condition)i, course->now.value[i]);
    if (!ws_evaluator_has(options->machine, setting)) {
        refuse(course, out);
        return 0;
    }
    int rc = ws_course_cost(&out->cost, course, setting, &out->expected, err);
    if (rc == 0)
        rc = ws_evaluate(options->machine, &out->outcome, setting, &course->current,
                         &course->now, ws_rng_u64(&course->noise), err);
    if (rc == 0)
        rc = ws_evaluator_expect(table, &planned, setting, &link, err);
    if (rc != 0)
        return rc;
    add_waiting(course, &out->outcome, setting);
    move_on(course, setting, &out->outcome, &planned);
    return 0;
}

int ws_course_cost(double *out, const struct ws_course *course,
                   const struct ws_setting *setting, struct ws_outcome *outcome,
                   struct ws_error *err)
{
    int rc = ws_evaluator_expect(course->options->machine, outcome, setting, &course->now,
                                 err);
    if (rc != 0)
        return rc;
    add_waiting(course, outcome, setting);
    *out = ws_cost_of(&course->options->cost, &course->view, outcome);
    return 0;
}

int ws_course_oracle(struct ws_setting *out, double *out_cost,
                     const struct ws_course *course, struct ws_error *err)
{
    const struct ws_space *space = course->options->machine->space;
    uint64_t size = 0;
    double least = INFINITY;
    int rc = ws_space_size(&size, space, err);
    for (uint64_t i = 0; rc == 0 && i < size; i++) {
        struct ws_setting setting;
        struct ws_outcome outcome;
        double cost = 0;
        ws_setting_from_index(&setting, space, i);
        if (!ws_evaluator_has(course->options->machine, &setting))
            continue;
        rc = ws_course_cost(&cost, course, &setting, &outcome, err);
        if (rc == 0 && cost < least) {
            least = cost;
            *out = setting;
        }
    }
    if (rc == 0 && !isfinite(least))
        rc = ws_error_set(err, WS_E_INFEASIBLE, "no setting of the testbed is possible");
    if (rc == 0)
        *out_cost = least;
    return rc;
}
