/*
 * Whether halves of shared feature maps run side by side: the same requests with the
 * edge's half beside transfer and cloud, and one after the other, in pairs. What a pair's
 * request in turn took by part, extract + max(edge, transfer + cloud), is what its other
 * one should take. Once as fast as this machine is, once over a link, and once with the
 * edge stretched to a slower board's modelled times. Usage: bench_features DIR HOST:PORT
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/stats.h"
#include "core/sample.h"
#include "device/board.h"
#include "net/shaper.h"
#include "split/demand.h"
#include "split/halves.h"

enum { PAIRS = 100, WARMUPS = 10, CLASSES_MAX = 1000 };

static const double shares[] = {0.1, 0.3, 0.5, 0.7, 0.9};

struct bench {
    struct ws_engine *engine;
    struct ws_halves *halves;
    struct ws_splitter *cloud;
    struct ws_datum input;
    struct ws_board *board;
    struct ws_setting setting; /* of the board */
    struct ws_work extract;
    struct ws_halves_work edge;
};

struct scene {
    const char *title;
    double mbit_s, delay_ms; /* 0: no link between */
    int is_stretched;
};

struct times {
    double extract, edge, away, total; /* ms */
};

static double since(int64_t start_ns)
{
    return (double)(ws_clock_now_ns() - start_ns) / 1e6;
}

/* To the board's time for that work, where the scene wants it. */
static int stretch(const struct bench *bench, const struct scene *scene,
                   const struct ws_work *work, int64_t start_ns, struct ws_error *err)
{
    double ms = 0, joules = 0;
    int rc = scene->is_stretched ? ws_board_predict(&ms, &joules, bench->board,
                                                    &bench->setting, work, err)
                                 : 0;
    if (rc == 0 && scene->is_stretched)
        (void)ws_stretch_until(start_ns, ms);
    return rc;
}

static int run_edge(struct times *out, float *logits, const struct bench *bench,
                    const struct scene *scene, const struct ws_division *division,
                    struct ws_error *err)
{
    size_t maps = ws_halves_parts(bench->halves)->map_count - division->secondary_count;
    const struct ws_work work = ws_halves_work_of(&bench->edge, maps);
    int64_t start = ws_clock_now_ns();
    int rc = ws_halves_edge(logits, bench->halves, division, 0, err);
    if (rc == 0)
        rc = stretch(bench, scene, &work, start, err);
    out->edge = since(start);
    return rc;
}

static int run(struct times *out, const struct bench *bench, const struct scene *scene,
               struct ws_offload *offload, double share, int is_in_turn,
               struct ws_error *err)
{
    struct ws_division division = {0};
    struct ws_datum answer = {0};
    float logits[CLASSES_MAX];
    int64_t start = ws_clock_now_ns();
    int rc = ws_halves_extract(&division, bench->halves, &bench->input, err);
    if (rc == 0)
        rc = ws_halves_divide(&division, bench->halves, share, NULL, err);
    if (rc == 0)
        rc = stretch(bench, scene, &bench->extract, start, err);
    out->extract = since(start);
    int64_t sent = ws_clock_now_ns();
    if (rc == 0)
        rc = ws_halves_offload(offload, &division, err);
    if (rc == 0 && !is_in_turn)
        rc = run_edge(out, logits, bench, scene, &division, err);
    if (rc == 0)
        rc = ws_offload_wait(&answer, NULL, offload, sent + 5000000000, err);
    out->away = since(sent);
    if (rc == 0 && is_in_turn)
        rc = run_edge(out, logits, bench, scene, &division, err);
    if (rc == 0)
        ws_halves_fuse(logits, logits, answer.tensor.data, bench->halves, share, -1);
    out->total = since(start);
    ws_datum_fini(&answer);
    ws_division_fini(&division);
    return rc;
}

/* Pairs of one share, whose first is now the one and now the other. */
static int run_pairs(const struct bench *bench, const struct scene *scene,
                     struct ws_offload *offload, double share, struct ws_error *err)
{
    double extract[PAIRS], edge[PAIRS], away[PAIRS], foreseen[PAIRS], beside[PAIRS];
    double in_turn[PAIRS], off[PAIRS], saved[PAIRS];
    for (int p = -WARMUPS; p < PAIRS; p++) {
        struct times turn = {0}, both = {0};
        int first = p & 1;
        int rc = run(first ? &turn : &both, bench, scene, offload, share, first, err);
        if (rc == 0)
            rc = run(first ? &both : &turn, bench, scene, offload, share, !first, err);
        if (rc != 0)
            return rc;
        if (p < 0)
            continue;
        extract[p] = turn.extract;
        edge[p] = turn.edge;
        away[p] = turn.away;
        foreseen[p] = turn.extract + fmax(turn.edge, turn.away);
        beside[p] = both.total;
        in_turn[p] = turn.total;
        off[p] = both.total / foreseen[p] - 1;
        saved[p] = 1 - both.total / turn.total;
    }
    printf("| %.1f | %.2f | %.2f | %.2f | %.2f | %.2f | %+.1f %% | %.2f | %.1f %% |\n",
           share, ws_stats_median(extract, PAIRS), ws_stats_median(edge, PAIRS),
           ws_stats_median(away, PAIRS), ws_stats_median(foreseen, PAIRS),
           ws_stats_median(beside, PAIRS), 100 * ws_stats_median(off, PAIRS),
           ws_stats_median(in_turn, PAIRS), 100 * ws_stats_median(saved, PAIRS));
    return 0;
}

