/*
 * Requests in phases, on a virtual clock: heads that overlap transfers, tails that fail
 * or come too late, nodes that go and come back, an edge that is to be spared.
 */
#include "check.h"

#include <string.h>

#include "agent/agent.h"
#include "policy/make_plan.h"

/* Whole there, half and half, whole here; and whole here in a thriftier way. */
static const struct plan_row rows[] = {
    {10, 20, 70, 70, 0.61, 600000},
    {60, 5, 65, 60, 0.60, 25000},
    {440, 0, 0, 2, 0.58, 0},
};

enum { WHOLE, HALF, HERE };

struct scene {
    struct ws_plan plan;
    struct ws_agent *agent;
};

static void setup(struct scene *s, struct ws_agent_options *options)
{
    make_plan(&s->plan, rows, 3);
    if (options->policy == NULL)
        assert_int_equal(ws_policy_find(&options->policy, "wattshed", NULL), 0);
    options->policy_options.guard = 0.95;
    assert_int_equal(ws_agent_create(&s->agent, &s->plan, options, NULL), 0);
}

static void teardown(struct scene *s)
{
    ws_agent_destroy(s->agent);
    free_plan(&s->plan);
}

static void submit(struct scene *s, uint64_t id, double deadline_ms, double now_ms)
{
    const struct ws_agent_request request = {id, deadline_ms, 0, 0};
    assert_int_equal(ws_agent_submit(s->agent, &request, now_ms, NULL), 0);
}

static size_t run(struct scene *s, uint64_t id, double now_ms)
{
    struct ws_agent_action action;
    assert_int_equal(ws_agent_next(s->agent, &action, now_ms), 1);
    assert_int_equal(action.verb, WS_AGENT_RUN);
    assert_int_equal(action.id, id);
    return action.decision.entry;
}

static void nothing_to_do(struct scene *s, double now_ms)
{
    struct ws_agent_action action;
    assert_int_equal(ws_agent_next(s->agent, &action, now_ms), 0);
}

static struct ws_agent_send head_done(struct scene *s, uint64_t id, double now_ms)
{
    struct ws_agent_send send;
    ws_agent_head_done(s->agent, &send, id, now_ms);
    return send;
}

static struct ws_agent_send failed(struct scene *s, uint64_t id, size_t node, int rc,
                                   double sent_ms, double now_ms)
{
    struct ws_agent_send send;
    ws_agent_send_failed(s->agent, &send, id, node, rc, sent_ms, now_ms);
    return send;
}

static void finish(struct scene *s, uint64_t id, size_t entry, size_t node, double now_ms)
{
    ws_agent_finish_from(s->agent, id, node, &s->plan.entries[entry].outcome, now_ms);
}

static void finish_here(struct scene *s, uint64_t id, double from_ms, double to_ms)
{
    struct ws_agent_action action;
    const struct ws_outcome nothing = {0};
    assert_int_equal(ws_agent_next(s->agent, &action, from_ms), 1);
    assert_int_equal(action.verb, WS_AGENT_LOCAL);
    assert_int_equal(action.id, id);
    ws_agent_finish_from(s->agent, id, WS_NO_NODE, &nothing, to_ms);
}

/* While one is under way the edge serves the next, up to as many as fit. */
static void test_phases_overlap(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.flights_max = 3, .queue_max = 8};
    setup(&s, &options);
    for (uint64_t id = 1; id <= 4; id++)
        submit(&s, id, 200, 0);
    run(&s, 1, 0);
    nothing_to_do(&s, 0); /* the edge is taken */
    assert_int_equal(head_done(&s, 1, 60).node, 0);
    run(&s, 2, 60);
    assert_int_equal(head_done(&s, 2, 70).node, 0);
    run(&s, 3, 70);
    assert_int_equal(head_done(&s, 3, 80).node, 0);
    nothing_to_do(&s, 80); /* three are on their way */
    struct ws_agent_state now;
    ws_agent_get_state(&now, s.agent, 80);
    assert_int_equal(now.in_flight, 3);
    assert_int_equal(now.waiting, 1);
    assert_int_equal(now.busy, 0);
    finish(&s, 2, WHOLE, 0, 150);
    run(&s, 4, 150);
    finish(&s, 1, HALF, 0, 160);
    finish(&s, 4, HERE, WS_NO_NODE, 600);
    finish(&s, 3, WHOLE, 0, 601);
    ws_agent_get_state(&now, s.agent, 601);
    assert_int_equal(now.in_flight, 0);
    assert_int_equal(now.served, 4);
    assert_int_equal(now.sent, 3);
    teardown(&s);
}

