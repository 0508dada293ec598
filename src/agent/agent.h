/*
 * The online logic of an edge device: requests wait in a queue for one set of hardware,
 * each gets a setting from the policy when its turn comes, and what every outcome teaches
 * about machines and link goes into the next decision. Events and the time go in, actions
 * come out; there are no sockets, threads or clocks in here, and nothing is allocated
 * after creation, so that replay on a virtual clock and the serving daemon drive the very
 * same code. Times are milliseconds on the driver's clock and never go back. The agent
 * owns its policy; plan and options' pointers are the caller's and outlive it. One thread
 * at a time.
 *
 * The loop of a driver: submit what arrives; while ws_agent_next gives an action, carry
 * it out; report what became of it with ws_agent_finish.
 */
#ifndef WS_AGENT_AGENT_H
#define WS_AGENT_AGENT_H

#include <stdint.h>

#include "base/error.h"
#include "policy/policy.h"

struct ws_agent;

enum ws_agent_order {
    WS_AGENT_FIFO,     /* as they came */
    WS_AGENT_DEADLINE, /* the earliest deadline first; of equals the first that came */
};

struct ws_agent_options {
    const struct ws_policy_ops *policy;
    struct ws_policy_options policy_options;
    enum ws_agent_order order;
    size_t queue_max; /* requests waiting at most; 0: WS_AGENT_QUEUE_MAX */
    /* Whether a request is refused when its turn comes and the setting chosen for it is
     * not foreseen to be in time. */
    int refuse_late;
};

struct ws_agent_request {
    uint64_t id;        /* the driver's */
    double deadline_ms; /* when, on the driver's clock */
    double min_accuracy;
};

enum ws_agent_verb {
    WS_AGENT_RUN,    /* execute the decision, then ws_agent_finish */
    WS_AGENT_REFUSE, /* tell the client no; it is forgotten */
};

struct ws_agent_action {
    enum ws_agent_verb verb;
    uint64_t id;
    struct ws_decision decision; /* of RUN */
    double switch_ms;            /* of RUN: foreseen, from what the hardware is set to */
    int reason; /* of REFUSE: WS_E_TIMEOUT, too late; WS_E_INFEASIBLE, the accuracy */
};

/* What the agent believes. */
struct ws_agent_state {
    struct ws_situation situation; /* `current` points into the agent */
    size_t waiting;
    int busy;
    uint64_t served;
    uint64_t refused;
    uint64_t switches; /* of knobs that cost something */
};

int ws_agent_create(struct ws_agent **out, const struct ws_plan *plan,
                    const struct ws_agent_options *options, struct ws_error *err);
void ws_agent_destroy(struct ws_agent *agent);

/* A request arrives. WS_E_LIMIT: the queue is full. */
int ws_agent_submit(struct ws_agent *agent, const struct ws_agent_request *request,
                    double now_ms, struct ws_error *err);

/* 1 and an action, or 0: nothing to do until something else happens. Call it until it
 * gives 0 after every submit and finish. */
int ws_agent_next(struct ws_agent *agent, struct ws_agent_action *out, double now_ms);

/* What running `id` gave; its parts as far as they are known. */
void ws_agent_finish(struct ws_agent *agent, uint64_t id,
                     const struct ws_outcome *outcome, double now_ms);

/* The link was measured by other means: that is believed until outcomes say otherwise. */
void ws_agent_note_link(struct ws_agent *agent, const struct ws_conditions *link,
                        double now_ms);

void ws_agent_get_state(struct ws_agent_state *out, const struct ws_agent *agent,
                        double now_ms);

#endif
