#include "node/pilot.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

/* No deadline: a thousand hours, so that sums stay finite. */
static const double no_deadline_ms = 3.6e9;

/* One request while it is aloft. It belongs to the caller and to each thread that asks a
 * node for it, whoever is done last. */
struct ws_pilot_ticket {
    struct ws_pilot *pilot;
    struct ws_pilot_ticket *next, **link; /* of those that the agent knows */
    uint64_t id;
    struct ws_flight *flight;
    struct ws_datum *copies; /* of the inputs, with hedging */
    size_t copy_count;
    pthread_cond_t wake;
    /* Under the pilot's lock: */
    int has_action;
    struct ws_agent_action action;
    unsigned references;
    struct courier *landed; /* couriers that have come back */
};

/* One tail asked of one node. */
struct courier {
    struct courier *next;
    struct ws_pilot_ticket *ticket;
    size_t node;
    double timeout_ms;
    double start_ms;
    int rc;
    struct ws_error err;
};

struct ws_pilot {
    struct ws_pilot_options options;
    struct ws_agent *agent;
    int64_t start_ns;
    pthread_mutex_t lock; /* over all below and the agent */
    pthread_cond_t landed;
    struct ws_pilot_ticket *tickets; /* that the agent knows */
    uint64_t next_id;
    size_t aloft;
    int is_held;
    uint32_t broken;           /* bit n: a connection to node n */
    struct ws_setting current; /* of the hardware; only the edge's holder looks */
    int has_current;
};

static double now_ms(const struct ws_pilot *pilot)
{
    return (double)(ws_clock_now_ns() - pilot->start_ns) / 1e6;
}

int ws_pilot_create(struct ws_pilot **out, const struct ws_pilot_options *options,
                    struct ws_error *err)
{
    struct ws_pilot *pilot = calloc(1, sizeof(*pilot));
    if (pilot == NULL)
        return ws_error_nomem(err);
    pilot->options = *options;
    pilot->options.agent.node_count = options->node_count;
    pilot->options.agent.is_alone = options->node_count == 0;
    pilot->start_ns = ws_clock_now_ns();
    pilot->broken = UINT32_MAX;
    (void)pthread_mutex_init(&pilot->lock, NULL);
    (void)pthread_cond_init(&pilot->landed, NULL);
    int rc = ws_agent_create(&pilot->agent, options->plan, &pilot->options.agent, err);
    if (rc != 0)
        ws_pilot_destroy(pilot);
    else
        *out = pilot;
    return rc;
}

void ws_pilot_destroy(struct ws_pilot *pilot)
{
    if (pilot == NULL)
        return;
    ws_agent_destroy(pilot->agent);
    (void)pthread_cond_destroy(&pilot->landed);
    (void)pthread_mutex_destroy(&pilot->lock);
    free(pilot);
}

int ws_pilot_take_broken(struct ws_pilot *pilot, size_t node)
{
    (void)pthread_mutex_lock(&pilot->lock);
    int is_broken = (int)(pilot->broken >> node & 1u);
    pilot->broken &= ~(1u << node);
    (void)pthread_mutex_unlock(&pilot->lock);
    return is_broken;
}

const struct ws_pilot_options *ws_pilot_options(const struct ws_pilot *pilot)
{
    return &pilot->options;
}

struct ws_agent *ws_pilot_lock(struct ws_pilot *pilot, double *out_now_ms)
{
    (void)pthread_mutex_lock(&pilot->lock);
    *out_now_ms = now_ms(pilot);
    return pilot->agent;
}

void ws_pilot_unlock(struct ws_pilot *pilot)
{
    (void)pthread_mutex_unlock(&pilot->lock);
}

/* ---- tickets ---- */

static int copy_inputs(struct ws_pilot_ticket *ticket,
                       const struct ws_pilot_request *request, struct ws_error *err)
{
    ticket->copies = calloc(request->input_count + 1, sizeof(*ticket->copies));
    if (ticket->copies == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < request->input_count; i++) {
        const struct ws_tensor *from = &request->inputs[i].tensor;
        if (from->dtype == WS_DTYPE_STRING)
            return ws_error_set(err, WS_E_UNSUPPORTED, "strings cannot be hedged");
        int rc = ws_tensor_init(&ticket->copies[i].tensor, from->dtype, from->dims,
                                from->rank, err);
        if (rc != 0)
            return rc;
        ticket->copy_count++;
        if (from->size_bytes > 0)
            memcpy(ticket->copies[i].tensor.data, from->data, from->size_bytes);
    }
    return 0;
}

