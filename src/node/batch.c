#include "node/batch.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "split/remote.h"

enum {
    TIMEOUT_MS = 30000,
    RETRY_MS = 300,
    PATIENCE_MS = 10000,
    READY_MS = 2000, /* nodes that take longer to reach join later */
    TICK_MS = 100,
    FAILURES_MAX = 3, /* of a node one after the other, until it is left out */
};

struct batch;

/* One of a node's connections: one chunk at a time. */
struct worker {
    struct batch *batch;
    size_t node;
    int is_first; /* of its node: it tries again while the node is gone */
    pthread_t thread;
    int64_t retry_ns;         /* not before that */
    struct ws_remote *remote; /* NULL: not connected */
};

struct batch {
    const struct ws_batch_options *options;
    struct ws_batch_view view;
    struct ws_batch_result *result;
    size_t images, row_bytes_in;
    atomic_int stop;
    /* All below under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct ws_dispatch *dispatch; /* NULL: not started */
    int64_t start_ns, last_result_ns, end_ns;
    size_t connected[WS_SHARE_NODES_MAX]; /* workers that are */
    size_t tried;                         /* workers that have tried once */
    int failures[WS_SHARE_NODES_MAX];
    size_t row_bytes_out;
    int rc; /* what ends the batch */
    struct ws_error err;
    struct ws_error last; /* of a node */
};

void ws_batch_view_init(struct ws_batch_view *view, const struct ws_cluster *cluster)
{
    *view = (struct ws_batch_view){0};
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct ws_cluster_node *from = &cluster->nodes[i];
        struct ws_dispatch_node *to = &view->nodes[i];
        for (size_t j = 0; j < cluster->variant_count; j++) {
            if (!from->speeds[j].is_here)
                continue;
            view->variant_of[i][to->level_count] = j;
            view->levels[i][to->level_count++] = (struct ws_share_level){
                .image_s = from->speeds[j].image_s,
                .accuracy = cluster->variants[j].accuracy,
                .energy_j = from->speeds[j].image_j,
            };
        }
        to->levels = view->levels[i];
        to->delay_s = from->delay_s;
        to->send_s = from->send_s;
        to->request_s = from->request_s;
    }
}

static double now_s(const struct batch *batch)
{
    return (double)(ws_clock_now_ns() - batch->start_ns) / 1e9;
}

