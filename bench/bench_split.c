/*
 * What cutting costs: time of one cut against the whole model, memory of eight resident
 * cuts against one whole session, and switching between resident cuts. One thread; paired
 * runs, medians. Usage: bench_split time|memory|switch MODEL.onnx ...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/stats.h"
#include "core/sample.h"
#include "split/pipe.h"
#include "split/splitter.h"

enum { CUTS_TIMED = 5, CUTS_RESIDENT = 8, PAIRS_MIN = 9, PAIRS_MAX = 41 };

/* Pairs are added until this much time went into them. */
static const int64_t cut_time_ns_max = 4000000000, switch_time_ns_max = 20000000000;

static void die(const struct ws_error *err)
{
    fprintf(stderr, "bench_split: %s\n", err->text);
    exit(1);
}

static void check(int rc, const struct ws_error *err)
{
    if (rc != 0)
        die(err);
}

/* An engine of one thread. */
static struct ws_engine *open_engine(void)
{
    struct ws_error err = {0};
    struct ws_engine *engine = NULL;
    struct ws_engine_options options = {.threads = 1};
    check(ws_engine_create(&engine, &options, &err), &err);
    return engine;
}

static struct ws_splitter *open_splitter(struct ws_engine *engine, const char *path)
{
    struct ws_error err = {0};
    struct ws_splitter *splitter = NULL;
    struct ws_splitter_options options = {.level = WS_LEVEL_ALL};
    check(ws_splitter_create(&splitter, engine, path, &options, &err), &err);
    return splitter;
}

/* `count` natural interior cuts spread evenly over the network; returns how many. */
static size_t spread_cuts(size_t *out, const struct ws_cuts *cuts, size_t count)
{
    size_t interior = 0, found = 0;
    for (size_t c = 1; c + 1 < cuts->count; c++)
        interior += cuts->cuts[c].natural == WS_NATURAL_YES;
    if (count > interior)
        count = interior;
    size_t seen = 0;
    for (size_t c = 1; c + 1 < cuts->count && found < count; c++) {
        if (cuts->cuts[c].natural != WS_NATURAL_YES)
            continue;
        seen++;
        if (seen > (2 * found + 1) * interior / (2 * count))
            out[found++] = c;
    }
    return found;
}

/* The whole model as the engine runs it by itself. */
struct whole {
    struct ws_session *session;
    struct ws_tensor input, output;
    struct ws_engine_value *in, *out;
};

static void open_whole(struct whole *whole, struct ws_engine *engine, const char *path)
{
    struct ws_error err = {0};
    struct ws_session_source source = {.path = path, .level = WS_LEVEL_ALL};
    check(ws_session_create(&whole->session, engine, &source, &err), &err);
    const struct ws_io_type *in = ws_session_input(whole->session, 0);
    const struct ws_io_type *out = ws_session_output(whole->session, 0);
    check(ws_sample_tensor(&whole->input, in->dtype, in->dims, in->rank, 1, &err), &err);
    check(ws_tensor_init(&whole->output, out->dtype, out->dims, out->rank, &err), &err);
    check(ws_engine_value_from_tensor(&whole->in, engine, &whole->input, &err), &err);
    check(ws_engine_value_from_tensor(&whole->out, engine, &whole->output, &err), &err);
}

static int64_t run_whole(struct whole *whole)
{
    struct ws_error err = {0};
    int64_t start = ws_clock_now_ns();
    check(ws_session_run(whole->session, &whole->in, &whole->out, &err), &err);
    return ws_clock_now_ns() - start;
}

static struct ws_pipe *open_pipe(struct ws_splitter *splitter, size_t cut)
{
    struct ws_error err = {0};
    struct ws_pipe *pipe = NULL;
    struct ws_pipe_options options = {.cut = cut};
    check(ws_pipe_create(&pipe, splitter, &options, &err), &err);
    return pipe;
}

static int64_t run_pipe(struct ws_pipe *pipe, struct ws_engine_value *input)
{
    struct ws_error err = {0};
    int64_t start = ws_clock_now_ns();
    check(ws_pipe_run(pipe, &input, NULL, &err), &err);
    return ws_clock_now_ns() - start;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Median over pairs of cut / whole, the order swapped from pair to pair. */
static double time_cut(struct whole *whole, struct ws_pipe *pipe, double *whole_ms)
{
    double ratios[PAIRS_MAX], wholes[PAIRS_MAX];
    size_t count = 0;
    int64_t spent = 0;
    for (int warm = 0; warm < 2; warm++) {
        run_whole(whole);
        run_pipe(pipe, whole->in);
    }
    while (count < PAIRS_MIN || (count < PAIRS_MAX && spent < cut_time_ns_max)) {
        int64_t cut = count % 2 == 0 ? run_pipe(pipe, whole->in) : 0;
        int64_t all = run_whole(whole);
        if (count % 2 != 0)
            cut = run_pipe(pipe, whole->in);
        ratios[count] = (double)cut / (double)all;
        wholes[count] = (double)all / 1e6;
        spent += cut + all;
        count++;
    }
    *whole_ms = ws_stats_median(wholes, count);
    return ws_stats_median(ratios, count);
}

static void bench_time(const char *path)
{
    struct ws_engine *engine = open_engine();
    struct ws_splitter *splitter = open_splitter(engine, path);
    const struct ws_cuts *cuts = ws_splitter_cuts(splitter);
    struct whole whole = {0};
    size_t at[CUTS_TIMED];
    double ratios[CUTS_TIMED], whole_ms = 0, worst = 0;
    size_t count = spread_cuts(at, cuts, CUTS_TIMED);
    open_whole(&whole, engine, path);
    printf("%-18s", base_name(path));
    for (size_t i = 0; i < count; i++) {
        struct ws_pipe *pipe = open_pipe(splitter, at[i]);
        ratios[i] = time_cut(&whole, pipe, &whole_ms);
        worst = ratios[i] > worst ? ratios[i] : worst;
        printf(" %3zu:%.3f", at[i], ratios[i]);
        fflush(stdout);
        ws_pipe_destroy(pipe);
    }
    printf("  median %.3f worst %.3f  whole %.1f ms\n", ws_stats_median(ratios, count),
           worst, whole_ms);
    exit(0); /* the process ends here: nothing is worth freeing */
}

/* Anonymous and Rss of this process, in KiB. */
static void read_memory(double *anonymous, double *rss)
{
    char line[256];
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *value = line + strcspn(line, "0123456789");
        value[strspn(value, "0123456789")] = '\0';
        if (strncmp(line, "Anonymous:", 10) == 0)
            (void)ws_parse_double(anonymous, value, "Anonymous", NULL);
        else if (strncmp(line, "Rss:", 4) == 0)
            (void)ws_parse_double(rss, value, "Rss", NULL);
    }
    if (file != NULL)
        fclose(file);
}

