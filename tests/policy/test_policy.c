#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "policy/make_plan.h"
#include "policy/policy.h"

static struct ws_policy *make(const char *name, const struct ws_plan *plan,
                              const struct ws_policy_options *options)
{
    const struct ws_policy_ops *ops = NULL;
    struct ws_policy *policy = NULL;
    struct ws_error err = {0};
    assert_int_equal(ws_policy_find(&ops, name, &err), 0);
    if (ops->create(&policy, plan, options, &err) != 0)
        fail_msg("%s: %s", name, err.text);
    return policy;
}

static size_t decide(struct ws_policy *policy, double deadline_ms, double min_accuracy)
{
    struct ws_decision decision;
    struct ws_policy_request request = {deadline_ms, min_accuracy, NULL, 0};
    struct ws_situation now = ws_situation_nominal(&policy->plan->conditions);
    int rc = ws_policy_decide(policy, &decision, &request, &now, NULL);
    return rc == 0 ? decision.entry : WS_NO_ENTRY - 1;
}

/* cloud, a good split, a dominated split, edge */
static const struct plan_row four[] = {
    {10, 20, 70, 70, 0.61, 600000},
    {60, 5, 65, 60, 0.60, 25000},
    {90, 5, 65, 65, 0.60, 25000},
    {440, 0, 0, 2, 0.58, 0},
};

static void test_decide_table(void **state)
{
    (void)state;
    struct ws_plan plan;
    make_plan(&plan, four, 4);
    const struct ws_setting cloud = {{0}}, edge = {{3}};
    struct ws_policy_options options = {.cloud_only = &cloud, .edge_only = &edge};
    static const struct {
        const char *policy;
        double deadline_ms, min_accuracy;
        size_t entry; /* WS_NO_ENTRY - 1: refused */
    } rows[] = {
        {"dynasplit", 440, 0, 3},
        {"dynasplit", 439.9, 0, 1},
        {"dynasplit", 130, 0, 1},
        {"dynasplit", 129.9, 0, 0},
        {"dynasplit", 1, 0, 0}, /* nothing meets it: the fastest */
        {"dynasplit", 500, 0.59, 1},
        {"dynasplit", 50, 0.59, 0},
        {"dynasplit", 500, 0.605, 0},
        {"dynasplit", 500, 0.7, WS_NO_ENTRY - 1},
        {"wattshed", 129.9, 0, 0},
        {"wattshed", 500, 0.605, 0},
        {"wattshed", 500, 0.7, WS_NO_ENTRY - 1},
        {"fastest", 500, 0, 0},
        {"thrifty", 1, 0, 3},
        {"thrifty", 1, 0.59, 1},
        {"thrifty", 1, 0.9, WS_NO_ENTRY - 1},
        {"cloud-only", 1000, 0, 0},
        {"edge-only", 1, 0, 3},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_policy *policy = make(rows[i].policy, &plan, &options);
        size_t entry = decide(policy, rows[i].deadline_ms, rows[i].min_accuracy);
        if (entry != rows[i].entry)
            fail_msg("row %zu (%s): entry %zu", i, rows[i].policy, entry);
        ws_policy_destroy(policy);
    }
    free_plan(&plan);
}

