#include "split/stage.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "split/coder.h"
#include "split/demand.h"

/* A session's inputs and outputs as places between steps. */
struct step {
    size_t *inputs, *outputs;
    size_t input_count, output_count;
};

struct ws_stage {
    struct ws_splitter *splitter;
    const struct ws_graph *graph;
    const struct ws_cut *cut;
    enum ws_stage_side side;
    size_t from, to;    /* cuts the segment lies between */
    enum ws_codec form; /* of the coding */
    struct ws_coding *coding;
    struct ws_session *codec; /* NULL: every tensor passes */
    struct step codec_step, segment_step;
    size_t *place_value; /* of each place: its graph value, or WS_NONE */
    size_t place_count, place_room;
    size_t *wire_places; /* of the coding's wire tensors */
    struct ws_stage_port *inputs, *outputs;
    size_t *input_places, *output_places;
    size_t input_count, output_count, wire_count;
};

static size_t add_place(struct ws_stage *stage, size_t value)
{
    stage->place_value[stage->place_count] = value;
    return stage->place_count++;
}

static size_t place_of(struct ws_stage *stage, size_t value)
{
    for (size_t p = 0; p < stage->place_count; p++) {
        if (stage->place_value[p] == value)
            return p;
    }
    return add_place(stage, value);
}

static int step_init(struct step *step, size_t input_count, size_t output_count,
                     struct ws_error *err)
{
    step->inputs = calloc(input_count + 1, sizeof(*step->inputs));
    step->outputs = calloc(output_count + 1, sizeof(*step->outputs));
    step->input_count = input_count;
    step->output_count = output_count;
    return step->inputs == NULL || step->outputs == NULL ? ws_error_nomem(err) : 0;
}

/* The segment's lists stay the same however often it is loaded. */
static int prepare_segment(struct ws_stage *stage, const struct ws_segment_use *use,
                           struct ws_error *err)
{
    struct step *step = &stage->segment_step;
    int rc = step_init(step, use->input_count, use->output_count, err);
    for (size_t i = 0; rc == 0 && i < use->input_count; i++)
        step->inputs[i] = place_of(stage, use->inputs[i]);
    for (size_t i = 0; rc == 0 && i < use->output_count; i++)
        step->outputs[i] = place_of(stage, use->outputs[i]);
    return rc;
}

/* The place of a name among the wire tensors or the tensors of the cut. */
static size_t place_named(struct ws_stage *stage, const char *name)
{
    for (size_t i = 0; i < ws_coding_wire_count(stage->coding); i++) {
        if (strcmp(ws_coding_wire(stage->coding, i)->name, name) == 0)
            return stage->wire_places[i];
    }
    for (size_t i = 0; i < stage->cut->tensor_count; i++) {
        if (strcmp(stage->graph->values[stage->cut->tensors[i]].name, name) == 0)
            return place_of(stage, stage->cut->tensors[i]);
    }
    return WS_NONE;
}

static int prepare_codec(struct ws_stage *stage, struct ws_error *err)
{
    size_t count = ws_coding_wire_count(stage->coding);
    enum ws_codec_side side =
        stage->side == WS_STAGE_HEAD ? WS_CODEC_ENCODE : WS_CODEC_DECODE;
    struct step *step = &stage->codec_step;
    for (size_t i = 0; i < count; i++) {
        const struct ws_codec_wire *wire = ws_coding_wire(stage->coding, i);
        stage->wire_places[i] = wire->passes
                                    ? place_of(stage, stage->cut->tensors[wire->tensor])
                                    : add_place(stage, WS_NONE);
    }
    if (ws_coding_is_plain(stage->coding))
        return 0;
    int rc = ws_coder_session(&stage->codec, stage->splitter, stage->coding, side, err);
    if (rc == 0)
        rc = step_init(step, ws_session_input_count(stage->codec),
                       ws_session_output_count(stage->codec), err);
    for (size_t i = 0; rc == 0 && i < step->input_count; i++)
        step->inputs[i] = place_named(stage, ws_session_input(stage->codec, i)->name);
    for (size_t i = 0; rc == 0 && i < step->output_count; i++)
        step->outputs[i] = place_named(stage, ws_session_output(stage->codec, i)->name);
    return rc;
}

static struct ws_stage_port value_port(const struct ws_stage *stage, size_t value)
{
    const struct ws_value *from = &stage->graph->values[value];
    struct ws_stage_port port = {.name = from->name,
                                 .is_tensor = from->is_tensor,
                                 .dtype = from->dtype,
                                 .has_shape = from->has_shape,
                                 .rank = from->rank,
                                 .value = value};
    memcpy(port.dims, from->dims, sizeof(port.dims));
    return port;
}

static struct ws_stage_port wire_port(const struct ws_stage *stage, size_t index)
{
    const struct ws_codec_wire *wire = ws_coding_wire(stage->coding, index);
    struct ws_stage_port port = {.name = wire->name,
                                 .is_tensor = 1,
                                 .dtype = wire->dtype,
                                 .has_shape = wire->has_shape,
                                 .rank = wire->rank,
                                 .value = wire->passes ? stage->cut->tensors[wire->tensor]
                                                       : WS_NONE};
    memcpy(port.dims, wire->dims, sizeof(port.dims));
    return port;
}

