#include "device/modelled.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"

enum { CLASSES_MAX = 8, POWER_POINTS_MAX = 64 };

/* A load leaves at least this share of a machine. */
static const double share_least = 0.05;

/* One computing unit of a side. */
struct unit {
    double mac_per_s[CLASSES_MAX]; /* at the reference clock */
    double exponent;
    double fixed_ms;    /* for a request that it has any work of */
    double bytes_per_s; /* at which it hands over or takes in what crosses; 0: at once */
    double clock[POWER_POINTS_MAX];
    double power_w[POWER_POINTS_MAX];
    size_t power_count;
};

struct side {
    size_t clock_knob; /* SIZE_MAX: the reference clock, always */
    double reference_clock;
    size_t unit_knob; /* SIZE_MAX: the only unit */
    struct unit *units;
    size_t unit_count;
    double idle_w;
};

struct modelled {
    struct ws_evaluator base;
    const double *switch_ms;
    char *class_names[CLASSES_MAX];
    size_t class_count;
    size_t cut_knob;
    double *edge_mac; /* [cuts][class_count]: work done before each cut */
    double total_mac[CLASSES_MAX];
    double *bytes;     /* [cuts] */
    size_t codec_knob; /* SIZE_MAX: none */
    double *byte_factor;
    size_t accuracy_knob; /* SIZE_MAX: one accuracy, or none */
    double *accuracy;     /* [values of that knob], or [1]; NULL: unknown */
    struct side edge;
    struct side cloud;
    struct ws_conditions link;
    double time_noise; /* standard deviations of logarithms */
    double energy_noise;
};

/* --- Reading -------------------------------------------------------------------------
 */

/* Index of the knob that a member names; SIZE_MAX without the member. */
static int read_knob(size_t *out, const struct modelled *m, const struct ws_json *object,
                     const char *key, struct ws_error *err)
{
    struct ws_json node;
    const char *name = NULL;
    *out = SIZE_MAX;
    if (!ws_json_find(&node, object, key))
        return 0;
    int rc = ws_json_string(&name, &node, err);
    if (rc == 0 && ws_space_find(out, m->base.space, name, NULL) != 0)
        rc = ws_json_fail(&node, WS_E_NOT_FOUND, err, "there is no knob \"%s\"", name);
    return rc;
}

/* An array of exactly `count` numbers within bounds. */
static int read_numbers(double *out, size_t stride, const struct ws_json *list,
                        size_t count, double min, double max, struct ws_error *err)
{
    int rc = ws_json_array(list, err);
    if (rc == 0 && ws_json_count(list) != count)
        rc = ws_json_fail(list, WS_E_FORMAT, err, "expected %zu numbers, got %zu", count,
                          ws_json_count(list));
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct ws_json item = ws_json_at(list, i);
        rc = ws_json_double(&out[i * stride], &item, min, max, err);
    }
    return rc;
}

/* The classes are the keys of total_mac. */
static int read_classes(struct modelled *m, const struct ws_json *cut,
                        struct ws_error *err)
{
    struct ws_json total;
    struct ws_json member = {0};
    int rc = ws_json_member(&total, cut, "total_mac", err);
    if (rc == 0)
        rc = ws_json_object(&total, err);
    if (rc == 0 && (ws_json_count(&total) < 1 || ws_json_count(&total) > CLASSES_MAX))
        rc = ws_json_fail(&total, WS_E_LIMIT, err, "expected 1 to %d classes, got %zu",
                          CLASSES_MAX, ws_json_count(&total));
    while (rc == 0 && ws_json_next(&member, &total)) {
        m->class_names[m->class_count] = strdup(member.key);
        if (m->class_names[m->class_count] == NULL)
            return ws_error_nomem(err);
        rc = ws_json_double(&m->total_mac[m->class_count++], &member, 0, 1e18, err);
    }
    return rc;
}

