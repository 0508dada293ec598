#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "check.h"
#include "study/import.h"
#include "study/table.h"

static const char rows[] = "Model,Split point,Head (s),Net (s),\"Clock, MHz\"\n"
                           "a,10,0.5,0.1,600\n"
                           "a,2,0.2,0.3,600\n"
                           "b,2,9,9,600\n"
                           "a,2,0.1,,1200\n";
static const char map[] =
    "{\"name\": \"theirs\", \"where\": {\"Model\": \"a\"},\n"
    " \"knobs\": {\"cut\": {\"column\": \"Split point\", \"part\": \"shared\",\n"
    "                    \"kind\": \"ordered\"},\n"
    "            \"edge.mhz\": {\"column\": \"Clock, MHz\", \"part\": \"edge\",\n"
    "                         \"kind\": \"ordered\"}},\n"
    " \"measures\": {\"edge_ms\": {\"column\": \"Head (s)\", \"scale\": 1000},\n"
    "               \"transfer_ms\": {\"column\": \"Net (s)\", \"scale\": 1000},\n"
    "               \"latency_ms\": {\"terms\": {\"edge_ms\": 1, \"transfer_ms\": 1}},\n"
    "               \"edge_energy_j\": {\"terms\": {\"edge_ms\": 0.005}},\n"
    "               \"energy_j\": {\"terms\": {\"edge_energy_j\": 1}}},\n"
    " \"objectives\": [\"edge_ms\"], \"link\": {\"mbit_s\": 50}}";

