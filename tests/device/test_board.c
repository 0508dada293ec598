/* Device models: those that are shipped, the arithmetic by hand, what is refused. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check.h"
#include "device/board.h"

static const char text[] =
    "{\"format\": \"wattshed-board\", \"version\": 1, \"name\": \"b\",\n"
    " \"machine\": \"made up\", \"boundary\": \"board\",\n"
    " \"knobs\": {\n"
    "  \"edge.khz\": {\"part\": \"edge\", \"kind\": \"ordered\", \"values\": [500, 750, "
    "1000]},\n"
    "  \"edge.mem\": {\"part\": \"edge\", \"kind\": \"ordered\", \"values\": [1, 4]},\n"
    "  \"edge.unit\": {\"part\": \"edge\", \"kind\": \"nominal\", \"values\": [\"a\", "
    "\"b\"]}},\n"
    " \"preset\": {\"edge.unit\": \"a\"}, \"switch_ms\": {\"edge.khz\": 2, \"edge.mem\": "
    "3},\n"
    " \"idle_w\": 1, \"unit\": \"edge.unit\", \"units\": {\n"
    "  \"a\": {\"macs_per_s\": {\"conv\": 1e9, \"matmul\": 1e8},\n"
    "        \"bytes_per_s\": {\"other\": 1e6}, \"crossing_bytes_per_s\": 1e5,\n"
    "        \"fixed_ms\": 10, \"power_w\": 0.5, \"effects\": {\n"
    "    \"edge.khz\": {\"reference\": 1000, \"exponent\": 1,\n"
    "                 \"power_w\": [[500, 2], [1000, 6]]},\n"
    "    \"edge.mem\": {\"reference\": 4, \"exponent\": {\"bytes\": 0.5, \"fixed\": 1},\n"
    "                 \"power_share\": [[1, 0.5], [4, 1]]}}},\n"
    "  \"b\": {\"macs_per_s\": {\"conv\": 4e9}, \"power_w\": 9}},\n"
    " \"sources\": {\"idle_w\": \"measured: x\", \"switch_ms\": \"assumed\",\n"
    "             \"units\": \"assumed\", \"units.a.fixed_ms\": \"published: y\"}}";

static struct ws_board *parse(const char *json, struct ws_error *err)
{
    struct ws_json_doc doc;
    struct ws_board *board = NULL;
    if (ws_json_parse(&doc, json, strlen(json), "b.json", err) != 0)
        return NULL;
    struct ws_json root = ws_json_root(&doc);
    (void)ws_board_read(&board, &root, err);
    ws_json_doc_fini(&doc);
    return board;
}

static void test_board_by_hand(void **state)
{
    struct ws_error err = {0};
    struct ws_board *board = parse(text, &err);
    struct ws_setting setting;
    struct ws_setting slow = {{1, 0, 0}};
    struct ws_work work = {.macs = {[WS_WORK_CONV] = 2e9, [WS_WORK_MATMUL] = 1e8},
                           .bytes = {[WS_WORK_OTHER] = 5e5},
                           .crossing_bytes = 2e4};
    struct ws_work none = {.crossing_bytes = 2e4};
    double ms = 0;
    double j = 0;
    (void)state;
    assert_non_null(board);
    ws_board_default(&setting, board);
    assert_int_equal(setting.value[0], 2);
    assert_int_equal(setting.value[2], 0);
    assert_int_equal(ws_board_predict(&ms, &j, board, &setting, &work, &err), 0);
    assert_near(ms, 2000 + 1000 + 500 + 200 + 10, 1e-9);
    assert_near(ws_board_power_w(board, &setting), 6.5, 1e-12);
    assert_near(j, 6.5 * ms / 1000, 1e-9);
    /* Three quarters of the clock, a quarter of the memory's; 4 W + 0.5 W are 3.5 above
     * idle, of which half is left. */
    assert_int_equal(ws_board_predict(&ms, &j, board, &slow, &work, &err), 0);
    assert_near(ms, (2000 + 1000) / 0.75 + 500 / (0.75 * 0.5) + 200 / 0.75 + 10 * 4,
                1e-9);
    assert_near(ws_board_power_w(board, &slow), 1 + 0.5 * 3.5, 1e-12);
    assert_int_equal(ws_board_predict(&ms, &j, board, &setting, &none, &err), 0);
    assert_near(ms, 0, 0);
    assert_near(j, 0, 0);
    assert_near(ws_board_switch_ms(board, &setting, &slow), 5, 0);
    assert_near(ws_board_switch_ms(board, &slow, &slow), 0, 0);
    /* Unit b knows nothing of matrix products, and says so. */
    struct ws_setting other = {{2, 1, 1}};
    ms = -1;
    assert_int_equal(ws_board_predict(&ms, &j, board, &other, &work, &err), WS_E_UNKNOWN);
    assert_string_equal(err.text, "device model b does not know how fast matmul runs");
    assert_near(ms, -1, 0);
    assert_int_equal(ws_board_check_work(board, &work, NULL), WS_E_UNKNOWN);
    assert_string_equal(ws_board_source(board, "units.a.fixed_ms"), "published: y");
    assert_string_equal(ws_board_source(board, "units.b.power_w"), "assumed");
    assert_null(ws_board_source(board, "unitsandmore"));
    ws_board_destroy(board);
}