static int read_cut(struct modelled *m, const struct ws_json *root, struct ws_error *err)
{
    struct ws_json cut;
    struct ws_json macs;
    struct ws_json list;
    int rc = ws_json_member(&cut, root, "cut", err);
    if (rc == 0)
        rc = ws_json_object(&cut, err);
    if (rc == 0)
        rc = read_knob(&m->cut_knob, m, &cut, "knob", err);
    if (rc == 0 && m->cut_knob == SIZE_MAX)
        rc = ws_json_fail(&cut, WS_E_FORMAT, err, "\"knob\" is missing");
    if (rc == 0)
        rc = read_classes(m, &cut, err);
    if (rc == 0)
        rc = ws_json_member(&macs, &cut, "edge_mac", err);
    if (rc != 0)
        return rc;
    size_t cuts = m->base.space->knobs[m->cut_knob].value_count;
    m->edge_mac = calloc(cuts * m->class_count, sizeof(*m->edge_mac));
    m->bytes = calloc(cuts, sizeof(*m->bytes));
    if (m->edge_mac == NULL || m->bytes == NULL)
        return ws_error_nomem(err);
    for (size_t c = 0; rc == 0 && c < m->class_count; c++) {
        rc = ws_json_member(&list, &macs, m->class_names[c], err);
        if (rc == 0)
            rc = read_numbers(m->edge_mac + c, m->class_count, &list, cuts, 0,
                              m->total_mac[c], err);
    }
    if (rc == 0)
        rc = ws_json_member(&list, &cut, "bytes", err);
    return rc == 0 ? read_numbers(m->bytes, 1, &list, cuts, 0, 1e15, err) : rc;
}

/* [[clock, W], ...] with clocks ascending. */
static int read_power(struct unit *out, const struct ws_json *node, struct ws_error *err)
{
    struct ws_json list;
    int rc = ws_json_member(&list, node, "power_w", err);
    if (rc == 0)
        rc = ws_json_array(&list, err);
    if (rc == 0 && (ws_json_count(&list) < 1 || ws_json_count(&list) > POWER_POINTS_MAX))
        rc = ws_json_fail(&list, WS_E_LIMIT, err, "expected 1 to %d points, got %zu",
                          POWER_POINTS_MAX, ws_json_count(&list));
    for (size_t i = 0; rc == 0 && i < ws_json_count(&list); i++) {
        struct ws_json point = ws_json_at(&list, i);
        double pair[2];
        rc = read_numbers(pair, 1, &point, 2, 0, 1e12, err);
        if (rc == 0 && i > 0 && pair[0] <= out->clock[i - 1])
            rc = ws_json_fail(&point, WS_E_FORMAT, err, "clocks must ascend");
        out->clock[i] = pair[0];
        out->power_w[i] = pair[1];
        out->power_count = i + 1;
    }
    return rc;
}

static int read_unit(struct unit *out, const struct modelled *m,
                     const struct ws_json *node, struct ws_error *err)
{
    struct ws_json rates;
    struct ws_json member;
    int rc = ws_json_member(&rates, node, "mac_per_s", err);
    for (size_t c = 0; rc == 0 && c < m->class_count; c++)
        rc = ws_json_get_double(&out->mac_per_s[c], &rates, m->class_names[c], 1, 1e18,
                                err);
    if (rc == 0 && ws_json_find(&member, node, "exponent"))
        rc = ws_json_double(&out->exponent, &member, 0, 4, err);
    if (rc == 0 && ws_json_find(&member, node, "fixed_ms"))
        rc = ws_json_double(&out->fixed_ms, &member, 0, 1e9, err);
    if (rc == 0 && ws_json_find(&member, node, "bytes_per_s"))
        rc = ws_json_double(&out->bytes_per_s, &member, 1, 1e18, err);
    return rc == 0 ? read_power(out, node, err) : rc;
}

/* `units` has one member for each value of the unit knob, or just one without it. */
static int read_units(struct side *out, const struct modelled *m,
                      const struct ws_json *node, struct ws_error *err)
{
    struct ws_json units;
    struct ws_json member = {0};
    int rc = ws_json_member(&units, node, "units", err);
    if (rc == 0)
        rc = ws_json_object(&units, err);
    if (rc != 0)
        return rc;
    const struct ws_knob *knob =
        out->unit_knob == SIZE_MAX ? NULL : &m->base.space->knobs[out->unit_knob];
    out->unit_count = knob == NULL ? 1 : knob->value_count;
    out->units = calloc(out->unit_count, sizeof(*out->units));
    if (out->units == NULL)
        return ws_error_nomem(err);
    if (knob == NULL && (ws_json_count(&units) != 1 || !ws_json_next(&member, &units)))
        return ws_json_fail(&units, WS_E_FORMAT, err,
                            "expected one unit, since no knob chooses");
    if (knob == NULL)
        return read_unit(&out->units[0], m, &member, err);
    for (size_t v = 0; rc == 0 && v < knob->value_count; v++) {
        rc = ws_json_member(&member, &units, knob->values[v].text, err);
        if (rc == 0)
            rc = read_unit(&out->units[v], m, &member, err);
    }
    return rc;
}

