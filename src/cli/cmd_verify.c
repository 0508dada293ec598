#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "split/proof.h"

enum verdict { PASS, UNCUT, SKIP, FAIL, VERDICT_COUNT };

static const char *const verdict_names[VERDICT_COUNT] = {
    [PASS] = "pass", [UNCUT] = "no cut", [SKIP] = "skip", [FAIL] = "FAIL"};

struct verify {
    struct ws_model_options model;
    enum ws_codec codec;
    uint64_t seed;
    int quiet;
    int json;
    struct ws_engine *engine;
    json_t *models;
    size_t totals[VERDICT_COUNT];
    size_t interior_cuts;
    size_t data_sets;
};

/* What is known of one model so far. */
struct report {
    const char *path;
    enum verdict verdict;
    size_t nodes, interior_cuts, data_sets;
    struct ws_difference reference, cuts;
    char why[WS_ERROR_TEXT_MAX];
};

static void merge(struct ws_difference *into, const struct ws_difference *more)
{
    into->abs_max = more->abs_max > into->abs_max ? more->abs_max : into->abs_max;
    into->rel_max = more->rel_max > into->rel_max ? more->rel_max : into->rel_max;
    into->elements += more->elements;
    into->beyond += more->beyond;
    into->disagrees |= more->disagrees;
}

static void say_why(struct report *report, enum verdict verdict, const char *why)
{
    report->verdict = verdict;
    (void)snprintf(report->why, sizeof(report->why), "%s", why);
}

/* One set of inputs through the model, whole and cut everywhere. */
static void prove(struct report *report, const struct verify *verify,
                  struct ws_splitter *splitter, const struct ws_inputs *inputs,
                  const struct ws_inputs *expected)
{
    struct ws_error err = {0};
    struct ws_proof proof;
    int rc = ws_proof_run(&proof, splitter, report->path, inputs->data,
                          expected != NULL ? expected->data : NULL, verify->codec, &err);
    if (rc != 0) {
        say_why(report, rc == WS_E_UNSUPPORTED ? SKIP : FAIL, err.text);
        return;
    }
    report->nodes = proof.nodes;
    report->interior_cuts = proof.interior_cuts;
    report->data_sets++;
    merge(&report->reference, &proof.reference);
    merge(&report->cuts, &proof.cuts);
    if (proof.reference.disagrees)
        say_why(report, FAIL, "the runtime's own answer disagrees with the reference");
    if (proof.cuts.disagrees) {
        (void)snprintf(report->why, sizeof(report->why),
                       "cut %zu disagrees with the whole", proof.worst_cut);
        report->verdict = FAIL;
    }
}

/* Every test_data_set_K beside the model; returns how many there were. */
static size_t prove_data_sets(struct report *report, const struct verify *verify,
                              struct ws_splitter *splitter, const char *dir)
{
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    size_t found = 0;
    for (size_t k = 0;; k++) {
        char path[4096];
        struct ws_inputs inputs = {0}, expected = {0};
        struct ws_error err = {0};
        int length = snprintf(path, sizeof(path), "%s/test_data_set_%zu", dir, k);
        if (length < 0 || (size_t)length >= sizeof(path) || access(path, F_OK) != 0)
            return found;
        found++;
        int rc = ws_inputs_load_test_data(&inputs, graph, path, 0, &err);
        if (rc == 0)
            rc = ws_inputs_load_test_data(&expected, graph, path, 1, &err);
        if (rc == 0)
            prove(report, verify, splitter, &inputs, &expected);
        else
            say_why(report, rc == WS_E_UNSUPPORTED ? SKIP : FAIL, err.text);
        ws_inputs_fini(&inputs);
        ws_inputs_fini(&expected);
        if (report->verdict != PASS)
            return found;
    }
}

static void prove_drawn(struct report *report, const struct verify *verify,
                        struct ws_splitter *splitter)
{
    struct ws_inputs inputs = {0};
    struct ws_error err = {0};
    int rc = ws_inputs_draw(&inputs, ws_splitter_graph(splitter), verify->seed, &err);
    if (rc == 0)
        prove(report, verify, splitter, &inputs, NULL);
    else
        say_why(report, SKIP, err.text);
    ws_inputs_fini(&inputs);
}

