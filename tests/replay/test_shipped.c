/* The testbeds that are shipped: they load, say that they are modelled, and show what
 * they are there to show, from files to figures. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "policy/plan_index.h"
#include "replay/input.h"

static void path_of(char out[static 512], const char *testbed, const char *file)
{
    const char *root = getenv("WS_SOURCE_ROOT");
    snprintf(out, 512, "%s/etc/testbeds/%s/%s", root == NULL ? "." : root, testbed, file);
}

static const struct ws_compared *row_of(const struct ws_comparison *c, const char *policy)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->rows[i].policy, policy) == 0)
            return &c->rows[i];
    }
    fail_msg("no row %s", policy);
    return NULL;
}

static void test_shipped_testbed(void **state)
{
    (void)state;
    char testbed[512], workload[512], link[512];
    path_of(testbed, "digits-pi4", "testbed.json");
    path_of(workload, "digits-pi4", "workload.csv");
    path_of(link, "digits-pi4", "link.csv");
    struct ws_replay_options options = {
        .testbed_path = testbed,
        .workload_path = workload,
        .link_path = link,
        .search = "exhaustive",
        .budget = 1,
        .noise = WS_NOISE_POOLED,
        .guard = 0.95,
        .seed = 1,
    };
    struct ws_replay_input input = {0};
    struct ws_comparison c = {0};
    struct ws_error err = {0};
    if (ws_replay_input_init(&input, &options, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(input.testbed.truth, WS_MODELLED);
    assert_int_equal(input.table.setting_count, 492);
    static const char *const names[] = {"cloud-only", "dynasplit", "wattshed"};
    if (ws_compare(&c, &input.task, names, 3, 1, 3, &err) != 0)
        fail_msg("%s", err.text);
    const struct ws_stats *cloud = row_of(&c, "cloud-only")->figures;
    const struct ws_stats *dynasplit = row_of(&c, "dynasplit")->figures;
    const struct ws_stats *wattshed = row_of(&c, "wattshed")->figures;
    assert_true(wattshed[WS_FIGURE_ENERGY_J].mean < 0.7 * cloud[WS_FIGURE_ENERGY_J].mean);
    assert_true(wattshed[WS_FIGURE_MET_PCT].mean > dynasplit[WS_FIGURE_MET_PCT].mean + 5);
    assert_true(wattshed[WS_FIGURE_MET_PCT].mean >= 90);
    ws_comparison_fini(&c);
    ws_replay_input_fini(&input);
}

/* Which share the fastest entry has, of 0 to 1, over a link of so many Mbit/s. */
static double fastest_share(const struct ws_index *index, const struct ws_plan *plan,
                            double mbit_s)
{
    struct ws_conditions link = {0};
    struct ws_situation now = ws_situation_nominal(&plan->conditions);
    size_t knob = 0;
    ws_conditions_set(&link, WS_LINK_MBIT_S, mbit_s);
    ws_situation_set_link(&now, &plan->conditions, &link);
    const struct ws_index_query query = {.now = &now};
    struct ws_index_hit hit = ws_index_fastest(index, &query);
    assert_true(hit.entry < plan->entry_count);
    assert_int_equal(ws_space_find(&knob, &plan->space, "share", NULL), 0);
    size_t value = plan->entries[hit.entry].setting.value[knob];
    return plan->space.knobs[knob].values[value].numbers[0];
}

/* Shared feature maps: stages side by side, and so the fastest share lies between the
 * ends and falls with the link. */
static void test_shipped_share(void **state)
{
    (void)state;
    char testbed[512], workload[512];
    path_of(testbed, "cifar10-share", "testbed.json");
    path_of(workload, "cifar10-share", "workload.csv");
    struct ws_replay_options options = {
        .testbed_path = testbed,
        .workload_path = workload,
        .search = "exhaustive",
        .budget = 1,
        .noise = WS_NOISE_POOLED,
        .guard = 0.95,
        .seed = 1,
    };
    struct ws_replay_input input = {0};
    struct ws_comparison c = {0};
    struct ws_index *index = NULL;
    struct ws_error err = {0};
    if (ws_replay_input_init(&input, &options, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(input.testbed.truth, WS_MODELLED);
    assert_int_equal(input.plan.stage_lists[0].count, 3);
    assert_int_equal(input.plan.stage_lists[0].stages[1].is_beside, 0);
    assert_int_equal(input.plan.stage_lists[0].stages[2].is_beside, 1);
    const struct ws_index_options plain = {0};
    assert_int_equal(ws_index_create(&index, &input.plan, &plain, NULL), 0);
    double usual = fastest_share(index, &input.plan, 8);
    double slow = fastest_share(index, &input.plan, 1);
    assert_true(usual > 0.2 && usual < 0.9);
    assert_true(slow < usual);
    assert_near(fastest_share(index, &input.plan, 0.01), 0, 0);
    ws_index_destroy(index);
    static const char *const names[] = {"cloud-only", "edge-only", "wattshed"};
    if (ws_compare(&c, &input.task, names, 3, 1, 3, &err) != 0)
        fail_msg("%s", err.text);
    const struct ws_stats *wattshed = row_of(&c, "wattshed")->figures;
    for (size_t i = 0; i < 2; i++)
        assert_true(wattshed[WS_FIGURE_MET_PCT].mean >
                    row_of(&c, names[i])->figures[WS_FIGURE_MET_PCT].mean + 2);
    assert_true(wattshed[WS_FIGURE_ENERGY_J].mean <
                row_of(&c, "cloud-only")->figures[WS_FIGURE_ENERGY_J].mean);
    ws_comparison_fini(&c);
    ws_replay_input_fini(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped_testbed),
        cmocka_unit_test(test_shipped_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