/* A node is waited for only as long as the tail can still be done here in time; where
 * that is hopeless, as long as an answer is likely. */
static void test_phases_patience(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.flights_max = 2};
    setup(&s, &options);
    submit(&s, 1, 600, 0);
    /* 440 ms here would be the cheapest, but the accuracy asked for is not there. */
    const struct ws_agent_request fine = {2, 700, 0.6, 0};
    assert_int_equal(run(&s, 1, 0), HERE);
    finish(&s, 1, HERE, WS_NO_NODE, 440);
    assert_int_equal(ws_agent_submit(s.agent, &fine, 0, NULL), 0);
    assert_int_equal(run(&s, 2, 0), HALF);
    struct ws_agent_send send = head_done(&s, 2, 60);
    assert_int_equal(send.node, 0);
    assert_int_equal(send.second, WS_NO_NODE);
    /* 640 ms are left, 380 x 1.1 of them belong to the tail here. */
    assert_near(send.timeout_ms, 640 - 380 * 1.1, 1e-9);
    send = failed(&s, 2, 0, WS_E_TIMEOUT, send.timeout_ms, 282);
    assert_int_equal(send.node, WS_NO_NODE);
    finish_here(&s, 2, 282, 662);
    submit(&s, 3, 900, 662);
    assert_int_equal(run(&s, 3, 662), HALF);
    send = head_done(&s, 3, 722);
    /* Late here anyhow: 70 ms are foreseen there, and 380 here would not be sooner. The
     * tail here took as foreseen, so nothing was learnt of it. */
    assert_near(send.timeout_ms, 70 + 380 * 1.1, 1);
    finish(&s, 3, HALF, 0, 800);
    struct ws_agent_state now;
    ws_agent_get_state(&now, s.agent, 800);
    assert_int_equal(now.failed, 1);
    assert_int_equal(now.local, 1);
    teardown(&s);
}

/* A link that comes back is noticed by probes alone. */
static void test_phases_probes_find_the_rate(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.probe_ms = 500};
    struct ws_conditions bad = {0};
    struct ws_agent_node node;
    size_t probed = 0;
    setup(&s, &options);
    ws_conditions_set(&bad, WS_LINK_MBIT_S, 2);
    ws_agent_note_link(s.agent, &bad, 0);
    /* The first is a surprise, and the second follows at once; then every half second. */
    static const double due_ms[] = {0, 505, 1005};
    for (size_t i = 0; i < 3; i++) {
        double t = due_ms[i];
        assert_int_equal(ws_agent_probe(s.agent, &probed, t), 1);
        /* As the plan's transfers say: 5 ms for 25 kB, 20 ms for 600 kB. */
        ws_agent_probed(s.agent, 0, 0, 16384, 5 + (16384 - 25e3) * 15 / 575e3, t);
        ws_agent_get_node(&node, s.agent, 0, t);
        assert_true(node.mbit_s > (i == 0   ? 2
                                   : i == 1 ? 10
                                            : 20)); /* of 2 that were told */
        assert_int_equal(ws_agent_probe(s.agent, &probed, t + 5), i == 0);
        if (i == 0)
            ws_agent_probed(s.agent, 0, 0, 16384, 5 + (16384 - 25e3) * 15 / 575e3, t + 5);
    }
    teardown(&s);
}

/* One request with its tail on the node, whose machine takes `times` as long as planned;
 * or here. */