/* Under the lock. The last one frees it. */
static void let_go(struct ws_pilot_ticket *ticket)
{
    struct ws_pilot *pilot = ticket->pilot;
    if (--ticket->references > 0)
        return;
    ws_flight_destroy(ticket->flight);
    for (size_t i = 0; i < ticket->copy_count; i++)
        ws_datum_fini(&ticket->copies[i]);
    free(ticket->copies);
    while (ticket->landed != NULL) {
        struct courier *next = ticket->landed->next;
        free(ticket->landed);
        ticket->landed = next;
    }
    (void)pthread_cond_destroy(&ticket->wake);
    free(ticket);
    if (--pilot->aloft == 0)
        (void)pthread_cond_broadcast(&pilot->landed);
}

static int ticket_create(struct ws_pilot_ticket **out, struct ws_pilot *pilot,
                         struct ws_error *err)
{
    pthread_condattr_t monotonic;
    struct ws_pilot_ticket *ticket = calloc(1, sizeof(*ticket));
    if (ticket == NULL)
        return ws_error_nomem(err);
    ticket->pilot = pilot;
    ticket->references = 1;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ticket->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_lock(&pilot->lock);
    ticket->id = ++pilot->next_id;
    pilot->aloft++;
    (void)pthread_mutex_unlock(&pilot->lock);
    *out = ticket;
    return 0;
}

/* ---- actions ---- */

/* Under the lock: hands what the agent wants done to whom it concerns. */
static void pump(struct ws_pilot *pilot)
{
    struct ws_agent_action action;
    while (!pilot->is_held && ws_agent_next(pilot->agent, &action, now_ms(pilot))) {
        struct ws_pilot_ticket *ticket = pilot->tickets;
        while (ticket->id != action.id)
            ticket = ticket->next;
        ticket->action = action;
        ticket->has_action = 1;
        (void)pthread_cond_signal(&ticket->wake);
    }
}

/* Under the lock: the ticket's next action. */
static struct ws_agent_action await(struct ws_pilot_ticket *ticket)
{
    struct ws_pilot *pilot = ticket->pilot;
    pump(pilot);
    while (!ticket->has_action)
        (void)pthread_cond_wait(&ticket->wake, &pilot->lock);
    ticket->has_action = 0;
    return ticket->action;
}

static void enlist(struct ws_pilot_ticket *ticket)
{
    struct ws_pilot *pilot = ticket->pilot;
    ticket->next = pilot->tickets;
    ticket->link = &pilot->tickets;
    if (ticket->next != NULL)
        ticket->next->link = &ticket->next;
    pilot->tickets = ticket;
}

static void strike(struct ws_pilot_ticket *ticket)
{
    *ticket->link = ticket->next;
    if (ticket->next != NULL)
        ticket->next->link = ticket->link;
}

void ws_pilot_hold(struct ws_pilot *pilot)
{
    (void)pthread_mutex_lock(&pilot->lock);
    pilot->is_held = 1;
    (void)pthread_mutex_unlock(&pilot->lock);
}

void ws_pilot_go(struct ws_pilot *pilot)
{
    (void)pthread_mutex_lock(&pilot->lock);
    pilot->is_held = 0;
    pump(pilot);
    (void)pthread_mutex_unlock(&pilot->lock);
}

static size_t node_at(const struct ws_pilot_options *options, const char *url)
{
    for (size_t n = 0; n < options->node_count; n++) {
        if (strcmp(options->nodes[n], url) == 0)
            return n;
    }
    return WS_NO_NODE;
}

void ws_pilot_inherit(struct ws_pilot *pilot, struct ws_pilot *from)
{
    size_t node_of[WS_AGENT_NODES_MAX];
    for (size_t n = 0; n < pilot->options.node_count; n++)
        node_of[n] = node_at(&from->options, pilot->options.nodes[n]);
    double shift_ms = (double)(from->start_ns - pilot->start_ns) / 1e6;
    (void)pthread_mutex_lock(&pilot->lock);
    (void)pthread_mutex_lock(&from->lock);
    ws_agent_inherit(pilot->agent, from->agent, node_of, shift_ms);
    (void)pthread_mutex_unlock(&from->lock);
    (void)pthread_mutex_unlock(&pilot->lock);
}

/* ---- phases; called without the lock ---- */

/* Sets the hardware where it has to change. An emulated board takes no time for that by
 * itself, so what it would have taken is waited. */
