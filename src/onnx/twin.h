/*
 * Twins: where the tensors of a model are found again in what the runtime made of it. The
 * runtime fuses nodes, drops tensors and moves convolutions into a blocked layout
 * (NCHWc); a tensor that is still computed has a twin, under its own name, in the blocked
 * layout, or both. A cut is natural when each of its tensors has a twin and the optimised
 * graph falls into two there; its segments then run at the speed of the whole. Segments
 * made here keep plain layout at their borders (a reorder is put in front or behind), so
 * what crosses is the original tensor; everything inside holds operators for this machine
 * alone and never leaves the process. Both graphs must outlive the twins.
 */
#ifndef WS_ONNX_TWIN_H
#define WS_ONNX_TWIN_H

#include "base/buf.h"
#include "onnx/cut.h"
#include "onnx/graph.h"
#include "onnx/segment.h"

struct ws_twin {
    size_t plain;   /* value of the optimised graph with the same content, or WS_NONE */
    size_t blocked; /* value with the same content in NCHWc layout, or WS_NONE */
};

struct ws_twins {
    const struct ws_graph *original;
    const struct ws_graph *optimised;
    struct ws_twin *of; /* by value of the original graph */
};

/* Both graphs with the original's shapes inferred. */
int ws_twins_create(struct ws_twins **out, const struct ws_graph *original,
                    const struct ws_graph *optimised, struct ws_error *err);
void ws_twins_destroy(struct ws_twins *twins);

/* Whether the cut is natural: 1 or 0. */
int ws_twins_natural(const struct ws_twins *twins, const struct ws_cuts *cuts,
                     size_t number);

/* Appends the model of the segment that computes the original graph's values `to` from
 * its values `from` to `buf`; its inputs and outputs bear the original names, inputs that
 * are not needed are left out. *out_segment (freed with ws_segment_destroy) is in terms
 * of the optimised graph; its weights are those to share. WS_E_MISMATCH: the optimised
 * graph does not fall apart there. */
int ws_twins_segment(struct ws_buf *buf, struct ws_segment **out_segment,
                     const struct ws_twins *twins, const size_t *from, size_t from_count,
                     const size_t *to, size_t to_count, struct ws_error *err);

#endif
