/* The testbed that is shipped: it loads, says that it is modelled, and shows what it is
 * there to show, from files to figures. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "replay/input.h"

static void path_of(char out[static 512], const char *file)
{
    const char *root = getenv("WS_SOURCE_ROOT");
    snprintf(out, 512, "%s/etc/testbeds/digits-pi4/%s", root == NULL ? "." : root, file);
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
    path_of(testbed, "testbed.json");
    path_of(workload, "workload.csv");
    path_of(link, "link.csv");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped_testbed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