static void add_input(struct ws_stage *stage, struct ws_stage_port port, size_t place)
{
    stage->inputs[stage->input_count] = port;
    stage->input_places[stage->input_count++] = place;
}

static void add_output(struct ws_stage *stage, struct ws_stage_port port, size_t place)
{
    stage->outputs[stage->output_count] = port;
    stage->output_places[stage->output_count++] = place;
}

static int prepare_ports(struct ws_stage *stage, struct ws_error *err)
{
    const struct ws_graph *graph = stage->graph;
    size_t wires = ws_coding_wire_count(stage->coding);
    int is_head = stage->side == WS_STAGE_HEAD;
    int is_whole = stage->from == 0 && ws_coding_is_plain(stage->coding);
    size_t *outputs = calloc(graph->output_count + 1, sizeof(*outputs));
    if (outputs == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; (is_head || is_whole) && i < graph->input_count; i++)
        add_input(stage, value_port(stage, graph->inputs[i]),
                  place_of(stage, graph->inputs[i]));
    for (size_t i = 0; i < wires; i++) {
        if (is_head)
            add_output(stage, wire_port(stage, i), stage->wire_places[i]);
        else if (!is_whole)
            add_input(stage, wire_port(stage, i), stage->wire_places[i]);
    }
    stage->wire_count = is_head ? wires : 0;
    size_t count = ws_cut_outputs(outputs, ws_splitter_cuts(stage->splitter),
                                  stage->cut->number, !is_head);
    for (size_t i = 0; i < count; i++)
        add_output(stage, value_port(stage, outputs[i]), place_of(stage, outputs[i]));
    free(outputs);
    return 0;
}

static int allocate(struct ws_stage *stage, const struct ws_segment_use *use,
                    struct ws_error *err)
{
    size_t wires = ws_coding_wire_count(stage->coding);
    size_t ends = stage->graph->input_count + stage->graph->output_count + wires + 1;
    stage->place_room =
        ends + wires + stage->cut->tensor_count + use->input_count + use->output_count;
    stage->place_value = calloc(stage->place_room, sizeof(*stage->place_value));
    stage->wire_places = calloc(wires + 1, sizeof(*stage->wire_places));
    stage->inputs = calloc(ends, sizeof(*stage->inputs));
    stage->outputs = calloc(ends, sizeof(*stage->outputs));
    stage->input_places = calloc(ends, sizeof(*stage->input_places));
    stage->output_places = calloc(ends, sizeof(*stage->output_places));
    if (stage->place_value == NULL || stage->wire_places == NULL ||
        stage->inputs == NULL || stage->outputs == NULL || stage->input_places == NULL ||
        stage->output_places == NULL)
        return ws_error_nomem(err);
    return 0;
}

/* Without a segment (cut 0 has no head, the last cut no tail) *use is empty. */
static int acquire(struct ws_segment_use *use, const struct ws_stage *stage,
                   struct ws_error *err)
{
    *use = (struct ws_segment_use){0};
    if (stage->from == stage->to)
        return 0;
    return ws_splitter_acquire(use, stage->splitter, stage->from, stage->to, err);
}

int ws_stage_create(struct ws_stage **out, struct ws_splitter *splitter, size_t cut,
                    enum ws_codec codec, const struct ws_codec_range *ranges,
                    enum ws_stage_side side, struct ws_error *err)
{
    const struct ws_cuts *cuts = ws_splitter_cuts(splitter);
    struct ws_segment_use use = {0};
    if (cut >= cuts->count)
        return ws_error_set(err, WS_E_NOT_FOUND, "no cut %zu: the last is %zu", cut,
                            cuts->count - 1);
    if (cuts->cuts[cut].natural != WS_NATURAL_YES)
        return ws_error_set(err, WS_E_MISMATCH,
                            "cut %zu is not natural: its tensors do not survive the "
                            "runtime's optimisation, or are no tensors",
                            cut);
    struct ws_stage *stage = calloc(1, sizeof(*stage));
    if (stage == NULL)
        return ws_error_nomem(err);
    stage->splitter = splitter;
    stage->graph = ws_splitter_graph(splitter);
    stage->cut = &cuts->cuts[cut];
    stage->side = side;
    stage->form = codec;
    stage->from = side == WS_STAGE_HEAD ? 0 : cut;
    stage->to = side == WS_STAGE_HEAD ? cut : cuts->count - 1;
    int rc = ws_coder_coding(&stage->coding, splitter, stage->cut, codec, ranges, 1, err);
    if (rc == 0)
        rc = acquire(&use, stage, err);
    if (rc == 0)
        rc = allocate(stage, &use, err);
    if (rc == 0)
        rc = prepare_segment(stage, &use, err);
    if (rc == 0)
        rc = prepare_codec(stage, err);
    if (rc == 0)
        rc = prepare_ports(stage, err);
    ws_splitter_release(splitter, &use);
    if (rc != 0)
        ws_stage_destroy(stage);
    else
        *out = stage;
    return rc;
}

