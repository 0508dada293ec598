#include "agent/agent.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/local.h"
#include "agent/peer.h"

enum {
    BEHIND_MAX = 16, /* of those that wait, a policy hears about this many */
};

static const double late_max = 1000; /* times the planned is slow enough */
static const double gone_pace = 1e9; /* of a link that is not there */
static const double send_ms_default = 10000;
static const double send_ms_least = 2;  /* less than this is not worth a try */
static const double local_margin = 1.1; /* on what finishing here should take */
static const double hedge_deviations = 2;
static const double part_least = 0.01; /* of the latency; a smaller part tells nothing */

/* A few per cent off at first, and a clear change may be any. As long not heard of as a
 * link that is looked at again, a machine is as the plan has it. */
static const struct ws_drift_options machine_drift = {{0.02, 0}, {2, 0}, 0.05, 30000};

enum phase {
    PHASE_NONE, /* a free place */
    PHASE_HEAD,
    PHASE_SENT,  /* with one node or two */
    PHASE_ASKED, /* to be finished here once the edge is free */
    PHASE_LOCAL,
};

struct flight {
    enum phase phase;
    struct ws_agent_request request;
    struct ws_decision decision;
    struct ws_situation situation;  /* in which it was decided */
    struct ws_setting current_then; /* what situation.current points at */
    size_t node;               /* that the decision counted on, then the last asked */
    size_t trial;              /* the node whose machine this is to try, or WS_NO_NODE */
    uint32_t tried, under_way; /* bit n: node n */
    double local_ms;           /* foreseen of finishing here, without what was learnt */
    double local_since_ms;
};

struct ws_agent {
    const struct ws_plan *plan;
    struct ws_policy *policies[WS_POLICIES_MAX];
    size_t policy_count;
    struct ws_agent_options options;
    struct ws_queue queue;
    double behind_ms[BEHIND_MAX];

    struct ws_drift edge;
    struct ws_local local;
    struct ws_peer peers[WS_AGENT_NODES_MAX];
    size_t peer_count;
    struct ws_peer_load load;
    double edge_w_max, edge_bytes_max; /* see struct ws_situation */

    struct ws_setting current;
    int has_current;
    struct flight *flights; /* [options.flights_max] */
    size_t flight_count;
    struct flight *holder; /* of the edge; NULL: it is free */
    uint64_t served, refused, switches, sent, failed, finished_here;
};

/* ---- life ---- */

static void fill_options(struct ws_agent *agent, const struct ws_agent_options *options)
{
    agent->options = *options;
    struct ws_agent_options *o = &agent->options;
    if (o->queue_max == 0)
        o->queue_max = WS_AGENT_QUEUE_MAX;
    if (o->flights_max == 0)
        o->flights_max = 1;
    if (!(o->send_ms_max > 0))
        o->send_ms_max = send_ms_default;
    agent->edge_bytes_max = o->care.memory_bytes_max;
    agent->peer_count = o->is_alone ? 0 : o->node_count > 0 ? o->node_count : 1;
}

static int create_policies(struct ws_agent *agent, struct ws_error *err)
{
    const struct ws_agent_options *o = &agent->options;
    for (size_t i = 0; i <= o->more_count; i++) {
        const struct ws_policy_ops *ops = i == 0 ? o->policy : o->more[i - 1];
        int rc = ops->create(&agent->policies[i], agent->plan, &o->policy_options, err);
        if (rc != 0)
            return rc;
        agent->policy_count++;
    }
    return 0;
}

