#include "profile/profiling.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "device/health.h"
#include "net/shaper.h"
#include "onnx/draw.h"
#include "profile/accuracy.h"
#include "profile/draft.h"
#include "profile/live.h"
#include "profile/predict.h"
#include "profile/virtual.h"
#include "split/halves.h"

/* Without a word about the link: what a local network does. */
static const double usual_mbit_s = 1000, usual_delay_ms = 0.2;
/* Of virtual samples, as standard deviations of logarithms. */
static const double virtual_time_noise = 0.03, virtual_energy_noise = 0.02;

enum { FACTS_MAX = 4096 };

struct ws_profiling {
    struct ws_profiling_options options;
    const struct ws_search *search;
    char *testbed_path;
    char *testbed_text; /* its JSON in one form, whatever the file's spaces */
    struct ws_testbed testbed;
    struct ws_board *edge, *cloud;
    struct ws_machine *machine; /* the node's; NULL: it does not speak of it */
    struct ws_sysfs *fs;
    struct ws_device *device;
    struct ws_executor *executor;
    struct ws_datum **inputs; /* by variant; what was drawn */
    struct ws_predictor *predictor;
    struct ws_labelled data;
    struct ws_study *study;
    struct ws_shaper *shaper; /* the emulated link before the node; NULL: none */
    char url[128];            /* where requests go then */
    struct ws_rig *rig;
    struct ws_evaluator *profiler;
};

/* --- Machines ------------------------------------------------------------------------
 */

static int is_local(const struct ws_profiling *profiling)
{
    return strcmp(profiling->options.edge, "local") == 0;
}

/* What the node is. One that does not say is asked for no more than tails. */
static int open_node(struct ws_profiling *profiling, struct ws_error *err)
{
    const struct ws_profiling_options *options = &profiling->options;
    const struct ws_http_client_options http = {.identity = options->identity,
                                                .timeout_ms = options->timeout_ms};
    int rc = ws_machine_open(&profiling->machine, options->url, &http, err);
    return rc == WS_E_UNSUPPORTED ? 0 : rc;
}

static int open_machines(struct ws_profiling *profiling, struct ws_error *err)
{
    const struct ws_profiling_options *options = &profiling->options;
    const struct ws_device_options device = {.catch_signals = 1};
    int rc = 0;
    if (options->cloud != NULL)
        rc = ws_board_load(&profiling->cloud, options->cloud, err);
    if (rc == 0 && !options->is_virtual)
        rc = open_node(profiling, err);
    if (rc == 0 && !is_local(profiling))
        return ws_board_load(&profiling->edge, options->edge, err);
    if (rc == 0 && options->is_virtual)
        rc = ws_error_set(err, WS_E_USAGE,
                          "a virtual clock needs a model of the edge: --edge BOARD");
    if (rc == 0)
        rc = ws_sysfs_open(&profiling->fs, NULL, err);
    return rc == 0 ? ws_device_open(&profiling->device, profiling->fs, &device, err) : rc;
}

static uint32_t metered(const struct ws_profiling *profiling)
{
    uint32_t sides = 0;
    if (profiling->edge != NULL || profiling->options.sampler != NULL)
        sides |= WS_SIDES_EDGE;
    enum ws_truth truth = WS_MEASURED;
    if (profiling->machine != NULL
            ? ws_machine_energy(&truth, profiling->machine)
            : profiling->options.is_virtual && profiling->cloud != NULL)
        sides |= 1u << WS_SIDE_CLOUD;
    return sides;
}

static double edge_idle_w(const struct ws_profiling *profiling)
{
    if (profiling->edge != NULL)
        return ws_board_idle_w(profiling->edge);
    return profiling->testbed.edge_idle_w > 0 ? profiling->testbed.edge_idle_w
                                              : profiling->options.idle_w;
}

/* --- The testbed ---------------------------------------------------------------------
 */

/* STUDY.db becomes STUDY.testbed.json. */
static int default_testbed(char **out, const char *study, struct ws_error *err)
{
    struct ws_buf path;
    const char *slash = strrchr(study, '/'), *dot = strrchr(study, '.');
    size_t stem = dot != NULL && (slash == NULL || dot > slash + 1)
                      ? (size_t)(dot - study)
                      : strlen(study);
    ws_buf_init(&path, 0);
    int rc = ws_buf_printf(&path, err, "%.*s.testbed.json", (int)stem, study);
    *out = ws_buf_take(&path);
    ws_buf_fini(&path);
    return rc;
}