static json_t *difference_json(const struct ws_difference *difference)
{
    return json_pack("{s:f, s:f, s:I, s:I}", "abs_max", difference->abs_max, "rel_max",
                     difference->rel_max, "elements", (json_int_t)difference->elements,
                     "beyond", (json_int_t)difference->beyond);
}

static void publish(struct verify *verify, const struct report *report)
{
    verify->totals[report->verdict]++;
    verify->interior_cuts += report->interior_cuts;
    verify->data_sets += report->data_sets;
    if (verify->json) {
        json_array_append_new(
            verify->models,
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o}", "model", report->path,
                      "result", verdict_names[report->verdict], "why", report->why,
                      "nodes", (json_int_t)report->nodes, "interior_cuts",
                      (json_int_t)report->interior_cuts, "data_sets",
                      (json_int_t)report->data_sets, "whole_against_reference",
                      difference_json(&report->reference), "cuts_against_whole",
                      difference_json(&report->cuts)));
        return;
    }
    if (verify->quiet && report->verdict != FAIL)
        return;
    printf("%-7s %s: ", verdict_names[report->verdict], report->path);
    if (report->data_sets > 0) {
        printf("%zu nodes, %zu interior cuts x %zu inputs", report->nodes,
               report->interior_cuts, report->data_sets);
        if (report->reference.elements > 0)
            printf("; reference abs %.3g rel %.3g", report->reference.abs_max,
                   report->reference.rel_max);
        printf("; cuts abs %.3g rel %.3g", report->cuts.abs_max, report->cuts.rel_max);
    }
    printf("%s%s\n", report->data_sets > 0 && report->why[0] != '\0' ? "; " : "",
           report->why);
    fflush(stdout);
}

static void verify_model(struct verify *verify, const char *path)
{
    struct report report = {.path = path};
    struct ws_splitter *splitter = NULL;
    struct ws_error err = {0};
    struct ws_splitter_options options = verify->model.splitter;
    options.dims = verify->model.dims;
    if (options.memory_bytes_max == 0)
        options.memory_bytes_max = 1; /* no segment is used twice: keep none idle */
    char dir[4096];
    const char *slash = strrchr(path, '/');
    (void)snprintf(dir, sizeof(dir), "%.*s", slash != NULL ? (int)(slash - path) : 1,
                   slash != NULL ? path : ".");
    int rc = ws_splitter_create(&splitter, verify->engine, path, &options, &err);
    const char *obstacle =
        rc == 0 ? ws_proof_obstacle(ws_splitter_graph(splitter)) : NULL;
    if (rc != 0)
        say_why(&report, rc == WS_E_RUNTIME ? SKIP : FAIL, err.text);
    else if (obstacle != NULL)
        say_why(&report, SKIP, obstacle);
    else if (prove_data_sets(&report, verify, splitter, dir) == 0)
        prove_drawn(&report, verify, splitter);
    if (report.verdict == PASS && report.nodes > 1 && report.interior_cuts == 0)
        say_why(&report, UNCUT, "not one natural cut between its nodes");
    if (report.verdict == PASS && splitter != NULL)
        say_why(&report, PASS, ws_splitter_note(splitter));
    publish(verify, &report);
    ws_splitter_destroy(splitter);
}

static int is_onnx(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 5 && strcmp(entry->d_name + size - 5, ".onnx") == 0;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* model.onnx, or the only .onnx there is. Returns 0 when a folder holds no model. */
static int model_in(char *path, size_t size, const char *dir)
{
    (void)snprintf(path, size, "%s/model.onnx", dir);
    if (access(path, F_OK) == 0)
        return 1;
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, is_onnx, alphasort);
    if (count == 1)
        (void)snprintf(path, size, "%s/%s", dir, entries[0]->d_name);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return count == 1;
}