int ws_agent_create(struct ws_agent **out, const struct ws_plan *plan,
                    const struct ws_agent_options *options, struct ws_error *err)
{
    if (options->node_count > WS_AGENT_NODES_MAX ||
        options->flights_max > WS_FLIGHTS_MAX || options->more_count >= WS_POLICIES_MAX)
        return ws_error_set(err, WS_E_LIMIT,
                            "an agent of %zu nodes, %zu requests at once and %zu "
                            "policies: at most %d, %d and %d",
                            options->node_count, options->flights_max,
                            options->more_count + 1, WS_AGENT_NODES_MAX, WS_FLIGHTS_MAX,
                            WS_POLICIES_MAX);
    struct ws_agent *agent = calloc(1, sizeof(*agent));
    if (agent == NULL)
        return ws_error_nomem(err);
    agent->plan = plan;
    fill_options(agent, options);
    ws_drift_init(&agent->edge, &machine_drift);
    ws_peer_load_of(&agent->load, plan);
    for (size_t n = 0; n < agent->peer_count; n++) {
        struct ws_peer *peer = &agent->peers[n];
        ws_breaker_init(&peer->breaker, &options->breaker);
        ws_link_init(&peer->link, &plan->conditions, options->link_forget_ms);
        ws_drift_init(&peer->cloud, &machine_drift);
        peer->heard_ms = peer->tried_ms = -INFINITY;
        peer->trial_wait_ms = options->probe_ms;
    }
    int rc = ws_queue_init(&agent->queue, options->order, agent->options.queue_max, err);
    if (rc == 0)
        rc = ws_local_init(&agent->local, plan, &machine_drift, err);
    agent->flights = calloc(agent->options.flights_max, sizeof(*agent->flights));
    if (rc == 0 && agent->flights == NULL)
        rc = ws_error_nomem(err);
    if (rc == 0)
        rc = create_policies(agent, err);
    if (rc != 0)
        ws_agent_destroy(agent);
    else
        *out = agent;
    return rc;
}

void ws_agent_destroy(struct ws_agent *agent)
{
    if (agent == NULL)
        return;
    for (size_t i = 0; i < agent->policy_count; i++)
        ws_policy_destroy(agent->policies[i]);
    ws_queue_fini(&agent->queue);
    ws_local_fini(&agent->local);
    free(agent->flights);
    free(agent);
}

static int same_plan(const struct ws_plan *a, const struct ws_plan *b)
{
    int same = a->entry_count == b->entry_count;
    for (size_t i = 0; same && i < a->entry_count; i++) {
        for (int m = 0; same && m < WS_MEASURE_COUNT; m++) {
            double x = 0, y = 0;
            same = ws_outcome_get(&x, &a->entries[i].outcome, (enum ws_measure)m) ==
                       ws_outcome_get(&y, &b->entries[i].outcome, (enum ws_measure)m) &&
                   !(x < y) && !(x > y);
        }
    }
    return same;
}

void ws_agent_inherit(struct ws_agent *agent, const struct ws_agent *from,
                      const size_t *node_of, double shift_ms)
{
    int same = same_plan(agent->plan, from->plan);
    if (same) {
        ws_drift_inherit(&agent->edge, &from->edge, shift_ms);
        ws_drift_inherit(&agent->local.drift, &from->local.drift, shift_ms);
    }
    for (size_t n = 0; n < agent->peer_count; n++) {
        if (node_of[n] == WS_NO_NODE)
            continue;
        struct ws_peer *to = &agent->peers[n];
        const struct ws_peer *peer = &from->peers[node_of[n]];
        ws_breaker_inherit(&to->breaker, &peer->breaker, shift_ms);
        ws_link_inherit(&to->link, &peer->link, shift_ms);
        to->heard_ms = peer->heard_ms + shift_ms;
        if (!same)
            continue;
        ws_drift_inherit(&to->cloud, &peer->cloud, shift_ms);
        to->tried_ms = peer->tried_ms + shift_ms;
        to->trial_wait_ms = peer->trial_wait_ms;
    }
}

int ws_agent_submit(struct ws_agent *agent, const struct ws_agent_request *request,
                    double now_ms, struct ws_error *err)
{
    (void)now_ms;
    if (request->policy >= agent->policy_count)
        return ws_error_set(err, WS_E_NOT_FOUND, "policy %zu of %zu", request->policy,
                            agent->policy_count);
    return ws_queue_add(&agent->queue, request, err);
}

