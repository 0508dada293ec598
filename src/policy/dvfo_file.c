/* Agent files: what has to be the same, what was asked for, and what was learnt. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "policy/dvfo_impl.h"

enum { VERSION = 1 };

/* ---- writing ---- */

static json_t *knobs_json(const struct ws_space *space)
{
    json_t *knobs = json_object();
    for (size_t k = 0; k < space->knob_count; k++) {
        json_t *values = json_array();
        for (size_t v = 0; v < space->knobs[k].value_count; v++)
            json_array_append_new(values, json_string(space->knobs[k].values[v].text));
        json_object_set_new(knobs, space->knobs[k].name, values);
    }
    return knobs;
}

static json_t *setting_json(const struct ws_space *space, const uint16_t *value)
{
    json_t *list = json_array();
    for (size_t k = 0; k < space->knob_count; k++)
        json_array_append_new(list, json_integer(value[k]));
    return list;
}

static json_t *fixed_json(const struct ws_learner_task *task)
{
    json_t *list = json_array();
    for (size_t k = 0; k < task->space->knob_count; k++)
        json_array_append_new(list,
                              json_integer(task->fixed == NULL ? -1 : task->fixed[k]));
    return list;
}

/* Parameters without what pads. */
static json_t *weights_json(const struct ws_nn *nn)
{
    json_t *list = json_array();
    for (size_t l = 0; l < nn->layer_count; l++) {
        const struct ws_nn_layer *layer = &nn->layers[l];
        for (size_t i = 0; i <= layer->in; i++) { /* the last row is the biases */
            const float *row = nn->params + layer->weight + i * layer->out_pad;
            for (size_t o = 0; o < layer->out; o++)
                json_array_append_new(list, json_real((double)row[o]));
        }
    }
    return list;
}

static json_t *known_json(const struct ws_dvfo *dvfo)
{
    json_t *list = json_array();
    for (size_t i = 0; i < WS_DVFO_SLOTS; i++) {
        if (dvfo->known[i] != 0)
            json_array_append_new(list, json_integer((json_int_t)dvfo->known[i] - 1));
    }
    return list;
}

int ws_dvfo_save(struct ws_dvfo *dvfo, const char *path, struct ws_error *err)
{
    const struct ws_learner_task *task = dvfo->base.task;
    json_t *root = json_pack(
        "{s:s, s:i, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:b, s:o, s:o, s:o, s:o, s:o}",
        "format", "wattshed-agent", "version", VERSION, "learner", "dvfo", "seed",
        (json_int_t)task->seed, "requests", (json_int_t)dvfo->seen, "max_power_w",
        task->cost.max_power_w, "accuracy_floor", task->cost.accuracy_floor, "gamma",
        task->gamma, "log_cost", dvfo->log_cost, "no_attention", task->no_attention,
        "knobs", knobs_json(task->space), "start",
        setting_json(task->space, task->start.value), "fixed", fixed_json(task),
        "weights", weights_json(ws_dqn_net(dvfo->dqn)), "known", known_json(dvfo));
    if (root != NULL && dvfo->prior != NULL)
        json_object_set_new(root, "prior", ws_prior_to_json(dvfo->prior));
    int rc = root == NULL ? ws_error_nomem(err) : ws_json_write(path, root, err);
    json_decref(root);
    return rc;
}

/* ---- reading ---- */

