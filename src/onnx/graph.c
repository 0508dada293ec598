#include "onnx/graph.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/capture.h"
#include "onnx/graph_impl.h"
#include "onnx/indices.h"
#include "onnx/tensorproto.h"

/* While nodes and edges are gathered, lists are offsets into one growing array. */
struct build {
    struct ws_graph *graph;
    const Onnx__GraphProto *proto;
    struct ws_indices edges;
    size_t *input_at; /* per node of the file: where its lists start in edges */
    size_t *output_at;
    size_t *last_reader; /* per value: 1 + the last node found to read it */
    size_t node_total;   /* bodies included */
    size_t node;         /* whose inputs are being taken */
};

/* ---- values ---- */

static int add_value(size_t *out, struct build *build, const char *name,
                     struct ws_error *err)
{
    struct ws_graph *graph = build->graph;
    if (name[0] == '\0')
        return ws_error_set(err, WS_E_FORMAT, "an input or weight without a name");
    if (strlen(name) > WS_NAME_MAX)
        return ws_error_set(err, WS_E_LIMIT, "a tensor's name of %zu bytes, at most %d",
                            strlen(name), WS_NAME_MAX);
    int rc = ws_names_add(&graph->by_name, name, graph->value_count, err);
    if (rc == WS_E_MISMATCH)
        return ws_error_set(err, WS_E_FORMAT, "tensor \"%s\" is made twice", name);
    if (rc != 0)
        return rc;
    graph->values[graph->value_count] = (struct ws_value){
        .name = name, .producer = WS_NONE, .weight = WS_NONE, .is_tensor = 1};
    if (out != NULL)
        *out = graph->value_count;
    graph->value_count++;
    return 0;
}

static int add_weights(struct build *build, struct ws_error *err)
{
    struct ws_graph *graph = build->graph;
    for (size_t i = 0; i < build->proto->n_initializer; i++) {
        const struct ws_weight *weight = ws_model_weight(graph->model, i);
        size_t id = 0;
        int rc = add_value(&id, build, weight->name, err);
        if (rc != 0)
            return rc;
        struct ws_value *value = &graph->values[id];
        value->weight = i;
        value->is_weight = value->has_shape = 1;
        value->dtype = weight->dtype;
        value->rank = weight->rank;
        memcpy(value->dims, weight->dims, sizeof(value->dims));
    }
    for (size_t i = 0; i < build->proto->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = build->proto->sparse_initializer[i]->values;
        size_t id = 0;
        int rc = add_value(&id, build, ws_proto_text(values ? values->name : NULL), err);
        if (rc != 0)
            return rc;
        graph->values[id].is_weight = 1;
    }
    return 0;
}

/* Weights come first: before IR version 4 each is declared as an input as well, and later
 * an input with an initializer has it as its default. Both are weights here, as they are
 * for the runtime. */
static int add_inputs(struct build *build, struct ws_error *err)
{
    struct ws_graph *graph = build->graph;
    struct ws_names seen = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < build->proto->n_input; i++) {
        const char *name = ws_proto_text(build->proto->input[i]->name);
        size_t id = 0;
        rc = ws_names_add(&seen, name, 0, err);
        if (rc == WS_E_MISMATCH)
            rc = ws_error_set(err, WS_E_FORMAT, "input \"%s\" is declared twice", name);
        if (rc != 0 || ws_names_find(NULL, &graph->by_name, name))
            continue;
        rc = add_value(&id, build, name, err);
        if (rc != 0)
            break;
        graph->values[id].is_input = 1;
        graph->inputs[graph->input_count++] = id;
    }
    ws_names_fini(&seen);
    return rc;
}

