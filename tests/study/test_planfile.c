#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "check.h"
#include "small.h"
#include "study/planfile.h"
#include "study/testbed.h"

/* A plan of two entries over the small testbed. */
static void make(struct ws_plan *out)
{
    struct ws_testbed testbed;
    struct ws_error err = {0};
    assert_int_equal(ws_testbed_parse(&testbed, small_testbed, strlen(small_testbed),
                                      "t.json", "", &err),
                     0);
    struct ws_plan plan = {.testbed = strdup("small"), .edge_idle_w = 2.5};
    assert_int_equal(ws_space_copy(&plan.space, &testbed.space, &err), 0);
    plan.conditions = testbed.link;
    plan.objectives[0] = WS_LATENCY_MS;
    plan.objectives[1] = WS_ENERGY_J;
    plan.objective_count = 2;
    plan.stage_lists = calloc(1, sizeof(*plan.stage_lists));
    assert_int_equal(ws_stage_list_default(&plan.stage_lists[0], &plan.space, &err), 0);
    plan.stage_lists[0].stages[1].segment = strdup("net~1~none");
    plan.stage_lists[0].stages[1].is_beside = 1;
    plan.stage_list_count = 1;
    plan.entries = calloc(2, sizeof(*plan.entries));
    plan.entry_count = 2;
    plan.entries[0].setting = (struct ws_setting){{2, 1, 0}};
    ws_outcome_set(&plan.entries[0].outcome, WS_LATENCY_MS, 0.1);
    ws_outcome_set(&plan.entries[0].outcome, WS_ENERGY_J, 1.0 / 3);
    plan.entries[0].on_front = 1;
    plan.entries[0].outcome.truth = WS_RECORDED;
    plan.entries[1].setting = (struct ws_setting){{0, 0, 1}};
    ws_outcome_set(&plan.entries[1].outcome, WS_LATENCY_MS, 7);
    ws_outcome_set(&plan.entries[1].outcome, WS_ENERGY_J, 1e-9);
    ws_outcome_set(&plan.entries[1].outcome, WS_TENSOR_BYTES, 123456789012.0);
    plan.entries[1].sample_count = 12;
    plan.entries[1].outcome.truth = WS_MODELLED;
    ws_testbed_fini(&testbed);
    *out = plan;
}

static void test_planfile_round_trip(void **state)
{
    (void)state;
    char path[] = "/tmp/wattshed-plan-XXXXXX";
    int fd = mkstemp(path);
    struct ws_error err = {0};
    struct ws_plan plan;
    struct ws_plan back;
    assert_true(fd >= 0);
    make(&plan);
    assert_int_equal(ws_plan_save(&plan, path, &err), 0);
    assert_int_equal(ws_plan_load(&back, path, &err), 0);
    assert_string_equal(back.testbed, "small");
    assert_near(back.edge_idle_w, 2.5, 0);
    assert_int_equal(back.entry_count, 2);
    assert_int_equal(back.objective_count, 2);
    assert_int_equal(back.objectives[1], WS_ENERGY_J);
    assert_near(back.conditions.value[WS_LINK_MBIT_S], 100, 0);
    assert_int_equal(back.conditions.known, plan.conditions.known);
    assert_int_equal(back.space.constraint_count, 1);
    assert_string_equal(back.stage_lists[0].stages[0].machine, "edge");
    assert_null(back.stage_lists[0].stages[0].segment);
    assert_string_equal(back.stage_lists[0].stages[1].segment, "net~1~none");
    assert_int_equal(back.stage_lists[0].stages[0].is_beside, 0);
    assert_int_equal(back.stage_lists[0].stages[1].is_beside, 1);
    assert_int_equal(back.stage_lists[0].stages[0].knobs, 3);
    assert_int_equal(back.stage_lists[0].stages[1].knobs, 5);
    for (size_t i = 0; i < 2; i++) {
        const struct ws_plan_entry *a = &plan.entries[i];
        const struct ws_plan_entry *b = &back.entries[i];
        assert_memory_equal(&a->setting, &b->setting, sizeof(a->setting));
        assert_int_equal(a->outcome.known, b->outcome.known);
        assert_int_equal(a->outcome.truth, b->outcome.truth);
        assert_int_equal(a->on_front, b->on_front);
        assert_int_equal(a->sample_count, b->sample_count);
        for (int m = 0; m < WS_MEASURE_COUNT; m++)
            assert_near(a->outcome.value[m], b->outcome.value[m], 0);
    }
    ws_plan_fini(&back);
    ws_plan_fini(&plan);
    close(fd);
    unlink(path);
}