/* ---- nodes ---- */

/* The one that would be quickest; WS_NO_NODE where none may be asked. */
static size_t best_node(const struct ws_agent *agent, uint32_t without, double now_ms)
{
    size_t best = WS_NO_NODE;
    double best_score = INFINITY;
    for (size_t n = 0; n < agent->peer_count; n++) {
        const struct ws_peer *peer = &agent->peers[n];
        if ((without >> n & 1u) != 0 || !ws_breaker_allows(&peer->breaker, now_ms))
            continue;
        if (agent->peer_count == 1)
            return n;
        double score = ws_peer_score(peer, &agent->load, now_ms);
        if (best == WS_NO_NODE || score < best_score) {
            best = n;
            best_score = score;
        }
    }
    return best;
}

static void set_node(struct ws_situation *out, const struct ws_agent *agent, size_t node,
                     double now_ms)
{
    if (node == WS_NO_NODE) {
        out->pace = gone_pace;
        return;
    }
    struct ws_link_estimate link;
    double cloud[2];
    ws_link_get(&link, &agent->peers[node].link, now_ms);
    ws_drift_get(cloud, &agent->peers[node].cloud, now_ms);
    out->delay_ms = link.delay_ms;
    out->pace = link.pace;
    out->cloud_scale = cloud[0];
}

static struct ws_situation situation_at(const struct ws_agent *agent, size_t node,
                                        double now_ms)
{
    struct ws_situation now = ws_situation_nominal(&agent->plan->conditions);
    double edge[2];
    ws_drift_get(edge, &agent->edge, now_ms);
    now.edge_scale = edge[0];
    set_node(&now, agent, node, now_ms);
    now.current = agent->has_current ? &agent->current : NULL;
    now.edge_w_max = agent->edge_w_max;
    now.edge_bytes_max = agent->edge_bytes_max;
    return now;
}

/* ---- deciding ---- */

/* Of the tail here, with what was learnt. */
static double local_ms(const struct ws_agent *agent, const struct flight *flight,
                       double now_ms)
{
    double edge[2];
    ws_drift_get(edge, &agent->edge, now_ms);
    return flight->local_ms * edge[0] * ws_local_scale(&agent->local, now_ms) *
           local_margin;
}

static struct ws_policy_request ask(struct ws_agent *agent,
                                    const struct ws_agent_request *request, double now_ms)
{
    size_t behind = agent->queue.count < BEHIND_MAX ? agent->queue.count : BEHIND_MAX;
    for (size_t k = 0; k < behind; k++)
        agent->behind_ms[k] = ws_queue_at(&agent->queue, k)->deadline_ms - now_ms;
    return (struct ws_policy_request){request->deadline_ms - now_ms,
                                      request->min_accuracy, agent->behind_ms, behind};
}

static struct flight *free_flight(struct ws_agent *agent)
{
    for (size_t i = 0; i < agent->options.flights_max; i++) {
        if (agent->flights[i].phase == PHASE_NONE)
            return &agent->flights[i];
    }
    return NULL;
}

/* It must be there. */
static struct flight *find_flight(const struct ws_agent *agent, uint64_t id)
{
    size_t i = 0;
    while (agent->flights[i].phase == PHASE_NONE || agent->flights[i].request.id != id) {
        i++;
        assert(i < agent->options.flights_max);
    }
    return &agent->flights[i];
}

/* From now on the hardware is what was decided. */
static double take(struct ws_agent *agent, struct flight *flight)
{
    double cost = ws_switch_ms(
        agent->options.policy_options.switch_ms, agent->plan->space.knob_count,
        agent->has_current ? &agent->current : NULL, &flight->decision.setting);
    agent->switches += cost > 0;
    flight->current_then = agent->current;
    flight->situation.current = agent->has_current ? &flight->current_then : NULL;
    agent->current = flight->decision.setting;
    agent->has_current = 1;
    return cost;
}

