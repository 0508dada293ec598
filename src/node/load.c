#include "node/load.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/stats.h"
#include "net/http_client.h"
#include "wire/oip.h"

enum { PATIENCE_MS = 60000 };

struct load {
    const struct ws_load_options *options;
    struct ws_buf path;
    struct ws_load_result result;
    int64_t start_ns;
    pthread_mutex_t lock; /* over: */
    size_t next, done;
};

struct worker {
    struct load *load;
    struct ws_http_client *client;
    pthread_t thread;
};

/* ---- what is there ---- */

static int call(struct ws_http_answer *out, struct ws_http_client *client,
                const char *method, const char *path, struct ws_error *err)
{
    const struct ws_http_call call = {.method = method, .path = path};
    char text[WS_ERROR_TEXT_MAX];
    int rc = ws_http_client_call(out, client, &call, err);
    if (rc != 0 || out->status == 200)
        return rc;
    ws_oip_error_parse(text, sizeof(text), out->body, out->body_size);
    return ws_error_set(err, WS_E_REMOTE, "%s: status %d: %.300s", path, out->status,
                        text);
}

static int first_model(char *out, size_t size, struct ws_http_client *client,
                       struct ws_error *err)
{
    static const char path[] = "/v2/repository/index";
    struct ws_http_answer answer;
    struct ws_json_doc doc = {0};
    int rc = call(&answer, client, "POST", path, err);
    if (rc == 0)
        rc = ws_json_parse(&doc, answer.body, answer.body_size, path, err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    const char *name = NULL, *state = NULL;
    rc = WS_E_NOT_FOUND;
    for (size_t i = 0; rc != 0 && i < ws_json_count(&root); i++) {
        struct ws_json item = ws_json_at(&root, i);
        if (ws_json_get_string(&name, &item, "name", NULL) == 0 &&
            ws_json_get_string(&state, &item, "state", NULL) == 0 &&
            strcmp(state, "READY") == 0)
            rc = 0;
    }
    if (rc == 0)
        (void)snprintf(out, size, "%s", name);
    else
        rc = ws_error_set(err, rc, "the server says of no model that it is ready");
    ws_json_doc_fini(&doc);
    return rc;
}

static int model_path(struct ws_buf *out, const char *name, const char *verb,
                      struct ws_error *err)
{
    ws_buf_init(out, 0);
    int rc = ws_buf_add_text(out, "/v2/models/", err);
    if (rc == 0)
        rc = ws_http_add_segment(out, name, err);
    return rc == 0 ? ws_buf_add_text(out, verb, err) : rc;
}

int ws_load_describe(struct ws_oip_model *out, const char *url,
                     const struct ws_http_identity *identity, const char *name,
                     struct ws_error *err)
{
    struct ws_http_client *client = NULL;
    const struct ws_http_client_options options = {.identity = *identity,
                                                   .timeout_ms = PATIENCE_MS};
    struct ws_http_answer answer;
    struct ws_buf path = {0};
    char first[WS_NAME_MAX];
    int rc = ws_http_client_create(&client, url, &options, err);
    if (rc == 0 && name == NULL)
        rc = first_model(first, sizeof(first), client, err);
    if (rc == 0)
        rc = model_path(&path, name != NULL ? name : first, "", err);
    if (rc == 0)
        rc = call(&answer, client, "GET", path.data, err);
    if (rc == 0)
        rc = ws_oip_model_parse(out, answer.body, answer.body_size, err);
    ws_buf_fini(&path);
    ws_http_client_destroy(client);
    return rc;
}

/* ---- one request ---- */

static void take_told(struct ws_load_record *record, const json_t *parameters)
{
    for (int m = 0; m < WS_MEASURE_COUNT; m++) {
        const json_t *value =
            json_object_get(parameters, ws_measure_name((enum ws_measure)m));
        if (json_is_number(value))
            ws_outcome_set(&record->told, (enum ws_measure)m, json_number_value(value));
    }
    const char *truth = json_string_value(json_object_get(parameters, "truth"));
    record->is_told = ws_truth_find(&record->told.truth, truth, NULL) == 0;
    record->is_fallback = json_is_true(json_object_get(parameters, "fallback"));
}

static int send(struct ws_load_record *record, struct worker *worker,
                const struct ws_request *request, struct ws_error *err)
{
    struct load *load = worker->load;
    const struct ws_load_options *options = load->options;
    char header[80];
    const struct ws_oip_request message_of = {
        .inputs = (struct ws_oip_tensor *)(uintptr_t)options->inputs,
        .input_count = options->input_count,
        .binary_outputs = 1,
        .timeout_us = (int64_t)(request->deadline_ms * 1000),
        .min_accuracy = request->min_accuracy,
        .policy = (char *)(uintptr_t)options->policy,
    };
    struct ws_oip_message message;
    struct ws_http_answer answer;
    struct ws_oip_reply reply = {0};
    int64_t header_size = 0;
    int rc = ws_oip_request_build(&message, &message_of, err);
    if (rc != 0)
        return rc;
    (void)snprintf(header, sizeof(header), "Inference-Header-Content-Length: %" PRId64,
                   message.header_size);
    const struct ws_http_call post = {
        .method = "POST",
        .path = load->path.data,
        .parts = message.parts,
        .part_count = message.part_count,
        .headers = {"Content-Type: application/octet-stream",
                    message.header_size != WS_OIP_NO_HEADER ? header : NULL}};
    rc = ws_http_client_call(&answer, worker->client, &post, err);
    ws_oip_message_fini(&message);
    if (rc != 0)
        return rc;
    record->status = answer.status;
    if (answer.status != 200) {
        ws_oip_error_parse(record->why, sizeof(record->why), answer.body,
                           answer.body_size);
        return 0;
    }
    rc = ws_oip_header_size(&header_size,
                            answer.header_size[0] != '\0' ? answer.header_size : NULL,
                            answer.body_size, err);
    if (rc == 0)
        rc = ws_oip_reply_parse(&reply, answer.body, answer.body_size, header_size, err);
    if (rc == 0)
        take_told(record, reply.parameters);
    ws_oip_reply_fini(&reply);
    return rc;
}

/* The number of a request that nobody has taken; the count where there is none. */
static size_t take(struct load *load)
{
    (void)pthread_mutex_lock(&load->lock);
    size_t i = load->next;
    load->next += i < load->result.count;
    (void)pthread_mutex_unlock(&load->lock);
    return i;
}

static void *work(void *user)
{
    struct worker *worker = user;
    struct load *load = worker->load;
    const struct ws_load_options *options = load->options;
    for (size_t i = take(load); i < load->result.count; i = take(load)) {
        const struct ws_request *request = &options->workload->requests[i];
        struct ws_load_record *record = &load->result.records[i];
        struct ws_error err = {0};
        int64_t from = ws_clock_now_ns();
        if (options->is_open) {
            from = load->start_ns + (int64_t)(request->arrival_ms * 1e6);
            ws_clock_sleep_until(from);
        }
        if (send(record, worker, request, &err) != 0) {
            record->status = 0;
            (void)snprintf(record->why, sizeof(record->why), "%s", err.text);
        }
        record->latency_ms = (double)(ws_clock_now_ns() - from) / 1e6;
        (void)pthread_mutex_lock(&load->lock);
        load->done++;
        if (options->progress != NULL)
            options->progress(options->user, load->done, load->result.count);
        (void)pthread_mutex_unlock(&load->lock);
    }
    return NULL;
}

/* ---- all of them ---- */

static void add_energy(double *sum, size_t *count, const struct ws_outcome *told,
                       enum ws_measure measure)
{
    double value;
    if (ws_outcome_get(&value, told, measure) != 0)
        return;
    *sum += value;
    ++*count;
}

/* A mean over some would be one of those that were cheap to know: all or none. */
static void mean(double *sum, size_t *count, size_t all)
{
    if (*count < all)
        *count = 0;
    *sum = *count > 0 ? *sum / (double)*count : 0;
}

static int summarise(struct ws_load_result *result, const struct ws_load_options *options,
                     struct ws_error *err)
{
    static const double points[] = {0.5, 0.95, 0.99};
    double *latency = calloc(result->count + 1, sizeof(*latency));
    if (latency == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < result->count; i++) {
        const struct ws_load_record *record = &result->records[i];
        if (record->status != 200) {
            result->refused += record->status == 503;
            result->failed += record->status != 503;
            continue;
        }
        int is_met = record->latency_ms <= options->workload->requests[i].deadline_ms;
        latency[result->answered++] = record->latency_ms;
        result->met += is_met ? 1 : 0;
        result->late += is_met ? 0 : 1;
        result->fallbacks += record->is_fallback ? 1 : 0;
        /* The weaker word counts for all: what is modelled once is not measured. */
        if (record->is_told && (!result->is_told || record->told.truth > result->truth))
            result->truth = record->told.truth;
        result->is_told |= record->is_told;
        add_energy(&result->energy_j, &result->energy_count, &record->told, WS_ENERGY_J);
        add_energy(&result->edge_energy_j, &result->edge_energy_count, &record->told,
                   WS_EDGE_ENERGY_J);
        add_energy(&result->cloud_energy_j, &result->cloud_energy_count, &record->told,
                   WS_CLOUD_ENERGY_J);
    }
    mean(&result->energy_j, &result->energy_count, result->answered);
    mean(&result->edge_energy_j, &result->edge_energy_count, result->answered);
    mean(&result->cloud_energy_j, &result->cloud_energy_count, result->answered);
    ws_stats_sort(latency, result->answered);
    for (size_t p = 0; p < 3 && result->answered > 0; p++)
        result->latency_ms[p] =
            ws_stats_quantile_sorted(latency, result->answered, points[p]);
    free(latency);
    return 0;
}

static int run_workers(struct load *load, struct worker *workers, struct ws_error *err)
{
    const struct ws_load_options *options = load->options;
    const struct ws_http_client_options http = {
        .identity = options->identity,
        .timeout_ms = options->patience_ms > 0 ? options->patience_ms : PATIENCE_MS};
    size_t clients = 0, started = 0;
    int rc = 0;
    for (; rc == 0 && clients < options->connections; clients++) {
        workers[clients].load = load;
        rc = ws_http_client_create(&workers[clients].client, options->url, &http, err);
    }
    load->start_ns = ws_clock_now_ns();
    for (; rc == 0 && started < options->connections; started++) {
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break;
    }
    if (rc == 0 && started == 0)
        rc = ws_error_set(err, WS_E_LIMIT, "not one thread could be started");
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(workers[i].thread, NULL);
    load->result.span_ms = (double)(ws_clock_now_ns() - load->start_ns) / 1e6;
    for (size_t i = 0; i < clients; i++)
        ws_http_client_destroy(workers[i].client);
    return rc;
}

int ws_load_run(struct ws_load_result *out, const struct ws_load_options *options,
                struct ws_error *err)
{
    struct load load = {.options = options};
    size_t count = options->workload->count;
    if (options->limit > 0 && options->limit < count)
        count = options->limit;
    struct worker *workers = calloc(options->connections + 1, sizeof(*workers));
    load.result.count = count;
    load.result.records = calloc(count + 1, sizeof(*load.result.records));
    int rc = workers == NULL || load.result.records == NULL ? ws_error_nomem(err) : 0;
    (void)pthread_mutex_init(&load.lock, NULL);
    if (rc == 0)
        rc = model_path(&load.path, options->model, "/infer", err);
    if (rc == 0)
        rc = run_workers(&load, workers, err);
    if (rc == 0)
        rc = summarise(&load.result, options, err);
    (void)pthread_mutex_destroy(&load.lock);
    ws_buf_fini(&load.path);
    free(workers);
    if (rc != 0)
        ws_load_result_fini(&load.result);
    else
        *out = load.result;
    return rc;
}

void ws_load_result_fini(struct ws_load_result *result)
{
    free(result->records);
    *result = (struct ws_load_result){0};
}
