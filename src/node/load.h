/*
 * A workload sent to a server of the Open Inference Protocol, as its clients would: each
 * request with its deadline as the `timeout` parameter. Open: at its arrival time,
 * however the server fares, and latency counts from that time, also where all connections
 * are busy. Closed: so many clients, each sending its next when the last came back. What
 * an agent tells of energy in its replies is gathered; whatever it does not tell is
 * unknown. Threads are its own while it runs.
 */
#ifndef WS_NODE_LOAD_H
#define WS_NODE_LOAD_H

#include "core/datum.h"
#include "core/outcome.h"
#include "net/http_client.h"
#include "study/workload.h"
#include "wire/oip_meta.h"

struct ws_load_options {
    const char *url;
    struct ws_http_identity identity; /* to show there */
    const char *model;
    /* One tensor for each of the model's inputs, in its order, sent with every request.
     */
    const struct ws_oip_tensor *inputs;
    size_t input_count;
    const struct ws_workload *workload;
    size_t limit;       /* requests of it; 0: all */
    size_t connections; /* closed: the clients; open: requests at once at most */
    int is_open;
    const char *policy;  /* asked for; NULL: the server's own */
    int64_t patience_ms; /* until a request counts as failed; 0: 60000 */
    /* (optional) Called after each, from any thread, one at a time. */
    void (*progress)(void *user, size_t done, size_t all);
    void *user;
};

/* One request. Latency is the client's, from arrival or sending. */
struct ws_load_record {
    int status;                  /* of HTTP; 0: there was no answer */
    double latency_ms;           /* of any answer */
    struct ws_outcome told;      /* by the agent, as far as it does */
    int is_told;                 /* whether it says where its energies come from */
    int is_fallback;             /* its tail was finished where it was not meant to be */
    char why[WS_ERROR_TEXT_MAX]; /* of a failure or a refusal */
};

struct ws_load_result {
    struct ws_load_record *records; /* [count], in the workload's order; owned */
    size_t count;
    size_t answered, met, refused, failed, fallbacks; /* refused: 503 */
    size_t late;
    double latency_ms[3]; /* p50, p95, p99 of those answered */
    /* Means over those answered, where all tell it; count 0: unknown. */
    double energy_j, edge_energy_j, cloud_energy_j;
    size_t energy_count, edge_energy_count, cloud_energy_count;
    int is_told; /* whether `truth` is known */
    enum ws_truth truth;
    double span_ms;
};

/* The model's own account of itself. `name` NULL: the first that is ready. */
int ws_load_describe(struct ws_oip_model *out, const char *url,
                     const struct ws_http_identity *identity, const char *name,
                     struct ws_error *err);
/* WS_E_IO and others only where nothing could be sent at all. */
int ws_load_run(struct ws_load_result *out, const struct ws_load_options *options,
                struct ws_error *err);
void ws_load_result_fini(struct ws_load_result *result);

#endif