static void start(struct ws_agent *agent, struct ws_agent_action *out,
                  struct flight *flight)
{
    flight->phase = PHASE_HEAD;
    agent->flight_count++;
    agent->holder = flight;
    *out = (struct ws_agent_action){.verb = WS_AGENT_RUN, .id = flight->request.id};
    out->switch_ms = take(agent, flight);
    out->decision = flight->decision;
}

/* Of those whose tail has to be done here, the one with the earliest deadline. */
static struct flight *next_local(const struct ws_agent *agent)
{
    struct flight *next = NULL;
    for (size_t i = 0; i < agent->options.flights_max; i++) {
        struct flight *flight = &agent->flights[i];
        if (flight->phase == PHASE_ASKED &&
            (next == NULL || flight->request.deadline_ms < next->request.deadline_ms))
            next = flight;
    }
    return next;
}

static int decide(const struct ws_agent *agent, struct flight *flight,
                  const struct ws_policy_request *asked)
{
    return ws_policy_decide(agent->policies[flight->request.policy], &flight->decision,
                            asked, &flight->situation, NULL);
}

static int sends(const struct ws_agent *agent, const struct ws_decision *decision)
{
    double transfer = 1; /* a baseline that the plan lacks: for all we know */
    if (decision->entry != WS_NO_ENTRY)
        (void)ws_outcome_get(&transfer, &agent->plan->entries[decision->entry].outcome,
                             WS_TRANSFER_MS);
    return transfer > 0;
}

/* Probes tell of the link to a node and not of its machine. So where that was found slow
 * and not heard of for a while, a request that would stay here is decided as if it was as
 * planned: one that can still be finished here in time if it is not, or that would be
 * late here, too. */
static void try_machine(struct ws_agent *agent, struct flight *flight,
                        const struct ws_policy_request *asked, double now_ms)
{
    struct flight trial = *flight;
    if (flight->node == WS_NO_NODE || !(agent->options.probe_ms > 0) ||
        !(flight->situation.cloud_scale > 1) ||
        !ws_peer_may_be_tried(&agent->peers[flight->node], now_ms) ||
        sends(agent, &flight->decision))
        return;
    trial.trial = flight->node;
    trial.situation.cloud_scale = 1;
    if (decide(agent, &trial, asked) != 0 || !sends(agent, &trial.decision))
        return;
    trial.local_ms =
        ws_local_foresee(&agent->local, &trial.decision.setting, trial.decision.entry);
    double at_worst = trial.decision.latency_ms + local_ms(agent, &trial, now_ms);
    if (at_worst > asked->deadline_ms &&
        flight->decision.latency_ms <= asked->deadline_ms)
        return;
    trial.situation = flight->situation;
    *flight = trial;
    agent->peers[flight->node].tried_ms = now_ms;
}

int ws_agent_next(struct ws_agent *agent, struct ws_agent_action *out, double now_ms)
{
    if (agent->holder != NULL)
        return 0;
    /* What was begun is finished first. */
    struct flight *flight = next_local(agent);
    if (flight != NULL) {
        flight->phase = PHASE_LOCAL;
        flight->local_since_ms = now_ms;
        agent->holder = flight;
        *out = (struct ws_agent_action){.verb = WS_AGENT_LOCAL, .id = flight->request.id};
        return 1;
    }
    flight = free_flight(agent);
    if (flight == NULL || agent->queue.count == 0)
        return 0;
    struct flight next = {.request = ws_queue_pop(&agent->queue),
                          .node = best_node(agent, 0, now_ms),
                          .trial = WS_NO_NODE};
    struct ws_policy_request asked = ask(agent, &next.request, now_ms);
    next.situation = situation_at(agent, next.node, now_ms);
    int rc = decide(agent, &next, &asked);
    if (rc == 0)
        try_machine(agent, &next, &asked, now_ms);
    if (rc == 0 && agent->options.refuse_late &&
        next.decision.latency_ms > asked.deadline_ms)
        rc = WS_E_TIMEOUT;
    if (rc != 0) {
        agent->refused++;
        *out = (struct ws_agent_action){.verb = WS_AGENT_REFUSE,
                                        .id = next.request.id,
                                        .reason = rc,
                                        .foreseen_ms = next.decision.latency_ms,
                                        .left_ms = asked.deadline_ms};
        return 1;
    }
    *flight = next;
    start(agent, out, flight);
    return 1;
}

