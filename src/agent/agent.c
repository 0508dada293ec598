#include "agent/agent.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/drift.h"

/* Of those that wait, a policy hears about this many. */
enum { BEHIND_MAX = 16 };

/* Times of what never came are infinite; this many times the planned is slow enough. */
static const double late_max = 1000;

/* Machines: a few per cent off at first, and a clear change may be any. The link: its
 * rate changes far more than its delay, and it is looked at again after a while. */
static const struct ws_drift_options machine_drift = {{0.02, 0}, {2, 0}, 0.05, 0};
static const struct ws_drift_options link_drift = {{0.02, 0.05}, {0.5, 20}, 0.1, 30000};

struct waiting {
    struct ws_agent_request request;
    uint64_t sequence;
};

struct ws_agent {
    const struct ws_plan *plan;
    struct ws_policy *policy;
    struct ws_agent_options options;
    /* In the order of serving, from `head` on; moved to the front when the end is hit. */
    struct waiting *queue;
    size_t capacity, head, count;
    uint64_t sequence;
    double behind_ms[BEHIND_MAX];

    struct ws_drift edge, cloud, link;
    struct ws_setting current;
    int has_current;

    int busy;
    uint64_t running;
    struct ws_decision decision;    /* of the running one */
    struct ws_situation situation;  /* in which it was decided */
    struct ws_setting current_then; /* what situation.current points at */
    uint64_t served, refused, switches;
};

int ws_agent_create(struct ws_agent **out, const struct ws_plan *plan,
                    const struct ws_agent_options *options, struct ws_error *err)
{
    struct ws_agent *agent = calloc(1, sizeof(*agent));
    if (agent == NULL)
        return ws_error_nomem(err);
    agent->plan = plan;
    agent->options = *options;
    if (agent->options.queue_max == 0)
        agent->options.queue_max = WS_AGENT_QUEUE_MAX;
    agent->capacity = 2 * agent->options.queue_max;
    agent->queue = calloc(agent->capacity, sizeof(*agent->queue));
    if (agent->queue == NULL) {
        ws_agent_destroy(agent);
        return ws_error_nomem(err);
    }
    ws_drift_init(&agent->edge, &machine_drift);
    ws_drift_init(&agent->cloud, &machine_drift);
    ws_drift_init(&agent->link, &link_drift);
    int rc = options->policy->create(&agent->policy, plan, &options->policy_options, err);
    if (rc != 0) {
        ws_agent_destroy(agent);
        return rc;
    }
    *out = agent;
    return 0;
}

void ws_agent_destroy(struct ws_agent *agent)
{
    if (agent == NULL)
        return;
    ws_policy_destroy(agent->policy);
    free(agent->queue);
    free(agent);
}

/* ---- the queue ---- */

static int before(const struct ws_agent *agent, const struct waiting *a,
                  const struct waiting *b)
{
    if (agent->options.order == WS_AGENT_DEADLINE &&
        a->request.deadline_ms != b->request.deadline_ms)
        return a->request.deadline_ms < b->request.deadline_ms;
    return a->sequence < b->sequence;
}

int ws_agent_submit(struct ws_agent *agent, const struct ws_agent_request *request,
                    double now_ms, struct ws_error *err)
{
    (void)now_ms;
    if (agent->count == agent->options.queue_max)
        return ws_error_set(err, WS_E_LIMIT, "the queue is full: %zu requests wait",
                            agent->count);
    if (agent->head + agent->count == agent->capacity) {
        memmove(agent->queue, agent->queue + agent->head,
                agent->count * sizeof(*agent->queue));
        agent->head = 0;
    }
    struct waiting one = {*request, agent->sequence++};
    size_t at = agent->head + agent->count;
    for (; at > agent->head && before(agent, &one, &agent->queue[at - 1]); at--)
        agent->queue[at] = agent->queue[at - 1];
    agent->queue[at] = one;
    agent->count++;
    return 0;
}

static struct ws_agent_request pop(struct ws_agent *agent)
{
    assert(agent->count > 0);
    struct ws_agent_request request = agent->queue[agent->head].request;
    agent->head++;
    agent->count--;
    if (agent->count == 0)
        agent->head = 0;
    return request;
}

/* ---- deciding ---- */

static struct ws_situation situation_at(const struct ws_agent *agent, double now_ms)
{
    struct ws_situation now = ws_situation_nominal(&agent->plan->conditions);
    double edge[2], cloud[2], link[2];
    ws_drift_get(edge, &agent->edge, now_ms);
    ws_drift_get(cloud, &agent->cloud, now_ms);
    ws_drift_get(link, &agent->link, now_ms);
    now.edge_scale = edge[0];
    now.cloud_scale = cloud[0];
    now.delay_ms *= link[0];
    now.pace *= link[1];
    now.current = agent->has_current ? &agent->current : NULL;
    return now;
}

