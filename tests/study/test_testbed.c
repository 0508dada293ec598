#include <string.h>

#include "check.h"
#include "small.h"
#include "study/testbed.h"

static int parse(struct ws_testbed *out, const char *text, struct ws_error *err)
{
    return ws_testbed_parse(out, text, strlen(text), "t.json", "dir", err);
}

static void test_testbed_small(void **state)
{
    (void)state;
    struct ws_testbed t;
    struct ws_error err = {0};
    assert_int_equal(parse(&t, small_testbed, &err), 0);
    assert_string_equal(t.name, "small");
    assert_string_equal(t.table_path, "dir/t.csv");
    assert_null(t.energy_boundary);
    assert_int_equal(t.space.knob_count, 3);
    assert_int_equal(t.space.knobs[1].part, WS_PART_EDGE);
    assert_int_equal(t.space.knobs[2].kind, WS_KIND_NOMINAL);
    assert_near(t.space.knobs[1].values[1].numbers[0], 1200, 0);
    assert_string_equal(t.space.knobs[2].values[1].text, "on");
    assert_int_equal(t.space.constraint_count, 1);
    assert_int_equal(t.objective_count, 2);
    assert_int_equal(t.truth, WS_RECORDED);
    const struct ws_baseline *cloud = ws_testbed_baseline(&t, "cloud-only");
    assert_non_null(cloud);
    assert_int_equal(cloud->setting.value[1], 1);
    assert_null(ws_testbed_baseline(&t, "edge-only"));
    struct ws_setting other = cloud->setting;
    assert_near(ws_switch_ms(t.switch_ms, t.space.knob_count, &other, &cloud->setting), 0,
                0);
    other.value[0] = 1;
    assert_near(ws_switch_ms(t.switch_ms, t.space.knob_count, &other, &cloud->setting),
                10, 0);
    other.value[1] = 0;
    assert_near(ws_switch_ms(t.switch_ms, t.space.knob_count, &other, &cloud->setting),
                150, 0);
    double rate = 0;
    assert_int_equal(ws_conditions_get(&rate, &t.link, WS_LINK_MBIT_S), 0);
    assert_near(rate, 100, 0);
    struct ws_setting forbidden = {{2, 0, 1}};
    assert_false(ws_space_allows(&t.space, &forbidden));
    ws_testbed_fini(&t);
}

/* Replaces the first `from` in the small testbed, which must contain it. */
static void vary(char *text, size_t size, const char *from, const char *to)
{
    const char *at = strstr(small_testbed, from);
    assert_non_null(at);
    int put = snprintf(text, size, "%.*s%s%s", (int)(at - small_testbed), small_testbed,
                       to, at + strlen(from));
    assert_true(put > 0 && (size_t)put < size);
}

static void test_testbed_stages(void **state)
{
    (void)state;
    struct ws_testbed t;
    char text[4096];
    assert_int_equal(parse(&t, small_testbed, NULL), 0);
    assert_null(ws_testbed_stages(&t));
    ws_testbed_fini(&t);
    vary(text, sizeof(text), "\"edge_idle_w\": 2",
         "\"stages\": [{\"machine\": \"edge\", \"knobs\": [\"edge.khz\"]}, {\"machine\": "
         "\"edge\", \"segment\": \"tail\", \"knobs\": [\"cut\", \"edge.khz\"]}, "
         "{\"machine\": "
         "\"cloud\", \"segment\": \"far\", \"knobs\": [\"cut\"], \"beside\": true}]");
    assert_int_equal(parse(&t, text, NULL), 0);
    const struct ws_stage_list *list = ws_testbed_stages(&t);
    assert_non_null(list);
    assert_int_equal(list->count, 3);
    assert_string_equal(list->stages[1].segment, "tail");
    assert_int_equal(list->stages[1].knobs, 3);
    assert_int_equal(list->stages[1].is_beside, 0);
    assert_string_equal(list->stages[2].machine, "cloud");
    assert_int_equal(list->stages[2].is_beside, 1);
    ws_testbed_fini(&t);
}

