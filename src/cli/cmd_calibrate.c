#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/calibration.h"
#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "split/demand.h"
#include "study/study.h"
#include "study/table.h"

struct args {
    const char *trials, *device, *work, *out;
    struct ws_cli_texts only;
    int is_cloud, is_json;
    double share;
    uint64_t seed;
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("device", "NAME", struct args, device,
                 "the model to start from: its knobs and units, and whatever the trials "
                 "do not show")},
    {WS_CLI_TEXT("work", "FILE", struct args, work,
                 "the network: an ONNX model (cuts as `wattshed inspect` numbers them), "
                 "or a file with the member \"cut\" of a device model. A testbed without "
                 "a knob \"cut\" runs all of it on the edge")},
    {WS_CLI_CHOICE("side", "edge|cloud", struct args, is_cloud,
                   "whose times and energies (default edge)")},
    {WS_CLI_TAKE("only", "KNOB=VALUE", struct args, only, ws_cli_take_pair,
                 "only trials with that; again for another knob")},
    {WS_CLI_NUMBER("fit", "SHARE", struct args, share, 0.01, 1,
                   "of the settings to fit to, the others are held out (default 0.5)")},
    {WS_CLI_TAKE("seed", "N", struct args, seed, ws_cli_take_seed,
                 "of that choice (default 1)")},
    {WS_CLI_TEXT("output", "FILE", struct args, out,
                 "writes the fitted model, a file for --device and --emulate"),
     .letter = 'o'},
    {WS_CLI_FLAG("json", struct args, is_json, "prints the fit and its errors as JSON")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "calibrate",
    .synopsis = "TRIALS --device NAME --work FILE [-o FILE]",
    .about = "Fits a device model to trials that were taken on the real machine: rates "
             "by class of operator, the exponent of the clock, fixed costs, power at "
             "each clock, idle power. Half of the settings are held out, and the model's "
             "errors on them are printed. TRIALS are a testbed with a recorded table "
             "(JSON), or a study.",
    .options = options_table,
    .example = "  $ wattshed calibrate testbed.json --device jetson-nano \\\n"
               "  > --only concurrency=1 -o mine.json \\\n"
               "  > --work etc/devices/jetson-nano/model.json",
    .words_min = 1,
    .words_max = 1,
    .wants = "one TRIALS is needed",
};