static int read_side(struct side *out, const struct modelled *m,
                     const struct ws_json *root, const char *key, struct ws_error *err)
{
    struct ws_json node;
    struct ws_json member;
    int rc = ws_json_member(&node, root, key, err);
    if (rc == 0)
        rc = ws_json_object(&node, err);
    if (rc == 0)
        rc = read_knob(&out->clock_knob, m, &node, "clock", err);
    if (rc == 0)
        rc = read_knob(&out->unit_knob, m, &node, "unit", err);
    out->reference_clock = 1;
    if (rc == 0 && out->clock_knob != SIZE_MAX) {
        const struct ws_knob *knob = &m->base.space->knobs[out->clock_knob];
        rc = ws_json_get_double(&out->reference_clock, &node, "reference_clock", 1e-9,
                                1e15, err);
        for (size_t v = 0; rc == 0 && v < knob->value_count; v++) {
            if (knob->values[v].number_count != 1 || knob->values[v].numbers[0] <= 0)
                rc = ws_json_fail(&node, WS_E_TYPE, err,
                                  "value %s of knob \"%s\" is no clock",
                                  knob->values[v].text, knob->name);
        }
    }
    if (rc == 0 && ws_json_find(&member, &node, "idle_w"))
        rc = ws_json_double(&out->idle_w, &member, 0, 1e6, err);
    return rc == 0 ? read_units(out, m, &node, err) : rc;
}

static int read_link(struct modelled *m, const struct ws_json *root, struct ws_error *err)
{
    struct ws_json node;
    double value = 0;
    int rc = ws_json_member(&node, root, "link", err);
    if (rc == 0)
        rc = ws_json_get_double(&value, &node, "mbit_s", 1e-6, 1e9, err);
    if (rc == 0)
        ws_conditions_set(&m->link, WS_LINK_MBIT_S, value);
    if (rc == 0)
        rc = ws_json_get_double(&value, &node, "delay_ms", 0, 1e9, err);
    if (rc == 0)
        ws_conditions_set(&m->link, WS_LINK_DELAY_MS, value);
    return rc;
}

/* {"knob", KEY: [one number a value]}, if it is there. */
static int read_by_knob(size_t *out_knob, double **out, const struct modelled *m,
                        const struct ws_json *root, const char *member, const char *key,
                        double max, struct ws_error *err)
{
    struct ws_json node;
    struct ws_json list;
    *out_knob = SIZE_MAX;
    if (!ws_json_find(&node, root, member))
        return 0;
    int rc = ws_json_object(&node, err);
    if (rc == 0)
        rc = read_knob(out_knob, m, &node, "knob", err);
    if (rc == 0)
        rc = ws_json_member(&list, &node, key, err);
    if (rc != 0)
        return rc;
    size_t count =
        *out_knob == SIZE_MAX ? 1 : m->base.space->knobs[*out_knob].value_count;
    *out = calloc(count, sizeof(**out));
    if (*out == NULL)
        return ws_error_nomem(err);
    return read_numbers(*out, 1, &list, count, 0, max, err);
}

static int read_model(struct modelled *m, const struct ws_json *root,
                      struct ws_error *err)
{
    static const char *const keys[] = {"format", "version",  "source", "cut",
                                       "codec",  "edge",     "cloud",  "link",
                                       "noise",  "accuracy", NULL};
    struct ws_json noise;
    const char *format = NULL;
    int64_t version = 0;
    int rc = ws_json_only(root, keys, err);
    if (rc == 0)
        rc = ws_json_get_string(&format, root, "format", err);
    if (rc == 0 && strcmp(format, "wattshed-device-model") != 0)
        rc = ws_json_fail(root, WS_E_FORMAT, err,
                          "expected \"format\": \"wattshed-device-model\", got \"%s\"",
                          format);
    if (rc == 0)
        rc = ws_json_get_i64(&version, root, "version", 1, 1, err);
    if (rc == 0)
        rc = read_cut(m, root, err);
    if (rc == 0)
        rc = read_by_knob(&m->codec_knob, &m->byte_factor, m, root, "codec",
                          "byte_factor", 1e6, err);
    if (rc == 0)
        rc = read_by_knob(&m->accuracy_knob, &m->accuracy, m, root, "accuracy", "values",
                          1, err);
    if (rc == 0)
        rc = read_side(&m->edge, m, root, "edge", err);
    if (rc == 0)
        rc = read_side(&m->cloud, m, root, "cloud", err);
    if (rc == 0)
        rc = read_link(m, root, err);
    if (rc == 0 && ws_json_find(&noise, root, "noise")) {
        rc = ws_json_get_double(&m->time_noise, &noise, "time", 0, 1, err);
        if (rc == 0)
            rc = ws_json_get_double(&m->energy_noise, &noise, "energy", 0, 1, err);
    }
    return rc;
}

