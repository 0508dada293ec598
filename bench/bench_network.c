/*
 * A node in this process, spoken to over a real socket on loopback, beside the same work
 * without a socket: one cut of a large network, tensor bytes through a model that does
 * nothing, and small requests. Pairs are measured in turn, so that both see the same
 * machine.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/stats.h"
#include "core/sample.h"
#include "net/listen.h"
#include "node/daemon.h"
#include "onnx/build.h"
#include "split/pipe.h"
#include "split/relay.h"

enum {
    CUT_BYTES = 800 * 1024,
    CUT_PAIRS = 60,
    COPY_PAIRS = 60,
    SMALL_REQUESTS = 4000,
    SMALL_BYTES = 4096,
    WARM_UP = 3,
};

static int die(const struct ws_error *err)
{
    fprintf(stderr, "bench_network: %s\n", err->text);
    return 1;
}

/* Identity of floats: [N] in, [N] out. */
static int write_identity(const char *path, int64_t count, struct ws_error *err)
{
    struct ws_builder *builder = NULL;
    int rc = ws_builder_create(&builder, "identity", 13, err);
    if (rc != 0)
        return rc;
    ws_builder_input(builder, "x", WS_DTYPE_FP32, &count, 1);
    ws_builder_output(builder, "y", WS_DTYPE_FP32, &count, 1);
    (void)ws_builder_node(builder, "Identity", "id", (const char *const[]){"x", NULL},
                          (const char *const[]){"y", NULL});
    rc = ws_builder_write(path, builder, NULL, NULL, err);
    ws_builder_destroy(builder);
    return rc;
}

/* The interior natural cut that sends nearest to CUT_BYTES. */
static size_t choose_cut(const struct ws_cuts *cuts)
{
    size_t best = 0;
    uint64_t best_off = UINT64_MAX;
    for (size_t c = 1; c + 1 < cuts->count; c++) {
        uint64_t bytes = cuts->cuts[c].bytes;
        uint64_t off = bytes > CUT_BYTES ? bytes - CUT_BYTES : CUT_BYTES - bytes;
        if (cuts->cuts[c].natural == WS_NATURAL_YES && off < best_off) {
            best = c;
            best_off = off;
        }
    }
    return best;
}

static int pipe_once(double *ms, struct ws_pipe *pipe, const struct ws_datum *input,
                     struct ws_error *err)
{
    struct ws_datum output;
    int64_t start = ws_clock_now_ns();
    int rc = ws_pipe_run_datums(pipe, input, &output, NULL, err);
    *ms = (double)(ws_clock_now_ns() - start) / 1e6;
    if (rc == 0)
        ws_datum_fini(&output);
    return rc;
}

static int relay_once(double *ms, struct ws_relay *relay, const struct ws_datum *input,
                      struct ws_passage_times *times, struct ws_error *err)
{
    struct ws_datum output;
    int64_t start = ws_clock_now_ns();
    int rc = ws_relay_run(relay, input, &output, times, err);
    *ms = (double)(ws_clock_now_ns() - start) / 1e6;
    if (rc == 0)
        ws_datum_fini(&output);
    return rc;
}

static int bench_cut(struct ws_engine *engine, const char *path, const char *url,
                     struct ws_error *err)
{
    double inside[CUT_PAIRS], outside[CUT_PAIRS], ratio[CUT_PAIRS], transfer[CUT_PAIRS];
    double ms = 0;
    struct ws_splitter *splitter = NULL;
    struct ws_pipe *pipe = NULL;
    struct ws_relay *relay = NULL;
    struct ws_datum input = {.kind = WS_DATUM_TENSOR};
    struct ws_passage_times times = {0};
    const struct ws_splitter_options options = {.level = WS_LEVEL_ALL};
    int rc = ws_splitter_create(&splitter, engine, path, &options, err);
    if (rc != 0)
        return rc;
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    const struct ws_value *in = &graph->values[graph->inputs[0]];
    size_t cut = choose_cut(ws_splitter_cuts(splitter));
    const struct ws_pipe_options here = {.cut = cut};
    const struct ws_relay_options there = {
        .cut = cut, .model_name = "resnet50", .url = url};
    rc = ws_sample_tensor(&input.tensor, in->dtype, in->dims, in->rank, 1, err);
    if (rc == 0)
        rc = ws_pipe_create(&pipe, splitter, &here, err);
    if (rc == 0)
        rc = ws_relay_create(&relay, splitter, &there, err);
    for (int i = -WARM_UP; rc == 0 && i < CUT_PAIRS; i++) {
        int k = i < 0 ? 0 : i;
        /* Who comes first changes, for whoever does finds the other's work in the caches.
         */
        if (i % 2 != 0)
            rc = relay_once(&ms, relay, &input, &times, err);
        if (rc == 0)
            rc = pipe_once(&inside[k], pipe, &input, err);
        if (rc == 0 && i % 2 == 0)
            rc = relay_once(&ms, relay, &input, &times, err);
        outside[k] = ms;
        ratio[k] = ms / inside[k];
        transfer[k] = (double)times.transfer_ns / 1e6;
    }
    if (rc == 0)
        printf(
            "resnet50, cut %zu, %llu bytes: in process %.2f ms, over loopback %.2f ms, "
            "ratio %.3f (target 1.05), transfer %.3f ms\n",
            cut, (unsigned long long)times.tensor_bytes,
            ws_stats_median(inside, CUT_PAIRS), ws_stats_median(outside, CUT_PAIRS),
            ws_stats_median(ratio, CUT_PAIRS), ws_stats_median(transfer, CUT_PAIRS));
    ws_relay_destroy(relay);
    ws_pipe_destroy(pipe);
    ws_datum_fini(&input);
    ws_splitter_destroy(splitter);
    return rc;
}

