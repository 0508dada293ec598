/*
 * One batch, shared among the nodes of a cluster: the dispatcher's logic
 * (agent/dispatch.h) with connections and threads around it. Each node is asked over as
 * many connections as it has chunks at a time; a node that cannot be reached, or that
 * fails again and again, is left out and tried again while the batch runs, and its inputs
 * go elsewhere; one without an address is away throughout. The clock starts when
 * connections are made. Models have one input, whose first dimension is the batch, and of
 * their outputs the first is kept. Threads are its own while it runs.
 */
#ifndef WS_NODE_BATCH_H
#define WS_NODE_BATCH_H

#include "agent/dispatch.h"
#include "core/tensor.h"
#include "net/http_client.h"
#include "study/clusterfile.h"

struct ws_batch_options {
    const struct ws_cluster *cluster; /* measured */
    const struct ws_tensor *inputs;   /* [N, ...] */
    double images_per_s;              /* as for ws_dispatch_options, to `counts` */
    double min_accuracy;
    enum ws_share_goal goal;
    enum ws_share_keep keep;
    double reserve;
    size_t chunk_max;
    const size_t *counts;
    struct ws_http_identity identity; /* to show to the nodes */
    int64_t timeout_ms;               /* of one chunk; 0: 30 s */
    int64_t retry_ms;    /* between two tries of a node that is gone; 0: 300 */
    int64_t patience_ms; /* without any result until the batch is given up; 0: 10 s */
    /* (optional) Ten times a second, and at the end. */
    void (*progress)(void *user, const struct ws_dispatch_state *state, size_t images);
    void *user;
};

struct ws_batch_result {
    struct ws_tensor outputs; /* [N, ...] */
    uint8_t *node, *variant;  /* [N] who gave which result: numbers in the cluster */
    double time_s;            /* until the last result was here */
    struct ws_dispatch_state state;
    /* When the first node was lost, and what was done by then; below 0: none was. */
    double loss_s;
    struct ws_dispatch_state at_loss;
    struct ws_share_plan plan; /* the first, without its counts */
    /* What each node did: images, and seconds for one where that could be seen. */
    size_t counts[WS_SHARE_NODES_MAX][WS_SHARE_LEVELS_MAX];
    double image_s[WS_SHARE_NODES_MAX][WS_SHARE_LEVELS_MAX]; /* 0: not seen */
    /* Joules that nodes told with their answers, and of how many images. */
    double told_j;
    size_t told_count;
};

/* WS_E_UNKNOWN for a cluster that was not measured, WS_E_IO and others where no node is
 * left that could do it, with what the last one said. */
int ws_batch_run(struct ws_batch_result *out, const struct ws_batch_options *options,
                 struct ws_error *err);
void ws_batch_result_fini(struct ws_batch_result *result);

/* The nodes of a cluster as the dispatcher sees them: a node's levels are the variants it
 * has, in their order; *variant_of[i][j] is the variant's number in the cluster. */
struct ws_batch_view {
    struct ws_dispatch_node nodes[WS_SHARE_NODES_MAX];
    struct ws_share_level levels[WS_SHARE_NODES_MAX][WS_SHARE_LEVELS_MAX];
    size_t variant_of[WS_SHARE_NODES_MAX][WS_SHARE_LEVELS_MAX];
};
void ws_batch_view_init(struct ws_batch_view *view, const struct ws_cluster *cluster);

#endif
