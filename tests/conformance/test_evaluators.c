/*
 * What every evaluator must do, run over all there are: one over a small recorded table
 * with and without noise, one over a device model of the same space.
 */
#include <stdlib.h>
#include <string.h>

#include "../study/small.h"
#include "check.h"
#include "device/modelled.h"
#include "study/recorded.h"

static const char model[] =
    "{\"format\": \"wattshed-device-model\", \"version\": 2,\n"
    " \"cut\": {\"knob\": \"cut\", \"macs\": {\n"
    "           \"total\": {\"conv\": 1e9, \"matmul\": 1e8},\n"
    "           \"edge\": {\"conv\": [0, 8e8, 1e9], \"matmul\": [0, 0, 1e8]}},\n"
    "         \"crossing_bytes\": [150000, 30000, 0]},\n"
    " \"accuracy\": {\"values\": [0.9]},\n"
    " \"edge\": {\"format\": \"wattshed-board\", \"version\": 1, \"name\": \"e\",\n"
    "  \"machine\": \"\", \"boundary\": \"board\", \"idle_w\": 2, \"knobs\": "
    "{\"edge.khz\":\n"
    "   {\"part\": \"edge\", \"kind\": \"ordered\", \"values\": [400, 600, 1200]}},\n"
    "  \"units\": {\"cpu\": {\"macs_per_s\": {\"conv\": 2e10, \"matmul\": 4e9},\n"
    "   \"fixed_ms\": 1, \"effects\": {\"edge.khz\": {\"reference\": 1200, \"exponent\": "
    "0.9,\n"
    "                               \"power_w\": [[400, 3], [1200, 6]]}}}},\n"
    "  \"sources\": {\"idle_w\": \"assumed\", \"units\": \"assumed\"}},\n"
    " \"cloud\": {\"format\": \"wattshed-board\", \"version\": 1, \"name\": \"c\",\n"
    "  \"machine\": \"\", \"boundary\": \"wall\", \"idle_w\": 50, \"knobs\": "
    "{\"edge.gpu\":\n"
    "   {\"part\": \"edge\", \"kind\": \"nominal\", \"values\": [\"off\", \"on\"]}},\n"
    "  \"unit\": \"edge.gpu\", \"units\": {\n"
    "   \"off\": {\"macs_per_s\": {\"conv\": 1e11, \"matmul\": 1e11}, \"power_w\": "
    "100},\n"
    "   \"on\": {\"macs_per_s\": {\"conv\": 4e12, \"matmul\": 1e12}, \"fixed_ms\": 1,\n"
    "          \"power_w\": 250}},\n"
    "  \"sources\": {\"idle_w\": \"assumed\", \"units\": \"assumed\"}},\n"
    " \"link\": {\"mbit_s\": 100, \"delay_ms\": 1},\n"
    " \"noise\": {\"time\": 0.05, \"energy\": 0.03}}";

enum { RECORDED_POOLED, RECORDED_NONE, MODELLED, KINDS };

struct fixture {
    struct ws_testbed testbed;
    struct ws_table table;
    struct ws_evaluator *evaluators[KINDS];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ws_error err = {0};
    assert_non_null(f);
    assert_int_equal(ws_testbed_parse(&f->testbed, small_testbed, strlen(small_testbed),
                                      "t.json", "", &err),
                     0);
    assert_int_equal(ws_table_parse(&f->table, &f->testbed, small_table,
                                    strlen(small_table), "t.csv", &err),
                     0);
    assert_int_equal(ws_recorded_create(&f->evaluators[RECORDED_POOLED], &f->table,
                                        WS_NOISE_POOLED, &err),
                     0);
    assert_int_equal(
        ws_recorded_create(&f->evaluators[RECORDED_NONE], &f->table, WS_NOISE_NONE, &err),
        0);
    assert_int_equal(ws_modelled_parse(&f->evaluators[MODELLED], &f->testbed.space,
                                       f->testbed.switch_ms, model, strlen(model),
                                       "m.json", &err),
                     0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < KINDS; i++)
        ws_evaluator_destroy(f->evaluators[i]);
    ws_table_fini(&f->table);
    ws_testbed_fini(&f->testbed);
    free(f);
    return 0;
}