/* The other end of a bare socket: takes `size` bytes, gives them back, again and again.
 */
struct echo {
    int listening;
    size_t size;
    char *bytes;
};

static int send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t put = send(fd, bytes, size, MSG_NOSIGNAL);
        if (put <= 0)
            return -1;
        bytes += put;
        size -= (size_t)put;
    }
    return 0;
}

static int receive_all(int fd, char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t got = recv(fd, bytes, size, 0);
        if (got <= 0)
            return -1;
        bytes += got;
        size -= (size_t)got;
    }
    return 0;
}

static int connect_to(int *out, int port, struct ws_error *err)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
        return ws_error_set(err, WS_E_IO, "cannot connect the bare socket");
    *out = fd;
    return 0;
}

static void *echo_bytes(void *user)
{
    const struct echo *echo = user;
    int fd = accept(echo->listening, NULL, NULL);
    while (fd >= 0 && receive_all(fd, echo->bytes, echo->size) == 0 &&
           send_all(fd, echo->bytes, echo->size) == 0)
        continue;
    if (fd >= 0)
        (void)close(fd);
    return NULL;
}

static int infer_once(double *ms, struct ws_remote *remote, struct ws_oip_tensor *input,
                      struct ws_error *err)
{
    struct ws_oip_reply reply;
    struct ws_remote_times times;
    int64_t start = ws_clock_now_ns();
    int rc = ws_remote_infer(&reply, remote, input, 1, &times, err);
    *ms = (double)(ws_clock_now_ns() - start) / 1e6;
    if (rc == 0)
        ws_oip_reply_fini(&reply);
    return rc;
}

static int copy_once(double *ms, int fd, const char *bytes, char *back, size_t size,
                     struct ws_error *err)
{
    int64_t start = ws_clock_now_ns();
    if (send_all(fd, bytes, size) != 0 || receive_all(fd, back, size) != 0)
        return ws_error_set(err, WS_E_IO, "the bare socket failed");
    *ms = (double)(ws_clock_now_ns() - start) / 1e6;
    return 0;
}

/* One connection, the same bytes there and back, through a model and through nothing. */
static int compare_copy(struct ws_remote *remote, struct ws_oip_tensor *input, int fd,
                        char *back, struct ws_error *err)
{
    double infer[COPY_PAIRS], copy[COPY_PAIRS], share[COPY_PAIRS];
    size_t size = input->tensor.size_bytes;
    int rc = 0;
    for (int i = -WARM_UP; rc == 0 && i < COPY_PAIRS; i++) {
        int k = i < 0 ? 0 : i;
        rc = infer_once(&infer[k], remote, input, err);
        if (rc == 0)
            rc = copy_once(&copy[k], fd, input->tensor.data, back, size, err);
        share[k] = copy[k] / infer[k];
    }
    if (rc != 0)
        return rc;
    double infer_ms = ws_stats_median(infer, COPY_PAIRS);
    double copy_ms = ws_stats_median(copy, COPY_PAIRS);
    printf("identity of %zu bytes: %.3f ms (%.2f GB/s both ways), bare socket %.3f ms "
           "(%.2f GB/s), share of its rate %.2f (target 0.50)\n",
           size, infer_ms, 2e-6 * (double)size / infer_ms, copy_ms,
           2e-6 * (double)size / copy_ms, ws_stats_median(share, COPY_PAIRS));
    return 0;
}

