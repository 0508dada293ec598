/*
 * The edge daemon: an agent with its executor behind the Open Inference Protocol, so that
 * clients see one model like any other. A request's deadline is the standard `timeout`
 * parameter (microseconds from its arrival), `min_accuracy` and `policy` are parameters
 * too; the reply's parameters tell the setting and what it came to, by part. A batch with
 * the parameter `images_per_s` or `minimise` is shared among a cluster instead. What
 * serves (plan, executor, nodes) is a crew and can be replaced while requests come: those
 * under way end with the old one, the others wait for the new. Nodes are probed, the
 * edge's temperature and memory looked at, from a thread of its own.
 */
#ifndef WS_NODE_SERVE_H
#define WS_NODE_SERVE_H

#include "device/sysfs.h"
#include "net/guard.h"
#include "node/batcher.h"
#include "node/pilot.h"

struct ws_serve;

/* Plan, executor, nodes and all that they point to; freed by `retire` once the last
 * request that used them is answered. */
struct ws_serve_crew {
    struct ws_pilot_options pilot;
    const char *name;           /* of the model, to clients */
    const char *boundary;       /* what the edge's energy counts, for the metrics */
    struct ws_batcher *batcher; /* for batches; NULL: they are refused */
    void *owner;
    void (*retire)(void *owner);
};

struct ws_serve_options {
    struct ws_guard_options guard; /* open_rights is not looked at */
    size_t body_max;               /* 0: WS_OIP_BODY_MAX */
    unsigned idle_s;               /* 0: 60 */
    unsigned grace_s;              /* 0: 60 */
    const struct ws_sysfs *fs; /* (optional) whose temperature is looked at; outlives */
    struct ws_serve_crew crew;
};

/* Takes the crew over, also where it fails. */
int ws_serve_start(struct ws_serve **out, const struct ws_serve_options *options,
                   struct ws_error *err);
/* Another crew from now on; comes back once the old one has retired. Takes it over
 * likewise; a failure leaves the old one at work. */
int ws_serve_replace(struct ws_serve *serve, const struct ws_serve_crew *crew,
                     struct ws_error *err);
/* Takes no new connections, lets requests end for at most drain_ms, and retires the crew.
 * Takes NULL. */
void ws_serve_stop(struct ws_serve *serve, int64_t drain_ms);

/* "http://127.0.0.1:8080" or "https://...", with the port that was bound. */
const char *ws_serve_url(const struct ws_serve *serve);
const struct ws_guard *ws_serve_guard(const struct ws_serve *serve);

#endif
