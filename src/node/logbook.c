#include "node/logbook.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/oip_tensor.h"

/* From a small network on a fast machine to a large one on a slow one; in seconds. */
static const double seconds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03,
                                 0.05,   0.075, 0.1,   0.15,  0.2,  0.3,  0.5,
                                 0.75,   1,     2,     5,     10};

enum family {
    REQUESTS,
    REQUEST_SECONDS,
    ENERGY,
    SETTINGS,
    DECISIONS,
    FALLBACKS,
    SENDS,
    SEND_FAILURES,
    RELOADS,
    BUILD,
    STARTED,
    QUEUE,
    IN_FLIGHT,
    SWITCHES,
    EDGE_SCALE,
    NODE_UP,
    NODE_OPENED,
    NODE_IN_FLIGHT,
    NODE_SCALE,
    LINK_RATE,
    LINK_DELAY,
    LINK_SPREAD,
    LINK_AGE,
    FAMILY_COUNT
};

static const struct ws_metric_spec specs[FAMILY_COUNT] = {
    [REQUESTS] = {.kind = WS_METRIC_COUNTER,
                  .name = "wattshed_requests",
                  .help = "Requests by policy and by how they ended: met, late, "
                          "no_deadline, refused, failed.",
                  .labels = {"policy", "result"}},
    [REQUEST_SECONDS] = {.kind = WS_METRIC_HISTOGRAM,
                         .name = "wattshed_request_seconds",
                         .help = "Time of answered requests, whole and by part.",
                         .labels = {"part"},
                         .buckets = seconds,
                         .bucket_count = sizeof(seconds) / sizeof(seconds[0])},
    [ENERGY] = {.kind = WS_METRIC_COUNTER,
                .name = "wattshed_energy_joules",
                .help = "Energy of answered requests by part, by what it counts, and "
                        "whether measured, recorded or modelled.",
                .labels = {"part", "boundary", "truth"}},
    [SETTINGS] = {.kind = WS_METRIC_COUNTER,
                  .name = "wattshed_setting_requests",
                  .help = "Requests by the value that a knob was set to for them.",
                  .labels = {"knob", "value"}},
    [DECISIONS] = {.kind = WS_METRIC_COUNTER,
                   .name = "wattshed_decisions",
                   .help = "Decisions by policy and by whether an entry of the plan was "
                           "chosen or a baseline outside it.",
                   .labels = {"policy", "of"}},
    [FALLBACKS] = {.kind = WS_METRIC_COUNTER,
                   .name = "wattshed_fallbacks",
                   .help = "Tails meant for a node and finished on the edge."},
    [SENDS] = {.kind = WS_METRIC_COUNTER,
               .name = "wattshed_sends",
               .help = "Tails that nodes were asked for, hedges included."},
    [SEND_FAILURES] = {.kind = WS_METRIC_COUNTER,
                       .name = "wattshed_send_failures",
                       .help = "Of those, the ones that a node did not give in time."},
    [RELOADS] = {.kind = WS_METRIC_COUNTER,
                 .name = "wattshed_reloads",
                 .help = "How often plan and configuration were loaded anew."},
    [BUILD] = {.kind = WS_METRIC_GAUGE,
               .name = "wattshed_build_info",
               .help = "The program's version.",
               .labels = {"version"}},
    [STARTED] = {.kind = WS_METRIC_GAUGE,
                 .name = "process_start_time_seconds",
                 .help = "When this process started, since 1970."},
    [QUEUE] = {.kind = WS_METRIC_GAUGE,
               .name = "wattshed_queue_requests",
               .help = "Requests that wait for the edge."},
    [IN_FLIGHT] = {.kind = WS_METRIC_GAUGE,
                   .name = "wattshed_in_flight_requests",
                   .help = "Requests in any phase."},
    [SWITCHES] = {.kind = WS_METRIC_GAUGE,
                  .name = "wattshed_hardware_switches",
                  .help =
                      "How often the hardware was switched since the plan was loaded."},
    [EDGE_SCALE] = {.kind = WS_METRIC_GAUGE,
                    .name = "wattshed_edge_scale_ratio",
                    .help = "Time of the edge part over the plan's, as learnt."},
    [NODE_UP] = {.kind = WS_METRIC_GAUGE,
                 .name = "wattshed_node_up",
                 .help = "Whether the node's circuit breaker is closed.",
                 .labels = {"node"}},
    [NODE_OPENED] = {.kind = WS_METRIC_GAUGE,
                     .name = "wattshed_node_breaker_openings",
                     .help = "How often it opened since the plan was loaded.",
                     .labels = {"node"}},
    [NODE_IN_FLIGHT] = {.kind = WS_METRIC_GAUGE,
                        .name = "wattshed_node_in_flight_requests",
                        .help = "Tails under way there.",
                        .labels = {"node"}},
    [NODE_SCALE] = {.kind = WS_METRIC_GAUGE,
                    .name = "wattshed_node_scale_ratio",
                    .help = "Time of the cloud part there over the plan's, as learnt.",
                    .labels = {"node"}},
    [LINK_RATE] = {.kind = WS_METRIC_GAUGE,
                   .name = "wattshed_link_bytes_per_second",
                   .help = "Rate of the link to the node, as estimated.",
                   .labels = {"node"}},
    [LINK_DELAY] = {.kind = WS_METRIC_GAUGE,
                    .name = "wattshed_link_delay_seconds",
                    .help = "Its delay, one way.",
                    .labels = {"node"}},
    [LINK_SPREAD] = {.kind = WS_METRIC_GAUGE,
                     .name = "wattshed_link_spread_ratio",
                     .help = "Standard deviation of a transfer's time over its mean.",
                     .labels = {"node"}},
    [LINK_AGE] = {.kind = WS_METRIC_GAUGE,
                  .name = "wattshed_link_age_seconds",
                  .help = "Time since the link was last observed.",
                  .labels = {"node"}},
};

