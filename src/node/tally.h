/*
 * How often one model or segment ran and how long it took, as the protocol's statistics
 * tell it. Thread-safe.
 */
#ifndef WS_NODE_TALLY_H
#define WS_NODE_TALLY_H

#include <pthread.h>
#include <stdint.h>

#include "wire/oip_meta.h"

struct ws_tally {
    pthread_mutex_t lock;
    struct ws_oip_stats stats; /* its name is not set here */
};

/* The parts of one request, in ns. */
struct ws_tally_parts {
    int64_t queue_ns;
    int64_t input_ns; /* reading the request, the codec's decoder included */
    int64_t compute_ns;
    int64_t output_ns;
    int64_t total_ns;
};

void ws_tally_init(struct ws_tally *tally);
void ws_tally_fini(struct ws_tally *tally);
void ws_tally_add(struct ws_tally *tally, const struct ws_tally_parts *parts);
void ws_tally_fail(struct ws_tally *tally, int64_t total_ns);
void ws_tally_read(struct ws_oip_stats *out, struct ws_tally *tally);

#endif
