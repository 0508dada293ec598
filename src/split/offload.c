#include "split/offload.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "split/pipe.h"

enum state { IDLE, ASKED, DONE, DROPPED /* asked, and nobody waits */ };

struct ws_offload {
    struct ws_splitter *splitter;
    size_t input_count, output_count;
    char *model_name, *url;
    enum ws_codec codec;
    enum ws_encoding encoding;
    int64_t timeout_ms;
    struct ws_http_identity identity;
    /* The thread's alone. */
    struct ws_relay *relay;
    struct ws_pipe *pipe;
    /* Whose they are, the state says: the thread's while asked or dropped. */
    struct ws_datum *inputs, *outputs;
    struct ws_passage_times times;
    int rc;
    struct ws_error err;

    pthread_t thread;
    int has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum state state;
    int is_ending;
};

static int run_here(struct ws_offload *offload)
{
    struct ws_pipe_times times = {0};
    int rc = 0;
    int64_t start = ws_clock_now_ns();
    if (offload->pipe == NULL) {
        const struct ws_pipe_options options = {.codec = offload->codec,
                                                .encoding = offload->encoding};
        rc = ws_pipe_create(&offload->pipe, offload->splitter, &options, &offload->err);
    }
    if (rc == 0)
        rc = ws_pipe_run_datums(offload->pipe, offload->inputs, offload->outputs, &times,
                                &offload->err);
    offload->times = (struct ws_passage_times){.encode_ns = times.encode_ns,
                                               .is_told = 1,
                                               .cloud_ns = times.tail_ns,
                                               .decode_ns = times.decode_ns,
                                               .total_ns = ws_clock_now_ns() - start,
                                               .tensor_bytes = times.tensor_bytes,
                                               .sent_bytes = (size_t)times.wire_bytes};
    return rc;
}

static int run_there(struct ws_offload *offload)
{
    int rc = 0;
    if (offload->relay == NULL) {
        const struct ws_relay_options options = {.codec = offload->codec,
                                                 .model_name = offload->model_name,
                                                 .url = offload->url,
                                                 .identity = offload->identity,
                                                 .encoding = offload->encoding,
                                                 .timeout_ms = offload->timeout_ms};
        rc = ws_relay_create(&offload->relay, offload->splitter, &options, &offload->err);
    }
    if (rc == 0)
        rc = ws_relay_run(offload->relay, offload->inputs, offload->outputs,
                          &offload->times, &offload->err);
    return rc;
}

static void clear(struct ws_datum *data, size_t count)
{
    for (size_t i = 0; data != NULL && i < count; i++)
        ws_datum_fini(&data[i]);
}

