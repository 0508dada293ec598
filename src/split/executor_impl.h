/*
 * What an executor is made of, for its own files: executor.c knows settings and software,
 * burden.c what they ask of the machines, flight.c runs requests.
 */
#ifndef WS_SPLIT_EXECUTOR_IMPL_H
#define WS_SPLIT_EXECUTOR_IMPL_H

#include "device/claims.h"
#include "split/demand.h"
#include "split/executor.h"
#include "split/halves.h"
#include "split/pool.h"

/* An engine with its splitters: one for each combination of its knobs' values. */
struct ws_executor_lane {
    struct ws_executor_lane *next;
    size_t threads_value, spinning_value, provider_value; /* of their knobs; 0 without */
    struct ws_engine *engine;
    struct ws_splitter **splitters; /* by variant; NULL: not needed yet */
    struct ws_halves *halves;       /* where maps are shared; likewise */
};

/* What requests of settings with the same software have in common. */
struct ws_executor_way {
    struct ws_executor_way *next;
    const struct ws_executor_lane *lane;
    struct ws_executor_place place;
    struct ws_route *route;
    struct ws_executor_work work;
};

struct ws_executor_part {
    char *name, *path, *model_name;
    size_t *cut_of; /* of each value of the cut's knob; WS_NONE: it has none there */
};

struct ws_executor {
    const struct ws_space *space;
    struct ws_executor_part *variants;
    size_t variant_count;
    struct ws_engine_options engine;
    struct ws_splitter_options splitter;
    const struct ws_board *board;
    struct ws_binding *binding;  /* of the space's knobs to the board's */
    struct ws_setting board_now; /* of the board's space */
    struct ws_device *device;
    struct ws_sampler *sampler;
    struct ws_claims *claims; /* on it; NULL: there is no meter */
    struct ws_http_identity identity;
    struct ws_parts *parts; /* where maps are shared: then the variants are two of them */
    struct ws_halves_work edge_half, cloud_half; /* likewise */
    /* Knobs of the space, WS_NONE where it has none, and what their values mean. */
    size_t cut_knob, codec_knob, encoding_knob, head_knob, tail_knob;
    size_t threads_knob, spinning_knob, provider_knob, share_knob;
    double *shares;
    enum ws_codec *codecs;
    enum ws_encoding *encodings;
    size_t *heads, *tails; /* variants */
    int *threads, *spinning;
    struct ws_executor_lane *lanes; /* the first made is the default and comes last */
    struct ws_executor_lane *default_lane;
    /* The holder of the edge adds to them, and whoever warms connections reads. */
    struct ws_executor_way *_Atomic ways;
    struct ws_pool *pool;
};

/* The variants of a network with shared maps. */
enum { WS_HEAD_PART, WS_TAIL_PART };

/* The way of a setting, made where it is the first. Only the holder of the edge comes
 * here, so nothing is locked. */
int ws_executor_way_of(struct ws_executor_way **out, struct ws_executor *executor,
                       const struct ws_setting *setting, struct ws_error *err);

/* What a place asks of the machines. */
void ws_executor_count_work(struct ws_executor_work *out,
                            const struct ws_executor *executor,
                            const struct ws_executor_place *place);

#endif