static int write_testbed(struct ws_profiling *profiling, struct ws_error *err)
{
    const struct ws_profiling_options *options = &profiling->options;
    char name[WS_NAME_MAX];
    json_t *root = NULL;
    struct ws_draft_options draft = {
        .name = name,
        .variants = options->variants,
        .variant_count = options->variant_count,
        .engine = options->engine,
        .splitter = options->splitter,
        .edge = profiling->edge != NULL ? ws_board_space(profiling->edge)
                                        : ws_device_space(profiling->device),
        .cloud = profiling->machine != NULL ? ws_machine_space(profiling->machine)
                 : options->is_virtual && profiling->cloud != NULL
                     ? ws_board_space(profiling->cloud)
                     : NULL,
        .threads_max =
            profiling->edge == NULL ? (size_t)sysconf(_SC_NPROCESSORS_ONLN) : 0,
        .metered = metered(profiling),
        .has_data = options->data != NULL,
        .edge_idle_w = edge_idle_w(profiling),
        .link_mbit_s = options->link_mbit_s,
        .link_delay_ms = options->link_delay_ms,
    };
    ws_file_stem(name, sizeof(name), options->variants[0].path);
    int rc = ws_draft_testbed(&root, &draft, err);
    if (rc == 0)
        rc = ws_json_write(profiling->testbed_path, root, err);
    json_decref(root);
    if (rc == 0 && options->on_testbed != NULL)
        options->on_testbed(options->user, profiling->testbed_path);
    return rc;
}

static int open_testbed(struct ws_profiling *profiling, struct ws_error *err)
{
    const struct ws_profiling_options *options = &profiling->options;
    struct ws_json_doc doc;
    int rc = 0;
    if (options->testbed_path != NULL)
        profiling->testbed_path = strdup(options->testbed_path);
    else
        rc = default_testbed(&profiling->testbed_path, options->study_path, err);
    if (rc == 0 && profiling->testbed_path == NULL)
        rc = ws_error_nomem(err);
    if (rc == 0 && options->testbed_path == NULL &&
        access(profiling->testbed_path, F_OK) != 0)
        rc = write_testbed(profiling, err);
    if (rc == 0)
        rc = ws_testbed_load(&profiling->testbed, profiling->testbed_path, err);
    if (rc == 0)
        rc = ws_json_load(&doc, profiling->testbed_path, err);
    if (rc != 0)
        return rc;
    profiling->testbed_text = json_dumps(doc.root, JSON_COMPACT);
    ws_json_doc_fini(&doc);
    return profiling->testbed_text == NULL ? ws_error_nomem(err) : 0;
}

/* --- Models --------------------------------------------------------------------------
 */

static int open_executor(struct ws_profiling *profiling, struct ws_error *err)
{
    const struct ws_executor_options options = {
        .space = &profiling->testbed.space,
        .variants = profiling->options.variants,
        .variant_count = profiling->options.variant_count,
        .engine = profiling->options.engine,
        .splitter = profiling->options.splitter,
        .board = profiling->edge,
        .device = profiling->device,
        .sampler = profiling->options.sampler,
        .identity = profiling->options.identity,
    };
    int rc = ws_executor_create(&profiling->executor, &options, err);
    return rc == 0 ? 0 : ws_error_context(err, "%s", profiling->testbed_path);
}

static int open_predictor(struct ws_profiling *profiling, struct ws_error *err)
{
    const struct ws_profiling_options *options = &profiling->options;
    double mbit_s = options->link_mbit_s, delay_ms = options->link_delay_ms;
    if (mbit_s <= 0) {
        mbit_s = usual_mbit_s;
        delay_ms = usual_delay_ms;
        (void)ws_conditions_get(&mbit_s, &profiling->testbed.link, WS_LINK_MBIT_S);
        (void)ws_conditions_get(&delay_ms, &profiling->testbed.link, WS_LINK_DELAY_MS);
    }
    const struct ws_predictor_options predictor = {.executor = profiling->executor,
                                                   .space = &profiling->testbed.space,
                                                   .edge = profiling->edge,
                                                   .cloud = profiling->cloud,
                                                   .link_mbit_s = mbit_s,
                                                   .link_delay_ms = delay_ms};
    return ws_predictor_create(&profiling->predictor, &predictor, err);
}

