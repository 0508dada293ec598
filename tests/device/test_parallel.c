/* Halves side by side: times and energies worked out by hand, scenarios, bad files. */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/stats.h"
#include "device/parallel.h"
#include "study/table.h"
#include "study/testbed.h"

/* One processor at 1000 or 500, shares 0, 0.5 and 1. */
static const char testbed_text[] =
    "{\"name\":\"t\",\"objectives\":[\"latency_ms\"],\"model\":\"m\",\"knobs\":{"
    "\"c\":{\"part\":\"edge\",\"kind\":\"ordered\",\"values\":[500,1000]},"
    "\"s\":{\"part\":\"shared\",\"kind\":\"ordered\",\"values\":[0,0.5,1]}}}";
static const char model_text[] =
    "{\"format\":\"wattshed-parallel-model\",\"version\":1,"
    "\"share\":{\"knob\":\"s\",\"extract\":0.2,\"maps_bytes\":1000,\"index_bytes\":0,"
    "\"fusion_ms\":1},"
    "\"edge\":{\"base_w\":1,\"radio_w\":2,\"max_power_w\":9,\"units\":{\"cpu\":{"
    "\"knob\":\"c\",\"reference_clock\":1000,\"ms\":100,\"idle_share\":0.5,"
    "\"load_share\":1,\"busy_w\":[[500,2],[1000,4]]}}},"
    "\"cloud\":{\"ms\":10,\"fixed_ms\":2},"
    "\"accuracy\":{\"whole\":0.8,\"drop\":0.04,\"floor\":0.77},"
    "\"link\":{\"mbit_s\":1,\"delay_ms\":5},"
    "\"heat\":{\"ambient_c\":25,\"c_per_w\":5,\"seconds\":60},"
    "\"individuals\":{\"time\":0.3,\"power\":0.1,\"throttled\":0.5}}";

static struct ws_testbed testbed;

static int group_setup(void **state)
{
    (void)state;
    return ws_testbed_parse(&testbed, testbed_text, strlen(testbed_text), "t", ".", NULL);
}

static int group_teardown(void **state)
{
    (void)state;
    ws_testbed_fini(&testbed);
    return 0;
}

static struct ws_evaluator *model(void)
{
    struct ws_evaluator *made = NULL;
    struct ws_error err = {0};
    if (ws_parallel_parse(&made, &testbed.space, NULL, model_text, strlen(model_text),
                          "m", &err) != 0)
        fail_msg("%s", err.text);
    return made;
}

static void test_expect_by_hand(void **state)
{
    /* Whole network 100 ms at 1000 and 200 ms at 500; 0.2 of it is the extractor. At 1
     * Mbit/s 500 bytes take 5 + 4 ms, 1000 bytes 5 + 8 ms. */
    const struct {
        struct ws_setting setting;
        double latency, edge, transfer, cloud, joules;
    } rows[] = {
        {{{1, 0}}, 100, 100, 0, 0, 5 * 0.1},
        {{{0, 0}}, 200, 200, 0, 0, 3 * 0.2},
        /* local 40 is longer than 9 + 2 + 4. */
        {{{1, 1}}, 61, 61, 9, 6, 5 * 0.061 + 2 * 0.009},
        /* nothing local: 20, then 13 + 2 + 8 of waiting at 1 + 2 W. */
        {{{1, 2}}, 43, 20, 13, 10, 5 * 0.02 + 3 * 0.023 + 2 * 0.013},
    };
    struct ws_evaluator *evaluator = model();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_outcome o;
        assert_int_equal(ws_evaluator_expect(evaluator, &o, &rows[i].setting, NULL, NULL),
                         0);
        assert_near(o.value[WS_LATENCY_MS], rows[i].latency, 1e-9);
        /* What of the edge's time runs beside the rest is what makes the parts add up. */
        assert_near(o.value[WS_LATENCY_MS],
                    o.value[WS_EDGE_MS] - o.value[WS_BESIDE_MS] +
                        fmax(o.value[WS_BESIDE_MS],
                             o.value[WS_TRANSFER_MS] + o.value[WS_CLOUD_MS]),
                    1e-9);
        assert_near(o.value[WS_EDGE_MS], rows[i].edge, 1e-9);
        assert_near(o.value[WS_TRANSFER_MS], rows[i].transfer, 1e-9);
        assert_near(o.value[WS_CLOUD_MS], rows[i].cloud, 1e-9);
        assert_near(o.value[WS_ENERGY_J], rows[i].joules, 1e-9);
        assert_int_equal(o.truth, WS_MODELLED);
    }
    ws_evaluator_destroy(evaluator);
}

