#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "cli/command.h"
#include "cli/options.h"
#include "study/study.h"

enum { SAMPLES_MAX = 1000, NUMBER_WIDTH = 11 };

struct study_options {
    int csv, json;
    size_t samples; /* 0: not asked for */
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_FLAG("csv", struct study_options, csv,
                 "as a table that `wattshed import` and testbeds read")},
    {WS_CLI_SIZE("samples", "N", struct study_options, samples, 2, SAMPLES_MAX,
                 "as such a table with N rows a setting, which vary as far as the study "
                 "knows its parts to")},
    {WS_CLI_FLAG("json", struct study_options, json,
                 "as JSON, facts and conditions included")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "study",
    .synopsis = "STUDY [--csv|--json|--samples N]",
    .about = "Lists the trials of a study in the order they were made: knobs, what each "
             "setting gave, samples it cost, and how its outcome came about.",
    .options = options_table,
    .example = "  $ wattshed study digits.study --csv >digits.csv",
    .words_min = 1,
    .words_max = 1,
    .wants = "one STUDY is needed",
};

/* --- Text and CSV --------------------------------------------------------------------
 */

static void print_head(const struct ws_space *space)
{
    for (size_t k = 0; k < space->knob_count; k++)
        printf("knob.%s,", space->knobs[k].name);
    for (int m = 0; m < WS_MEASURE_COUNT; m++)
        printf("%s,", ws_measure_name((enum ws_measure)m));
    puts("samples,how");
}

/* What is printed as text: knobs, and the measures that some trial knows. */
struct listing {
    const struct ws_space *space;
    uint32_t known;
    int width[WS_KNOBS_MAX];
};

static int width_of(enum ws_measure measure)
{
    size_t name = strlen(ws_measure_name(measure));
    return name > NUMBER_WIDTH ? (int)name : NUMBER_WIDTH;
}

static int note_known(void *user, const struct ws_study_trial *trial,
                      struct ws_error *err)
{
    (void)err;
    ((struct listing *)user)->known |= trial->outcome.known;
    return 0;
}

static void print_titles(struct listing *listing)
{
    const struct ws_space *space = listing->space;
    for (size_t k = 0; k < space->knob_count; k++) {
        size_t widest = strlen(space->knobs[k].name);
        for (size_t v = 0; v < space->knobs[k].value_count; v++) {
            size_t size = strlen(space->knobs[k].values[v].text);
            widest = size > widest ? size : widest;
        }
        listing->width[k] = (int)widest;
        printf("%-*s  ", listing->width[k], space->knobs[k].name);
    }
    for (int m = 0; m < WS_MEASURE_COUNT; m++)
        if (listing->known >> m & 1)
            printf("%*s  ", width_of((enum ws_measure)m),
                   ws_measure_name((enum ws_measure)m));
    puts("samples  how");
}

static int print_trial(void *user, const struct ws_study_trial *trial,
                       struct ws_error *err)
{
    const struct listing *listing = user;
    (void)err;
    for (size_t k = 0; k < listing->space->knob_count; k++)
        printf("%-*s  ", listing->width[k],
               listing->space->knobs[k].values[trial->setting.value[k]].text);
    for (int m = 0; m < WS_MEASURE_COUNT; m++) {
        double value = 0;
        int width = width_of((enum ws_measure)m);
        if ((listing->known >> m & 1) == 0)
            continue;
        if (ws_outcome_get(&value, &trial->outcome, (enum ws_measure)m) == 0)
            printf("%*.6g  ", width, value);
        else
            printf("%*s  ", width, "-");
    }
    printf("%7zu  %s%s\n", trial->samples, ws_how_name(trial->how),
           trial->is_valid ? "" : ", invalid");
    return 0;
}

static int list_text(struct ws_study *study, struct ws_error *err)
{
    struct listing listing = {.space = &ws_study_testbed(study)->space};
    int rc = ws_study_each_trial(study, note_known, &listing, err);
    if (rc != 0)
        return rc;
    print_titles(&listing);
    return ws_study_each_trial(study, print_trial, &listing, err);
}

