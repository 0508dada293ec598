#include "check.h"

#include <string.h>

#include "base/rng.h"
#include "replay/oracle.h"
#include "replay/scene.h"

static struct ws_replay_result run(const struct scene *scene, const char *name,
                                   uint64_t seed)
{
    struct ws_replay_result result = {0};
    struct ws_error err = {0};
    const struct ws_policy_ops *ops = ws_oracle_find(name);
    if (ops == NULL)
        assert_int_equal(ws_policy_find(&ops, name, &err), 0);
    if (ws_replay_run(&result, &scene->task, ops, seed, &err) != 0)
        fail_msg("%s: %s", name, err.text);
    return result;
}

static const char five[] = "index,deadline_ms\n0,250\n1,110\n2,75\n3,46\n4,40\n";

/* Every figure of a run that can be worked out by hand. */
static void test_replay_figures(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, five, NULL, WS_NOISE_NONE, 0);
    struct ws_replay_result r = run(&scene, "dynasplit", 1);
    /* 200 ms 4 J, 100 ms 6 J, 70 ms 12 J, 45 ms 21 J, and 45 ms 21 J 5 ms late. */
    assert_int_equal(r.requests, 5);
    assert_int_equal(r.met, 4);
    assert_int_equal(r.late, 1);
    assert_near(r.energy_j_mean, (4 + 6 + 12 + 21 + 21) / 5.0, 1e-9);
    assert_near(r.edge_energy_j_mean, (4 + 6 + 3 + 2 + 2) / 5.0, 1e-9);
    assert_near(r.cloud_energy_j_mean, (9 + 19 + 19) / 5.0, 1e-9);
    assert_true(r.parts_known);
    assert_near(r.latency_ms[0], 70, 1e-9);
    assert_near(r.latency_grid[100], 200, 1e-9);
    assert_near(r.exceed_ms_median, 5, 1e-9);
    assert_near(r.span_ms, 200 + 100 + 70 + 45 + 45, 1e-9);
    assert_int_equal(r.uses[0], 2);
    assert_int_equal(r.uses[1], 1);
    assert_int_equal(r.uses[2], 2);
    assert_true(r.decision_ns_worst >= r.decision_ns_median && r.decision_ns_median > 0);
    ws_replay_result_fini(&r);
    scene_fini(&scene);
}

/* Requests that come while the hardware is busy wait, and waiting counts. */
static void test_replay_arrivals_queue(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene,
               "index,deadline_ms,arrival_ms\n0,1000,0\n1,1000,10\n2,60,20\n3,60,500\n",
               NULL, WS_NOISE_NONE, 0);
    struct ws_replay_result r = run(&scene, "cloud-only", 1);
    /* 0 to 45; 45 to 90; 90 to 135, so 115 ms for number 2; 500 to 545. */
    assert_int_equal(r.met, 3);
    assert_near(r.exceed_ms_median, 115 - 60, 1e-9);
    assert_near(r.latency_grid[0], 45, 1e-9);
    assert_near(r.span_ms, 545, 1e-9);
    ws_replay_result_fini(&r);
    /* The earliest deadline first: number 2 (80) goes before number 1 (1010). */
    scene.task.order = WS_AGENT_DEADLINE;
    r = run(&scene, "cloud-only", 1);
    assert_int_equal(r.met, 3);
    assert_near(r.exceed_ms_median, 70 - 60, 1e-9);
    ws_replay_result_fini(&r);
    /* Told to, the agent refuses what is lost when its turn comes. */
    scene.task.refuse_late = 1;
    r = run(&scene, "dynasplit", 1);
    assert_int_equal(r.refused, 1);
    assert_int_equal(r.met, 3);
    ws_replay_result_fini(&r);
    scene_fini(&scene);
}

