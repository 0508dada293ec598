/*
 * What an agent that was trained makes of a picture's attention, once the extractor has
 * run: on a small machine where more maps may go to the cloud the more concentrated it
 * is, the share follows it and the edge's clock stays.
 */
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/rng.h"
#include "policy/dvfo.h"
#include "policy/learners.h"
#include "policy/policies.h"

enum { CLOCKS = 3, SHARES = 5, SETTINGS = CLOCKS * SHARES, STEPS = 1200 };

static struct ws_knob_value clock_values[CLOCKS], share_values[SHARES];
static double clock_numbers[CLOCKS] = {0.5, 0.75, 1};
static double share_numbers[SHARES] = {0, 0.25, 0.5, 0.75, 1};
static char clock_texts[CLOCKS][16], share_texts[SHARES][16];
static char clock_name[] = "edge.clock", share_name[] = "share";
static struct ws_knob knobs[2] = {
    {clock_name, WS_PART_EDGE, WS_KIND_ORDERED, clock_values, CLOCKS},
    {share_name, WS_PART_SHARED, WS_KIND_ORDERED, share_values, SHARES},
};
static const struct ws_space space = {knobs, 2, NULL, 0};
static const double floor_accuracy = 0.8;

static void fill(struct ws_knob_value *values, double *numbers, char (*texts)[16],
                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%g", numbers[i]);
        values[i] = (struct ws_knob_value){texts[i], &numbers[i], 1};
    }
}

/* Sending saves time and energy; it costs accuracy, less with concentrated attention: at
 * 0.55 no more than a quarter of the maps may go, at 0.95 all may. */
static int machine_expect(struct ws_evaluator *self, struct ws_outcome *out,
                          const struct ws_setting *setting,
                          const struct ws_conditions *now, struct ws_error *err)
{
    double clock = clock_numbers[setting->value[0]];
    double share = share_numbers[setting->value[1]], attention = 0.75;
    (void)self;
    (void)err;
    if (now != NULL)
        (void)ws_conditions_get(&attention, now, WS_ATTENTION);
    double latency = 20 + 80 * (1 - share) / clock;
    *out = (struct ws_outcome){.truth = WS_MODELLED};
    ws_outcome_set(out, WS_LATENCY_MS, latency);
    ws_outcome_set(out, WS_EDGE_MS, latency);
    ws_outcome_set(out, WS_ENERGY_J, latency * (1 + clock) / 1000);
    ws_outcome_set(out, WS_ACCURACY, 0.9 - 0.6 * share * (1 - attention));
    return 0;
}

#include "machine.h" /* on what stands above */

static struct ws_outcome outcome_at(const struct ws_setting *setting, double attention)
{
    struct ws_outcome outcome;
    struct ws_conditions now = {.known = 0};
    ws_conditions_set(&now, WS_ATTENTION, attention);
    assert_int_equal(machine_expect(&machine, &outcome, setting, &now, NULL), 0);
    return outcome;
}

/* An agent's file, trained on pictures of every attention. */
static void train(char *path)
{
    static const struct ws_setting cloud = {{2, 4}}, edge = {{2, 0}};
    const struct ws_learner_task task = {
        .space = &space,
        .cost = {.max_power_w = 2, .accuracy_floor = floor_accuracy},
        .start = edge,
        .cloud_only = &cloud,
        .edge_only = &edge,
        .table = &machine,
        .steps = STEPS,
        .seed = 7,
        .gamma = 0.1};
    struct ws_learner *learner = NULL;
    struct ws_rng rng;
    struct ws_view view = {.link_mbit_s = 10,
                           .attention = 0.75,
                           .temperature_c = 45,
                           .edge_scale = 1,
                           .power_scale = 1,
                           .eta = 0.5,
                           .lambda = 0.5,
                           .deadline_ms = INFINITY,
                           .current = edge};
    ws_rng_init(&rng, 3);
    assert_int_equal(ws_learner_dvfo.create(&learner, &task, NULL), 0);
    for (size_t i = 0; i < STEPS; i++) {
        struct ws_setting setting;
        ws_learner_choose(learner, &setting, &view, 1);
        struct ws_outcome outcome = outcome_at(&setting, view.attention);
        struct ws_view next = view;
        next.attention = 0.5 + 0.48 * ws_rng_uniform(&rng);
        next.current = setting;
        ws_learner_observe(learner, &view, &setting, &outcome, &next);
        view = next;
    }
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ws_dvfo_save(ws_dvfo_of(learner), path, NULL), 0);
    ws_learner_destroy(learner);
}

