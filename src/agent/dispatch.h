/*
 * The dispatcher's logic for a batch that unequal nodes share: who gets which inputs
 * next, at which level, in chunks of which size; what is outstanding; when to plan anew.
 * Events and the time go in, chunks come out; there are no sockets, threads or clocks in
 * here, so that live nodes (src/node/cluster.h) and simulated ones (src/replay/fleet.h)
 * are driven by the very same code. Times are seconds on the driver's clock and never go
 * back.
 *
 * Every input ends with exactly one result: an input is pending, out or done; a chunk
 * that fails or is overdue makes its inputs pending again, and of two answers for an
 * input the first counts. The plan (policy/share.h) covers what is pending with the time
 * and the accuracy that are left; it is made anew when a node comes, goes or runs dry or
 * its speed is no longer what the plan assumed. A node's quick levels come first: the
 * time saved is then there when something goes wrong. Not thread-safe.
 */
#ifndef WS_AGENT_DISPATCH_H
#define WS_AGENT_DISPATCH_H

#include <stdint.h>

#include "base/error.h"
#include "policy/share.h"

struct ws_dispatch;

/* Requests that a node has at a time: one that it computes, one on its way. */
enum { WS_DISPATCH_DEPTH = 2 };

/* What is known of a node beforehand. */
struct ws_dispatch_node {
    const struct ws_share_level *levels; /* image_s: computing one more in a request */
    size_t level_count;
    double delay_s;   /* of an exchange, whatever it carries */
    double send_s;    /* of one image over the link */
    double request_s; /* of computing, for each request besides its images */
    int is_away;      /* not there yet: ws_dispatch_join tells */
};

struct ws_dispatch_options {
    const struct ws_dispatch_node *nodes;
    size_t node_count;
    size_t images;
    double images_per_s; /* required; 0: none */
    double min_accuracy; /* of the whole batch; 0: any */
    int knows_energy;
    enum ws_share_goal goal;
    enum ws_share_keep keep;
    /* Share of the time left that a plan keeps back for what it does not foresee, and at
     * least three tenths of that share of the whole time; more where nodes turn out to be
     * less steady. 0: nothing at all. */
    double reserve;
    size_t chunk_max; /* images of one chunk; 0: as many as suit */
    /* A plan to carry out as it is, [node_count * WS_SHARE_LEVELS_MAX]: for comparing
     * strategies. Ours takes over where a node is lost. (optional) */
    const size_t *counts;
};

struct ws_dispatch_chunk {
    uint64_t id;
    size_t node, level;
    size_t first, count; /* inputs */
    double sent_s;
    double expected_s; /* when its answer should be here */
};

struct ws_dispatch_state {
    size_t pending, out, done;
    double accuracy; /* expected mean of what is done, by the levels that did it */
    double energy_j; /* likewise of what is done; 0 where none is known */
    size_t plans;    /* made, the first included */
    size_t reissued; /* inputs that became pending again */
    size_t doubles;  /* answers that came for inputs that were done */
    size_t up;       /* nodes that are there */
};

/* Time of an image in a long run of a node at a level, as plans see it: of computing, a
 * chunk's share of what a request costs included, or of the link, whichever is slower. */
double ws_dispatch_image_s(const struct ws_dispatch_options *options, size_t node,
                           size_t level);

int ws_dispatch_create(struct ws_dispatch **out,
                       const struct ws_dispatch_options *options, double now_s,
                       struct ws_error *err);
void ws_dispatch_destroy(struct ws_dispatch *dispatch);

/* The first plan: what the batch should come to. */
const struct ws_share_plan *ws_dispatch_plan(const struct ws_dispatch *dispatch);

/* 1 and the chunk to send to `node` now, or 0: nothing until something happens. */
int ws_dispatch_next(struct ws_dispatch *dispatch, struct ws_dispatch_chunk *out,
                     size_t node, double now_s);

/* Whether the input has no result yet: ask before keeping one of a chunk's. */
int ws_dispatch_wants(const struct ws_dispatch *dispatch, size_t input);
/* The chunk's answer is here and kept as far as it was wanted. Late answers count too. */
void ws_dispatch_done(struct ws_dispatch *dispatch, const struct ws_dispatch_chunk *chunk,
                      double now_s);
/* The chunk will not be answered. */
void ws_dispatch_fail(struct ws_dispatch *dispatch, const struct ws_dispatch_chunk *chunk,
                      double now_s);
/* A node is gone with all that it had, or is (again) there. */
void ws_dispatch_leave(struct ws_dispatch *dispatch, size_t node, double now_s);
void ws_dispatch_join(struct ws_dispatch *dispatch, size_t node, double now_s);

/* Gives chunks that are overdue to others. Call it at ws_dispatch_wake_s at the latest,
 * which is infinite where nothing can become overdue. */
void ws_dispatch_tick(struct ws_dispatch *dispatch, double now_s);
double ws_dispatch_wake_s(const struct ws_dispatch *dispatch);

int ws_dispatch_is_finished(const struct ws_dispatch *dispatch);
void ws_dispatch_read(struct ws_dispatch_state *out, const struct ws_dispatch *dispatch);

/* Who gave an input's result, at which level; WS_E_UNKNOWN while there is none. */
int ws_dispatch_result(size_t *node, size_t *level, const struct ws_dispatch *dispatch,
                       size_t input);
/* Seconds an image that a node took at a level in this batch, what each request costs
 * aside, and of how many images; count 0 where it had none. The link is in it where that
 * was the slower. */
double ws_dispatch_observed(size_t *count, const struct ws_dispatch *dispatch,
                            size_t node, size_t level);

#endif