static int add_node_outputs(struct build *build, size_t index, struct ws_error *err)
{
    struct ws_graph *graph = build->graph;
    struct ws_node *node = &graph->nodes[index];
    build->output_at[index] = build->edges.count;
    node->output_count = node->proto->n_output;
    for (size_t i = 0; i < node->output_count; i++) {
        const char *name = node->proto->output[i];
        size_t id = WS_NONE;
        int rc = name[0] != '\0' ? add_value(&id, build, name, err) : 0;
        if (rc == 0)
            rc = ws_indices_push(&build->edges, id, err);
        if (rc != 0)
            return rc;
        if (id != WS_NONE)
            graph->values[id].producer = index;
    }
    return 0;
}

/* ---- edges ---- */

static int find_input(size_t *out, const struct build *build, const char *name,
                      struct ws_error *err)
{
    if (ws_names_find(out, &build->graph->by_name, name))
        return 0;
    const Onnx__NodeProto *node = build->graph->nodes[build->node].proto;
    return ws_error_set(err, WS_E_FORMAT,
                        "node \"%s\" (%s) reads tensor \"%s\", which nothing makes",
                        ws_proto_text(node->name), ws_proto_text(node->op_type), name);
}

static int add_captured(void *user, const char *name, struct ws_error *err)
{
    struct build *build = user;
    size_t id = 0;
    int rc = find_input(&id, build, name, err);
    if (rc != 0)
        return rc;
    if (build->last_reader[id] == build->node + 1)
        return 0;
    build->last_reader[id] = build->node + 1;
    return ws_indices_push(&build->edges, id, err);
}

static int add_node_inputs(struct build *build, size_t index, struct ws_error *err)
{
    struct ws_node *node = &build->graph->nodes[index];
    build->node = index;
    build->input_at[index] = build->edges.count;
    node->named_input_count = node->proto->n_input;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < node->named_input_count; i++) {
        const char *name = node->proto->input[i];
        size_t id = WS_NONE;
        if (name[0] != '\0')
            rc = find_input(&id, build, name, err);
        if (rc == 0 && id != WS_NONE)
            build->last_reader[id] = index + 1;
        if (rc == 0)
            rc = ws_indices_push(&build->edges, id, err);
    }
    if (rc == 0)
        rc = ws_capture_each(node->proto, add_captured, build, &build->node_total, err);
    node->input_count = build->edges.count - build->input_at[index];
    if (rc == 0 && build->node_total > WS_GRAPH_NODES_MAX)
        rc = ws_error_set(err, WS_E_LIMIT, "more than %d nodes, bodies included",
                          WS_GRAPH_NODES_MAX);
    return rc;
}

static int add_outputs(struct build *build, struct ws_error *err)
{
    struct ws_graph *graph = build->graph;
    for (size_t i = 0; i < build->proto->n_output; i++) {
        const char *name = ws_proto_text(build->proto->output[i]->name);
        size_t id = 0;
        if (!ws_names_find(&id, &graph->by_name, name))
            return ws_error_set(err, WS_E_FORMAT, "nothing makes the output \"%s\"",
                                name);
        if (graph->values[id].is_output)
            return ws_error_set(err, WS_E_FORMAT, "output \"%s\" is declared twice",
                                name);
        graph->values[id].is_output = 1;
        graph->outputs[graph->output_count++] = id;
    }
    return 0;
}

/* ---- order ---- */

struct visit {
    size_t node;
    size_t next; /* input to look at next */
};

enum mark { MARK_NEW, MARK_OPEN, MARK_DONE };

/*
 * Depth first from each node in the file's order, inputs before the node: what the file
 * has in order stays as it is. Writes the nodes in their new order to `order`.
 */
