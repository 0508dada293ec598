#include "replay/fleet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/rng.h"

/* Chunks on their way: those in hand, and late ones that will still be answered. */
enum { FLIGHTS_MAX = 64 * WS_SHARE_NODES_MAX };

struct flight {
    struct ws_dispatch_chunk chunk;
    double answer_s;
};

struct machine {
    const struct ws_dispatch_node *is;
    double factor;
    double link_free_s, free_s;
    int is_dead;      /* answers nothing */
    double noticed_s; /* when the dispatcher learns that; infinite: not to come */
};

struct fleet {
    const struct ws_fleet_options *options;
    struct ws_dispatch *dispatch;
    struct machine machines[WS_SHARE_NODES_MAX];
    struct flight flights[FLIGHTS_MAX];
    size_t flight_count;
    size_t next_event;
    struct ws_rng rng;
    double now_s;
    struct ws_dispatch_state at_death;
    /* Of each input: results kept, and by whom. */
    uint8_t *kept;
    uint8_t (*by)[2];
};

static void launch(struct fleet *fleet, const struct ws_dispatch_chunk *chunk)
{
    struct machine *machine = &fleet->machines[chunk->node];
    const struct ws_dispatch_node *is = machine->is;
    double count = (double)chunk->count, jitter = fleet->options->jitter;
    double compute_s =
        (is->request_s + count * is->levels[chunk->level].image_s) * machine->factor;
    if (jitter > 0)
        compute_s *= exp(jitter * ws_rng_normal(&fleet->rng) - 0.5 * jitter * jitter);
    machine->link_free_s = fmax(fleet->now_s, machine->link_free_s) + count * is->send_s;
    machine->free_s =
        fmax(machine->link_free_s + 0.5 * is->delay_s, machine->free_s) + compute_s;
    if (machine->is_dead || fleet->flight_count == FLIGHTS_MAX)
        return;
    fleet->flights[fleet->flight_count++] =
        (struct flight){*chunk, machine->free_s + 0.5 * is->delay_s};
}

static void land(struct fleet *fleet, size_t index)
{
    struct ws_dispatch_chunk chunk = fleet->flights[index].chunk;
    fleet->flights[index] = fleet->flights[--fleet->flight_count];
    for (size_t i = chunk.first; i < chunk.first + chunk.count; i++) {
        if (!ws_dispatch_wants(fleet->dispatch, i))
            continue;
        fleet->kept[i] = (uint8_t)(fleet->kept[i] + (fleet->kept[i] < UINT8_MAX));
        fleet->by[i][0] = (uint8_t)chunk.node;
        fleet->by[i][1] = (uint8_t)chunk.level;
    }
    ws_dispatch_done(fleet->dispatch, &chunk, fleet->now_s);
}

static void drop_flights(struct fleet *fleet, size_t node)
{
    for (size_t i = fleet->flight_count; i-- > 0;) {
        if (fleet->flights[i].chunk.node == node)
            fleet->flights[i] = fleet->flights[--fleet->flight_count];
    }
}

static void happen(struct fleet *fleet, const struct ws_fleet_event *event)
{
    struct machine *machine = &fleet->machines[event->node];
    switch (event->verb) {
    case WS_FLEET_SLOW:
        machine->factor = event->factor;
        break;
    case WS_FLEET_DIE:
        ws_dispatch_read(&fleet->at_death, fleet->dispatch);
        machine->is_dead = 1;
        machine->noticed_s = fleet->now_s + fleet->options->detect_s;
        drop_flights(fleet, event->node);
        break;
    case WS_FLEET_LEAVE:
        drop_flights(fleet, event->node);
        ws_dispatch_leave(fleet->dispatch, event->node, fleet->now_s);
        break;
    case WS_FLEET_JOIN:
        machine->is_dead = 0;
        machine->noticed_s = INFINITY;
        machine->link_free_s = machine->free_s = fleet->now_s;
        ws_dispatch_join(fleet->dispatch, event->node, fleet->now_s);
        break;
    }
}

