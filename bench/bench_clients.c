/*
 * Many clients of one node at once: each runs one cut of one model again and again over
 * its own connection and compares every answer, bit for bit, with the same cut in this
 * process. The node's resident memory is read on the way, which must not grow.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "core/sample.h"
#include "split/pipe.h"
#include "split/relay.h"

enum { CLIENTS = 32, MODELS_MAX = 4, SAMPLES = 6 };

struct client {
    pthread_t thread;
    struct ws_splitter *splitter;
    const char *model_name;
    const char *url;
    struct ws_datum input;
    struct ws_datum expected;
    size_t cut;
    int64_t end_ns;
    struct ws_error err;
    int rc;
};

static atomic_size_t answers, wrong;

/* The nth natural cut that sends something, counted round. */
static size_t nth_cut(const struct ws_cuts *cuts, size_t n)
{
    for (;;) {
        for (size_t c = 0; c + 1 < cuts->count; c++) {
            if (cuts->cuts[c].natural == WS_NATURAL_YES && n-- == 0)
                return c;
        }
    }
}

static int prepare(struct client *client, uint64_t seed, struct ws_error *err)
{
    struct ws_pipe *pipe = NULL;
    const struct ws_graph *graph = ws_splitter_graph(client->splitter);
    const struct ws_value *in = &graph->values[graph->inputs[0]];
    const struct ws_pipe_options options = {.cut = client->cut};
    client->input.kind = WS_DATUM_TENSOR;
    int rc =
        ws_sample_tensor(&client->input.tensor, in->dtype, in->dims, in->rank, seed, err);
    if (rc == 0)
        rc = ws_pipe_create(&pipe, client->splitter, &options, err);
    if (rc == 0)
        rc = ws_pipe_run_datums(pipe, &client->input, &client->expected, NULL, err);
    ws_pipe_destroy(pipe);
    return rc;
}

static void *work(void *user)
{
    struct client *client = user;
    struct ws_relay *relay = NULL;
    const struct ws_relay_options options = {
        .cut = client->cut, .model_name = client->model_name, .url = client->url};
    client->rc = ws_relay_create(&relay, client->splitter, &options, &client->err);
    while (client->rc == 0 && ws_clock_now_ns() < client->end_ns) {
        struct ws_datum out;
        client->rc = ws_relay_run(relay, &client->input, &out, NULL, &client->err);
        if (client->rc != 0)
            break;
        const struct ws_tensor *expected = &client->expected.tensor;
        if (out.tensor.size_bytes != expected->size_bytes ||
            memcmp(out.tensor.data, expected->data, expected->size_bytes) != 0)
            atomic_fetch_add(&wrong, 1);
        atomic_fetch_add(&answers, 1);
        ws_datum_fini(&out);
    }
    ws_relay_destroy(relay);
    return NULL;
}

/* Resident kilobytes of a process. */
static int read_resident(size_t *out, const char *pid, struct ws_error *err)
{
    char path[64], text[32];
    struct ws_buf buf;
    ws_buf_init(&buf, 1 << 16);
    (void)snprintf(path, sizeof(path), "/proc/%.16s/status", pid);
    int rc = ws_file_read(&buf, path, err);
    const char *at = rc == 0 ? strstr(buf.data, "VmRSS:") : NULL;
    if (rc == 0 && at == NULL)
        rc = ws_error_set(err, WS_E_FORMAT, "%s: no VmRSS", path);
    if (rc == 0) {
        at += strlen("VmRSS:") + strspn(at + strlen("VmRSS:"), " \t");
        (void)snprintf(text, sizeof(text), "%.*s", (int)strspn(at, "0123456789"), at);
        rc = ws_parse_size(out, text, 0, SIZE_MAX, "VmRSS", err);
    }
    ws_buf_fini(&buf);
    return rc;
}

static int run(struct client *clients, size_t seconds, const char *pid,
               struct ws_error *err)
{
    int64_t start = ws_clock_now_ns();
    int rc = 0;
    size_t started = 0;
    for (; rc == 0 && started < CLIENTS; started++) {
        clients[started].end_ns = start + (int64_t)seconds * 1000000000;
        if (pthread_create(&clients[started].thread, NULL, work, &clients[started]) != 0)
            rc = ws_error_set(err, WS_E_NOMEM, "no more threads");
    }
    printf("resident, every sixth of %zu s (MiB):", seconds);
    for (int s = 1; rc == 0 && s <= SAMPLES; s++) {
        size_t kib = 0;
        ws_clock_sleep_until(start + (int64_t)seconds * 1000000000 / SAMPLES * s);
        rc = read_resident(&kib, pid, err);
        printf(" %zu", kib / 1024);
        (void)fflush(stdout);
    }
    putchar('\n');
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        if (rc == 0 && clients[i].rc != 0)
            rc = ws_error_set(err, clients[i].rc, "client %zu: %s", i,
                              clients[i].err.text);
    }
    return rc;
}

int main(int argc, char **argv)
{
    static struct client clients[CLIENTS];
    static char names[MODELS_MAX][256];
    struct ws_splitter *splitters[MODELS_MAX] = {NULL};
    struct ws_engine *engine = NULL;
    struct ws_error err = {0};
    size_t seconds = 0;
    if (argc < 5 || argc > 4 + MODELS_MAX) {
        fputs("usage: bench_clients URL PID SECONDS MODEL ...\n", stderr);
        return 2;
    }
    size_t model_count = (size_t)argc - 4;
    const struct ws_engine_options one = {.threads = 1};
    const struct ws_splitter_options level = {.level = WS_LEVEL_ALL};
    int rc = ws_parse_size(&seconds, argv[3], 1, 86400, "SECONDS", &err);
    if (rc == 0)
        rc = ws_engine_create(&engine, &one, &err);
    for (size_t m = 0; rc == 0 && m < model_count; m++) {
        ws_file_stem(names[m], sizeof(names[m]), argv[4 + m]);
        rc = ws_splitter_create(&splitters[m], engine, argv[4 + m], &level, &err);
    }
    for (size_t i = 0; rc == 0 && i < CLIENTS; i++) {
        size_t m = i % model_count;
        clients[i].splitter = splitters[m];
        clients[i].model_name = names[m];
        clients[i].url = argv[1];
        clients[i].cut = nth_cut(ws_splitter_cuts(splitters[m]), i / model_count * 3);
        rc = prepare(&clients[i], i, &err);
    }
    if (rc == 0)
        rc = run(clients, seconds, argv[2], &err);
    printf("%d clients, %zu models, cuts mixed: %zu answers, %zu wrong\n", CLIENTS,
           model_count, atomic_load(&answers), atomic_load(&wrong));
    for (size_t i = 0; i < CLIENTS; i++) {
        ws_datum_fini(&clients[i].input);
        ws_datum_fini(&clients[i].expected);
    }
    for (size_t m = 0; m < model_count; m++)
        ws_splitter_destroy(splitters[m]);
    ws_engine_destroy(engine);
    if (rc != 0)
        fprintf(stderr, "bench_clients: %s\n", err.text);
    return rc != 0 || atomic_load(&wrong) > 0;
}