struct ws_logbook {
    struct ws_metrics *metrics;
    struct ws_metric *families[FAMILY_COUNT];
};

int ws_logbook_create(struct ws_logbook **out, struct ws_error *err)
{
    static const char *const version[] = {WS_VERSION};
    struct ws_logbook *logbook = calloc(1, sizeof(*logbook));
    if (logbook == NULL)
        return ws_error_nomem(err);
    int rc = ws_metrics_create(&logbook->metrics, err);
    for (size_t f = 0; rc == 0 && f < FAMILY_COUNT; f++)
        rc = ws_metrics_add(&logbook->families[f], logbook->metrics, &specs[f], err);
    if (rc != 0) {
        ws_logbook_destroy(logbook);
        return rc;
    }
    ws_metric_set(logbook->families[BUILD], version, 1);
    ws_metric_set(logbook->families[STARTED], NULL, ws_clock_wall_s());
    /* What is counted from the start on is there from the start on. */
    static const enum family zeros[] = {FALLBACKS, SENDS, SEND_FAILURES, RELOADS};
    for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
        ws_metric_count(logbook->families[zeros[i]], NULL, 0);
    *out = logbook;
    return 0;
}

void ws_logbook_destroy(struct ws_logbook *logbook)
{
    if (logbook == NULL)
        return;
    ws_metrics_destroy(logbook->metrics);
    free(logbook);
}

void ws_logbook_reload(struct ws_logbook *logbook)
{
    ws_metric_count(logbook->families[RELOADS], NULL, 1);
}

/* ---- one request ---- */

static const char *result_of(const struct ws_logbook_entry *entry)
{
    const struct ws_outcome *outcome = &entry->flight->outcome;
    if (entry->rc != 0)
        return entry->rc == WS_E_BUSY ? "refused" : "failed";
    if (!(entry->request->deadline_ms > 0))
        return "no_deadline";
    return outcome->value[WS_LATENCY_MS] <= entry->request->deadline_ms ? "met" : "late";
}

static void observe_part(struct ws_logbook *logbook, const char *part, double ms)
{
    const char *const labels[] = {part};
    ws_metric_observe(logbook->families[REQUEST_SECONDS], labels, ms / 1e3);
}

static void observe_known(struct ws_logbook *logbook, const char *part,
                          const struct ws_outcome *outcome, enum ws_measure measure)
{
    double ms;
    if (ws_outcome_get(&ms, outcome, measure) == 0)
        observe_part(logbook, part, ms);
}

