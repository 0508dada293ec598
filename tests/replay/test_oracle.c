#include "check.h"

#include <string.h>

#include "base/rng.h"
#include "replay/oracle.h"
#include "replay/scene.h"

static struct ws_policy *make(const struct scene *scene, const struct ws_policy_ops *ops,
                              const struct ws_world_now *now)
{
    struct ws_policy *policy = NULL;
    struct ws_oracle_context context = {&scene->world, now};
    struct ws_policy_options options = scene->task.options;
    options.oracle = &context;
    assert_int_equal(ops->create(&policy, &scene->plan, &options, NULL), 0);
    return policy;
}

/* By looking at every setting's draw. */
static const struct ws_setting *
best_draw(const struct scene *scene, const struct ws_world_now *now, double deadline_ms)
{
    const struct ws_setting *cheapest = NULL, *fastest = NULL;
    double least_j = INFINITY, least_ms = INFINITY;
    for (size_t i = 0; i < scene->world.setting_count; i++) {
        struct ws_outcome o;
        assert_int_equal(ws_evaluate(scene->evaluator, &o, &scene->settings[i], NULL,
                                     &now->conditions, now->seed, NULL),
                         0);
        double ms = o.value[WS_LATENCY_MS], j = o.value[WS_ENERGY_J];
        if (ms <= deadline_ms && j < least_j) {
            cheapest = &scene->settings[i];
            least_j = j;
        }
        if (ms < least_ms) {
            fastest = &scene->settings[i];
            least_ms = ms;
        }
    }
    return cheapest != NULL ? cheapest : fastest;
}

static void test_oracle_knows_the_draws(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, "index,deadline_ms\n0,1\n", NULL, WS_NOISE_POOLED, 0);
    struct ws_world_now now = {0};
    ws_world_at(&now.conditions, &scene.world, 0);
    scene.world.least_latency = 0.9;
    scene.world.least_energy = 0.9;
    struct ws_policy *oracle = make(&scene, &ws_oracle_draws, &now);
    struct ws_rng rng;
    ws_rng_init(&rng, 3);
    for (int k = 0; k < 500; k++) {
        struct ws_decision decision;
        struct ws_policy_request request = {30 + 200 * ws_rng_uniform(&rng), 0, NULL, 0};
        struct ws_situation nominal = ws_situation_nominal(&scene.plan.conditions);
        now.seed = ws_rng_u64(&rng);
        if (k % 50 == 0) /* the link changes now and then */
            ws_conditions_set(&now.conditions, WS_LINK_MBIT_S,
                              20 + 100 * ws_rng_uniform(&rng));
        assert_int_equal(ws_policy_decide(oracle, &decision, &request, &nominal, NULL),
                         0);
        const struct ws_setting *want = best_draw(&scene, &now, request.deadline_ms);
        assert_memory_equal(&decision.setting, want, sizeof(*want));
    }
    ws_policy_destroy(oracle);
    scene_fini(&scene);
}

static void test_mean_oracle_follows_the_link(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, "index,deadline_ms\n0,1\n", NULL, WS_NOISE_NONE, 0);
    struct ws_world_now now = {0};
    ws_world_at(&now.conditions, &scene.world, 0);
    struct ws_policy *oracle = make(&scene, &ws_oracle_means, &now);
    struct ws_situation nominal = ws_situation_nominal(&scene.plan.conditions);
    struct ws_policy_request request = {49, 0, NULL, 0};
    struct ws_decision decision;
    ws_policy_decide(oracle, &decision, &request, &nominal, NULL);
    assert_near(decision.latency_ms, 48, 1e-9);
    ws_conditions_set(&now.conditions, WS_LINK_MBIT_S, 1);
    ws_policy_decide(oracle, &decision, &request, &nominal, NULL);
    /* Nothing is in time: the fastest needs no link. */
    assert_near(decision.latency_ms, 100, 1e-9);
    ws_policy_destroy(oracle);
    scene_fini(&scene);
}

/* Of six samples 68 .. 72 around 70, 95 % keep below 72. */
static void test_guard_oracle_knows_the_spread(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, "index,deadline_ms\n0,1\n", NULL, WS_NOISE_OWN, 0);
    struct ws_world_now now = {0};
    ws_world_at(&now.conditions, &scene.world, 0);
    struct ws_policy *oracle = make(&scene, &ws_oracle_guard, &now);
    struct ws_situation nominal = ws_situation_nominal(&scene.plan.conditions);
    struct ws_policy_request request = {71.9, 0, NULL, 0};
    struct ws_decision decision;
    ws_policy_decide(oracle, &decision, &request, &nominal, NULL);
    assert_near(decision.latency_ms, 48, 1e-9);
    request.deadline_ms = 72.1;
    ws_policy_decide(oracle, &decision, &request, &nominal, NULL);
    assert_near(decision.latency_ms, 72, 1e-9);
    ws_policy_destroy(oracle);
    scene_fini(&scene);
}

static void test_spreads(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, "index,deadline_ms\n0,1\n", NULL, WS_NOISE_POOLED, 0);
    assert_int_equal(scene.spreads.pooled.count, scene.table.residual_count);
    assert_true(scene.table.residual_count > 0);
    size_t with_own = 0;
    for (size_t i = 0; i < scene.table.setting_count; i++) {
        const struct ws_spread *own = &scene.spreads.own[i];
        for (size_t k = 1; k < own->count; k++)
            assert_true(own->ratio[k - 1] <= own->ratio[k]);
        if (own->count == 0)
            continue;
        with_own++;
        assert_int_equal(own->count, 6);
        assert_near(own->ratio[5], 72.0 / 70, 1e-12);
    }
    assert_int_equal(with_own, 1);
    scene_fini(&scene);
    scene_init(&scene, "index,deadline_ms\n0,1\n", NULL, WS_NOISE_NONE, 0);
    assert_int_equal(scene.spreads.pooled.count, 0);
    scene_fini(&scene);
}

/* Cut 0 and 1 on the clock of edge-only and the GPU of cloud-only; the last cut may not
 * have the GPU, so it is edge-only itself. */
static void test_profile_default_hardware(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, "index,deadline_ms\n0,1\n", NULL, WS_NOISE_NONE, 0);
    static const double latency[] = {45, 48, 100};
    assert_int_equal(scene.profile.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_near(scene.profile.entries[i].outcome.value[WS_LATENCY_MS], latency[i],
                    1e-9);
    struct ws_profile none;
    assert_int_equal(
        ws_profile_create(&none, scene.evaluator, NULL, &scene.settings[0], NULL), 0);
    assert_int_equal(none.count, 0);
    ws_profile_fini(&none);
    scene_fini(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oracle_knows_the_draws),
        cmocka_unit_test(test_mean_oracle_follows_the_link),
        cmocka_unit_test(test_guard_oracle_knows_the_spread),
        cmocka_unit_test(test_spreads),
        cmocka_unit_test(test_profile_default_hardware),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