static int bench_identity(const char *url, const char *name, int64_t count,
                          struct ws_error *err)
{
    struct ws_remote *remote = NULL;
    struct ws_oip_tensor input = {.name = (char *)(uintptr_t) "x"};
    struct ws_listen listen = {.fd = -1};
    struct echo echo = {.size = (size_t)count * 4};
    pthread_t thread;
    int fd = -1, has_thread = 0;
    char *back = malloc(echo.size);
    const struct ws_remote_options options = {.url = url, .name = name};
    echo.bytes = malloc(echo.size);
    int rc = back == NULL || echo.bytes == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0)
        rc = ws_sample_tensor(&input.tensor, WS_DTYPE_FP32, &count, 1, 1, err);
    if (rc == 0)
        rc = ws_remote_open(&remote, &options, err);
    if (rc == 0)
        rc = ws_listen_open(&listen, "127.0.0.1:0", 1, err);
    echo.listening = listen.fd;
    if (rc == 0) {
        has_thread = pthread_create(&thread, NULL, echo_bytes, &echo) == 0;
        rc = connect_to(&fd, listen.port, err);
    }
    if (rc == 0)
        rc = compare_copy(remote, &input, fd, back, err);
    if (fd >= 0)
        (void)close(fd);
    if (has_thread)
        (void)pthread_join(thread, NULL);
    ws_listen_close(&listen);
    ws_remote_close(remote);
    ws_tensor_fini(&input.tensor);
    free(echo.bytes);
    free(back);
    return rc;
}

static int bench_small(const char *url, struct ws_error *err)
{
    static double ms[SMALL_REQUESTS];
    const int64_t count = SMALL_BYTES / 4;
    struct ws_remote *remote = NULL;
    struct ws_oip_tensor input = {.name = (char *)(uintptr_t) "x"};
    const struct ws_remote_options options = {.url = url, .name = "small"};
    int rc = ws_sample_tensor(&input.tensor, WS_DTYPE_FP32, &count, 1, 1, err);
    if (rc == 0)
        rc = ws_remote_open(&remote, &options, err);
    for (int i = -WARM_UP; rc == 0 && i < SMALL_REQUESTS; i++)
        rc = infer_once(&ms[i < 0 ? 0 : i], remote, &input, err);
    if (rc == 0) {
        ws_stats_sort(ms, SMALL_REQUESTS);
        printf("4 KB request: p50 %.3f ms, p99 %.3f ms over %d\n",
               ws_stats_quantile_sorted(ms, SMALL_REQUESTS, 0.5),
               ws_stats_quantile_sorted(ms, SMALL_REQUESTS, 0.99), SMALL_REQUESTS);
    }
    ws_remote_close(remote);
    ws_tensor_fini(&input.tensor);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int64_t count;
    } sizes[] = {{"small", SMALL_BYTES / 4}, {"medium", 200 * 1024}, {"large", 2 << 20}};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    char paths[SIZES][4096], url[80];
    const char *models[SIZES + 1];
    struct ws_engine *engine = NULL;
    struct ws_daemon *daemon = NULL;
    struct ws_error err = {0};
    const struct ws_engine_options threads = {.threads = 0};
    int has_model = argc == 3 && strcmp(argv[1], "-") != 0;
    if (argc != 3) {
        fputs("usage: bench_network RESNET50|- FOLDER\n", stderr);
        return 2;
    }
    int rc = ws_engine_create(&engine, &threads, &err);
    for (size_t i = 0; rc == 0 && i < SIZES; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/%s.onnx", argv[2], sizes[i].name);
        models[i] = paths[i];
        rc = write_identity(paths[i], sizes[i].count, &err);
    }
    models[SIZES] = argv[1];
    const struct ws_daemon_options options = {
        .guard.listen = "127.0.0.1:0",
        .host = {.engine = engine, .splitter = {.level = WS_LEVEL_ALL}},
        .models = models,
        .model_count = has_model ? SIZES + 1 : SIZES,
    };
    if (rc == 0)
        rc = ws_daemon_start(&daemon, &options, &err);
    if (rc == 0) {
        (void)snprintf(url, sizeof(url), "%s", ws_daemon_url(daemon));
        rc = has_model ? bench_cut(engine, argv[1], url, &err) : 0;
    }
    for (size_t i = 1; rc == 0 && i < SIZES; i++)
        rc = bench_identity(url, sizes[i].name, sizes[i].count, &err);
    if (rc == 0)
        rc = bench_small(url, &err);
    ws_daemon_stop(daemon, 1000);
    ws_engine_destroy(engine);
    return rc == 0 ? 0 : die(&err);
}
