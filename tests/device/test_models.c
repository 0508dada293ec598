/* Device models of etc/devices against what was measured on the boards they model. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/csv.h"
#include "base/stats.h"
#include "check.h"
#include "device/modelled.h"
#include "study/testbed.h"

enum { ROWS_MAX = 256 };

struct comparison {
    struct ws_testbed testbed;
    struct ws_evaluator *model;
    size_t columns[4];
    /* Relative errors, all, and of clocks that the model's powers were not taken from. */
    double latency[ROWS_MAX], energy[ROWS_MAX];
    double held_latency[ROWS_MAX], held_energy[ROWS_MAX];
    size_t count, held_count;
};

static int read_header(void *user, const struct ws_csv_row *row, struct ws_error *err)
{
    static const char *const names[] = {"knob.edge.gpu_khz", "knob.concurrency",
                                        "latency_ms", "energy_j"};
    struct comparison *c = user;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < 4; i++)
        rc = ws_csv_column(&c->columns[i], row, names[i], err);
    return rc;
}

static int compare_row(void *user, const struct ws_csv_row *row, struct ws_error *err)
{
    static const char *const fitted[] = {"153600", "460800", "691200", "921600"};
    struct comparison *c = user;
    const char *khz = row->fields[c->columns[0]];
    struct ws_setting setting = {.value = {1}}; /* all of it on the board */
    struct ws_outcome outcome;
    size_t value = 0;
    double latency_ms = 0;
    double energy_j = 0;
    if (strcmp(row->fields[c->columns[1]], "1") != 0)
        return 0; /* the model is of one request at a time */
    int rc = ws_csv_double(&latency_ms, row, c->columns[2], "latency_ms", 1, 1e6, err);
    if (rc == 0)
        rc = ws_csv_double(&energy_j, row, c->columns[3], "energy_j", 0.01, 1e6, err);
    if (rc == 0)
        rc = ws_knob_find(&value, &c->testbed.space.knobs[1], khz, err);
    setting.value[1] = (uint16_t)value;
    if (rc == 0)
        rc = ws_evaluator_expect(c->model, &outcome, &setting, NULL, err);
    if (rc != 0)
        return rc;
    assert_int_equal(outcome.truth, WS_MODELLED);
    c->latency[c->count] = fabs(outcome.value[WS_LATENCY_MS] / latency_ms - 1);
    c->energy[c->count] = fabs(outcome.value[WS_ENERGY_J] / energy_j - 1);
    int is_fitted = 0;
    for (size_t i = 0; i < 4; i++)
        is_fitted |= strcmp(khz, fitted[i]) == 0;
    if (!is_fitted) {
        c->held_latency[c->held_count] = c->latency[c->count];
        c->held_energy[c->held_count++] = c->energy[c->count];
    }
    c->count++;
    return 0;
}

static double report(const char *what, double *errors, size_t count)
{
    double median = ws_stats_median(errors, count);
    print_message("%s: median %.1f %%, worst %.1f %% of %zu\n", what, 100 * median,
                  100 * errors[count - 1], count);
    return median;
}