static void report_memory(int to)
{
    double memory[2] = {0};
    read_memory(&memory[0], &memory[1]);
    if (write(to, memory, sizeof(memory)) != (ssize_t)sizeof(memory))
        _exit(1);
    _exit(0);
}

static void memory_of_whole(const char *path, int to)
{
    struct whole whole = {0};
    open_whole(&whole, open_engine(), path);
    for (int i = 0; i < 3; i++)
        run_whole(&whole);
    report_memory(to);
}

static void memory_of_cuts(const char *path, int to)
{
    struct ws_error err = {0};
    struct ws_engine *engine = open_engine();
    struct ws_splitter *splitter = open_splitter(engine, path);
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    const struct ws_value *value = &graph->values[graph->inputs[0]];
    size_t at[CUTS_RESIDENT];
    size_t count = spread_cuts(at, ws_splitter_cuts(splitter), CUTS_RESIDENT);
    struct ws_pipe *pipes[CUTS_RESIDENT];
    struct ws_tensor input;
    struct ws_engine_value *in = NULL;
    check(ws_sample_tensor(&input, value->dtype, value->dims, value->rank, 1, &err),
          &err);
    check(ws_engine_value_from_tensor(&in, engine, &input, &err), &err);
    for (size_t i = 0; i < count; i++)
        pipes[i] = open_pipe(splitter, at[i]);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++)
            run_pipe(pipes[i], in);
    }
    report_memory(to);
}

/* Runs `measure` in a process of its own and takes its two figures. */
static void in_child(void (*measure)(const char *, int), const char *path, double out[2])
{
    int ends[2];
    if (pipe(ends) != 0)
        exit(1);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        measure(path, ends[1]);
    close(ends[1]);
    if (child < 0 || read(ends[0], out, 2 * sizeof(*out)) != 2 * (ssize_t)sizeof(*out))
        exit(1);
    close(ends[0]);
    waitpid(child, NULL, 0);
}

static void bench_memory(const char *path)
{
    double whole[2] = {0}, cuts[2] = {0};
    in_child(memory_of_whole, path, whole);
    in_child(memory_of_cuts, path, cuts);
    printf("%-18s Anonymous %.0f -> %.0f MiB, ratio %.2f;  Rss %.0f -> %.0f MiB, ratio "
           "%.2f\n",
           base_name(path), whole[0] / 1024, cuts[0] / 1024, cuts[0] / whole[0],
           whole[1] / 1024, cuts[1] / 1024, cuts[1] / whole[1]);
}

/* A run right after another cut's, against the next run of the same cut. */
static void bench_switch(const char *path)
{
    struct ws_engine *engine = open_engine();
    struct ws_splitter *splitter = open_splitter(engine, path);
    struct whole whole = {0};
    size_t at[2], count = 0;
    double first[PAIRS_MAX], again[PAIRS_MAX], extra[PAIRS_MAX];
    int64_t start = ws_clock_now_ns();
    if (spread_cuts(at, ws_splitter_cuts(splitter), 2) != 2)
        exit(1);
    open_whole(&whole, engine, path);
    struct ws_pipe *a = open_pipe(splitter, at[0]), *b = open_pipe(splitter, at[1]);
    run_pipe(a, whole.in);
    while (count < PAIRS_MIN ||
           (count < PAIRS_MAX && ws_clock_now_ns() - start < switch_time_ns_max)) {
        run_pipe(b, whole.in);
        first[count] = (double)run_pipe(a, whole.in) / 1e6;
        again[count] = (double)run_pipe(a, whole.in) / 1e6;
        extra[count] = first[count] - again[count];
        count++;
    }
    printf("%-18s after another cut %.3f ms, again %.3f ms; median difference %+.3f ms\n",
           base_name(path), ws_stats_median(first, count), ws_stats_median(again, count),
           ws_stats_median(extra, count));
    exit(0);
}

/* In a process of its own, so that one model's heap is not the next one's. */
static void run_apart(void (*bench)(const char *), const char *path)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        bench(path);
        exit(0);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        exit(1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*bench)(const char *path);
    } benches[] = {
        {"time", bench_time}, {"memory", bench_memory}, {"switch", bench_switch}};
    for (size_t b = 0; argc > 2 && b < sizeof(benches) / sizeof(benches[0]); b++) {
        if (strcmp(argv[1], benches[b].name) != 0)
            continue;
        for (int i = 2; i < argc; i++)
            run_apart(benches[b].bench, argv[i]);
        return 0;
    }
    fprintf(stderr, "usage: bench_split time|memory|switch MODEL.onnx ...\n");
    return 2;
}