static size_t serve_at(struct scene *s, uint64_t id, double deadline_ms, double times,
                       double now_ms)
{
    submit(s, id, now_ms + deadline_ms, now_ms);
    size_t entry = run(s, id, now_ms);
    struct ws_outcome seen = s->plan.entries[entry].outcome;
    size_t node = WS_NO_NODE;
    if (seen.value[WS_TRANSFER_MS] > 0)
        node = head_done(s, id, now_ms + seen.value[WS_EDGE_MS]).node;
    seen.value[WS_LATENCY_MS] += (times - 1) * seen.value[WS_CLOUD_MS];
    seen.value[WS_CLOUD_MS] *= times;
    ws_agent_finish_from(s->agent, id, node, &seen, now_ms + seen.value[WS_LATENCY_MS]);
    return entry;
}

/* A node whose machine was slow for a while, so that nothing is sent there any more: it
 * is tried again, ever more seldom while it stays slow, and is back once it was found
 * good twice. Where nothing may be tried, what was learnt fades with its age. */
static void test_phases_machine_comes_back(void **state)
{
    (void)state;
    static const struct {
        double probe_ms, times, at_ms;
        int sends;
    } steps[] = {
        {500, 20, 0, 1},    {500, 20, 2000, 1}, {500, 20, 3500, 0},
        {500, 20, 4000, 1}, /* a trial, in vain; the next is a second away, then two */
        {500, 20, 5500, 0}, {500, 20, 6500, 1}, {500, 1, 8500, 0},
        {500, 1, 9900, 1},  {500, 1, 10100, 1}, {500, 1, 10300, 1},
        {500, 1, 10500, 1}, {0, 20, 0, 1},      {0, 20, 2000, 1},
        {0, 20, 5000, 0},   {0, 20, 30000, 0},  {0, 1, 70000, 1},
        {0, 1, 71000, 1},   {0, 1, 72000, 1},
    };
    struct scene s;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct ws_agent_options options = {.probe_ms = steps[i].probe_ms};
        if (steps[i].at_ms == 0)
            setup(&s, &options);
        size_t entry = serve_at(&s, i, 200, steps[i].times, steps[i].at_ms);
        if ((entry != HERE) != steps[i].sends)
            fail_msg("step %zu: entry %zu", i, entry);
        if (i + 1 == sizeof(steps) / sizeof(steps[0]) || steps[i + 1].at_ms == 0)
            teardown(&s);
    }
}

/* A request that is in time here is not put at risk for a trial: only where it can still
 * be finished here, and it is not waited for longer than that allows. */
static void test_phases_trials_risk_no_deadline(void **state)
{
    (void)state;
    static const struct plan_row cheap[] = {{60, 5, 65, 1, 0.60, 25000},
                                            {440, 0, 0, 2, 0.58, 0}};
    struct scene s;
    struct ws_agent_options options = {.probe_ms = 500,
                                       .policy_options = {.guard = 0.95}};
    assert_int_equal(ws_policy_find(&options.policy, "wattshed", NULL), 0);
    make_plan(&s.plan, cheap, 2);
    assert_int_equal(ws_agent_create(&s.agent, &s.plan, &options, NULL), 0);
    for (uint64_t id = 1; id <= 2; id++)
        assert_int_equal(serve_at(&s, id, 5000, 20, 2000 * (double)id), 0);
    assert_int_equal(serve_at(&s, 3, 500, 20, 7000), 1);
    submit(&s, 4, 9000, 8000);
    assert_int_equal(run(&s, 4, 8000), 0);
    assert_near(head_done(&s, 4, 8060).timeout_ms, 1000 - 60 - 380 * 1.1, 1e-9);
    assert_int_equal(failed(&s, 4, 0, WS_E_TIMEOUT, 522, 8582).node, WS_NO_NODE);
    finish_here(&s, 4, 8582, 8962);
    /* The machine is blamed, not the link to it. */
    struct ws_agent_node node;
    ws_agent_get_node(&node, s.agent, 0, 8962);
    assert_near(node.pace, 1, 1e-9);
    assert_true(node.cloud_scale > 10);
    assert_int_equal(serve_at(&s, 5, 1000, 20, 8970), 1);
    teardown(&s);
}

