/*
 * The insides of a graph, shared by graph.c (edges and order), kind.c (what is constant,
 * free, needed), shape.c (types and shapes) and work.c (multiplications and bytes).
 */
#ifndef WS_ONNX_GRAPH_IMPL_H
#define WS_ONNX_GRAPH_IMPL_H

#include "onnx/graph.h"

/* shape.c: reads a TypeProto into a value. */
void ws_value_set_type(struct ws_value *value, const Onnx__TypeProto *type);
/* shape.c: what a model's graph says of its values' types. */
void ws_graph_read_types(struct ws_graph *graph, const Onnx__GraphProto *proto);

/* kind.c: sets is_constant, is_free and is_needed from shapes and edges. */
void ws_graph_classify(struct ws_graph *graph);

/* kind.c: whether a node is Shape or Size of a fixed shape: its answer is known, so its
 * input, which is not constant, is not needed. */
int ws_node_is_answered(const struct ws_graph *graph, const struct ws_node *node);

/* work.c: sets macs, io_bytes and weight_bytes from shapes. */
void ws_graph_count_work(struct ws_graph *graph);

/* An attribute of a node, or NULL; an integer attribute, or `absent`. */
const Onnx__AttributeProto *ws_node_attribute(const Onnx__NodeProto *node,
                                              const char *name);
int64_t ws_node_int(const Onnx__NodeProto *node, const char *name, int64_t absent);

/* Whether a node is this operator of the ONNX domain. */
int ws_node_is(const Onnx__NodeProto *node, const char *op_type);
/* Whether `name` is in a NULL-terminated list. */
int ws_name_in(const char *name, const char *const *list);

#endif