static void test_replay_heeds_the_queue(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, "index,deadline_ms,arrival_ms\n0,1000,0\n1,1000,1\n2,330,2\n",
               NULL, WS_NOISE_NONE, 0);
    /* 0 and 1 at 200 ms each, as dynasplit does, leave number 2 waiting 398 ms. */
    struct ws_replay_result d = run(&scene, "dynasplit", 1);
    struct ws_replay_result w = run(&scene, "wattshed", 1);
    assert_int_equal(d.met, 2);
    assert_int_equal(w.met, 3);
    assert_true(w.energy_j_mean > 4);
    ws_replay_result_fini(&d);
    ws_replay_result_fini(&w);
    scene_fini(&scene);
}

static void test_replay_switching_costs_time(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, "index,deadline_ms\n0,250\n1,110\n2,250\n3,120\n", NULL,
               WS_NOISE_NONE, 30);
    /* dynasplit: clock 1, clock 2 (100 + 30 > 110), clock 1 (200 + 30), clock 2
     * (100 + 30 > 120). */
    struct ws_replay_result d = run(&scene, "dynasplit", 1);
    assert_int_equal(d.switches, 3);
    assert_int_equal(d.met, 2);
    assert_near(d.latency_grid[100], 230, 1e-9);
    ws_replay_result_fini(&d);
    /* wattshed: number 1 without a switch, 70 ms on clock 1; likewise number 3. */
    struct ws_replay_result w = run(&scene, "wattshed", 1);
    assert_int_equal(w.switches, 0);
    assert_int_equal(w.met, 4);
    struct ws_replay_result o = run(&scene, "mean-oracle", 1);
    assert_int_equal(o.met, 4);
    assert_near(o.energy_j_mean, w.energy_j_mean, 1e-9);
    ws_replay_result_fini(&w);
    ws_replay_result_fini(&o);
    scene_fini(&scene);
}

/* From 1 s on the link has half its rate: of the settings accurate enough, the cheap one
 * takes 65 + 5 * 4.2 / 2.6 ms instead of 70, and the next one keeps 72 ms. dynasplit does
 * not notice, wattshed does. */
static void test_replay_link(void **state)
{
    (void)state;
    struct scene scene;
    char workload[4096] = "index,deadline_ms,min_accuracy\n";
    for (int i = 0; i < 60; i++)
        snprintf(workload + strlen(workload), sizeof(workload) - strlen(workload),
                 "%d,72,0.85\n", i);
    scene_init(&scene, workload, "time_s,link_scale\n0,1\n1,0.5\n", WS_NOISE_NONE, 0);
    struct ws_replay_result d = run(&scene, "dynasplit", 1);
    assert_int_equal(d.met, 15);
    assert_near(d.latency_grid[100], 65 + 5 * 4.2 / 2.6, 1e-9);
    ws_replay_result_fini(&d);
    struct ws_replay_result m = run(&scene, "mean-oracle", 1);
    assert_int_equal(m.met, 60);
    ws_replay_result_fini(&m);
    struct ws_replay_result w = run(&scene, "wattshed", 1);
    assert_true(w.met >= 55);
    assert_true(w.energy_j_mean < 14);
    ws_replay_result_fini(&w);
    scene_fini(&scene);
}

/* A link of nothing: what is sent is lost when its deadline passes, and the run goes on;
 * wattshed stays at the edge once it has learnt. */
static void test_replay_link_gone(void **state)
{
    (void)state;
    struct scene scene;
    char workload[4096] = "index,deadline_ms\n";
    for (int i = 0; i < 40; i++)
        snprintf(workload + strlen(workload), sizeof(workload) - strlen(workload),
                 "%d,%d\n", i, i % 2 ? 80 : 120);
    scene_init(&scene, workload, "time_s,link_mbit_s\n0,0\n", WS_NOISE_NONE, 0);
    struct ws_replay_result c = run(&scene, "cloud-only", 1);
    assert_int_equal(c.lost, 40);
    assert_int_equal(c.met, 0);
    assert_near(c.span_ms, 20 * 80 + 20 * 120, 1e-9);
    ws_replay_result_fini(&c);
    struct ws_replay_result w = run(&scene, "wattshed", 1);
    assert_true(w.lost <= 4);
    assert_int_equal(w.met, 20);
    ws_replay_result_fini(&w);
    struct ws_replay_result o = run(&scene, "oracle", 1);
    assert_int_equal(o.lost, 0);
    assert_int_equal(o.met, 20);
    ws_replay_result_fini(&o);
    scene_fini(&scene);
}