/* What was begun is finished before anything new; a request is never done twice. */
static void test_phases_local_goes_first(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.flights_max = 4};
    setup(&s, &options);
    for (uint64_t id = 1; id <= 3; id++)
        submit(&s, id, 200, 0);
    run(&s, 1, 0);
    head_done(&s, 1, 60);
    run(&s, 2, 60);
    failed(&s, 1, 0, WS_E_IO, 5, 65);
    nothing_to_do(&s, 65); /* the edge is 2's */
    head_done(&s, 2, 120);
    finish_here(&s, 1, 120, 500);
    run(&s, 3, 500);
    ws_agent_abort(s.agent, 3, 510);
    finish(&s, 2, HALF, 0, 520);
    nothing_to_do(&s, 520);
    teardown(&s);
}

/* Two failures in a row and the node is left alone: what would be sent there is planned
 * for the edge, also by policies that know nothing of it. A probe brings it back. */
static void test_phases_breaker(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.flights_max = 1, .probe_ms = 3000};
    setup(&s, &options);
    double t = 0;
    for (uint64_t id = 1; id <= 2; id++, t += 100) {
        submit(&s, id, t + 200, t);
        assert_int_equal(run(&s, id, t), HALF);
        assert_int_equal(head_done(&s, id, t).node, 0);
        assert_int_equal(failed(&s, id, 0, WS_E_IO, 1, t).node, WS_NO_NODE);
        finish_here(&s, id, t, t + 50);
    }
    submit(&s, 3, t + 200, t);
    assert_int_equal(run(&s, 3, t), HERE);
    finish(&s, 3, HERE, WS_NO_NODE, t + 440);
    struct ws_agent_node node;
    ws_agent_get_node(&node, s.agent, 0, t);
    assert_int_equal(node.breaker, WS_BREAKER_OPEN);
    assert_int_equal(node.opened, 1);
    size_t probed = 9;
    assert_int_equal(ws_agent_probe(s.agent, &probed, t), 0);
    t = 1000;
    assert_int_equal(ws_agent_probe(s.agent, &probed, t), 1);
    assert_int_equal(probed, 0);
    assert_int_equal(ws_agent_probe(s.agent, &probed, t), 0); /* one at a time */
    ws_agent_probed(s.agent, 0, 0, 0, 1, t);
    submit(&s, 4, t + 200, t);
    assert_int_equal(run(&s, 4, t), HALF);
    finish(&s, 4, HALF, 0, t + 130);
    /* Heard of a moment ago; after three seconds of silence it is looked at again. */
    assert_int_equal(ws_agent_probe(s.agent, &probed, t + 200), 0);
    assert_int_equal(ws_agent_probe(s.agent, &probed, t + 3200), 1);
    ws_agent_probed(s.agent, 0, WS_E_IO, 0, 0, t + 3200);
    teardown(&s);
}

/* A link that is cut for seconds: probes go on at their own pace while the wait of the
 * breaker grows, and once one comes back the link is the plan's again, whatever the
 * requests that were given up had made of it. */
static void test_phases_cut_link(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.probe_ms = 500};
    struct ws_agent_node node;
    size_t probed = 0;
    double t = 1000;
    setup(&s, &options);
    for (uint64_t id = 1; id <= 2; id++, t += 700) {
        submit(&s, id, t + 200, t);
        assert_int_not_equal(run(&s, id, t), HERE);
        struct ws_agent_send send = head_done(&s, id, t + 60);
        double end = t + 60 + send.timeout_ms;
        failed(&s, id, 0, WS_E_TIMEOUT, send.timeout_ms, end);
        finish_here(&s, id, end, end + 10);
    }
    ws_agent_get_node(&node, s.agent, 0, t);
    assert_int_equal(node.breaker, WS_BREAKER_OPEN);
    assert_true(node.pace > 5);
    unsigned probes = 0;
    for (double end = t + 20000; t < end; t += 100) {
        if (!ws_agent_probe(s.agent, &probed, t))
            continue;
        ws_agent_probed(s.agent, 0, WS_E_TIMEOUT, 0, 0, t);
        probes++;
    }
    assert_in_range(probes, 35, 41);
    assert_int_equal(ws_agent_probe(s.agent, &probed, t + 500), 1);
    ws_agent_probed(s.agent, 0, 0, 16384, 5 + (16384 - 25e3) * 15 / 575e3, t + 505);
    ws_agent_get_node(&node, s.agent, 0, t + 505);
    assert_int_equal(node.breaker, WS_BREAKER_CLOSED);
    assert_near(node.pace, 1, 0.1);
    submit(&s, 3, t + 706, t + 506);
    assert_int_not_equal(run(&s, 3, t + 506), HERE);
    teardown(&s);
}

