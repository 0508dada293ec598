#include "agent/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct ws_waiting {
    struct ws_agent_request request;
    uint64_t sequence;
};

int ws_queue_init(struct ws_queue *queue, enum ws_agent_order order, size_t count_max,
                  struct ws_error *err)
{
    *queue = (struct ws_queue){
        .order = order, .count_max = count_max, .capacity = 2 * count_max};
    queue->waiting = calloc(queue->capacity, sizeof(*queue->waiting));
    return queue->waiting == NULL ? ws_error_nomem(err) : 0;
}

void ws_queue_fini(struct ws_queue *queue)
{
    free(queue->waiting);
    *queue = (struct ws_queue){0};
}

static int before(const struct ws_queue *queue, const struct ws_waiting *a,
                  const struct ws_waiting *b)
{
    if (queue->order == WS_AGENT_DEADLINE &&
        a->request.deadline_ms != b->request.deadline_ms)
        return a->request.deadline_ms < b->request.deadline_ms;
    return a->sequence < b->sequence;
}

int ws_queue_add(struct ws_queue *queue, const struct ws_agent_request *request,
                 struct ws_error *err)
{
    if (queue->count == queue->count_max)
        return ws_error_set(err, WS_E_LIMIT, "the queue is full: %zu requests wait",
                            queue->count);
    if (queue->head + queue->count == queue->capacity) {
        memmove(queue->waiting, queue->waiting + queue->head,
                queue->count * sizeof(*queue->waiting));
        queue->head = 0;
    }
    struct ws_waiting one = {*request, queue->sequence++};
    size_t at = queue->head + queue->count;
    for (; at > queue->head && before(queue, &one, &queue->waiting[at - 1]); at--)
        queue->waiting[at] = queue->waiting[at - 1];
    queue->waiting[at] = one;
    queue->count++;
    return 0;
}

struct ws_agent_request ws_queue_pop(struct ws_queue *queue)
{
    assert(queue->count > 0);
    struct ws_agent_request request = queue->waiting[queue->head].request;
    queue->head++;
    queue->count--;
    if (queue->count == 0)
        queue->head = 0;
    return request;
}

const struct ws_agent_request *ws_queue_at(const struct ws_queue *queue, size_t index)
{
    assert(index < queue->count);
    return &queue->waiting[queue->head + index].request;
}