static int set_hardware(struct ws_pilot *pilot, double *out_ms,
                        const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_executor_applied applied;
    *out_ms = 0;
    if (pilot->has_current && memcmp(&pilot->current, setting, sizeof(*setting)) == 0)
        return 0;
    int64_t start = ws_clock_now_ns();
    int rc = ws_executor_apply(&applied, pilot->options.executor, setting, err);
    if (rc != 0)
        return rc;
    pilot->current = *setting;
    pilot->has_current = 1;
    ws_clock_sleep_until(start + (int64_t)(applied.switch_ms * 1e6));
    *out_ms = (double)(ws_clock_now_ns() - start) / 1e6;
    return 0;
}

/* What the extractor saw, if there is one, before it is settled which maps go. The edge's
 * knobs stay. */
static void look(struct ws_pilot_flight *out, struct ws_pilot *pilot)
{
    double attention = 0;
    if (ws_flight_attention(&attention, out->ticket->flight, NULL) != 0)
        return;
    (void)pthread_mutex_lock(&pilot->lock);
    if (ws_agent_looked(pilot->agent, &out->decision, out->ticket->id, attention,
                        now_ms(pilot)))
        pilot->current = out->decision.setting;
    (void)pthread_mutex_unlock(&pilot->lock);
}

static int run_head(struct ws_pilot_flight *out, struct ws_pilot *pilot,
                    const struct ws_pilot_request *request, struct ws_error *err)
{
    struct ws_pilot_ticket *ticket = out->ticket;
    struct ws_executor *executor = pilot->options.executor;
    const struct ws_datum *inputs =
        ticket->copies != NULL ? ticket->copies : request->inputs;
    int rc = set_hardware(pilot, &out->switch_ms, &out->decision.setting, err);
    if (rc == 0)
        rc = ws_executor_look(&ticket->flight, executor, &out->decision.setting, inputs,
                              err);
    if (rc != 0)
        return rc;
    look(out, pilot);
    return ws_executor_go_on(ticket->flight, &out->decision.setting, err);
}

static int ask_node(struct ws_pilot_ticket *ticket, size_t node, double timeout_ms,
                    struct ws_error *err)
{
    const char *url = ticket->pilot->options.nodes[node];
    int64_t whole_ms = (int64_t)ceil(timeout_ms);
    return ws_executor_remote(ticket->flight, url, whole_ms, err);
}

/* ---- tails: inline, or by couriers where two may be asked ---- */

static void *carry(void *user)
{
    struct courier *courier = user;
    struct ws_pilot_ticket *ticket = courier->ticket;
    struct ws_pilot *pilot = ticket->pilot;
    int rc = ask_node(ticket, courier->node, courier->timeout_ms, &courier->err);
    (void)pthread_mutex_lock(&pilot->lock);
    if (rc != 0) /* stopped or failed */
        pilot->broken |= 1u << courier->node;
    courier->rc = rc;
    courier->next = ticket->landed;
    ticket->landed = courier;
    (void)pthread_cond_signal(&ticket->wake);
    let_go(ticket);
    (void)pthread_mutex_unlock(&pilot->lock);
    return NULL;
}

/* Under the lock. */
static int send_courier(struct ws_pilot_ticket *ticket, size_t node, double timeout_ms,
                        struct ws_error *err)
{
    pthread_t thread;
    struct courier *courier = calloc(1, sizeof(*courier));
    if (courier == NULL)
        return ws_error_nomem(err);
    *courier = (struct courier){.ticket = ticket,
                                .node = node,
                                .timeout_ms = timeout_ms,
                                .start_ms = now_ms(ticket->pilot)};
    ticket->references++;
    if (pthread_create(&thread, NULL, carry, courier) != 0) {
        ticket->references--;
        free(courier);
        return ws_error_set(err, WS_E_LIMIT, "no thread for a node could be started");
    }
    (void)pthread_detach(thread);
    return 0;
}

/* Under the lock: waits for a courier to come back, or until `until_ms`. */
static struct courier *next_back(struct ws_pilot_ticket *ticket, double until_ms)
{
    struct ws_pilot *pilot = ticket->pilot;
    int64_t until = isfinite(until_ms) ? pilot->start_ns + (int64_t)(until_ms * 1e6) : 0;
    const struct timespec at = {until / 1000000000, until % 1000000000};
    int status = 0;
    while (ticket->landed == NULL && status != ETIMEDOUT)
        status = isfinite(until_ms)
                     ? pthread_cond_timedwait(&ticket->wake, &pilot->lock, &at)
                     : pthread_cond_wait(&ticket->wake, &pilot->lock);
    struct courier *courier = ticket->landed;
    if (courier != NULL)
        ticket->landed = courier->next;
    return courier;
}

