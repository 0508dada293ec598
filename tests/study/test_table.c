#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/plan.h"
#include "small.h"
#include "study/recorded.h"

static void load_small(struct ws_testbed *testbed, struct ws_table *table)
{
    struct ws_error err = {0};
    assert_int_equal(ws_testbed_parse(testbed, small_testbed, strlen(small_testbed),
                                      "t.json", "", &err),
                     0);
    assert_int_equal(
        ws_table_parse(table, testbed, small_table, strlen(small_table), "t.csv", &err),
        0);
}

static void test_table_small(void **state)
{
    (void)state;
    struct ws_testbed testbed;
    struct ws_table table;
    load_small(&testbed, &table);
    assert_int_equal(table.setting_count, 7);
    assert_int_equal(table.sample_count, 13);
    size_t number = 99;
    struct ws_setting setting = {{0, 0, 1}};
    assert_true(ws_table_find(&number, &table, &setting));
    assert_int_equal(ws_table_samples_of(&table, number), 2);
    assert_near(table.means[number].value[WS_LATENCY_MS], 52, 1e-12);
    struct ws_outcome sample;
    ws_table_sample(&sample, &table, number, 1);
    assert_near(sample.value[WS_CLOUD_MS], 24, 0);
    struct ws_setting lacking = {{1, 0, 0}};
    assert_false(ws_table_find(&number, &table, &lacking));
    /* An empty field is unknown, and so is what has no column. */
    struct ws_setting last = {{2, 1, 0}};
    double x = 0;
    assert_true(ws_table_find(&number, &table, &last));
    assert_int_equal(ws_outcome_get(&x, &table.means[number], WS_TENSOR_BYTES),
                     WS_E_UNKNOWN);
    assert_int_equal(ws_outcome_get(&x, &table.means[number], WS_EDGE_MEM_BYTES),
                     WS_E_UNKNOWN);
    struct ws_setting back;
    ws_table_setting(&back, &table, number);
    assert_memory_equal(&back, &last, sizeof(back));
    /* Residuals: six samples widened by sqrt(6/5), two by sqrt(2). */
    assert_int_equal(table.residual_count, 8);
    assert_near(table.residuals[1][0], 1 + 0.1 * sqrt(1.2), 1e-12);
    assert_near(table.residuals[7][0], 1 + 2.0 / 52 * sqrt(2), 1e-12);
    assert_near(table.residuals[7][1], 1 + 1.0 / 21 * sqrt(2), 1e-12);
    ws_table_fini(&table);
    ws_testbed_fini(&testbed);
}

