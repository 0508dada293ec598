#include "split/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "split/coder.h"

/* A tensor between steps. */
struct slot {
    size_t value; /* of the graph, or WS_NONE for a wire tensor */
    struct ws_engine_value *held;
    struct ws_tensor buffer;  /* behind `held` where the shape is fixed */
    unsigned is_fixed : 1;    /* held is over buffer and stays */
    unsigned is_borrowed : 1; /* held is the caller's input */
};

/* A session with its inputs and outputs as slots. */
struct step {
    struct ws_session *session; /* NULL: nothing to do */
    size_t *inputs, *outputs;
    size_t input_count, output_count;
    struct ws_engine_value **in, **out; /* scratch, in the session's order */
};

enum { HEAD, ENCODER, DECODER, TAIL, STEP_COUNT };

struct ws_pipe {
    struct ws_splitter *splitter;
    const struct ws_graph *graph;
    const struct ws_cut *cut;
    enum ws_encoding encoding;
    struct ws_segment_use head, tail;
    struct ws_coding *coding;
    struct ws_session *encoder, *decoder;
    struct step steps[STEP_COUNT];
    struct slot *slots;
    size_t slot_count, slot_room;
    size_t *crossing; /* slots of the cut's tensors before the codec, and behind it */
    size_t *received;
    size_t *wire; /* slots of the wire tensors, as sent and as received */
    size_t *wire_received;
    size_t wire_count;
    struct ws_buf encoded, decoded;
};

static size_t add_slot(struct ws_pipe *pipe, size_t value)
{
    pipe->slots[pipe->slot_count] = (struct slot){.value = value};
    return pipe->slot_count++;
}

/* The slot of a graph value, made if there is none yet. */
static size_t slot_of(struct ws_pipe *pipe, size_t value)
{
    for (size_t s = 0; s < pipe->slot_count; s++) {
        if (pipe->slots[s].value == value)
            return s;
    }
    return add_slot(pipe, value);
}

/* Gives the slot memory of its own if the session says its shape for certain. */
static int fix_slot(struct ws_pipe *pipe, size_t slot, const struct ws_io_type *type,
                    struct ws_error *err)
{
    struct slot *at = &pipe->slots[slot];
    if (!type->is_tensor || !type->has_shape || type->dtype == WS_DTYPE_STRING ||
        ws_dtype_bits(type->dtype) == 0)
        return 0;
    for (size_t i = 0; i < type->rank; i++) {
        if (type->dims[i] < 0)
            return 0;
    }
    int rc = ws_tensor_init(&at->buffer, type->dtype, type->dims, type->rank, err);
    if (rc == 0)
        rc = ws_engine_value_from_tensor(&at->held, ws_splitter_engine(pipe->splitter),
                                         &at->buffer, err);
    at->is_fixed = rc == 0;
    return rc;
}

static int step_init(struct step *step, struct ws_session *session, struct ws_error *err)
{
    step->session = session;
    if (session == NULL)
        return 0;
    step->input_count = ws_session_input_count(session);
    step->output_count = ws_session_output_count(session);
    step->inputs = calloc(step->input_count + 1, sizeof(*step->inputs));
    step->outputs = calloc(step->output_count + 1, sizeof(*step->outputs));
    step->in = calloc(step->input_count + 1, sizeof(*step->in));
    step->out = calloc(step->output_count + 1, sizeof(*step->out));
    if (step->inputs == NULL || step->outputs == NULL || step->in == NULL ||
        step->out == NULL)
        return ws_error_nomem(err);
    return 0;
}

static void step_fini(struct step *step)
{
    free(step->inputs);
    free(step->outputs);
    free(step->in);
    free(step->out);
}

static int fix_outputs(struct ws_pipe *pipe, const struct step *step,
                       struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && step->session != NULL && i < step->output_count; i++) {
        if (!pipe->slots[step->outputs[i]].is_fixed)
            rc = fix_slot(pipe, step->outputs[i], ws_session_output(step->session, i),
                          err);
    }
    return rc;
}

static int prepare_head(struct ws_pipe *pipe, struct ws_error *err)
{
    struct step *step = &pipe->steps[HEAD];
    int rc = step_init(step, pipe->head.session, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < step->input_count; i++)
        step->inputs[i] = slot_of(pipe, pipe->head.inputs[i]);
    for (size_t i = 0; i < step->output_count; i++)
        step->outputs[i] = slot_of(pipe, pipe->head.outputs[i]);
    for (size_t i = 0; i < pipe->cut->tensor_count; i++)
        pipe->crossing[i] = slot_of(pipe, pipe->cut->tensors[i]);
    return fix_outputs(pipe, step, err);
}

