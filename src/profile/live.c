#include "profile/live.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/health.h"

/* Work that took this much longer than modelled is no sample of the emulated edge. What
 * is next to nothing there may be next to nothing here. */
static const double late_share = 0.02, late_least_ms = 0.2;

struct live {
    struct ws_rig base;
    struct ws_live_options options;
    struct ws_flight *held; /* with its tensors in hand; NULL: none */
    struct ws_setting held_setting;
};

static int live_has(struct ws_rig *rig, const struct ws_setting *setting)
{
    return ws_executor_has(((struct live *)rig)->options.executor, setting);
}

static uint32_t live_sides(struct ws_rig *rig, const struct ws_setting *setting)
{
    struct ws_executor_place place = {.has_tail = 1};
    (void)ws_executor_locate(&place, ((struct live *)rig)->options.executor, setting,
                             NULL);
    return place.has_tail ? WS_SIDES_EDGE | WS_SIDES_AWAY : WS_SIDES_EDGE;
}

static void let_go(struct live *live)
{
    ws_flight_destroy(live->held);
    live->held = NULL;
}

/* The node's knobs too: the slower of the two machines is waited for. */
static int apply_machine(struct ws_executor_applied *applied, struct live *live,
                         const struct ws_setting *setting, struct ws_error *err)
{
    double switch_ms = 0;
    int is_exact = 1;
    char reason[sizeof(applied->reason)] = "";
    int rc = ws_machine_set(&switch_ms, &is_exact, reason, sizeof(reason),
                            live->options.machine, live->base.space, setting,
                            "wattshed profile", err);
    if (rc != 0)
        return rc;
    applied->switch_ms = fmax(applied->switch_ms, switch_ms);
    if (!is_exact) {
        applied->is_exact = 0;
        (void)snprintf(applied->reason, sizeof(applied->reason), "the node: %.200s",
                       reason);
    }
    return 0;
}

static int live_apply(struct ws_rig *rig, struct ws_executor_applied *out,
                      const struct ws_setting *setting, struct ws_error *err)
{
    struct live *live = (struct live *)rig;
    let_go(live);
    int rc = ws_executor_apply(out, live->options.executor, setting, err);
    if (rc == 0 && live->options.machine != NULL)
        rc = apply_machine(out, live, setting, err);
    return rc == 0 ? ws_executor_prepare(live->options.executor, setting, 0, err) : rc;
}

static int fly(struct live *live, const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_executor_place place;
    int rc = ws_executor_locate(&place, live->options.executor, setting, err);
    let_go(live);
    if (rc == 0)
        rc = ws_executor_head(&live->held, live->options.executor, setting,
                              live->options.inputs[place.head_variant], err);
    live->held_setting = *setting;
    return rc;
}

static int is_late(const struct live *live, double edge_ms)
{
    double late_ms = (double)ws_flight_late_ns(live->held) / 1e6;
    return late_ms > fmax(late_share * (edge_ms - late_ms), late_least_ms);
}

static int take_edge(struct ws_rig_sample *out, const struct live *live,
                     struct ws_error *err)
{
    out->ms[WS_SIDE_EDGE] = ws_flight_head_ms(live->held);
    out->is_late = is_late(live, out->ms[WS_SIDE_EDGE]);
    int rc = ws_flight_head_energy(&out->energy_j[WS_SIDE_EDGE], live->held, err);
    if (rc == 0)
        out->energy_known |= WS_SIDES_EDGE;
    return rc == WS_E_UNKNOWN ? 0 : rc;
}

/* Has the node answer; what the flight came to then. */
static int ask_node(struct ws_outcome *outcome, struct ws_rig_sample *out,
                    const struct live *live, struct ws_error *err)
{
    int rc =
        ws_executor_remote(live->held, live->options.url, live->options.timeout_ms, err);
    if (rc != 0)
        return rc;
    ws_flight_outcome(outcome, live->held);
    if (ws_outcome_get(&out->ms[WS_SIDE_CLOUD], outcome, WS_CLOUD_MS) != 0)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "%s does not tell its times, so its part cannot be told from "
                            "the link's",
                            live->options.url);
    out->bytes = outcome->value[WS_TENSOR_BYTES];
    if (ws_outcome_get(&out->energy_j[WS_SIDE_CLOUD], outcome, WS_CLOUD_ENERGY_J) == 0)
        out->energy_known |= 1u << WS_SIDE_CLOUD;
    return 0;
}

/* The exchange, and what is done here for it: coding the message is the transfer's. */
static int take_away(struct ws_rig_sample *out, const struct live *live,
                     struct ws_error *err)
{
    struct ws_outcome outcome;
    int rc = ask_node(&outcome, out, live, err);
    if (rc == 0)
        out->ms[WS_SIDE_TRANSFER] = outcome.value[WS_LATENCY_MS] -
                                    outcome.value[WS_CLOUD_MS] -
                                    ws_flight_head_ms(live->held);
    return rc;
}

