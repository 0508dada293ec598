#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/parse.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/options.h"
#include "cli/secure_options.h"
#include "core/sample.h"
#include "node/load.h"
#include "study/planfile.h"

struct load_options {
    struct ws_load_options load;
    struct ws_identity_options identity;
    const char *workload;
    struct ws_workload_draw draw;
    const char *plan;
    const char *write;
    struct ws_cli_texts inputs;
    int is_closed;
    int64_t batch;
    uint64_t seed;
    const char *requests;
    int json;
};

/* N clients, each one after the other. */
static int take_closed(void *field, const char *value, const struct ws_cli_option *option,
                       struct ws_error *err)
{
    struct load_options *options = field;
    (void)option;
    options->is_closed = 1;
    return ws_parse_size(&options->load.connections, value, 1, WS_HTTP_CONNS_MAX,
                         "--closed", err);
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("workload", "FILE", struct load_options, workload,
                 "CSV: index,deadline_ms[,arrival_ms][,min_accuracy]")},
    {WS_CLI_SIZE(
        "draw", "N", struct load_options, draw.count, 2, WS_WORKLOAD_MAX,
        "instead: N deadlines as DynaSplit's authors draw them, Weibull of shape "
        "1 between the fastest and the slowest entry of --plan")},
    {WS_CLI_TEXT("plan", "PLAN", struct load_options, plan, "of --draw")},
    {WS_CLI_NUMBER("every", "MS", struct load_options, draw.every_ms, 0, 1e9,
                   "and their arrivals (default: one after the other)")},
    {WS_CLI_TEXT("write", "FILE", struct load_options, write,
                 "writes the workload; without URL that is all")},
    {WS_CLI_FLAG("open", struct load_options, load.is_open,
                 "send at the arrival times, come what may; latency counts from them "
                 "(default where the workload has arrivals)")},
    {WS_CLI_TAKE_WHOLE("closed", "N", take_closed,
                       "N clients, each sending its next when the last came back "
                       "(default 1 where there are no arrivals)")},
    {WS_CLI_SIZE("connections", "N", struct load_options, load.connections, 1,
                 WS_HTTP_CONNS_MAX,
                 "with --open: requests under way at most (default 64)")},
    {WS_CLI_TEXT("model", "NAME", struct load_options, load.model,
                 "(default: the first that the server says is ready)")},
    {WS_CLI_WHOLE("batch", "N", struct load_options, batch, 1, INT32_MAX,
                  "of drawn inputs: the size of what the model leaves open (default 1)")},
    {WS_CLI_TEXTS("input", "FILE", struct load_options, inputs,
                  "an input, .npy or .pb, in the model's order (default: drawn from the "
                  "seed)")},
    {WS_CLI_TAKE("seed", "S", struct load_options, seed, ws_cli_take_seed,
                 "of drawn inputs (default 1)")},
    {WS_CLI_TEXT("policy", "NAME", struct load_options, load.policy,
                 "to be decided by, where the server is an agent")},
    {WS_CLI_SIZE("limit", "N", struct load_options, load.limit, 1, WS_WORKLOAD_MAX,
                 "no more than the first N requests")},
    {WS_CLI_TEXT("requests", "FILE", struct load_options, requests,
                 "writes one CSV line a request")},
    {WS_CLI_FLAG("json", struct load_options, json, "prints the result as JSON")},
    {WS_CLI_GROUP(ws_identity_cli, struct load_options, identity)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "load",
    .synopsis = "URL --workload FILE [--open | --closed N]\n"
                "[URL] --draw N --plan PLAN [--write FILE]",
    .about = "Sends a workload to a server of the Open Inference Protocol, each request "
             "with its deadline, and says how many were met, what they cost as far as "
             "the server tells, and how long they took.",
    .options = options_table,
    .example =
        "  $ wattshed load http://127.0.0.1:8080 --workload workload.csv --closed 4",
    .words_max = 1,
    .wants = "one URL at most",
};

/* 0, or 1 with an exit status. */
static int parse(struct load_options *options, int *status, int argc, char **argv)
{
    if (ws_cli_parse(status, options, argc, argv, &usage) != 0)
        return 1;
    options->load.url = argv[optind];
    if ((options->workload == NULL) == (options->draw.count == 0))
        *status =
            ws_cli_usage_error("load", "one of --workload FILE and --draw N is needed");
    else if ((options->draw.count > 0) != (options->plan != NULL))
        *status = ws_cli_usage_error("load", "--draw and --plan go together");
    else if (options->load.url == NULL && options->write == NULL)
        *status = ws_cli_usage_error("load", "a URL is needed, or --write FILE");
    else if (options->load.is_open && options->is_closed)
        *status = ws_cli_usage_error("load", "--open and --closed exclude each other");
    else
        return 0;
    return 1;
}