static int ends_in(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* --- The network --- */

static int cutting_of_cuts(struct ws_cutting *out, const struct ws_cuts *cuts,
                           struct ws_error *err)
{
    struct ws_cutting made = {.count = cuts->count};
    made.before = calloc(made.count, sizeof(*made.before));
    made.after = calloc(made.count, sizeof(*made.after));
    if (made.before == NULL || made.after == NULL) {
        ws_cutting_fini(&made);
        return ws_error_nomem(err);
    }
    for (size_t i = 0; i < made.count; i++) {
        ws_work_of_segment(&made.before[i], cuts, 0, i);
        ws_work_of_segment(&made.after[i], cuts, i, made.count - 1);
    }
    *out = made;
    return 0;
}

static int read_onnx(struct ws_cutting *out, const char *path, struct ws_error *err)
{
    struct ws_model_options options;
    struct ws_engine *engine = NULL;
    struct ws_splitter *splitter = NULL;
    ws_model_options_init(&options);
    int rc = ws_model_options_open(&engine, &splitter, &options, path, err);
    if (rc == 0)
        rc = cutting_of_cuts(out, ws_splitter_cuts(splitter), err);
    ws_splitter_destroy(splitter);
    ws_engine_destroy(engine);
    ws_model_options_fini(&options);
    return rc;
}

static int read_work(struct ws_cutting *out, const char *path, struct ws_error *err)
{
    struct ws_json_doc doc;
    struct ws_json cut;
    if (ends_in(path, ".onnx"))
        return read_onnx(out, path, err);
    int rc = ws_json_load(&doc, path, err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_json_member(&cut, &root, "cut", err);
    if (rc == 0)
        rc = ws_cutting_read(out, &cut, 0, err);
    ws_json_doc_fini(&doc);
    return rc;
}

/* By the testbed's cut knob: a value that is a number names the cut of that number. */
static int order_work(struct ws_cutting *cutting, const struct ws_testbed *testbed,
                      struct ws_error *err)
{
    size_t knob = 0;
    if (ws_space_find(&knob, &testbed->space, "cut", NULL) != 0)
        return 0;
    const struct ws_knob *cut = &testbed->space.knobs[knob];
    struct ws_cutting ordered = {.count = cut->value_count};
    ordered.before = calloc(ordered.count, sizeof(*ordered.before));
    ordered.after = calloc(ordered.count, sizeof(*ordered.after));
    int rc = ordered.before == NULL || ordered.after == NULL ? ws_error_nomem(err) : 0;
    for (size_t v = 0; rc == 0 && v < cut->value_count; v++) {
        const struct ws_knob_value *value = &cut->values[v];
        double number = value->number_count == 1 ? value->numbers[0] : -1;
        if (number < 0 || number >= (double)cutting->count) {
            rc = ws_error_set(err, WS_E_NOT_FOUND,
                              "the network's work is known at cuts 0 to %zu, not at %s",
                              cutting->count - 1, value->text);
            break;
        }
        ordered.before[v] = cutting->before[(size_t)number];
        ordered.after[v] = cutting->after[(size_t)number];
    }
    if (rc != 0) {
        ws_cutting_fini(&ordered);
        return rc;
    }
    ws_cutting_fini(cutting);
    *cutting = ordered;
    return 0;
}

/* --- The trials --- */

struct work {
    const struct args *args;
    struct ws_study *study; /* or */
    struct ws_testbed own;
    const struct ws_testbed *testbed;
    struct ws_cutting cutting;
    struct ws_calibration calibration;
};

static int is_wanted(const struct work *work, const struct ws_setting *setting)
{
    for (size_t i = 0; i < work->args->only.count; i++) {
        const char *text = work->args->only.at[i];
        const char *equals = strchr(text, '=');
        char name[WS_NAME_MAX];
        size_t knob = 0;
        (void)snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
        (void)ws_space_find(&knob, &work->testbed->space, name, NULL);
        const struct ws_knob *of = &work->testbed->space.knobs[knob];
        if (strcmp(of->values[setting->value[knob]].text, equals + 1) != 0)
            return 0;
    }
    return 1;
}

static int check_wishes(const struct work *work, struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < work->args->only.count; i++) {
        const char *text = work->args->only.at[i];
        const char *equals = strchr(text, '=');
        char name[WS_NAME_MAX];
        size_t knob = 0;
        size_t value = 0;
        (void)snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
        rc = ws_space_find(&knob, &work->testbed->space, name, err);
        if (rc == 0)
            rc = ws_knob_find(&value, &work->testbed->space.knobs[knob], equals + 1, err);
    }
    return rc;
}

static int add_trial(void *user, const struct ws_study_trial *trial, struct ws_error *err)
{
    struct work *work = user;
    if (!trial->is_valid || !is_wanted(work, &trial->setting))
        return 0;
    return ws_calibration_add(&work->calibration, &trial->setting, &trial->outcome, err);
}

static int add_table(struct work *work, struct ws_error *err)
{
    struct ws_table table;
    int rc = work->testbed->table_path == NULL
                 ? ws_error_set(err, WS_E_UNKNOWN, "%s has no table of trials",
                                work->args->trials)
                 : ws_table_load(&table, work->testbed, err);
    if (rc != 0)
        return rc;
    for (size_t n = 0; rc == 0 && n < table.setting_count; n++) {
        struct ws_setting setting;
        ws_table_setting(&setting, &table, n);
        for (size_t k = 0;
             rc == 0 && is_wanted(work, &setting) && k < ws_table_samples_of(&table, n);
             k++) {
            struct ws_outcome outcome;
            ws_table_sample(&outcome, &table, n, k);
            rc = ws_calibration_add(&work->calibration, &setting, &outcome, err);
        }
    }
    ws_table_fini(&table);
    return rc;
}

static int open_trials(struct work *work, struct ws_error *err)
{
    int rc = 0;
    if (ends_in(work->args->trials, ".json")) {
        rc = ws_testbed_load(&work->own, work->args->trials, err);
        work->testbed = &work->own;
    } else {
        rc = ws_study_open_to_read(&work->study, work->args->trials, err);
        if (rc == 0)
            work->testbed = ws_study_testbed(work->study);
    }
    return rc;
}

static int calibrate(struct work *work, struct ws_calibrated_board *done,
                     struct ws_error *err)
{
    const struct args *args = work->args;
    int rc = open_trials(work, err);
    if (rc == 0)
        rc = check_wishes(work, err);
    if (rc == 0)
        rc = read_work(&work->cutting, args->work, err);
    if (rc == 0)
        rc = order_work(&work->cutting, work->testbed, err);
    work->calibration = (struct ws_calibration){.testbed = work->testbed,
                                                .cutting = &work->cutting,
                                                .is_cloud = args->is_cloud,
                                                .from = args->trials,
                                                .seed = args->seed,
                                                .fitted_share = args->share};
    if (rc == 0)
        work->calibration.from = work->testbed->name;
    if (rc == 0)
        rc = ws_calibration_open(&work->calibration, args->device, err);
    if (rc == 0)
        rc = work->study != NULL ? ws_study_each_trial(work->study, add_trial, work, err)
                                 : add_table(work, err);
    if (rc == 0)
        rc = ws_calibration_run(&work->calibration, done, err);
    if (rc == 0 && done->count == 0)
        rc = ws_error_set(err, WS_E_UNKNOWN, "no trial of %s says what its %s did",
                          args->trials, args->is_cloud ? "cloud" : "edge");
    if (rc == 0 && args->out != NULL)
        rc = ws_json_write(args->out, work->calibration.document, err);
    return rc;
}

/* --- The report --- */

static void print_rate(const char *name, double per_s, const char *what)
{
    if (per_s > 0)
        printf("  %-12s %.4g %s/s\n", name, per_s, what);
}

static void print_errors(const char *what, const double *error, size_t count)
{
    if (count > 0)
        printf("  %s held out: median %.1f %%, worst %.1f %% of %zu\n", what,
               100 * error[0], 100 * error[1], count);
}

static void print_unit(const struct ws_calibrated *unit)
{
    printf("unit %s: %zu trials fitted to, %zu held out\n", unit->name, unit->fitted,
           unit->held);
    if (!unit->has_fit) {
        puts("  too few trials: it is as it was");
    } else {
        for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++)
            print_rate(ws_work_class_name((enum ws_work_class)c), unit->fit.macs_per_s[c],
                       "multiply-accumulates");
        print_rate("bytes", unit->fit.bytes_per_s, "bytes");
        print_rate("crossing", unit->fit.crossing_bytes_per_s, "bytes");
        printf("  fixed        %.4g ms\n", unit->fit.fixed_ms);
        if (unit->clock != NULL)
            printf("  exponent     %.3f of %s (crossing %.3f, fixed %.3f)\n",
                   unit->fit.exponent, unit->clock, unit->fit.crossing_exponent,
                   unit->fit.fixed_exponent);
        for (size_t i = 0; i < unit->fit.power_count; i++) {
            printf("  power        %.4g W", unit->fit.power_w[i]);
            if (unit->clock != NULL)
                printf(" at %.0f", unit->fit.clock[i] * unit->reference);
            putchar('\n');
        }
    }
    print_errors("time", unit->time_error, unit->held);
    print_errors("energy", unit->energy_error, unit->energy_count);
}