static struct ws_plan make_plan(struct ws_plan_entry entries[static SETTINGS])
{
    struct ws_plan plan = {.space = space, .entries = entries, .entry_count = SETTINGS};
    ws_conditions_set(&plan.conditions, WS_LINK_MBIT_S, 10);
    for (size_t i = 0; i < SETTINGS; i++) {
        ws_setting_from_index(&entries[i].setting, &space, i);
        entries[i].outcome = outcome_at(&entries[i].setting, 0.75);
    }
    return plan;
}

static void test_share_follows_attention(void **state)
{
    char path[] = "/tmp/ws-agent-XXXXXX";
    struct ws_plan_entry entries[SETTINGS] = {0};
    const struct ws_plan plan = make_plan(entries);
    const struct ws_policy_options options = {.agent = path};
    struct ws_situation now = ws_situation_nominal(&plan.conditions);
    struct ws_policy *policy = NULL;
    double shares[2] = {0};
    (void)state;
    train(path);
    assert_int_equal(ws_policy_dvfo.create(&policy, &plan, &options, NULL), 0);
    for (int r = 0; r < 40; r++) {
        struct ws_policy_request request = {.deadline_ms = INFINITY};
        struct ws_decision decided, revised;
        assert_int_equal(ws_policy_decide(policy, &decided, &request, &now, NULL), 0);
        request.attention = r % 2 == 0 ? 0.55 : 0.95;
        revised = decided;
        ws_policy_revise(policy, &revised, &request, &now);
        assert_int_equal(revised.setting.value[0], decided.setting.value[0]);
        assert_int_equal(
            ws_setting_to_index(&space, &plan.entries[revised.entry].setting),
            ws_setting_to_index(&space, &revised.setting));
        shares[r % 2] += share_numbers[revised.setting.value[1]] / 20;
        struct ws_outcome outcome = outcome_at(&revised.setting, request.attention);
        ws_policy_learn(policy, &revised, &now, &outcome);
    }
    /* Exploring moves a few of them by a step. */
    if (!(shares[0] <= 0.35 && shares[1] >= 0.85))
        fail_msg("shares of %g and %g", shares[0], shares[1]);
    /* Where the edge is to be spared, the plan has decided, and that stands. */
    struct ws_policy_request request = {.deadline_ms = INFINITY, .attention = 0.95};
    struct ws_decision decision = {entries[0].setting, 0, 1};
    now.edge_w_max = 1;
    ws_policy_revise(policy, &decision, &request, &now);
    assert_int_equal(decision.entry, 0);
    ws_policy_destroy(policy);
    unlink(path);
}

/* Whoever looks at no attention leaves a decision as it is. */
static void test_others_do_not_look(void **state)
{
    struct ws_plan_entry entries[SETTINGS] = {0};
    const struct ws_plan plan = make_plan(entries);
    const struct ws_policy_options options = {0};
    const struct ws_situation now = ws_situation_nominal(&plan.conditions);
    const struct ws_policy_request request = {.deadline_ms = INFINITY, .attention = 0.95};
    struct ws_policy *policy = NULL;
    struct ws_decision decision, before;
    (void)state;
    assert_int_equal(ws_policy_thrifty.create(&policy, &plan, &options, NULL), 0);
    assert_int_equal(ws_policy_decide(policy, &decision, &request, &now, NULL), 0);
    before = decision;
    ws_policy_revise(policy, &decision, &request, &now);
    assert_memory_equal(&decision, &before, sizeof(before));
    ws_policy_destroy(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_follows_attention),
        cmocka_unit_test(test_others_do_not_look),
    };
    fill(clock_values, clock_numbers, clock_texts, CLOCKS);
    fill(share_values, share_numbers, share_texts, SHARES);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