/* Out of the seed. */
static int draw_input(struct ws_tensor *out, const struct load_options *options,
                      const struct ws_oip_port *port, size_t number, struct ws_error *err)
{
    int64_t dims[WS_TENSOR_RANK_MAX];
    for (size_t d = 0; d < port->rank; d++)
        dims[d] = port->dims[d] < 0 ? options->batch : port->dims[d];
    return ws_sample_tensor(out, port->dtype, dims, port->rank, options->seed + number,
                            err);
}

static int make_inputs(struct ws_oip_tensor *out, const struct load_options *options,
                       const struct ws_oip_model *model, struct ws_error *err)
{
    int rc = 0;
    if (options->inputs.count > 0 && options->inputs.count != model->input_count)
        return ws_error_set(err, WS_E_USAGE, "%zu inputs for \"%.200s\", which takes %zu",
                            options->inputs.count, model->name, model->input_count);
    for (size_t i = 0; rc == 0 && i < options->inputs.count; i++)
        rc = ws_inputs_load_port(&out[i], model, options->inputs.at[i], i, err);
    for (size_t i = 0; rc == 0 && options->inputs.count == 0 && i < model->input_count;
         i++) {
        const struct ws_oip_port *port = &model->inputs[i];
        out[i].name = strdup(port->name);
        rc = out[i].name == NULL ? ws_error_nomem(err)
                                 : draw_input(&out[i].tensor, options, port, i, err);
    }
    for (size_t i = 0; i < model->input_count; i++)
        out[i].is_binary = 1;
    return rc;
}

static void show_progress(void *user, size_t done, size_t all)
{
    (void)user;
    if (done % 10 == 0 || done == all)
        fprintf(stderr, "\rwattshed load: %zu of %zu%s", done, all,
                done == all ? "\n" : "");
}

/* ---- results ---- */

static json_t *known(size_t count, double value)
{
    return count > 0 ? json_real(value) : json_null();
}

static void print_json(const struct load_options *options, const struct ws_load_result *r)
{
    const double n = r->count > 0 ? (double)r->count : 1;
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "url",
                  options->load.url, "mode", options->load.is_open ? "open" : "closed",
                  "requests", (json_int_t)r->count, "answered", (json_int_t)r->answered,
                  "met", (json_int_t)r->met, "late", (json_int_t)r->late, "refused",
                  (json_int_t)r->refused, "failed", (json_int_t)r->failed, "fallbacks",
                  (json_int_t)r->fallbacks, "met_pct", 100 * (double)r->met / n);
    json_object_set_new(root, "latency_p50_ms", known(r->answered, r->latency_ms[0]));
    json_object_set_new(root, "latency_p95_ms", known(r->answered, r->latency_ms[1]));
    json_object_set_new(root, "latency_p99_ms", known(r->answered, r->latency_ms[2]));
    json_object_set_new(root, "energy_j_mean", known(r->energy_count, r->energy_j));
    json_object_set_new(root, "edge_energy_j_mean",
                        known(r->edge_energy_count, r->edge_energy_j));
    json_object_set_new(root, "cloud_energy_j_mean",
                        known(r->cloud_energy_count, r->cloud_energy_j));
    json_object_set_new(root, "truth",
                        r->is_told ? json_string(ws_truth_name(r->truth)) : json_null());
    json_object_set_new(root, "span_ms", json_real(r->span_ms));
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(root);
}

static void print_known(const char *what, size_t count, double value)
{
    if (count > 0)
        printf("  %s %.4f", what, value);
    else
        printf("  %s ?", what);
}

static void print_text(const struct load_options *options, const struct ws_load_result *r)
{
    const double n = r->count > 0 ? (double)r->count : 1;
    printf("%zu requests, %s, in %.1f s: %zu answered, %zu refused, %zu failed\n",
           r->count, options->load.is_open ? "open" : "closed", r->span_ms / 1e3,
           r->answered, r->refused, r->failed);
    printf("met %.1f %%  late %zu  fallbacks %zu  p50 %.2f ms  p95 %.2f ms  p99 %.2f "
           "ms\n",
           100 * (double)r->met / n, r->late, r->fallbacks, r->latency_ms[0],
           r->latency_ms[1], r->latency_ms[2]);
    printf("J per request%s%s%s:", r->is_told ? " (" : "",
           r->is_told ? ws_truth_name(r->truth) : "", r->is_told ? ")" : "");
    print_known("all", r->energy_count, r->energy_j);
    print_known("edge", r->edge_energy_count, r->edge_energy_j);
    print_known("cloud", r->cloud_energy_count, r->cloud_energy_j);
    putchar('\n');
    for (size_t i = 0; i < r->count; i++) {
        if (r->records[i].status != 200) {
            printf("first failure: status %d: %s\n", r->records[i].status,
                   r->records[i].why);
            break;
        }
    }
}

static int add_cell(struct ws_buf *text, const struct ws_outcome *told,
                    enum ws_measure measure, struct ws_error *err)
{
    double value;
    return ws_outcome_get(&value, told, measure) == 0
               ? ws_buf_printf(text, err, ",%.9g", value)
               : ws_buf_add_text(text, ",", err);
}

