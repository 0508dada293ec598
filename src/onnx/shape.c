/* Types and shapes of values: from the file, from a shape source, from the user. */
#include <string.h>

#include "onnx/graph_impl.h"
#include "onnx/tensorproto.h"

/* ---- one value ---- */

static int is_tensor_type(const Onnx__TypeProto *type)
{
    return type != NULL && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE &&
           type->tensor_type != NULL;
}

static void set_shape(struct ws_value *value, const Onnx__TensorShapeProto *shape)
{
    if (shape == NULL || shape->n_dim > WS_TENSOR_RANK_MAX)
        return; /* what was known before may still hold */
    value->has_shape = 1;
    value->rank = shape->n_dim;
    for (size_t i = 0; i < shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        int known =
            dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
            dim->dim_value >= 0;
        value->dims[i] = known ? dim->dim_value : -1;
    }
}

void ws_value_set_type(struct ws_value *value, const Onnx__TypeProto *type)
{
    if (type == NULL || type->value_case == ONNX__TYPE_PROTO__VALUE__NOT_SET)
        return;
    value->type = type;
    value->is_tensor = is_tensor_type(type) != 0;
    if (!value->is_tensor)
        return;
    int32_t dtype = type->tensor_type->elem_type;
    value->dtype =
        dtype > 0 && dtype < WS_DTYPE_COUNT ? (enum ws_dtype)dtype : WS_DTYPE_UNDEFINED;
    set_shape(value, type->tensor_type->shape);
}

const char *ws_value_dim_name(const struct ws_value *value, size_t axis)
{
    if (!is_tensor_type(value->type) || value->type->tensor_type->shape == NULL ||
        axis >= value->type->tensor_type->shape->n_dim)
        return NULL;
    const Onnx__TensorShapeProto__Dimension *dim =
        value->type->tensor_type->shape->dim[axis];
    if (dim->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM ||
        ws_proto_text(dim->dim_param)[0] == '\0')
        return NULL;
    return dim->dim_param;
}

int ws_value_bytes(uint64_t *out, size_t *assumed, const struct ws_value *value,
                   struct ws_error *err)
{
    if (!value->is_tensor)
        return ws_error_set(err, WS_E_TYPE, "\"%s\" is not a tensor", value->name);
    if (!value->has_shape || value->dtype == WS_DTYPE_UNDEFINED)
        return ws_error_set(err, WS_E_UNKNOWN, "the type of \"%s\" is not known",
                            value->name);
    int64_t dims[WS_TENSOR_RANK_MAX];
    size_t unknown = 0;
    for (size_t i = 0; i < value->rank; i++) {
        unknown += value->dims[i] < 0;
        dims[i] = value->dims[i] < 0 ? 1 : value->dims[i];
    }
    int rc = ws_shape_bytes(out, value->dtype, dims, value->rank, err);
    if (rc == 0 && assumed != NULL)
        *assumed += unknown;
    return rc;
}

/* ---- all values ---- */

static void read_infos(struct ws_graph *graph, Onnx__ValueInfoProto *const *infos,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t id = 0;
        if (ws_names_find(&id, &graph->by_name, ws_proto_text(infos[i]->name)) &&
            !graph->values[id].is_weight)
            ws_value_set_type(&graph->values[id], infos[i]->type);
    }
}

/* Operators that make something else than a tensor, for files that do not say. */
static const char *const sequence_ops[] = {
    "SequenceConstruct", "SequenceEmpty", "SequenceInsert",
    "SequenceErase",     "SequenceMap",   "SplitToSequence",
    "Optional",          "ZipMap",        NULL,
};

/* The types of a body's outputs are those of its node's, but for Scan and for Loop's
 * stacked outputs, which are tensors anyway. */
static int body_makes_sequence(const Onnx__NodeProto *node, size_t output)
{
    const Onnx__AttributeProto *body = ws_node_attribute(node, "then_branch");
    size_t index = output;
    if (body == NULL) {
        body = ws_node_attribute(node, "body");
        index = output + 1; /* behind Loop's condition */
    }
    if (body == NULL || body->g == NULL || index >= body->g->n_output)
        return 0;
    const Onnx__TypeProto *type = body->g->output[index]->type;
    return type != NULL && type->value_case != ONNX__TYPE_PROTO__VALUE__NOT_SET &&
           !is_tensor_type(type);
}

static int makes_sequence(const struct ws_graph *graph, const struct ws_node *node,
                          size_t output)
{
    if (ws_name_in(ws_proto_text(node->proto->op_type), sequence_ops))
        return 1;
    if (ws_node_is(node->proto, "Identity") && node->input_count > 0 &&
        node->inputs[0] != WS_NONE)
        return !graph->values[node->inputs[0]].is_tensor;
    return (ws_node_is(node->proto, "If") || ws_node_is(node->proto, "Loop")) &&
           body_makes_sequence(node->proto, output);
}

