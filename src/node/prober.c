#include "node/prober.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "device/health.h"
#include "net/http_client.h"

enum {
    PROBE_BYTES = 16 << 10,
    CONNECT_MS = 1000,
    ANSWER_MS = 2000,
};

static int exchange(double *out_ms, struct ws_http_client *client,
                    const struct ws_http_call *call)
{
    struct ws_http_answer answer;
    int64_t start = ws_clock_now_ns();
    int rc = ws_http_client_call(&answer, client, call, NULL);
    *out_ms = (double)(ws_clock_now_ns() - start) / 1e6;
    /* A server that is being stopped says so. */
    return rc == 0 && answer.status == 503 ? WS_E_BUSY : rc;
}

/* Asking for the index takes any JSON, so blanks make it as large as it has to be; a
 * server that does not know the path has received it all the same. */
static int probe(double *took_ms, const char *url,
                 const struct ws_http_identity *identity)
{
    char body[PROBE_BYTES];
    static const char wanted[] = "{\"ready\":true}";
    const struct ws_oip_part part = {body, sizeof(body)};
    const struct ws_http_call ready = {.method = "GET", .path = "/v2/health/ready"};
    const struct ws_http_call index = {.method = "POST",
                                       .path = "/v2/repository/index",
                                       .parts = &part,
                                       .part_count = 1};
    const struct ws_http_client_options options = {
        .identity = *identity, .connect_timeout_ms = CONNECT_MS, .timeout_ms = ANSWER_MS};
    struct ws_http_client *client = NULL;
    memset(body, ' ', sizeof(body));
    memcpy(body, wanted, sizeof(wanted) - 1);
    int rc = ws_http_client_create(&client, url, &options, NULL);
    /* The first one connects, and what is timed is not that. */
    if (rc == 0)
        rc = exchange(took_ms, client, &ready);
    if (rc == 0)
        rc = exchange(took_ms, client, &index);
    ws_http_client_destroy(client);
    return rc;
}

int ws_prober_step(struct ws_pilot *pilot)
{
    double now_ms, took_ms = 0;
    size_t node = 0;
    struct ws_agent *agent = ws_pilot_lock(pilot, &now_ms);
    int is_due = ws_agent_probe(agent, &node, now_ms);
    ws_pilot_unlock(pilot);
    if (!is_due)
        return 0;
    const struct ws_pilot_options *options = ws_pilot_options(pilot);
    int rc = probe(&took_ms, options->nodes[node], &options->identity);
    agent = ws_pilot_lock(pilot, &now_ms);
    ws_agent_probed(agent, node, rc, PROBE_BYTES, took_ms, now_ms);
    ws_pilot_unlock(pilot);
    if (rc == 0)
        (void)ws_executor_warm(options->executor, options->nodes[node], ANSWER_MS, NULL);
    return 1;
}

void ws_prober_connect(struct ws_pilot *pilot)
{
    const struct ws_pilot_options *options = ws_pilot_options(pilot);
    size_t n = 0;
    while (n < options->node_count && !ws_pilot_take_broken(pilot, n))
        n++;
    if (n < options->node_count)
        (void)ws_executor_warm(options->executor, options->nodes[n], ANSWER_MS, NULL);
}

void ws_prober_look(struct ws_pilot *pilot, const struct ws_sysfs *fs)
{
    struct ws_conditions edge = {0};
    struct ws_health health;
    double hottest = -INFINITY, now_ms;
    if (fs != NULL && ws_health_read(&health, fs, NULL) == 0) {
        for (size_t i = 0; i < health.temperature_count; i++)
            hottest = fmax(hottest, health.temperatures[i].celsius);
        if (health.temperature_count > 0)
            ws_conditions_set(&edge, WS_TEMPERATURE_C, hottest);
    }
    double battery;
    if (fs != NULL && ws_health_battery(&battery, fs) == 0)
        ws_conditions_set(&edge, WS_BATTERY, battery);
    struct ws_agent *agent = ws_pilot_lock(pilot, &now_ms);
    ws_agent_note_edge(agent, &edge, 0);
    ws_pilot_unlock(pilot);
}
