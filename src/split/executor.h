/*
 * One request under one setting, in phases: set the edge's hardware, run head and codec
 * on the edge, the tail on a node, or finish here from the tensors in hand. The executor
 * maps the knobs of a space once, when it is made: `cut`, `codec`, `encoding`,
 * `variant` or `head.variant` and `tail.variant`, `edge.threads`, `edge.spinning` (off,
 * on) and `edge.provider` are its own, other `edge.*` are the device's or the emulated
 * board's, `cloud.*` are for whoever controls the node. It owns engines, splitters,
 * routes and the connections.
 *
 * Where the one variant's path is a folder of a network with shared feature maps
 * (halves.h), the knob `share` stands in place of `cut`: the head is the extractor, the
 * tail the cloud's part, and the edge's half runs on a thread of its own from the end of
 * the head on, beside ws_executor_remote; ws_executor_local is the edge's tail alone.
 *
 * Threads: one thread at a time holds the edge, and it alone calls apply, prepare, head
 * and local. ws_executor_remote may run on any number of other threads meanwhile, also
 * twice for one flight (the first answer counts); a flight is destroyed after all calls
 * on it have come back. The edge is a real machine, with knobs through a device and maybe
 * a meter, or an emulated one: then what runs here is stretched to the time the board's
 * model says, its energy is modelled, and its idle power is counted while it waits.
 */
#ifndef WS_SPLIT_EXECUTOR_H
#define WS_SPLIT_EXECUTOR_H

#include "core/datum.h"
#include "core/knob.h"
#include "core/outcome.h"
#include "core/work.h"
#include "device/board.h"
#include "device/device.h"
#include "device/sampler.h"
#include "split/passage.h"

struct ws_executor;
struct ws_flight;

/* A form of the network; the first is the one that cuts are named in. */
struct ws_executor_variant {
    const char *name; /* as the knobs' values have it */
    const char *path;
    const char *model_name; /* on nodes; NULL: the path's stem */
};

struct ws_executor_options {
    const struct ws_space *space; /* must outlive the executor */
    const struct ws_executor_variant *variants;
    size_t variant_count;            /* at least 1 */
    struct ws_engine_options engine; /* where no knob says otherwise */
    struct ws_splitter_options splitter;
    const struct ws_board *board;     /* (optional) the edge is emulated; must outlive */
    struct ws_device *device;         /* (optional) of the real machine; must outlive */
    struct ws_sampler *sampler;       /* (optional) its meter comes first; must outlive */
    struct ws_http_identity identity; /* to show to nodes; its strings must outlive */
};

/* WS_E_NOT_FOUND, WS_E_MISMATCH name a knob or value that nothing here answers to. */
int ws_executor_create(struct ws_executor **out,
                       const struct ws_executor_options *options, struct ws_error *err);
/* After its last flight; gives no hardware back, that is the device's. Takes NULL. */
void ws_executor_destroy(struct ws_executor *executor);

/* Whether the setting can be executed: its cut exists in both variants, and the tensors
 * that cross there agree. The space's constraints are not looked at. */
int ws_executor_has(struct ws_executor *executor, const struct ws_setting *setting);

/* What a setting means for the software. */
struct ws_executor_place {
    size_t head_variant, tail_variant; /* equal at the last cut */
    size_t head_cut, tail_cut;         /* numbers in the variants' models */
    enum ws_codec codec;
    enum ws_encoding encoding;
    double share; /* of feature maps that are sent; 0 where none are shared out */
    int has_tail; /* 0: the last cut, or nothing sent; nobody is asked */
};
/* WS_E_MISMATCH as ws_executor_has. */
int ws_executor_locate(struct ws_executor_place *out, struct ws_executor *executor,
                       const struct ws_setting *setting, struct ws_error *err);
/* What a setting asks of the machines, for models of them; zeros where there is none. */
struct ws_executor_work {
    struct ws_work head;   /* of the edge, before anything is sent */
    struct ws_work beside; /* of the edge, meanwhile */
    struct ws_work tail;   /* of the node */
    struct ws_work local;  /* of the edge, where it finishes what no node does */
    double bytes;          /* that cross */
    int has_tail;          /* as in the place */
};
/* WS_E_MISMATCH as ws_executor_has. */
int ws_executor_work(struct ws_executor_work *out, struct ws_executor *executor,
                     const struct ws_setting *setting, struct ws_error *err);
/* Of a network with shared maps, as they run where no knob says otherwise; else NULL.
 * Variants 0 and 1 are then its extractor and its cloud's part. */
