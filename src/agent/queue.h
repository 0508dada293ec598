/*
 * Requests that wait for the edge, in the order in which they will be served. A fixed
 * number fits; nothing is allocated after creation.
 */
#ifndef WS_AGENT_QUEUE_H
#define WS_AGENT_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum ws_agent_order {
    WS_AGENT_FIFO,     /* as they came */
    WS_AGENT_DEADLINE, /* the earliest deadline first; of equals the first that came */
};

struct ws_agent_request {
    uint64_t id;        /* the driver's */
    double deadline_ms; /* when, on the driver's clock */
    double min_accuracy;
    size_t policy; /* of the agent's list; 0: the first */
};

struct ws_queue {
    enum ws_agent_order order;
    size_t count_max;
    /* From `head` on; moved to the front when the end is hit. */
    struct ws_waiting *waiting;
    size_t capacity, head, count;
    uint64_t sequence;
};

int ws_queue_init(struct ws_queue *queue, enum ws_agent_order order, size_t count_max,
                  struct ws_error *err);
void ws_queue_fini(struct ws_queue *queue);
/* WS_E_LIMIT: it is full. */
int ws_queue_add(struct ws_queue *queue, const struct ws_agent_request *request,
                 struct ws_error *err);
/* The next to be served, taken out; there must be one. */
struct ws_agent_request ws_queue_pop(struct ws_queue *queue);
/* The one `index` places behind the next, which must be there. */
const struct ws_agent_request *ws_queue_at(const struct ws_queue *queue, size_t index);

#endif