static void test_create_refuses(void **state)
{
    (void)state;
    struct ws_plan plan;
    make_plan(&plan, four, 4);
    struct ws_plan_entry profile[4];
    memcpy(profile, plan.entries, sizeof(profile));
    profile[2].outcome.known &= ~(1u << WS_CLOUD_MS | 1u << WS_TENSOR_BYTES);
    const struct {
        const char *policy;
        struct ws_policy_options options;
        int code;
        const char *says;
    } rows[] = {
        {"cloud-only", {0}, WS_E_NOT_FOUND, "baseline \"cloud-only\""},
        {"edge-only", {0}, WS_E_NOT_FOUND, "baseline \"edge-only\""},
        {"neurosurgeon", {0}, WS_E_INFEASIBLE, "default hardware"},
        {"neurosurgeon",
         {.profile = profile, .profile_count = 4},
         WS_E_UNKNOWN,
         "cloud_ms"},
        {"dynamic-split",
         {.profile = profile, .profile_count = 4},
         WS_E_UNKNOWN,
         "tensor_bytes"},
        {"wattshed", {.guard = 1}, WS_E_USAGE, "guard 1"},
        {"wattshed", {.guard = -0.5}, WS_E_USAGE, "guard -0.5"},
        {"wattshed", {.guard = (double)NAN}, WS_E_USAGE, "guard"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ws_policy_ops *ops = NULL;
        struct ws_policy *policy = NULL;
        struct ws_error err = {0};
        assert_int_equal(ws_policy_find(&ops, rows[i].policy, NULL), 0);
        assert_int_equal(ops->create(&policy, &plan, &rows[i].options, &err),
                         rows[i].code);
        assert_null(policy);
        assert_non_null(strstr(err.text, rows[i].says));
    }
    const struct ws_policy_ops *ops = NULL;
    struct ws_error err = {0};
    assert_int_equal(ws_policy_find(&ops, "magic", &err), WS_E_USAGE);
    assert_non_null(strstr(err.text, "dynamic-split, dynasplit, dvfo, wattshed"));
    for (size_t i = 0; i < 4; i++)
        plan.entries[i].outcome.known = 1u << WS_ACCURACY;
    static const char *const needy[] = {"dynasplit", "wattshed", "fastest", "thrifty"};
    for (size_t i = 0; i < 4; i++) {
        struct ws_policy *policy = NULL;
        struct ws_policy_options options = {0};
        assert_int_equal(ws_policy_find(&ops, needy[i], NULL), 0);
        assert_int_equal(ops->create(&policy, &plan, &options, NULL), WS_E_INFEASIBLE);
    }
    free_plan(&plan);
}

static struct ws_situation random_situation(struct ws_rng *rng,
                                            const struct ws_setting *current)
{
    return (struct ws_situation){
        .edge_scale = 0.5 + ws_rng_uniform(rng),
        .cloud_scale = 0.5 + ws_rng_uniform(rng),
        .delay_ms = 20 * ws_rng_uniform(rng),
        .pace = exp(3 * ws_rng_uniform(rng)),
        .current = ws_rng_below(rng, 2) ? current : NULL,
    };
}

/* The published algorithm, word for word. */
static size_t walk(const struct ws_plan *plan, const struct ws_policy_request *request)
{
    size_t first = WS_NO_ENTRY, fastest = WS_NO_ENTRY;
    double first_j = INFINITY, least_ms = INFINITY, fastest_j = INFINITY;
    for (size_t i = 0; i < plan->entry_count; i++) {
        double ms, j, accuracy = -1;
        const struct ws_outcome *o = &plan->entries[i].outcome;
        if (ws_outcome_get(&ms, o, WS_LATENCY_MS) != 0 ||
            ws_outcome_get(&j, o, WS_ENERGY_J) != 0)
            continue;
        ws_outcome_get(&accuracy, o, WS_ACCURACY);
        if (request->min_accuracy > 0 && accuracy < request->min_accuracy)
            continue;
        if (ms <= request->deadline_ms && j < first_j) {
            first = i;
            first_j = j;
        }
        if (ms < least_ms || (ms == least_ms && j < fastest_j)) {
            fastest = i;
            least_ms = ms;
            fastest_j = j;
        }
    }
    return first != WS_NO_ENTRY ? first : fastest;
}

static void test_dynasplit_is_the_published_walk(void **state)
{
    (void)state;
    struct ws_rng rng;
    ws_rng_init(&rng, 2410);
    for (int round = 0; round < 60; round++) {
        struct ws_plan plan;
        make_random_plan(&plan, &rng, 1 + ws_rng_below(&rng, 400));
        struct ws_policy_options off = {0};
        double switch_ms[4] = {1, 2, 3, 4};
        struct ws_policy_options off_too = {.switch_ms = switch_ms, .idle_w = 3};
        struct ws_policy *dynasplit = make("dynasplit", &plan, &off);
        struct ws_policy *wattshed = make("wattshed", &plan, &off_too);
        for (int k = 0; k < 50; k++) {
            struct ws_policy_request request = {
                700 * ws_rng_uniform(&rng),
                ws_rng_below(&rng, 2) ? ws_rng_uniform(&rng) : 0, NULL, 0};
            struct ws_setting current = {{(uint16_t)ws_rng_below(&rng, 8)}};
            struct ws_situation now = random_situation(&rng, &current);
            struct ws_decision a = {.entry = WS_NO_ENTRY}, b = {.entry = WS_NO_ENTRY};
            int ra = ws_policy_decide(dynasplit, &a, &request, &now, NULL);
            int rb = ws_policy_decide(wattshed, &b, &request, &now, NULL);
            assert_int_equal(ra, rb);
            assert_int_equal(a.entry, walk(&plan, &request));
            assert_int_equal(a.entry, b.entry);
            if (ra == 0)
                assert_memory_equal(&a.setting, &b.setting, sizeof(a.setting));
        }
        ws_policy_destroy(dynasplit);
        ws_policy_destroy(wattshed);
        free_plan(&plan);
    }
}

static void test_wattshed_guard_uses_own_samples(void **state)
{
    (void)state;
    struct ws_plan plan;
    make_plan(&plan, four, 4);
    static const double pooled[] = {0.9, 1, 1, 1.2};
    static const double own[] = {0.99, 1, 1, 1, 1, 1.5};
    struct ws_spread spreads[4] = {{NULL, 0}, {own, 6}, {NULL, 0}, {NULL, 0}};
    struct ws_policy_options options = {
        .guard = 0.95, .pooled = {pooled, 4}, .own = spreads};
    struct ws_policy *policy = make("wattshed", &plan, &options);
    /* 440 * 1.2 = 528; entry 1 is 130 * 1.5 = 195, entry 2 160 * 1.2 = 192. */
    assert_int_equal(decide(policy, 528.1, 0), 3);
    assert_int_equal(decide(policy, 527.9, 0), 1);
    assert_int_equal(decide(policy, 194.9, 0), 2);
    assert_int_equal(decide(policy, 191.9, 0), 0);
    ws_policy_destroy(policy);
    free_plan(&plan);
}

/* Late by all that is known of how times vary, a request is done with the least energy
 * times time, at most half as long again as the fastest; with a chance, the fastest. */
static void test_wattshed_wastes_nothing_on_what_is_late(void **state)
{
    (void)state;
    static const struct plan_row lines[] = {
        {0, 50, 50, 60, 0, 0}, /* the fastest */
        {140, 0, 0, 50, 0, 0}, /* 7000 Jms, not 6000 */
        {148, 0, 0, 40, 0, 0}, /* 5920 */
        {160, 0, 0, 1, 0, 0}}; /* too slow */
    static const struct {
        double deadline_ms, pace;
        size_t entry;
    } cases[] = {{111, 1, 0}, {101, 1, 0}, {86, 1, 0},
                 {84, 1, 2},  {10, 1, 2},  {84, 1.2, 3}};
    static const double ratios[] = {0.85, 1, 1.1};
    struct ws_plan plan;
    make_plan(&plan, lines, 4);
    struct ws_policy_options options = {.guard = 0.95, .pooled = {ratios, 3}};
    struct ws_policy *policy = make("wattshed", &plan, &options);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ws_situation now = ws_situation_nominal(&plan.conditions);
        struct ws_decision decision;
        const struct ws_policy_request request = {cases[i].deadline_ms, 0, NULL, 0};
        now.pace = cases[i].pace;
        ws_policy_decide(policy, &decision, &request, &now, NULL);
        if (decision.entry != cases[i].entry)
            fail_msg("case %zu: entry %zu", i, decision.entry);
    }
    ws_policy_destroy(policy);
    free_plan(&plan);
}

