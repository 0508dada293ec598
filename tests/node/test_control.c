#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "node/control.h"
#include "scene.h"
#include "split/machine.h"
#include "study/testbed.h"

/* A node of the digits model that passes for the GPU server and lets its knobs be set. */
struct stage {
    struct ws_board *board;
    struct ws_account *account;
    struct ws_control *control;
    struct ws_engine *engine;
    struct ws_daemon *daemon;
};

static void stage_up(struct stage *stage, int may_set, int64_t hold_ms)
{
    char path[600];
    struct ws_account_options account = {0};
    *stage = (struct stage){0};
    (void)snprintf(path, sizeof(path), "%s/etc/devices/gpu-server/board.json",
                   getenv("WS_SOURCE_ROOT"));
    assert_int_equal(ws_board_load(&stage->board, path, NULL), 0);
    account.board = stage->board;
    ws_board_default(&account.setting, stage->board);
    assert_int_equal(ws_account_create(&stage->account, &account, NULL), 0);
    const struct ws_control_options control = {.account = stage->account,
                                               .preset = account.setting,
                                               .may_set = may_set,
                                               .hold_ms = hold_ms};
    assert_int_equal(ws_control_create(&stage->control, &control, NULL), 0);
    const struct ws_engine_options engine = {.threads = 1};
    assert_int_equal(ws_engine_create(&stage->engine, &engine, NULL), 0);
    (void)snprintf(path, sizeof(path), "%s/etc/demo/digits.onnx",
                   getenv("WS_SOURCE_ROOT"));
    const char *models[] = {path};
    const struct ws_daemon_options daemon = {
        .guard = {.listen = "127.0.0.1:0"},
        .account = stage->account,
        .control = stage->control,
        .host = {.engine = stage->engine, .splitter = {.level = WS_LEVEL_ALL}},
        .models = models,
        .model_count = 1};
    assert_int_equal(ws_daemon_start(&stage->daemon, &daemon, NULL), 0);
}

static void stage_down(struct stage *stage)
{
    ws_daemon_stop(stage->daemon, 5000);
    ws_engine_destroy(stage->engine);
    ws_control_destroy(stage->control);
    ws_account_destroy(stage->account);
    ws_board_destroy(stage->board);
}

static const char testbed_text[] =
    "{\"name\": \"t\", \"objectives\": [\"latency_ms\"], \"knobs\": {"
    "\"cut\": {\"part\": \"shared\", \"kind\": \"ordered\", \"values\": [0]},"
    "\"cloud.accelerator\": {\"part\": \"cloud\", \"kind\": \"nominal\", "
    "\"values\": [\"on\", \"off\"]}}}";

static int set(struct ws_machine *machine, const struct ws_space *space, uint16_t value,
               const char *owner, struct ws_error *err)
{
    const struct ws_setting setting = {.value = {0, value}};
    char reason[256];
    double switch_ms = -1;
    int is_exact = 0;
    int rc = ws_machine_set(&switch_ms, &is_exact, reason, sizeof(reason), machine, space,
                            &setting, owner, err);
    if (rc == 0) {
        assert_int_equal(is_exact, 1);
        assert_true(switch_ms >= 0);
        assert_string_equal(reason, "");
    }
    return rc;
}

