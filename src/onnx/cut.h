/*
 * Frontiers: the sets of tensors that cross one place of a graph. They are taken along
 * the graph's order, between nodes that are not free; free nodes (constants, and
 * DequantizeLinear by constant parameters) are repeated on each side that uses them, so
 * what crosses is their input. Cut 0 sends the model's inputs, the last sends nothing;
 * equal sets are one cut. A place that anything but dense tensors crosses, or more than
 * WS_CUT_TENSORS_MAX of them, is no cut. A cut's identity is its tensors' names and the
 * model's digest; numbers are for display. The graph must outlive the cuts.
 */
#ifndef WS_ONNX_CUT_H
#define WS_ONNX_CUT_H

#include "onnx/graph.h"

enum { WS_CUT_ID_TEXT = 17 }; /* 16 hexadecimal digits and the NUL */

enum ws_natural { WS_NATURAL_UNKNOWN = -1, WS_NATURAL_NO = 0, WS_NATURAL_YES = 1 };

struct ws_cut {
    size_t number;
    size_t position;       /* nodes of the graph's order below this lie before it */
    const size_t *tensors; /* values that cross, ordered by id */
    size_t tensor_count;
    uint64_t bytes;      /* that cross; unknown dimensions count as 1 */
    size_t dims_assumed; /* how many those were */
    uint64_t macs_before, macs_after;
    uint64_t weight_bytes_before, weight_bytes_after;
    enum ws_natural natural;
    unsigned bytes_known : 1; /* every type and rank was known */
    unsigned macs_known : 1;  /* the work of every node was, see ws_node */
    unsigned bottleneck : 1;  /* fewer bytes than the input and than each earlier natural
                                 cut (arXiv 2205.11269) */
    char id[WS_CUT_ID_TEXT];
};

struct ws_cuts {
    const struct ws_graph *graph;
    struct ws_cut *cuts;
    size_t count; /* at least 2 */
    size_t *tensors;
    size_t skipped; /* places that are no cuts, see above */
};

/* Reads all weights, for the identities. */
int ws_cuts_create(struct ws_cuts **out, const struct ws_graph *graph,
                   struct ws_error *err);
void ws_cuts_destroy(struct ws_cuts *cuts);

/* Marks bottlenecks from bytes and naturalness: to be called again once cuts[].natural
 * has been set, which is for somebody who can ask the runtime. Cuts known not to be
 * natural are passed over. */
void ws_cuts_mark_bottlenecks(struct ws_cuts *cuts);

/* By number ("3"), identity, or tensors' names joined by commas. WS_E_NOT_FOUND. */
int ws_cuts_find(size_t *out_number, const struct ws_cuts *cuts, const char *text,
                 struct ws_error *err);

/* The value that crosses where `value` is used beyond a cut: free nodes looked through;
 * WS_NONE for constants. */
size_t ws_cut_carrier(const struct ws_graph *graph, size_t value);

/*
 * The graph outputs that the head (tail_side 0) or the tail (1) of a cut computes, at
 * most graph->output_count values into `out`; returns how many. The head computes those
 * it holds everything for, and gives them back beside the crossing tensors; at cut 0 the
 * tail computes all, at the last cut the head.
 */
size_t ws_cut_outputs(size_t *out, const struct ws_cuts *cuts, size_t number,
                      int tail_side);

#endif
