/*
 * What the edge daemon adds to a request that it serves alone, in two readings: over a
 * bare HTTP exchange of the same bytes whose handler calls the runtime directly, and
 * nothing else; and over the sum of such an exchange with a handler that does nothing and
 * the runtime on its own. All are measured in turn, so that they see the same machine.
 * The second is more, because a client that waits milliseconds has to be woken and the
 * runtime finds its caches full of the request: an exchange whose handler just waits as
 * long as the runtime ran says which is which.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/stats.h"
#include "core/sample.h"
#include "net/http_server.h"
#include "net/listen.h"
#include "node/serve.h"

enum { ROUNDS = 200, WARM_UP = 10 };

static int die(const struct ws_error *err)
{
    fprintf(stderr, "bench_serve: %s\n", err->text);
    return 1;
}

/* What is served: one setting, the whole network here. */
struct outfit {
    struct ws_knob_value value;
    struct ws_knob knob;
    struct ws_plan plan;
    struct ws_plan_entry entry;
    struct ws_executor *executor;
};

static void retire(void *owner)
{
    struct outfit *outfit = owner;
    ws_executor_destroy(outfit->executor);
}

static int outfit_init(struct outfit *out, struct ws_serve_crew *crew, const char *model,
                       const char *last_cut, struct ws_error *err)
{
    const struct ws_executor_variant variant = {.name = "base", .path = model};
    out->value.text = (char *)(uintptr_t)last_cut;
    out->knob = (struct ws_knob){.name = (char *)(uintptr_t) "cut",
                                 .part = WS_PART_SHARED,
                                 .values = &out->value,
                                 .value_count = 1};
    out->plan.space = (struct ws_space){.knobs = &out->knob, .knob_count = 1};
    ws_outcome_set(&out->entry.outcome, WS_LATENCY_MS, 10);
    ws_outcome_set(&out->entry.outcome, WS_EDGE_MS, 10);
    ws_outcome_set(&out->entry.outcome, WS_TRANSFER_MS, 0);
    ws_outcome_set(&out->entry.outcome, WS_CLOUD_MS, 0);
    ws_outcome_set(&out->entry.outcome, WS_ENERGY_J, 1);
    out->plan.entries = &out->entry;
    out->plan.entry_count = 1;
    const struct ws_executor_options options = {
        .space = &out->plan.space,
        .variants = &variant,
        .variant_count = 1,
        .engine = {.threads = 1},
        .splitter = {.level = WS_LEVEL_ALL},
    };
    *crew = (struct ws_serve_crew){
        .pilot = {.plan = &out->plan,
                  .agent = {.flights_max = 8, .policy_options = {.guard = 0.95}}},
        .name = "model",
        .boundary = "none",
        .owner = out,
        .retire = retire,
    };
    int rc = ws_policy_find(&crew->pilot.agent.policy, "wattshed", err);
    if (rc == 0)
        rc = ws_executor_create(&out->executor, &options, err);
    if (rc == 0)
        rc = ws_executor_prepare(out->executor, &out->entry.setting, 1, err);
    crew->pilot.executor = out->executor;
    return rc;
}

/* The last cut, by number. */
static int last_cut(char out[static 32], const char *model, struct ws_error *err)
{
    struct ws_engine *engine = NULL;
    struct ws_splitter *splitter = NULL;
    const struct ws_engine_options threads = {.threads = 1};
    const struct ws_splitter_options options = {.level = WS_LEVEL_ALL};
    int rc = ws_engine_create(&engine, &threads, err);
    if (rc == 0)
        rc = ws_splitter_create(&splitter, engine, model, &options, err);
    if (rc == 0)
        (void)snprintf(out, 32, "%zu", ws_splitter_cuts(splitter)->count - 1);
    ws_splitter_destroy(splitter);
    ws_engine_destroy(engine);
    return rc;
}

/* ---- the runtime alone ---- */

struct direct {
    struct ws_engine *engine;
    struct ws_session *session;
    struct ws_engine_value *input;
    int64_t wait_ns; /* what it took on its own the last time */
};