static void test_testbed_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *to;
        int code;
        const char *error;
    } cases[] = {
        {"\"name\": \"small\", ", "", WS_E_FORMAT, "t.json: \"name\" is missing"},
        {"\"small\"", "\"\"", WS_E_LIMIT, "t.json: a name has 1 to 1024 bytes"},
        {"[\"latency_ms\", \"energy_j\"]", "[]", WS_E_LIMIT,
         "t.json: objectives: expected 1 to 4 objectives, got 0"},
        {"{\"default\": 10, \"edge.khz\": 150}", "-1", WS_E_LIMIT,
         "t.json: switch_ms: -1 is outside 0 .. 1e+09"},
        {"{\"default\": 10, \"edge.khz\": 150}", "\"fast\"", WS_E_FORMAT,
         "t.json: switch_ms: expected an object, got a string"},
        {"[0, 1, 2]", "[0, 1, 1]", WS_E_FORMAT,
         "t.json: knobs.cut.values[2]: 1 is there twice"},
        {"[0, 1, 2]", "[]", WS_E_LIMIT,
         "t.json: knobs.cut.values: expected 1 to 4096 values, got 0"},
        {"[0, 1, 2]", "[0, 1, true]", WS_E_FORMAT,
         "t.json: knobs.cut.values[2]: expected a string, got true or false"},
        {"\"shared\"", "\"sideways\"", WS_E_FORMAT,
         "t.json: knobs.cut.part: \"sideways\" is none of \"edge\", \"transfer\", "
         "\"cloud\", \"shared\""},
        {"\"edge_idle_w\": 2", "\"stages\": []", WS_E_LIMIT,
         "t.json: stages: expected 1 to 8 stages, got 0"},
        {"\"edge_idle_w\": 2",
         "\"stages\": [{\"machine\": \"edge\", \"knobs\": [\"cup\"]}]", WS_E_NOT_FOUND,
         "t.json: stages[0].knobs[0]: there is no knob \"cup\""},
        {"\"edge_idle_w\": 2",
         "\"stages\": [{\"machine\": \"edge\", \"knobs\": [], \"beside\": true}]",
         WS_E_FORMAT,
         "t.json: stages[0]: the first stage has none before it to run beside"},
        {"\"edge_idle_w\": 2", "\"truth\": 1", WS_E_FORMAT,
         "t.json: truth: expected a string, got a number"},
        {"\"edge_idle_w\": 2", "\"truth\": \"guessed\"", WS_E_FORMAT,
         "t.json: truth: \"guessed\" is neither \"recorded\" nor \"modelled\""},
        {"\"source\": \"made up\"", "\"source\": 7", WS_E_FORMAT,
         "t.json: source: expected a string, got a number"},
        {"{\"cloud-only\"", "7, \"old\": {\"cloud-only\"", WS_E_FORMAT,
         "t.json: baselines: expected an object, got a number"},
        {"{\"cut\": 2}", "{\"cut\": 3}", WS_E_NOT_FOUND,
         "t.json: constraints[0].if.cut: knob \"cut\" has no value 3"},
        {"{\"cut\": 2}", "{\"cup\": 2}", WS_E_NOT_FOUND,
         "t.json: constraints[0].if.cup: there is no knob \"cup\""},
        {"{\"cut\": 2}", "{\"cut\": 2, \"edge.khz\": 600}", WS_E_FORMAT,
         "t.json: constraints[0].if: expected one knob, got 2"},
        {"{\"cloud.gpu\": [\"off\"]}", "{\"cut\": 1}", WS_E_FORMAT,
         "t.json: constraints[0].then.cut: a knob cannot be a condition on itself"},
        {"[{\"if\"",
         "[{\"if\": {\"cut\": [1, 2]}, \"then\": {\"cloud.gpu\": \"on\"}}, {\"if\"",
         WS_E_INFEASIBLE,
         "t.json: constraints[1]: contradiction: no value of \"cloud.gpu\" is left for "
         "\"cut\" = 2"},
        {"[{\"if\"",
         "[{\"if\": {\"cut\": [0, 1, 2]}, \"then\": {\"edge.khz\": 600}}, "
         "{\"if\": {\"edge.khz\": 600}, \"then\": {\"cloud.gpu\": \"on\"}}, "
         "{\"if\": {\"cloud.gpu\": \"on\"}, \"then\": {\"edge.khz\": 1200}}, {\"if\"",
         WS_E_INFEASIBLE,
         "t.json: constraints: contradiction: they allow no setting at all"},
        {"{\"cut\": 0, \"edge.khz\": 1200,", "{\"cut\": 2, \"edge.khz\": 1200,",
         WS_E_INFEASIBLE,
         "t.json: baselines.cloud-only: the testbed's constraints forbid this setting"},
        {"{\"cut\": 0, \"edge.khz\": 1200,", "{\"cut\": 0, ", WS_E_FORMAT,
         "t.json: baselines.cloud-only: \"edge.khz\" is missing"},
        {"\"energy_j\"]", "\"energy\"]", WS_E_NOT_FOUND,
         "t.json: objectives[1]: \"energy\" is no measure (latency_ms, energy_j, "
         "accuracy, ..., as table columns are named)"},
        {"\"energy_j\"]", "\"latency_ms\"]", WS_E_FORMAT,
         "t.json: objectives[1]: \"latency_ms\" is there twice"},
        {"\"mbit_s\": 100", "\"mbit_s\": 0", WS_E_LIMIT,
         "t.json: link.mbit_s: 0 is outside 1e-06 .. 1e+09"},
        {"\"edge.khz\": 150", "\"edge.mhz\": 150", WS_E_NOT_FOUND,
         "t.json: switch_ms.edge.mhz: there is no knob \"edge.mhz\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[2048];
        struct ws_testbed t;
        struct ws_error err = {0};
        vary(text, sizeof(text), cases[i].from, cases[i].to);
        assert_int_equal(parse(&t, text, &err), cases[i].code);
        assert_string_equal(err.text, cases[i].error);
    }
}

