#include "device/parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"

enum { UNITS_MAX = 4, POINTS_MAX = 64 };

/* A load leaves at least this share of a machine. */
static const double share_least = 0.05;

/* A processor, an accelerator, the memory: something with a clock of its own. */
struct unit {
    char *name;
    size_t knob;
    double reference_clock;
    double ms; /* of the whole network at the reference clock */
    double exponent;
    double clock[POINTS_MAX];
    double busy_w[POINTS_MAX]; /* above what the board draws anyway */
    size_t point_count;
    double idle_share; /* of busy_w, while it waits */
    double load_share; /* how much of an edge load falls on it */
    double hot_clock;  /* at most, above hot_c; infinite: never held down */
    double drift;      /* what its time is multiplied by in the end */
};

struct parallel {
    struct ws_evaluator base;
    size_t share_knob;
    struct unit units[UNITS_MAX];
    size_t unit_count;
    double base_w, radio_w;
    double extract; /* share of the work that the edge does in any case */
    double maps_bytes, index_bytes;
    double cloud_ms; /* of the whole network */
    double cloud_fixed_ms, fusion_ms;
    double accuracy_drop;
    double time_noise, energy_noise; /* standard deviations of logarithms */
    /* How far machines of the kind differ: the same, and the share that heat holds down.
     */
    double time_differs, power_differs, hot_share;
    struct ws_parallel_facts facts;
    /* The scenario. */
    double hot_c; /* infinite: heat holds nothing down */
    double drift_from_s, drift_over_s, drift_power;
};

/* ---- reading ---- */

static int find_knob(size_t *out, const struct parallel *m, const struct ws_json *node,
                     struct ws_error *err)
{
    const char *name = NULL;
    int rc = ws_json_get_string(&name, node, "knob", err);
    if (rc == 0 && ws_space_find(out, m->base.space, name, NULL) != 0)
        rc = ws_json_fail(node, WS_E_NOT_FOUND, err, "there is no knob \"%s\"", name);
    return rc;
}

/* Every value of a knob is one number within bounds. */
static int check_numbers(const struct parallel *m, size_t knob, double min, double max,
                         const struct ws_json *node, struct ws_error *err)
{
    const struct ws_knob *k = &m->base.space->knobs[knob];
    for (size_t v = 0; v < k->value_count; v++) {
        if (k->values[v].number_count != 1 || !(k->values[v].numbers[0] >= min) ||
            !(k->values[v].numbers[0] <= max))
            return ws_json_fail(node, WS_E_TYPE, err,
                                "value %s of knob \"%s\" is no number from %g to %g",
                                k->values[v].text, k->name, min, max);
    }
    return 0;
}

/* A number that may be missing. */
static int optional(double *out, const struct ws_json *object, const char *key,
                    double otherwise, double min, double max, struct ws_error *err)
{
    struct ws_json node;
    *out = otherwise;
    return ws_json_find(&node, object, key) ? ws_json_double(out, &node, min, max, err)
                                            : 0;
}

/* [[clock, W], ...] with clocks ascending. */
static int read_power(struct unit *out, const struct ws_json *node, struct ws_error *err)
{
    struct ws_json list;
    int rc = ws_json_member(&list, node, "busy_w", err);
    if (rc == 0)
        rc = ws_json_array(&list, err);
    if (rc == 0 && (ws_json_count(&list) < 1 || ws_json_count(&list) > POINTS_MAX))
        rc = ws_json_fail(&list, WS_E_LIMIT, err, "expected 1 to %d points, got %zu",
                          POINTS_MAX, ws_json_count(&list));
    for (size_t i = 0; rc == 0 && i < ws_json_count(&list); i++) {
        struct ws_json point = ws_json_at(&list, i);
        rc = ws_json_array(&point, err);
        if (rc == 0 && ws_json_count(&point) != 2)
            rc = ws_json_fail(&point, WS_E_FORMAT, err, "expected [clock, W]");
        if (rc != 0)
            return rc;
        struct ws_json clock = ws_json_at(&point, 0), watt = ws_json_at(&point, 1);
        rc = ws_json_double(&out->clock[i], &clock, 0, 1e12, err);
        if (rc == 0)
            rc = ws_json_double(&out->busy_w[i], &watt, 0, 1e6, err);
        if (rc == 0 && i > 0 && out->clock[i] <= out->clock[i - 1])
            rc = ws_json_fail(&point, WS_E_FORMAT, err, "clocks must ascend");
        out->point_count = i + 1;
    }
    return rc;
}