/* Under the lock: what is told of a node that did not give the tail. */
static void tell_failure(struct ws_pilot_flight *out, struct ws_agent_send *send,
                         size_t node, int rc, double sent_ms)
{
    struct ws_pilot_ticket *ticket = out->ticket;
    struct ws_pilot *pilot = ticket->pilot;
    out->send_failures++;
    pilot->broken |= 1u << node;
    ws_agent_send_failed(pilot->agent, send, ticket->id, node, rc, sent_ms,
                         now_ms(pilot));
    pump(pilot);
}

/* Under the lock: the first courier goes out, and when the second one is to follow. */
static int start_courier(struct ws_pilot_flight *out, struct ws_agent_send *send,
                         double *hedge_at_ms, struct ws_error *err)
{
    struct ws_pilot *pilot = out->ticket->pilot;
    size_t node = send->node;
    out->sends++;
    *hedge_at_ms = send->second != WS_NO_NODE ? now_ms(pilot) + send->hedge_ms : INFINITY;
    int rc = send_courier(out->ticket, node, send->timeout_ms, err);
    send->node = WS_NO_NODE;
    send->is_under_way = 1;
    if (rc != 0)
        tell_failure(out, send, node, rc, 0);
    return rc;
}

/* Under the lock: the first has not answered within its time. */
static void start_second(struct ws_pilot_flight *out, struct ws_agent_send *send)
{
    struct ws_pilot *pilot = out->ticket->pilot;
    if (send_courier(out->ticket, send->second, send->timeout_ms, NULL) == 0) {
        ws_agent_hedged(pilot->agent, out->ticket->id, send->second, now_ms(pilot));
        out->sends++;
    }
    send->second = WS_NO_NODE;
}

/* Under the lock: asks as the agent says until somebody gave the tail; 0: somebody did.
 */
static int have_carried(struct ws_pilot_flight *out, struct ws_agent_send *send,
                        struct ws_error *err)
{
    struct ws_pilot_ticket *ticket = out->ticket;
    double hedge_at = INFINITY;
    int rc = WS_E_REMOTE;
    while (send->node != WS_NO_NODE || send->is_under_way) {
        if (send->node != WS_NO_NODE &&
            (rc = start_courier(out, send, &hedge_at, err)) != 0)
            continue;
        struct courier *back = next_back(ticket, hedge_at);
        if (back == NULL) {
            start_second(out, send);
            hedge_at = INFINITY;
            continue;
        }
        rc = back->rc;
        out->node = back->node;
        /* WS_E_END: the other's answer is there, and its courier about to tell. */
        if (rc != 0 && rc != WS_E_END) {
            if (err != NULL)
                *err = back->err;
            hedge_at = INFINITY;
            tell_failure(out, send, back->node, rc,
                         now_ms(ticket->pilot) - back->start_ms);
        }
        free(back);
        if (rc == 0)
            return 0;
    }
    out->node = WS_NO_NODE;
    return rc;
}

/* The same on this thread. */
static int ask_in_turn(struct ws_pilot_flight *out, struct ws_agent_send *send,
                       struct ws_error *err)
{
    struct ws_pilot_ticket *ticket = out->ticket;
    struct ws_pilot *pilot = ticket->pilot;
    while (send->node != WS_NO_NODE) {
        size_t node = send->node;
        double start = now_ms(pilot);
        out->sends++;
        (void)pthread_mutex_unlock(&pilot->lock);
        int rc = ask_node(ticket, node, send->timeout_ms, err);
        (void)pthread_mutex_lock(&pilot->lock);
        if (rc == 0) {
            out->node = node;
            return 0;
        }
        tell_failure(out, send, node, rc, now_ms(pilot) - start);
    }
    return WS_E_REMOTE;
}

/* Under the lock: the tail, elsewhere or here. */
static int get_tail(struct ws_pilot_flight *out, struct ws_error *err)
{
    struct ws_pilot_ticket *ticket = out->ticket;
    struct ws_pilot *pilot = ticket->pilot;
    struct ws_agent_send send;
    ws_agent_head_done(pilot->agent, &send, ticket->id, now_ms(pilot));
    pump(pilot);
    int rc = ticket->copies != NULL ? have_carried(out, &send, err)
                                    : ask_in_turn(out, &send, err);
    if (rc == 0)
        return 0;
    (void)await(ticket); /* LOCAL: the edge is this request's again */
    out->is_fallback = 1;
    (void)pthread_mutex_unlock(&pilot->lock);
    rc = ws_executor_local(ticket->flight, err);
    (void)pthread_mutex_lock(&pilot->lock);
    /* Somebody slow has answered in the meantime: as good. */
    return rc == WS_E_END ? 0 : rc;
}

/* ---- all of it ---- */