static void print_outcome(const struct ws_space *space,
                          const struct ws_study_trial *trial,
                          const struct ws_outcome *outcome)
{
    for (size_t k = 0; k < space->knob_count; k++)
        printf("%s,", space->knobs[k].values[trial->setting.value[k]].text);
    for (int m = 0; m < WS_MEASURE_COUNT; m++) {
        double value = 0;
        if (ws_outcome_get(&value, outcome, (enum ws_measure)m) == 0)
            printf("%.17g", value);
        putchar(',');
    }
    printf("%zu,%s\n", trial->samples, ws_how_name(trial->how));
}

/* Invalid trials have no place in a table of outcomes. */
static int print_row(void *user, const struct ws_study_trial *trial, struct ws_error *err)
{
    (void)err;
    if (trial->is_valid)
        print_outcome(user, trial, &trial->outcome);
    return 0;
}

/* --- Samples -------------------------------------------------------------------------
 * A study keeps of its parts how many samples there were, their mean, variance and range,
 * and not the samples. They are made up from that: row k of N has each part of its
 * setting at a quantile of a logistic distribution (like a normal one, with longer tails)
 * of that variance, within that range. Parts take their quantiles in orders that have
 * nothing to do with each other. An edge that waits longer draws its idle power longer.
 */

enum { SIDES = 3 };

static const struct {
    const char *name;
    enum ws_measure ms;
} sides[SIDES] = {
    {"edge", WS_EDGE_MS}, {"transfer", WS_TRANSFER_MS}, {"cloud", WS_CLOUD_MS}};

struct sampling {
    const struct ws_testbed *testbed;
    struct ws_study *study;
    size_t count;
    double quantile[SAMPLES_MAX]; /* of variance 1, ascending */
    uint32_t order[SIDES][SAMPLES_MAX];
    const struct ws_study_trial *trial; /* of the moment, and its parts */
    struct ws_stats ms[SIDES];
};

static void sampling_init(struct sampling *sampling)
{
    struct ws_stats stats = {0};
    struct ws_rng rng;
    ws_rng_init(&rng, 1);
    for (size_t k = 0; k < sampling->count; k++) {
        double p = ((double)k + 0.5) / (double)sampling->count;
        sampling->quantile[k] = log(p / (1 - p));
        ws_stats_add(&stats, sampling->quantile[k]);
    }
    for (size_t k = 0; k < sampling->count; k++)
        sampling->quantile[k] /= sqrt(ws_stats_variance(&stats));
    for (int s = 0; s < SIDES; s++)
        ws_rng_permute(&rng, sampling->order[s], (uint32_t)sampling->count);
}

/* Whether a part's key, "SIDE KNOB=VALUE ...", is of a side and a setting. */
static int is_part_of(const char *key, const char *side, const struct ws_space *space,
                      const struct ws_setting *setting)
{
    size_t size = strlen(side);
    if (strncmp(key, side, size) != 0 || (key[size] != ' ' && key[size] != '\0'))
        return 0;
    for (const char *word = key + size; *word != '\0';) {
        word += 1;
        size_t length = strcspn(word, " "), name = strcspn(word, "="), knob = 0;
        while (knob < space->knob_count &&
               (strlen(space->knobs[knob].name) != name ||
                strncmp(space->knobs[knob].name, word, name) != 0))
            knob++;
        if (knob == space->knob_count || name >= length)
            return 0;
        const char *value = space->knobs[knob].values[setting->value[knob]].text;
        if (strlen(value) != length - name - 1 ||
            strncmp(value, word + name + 1, length - name - 1) != 0)
            return 0;
        word += length;
    }
    return 1;
}

static int take_part(void *user, const struct ws_study_part *part, struct ws_error *err)
{
    struct sampling *sampling = user;
    (void)err;
    for (int s = 0; s < SIDES; s++) {
        if (is_part_of(part->key, sides[s].name, &sampling->testbed->space,
                       &sampling->trial->setting))
            sampling->ms[s] = part->ms;
    }
    return 0;
}

