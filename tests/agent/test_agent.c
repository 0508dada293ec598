#include "check.h"

#include <string.h>

#include "agent/agent.h"
#include "policy/make_plan.h"

static const struct plan_row rows[] = {
    {10, 20, 70, 70, 0.61, 600000},
    {60, 5, 65, 60, 0.60, 25000},
    {440, 0, 0, 2, 0.58, 0},
};

static struct ws_agent *make(struct ws_plan *plan, struct ws_agent_options *options)
{
    struct ws_agent *agent = NULL;
    make_plan(plan, rows, 3);
    if (options->policy == NULL)
        assert_int_equal(ws_policy_find(&options->policy, "wattshed", NULL), 0);
    options->policy_options.guard = 0.95;
    assert_int_equal(ws_agent_create(&agent, plan, options, NULL), 0);
    return agent;
}

static void submit(struct ws_agent *agent, uint64_t id, double deadline_ms, double now_ms)
{
    struct ws_agent_request request = {id, deadline_ms, 0};
    assert_int_equal(ws_agent_submit(agent, &request, now_ms, NULL), 0);
}

/* Takes the next, which must be `id`, and finishes it with the plan's own times, the
 * transfer stretched. */
static size_t serve(struct ws_agent *agent, const struct ws_plan *plan, uint64_t id,
                    double now_ms, double stretch)
{
    struct ws_agent_action action;
    assert_int_equal(ws_agent_next(agent, &action, now_ms), 1);
    assert_int_equal(action.verb, WS_AGENT_RUN);
    assert_int_equal(action.id, id);
    struct ws_agent_action none;
    assert_int_equal(ws_agent_next(agent, &none, now_ms), 0);
    struct ws_outcome outcome = plan->entries[action.decision.entry].outcome;
    outcome.value[WS_LATENCY_MS] += (stretch - 1) * outcome.value[WS_TRANSFER_MS];
    outcome.value[WS_TRANSFER_MS] *= stretch;
    ws_agent_finish(agent, id, &outcome, now_ms + outcome.value[WS_LATENCY_MS]);
    return action.decision.entry;
}

static void test_agent_fifo(void **state)
{
    (void)state;
    struct ws_plan plan;
    struct ws_agent_options options = {0};
    struct ws_agent *agent = make(&plan, &options);
    struct ws_agent_action action;
    assert_int_equal(ws_agent_next(agent, &action, 0), 0);
    submit(agent, 1, 9000, 0);
    submit(agent, 2, 1000, 0);
    submit(agent, 3, 5000, 0);
    for (uint64_t id = 1; id <= 3; id++)
        serve(agent, &plan, id, 0, 1);
    assert_int_equal(ws_agent_next(agent, &action, 0), 0);
    ws_agent_destroy(agent);
    free_plan(&plan);
}

static void test_agent_deadline_first(void **state)
{
    (void)state;
    struct ws_plan plan;
    struct ws_agent_options options = {.order = WS_AGENT_DEADLINE, .queue_max = 3};
    struct ws_agent *agent = make(&plan, &options);
    submit(agent, 1, 9000, 0);
    submit(agent, 2, 1000, 0);
    submit(agent, 3, 1000, 0);
    struct ws_agent_request more = {4, 1, 0};
    struct ws_error err = {0};
    assert_int_equal(ws_agent_submit(agent, &more, 0, &err), WS_E_LIMIT);
    assert_string_equal(err.text, "the queue is full: 3 requests wait");
    serve(agent, &plan, 2, 0, 1);
    /* Over and over, so that the queue's memory comes round. */
    for (uint64_t k = 0; k < 20; k++) {
        submit(agent, 10 + k, 500, 0);
        serve(agent, &plan, 10 + k, 0, 1);
    }
    serve(agent, &plan, 3, 0, 1);
    serve(agent, &plan, 1, 0, 1);
    struct ws_agent_state s;
    ws_agent_get_state(&s, agent, 0);
    assert_int_equal(s.waiting, 0);
    assert_int_equal(s.served, 23);
    ws_agent_destroy(agent);
    free_plan(&plan);
}

/* What was waited is taken off the deadline. */
static void test_agent_waiting_counts(void **state)
{
    (void)state;
    struct ws_plan plan;
    struct ws_agent_options options = {0};
    struct ws_agent *agent = make(&plan, &options);
    submit(agent, 1, 1000, 0);
    assert_int_equal(serve(agent, &plan, 1, 500, 1), 2);
    submit(agent, 2, 1000, 0);
    assert_int_equal(serve(agent, &plan, 2, 600, 1), 1);
    submit(agent, 3, 1000, 0);
    assert_int_equal(serve(agent, &plan, 3, 895, 1), 0);
    ws_agent_destroy(agent);
    free_plan(&plan);
}

static void test_agent_refuses(void **state)
{
    (void)state;
    struct ws_plan plan;
    struct ws_agent_options options = {.refuse_late = 1};
    struct ws_agent *agent = make(&plan, &options);
    struct ws_agent_action action;
    submit(agent, 1, 90, 0);
    assert_int_equal(ws_agent_next(agent, &action, 0), 1);
    assert_int_equal(action.verb, WS_AGENT_REFUSE);
    assert_int_equal(action.reason, WS_E_TIMEOUT);
    struct ws_agent_request request = {2, 1000, 0.9};
    assert_int_equal(ws_agent_submit(agent, &request, 0, NULL), 0);
    assert_int_equal(ws_agent_next(agent, &action, 0), 1);
    assert_int_equal(action.verb, WS_AGENT_REFUSE);
    assert_int_equal(action.id, 2);
    assert_int_equal(action.reason, WS_E_INFEASIBLE);
    submit(agent, 3, 100, 0);
    serve(agent, &plan, 3, 0, 1);
    struct ws_agent_state s;
    ws_agent_get_state(&s, agent, 0);
    assert_int_equal(s.refused, 2);
    ws_agent_destroy(agent);
    free_plan(&plan);
}