static void test_wattshed_heeds_link_switch_and_queue(void **state)
{
    (void)state;
    struct ws_plan plan;
    make_plan(&plan, four, 4);
    double switch_ms[1] = {50};
    struct ws_policy_options options = {.guard = 0.5, .switch_ms = switch_ms};
    struct ws_policy *policy = make("wattshed", &plan, &options);
    struct ws_decision decision;
    struct ws_situation now = ws_situation_nominal(&plan.conditions);
    struct ws_policy_request request = {460, 0, NULL, 0};
    ws_policy_decide(policy, &decision, &request, &now, NULL);
    assert_int_equal(decision.entry, 3);
    /* From the cloud's setting, 50 ms go to switching: 440 + 50 is too late. */
    now.current = &plan.entries[0].setting;
    ws_policy_decide(policy, &decision, &request, &now, NULL);
    assert_int_equal(decision.entry, 1);
    assert_near(decision.latency_ms, 180, 1e-9);
    now.current = &plan.entries[3].setting;
    ws_policy_decide(policy, &decision, &request, &now, NULL);
    assert_int_equal(decision.entry, 3);
    /* A slow link rules out what crosses it. */
    now.current = NULL;
    now.pace = 400;
    request.deadline_ms = 300;
    ws_policy_decide(policy, &decision, &request, &now, NULL);
    assert_int_equal(decision.entry, 3);
    /* Somebody behind has 250 ms left: 440 ms now would be too long, 130 are not. */
    now = ws_situation_nominal(&plan.conditions);
    const double behind[] = {250};
    request = (struct ws_policy_request){1000, 0, behind, 1};
    ws_policy_decide(policy, &decision, &request, &now, NULL);
    assert_int_equal(decision.entry, 1);
    /* Somebody behind is lost anyway: no reason to hurry. */
    const double lost[] = {120};
    request.behind_ms = lost;
    ws_policy_decide(policy, &decision, &request, &now, NULL);
    assert_int_equal(decision.entry, 3);
    ws_policy_destroy(policy);
    free_plan(&plan);
}