static double expected(struct ws_evaluator *evaluator, uint16_t clock, uint16_t share,
                       enum ws_condition which, double value, enum ws_measure measure)
{
    struct ws_setting setting = {{clock, share}};
    struct ws_conditions now = {.known = 0};
    struct ws_outcome o;
    ws_conditions_set(&now, which, value);
    assert_int_equal(ws_evaluator_expect(evaluator, &o, &setting, &now, NULL), 0);
    return o.value[measure];
}

static void test_conditions(void **state)
{
    struct ws_evaluator *e = model();
    (void)state;
    assert_near(expected(e, 1, 2, WS_LINK_MBIT_S, 2, WS_TRANSFER_MS), 9, 1e-9);
    assert_true(isinf(expected(e, 1, 2, WS_LINK_MBIT_S, 0, WS_LATENCY_MS)));
    assert_true(isfinite(expected(e, 1, 2, WS_LINK_MBIT_S, 0, WS_ENERGY_J)));
    assert_near(expected(e, 1, 0, WS_EDGE_LOAD, 0.5, WS_LATENCY_MS), 200, 1e-9);
    /* All importance on one side costs nothing; half of flat maps costs most. */
    assert_near(expected(e, 1, 0, WS_ATTENTION, 0.5, WS_ACCURACY), 0.8, 1e-9);
    assert_near(expected(e, 1, 2, WS_ATTENTION, 0.5, WS_ACCURACY), 0.8, 1e-9);
    assert_near(expected(e, 1, 1, WS_ATTENTION, 0.5, WS_ACCURACY), 0.76, 1e-9);
    assert_near(expected(e, 1, 1, WS_ATTENTION, 0.9, WS_ACCURACY),
                0.8 - 0.04 * 4 * 0.1 * 0.9, 1e-9);
    /* Another machine of the kind is another, and always the same one. */
    double other = expected(e, 1, 0, WS_INDIVIDUAL, 7, WS_LATENCY_MS);
    assert_true(fabs(other - 100) > 1e-6);
    assert_near(expected(e, 1, 0, WS_INDIVIDUAL, 7, WS_LATENCY_MS), other, 0);
    ws_evaluator_destroy(e);
}

static struct ws_evaluator *with_scenario(const char *scenario, int expected_rc)
{
    char model_path[] = "/tmp/ws-model-XXXXXX", path[] = "/tmp/ws-scenario-XXXXXX";
    struct ws_evaluator *made = NULL;
    int a = mkstemp(model_path), b = mkstemp(path);
    assert_true(a >= 0 && b >= 0);
    close(a);
    close(b);
    assert_int_equal(ws_file_write(model_path, model_text, strlen(model_text), NULL), 0);
    assert_int_equal(ws_file_write(path, scenario, strlen(scenario), NULL), 0);
    assert_int_equal(
        ws_parallel_create(&made, &testbed.space, NULL, model_path, path, NULL),
        expected_rc);
    unlink(model_path);
    unlink(path);
    return made;
}

#define SCENARIO "{\"format\":\"wattshed-scenario\",\"version\":1,"