static int run_scene(const struct bench *bench, const struct scene *scene,
                     const char *target, struct ws_error *err)
{
    struct ws_shaper_options link = {.listen = "127.0.0.1:0", .target = target};
    struct ws_shaper *shaper = NULL;
    struct ws_offload *offload = NULL;
    char url[128];
    int rc = 0;
    if (scene->mbit_s > 0) {
        ws_conditions_set(&link.link, WS_LINK_MBIT_S, scene->mbit_s);
        ws_conditions_set(&link.link, WS_LINK_DELAY_MS, scene->delay_ms);
        rc = ws_shaper_start(&shaper, &link, err);
    }
    if (rc == 0) {
        (void)snprintf(url, sizeof(url), "http://%s",
                       shaper != NULL ? ws_shaper_address(shaper) : target);
        const struct ws_offload_options options = {
            .splitter = bench->cloud,
            .model_name = ws_halves_parts(bench->halves)->cloud_name,
            .url = url,
            .codec = WS_CODEC_INT8,
            .timeout_ms = 5000};
        rc = ws_offload_create(&offload, &options, err);
    }
    printf("\n%s:\n\n"
           "| share | extract | edge's half | transfer + cloud | extract + max | side by "
           "side | off | in turn | saved |\n|---|---|---|---|---|---|---|---|---|\n",
           scene->title);
    for (size_t s = 0; rc == 0 && s < sizeof(shares) / sizeof(shares[0]); s++)
        rc = run_pairs(bench, scene, offload, shares[s], err);
    ws_offload_destroy(offload);
    ws_shaper_stop(shaper);
    return rc;
}

/* The extractor's work, as an executor counts it: all of its graph. */
static int count_extractor(struct bench *bench, struct ws_error *err)
{
    const struct ws_splitter_options level = {.level = WS_LEVEL_ALL};
    struct ws_splitter *extractor = NULL;
    int rc = ws_splitter_create(&extractor, bench->engine,
                                ws_halves_parts(bench->halves)->paths[WS_PARTS_EXTRACT],
                                &level, err);
    if (rc == 0) {
        const struct ws_cuts *cuts = ws_splitter_cuts(extractor);
        ws_work_of_segment(&bench->extract, cuts, 0, cuts->count - 1);
    }
    ws_splitter_destroy(extractor);
    return rc;
}

static int open_bench(struct bench *bench, const char *dir, struct ws_error *err)
{
    const struct ws_engine_options engine = {.threads = 1};
    const struct ws_splitter_options level = {.level = WS_LEVEL_ALL};
    size_t clock = 0, slow = 0;
    int rc = ws_engine_create(&bench->engine, &engine, err);
    if (rc == 0)
        rc = ws_halves_create(&bench->halves, bench->engine, dir, WS_LEVEL_ALL, err);
    if (rc == 0 && ws_halves_class_count(bench->halves) > CLASSES_MAX)
        rc = ws_error_set(err, WS_E_LIMIT, "more than %d classes", CLASSES_MAX);
    if (rc == 0)
        rc = ws_splitter_create(&bench->cloud, bench->engine,
                                ws_halves_parts(bench->halves)->paths[WS_PARTS_CLOUD],
                                &level, err);
    if (rc == 0)
        rc = count_extractor(bench, err);
    if (rc == 0)
        rc = ws_halves_count_work(&bench->edge, bench->halves, WS_PARTS_EDGE, err);
    if (rc == 0)
        rc = ws_board_load(&bench->board, "rpi4", err);
    if (rc != 0)
        return rc;
    const struct ws_space *space = ws_board_space(bench->board);
    const struct ws_io_type *input = ws_halves_input(bench->halves);
    ws_board_default(&bench->setting, bench->board);
    rc = ws_space_find(&clock, space, "edge.cpu_khz", err);
    if (rc == 0)
        rc = ws_knob_find(&slow, &space->knobs[clock], "600000", err);
    bench->setting.value[clock] = (uint16_t)slow;
    if (rc == 0)
        rc = ws_sample_tensor(&bench->input.tensor, input->dtype, input->dims,
                              input->rank, 1, err);
    bench->input.kind = WS_DATUM_TENSOR;
    return rc;
}

static void close_bench(struct bench *bench)
{
    ws_datum_fini(&bench->input);
    ws_board_destroy(bench->board);
    ws_splitter_destroy(bench->cloud);
    ws_halves_destroy(bench->halves);
    ws_engine_destroy(bench->engine);
}

int main(int argc, char **argv)
{
    static const struct scene scenes[] = {
        {"This machine, over loopback", 0, 0, 0},
        {"This machine, over 20 Mbit/s and 1 ms", 20, 1, 0},
        {"The edge stretched to a Raspberry Pi 4 at 600 MHz (modelled), over 20 Mbit/s "
         "and 1 ms",
         20, 1, 1},
        {"The same edge, over 2 Mbit/s and 1 ms", 2, 1, 1},
    };
    struct bench bench = {0};
    struct ws_error err = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: bench_features DIR HOST:PORT\n");
        return 2;
    }
    int rc = open_bench(&bench, argv[1], &err);
    for (size_t s = 0; rc == 0 && s < sizeof(scenes) / sizeof(scenes[0]); s++)
        rc = run_scene(&bench, &scenes[s], argv[2], &err);
    close_bench(&bench);
    if (rc != 0)
        fprintf(stderr, "bench_features: %s\n", err.text);
    return rc == 0 ? 0 : 1;
}