/* --- The study -----------------------------------------------------------------------
 */

struct facts {
    struct ws_study_fact list[FACTS_MAX];
    size_t count;
};

static int add_fact(struct facts *facts, const char *value, struct ws_error *err,
                    const char *fmt, const char *a, const char *b)
{
    char key[2 * WS_NAME_MAX];
    if (facts->count == FACTS_MAX)
        return ws_error_set(err, WS_E_LIMIT, "more than %d facts of a study", FACTS_MAX);
    (void)snprintf(key, sizeof(key), fmt, a, b);
    struct ws_study_fact *fact = &facts->list[facts->count++];
    fact->key = strdup(key);
    fact->value = strdup(value);
    return fact->key == NULL || fact->value == NULL ? ws_error_nomem(err) : 0;
}

static void facts_free(struct facts *facts)
{
    for (size_t i = 0; facts != NULL && i < facts->count; i++) {
        free((char *)(uintptr_t)facts->list[i].key);
        free((char *)(uintptr_t)facts->list[i].value);
    }
    free(facts);
}

/* Of a network with shared maps: its parts, and what its folder is called. */
static int add_parts(struct facts *facts, const struct ws_profiling *profiling,
                     struct ws_error *err)
{
    const char *name = profiling->options.variants[0].name;
    char digest[WS_DIGEST_TEXT];
    int rc = ws_parts_digest(
        digest, ws_halves_parts(ws_executor_halves(profiling->executor)), err);
    if (rc == 0)
        rc = add_fact(facts, digest, err, "model.%s%s", name, "");
    return rc == 0 ? add_fact(facts, ws_executor_model_name(profiling->executor, 0), err,
                              "name.%s%s", name, "")
                   : rc;
}

/* A variant's model, and which cut each value of the knob is in it. */
static int add_variant(struct facts *facts, const struct ws_profiling *profiling,
                       size_t v, struct ws_error *err)
{
    const char *name = profiling->options.variants[v].name;
    const struct ws_space *space = &profiling->testbed.space;
    const struct ws_cuts *cuts =
        ws_splitter_cuts(ws_executor_splitter(profiling->executor, v));
    char digest[WS_DIGEST_TEXT];
    size_t knob = 0;
    int rc = ws_model_digest(digest, cuts->graph->model, err);
    if (rc == 0)
        rc = add_fact(facts, digest, err, "model.%s%s", name, "");
    if (rc == 0)
        rc = add_fact(facts, ws_executor_model_name(profiling->executor, v), err,
                      "name.%s%s", name, "");
    if (rc == 0)
        rc = ws_space_find(&knob, space, "cut", err);
    for (size_t i = 0; rc == 0 && i < space->knobs[knob].value_count; i++) {
        size_t cut = ws_executor_cut(profiling->executor, v, i);
        if (cut != WS_NONE)
            rc = add_fact(facts, cuts->cuts[cut].id, err, "cut.%s.%s", name,
                          space->knobs[knob].values[i].text);
    }
    return rc;
}

static int collect_facts(struct facts *facts, const struct ws_profiling *profiling,
                         struct ws_error *err)
{
    const struct ws_profiling_options *options = &profiling->options;
    struct ws_health *health = malloc(sizeof(*health));
    char edge[256];
    if (health == NULL)
        return ws_error_nomem(err);
    health->machine[0] = '\0';
    if (profiling->fs != NULL)
        (void)ws_health_read(health, profiling->fs, NULL);
    (void)snprintf(edge, sizeof(edge), "%s%s%s",
                   profiling->edge != NULL ? ws_board_name(profiling->edge) : "local",
                   health->machine[0] != '\0' ? ": " : "", health->machine);
    free(health);
    int rc = add_fact(facts, edge, err, "edge%s%s", "", "");
    if (rc == 0)
        rc = add_fact(facts, options->is_virtual ? "virtual" : "live", err, "clock%s%s",
                      "", "");
    if (rc == 0 && profiling->machine != NULL)
        rc = add_fact(facts, ws_machine_name(profiling->machine), err, "cloud%s%s", "",
                      "");
    if (rc == 0 && options->is_virtual)
        rc = add_fact(facts, profiling->cloud != NULL ? options->cloud : "ordinary", err,
                      "cloud%s%s", "", "");
    if (rc == 0)
        rc = add_fact(facts, options->variants[0].name, err, "variant%s%s", "", "");
    if (rc == 0 && ws_executor_halves(profiling->executor) != NULL)
        return add_parts(facts, profiling, err);
    for (size_t v = 0; rc == 0 && v < options->variant_count; v++)
        rc = add_variant(facts, profiling, v, err);
    return rc;
}