static int sort_from(size_t *order, size_t *count, struct visit *stack,
                     unsigned char *marks, size_t start, const struct build *build,
                     struct ws_error *err)
{
    const struct ws_graph *graph = build->graph;
    size_t depth = 0;
    stack[depth++] = (struct visit){.node = start};
    marks[start] = MARK_OPEN;
    while (depth > 0) {
        struct visit *top = &stack[depth - 1];
        const struct ws_node *node = &graph->nodes[top->node];
        if (top->next == node->input_count) {
            marks[top->node] = MARK_DONE;
            order[(*count)++] = top->node;
            depth--;
            continue;
        }
        size_t value = build->edges.items[build->input_at[top->node] + top->next++];
        size_t producer = value != WS_NONE ? graph->values[value].producer : WS_NONE;
        if (producer == WS_NONE || marks[producer] == MARK_DONE)
            continue;
        if (marks[producer] == MARK_OPEN)
            return ws_error_set(err, WS_E_FORMAT, "a cycle goes through tensor \"%s\"",
                                graph->values[value].name);
        marks[producer] = MARK_OPEN;
        stack[depth++] = (struct visit){.node = producer};
    }
    return 0;
}

static int find_order(size_t *order, const struct build *build, struct ws_error *err)
{
    size_t count = build->graph->node_count, done = 0;
    struct visit *stack = calloc(count + 1, sizeof(*stack));
    unsigned char *marks = calloc(count + 1, sizeof(*marks));
    int rc = stack == NULL || marks == NULL ? ws_error_nomem(err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (marks[i] == MARK_NEW)
            rc = sort_from(order, &done, stack, marks, i, build, err);
    }
    free(stack);
    free(marks);
    return rc;
}

/* Puts the nodes into `order` and points them at their lists. */
static int apply_order(struct build *build, const size_t *order, struct ws_error *err)
{
    struct ws_graph *graph = build->graph;
    struct ws_node *nodes = calloc(graph->node_count + 1, sizeof(*nodes));
    if (nodes == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < graph->node_count; i++) {
        nodes[i] = graph->nodes[order[i]];
        nodes[i].inputs = build->edges.items + build->input_at[order[i]];
        nodes[i].outputs = build->edges.items + build->output_at[order[i]];
        for (size_t k = 0; k < nodes[i].output_count; k++) {
            if (nodes[i].outputs[k] != WS_NONE)
                graph->values[nodes[i].outputs[k]].producer = i;
        }
    }
    free(graph->nodes);
    graph->nodes = nodes;
    return 0;
}

/* Lists each value's consumers in `storage`, which has room for one entry per input. */
static void list_consumers(struct ws_graph *graph, size_t *storage)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ws_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->input_count; k++) {
            if (node->inputs[k] != WS_NONE)
                graph->values[node->inputs[k]].consumer_count++;
        }
    }
    for (size_t i = 0; i < graph->value_count; i++) {
        graph->values[i].consumers = storage;
        storage += graph->values[i].consumer_count;
        graph->values[i].consumer_count = 0;
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ws_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->input_count; k++) {
            if (node->inputs[k] == WS_NONE)
                continue;
            struct ws_value *value = &graph->values[node->inputs[k]];
            size_t *list = (size_t *)(uintptr_t)value->consumers;
            /* A node may read one value twice. */
            if (value->consumer_count == 0 || list[value->consumer_count - 1] != i)
                list[value->consumer_count++] = i;
        }
    }
}

/* ---- all of it ---- */