/* In a world half as uncertain again as the profile, the share kept comes back to what
 * was asked for; in the profile's own world no decision changes. */
static void test_wattshed_learns_its_margin(void **state)
{
    (void)state;
    struct ws_plan plan;
    make_plan(&plan, four, 4);
    double pooled[100];
    for (int i = 0; i < 100; i++)
        pooled[i] = 0.9 + 0.002 * i;
    struct ws_policy_options options = {.guard = 0.95, .pooled = {pooled, 100}};
    for (int wide = 0; wide < 2; wide++) {
        struct ws_policy *policy = make("wattshed", &plan, &options);
        struct ws_situation now = ws_situation_nominal(&plan.conditions);
        struct ws_policy_request request = {1000, 0, NULL, 0};
        struct ws_rng rng;
        ws_rng_init(&rng, 5);
        for (int k = 0; k < 5000; k++) {
            struct ws_decision decision;
            ws_policy_decide(policy, &decision, &request, &now, NULL);
            double span = wide ? 0.8 : 0.2;
            struct ws_outcome outcome = {0};
            ws_outcome_set(&outcome, WS_LATENCY_MS,
                           440 * (1 - span / 2 + span * ws_rng_uniform(&rng)));
            ws_policy_learn(policy, &decision, &now, &outcome);
        }
        /* 440 * 1.088 = 478.7 as profiled; 440 * 1.36 = 598 in the wide world. */
        assert_int_equal(decide(policy, 480, 0), wide ? 1 : 3);
        assert_int_equal(decide(policy, 640, 0), 3);
        ws_policy_destroy(policy);
    }
    free_plan(&plan);
}

/* input, bigger, smaller, as small, nothing */
static const struct plan_row cuts[] = {
    {5, 50, 80, 70, 0.6, 600000},  {30, 90, 70, 70, 0.6, 1200000},
    {60, 20, 50, 70, 0.6, 200000}, {50, 20, 49, 70, 0.6, 200000},
    {300, 0, 0, 2, 0.6, 0},
};

static void test_cut_policies(void **state)
{
    (void)state;
    struct ws_plan plan;
    make_plan(&plan, cuts, 5);
    struct ws_policy_options options = {.profile = plan.entries, .profile_count = 5};
    struct ws_policy *neurosurgeon = make("neurosurgeon", &plan, &options);
    struct ws_policy *dynamic = make("dynamic-split", &plan, &options);
    /* Heads 60 and 50 cannot both be: 55 and 55 are predicted, so cut 3 is 124 and cut 2
     * 125; of the bottlenecks 0, 2 and 4, cut 2 measured 130. */
    assert_int_equal(decide(neurosurgeon, 1, 0), 3);
    assert_int_equal(decide(dynamic, 1, 0), 2);
    struct ws_decision decision;
    struct ws_policy_request request = {1, 0, NULL, 0};
    struct ws_situation now = ws_situation_nominal(&plan.conditions);
    now.pace = 0.01;
    ws_policy_decide(dynamic, &decision, &request, &now, NULL);
    assert_int_equal(decision.entry, 0);
    now.pace = 100;
    ws_policy_decide(dynamic, &decision, &request, &now, NULL);
    assert_int_equal(decision.entry, 4);
    ws_policy_decide(neurosurgeon, &decision, &request, &now, NULL);
    assert_int_equal(decision.entry, 4);
    ws_policy_destroy(neurosurgeon);
    ws_policy_destroy(dynamic);
    free_plan(&plan);
}

static void test_spread_quantile(void **state)
{
    (void)state;
    double ratio[20];
    for (int i = 0; i < 20; i++)
        ratio[i] = i + 1;
    const struct {
        double p;
        size_t count;
        double value;
    } rows[] = {{0.95, 20, 19},  {0.951, 20, 20}, {0.5, 20, 10}, {0.01, 20, 1},
                {0.999, 20, 20}, {0.95, 10, 10},  {0.95, 0, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_spread spread = {ratio, rows[i].count};
        assert_near(ws_spread_quantile(&spread, rows[i].p), rows[i].value, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide_table),
        cmocka_unit_test(test_create_refuses),
        cmocka_unit_test(test_dynasplit_is_the_published_walk),
        cmocka_unit_test(test_wattshed_guard_uses_own_samples),
        cmocka_unit_test(test_wattshed_wastes_nothing_on_what_is_late),
        cmocka_unit_test(test_wattshed_heeds_link_switch_and_queue),
        cmocka_unit_test(test_wattshed_learns_its_margin),
        cmocka_unit_test(test_cut_policies),
        cmocka_unit_test(test_spread_quantile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
