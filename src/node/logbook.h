/*
 * What the edge daemon tells of itself: the metrics of every request, the state of its
 * agent when it is asked for, a request's reply parameters and its log line. Thread-safe.
 */
#ifndef WS_NODE_LOGBOOK_H
#define WS_NODE_LOGBOOK_H

#include "node/metrics.h"
#include "node/pilot.h"

struct ws_logbook;

int ws_logbook_create(struct ws_logbook **out, struct ws_error *err);
/* Takes NULL. */
void ws_logbook_destroy(struct ws_logbook *logbook);

/* One request that has ended; rc as of ws_pilot_fly. */
struct ws_logbook_entry {
    const struct ws_pilot *pilot;
    const struct ws_pilot_request *request;
    const struct ws_pilot_flight *flight;
    const char *policy;
    const char *boundary;
    const char *id; /* the client's; NULL: none */
    int rc;
    const char *why; /* of a failure */
};
void ws_logbook_add(struct ws_logbook *logbook, const struct ws_logbook_entry *entry);
/* Another crew is at work. */
void ws_logbook_reload(struct ws_logbook *logbook);

/* All metrics, the agent's state of this moment included. */
int ws_logbook_write(struct ws_buf *out, struct ws_logbook *logbook,
                     struct ws_pilot *pilot, struct ws_error *err);

/* `"key":value,...`: setting and outcome, for the reply's parameters. */
int ws_logbook_tell(struct ws_buf *out, const struct ws_logbook_entry *entry,
                    struct ws_error *err);

#endif