/* The file's knobs must be the space's, in its order. */
static int check_knobs(const struct ws_json *root, const struct ws_space *space,
                       struct ws_error *err)
{
    struct ws_json knobs, member = {0};
    size_t k = 0;
    int rc = ws_json_member(&knobs, root, "knobs", err);
    if (rc == 0)
        rc = ws_json_object(&knobs, err);
    for (; rc == 0 && ws_json_next(&member, &knobs); k++) {
        if (k >= space->knob_count || strcmp(member.key, space->knobs[k].name) != 0)
            return ws_json_fail(&member, WS_E_MISMATCH, err,
                                "the testbed's knob %zu is another one", k);
        rc = ws_json_array(&member, err);
        if (rc == 0 && ws_json_count(&member) != space->knobs[k].value_count)
            rc = ws_json_fail(&member, WS_E_MISMATCH, err,
                              "%zu values, the testbed has %zu", ws_json_count(&member),
                              space->knobs[k].value_count);
        for (size_t v = 0; rc == 0 && v < space->knobs[k].value_count; v++) {
            struct ws_json value = ws_json_at(&member, v);
            const char *text = NULL;
            rc = ws_json_string(&text, &value, err);
            if (rc == 0 && strcmp(text, space->knobs[k].values[v].text) != 0)
                rc = ws_json_fail(&value, WS_E_MISMATCH, err, "the testbed says \"%s\"",
                                  space->knobs[k].values[v].text);
        }
    }
    if (rc == 0 && k != space->knob_count)
        rc = ws_json_fail(&knobs, WS_E_MISMATCH, err, "%zu knobs, the testbed has %zu", k,
                          space->knob_count);
    return rc;
}

/* One integer for each knob, from `low` to the number of its last value. */
static int read_by_knob(int32_t *out, const struct ws_json *root, const char *key,
                        const struct ws_space *space, int64_t low, struct ws_error *err)
{
    struct ws_json list;
    int rc = ws_json_member(&list, root, key, err);
    if (rc == 0)
        rc = ws_json_array(&list, err);
    if (rc == 0 && ws_json_count(&list) != space->knob_count)
        rc = ws_json_fail(&list, WS_E_FORMAT, err, "expected %zu numbers, got %zu",
                          space->knob_count, ws_json_count(&list));
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++) {
        struct ws_json item = ws_json_at(&list, k);
        int64_t value = 0;
        rc = ws_json_i64(&value, &item, low, (int64_t)space->knobs[k].value_count - 1,
                         err);
        out[k] = (int32_t)value;
    }
    return rc;
}

static int read_task(struct ws_learner_task *out, int32_t *fixed,
                     const struct ws_json *root, struct ws_error *err)
{
    int32_t start[WS_KNOBS_MAX] = {0};
    struct ws_json flag;
    int rc =
        ws_json_get_double(&out->cost.max_power_w, root, "max_power_w", 1e-9, 1e9, err);
    if (rc == 0)
        rc = ws_json_get_double(&out->cost.accuracy_floor, root, "accuracy_floor", 0, 1,
                                err);
    if (rc == 0)
        rc = ws_json_get_double(&out->gamma, root, "gamma", 0, 1, err);
    if (rc == 0)
        rc = ws_json_member(&flag, root, "no_attention", err);
    if (rc == 0)
        rc = ws_json_bool(&out->no_attention, &flag, err);
    if (rc == 0)
        rc = read_by_knob(start, root, "start", out->space, 0, err);
    if (rc == 0)
        rc = read_by_knob(fixed, root, "fixed", out->space, -1, err);
    for (size_t k = 0; rc == 0 && k < out->space->knob_count; k++)
        out->start.value[k] = (uint16_t)start[k];
    out->fixed = fixed;
    return rc;
}

static int read_weights(struct ws_nn *nn, const struct ws_json *root,
                        struct ws_error *err)
{
    struct ws_json list;
    size_t count = 0, n = 0;
    for (size_t l = 0; l < nn->layer_count; l++)
        count += (nn->layers[l].in + 1) * nn->layers[l].out;
    int rc = ws_json_member(&list, root, "weights", err);
    if (rc == 0)
        rc = ws_json_array(&list, err);
    if (rc == 0 && ws_json_count(&list) != count)
        rc = ws_json_fail(&list, WS_E_FORMAT, err, "expected %zu numbers, got %zu", count,
                          ws_json_count(&list));
    for (size_t l = 0; rc == 0 && l < nn->layer_count; l++) {
        const struct ws_nn_layer *layer = &nn->layers[l];
        for (size_t i = 0; rc == 0 && i < (layer->in + 1) * layer->out; i++) {
            struct ws_json item = ws_json_at(&list, n++);
            double value = 0;
            rc = ws_json_double(&value, &item, -1e9, 1e9, err);
            nn->params[layer->weight + i / layer->out * layer->out_pad + i % layer->out] =
                (float)value;
        }
    }
    return rc;
}