static int64_t or_else(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

/* Waits for a change, at most until then. Called with the lock. */
static void wait_until(struct batch *batch, int64_t until_ns)
{
    const struct timespec until = {.tv_sec = until_ns / 1000000000,
                                   .tv_nsec = until_ns % 1000000000};
    (void)pthread_cond_clockwait(&batch->changed, &batch->lock, CLOCK_MONOTONIC, &until);
}

static struct ws_remote_options remote_to(const struct worker *worker, size_t level)
{
    const struct batch *batch = worker->batch;
    const struct ws_cluster *cluster = batch->options->cluster;
    return (struct ws_remote_options){
        .url = cluster->nodes[worker->node].url,
        .identity = batch->options->identity,
        .name = cluster->variants[batch->view.variant_of[worker->node][level]].name,
        .timeout_ms = or_else(batch->options->timeout_ms, TIMEOUT_MS),
        .stop = &batch->stop};
}

/* A connection, over which every level of the node was asked about: what follows costs no
 * questions. Called without the lock. */
static int connect_worker(struct worker *worker, struct ws_error *err)
{
    struct ws_remote *remote = NULL;
    struct ws_remote_options to = remote_to(worker, 0);
    int rc = ws_remote_open(&remote, &to, err);
    for (size_t j = 0; rc == 0 && j < worker->batch->view.nodes[worker->node].level_count;
         j++) {
        to = remote_to(worker, j);
        rc = ws_remote_select(remote, &to, err);
        if (rc == 0 && ws_remote_model(remote)->input_count != 1)
            rc = ws_error_set(err, WS_E_UNSUPPORTED,
                              "\"%.100s\" has %zu inputs; a batch can be shared of "
                              "models with one",
                              to.name, ws_remote_model(remote)->input_count);
    }
    if (rc == 0) {
        worker->remote = remote;
        return 0;
    }
    ws_remote_close(remote);
    return ws_error_context(err, "node %.100s",
                            worker->batch->options->cluster->nodes[worker->node].name);
}

static void disconnect_worker(struct worker *worker)
{
    ws_remote_close(worker->remote);
    worker->remote = NULL;
}

/* Keeps those rows of a reply that are still wanted. Called with the lock. */
static int keep_rows(struct batch *batch, const struct ws_dispatch_chunk *chunk,
                     const struct ws_oip_reply *reply, struct ws_error *err)
{
    struct ws_batch_result *result = batch->result;
    if (reply->output_count == 0)
        return ws_error_set(err, WS_E_MISMATCH, "the reply has no output");
    const struct ws_tensor *got = &reply->outputs[0].tensor;
    if (got->dtype == WS_DTYPE_STRING || got->rank == 0 ||
        got->dims[0] != (int64_t)chunk->count || got->size_bytes % chunk->count != 0)
        return ws_error_set(err, WS_E_MISMATCH,
                            "output \"%.100s\": for %zu inputs %lld rows came",
                            reply->outputs[0].name, chunk->count,
                            got->rank == 0 ? -1LL : (long long)got->dims[0]);
    if (result->outputs.dtype == WS_DTYPE_UNDEFINED) {
        int64_t dims[WS_TENSOR_RANK_MAX];
        memcpy(dims, got->dims, sizeof(dims));
        dims[0] = (int64_t)batch->images;
        int rc = ws_tensor_init(&result->outputs, got->dtype, dims, got->rank, err);
        if (rc != 0)
            return rc;
        batch->row_bytes_out = got->size_bytes / chunk->count;
    }
    if (got->dtype != result->outputs.dtype ||
        got->size_bytes != batch->row_bytes_out * chunk->count)
        return ws_error_set(err, WS_E_MISMATCH,
                            "output \"%.100s\" is not of the other variants' shape",
                            reply->outputs[0].name);
    for (size_t i = 0; i < chunk->count; i++) {
        if (ws_dispatch_wants(batch->dispatch, chunk->first + i) &&
            batch->row_bytes_out > 0)
            memcpy(
                (char *)result->outputs.data + (chunk->first + i) * batch->row_bytes_out,
                (const char *)got->data + i * batch->row_bytes_out, batch->row_bytes_out);
    }
    return 0;
}

/* What a node says of the energy of one request. */
static void keep_energy(struct batch *batch, const struct ws_dispatch_chunk *chunk,
                        const struct ws_oip_reply *reply)
{
    json_t *joules = json_object_get(reply->parameters, "energy_j");
    if (!json_is_number(joules) || !(json_number_value(joules) >= 0))
        return;
    batch->result->told_j += json_number_value(joules);
    batch->result->told_count += chunk->count;
}

static int exchange(struct ws_oip_reply *reply, struct worker *worker,
                    const struct ws_dispatch_chunk *chunk, struct ws_error *err)
{
    struct batch *batch = worker->batch;
    struct ws_remote *remote = worker->remote;
    const struct ws_remote_options to = remote_to(worker, chunk->level);
    struct ws_remote_times times;
    int rc = ws_remote_select(remote, &to, err);
    if (rc != 0)
        return rc;
    struct ws_oip_tensor input = {.name = ws_remote_model(remote)->inputs[0].name,
                                  .tensor = *batch->options->inputs};
    input.tensor.dims[0] = (int64_t)chunk->count;
    input.tensor.size_bytes = chunk->count * batch->row_bytes_in;
    input.tensor.data = (char *)input.tensor.data + chunk->first * batch->row_bytes_in;
    return ws_remote_infer(reply, remote, &input, 1, &times, err);
}

/* A node is left out until it can be reached again. Called with the lock. */
static void leave(struct batch *batch, size_t node)
{
    batch->connected[node] = 0;
    if (batch->result->loss_s < 0) {
        batch->result->loss_s = now_s(batch);
        ws_dispatch_read(&batch->result->at_loss, batch->dispatch);
    }
    ws_dispatch_leave(batch->dispatch, node, now_s(batch));
}

static void work_chunk(struct worker *worker, const struct ws_dispatch_chunk *chunk)
{
    struct batch *batch = worker->batch;
    struct ws_oip_reply reply = {0};
    struct ws_error err = {0};
    (void)pthread_mutex_unlock(&batch->lock);
    int rc = exchange(&reply, worker, chunk, &err);
    (void)pthread_mutex_lock(&batch->lock);
    int has_reply = rc == 0;
    if (rc == 0)
        rc = keep_rows(batch, chunk, &reply, &err);
    if (rc == 0) {
        keep_energy(batch, chunk, &reply);
        ws_dispatch_done(batch->dispatch, chunk, now_s(batch));
        batch->failures[worker->node] = 0;
        batch->last_result_ns = ws_clock_now_ns();
        if (batch->end_ns == 0 && ws_dispatch_is_finished(batch->dispatch))
            batch->end_ns = batch->last_result_ns;
    } else if (!atomic_load(&batch->stop)) {
        (void)ws_error_context(&err, "node %.100s",
                               batch->options->cluster->nodes[worker->node].name);
        batch->last = err;
        ws_dispatch_fail(batch->dispatch, chunk, now_s(batch));
        batch->failures[worker->node]++;
        if (rc == WS_E_IO || rc == WS_E_TIMEOUT ||
            batch->failures[worker->node] >= FAILURES_MAX)
            leave(batch, worker->node);
    }
    if (has_reply)
        ws_oip_reply_fini(&reply);
    (void)pthread_cond_broadcast(&batch->changed);
}

/* Connects, or finds that it cannot; says so. Called with the lock. */
static void try_node(struct worker *worker)
{
    struct batch *batch = worker->batch;
    struct ws_error err = {0};
    (void)pthread_mutex_unlock(&batch->lock);
    disconnect_worker(worker);
    int rc = connect_worker(worker, &err);
    (void)pthread_mutex_lock(&batch->lock);
    if (rc == 0 && batch->connected[worker->node]++ == 0 && batch->dispatch != NULL) {
        batch->failures[worker->node] = 0;
        ws_dispatch_join(batch->dispatch, worker->node, now_s(batch));
    }
    if (rc != 0)
        batch->last = err;
    (void)pthread_cond_broadcast(&batch->changed);
}

static void *work(void *user)
{
    struct worker *worker = user;
    struct batch *batch = worker->batch;
    int64_t retry_ns = or_else(batch->options->retry_ms, RETRY_MS) * 1000000;
    struct ws_dispatch_chunk chunk;
    int has_address = batch->options->cluster->nodes[worker->node].url[0] != '\0';
    (void)pthread_mutex_lock(&batch->lock);
    if (has_address)
        try_node(worker);
    batch->tried++;
    (void)pthread_cond_broadcast(&batch->changed);
    worker->retry_ns = ws_clock_now_ns() + retry_ns;
    while (!atomic_load(&batch->stop)) {
        int is_there = batch->connected[worker->node] > 0;
        int is_ready = is_there && worker->remote != NULL;
        if (batch->dispatch != NULL && is_ready &&
            ws_dispatch_next(batch->dispatch, &chunk, worker->node, now_s(batch))) {
            work_chunk(worker, &chunk);
        } else if (has_address && !is_ready && (is_there || worker->is_first) &&
                   ws_clock_now_ns() >= worker->retry_ns) {
            try_node(worker);
            worker->retry_ns = ws_clock_now_ns() + retry_ns;
        } else {
            wait_until(batch, ws_clock_now_ns() + TICK_MS * 1000000LL);
        }
    }
    (void)pthread_mutex_unlock(&batch->lock);
    disconnect_worker(worker);
    return NULL;
}

/* Waits for connections and starts the clock. Called with the lock. */
static int begin(struct batch *batch, size_t worker_count, struct ws_error *err)
{
    const struct ws_batch_options *options = batch->options;
    int64_t until_ns = ws_clock_now_ns() + READY_MS * 1000000LL;
    while (batch->tried < worker_count && ws_clock_now_ns() < until_ns)
        wait_until(batch, until_ns);
    for (size_t i = 0; i < options->cluster->node_count; i++)
        batch->view.nodes[i].is_away = batch->connected[i] == 0;
    const struct ws_dispatch_options how = {.nodes = batch->view.nodes,
                                            .node_count = options->cluster->node_count,
                                            .images = batch->images,
                                            .images_per_s = options->images_per_s,
                                            .min_accuracy = options->min_accuracy,
                                            .knows_energy =
                                                ws_cluster_knows_energy(options->cluster),
                                            .goal = options->goal,
                                            .keep = options->keep,
                                            .reserve = options->reserve,
                                            .chunk_max = options->chunk_max,
                                            .counts = options->counts};
    batch->start_ns = batch->last_result_ns = ws_clock_now_ns();
    int rc = ws_dispatch_create(&batch->dispatch, &how, 0.0, err);
    (void)pthread_cond_broadcast(&batch->changed);
    return rc;
}

/* Sees to it that the batch ends: gives overdue chunks to others, and up when there is
 * nobody left. Called with the lock. */
static int watch(struct batch *batch, struct ws_error *err)
{
    const struct ws_batch_options *options = batch->options;
    int64_t patience_ns = or_else(options->patience_ms, PATIENCE_MS) * 1000000;
    struct ws_dispatch_state state;
    while (!ws_dispatch_is_finished(batch->dispatch)) {
        int64_t now_ns = ws_clock_now_ns();
        double wake_s = ws_dispatch_wake_s(batch->dispatch);
        int64_t until_ns = now_ns + TICK_MS * 1000000LL;
        if (wake_s < now_s(batch) + TICK_MS / 1e3)
            until_ns = batch->start_ns + (int64_t)(1e9 * wake_s) + 1;
        ws_dispatch_read(&state, batch->dispatch);
        if (options->progress != NULL)
            options->progress(options->user, &state, batch->images);
        if (now_ns - batch->last_result_ns > patience_ns)
            return ws_error_set(
                err, batch->last.code != 0 ? batch->last.code : WS_E_TIMEOUT,
                "%zu of %zu inputs have no result and none came for %lld ms; last: %s",
                batch->images - state.done, batch->images,
                (long long)(patience_ns / 1000000),
                batch->last.code != 0 ? batch->last.text : "nothing");
        wait_until(batch, until_ns);
        ws_dispatch_tick(batch->dispatch, now_s(batch));
        (void)pthread_cond_broadcast(&batch->changed);
    }
    return 0;
}

static int take_results(struct batch *batch, struct ws_error *err)
{
    struct ws_batch_result *result = batch->result;
    result->time_s = (double)(batch->end_ns - batch->start_ns) / 1e9;
    ws_dispatch_read(&result->state, batch->dispatch);
    result->plan = *ws_dispatch_plan(batch->dispatch);
    result->plan.counts = NULL;
    result->node = calloc(batch->images, 1);
    result->variant = calloc(batch->images, 1);
    if (result->node == NULL || result->variant == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < batch->images; i++) {
        size_t node = 0, level = 0;
        int rc = ws_dispatch_result(&node, &level, batch->dispatch, i);
        assert(rc == 0);
        (void)rc;
        size_t variant = batch->view.variant_of[node][level];
        result->node[i] = (uint8_t)node;
        result->variant[i] = (uint8_t)variant;
        result->counts[node][variant]++;
    }
    for (size_t i = 0; i < batch->options->cluster->node_count; i++) {
        for (size_t j = 0; j < batch->view.nodes[i].level_count; j++) {
            size_t count = 0;
            double image_s = ws_dispatch_observed(&count, batch->dispatch, i, j);
            if (count > 0)
                result->image_s[i][batch->view.variant_of[i][j]] = image_s;
        }
    }
    if (batch->options->progress != NULL)
        batch->options->progress(batch->options->user, &result->state, batch->images);
    return 0;
}

static int check(const struct ws_batch_options *options, struct ws_error *err)
{
    const struct ws_tensor *inputs = options->inputs;
    if (inputs->rank == 0 || inputs->dims[0] < 1 || inputs->dtype == WS_DTYPE_STRING ||
        (uint64_t)inputs->dims[0] > WS_BATCH_MAX)
        return ws_error_set(err, WS_E_TYPE,
                            "inputs [N, ...] of numbers are needed, N from 1 to %d",
                            WS_BATCH_MAX);
    size_t first = 0; /* that has an address */
    while (first < options->cluster->node_count &&
           options->cluster->nodes[first].url[0] == '\0')
        first++;
    if (first == options->cluster->node_count)
        return ws_error_set(err, WS_E_USAGE, "node \"%.100s\" has no url, nor any other",
                            options->cluster->nodes[0].name);
    return ws_cluster_check_measured(options->cluster, err);
}

int ws_batch_run(struct ws_batch_result *out, const struct ws_batch_options *options,
                 struct ws_error *err)
{
    struct ws_batch_result *result = NULL;
    struct worker *workers = NULL;
    size_t started = 0, count = options->cluster->node_count * WS_DISPATCH_DEPTH;
    int rc = check(options, err);
    if (rc != 0)
        return rc;
    struct batch *batch = calloc(1, sizeof(*batch));
    result = calloc(1, sizeof(*result));
    workers = calloc(count, sizeof(*workers));
    if (batch == NULL || result == NULL || workers == NULL) {
        free(batch);
        free(result);
        free(workers);
        return ws_error_nomem(err);
    }
    batch->options = options;
    batch->result = result;
    result->loss_s = -1.0;
    batch->images = (size_t)options->inputs->dims[0];
    batch->row_bytes_in = options->inputs->size_bytes / batch->images;
    ws_batch_view_init(&batch->view, options->cluster);
    (void)pthread_mutex_init(&batch->lock, NULL);
    (void)pthread_cond_init(&batch->changed, NULL);
    (void)pthread_mutex_lock(&batch->lock);
    for (; rc == 0 && started < count; started++) {
        workers[started] = (struct worker){.batch = batch,
                                           .node = started / WS_DISPATCH_DEPTH,
                                           .is_first = started % WS_DISPATCH_DEPTH == 0};
        rc = pthread_create(&workers[started].thread, NULL, work, &workers[started]);
        if (rc != 0) {
            rc = ws_error_set_errno(err, WS_E_LIMIT, rc, "a thread");
            break;
        }
    }
    if (rc == 0)
        rc = begin(batch, count, err);
    if (rc == 0)
        rc = watch(batch, err);
    if (rc == 0)
        rc = take_results(batch, err);
    atomic_store(&batch->stop, 1);
    (void)pthread_cond_broadcast(&batch->changed);
    (void)pthread_mutex_unlock(&batch->lock);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(workers[i].thread, NULL);
    ws_dispatch_destroy(batch->dispatch);
    (void)pthread_cond_destroy(&batch->changed);
    (void)pthread_mutex_destroy(&batch->lock);
    if (rc == 0)
        *out = *result;
    else
        ws_batch_result_fini(result);
    free(result);
    free(workers);
    free(batch);
    return rc;
}

void ws_batch_result_fini(struct ws_batch_result *result)
{
    ws_tensor_fini(&result->outputs);
    free(result->node);
    free(result->variant);
    result->node = result->variant = NULL;
}