/* A link twenty times slower: after a few outcomes nothing is sent that cannot arrive in
 * time, and after a while it is tried again. */
static void test_agent_learns_the_link(void **state)
{
    (void)state;
    struct ws_plan plan;
    struct ws_agent_options options = {0};
    struct ws_agent *agent = make(&plan, &options);
    double now_ms = 0;
    for (uint64_t id = 0; id < 6; id++, now_ms += 200) {
        submit(agent, id, now_ms + 200, now_ms);
        size_t entry = serve(agent, &plan, id, now_ms, 20);
        if (id == 0)
            assert_int_equal(entry, 1);
    }
    struct ws_agent_state s;
    ws_agent_get_state(&s, agent, now_ms);
    assert_true(s.situation.pace > 5);
    submit(agent, 100, now_ms + 200, now_ms);
    submit(agent, 101, now_ms + 120000 + 200, now_ms + 120000);
    struct ws_agent_action action;
    assert_int_equal(ws_agent_next(agent, &action, now_ms), 1);
    assert_int_not_equal(action.decision.entry, 0);
    struct ws_outcome nothing = {0};
    ws_agent_finish(agent, 100, &nothing, now_ms);
    assert_int_equal(serve(agent, &plan, 101, now_ms + 120000, 1), 1);
    ws_agent_destroy(agent);
    free_plan(&plan);
}

/* An edge part of next to nothing, as where all is sent, may take many times as long as
 * planned and says nothing of the machine. */
static void test_agent_ignores_tiny_parts(void **state)
{
    (void)state;
    static const struct plan_row all_sent[] = {{0.01, 20, 70, 1, 0.61, 600000},
                                               {440, 0, 0, 2, 0.58, 0}};
    struct ws_plan plan;
    struct ws_agent *agent = NULL;
    struct ws_agent_options options = {.policy_options.guard = 0.95};
    struct ws_agent_state s;
    make_plan(&plan, all_sent, 2);
    assert_int_equal(ws_policy_find(&options.policy, "wattshed", NULL), 0);
    assert_int_equal(ws_agent_create(&agent, &plan, &options, NULL), 0);
    for (uint64_t id = 0; id < 5; id++) {
        struct ws_agent_action action;
        submit(agent, id, 1000, 0);
        assert_int_equal(ws_agent_next(agent, &action, 0), 1);
        assert_int_equal(action.decision.entry, 0);
        struct ws_outcome outcome = plan.entries[0].outcome;
        outcome.value[WS_EDGE_MS] = 0.1;
        ws_agent_finish(agent, id, &outcome, 0);
    }
    ws_agent_get_state(&s, agent, 0);
    assert_near(s.situation.edge_scale, 1, 1e-12);
    ws_agent_destroy(agent);
    free_plan(&plan);
}

static void test_agent_is_told_the_link(void **state)
{
    (void)state;
    struct ws_plan plan;
    struct ws_agent_options options = {0};
    struct ws_agent *agent = make(&plan, &options);
    struct ws_conditions link = {0};
    ws_conditions_set(&link, WS_LINK_MBIT_S, 10);
    ws_conditions_set(&link, WS_LINK_DELAY_MS, 4);
    ws_agent_note_link(agent, &link, 0);
    struct ws_agent_state s;
    ws_agent_get_state(&s, agent, 0);
    assert_near(s.situation.pace, 10, 1e-9);
    assert_near(s.situation.delay_ms, 4, 1e-9);
    ws_agent_destroy(agent);
    free_plan(&plan);
}

static void test_agent_switches(void **state)
{
    (void)state;
    struct ws_plan plan;
    double switch_ms[1] = {30};
    struct ws_agent_options options = {.policy_options.switch_ms = switch_ms};
    struct ws_agent *agent = make(&plan, &options);
    static const struct {
        double deadline_ms, switch_ms;
        size_t entry;
    } steps[] = {{450, 0, 2}, {450, 0, 2}, {165, 30, 1}, {450, 0, 1}, {480, 30, 2}};
    for (uint64_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct ws_agent_action action;
        submit(agent, i, steps[i].deadline_ms, 0);
        assert_int_equal(ws_agent_next(agent, &action, 0), 1);
        assert_int_equal(action.decision.entry, steps[i].entry);
        assert_near(action.switch_ms, steps[i].switch_ms, 0);
        struct ws_outcome nothing = {0};
        ws_agent_finish(agent, i, &nothing, 0);
    }
    struct ws_agent_state s;
    ws_agent_get_state(&s, agent, 0);
    assert_int_equal(s.switches, 2);
    ws_agent_destroy(agent);
    free_plan(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_fifo),
        cmocka_unit_test(test_agent_deadline_first),
        cmocka_unit_test(test_agent_waiting_counts),
        cmocka_unit_test(test_agent_refuses),
        cmocka_unit_test(test_agent_learns_the_link),
        cmocka_unit_test(test_agent_ignores_tiny_parts),
        cmocka_unit_test(test_agent_is_told_the_link),
        cmocka_unit_test(test_agent_switches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