/* Calls `check` for every evaluator and every setting of the raw space. */
static void for_all(struct fixture *f,
                    void (*check)(struct ws_evaluator *, const struct ws_setting *))
{
    uint64_t size = 0;
    assert_int_equal(ws_space_size(&size, &f->testbed.space, NULL), 0);
    for (size_t i = 0; i < KINDS; i++) {
        for (uint64_t s = 0; s < size; s++) {
            struct ws_setting setting;
            ws_setting_from_index(&setting, &f->testbed.space, s);
            check(f->evaluators[i], &setting);
        }
    }
}

static void check_codes(struct ws_evaluator *evaluator, const struct ws_setting *setting)
{
    struct ws_outcome outcome;
    struct ws_outcome before;
    struct ws_error err = {0};
    memset(&outcome, 0x5a, sizeof(outcome));
    before = outcome;
    int rc = ws_evaluate(evaluator, &outcome, setting, NULL, NULL, 1, &err);
    int allowed = ws_space_allows(evaluator->space, setting);
    assert_int_equal(rc == 0, ws_evaluator_has(evaluator, setting));
    if (!allowed)
        assert_int_equal(rc, WS_E_INFEASIBLE);
    else if (rc != 0)
        assert_int_equal(rc, WS_E_NOT_FOUND);
    /* What failed says so, and leaves the outcome alone. */
    if (rc != 0) {
        assert_int_equal(err.code, rc);
        assert_memory_equal(&outcome, &before, sizeof(outcome));
    }
    assert_int_equal(ws_evaluator_expect(evaluator, &outcome, setting, NULL, &err), rc);
}

static void check_draws(struct ws_evaluator *evaluator, const struct ws_setting *setting)
{
    enum { DRAWS = 2000 };
    struct ws_outcome expected;
    double mean[2] = {0};
    if (!ws_evaluator_has(evaluator, setting))
        return;
    assert_int_equal(ws_evaluator_expect(evaluator, &expected, setting, NULL, NULL), 0);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        struct ws_outcome one;
        struct ws_outcome two;
        assert_int_equal(ws_evaluate(evaluator, &one, setting, NULL, NULL, seed, NULL),
                         0);
        assert_int_equal(ws_evaluate(evaluator, &two, setting, NULL, NULL, seed, NULL),
                         0);
        assert_memory_equal(one.value, two.value, sizeof(one.value));
        assert_int_equal(one.known, two.known);
        assert_int_equal(one.known, expected.known);
        mean[0] += one.value[WS_LATENCY_MS] / DRAWS;
        mean[1] += one.value[WS_ENERGY_J] / DRAWS;
        double parts =
            one.value[WS_EDGE_MS] + one.value[WS_TRANSFER_MS] + one.value[WS_CLOUD_MS];
        assert_near(parts, one.value[WS_LATENCY_MS], 1e-9 * parts);
    }
    assert_near(mean[0], expected.value[WS_LATENCY_MS],
                0.02 * expected.value[WS_LATENCY_MS]);
    assert_near(mean[1], expected.value[WS_ENERGY_J], 0.02 * expected.value[WS_ENERGY_J]);
}

static void check_link(struct ws_evaluator *evaluator, const struct ws_setting *setting)
{
    struct ws_conditions slow = {0};
    struct ws_outcome usual;
    struct ws_outcome slowed;
    if (!ws_evaluator_has(evaluator, setting))
        return;
    ws_conditions_set(&slow, WS_LINK_MBIT_S, 10);
    assert_int_equal(ws_evaluator_expect(evaluator, &usual, setting, NULL, NULL), 0);
    assert_int_equal(ws_evaluator_expect(evaluator, &slowed, setting, &slow, NULL), 0);
    double more = slowed.value[WS_TRANSFER_MS] - usual.value[WS_TRANSFER_MS];
    if (usual.value[WS_TRANSFER_MS] > 0)
        assert_true(more > 0);
    else
        assert_near(more, 0, 0);
    /* The edge waits longer at 2 W, and nothing else changes. */
    assert_near(slowed.value[WS_LATENCY_MS] - usual.value[WS_LATENCY_MS], more, 1e-9);
    assert_near(slowed.value[WS_ENERGY_J] - usual.value[WS_ENERGY_J], 2 * more / 1000,
                1e-9);
    assert_near(slowed.value[WS_EDGE_MS], usual.value[WS_EDGE_MS], 0);
}