static void add_to(struct ws_outcome *outcome, enum ws_measure measure, double more)
{
    double value;
    if (ws_outcome_get(&value, outcome, measure) == 0)
        ws_outcome_set(outcome, measure, value + more);
}

/* How long the edge has nothing to do but wait; what is unknown is nothing. */
static double waited_ms(const struct ws_outcome *outcome)
{
    double transfer = 0, cloud = 0;
    (void)ws_outcome_get(&transfer, outcome, WS_TRANSFER_MS);
    (void)ws_outcome_get(&cloud, outcome, WS_CLOUD_MS);
    return ws_outcome_added_ms(outcome, transfer + cloud);
}

static void vary(struct ws_outcome *outcome, const struct sampling *sampling, size_t k)
{
    double edge_off = 0, before_ms = waited_ms(outcome);
    for (int s = 0; s < SIDES; s++) {
        const struct ws_stats *ms = &sampling->ms[s];
        double off = sampling->quantile[sampling->order[s][k]];
        off *= sqrt(ws_stats_variance(ms));
        off = fmin(fmax(off, ms->min - ms->mean), ms->max - ms->mean);
        add_to(outcome, sides[s].ms, off);
        edge_off = s == 0 ? off : edge_off;
    }
    double added_ms = waited_ms(outcome) - before_ms;
    double joules = added_ms * sampling->testbed->edge_idle_w / 1000;
    add_to(outcome, WS_LATENCY_MS, edge_off + added_ms);
    add_to(outcome, WS_EDGE_ENERGY_J, joules);
    add_to(outcome, WS_ENERGY_J, joules);
}

static int print_samples(void *user, const struct ws_study_trial *trial,
                         struct ws_error *err)
{
    struct sampling *sampling = user;
    if (!trial->is_valid)
        return 0;
    sampling->trial = trial;
    memset(sampling->ms, 0, sizeof(sampling->ms));
    int rc = ws_study_each_part(sampling->study, take_part, sampling, err);
    for (size_t k = 0; rc == 0 && k < sampling->count; k++) {
        struct ws_outcome outcome = trial->outcome;
        vary(&outcome, sampling, k);
        print_outcome(&sampling->testbed->space, trial, &outcome);
    }
    return rc;
}

static int list_samples(struct ws_study *study, size_t count, struct ws_error *err)
{
    struct sampling *sampling = calloc(1, sizeof(*sampling));
    if (sampling == NULL)
        return ws_error_nomem(err);
    sampling->study = study;
    sampling->testbed = ws_study_testbed(study);
    sampling->count = count;
    sampling_init(sampling);
    int rc = ws_study_each_trial(study, print_samples, sampling, err);
    free(sampling);
    return rc;
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

static int list(const char *path, const struct study_options *options,
                struct ws_error *err)
{
    struct ws_study *study = NULL;
    int rc = ws_study_open_to_read(&study, path, err);
    if (rc != 0)
        return rc;
    struct ws_space *space =
        (struct ws_space *)(uintptr_t)&ws_study_testbed(study)->space;
    if (options->json) {
        rc = print_json(study, err);
    } else if (options->csv || options->samples > 0) {
        print_head(space);
        rc = options->csv ? ws_study_each_trial(study, print_row, space, err)
                          : list_samples(study, options->samples, err);
    } else {
        rc = list_text(study, err);
    }
    ws_study_close(study);
    return rc;
}

int ws_cmd_study(int argc, char **argv)
{
    struct study_options options = {0};
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    if (ws_cli_parse(&status, &options, argc, argv, &usage) != 0)
        return status;
    if (options.csv + options.json + (options.samples > 0) > 1)
        return ws_cli_usage_error("study", "--csv, --json or --samples, one of them");
    return list(argv[optind], &options, &err) == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