static int refusal(const struct ws_agent_action *action,
                   const struct ws_pilot_request *request, struct ws_error *err)
{
    if (action->reason == WS_E_TIMEOUT)
        return ws_error_set(err, WS_E_BUSY,
                            "the deadline of %.3f ms cannot be met: %.3f ms are left and "
                            "%.3f ms foreseen",
                            request->deadline_ms, action->left_ms, action->foreseen_ms);
    return ws_error_set(err, action->reason,
                        "no setting of the plan has an accuracy of %g",
                        request->min_accuracy);
}

/* What the agent learns from: its latency counts from the decision on. */
static void finish(struct ws_pilot_flight *out, const struct ws_pilot_request *request,
                   double run_ms, int rc)
{
    struct ws_pilot_ticket *ticket = out->ticket;
    struct ws_pilot *pilot = ticket->pilot;
    double end = now_ms(pilot);
    if (rc != 0) {
        ws_agent_abort(pilot->agent, ticket->id, end);
        return;
    }
    ws_flight_outcome(&out->outcome, ticket->flight);
    if (out->sends > 1) /* what the other nodes did for it nobody tells */
        out->outcome.known &= ~(1u << WS_CLOUD_ENERGY_J | 1u << WS_ENERGY_J);
    ws_outcome_set(&out->outcome, WS_LATENCY_MS, end - run_ms);
    ws_agent_finish_from(pilot->agent, ticket->id, out->node, &out->outcome, end);
    ws_outcome_set(&out->outcome, WS_LATENCY_MS,
                   (double)(ws_clock_now_ns() - request->received_ns) / 1e6);
    out->flight = ticket->flight;
}

/* Under the lock, from being submitted to being done. */
static int fly(struct ws_pilot_flight *out, const struct ws_pilot_request *request,
               struct ws_error *err)
{
    struct ws_pilot_ticket *ticket = out->ticket;
    struct ws_pilot *pilot = ticket->pilot;
    double received = (double)(request->received_ns - pilot->start_ns) / 1e6;
    double left = request->deadline_ms > 0 ? request->deadline_ms : no_deadline_ms;
    const struct ws_agent_request asked = {ticket->id, received + left,
                                           request->min_accuracy, request->policy};
    int rc = ws_agent_submit(pilot->agent, &asked, now_ms(pilot), err);
    if (rc == 0)
        enlist(ticket);
    if (rc != 0)
        return rc == WS_E_LIMIT ? ws_error_set(err, WS_E_BUSY, "too many requests wait")
                                : rc;
    const struct ws_agent_action action = await(ticket);
    double run_ms = now_ms(pilot);
    out->queue_ms = run_ms - received;
    if (action.verb == WS_AGENT_REFUSE) {
        strike(ticket);
        return refusal(&action, request, err);
    }
    out->decision = action.decision;
    (void)pthread_mutex_unlock(&pilot->lock);
    rc = run_head(out, pilot, request, err);
    (void)pthread_mutex_lock(&pilot->lock);
    if (rc == 0 && !ws_flight_is_done(ticket->flight))
        rc = get_tail(out, err);
    finish(out, request, run_ms, rc);
    strike(ticket);
    pump(pilot);
    return rc;
}

int ws_pilot_fly(struct ws_pilot_flight *out, struct ws_pilot *pilot,
                 const struct ws_pilot_request *request, struct ws_error *err)
{
    *out =
        (struct ws_pilot_flight){.node = WS_NO_NODE, .decision = {.entry = WS_NO_ENTRY}};
    int rc = ticket_create(&out->ticket, pilot, err);
    if (rc == 0 && pilot->options.agent.hedge && pilot->options.node_count > 1)
        rc = copy_inputs(out->ticket, request, err);
    if (rc != 0)
        return rc;
    (void)pthread_mutex_lock(&pilot->lock);
    rc = fly(out, request, err);
    (void)pthread_mutex_unlock(&pilot->lock);
    return rc;
}

void ws_pilot_land(struct ws_pilot *pilot, struct ws_pilot_flight *flight)
{
    if (flight->ticket == NULL)
        return;
    (void)pthread_mutex_lock(&pilot->lock);
    let_go(flight->ticket);
    (void)pthread_mutex_unlock(&pilot->lock);
    *flight = (struct ws_pilot_flight){0};
}

void ws_pilot_wait_landed(struct ws_pilot *pilot)
{
    (void)pthread_mutex_lock(&pilot->lock);
    while (pilot->aloft > 0)
        (void)pthread_cond_wait(&pilot->landed, &pilot->lock);
    (void)pthread_mutex_unlock(&pilot->lock);
}
