/* A segment as a ModelProto: what segment.c has found, put into a message. */
#include <stdlib.h>
#include <string.h>

#include "onnx/declare.h"
#include "onnx/graph_impl.h"
#include "onnx/segment.h"
#include "onnx/tensorproto.h"

/* Initializers need not be declared as inputs from this version on. */
enum { IR_VERSION_MIN = 4 };

/* ---- the answers of Shape and Size, as Constant nodes ---- */

struct answer {
    Onnx__NodeProto node;
    Onnx__AttributeProto attribute;
    Onnx__AttributeProto *attributes[1];
    Onnx__TensorProto tensor;
    int64_t values[WS_TENSOR_RANK_MAX];
    int64_t dims[1];
};

/* Shape's start and end (opset 15): negative ones count from the end, and both are
 * clamped. */
static size_t clamp_axis(int64_t axis, size_t rank)
{
    if (axis < 0)
        axis += (int64_t)rank;
    if (axis < 0)
        return 0;
    return axis > (int64_t)rank ? rank : (size_t)axis;
}

static void answer_values(struct answer *answer, const struct ws_node *node,
                          const struct ws_value *value)
{
    if (ws_node_is(node->proto, "Size")) {
        answer->values[0] = 1;
        for (size_t i = 0; i < value->rank; i++)
            answer->values[0] *= value->dims[i];
        answer->dims[0] = 1;
        answer->tensor.n_dims = 0; /* a scalar */
        return;
    }
    size_t start = clamp_axis(ws_node_int(node->proto, "start", 0), value->rank);
    size_t end =
        clamp_axis(ws_node_int(node->proto, "end", (int64_t)value->rank), value->rank);
    size_t count = end > start ? end - start : 0;
    memcpy(answer->values, value->dims + start, count * sizeof(int64_t));
    answer->dims[0] = (int64_t)count;
    answer->tensor.n_dims = 1;
}

static void answer_init(struct answer *answer, const struct ws_node *node,
                        const struct ws_value *value)
{
    static char constant[] = "Constant", attribute[] = "value";
    answer->tensor = (Onnx__TensorProto)ONNX__TENSOR_PROTO__INIT;
    answer_values(answer, node, value);
    answer->tensor.dims = answer->dims;
    answer->tensor.has_data_type = 1;
    answer->tensor.data_type = WS_DTYPE_INT64;
    answer->tensor.has_raw_data = 1;
    answer->tensor.raw_data =
        (ProtobufCBinaryData){.data = (uint8_t *)answer->values,
                              .len = (size_t)answer->dims[0] * sizeof(int64_t)};
    answer->attribute = (Onnx__AttributeProto)ONNX__ATTRIBUTE_PROTO__INIT;
    answer->attribute.name = attribute;
    answer->attribute.has_type = 1;
    answer->attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
    answer->attribute.t = &answer->tensor;
    answer->attributes[0] = &answer->attribute;
    answer->node = (Onnx__NodeProto)ONNX__NODE_PROTO__INIT;
    answer->node.op_type = constant;
    answer->node.name = node->proto->name;
    answer->node.n_output = node->proto->n_output;
    answer->node.output = node->proto->output;
    answer->node.n_attribute = 1;
    answer->node.attribute = answer->attributes;
}

/* ---- the message ---- */

/* A ModelProto made of borrowed parts: the arrays are ours, what they point at is not. */
struct draft {
    const struct ws_graph *graph;
    const struct ws_segment *segment;
    const struct ws_segment_spec *spec;
    Onnx__ModelProto model;
    Onnx__GraphProto body;
    struct answer *answers;
    struct ws_declaration *declared;
    size_t declared_count;
};

static int draft_nodes(struct draft *draft, struct ws_error *err)
{
    const struct ws_segment_spec *spec = draft->spec;
    const struct ws_segment *segment = draft->segment;
    size_t count = spec->prologue_count + segment->node_count + spec->epilogue_count;
    Onnx__NodeProto **nodes = calloc(count + 1, sizeof(*nodes));
    draft->body.node = nodes;
    draft->answers = calloc(segment->node_count + 1, sizeof(*draft->answers));
    if (nodes == NULL || draft->answers == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < spec->prologue_count; i++)
        *nodes++ = spec->prologue[i];
    for (size_t i = 0; i < segment->node_count; i++) {
        const struct ws_node *node = &draft->graph->nodes[segment->nodes[i]];
        if (ws_node_is_answered(draft->graph, node)) {
            answer_init(&draft->answers[i], node, &draft->graph->values[node->inputs[0]]);
            *nodes++ = &draft->answers[i].node;
        } else {
            *nodes++ = (Onnx__NodeProto *)(uintptr_t)node->proto;
        }
    }
    for (size_t i = 0; i < spec->epilogue_count; i++)
        *nodes++ = spec->epilogue[i];
    draft->body.n_node = count;
    return 0;
}