static json_t *errors_json(const double *error, size_t count)
{
    return count == 0 ? json_null()
                      : json_pack("{s:f, s:f, s:I}", "median", error[0], "worst",
                                  error[1], "count", (json_int_t)count);
}

static json_t *unit_json(const struct ws_calibrated *unit)
{
    return json_pack("{s:I, s:I, s:o, s:o}", "fitted", (json_int_t)unit->fitted,
                     "held_out", (json_int_t)unit->held, "time_error",
                     errors_json(unit->time_error, unit->held), "energy_error",
                     errors_json(unit->energy_error, unit->energy_count));
}

static void print_json(const struct work *work, const struct ws_calibrated_board *done)
{
    json_t *units = json_object();
    for (size_t u = 0; u < done->count; u++)
        json_object_set_new(units, done->units[u].name, unit_json(&done->units[u]));
    json_t *root =
        json_pack("{s:s, s:o, s:o, s:o, s:O}", "trials", work->args->trials, "idle_w",
                  done->has_idle ? json_real(done->idle_w) : json_null(), "units", units,
                  "all", unit_json(&done->all), "board", work->calibration.document);
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(root);
}

static void print_text(const struct ws_calibrated_board *done)
{
    for (size_t u = 0; u < done->count; u++)
        print_unit(&done->units[u]);
    if (done->has_idle)
        printf("idle %.3g W\n", done->idle_w);
    if (done->count > 1) {
        puts("all units");
        print_errors("time", done->all.time_error, done->all.held);
        print_errors("energy", done->all.energy_error, done->all.energy_count);
    }
}

int ws_cmd_calibrate(int argc, char **argv)
{
    struct args args = {.share = 0.5, .seed = 1};
    struct work work = {.args = &args};
    struct ws_calibrated_board done;
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    if (ws_cli_parse(&status, &args, argc, argv, &usage) != 0)
        return status;
    args.trials = argv[optind];
    if (args.device == NULL || args.work == NULL)
        return ws_cli_usage_error("calibrate", "--device and --work are needed");
    if (calibrate(&work, &done, &err) != 0)
        status = ws_cli_fail(&err);
    else if (args.is_json)
        print_json(&work, &done);
    else
        print_text(&done);
    ws_calibration_close(&work.calibration);
    ws_cutting_fini(&work.cutting);
    if (work.study != NULL)
        ws_study_close(work.study);
    else
        ws_testbed_fini(&work.own);
    return status;
}
