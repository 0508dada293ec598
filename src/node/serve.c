#include "node/serve.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#include "node/infer.h"
#include "node/logbook.h"
#include "node/prober.h"
#include "node/service.h"

enum {
    IDLE_S = 60,
    GRACE_S = 60,
    PROBE_STEP_MS = 100,
    LOOK_EVERY = 10, /* steps */
};

/* A crew at work. */
struct crew {
    struct ws_serve_crew given;
    struct ws_pilot *pilot;
    struct ws_stage_port *inputs; /* of the model, as its graph names them */
    size_t input_count;
    char digest[WS_DIGEST_TEXT];
    /* Under the daemon's lock: */
    size_t users; /* requests whose answer is not sent yet, and the prober */
    size_t flying;
};

struct ws_serve {
    struct ws_serve_options options;
    struct ws_guard guard;
    char url[80];
    struct ws_backend backend;
    struct ws_service service;
    struct ws_http_server *server;
    struct ws_logbook *logbook;
    struct ws_tally tally;
    pthread_mutex_t lock; /* over: */
    pthread_cond_t changed;
    struct crew *crew;
    int is_stopping;
    pthread_t prober;
    int has_prober;
};

/* What one request holds until its reply is sent. */
struct held {
    struct ws_serve *serve;
    struct crew *crew;
    struct ws_pilot_flight flight;
    struct ws_datum *inputs;
    struct ws_oip_tensor *outputs;
    struct ws_batch_result *batch; /* of one that was shared; NULL: it was none */
    struct ws_buf told;
};

/* ---- crews ---- */

static const struct ws_graph *graph_of(const struct crew *crew)
{
    return ws_splitter_graph(ws_executor_splitter(crew->given.pilot.executor, 0));
}

static int describe_inputs(struct crew *crew, struct ws_error *err)
{
    const struct ws_graph *graph = graph_of(crew);
    crew->inputs = calloc(graph->input_count + 1, sizeof(*crew->inputs));
    if (crew->inputs == NULL)
        return ws_error_nomem(err);
    crew->input_count = graph->input_count;
    for (size_t i = 0; i < graph->input_count; i++) {
        const struct ws_value *value = &graph->values[graph->inputs[i]];
        struct ws_stage_port *port = &crew->inputs[i];
        if (!value->is_tensor)
            return ws_error_set(err, WS_E_UNSUPPORTED, "input \"%.200s\" is no tensor",
                                value->name);
        *port = (struct ws_stage_port){.name = value->name,
                                       .is_tensor = 1,
                                       .dtype = value->dtype,
                                       .has_shape = value->has_shape,
                                       .rank = value->rank,
                                       .value = graph->inputs[i]};
        memcpy(port->dims, value->dims, sizeof(port->dims));
    }
    return 0;
}

static void crew_retire(struct crew *crew)
{
    if (crew == NULL)
        return;
    ws_pilot_destroy(crew->pilot);
    free(crew->inputs);
    crew->given.retire(crew->given.owner);
    free(crew);
}

static int crew_create(struct crew **out, const struct ws_serve_crew *given,
                       struct ws_error *err)
{
    struct crew *crew = calloc(1, sizeof(*crew));
    if (crew == NULL) {
        given->retire(given->owner);
        return ws_error_nomem(err);
    }
    crew->given = *given;
    int rc = describe_inputs(crew, err);
    if (rc == 0)
        rc = ws_model_digest(crew->digest, graph_of(crew)->model, err);
    if (rc == 0)
        rc = ws_pilot_create(&crew->pilot, &given->pilot, err);
    if (rc != 0)
        crew_retire(crew);
    else
        *out = crew;
    return rc;
}

/* The crew at work; it stays until it is let go. */
static struct crew *join(struct ws_serve *serve, int is_flying)
{
    (void)pthread_mutex_lock(&serve->lock);
    struct crew *crew = serve->crew;
    crew->users++;
    crew->flying += is_flying ? 1 : 0;
    (void)pthread_mutex_unlock(&serve->lock);
    return crew;
}

static void leave(struct ws_serve *serve, struct crew *crew)
{
    (void)pthread_mutex_lock(&serve->lock);
    if (--crew->users == 0)
        (void)pthread_cond_broadcast(&serve->changed);
    (void)pthread_mutex_unlock(&serve->lock);
}