/* Sparse weights are not among ws_model_weight's: those whose name a kept node reads. */
static int draft_sparse(struct draft *draft, const unsigned char *read,
                        struct ws_error *err)
{
    const Onnx__GraphProto *from = ws_model_proto(draft->graph->model)->graph;
    draft->body.n_sparse_initializer = 0;
    draft->body.sparse_initializer =
        calloc(from->n_sparse_initializer + 1, sizeof(*draft->body.sparse_initializer));
    if (draft->body.sparse_initializer == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < from->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = from->sparse_initializer[i]->values;
        size_t id = 0;
        if (values != NULL &&
            ws_names_find(&id, &draft->graph->by_name, ws_proto_text(values->name)) &&
            read[id])
            draft->body.sparse_initializer[draft->body.n_sparse_initializer++] =
                from->sparse_initializer[i];
    }
    return 0;
}

static int draft_weights(struct draft *draft, const unsigned char *read,
                         struct ws_error *err)
{
    const Onnx__GraphProto *from = ws_model_proto(draft->graph->model)->graph;
    const struct ws_segment *segment = draft->segment;
    const struct ws_segment_spec *spec = draft->spec;
    size_t count = segment->weight_count + spec->extra_weight_count;
    draft->body.initializer = calloc(count + 1, sizeof(*draft->body.initializer));
    if (draft->body.initializer == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < segment->weight_count; i++)
        draft->body.initializer[i] = from->initializer[segment->weights[i]];
    for (size_t i = 0; i < spec->extra_weight_count; i++)
        draft->body.initializer[segment->weight_count + i] = spec->extra_weights[i];
    draft->body.n_initializer = count;
    return draft_sparse(draft, read, err);
}

static Onnx__ValueInfoProto *declare(struct draft *draft, size_t value)
{
    struct ws_declaration *declared = &draft->declared[draft->declared_count++];
    ws_declaration_init(declared, &draft->graph->values[value]);
    return &declared->info;
}

static int draft_inputs(struct draft *draft, struct ws_error *err)
{
    const struct ws_segment *segment = draft->segment;
    const struct ws_segment_spec *spec = draft->spec;
    size_t count = spec->input_count > 0 ? spec->input_count : segment->input_count;
    Onnx__ValueInfoProto **inputs = calloc(count + 1, sizeof(*inputs));
    draft->body.input = inputs;
    draft->body.n_input = count;
    if (inputs == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        inputs[i] =
            spec->input_count > 0 ? spec->inputs[i] : declare(draft, segment->inputs[i]);
        if (inputs[i]->type == NULL)
            return ws_error_set(err, WS_E_UNKNOWN,
                                "the type of \"%s\" is not known, so no segment can "
                                "begin there",
                                inputs[i]->name);
    }
    return 0;
}

static int is_in(const size_t *list, size_t count, size_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == value)
            return 1;
    }
    return 0;
}

static int draft_outputs(struct draft *draft, struct ws_error *err)
{
    const struct ws_segment_spec *spec = draft->spec;
    size_t count_max = spec->output_count > 0 ? spec->output_count : spec->to_count;
    Onnx__ValueInfoProto **outputs = calloc(count_max + 1, sizeof(*outputs));
    draft->body.output = outputs;
    draft->body.n_output = 0;
    if (outputs == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count_max; i++) {
        if (spec->output_count > 0)
            outputs[draft->body.n_output++] = spec->outputs[i];
        else if (!is_in(spec->to, i, spec->to[i]))
            outputs[draft->body.n_output++] = declare(draft, spec->to[i]);
    }
    return 0;
}