/* A new agent takes over what the old one has learnt, on a clock of its own; of machines
 * only with the same plan, and nothing of a node that the old one did not have. */
static void test_phases_inherits(void **state)
{
    (void)state;
    static const struct plan_row slower[] = {{10, 20, 140, 70, 0.61, 600000},
                                             {60, 5, 130, 60, 0.60, 25000},
                                             {440, 0, 0, 2, 0.58, 0}};
    struct ws_agent_options options = {.node_count = 1};
    struct scene old;
    setup(&old, &options);
    for (uint64_t id = 0; id < 6; id++) {
        struct ws_outcome seen = old.plan.entries[HALF].outcome;
        submit(&old, id, 1e6 + 150, 1e6);
        assert_int_equal(run(&old, id, 1e6), id < 2 ? HALF : HERE);
        seen.value[WS_CLOUD_MS] *= 3;
        seen.value[WS_TRANSFER_MS] *= 20;
        if (id < 2)
            ws_agent_finish_from(old.agent, id, 0, &seen, 1e6);
        else
            finish(&old, id, HERE, WS_NO_NODE, 1e6);
    }
    struct ws_agent_node was;
    ws_agent_get_node(&was, old.agent, 0, 1e6);
    assert_true(was.pace > 5 && was.cloud_scale > 2);
    for (int same = 0; same < 2; same++) {
        struct ws_agent_options wider = {.node_count = 2};
        static const size_t node_of[] = {WS_NO_NODE, 0};
        struct ws_agent_node now[2];
        struct scene next;
        assert_int_equal(ws_policy_find(&wider.policy, "wattshed", NULL), 0);
        wider.policy_options.guard = 0.95;
        make_plan(&next.plan, same ? rows : slower, 3);
        assert_int_equal(ws_agent_create(&next.agent, &next.plan, &wider, NULL), 0);
        ws_agent_inherit(next.agent, old.agent, node_of, 7 - 1e6);
        for (size_t n = 0; n < 2; n++)
            ws_agent_get_node(&now[n], next.agent, n, 7);
        assert_near(now[0].pace, 1, 0);
        assert_near(now[0].cloud_scale, 1, 0);
        assert_near(now[1].pace, was.pace, 1e-9);
        assert_near(now[1].delay_ms, was.delay_ms, 1e-9);
        assert_near(now[1].cloud_scale, same ? was.cloud_scale : 1, 1e-9);
        assert_near(now[1].age_ms, was.age_ms, 1e-6);
        teardown(&next);
    }
    teardown(&old);
}

/* The better of two nodes is asked, and the other where that one fails. */
static void test_phases_several_nodes(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.flights_max = 2, .node_count = 2};
    setup(&s, &options);
    /* Alike at first; then node 0 turns out to be three times slower. */
    double t = 0;
    for (uint64_t id = 10; id < 12; id++, t += 300) {
        submit(&s, id, t + 200, t);
        assert_int_equal(run(&s, id, t), HALF);
        assert_int_equal(head_done(&s, id, t + 60).node, 0);
        struct ws_outcome seen = s.plan.entries[HALF].outcome;
        seen.value[WS_CLOUD_MS] *= 3;
        ws_agent_finish_from(s.agent, id, 0, &seen, t + 260);
    }
    submit(&s, 2, t + 200, t);
    assert_int_equal(run(&s, 2, t), HALF);
    assert_int_equal(head_done(&s, 2, t + 60).node, 1);
    submit(&s, 5, t + 500, t + 60);
    run(&s, 5, t + 60);
    /* It breaks: the slower one is still better than 380 ms here. */
    finish(&s, 2, HALF, 1, t + 130);
    assert_int_equal(head_done(&s, 5, t + 130).node, 1);
    struct ws_agent_send again = failed(&s, 5, 1, WS_E_REMOTE, 3, t + 133);
    assert_int_equal(again.node, 0);
    assert_int_equal(failed(&s, 5, 0, WS_E_IO, 3, t + 136).node, WS_NO_NODE);
    finish_here(&s, 5, t + 136, t + 500);
    teardown(&s);
}