/* A model, a folder with one, or a folder of folders. Returns how many models it saw. */
static size_t verify_path(struct verify *verify, const char *path, int depth)
{
    char model[4096];
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        if (depth == 0)
            verify_model(verify, path);
        return depth == 0;
    }
    if (model_in(model, sizeof(model), path)) {
        verify_model(verify, model);
        return 1;
    }
    struct dirent **entries = NULL;
    int count = depth < 4 ? scandir(path, &entries, is_visible, alphasort) : 0;
    size_t seen = 0;
    for (int i = 0; i < count; i++) {
        (void)snprintf(model, sizeof(model), "%s/%s", path, entries[i]->d_name);
        seen += verify_path(verify, model, depth + 1);
        free(entries[i]);
    }
    free(entries);
    return seen;
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TAKE("codec", "C", struct verify, codec, ws_cli_take_codec,
                 "none, fp16, int8 or int8c at every cut (default none)")},
    {WS_CLI_TAKE("seed", "N", struct verify, seed, ws_cli_take_seed,
                 "for inputs that are drawn (default 1)")},
    {WS_CLI_FLAG("quiet", struct verify, quiet,
                 "prints only what failed, and the totals")},
    {WS_CLI_FLAG("json", struct verify, json, "prints the result as JSON")},
    {WS_CLI_GROUP(ws_model_cli, struct verify, model)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "verify",
    .synopsis = "[OPTION ...] DIR|MODEL ...",
    .about =
        "Proves that cutting changes nothing: runs each model whole and through every "
        "natural cut and compares the answers. A folder in ONNX's test layout "
        "(model.onnx, or its only .onnx, beside test_data_set_K/input_I.pb and "
        "output_I.pb) is also compared with its reference; a folder of such folders is "
        "gone through; a bare model gets inputs drawn from a seed. Exit 1 on any "
        "disagreement.\n\n"
        "Floats agree within rtol 1e-3 and atol 1e-5. Quantised networks, and lossy "
        "codecs, agree when the largest element of each row is the same or values are "
        "one quantum apart (codecs: 1 % of the largest value for fp16, 10 % for int8).",
    .options = options_table,
    .example = "  $ wattshed verify etc/demo",
    .words_min = 1,
    .words_max = WS_CLI_ANY_WORDS,
    .wants = "a DIR or MODEL is needed",
};

static void print_totals(struct verify *verify)
{
    const size_t *totals = verify->totals;
    size_t models = totals[PASS] + totals[UNCUT] + totals[SKIP] + totals[FAIL];
    if (verify->json) {
        json_t *all = json_pack(
            "{s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}}", "models", verify->models,
            "totals", "models", (json_int_t)models, "passed", (json_int_t)totals[PASS],
            "without_cut", (json_int_t)totals[UNCUT], "skipped", (json_int_t)totals[SKIP],
            "failed", (json_int_t)totals[FAIL], "interior_cuts",
            (json_int_t)verify->interior_cuts, "data_sets",
            (json_int_t)verify->data_sets);
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
        return;
    }
    printf(
        "%zu models: %zu passed, %zu without an interior cut, %zu skipped, %zu failed; "
        "%zu interior cuts tried\n",
        models, totals[PASS], totals[UNCUT], totals[SKIP], totals[FAIL],
        verify->interior_cuts);
}

int ws_cmd_verify(int argc, char **argv)
{
    struct verify *verify = calloc(1, sizeof(*verify));
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    if (verify == NULL) {
        ws_error_nomem(&err);
        return ws_cli_fail(&err);
    }
    ws_model_options_init(&verify->model);
    verify->seed = 1;
    if (ws_cli_parse(&status, verify, argc, argv, &usage) != 0)
        goto out;
    verify->model.engine.provider_options = verify->model.provider_options;
    if (ws_engine_create(&verify->engine, &verify->model.engine, &err) != 0) {
        status = ws_cli_fail(&err);
        goto out;
    }
    verify->models = verify->json ? json_array() : NULL;
    for (int i = optind; i < argc; i++) {
        if (verify_path(verify, argv[i], 0) == 0) {
            ws_error_set(&err, WS_E_NOT_FOUND, "%s: no model in it", argv[i]);
            status = ws_cli_fail(&err);
        }
    }
    print_totals(verify);
    if (verify->totals[FAIL] > 0)
        status = WS_EXIT_FAILURE;
out:
    ws_engine_destroy(verify->engine);
    ws_model_options_fini(&verify->model);
    free(verify);
    return status;
}
