#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/syntax.h"
#include "study/study.h"

static const char usage[] =
    "usage: wattshed study STUDY [--csv|--json]\n"
    "\n"
    "Lists the trials of a study in the order they were made: knobs, what each setting "
    "gave,\n"
    "samples it cost, and how its outcome came about.\n"
    "\n"
    "  --csv              as a table that `wattshed import` and testbeds read\n"
    "  --json             as JSON, facts and conditions included\n"
    "\n"
    "example: wattshed study digits.study --csv >digits.csv\n";

enum form { FORM_TEXT, FORM_CSV, FORM_JSON };
enum { OPT_CSV = 256, OPT_JSON };

static const struct option long_options[] = {
    {"csv", no_argument, NULL, OPT_CSV},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int take_option(void *user, int option, const char *value, struct ws_error *err)
{
    enum form *form = user;
    (void)value;
    if (*form != FORM_TEXT)
        return ws_error_set(err, WS_E_USAGE, "--csv or --json, one of them");
    *form = option == OPT_CSV ? FORM_CSV : FORM_JSON;
    return 0;
}

static const struct ws_cli_syntax syntax = {
    .command = "study",
    .usage = usage,
    .longs = long_options,
    .take = take_option,
    .words_min = 1,
    .words_max = 1,
    .wants = "one STUDY is needed",
};

/* --- Text and CSV --------------------------------------------------------------------
 */

static void print_head(const struct ws_space *space, int is_csv)
{
    for (size_t k = 0; k < space->knob_count; k++)
        printf(is_csv ? "knob.%s," : "%s\t", space->knobs[k].name);
    for (int m = 0; m < WS_MEASURE_COUNT; m++)
        printf(is_csv ? "%s," : "%s\t", ws_measure_name((enum ws_measure)m));
    printf(is_csv ? "samples,how\n" : "samples\thow\n");
}

static int print_trial(void *user, const struct ws_study_trial *trial,
                       struct ws_error *err)
{
    const struct ws_space *space = user;
    (void)err;
    for (size_t k = 0; k < space->knob_count; k++)
        printf("%s\t", space->knobs[k].values[trial->setting.value[k]].text);
    for (int m = 0; m < WS_MEASURE_COUNT; m++) {
        double value = 0;
        if (ws_outcome_get(&value, &trial->outcome, (enum ws_measure)m) == 0)
            printf("%.6g\t", value);
        else
            printf("-\t");
    }
    printf("%zu\t%s%s\n", trial->samples, ws_how_name(trial->how),
           trial->is_valid ? "" : ", invalid");
    return 0;
}

/* Invalid trials have no place in a table of outcomes. */
static int print_row(void *user, const struct ws_study_trial *trial, struct ws_error *err)
{
    const struct ws_space *space = user;
    (void)err;
    if (!trial->is_valid)
        return 0;
    for (size_t k = 0; k < space->knob_count; k++)
        printf("%s,", space->knobs[k].values[trial->setting.value[k]].text);
    for (int m = 0; m < WS_MEASURE_COUNT; m++) {
        double value = 0;
        if (ws_outcome_get(&value, &trial->outcome, (enum ws_measure)m) == 0)
            printf("%.17g", value);
        putchar(',');
    }
    printf("%zu,%s\n", trial->samples, ws_how_name(trial->how));
    return 0;
}

/* --- JSON ----------------------------------------------------------------------------
 */

struct lists {
    const struct ws_space *space;
    json_t *trials, *runs;
};

static json_t *outcome_json(const struct ws_outcome *outcome)
{
    json_t *object = json_object();
    for (int m = 0; m < WS_MEASURE_COUNT; m++) {
        double value = 0;
        if (ws_outcome_get(&value, outcome, (enum ws_measure)m) == 0)
            (void)json_object_set_new(object, ws_measure_name((enum ws_measure)m),
                                      json_real(value));
    }
    return object;
}

static int add_trial(void *user, const struct ws_study_trial *trial, struct ws_error *err)
{
    struct lists *lists = user;
    json_t *knobs = json_object(), *conditions = json_object();
    for (size_t k = 0; k < lists->space->knob_count; k++)
        (void)json_object_set_new(
            knobs, lists->space->knobs[k].name,
            ws_value_to_json(&lists->space->knobs[k].values[trial->setting.value[k]]));
    for (int c = 0; c < WS_CONDITION_COUNT; c++) {
        double value = 0;
        if (ws_conditions_get(&value, &trial->conditions, (enum ws_condition)c) == 0)
            (void)json_object_set_new(conditions, ws_condition_name((enum ws_condition)c),
                                      json_real(value));
    }
    json_t *object = json_pack(
        "{s:I, s:I, s:f, s:f, s:o, s:s, s:s, s:b, s:I, s:I, s:I, s:o, s:o}", "trial",
        (json_int_t)trial->number, "run", (json_int_t)trial->run, "started_s",
        trial->started_s, "took_s", trial->took_s, "setting", knobs, "how",
        ws_how_name(trial->how), "truth", ws_truth_name(trial->outcome.truth), "valid",
        trial->is_valid, "attempts", (json_int_t)trial->attempts, "samples",
        (json_int_t)trial->samples, "warmups", (json_int_t)trial->warmups, "outcome",
        outcome_json(&trial->outcome), "conditions", conditions);
    if (object == NULL)
        return ws_error_nomem(err);
    if (trial->latency_ci_ms >= 0)
        (void)json_object_set_new(object, "latency_ci_ms",
                                  json_real(trial->latency_ci_ms));
    if (trial->energy_ci_j >= 0)
        (void)json_object_set_new(object, "energy_ci_j", json_real(trial->energy_ci_j));
    if (trial->composed.known != 0)
        (void)json_object_set_new(object, "composed", outcome_json(&trial->composed));
    if (!trial->is_valid)
        (void)json_object_set_new(object, "reason", json_string(trial->reason));
    return json_array_append_new(lists->trials, object) == 0 ? 0 : ws_error_nomem(err);
}

static int add_run(void *user, int64_t run, double started_s, const char *conditions,
                   struct ws_error *err)
{
    struct lists *lists = user;
    json_t *object =
        json_pack("{s:I, s:f}", "run", (json_int_t)run, "started_s", started_s);
    json_t *parsed = json_loads(conditions, 0, NULL);
    if (object != NULL && parsed != NULL)
        (void)json_object_set_new(object, "conditions", parsed);
    return json_array_append_new(lists->runs, object) == 0 ? 0 : ws_error_nomem(err);
}

static int print_json(struct ws_study *study, struct ws_error *err)
{
    struct lists lists = {&ws_study_testbed(study)->space, json_array(), json_array()};
    json_t *facts = json_object();
    struct ws_study_fact fact;
    for (size_t i = 0; ws_study_fact_at(&fact, study, i); i++) {
        if (strcmp(fact.key, "testbed") != 0)
            (void)json_object_set_new(facts, fact.key, json_string(fact.value));
    }
    json_t *root =
        json_pack("{s:s, s:o, s:o, s:o}", "testbed", ws_study_testbed(study)->name,
                  "facts", facts, "runs", lists.runs, "trials", lists.trials);
    int rc = root == NULL ? ws_error_nomem(err)
                          : ws_study_each_run(study, add_run, &lists, err);
    if (rc == 0)
        rc = ws_study_each_trial(study, add_trial, &lists, err);
    if (rc == 0)
        rc = ws_json_write("-", root, err);
    json_decref(root);
    return rc;
}

static int list(const char *path, enum form form, struct ws_error *err)
{
    struct ws_study *study = NULL;
    int rc = ws_study_open_to_read(&study, path, err);
    if (rc != 0)
        return rc;
    struct ws_space *space =
        (struct ws_space *)(uintptr_t)&ws_study_testbed(study)->space;
    if (form == FORM_JSON) {
        rc = print_json(study, err);
    } else {
        print_head(space, form == FORM_CSV);
        rc = ws_study_each_trial(study, form == FORM_CSV ? print_row : print_trial, space,
                                 err);
    }
    ws_study_close(study);
    return rc;
}

int ws_cmd_study(int argc, char **argv)
{
    enum form form = FORM_TEXT;
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    if (ws_cli_read(&status, argc, argv, &syntax, &form) != 0)
        return status;
    return list(argv[optind], form, &err) == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