/* --- Evaluating ----------------------------------------------------------------------
 */

static double power_at(const struct unit *unit, double clock)
{
    size_t i = 0;
    while (i < unit->power_count && unit->clock[i] < clock)
        i++;
    if (i == 0)
        return unit->power_w[0];
    if (i == unit->power_count)
        return unit->power_w[i - 1];
    double share = (clock - unit->clock[i - 1]) / (unit->clock[i] - unit->clock[i - 1]);
    return unit->power_w[i - 1] + share * (unit->power_w[i] - unit->power_w[i - 1]);
}

/* Time and energy of one side for `mac` of each class; nothing for no work. */
static void run_side(double *out_ms, double *out_j, const struct modelled *m,
                     const struct side *side, const struct ws_setting *setting,
                     const double *mac, double bytes, double load)
{
    const struct unit *unit =
        &side->units[side->unit_knob == SIZE_MAX ? 0 : setting->value[side->unit_knob]];
    double clock = side->reference_clock;
    double ms = 0;
    *out_ms = 0;
    *out_j = 0;
    if (side->clock_knob != SIZE_MAX)
        clock = m->base.space->knobs[side->clock_knob]
                    .values[setting->value[side->clock_knob]]
                    .numbers[0];
    double speed = pow(clock / side->reference_clock, unit->exponent);
    for (size_t c = 0; c < m->class_count; c++)
        ms += 1000 * mac[c] / (unit->mac_per_s[c] * speed);
    if (ms <= 0)
        return;
    if (unit->bytes_per_s > 0)
        ms += 1000 * bytes / (unit->bytes_per_s * speed);
    ms = (ms + unit->fixed_ms) / fmax(1 - load, share_least);
    *out_ms = ms;
    *out_j = power_at(unit, clock) * ms / 1000;
}

static double condition(const struct modelled *m, const struct ws_conditions *now,
                        enum ws_condition which)
{
    double value = 0;
    if (now != NULL && ws_conditions_get(&value, now, which) == 0)
        return value;
    (void)ws_conditions_get(&value, &m->link, which);
    return value;
}

/* A factor of mean 1. */
static double noise(struct ws_rng *rng, double spread)
{
    return spread > 0 ? exp(spread * ws_rng_normal(rng) - 0.5 * spread * spread) : 1;
}

/* rng NULL: without noise. */
static void compute(struct ws_outcome *out, const struct modelled *m,
                    const struct ws_setting *setting, const struct ws_conditions *now,
                    struct ws_rng *rng)
{
    size_t cut = setting->value[m->cut_knob];
    const double *head = m->edge_mac + cut * m->class_count;
    double tail[CLASSES_MAX];
    double edge[2];
    double cloud[2];
    for (size_t c = 0; c < m->class_count; c++)
        tail[c] = m->total_mac[c] - head[c];
    run_side(&edge[0], &edge[1], m, &m->edge, setting, head, m->bytes[cut],
             condition(m, now, WS_EDGE_LOAD));
    run_side(&cloud[0], &cloud[1], m, &m->cloud, setting, tail, m->bytes[cut],
             condition(m, now, WS_CLOUD_LOAD));
    double bytes = m->bytes[cut];
    if (m->codec_knob != SIZE_MAX)
        bytes *= m->byte_factor[setting->value[m->codec_knob]];
    double transfer = 0;
    if (bytes > 0)
        transfer = condition(m, now, WS_LINK_DELAY_MS) +
                   bytes * 8 / (condition(m, now, WS_LINK_MBIT_S) * 1000);
    if (rng != NULL) {
        edge[0] *= noise(rng, m->time_noise);
        transfer *= noise(rng, m->time_noise);
        cloud[0] *= noise(rng, m->time_noise);
        edge[1] *= noise(rng, m->energy_noise);
        cloud[1] *= noise(rng, m->energy_noise);
    }
    double waiting = transfer + cloud[0];
    if (isfinite(waiting))
        edge[1] += m->edge.idle_w * waiting / 1000;
    *out = (struct ws_outcome){.truth = WS_MODELLED};
    ws_outcome_set(out, WS_EDGE_MS, edge[0]);
    ws_outcome_set(out, WS_TRANSFER_MS, transfer);
    ws_outcome_set(out, WS_CLOUD_MS, cloud[0]);
    ws_outcome_set(out, WS_LATENCY_MS, edge[0] + transfer + cloud[0]);
    ws_outcome_set(out, WS_EDGE_ENERGY_J, edge[1]);
    ws_outcome_set(out, WS_CLOUD_ENERGY_J, cloud[1]);
    ws_outcome_set(out, WS_ENERGY_J, edge[1] + cloud[1]);
    ws_outcome_set(out, WS_TENSOR_BYTES, bytes);
    if (m->accuracy != NULL)
        ws_outcome_set(
            out, WS_ACCURACY,
            m->accuracy[m->accuracy_knob == SIZE_MAX ? 0
                                                     : setting->value[m->accuracy_knob]]);
}

