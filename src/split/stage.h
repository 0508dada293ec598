/*
 * One side of one cut, its codec included: what runs on one of two machines. A head takes
 * the model's inputs and gives the wire tensors, then those outputs of the model that are
 * ready by then; a tail takes the wire tensors and gives the other outputs. The tail of
 * cut 0 without a codec is the whole model. Stages may run from several threads at once;
 * the segment behind one is resident only while it runs, or as the splitter's budget
 * allows. The splitter must outlive them.
 */
#ifndef WS_SPLIT_STAGE_H
#define WS_SPLIT_STAGE_H

#include "core/work.h"
#include "engine/engine.h"
#include "onnx/codec.h"
#include "split/splitter.h"

enum ws_stage_side { WS_STAGE_HEAD, WS_STAGE_TAIL };

struct ws_stage;

/* What goes in or comes out. */
struct ws_stage_port {
    const char *name;
    int is_tensor;
    enum ws_dtype dtype;
    int has_shape;
    size_t rank;
    int64_t dims[WS_TENSOR_RANK_MAX]; /* -1: varies */
    size_t value; /* of the graph, WS_NONE for a wire tensor that is none */
};

/* What one run gave. The values live until it is fini'ed, and where they are an input, as
 * long as that. */
struct ws_stage_result {
    struct ws_engine_value **outputs; /* in the order of the ports */
    size_t output_count;
    int64_t codec_ns;
    int64_t compute_ns;
    struct ws_engine_value **values; /* private */
    unsigned char *is_borrowed;
    size_t value_count;
};

/* WS_E_MISMATCH where the cut is not natural. `ranges`, one for each tensor of the cut,
 * are for a head with int8c alone; what they give travels to the tail. Loads the segment
 * once. */
int ws_stage_create(struct ws_stage **out, struct ws_splitter *splitter, size_t cut,
                    enum ws_codec codec, const struct ws_codec_range *ranges,
                    enum ws_stage_side side, struct ws_error *err);
void ws_stage_destroy(struct ws_stage *stage);

size_t ws_stage_input_count(const struct ws_stage *stage);
size_t ws_stage_output_count(const struct ws_stage *stage);
const struct ws_stage_port *ws_stage_input(const struct ws_stage *stage, size_t index);
const struct ws_stage_port *ws_stage_output(const struct ws_stage *stage, size_t index);
/* What a run asks of a machine, codec included; unknown dimensions count as 1. */
void ws_stage_work(struct ws_work *out, const struct ws_stage *stage);
/* How many of a head's outputs, from the first on, are wire tensors. */
size_t ws_stage_wire_count(const struct ws_stage *stage);

/* `inputs` in the order of the ports, their types and shapes checked by the caller. */
int ws_stage_run(struct ws_stage_result *out, struct ws_stage *stage,
                 struct ws_engine_value *const *inputs, struct ws_error *err);
void ws_stage_result_fini(struct ws_stage_result *result);

#endif