int ws_agent_looked(struct ws_agent *agent, struct ws_decision *out, uint64_t id,
                    double attention, double now_ms)
{
    struct flight *flight = find_flight(agent, id);
    struct ws_decision decision = flight->decision;
    assert(flight->phase == PHASE_HEAD && agent->holder == flight);
    struct ws_policy_request asked = ask(agent, &flight->request, now_ms);
    asked.attention = attention;
    ws_policy_revise(agent->policies[flight->request.policy], &decision, &asked,
                     &flight->situation);
    if (memcmp(&decision.setting, &flight->decision.setting, sizeof(decision.setting)) ==
        0)
        return 0;
    flight->decision = *out = decision;
    agent->current = decision.setting;
    return 1;
}

/* ---- tails ---- */

/* Transfer and tail on a node. */
static double remote_ms(const struct ws_agent *agent, const struct flight *flight,
                        size_t node, double now_ms)
{
    if (flight->decision.entry == WS_NO_ENTRY)
        return ws_peer_score(&agent->peers[node], &agent->load, now_ms);
    struct ws_situation now = ws_situation_nominal(&agent->plan->conditions);
    set_node(&now, agent, node, now_ms);
    if (flight->trial == node)
        now.cloud_scale = 1;
    struct ws_outcome parts = agent->plan->entries[flight->decision.entry].outcome;
    double transfer = 0, cloud = 0;
    (void)ws_outcome_get(&transfer, &parts, WS_TRANSFER_MS);
    (void)ws_outcome_get(&cloud, &parts, WS_CLOUD_MS);
    ws_outcome_set(&parts, WS_EDGE_MS, 0);
    ws_outcome_set(&parts, WS_LATENCY_MS, transfer + cloud);
    return ws_situation_foresee(&now, &parts, &agent->plan->conditions);
}

static void under_way(struct ws_agent *agent, struct flight *flight, size_t node,
                      double now_ms)
{
    ws_breaker_begin(&agent->peers[node].breaker, now_ms);
    agent->peers[node].in_flight++;
    agent->sent++;
    flight->tried |= 1u << node;
    flight->under_way |= 1u << node;
    flight->node = node;
}

/* How long to wait for a node. While it can be finished here in time after that, until
 * then; where it would be late anyway, until what was waited too long is as much as the
 * tail here would cost: whatever the node does, that is at most twice the best. */
static double patience_ms(const struct ws_agent *agent, const struct flight *flight,
                          double remote, double now_ms)
{
    double left = flight->request.deadline_ms - now_ms;
    double here = local_ms(agent, flight, now_ms);
    double wait = left - here >= remote ? left - here : fmax(left, remote + here);
    return fmin(fmax(wait, send_ms_least), agent->options.send_ms_max);
}