/* Where the tail finds a value: what was received if it crossed. */
static size_t tail_slot(struct ws_pipe *pipe, size_t value)
{
    for (size_t i = 0; i < pipe->cut->tensor_count; i++) {
        if (pipe->cut->tensors[i] == value)
            return pipe->received[i];
    }
    return slot_of(pipe, value);
}

static int prepare_tail(struct ws_pipe *pipe, struct ws_error *err)
{
    struct step *step = &pipe->steps[TAIL];
    int rc = step_init(step, pipe->tail.session, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < step->input_count; i++)
        step->inputs[i] = tail_slot(pipe, pipe->tail.inputs[i]);
    for (size_t i = 0; i < step->output_count; i++)
        step->outputs[i] = slot_of(pipe, pipe->tail.outputs[i]);
    return fix_outputs(pipe, step, err);
}

static size_t named_crossing(const struct ws_pipe *pipe, const size_t *slots,
                             const char *name)
{
    for (size_t i = 0; i < pipe->cut->tensor_count; i++) {
        if (strcmp(pipe->graph->values[pipe->cut->tensors[i]].name, name) == 0)
            return slots[i];
    }
    return WS_NONE;
}

static size_t named_wire(const struct ws_pipe *pipe, const size_t *slots,
                         const char *name)
{
    for (size_t i = 0; i < pipe->wire_count; i++) {
        if (strcmp(ws_coding_wire(pipe->coding, i)->name, name) == 0)
            return slots[i];
    }
    return WS_NONE;
}

/* Slots for the wire tensors, and for the crossing tensors as they arrive. */
static void add_wire_slots(struct ws_pipe *pipe)
{
    int copies = pipe->encoding != WS_ENCODING_IDENTITY;
    for (size_t i = 0; i < pipe->wire_count; i++) {
        const struct ws_codec_wire *wire = ws_coding_wire(pipe->coding, i);
        pipe->wire[i] =
            wire->passes ? pipe->crossing[wire->tensor] : add_slot(pipe, WS_NONE);
        pipe->wire_received[i] = copies ? add_slot(pipe, WS_NONE) : pipe->wire[i];
        pipe->received[wire->tensor] =
            wire->passes ? pipe->wire_received[i] : pipe->received[wire->tensor];
    }
    for (size_t i = 0; i < pipe->cut->tensor_count; i++) {
        if (pipe->received[i] == WS_NONE)
            pipe->received[i] = add_slot(pipe, WS_NONE);
    }
}

static int prepare_codec(struct ws_pipe *pipe, struct ws_error *err)
{
    struct step *encoder = &pipe->steps[ENCODER], *decoder = &pipe->steps[DECODER];
    int plain = ws_coding_is_plain(pipe->coding);
    int rc = 0;
    if (!plain) {
        rc = ws_coder_session(&pipe->encoder, pipe->splitter, pipe->coding,
                              WS_CODEC_ENCODE, err);
        if (rc == 0)
            rc = ws_coder_session(&pipe->decoder, pipe->splitter, pipe->coding,
                                  WS_CODEC_DECODE, err);
    }
    if (rc == 0)
        rc = step_init(encoder, pipe->encoder, err);
    if (rc == 0)
        rc = step_init(decoder, pipe->decoder, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < encoder->input_count; i++)
        encoder->inputs[i] = named_crossing(pipe, pipe->crossing,
                                            ws_session_input(pipe->encoder, i)->name);
    for (size_t i = 0; i < encoder->output_count; i++)
        encoder->outputs[i] =
            named_wire(pipe, pipe->wire, ws_session_output(pipe->encoder, i)->name);
    for (size_t i = 0; i < decoder->input_count; i++)
        decoder->inputs[i] = named_wire(pipe, pipe->wire_received,
                                        ws_session_input(pipe->decoder, i)->name);
    for (size_t i = 0; i < decoder->output_count; i++)
        decoder->outputs[i] = named_crossing(pipe, pipe->received,
                                             ws_session_output(pipe->decoder, i)->name);
    rc = fix_outputs(pipe, encoder, err);
    return rc == 0 ? fix_outputs(pipe, decoder, err) : rc;
}

static int acquire(struct ws_pipe *pipe, size_t number, struct ws_error *err)
{
    size_t last = ws_splitter_cuts(pipe->splitter)->count - 1;
    int rc = 0;
    if (number > 0)
        rc = ws_splitter_acquire(&pipe->head, pipe->splitter, 0, number, err);
    if (rc == 0 && number < last)
        rc = ws_splitter_acquire(&pipe->tail, pipe->splitter, number, last, err);
    return rc;
}