void ws_stage_destroy(struct ws_stage *stage)
{
    if (stage == NULL)
        return;
    ws_session_destroy(stage->codec);
    ws_coding_destroy(stage->coding);
    free(stage->codec_step.inputs);
    free(stage->codec_step.outputs);
    free(stage->segment_step.inputs);
    free(stage->segment_step.outputs);
    free(stage->place_value);
    free(stage->wire_places);
    free(stage->inputs);
    free(stage->outputs);
    free(stage->input_places);
    free(stage->output_places);
    free(stage);
}

size_t ws_stage_input_count(const struct ws_stage *stage)
{
    return stage->input_count;
}

size_t ws_stage_output_count(const struct ws_stage *stage)
{
    return stage->output_count;
}

const struct ws_stage_port *ws_stage_input(const struct ws_stage *stage, size_t index)
{
    return &stage->inputs[index];
}

const struct ws_stage_port *ws_stage_output(const struct ws_stage *stage, size_t index)
{
    return &stage->outputs[index];
}

void ws_stage_work(struct ws_work *out, const struct ws_stage *stage)
{
    ws_work_of_segment(out, ws_splitter_cuts(stage->splitter), stage->from, stage->to);
    ws_work_add_codec(out, ws_splitter_cuts(stage->splitter), stage->cut->number,
                      stage->form);
}

size_t ws_stage_wire_count(const struct ws_stage *stage)
{
    return stage->wire_count;
}

static int run_step(struct ws_stage_result *result, struct ws_session *session,
                    const struct step *step, int64_t *elapsed_ns, struct ws_error *err)
{
    if (session == NULL)
        return 0;
    struct ws_engine_value **in =
        calloc(step->input_count + 1, sizeof(struct ws_engine_value *));
    struct ws_engine_value **made =
        calloc(step->output_count + 1, sizeof(struct ws_engine_value *));
    int rc = in == NULL || made == NULL ? ws_error_nomem(err) : 0;
    for (size_t i = 0; rc == 0 && i < step->input_count; i++)
        in[i] = result->values[step->inputs[i]];
    int64_t start = ws_clock_now_ns();
    if (rc == 0)
        rc = ws_session_run(session, in, made, err);
    *elapsed_ns += ws_clock_now_ns() - start;
    for (size_t i = 0; rc == 0 && i < step->output_count; i++)
        result->values[step->outputs[i]] = made[i];
    free(in);
    free(made);
    return rc;
}

static int run_segment(struct ws_stage_result *result, struct ws_stage *stage,
                       struct ws_error *err)
{
    struct ws_segment_use use;
    int rc = acquire(&use, stage, err);
    if (rc == 0)
        rc =
            run_step(result, use.session, &stage->segment_step, &result->compute_ns, err);
    ws_splitter_release(stage->splitter, &use);
    return rc;
}

int ws_stage_run(struct ws_stage_result *out, struct ws_stage *stage,
                 struct ws_engine_value *const *inputs, struct ws_error *err)
{
    struct ws_stage_result result = {.value_count = stage->place_count,
                                     .output_count = stage->output_count};
    result.values = calloc(stage->place_count + 1, sizeof(struct ws_engine_value *));
    result.is_borrowed = calloc(stage->place_count + 1, 1);
    result.outputs = calloc(stage->output_count + 1, sizeof(struct ws_engine_value *));
    int is_head = stage->side == WS_STAGE_HEAD;
    int rc = 0;
    if (result.values == NULL || result.is_borrowed == NULL || result.outputs == NULL)
        rc = ws_error_nomem(err);
    for (size_t i = 0; rc == 0 && i < stage->input_count; i++) {
        result.values[stage->input_places[i]] = inputs[i];
        result.is_borrowed[stage->input_places[i]] = 1;
    }
    if (rc == 0 && is_head)
        rc = run_segment(&result, stage, err);
    if (rc == 0)
        rc = run_step(&result, stage->codec, &stage->codec_step, &result.codec_ns, err);
    if (rc == 0 && !is_head)
        rc = run_segment(&result, stage, err);
    for (size_t i = 0; rc == 0 && i < stage->output_count; i++)
        result.outputs[i] = result.values[stage->output_places[i]];
    if (rc != 0)
        ws_stage_result_fini(&result);
    else
        *out = result;
    return rc;
}

void ws_stage_result_fini(struct ws_stage_result *result)
{
    for (size_t i = 0; result->values != NULL && i < result->value_count; i++) {
        if (result->is_borrowed != NULL && !result->is_borrowed[i])
            ws_engine_value_destroy(result->values[i]);
    }
    free(result->values);
    free(result->is_borrowed);
    free(result->outputs);
    *result = (struct ws_stage_result){0};
}