static void has_flown(struct ws_serve *serve, struct crew *crew)
{
    (void)pthread_mutex_lock(&serve->lock);
    if (--crew->flying == 0)
        (void)pthread_cond_broadcast(&serve->changed);
    (void)pthread_mutex_unlock(&serve->lock);
}

/* ---- one request ---- */

static const char *policy_name(const struct crew *crew, size_t policy)
{
    const struct ws_agent_options *agent = &crew->given.pilot.agent;
    return policy == 0 ? agent->policy->name : agent->more[policy - 1]->name;
}

static int find_policy(size_t *out, const struct crew *crew, const char *name,
                       struct ws_error *err)
{
    size_t count = crew->given.pilot.agent.more_count + 1;
    for (*out = 0; name != NULL && *out < count; ++*out) {
        if (strcmp(policy_name(crew, *out), name) == 0)
            return 0;
    }
    if (name == NULL)
        return 0;
    return ws_error_set(err, WS_E_USAGE, "there is no policy \"%.64s\" here", name);
}

static int take_inputs(struct held *held, const struct ws_infer *infer,
                       struct ws_error *err)
{
    size_t count = held->crew->input_count;
    held->inputs = calloc(count + 1, sizeof(*held->inputs));
    if (held->inputs == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) /* borrowed from the request */
        held->inputs[i] = (struct ws_datum){.kind = WS_DATUM_TENSOR,
                                            .tensor = infer->matched[i]->tensor};
    return 0;
}

static int take_outputs(struct held *held, size_t *out_count, struct ws_error *err)
{
    const struct ws_flight *flight = held->flight.flight;
    const struct ws_graph *graph = ws_flight_graph(flight);
    const struct ws_datum *data = ws_flight_outputs(flight, out_count);
    held->outputs = calloc(*out_count + 1, sizeof(*held->outputs));
    if (held->outputs == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < *out_count; i++) {
        const char *name = graph->values[graph->outputs[i]].name;
        held->outputs[i].name = (char *)(uintptr_t)name;
        held->outputs[i].is_borrowed = 1;
        if (data[i].kind == WS_DATUM_TENSOR)
            held->outputs[i].tensor = data[i].tensor;
    }
    return 0;
}

static int answer(struct held *held, struct ws_infer *infer,
                  const struct ws_logbook_entry *entry,
                  const struct ws_http_request *request, struct ws_error *err)
{
    size_t count = 0;
    const struct ws_pilot_flight *flight = &held->flight;
    struct ws_oip_times times = {
        .is_known = infer->request.wants_times,
        .queue_ns = (int64_t)(flight->queue_ms * 1e6),
        .total_ns = ws_clock_now_ns() - request->received_ns,
    };
    times.compute_ns = times.total_ns - times.queue_ns;
    ws_buf_init(&held->told, 0);
    int rc = take_outputs(held, &count, err);
    if (rc == 0)
        rc = ws_logbook_tell(&held->told, entry, err);
    if (rc == 0)
        rc = ws_infer_answer(infer, held->outputs, count, held->crew->given.name, &times,
                             held->told.data, request, err);
    return rc;
}

static void add_tally(struct ws_serve *serve, const struct ws_pilot_flight *flight,
                      const struct ws_http_request *request, int rc)
{
    int64_t total = ws_clock_now_ns() - request->received_ns;
    if (rc != 0) {
        ws_tally_fail(&serve->tally, total);
        return;
    }
    const struct ws_tally_parts parts = {.queue_ns = (int64_t)(flight->queue_ms * 1e6),
                                         .compute_ns =
                                             total - (int64_t)(flight->queue_ms * 1e6),
                                         .total_ns = total};
    ws_tally_add(&serve->tally, &parts);
}