static int allocate(struct ws_pipe *pipe, struct ws_error *err)
{
    size_t crossing = pipe->cut->tensor_count;
    pipe->wire_count = ws_coding_wire_count(pipe->coding);
    pipe->slot_room = pipe->graph->input_count + pipe->graph->output_count +
                      2 * crossing + 2 * pipe->wire_count + pipe->head.input_count +
                      pipe->head.output_count + pipe->tail.input_count +
                      pipe->tail.output_count;
    pipe->slots = calloc(pipe->slot_room + 1, sizeof(*pipe->slots));
    pipe->crossing = calloc(crossing + 1, sizeof(*pipe->crossing));
    pipe->received = calloc(crossing + 1, sizeof(*pipe->received));
    pipe->wire = calloc(pipe->wire_count + 1, sizeof(*pipe->wire));
    pipe->wire_received = calloc(pipe->wire_count + 1, sizeof(*pipe->wire_received));
    if (pipe->slots == NULL || pipe->crossing == NULL || pipe->received == NULL ||
        pipe->wire == NULL || pipe->wire_received == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < crossing; i++)
        pipe->received[i] = WS_NONE;
    return 0;
}

int ws_pipe_create(struct ws_pipe **out, struct ws_splitter *splitter,
                   const struct ws_pipe_options *options, struct ws_error *err)
{
    const struct ws_cuts *cuts = ws_splitter_cuts(splitter);
    if (options->cut >= cuts->count)
        return ws_error_set(err, WS_E_NOT_FOUND, "no cut %zu: the last is %zu",
                            options->cut, cuts->count - 1);
    if (cuts->cuts[options->cut].natural != WS_NATURAL_YES)
        return ws_error_set(err, WS_E_MISMATCH,
                            "cut %zu is not natural: its tensors do not survive the "
                            "runtime's optimisation, or are no tensors",
                            options->cut);
    struct ws_pipe *pipe = calloc(1, sizeof(*pipe));
    if (pipe == NULL)
        return ws_error_nomem(err);
    pipe->splitter = splitter;
    pipe->graph = ws_splitter_graph(splitter);
    pipe->cut = &cuts->cuts[options->cut];
    pipe->encoding = options->encoding;
    ws_buf_init(&pipe->encoded, WS_TENSOR_BYTES_MAX);
    ws_buf_init(&pipe->decoded, WS_TENSOR_BYTES_MAX);
    int rc = acquire(pipe, options->cut, err);
    if (rc == 0)
        rc = ws_coder_coding(&pipe->coding, splitter, pipe->cut, options->codec,
                             options->ranges, 0, err);
    if (rc == 0)
        rc = allocate(pipe, err);
    /* The caller's inputs come first, so that slot i is input i. */
    for (size_t i = 0; rc == 0 && i < pipe->graph->input_count; i++)
        pipe->slots[slot_of(pipe, pipe->graph->inputs[i])].is_borrowed = 1;
    if (rc == 0)
        rc = prepare_head(pipe, err);
    if (rc == 0) {
        add_wire_slots(pipe);
        rc = prepare_codec(pipe, err);
    }
    if (rc == 0)
        rc = prepare_tail(pipe, err);
    if (rc != 0) {
        ws_pipe_destroy(pipe);
        return rc;
    }
    *out = pipe;
    return 0;
}

/* Lets go of what the runtime made in the last run. */
static void empty_slots(struct ws_pipe *pipe)
{
    for (size_t s = 0; s < pipe->slot_count; s++) {
        struct slot *slot = &pipe->slots[s];
        if (slot->is_fixed)
            continue;
        if (!slot->is_borrowed)
            ws_engine_value_destroy(slot->held);
        slot->held = NULL;
    }
}

void ws_pipe_destroy(struct ws_pipe *pipe)
{
    if (pipe == NULL)
        return;
    empty_slots(pipe);
    for (size_t s = 0; s < pipe->slot_count; s++) {
        if (pipe->slots[s].is_fixed)
            ws_engine_value_destroy(pipe->slots[s].held);
        ws_tensor_fini(&pipe->slots[s].buffer);
    }
    for (int i = 0; i < STEP_COUNT; i++)
        step_fini(&pipe->steps[i]);
    ws_session_destroy(pipe->encoder);
    ws_session_destroy(pipe->decoder);
    ws_coding_destroy(pipe->coding);
    ws_splitter_release(pipe->splitter, &pipe->head);
    ws_splitter_release(pipe->splitter, &pipe->tail);
    ws_buf_fini(&pipe->encoded);
    ws_buf_fini(&pipe->decoded);
    free(pipe->slots);
    free(pipe->crossing);
    free(pipe->received);
    free(pipe->wire);
    free(pipe->wire_received);
    free(pipe);
}