/* The file's remarks on tensors that nodes of the segment make. */
static int draft_remarks(struct draft *draft, const unsigned char *made,
                         struct ws_error *err)
{
    const struct ws_graph *graph = draft->graph;
    const Onnx__GraphProto *from = ws_model_proto(graph->model)->graph;
    size_t id = 0;
    draft->body.n_value_info = draft->body.n_quantization_annotation = 0;
    draft->body.value_info =
        calloc(from->n_value_info + 1, sizeof(*draft->body.value_info));
    draft->body.quantization_annotation =
        calloc(from->n_quantization_annotation + 1,
               sizeof(*draft->body.quantization_annotation));
    if (!draft->body.value_info || !draft->body.quantization_annotation)
        return ws_error_nomem(err);
    for (size_t i = 0; i < from->n_value_info; i++) {
        Onnx__ValueInfoProto *info = from->value_info[i];
        if (ws_names_find(&id, &graph->by_name, ws_proto_text(info->name)) && made[id])
            draft->body.value_info[draft->body.n_value_info++] = info;
    }
    for (size_t i = 0; i < from->n_quantization_annotation; i++) {
        Onnx__TensorAnnotation *note = from->quantization_annotation[i];
        if (ws_names_find(&id, &graph->by_name, ws_proto_text(note->tensor_name)) &&
            made[id])
            draft->body.quantization_annotation[draft->body.n_quantization_annotation++] =
                note;
    }
    return 0;
}

/* What nodes of the segment read and, other than as outputs of it, make. */
static void mark_values(const struct draft *draft, unsigned char *read,
                        unsigned char *made)
{
    for (size_t i = 0; i < draft->segment->node_count; i++) {
        const struct ws_node *node = &draft->graph->nodes[draft->segment->nodes[i]];
        for (size_t k = 0; k < node->input_count; k++) {
            if (node->inputs[k] != WS_NONE)
                read[node->inputs[k]] = 1;
        }
        for (size_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] != WS_NONE)
                made[node->outputs[k]] = 1;
        }
    }
    for (size_t i = 0; i < draft->spec->to_count; i++) {
        read[draft->spec->to[i]] = 1;
        made[draft->spec->to[i]] = 0; /* its declaration as an output says it */
    }
}

static int draft_graph(struct draft *draft, struct ws_error *err)
{
    unsigned char *read = calloc(draft->graph->value_count + 1, 1);
    unsigned char *made = calloc(draft->graph->value_count + 1, 1);
    int rc = 0;
    if (read == NULL || made == NULL) {
        rc = ws_error_nomem(err);
        goto out;
    }
    mark_values(draft, read, made);
    rc = draft_nodes(draft, err);
    if (rc == 0)
        rc = draft_weights(draft, read, err);
    if (rc == 0)
        rc = draft_inputs(draft, err);
    if (rc == 0)
        rc = draft_outputs(draft, err);
    if (rc == 0)
        rc = draft_remarks(draft, made, err);
out:
    free(read);
    free(made);
    return rc;
}