static int read_unit(struct parallel *m, const struct ws_json *node, struct ws_error *err)
{
    struct unit *unit = &m->units[m->unit_count];
    *unit = (struct unit){.hot_clock = INFINITY, .drift = 1};
    int rc = ws_json_object(node, err);
    if (rc == 0)
        rc = find_knob(&unit->knob, m, node, err);
    if (rc == 0)
        rc = check_numbers(m, unit->knob, 1e-9, 1e15, node, err);
    if (rc == 0)
        rc = ws_json_get_double(&unit->reference_clock, node, "reference_clock", 1e-9,
                                1e15, err);
    if (rc == 0)
        rc = ws_json_get_double(&unit->ms, node, "ms", 0, 1e9, err);
    if (rc == 0)
        rc = optional(&unit->exponent, node, "exponent", 1, 0, 4, err);
    if (rc == 0)
        rc = optional(&unit->idle_share, node, "idle_share", 0, 0, 1, err);
    if (rc == 0)
        rc = optional(&unit->load_share, node, "load_share", 0, 0, 1, err);
    if (rc == 0)
        rc = read_power(unit, node, err);
    if (rc != 0)
        return rc;
    unit->name = strdup(node->key);
    if (unit->name == NULL)
        return ws_error_nomem(err);
    m->unit_count++;
    return 0;
}

static int read_edge(struct parallel *m, const struct ws_json *root, struct ws_error *err)
{
    struct ws_json edge, units, unit = {0};
    int rc = ws_json_member(&edge, root, "edge", err);
    if (rc == 0)
        rc = ws_json_get_double(&m->base_w, &edge, "base_w", 0, 1e6, err);
    if (rc == 0)
        rc = optional(&m->radio_w, &edge, "radio_w", 0, 0, 1e6, err);
    if (rc == 0)
        rc = ws_json_get_double(&m->facts.max_power_w, &edge, "max_power_w", 1e-9, 1e6,
                                err);
    if (rc == 0)
        rc = ws_json_member(&units, &edge, "units", err);
    if (rc == 0)
        rc = ws_json_object(&units, err);
    if (rc == 0 && (ws_json_count(&units) < 1 || ws_json_count(&units) > UNITS_MAX))
        rc = ws_json_fail(&units, WS_E_LIMIT, err, "expected 1 to %d units, got %zu",
                          UNITS_MAX, ws_json_count(&units));
    while (rc == 0 && ws_json_next(&unit, &units))
        rc = read_unit(m, &unit, err);
    return rc;
}

static int read_work(struct parallel *m, const struct ws_json *root, struct ws_error *err)
{
    struct ws_json share, cloud, accuracy;
    int rc = ws_json_member(&share, root, "share", err);
    if (rc == 0)
        rc = find_knob(&m->share_knob, m, &share, err);
    if (rc == 0)
        rc = check_numbers(m, m->share_knob, 0, 1, &share, err);
    if (rc == 0)
        rc = ws_json_get_double(&m->extract, &share, "extract", 0, 1, err);
    if (rc == 0)
        rc = ws_json_get_double(&m->maps_bytes, &share, "maps_bytes", 0, 1e15, err);
    if (rc == 0)
        rc = optional(&m->index_bytes, &share, "index_bytes", 0, 0, 1e15, err);
    if (rc == 0)
        rc = optional(&m->fusion_ms, &share, "fusion_ms", 0, 0, 1e9, err);
    if (rc == 0)
        rc = ws_json_member(&cloud, root, "cloud", err);
    if (rc == 0)
        rc = ws_json_get_double(&m->cloud_ms, &cloud, "ms", 0, 1e9, err);
    if (rc == 0)
        rc = optional(&m->cloud_fixed_ms, &cloud, "fixed_ms", 0, 0, 1e9, err);
    if (rc == 0)
        rc = ws_json_member(&accuracy, root, "accuracy", err);
    if (rc == 0)
        rc = ws_json_get_double(&m->facts.accuracy, &accuracy, "whole", 0, 1, err);
    if (rc == 0)
        rc = ws_json_get_double(&m->accuracy_drop, &accuracy, "drop", 0, 1, err);
    if (rc == 0)
        rc = ws_json_get_double(&m->facts.accuracy_floor, &accuracy, "floor", 0, 1, err);
    return rc;
}