/* All of a request whose sides run at once. The edge worked on after its head, so that
 * its time and what it drew are the whole flight's, without what it only waited. */
static int take_whole(struct ws_rig_sample *out, const struct live *live,
                      struct ws_error *err)
{
    struct ws_outcome outcome;
    double edge_j = 0;
    int rc = ask_node(&outcome, out, live, err);
    if (rc != 0)
        return rc;
    out->ms[WS_SIDE_EDGE] = outcome.value[WS_EDGE_MS];
    out->ms[WS_SIDE_TRANSFER] = outcome.value[WS_TRANSFER_MS];
    (void)ws_outcome_get(&out->beside_ms, &outcome, WS_BESIDE_MS);
    out->is_late = is_late(live, out->ms[WS_SIDE_EDGE]);
    if (ws_outcome_get(&edge_j, &outcome, WS_EDGE_ENERGY_J) == 0) {
        double away_ms = out->ms[WS_SIDE_TRANSFER] + out->ms[WS_SIDE_CLOUD];
        double waited_ms = ws_outcome_added_ms(&outcome, away_ms);
        out->energy_j[WS_SIDE_EDGE] = edge_j - live->base.edge_idle_w * waited_ms / 1000;
        out->energy_known |= WS_SIDES_EDGE;
    }
    return 0;
}

static int live_sample(struct ws_rig *rig, struct ws_rig_sample *out,
                       const struct ws_setting *setting, uint32_t sides,
                       const uint64_t index[WS_SIDE_COUNT], struct ws_error *err)
{
    struct live *live = (struct live *)rig;
    struct ws_rig_sample sample = {0};
    int rc = 0;
    (void)index; /* the machines draw */
    int is_held =
        live->held != NULL && memcmp(setting, &live->held_setting, sizeof(*setting)) == 0;
    if ((sides & WS_SIDES_EDGE) != 0 || !is_held)
        rc = fly(live, setting, err);
    else
        ws_executor_again(live->held);
    int is_away = (sides & WS_SIDES_AWAY) != 0;
    if (rc == 0 && is_away && rig->is_whole) {
        rc = take_whole(&sample, live, err);
    } else {
        if (rc == 0 && (sides & WS_SIDES_EDGE) != 0)
            rc = take_edge(&sample, live, err);
        if (rc == 0 && is_away)
            rc = take_away(&sample, live, err);
    }
    if (rc == 0)
        *out = sample;
    return rc;
}

static int live_trouble(struct ws_rig *rig, char *out, size_t size)
{
    const struct live *live = (struct live *)rig;
    static const char past[] = "since boot";
    struct ws_health *health = NULL;
    int found = 0;
    if (live->options.fs == NULL || (health = malloc(sizeof(*health))) == NULL)
        return 0;
    if (ws_health_read(health, live->options.fs, NULL) == 0) {
        for (size_t i = 0; !found && i < health->limit_count; i++) {
            if (strncmp(health->limits[i], past, sizeof(past) - 1) == 0)
                continue;
            (void)snprintf(out, size, "%s", health->limits[i]);
            found = 1;
        }
    }
    free(health);
    return found;
}

static void live_conditions(struct ws_rig *rig, struct ws_conditions *out)
{
    const struct live *live = (struct live *)rig;
    double hottest = -INFINITY;
    *out = live->options.link;
    struct ws_health *health = live->options.fs != NULL ? malloc(sizeof(*health)) : NULL;
    if (health != NULL && ws_health_read(health, live->options.fs, NULL) == 0) {
        for (size_t i = 0; i < health->temperature_count; i++)
            hottest = fmax(hottest, health->temperatures[i].celsius);
    }
    free(health);
    if (isfinite(hottest))
        ws_conditions_set(out, WS_TEMPERATURE_C, hottest);
}

static void live_destroy(struct ws_rig *rig)
{
    let_go((struct live *)rig);
    free(rig);
}

static const struct ws_rig_ops ops = {
    .has = live_has,
    .sides = live_sides,
    .apply = live_apply,
    .sample = live_sample,
    .trouble = live_trouble,
    .conditions = live_conditions,
    .destroy = live_destroy,
};

int ws_live_create(struct ws_rig **out, const struct ws_live_options *options,
                   struct ws_error *err)
{
    struct live *live = calloc(1, sizeof(*live));
    if (live == NULL)
        return ws_error_nomem(err);
    live->base =
        (struct ws_rig){.ops = &ops,
                        .space = options->space,
                        .truth = options->is_emulated ? WS_MODELLED : WS_MEASURED,
                        .metered = options->metered,
                        .edge_idle_w = options->edge_idle_w,
                        .is_whole = ws_executor_halves(options->executor) != NULL};
    live->options = *options;
    *out = &live->base;
    return 0;
}