static void test_table_refuses(void **state)
{
    (void)state;
    static const char head[] =
        "knob.cut,knob.edge.khz,knob.cloud.gpu,latency_ms,energy_j\n";
    static const struct {
        const char *header; /* NULL: the usual one */
        const char *rows;
        int code;
        const char *error;
    } cases[] = {
        {"knob.cut,knob.edge.khz,latency_ms,energy_j\n", "", WS_E_NOT_FOUND,
         "t.csv:1: no column \"knob.cloud.gpu\" among knob.cut, knob.edge.khz, "
         "latency_ms, energy_j"},
        {"knob.cut,knob.edge.khz,knob.cloud.gpu,latency_ms\n", "", WS_E_FORMAT,
         "t.csv:1: no column \"energy_j\", which is an objective of the testbed"},
        {"knob.cut,knob.edge.khz,knob.cloud.gpu,knob.x,latency_ms,energy_j\n", "",
         WS_E_NOT_FOUND, "t.csv:1: column 4: no knob \"x\""},
        {NULL, "", WS_E_FORMAT, "t.csv: no rows, expected at least one setting"},
        {NULL, "0,600,off,1,2\n0,700,off,1,2\n", WS_E_NOT_FOUND,
         "t.csv:3: column 2: knob \"edge.khz\" has no value \"700\""},
        {NULL, "0,,off,1,2\n", WS_E_NOT_FOUND,
         "t.csv:2: column 2: knob \"edge.khz\" has no value \"\""},
        {NULL, "0,600,off,nan,2\n", WS_E_FORMAT,
         "t.csv:2: column 4: latency_ms: \"nan\" is not a finite number"},
        {NULL, "0,600,off,-1,2\n", WS_E_LIMIT,
         "t.csv:2: column 4: latency_ms: -1 is outside 0 .. 1e+300"},
        {NULL, "2,600,on,1,2\n", WS_E_INFEASIBLE,
         "t.csv:2: the testbed's constraints forbid this setting"},
        {NULL, "0,600,off,1\n", WS_E_FORMAT, "t.csv:2: expected 5 fields, got 4"},
    };
    struct ws_testbed testbed;
    struct ws_error err = {0};
    assert_int_equal(ws_testbed_parse(&testbed, small_testbed, strlen(small_testbed),
                                      "t.json", "", &err),
                     0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        struct ws_table table;
        (void)snprintf(text, sizeof(text), "%s%s",
                       cases[i].header == NULL ? head : cases[i].header, cases[i].rows);
        assert_int_equal(
            ws_table_parse(&table, &testbed, text, strlen(text), "t.csv", &err),
            cases[i].code);
        assert_string_equal(err.text, cases[i].error);
    }
    ws_testbed_fini(&testbed);
}

static void test_table_estimates_link(void **state)
{
    (void)state;
    /* 3 ms and 80 Mbit/s: 0.1 ms per 1000 bytes; one outlier. */
    static const char rows[] =
        "knob.cut,knob.edge.khz,knob.cloud.gpu,latency_ms,energy_j,transfer_ms,"
        "tensor_bytes\n"
        "0,600,off,1,2,4,10000\n0,600,on,1,2,4,10000\n0,1200,on,1,2,500,10000\n"
        "1,600,off,1,2,5,20000\n1,1200,off,1,2,6,30000\n2,600,off,1,2,0,0\n";
    struct ws_error err = {0};
    struct ws_testbed testbed;
    struct ws_table table;
    assert_int_equal(ws_testbed_parse(&testbed, small_testbed, strlen(small_testbed),
                                      "t.json", "", &err),
                     0);
    testbed.link = (struct ws_conditions){0};
    assert_int_equal(ws_table_parse(&table, &testbed, rows, strlen(rows), "t.csv", &err),
                     0);
    assert_true(table.link_estimated);
    assert_near(table.reference.value[WS_LINK_MBIT_S], 80, 1e-9);
    assert_near(table.reference.value[WS_LINK_DELAY_MS], 3, 1e-9);
    ws_table_fini(&table);
    ws_testbed_fini(&testbed);
}