static int read_rest(struct parallel *m, const struct ws_json *root, struct ws_error *err)
{
    struct ws_json link, heat, noise, differ;
    double rate = 0, delay = 0;
    int rc = ws_json_member(&link, root, "link", err);
    if (rc == 0)
        rc = ws_json_get_double(&rate, &link, "mbit_s", 1e-6, 1e9, err);
    if (rc == 0)
        rc = ws_json_get_double(&delay, &link, "delay_ms", 0, 1e9, err);
    ws_conditions_set(&m->facts.link, WS_LINK_MBIT_S, rate);
    ws_conditions_set(&m->facts.link, WS_LINK_DELAY_MS, delay);
    if (rc == 0)
        rc = ws_json_member(&heat, root, "heat", err);
    if (rc == 0)
        rc = ws_json_get_double(&m->facts.ambient_c, &heat, "ambient_c", -100, 200, err);
    if (rc == 0)
        rc = ws_json_get_double(&m->facts.c_per_w, &heat, "c_per_w", 0, 1000, err);
    if (rc == 0)
        rc = ws_json_get_double(&m->facts.heat_s, &heat, "seconds", 1e-3, 1e6, err);
    if (rc == 0 && ws_json_find(&noise, root, "noise")) {
        rc = optional(&m->time_noise, &noise, "time", 0, 0, 1, err);
        if (rc == 0)
            rc = optional(&m->energy_noise, &noise, "energy", 0, 0, 1, err);
    }
    if (rc == 0 && ws_json_find(&differ, root, "individuals")) {
        rc = optional(&m->time_differs, &differ, "time", 0, 0, 2, err);
        if (rc == 0)
            rc = optional(&m->power_differs, &differ, "power", 0, 0, 2, err);
        if (rc == 0)
            rc = optional(&m->hot_share, &differ, "throttled", 0, 0, 1, err);
    }
    return rc;
}

static int check_format(const struct ws_json *root, const char *wanted,
                        struct ws_error *err)
{
    const char *format = NULL;
    int64_t version = 0;
    int rc = ws_json_get_string(&format, root, "format", err);
    if (rc == 0 && strcmp(format, wanted) != 0)
        rc = ws_json_fail(root, WS_E_FORMAT, err,
                          "expected \"format\": \"%s\", got \"%s\"", wanted, format);
    return rc == 0 ? ws_json_get_i64(&version, root, "version", 1, 1, err) : rc;
}

static int read_model(struct parallel *m, const struct ws_json *root,
                      struct ws_error *err)
{
    static const char *const keys[] = {"format", "version", "source",      "share",
                                       "edge",   "cloud",   "accuracy",    "link",
                                       "heat",   "noise",   "individuals", NULL};
    int rc = ws_json_only(root, keys, err);
    if (rc == 0)
        rc = check_format(root, "wattshed-parallel-model", err);
    if (rc == 0)
        rc = read_work(m, root, err);
    if (rc == 0)
        rc = read_edge(m, root, err);
    if (rc == 0)
        rc = read_rest(m, root, err);
    m->facts.idle_w = m->base_w;
    for (size_t u = 0; rc == 0 && u < m->unit_count; u++)
        m->facts.idle_w += m->units[u].idle_share * m->units[u].busy_w[0];
    return rc;
}

/* A member of the scenario that has one number for some of the units. */
static int read_by_unit(struct parallel *m, const struct ws_json *object, const char *key,
                        size_t offset, struct ws_error *err)
{
    struct ws_json list, member = {0};
    int rc = 0;
    if (!ws_json_find(&list, object, key))
        return 0;
    rc = ws_json_object(&list, err);
    while (rc == 0 && ws_json_next(&member, &list)) {
        size_t u = 0;
        while (u < m->unit_count && strcmp(m->units[u].name, member.key) != 0)
            u++;
        if (u == m->unit_count)
            return ws_json_fail(&member, WS_E_NOT_FOUND, err,
                                "the model has no such unit");
        double *value = (double *)(void *)((char *)&m->units[u] + offset);
        rc = ws_json_double(value, &member, 1e-9, 1e15, err);
    }
    return rc;
}