static void test_board_refuses(void **state)
{
    static const struct {
        const char *from, *to, *error;
    } cases[] = {
        {"\"idle_w\": \"measured: x\", ", "",
         "b.json: idle_w: \"sources\" does not say where this figure comes from"},
        {"\"units.a.fixed_ms\"", "\"units.a.fixed\"",
         "b.json: sources: \"units.a.fixed\" is where no figure is"},
        {"\"edge.khz\": {\"part\"", "\"cpu.khz\": {\"part\"",
         "b.json: knobs: a board's knobs are called edge.x, not \"cpu.khz\""},
        {"[[500, 2], [1000, 6]]", "[[500, 2], [500, 6]]",
         "b.json: units.a.effects.edge.khz.power_w[1]: the first numbers must ascend"},
        {"[[500, 2], [1000, 6]]", "[[500, 2], [1000]]",
         "b.json: units.a.effects.edge.khz.power_w[1]: expected two numbers, got 1"},
        {"\"fixed\": 1}", "\"fixd\": 1}", "b.json: units.a.effects.edge.mem.exponent"},
        {"\"conv\": 4e9", "\"conv\": 0", "b.json: units.b.macs_per_s.conv: 0 is outside"},
        {"\"conv\": 4e9", "\"cnv\": 4e9", "b.json: units.b.macs_per_s: "},
        {"\"b\": {\"macs", "\"c\": {\"macs", "b.json: units: \"b\" is missing"},
        {"\"edge.unit\": \"a\"}", "\"edge.unit\": \"z\"}",
         "b.json: preset.edge.unit: knob \"edge.unit\" has no value z"},
        {"\"boundary\": \"board\"", "\"boundary\": \"bored\"",
         "b.json: boundary: \"bored\" is no boundary"},
        {"\"edge.mem\": {\"reference\"", "\"edge.unit\": {\"reference\"",
         "b.json: units.a.effects.edge.unit: value a is no positive number to scale by"},
        {"\"version\": 1", "\"version\": 2", "b.json: version: 2 is outside 1 .. 1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char changed[4096];
        struct ws_error err = {0};
        const char *at = strstr(text, cases[i].from);
        assert_non_null(at);
        (void)snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text,
                       cases[i].to, at + strlen(cases[i].from));
        assert_null(parse(changed, &err));
        if (strncmp(err.text, cases[i].error, strlen(cases[i].error)) != 0)
            fail_msg("\"%s\", expected \"%s\"", err.text, cases[i].error);
    }
}