static void send_next(struct ws_agent *agent, struct ws_agent_send *out,
                      struct flight *flight, double now_ms)
{
    size_t node = best_node(agent, flight->tried, now_ms);
    *out = (struct ws_agent_send){.node = WS_NO_NODE, .second = WS_NO_NODE};
    if (node != WS_NO_NODE && flight->tried != 0) {
        /* Another one only if it is in time, or this machine is not either. */
        double left = flight->request.deadline_ms - now_ms;
        if (remote_ms(agent, flight, node, now_ms) > left &&
            local_ms(agent, flight, now_ms) <= left)
            node = WS_NO_NODE;
    }
    if (node == WS_NO_NODE) {
        flight->phase = PHASE_ASKED;
        return;
    }
    double remote = remote_ms(agent, flight, node, now_ms);
    flight->phase = PHASE_SENT;
    under_way(agent, flight, node, now_ms);
    out->node = node;
    out->timeout_ms = patience_ms(agent, flight, remote, now_ms);
    if (!agent->options.hedge)
        return;
    struct ws_link_estimate link;
    ws_link_get(&link, &agent->peers[node].link, now_ms);
    out->second = best_node(agent, flight->tried, now_ms);
    out->hedge_ms = fmin(remote * (1 + hedge_deviations * link.spread), out->timeout_ms);
}

void ws_agent_head_done(struct ws_agent *agent, struct ws_agent_send *out, uint64_t id,
                        double now_ms)
{
    struct flight *flight = find_flight(agent, id);
    assert(flight->phase == PHASE_HEAD && agent->holder == flight);
    agent->holder = NULL;
    flight->local_ms = ws_local_foresee(&agent->local, &flight->decision.setting,
                                        flight->decision.entry);
    send_next(agent, out, flight, now_ms);
}

void ws_agent_hedged(struct ws_agent *agent, uint64_t id, size_t node, double now_ms)
{
    struct flight *flight = find_flight(agent, id);
    assert(flight->phase == PHASE_SENT && node < agent->peer_count);
    under_way(agent, flight, node, now_ms);
}

static const struct ws_outcome *planned(const struct ws_agent *agent,
                                        const struct flight *flight)
{
    return flight->decision.entry == WS_NO_ENTRY
               ? NULL
               : &agent->plan->entries[flight->decision.entry].outcome;
}

static void back(struct ws_agent *agent, struct flight *flight, size_t node)
{
    agent->peers[node].in_flight--;
    flight->under_way &= ~(1u << node);
}

void ws_agent_send_failed(struct ws_agent *agent, struct ws_agent_send *out, uint64_t id,
                          size_t node, int rc, double sent_ms, double now_ms)
{
    struct flight *flight = find_flight(agent, id);
    struct ws_peer *peer = &agent->peers[node];
    const struct ws_outcome *plan = planned(agent, flight);
    assert(flight->phase == PHASE_SENT && (flight->under_way >> node & 1u) != 0);
    back(agent, flight, node);
    agent->failed++;
    peer->heard_ms = now_ms;
    ws_breaker_fail(&peer->breaker, now_ms);
    if (flight->trial == node)
        ws_peer_tried(peer, INFINITY, agent->options.probe_ms, now_ms);
    else if (rc == WS_E_TIMEOUT && plan != NULL) {
        double cloud = 0;
        (void)ws_outcome_get(&cloud, plan, WS_CLOUD_MS);
        ws_link_observe_least(&peer->link, plan, sent_ms - cloud, now_ms);
    }
    if (flight->under_way != 0) {
        *out = (struct ws_agent_send){
            .node = WS_NO_NODE, .second = WS_NO_NODE, .is_under_way = 1};
        return;
    }
    send_next(agent, out, flight, now_ms);
}

/* ---- learning ---- */

static void observe(struct ws_drift *drift, const struct ws_outcome *plan,
                    const struct ws_outcome *seen, enum ws_measure part, double now_ms)
{
    const double whole[2] = {1, 0};
    double foreseen, took, latency = 0;
    (void)ws_outcome_get(&latency, plan, WS_LATENCY_MS);
    if (ws_outcome_get(&foreseen, plan, part) != 0 ||
        ws_outcome_get(&took, seen, part) != 0 || !(foreseen > 0) || !(took > 0) ||
        foreseen < part_least * latency)
        return;
    ws_drift_observe(drift, whole, fmin(took / foreseen, late_max), now_ms);
}

