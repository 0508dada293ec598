#include "check.h"

#include <string.h>

#include "replay/report.h"
#include "replay/scene.h"

static const char requests[] = "index,deadline_ms\n0,250\n1,110\n2,75\n3,46\n4,40\n";

static struct ws_report_head head_of(const struct scene *scene)
{
    return (struct ws_report_head){
        .testbed = "a <small> & \"odd\" one",
        .workload = "w.csv",
        .truth = "recorded",
        .noise = "pooled",
        .search = "exhaustive",
        .evaluated = 7,
        .plan_size = scene->plan.entry_count,
        .seed = 3,
        .guard = 0.95,
        .cut_knob = &scene->testbed.space.knobs[0],
    };
}

static void test_compare_refuses(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, requests, NULL, WS_NOISE_NONE, 0);
    struct ws_comparison c = {0};
    struct ws_error err = {0};
    const char *twice[] = {"dynasplit", "wattshed", "dynasplit"};
    assert_int_equal(ws_compare(&c, &scene.task, twice, 3, 1, 1, &err), WS_E_USAGE);
    assert_string_equal(err.text, "policy \"dynasplit\" is named twice");
    const char *unknown[] = {"magic"};
    assert_int_equal(ws_compare(&c, &scene.task, unknown, 1, 1, 1, &err), WS_E_USAGE);
    assert_null(c.rows);
    scene_fini(&scene);
}

/* Savings and regrets of one seed, by hand from the energies of test_replay.c. */
static void test_compare_figures(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, requests, NULL, WS_NOISE_NONE, 0);
    struct ws_comparison c = {0};
    const char *names[] = {"dynasplit", "fastest"};
    assert_int_equal(ws_compare(&c, &scene.task, names, 2, 1, 1, NULL), 0);
    assert_int_equal(c.count, 4);
    assert_string_equal(c.rows[2].policy, "oracle");
    assert_string_equal(c.rows[3].policy, "mean-oracle");
    double mean = (4 + 6 + 12 + 21 + 21) / 5.0;
    assert_near(c.rows[0].figures[WS_FIGURE_SAVING_PCT].mean, 100 * (1 - mean / 21),
                1e-9);
    assert_near(c.rows[0].figures[WS_FIGURE_REGRET_PCT].mean, 0, 1e-9);
    assert_near(c.rows[1].figures[WS_FIGURE_REGRET_PCT].mean, 100 * (21 / mean - 1),
                1e-9);
    assert_near(c.rows[1].figures[WS_FIGURE_MET_PCT].mean, 80, 1e-9);
    assert_near(c.rows[1].figures[WS_FIGURE_SAVING_PCT].mean, 0, 1e-9);
    ws_comparison_fini(&c);
    scene_fini(&scene);
}

static void test_report_json(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, requests, NULL, WS_NOISE_POOLED, 0);
    struct ws_comparison c = {0};
    struct ws_report_head head = head_of(&scene);
    const char *names[] = {"dynasplit", "cloud-only"};
    assert_int_equal(ws_compare(&c, &scene.task, names, 2, 3, 4, NULL), 0);
    json_t *root = NULL;
    assert_int_equal(ws_report_json(&root, &head, &c, NULL), 0);
    assert_int_equal(json_integer_value(json_object_get(root, "seed")), 3);
    json_t *rows = json_object_get(root, "policies");
    assert_int_equal(json_array_size(rows), 4);
    json_t *row = json_array_get(rows, 0);
    assert_string_equal(json_string_value(json_object_get(row, "policy")), "dynasplit");
    static const char *const keys[] = {"requests",
                                       "met_pct",
                                       "energy_j_mean",
                                       "energy_saving_pct",
                                       "exceed_ms_median",
                                       "regret_pct",
                                       "regret_mean_pct",
                                       "edge_energy_j_mean",
                                       "cloud_energy_j_mean",
                                       "decision_ns_median",
                                       "decision_ns_worst"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        assert_true(json_is_number(json_object_get(row, keys[i])));
    json_t *latency = json_object_get(row, "latency_ms");
    double p50 = json_number_value(json_object_get(latency, "p50"));
    double p99 = json_number_value(json_object_get(latency, "p99"));
    assert_true(p50 > 0 && p99 > p50);
    json_t *ci = json_object_get(row, "ci95");
    assert_true(json_number_value(json_object_get(ci, "latency_ms_p50")) >= 0);
    json_t *cuts = json_object_get(row, "cuts");
    json_int_t uses = 0;
    const char *key;
    json_t *value;
    json_object_foreach(cuts, key, value) uses += json_integer_value(value);
    assert_int_equal(uses, 5);
    json_decref(root);
    ws_comparison_fini(&c);
    scene_fini(&scene);
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        n++;
    return n;
}

/* One file, nothing fetched, names escaped, every policy in every plot. */
static void test_report_html(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, requests, NULL, WS_NOISE_POOLED, 0);
    struct ws_comparison c = {0};
    struct ws_report_head head = head_of(&scene);
    const char *names[] = {"dynasplit", "cloud-only"};
    assert_int_equal(ws_compare(&c, &scene.task, names, 2, 3, 2, NULL), 0);
    struct ws_buf page;
    ws_buf_init(&page, 0);
    assert_int_equal(ws_report_html(&page, &head, &c, NULL), 0);
    assert_null(strstr(page.data, "http"));
    assert_null(strstr(page.data, "<script"));
    assert_null(strstr(page.data, "<small>&"));
    assert_null(strstr(page.data, "nan"));
    assert_null(strstr(page.data, "inf"));
    assert_non_null(strstr(page.data, "a &lt;small&gt; &amp; &quot;odd&quot; one"));
    assert_int_equal(count_of(page.data, "<figure>"), 3);
    assert_int_equal(count_of(page.data, "<svg"), count_of(page.data, "</svg>"));
    assert_true(count_of(page.data, "mean-oracle") >= 4);
    ws_buf_clear(&page);
    assert_int_equal(ws_report_text(&page, &head, &c, NULL), 0);
    assert_int_equal(count_of(page.data, "\ndynasplit"), 1);
    assert_int_equal(count_of(page.data, "\xc2\xb1") > 20, 1);
    ws_buf_fini(&page);
    ws_comparison_fini(&c);
    scene_fini(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare_refuses),
        cmocka_unit_test(test_compare_figures),
        cmocka_unit_test(test_report_json),
        cmocka_unit_test(test_report_html),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