static void check_switch(struct ws_evaluator *evaluator, const struct ws_setting *setting)
{
    struct ws_setting other = *setting;
    assert_near(ws_evaluator_switch_ms(evaluator, setting, setting), 0, 0);
    other.value[0] = (uint16_t)((other.value[0] + 1) % 3);
    assert_near(ws_evaluator_switch_ms(evaluator, setting, &other), 10, 0);
    other.value[1] = (uint16_t)((other.value[1] + 1) % 2);
    assert_near(ws_evaluator_switch_ms(evaluator, setting, &other), 150, 0);
}

static void test_evaluators_codes(void **state)
{
    for_all(*state, check_codes);
}

static void test_evaluators_draws(void **state)
{
    for_all(*state, check_draws);
}

static void test_evaluators_link(void **state)
{
    for_all(*state, check_link);
}

static void test_evaluators_switch(void **state)
{
    for_all(*state, check_switch);
}

/* The model's own arithmetic, once by hand. */
static void test_modelled_by_hand(void **state)
{
    struct fixture *f = *state;
    struct ws_evaluator *evaluator = f->evaluators[MODELLED];
    struct ws_outcome o;
    struct ws_setting middle = {{1, 0, 1}};
    assert_int_equal(ws_evaluator_expect(evaluator, &o, &middle, NULL, NULL), 0);
    double edge_ms = 1000 * 8e8 / (2e10 * pow(0.5, 0.9)) + 1;
    double cloud_ms = 1000 * (2e8 / 4e12 + 1e8 / 1e12) + 1;
    double transfer_ms = 1 + 30000 * 8 / 1e5;
    assert_near(o.value[WS_EDGE_MS], edge_ms, 1e-9);
    assert_near(o.value[WS_CLOUD_MS], cloud_ms, 1e-9);
    assert_near(o.value[WS_TRANSFER_MS], transfer_ms, 1e-9);
    /* 600 kHz lies a quarter of the way from 3 W to 6 W. */
    assert_near(o.value[WS_EDGE_ENERGY_J],
                (3.75 * edge_ms + 2 * (transfer_ms + cloud_ms)) / 1000, 1e-12);
    assert_near(o.value[WS_CLOUD_ENERGY_J], 250 * cloud_ms / 1000, 1e-12);
    assert_int_equal(o.truth, WS_MODELLED);
    struct ws_conditions busy = {0};
    ws_conditions_set(&busy, WS_CLOUD_LOAD, 0.5);
    assert_int_equal(ws_evaluator_expect(evaluator, &o, &middle, &busy, NULL), 0);
    assert_near(o.value[WS_CLOUD_MS], 2 * cloud_ms, 1e-9);
    struct ws_setting whole = {{2, 1, 0}};
    assert_int_equal(ws_evaluator_expect(evaluator, &o, &whole, NULL, NULL), 0);
    assert_near(o.value[WS_CLOUD_MS], 0, 0);
    assert_near(o.value[WS_TRANSFER_MS], 0, 0);
    assert_near(ws_modelled_edge_idle_w(evaluator), 2, 0);
}