/* A time that is unlike those before is not believed alone: a probe follows at once. */
static void ask_again(const struct ws_agent *agent, struct ws_peer *peer, double now_ms)
{
    if (peer->link.drift.surprise == 0 || peer->is_asked_again)
        return;
    peer->is_asked_again = 1;
    peer->heard_ms = now_ms - agent->options.probe_ms;
}

static void learn_parts(struct ws_agent *agent, const struct flight *flight, size_t node,
                        const struct ws_outcome *seen, double now_ms)
{
    const struct ws_outcome *plan = planned(agent, flight);
    double transfer;
    if (plan == NULL)
        return;
    observe(&agent->edge, plan, seen, WS_EDGE_MS, now_ms);
    if (node == WS_NO_NODE)
        return;
    struct ws_peer *peer = &agent->peers[node];
    double foreseen, cloud;
    if (flight->trial == node && ws_outcome_get(&foreseen, plan, WS_CLOUD_MS) == 0 &&
        ws_outcome_get(&cloud, seen, WS_CLOUD_MS) == 0 && foreseen > 0)
        ws_peer_tried(peer, cloud / foreseen, agent->options.probe_ms, now_ms);
    observe(&peer->cloud, plan, seen, WS_CLOUD_MS, now_ms);
    if (ws_outcome_get(&transfer, seen, WS_TRANSFER_MS) == 0 && transfer > 0) {
        ws_link_observe(&peer->link, plan, transfer, now_ms);
        peer->heard_ms = now_ms;
        ask_again(agent, peer, now_ms);
    }
}

static void release(struct ws_agent *agent, struct flight *flight)
{
    for (size_t n = 0; n < agent->peer_count; n++) {
        if ((flight->under_way >> n & 1u) != 0)
            back(agent, flight, n);
    }
    if (agent->holder == flight)
        agent->holder = NULL;
    flight->phase = PHASE_NONE;
    agent->flight_count--;
}

void ws_agent_finish_from(struct ws_agent *agent, uint64_t id, size_t node,
                          const struct ws_outcome *outcome, double now_ms)
{
    struct flight *flight = find_flight(agent, id);
    if (flight->phase == PHASE_LOCAL) {
        /* Says nothing of the setting that was decided: it was not carried out. */
        agent->finished_here++;
        ws_local_observe(&agent->local, flight->local_ms, now_ms - flight->local_since_ms,
                         now_ms);
    } else {
        if (flight->phase == PHASE_SENT && node != WS_NO_NODE) {
            ws_breaker_succeed(&agent->peers[node].breaker);
            agent->peers[node].heard_ms = now_ms;
        }
        ws_policy_learn(agent->policies[flight->request.policy], &flight->decision,
                        &flight->situation, outcome);
        learn_parts(agent, flight, node, outcome, now_ms);
    }
    agent->served++;
    release(agent, flight);
}

void ws_agent_finish(struct ws_agent *agent, uint64_t id,
                     const struct ws_outcome *outcome, double now_ms)
{
    ws_agent_finish_from(agent, id, find_flight(agent, id)->node, outcome, now_ms);
}

void ws_agent_abort(struct ws_agent *agent, uint64_t id, double now_ms)
{
    (void)now_ms;
    release(agent, find_flight(agent, id));
}

/* ---- what is told ---- */

void ws_agent_note_link(struct ws_agent *agent, const struct ws_conditions *link,
                        double now_ms)
{
    if (agent->peer_count > 0)
        ws_link_note(&agent->peers[0].link, link, now_ms);
}

/* How far `value` has come from `good` to `bad`, 0 to 1; the two in any order. */
static double severity(double value, double good, double bad)
{
    if (good == bad)
        return 0;
    return fmin(fmax((value - good) / (bad - good), 0), 1);
}

