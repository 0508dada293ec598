/*
 * The cluster of an edge daemon: batches that come as requests of the Open Inference
 * Protocol are shared among its nodes (node/batch.h). Such a request has the throughput
 * that it needs, `images_per_s`, or what it wants least of, `minimise`, among its
 * parameters; `min_accuracy` is then the mean of the batch, and a deadline is one more
 * throughput. Batches go one after the other: each is planned with the whole cluster.
 * What a batch shows of the nodes' speeds counts for the next, and goes into the study
 * that the cluster is from. Many threads.
 */
#ifndef WS_NODE_BATCHER_H
#define WS_NODE_BATCHER_H

#include "base/buf.h"
#include "node/batch.h"
#include "wire/oip.h"

struct ws_batcher;

/* From a cluster's file, or, where that is NULL, the only cluster of a study. Both must
 * be measured (WS_E_UNKNOWN). */
int ws_batcher_open(struct ws_batcher **out, const char *file, const char *study,
                    const struct ws_http_identity *identity, struct ws_error *err);
/* Takes NULL. */
void ws_batcher_close(struct ws_batcher *batcher);

/* Whether a request is about a batch to be shared. */
int ws_batcher_is_for(const struct ws_oip_request *request);
/* `inputs`: [N, ...], of a request received at `received_ns`. Waits for other batches to
 * end; WS_E_BUSY where the request's time passes meanwhile. */
int ws_batcher_run(struct ws_batch_result *out, struct ws_batcher *batcher,
                   const struct ws_oip_request *request, const struct ws_tensor *inputs,
                   int64_t received_ns, struct ws_error *err);
/* `"key":value,...`: the plan, what was delivered and whether that is what was asked for,
 * for the reply's parameters. */
int ws_batcher_tell(struct ws_buf *out, const struct ws_batcher *batcher,
                    const struct ws_oip_request *request,
                    const struct ws_batch_result *result, struct ws_error *err);

#endif