static int allocate(struct build *build, struct ws_error *err)
{
    struct ws_graph *graph = build->graph;
    const Onnx__GraphProto *proto = build->proto;
    if (proto->n_node > WS_GRAPH_NODES_MAX)
        return ws_error_set(err, WS_E_LIMIT, "%zu nodes, at most %d", proto->n_node,
                            WS_GRAPH_NODES_MAX);
    /* Weights declared as inputs are no inputs, but there are at least as many weights.
     */
    if (proto->n_output > WS_GRAPH_IO_MAX ||
        proto->n_input > WS_GRAPH_IO_MAX + proto->n_initializer)
        return ws_error_set(err, WS_E_LIMIT,
                            "%zu inputs and %zu outputs, at most %d each", proto->n_input,
                            proto->n_output, WS_GRAPH_IO_MAX);
    size_t values = proto->n_input + proto->n_initializer + proto->n_sparse_initializer;
    for (size_t i = 0; i < proto->n_node; i++)
        values += proto->node[i]->n_output;
    graph->node_count = build->node_total = proto->n_node;
    graph->values = calloc(values + 1, sizeof(*graph->values));
    graph->nodes = calloc(proto->n_node + 1, sizeof(*graph->nodes));
    graph->inputs = calloc(proto->n_input + 1, sizeof(*graph->inputs));
    graph->outputs = calloc(proto->n_output + 1, sizeof(*graph->outputs));
    build->input_at = calloc(proto->n_node + 1, sizeof(size_t));
    build->output_at = calloc(proto->n_node + 1, sizeof(size_t));
    build->last_reader = calloc(values + 1, sizeof(size_t));
    if (graph->values == NULL || graph->nodes == NULL || graph->inputs == NULL ||
        graph->outputs == NULL || build->input_at == NULL || build->output_at == NULL ||
        build->last_reader == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < proto->n_node; i++)
        graph->nodes[i].proto = proto->node[i];
    return 0;
}

static int gather(struct build *build, struct ws_error *err)
{
    struct ws_graph *graph = build->graph;
    int rc = allocate(build, err);
    if (rc == 0)
        rc = add_weights(build, err);
    if (rc == 0)
        rc = add_inputs(build, err);
    for (size_t i = 0; rc == 0 && i < graph->node_count; i++)
        rc = add_node_outputs(build, i, err);
    for (size_t i = 0; rc == 0 && i < graph->node_count; i++)
        rc = add_node_inputs(build, i, err);
    if (rc == 0)
        rc = add_outputs(build, err);
    return rc;
}

static int connect(struct build *build, struct ws_error *err)
{
    struct ws_graph *graph = build->graph;
    size_t *order = calloc(graph->node_count + 1, sizeof(*order));
    size_t edge_count = build->edges.count;
    int rc = order == NULL ? ws_error_nomem(err) : find_order(order, build, err);
    if (rc == 0)
        rc = ws_indices_reserve(&build->edges, edge_count + 1, err);
    if (rc == 0)
        rc = apply_order(build, order, err);
    if (rc == 0) {
        list_consumers(graph, build->edges.items + edge_count);
        graph->edges = build->edges.items;
        build->edges = (struct ws_indices){0};
    }
    free(order);
    return rc;
}

int ws_graph_create(struct ws_graph **out, struct ws_model *model, struct ws_error *err)
{
    struct ws_graph *graph = calloc(1, sizeof(*graph));
    if (graph == NULL)
        return ws_error_nomem(err);
    graph->model = model;
    struct build build = {.graph = graph, .proto = ws_model_proto(model)->graph};
    int rc = gather(&build, err);
    if (rc == 0)
        rc = connect(&build, err);
    if (rc == 0) {
        ws_graph_read_types(graph, build.proto);
        ws_graph_classify(graph);
        ws_graph_count_work(graph);
        *out = graph;
        graph = NULL;
    } else {
        ws_error_context(err, "%s", ws_model_path(model));
    }
    ws_indices_fini(&build.edges);
    free(build.input_at);
    free(build.output_at);
    free(build.last_reader);
    ws_graph_destroy(graph);
    return rc;
}

void ws_graph_destroy(struct ws_graph *graph)
{
    if (graph == NULL)
        return;
    ws_names_fini(&graph->by_name);
    free(graph->values);
    free(graph->nodes);
    free(graph->inputs);
    free(graph->outputs);
    free(graph->edges);
    free(graph);
}

int ws_graph_find(size_t *out, const struct ws_graph *graph, const char *name,
                  struct ws_error *err)
{
    if (ws_names_find(out, &graph->by_name, name))
        return 0;
    return ws_error_set(err, WS_E_NOT_FOUND, "%s has no tensor \"%s\"",
                        ws_model_path(graph->model), name);
}

const char *ws_node_op(const struct ws_node *node)
{
    return ws_proto_text(node->proto->op_type);
}