/* Goes on to the next thing that happens; 0 where nothing will. */
static int step(struct fleet *fleet)
{
    const struct ws_fleet_options *options = fleet->options;
    double wake_s = ws_dispatch_wake_s(fleet->dispatch), at_s = wake_s;
    size_t flight = fleet->flight_count, dead = WS_SHARE_NODES_MAX;
    for (size_t i = 0; i < fleet->flight_count; i++) {
        if (fleet->flights[i].answer_s <= at_s) {
            at_s = fleet->flights[i].answer_s;
            flight = i;
        }
    }
    for (size_t i = 0; i < options->dispatch->node_count; i++) {
        if (fleet->machines[i].noticed_s < at_s) {
            at_s = fleet->machines[i].noticed_s;
            dead = i;
        }
    }
    if (fleet->next_event < options->event_count &&
        options->events[fleet->next_event].at_s <= at_s) {
        const struct ws_fleet_event *event = &options->events[fleet->next_event++];
        fleet->now_s = fmax(fleet->now_s, event->at_s);
        happen(fleet, event);
        return 1;
    }
    if (isinf(at_s))
        return 0;
    fleet->now_s = fmax(fleet->now_s, at_s);
    if (dead < WS_SHARE_NODES_MAX) {
        fleet->machines[dead].noticed_s = INFINITY;
        ws_dispatch_leave(fleet->dispatch, dead, fleet->now_s);
    } else if (flight < fleet->flight_count) {
        land(fleet, flight);
    } else {
        ws_dispatch_tick(fleet->dispatch, fleet->now_s);
    }
    return 1;
}

static void count_results(struct ws_fleet_outcome *out, const struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->options->dispatch->images; i++) {
        size_t node = 0, level = 0;
        int is_known = ws_dispatch_result(&node, &level, fleet->dispatch, i) == 0;
        out->lost += fleet->kept[i] == 0;
        out->doubled += fleet->kept[i] > 1;
        out->wrong += (fleet->kept[i] > 0) != is_known ||
                      (is_known && (fleet->by[i][0] != node || fleet->by[i][1] != level));
    }
}

static void run(struct ws_fleet_outcome *out, struct fleet *fleet)
{
    struct ws_dispatch_chunk chunk;
    int goes_on = 1;
    while (goes_on && !ws_dispatch_is_finished(fleet->dispatch)) {
        for (size_t i = 0; i < fleet->options->dispatch->node_count; i++) {
            while (ws_dispatch_next(fleet->dispatch, &chunk, i, fleet->now_s))
                launch(fleet, &chunk);
        }
        goes_on = step(fleet);
    }
    *out = (struct ws_fleet_outcome){.time_s = fleet->now_s,
                                     .at_death = fleet->at_death,
                                     .plan = *ws_dispatch_plan(fleet->dispatch)};
    out->plan.counts = NULL;
    ws_dispatch_read(&out->state, fleet->dispatch);
    count_results(out, fleet);
}

int ws_fleet_run(struct ws_fleet_outcome *out, const struct ws_fleet_options *options,
                 struct ws_error *err)
{
    size_t images = options->dispatch->images;
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    if (fleet == NULL)
        return ws_error_nomem(err);
    fleet->options = options;
    ws_rng_init(&fleet->rng, options->seed);
    int rc = ws_dispatch_create(&fleet->dispatch, options->dispatch, 0.0, err);
    if (rc == 0) {
        fleet->kept = calloc(images, sizeof(*fleet->kept));
        fleet->by = calloc(images, sizeof(*fleet->by));
        if (fleet->kept == NULL || fleet->by == NULL)
            rc = ws_error_nomem(err);
    }
    for (size_t i = 0; rc == 0 && i < options->dispatch->node_count; i++)
        fleet->machines[i] =
            (struct machine){.is = options->truth != NULL ? &options->truth[i]
                                                          : &options->dispatch->nodes[i],
                             .factor = 1.0,
                             .noticed_s = INFINITY};
    if (rc == 0)
        run(out, fleet);
    ws_dispatch_destroy(fleet->dispatch);
    free(fleet->kept);
    free(fleet->by);
    free(fleet);
    return rc;
}