static void test_scenarios(void **state)
{
    (void)state;
    struct ws_evaluator *hot = with_scenario(
        SCENARIO "\"throttle\":{\"above_c\":60,\"clock\":{\"cpu\":500}}}", 0);
    assert_near(expected(hot, 1, 0, WS_TEMPERATURE_C, 59, WS_LATENCY_MS), 100, 1e-9);
    assert_near(expected(hot, 1, 0, WS_TEMPERATURE_C, 60, WS_LATENCY_MS), 200, 1e-9);
    assert_near(expected(hot, 1, 0, WS_TEMPERATURE_C, 60, WS_ENERGY_J), 0.6, 1e-9);
    ws_evaluator_destroy(hot);
    struct ws_evaluator *drift =
        with_scenario(SCENARIO "\"drift\":{\"from_s\":10,\"over_s\":10,\"power\":2,"
                               "\"time\":{\"cpu\":3}},\"heat\":{\"ambient_c\":50}}",
                      0);
    assert_near(expected(drift, 1, 0, WS_TIME_S, 10, WS_LATENCY_MS), 100, 1e-9);
    assert_near(expected(drift, 1, 0, WS_TIME_S, 15, WS_LATENCY_MS), 200, 1e-9);
    assert_near(expected(drift, 1, 0, WS_TIME_S, 99, WS_ENERGY_J), 10 * 0.3, 1e-9);
    assert_near(ws_parallel_facts(drift)->ambient_c, 50, 0);
    ws_evaluator_destroy(drift);
    static const struct {
        const char *text;
        int rc;
    } bad[] = {
        {SCENARIO "\"throttle\":{\"above_c\":60,\"clock\":{\"npu\":5}}}", WS_E_NOT_FOUND},
        {SCENARIO "\"drift\":{\"from_s\":10}}", WS_E_FORMAT},
        {SCENARIO "\"storm\":1}", WS_E_FORMAT},
        {"{\"format\":\"wattshed-plan\",\"version\":1}", WS_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_null(with_scenario(bad[i].text, bad[i].rc));
}

/* Every piece of the model matters: with one broken it is refused. */
static void test_parse_refuses(void **state)
{
    const struct {
        const char *from, *to;
        int rc;
    } rows[] = {
        {"parallel-model", "parallel-mode1", WS_E_FORMAT},
        {"\"knob\":\"s\"", "\"knob\":\"x\"", WS_E_NOT_FOUND},
        {"\"knob\":\"c\"", "\"knob\":\"d\"", WS_E_NOT_FOUND},
        {"\"extract\":0.2", "\"extract\":1.2", WS_E_LIMIT},
        {"[500,2],[1000,4]", "[900,2],[0100,4]", WS_E_FORMAT},
        {"[500,2],[1000,4]", "[900,2],[ 100,4]", WS_E_FORMAT},
        {"\"mbit_s\":1", "\"mbit_s\":0", WS_E_LIMIT},
        {"\"floor\"", "\"flour\"", WS_E_FORMAT},
        {"\"heat\"", "\"heap\"", WS_E_FORMAT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_evaluator *made = NULL;
        char text[sizeof(model_text)];
        memcpy(text, model_text, sizeof(text));
        char *at = strstr(text, rows[i].from);
        assert_non_null(at);
        memcpy(at, rows[i].to, strlen(rows[i].to));
        assert_int_equal(
            ws_parallel_parse(&made, &testbed.space, NULL, text, strlen(text), "m", NULL),
            rows[i].rc);
        assert_null(made);
    }
}

/* The shipped Nano, whole network on it at the highest clocks of processor and memory,
 * against the published sweep of its accelerator, one request at a time. */
static void test_nano_against_sweep(void **state)
{
    struct ws_testbed recorded, ours;
    struct ws_table table;
    struct ws_evaluator *nano = NULL;
    struct ws_error err = {0};
    char path[1024];
    double times[16], energies[16];
    size_t count = 0, gpu = 0;
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/jetson-nano-gpu/testbed.json",
                   getenv("WS_SHARED_DATA"));
    if (access(path, R_OK) != 0) {
        print_message("%s is not here: skipped\n", path);
        skip();
    }
    if (ws_testbed_load(&recorded, path, &err) != 0 ||
        ws_table_load(&table, &recorded, &err) != 0)
        fail_msg("%s", err.text);
    (void)snprintf(path, sizeof(path), "%s/../testbeds/dvfo-nano/testbed.json",
                   getenv("WS_MODELS"));
    if (ws_testbed_load(&ours, path, &err) != 0 ||
        ws_parallel_create(&nano, &ours.space, NULL, ours.model_path, NULL, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(ws_space_find(&gpu, &ours.space, "edge.gpu_khz", NULL), 0);
    for (size_t i = 0; i < table.setting_count; i++) {
        struct ws_setting theirs,
            setting = ws_testbed_baseline(&ours, "edge-only")->setting;
        struct ws_outcome o;
        size_t clock = 0;
        ws_table_setting(&theirs, &table, i);
        const struct ws_knob *knobs = recorded.space.knobs;
        if (strcmp(knobs[1].values[theirs.value[1]].text, "1") != 0)
            continue;
        assert_int_equal(ws_knob_find(&clock, &ours.space.knobs[gpu],
                                      knobs[0].values[theirs.value[0]].text, NULL),
                         0);
        setting.value[gpu] = (uint16_t)clock;
        assert_int_equal(ws_evaluator_expect(nano, &o, &setting, NULL, NULL), 0);
        const double *mean = table.means[i].value;
        times[count] = fabs(o.value[WS_LATENCY_MS] / mean[WS_LATENCY_MS] - 1);
        energies[count++] = fabs(o.value[WS_ENERGY_J] / mean[WS_ENERGY_J] - 1);
    }
    assert_int_equal(count, 11);
    ws_stats_sort(times, count);
    ws_stats_sort(energies, count);
    print_message("latency: median %.1f %%, worst %.1f %%; energy: median %.1f %%, worst "
                  "%.1f %%\n",
                  100 * times[5], 100 * times[10], 100 * energies[5], 100 * energies[10]);
    assert_true(times[5] < 0.03 && times[10] < 0.1);
    assert_true(energies[5] < 0.03 && energies[10] < 0.1);
    ws_evaluator_destroy(nano);
    ws_testbed_fini(&ours);
    ws_table_fini(&table);
    ws_testbed_fini(&recorded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expect_by_hand),     cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_scenarios),          cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_nano_against_sweep),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