/* From the inputs on: flown, told, answered. */
static int serve_one(struct held *held, struct ws_infer *infer,
                     const struct ws_http_request *request, struct ws_error *err)
{
    struct crew *crew = held->crew;
    size_t policy = 0;
    int rc = find_policy(&policy, crew, infer->request.policy, err);
    if (rc == 0)
        rc = take_inputs(held, infer, err);
    if (rc != 0)
        return rc;
    const struct ws_pilot_request asked = {
        .inputs = held->inputs,
        .input_count = crew->input_count,
        .received_ns = request->received_ns,
        .deadline_ms = (double)infer->request.timeout_us / 1e3,
        .min_accuracy = infer->request.min_accuracy,
        .policy = policy,
    };
    struct ws_error local = {0};
    struct ws_error *to = err != NULL ? err : &local;
    rc = ws_pilot_fly(&held->flight, crew->pilot, &asked, to);
    const struct ws_logbook_entry entry = {
        .pilot = crew->pilot,
        .request = &asked,
        .flight = &held->flight,
        .policy = policy_name(crew, policy),
        .boundary = crew->given.boundary,
        .id = infer->request.id,
        .rc = rc,
        .why = to->text,
    };
    if (rc == 0)
        rc = answer(held, infer, &entry, request, to);
    ws_logbook_add(held->serve->logbook, &entry);
    return rc;
}

/* The same for a batch that a cluster shares. */
static int serve_batch(struct held *held, struct ws_infer *infer,
                       const struct ws_http_request *request, struct ws_error *err)
{
    struct crew *crew = held->crew;
    struct ws_batcher *batcher = crew->given.batcher;
    const struct ws_graph *graph = graph_of(crew);
    if (batcher == NULL)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "there is no cluster here to share a batch among");
    if (crew->input_count != 1)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "a batch is of a model with one input, \"%.200s\" has %zu",
                            crew->given.name, crew->input_count);
    struct ws_batch_result *result = calloc(1, sizeof(*result));
    held->outputs = calloc(1, sizeof(*held->outputs));
    if (result == NULL || held->outputs == NULL) {
        free(result);
        return ws_error_nomem(err);
    }
    int rc = ws_batcher_run(result, batcher, &infer->request, &infer->matched[0]->tensor,
                            request->received_ns, err);
    if (rc != 0) {
        free(result);
        return rc;
    }
    held->batch = result;
    held->outputs[0] = (struct ws_oip_tensor){
        .name = (char *)(uintptr_t)graph->values[graph->outputs[0]].name,
        .is_borrowed = 1,
        .tensor = result->outputs};
    const struct ws_oip_times times = {.is_known = infer->request.wants_times,
                                       .compute_ns = (int64_t)(result->time_s * 1e9),
                                       .total_ns =
                                           ws_clock_now_ns() - request->received_ns};
    ws_buf_init(&held->told, 0);
    rc = ws_batcher_tell(&held->told, batcher, &infer->request, result, err);
    return rc == 0 ? ws_infer_answer(infer, held->outputs, 1, crew->given.name, &times,
                                     held->told.data, request, err)
                   : rc;
}

static int infer(void *user, struct ws_infer *infer, const char *name,
                 const struct ws_http_request *request, struct ws_error *err)
{
    struct ws_serve *serve = user;
    (void)name;
    struct held *held = calloc(1, sizeof(*held));
    if (held == NULL)
        return ws_error_nomem(err);
    infer->of_backend = held;
    held->serve = serve;
    struct crew *crew = held->crew = join(serve, 1);
    int rc = ws_infer_read(infer, crew->inputs, crew->input_count, crew->digest,
                           serve->service.body_max, request, err);
    if (rc == 0)
        rc = ws_batcher_is_for(&infer->request) ? serve_batch(held, infer, request, err)
                                                : serve_one(held, infer, request, err);
    has_flown(serve, crew);
    add_tally(serve, &held->flight, request, rc);
    return rc;
}

static void release(void *user, struct ws_infer *infer)
{
    struct ws_serve *serve = user;
    struct held *held = infer->of_backend;
    if (held == NULL)
        return;
    ws_pilot_land(held->crew->pilot, &held->flight);
    leave(serve, held->crew);
    if (held->batch != NULL)
        ws_batch_result_fini(held->batch);
    free(held->batch);
    free(held->inputs);
    free(held->outputs);
    ws_buf_fini(&held->told);
    free(held);
    infer->of_backend = NULL;
}

/* ---- what else clients ask ---- */

static int each_model(void *user, ws_host_model_fn visit, void *visitor,
                      struct ws_error *err)
{
    struct ws_serve *serve = user;
    struct crew *crew = join(serve, 0);
    int rc = visit(visitor, crew->given.name, 1, err);
    leave(serve, crew);
    return rc;
}