static int modelled_evaluate(struct ws_evaluator *evaluator, struct ws_outcome *out,
                             const struct ws_setting *setting,
                             const struct ws_setting *previous,
                             const struct ws_conditions *conditions, uint64_t seed,
                             struct ws_error *err)
{
    struct ws_rng rng;
    (void)previous;
    (void)err;
    ws_rng_init(&rng, seed);
    compute(out, (struct modelled *)evaluator, setting, conditions, &rng);
    return 0;
}

static int modelled_expect(struct ws_evaluator *evaluator, struct ws_outcome *out,
                           const struct ws_setting *setting,
                           const struct ws_conditions *conditions, struct ws_error *err)
{
    (void)err;
    compute(out, (struct modelled *)evaluator, setting, conditions, NULL);
    return 0;
}

static double modelled_switch_ms(struct ws_evaluator *evaluator,
                                 const struct ws_setting *from,
                                 const struct ws_setting *to)
{
    const struct modelled *m = (struct modelled *)evaluator;
    double ms = 0;
    for (size_t k = 0; m->switch_ms != NULL && k < m->base.space->knob_count; k++) {
        if (from->value[k] != to->value[k])
            ms = fmax(ms, m->switch_ms[k]);
    }
    return ms;
}

static void modelled_destroy(struct ws_evaluator *evaluator)
{
    struct modelled *m = (struct modelled *)evaluator;
    for (size_t c = 0; c < m->class_count; c++)
        free(m->class_names[c]);
    free(m->edge_mac);
    free(m->bytes);
    free(m->byte_factor);
    free(m->accuracy);
    free(m->edge.units);
    free(m->cloud.units);
    free(m);
}

static const struct ws_evaluator_ops modelled_ops = {
    .evaluate = modelled_evaluate,
    .expect = modelled_expect,
    .switch_ms = modelled_switch_ms,
    .destroy = modelled_destroy,
};

static int from_doc(struct ws_evaluator **out, const struct ws_space *space,
                    const double *switch_ms, struct ws_json_doc *doc,
                    struct ws_error *err)
{
    struct ws_json root = ws_json_root(doc);
    struct modelled *m = calloc(1, sizeof(*m));
    int rc = m == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0) {
        m->base = (struct ws_evaluator){.ops = &modelled_ops, .space = space};
        m->switch_ms = switch_ms;
        rc = read_model(m, &root, err);
    }
    ws_json_doc_fini(doc);
    if (rc == 0)
        *out = &m->base;
    else if (m != NULL)
        modelled_destroy(&m->base);
    return rc;
}

int ws_modelled_create(struct ws_evaluator **out, const struct ws_space *space,
                       const double *switch_ms, const char *path, struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_load(&doc, path, err);
    return rc != 0 ? rc : from_doc(out, space, switch_ms, &doc, err);
}

int ws_modelled_parse(struct ws_evaluator **out, const struct ws_space *space,
                      const double *switch_ms, const void *bytes, size_t size,
                      const char *name, struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_parse(&doc, bytes, size, name, err);
    return rc != 0 ? rc : from_doc(out, space, switch_ms, &doc, err);
}

const struct ws_conditions *ws_modelled_link(const struct ws_evaluator *evaluator)
{
    return &((const struct modelled *)evaluator)->link;
}

double ws_modelled_edge_idle_w(const struct ws_evaluator *evaluator)
{
    return ((const struct modelled *)evaluator)->edge.idle_w;
}