static void test_space_json_round_trip(void **state)
{
    (void)state;
    static const char knobs_text[] =
        "{\"share\": {\"part\": \"shared\", \"kind\": \"ordered\","
        " \"values\": [[0.1, 0.9], [0.5, 0.5]]},"
        " \"x\": {\"part\": \"transfer\", \"kind\": \"nominal\","
        " \"values\": [0.1, \"1800000\", \"a,b\"]}}";
    static const char rules_text[] =
        "[{\"if\": {\"share\": [[0.1, 0.9]]}, \"then\": {\"x\": [0.1, \"a,b\"]}}]";
    struct ws_json_doc docs[2];
    struct ws_error err = {0};
    assert_int_equal(
        ws_json_parse(&docs[0], knobs_text, strlen(knobs_text), "k.json", &err), 0);
    assert_int_equal(
        ws_json_parse(&docs[1], rules_text, strlen(rules_text), "r.json", &err), 0);
    struct ws_json knobs = ws_json_root(&docs[0]);
    struct ws_json rules = ws_json_root(&docs[1]);
    struct ws_space space;
    assert_int_equal(ws_space_from_json(&space, &knobs, &rules, &err), 0);
    assert_string_equal(space.knobs[0].values[0].text, "0.1:0.9");
    assert_int_equal(space.knobs[0].values[0].number_count, 2);
    assert_string_equal(space.knobs[1].values[0].text, "0.1");
    assert_near(space.knobs[1].values[1].numbers[0], 1800000, 0);

    json_t *knobs_back = NULL;
    json_t *rules_back = NULL;
    assert_int_equal(ws_space_to_json(&knobs_back, &rules_back, &space, &err), 0);
    struct ws_json_doc back_docs[2] = {{knobs_back, "k"}, {rules_back, "r"}};
    knobs = ws_json_root(&back_docs[0]);
    rules = ws_json_root(&back_docs[1]);
    struct ws_space back;
    assert_int_equal(ws_space_from_json(&back, &knobs, &rules, &err), 0);
    assert_int_equal(back.knob_count, 2);
    for (size_t k = 0; k < 2; k++) {
        for (size_t v = 0; v < space.knobs[k].value_count; v++)
            assert_string_equal(space.knobs[k].values[v].text,
                                back.knobs[k].values[v].text);
    }
    assert_int_equal(back.constraints[0].then_values[0], 5);
    json_decref(knobs_back);
    json_decref(rules_back);
    ws_space_fini(&back);
    ws_space_fini(&space);
    ws_json_doc_fini(&docs[0]);
    ws_json_doc_fini(&docs[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_testbed_small),
        cmocka_unit_test(test_testbed_stages),
        cmocka_unit_test(test_testbed_refuses),
        cmocka_unit_test(test_space_json_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
