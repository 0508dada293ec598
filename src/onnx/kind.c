/* What is constant, what is free, what is needed. */
#include <string.h>

#include "onnx/capture.h"
#include "onnx/graph_impl.h"
#include "onnx/indices.h"
#include "onnx/tensorproto.h"

static int is_onnx_domain(const char *domain)
{
    return domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0;
}

int ws_name_in(const char *name, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(name, *list) == 0)
            return 1;
    }
    return 0;
}

int ws_node_is(const Onnx__NodeProto *node, const char *op_type)
{
    return strcmp(ws_proto_text(node->op_type), op_type) == 0 &&
           is_onnx_domain(ws_proto_text(node->domain));
}

const Onnx__AttributeProto *ws_node_attribute(const Onnx__NodeProto *node,
                                              const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (strcmp(ws_proto_text(node->attribute[i]->name), name) == 0)
            return node->attribute[i];
    }
    return NULL;
}

int64_t ws_node_int(const Onnx__NodeProto *node, const char *name, int64_t absent)
{
    const Onnx__AttributeProto *attribute = ws_node_attribute(node, name);
    return attribute != NULL && attribute->has_i ? attribute->i : absent;
}

/* ---- determinism ---- */

static const char *const random_ops[] = {
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
    "Multinomial",  "Bernoulli",        "Dropout",       NULL,
};

/* Domains whose operators are known to be pure; an unknown domain, or a function of the
 * model itself, might draw numbers or keep state, so it is never repeated. */
static int is_pure_domain(const char *domain)
{
    return is_onnx_domain(domain) || strcmp(domain, "ai.onnx.ml") == 0 ||
           strcmp(domain, "com.microsoft.nchwc") == 0;
}

static int is_impure_node(const Onnx__NodeProto *node);

/* For ws_body_each: 1 stops the search. */
static int find_impure(void *user, const Onnx__GraphProto *body, struct ws_error *err)
{
    (void)user;
    (void)err;
    for (size_t i = 0; i < body->n_node; i++) {
        if (is_impure_node(body->node[i]))
            return 1;
    }
    return 0;
}

static int is_impure_node(const Onnx__NodeProto *node)
{
    return !is_pure_domain(ws_proto_text(node->domain)) ||
           ws_name_in(ws_proto_text(node->op_type), random_ops) ||
           ws_body_each(node, find_impure, NULL, NULL) != 0;
}

/* ---- constants and free nodes ---- */

static int has_fixed_shape(const struct ws_value *value)
{
    for (size_t i = 0; i < value->rank; i++) {
        if (value->dims[i] < 0)
            return 0;
    }
    return value->has_shape;
}

/*
 * Shape and Size of a tensor whose shape cannot change. What a file says of its inner
 * tensors is a remark, often stale; only a declared input, or what the runtime inferred,
 * is taken at its word.
 */
static int is_fixed_shape_of(const struct ws_graph *graph, const struct ws_node *node)
{
    if ((!ws_node_is(node->proto, "Shape") && !ws_node_is(node->proto, "Size")) ||
        node->input_count != 1 || node->inputs[0] == WS_NONE)
        return 0;
    const struct ws_value *value = &graph->values[node->inputs[0]];
    return (value->is_input || value->is_weight || graph->shapes_inferred) &&
           has_fixed_shape(value);
}

int ws_node_is_answered(const struct ws_graph *graph, const struct ws_node *node)
{
    return node->is_constant && node->input_count == 1 && node->inputs[0] != WS_NONE &&
           !graph->values[node->inputs[0]].is_constant;
}

/* Whether the inputs from `first` on are constant or left out. */
static int has_constant_inputs(const struct ws_graph *graph, const struct ws_node *node,
                               size_t first)
{
    for (size_t i = first; i < node->input_count; i++) {
        if (node->inputs[i] != WS_NONE && !graph->values[node->inputs[i]].is_constant)
            return 0;
    }
    return 1;
}

/* Its input is what should travel: a quarter of the bytes. */
static int is_free_dequantizer(const struct ws_graph *graph, const struct ws_node *node)
{
    const char *op = ws_proto_text(node->proto->op_type);
    return strcmp(op, "DequantizeLinear") == 0 && node->input_count >= 2 &&
           node->inputs[0] != WS_NONE && has_constant_inputs(graph, node, 1);
}

static void classify_node(struct ws_graph *graph, struct ws_node *node)
{
    int fixed = is_fixed_shape_of(graph, node);
    int constant =
        fixed || (has_constant_inputs(graph, node, 0) && !is_impure_node(node->proto));
    node->is_constant = constant != 0;
    node->is_free = constant || is_free_dequantizer(graph, node);
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != WS_NONE)
            graph->values[node->outputs[i]].is_constant = node->is_constant;
    }
}

/* Backwards from the outputs, in reverse order so that one pass is enough. */
static void mark_needed(struct ws_graph *graph)
{
    for (size_t i = graph->node_count; i > 0; i--) {
        struct ws_node *node = &graph->nodes[i - 1];
        node->is_needed = 0;
        for (size_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] == WS_NONE)
                continue;
            const struct ws_value *value = &graph->values[node->outputs[k]];
            if (value->is_output)
                node->is_needed = 1;
            for (size_t c = 0; c < value->consumer_count && !node->is_needed; c++)
                node->is_needed = graph->nodes[value->consumers[c]].is_needed;
        }
    }
}

void ws_graph_classify(struct ws_graph *graph)
{
    for (size_t i = 0; i < graph->value_count; i++)
        graph->values[i].is_constant = graph->values[i].is_weight;
    for (size_t i = 0; i < graph->node_count; i++)
        classify_node(graph, &graph->nodes[i]);
    mark_needed(graph);
}
