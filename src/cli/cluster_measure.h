/*
 * What `wattshed distribute --measure` and `wattshed profile --cluster` share: inputs and
 * labels of a batch, measuring a cluster with them and saying what was found, and where
 * the figures are kept.
 */
#ifndef WS_CLI_CLUSTER_MEASURE_H
#define WS_CLI_CLUSTER_MEASURE_H

#include "core/tensor.h"
#include "net/http_client.h"
#include "study/clusterfile.h"

/* Inputs [N, ...] from an .npy file, labels from another or from none (NULL), or both
 * from a folder of labelled data, of that at most `limit`. Labels of rank 0: there are
 * none. Both are to be freed, also after a failure. */
int ws_cli_batch_load(struct ws_tensor *inputs, struct ws_tensor *labels,
                      const char *path, const char *labels_path, size_t limit,
                      struct ws_error *err);
/* Into the study where one is given, and into the file likewise. */
int ws_cli_cluster_keep(const struct ws_cluster *cluster, const char *file,
                        const char *study, struct ws_error *err);

struct ws_cli_cluster_options {
    const struct ws_tensor *inputs;
    const struct ws_tensor *labels; /* of rank 0: accuracies stay as they are */
    int64_t timeout_ms;             /* of one request; 0: 60 s */
    struct ws_http_identity identity;
    const char *file, *study; /* where it is kept; NULL: not there */
    int json;
};

/* Measures, keeps, prints. */
int ws_cli_cluster_measure(struct ws_cluster *cluster,
                           const struct ws_cli_cluster_options *options,
                           struct ws_error *err);

#endif