static int read_scenario(struct parallel *m, const struct ws_json *root,
                         struct ws_error *err)
{
    static const char *const keys[] = {"format", "version", "source", "throttle",
                                       "drift",  "heat",    NULL};
    struct ws_json throttle, drift, heat;
    int rc = ws_json_only(root, keys, err);
    if (rc == 0)
        rc = check_format(root, "wattshed-scenario", err);
    if (rc == 0 && ws_json_find(&throttle, root, "throttle")) {
        rc = ws_json_get_double(&m->hot_c, &throttle, "above_c", -100, 1000, err);
        if (rc == 0)
            rc = read_by_unit(m, &throttle, "clock", offsetof(struct unit, hot_clock),
                              err);
    }
    if (rc == 0 && ws_json_find(&drift, root, "drift")) {
        rc = ws_json_get_double(&m->drift_from_s, &drift, "from_s", 0, 1e9, err);
        if (rc == 0)
            rc = ws_json_get_double(&m->drift_over_s, &drift, "over_s", 1e-3, 1e9, err);
        if (rc == 0)
            rc = optional(&m->drift_power, &drift, "power", 1, 1e-3, 1e3, err);
        if (rc == 0)
            rc = read_by_unit(m, &drift, "time", offsetof(struct unit, drift), err);
    }
    if (rc == 0 && ws_json_find(&heat, root, "heat"))
        rc = ws_json_get_double(&m->facts.ambient_c, &heat, "ambient_c", -100, 200, err);
    return rc;
}

/* ---- evaluating ---- */

static double condition(const struct parallel *m, const struct ws_conditions *now,
                        enum ws_condition which, double otherwise)
{
    double value = otherwise;
    if (now != NULL && ws_conditions_get(&value, now, which) == 0)
        return value;
    (void)ws_conditions_get(&value, &m->facts.link, which);
    return value;
}

static double busy_w_at(const struct unit *unit, double clock)
{
    size_t i = 0;
    while (i < unit->point_count && unit->clock[i] < clock)
        i++;
    if (i == 0)
        return unit->busy_w[0];
    if (i == unit->point_count)
        return unit->busy_w[i - 1];
    double part = (clock - unit->clock[i - 1]) / (unit->clock[i] - unit->clock[i - 1]);
    return unit->busy_w[i - 1] + part * (unit->busy_w[i] - unit->busy_w[i - 1]);
}

/* How far drift has come, 0 to 1. */
static double drifted(const struct parallel *m, const struct ws_conditions *now)
{
    if (m->drift_over_s <= 0)
        return 0;
    double s = condition(m, now, WS_TIME_S, 0);
    return fmin(fmax((s - m->drift_from_s) / m->drift_over_s, 0), 1);
}

/* How one machine of the kind differs from the model, drawn from its number. */
struct individual {
    double slower[UNITS_MAX], clock_max[UNITS_MAX];
    double power, hot_c;
};

static void individual_of(struct individual *out, const struct parallel *m,
                          const struct ws_conditions *now)
{
    double number = condition(m, now, WS_INDIVIDUAL, 0), far = drifted(m, now);
    *out =
        (struct individual){.power = 1 + far * (m->drift_power - 1), .hot_c = m->hot_c};
    for (size_t u = 0; u < m->unit_count; u++) {
        out->slower[u] = 1 + far * (m->units[u].drift - 1);
        out->clock_max[u] = m->units[u].hot_clock;
    }
    if (number <= 0)
        return;
    struct ws_rng rng;
    ws_rng_init_stream(&rng, 0x6d616368696e6573u, (uint64_t)number);
    out->power *= exp(m->power_differs * ws_rng_normal(&rng));
    int throttled = ws_rng_uniform(&rng) < m->hot_share;
    double hot_c = m->facts.ambient_c + 50 * ws_rng_uniform(&rng);
    for (size_t u = 0; u < m->unit_count; u++) {
        const struct unit *unit = &m->units[u];
        out->slower[u] *= exp(m->time_differs * ws_rng_normal(&rng));
        double part = 0.3 + 0.7 * ws_rng_uniform(&rng);
        if (throttled)
            out->clock_max[u] = part * unit->reference_clock;
    }
    if (throttled)
        out->hot_c = hot_c;
}