static struct ws_tally *tally_of(void *user, const char *name)
{
    struct ws_serve *serve = user;
    struct crew *crew = join(serve, 0);
    int is_ours = strcmp(crew->given.name, name) == 0;
    leave(serve, crew);
    return is_ours ? &serve->tally : NULL;
}

static int fill_port(struct ws_oip_port *to, const struct ws_value *from)
{
    to->name = strdup(from->name);
    to->dtype = from->dtype;
    to->has_shape = from->has_shape;
    to->rank = from->rank;
    memcpy(to->dims, from->dims, sizeof(to->dims));
    return to->name == NULL ? WS_E_NOMEM : 0;
}

static int describe_crew(struct ws_oip_model *out, const struct crew *crew,
                         struct ws_error *err)
{
    const struct ws_graph *graph = graph_of(crew);
    struct ws_oip_model model = {.name = strdup(crew->given.name),
                                 .digest = strdup(crew->digest)};
    model.inputs = calloc(graph->input_count + 1, sizeof(*model.inputs));
    model.outputs = calloc(graph->output_count + 1, sizeof(*model.outputs));
    int rc = model.name == NULL || model.digest == NULL || model.inputs == NULL ||
                     model.outputs == NULL
                 ? WS_E_NOMEM
                 : 0;
    for (size_t i = 0; rc == 0 && i < graph->input_count; i++)
        rc = fill_port(&model.inputs[model.input_count++],
                       &graph->values[graph->inputs[i]]);
    for (size_t i = 0; rc == 0 && i < graph->output_count; i++)
        rc = fill_port(&model.outputs[model.output_count++],
                       &graph->values[graph->outputs[i]]);
    if (rc != 0) {
        ws_oip_model_fini(&model);
        return ws_error_nomem(err);
    }
    *out = model;
    return 0;
}

static int describe(void *user, struct ws_oip_model *out, const char *name,
                    struct ws_error *err)
{
    struct ws_serve *serve = user;
    struct crew *crew = join(serve, 0);
    int rc = strcmp(crew->given.name, name) == 0
                 ? describe_crew(out, crew, err)
                 : ws_error_set(err, WS_E_NOT_FOUND, "no model \"%.200s\"", name);
    leave(serve, crew);
    return rc;
}

static int metrics(void *user, struct ws_buf *out, struct ws_error *err)
{
    struct ws_serve *serve = user;
    struct crew *crew = join(serve, 0);
    int rc = ws_logbook_write(out, serve->logbook, crew->pilot, err);
    leave(serve, crew);
    return rc;
}

/* ---- the prober ---- */

/* Waits one step; 0: it is time to stop. */
static int wait_step(struct ws_serve *serve)
{
    int64_t until = ws_clock_now_ns() + (int64_t)PROBE_STEP_MS * 1000000;
    const struct timespec at = {until / 1000000000, until % 1000000000};
    (void)pthread_mutex_lock(&serve->lock);
    if (!serve->is_stopping)
        (void)pthread_cond_timedwait(&serve->changed, &serve->lock, &at);
    int goes_on = !serve->is_stopping;
    (void)pthread_mutex_unlock(&serve->lock);
    return goes_on;
}

static void *probe(void *user)
{
    struct ws_serve *serve = user;
    unsigned step = 0;
    do {
        struct crew *crew = join(serve, 0);
        /* One, and what confirms it: nodes that hang must not keep this thread from
         * seeing that it is over. */
        if (ws_prober_step(crew->pilot))
            (void)ws_prober_step(crew->pilot);
        ws_prober_connect(crew->pilot);
        if (step++ % LOOK_EVERY == 0)
            ws_prober_look(crew->pilot, serve->options.fs);
        leave(serve, crew);
    } while (wait_step(serve));
    return NULL;
}

/* ---- life ---- */