static void test_phases_hedging(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.flights_max = 1, .node_count = 2, .hedge = 1};
    setup(&s, &options);
    submit(&s, 1, 200, 0);
    assert_int_equal(run(&s, 1, 0), HALF);
    struct ws_agent_send send = head_done(&s, 1, 60);
    assert_int_equal(send.node, 0);
    assert_int_equal(send.second, 1);
    assert_true(send.hedge_ms > 70 && send.hedge_ms < send.timeout_ms);
    ws_agent_hedged(s.agent, 1, 1, 150);
    struct ws_agent_send after = failed(&s, 1, 0, WS_E_TIMEOUT, 140, 200);
    assert_int_equal(after.node, WS_NO_NODE);
    assert_int_equal(after.is_under_way, 1);
    nothing_to_do(&s, 200);
    finish(&s, 1, HALF, 1, 210);
    struct ws_agent_node node;
    for (size_t n = 0; n < 2; n++) {
        ws_agent_get_node(&node, s.agent, n, 210);
        assert_int_equal(node.in_flight, 0);
    }
    teardown(&s);
}

/* No node from the start: a good edge-only server. */
static void test_phases_alone(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.is_alone = 1};
    setup(&s, &options);
    submit(&s, 1, 100, 0);
    assert_int_equal(run(&s, 1, 0), HERE);
    finish(&s, 1, HERE, WS_NO_NODE, 440);
    const struct ws_agent_request fine = {2, 700, 0.6, 0};
    assert_int_equal(ws_agent_submit(s.agent, &fine, 440, NULL), 0);
    assert_int_equal(run(&s, 2, 440), HALF); /* its accuracy asks for a node */
    assert_int_equal(head_done(&s, 2, 450).node, WS_NO_NODE);
    finish_here(&s, 2, 450, 880);
    teardown(&s);
}

static void test_phases_refuses_with_reason(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.refuse_late = 1, .is_alone = 1};
    setup(&s, &options);
    submit(&s, 1, 100, 0);
    struct ws_agent_action action;
    assert_int_equal(ws_agent_next(s.agent, &action, 30), 1);
    assert_int_equal(action.verb, WS_AGENT_REFUSE);
    assert_int_equal(action.reason, WS_E_TIMEOUT);
    assert_near(action.foreseen_ms, 440, 1e-9);
    assert_near(action.left_ms, 70, 1e-9);
    teardown(&s);
}

/* Policies a request may ask for. */
static void test_phases_policy_of_a_request(void **state)
{
    (void)state;
    struct scene s;
    const struct ws_policy_ops *fastest = NULL;
    assert_int_equal(ws_policy_find(&fastest, "fastest", NULL), 0);
    struct ws_agent_options options = {.more = &fastest, .more_count = 1};
    setup(&s, &options);
    submit(&s, 1, 1000, 0);
    assert_int_equal(run(&s, 1, 0), HERE);
    finish(&s, 1, HERE, WS_NO_NODE, 440);
    struct ws_agent_request other = {2, 2000, 0, 1};
    assert_int_equal(ws_agent_submit(s.agent, &other, 440, NULL), 0);
    assert_int_equal(run(&s, 2, 440), WHOLE);
    finish(&s, 2, WHOLE, 0, 540);
    struct ws_error err = {0};
    other.policy = 2;
    assert_int_equal(ws_agent_submit(s.agent, &other, 540, &err), WS_E_NOT_FOUND);
    teardown(&s);
}

