/*
 * A sensible testbed for models and machines that have none: their cuts, codecs and
 * variants, and the knobs of both machines, thinned so that a search has something to
 * choose from and not too much. It is a start for people to edit, and is a testbed file
 * like any other.
 */
#ifndef WS_PROFILE_DRAFT_H
#define WS_PROFILE_DRAFT_H

#include <jansson.h>

#include "core/knob.h"
#include "split/executor.h"

struct ws_draft_options {
    const char *name;
    const struct ws_executor_variant *variants;
    size_t variant_count;
    struct ws_engine_options engine;
    struct ws_splitter_options splitter;
    const struct ws_space *edge;  /* (optional) knobs of the edge, as edge.x */
    const struct ws_space *cloud; /* (optional) of the node, as cloud.x */
    size_t threads_max; /* of a real edge: edge.threads up to here; 0: no such knob */
    uint32_t metered;   /* sides whose energy will be known */
    int has_data;       /* accuracy will be known */
    double edge_idle_w; /* 0: not known */
    double link_mbit_s, link_delay_ms; /* 0: not known */
};

/* A new reference. */
int ws_draft_testbed(json_t **out, const struct ws_draft_options *options,
                     struct ws_error *err);

#endif