/* What the machines and the program are this time. */
static json_t *run_conditions(const struct ws_profiling *profiling)
{
    const struct ws_profiling_options *options = &profiling->options;
    struct utsname host;
    json_t *root = json_object();
    struct ws_engine *engine =
        ws_splitter_engine(ws_executor_splitter(profiling->executor, 0));
    if (uname(&host) == 0)
        (void)json_object_set_new(
            root, "host",
            json_sprintf("%s %s %s", host.sysname, host.release, host.machine));
    (void)json_object_set_new(root, "wattshed", json_string(WS_VERSION));
    (void)json_object_set_new(root, "runtime", json_string(ws_engine_version(engine)));
    (void)json_object_set_new(root, "edge",
                              json_string(profiling->edge != NULL
                                              ? ws_board_machine(profiling->edge)
                                              : "this machine"));
    (void)json_object_set_new(
        root, "node", json_string(options->is_virtual ? "virtual" : options->url));
    if (profiling->cloud != NULL)
        (void)json_object_set_new(root, "cloud",
                                  json_string(ws_board_machine(profiling->cloud)));
    if (options->link_mbit_s > 0)
        (void)json_object_set_new(root, "link",
                                  json_pack("{s:f, s:f, s:s}", "mbit_s",
                                            options->link_mbit_s, "delay_ms",
                                            options->link_delay_ms, "truth", "emulated"));
    if (options->data != NULL)
        (void)json_object_set_new(root, "data",
                                  json_pack("{s:s, s:I}", "digest",
                                            profiling->data.digest, "samples",
                                            (json_int_t)profiling->data.count));
    (void)json_object_set_new(root, "seed", json_integer((json_int_t)options->seed));
    (void)json_object_set_new(root, "search", json_string(options->search));
    (void)json_object_set_new(root, "tolerance", json_real(options->measure.tolerance));
    if (options->meter != NULL) {
        const struct ws_meter_info *info = options->meter;
        (void)json_object_set_new(root, "meter",
                                  json_pack("{s:s, s:s, s:s}", "name", info->name,
                                            "source", info->source, "boundary",
                                            ws_boundary_name(info->boundary)));
    } else if (profiling->edge != NULL) {
        (void)json_object_set_new(
            root, "energy",
            json_sprintf("modelled: %s",
                         ws_boundary_name(ws_board_boundary(profiling->edge))));
    } else {
        (void)json_object_set_new(root, "energy",
                                  json_string("unknown: this machine has no meter"));
    }
    for (size_t k = 0;
         profiling->device != NULL && k < ws_device_space(profiling->device)->knob_count;
         k++) {
        char now[64];
        if (ws_device_current(now, sizeof(now), profiling->device, k, NULL) == 0)
            (void)json_object_set_new(root,
                                      ws_device_space(profiling->device)->knobs[k].name,
                                      json_string(now));
    }
    return root;
}

static int open_study(struct ws_profiling *profiling, struct ws_error *err)
{
    struct facts *facts = calloc(1, sizeof(*facts));
    if (facts == NULL)
        return ws_error_nomem(err);
    int rc = collect_facts(facts, profiling, err);
    if (rc == 0)
        rc = ws_study_open(&profiling->study, profiling->options.study_path,
                           profiling->testbed_text, facts->list, facts->count, err);
    facts_free(facts);
    if (rc != 0)
        return rc;
    json_t *root = run_conditions(profiling);
    char *text = json_dumps(root, JSON_COMPACT);
    rc = text == NULL ? ws_error_nomem(err)
                      : ws_study_begin_run(profiling->study, text, err);
    free(text);
    json_decref(root);
    return rc;
}

