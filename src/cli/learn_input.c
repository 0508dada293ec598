#include "cli/learn_input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/plan_study.h"
#include "device/modelled.h"
#include "device/parallel.h"

/* The link that training goes through, relative to the testbed's own, and the settings
 * that are looked at to see how much a machine draws at most. */
static const double link_low = 0.05, link_high = 15;
static const uint64_t looked_at = 4096;

struct table_text {
    const struct ws_space *space;
    enum ws_truth truth; /* the weakest of the trials' */
    struct ws_buf buf;
};

/* Of the kind that the model file says it is. */
static int open_model(struct ws_learn_input *input, struct ws_error *err)
{
    const struct ws_testbed *testbed = input->testbed;
    struct ws_json_doc doc;
    const char *format = "";
    int rc = ws_json_load(&doc, testbed->model_path, err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_json_get_string(&format, &root, "format", err);
    int parallel = rc == 0 && strcmp(format, "wattshed-parallel-model") == 0;
    ws_json_doc_fini(&doc);
    if (rc != 0)
        return rc;
    input->truth = WS_MODELLED;
    if (!parallel) {
        rc = ws_modelled_create(&input->evaluator, &testbed->space, testbed->switch_ms,
                                testbed->model_path, err);
        if (rc != 0)
            return rc;
        input->course.reference = *ws_modelled_link(input->evaluator);
        input->course.idle_w = ws_modelled_edge_idle_w(input->evaluator);
        return 0;
    }
    rc = ws_parallel_create(&input->evaluator, &testbed->space, testbed->switch_ms,
                            testbed->model_path, NULL, err);
    if (rc != 0)
        return rc;
    const struct ws_parallel_facts *facts = ws_parallel_facts(input->evaluator);
    input->course.reference = facts->link;
    input->course.idle_w = facts->idle_w;
    input->course.ambient_c = facts->ambient_c;
    input->course.c_per_w = facts->c_per_w;
    input->course.heat_s = facts->heat_s;
    input->task.cost = (struct ws_cost){facts->max_power_w, facts->accuracy_floor};
    return 0;
}

/* One row of a table. */
static int add_trial(void *user, const struct ws_study_trial *trial, struct ws_error *err)
{
    struct table_text *text = user;
    const struct ws_space *space = text->space;
    int rc = 0;
    if (!trial->is_valid)
        return 0;
    if (trial->outcome.truth > text->truth)
        text->truth = trial->outcome.truth;
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++)
        rc = ws_buf_printf(&text->buf, err, "\"%s\",",
                           space->knobs[k].values[trial->setting.value[k]].text);
    for (int m = 0; rc == 0 && m < WS_MEASURE_COUNT; m++) {
        double value = 0;
        const char *end = m + 1 == WS_MEASURE_COUNT ? "\n" : ",";
        rc = ws_outcome_get(&value, &trial->outcome, (enum ws_measure)m) == 0
                 ? ws_buf_printf(&text->buf, err, "%.17g%s", value, end)
                 : ws_buf_add_text(&text->buf, end, err);
    }
    return rc;
}

/* The study's valid trials, as the table that they would be in a file. */
static int table_of_study(struct ws_learn_input *input, const char *path,
                          struct ws_error *err)
{
    struct table_text text = {.space = &input->testbed->space};
    int rc = 0;
    ws_buf_init(&text.buf, WS_TEXT_FILE_MAX);
    for (size_t k = 0; rc == 0 && k < text.space->knob_count; k++)
        rc = ws_buf_printf(&text.buf, err, "knob.%s,", text.space->knobs[k].name);
    for (int m = 0; rc == 0 && m < WS_MEASURE_COUNT; m++)
        rc = ws_buf_printf(&text.buf, err, "%s%s", ws_measure_name((enum ws_measure)m),
                           m + 1 == WS_MEASURE_COUNT ? "\n" : ",");
    if (rc == 0)
        rc = ws_study_each_trial(input->study, add_trial, &text, err);
    if (rc == 0)
        rc = ws_table_parse(&input->table, input->testbed, text.buf.data, text.buf.size,
                            path, err);
    input->truth = text.truth;
    ws_buf_fini(&text.buf);
    return rc;
}

static int open_evaluator(struct ws_learn_input *input, const char *path,
                          struct ws_error *err)
{
    if (input->study == NULL && input->testbed->table_path == NULL &&
        input->testbed->model_path != NULL)
        return open_model(input, err);
    input->truth = input->testbed->truth;
    int rc = input->study != NULL ? table_of_study(input, path, err)
                                  : ws_table_load(&input->table, input->testbed, err);
    if (rc == 0)
        rc = ws_recorded_create(&input->evaluator, &input->table, WS_NOISE_POOLED, err);
    input->course.reference = input->table.reference;
    input->course.idle_w = input->testbed->edge_idle_w;
    return rc;
}