static int write_requests(const char *path, const struct ws_workload *workload,
                          const struct ws_load_result *r, struct ws_error *err)
{
    struct ws_buf text;
    ws_buf_init(&text, 0);
    int rc = ws_buf_add_text(&text, "index,deadline_ms,status,client_ms,fallback", err);
    for (int m = 0; rc == 0 && m < WS_MEASURE_COUNT; m++)
        rc = ws_buf_printf(&text, err, ",%s", ws_measure_name((enum ws_measure)m));
    for (size_t i = 0; rc == 0 && i < r->count; i++) {
        const struct ws_load_record *record = &r->records[i];
        rc = ws_buf_printf(&text, err, "\n%" PRIu64 ",%.9g,%d,%.6f,%d",
                           workload->requests[i].index, workload->requests[i].deadline_ms,
                           record->status, record->latency_ms, record->is_fallback);
        for (int m = 0; rc == 0 && m < WS_MEASURE_COUNT; m++)
            rc = add_cell(&text, &record->told, (enum ws_measure)m, err);
    }
    if (rc == 0)
        rc = ws_buf_add_text(&text, "\n", err);
    if (rc == 0)
        rc = ws_file_write(path, text.data, text.size, err);
    ws_buf_fini(&text);
    return rc;
}

static int draw(struct ws_workload *out, struct load_options *options,
                struct ws_error *err)
{
    struct ws_plan plan = {0};
    struct ws_workload_draw *draw = &options->draw;
    double latency;
    draw->seed = (uint64_t)options->seed;
    draw->fastest_ms = INFINITY;
    int rc = ws_plan_load(&plan, options->plan, err);
    for (size_t i = 0; rc == 0 && i < plan.entry_count; i++) {
        if (ws_outcome_get(&latency, &plan.entries[i].outcome, WS_LATENCY_MS) != 0)
            continue;
        draw->fastest_ms = fmin(draw->fastest_ms, latency);
        draw->slowest_ms = fmax(draw->slowest_ms, latency);
    }
    if (rc == 0 && !(draw->fastest_ms < draw->slowest_ms))
        rc = ws_error_set(err, WS_E_INFEASIBLE, "%s: no two entries differ in latency_ms",
                          options->plan);
    if (rc == 0)
        rc = ws_workload_draw(out, draw, err);
    ws_plan_fini(&plan);
    return rc;
}

static int load(struct load_options *options, struct ws_error *err)
{
    struct ws_workload workload = {0};
    struct ws_oip_model model = {0};
    struct ws_load_result result = {0};
    struct ws_oip_tensor *inputs = NULL;
    struct ws_load_options *to = &options->load;
    int rc = options->workload != NULL
                 ? ws_workload_load(&workload, options->workload, err)
                 : draw(&workload, options, err);
    if (rc == 0 && options->write != NULL)
        rc = ws_workload_save(&workload, options->write, err);
    if (rc != 0 || to->url == NULL) {
        ws_workload_fini(&workload);
        return rc;
    }
    if (rc == 0 && to->is_open && !workload.has_arrivals)
        rc = ws_error_set(err, WS_E_USAGE,
                          "the workload has no arrivals: --closed N it can be");
    if (rc == 0)
        rc = ws_load_describe(&model, to->url, &to->identity, to->model, err);
    if (rc == 0) {
        inputs = calloc(model.input_count + 1, sizeof(*inputs));
        rc = inputs == NULL ? ws_error_nomem(err)
                            : make_inputs(inputs, options, &model, err);
    }
    if (rc == 0) {
        to->is_open = !options->is_closed && workload.has_arrivals;
        if (to->connections == 0)
            to->connections = to->is_open ? 64 : 1;
        to->model = model.name;
        to->inputs = inputs;
        to->input_count = model.input_count;
        to->workload = &workload;
        to->progress = isatty(STDERR_FILENO) ? show_progress : NULL;
        rc = ws_load_run(&result, to, err);
    }
    if (rc == 0 && options->requests != NULL)
        rc = write_requests(options->requests, &workload, &result, err);
    if (rc == 0 && options->json)
        print_json(options, &result);
    else if (rc == 0)
        print_text(options, &result);
    ws_load_result_fini(&result);
    for (size_t i = 0; inputs != NULL && i < model.input_count; i++) {
        free(inputs[i].name);
        ws_tensor_fini(&inputs[i].tensor);
    }
    free(inputs);
    ws_oip_model_fini(&model);
    ws_workload_fini(&workload);
    return rc;
}

int ws_cmd_load(int argc, char **argv)
{
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    struct load_options *options = calloc(1, sizeof(*options));
    if (options == NULL) {
        (void)ws_error_nomem(&err);
        return ws_cli_fail(&err);
    }
    options->seed = 1;
    options->batch = 1;
    if (parse(options, &status, argc, argv) == 0) {
        options->load.identity = options->identity.identity;
        if (load(options, &err) != 0)
            status = ws_cli_fail(&err);
    }
    ws_identity_options_fini(&options->identity);
    free(options);
    return status;
}