static const struct ws_graph *graph_of(const struct ws_profiling *profiling,
                                       size_t variant)
{
    return ws_splitter_graph(ws_executor_splitter(profiling->executor, variant));
}

/* --- The rig -------------------------------------------------------------------------
 */

static int draw_inputs(struct ws_profiling *profiling, struct ws_error *err)
{
    size_t count = profiling->options.variant_count;
    profiling->inputs = calloc(count, sizeof(struct ws_datum *));
    int rc = profiling->inputs == NULL ? ws_error_nomem(err) : 0;
    for (size_t v = 0; rc == 0 && v < count; v++)
        rc = ws_graph_draw_inputs(&profiling->inputs[v], graph_of(profiling, v),
                                  profiling->options.seed, err);
    return rc;
}

static void free_inputs(struct ws_profiling *profiling)
{
    for (size_t v = 0; profiling->inputs != NULL && v < profiling->options.variant_count;
         v++) {
        size_t count =
            profiling->inputs[v] != NULL ? graph_of(profiling, v)->input_count : 0;
        for (size_t i = 0; i < count; i++)
            ws_datum_fini(&profiling->inputs[v][i]);
        free(profiling->inputs[v]);
    }
    free(profiling->inputs);
}

/* A link of the rate and delay asked for, between us and the node. */
static int open_link(struct ws_profiling *profiling, const struct ws_conditions *link,
                     struct ws_error *err)
{
    static const char scheme[] = "http://";
    const struct ws_profiling_options *options = &profiling->options;
    char target[256];
    if (strncmp(options->url, scheme, sizeof(scheme) - 1) != 0)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "%s: a link is emulated before http:// alone", options->url);
    const char *host = options->url + sizeof(scheme) - 1;
    (void)snprintf(target, sizeof(target), "%.*s", (int)strcspn(host, "/"), host);
    const struct ws_shaper_options shaper = {
        .listen = "127.0.0.1:0", .target = target, .link = *link, .seed = options->seed};
    int rc = ws_shaper_start(&profiling->shaper, &shaper, err);
    if (rc == 0)
        (void)snprintf(profiling->url, sizeof(profiling->url), "http://%s",
                       ws_shaper_address(profiling->shaper));
    return rc;
}

/* Whether the testbed has a knob of the node's. */
static int sets_cloud(const struct ws_profiling *profiling)
{
    const struct ws_space *space = &profiling->testbed.space;
    for (size_t k = 0; k < space->knob_count; k++) {
        if (strncmp(space->knobs[k].name, "cloud.", 6) == 0)
            return 1;
    }
    return 0;
}

/* Knobs of the node's that it does not have, or does not let us set. */
static int check_cloud(const struct ws_profiling *profiling, struct ws_error *err)
{
    const struct ws_space *space = &profiling->testbed.space;
    for (size_t k = 0; k < space->knob_count; k++) {
        size_t found = 0;
        if (strncmp(space->knobs[k].name, "cloud.", 6) == 0 &&
            (profiling->machine == NULL ||
             ws_space_find(&found, ws_machine_space(profiling->machine),
                           space->knobs[k].name, NULL) != 0))
            return ws_error_set(err, WS_E_NOT_FOUND,
                                "%s: the node lets nobody set a \"%s\"",
                                profiling->testbed_path, space->knobs[k].name);
    }
    return 0;
}

