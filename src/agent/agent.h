/*
 * The online logic of an edge device: requests wait in a queue for one set of hardware,
 * each gets a setting from a policy when its turn comes, goes through its phases (the
 * edge part, transfer and tail on a node, or the tail here where no node gives it), and
 * what every outcome teaches about machines and links goes into the next decision. While
 * one request is under way to a node the edge serves the next. Events and the time go in,
 * actions come out; there are no sockets, threads or clocks in here, and nothing is
 * allocated after creation, so that replay on a virtual clock and the serving daemon
 * drive the very same code. Times are milliseconds on the driver's clock and never go
 * back. The agent owns its policies; plan and options' pointers are the caller's and
 * outlive it. One thread at a time.
 *
 * The loop of a driver: submit what arrives; while ws_agent_next gives an action, carry
 * it out. A request that was RUN ends with ws_agent_finish; a driver that cuts execution
 * in phases tells ws_agent_head_done in between, does what that answers, and tells
 * ws_agent_send_failed when a node did not give the tail. One that knows the attention of
 * a request's feature maps before it settles which of them go tells ws_agent_looked.
 */
#ifndef WS_AGENT_AGENT_H
#define WS_AGENT_AGENT_H

#include <stdint.h>

#include "agent/breaker.h"
#include "agent/queue.h"
#include "base/error.h"
#include "policy/policy.h"

struct ws_agent;

#define WS_NO_NODE ((size_t)-1)

/* What edge hardware must not exceed. Zeros: no limit. Between the two of a pair the
 * power of settings is capped, from all the plan's down to its least. */
struct ws_agent_care {
    double warm_c, hot_c;            /* temperature */
    double battery_low, battery_min; /* 0 to 1 */
    double memory_bytes_max;         /* that a setting may take */
};

struct ws_agent_options {
    const struct ws_policy_ops *policy;
    /* (optional) Others that a request may ask for, by their place: the one above is 0,
     * the first of these 1. */
    const struct ws_policy_ops *const *more;
    size_t more_count; /* up to WS_POLICIES_MAX - 1 */
    struct ws_policy_options policy_options;
    enum ws_agent_order order;
    size_t queue_max; /* requests waiting at most; 0: WS_AGENT_QUEUE_MAX */
    /* Whether a request is refused when its turn comes and the setting chosen for it is
     * not foreseen to be in time. */
    int refuse_late;
    size_t flights_max; /* requests in any phase at once; 0: 1 */
    size_t node_count;  /* 0: 1, which is always there unless it fails */
    int is_alone;       /* there is no node at all */
    struct ws_breaker_options breaker;
    double send_ms_max;    /* the longest that a node is waited for; 0: 10000 */
    double link_forget_ms; /* see ws_link_init */
    int hedge;             /* whether a slow node's request goes to a second one too */
    double probe_ms;       /* a node not heard of for so long is to be probed; 0: never */
    struct ws_agent_care care;
};

enum ws_agent_verb {
    WS_AGENT_RUN,    /* execute the decision: the edge is the request's */
    WS_AGENT_LOCAL,  /* finish it from the tensor in hand: the edge is its own again */
    WS_AGENT_REFUSE, /* tell the client no; it is forgotten */
};

struct ws_agent_action {
    enum ws_agent_verb verb;
    uint64_t id;
    struct ws_decision decision; /* of RUN */
    double switch_ms;            /* of RUN: foreseen, from what the hardware is set to */
    int reason; /* of REFUSE: WS_E_TIMEOUT, too late; WS_E_INFEASIBLE, the accuracy */
    double foreseen_ms; /* of REFUSE for being late: how long it would take */
    double left_ms;     /* and what its deadline leaves */
};

/* Where a request goes once its head is done. */
struct ws_agent_send {
    size_t node;       /* WS_NO_NODE: nowhere, wait for LOCAL */
    double timeout_ms; /* give up after so long, and tell */
    size_t second;    /* WS_NO_NODE: none; else ask it as well, where the first has not */
    double hedge_ms;  /* answered within this */
    int is_under_way; /* without a node: another node was asked already and still may */
};