static void test_jetson_nano(void **state)
{
    static struct comparison c;
    struct ws_csv_handler handler = {read_header, compare_row, &c};
    struct ws_error err = {0};
    char path[1024];
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/jetson-nano-gpu/table.csv",
                   getenv("WS_SHARED_DATA"));
    if (access(path, R_OK) != 0) {
        print_message("%s is not here: skipped\n", path);
        skip();
    }
    char testbed[1024];
    (void)snprintf(testbed, sizeof(testbed), "%s/jetson-nano/testbed.json",
                   getenv("WS_MODELS"));
    if (ws_testbed_load(&c.testbed, testbed, &err) != 0 ||
        ws_modelled_create(&c.model, &c.testbed.space, NULL, c.testbed.model_path,
                           &err) != 0 ||
        ws_csv_read(path, 10000, &handler, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(c.count, 11);
    assert_int_equal(c.held_count, 7);
    assert_true(report("latency", c.latency, c.count) <= 0.1);
    assert_true(report("energy", c.energy, c.count) <= 0.1);
    assert_true(report("latency, other clocks", c.held_latency, c.held_count) <= 0.1);
    assert_true(report("energy, other clocks", c.held_energy, c.held_count) <= 0.1);
    ws_evaluator_destroy(c.model);
    ws_testbed_fini(&c.testbed);
}

/* --- DynaSplit's board --- */

struct board {
    struct ws_testbed testbed;
    struct ws_evaluator *model;
    double latency[2000], energy[2000];
    size_t count;
    size_t columns[6];
};

static int read_board_header(void *user, const struct ws_csv_row *row,
                             struct ws_error *err)
{
    static const char *const names[] = {"knob.cut",
                                        "knob.edge.cpu_khz",
                                        "knob.edge.accelerator",
                                        "knob.cloud.accelerator",
                                        "latency_ms",
                                        "energy_j"};
    struct board *board = user;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < 6; i++)
        rc = ws_csv_column(&board->columns[i], row, names[i], err);
    return rc;
}

/* The knobs of the model's testbed are in the order of the columns. */
static int compare_board_row(void *user, const struct ws_csv_row *row,
                             struct ws_error *err)
{
    struct board *board = user;
    struct ws_setting setting = {0};
    struct ws_outcome outcome;
    double latency_ms = 0;
    double energy_j = 0;
    size_t sum = 0;
    int rc =
        ws_csv_double(&latency_ms, row, board->columns[4], "latency_ms", 1, 1e6, err);
    if (rc == 0)
        rc = ws_csv_double(&energy_j, row, board->columns[5], "energy_j", 0.01, 1e6, err);
    for (size_t k = 0; rc == 0 && k < 4; k++) {
        size_t value = 0;
        rc = ws_knob_find(&value, &board->testbed.space.knobs[k],
                          row->fields[board->columns[k]], err);
        setting.value[k] = (uint16_t)value;
        /* The clocks' indices start at 600 MHz, three steps of 200 MHz. */
        sum += value + (k == 1 ? 3 : 0);
    }
    if (rc == 0)
        rc = ws_evaluator_expect(board->model, &outcome, &setting, NULL, err);
    if (rc != 0 || sum % 2 == 0)
        return rc; /* the even half is what the model was fitted to */
    board->latency[board->count] = fabs(outcome.value[WS_LATENCY_MS] / latency_ms - 1);
    board->energy[board->count++] = fabs(outcome.value[WS_ENERGY_J] / energy_j - 1);
    return 0;
}

static void test_rpi4_coral(void **state)
{
    static struct board board;
    struct ws_csv_handler handler = {read_board_header, compare_board_row, &board};
    struct ws_error err = {0};
    char path[1024];
    char testbed[1024];
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/dynasplit-vgg16/table.csv",
                   getenv("WS_SHARED_DATA"));
    if (access(path, R_OK) != 0) {
        print_message("%s is not here: skipped\n", path);
        skip();
    }
    (void)snprintf(testbed, sizeof(testbed), "%s/rpi4-coral/testbed.json",
                   getenv("WS_MODELS"));
    if (ws_testbed_load(&board.testbed, testbed, &err) != 0 ||
        ws_modelled_create(&board.model, &board.testbed.space, NULL,
                           board.testbed.model_path, &err) != 0 ||
        ws_csv_read(path, 1999, &handler, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(board.count > 500);
    assert_true(report("latency, settings held out", board.latency, board.count) <= 0.1);
    assert_true(report("energy, settings held out", board.energy, board.count) <= 0.1);
    ws_evaluator_destroy(board.model);
    ws_testbed_fini(&board.testbed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jetson_nano),
        cmocka_unit_test(test_rpi4_coral),
    };
    return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
