/*
 * One model cut in one place, end to end in this process: head, codec, encoding and back,
 * tail. A pipe is a list of steps over slots; each step is a resident segment or a codec,
 * and each slot holds one tensor between steps in memory that is reused from run to run
 * where its shape is fixed. Cut 0 has no head, the last cut no tail. A pipe is used by
 * one thread at a time; several may share one splitter, which must outlive them.
 */
#ifndef WS_SPLIT_PIPE_H
#define WS_SPLIT_PIPE_H

#include "engine/engine.h"
#include "onnx/codec.h"
#include "split/splitter.h"
#include "wire/encoding.h"

struct ws_pipe;

struct ws_pipe_options {
    size_t cut;
    enum ws_codec codec;
    const struct ws_codec_range *ranges; /* of each crossing tensor, for int8c alone */
    enum ws_encoding encoding;
};

/* What one run took. Times in ns; what a cut does not have is 0. */
struct ws_pipe_times {
    int64_t head_ns;
    int64_t encode_ns; /* codec and encoding */
    int64_t decode_ns;
    int64_t tail_ns;
    uint64_t tensor_bytes; /* that cross, after the codec */
    uint64_t wire_bytes;   /* after the encoding */
};

int ws_pipe_create(struct ws_pipe **out, struct ws_splitter *splitter,
                   const struct ws_pipe_options *options, struct ws_error *err);
void ws_pipe_destroy(struct ws_pipe *pipe);

/* `inputs` in the order of the graph's inputs. times may be NULL. */
int ws_pipe_run(struct ws_pipe *pipe, struct ws_engine_value *const *inputs,
                struct ws_pipe_times *times, struct ws_error *err);

/* The same from datums to datums: `inputs` and `outputs` follow the graph's. The outputs
 * are copies, to be ws_datum_fini'ed. */
int ws_pipe_run_datums(struct ws_pipe *pipe, const struct ws_datum *inputs,
                       struct ws_datum *outputs, struct ws_pipe_times *times,
                       struct ws_error *err);

/* Widens the ranges, one for each crossing tensor, by what crossed in the last run (for
 * int8c). Tensors that are not floating point are left alone. */
int ws_pipe_calibrate(struct ws_codec_range *ranges, const struct ws_pipe *pipe,
                      struct ws_error *err);
/* The same from nothing but inputs: cuts the model there without a codec and runs it
 * once. The cut must be natural. */
int ws_pipe_learn_ranges(struct ws_codec_range *ranges, struct ws_splitter *splitter,
                         size_t cut, const struct ws_datum *inputs, struct ws_error *err);

/* Output number `index` of the graph after a run; the pipe's until its next run. */
struct ws_engine_value *ws_pipe_output(const struct ws_pipe *pipe, size_t index);
/* The crossing tensor number `index` of the cut after a run, before the codec; likewise.
 */
struct ws_engine_value *ws_pipe_crossing(const struct ws_pipe *pipe, size_t index);

#endif