/* The edge works on while the rest is away. */
static void test_modelled_beside(void **state)
{
    struct fixture *f = *state;
    static const char total[] = "\"total\": {\"conv\": 1e9, \"matmul\": 1e8}";
    static const char more[] = "\"beside\": {\"conv\": [0, 8e9, 0]}, \"cloud\": "
                               "{\"conv\": [1e9, 1e6, 0]}";
    char text[4096];
    struct ws_evaluator *evaluator = NULL, *apart = NULL;
    struct ws_outcome o, plain;
    const char *at = strstr(model, total);
    assert_non_null(at);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - model), model, more,
                   at + strlen(total));
    assert_int_equal(ws_modelled_parse(&evaluator, &f->testbed.space, NULL, text,
                                       strlen(text), "m.json", NULL),
                     0);
    assert_int_equal(ws_modelled_parse(&apart, &f->testbed.space, NULL, model,
                                       strlen(model), "m.json", NULL),
                     0);
    const struct ws_setting middle = {{1, 1, 0}};
    assert_int_equal(ws_evaluator_expect(evaluator, &o, &middle, NULL, NULL), 0);
    assert_int_equal(ws_evaluator_expect(apart, &plain, &middle, NULL, NULL), 0);
    assert_false(ws_outcome_knows(&plain, WS_BESIDE_MS));
    /* 8e9 multiplications at 2e10 a second, and the fixed millisecond. */
    assert_near(o.value[WS_BESIDE_MS], 401, 1e-9);
    assert_near(o.value[WS_EDGE_MS], plain.value[WS_EDGE_MS] + 401, 1e-9);
    double away = o.value[WS_TRANSFER_MS] + o.value[WS_CLOUD_MS];
    assert_true(away > 0 && away < 401);
    assert_near(o.value[WS_LATENCY_MS], o.value[WS_EDGE_MS], 1e-9);
    /* It never waits: its energy is its power, 6 W, for its time. */
    assert_near(o.value[WS_EDGE_ENERGY_J], 6 * o.value[WS_EDGE_MS] / 1000, 1e-9);
    /* A slow link outlasts it. */
    struct ws_conditions slow = {0};
    ws_conditions_set(&slow, WS_LINK_MBIT_S, 0.1);
    assert_int_equal(ws_evaluator_expect(evaluator, &o, &middle, &slow, NULL), 0);
    away = o.value[WS_TRANSFER_MS] + o.value[WS_CLOUD_MS];
    assert_true(away > 401);
    assert_near(o.value[WS_LATENCY_MS], o.value[WS_EDGE_MS] - 401 + away, 1e-9);
    assert_near(o.value[WS_EDGE_ENERGY_J],
                6 * o.value[WS_EDGE_MS] / 1000 + 2 * (away - 401) / 1000, 1e-9);
    ws_evaluator_destroy(evaluator);
    ws_evaluator_destroy(apart);
}

static void test_modelled_refuses(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *from;
        const char *to;
        const char *error;
    } cases[] = {
        {"\"version\": 2", "\"version\": 1", "m.json: version: 1 is outside 2 .. 2"},
        {"\"edge.khz\":\n", "\"edge.mhz\":\n",
         "m.json: edge.units.cpu.effects.edge.khz: there is no knob \"edge.khz\""},
        {"400, 600, 1200", "400, 700, 1200",
         "m.json: edge: device model e has no value 600 of edge.khz"},
        {"\"edge.gpu\":\n", "\"edge.npu\":\n",
         "m.json: cloud.unit: there is no knob \"edge.gpu\""},
        {"[150000, 30000, 0]", "[150000, 30000]",
         "m.json: cut.crossing_bytes: expected 3 numbers, got 2"},
        {"[0, 0, 1e8]", "[0, 0, 2e8]",
         "m.json: cut.macs.total.matmul: more lies before value 2: 2e+08"},
        {"\"matmul\": [0, 0, 1e8]", "\"other\": [0, 0, 1e8]",
         "m.json: cut.macs.edge: \"matmul\" is missing"},
        {"\"total\": {\"conv\": 1e9, \"matmul\": 1e8}",
         "\"beside\": {\"conv\": [0, 1, 0]}", "m.json: cut.macs: \"cloud\" is missing"},
        {"\"total\": {\"conv\"", "\"total\": {\"cnv\"",
         "m.json: cut.macs.total.cnv: there is no such class"},
        {"2e10, \"matmul\": 4e9", "2e10",
         "m.json: edge: device model e does not know how fast matmul runs"},
        {"[400, 3], [1200, 6]", "[1200, 6], [400, 3]",
         "m.json: edge.units.cpu.effects.edge.khz.power_w[1]: the first numbers must "
         "ascend"},
        {"\"on\": {\"mac", "\"max\": {\"mac", "m.json: cloud.units: \"on\" is missing"},
        {"{\"idle_w\": \"assumed\", ", "{",
         "m.json: edge.idle_w: \"sources\" does not say where this figure comes from"},
        {"{\"idle_w\": \"assumed\", ",
         "{\"idle\": \"assumed\", \"idle_w\": \"assumed\", ",
         "m.json: edge: sources: \"idle\" is where no figure is"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[4096];
        struct ws_error err = {0};
        struct ws_evaluator *evaluator = NULL;
        const char *at = strstr(model, cases[i].from);
        assert_non_null(at);
        (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - model), model,
                       cases[i].to, at + strlen(cases[i].from));
        assert_int_not_equal(ws_modelled_parse(&evaluator, &f->testbed.space, NULL, text,
                                               strlen(text), "m.json", &err),
                             0);
        assert_string_equal(err.text, cases[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_evaluators_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evaluators_draws, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evaluators_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evaluators_switch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modelled_by_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modelled_beside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modelled_refuses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
