/*
 * Inference that is run for real and stretched to the time of a device model, as
 * `wattshed node --emulate` does: how near it comes to that time, and what is told where
 * this machine is the slower one.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/stats.h"
#include "core/sample.h"
#include "node/account.h"
#include "split/splitter.h"
#include "split/stage.h"

enum { RUNS = 40, CUTS_SHOWN = 6 };

struct bench {
    struct ws_engine *engine;
    struct ws_splitter *splitter;
    struct ws_board *board;
    struct ws_setting setting;
    struct ws_account *account;
};

static int open_bench(struct bench *bench, const char *model, const char *board,
                      struct ws_error *err)
{
    const struct ws_engine_options engine = {.threads = 1};
    const struct ws_splitter_options splitter = {.level = WS_LEVEL_ALL};
    struct ws_account_options account = {0};
    int rc = ws_engine_create(&bench->engine, &engine, err);
    if (rc == 0)
        rc = ws_splitter_create(&bench->splitter, bench->engine, model, &splitter, err);
    if (rc == 0)
        rc = ws_board_load(&bench->board, board, err);
    if (rc != 0)
        return rc;
    ws_board_default(&bench->setting, bench->board);
    account.board = bench->board;
    account.setting = bench->setting;
    return ws_account_create(&bench->account, &account, err);
}

static void close_bench(struct bench *bench)
{
    ws_account_destroy(bench->account);
    ws_board_destroy(bench->board);
    ws_splitter_destroy(bench->splitter);
    ws_engine_destroy(bench->engine);
}

static int make_input(struct ws_engine_value **out, struct ws_tensor *tensor,
                      struct bench *bench, const struct ws_stage *head,
                      struct ws_error *err)
{
    const struct ws_stage_port *port = ws_stage_input(head, 0);
    int rc = ws_sample_tensor(tensor, port->dtype, port->dims, port->rank, 1, err);
    return rc == 0 ? ws_engine_value_from_tensor(out, bench->engine, tensor, err) : rc;
}

/* The head of a cut, again and again. */
static int run_cut(struct bench *bench, size_t cut, struct ws_error *err)
{
    struct ws_stage *head = NULL;
    struct ws_tensor tensor = {0};
    struct ws_engine_value *input = NULL;
    struct ws_work work;
    double modelled_ms = 0;
    double j = 0;
    double took_ms[RUNS];
    size_t late = 0;
    int rc = ws_stage_create(&head, bench->splitter, cut, WS_CODEC_NONE, NULL,
                             WS_STAGE_HEAD, err);
    if (rc == 0)
        rc = make_input(&input, &tensor, bench, head, err);
    if (rc == 0) {
        ws_stage_work(&work, head);
        rc =
            ws_board_predict(&modelled_ms, &j, bench->board, &bench->setting, &work, err);
    }
    for (size_t i = 0; rc == 0 && i < RUNS; i++) {
        struct ws_stage_result result;
        struct ws_bill bill = {0};
        struct ws_claim ticket = ws_account_open(bench->account);
        rc = ws_stage_run(&result, head, &input, err);
        if (rc == 0) {
            ws_stage_result_fini(&result);
            rc = ws_account_close(&bill, bench->account, ticket, &work, err);
        }
        took_ms[i] = (double)(ws_clock_now_ns() - ticket.start_ns) / 1e6;
        late += bill.late_ns > 0;
    }
    if (rc == 0) {
        double median = ws_stats_median(took_ms, RUNS);
        printf("%-12s cut %3zu: modelled %8.3f ms, took %8.3f (%+.2f %%), told late %zu "
               "of %d\n",
               ws_board_name(bench->board), cut, modelled_ms, median,
               100 * (median / modelled_ms - 1), late, RUNS);
    }
    ws_engine_value_destroy(input);
    ws_tensor_fini(&tensor);
    ws_stage_destroy(head);
    return rc;
}

static int run(const char *model, const char *board, struct ws_error *err)
{
    struct bench bench = {0};
    int rc = open_bench(&bench, model, board, err);
    const struct ws_cuts *cuts = rc == 0 ? ws_splitter_cuts(bench.splitter) : NULL;
    size_t natural = 0;
    size_t seen = 0;
    for (size_t i = 1; rc == 0 && i < cuts->count; i++)
        natural += cuts->cuts[i].natural == WS_NATURAL_YES;
    for (size_t i = 1; rc == 0 && i < cuts->count; i++) {
        if (cuts->cuts[i].natural != WS_NATURAL_YES)
            continue;
        seen++;
        if (seen % (natural / CUTS_SHOWN + 1) == 0 || seen == natural)
            rc = run_cut(&bench, i, err);
    }
    close_bench(&bench);
    return rc;
}

int main(int argc, char **argv)
{
    static const char *const boards[] = {"rpi4", "rpi5", "gpu-server"};
    struct ws_error err = {0};
    int rc = argc == 2 ? 0 : ws_error_set(&err, WS_E_USAGE, "usage: bench_stretch MODEL");
    for (size_t b = 0; rc == 0 && b < sizeof(boards) / sizeof(boards[0]); b++)
        rc = run(argv[1], boards[b], &err);
    if (rc != 0)
        fprintf(stderr, "bench_stretch: %s\n", err.text);
    return rc == 0 ? 0 : 1;
}
