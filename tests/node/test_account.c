/* Bills of requests: a board's by its model, a meter's shared among those under way. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check.h"
#include "node/account.h"

/* --- A meter of 10 W --- */

struct steady {
    struct ws_meter base;
    int64_t start_ns;
    int is_dead;
};

static int steady_read(struct ws_meter *meter, struct ws_meter_reading *out,
                       struct ws_error *err)
{
    const struct steady *steady = (struct steady *)meter;
    if (steady->is_dead)
        return ws_error_set(err, WS_E_NOT_FOUND, "the meter has vanished");
    out->time_ns = ws_clock_now_ns();
    out->value = 10 * (double)(out->time_ns - steady->start_ns) / 1e9;
    return 0;
}

static const struct ws_meter_ops steady_ops = {.read = steady_read};

struct scene {
    struct steady steady;
    struct ws_sampler *sampler;
    struct ws_account *account;
};

static void scene_open(struct scene *scene)
{
    struct ws_meter *meters[] = {&scene->steady.base};
    struct ws_account_options options = {.info = &scene->steady.base.info, .idle_w = 4};
    struct ws_error err = {0};
    *scene = (struct scene){.steady = {.base = {.ops = &steady_ops,
                                                .info = {.name = "steady",
                                                         .boundary = WS_BOUNDARY_BOARD,
                                                         .truth = WS_MEASURED,
                                                         .is_counter = 1}}}};
    scene->steady.start_ns = ws_clock_now_ns();
    assert_int_equal(ws_sampler_create(&scene->sampler, meters, 1, NULL, &err), 0);
    options.sampler = scene->sampler;
    assert_int_equal(ws_account_create(&scene->account, &options, &err), 0);
    ws_clock_sleep_until(ws_clock_now_ns() + 30000000); /* the first sample is there */
}

static void scene_close(struct scene *scene)
{
    ws_account_destroy(scene->account);
    ws_sampler_destroy(scene->sampler);
}

static void pause_ms(int ms)
{
    ws_clock_sleep_until(ws_clock_now_ns() + (int64_t)ms * 1000000);
}

/* 6 of the 10 W are for those under way, whoever they are; how long exactly each was
 * depends on the machine, so the sums have bounds. */
static void test_bills_add_up(void **state)
{
    struct scene scene;
    struct ws_bill one;
    struct ws_bill two;
    struct ws_error err = {0};
    (void)state;
    scene_open(&scene);
    int64_t before = ws_clock_now_ns();
    struct ws_claim first = ws_account_open(scene.account);
    int64_t begun = ws_clock_now_ns();
    pause_ms(30);
    struct ws_claim second = ws_account_open(scene.account);
    int64_t both = ws_clock_now_ns();
    pause_ms(30);
    int64_t ending = ws_clock_now_ns();
    assert_int_equal(ws_account_close(&one, scene.account, first, NULL, &err), 0);
    pause_ms(30);
    int64_t last = ws_clock_now_ns();
    assert_int_equal(ws_account_close(&two, scene.account, second, NULL, &err), 0);
    int64_t after = ws_clock_now_ns();
    double sum = one.energy_j + two.energy_j;
    assert_true(sum >= 6e-9 * (double)(last - begun) * 0.999);
    assert_true(sum <= 6e-9 * (double)(after - before) * 1.001);
    /* The first was alone and then half; the second half, then alone. */
    assert_true(one.energy_j >= 3e-9 * (double)(ending - both) + 0.999 * 6 * 0.030);
    assert_true(two.energy_j >= 3e-9 * (double)(ending - both) + 0.999 * 6 * 0.030);
    assert_int_equal(one.truth, WS_MEASURED);
    assert_int_equal(one.boundary, WS_BOUNDARY_BOARD);
    assert_null(one.machine);
    scene_close(&scene);
}

static void test_bill_unknown(void **state)
{
    struct scene scene;
    struct ws_bill bill = {.energy_j = -1};
    struct ws_error err = {0};
    (void)state;
    scene_open(&scene);
    scene.steady.is_dead = 1;
    pause_ms(50);
    struct ws_claim ticket = ws_account_open(scene.account);
    pause_ms(5);
    assert_int_not_equal(ws_account_close(&bill, scene.account, ticket, NULL, &err), 0);
    assert_near(bill.energy_j, -1, 0);
    scene_close(&scene);
}

/* Whoever does not fit in cannot be told, and neither can those it shared with. */
static void test_bill_limit(void **state)
{
    struct scene scene;
    struct ws_claim tickets[WS_CLAIMS_MAX + 1];
    struct ws_bill bill;
    (void)state;
    scene_open(&scene);
    for (size_t i = 0; i <= WS_CLAIMS_MAX; i++)
        tickets[i] = ws_account_open(scene.account);
    pause_ms(2);
    assert_int_equal(
        ws_account_close(&bill, scene.account, tickets[WS_CLAIMS_MAX], NULL, NULL),
        WS_E_LIMIT);
    for (size_t i = 0; i < WS_CLAIMS_MAX; i++)
        assert_int_equal(ws_account_close(&bill, scene.account, tickets[i], NULL, NULL),
                         WS_E_UNKNOWN);
    struct ws_claim later = ws_account_open(scene.account);
    pause_ms(2);
    assert_int_equal(ws_account_close(&bill, scene.account, later, NULL, NULL), 0);
    scene_close(&scene);
}

static void test_bill_of_board(void **state)
{
    struct ws_board *board = NULL;
    struct ws_account *account = NULL;
    struct ws_account_options options = {0};
    struct ws_work work = {.macs = {[WS_WORK_CONV] = 1e8}};
    struct ws_bill bill;
    struct ws_error err = {0};
    struct ws_buf text;
    double ms = 0;
    double j = 0;
    (void)state;
    if (ws_board_load(&board, "rpi4", &err) != 0)
        fail_msg("%s", err.text);
    options.board = board;
    ws_board_default(&options.setting, board);
    assert_int_equal(ws_board_predict(&ms, &j, board, &options.setting, &work, NULL), 0);
    assert_int_equal(ws_account_create(&account, &options, NULL), 0);
    struct ws_claim ticket = ws_account_open(account);
    assert_int_equal(ws_account_close(&bill, account, ticket, &work, NULL), 0);
    assert_true((double)(ws_clock_now_ns() - ticket.start_ns) >= ms * 1e6 - 1);
    assert_near(bill.energy_j, j, 1e-12);
    assert_int_equal(bill.truth, WS_MODELLED);
    /* Slower than the board: it is told by how much. */
    ticket.start_ns -= 10000000000;
    assert_int_equal(ws_account_close(&bill, account, ticket, &work, NULL), 0);
    assert_true(bill.late_ns > 9000000000);
    bill = (struct ws_bill){.energy_j = 0.25,
                            .truth = WS_MODELLED,
                            .boundary = WS_BOUNDARY_BOARD,
                            .machine = "rpi4",
                            .is_interpolated = 1,
                            .late_ns = 1500000};
    ws_buf_init(&text, 0);
    assert_int_equal(ws_bill_write(&text, &bill, NULL), 0);
    assert_string_equal(text.data,
                        "\"energy_j\":0.25,\"truth\":\"modelled\",\"boundary\":\"board\","
                        "\"machine\":\"rpi4\",\"interpolated\":true,\"late_ms\":1.5");
    ws_buf_fini(&text);
    ws_account_destroy(account);
    ws_account_destroy(NULL);
    ws_board_destroy(board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bills_add_up),
        cmocka_unit_test(test_bill_unknown),
        cmocka_unit_test(test_bill_limit),
        cmocka_unit_test(test_bill_of_board),
    };
    return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