static void guess_kinds(struct ws_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ws_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] == WS_NONE)
                continue;
            struct ws_value *value = &graph->values[node->outputs[k]];
            if (value->type == NULL)
                value->is_tensor = !makes_sequence(graph, node, k);
        }
    }
}

static void read_constant(struct ws_value *value, const Onnx__NodeProto *node)
{
    const Onnx__AttributeProto *attribute = ws_node_attribute(node, "value");
    if (attribute == NULL || attribute->t == NULL || value->type != NULL ||
        ws_tensorproto_shape(value->dims, &value->rank, attribute->t, NULL) != 0)
        return;
    value->has_shape = 1;
    value->dtype = ws_tensorproto_dtype(attribute->t);
}

/* Constant nodes say their type themselves. */
static void read_constants(struct ws_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ws_node *node = &graph->nodes[i];
        if (ws_node_is(node->proto, "Constant") && node->output_count > 0 &&
            node->outputs[0] != WS_NONE)
            read_constant(&graph->values[node->outputs[0]], node->proto);
    }
}

void ws_graph_read_types(struct ws_graph *graph, const Onnx__GraphProto *proto)
{
    read_infos(graph, proto->value_info, proto->n_value_info);
    read_infos(graph, proto->input, proto->n_input);
    read_infos(graph, proto->output, proto->n_output);
    read_constants(graph);
    guess_kinds(graph);
}

static void apply_dims(struct ws_graph *graph, const struct ws_dim *dims, size_t count)
{
    for (size_t i = 0; i < graph->value_count; i++) {
        struct ws_value *value = &graph->values[i];
        for (size_t axis = 0; axis < value->rank; axis++) {
            const char *name =
                value->dims[axis] < 0 ? ws_value_dim_name(value, axis) : NULL;
            for (size_t d = 0; name != NULL && d < count; d++) {
                if (strcmp(dims[d].name, name) == 0)
                    value->dims[axis] = dims[d].size;
            }
        }
    }
}

/* ---- asking a source ---- */

/* A source may be unable to tell a scalar from a tensor of unknown rank; what is made of
 * scalars element by element is one. */
static const char *const elementwise_ops[] = {
    "Add",      "And",  "Cast",        "Div", "Equal", "Greater", "GreaterOrEqual",
    "Identity", "Less", "LessOrEqual", "Mul", "Neg",   "Not",     "Or",
    "Sub",      NULL,
};

static int has_scalar_inputs(const struct ws_graph *graph, const struct ws_node *node)
{
    for (size_t i = 0; i < node->input_count; i++) {
        const struct ws_value *value =
            node->inputs[i] != WS_NONE ? &graph->values[node->inputs[i]] : NULL;
        if (value == NULL || !value->has_shape || value->rank > 0)
            return 0;
    }
    return node->input_count > 0;
}

static void find_scalars(struct ws_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ws_node *node = &graph->nodes[i];
        if (node->output_count == 1 && node->outputs[0] != WS_NONE &&
            !graph->values[node->outputs[0]].has_shape &&
            ws_name_in(ws_node_op(node), elementwise_ops) &&
            has_scalar_inputs(graph, node))
            graph->values[node->outputs[0]].has_shape = 1;
    }
}

static void take_shape(void *user, const char *name, enum ws_dtype dtype,
                       const int64_t *dims, size_t rank)
{
    struct ws_graph *graph = user;
    size_t id = 0;
    if (!ws_names_find(&id, &graph->by_name, name) || graph->values[id].is_weight)
        return;
    struct ws_value *value = &graph->values[id];
    value->is_tensor = 1;
    value->dtype = dtype;
    if (dims == NULL || rank > WS_TENSOR_RANK_MAX)
        return; /* what the file said may still hold */
    value->has_shape = 1;
    value->rank = rank;
    if (rank > 0)
        memcpy(value->dims, dims, rank * sizeof(*dims));
}

static void forget_types(struct ws_graph *graph)
{
    for (size_t i = 0; i < graph->value_count; i++) {
        struct ws_value *value = &graph->values[i];
        if (value->is_weight)
            continue;
        value->type = NULL;
        value->dtype = WS_DTYPE_UNDEFINED;
        value->has_shape = 0;
        value->rank = 0;
        value->is_tensor = 1;
    }
}

int ws_graph_infer_shapes(struct ws_graph *graph, ws_shape_source source, void *user,
                          const struct ws_dim *dims, size_t dim_count,
                          struct ws_error *err)
{
    int rc = 0;
    forget_types(graph);
    ws_graph_read_types(graph, ws_model_proto(graph->model)->graph);
    graph->shapes_inferred = 0;
    if (source != NULL) {
        rc = source(user, ws_model_path(graph->model), take_shape, graph, dims, dim_count,
                    err);
        graph->shapes_inferred = rc == 0;
        find_scalars(graph);
    }
    apply_dims(graph, dims, dim_count);
    ws_graph_classify(graph);
    ws_graph_count_work(graph);
    if (rc != 0)
        ws_error_context(err, "infer shapes of %s", ws_model_path(graph->model));
    return rc;
}