/* Two ways to do the same on the edge, of nearly the same energy: the hardware stays as
 * it is unless that costs more than the hysteresis says, or the deadline. */
static void test_phases_hysteresis(void **state)
{
    (void)state;
    static const struct plan_row near[] = {{100, 0, 0, 10, 0, 0}, {80, 0, 0, 10.5, 0, 0}};
    static const struct {
        double hysteresis, deadline_ms;
        size_t expected[2]; /* with ample time, after one in a hurry */
    } cases[] = {
        {0, 1000, {1, 0}}, {0.1, 1000, {1, 1}}, {0.02, 1000, {1, 0}}, {0.1, 90, {1, 1}}};
    const double switch_ms[1] = {5};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scene s;
        struct ws_agent_options options = {
            .policy_options = {.guard = 0.95,
                               .switch_ms = switch_ms,
                               .hysteresis = cases[i].hysteresis}};
        assert_int_equal(ws_policy_find(&options.policy, "wattshed", NULL), 0);
        make_plan(&s.plan, near, 2);
        assert_int_equal(ws_agent_create(&s.agent, &s.plan, &options, NULL), 0);
        submit(&s, 1, 90, 0);
        assert_int_equal(run(&s, 1, 0), cases[i].expected[0]);
        finish(&s, 1, cases[i].expected[0], WS_NO_NODE, 80);
        submit(&s, 2, 80 + cases[i].deadline_ms, 80);
        assert_int_equal(run(&s, 2, 80), cases[i].expected[1]);
        teardown(&s);
    }
}

/* Heat, an empty battery and little memory each keep the edge from hungry settings. */
static void test_phases_spares_the_edge(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {
        .care = {.warm_c = 60, .hot_c = 80, .battery_low = 0.3, .battery_min = 0.1}};
    make_plan(&s.plan, rows, 3);
    /* Of what it sends little: 5 W; half: 2 W; all of it here, cheap overall: 10 W. */
    static const double watts[] = {5, 2, 10}, bytes[] = {1e6, 5e6, 9e6};
    for (size_t i = 0; i < 3; i++) {
        struct ws_outcome *o = &s.plan.entries[i].outcome;
        ws_outcome_set(o, WS_EDGE_ENERGY_J, watts[i] * o->value[WS_EDGE_MS] / 1000);
        ws_outcome_set(o, WS_EDGE_MEM_BYTES, bytes[i]);
    }
    assert_int_equal(ws_policy_find(&options.policy, "wattshed", NULL), 0);
    options.policy_options.guard = 0.95;
    assert_int_equal(ws_agent_create(&s.agent, &s.plan, &options, NULL), 0);
    static const struct {
        double celsius, battery, bytes;
        size_t entry;
    } cases[] = {
        {40, 1, 0, HERE},   {60, 1, 0, HERE},    {70, 1, 0, HALF},   {200, 1, 0, HALF},
        {40, 0.1, 0, HALF}, {40, 0.31, 0, HERE}, {40, 1, 8e6, HALF}, {40, 1, 2e6, WHOLE},
        {40, 1, 1, HERE} /* nothing fits: it is served all the same */};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ws_conditions edge = {0};
        ws_conditions_set(&edge, WS_TEMPERATURE_C, cases[i].celsius);
        ws_conditions_set(&edge, WS_BATTERY, cases[i].battery);
        ws_agent_note_edge(s.agent, &edge, cases[i].bytes);
        submit(&s, i, 1000, 0);
        assert_int_equal(run(&s, i, 0), cases[i].entry);
        ws_agent_abort(s.agent, i, 0);
    }
    const struct ws_conditions nothing = {0};
    ws_agent_note_edge(s.agent, &nothing, 0);
    submit(&s, 99, 1000, 0);
    assert_int_equal(run(&s, 99, 0), HERE);
    teardown(&s);
}

/* A policy that settles by attention, and remembers what it was told of. */
static const struct ws_policy_ops seer;
static struct ws_decision told;
static double learnt_energy_j;

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

