/*
 * Flies requests: carries out what an agent decides with an executor. Each caller's own
 * thread takes its request through its phases; one of them at a time holds the edge, and
 * while one waits for a node the next has its head run. With hedging a second node is
 * asked from a thread of its own where the first is slow, and the first answer counts.
 * Every request gets exactly one answer or one error. Thread-safe; the clock is this
 * machine's.
 */
#ifndef WS_NODE_PILOT_H
#define WS_NODE_PILOT_H

#include "agent/agent.h"
#include "core/datum.h"
#include "net/http_client.h"
#include "split/executor.h"

struct ws_pilot;

struct ws_pilot_options {
    const struct ws_plan *plan;    /* outlives the pilot */
    struct ws_agent_options agent; /* node_count and is_alone follow from the nodes */
    struct ws_executor *executor;  /* likewise; of the plan's space */
    const char *const *nodes;      /* URLs, likewise */
    size_t node_count;
    struct ws_http_identity identity; /* to show to nodes when they are probed */
};

/* A request as a client means it. */
struct ws_pilot_request {
    const struct ws_datum *inputs; /* as the executor takes them; until it is landed */
    size_t input_count;
    int64_t received_ns;
    double deadline_ms; /* from then on; 0: none */
    double min_accuracy;
    size_t policy; /* of the agent's list */
};

/* What became of it. */
struct ws_pilot_flight {
    const struct ws_flight *flight; /* its outputs; NULL: it failed */
    struct ws_decision decision;
    struct ws_outcome outcome; /* latency from received to answered */
    double queue_ms;           /* until the edge was its own */
    double switch_ms;          /* to set the hardware */
    size_t node;               /* that gave the tail, or WS_NO_NODE */
    int is_fallback;           /* a tail meant for a node was finished here */
    unsigned sends;            /* to nodes, hedges included */
    unsigned send_failures;
    struct ws_pilot_ticket *ticket; /* private */
};

int ws_pilot_create(struct ws_pilot **out, const struct ws_pilot_options *options,
                    struct ws_error *err);
/* After the last flight has landed. Takes NULL. */
void ws_pilot_destroy(struct ws_pilot *pilot);

/* Until then requests wait and nothing runs; for a pilot that takes over from another. */
void ws_pilot_hold(struct ws_pilot *pilot);
void ws_pilot_go(struct ws_pilot *pilot);

/* What another pilot's agent has learnt of machines and links, nodes known by their URLs;
 * both held or idle. */
void ws_pilot_inherit(struct ws_pilot *pilot, struct ws_pilot *from);

/* WS_E_BUSY with the reason: the deadline cannot be met, or the queue is full.
 * WS_E_INFEASIBLE: the accuracy. Else what head and tails failed with. What is told of
 * the decision is told after a failure, too. The flight is to be landed either way. */
int ws_pilot_fly(struct ws_pilot_flight *out, struct ws_pilot *pilot,
                 const struct ws_pilot_request *request, struct ws_error *err);
void ws_pilot_land(struct ws_pilot *pilot, struct ws_pilot_flight *flight);
/* Waits until there are none. */
void ws_pilot_wait_landed(struct ws_pilot *pilot);

/* The agent, while nobody else uses it: between these two. And its clock. */
struct ws_agent *ws_pilot_lock(struct ws_pilot *pilot, double *out_now_ms);
void ws_pilot_unlock(struct ws_pilot *pilot);

/* Whether the connection to a node may have broken since this was last asked: at first
 * all are. */
int ws_pilot_take_broken(struct ws_pilot *pilot, size_t node);

const struct ws_pilot_options *ws_pilot_options(const struct ws_pilot *pilot);

#endif
