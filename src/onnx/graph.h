/*
 * A model's top-level graph as arrays: nodes in a topological order (file order where
 * the file has one) and values with the edges between them. A node with bodies (If, Loop,
 * Scan) is one node; outer tensors that its bodies capture are its inputs, after the
 * named ones. Shapes and types are what the file says until ws_graph_infer_shapes asks a
 * source that knows more. The arrays are read-only for everyone but this room. The model
 * must outlive the graph. One thread at a time.
 */
#ifndef WS_ONNX_GRAPH_H
#define WS_ONNX_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/names.h"
#include "core/tensor.h"
#include "core/work.h"
#include "onnx/model.h"

/* "No node", "no value", "no weight": an optional input left out, a value without a
 * producer. */
#define WS_NONE SIZE_MAX

struct ws_value {
    const char *name;
    size_t producer;         /* node, or WS_NONE for inputs and weights */
    size_t weight;           /* index for ws_model_weight, or WS_NONE */
    const size_t *consumers; /* nodes, each once, in order */
    size_t consumer_count;
    const Onnx__TypeProto *type; /* NULL when nothing says it */
    enum ws_dtype dtype;         /* of tensors; UNDEFINED when unknown */
    size_t rank;
    int64_t dims[WS_TENSOR_RANK_MAX]; /* -1: unknown */
    unsigned has_shape : 1;           /* rank is known */
    unsigned is_input : 1;
    unsigned is_output : 1;
    unsigned is_weight : 1;   /* an initializer, dense or sparse */
    unsigned is_constant : 1; /* computable before any request arrives */
    unsigned is_tensor : 1;   /* dense; not a sequence, optional, map or sparse tensor */
};

struct ws_node {
    const Onnx__NodeProto *proto;
    const size_t *inputs; /* values or WS_NONE; captured ones behind the named */
    size_t input_count;
    size_t named_input_count;
    const size_t *outputs; /* values or WS_NONE */
    size_t output_count;
    unsigned is_constant : 1; /* its outputs are constant */
    unsigned is_free : 1;     /* repeated on each side that uses it: constants, and
                                 DequantizeLinear by constant parameters */
    unsigned is_needed : 1;   /* some graph output depends on it */
    unsigned
        macs_known : 1; /* macs was counted from known ranks, and no body was left out */
    uint64_t macs;      /* multiply-accumulates; unknown dimensions count as 1 */
    uint64_t io_bytes;  /* read and written: inputs, weights, outputs */
    uint64_t weight_bytes; /* of the weights among its inputs */
    uint64_t body_bytes;   /* of the weights within its bodies */
};

struct ws_graph {
    struct ws_model *model;
    struct ws_value *values;
    size_t value_count;
    struct ws_node *nodes;
    size_t node_count;
    size_t *inputs; /* values; initializers that are also declared as inputs (IR < 4, or
                       defaults) are weights and not listed */
    size_t input_count;
    size_t *outputs;
    size_t output_count;
    struct ws_names by_name; /* name -> value */
    size_t *edges;           /* storage behind every list of the arrays above */
    int shapes_inferred;     /* a shape source has spoken */
};

/* A free dimension fixed by the user, e.g. batch=1. */
struct ws_dim {
    const char *name;
    int64_t size;
};

/* Takes one tensor's type; dims NULL: the shape is not known, -1: a dimension is not. */
typedef void (*ws_shape_sink)(void *user, const char *name, enum ws_dtype dtype,
                              const int64_t *dims, size_t rank);

/* Calls `sink` for every tensor of the model at `model_path` that it knows the type of,
 * with the dims fixed; names it does not know are no error. */
typedef int (*ws_shape_source)(void *user, const char *model_path, ws_shape_sink sink,
                               void *sink_user, const struct ws_dim *dims,
                               size_t dim_count, struct ws_error *err);

/* WS_E_FORMAT, naming the tensor or node, for cycles, duplicates, dangling inputs. */
int ws_graph_create(struct ws_graph **out, struct ws_model *model, struct ws_error *err);
void ws_graph_destroy(struct ws_graph *graph);

/*
 * Fills in types and shapes, then what follows from them: constants (Shape of a fixed
 * shape is one) and work. Without a source (NULL), the dims alone are applied. Fails
 * only where the source fails; the graph then knows what the file says.
 */
int ws_graph_infer_shapes(struct ws_graph *graph, ws_shape_source source, void *user,
                          const struct ws_dim *dims, size_t dim_count,
                          struct ws_error *err);

/* Work of the nodes from `first` to before `end`, for a device model: a cut's head is 0
 * to ws_cut.position, its tail the rest. What crosses is not in it. Whether it was all
 * counted is ws_node.macs_known. */
void ws_graph_work(struct ws_work *out, const struct ws_graph *graph, size_t first,
                   size_t end);

/* "" where the file does not say. */
const char *ws_node_op(const struct ws_node *node);

/* The value of that name; WS_E_NOT_FOUND names it. */
int ws_graph_find(size_t *out, const struct ws_graph *graph, const char *name,
                  struct ws_error *err);

/* Bytes of a value, unknown dimensions taken as 1 and counted in *assumed (NULL: do not
 * count). WS_E_UNKNOWN where type or rank is not known, WS_E_TYPE for what is no tensor.
 */
int ws_value_bytes(uint64_t *out, size_t *assumed, const struct ws_value *value,
                   struct ws_error *err);

/* The symbolic name of a dimension ("batch"), or NULL. */
const char *ws_value_dim_name(const struct ws_value *value, size_t axis);

#endif
