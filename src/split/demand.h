/*
 * What a segment asks of a machine, counted from the graph: for device models, which
 * know rates and not networks.
 */
#ifndef WS_SPLIT_DEMAND_H
#define WS_SPLIT_DEMAND_H

#include "core/work.h"
#include "onnx/codec.h"
#include "onnx/cut.h"

/* The nodes between two cuts, from < to, and what crosses at either end that is not an
 * end of the model. from == to is no work. Unknown dimensions count as 1. */
void ws_work_of_segment(struct ws_work *out, const struct ws_cuts *cuts, size_t from,
                        size_t to);
/* Adds what a codec reads and writes on one side of a cut, in the class of other. */
void ws_work_add_codec(struct ws_work *work, const struct ws_cuts *cuts, size_t number,
                       enum ws_codec codec);
/* Bytes that cross at a cut once they are coded. */
double ws_work_wire_bytes(const struct ws_cuts *cuts, size_t number, enum ws_codec codec);

#endif