/* The first setting that can be evaluated, and the most that any draws on average. */
static int look_around(struct ws_learn_input *input, struct ws_error *err)
{
    const struct ws_space *space = &input->testbed->space;
    uint64_t size = 0, step;
    double most_w = 0;
    int found = 0, rc = ws_space_size(&size, space, err);
    step = size / looked_at + 1;
    for (uint64_t i = 0; rc == 0 && i < size; i += step) {
        struct ws_setting setting;
        struct ws_outcome outcome;
        double joules = 0, ms = 0;
        ws_setting_from_index(&setting, space, i);
        if (!ws_evaluator_has(input->evaluator, &setting))
            continue;
        rc = ws_evaluator_expect(input->evaluator, &outcome, &setting, NULL, err);
        if (rc != 0 || ws_outcome_get(&joules, &outcome, WS_ENERGY_J) != 0 ||
            ws_outcome_get(&ms, &outcome, WS_LATENCY_MS) != 0)
            continue;
        most_w = fmax(most_w, joules / ms * 1000);
        if (!found)
            input->task.start = setting;
        found = 1;
    }
    if (rc == 0 && !found)
        rc = ws_error_set(err, WS_E_UNKNOWN,
                          "testbed \"%s\": no setting knows both latency_ms and energy_j",
                          input->testbed->name);
    if (input->task.cost.max_power_w <= 0)
        input->task.cost.max_power_w = most_w;
    return rc;
}

static const struct ws_setting *baseline(const struct ws_learn_input *input,
                                         const char *name)
{
    const struct ws_baseline *found = ws_testbed_baseline(input->testbed, name);
    return found == NULL ? NULL : &found->setting;
}

int ws_learn_input_init(struct ws_learn_input *out, const char *path,
                        struct ws_error *err)
{
    double rate = 1;
    int rc = 0;
    out->testbed = &out->own;
    if (ws_cli_is_study(path)) {
        rc = ws_study_open_to_read(&out->study, path, err);
        if (rc == 0)
            out->testbed = ws_study_testbed(out->study);
    } else {
        rc = ws_testbed_load(&out->own, path, err);
    }
    if (rc == 0)
        rc = open_evaluator(out, path, err);
    if (rc == 0)
        rc = look_around(out, err);
    if (rc != 0)
        return rc;
    memset(out->fixed, -1, sizeof(out->fixed));
    out->task.space = &out->testbed->space;
    out->task.fixed = out->fixed;
    out->task.cloud_only = baseline(out, "cloud-only");
    out->task.edge_only = baseline(out, "edge-only");
    out->task.table = out->evaluator;
    if (out->task.edge_only != NULL)
        out->task.start = *out->task.edge_only;
    if (ws_conditions_get(&rate, &out->course.reference, WS_LINK_MBIT_S) != 0)
        ws_conditions_set(&out->course.reference, WS_LINK_MBIT_S, rate);
    out->course.machine = out->evaluator;
    out->course.cost = out->task.cost;
    out->course.link_mbit_s = (struct ws_range){link_low * rate, link_high * rate};
    out->course.hold = 10;
    out->course.eta = (struct ws_range){0.1, 0.9};
    out->course.lambda = (struct ws_range){0.5, 0.5};
    out->course.restart_every = 100;
    out->course.restart_above_c = 60;
    out->course.restart_load = 0.9;
    out->course.restart_others = 1;
    return 0;
}

void ws_learn_input_fini(struct ws_learn_input *input)
{
    ws_evaluator_destroy(input->evaluator);
    ws_table_fini(&input->table);
    ws_testbed_fini(&input->own);
    ws_study_close(input->study);
}

int ws_learn_input_fix(struct ws_learn_input *input, const char *text,
                       struct ws_error *err)
{
    const char *equals = strchr(text, '=');
    size_t knob = 0, value = 0;
    if (equals == NULL)
        return ws_error_set(err, WS_E_USAGE, "--fix %s: expected KNOB=VALUE", text);
    char *name = strndup(text, (size_t)(equals - text));
    if (name == NULL)
        return ws_error_nomem(err);
    int rc = ws_space_find(&knob, &input->testbed->space, name, err);
    free(name);
    if (rc == 0)
        rc = ws_knob_find(&value, &input->testbed->space.knobs[knob], equals + 1, err);
    if (rc != 0)
        return rc;
    input->fixed[knob] = (int32_t)value;
    input->task.start.value[knob] = (uint16_t)value;
    return 0;
}