/* The edge under one setting: milliseconds of the whole network, watts at work and
 * waiting. */
struct pace {
    double whole_ms, busy_w, wait_w;
};

static struct pace pace_of(const struct parallel *m, const struct ws_setting *setting,
                           const struct ws_conditions *now)
{
    struct individual one;
    individual_of(&one, m, now);
    double load = condition(m, now, WS_EDGE_LOAD, 0);
    int hot = condition(m, now, WS_TEMPERATURE_C, -INFINITY) >= one.hot_c;
    struct pace pace = {0, m->base_w, m->base_w};
    for (size_t u = 0; u < m->unit_count; u++) {
        const struct unit *unit = &m->units[u];
        double clock = m->base.space->knobs[unit->knob]
                           .values[setting->value[unit->knob]]
                           .numbers[0];
        if (hot)
            clock = fmin(clock, one.clock_max[u]);
        double left = fmax(1 - load * unit->load_share, share_least);
        double watts = busy_w_at(unit, clock);
        double speed = clock / unit->reference_clock;
        if (unit->exponent != 1)
            speed = pow(speed, unit->exponent);
        pace.whole_ms += unit->ms * one.slower[u] / speed / left;
        pace.busy_w += watts;
        pace.wait_w += watts * unit->idle_share;
    }
    pace.busy_w *= one.power;
    pace.wait_w *= one.power;
    return pace;
}

/* What splitting a result costs: nothing while all of the importance is on one side.
 * The top part k of the maps holds k^e of it, with e as the attention says. */
static double accuracy_of(const struct parallel *m, double share, double attention)
{
    double top = fmin(fmax(attention, 0.5), 0.999);
    double sent = 1 - pow(1 - share, log(top) / log(0.5));
    return m->facts.accuracy - m->accuracy_drop * 4 * sent * (1 - sent);
}

/* A factor of mean 1. */
static double noise(struct ws_rng *rng, double spread)
{
    return spread > 0 ? exp(spread * ws_rng_normal(rng) - 0.5 * spread * spread) : 1;
}

/* rng NULL: without noise. */
static void compute(struct ws_outcome *out, const struct parallel *m,
                    const struct ws_setting *setting, const struct ws_conditions *now,
                    struct ws_rng *rng)
{
    double share = m->base.space->knobs[m->share_knob]
                       .values[setting->value[m->share_knob]]
                       .numbers[0];
    struct pace pace = pace_of(m, setting, now);
    double extract = m->extract * pace.whole_ms;
    double local = (1 - m->extract) * (1 - share) * pace.whole_ms;
    double bytes = 0, transfer = 0, cloud = 0;
    if (share > 0) {
        bytes = share * m->maps_bytes + m->index_bytes;
        transfer = condition(m, now, WS_LINK_DELAY_MS, 0) +
                   bytes * 8 / (condition(m, now, WS_LINK_MBIT_S, 0) * 1000);
        double left = fmax(1 - condition(m, now, WS_CLOUD_LOAD, 0), share_least);
        cloud = (m->cloud_fixed_ms + (1 - m->extract) * share * m->cloud_ms) / left;
    }
    double watts = 1;
    if (rng != NULL) {
        double slower = noise(rng, m->time_noise);
        extract *= slower;
        local *= slower;
        transfer *= noise(rng, m->time_noise);
        cloud *= noise(rng, m->time_noise);
        watts = noise(rng, m->energy_noise);
    }
    double away = transfer + cloud;
    double fusion = share > 0 && share < 1 ? m->fusion_ms : 0;
    double busy = extract + local + fusion;
    double waiting = isfinite(away) ? fmax(away - local, 0) : 0;
    double sending = isfinite(transfer) ? m->radio_w * transfer : 0;
    double joules = (pace.busy_w * busy + pace.wait_w * waiting + sending) / 1000 * watts;
    *out = (struct ws_outcome){.truth = WS_MODELLED};
    ws_outcome_set(out, WS_EDGE_MS, busy);
    ws_outcome_set(out, WS_TRANSFER_MS, transfer);
    ws_outcome_set(out, WS_CLOUD_MS, cloud);
    ws_outcome_set(out, WS_BESIDE_MS, local);
    ws_outcome_set(out, WS_LATENCY_MS, extract + fmax(local, away) + fusion);
    ws_outcome_set(out, WS_EDGE_ENERGY_J, joules);
    ws_outcome_set(out, WS_ENERGY_J, joules);
    ws_outcome_set(out, WS_TENSOR_BYTES, bytes);
    ws_outcome_set(out, WS_ACCURACY,
                   accuracy_of(m, share, condition(m, now, WS_ATTENTION, 0.75)));
}