static int infer(const struct direct *direct, struct ws_error *err)
{
    struct ws_engine_value *output = NULL;
    int rc = ws_session_run(
        direct->session, (struct ws_engine_value *const *)&direct->input, &output, err);
    ws_engine_value_destroy(output);
    return rc;
}

/* ---- the bare exchange ---- */

static void spin_until(int64_t end_ns)
{
    while (ws_clock_now_ns() < end_ns)
        ;
}

static char reply_bytes[4096];
static const struct ws_oip_part reply_part = {reply_bytes, sizeof(reply_bytes)};

/* `user`: what to run first, or how long to wait, if its path says so. */
static void answer_barely(void *user, const struct ws_http_request *request,
                          struct ws_http_reply *reply)
{
    const struct direct *direct = user;
    int rc = 0;
    if (strcmp(request->path, "/run") == 0)
        rc = infer(direct, NULL);
    else if (strcmp(request->path, "/wait") == 0)
        spin_until(ws_clock_now_ns() + direct->wait_ns);
    reply->status = rc == 0 ? 200 : 500;
    reply->content_type = "application/octet-stream";
    reply->parts = &reply_part;
    reply->part_count = 1;
}

/* ---- rounds ---- */

struct bench {
    struct ws_http_client *agent, *bare;
    struct ws_oip_message message;
    char header[80];
    struct direct direct;
};

static int post(double *ms, struct bench *bench, struct ws_http_client *client,
                const char *path, struct ws_error *err)
{
    struct ws_http_answer answer;
    const struct ws_http_call call = {.method = "POST",
                                      .path = path,
                                      .parts = bench->message.parts,
                                      .part_count = bench->message.part_count,
                                      .headers = {bench->header}};
    int64_t start = ws_clock_now_ns();
    int rc = ws_http_client_call(&answer, client, &call, err);
    *ms = (double)(ws_clock_now_ns() - start) / 1e6;
    if (rc == 0 && answer.status != 200)
        rc = ws_error_set(err, WS_E_REMOTE, "status %d: %.*s", answer.status,
                          (int)(answer.body_size < 200 ? answer.body_size : 200),
                          (const char *)answer.body);
    return rc;
}

/* Of all rounds, in ms. */
struct times {
    double agent[ROUNDS], run[ROUNDS], bare[ROUNDS], alone[ROUNDS], wait[ROUNDS];
    /* Of one round with itself: over the exchange that runs, over the sum, and of that
     * what waiting costs. */
    double over_run[ROUNDS], over_sum[ROUNDS], waking[ROUNDS];
};

static int take_round(struct times *t, int k, struct bench *bench, struct ws_error *err)
{
    int rc = post(&t->agent[k], bench, bench->agent, "/v2/models/model/infer", err);
    if (rc == 0)
        rc = post(&t->run[k], bench, bench->bare, "/run", err);
    if (rc == 0)
        rc = post(&t->bare[k], bench, bench->bare, "/", err);
    int64_t start = ws_clock_now_ns();
    if (rc == 0)
        rc = infer(&bench->direct, err);
    bench->direct.wait_ns = ws_clock_now_ns() - start;
    t->alone[k] = (double)bench->direct.wait_ns / 1e6;
    if (rc == 0)
        rc = post(&t->wait[k], bench, bench->bare, "/wait", err);
    t->over_run[k] = t->agent[k] - t->run[k];
    t->over_sum[k] = t->agent[k] - t->bare[k] - t->alone[k];
    t->waking[k] = t->wait[k] - t->alone[k] - t->bare[k];
    return rc;
}

static int measure(struct bench *bench, struct ws_error *err)
{
    static struct times t;
    int rc = 0;
    for (int i = -WARM_UP; rc == 0 && i < ROUNDS; i++)
        rc = take_round(&t, i < 0 ? 0 : i, bench, err);
    if (rc != 0)
        return rc;
    printf("edge-only: agent %.3f ms; over a bare exchange of %llu bytes that calls the "
           "runtime (%.3f ms): %+.1f us (median of %d; target 100)\n",
           ws_stats_median(t.agent, ROUNDS),
           (unsigned long long)bench->message.size_bytes, ws_stats_median(t.run, ROUNDS),
           1e3 * ws_stats_median(t.over_run, ROUNDS), ROUNDS);
    printf("  over a bare exchange (%.3f ms) and the runtime (%.3f ms) measured apart: "
           "%+.1f us; a client that waits so long costs %+.1f us of it\n",
           ws_stats_median(t.bare, ROUNDS), ws_stats_median(t.alone, ROUNDS),
           1e3 * ws_stats_median(t.over_sum, ROUNDS),
           1e3 * ws_stats_median(t.waking, ROUNDS));
    return 0;
}