/* The saved text with the first `from` replaced. */
static char *vary(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    assert_non_null(at);
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    assert_int_equal(ws_buf_add(&buf, text, (size_t)(at - text), NULL), 0);
    assert_int_equal(ws_buf_add_text(&buf, to, NULL), 0);
    assert_int_equal(ws_buf_add_text(&buf, at + strlen(from), NULL), 0);
    return ws_buf_take(&buf);
}

static void test_planfile_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *to;
        const char *error;
    } cases[] = {
        {"wattshed-plan", "other",
         "p.json: expected \"format\": \"wattshed-plan\", got \"other\""},
        {"\"version\": 1", "\"version\": 2",
         "p.json: version 2 is newer than 1, which this program reads"},
        {"[2, 1200, \"off\",", "[2, 1300, \"off\",",
         "p.json: entries[0][1]: knob \"edge.khz\" has no value 1300"},
        {"[2, 1200, \"off\",", "[2, 1200, \"on\",",
         "p.json: entries[0]: the plan's constraints forbid this setting"},
        {"[2, 1200, \"off\",", "[2, 1200,",
         "p.json: entries[0]: expected 10 values, got 9"},
        {"0.1, ", "-0.1, ", "p.json: entries[0][3]: -0.1 is outside 0 .. 1e+300"},
        {"\"modelled\"", "\"guessed\"",
         "p.json: entries[1][6]: \"guessed\" is neither measured, recorded nor modelled"},
        {"true, 0]", "true, 1]", "p.json: entries[0][9]: 1 is outside 0 .. 0"},
        {"\"stage_lists\": [", "\"stage_lists\": [], \"old\": [",
         "p.json: stage_lists: expected 1 to 100000 lists, got 0"},
        {"\"entries\": [", "\"entries\": [], \"old\": [",
         "p.json: entries: expected 1 to 100000 entries, got 0"},
        {"\"samples\"", "\"tries\"", "p.json: columns: \"samples\" is missing"},
        {"\"stage_lists\": [", "\"stage_lists\": 1, \"old\": [",
         "p.json: stage_lists: expected an array, got a number"},
        {"\"columns\": [", "\"columns\": 1, \"old\": [",
         "p.json: columns: expected an array, got a number"},
        {"\"knob.cut\"", "\"knob.cup\"", "p.json: columns: \"knob.cut\" is missing"},
        {"\"modelled\"", "1", "p.json: entries[1][6]: expected a string, got a number"},
    };
    char path[] = "/tmp/wattshed-plan-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct ws_plan plan;
    struct ws_error err = {0};
    struct ws_buf saved;
    ws_buf_init(&saved, 0);
    make(&plan);
    assert_int_equal(ws_plan_save(&plan, path, &err), 0);
    assert_int_equal(ws_file_read(&saved, path, &err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ws_plan back;
        char *text = vary(saved.data, cases[i].from, cases[i].to);
        assert_int_not_equal(ws_plan_parse(&back, text, strlen(text), "p.json", &err), 0);
        assert_string_equal(err.text, cases[i].error);
        free(text);
    }
    ws_buf_fini(&saved);
    ws_plan_fini(&plan);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planfile_round_trip),
        cmocka_unit_test(test_planfile_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