void ws_agent_note_edge(struct ws_agent *agent, const struct ws_conditions *edge,
                        double memory_bytes)
{
    const struct ws_agent_care *care = &agent->options.care;
    double value, worst = 0;
    if (ws_conditions_get(&value, edge, WS_TEMPERATURE_C) == 0)
        worst = severity(value, care->warm_c, care->hot_c);
    if (ws_conditions_get(&value, edge, WS_BATTERY) == 0)
        worst = fmax(worst, severity(value, care->battery_low, care->battery_min));
    agent->edge_w_max = worst > 0 ? ws_local_power_w(&agent->local, worst) : 0;
    agent->edge_bytes_max = memory_bytes > 0 ? memory_bytes : care->memory_bytes_max;
}

int ws_agent_probe(struct ws_agent *agent, size_t *out_node, double now_ms)
{
    for (size_t n = 0; agent->options.probe_ms > 0 && n < agent->peer_count; n++) {
        struct ws_peer *peer = &agent->peers[n];
        enum ws_breaker_state state = ws_breaker_state(&peer->breaker, now_ms);
        /* The wait of an open breaker is for requests; a probe may ask before. */
        int is_due =
            state == WS_BREAKER_TRIAL ||
            (peer->in_flight == 0 && now_ms - peer->heard_ms >= agent->options.probe_ms);
        if (!is_due || peer->is_probed)
            continue;
        peer->is_probed = 1;
        peer->heard_ms = now_ms;
        ws_breaker_begin(&peer->breaker, now_ms);
        *out_node = n;
        return 1;
    }
    return 0;
}

void ws_agent_probed(struct ws_agent *agent, size_t node, int rc, double bytes,
                     double took_ms, double now_ms)
{
    struct ws_peer *peer = &agent->peers[node];
    const struct ws_peer_load *load = &agent->load;
    int is_second = peer->is_asked_again;
    peer->is_probed = peer->is_asked_again = 0;
    peer->heard_ms = now_ms;
    if (rc != 0) {
        ws_breaker_fail(&peer->breaker, now_ms);
        return;
    }
    /* What was given up while the node was gone says nothing of the link now. */
    if (peer->breaker.is_open)
        ws_link_forget(&peer->link);
    ws_breaker_succeed(&peer->breaker);
    if (load->probe_ms_per_byte > 0)
        ws_link_observe_probe(&peer->link, load->probe_fixed_ms,
                              load->probe_ms_per_byte * bytes, took_ms, now_ms);
    if (!is_second) /* what confirms a surprise is not to be confirmed in turn */
        ask_again(agent, peer, now_ms);
}

void ws_agent_get_state(struct ws_agent_state *out, const struct ws_agent *agent,
                        double now_ms)
{
    *out = (struct ws_agent_state){
        .situation = situation_at(agent, best_node(agent, 0, now_ms), now_ms),
        .waiting = agent->queue.count,
        .in_flight = agent->flight_count,
        .busy = agent->holder != NULL,
        .served = agent->served,
        .refused = agent->refused,
        .switches = agent->switches,
        .sent = agent->sent,
        .failed = agent->failed,
        .local = agent->finished_here,
    };
}

void ws_agent_get_node(struct ws_agent_node *out, const struct ws_agent *agent,
                       size_t node, double now_ms)
{
    const struct ws_peer *peer = &agent->peers[node];
    struct ws_link_estimate link;
    double cloud[2];
    ws_link_get(&link, &peer->link, now_ms);
    ws_drift_get(cloud, &peer->cloud, now_ms);
    *out = (struct ws_agent_node){
        .breaker = ws_breaker_state(&peer->breaker, now_ms),
        .opened = peer->breaker.opened,
        .in_flight = peer->in_flight,
        .delay_ms = link.delay_ms,
        .mbit_s = link.mbit_s,
        .pace = link.pace,
        .spread = link.spread,
        .age_ms = link.age_ms,
        .cloud_scale = cloud[0],
    };
}