static int seer_decide(struct ws_policy *policy, struct ws_decision *out,
                       const struct ws_policy_request *request,
                       const struct ws_situation *now, struct ws_error *err)
{
    (void)now;
    (void)err;
    assert_true(request->attention <= 0); /* nothing has run */
    *out = (struct ws_decision){policy->plan->entries[HERE].setting, HERE, 440};
    return 0;
}

static void seer_revise(struct ws_policy *policy, struct ws_decision *decision,
                        const struct ws_policy_request *request,
                        const struct ws_situation *then)
{
    (void)then;
    if (request->attention > 0.8)
        *decision = (struct ws_decision){policy->plan->entries[HALF].setting, HALF, 130};
}

static void seer_learn(struct ws_policy *policy, const struct ws_decision *decision,
                       const struct ws_situation *then, const struct ws_outcome *outcome)
{
    (void)policy;
    (void)then;
    told = *decision;
    (void)ws_outcome_get(&learnt_energy_j, outcome, WS_ENERGY_J);
}

static void seer_destroy(struct ws_policy *policy)
{
    (void)policy;
}

static const struct ws_policy_ops seer = {.name = "seer",
                                          .create = seer_create,
                                          .decide = seer_decide,
                                          .revise = seer_revise,
                                          .learn = seer_learn,
                                          .destroy = seer_destroy};

/* What the extractor saw reaches the policy before anything is sent, and from then on
 * what it settled for is what was decided. */
static void test_phases_attention(void **state)
{
    (void)state;
    struct scene s;
    struct ws_agent_options options = {.policy = &seer};
    struct ws_decision decision = {.entry = WS_NO_ENTRY};
    struct ws_agent_state now;
    setup(&s, &options);
    submit(&s, 1, 900, 0);
    assert_int_equal(run(&s, 1, 0), HERE);
    assert_int_equal(ws_agent_looked(s.agent, &decision, 1, 0.6, 10), 0);
    assert_int_equal(decision.entry, WS_NO_ENTRY);
    finish(&s, 1, HERE, WS_NO_NODE, 440);
    assert_int_equal(told.entry, HERE);
    submit(&s, 2, 1400, 440);
    assert_int_equal(run(&s, 2, 440), HERE);
    assert_int_equal(ws_agent_looked(s.agent, &decision, 2, 0.9, 450), 1);
    assert_int_equal(decision.entry, HALF);
    ws_agent_get_state(&now, s.agent, 450);
    assert_memory_equal(now.situation.current, &s.plan.entries[HALF].setting,
                        sizeof(struct ws_setting));
    assert_int_equal(head_done(&s, 2, 500).node, 0);
    finish(&s, 2, HALF, 0, 570);
    assert_int_equal(told.entry, HALF);
    assert_near(learnt_energy_j, s.plan.entries[HALF].outcome.value[WS_ENERGY_J], 0);
    teardown(&s);
    /* One that does not look keeps to what it said. */
    struct ws_agent_options blind = {.flights_max = 1};
    setup(&s, &blind);
    submit(&s, 1, 200, 0);
    (void)run(&s, 1, 0);
    assert_int_equal(ws_agent_looked(s.agent, &decision, 1, 0.9, 10), 0);
    teardown(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phases_overlap),
        cmocka_unit_test(test_phases_patience),
        cmocka_unit_test(test_phases_probes_find_the_rate),
        cmocka_unit_test(test_phases_machine_comes_back),
        cmocka_unit_test(test_phases_trials_risk_no_deadline),
        cmocka_unit_test(test_phases_local_goes_first),
        cmocka_unit_test(test_phases_breaker),
        cmocka_unit_test(test_phases_cut_link),
        cmocka_unit_test(test_phases_inherits),
        cmocka_unit_test(test_phases_several_nodes),
        cmocka_unit_test(test_phases_hedging),
        cmocka_unit_test(test_phases_alone),
        cmocka_unit_test(test_phases_attention),
        cmocka_unit_test(test_phases_refuses_with_reason),
        cmocka_unit_test(test_phases_policy_of_a_request),
        cmocka_unit_test(test_phases_hysteresis),
        cmocka_unit_test(test_phases_spares_the_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