static int run_step(struct ws_pipe *pipe, int which, int64_t *elapsed_ns,
                    struct ws_error *err)
{
    struct step *step = &pipe->steps[which];
    if (step->session == NULL)
        return 0;
    for (size_t i = 0; i < step->input_count; i++)
        step->in[i] = pipe->slots[step->inputs[i]].held;
    for (size_t i = 0; i < step->output_count; i++)
        step->out[i] = pipe->slots[step->outputs[i]].held;
    int64_t start = ws_clock_now_ns();
    int rc = ws_session_run(step->session, step->in, step->out, err);
    *elapsed_ns += ws_clock_now_ns() - start;
    for (size_t i = 0; rc == 0 && i < step->output_count; i++)
        pipe->slots[step->outputs[i]].held = step->out[i];
    return rc;
}

/* Compresses all wire tensors as one body, undoes it, and gives each its own memory
 * again: what a socket between the two sides would do to them. */
static int encode_and_back(struct ws_pipe *pipe, struct ws_pipe_times *times,
                           struct ws_error *err)
{
    struct ws_tensor view;
    struct ws_buf body;
    int64_t start = ws_clock_now_ns();
    ws_buf_init(&body, WS_TENSOR_BYTES_MAX);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < pipe->wire_count; i++) {
        rc = ws_engine_value_view(&view, pipe->slots[pipe->wire[i]].held, err);
        if (rc == 0)
            rc = ws_buf_add(&body, view.data, view.size_bytes, err);
    }
    ws_buf_clear(&pipe->encoded);
    if (rc == 0)
        rc =
            ws_encoding_encode(&pipe->encoded, pipe->encoding, body.data, body.size, err);
    int64_t middle = ws_clock_now_ns();
    times->encode_ns += middle - start;
    ws_buf_clear(&pipe->decoded);
    if (rc == 0)
        rc = ws_encoding_decode(&pipe->decoded, pipe->encoding, pipe->encoded.data,
                                pipe->encoded.size, body.size, err);
    size_t at = 0;
    for (size_t i = 0; rc == 0 && i < pipe->wire_count; i++) {
        struct slot *slot = &pipe->slots[pipe->wire_received[i]];
        rc = ws_engine_value_view(&view, pipe->slots[pipe->wire[i]].held, err);
        ws_tensor_fini(&slot->buffer);
        if (rc == 0)
            rc = ws_tensor_init(&slot->buffer, view.dtype, view.dims, view.rank, err);
        if (rc == 0 && view.size_bytes > 0)
            memcpy(slot->buffer.data, pipe->decoded.data + at, view.size_bytes);
        if (rc == 0)
            rc = ws_engine_value_from_tensor(
                &slot->held, ws_splitter_engine(pipe->splitter), &slot->buffer, err);
        at += view.size_bytes;
    }
    times->decode_ns += ws_clock_now_ns() - middle;
    times->wire_bytes = pipe->encoded.size;
    ws_buf_fini(&body);
    return rc;
}

/* Bytes of a tensor as it travels; a string as its length in four bytes and itself. */
static int travel_bytes(uint64_t *out, const struct ws_engine_value *value,
                        struct ws_error *err)
{
    struct ws_datum copy;
    struct ws_tensor view;
    if (ws_engine_value_view(&view, value, err) == 0) {
        *out = view.size_bytes;
        return 0;
    }
    int rc = ws_engine_value_to_datum(&copy, value, err);
    if (rc != 0)
        return rc;
    char *const *strings = copy.tensor.data;
    uint64_t bytes = 0;
    for (size_t i = 0; i < copy.tensor.size_bytes / sizeof(char *); i++)
        bytes += 4 + strlen(strings[i]);
    ws_datum_fini(&copy);
    *out = bytes;
    return 0;
}

static int count_wire_bytes(struct ws_pipe *pipe, struct ws_pipe_times *times,
                            struct ws_error *err)
{
    times->tensor_bytes = 0;
    for (size_t i = 0; i < pipe->wire_count; i++) {
        uint64_t bytes = 0;
        int rc = travel_bytes(&bytes, pipe->slots[pipe->wire[i]].held, err);
        if (rc != 0)
            return rc;
        times->tensor_bytes += bytes;
    }
    times->wire_bytes = times->tensor_bytes;
    return 0;
}

