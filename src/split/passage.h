/*
 * One request's way through a cut model, phase by phase: the head here, then the tail on
 * a node or, from the wire tensors that are still in hand, here. A route is what all
 * requests of one cut and codec have in common, prepared once: the stages of both sides
 * and what the tail is called elsewhere. Head and tail may come from two variants of a
 * model where the tensors that cross agree. Routes may be used from several threads at
 * once; a passage is one thread's at a time, but ws_passage_send, which may run from
 * several at once: the first answer counts. A route may also be that of a network whose
 * feature maps are shared (halves.h): then the head is the extractor, what is sent are
 * the secondary maps, the tail is the cloud's part, and the edge's half runs beside it.
 * The splitters outlive the route, the route its passages.
 */
#ifndef WS_SPLIT_PASSAGE_H
#define WS_SPLIT_PASSAGE_H

#include "core/datum.h"
#include "split/remote.h"
#include "split/splitter.h"
#include "split/stage.h"

struct ws_halves;  /* split/halves.h */
struct ws_sharing; /* split/sharing.h */
struct ws_route;

struct ws_route_options {
    struct ws_splitter *head;
    size_t cut;               /* of the head's model */
    struct ws_splitter *tail; /* NULL: the same model */
    size_t tail_cut;          /* where it is another */
    enum ws_codec codec;
    const struct ws_codec_range *ranges; /* of each crossing tensor, for int8c alone */
    enum ws_encoding encoding;
    const char *model_name; /* of the tail's model on a node */
    const char *name;       /* the tail's; NULL: MODEL~CUT~CODEC */
    /* (optional) Feature maps are shared: `head` is the cloud's part, cut at its input,
     * and `share` of the maps go there. The halves outlive the route. */
    struct ws_halves *halves;
    double share;
};

/* Whether the tail of one model goes with the head of another: 0, or WS_E_MISMATCH where
 * the tensors that cross do not agree in name, type or shape. One model goes with itself,
 * and any two do at their last cuts. */
int ws_route_agrees(struct ws_splitter *head, size_t head_cut, struct ws_splitter *tail,
                    size_t tail_cut, struct ws_error *err);
/* WS_E_MISMATCH where a cut is not natural, or where the tensors that cross do not agree
 * in name, type or shape. */
int ws_route_create(struct ws_route **out, const struct ws_route_options *options,
                    struct ws_error *err);
void ws_route_destroy(struct ws_route *route);
/* Whether anything is left for a tail: not at the last cut. */
int ws_route_has_tail(const struct ws_route *route);
/* Loads the tail here too, so that ws_passage_finish need not. */
int ws_route_prepare_tail(struct ws_route *route, struct ws_error *err);
/* What the tail is on a node: name, base, digest and encoding of `out`; the rest is left
 * alone. They live as long as the route. */
void ws_route_describe(struct ws_remote_options *out, const struct ws_route *route);

/* What one passage took, in ns; the parts add up to the whole. */
struct ws_passage_times {
    int64_t edge_ns;     /* the head */
    int64_t encode_ns;   /* codec, message, encoding */
    int64_t exchange_ns; /* transfer, cloud and the node's decoding: all there is to say
                            of a node that does not tell its times */
    int is_told;         /* whether the node did: then, of the exchange, */
    int64_t transfer_ns; /* on the way */
    int64_t cloud_ns;    /* the tail, its queue, its reply */
    int64_t decode_ns;   /* on the node and here */
    int64_t local_ns;    /* the tail, where it ran here */
    int64_t beside_ns;   /* the edge's half of shared maps, meanwhile: in none of these */
    int64_t beside_late_ns; /* of it, what it took longer than modelled */
    int64_t total_ns;
    uint64_t tensor_bytes; /* that cross, after the codec */
    size_t sent_bytes;     /* the request's body, after the encoding */
    size_t received_bytes;
    struct ws_oip_times node;      /* the node's own account */
    struct ws_remote_energy cloud; /* likewise, where it has a meter or a model */
};

struct ws_passage;

/* Runs the head on `inputs`, which follow the graph's and must outlive the passage. */
int ws_passage_start(struct ws_passage **out, struct ws_route *route,
                     const struct ws_datum *inputs, struct ws_error *err);
/* Where maps are shared, from an extractor that has run: the route's share and codec are
 * settled now. Takes the sharing over where it succeeds. */
int ws_passage_start_shared(struct ws_passage **out, struct ws_route *route,
                            struct ws_sharing *sharing, struct ws_error *err);
/* Takes NULL. */
void ws_passage_destroy(struct ws_passage *passage);
/* Where maps are shared, starts the edge's half, which then lasts modelled_ms at least;
 * else nothing. Once, after the start and before anything is sent. */
int ws_passage_beside(struct ws_passage *passage, double modelled_ms,
                      struct ws_error *err);
/* See ws_halves_attention; WS_E_UNKNOWN where no maps are shared. */
int ws_passage_attention(double *out, const struct ws_passage *passage,
                         struct ws_error *err);
/* The tail elsewhere. A failure leaves all as it was, for another try. WS_E_END: another
 * answer came first, and this one is dropped. */
int ws_passage_send(struct ws_passage *passage, struct ws_remote *remote,
                    struct ws_error *err);
/* The tail here; also where there is none, to gather the outputs. WS_E_END as above. */
int ws_passage_finish(struct ws_passage *passage, struct ws_error *err);

/* The tail here as a node would have given it: where maps are shared the cloud's part,
 * fused with the edge's half, else ws_passage_finish. What a setting's accuracy is
 * measured by; the edge's half must have been started, as before anything is sent. */
int ws_passage_rehearse(struct ws_passage *passage, struct ws_error *err);

/* Forgets the answer and keeps the tensors in hand, for the same tail once more: what
 * measuring needs. Nobody else may be at it. */
void ws_passage_again(struct ws_passage *passage);

/* Its route's ws_route_describe. */
void ws_passage_describe(struct ws_remote_options *out, const struct ws_passage *passage);
/* Whether the outputs are there; then they follow the graph of the tail's model, and are
 * the passage's. */
int ws_passage_is_done(const struct ws_passage *passage);
const struct ws_graph *ws_passage_graph(const struct ws_passage *passage);
struct ws_datum *ws_passage_outputs(const struct ws_passage *passage, size_t *out_count);
/* Of what was done so far. */
const struct ws_passage_times *ws_passage_times(const struct ws_passage *passage);

#endif