static void test_replay_accuracy(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene,
               "index,deadline_ms,min_accuracy\n0,250,0\n1,250,0.85\n2,250,0.95\n", NULL,
               WS_NOISE_NONE, 0);
    static const char *const names[] = {"dynasplit", "wattshed", "oracle", "mean-oracle"};
    for (size_t i = 0; i < 4; i++) {
        struct ws_replay_result r = run(&scene, names[i], 1);
        assert_int_equal(r.refused, 1);
        assert_int_equal(r.met, 2);
        assert_near(r.energy_j_mean, (4 + 12) / 2.0, 1e-9);
        ws_replay_result_fini(&r);
    }
    scene_fini(&scene);
}

static void same(const struct ws_replay_result *a, const struct ws_replay_result *b)
{
    assert_int_equal(a->met, b->met);
    assert_near(a->energy_j_mean, b->energy_j_mean, 0);
    assert_memory_equal(a->latency_grid, b->latency_grid, sizeof(a->latency_grid));
}

static void test_replay_seed(void **state)
{
    (void)state;
    struct scene scene;
    char workload[4096] = "index,deadline_ms\n";
    for (int i = 0; i < 200; i++)
        snprintf(workload + strlen(workload), sizeof(workload) - strlen(workload),
                 "%d,%d\n", i, 40 + i);
    scene_init(&scene, workload, NULL, WS_NOISE_POOLED, 0);
    static const char *const names[] = {"dynasplit", "wattshed", "oracle",
                                        "guard-oracle"};
    for (size_t i = 0; i < 4; i++) {
        struct ws_replay_result a = run(&scene, names[i], 7);
        struct ws_replay_result b = run(&scene, names[i], 7);
        struct ws_replay_result c = run(&scene, names[i], 8);
        same(&a, &b);
        assert_memory_not_equal(a.latency_grid, c.latency_grid, sizeof(a.latency_grid));
        ws_replay_result_fini(&a);
        ws_replay_result_fini(&b);
        ws_replay_result_fini(&c);
    }
    scene_fini(&scene);
}

/* Whatever comes, in whatever order, under whatever link: every request is met, late,
 * lost or refused, once. */
static void test_replay_accounts_for_all(void **state)
{
    (void)state;
    static const char *const names[] = {"cloud-only", "dynasplit",   "wattshed",
                                        "oracle",     "mean-oracle", "neurosurgeon"};
    static char workload[65536];
    struct ws_rng rng;
    ws_rng_init(&rng, 17);
    for (int round = 0; round < 40; round++) {
        struct scene scene;
        char trace[512];
        double arrival = 0;
        int n = snprintf(workload, sizeof(workload),
                         "index,deadline_ms,arrival_ms,min_accuracy\n");
        for (int i = 0; i < 300; i++) {
            arrival += ws_rng_below(&rng, 4) ? 0 : 200 * ws_rng_uniform(&rng);
            n += snprintf(workload + n, sizeof(workload) - (size_t)n, "%d,%g,%g,%g\n", i,
                          1 + 600 * ws_rng_uniform(&rng), arrival,
                          ws_rng_below(&rng, 5) ? 0 : ws_rng_uniform(&rng));
        }
        snprintf(trace, sizeof(trace), "time_s,link_mbit_s\n0,%g\n2,0\n3,%g\n",
                 1 + 100 * ws_rng_uniform(&rng), 1 + 100 * ws_rng_uniform(&rng));
        scene_init(&scene, workload, trace, WS_NOISE_POOLED, 20 * ws_rng_uniform(&rng));
        scene.task.order = ws_rng_below(&rng, 2) ? WS_AGENT_DEADLINE : WS_AGENT_FIFO;
        scene.task.refuse_late = (int)ws_rng_below(&rng, 2);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            struct ws_replay_result r = run(&scene, names[i], (uint64_t)round);
            assert_int_equal(r.met + r.late + r.lost + r.refused, 300);
            assert_int_equal(r.uses[0] + r.uses[1] + r.uses[2], 300 - r.refused);
            assert_true(isfinite(r.energy_j_mean) && isfinite(r.span_ms));
            ws_replay_result_fini(&r);
        }
        scene_fini(&scene);
    }
}