static void count_joules(struct ws_logbook *logbook, const char *part,
                         const char *boundary, const struct ws_outcome *outcome,
                         enum ws_measure measure)
{
    double joules;
    const char *const labels[] = {part, boundary, ws_truth_name(outcome->truth)};
    if (ws_outcome_get(&joules, outcome, measure) == 0 && joules > 0)
        ws_metric_count(logbook->families[ENERGY], labels, joules);
}

static void count_setting(struct ws_logbook *logbook, const struct ws_space *space,
                          const struct ws_setting *setting)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        const char *const labels[] = {knob->name, knob->values[setting->value[k]].text};
        ws_metric_count(logbook->families[SETTINGS], labels, 1);
    }
}

static void log_request(const struct ws_logbook_entry *entry)
{
    struct ws_buf line;
    if (!ws_log_enabled(WS_LOG_DEBUG))
        return;
    ws_buf_init(&line, 0);
    int rc = ws_buf_printf(&line, NULL, "\"result\":\"%s\",\"deadline_ms\":%.3f",
                           result_of(entry), entry->request->deadline_ms);
    if (rc == 0 && entry->id != NULL) {
        rc = ws_buf_add_text(&line, ",\"id\":", NULL);
        if (rc == 0)
            rc = ws_oip_add_quoted(&line, entry->id, NULL);
    }
    if (rc == 0 && entry->rc != 0) {
        rc = ws_buf_add_text(&line, ",\"error\":", NULL);
        if (rc == 0)
            rc = ws_oip_add_quoted(&line, entry->why, NULL);
    } else if (rc == 0) {
        rc = ws_buf_add_text(&line, ",", NULL);
        if (rc == 0)
            rc = ws_logbook_tell(&line, entry, NULL);
    }
    if (rc == 0)
        ws_log(WS_LOG_DEBUG, "request {%s}", line.data);
    ws_buf_fini(&line);
}

void ws_logbook_add(struct ws_logbook *logbook, const struct ws_logbook_entry *entry)
{
    const struct ws_pilot_flight *flight = entry->flight;
    const struct ws_outcome *outcome = &flight->outcome;
    const char *const labels[] = {entry->policy, result_of(entry)};
    ws_metric_count(logbook->families[REQUESTS], labels, 1);
    log_request(entry);
    if (flight->sends > 0)
        ws_metric_count(logbook->families[SENDS], NULL, flight->sends);
    if (flight->send_failures > 0)
        ws_metric_count(logbook->families[SEND_FAILURES], NULL, flight->send_failures);
    if (entry->rc != 0)
        return;
    const char *const of[] = {entry->policy,
                              flight->decision.entry == (size_t)-1 ? "baseline" : "plan"};
    ws_metric_count(logbook->families[DECISIONS], of, 1);
    count_setting(logbook, &ws_pilot_options(entry->pilot)->plan->space,
                  &flight->decision.setting);
    if (flight->is_fallback)
        ws_metric_count(logbook->families[FALLBACKS], NULL, 1);
    observe_known(logbook, "total", outcome, WS_LATENCY_MS);
    observe_part(logbook, "queue", flight->queue_ms);
    observe_part(logbook, "switch", flight->switch_ms);
    observe_known(logbook, "edge", outcome, WS_EDGE_MS);
    observe_known(logbook, "transfer", outcome, WS_TRANSFER_MS);
    observe_known(logbook, "cloud", outcome, WS_CLOUD_MS);
    count_joules(logbook, "edge", entry->boundary, outcome, WS_EDGE_ENERGY_J);
    count_joules(logbook, "transfer", entry->boundary, outcome, WS_TRANSFER_ENERGY_J);
    count_joules(logbook, "cloud", "node", outcome, WS_CLOUD_ENERGY_J);
}