static int read_known(struct ws_dvfo *dvfo, const struct ws_json *root,
                      struct ws_error *err)
{
    struct ws_json list;
    uint64_t size = 0;
    int rc = ws_space_size(&size, dvfo->base.task->space, err);
    if (rc == 0)
        rc = ws_json_member(&list, root, "known", err);
    if (rc == 0)
        rc = ws_json_array(&list, err);
    for (size_t i = 0; rc == 0 && i < ws_json_count(&list); i++) {
        struct ws_json item = ws_json_at(&list, i);
        int64_t index = 0;
        rc = ws_json_i64(&index, &item, 0, (int64_t)size - 1, err);
        if (rc == 0)
            ws_dvfo_note_known(dvfo, (uint64_t)index);
    }
    return rc;
}

/* Of an agent that was trained with a table; NULL of another. */
static int read_prior(struct ws_prior **out, const struct ws_learner_task *task,
                      const struct ws_json *root, struct ws_error *err)
{
    struct ws_json found;
    if (!ws_json_find(&found, root, "prior"))
        return 0;
    return ws_prior_from_json(out, &found, task->space, &task->cost, err);
}

static int check_format(const struct ws_json *root, struct ws_error *err)
{
    const char *format = NULL;
    int64_t version = 0;
    int rc = ws_json_get_string(&format, root, "format", err);
    if (rc == 0 && strcmp(format, "wattshed-agent") != 0)
        rc = ws_json_fail(root, WS_E_FORMAT, err,
                          "expected \"format\": \"wattshed-agent\", got \"%s\"", format);
    return rc == 0 ? ws_json_get_i64(&version, root, "version", VERSION, VERSION, err)
                   : rc;
}

static int from_json(struct ws_learner **out, const struct ws_space *space,
                     const struct ws_json *root, uint64_t seed, struct ws_error *err)
{
    struct ws_learner_task task = {.space = space, .seed = seed};
    int32_t fixed[WS_KNOBS_MAX];
    struct ws_prior *prior = NULL;
    struct ws_dvfo *dvfo = NULL;
    int64_t requests = 0;
    int rc = check_format(root, err);
    if (rc == 0)
        rc = check_knobs(root, space, err);
    if (rc == 0)
        rc = read_task(&task, fixed, root, err);
    if (rc == 0)
        rc = ws_json_get_i64(&requests, root, "requests", 0, INT64_MAX, err);
    if (rc == 0)
        rc = read_prior(&prior, &task, root, err);
    if (rc == 0)
        rc = ws_dvfo_make(&dvfo, &task, prior, err);
    if (rc != 0)
        return rc;
    /* The task lives in the learner from here on. */
    memcpy(dvfo->own_fixed, fixed, sizeof(fixed));
    dvfo->own_task = task;
    dvfo->own_task.fixed = dvfo->own_fixed;
    dvfo->base.task = &dvfo->own_task;
    dvfo->seen = (uint64_t)requests;
    rc = ws_json_get_double(&dvfo->log_cost, root, "log_cost", -1e6, 1e6, err);
    if (rc == 0)
        rc = read_weights(ws_dqn_net(dvfo->dqn), root, err);
    if (rc == 0)
        rc = read_known(dvfo, root, err);
    ws_nn_copy(ws_dqn_target(dvfo->dqn), ws_dqn_net(dvfo->dqn), 0);
    if (rc == 0)
        *out = &dvfo->base;
    else
        ws_learner_destroy(&dvfo->base);
    return rc;
}

int ws_dvfo_load(struct ws_learner **out, const struct ws_space *space, const char *path,
                 uint64_t seed, struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_load(&doc, path, err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = from_json(out, space, &root, seed, err);
    ws_json_doc_fini(&doc);
    return rc;
}