int ws_pipe_run(struct ws_pipe *pipe, struct ws_engine_value *const *inputs,
                struct ws_pipe_times *times, struct ws_error *err)
{
    struct ws_pipe_times local = {0};
    empty_slots(pipe);
    for (size_t i = 0; i < pipe->graph->input_count; i++)
        pipe->slots[i].held = inputs[i];
    int rc = run_step(pipe, HEAD, &local.head_ns, err);
    if (rc == 0)
        rc = run_step(pipe, ENCODER, &local.encode_ns, err);
    if (rc == 0)
        rc = count_wire_bytes(pipe, &local, err);
    if (rc == 0 && pipe->encoding != WS_ENCODING_IDENTITY && pipe->wire_count > 0)
        rc = encode_and_back(pipe, &local, err);
    if (rc == 0)
        rc = run_step(pipe, DECODER, &local.decode_ns, err);
    if (rc == 0)
        rc = run_step(pipe, TAIL, &local.tail_ns, err);
    if (rc == 0 && times != NULL)
        *times = local;
    return rc;
}

struct ws_engine_value *ws_pipe_output(const struct ws_pipe *pipe, size_t index)
{
    size_t value = pipe->graph->outputs[index];
    for (size_t s = 0; s < pipe->slot_count; s++) {
        if (pipe->slots[s].value == value)
            return pipe->slots[s].held;
    }
    return NULL;
}

struct ws_engine_value *ws_pipe_crossing(const struct ws_pipe *pipe, size_t index)
{
    return pipe->slots[pipe->crossing[index]].held;
}

int ws_pipe_run_datums(struct ws_pipe *pipe, const struct ws_datum *inputs,
                       struct ws_datum *outputs, struct ws_pipe_times *times,
                       struct ws_error *err)
{
    const struct ws_graph *graph = pipe->graph;
    struct ws_engine *engine = ws_splitter_engine(pipe->splitter);
    struct ws_engine_value **values = calloc(graph->input_count + 1, sizeof(*values));
    int rc = values == NULL ? ws_error_nomem(err) : 0;
    for (size_t i = 0; rc == 0 && i < graph->input_count; i++)
        rc = ws_engine_value_from_datum(&values[i], engine, &inputs[i], err);
    if (rc == 0)
        rc = ws_pipe_run(pipe, values, times, err);
    size_t done = 0;
    for (; rc == 0 && done < graph->output_count; done++)
        rc = ws_engine_value_to_datum(&outputs[done], ws_pipe_output(pipe, done), err);
    /* What failed was not written; what was, the caller shall not have. */
    for (size_t i = 0; rc != 0 && i + 1 < done; i++)
        ws_datum_fini(&outputs[i]);
    for (size_t i = 0; values != NULL && i < graph->input_count; i++)
        ws_engine_value_destroy(values[i]);
    free(values);
    return rc;
}

int ws_pipe_calibrate(struct ws_codec_range *ranges, const struct ws_pipe *pipe,
                      struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < pipe->cut->tensor_count; i++) {
        enum ws_dtype dtype = pipe->graph->values[pipe->cut->tensors[i]].dtype;
        struct ws_tensor view;
        if (dtype != WS_DTYPE_FP32 && dtype != WS_DTYPE_FP64 && dtype != WS_DTYPE_FP16 &&
            dtype != WS_DTYPE_BF16)
            continue;
        rc = ws_engine_value_view(&view, ws_pipe_crossing(pipe, i), err);
        if (rc == 0)
            rc = ws_codec_range_add(&ranges[i], &view, err);
    }
    return rc;
}

int ws_pipe_learn_ranges(struct ws_codec_range *ranges, struct ws_splitter *splitter,
                         size_t cut, const struct ws_datum *inputs, struct ws_error *err)
{
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    struct ws_pipe_options plain = {.cut = cut};
    struct ws_pipe *pipe = NULL;
    struct ws_datum *outputs = calloc(graph->output_count + 1, sizeof(*outputs));
    int rc = outputs == NULL ? ws_error_nomem(err)
                             : ws_pipe_create(&pipe, splitter, &plain, err);
    if (rc == 0)
        rc = ws_pipe_run_datums(pipe, inputs, outputs, NULL, err);
    if (rc == 0)
        rc = ws_pipe_calibrate(ranges, pipe, err);
    for (size_t i = 0; outputs != NULL && i < graph->output_count; i++)
        ws_datum_fini(&outputs[i]);
    free(outputs);
    ws_pipe_destroy(pipe);
    return rc;
}