static void init(struct ws_serve *serve, const struct ws_serve_options *options)
{
    pthread_condattr_t monotonic;
    serve->options = *options;

    (void)pthread_mutex_init(&serve->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&serve->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    ws_tally_init(&serve->tally);
    serve->backend = (struct ws_backend){.user = serve,
                                         .each_model = each_model,
                                         .describe = describe,
                                         .tally = tally_of,
                                         .infer = infer,
                                         .release = release,
                                         .metrics = metrics};
    ws_service_init_backend(&serve->service, &serve->backend,
                            options->body_max > 0 ? options->body_max : WS_OIP_BODY_MAX);
}

static int start_threads(struct ws_serve *serve, struct ws_error *err)
{
    const struct ws_http_server_options http = {
        .fd = serve->guard.listen.fd,
        .tls = serve->guard.tls,
        .handler = ws_service_handle,
        .admit = ws_service_admit,
        .user = &serve->service,
        .body_max = serve->service.body_max,
        .idle_s = serve->options.idle_s > 0 ? serve->options.idle_s : IDLE_S,
        .grace_s = serve->options.grace_s > 0 ? serve->options.grace_s : GRACE_S,
    };
    if (pthread_create(&serve->prober, NULL, probe, serve) != 0)
        return ws_error_set(err, WS_E_LIMIT, "the prober's thread cannot be started");
    serve->has_prober = 1;
    return ws_http_server_start(&serve->server, &http, err);
}

int ws_serve_start(struct ws_serve **out, const struct ws_serve_options *options,
                   struct ws_error *err)
{
    struct ws_serve *serve = calloc(1, sizeof(*serve));
    if (serve == NULL) {
        options->crew.retire(options->crew.owner);
        return ws_error_nomem(err);
    }
    init(serve, options);
    struct ws_guard_options guard = options->guard;
    guard.open_rights = WS_RIGHT_ALL;
    int rc = crew_create(&serve->crew, &options->crew, err);
    if (rc == 0)
        rc = ws_guard_open(&serve->guard, &guard, err);
    serve->service.access = serve->guard.access;
    if (rc == 0)
        rc = ws_logbook_create(&serve->logbook, err);
    if (rc == 0)
        rc = start_threads(serve, err);
    if (rc == 0)
        ws_guard_url(serve->url, sizeof(serve->url), &serve->guard);
    if (rc != 0)
        ws_serve_stop(serve, 0);
    else
        *out = serve;
    return rc;
}

int ws_serve_replace(struct ws_serve *serve, const struct ws_serve_crew *given,
                     struct ws_error *err)
{
    struct crew *crew = NULL;
    int rc = crew_create(&crew, given, err);
    if (rc != 0)
        return rc;
    /* From here on requests come to the new one, which waits for the edge to be free. */
    ws_pilot_hold(crew->pilot);
    (void)pthread_mutex_lock(&serve->lock);
    struct crew *old = serve->crew;
    serve->crew = crew;
    while (old->flying > 0)
        (void)pthread_cond_wait(&serve->changed, &serve->lock);
    (void)pthread_mutex_unlock(&serve->lock);
    ws_pilot_inherit(crew->pilot, old->pilot);
    ws_pilot_go(crew->pilot);
    (void)pthread_mutex_lock(&serve->lock);
    while (old->users > 0)
        (void)pthread_cond_wait(&serve->changed, &serve->lock);
    (void)pthread_mutex_unlock(&serve->lock);
    ws_pilot_wait_landed(old->pilot);
    crew_retire(old);
    ws_logbook_reload(serve->logbook);
    return 0;
}

void ws_serve_stop(struct ws_serve *serve, int64_t drain_ms)
{
    if (serve == NULL)
        return;
    atomic_store(&serve->service.is_draining, 1);
    ws_http_server_stop(serve->server, drain_ms);
    if (serve->has_prober) {
        (void)pthread_mutex_lock(&serve->lock);
        serve->is_stopping = 1;
        (void)pthread_cond_broadcast(&serve->changed);
        (void)pthread_mutex_unlock(&serve->lock);
        (void)pthread_join(serve->prober, NULL);
    }
    if (serve->crew != NULL && serve->crew->pilot != NULL)
        ws_pilot_wait_landed(serve->crew->pilot);
    crew_retire(serve->crew);
    ws_logbook_destroy(serve->logbook);
    ws_tally_fini(&serve->tally);
    ws_service_fini(&serve->service);
    ws_guard_close(&serve->guard);
    (void)pthread_cond_destroy(&serve->changed);
    (void)pthread_mutex_destroy(&serve->lock);
    free(serve);
}

const char *ws_serve_url(const struct ws_serve *serve)
{
    return serve->url;
}

const struct ws_guard *ws_serve_guard(const struct ws_serve *serve)
{
    return &serve->guard;
}