/* What the agent believes. */
struct ws_agent_state {
    struct ws_situation situation; /* `current` points into the agent */
    size_t waiting;
    size_t in_flight;
    int busy; /* the edge is somebody's */
    uint64_t served;
    uint64_t refused;
    uint64_t switches; /* of knobs that cost something */
    uint64_t sent;     /* to nodes */
    uint64_t failed;   /* of those */
    uint64_t local;    /* finished here because no node gave the tail */
};

/* And of one node. */
struct ws_agent_node {
    enum ws_breaker_state breaker;
    unsigned long opened; /* how often the breaker did */
    size_t in_flight;
    double delay_ms, mbit_s, pace, spread, age_ms; /* see struct ws_link_estimate */
    double cloud_scale;
};

int ws_agent_create(struct ws_agent **out, const struct ws_plan *plan,
                    const struct ws_agent_options *options, struct ws_error *err);
void ws_agent_destroy(struct ws_agent *agent);

/* What `from` has learnt: of the links to nodes, and, where the plan is the same, of the
 * machines, whose slowness is relative to it. Node n is node_of[n] there, WS_NO_NODE: it
 * is new. The clock of `agent` is that of `from` plus `shift_ms`. */
void ws_agent_inherit(struct ws_agent *agent, const struct ws_agent *from,
                      const size_t *node_of, double shift_ms);

/* A request arrives. WS_E_LIMIT: the queue is full. WS_E_NOT_FOUND: no such policy. */
int ws_agent_submit(struct ws_agent *agent, const struct ws_agent_request *request,
                    double now_ms, struct ws_error *err);

/* 1 and an action, or 0: nothing to do until something else happens. Call it until it
 * gives 0 after every event. */
int ws_agent_next(struct ws_agent *agent, struct ws_agent_action *out, double now_ms);

/* While the edge runs `id`: its feature maps are there and have this attention, and
 * nothing was sent. 1: the policy settles for something else than was decided, with the
 * edge's knobs as they are: *out. */
int ws_agent_looked(struct ws_agent *agent, struct ws_decision *out, uint64_t id,
                    double attention, double now_ms);
/* The edge part of `id` is done and its tail is to be had elsewhere: the edge is free. */
void ws_agent_head_done(struct ws_agent *agent, struct ws_agent_send *out, uint64_t id,
                        double now_ms);
/* A second node is asked (hedging). */
void ws_agent_hedged(struct ws_agent *agent, uint64_t id, size_t node, double now_ms);
/* The node did not give it: where to next. WS_E_TIMEOUT: it was given up; `sent_ms`: how
 * long it had been under way. */
void ws_agent_send_failed(struct ws_agent *agent, struct ws_agent_send *out, uint64_t id,
                          size_t node, int rc, double sent_ms, double now_ms);

/* What running `id` gave; its parts as far as they are known. `node` is who gave the
 * tail, where somebody did. Whatever else was under way for it is forgotten. */
void ws_agent_finish(struct ws_agent *agent, uint64_t id,
                     const struct ws_outcome *outcome, double now_ms);
void ws_agent_finish_from(struct ws_agent *agent, uint64_t id, size_t node,
                          const struct ws_outcome *outcome, double now_ms);
/* It came to nothing: the edge is free, nothing is learnt. */
void ws_agent_abort(struct ws_agent *agent, uint64_t id, double now_ms);

/* The link (of node 0) was measured by other means: that is believed until outcomes say
 * otherwise. */
void ws_agent_note_link(struct ws_agent *agent, const struct ws_conditions *link,
                        double now_ms);
/* Temperature and battery of the edge, as far as known, and the memory that settings may
 * take (0: as much as the options say). */
void ws_agent_note_edge(struct ws_agent *agent, const struct ws_conditions *edge,
                        double memory_bytes);

/* 1 and a node that is to be probed now, or 0. Its end is to be told with
 * ws_agent_probed: a failure, or 0 and how long a request of `bytes` and its short answer
 * took over a connection that was there. */
int ws_agent_probe(struct ws_agent *agent, size_t *out_node, double now_ms);
void ws_agent_probed(struct ws_agent *agent, size_t node, int rc, double bytes,
                     double took_ms, double now_ms);

void ws_agent_get_state(struct ws_agent_state *out, const struct ws_agent *agent,
                        double now_ms);
void ws_agent_get_node(struct ws_agent_node *out, const struct ws_agent *agent,
                       size_t node, double now_ms);

#endif
