/*
 * One model, ready to be run whole or in segments. The splitter opens the model, has the
 * engine optimise it once, finds the natural cuts, and keeps segments resident as
 * sessions over one shared copy of the weights, which lies in a file the kernel can take
 * back. Under a memory budget the segment that was used longest ago goes first. Where the
 * engine refuses a valid model at full optimisation, the level is stepped down and
 * ws_splitter_note says so. Thread-safe once created, except where a function says
 * otherwise. The engine must outlive it.
 */
#ifndef WS_SPLIT_SPLITTER_H
#define WS_SPLIT_SPLITTER_H

#include "engine/engine.h"
#include "onnx/cut.h"
#include "onnx/graph.h"

struct ws_splitter;

struct ws_splitter_options {
    enum ws_level level; /* the highest to try */
    /* Private memory that resident segments may take, above which idle ones are dropped;
     * 0: no limit. */
    uint64_t memory_bytes_max;
    const struct ws_dim *dims; /* free dimensions fixed by the user */
    size_t dim_count;
};

int ws_splitter_create(struct ws_splitter **out, struct ws_engine *engine,
                       const char *model_path, const struct ws_splitter_options *options,
                       struct ws_error *err);
void ws_splitter_destroy(struct ws_splitter *splitter);

struct ws_engine *ws_splitter_engine(const struct ws_splitter *splitter);
const struct ws_graph *ws_splitter_graph(const struct ws_splitter *splitter);
/* All cuts, the natural ones marked. */
const struct ws_cuts *ws_splitter_cuts(const struct ws_splitter *splitter);
/* The level in force. */
enum ws_level ws_splitter_level(const struct ws_splitter *splitter);
/* Whether quantised tensors were made to keep their layout, see ws_engine_optimise. */
int ws_splitter_keeps_layout(const struct ws_splitter *splitter);
/* Whether the model computes with quantised tensors. */
int ws_splitter_is_quantised(const struct ws_splitter *splitter);
/* Why the level or the layouts are not what was asked for; "" when they are. */
const char *ws_splitter_note(const struct ws_splitter *splitter);

/* A segment from one cut to another, resident and pinned. It computes the tensors of cut
 * `to` that do not cross `from` already, then the graph outputs that fall between. */
struct ws_segment_use {
    struct ws_session *session; /* NULL: nothing is left to compute */
    /* Values of the graph for the session's inputs and outputs, in its order. */
    const size_t *inputs;
    size_t input_count;
    const size_t *outputs;
    size_t output_count;
    void *resident; /* private */
};

/* WS_E_MISMATCH where a cut is not natural. from < to; cut 0 and the last are always
 * natural. Loads the segment if it is not resident, dropping idle ones over the budget.
 */
int ws_splitter_acquire(struct ws_segment_use *out, struct ws_splitter *splitter,
                        size_t from, size_t to, struct ws_error *err);
void ws_splitter_release(struct ws_splitter *splitter, struct ws_segment_use *use);

/* Number of resident segments, and their private memory by the allocator's own count. */
void ws_splitter_resident(size_t *out_count, uint64_t *out_bytes,
                          struct ws_splitter *splitter);

#endif
