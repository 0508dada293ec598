/*
 * What a batch's plan needs to know of a cluster, measured: of each node the delay of an
 * exchange, what one image takes over the link and what each request costs besides its
 * images; of each of its variants the time of an image and, where the node tells, its
 * joules; of each variant the accuracy on labelled inputs. Requests of one image and of
 * many are compared, so the many must be enough to show; figures are medians.
 */
#ifndef WS_NODE_MEASURE_H
#define WS_NODE_MEASURE_H

#include "core/tensor.h"
#include "net/http_client.h"
#include "study/clusterfile.h"

struct ws_measure_options {
    const struct ws_tensor *inputs;   /* [N, ...], N at least 2 */
    const struct ws_tensor *labels;   /* INT64 [N]; NULL: accuracies are not measured */
    size_t many;                      /* images of a large request; 0: 32 */
    size_t rounds;                    /* of each size; 0: 5 */
    int64_t timeout_ms;               /* of one request; 0: 60 s */
    struct ws_http_identity identity; /* to show to the nodes */
    /* (optional) Before each step, of how many. */
    void (*progress)(void *user, const char *what, size_t step, size_t steps);
    void *user;
};

/* Fills in the figures of every node and variant; what is measured replaces what was
 * there. */
int ws_measure_cluster(struct ws_cluster *cluster,
                       const struct ws_measure_options *options, struct ws_error *err);

/* Rows of scores [N, classes] that are largest at their label, as a share of N.
 * WS_E_TYPE where the two do not fit. */
int ws_measure_top1(double *out, const struct ws_tensor *scores,
                    const struct ws_tensor *labels, struct ws_error *err);

/* Takes over what a batch showed of the nodes' speeds: figures move half way to it. */
struct ws_batch_result;
void ws_measure_refresh(struct ws_cluster *cluster, const struct ws_batch_result *result);

#endif