static void test_recorded_draws(void **state)
{
    (void)state;
    struct ws_testbed testbed;
    struct ws_table table;
    struct ws_error err = {0};
    struct ws_evaluator *pooled = NULL;
    struct ws_evaluator *none = NULL;
    load_small(&testbed, &table);
    assert_int_equal(ws_recorded_create(&pooled, &table, WS_NOISE_POOLED, &err), 0);
    assert_int_equal(ws_recorded_create(&none, &table, WS_NOISE_NONE, &err), 0);
    struct ws_setting own = {{0, 0, 0}};    /* six samples */
    struct ws_setting single = {{1, 1, 1}}; /* one */
    int seen[5] = {0};
    struct ws_outcome outcome;
    for (uint64_t seed = 0; seed < 200; seed++) {
        assert_int_equal(ws_evaluate(pooled, &outcome, &own, NULL, NULL, seed, &err), 0);
        int bin = (int)(outcome.value[WS_LATENCY_MS] / 10 - 8);
        assert_true(bin >= 0 && bin < 5);
        seen[bin]++;
        assert_int_equal(ws_evaluate(pooled, &outcome, &single, NULL, NULL, seed, &err),
                         0);
        double factor = outcome.value[WS_LATENCY_MS] / 45;
        int known = 0;
        for (size_t i = 0; i < table.residual_count; i++)
            known +=
                fabs(table.residuals[i][0] - factor) < 1e-12 &&
                fabs(table.residuals[i][1] - outcome.value[WS_ENERGY_J] / 14) < 1e-12;
        assert_true(known > 0);
        assert_near(outcome.value[WS_EDGE_MS] + outcome.value[WS_TRANSFER_MS] +
                        outcome.value[WS_CLOUD_MS],
                    outcome.value[WS_LATENCY_MS], 1e-9);
        assert_int_equal(ws_evaluate(none, &outcome, &own, NULL, NULL, seed, &err), 0);
        assert_near(outcome.value[WS_LATENCY_MS], 100, 1e-12);
    }
    /* 80, 90, 110 and 120 one time in six, 100 two in six. */
    for (size_t i = 0; i < 5; i++)
        assert_in_range(seen[i], i == 2 ? 45 : 15, i == 2 ? 90 : 55);
    ws_evaluator_destroy(pooled);
    ws_evaluator_destroy(none);
    ws_table_fini(&table);
    ws_testbed_fini(&testbed);
}

static void test_outcome_relink(void **state)
{
    (void)state;
    struct ws_conditions then = {0};
    struct ws_conditions now = {0};
    ws_conditions_set(&then, WS_LINK_MBIT_S, 100);
    ws_conditions_set(&then, WS_LINK_DELAY_MS, 2);
    ws_conditions_set(&now, WS_LINK_MBIT_S, 10);
    struct ws_outcome base = {0};
    ws_outcome_set(&base, WS_LATENCY_MS, 50);
    ws_outcome_set(&base, WS_ENERGY_J, 5);
    ws_outcome_set(&base, WS_TRANSFER_MS, 12); /* measured; the link says 10 + 2 - 2 */
    ws_outcome_set(&base, WS_TENSOR_BYTES, 100000);
    struct ws_outcome o = base;
    ws_outcome_relink(&o, &then, &now, 2);
    /* 8 ms at 100 Mbit/s and 80 ms at 10, and 2 ms of delay both times. */
    assert_near(o.value[WS_TRANSFER_MS], 12 * 82.0 / 10.0, 1e-9);
    assert_near(o.value[WS_LATENCY_MS], 50 + 12 * 7.2, 1e-9);
    assert_near(o.value[WS_ENERGY_J], 5 + 2 * 12 * 7.2 / 1000, 1e-9);
    o = base;
    ws_outcome_relink(&o, &then, &then, 2);
    assert_near(o.value[WS_LATENCY_MS], 50, 1e-12);
    o = base;
    ws_conditions_set(&now, WS_LINK_MBIT_S, 0);
    ws_outcome_relink(&o, &then, &now, 2);
    assert_true(isinf(o.value[WS_LATENCY_MS]));
    o = base;
    o.value[WS_TRANSFER_MS] = 0;
    ws_outcome_relink(&o, &then, &now, 2);
    assert_near(o.value[WS_LATENCY_MS], 50, 0);
    o = base;
    o.known &= ~(1u << WS_TENSOR_BYTES);
    ws_conditions_set(&now, WS_LINK_MBIT_S, 50);
    ws_outcome_relink(&o, &then, &now, 0);
    assert_near(o.value[WS_LATENCY_MS], 62, 1e-12);
    struct ws_conditions nothing = {0};
    o = base;
    ws_outcome_relink(&o, &nothing, &now, 2);
    assert_near(o.value[WS_LATENCY_MS], 50, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_small),
        cmocka_unit_test(test_table_refuses),
        cmocka_unit_test(test_recorded_draws),
        cmocka_unit_test(test_table_estimates_link),
        cmocka_unit_test(test_outcome_relink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