static int open_rig(struct ws_profiling *profiling, struct ws_error *err)
{
    const struct ws_profiling_options *options = &profiling->options;
    struct ws_conditions link = profiling->testbed.link;
    if (options->link_mbit_s > 0) {
        ws_conditions_set(&link, WS_LINK_MBIT_S, options->link_mbit_s);
        ws_conditions_set(&link, WS_LINK_DELAY_MS, options->link_delay_ms);
    }
    if (options->is_virtual) {
        const struct ws_virtual_options virtual = {.predictor = profiling->predictor,
                                                   .executor = profiling->executor,
                                                   .space = &profiling->testbed.space,
                                                   .edge_idle_w = edge_idle_w(profiling),
                                                   .metered = metered(profiling),
                                                   .time_noise = virtual_time_noise,
                                                   .energy_noise = virtual_energy_noise,
                                                   .seed = options->seed};
        return ws_virtual_create(&profiling->rig, &virtual, err);
    }
    int rc = check_cloud(profiling, err);
    if (rc == 0 && options->inputs == NULL)
        rc = draw_inputs(profiling, err);
    if (rc == 0 && options->link_mbit_s > 0)
        rc = open_link(profiling, &link, err);
    const struct ws_live_options live = {
        .executor = profiling->executor,
        .space = &profiling->testbed.space,
        .url = profiling->shaper != NULL ? profiling->url : options->url,
        .machine = sets_cloud(profiling) ? profiling->machine : NULL,
        .timeout_ms = options->timeout_ms,
        .inputs = options->inputs != NULL
                      ? options->inputs
                      : (const struct ws_datum *const *)profiling->inputs,
        .is_emulated = profiling->edge != NULL,
        .edge_idle_w = edge_idle_w(profiling),
        .metered = metered(profiling),
        .fs = profiling->fs,
        .link = link};
    return rc == 0 ? ws_live_create(&profiling->rig, &live, err) : rc;
}

static struct ws_accuracy_options accuracy_options(const struct ws_profiling *profiling)
{
    return (struct ws_accuracy_options){.data = &profiling->data,
                                        .executor = profiling->executor,
                                        .study = profiling->study,
                                        .scale = profiling->options.data_scale};
}

static int profiling_accuracy(void *user, double *out, const struct ws_setting *setting,
                              struct ws_error *err)
{
    const struct ws_accuracy_options options = accuracy_options(user);
    return ws_accuracy_of(out, &options, setting, err);
}

static int check_data(struct ws_profiling *profiling, struct ws_error *err)
{
    const struct ws_profiling_options *options = &profiling->options;
    const struct ws_accuracy_options accuracy = accuracy_options(profiling);
    return options->data == NULL
               ? 0
               : ws_accuracy_check(&accuracy, options->variant_count, err);
}

static void profiling_trial(void *user, const struct ws_study_trial *trial, int is_old)
{
    struct ws_profiling *profiling = user;
    if (profiling->options.on_trial != NULL)
        profiling->options.on_trial(profiling->options.user, trial, is_old);
}

/* A slow meter still tells of the setting before for an interval or two, and its few
 * values have to average out. What a node's does is not known; a card's has 0.1 s. */
static void let_meters_see(struct ws_measure_options *measure,
                           const struct ws_profiling *profiling)
{
    const double node_interval_s = 0.15;
    const struct ws_meter_info *meter = profiling->options.meter;
    enum ws_truth truth = WS_MODELLED;
    double interval_s = meter != NULL ? meter->interval_s : 0;
    if (profiling->machine != NULL && ws_machine_energy(&truth, profiling->machine) &&
        truth == WS_MEASURED)
        interval_s = fmax(interval_s, node_interval_s);
    measure->settle_s = 2 * interval_s;
    measure->span_s = 5 * interval_s;
}

static int open_profiler(struct ws_profiling *profiling, struct ws_error *err)
{
    struct ws_measure_options measure = profiling->options.measure;
    let_meters_see(&measure, profiling);
    const struct ws_profiler_options options = {
        .study = profiling->study,
        .rig = profiling->rig,
        .measure = measure,
        .accuracy = profiling->options.data != NULL ? profiling_accuracy : NULL,
        .on_trial = profiling_trial,
        .user = profiling};
    return ws_profiler_create(&profiling->profiler, &options, err);
}

int ws_profiling_open(struct ws_profiling **out,
                      const struct ws_profiling_options *options, struct ws_error *err)
{
    struct ws_profiling *profiling = calloc(1, sizeof(*profiling));
    if (profiling == NULL)
        return ws_error_nomem(err);
    profiling->options = *options;
    int rc = ws_search_find(&profiling->search, options->search, err);
    if (rc == 0 && options->data != NULL)
        rc = ws_labelled_load(&profiling->data, options->data, options->data_limit, err);
    if (rc == 0)
        rc = open_machines(profiling, err);
    if (rc == 0)
        rc = open_testbed(profiling, err);
    if (rc == 0)
        rc = open_executor(profiling, err);
    if (rc == 0)
        rc = open_predictor(profiling, err);
    if (rc == 0)
        rc = check_data(profiling, err);
    if (rc == 0)
        rc = open_study(profiling, err);
    if (rc == 0)
        rc = open_rig(profiling, err);
    if (rc == 0)
        rc = open_profiler(profiling, err);
    if (rc != 0)
        (void)ws_profiling_close(profiling, NULL);
    else
        *out = profiling;
    return rc;
}