static void test_board_shipped(void **state)
{
    static const char *const names[] = {
        "rpi4",       "rpi4-coral",       "rpi5",       "jetson-nano", "jetson-tx2",
        "odroid-xu4", "jetson-xavier-nx", "gpu-server", "laptop"};
    struct ws_work work = {.crossing_bytes = 1e5};
    (void)state;
    for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++)
        work.macs[c] = work.bytes[c] = 1e8;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct ws_error err = {0};
        struct ws_board *board = NULL;
        struct ws_setting setting;
        uint64_t size = 0;
        if (ws_board_load(&board, names[i], &err) != 0)
            fail_msg("%s", err.text);
        assert_string_equal(ws_board_name(board), names[i]);
        const struct ws_space *space = ws_board_space(board);
        assert_int_equal(ws_space_size(&size, space, NULL), 0);
        for (uint64_t s = 0; s < size; s += 1 + size / 1000) {
            double ms = 0;
            double j = 0;
            ws_setting_from_index(&setting, space, s);
            assert_int_equal(ws_board_predict(&ms, &j, board, &setting, &work, &err), 0);
            assert_true(ms > 0 && isfinite(ms) && j > 0 && isfinite(j));
        }
        ws_board_destroy(board);
    }
    struct ws_error err = {0};
    struct ws_board *board = NULL;
    assert_int_equal(ws_board_load(&board, "no-such-board", &err), WS_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "devices/no-such-board/board.json"));
}

static struct ws_knob_value value_of(char *word)
{
    return (struct ws_knob_value){.text = word};
}

static void test_binding(void **state)
{
    struct ws_error err = {0};
    struct ws_board *board = parse(text, &err);
    struct ws_binding *binding = NULL;
    struct ws_knob_value khz[] = {value_of("1000"), value_of("500")};
    struct ws_knob_value cut[] = {value_of("0"), value_of("1")};
    struct ws_knob knobs[] = {{.name = "cut", .values = cut, .value_count = 2},
                              {.name = "cloud.khz", .values = khz, .value_count = 2},
                              {.name = "edge.other", .values = cut, .value_count = 2}};
    struct ws_space space = {.knobs = knobs, .knob_count = 3};
    struct ws_setting setting = {{1, 1, 0}};
    struct ws_setting own;
    (void)state;
    assert_int_equal(ws_binding_create(&binding, board, &space, "cloud", &err), 0);
    ws_binding_setting(&own, binding, &setting);
    assert_int_equal(own.value[0], 0); /* 500 */
    assert_int_equal(own.value[1], 1); /* as preset: the last */
    assert_int_equal(own.value[2], 0);
    ws_binding_destroy(binding);
    assert_int_equal(ws_binding_create(&binding, board, &space, "edge", &err),
                     WS_E_NOT_FOUND);
    assert_string_equal(err.text, "device model b has no knob for edge.other");
    khz[1] = value_of("501");
    assert_int_equal(ws_binding_create(&binding, board, &space, "cloud", &err),
                     WS_E_NOT_FOUND);
    assert_string_equal(err.text, "device model b has no value 501 of cloud.khz");
    ws_board_destroy(board);
}

static void test_stretch(void **state)
{
    int64_t start = ws_clock_now_ns();
    (void)state;
    int64_t late = ws_stretch_until(start, 5);
    int64_t took = ws_clock_now_ns() - start;
    assert_true(took >= 5000000 && late <= took - 5000000);
    /* What is over cannot be kept; by how much is told. */
    late = ws_stretch_until(start, 1);
    assert_true(late >= 4000000 && late <= ws_clock_now_ns() - start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_board_by_hand), cmocka_unit_test(test_board_refuses),
        cmocka_unit_test(test_board_shipped), cmocka_unit_test(test_binding),
        cmocka_unit_test(test_stretch),
    };
    return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