int ws_logbook_tell(struct ws_buf *out, const struct ws_logbook_entry *entry,
                    struct ws_error *err)
{
    const struct ws_pilot_options *options = ws_pilot_options(entry->pilot);
    const struct ws_space *space = &options->plan->space;
    const struct ws_pilot_flight *flight = entry->flight;
    const struct ws_outcome *outcome = &flight->outcome;
    int rc = ws_buf_printf(out, err,
                           "\"policy\":\"%s\",\"queue_ms\":%.6g,"
                           "\"switch_ms\":%.6g,\"fallback\":%s,\"sends\":%u",
                           entry->policy, flight->queue_ms, flight->switch_ms,
                           flight->is_fallback ? "true" : "false", flight->sends);
    if (rc == 0 && entry->request->deadline_ms > 0)
        rc = ws_buf_printf(out, err, ",\"met\":%s",
                           result_of(entry)[0] == 'm' ? "true" : "false");
    if (rc == 0 && flight->node != WS_NO_NODE) {
        rc = ws_buf_add_text(out, ",\"node\":", err);
        if (rc == 0)
            rc = ws_oip_add_quoted(out, options->nodes[flight->node], err);
    }
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++) {
        const struct ws_knob *knob = &space->knobs[k];
        rc = ws_buf_printf(out, err, ",\"setting.%s\":", knob->name);
        if (rc == 0)
            rc = ws_oip_add_quoted(
                out, knob->values[flight->decision.setting.value[k]].text, err);
    }
    double value;
    int has_energy = 0;
    if (rc == 0 && ws_flight_attention(&value, flight->flight, NULL) == 0)
        rc = ws_buf_printf(out, err, ",\"attention\":%.6g", value);
    for (int m = 0; rc == 0 && m < WS_MEASURE_COUNT; m++) {
        if (ws_outcome_get(&value, outcome, (enum ws_measure)m) != 0 || !isfinite(value))
            continue;
        rc = ws_buf_printf(out, err, ",\"%s\":%.9g", ws_measure_name((enum ws_measure)m),
                           value);
        has_energy |= m == WS_ENERGY_J || m == WS_EDGE_ENERGY_J ||
                      m == WS_TRANSFER_ENERGY_J || m == WS_CLOUD_ENERGY_J;
    }
    if (rc == 0 && has_energy)
        rc = ws_buf_printf(out, err, ",\"truth\":\"%s\"", ws_truth_name(outcome->truth));
    return rc;
}

/* ---- the state of the moment ---- */

static void set_node(struct ws_logbook *logbook, const char *url,
                     const struct ws_agent_node *node)
{
    const char *const labels[] = {url};
    struct ws_metric *const *f = logbook->families;
    ws_metric_set(f[NODE_UP], labels, node->breaker == WS_BREAKER_CLOSED);
    ws_metric_set(f[NODE_OPENED], labels, (double)node->opened);
    ws_metric_set(f[NODE_IN_FLIGHT], labels, (double)node->in_flight);
    ws_metric_set(f[NODE_SCALE], labels, node->cloud_scale);
    if (node->mbit_s > 0)
        ws_metric_set(f[LINK_RATE], labels, node->mbit_s * 1e6 / 8);
    ws_metric_set(f[LINK_DELAY], labels, node->delay_ms / 1e3);
    ws_metric_set(f[LINK_SPREAD], labels, node->spread);
    ws_metric_set(f[LINK_AGE], labels, node->age_ms / 1e3);
}

int ws_logbook_write(struct ws_buf *out, struct ws_logbook *logbook,
                     struct ws_pilot *pilot, struct ws_error *err)
{
    struct ws_agent_state state;
    struct ws_agent_node nodes[WS_AGENT_NODES_MAX];
    const struct ws_pilot_options *options = ws_pilot_options(pilot);
    double now_ms;
    const struct ws_agent *agent = ws_pilot_lock(pilot, &now_ms);
    ws_agent_get_state(&state, agent, now_ms);
    for (size_t n = 0; n < options->node_count; n++)
        ws_agent_get_node(&nodes[n], agent, n, now_ms);
    ws_pilot_unlock(pilot);
    for (int f = NODE_UP; f <= LINK_AGE; f++)
        ws_metric_clear(logbook->families[f]);
    for (size_t n = 0; n < options->node_count; n++)
        set_node(logbook, options->nodes[n], &nodes[n]);
    ws_metric_set(logbook->families[QUEUE], NULL, (double)state.waiting);
    ws_metric_set(logbook->families[IN_FLIGHT], NULL, (double)state.in_flight);
    ws_metric_set(logbook->families[SWITCHES], NULL, (double)state.switches);
    ws_metric_set(logbook->families[EDGE_SCALE], NULL, state.situation.edge_scale);
    return ws_metrics_write(out, logbook->metrics, err);
}
