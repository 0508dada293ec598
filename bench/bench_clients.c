/*
 * Many clients of one node at once: each runs one cut of one model again and again over
 * its own connection and compares every answer, bit for bit, with the same cut in this
 * process. The node's resident memory is read on the way, which must not grow; each
 * client's answers are counted, so that a starved one shows. Idle connections that say
 * nothing can be held open meanwhile.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/stats.h"
#include "core/sample.h"
#include "split/pipe.h"
#include "split/relay.h"

enum { CLIENTS_MAX = 256, IDLE_MAX = 4096, MODELS_MAX = 4, SAMPLES = 12, KEPT = 4096 };

struct client {
    pthread_t thread;
    struct ws_splitter *splitter;
    const char *model_name;
    const char *url;
    struct ws_datum input;
    struct ws_datum expected;
    size_t cut;
    int64_t end_ns;
    size_t answers;
    double latency_ms[KEPT]; /* of the last answers, round and round */
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
        int64_t start = ws_clock_now_ns();
        client->rc = ws_relay_run(relay, &client->input, &out, NULL, &client->err);
        if (client->rc != 0)
            break;
        client->latency_ms[client->answers++ % KEPT] =
            (double)(ws_clock_now_ns() - start) / 1e6;
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

static int run(struct client *clients, size_t count, size_t seconds, const char *pid,
               struct ws_error *err)
{
    int64_t start = ws_clock_now_ns();
    int rc = 0;
    size_t started = 0;
    for (; rc == 0 && started < count; started++) {
        clients[started].end_ns = start + (int64_t)seconds * 1000000000;
        if (pthread_create(&clients[started].thread, NULL, work, &clients[started]) != 0)
            rc = ws_error_set(err, WS_E_NOMEM, "no more threads");
    }
    printf("resident, every %.0fth of %zu s (MiB):", (double)SAMPLES, seconds);
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

/* Latency over all clients, and how evenly the node answered those of one model. */
static int print_shares(struct client *clients, size_t count, size_t model_count,
                        struct ws_error *err)
{
    double *all = calloc(count * KEPT + 1, sizeof(*all));
    size_t kept = 0;
    if (all == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        size_t mine = clients[i].answers < KEPT ? clients[i].answers : KEPT;
        memcpy(all + kept, clients[i].latency_ms, mine * sizeof(*all));
        kept += mine;
    }
    if (kept > 0) {
        ws_stats_sort(all, kept);
        printf("latency: p50 %.1f ms, p99 %.1f ms, most %.1f ms\n",
               ws_stats_quantile_sorted(all, kept, 0.5),
               ws_stats_quantile_sorted(all, kept, 0.99), all[kept - 1]);
    }
    for (size_t m = 0; m < model_count; m++) {
        size_t least = SIZE_MAX, most = 0;
        for (size_t i = m; i < count; i += model_count) {
            least = clients[i].answers < least ? clients[i].answers : least;
            most = clients[i].answers > most ? clients[i].answers : most;
        }
        printf("%s: from %zu to %zu answers a client\n", clients[m].model_name, least,
               most);
    }
    free(all);
    return 0;
}

/* Connections to http://127.0.0.1:PORT that say nothing; how many came about. */
static size_t hold_idle(int *fds, size_t count, const char *url)
{
    const struct rlimit most = {.rlim_cur = 2 * IDLE_MAX, .rlim_max = 2 * IDLE_MAX};
    const char *colon = strrchr(url, ':');
    size_t port = 0, open_count = 0;
    (void)setrlimit(RLIMIT_NOFILE, &most);
    if (colon == NULL || ws_parse_size(&port, colon + 1, 1, 65535, "port", NULL) != 0)
        return 0;
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (size_t i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[i] >= 0 && connect(fds[i], (const struct sockaddr *)&to, sizeof(to)) == 0)
            open_count++;
    }
    return open_count;
}

int main(int argc, char **argv)
{
    static struct client clients[CLIENTS_MAX];
    static char names[MODELS_MAX][256];
    static int idle_fds[IDLE_MAX];
    struct ws_splitter *splitters[MODELS_MAX] = {NULL};
    struct ws_engine *engine = NULL;
    struct ws_error err = {0};
    size_t seconds = 0, count = 0, idle = 0, kib[2] = {0};
    if (argc < 7 || argc > 6 + MODELS_MAX) {
        fputs("usage: bench_clients URL PID SECONDS CLIENTS IDLE MODEL ...\n", stderr);
        return 2;
    }
    size_t model_count = (size_t)argc - 6;
    const struct ws_engine_options one = {.threads = 1};
    const struct ws_splitter_options level = {.level = WS_LEVEL_ALL};
    int rc = ws_parse_size(&seconds, argv[3], 1, 86400, "SECONDS", &err);
    if (rc == 0)
        rc = ws_parse_size(&count, argv[4], 1, CLIENTS_MAX, "CLIENTS", &err);
    if (rc == 0)
        rc = ws_parse_size(&idle, argv[5], 0, IDLE_MAX, "IDLE", &err);
    if (rc == 0)
        rc = ws_engine_create(&engine, &one, &err);
    for (size_t m = 0; rc == 0 && m < model_count; m++) {
        ws_file_stem(names[m], sizeof(names[m]), argv[6 + m]);
        rc = ws_splitter_create(&splitters[m], engine, argv[6 + m], &level, &err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        size_t m = i % model_count;
        clients[i].splitter = splitters[m];
        clients[i].model_name = names[m];
        clients[i].url = argv[1];
        clients[i].cut = nth_cut(ws_splitter_cuts(splitters[m]), i / model_count * 3);
        rc = prepare(&clients[i], i, &err);
    }
    if (rc == 0 && idle > 0) {
        rc = read_resident(&kib[0], argv[2], &err);
        size_t held = hold_idle(idle_fds, idle, argv[1]);
        ws_clock_sleep_until(ws_clock_now_ns() + 1000000000);
        if (rc == 0)
            rc = read_resident(&kib[1], argv[2], &err);
        printf("%zu idle connections: resident %zu to %zu MiB\n", held, kib[0] / 1024,
               kib[1] / 1024);
    }
    if (rc == 0)
        rc = run(clients, count, seconds, argv[2], &err);
    printf("%zu clients, %zu models, cuts mixed: %zu answers, %zu wrong\n", count,
           model_count, atomic_load(&answers), atomic_load(&wrong));
    if (rc == 0)
        rc = print_shares(clients, count, model_count, &err);
    for (size_t i = 0; i < count; i++) {
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
