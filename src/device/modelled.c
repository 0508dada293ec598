#include "device/modelled.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/rng.h"
#include "core/link.h"
#include "device/board.h"
#include "device/cutting.h"

/* A load leaves at least this share of a machine. */
static const double share_least = 0.05;

/* A machine, and how the testbed's knobs set it. */
struct side {
    struct ws_board *board;
    struct ws_binding *binding;
};

struct modelled {
    struct ws_evaluator base;
    size_t cut_knob;
    struct ws_cutting cutting; /* one for each value of that knob */
    size_t codec_knob;         /* SIZE_MAX: none */
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

static int read_cut(struct modelled *m, const struct ws_json *root, struct ws_error *err)
{
    static const char *const keys[] = {"knob", "macs", "bytes", "crossing_bytes", NULL};
    struct ws_json cut;
    int rc = ws_json_member(&cut, root, "cut", err);
    if (rc == 0)
        rc = ws_json_only(&cut, keys, err);
    if (rc == 0)
        rc = read_knob(&m->cut_knob, m, &cut, "knob", err);
    if (rc == 0 && m->cut_knob == SIZE_MAX)
        rc = ws_json_fail(&cut, WS_E_FORMAT, err, "\"knob\" is missing");
    return rc != 0 ? rc
                   : ws_cutting_read(&m->cutting, &cut,
                                     m->base.space->knobs[m->cut_knob].value_count, err);
}

/* A board by its name, as a file beside the model's, or in place. */
static int read_board(struct ws_board **out, const struct ws_json *node, const char *dir,
                      struct ws_error *err)
{
    const char *name = NULL;
    if (json_is_object(node->value))
        return ws_board_read(out, node, err);
    int rc = ws_json_string(&name, node, err);
    if (rc != 0)
        return rc;
    if (strchr(name, '/') == NULL || name[0] == '/') {
        rc = ws_board_load(out, name, err);
    } else {
        struct ws_buf path;
        ws_buf_init(&path, 0);
        rc = ws_buf_printf(&path, err, "%s%s", dir, name);
        if (rc == 0)
            rc = ws_board_load(out, path.data, err);
        ws_buf_fini(&path);
    }
    return rc;
}

static int read_side(struct side *out, const struct modelled *m,
                     const struct ws_work *work, const struct ws_json *root,
                     const char *key, const char *dir, struct ws_error *err)
{
    struct ws_json node;
    size_t cuts = m->base.space->knobs[m->cut_knob].value_count;
    int rc = ws_json_member(&node, root, key, err);
    if (rc == 0)
        rc = read_board(&out->board, &node, dir, err);
    if (rc != 0)
        return rc;
    struct ws_error reason = {0};
    rc = ws_binding_create(&out->binding, out->board, m->base.space, key, &reason);
    for (size_t i = 0; rc == 0 && i < cuts; i++) {
        rc = ws_board_check_work(out->board, &work[i], &reason);
        if (rc == 0 && work == m->cutting.before && m->cutting.beside != NULL)
            rc = ws_board_check_work(out->board, &m->cutting.beside[i], &reason);
    }
    return rc == 0 ? 0 : ws_json_fail(&node, rc, err, "%s", reason.text);
}

static int read_link(struct modelled *m, const struct ws_json *root, struct ws_error *err)
{
    static const char *const keys[] = {"mbit_s", "delay_ms", "jitter_ms", "loss", NULL};
    static const enum ws_condition conditions[] = {WS_LINK_MBIT_S, WS_LINK_DELAY_MS,
                                                   WS_LINK_JITTER_MS, WS_LINK_LOSS};
    static const double least[] = {1e-6, 0, 0, 0};
    static const double most[] = {1e9, 1e9, 1e9, 0.99};
    enum { NEEDED = 2 }; /* of the keys */
    struct ws_json node;
    struct ws_json member;
    int rc = ws_json_member(&node, root, "link", err);
    if (rc == 0)
        rc = ws_json_only(&node, keys, err);
    for (size_t i = 0; rc == 0 && keys[i] != NULL; i++) {
        double value = 0;
        if (i >= NEEDED && !ws_json_find(&member, &node, keys[i]))
            continue;
        rc = ws_json_get_double(&value, &node, keys[i], least[i], most[i], err);
        if (rc == 0)
            ws_conditions_set(&m->link, conditions[i], value);
    }
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
    return ws_json_doubles(*out, &list, count, 0, max, err);
}

static int read_model(struct modelled *m, const struct ws_json *root, const char *dir,
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
        rc = ws_json_get_i64(&version, root, "version", 2, 2, err);
    if (rc == 0)
        rc = read_cut(m, root, err);
    if (rc == 0)
        rc = read_by_knob(&m->codec_knob, &m->byte_factor, m, root, "codec",
                          "byte_factor", 1e6, err);
    if (rc == 0)
        rc = read_by_knob(&m->accuracy_knob, &m->accuracy, m, root, "accuracy", "values",
                          1, err);
    if (rc == 0)
        rc = read_side(&m->edge, m, m->cutting.before, root, "edge", dir, err);
    if (rc == 0)
        rc = read_side(&m->cloud, m, m->cutting.after, root, "cloud", dir, err);
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

/* Time and energy of one side; nothing for no work. */
static void run_side(double *out_ms, double *out_j, const struct side *side,
                     const struct ws_setting *setting, const struct ws_work *work,
                     double load)
{
    struct ws_setting own;
    double share = fmax(1 - load, share_least);
    ws_binding_setting(&own, side->binding, setting);
    /* It knows the work's rates: read_side has asked. */
    (void)ws_board_predict(out_ms, out_j, side->board, &own, work, NULL);
    *out_ms /= share;
    *out_j /= share;
}

/* Nothing is said of a load: there is none. */
static double load_of(const struct ws_conditions *now, enum ws_condition which)
{
    double value = 0;
    if (now != NULL)
        (void)ws_conditions_get(&value, now, which);
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
    double edge[2] = {0};
    double cloud[2] = {0};
    double beside[2] = {0};
    double bytes = m->cutting.before[cut].crossing_bytes;
    run_side(&edge[0], &edge[1], &m->edge, setting, &m->cutting.before[cut],
             load_of(now, WS_EDGE_LOAD));
    run_side(&cloud[0], &cloud[1], &m->cloud, setting, &m->cutting.after[cut],
             load_of(now, WS_CLOUD_LOAD));
    if (m->cutting.beside != NULL)
        run_side(&beside[0], &beside[1], &m->edge, setting, &m->cutting.beside[cut],
                 load_of(now, WS_EDGE_LOAD));
    if (m->codec_knob != SIZE_MAX)
        bytes *= m->byte_factor[setting->value[m->codec_knob]];
    struct ws_conditions link = m->link;
    ws_link_update(&link, now);
    double transfer = ws_link_transfer_ms(&link, bytes);
    if (rng != NULL) {
        edge[0] *= noise(rng, m->time_noise);
        transfer *= noise(rng, m->time_noise);
        cloud[0] *= noise(rng, m->time_noise);
        beside[0] *= m->cutting.beside != NULL ? noise(rng, m->time_noise) : 1;
        edge[1] *= noise(rng, m->energy_noise);
        cloud[1] *= noise(rng, m->energy_noise);
    }
    /* The edge waits for what outlasts its own work beside. */
    double waiting = fmax(transfer + cloud[0] - beside[0], 0);
    edge[1] += beside[1];
    if (isfinite(waiting))
        edge[1] += ws_board_idle_w(m->edge.board) * waiting / 1000;
    *out = (struct ws_outcome){.truth = WS_MODELLED};
    ws_outcome_set(out, WS_EDGE_MS, edge[0] + beside[0]);
    ws_outcome_set(out, WS_TRANSFER_MS, transfer);
    ws_outcome_set(out, WS_CLOUD_MS, cloud[0]);
    if (m->cutting.beside != NULL)
        ws_outcome_set(out, WS_BESIDE_MS, beside[0]);
    ws_outcome_set(out, WS_LATENCY_MS, edge[0] + fmax(beside[0], transfer + cloud[0]));
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

static void modelled_destroy(struct ws_evaluator *evaluator)
{
    struct modelled *m = (struct modelled *)evaluator;
    ws_cutting_fini(&m->cutting);
    free(m->byte_factor);
    free(m->accuracy);
    ws_binding_destroy(m->edge.binding);
    ws_binding_destroy(m->cloud.binding);
    ws_board_destroy(m->edge.board);
    ws_board_destroy(m->cloud.board);
    free(m);
}

static const struct ws_evaluator_ops modelled_ops = {
    .evaluate = modelled_evaluate,
    .expect = modelled_expect,
    .destroy = modelled_destroy,
};

static int from_doc(struct ws_evaluator **out, const struct ws_space *space,
                    const double *switch_ms, struct ws_json_doc *doc, const char *dir,
                    struct ws_error *err)
{
    struct ws_json root = ws_json_root(doc);
    struct modelled *m = calloc(1, sizeof(*m));
    int rc = m == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0) {
        m->base = (struct ws_evaluator){
            .ops = &modelled_ops, .space = space, .switch_ms = switch_ms};
        rc = read_model(m, &root, dir, err);
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
    const char *slash = strrchr(path, '/');
    char *dir = strndup(path, slash == NULL ? 0 : (size_t)(slash - path) + 1);
    int rc = dir == NULL ? ws_error_nomem(err) : ws_json_load(&doc, path, err);
    if (rc == 0)
        rc = from_doc(out, space, switch_ms, &doc, dir, err);
    free(dir);
    return rc;
}

int ws_modelled_parse(struct ws_evaluator **out, const struct ws_space *space,
                      const double *switch_ms, const void *bytes, size_t size,
                      const char *name, struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_parse(&doc, bytes, size, name, err);
    return rc != 0 ? rc : from_doc(out, space, switch_ms, &doc, "", err);
}

const struct ws_conditions *ws_modelled_link(const struct ws_evaluator *evaluator)
{
    return &((const struct modelled *)evaluator)->link;
}

double ws_modelled_edge_idle_w(const struct ws_evaluator *evaluator)
{
    return ws_board_idle_w(((const struct modelled *)evaluator)->edge.board);
}