/* ---- attention ---- */

static const struct ws_policy_ops seer;

static int seer_create(struct ws_policy **out, const struct ws_plan *plan,
                       const struct ws_policy_options *options, struct ws_error *err)
{
    static struct ws_policy policy;
    (void)options;
    (void)err;
    policy = (struct ws_policy){&seer, plan};
    *out = &policy;
    return 0;
}

/* The first setting with that value of `where`. */
static struct ws_decision goes(const struct ws_policy *policy, uint16_t where)
{
    size_t i = 0;
    while (policy->plan->entries[i].setting.value[0] != where)
        i++;
    return (struct ws_decision){policy->plan->entries[i].setting, i, 0};
}

static int seer_decide(struct ws_policy *policy, struct ws_decision *out,
                       const struct ws_policy_request *request,
                       const struct ws_situation *now, struct ws_error *err)
{
    (void)request;
    (void)now;
    (void)err;
    *out = goes(policy, 2);
    return 0;
}

static void seer_revise(struct ws_policy *policy, struct ws_decision *decision,
                        const struct ws_policy_request *request,
                        const struct ws_situation *then)
{
    (void)then;
    if (request->attention > 0.8)
        *decision = goes(policy, 0);
}

static void seer_destroy(struct ws_policy *policy)
{
    (void)policy;
}

static const struct ws_policy_ops seer = {.name = "seer",
                                          .create = seer_create,
                                          .decide = seer_decide,
                                          .revise = seer_revise,
                                          .destroy = seer_destroy};

/* Where a trace knows the pictures' attention, a policy is asked once more with it. */
static void test_replay_attention(void **state)
{
    static const struct {
        const char *trace;
        size_t away, here;
    } rows[] = {{"time_s,attention\n0,0.6\n", 0, 3},
                {"time_s,attention\n0,0.9\n", 3, 0},
                {"time_s,attention\n0,0.6\n15,0.9\n", 1, 2},
                {"time_s,link_mbit_s\n0,100\n", 0, 3}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene scene;
        struct ws_replay_result result;
        scene_init(&scene,
                   "index,deadline_ms,arrival_ms\n0,900,0\n1,900,10000\n2,900,20000\n",
                   rows[i].trace, WS_NOISE_NONE, 0);
        assert_int_equal(ws_replay_run(&result, &scene.task, &seer, 1, NULL), 0);
        assert_int_equal(result.uses[0], rows[i].away);
        assert_int_equal(result.uses[2], rows[i].here);
        ws_replay_result_fini(&result);
        scene_fini(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_figures),
        cmocka_unit_test(test_replay_arrivals_queue),
        cmocka_unit_test(test_replay_heeds_the_queue),
        cmocka_unit_test(test_replay_switching_costs_time),
        cmocka_unit_test(test_replay_link),
        cmocka_unit_test(test_replay_link_gone),
        cmocka_unit_test(test_replay_accuracy),
        cmocka_unit_test(test_replay_seed),
        cmocka_unit_test(test_replay_accounts_for_all),
        cmocka_unit_test(test_replay_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