struct fixture {
    char dir[64];
    char csv[96];
    char map[96];
    char testbed[128];
    char table[128];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/wattshed-import-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->csv, sizeof(f->csv), "%s/in.csv", f->dir);
    (void)snprintf(f->map, sizeof(f->map), "%s/map.json", f->dir);
    (void)snprintf(f->testbed, sizeof(f->testbed), "%s/testbed.json", f->dir);
    (void)snprintf(f->table, sizeof(f->table), "%s/table.csv", f->dir);
    assert_int_equal(ws_file_write(f->csv, rows, strlen(rows), NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)unlink(f->csv);
    (void)unlink(f->map);
    (void)unlink(f->testbed);
    (void)unlink(f->table);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static int import(struct ws_import_result *out, struct fixture *f, const char *text,
                  struct ws_error *err)
{
    assert_int_equal(ws_file_write(f->map, text, strlen(text), err), 0);
    return ws_import(out, f->csv, f->map, f->dir, err);
}

static void test_import_rows(void **state)
{
    struct fixture *f = *state;
    struct ws_error err = {0};
    struct ws_import_result result;
    struct ws_testbed testbed;
    struct ws_table table;
    assert_int_equal(import(&result, f, map, &err), 0);
    assert_int_equal(result.row_count, 3);
    assert_int_equal(result.left_count, 1);
    assert_int_equal(result.setting_count, 3);
    assert_true(result.modelled);
    assert_int_equal(ws_testbed_load(&testbed, f->testbed, &err), 0);
    assert_int_equal(ws_table_load(&table, &testbed, &err), 0);
    /* Values are sorted as numbers, energy from times makes it modelled. */
    assert_string_equal(testbed.space.knobs[0].values[1].text, "10");
    assert_int_equal(testbed.truth, WS_MODELLED);
    size_t number = 0;
    double x = 0;
    struct ws_setting setting = {{1, 0}};
    assert_true(ws_table_find(&number, &table, &setting));
    assert_near(table.means[number].value[WS_LATENCY_MS], 600, 1e-9);
    assert_near(table.means[number].value[WS_ENERGY_J], 2.5, 1e-9);
    /* An empty field, and what is computed from it, is unknown. */
    setting = (struct ws_setting){{0, 1}};
    assert_true(ws_table_find(&number, &table, &setting));
    assert_int_equal(ws_outcome_get(&x, &table.means[number], WS_LATENCY_MS),
                     WS_E_UNKNOWN);
    assert_int_equal(ws_outcome_get(&x, &table.means[number], WS_EDGE_MS), 0);
    ws_table_fini(&table);
    ws_testbed_fini(&testbed);
}

/* Values that are texts, with what CSV has to quote; and one that is not there. */
static void test_import_texts(void **state)
{
    struct fixture *f = *state;
    static const char texts[] = "Model,Time\nplain,1\n\"b, \"\"c\"\"\",2\n";
    static const char nothing[] = "Model,Time\nplain,1\n,2\n";
    static const char text_map[] =
        "{\"name\": \"theirs\", \"objectives\": [\"latency_ms\"], \"knobs\": {\n"
        " \"variant\": {\"column\": \"Model\", \"part\": \"shared\",\n"
        "              \"kind\": \"nominal\"}},\n"
        " \"measures\": {\"latency_ms\": {\"column\": \"Time\"}}}";
    struct ws_error err = {0};
    struct ws_import_result result;
    struct ws_testbed testbed;
    struct ws_table table;
    assert_int_equal(ws_file_write(f->csv, texts, strlen(texts), NULL), 0);
    if (import(&result, f, text_map, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(ws_testbed_load(&testbed, f->testbed, &err), 0);
    assert_int_equal(ws_table_load(&table, &testbed, &err), 0);
    assert_int_equal(testbed.space.knobs[0].value_count, 2);
    size_t number = 0, value = 0;
    while (strcmp(testbed.space.knobs[0].values[value].text, "b, \"c\"") != 0)
        assert_true(++value < 2);
    struct ws_setting setting = {{(uint16_t)value}};
    assert_true(ws_table_find(&number, &table, &setting));
    assert_near(table.means[number].value[WS_LATENCY_MS], 2, 0);
    ws_table_fini(&table);
    ws_testbed_fini(&testbed);
    assert_int_equal(ws_file_write(f->csv, nothing, strlen(nothing), NULL), 0);
    assert_int_equal(import(&result, f, text_map, &err), WS_E_FORMAT);
    assert_non_null(strstr(err.text, "in.csv:3: column 1: \"Model\" is empty"));
}

static void test_import_refuses(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *from;
        const char *to;
        const char *error; /* after the folder */
    } cases[] = {
        {"Head (s)", "Had (s)",
         "/in.csv:1: no column \"Had (s)\" among Model, Split point, Head (s), Net (s), "
         "Clock, MHz"},
        {"\"edge_ms\": {\"column\"", "\"edge_s\": {\"column\"",
         "/map.json: measures.edge_s: \"edge_s\" is no measure"},
        {"{\"edge_ms\": 1, \"transfer_ms\": 1}", "{}",
         "/map.json: measures.latency_ms.terms: expected a measure, got none"},
        {"\"transfer_ms\": 1}", "\"transfer_s\": 1}",
         "/map.json: measures.latency_ms.terms.transfer_s: \"transfer_s\" is no measure"},
        {"\"part\": \"edge\",", "",
         "/map.json: \"part\" or \"kind\" of a knob is missing"},
        {"\"Model\": \"a\"}", "\"Model\": 1}",
         "/map.json: where.Model: expected a string, got a number"},
        {"\"Model\": \"a\"", "\"Model\": \"c\"",
         "/in.csv: none of 4 rows is what `where` wants"},
        {"\"scale\": 1000", "\"skale\": 1000",
         "/map.json: measures.edge_ms: unknown key \"skale\", expected column, scale, "
         "terms"},
        {"\"transfer_ms\": 1}", "\"cloud_ms\": 1}",
         "/map.json: measures.latency_ms: the term cloud_ms is not itself read from a "
         "column"},
        {"\"Head (s)\"", "\"Model\"",
         "/in.csv:2: column 1: Model: \"a\" is not a finite number"},
        {"[\"edge_ms\"]", "[\"cloud_ms\"]",
         "/table.csv:1: no column \"cloud_ms\", which is an objective of the testbed"},
        {"\"knobs\"", "\"nobs\"",
         "/map.json: unknown key \"nobs\", expected name, source, energy_boundary, "
         "objectives, constraints, baselines, switch_ms, link, edge_idle_w, truth, "
         "where, "
         "knobs, measures"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[2048];
        struct ws_error err = {0};
        struct ws_import_result result;
        const char *at = strstr(map, cases[i].from);
        assert_non_null(at);
        (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - map), map, cases[i].to,
                       at + strlen(cases[i].from));
        assert_int_not_equal(import(&result, f, text, &err), 0);
        assert_string_equal(err.text + strlen(f->dir), cases[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_import_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_import_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_import_refuses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