static void *serve(void *user)
{
    struct ws_offload *offload = user;
    (void)pthread_mutex_lock(&offload->lock);
    while (!offload->is_ending) {
        if (offload->state != ASKED) {
            (void)pthread_cond_wait(&offload->changed, &offload->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&offload->lock);
        offload->rc = offload->url == NULL ? run_here(offload) : run_there(offload);
        (void)pthread_mutex_lock(&offload->lock);
        if (offload->state == DROPPED)
            clear(offload->outputs, offload->output_count);
        clear(offload->inputs, offload->input_count);
        offload->state = offload->state == DROPPED ? IDLE : DONE;
        (void)pthread_cond_broadcast(&offload->changed);
    }
    (void)pthread_mutex_unlock(&offload->lock);
    return NULL;
}

static int prepare(struct ws_offload *offload, const struct ws_offload_options *options,
                   struct ws_error *err)
{
    const struct ws_graph *graph = ws_splitter_graph(options->splitter);
    pthread_condattr_t attr;
    (void)pthread_mutex_init(&offload->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&offload->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    offload->input_count = graph->input_count;
    offload->output_count = graph->output_count;
    offload->inputs = calloc(graph->input_count + 1, sizeof(*offload->inputs));
    offload->outputs = calloc(graph->output_count + 1, sizeof(*offload->outputs));
    offload->model_name = strdup(options->model_name);
    offload->url = options->url == NULL ? NULL : strdup(options->url);
    if (offload->inputs == NULL || offload->outputs == NULL ||
        offload->model_name == NULL || (options->url != NULL && offload->url == NULL))
        return ws_error_nomem(err);
    int errnum = pthread_create(&offload->thread, NULL, serve, offload);
    if (errnum != 0)
        return ws_error_set_errno(err, WS_E_IO, errnum, "start a thread to offload with");
    offload->has_thread = 1;
    return 0;
}

int ws_offload_create(struct ws_offload **out, const struct ws_offload_options *options,
                      struct ws_error *err)
{
    struct ws_offload *offload = calloc(1, sizeof(*offload));
    if (offload == NULL)
        return ws_error_nomem(err);
    offload->splitter = options->splitter;
    offload->codec = options->codec;
    offload->encoding = options->encoding;
    offload->timeout_ms = options->timeout_ms;
    offload->identity = options->identity;
    int rc = prepare(offload, options, err);
    if (rc != 0)
        ws_offload_destroy(offload);
    else
        *out = offload;
    return rc;
}

void ws_offload_destroy(struct ws_offload *offload)
{
    if (offload == NULL)
        return;
    if (offload->has_thread) {
        (void)pthread_mutex_lock(&offload->lock);
        offload->is_ending = 1;
        (void)pthread_cond_broadcast(&offload->changed);
        (void)pthread_mutex_unlock(&offload->lock);
        (void)pthread_join(offload->thread, NULL);
    }
    (void)pthread_cond_destroy(&offload->changed);
    (void)pthread_mutex_destroy(&offload->lock);
    ws_relay_destroy(offload->relay);
    ws_pipe_destroy(offload->pipe);
    clear(offload->inputs, offload->input_count);
    clear(offload->outputs, offload->output_count);
    free(offload->inputs);
    free(offload->outputs);
    free(offload->model_name);
    free(offload->url);
    free(offload);
}

int ws_offload_start(struct ws_offload *offload, struct ws_datum *inputs,
                     struct ws_error *err)
{
    int rc = 0;
    (void)pthread_mutex_lock(&offload->lock);
    if (offload->state != IDLE) {
        rc = ws_error_set(err, WS_E_BUSY, "%s has not answered an earlier request yet",
                          offload->url != NULL ? offload->url : offload->model_name);
    } else {
        memcpy(offload->inputs, inputs, offload->input_count * sizeof(*inputs));
        memset(inputs, 0, offload->input_count * sizeof(*inputs));
        offload->state = ASKED;
        (void)pthread_cond_broadcast(&offload->changed);
    }
    (void)pthread_mutex_unlock(&offload->lock);
    /* The message goes first where both threads share a core: once it is on the way it
     * needs none. */
    (void)sched_yield();
    return rc;
}

int ws_offload_wait(struct ws_datum *out, struct ws_passage_times *times,
                    struct ws_offload *offload, int64_t until_ns, struct ws_error *err)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                                   .tv_nsec = (long)(until_ns % 1000000000)};
    int rc = 0;
    (void)pthread_mutex_lock(&offload->lock);
    while (offload->state == ASKED && rc == 0) {
        if (pthread_cond_timedwait(&offload->changed, &offload->lock, &until) != 0)
            rc = ws_error_set(err, WS_E_TIMEOUT, "%s did not answer in time",
                              offload->url != NULL ? offload->url : offload->model_name);
    }
    if (offload->state == ASKED) {
        offload->state = DROPPED;
    } else {
        rc = offload->rc;
        offload->state = IDLE;
        if (rc == 0) {
            *out = offload->outputs[0];
            offload->outputs[0] = (struct ws_datum){0};
            if (times != NULL)
                *times = offload->times;
        } else if (err != NULL) {
            *err = offload->err;
        }
        clear(offload->outputs, offload->output_count);
    }
    (void)pthread_mutex_unlock(&offload->lock);
    return rc;
}