/* "ai.onnx" is another name of "". */
static const char *domain_of(const Onnx__OperatorSetIdProto *opset)
{
    const char *domain = ws_proto_text(opset->domain);
    return strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

static int has_domain(const Onnx__ModelProto *model, const char *domain)
{
    for (size_t i = 0; i < model->n_opset_import; i++) {
        if (strcmp(domain_of(model->opset_import[i]), domain) == 0)
            return 1;
    }
    return 0;
}

static int draft_opsets(struct draft *draft, struct ws_error *err)
{
    const Onnx__ModelProto *from = ws_model_proto(draft->graph->model);
    const struct ws_segment_spec *spec = draft->spec;
    Onnx__OperatorSetIdProto **opsets =
        calloc(from->n_opset_import + spec->opset_count + 1, sizeof(*opsets));
    if (opsets == NULL) {
        draft->model.n_opset_import = 0;
        draft->model.opset_import = NULL;
        return ws_error_nomem(err);
    }
    size_t count = from->n_opset_import;
    if (count > 0)
        memcpy(opsets, from->opset_import, count * sizeof(*opsets));
    for (size_t i = 0; i < spec->opset_count; i++) {
        if (!has_domain(from, domain_of(spec->opsets[i])))
            opsets[count++] = spec->opsets[i];
    }
    draft->model.opset_import = opsets;
    draft->model.n_opset_import = count;
    return 0;
}

static int has_key(const struct ws_segment_spec *spec, const char *key)
{
    for (size_t i = 0; i < spec->metadata_count; i++) {
        if (strcmp(ws_proto_text(spec->metadata[i]->key), key) == 0)
            return 1;
    }
    return 0;
}

static int draft_metadata(struct draft *draft, struct ws_error *err)
{
    const Onnx__ModelProto *from = ws_model_proto(draft->graph->model);
    const struct ws_segment_spec *spec = draft->spec;
    Onnx__StringStringEntryProto **entries =
        calloc(from->n_metadata_props + spec->metadata_count + 1, sizeof(*entries));
    draft->model.metadata_props = entries;
    if (entries == NULL)
        return ws_error_nomem(err);
    size_t count = 0;
    for (size_t i = 0; i < from->n_metadata_props; i++) {
        if (!has_key(spec, ws_proto_text(from->metadata_props[i]->key)))
            entries[count++] = from->metadata_props[i];
    }
    for (size_t i = 0; i < spec->metadata_count; i++)
        entries[count++] = spec->metadata[i];
    draft->model.n_metadata_props = count;
    return 0;
}

/* Everything that is not copied by reference starts out empty, so that draft_fini may be
 * called at any time. */
static void draft_empty(struct draft *draft)
{
    const Onnx__ModelProto *from = ws_model_proto(draft->graph->model);
    draft->model = *from;
    draft->model.graph = &draft->body;
    draft->model.n_training_info = 0; /* what trains the whole does not train a part */
    draft->model.opset_import = NULL;
    draft->model.metadata_props = NULL;
    if (draft->model.ir_version < IR_VERSION_MIN) {
        draft->model.has_ir_version = 1;
        draft->model.ir_version = IR_VERSION_MIN;
    }
    draft->body = *from->graph;
    if (draft->spec->name != NULL)
        draft->body.name = (char *)(uintptr_t)draft->spec->name;
    draft->body.node = NULL;
    draft->body.initializer = NULL;
    draft->body.sparse_initializer = NULL;
    draft->body.input = NULL;
    draft->body.output = NULL;
    draft->body.value_info = NULL;
    draft->body.quantization_annotation = NULL;
}

static int draft_init(struct draft *draft, struct ws_error *err)
{
    size_t declared = draft->segment->input_count + draft->spec->to_count;
    draft_empty(draft);
    draft->declared = calloc(declared + 1, sizeof(*draft->declared));
    int rc = draft->declared == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0)
        rc = draft_opsets(draft, err);
    if (rc == 0)
        rc = draft_metadata(draft, err);
    if (rc == 0)
        rc = draft_graph(draft, err);
    return rc;
}

static void draft_fini(struct draft *draft)
{
    free(draft->body.node);
    free(draft->body.initializer);
    free(draft->body.sparse_initializer);
    free(draft->body.input);
    free(draft->body.output);
    free(draft->body.value_info);
    free(draft->body.quantization_annotation);
    free(draft->model.opset_import);
    free(draft->model.metadata_props);
    free(draft->answers);
    free(draft->declared);
}

/* Into `buf`, or into the file at `path`. */
static int emit(struct ws_buf *buf, const char *path, struct ws_segment **out_segment,
                const struct ws_graph *graph, const struct ws_segment_spec *spec,
                struct ws_error *err)
{
    struct ws_segment *segment = NULL;
    int rc = ws_segment_create(&segment, graph, spec->from, spec->from_count, spec->to,
                               spec->to_count, err);
    if (rc != 0)
        return rc;
    struct draft draft = {.graph = graph, .segment = segment, .spec = spec};
    rc = draft_init(&draft, err);
    if (rc == 0 && buf != NULL)
        rc = ws_model_pack(buf, graph->model, &draft.model.base, spec->weights,
                           spec->weights_file, err);
    else if (rc == 0)
        rc = ws_model_pack_file(path, graph->model, &draft.model.base, spec->weights,
                                spec->weights_file, err);
    draft_fini(&draft);
    if (rc == 0 && out_segment != NULL) {
        *out_segment = segment;
        segment = NULL;
    }
    ws_segment_destroy(segment);
    return rc;
}

int ws_segment_build(struct ws_buf *buf, struct ws_segment **out_segment,
                     const struct ws_graph *graph, const struct ws_segment_spec *spec,
                     struct ws_error *err)
{
    return emit(buf, NULL, out_segment, graph, spec, err);
}

int ws_segment_write(const char *path, struct ws_segment **out_segment,
                     const struct ws_graph *graph, const struct ws_segment_spec *spec,
                     struct ws_error *err)
{
    return emit(NULL, path, out_segment, graph, spec, err);
}