static int prepare(struct bench *bench, const char *model, const struct ws_graph *graph,
                   struct ws_tensor *tensor, struct ws_error *err)
{
    const struct ws_engine_options threads = {.threads = 1};
    const struct ws_value *in = &graph->values[graph->inputs[0]];
    int rc = ws_sample_tensor(tensor, in->dtype, in->dims, in->rank, 1, err);
    if (rc != 0)
        return rc;
    struct ws_oip_tensor input = {
        .name = (char *)(uintptr_t)in->name, .tensor = *tensor, .is_binary = 1};
    const struct ws_oip_request request = {
        .inputs = &input, .input_count = 1, .binary_outputs = 1, .timeout_us = 1000000};
    rc = ws_oip_request_build(&bench->message, &request, err);
    (void)snprintf(bench->header, sizeof(bench->header),
                   "Inference-Header-Content-Length: %lld",
                   (long long)bench->message.header_size);
    if (rc == 0)
        rc = ws_engine_create(&bench->direct.engine, &threads, err);
    if (rc == 0)
        rc = ws_session_create(
            &bench->direct.session, bench->direct.engine,
            &(const struct ws_session_source){.path = model, .level = WS_LEVEL_ALL}, err);
    if (rc == 0)
        rc = ws_engine_value_from_tensor(&bench->direct.input, bench->direct.engine,
                                         tensor, err);
    return rc;
}

int main(int argc, char **argv)
{
    struct outfit outfit = {0};
    struct ws_serve_options options = {.guard.listen = "127.0.0.1:0"};
    struct ws_serve *serve = NULL;
    struct ws_listen listen = {.fd = -1};
    struct ws_http_server *server = NULL;
    struct bench bench = {0};
    struct ws_tensor tensor = {0};
    struct ws_error err = {0};
    const struct ws_http_client_options http = {.timeout_ms = 60000};
    char cut[32], url[80];
    if (argc != 2) {
        fputs("usage: bench_serve MODEL\n", stderr);
        return 2;
    }
    int rc = last_cut(cut, argv[1], &err);
    if (rc == 0)
        rc = outfit_init(&outfit, &options.crew, argv[1], cut, &err);
    if (rc == 0)
        rc = prepare(&bench, argv[1],
                     ws_splitter_graph(ws_executor_splitter(outfit.executor, 0)), &tensor,
                     &err);
    if (rc == 0)
        rc = ws_serve_start(&serve, &options, &err);
    if (rc == 0)
        rc = ws_listen_open(&listen, "127.0.0.1:0", 1, &err);
    const struct ws_http_server_options bare = {.fd = listen.fd,
                                                .handler = answer_barely,
                                                .user = &bench.direct,
                                                .body_max = WS_OIP_BODY_MAX,
                                                .idle_s = 60,
                                                .grace_s = 60};
    if (rc == 0)
        rc = ws_http_server_start(&server, &bare, &err);
    (void)snprintf(url, sizeof(url), "http://%s", listen.text);
    if (rc == 0)
        rc = ws_http_client_create(&bench.agent, ws_serve_url(serve), &http, &err);
    if (rc == 0)
        rc = ws_http_client_create(&bench.bare, url, &http, &err);
    if (rc == 0)
        rc = measure(&bench, &err);
    ws_http_client_destroy(bench.agent);
    ws_http_client_destroy(bench.bare);
    ws_http_server_stop(server, 1000);
    ws_listen_close(&listen);
    ws_serve_stop(serve, 1000);
    ws_engine_value_destroy(bench.direct.input);
    ws_session_destroy(bench.direct.session);
    ws_engine_destroy(bench.direct.engine);
    ws_oip_message_fini(&bench.message);
    ws_tensor_fini(&tensor);
    return rc == 0 ? 0 : die(&err);
}