struct ws_halves *ws_executor_halves(const struct ws_executor *executor);
/* The cut that a value of the cut's knob is in a variant; WS_NONE where it has none. */
size_t ws_executor_cut(const struct ws_executor *executor, size_t variant, size_t value);
/* A variant's model, as it runs where no knob says otherwise; its name on nodes. */
struct ws_splitter *ws_executor_splitter(const struct ws_executor *executor,
                                         size_t variant);
const char *ws_executor_model_name(const struct ws_executor *executor, size_t variant);

/* What setting the hardware came to. */
struct ws_executor_applied {
    double switch_ms; /* it took */
    int is_exact;     /* 0: something was clamped or refused, and `reason` says what */
    char reason[256];
};
/* Sets the edge's hardware. Fails where ws_device_apply does. The time that an emulated
 * board would take is told and not waited for: ws_stretch_until does that. */
int ws_executor_apply(struct ws_executor_applied *out, struct ws_executor *executor,
                      const struct ws_setting *setting, struct ws_error *err);
/* Loads what the setting needs, so that its first request is as fast as the others; with
 * `fallback` also what ws_executor_local needs. */
int ws_executor_prepare(struct ws_executor *executor, const struct ws_setting *setting,
                        int fallback, struct ws_error *err);

/* Head and codec. `inputs` follow the head's graph and must outlive the flight. At the
 * last cut this is all of it: the flight is done. */
int ws_executor_head(struct ws_flight **out, struct ws_executor *executor,
                     const struct ws_setting *setting, const struct ws_datum *inputs,
                     struct ws_error *err);
/* The same in two steps, where the second may know more. Where feature maps are shared
 * the first runs the extractor, and ws_flight_attention tells of it before the second
 * settles which maps go: with another setting, of the same edge knobs. Of any other
 * network the first runs nothing. In between, nothing else is asked of the flight. */
int ws_executor_look(struct ws_flight **out, struct ws_executor *executor,
                     const struct ws_setting *setting, const struct ws_datum *inputs,
                     struct ws_error *err);
int ws_executor_go_on(struct ws_flight *flight, const struct ws_setting *setting,
                      struct ws_error *err);
/* The tail on the node at `url`; timeout_ms 0: the client's default. A failure (WS_E_IO,
 * WS_E_TIMEOUT, WS_E_REMOTE, WS_E_MISMATCH, ...) leaves the flight as it was, for another
 * node or for ws_executor_local. WS_E_END: another answer came first. */
int ws_executor_remote(struct ws_flight *flight, const char *url, int64_t timeout_ms,
                       struct ws_error *err);
/* Where no connection to the node is open: opens one, and asks about the tail of every
 * setting that was prepared, so that no request has to wait for that. 0 where there is
 * one. From any thread. */
int ws_executor_warm(struct ws_executor *executor, const char *url, int64_t timeout_ms,
                     struct ws_error *err);
/* The tail here, from the tensors in hand. WS_E_END as above. */
int ws_executor_local(struct ws_flight *flight, struct ws_error *err);

/* Forgets the answer and keeps the tensors: the same tail can be asked for once more,
 * which measuring needs. Nobody else may be at the flight. */
void ws_executor_again(struct ws_flight *flight);

/* Whether the answer is there; then it follows the outputs of the tail variant's graph,
 * and is the flight's. */
int ws_flight_is_done(const struct ws_flight *flight);
const struct ws_datum *ws_flight_outputs(const struct ws_flight *flight,
                                         size_t *out_count);
/* The graph whose outputs those are. */
const struct ws_graph *ws_flight_graph(const struct ws_flight *flight);
/* What the head took and drew, codec included, stretched where the edge is emulated. The
 * energy: 0, or WS_E_UNKNOWN without a meter, or the meter's own code and line. */
double ws_flight_head_ms(const struct ws_flight *flight);
int ws_flight_head_energy(double *out_j, const struct ws_flight *flight,
                          struct ws_error *err);
/* What a policy may know of the picture, as the condition WS_ATTENTION; WS_E_UNKNOWN
 * where no feature maps are shared. */
int ws_flight_attention(double *out, const struct ws_flight *flight,
                        struct ws_error *err);
/* By how much this machine was too slow to pass for the emulated one; 0 where it never
 * was. */
int64_t ws_flight_late_ns(const struct ws_flight *flight);
/* What the flight came to, by part. Latency is the sum of its phases, exchanges that
 * failed included; whoever lets a flight wait between phases adds that. Transfer and
 * cloud are unknown apart where the node does not tell its times, an energy where nothing
 * meters it. A metered edge's is shared with flights that overlapped (device/claims.h),
 * an emulated one's takes the flight to have been alone. */
void ws_flight_outcome(struct ws_outcome *out, struct ws_flight *flight);
/* Takes NULL. */
void ws_flight_destroy(struct ws_flight *flight);

#endif