int ws_profiling_close(struct ws_profiling *profiling, struct ws_error *err)
{
    if (profiling == NULL)
        return 0;
    ws_evaluator_destroy(profiling->profiler);
    ws_rig_destroy(profiling->rig);
    ws_study_close(profiling->study);
    ws_predictor_destroy(profiling->predictor);
    free_inputs(profiling);
    ws_executor_destroy(profiling->executor); /* and its connections */
    ws_shaper_stop(profiling->shaper);
    int rc = ws_device_close(profiling->device, err);
    ws_sysfs_close(profiling->fs);
    ws_machine_close(profiling->machine);
    ws_board_destroy(profiling->edge);
    ws_board_destroy(profiling->cloud);
    ws_labelled_fini(&profiling->data);
    ws_testbed_fini(&profiling->testbed);
    free(profiling->testbed_path);
    free(profiling->testbed_text);
    free(profiling);
    return rc;
}

struct ws_study *ws_profiling_study(const struct ws_profiling *profiling)
{
    return profiling->study;
}

/* --- Running -------------------------------------------------------------------------
 */

static size_t budget_of(const struct ws_profiling *profiling, size_t space)
{
    const double share = 0.05, least = 12;
    double asked = profiling->options.budget;
    double trials = asked > 1   ? asked
                    : asked > 0 ? asked * (double)space
                                : fmax(share * (double)space, least);
    trials = fmin(fmax(trials, 1), (double)space);
    return (size_t)trials;
}

/* The testbed's baselines, then what is foreseen to be good: a third of the budget. */
static int choose_first(struct ws_setting **out, size_t *out_count,
                        const struct ws_profiling *profiling,
                        const struct ws_search_task *task, struct ws_error *err)
{
    const struct ws_testbed *testbed = &profiling->testbed;
    struct ws_setting *foreseen = NULL;
    size_t count = 0, foreseen_count = 0;
    int rc = ws_predictor_first(&foreseen, &foreseen_count, profiling->predictor, task,
                                task->budget / 3 + 1, err);
    if (rc != 0)
        return rc;
    struct ws_setting *all =
        calloc(testbed->baseline_count + foreseen_count + 1, sizeof(*all));
    for (size_t b = 0; all != NULL && b < testbed->baseline_count; b++)
        all[count++] = testbed->baselines[b].setting;
    for (size_t f = 0; all != NULL && f < foreseen_count; f++)
        all[count++] = foreseen[f];
    free(foreseen);
    *out = all;
    *out_count = count;
    return all == NULL ? ws_error_nomem(err) : 0;
}

int ws_profiling_run(struct ws_trials *out, struct ws_profiling *profiling,
                     struct ws_error *err)
{
    const struct ws_testbed *testbed = &profiling->testbed;
    struct ws_setting *first = NULL;
    size_t space = 0;
    struct ws_search_task task = {.evaluator = profiling->profiler,
                                  .objective_count = testbed->objective_count,
                                  .seed = profiling->options.seed,
                                  .edge_idle_w = edge_idle_w(profiling)};
    memcpy(task.objectives, testbed->objectives, sizeof(task.objectives));
    int rc = ws_search_space_size(&space, profiling->profiler, err);
    if (rc != 0)
        return rc;
    task.budget = budget_of(profiling, space);
    rc = choose_first(&first, &task.first_count, profiling, &task, err);
    task.first = first;
    if (rc == 0 && profiling->options.on_start != NULL)
        profiling->options.on_start(profiling->options.user, task.budget, space,
                                    task.first_count);
    if (rc == 0)
        rc = ws_search_run(out, profiling->search, &task, err);
    free(first);
    return rc;
}