static int parallel_evaluate(struct ws_evaluator *evaluator, struct ws_outcome *out,
                             const struct ws_setting *setting,
                             const struct ws_setting *previous,
                             const struct ws_conditions *conditions, uint64_t seed,
                             struct ws_error *err)
{
    struct ws_rng rng;
    (void)previous;
    (void)err;
    ws_rng_init(&rng, seed);
    compute(out, (struct parallel *)evaluator, setting, conditions, &rng);
    return 0;
}

static int parallel_expect(struct ws_evaluator *evaluator, struct ws_outcome *out,
                           const struct ws_setting *setting,
                           const struct ws_conditions *conditions, struct ws_error *err)
{
    (void)err;
    compute(out, (struct parallel *)evaluator, setting, conditions, NULL);
    return 0;
}

static void parallel_destroy(struct ws_evaluator *evaluator)
{
    struct parallel *m = (struct parallel *)evaluator;
    for (size_t u = 0; u < m->unit_count; u++)
        free(m->units[u].name);
    free(m);
}

static const struct ws_evaluator_ops parallel_ops = {
    .evaluate = parallel_evaluate,
    .expect = parallel_expect,
    .destroy = parallel_destroy,
};

/* Takes both documents over; `scenario` may hold nothing. */
static int from_docs(struct ws_evaluator **out, const struct ws_space *space,
                     const double *switch_ms, struct ws_json_doc *model,
                     struct ws_json_doc *scenario, struct ws_error *err)
{
    struct parallel *m = calloc(1, sizeof(*m));
    int rc = m == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0) {
        struct ws_json root = ws_json_root(model);
        m->base = (struct ws_evaluator){
            .ops = &parallel_ops, .space = space, .switch_ms = switch_ms};
        m->hot_c = INFINITY;
        m->drift_power = 1;
        rc = read_model(m, &root, err);
    }
    if (rc == 0 && scenario->root != NULL) {
        struct ws_json root = ws_json_root(scenario);
        rc = read_scenario(m, &root, err);
    }
    ws_json_doc_fini(model);
    ws_json_doc_fini(scenario);
    if (rc == 0)
        *out = &m->base;
    else if (m != NULL)
        parallel_destroy(&m->base);
    return rc;
}

int ws_parallel_create(struct ws_evaluator **out, const struct ws_space *space,
                       const double *switch_ms, const char *path,
                       const char *scenario_path, struct ws_error *err)
{
    struct ws_json_doc model, scenario = {0};
    int rc = ws_json_load(&model, path, err);
    if (rc == 0 && scenario_path != NULL) {
        rc = ws_json_load(&scenario, scenario_path, err);
        if (rc != 0)
            ws_json_doc_fini(&model);
    }
    return rc != 0 ? rc : from_docs(out, space, switch_ms, &model, &scenario, err);
}

int ws_parallel_parse(struct ws_evaluator **out, const struct ws_space *space,
                      const double *switch_ms, const void *bytes, size_t size,
                      const char *name, struct ws_error *err)
{
    struct ws_json_doc model, scenario = {0};
    int rc = ws_json_parse(&model, bytes, size, name, err);
    return rc != 0 ? rc : from_docs(out, space, switch_ms, &model, &scenario, err);
}

const struct ws_parallel_facts *ws_parallel_facts(const struct ws_evaluator *evaluator)
{
    return &((const struct parallel *)evaluator)->facts;
}