static void test_knobs_over_the_network(void **state)
{
    struct stage stage;
    struct ws_testbed testbed;
    struct ws_machine *machine = NULL;
    struct ws_error err = {0};
    struct ws_buf text;
    enum ws_truth truth = WS_MEASURED;
    size_t knob = 0;
    const struct ws_http_client_options http = {.timeout_ms = 30000};
    (void)state;
    assert_int_equal(ws_testbed_parse(&testbed, testbed_text, strlen(testbed_text),
                                      "t.json", "", NULL),
                     0);
    stage_up(&stage, 1, 200);
    assert_int_equal(ws_machine_open(&machine, ws_daemon_url(stage.daemon), &http, NULL),
                     0);
    assert_string_equal(ws_machine_name(machine), "gpu-server");
    assert_int_equal(ws_machine_energy(&truth, machine), 1);
    assert_int_equal(truth, WS_MODELLED);
    assert_int_equal(
        ws_space_find(&knob, ws_machine_space(machine), "cloud.accelerator", NULL), 0);
    assert_int_equal(set(machine, &testbed.space, 1, "a", NULL), 0);
    ws_buf_init(&text, 0);
    assert_int_equal(ws_control_describe(&text, stage.control, NULL), 0);
    assert_non_null(strstr(text.data, "\"now\":\"off\""));
    /* It is held by one client for a while, who may set again; then by whoever comes. */
    assert_int_equal(set(machine, &testbed.space, 0, "b", &err), WS_E_REMOTE);
    assert_non_null(strstr(err.text, "answered 503: \"a\" sets this machine's knobs"));
    assert_int_equal(set(machine, &testbed.space, 0, "a", NULL), 0);
    int rc = WS_E_REMOTE;
    for (int i = 0; rc != 0 && i < 10000; i++)
        rc = set(machine, &testbed.space, 1, "b", NULL);
    assert_int_equal(rc, 0);
    ws_machine_close(machine);
    ws_buf_fini(&text);
    stage_down(&stage);
    ws_testbed_fini(&testbed);
}

static void test_not_allowed(void **state)
{
    struct stage stage;
    struct ws_testbed testbed;
    struct ws_machine *machine = NULL;
    struct ws_error err = {0};
    const struct ws_http_client_options http = {.timeout_ms = 30000};
    (void)state;
    assert_int_equal(ws_testbed_parse(&testbed, testbed_text, strlen(testbed_text),
                                      "t.json", "", NULL),
                     0);
    stage_up(&stage, 0, 0);
    assert_int_equal(ws_machine_open(&machine, ws_daemon_url(stage.daemon), &http, NULL),
                     0);
    assert_int_equal(ws_machine_space(machine)->knob_count, 0);
    assert_int_equal(set(machine, &testbed.space, 1, "a", &err), WS_E_REMOTE);
    assert_non_null(strstr(err.text, "lets nobody set its knobs"));
    ws_machine_close(machine);
    stage_down(&stage);
    ws_testbed_fini(&testbed);
}

static void test_bad_requests(void **state)
{
    static const struct {
        const char *body;
        int code;
        const char *says;
    } rows[] = {
        {"", WS_E_FORMAT, "control"},
        {"[]", WS_E_FORMAT, "control"},
        {"{\"owner\": \"a\"}", WS_E_FORMAT, "\"knobs\" is missing"},
        {"{\"knobs\": {}}", WS_E_FORMAT, "\"owner\" is missing"},
        {"{\"owner\": \"\", \"knobs\": {}}", WS_E_LIMIT, "1 to 63 bytes"},
        {"{\"owner\": \"a\", \"knobs\": {}, \"x\": 1}", WS_E_FORMAT, "x"},
        {"{\"owner\": \"a\", \"knobs\": {\"edge.accelerator\": \"on\"}}", WS_E_NOT_FOUND,
         "no knob \"edge.accelerator\""},
        {"{\"owner\": \"a\", \"knobs\": {\"cloud.zoom\": 1}}", WS_E_NOT_FOUND,
         "no knob \"cloud.zoom\""},
        {"{\"owner\": \"a\", \"knobs\": {\"cloud.accelerator\": 7}}", WS_E_NOT_FOUND,
         "has no value 7"},
    };
    struct stage stage;
    struct ws_buf text;
    (void)state;
    stage_up(&stage, 1, 0);
    ws_buf_init(&text, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_error err = {0};
        int rc = ws_control_set(&text, stage.control, rows[i].body, strlen(rows[i].body),
                                &err);
        if (rc != rows[i].code || strstr(err.text, rows[i].says) == NULL)
            print_error("row %zu: %d \"%s\"\n", i, rc, err.text);
        assert_int_equal(rc, rows[i].code);
        assert_non_null(strstr(err.text, rows[i].says));
    }
    assert_int_equal(text.size, 0);
    ws_buf_fini(&text);
    stage_down(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_knobs_over_the_network),
        cmocka_unit_test(test_not_allowed),
        cmocka_unit_test(test_bad_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