static struct ws_policy_request ask(struct ws_agent *agent,
                                    const struct ws_agent_request *request, double now_ms)
{
    size_t behind = agent->count < BEHIND_MAX ? agent->count : BEHIND_MAX;
    for (size_t k = 0; k < behind; k++)
        agent->behind_ms[k] = agent->queue[agent->head + k].request.deadline_ms - now_ms;
    return (struct ws_policy_request){request->deadline_ms - now_ms,
                                      request->min_accuracy, agent->behind_ms, behind};
}

/* From now on the hardware is what was decided. */
static double take(struct ws_agent *agent, const struct ws_decision *decision)
{
    double cost = ws_switch_ms(
        agent->options.policy_options.switch_ms, agent->plan->space.knob_count,
        agent->has_current ? &agent->current : NULL, &decision->setting);
    agent->switches += cost > 0;
    agent->current_then = agent->current;
    agent->situation.current = agent->has_current ? &agent->current_then : NULL;
    agent->current = decision->setting;
    agent->has_current = 1;
    agent->decision = *decision;
    return cost;
}

int ws_agent_next(struct ws_agent *agent, struct ws_agent_action *out, double now_ms)
{
    if (agent->busy || agent->count == 0)
        return 0;
    struct ws_agent_request request = pop(agent);
    struct ws_situation now = situation_at(agent, now_ms);
    struct ws_policy_request asked = ask(agent, &request, now_ms);
    struct ws_decision decision;
    int rc = ws_policy_decide(agent->policy, &decision, &asked, &now, NULL);
    if (rc == 0 && agent->options.refuse_late && decision.latency_ms > asked.deadline_ms)
        rc = WS_E_TIMEOUT;
    if (rc != 0) {
        agent->refused++;
        *out = (struct ws_agent_action){
            .verb = WS_AGENT_REFUSE, .id = request.id, .reason = rc};
        return 1;
    }
    agent->situation = now;
    agent->busy = 1;
    agent->running = request.id;
    *out = (struct ws_agent_action){.verb = WS_AGENT_RUN, .id = request.id};
    out->switch_ms = take(agent, &decision);
    out->decision = decision;
    return 1;
}

/* ---- learning ---- */

static void observe(struct ws_drift *drift, const struct ws_outcome *plan,
                    const struct ws_outcome *seen, enum ws_measure part,
                    const double share[2], double now_ms)
{
    double planned, took;
    if (ws_outcome_get(&planned, plan, part) != 0 ||
        ws_outcome_get(&took, seen, part) != 0 || !(planned > 0) || !(took > 0))
        return;
    ws_drift_observe(drift, share, fmin(took / planned, late_max), now_ms);
}

static void learn_parts(struct ws_agent *agent, const struct ws_outcome *seen,
                        double now_ms)
{
    const double whole[2] = {1, 0};
    const struct ws_conditions *reference = &agent->plan->conditions;
    if (agent->decision.entry == WS_NO_ENTRY)
        return;
    const struct ws_outcome *plan = &agent->plan->entries[agent->decision.entry].outcome;
    observe(&agent->edge, plan, seen, WS_EDGE_MS, whole, now_ms);
    observe(&agent->cloud, plan, seen, WS_CLOUD_MS, whole, now_ms);
    /* Which share of the planned transfer is delay, and which follows the rate. */
    struct ws_transfer split = ws_transfer_of(plan, reference);
    double delay = split.per_delay * ws_situation_nominal(reference).delay_ms;
    double sum = delay + split.at_pace;
    if (sum > 0) {
        const double share[2] = {delay / sum, split.at_pace / sum};
        observe(&agent->link, plan, seen, WS_TRANSFER_MS, share, now_ms);
    }
}

void ws_agent_finish(struct ws_agent *agent, uint64_t id,
                     const struct ws_outcome *outcome, double now_ms)
{
    assert(agent->busy && agent->running == id);
    (void)id;
    agent->busy = 0;
    agent->served++;
    ws_policy_learn(agent->policy, &agent->decision, &agent->situation, outcome);
    learn_parts(agent, outcome, now_ms);
}

void ws_agent_note_link(struct ws_agent *agent, const struct ws_conditions *link,
                        double now_ms)
{
    const struct ws_conditions *reference = &agent->plan->conditions;
    struct ws_situation plan = ws_situation_nominal(reference), now = plan;
    ws_situation_set_link(&now, reference, link);
    ws_drift_init(&agent->link, &link_drift);
    agent->link.factor[0] = plan.delay_ms > 0 ? now.delay_ms / plan.delay_ms : 1;
    agent->link.factor[1] = now.pace;
    agent->link.at_ms = now_ms;
    agent->link.count = 1;
}

void ws_agent_get_state(struct ws_agent_state *out, const struct ws_agent *agent,
                        double now_ms)
{
    *out = (struct ws_agent_state){situation_at(agent, now_ms),
                                   agent->count,
                                   agent->busy,
                                   agent->served,
                                   agent->refused,
                                   agent->switches};
}
