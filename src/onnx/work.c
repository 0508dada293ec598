/*
 * Work per node: multiply-accumulates and bytes, from shapes. Only operators that
 * multiply matrices count MACs; additions, activations, pooling and the like are bound by
 * the bytes they move, which are counted for every node. Letters in comments are those of
 * the operators' specification.
 */
#include <ctype.h>
#include <string.h>

#include "onnx/capture.h"
#include "onnx/graph_impl.h"
#include "onnx/tensorproto.h"

/* ---- arithmetic that cannot overflow ---- */

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* ---- shapes ---- */

static uint64_t dim_of(const struct ws_value *value, size_t axis)
{
    return axis < value->rank && value->dims[axis] >= 0 ? (uint64_t)value->dims[axis] : 1;
}

/* Elements, unknown dimensions counting as 1. */
static uint64_t count_of(const struct ws_value *value)
{
    uint64_t count = 1;
    for (size_t i = 0; i < value->rank; i++)
        count = times(count, dim_of(value, i));
    return count;
}

/* The value of an input or output, NULL where it is left out. */
static const struct ws_value *input_of(const struct ws_graph *graph,
                                       const struct ws_node *node, size_t position)
{
    return position < node->named_input_count && node->inputs[position] != WS_NONE
               ? &graph->values[node->inputs[position]]
               : NULL;
}

static const struct ws_value *output_of(const struct ws_graph *graph,
                                        const struct ws_node *node)
{
    return node->output_count > 0 && node->outputs[0] != WS_NONE
               ? &graph->values[node->outputs[0]]
               : NULL;
}

/* ---- one function per family of operators; `at` is the position of the weights ---- */

typedef uint64_t (*macs_fn)(const struct ws_graph *graph, const struct ws_node *node,
                            size_t at);

/* Y[N,M,...] with W[M,C/group,k...]: every output takes C/group * k... */
static uint64_t conv_macs(const struct ws_graph *graph, const struct ws_node *node,
                          size_t at)
{
    const struct ws_value *w = input_of(graph, node, at);
    const struct ws_value *y = output_of(graph, node);
    if (w == NULL || y == NULL || w->rank == 0 || dim_of(w, 0) == 0)
        return 0;
    return times(count_of(y), count_of(w) / dim_of(w, 0));
}

/* X[N,C,...] with W[C,M/group,k...]: every input goes into M/group * k... */
static uint64_t conv_transpose_macs(const struct ws_graph *graph,
                                    const struct ws_node *node, size_t at)
{
    const struct ws_value *x = input_of(graph, node, 0);
    const struct ws_value *w = input_of(graph, node, at);
    if (w == NULL || x == NULL || w->rank == 0 || dim_of(w, 0) == 0)
        return 0;
    return times(count_of(x), count_of(w) / dim_of(w, 0));
}

/* A[...,M,K] B[...,K,N]: every output takes K. transA is of Gemm and FusedMatMul. */
static uint64_t matmul_macs(const struct ws_graph *graph, const struct ws_node *node,
                            size_t at)
{
    (void)at;
    const struct ws_value *a = input_of(graph, node, 0);
    const struct ws_value *y = output_of(graph, node);
    if (a == NULL || y == NULL || a->rank == 0)
        return 0;
    int transposed = ws_node_int(node->proto, "transA", 0) != 0 && a->rank >= 2;
    return times(count_of(y), dim_of(a, a->rank - (transposed ? 2 : 1)));
}

/* X[T,N,I] with W[D,G*H,I] and R[D,G*H,H], once per step and sample. */
static uint64_t recurrent_macs(const struct ws_graph *graph, const struct ws_node *node,
                               size_t at)
{
    const struct ws_value *x = input_of(graph, node, 0);
    const struct ws_value *w = input_of(graph, node, at);
    const struct ws_value *r = input_of(graph, node, at + 1);
    if (x == NULL || w == NULL || r == NULL)
        return 0;
    return times(times(dim_of(x, 0), dim_of(x, 1)), plus(count_of(w), count_of(r)));
}

/* Q and K of [B,S,D] or [B,H,S,d]: scores and their product with V, each S * L * D. */
static uint64_t attention_macs(const struct ws_graph *graph, const struct ws_node *node,
                               size_t at)
{
    (void)at;
    const struct ws_value *q = input_of(graph, node, 0);
    const struct ws_value *k = input_of(graph, node, 1);
    if (q == NULL || k == NULL || q->rank < 3 || k->rank < 3)
        return 0;
    return times(times(2, count_of(q)), dim_of(k, k->rank - 2));
}

/* com.microsoft Attention: X[B,S,I] with packed W[I,3*D], then as above. */
static uint64_t packed_attention_macs(const struct ws_graph *graph,
                                      const struct ws_node *node, size_t at)
{
    const struct ws_value *x = input_of(graph, node, 0);
    const struct ws_value *w = input_of(graph, node, at);
    const struct ws_value *y = output_of(graph, node);
    if (x == NULL || w == NULL || y == NULL)
        return 0;
    uint64_t rows = times(dim_of(x, 0), dim_of(x, 1));
    return plus(times(rows, count_of(w)), times(times(2, count_of(y)), dim_of(x, 1)));
}

/* Every distinct letter of the equation is one loop. "..." is not counted. */
static uint64_t einsum_macs(const struct ws_graph *graph, const struct ws_node *node,
                            size_t at)
{
    (void)at;
    const Onnx__AttributeProto *equation = ws_node_attribute(node->proto, "equation");
    if (equation == NULL || !equation->has_s || node->named_input_count < 2)
        return 0;
    uint64_t macs = 1;
    int seen[256] = {0};
    size_t operand = 0, axis = 0;
    for (size_t i = 0; i < equation->s.len; i++) {
        unsigned char c = equation->s.data[i];
        if (c == '-')
            break;
        if (c == ',') {
            operand++;
            axis = 0;
        } else if (isalpha(c)) {
            const struct ws_value *value = input_of(graph, node, operand);
            if (value != NULL && !seen[c])
                macs = times(macs, dim_of(value, axis));
            seen[c] = 1;
            axis++;
        }
    }
    return macs;
}

static const struct family {
    const char *op_type;
    macs_fn macs;
    size_t at;
    enum ws_work_class class;
} families[] = {
    {"Conv", conv_macs, 1, WS_WORK_CONV},
    {"FusedConv", conv_macs, 1, WS_WORK_CONV},
    {"NhwcFusedConv", conv_macs, 1, WS_WORK_CONV},
    {"ConvInteger", conv_macs, 1, WS_WORK_CONV_INT8},
    {"QLinearConv", conv_macs, 3, WS_WORK_CONV_INT8},
    {"ConvTranspose", conv_transpose_macs, 1, WS_WORK_CONV},
    {"MatMul", matmul_macs, 1, WS_WORK_MATMUL},
    {"FusedMatMul", matmul_macs, 1, WS_WORK_MATMUL},
    {"MatMulInteger", matmul_macs, 1, WS_WORK_MATMUL},
    {"MatMulIntegerToFloat", matmul_macs, 1, WS_WORK_MATMUL},
    {"DynamicQuantizeMatMul", matmul_macs, 1, WS_WORK_MATMUL},
    {"MatMulNBits", matmul_macs, 1, WS_WORK_MATMUL},
    {"QLinearMatMul", matmul_macs, 1, WS_WORK_MATMUL},
    {"Gemm", matmul_macs, 1, WS_WORK_MATMUL},
    {"FusedGemm", matmul_macs, 1, WS_WORK_MATMUL},
    {"QGemm", matmul_macs, 1, WS_WORK_MATMUL},
    {"LSTM", recurrent_macs, 1, WS_WORK_MATMUL},
    {"GRU", recurrent_macs, 1, WS_WORK_MATMUL},
    {"RNN", recurrent_macs, 1, WS_WORK_MATMUL},
    {"Attention", attention_macs, 1, WS_WORK_MATMUL},
    {"MultiHeadAttention", attention_macs, 1, WS_WORK_MATMUL},
    {"Einsum", einsum_macs, 0, WS_WORK_MATMUL},
};

static const struct family *family_of(const char *op)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(op, families[i].op_type) == 0)
            return &families[i];
    }
    return NULL;
}

/* Whether the rank of every operand is known; dimensions may still vary. */
static int has_known_ranks(const struct ws_graph *graph, const struct ws_node *node)
{
    for (size_t i = 0; i < node->named_input_count; i++) {
        if (node->inputs[i] != WS_NONE && !graph->values[node->inputs[i]].has_shape)
            return 0;
    }
    const struct ws_value *y = output_of(graph, node);
    return y == NULL || y->has_shape;
}

/* Bodies are not looked into: what is in one may run any number of times. */
static int has_body(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (node->attribute[i]->g != NULL || node->attribute[i]->n_graphs > 0)
            return 1;
    }
    return 0;
}

static void count_macs(const struct ws_graph *graph, struct ws_node *node)
{
    const char *op = ws_proto_text(node->proto->op_type);
    const char *domain = ws_proto_text(node->proto->domain);
    node->macs = 0;
    node->macs_known = !has_body(node->proto);
    if (node->is_constant) /* folded before any request arrives */
        return;
    const struct family *family = family_of(op);
    if (family == NULL)
        return;
    macs_fn macs = family->macs;
    if (strcmp(op, "Attention") == 0 && strcmp(domain, "com.microsoft") == 0)
        macs = packed_attention_macs;
    node->macs = macs(graph, node, family->at);
    node->macs_known = has_known_ranks(graph, node) != 0;
}

static uint64_t tensor_bytes(const Onnx__TensorProto *tensor)
{
    uint64_t bytes = 0;
    return tensor != NULL && ws_tensorproto_size(&bytes, tensor, NULL) == 0 ? bytes : 0;
}

/* For ws_body_each: adds the weights that a body brings along, and its bodies'. */
static int add_body_bytes(void *user, const Onnx__GraphProto *body, struct ws_error *err)
{
    uint64_t *bytes = user;
    for (size_t i = 0; i < body->n_initializer; i++)
        *bytes = plus(*bytes, tensor_bytes(body->initializer[i]));
    for (size_t i = 0; i < body->n_node; i++) {
        const Onnx__AttributeProto *value = ws_node_attribute(body->node[i], "value");
        if (value != NULL && ws_node_is(body->node[i], "Constant"))
            *bytes = plus(*bytes, tensor_bytes(value->t));
        (void)ws_body_each(body->node[i], add_body_bytes, user, err);
    }
    return 0;
}

static void count_bytes(const struct ws_graph *graph, struct ws_node *node)
{
    node->io_bytes = node->weight_bytes = node->body_bytes = 0;
    (void)ws_body_each(node->proto, add_body_bytes, &node->body_bytes, NULL);
    for (size_t i = 0; i < node->input_count; i++) {
        uint64_t bytes = 0;
        if (node->inputs[i] == WS_NONE)
            continue;
        const struct ws_value *value = &graph->values[node->inputs[i]];
        if (ws_value_bytes(&bytes, NULL, value, NULL) != 0)
            continue;
        node->io_bytes = plus(node->io_bytes, bytes);
        if (value->is_weight)
            node->weight_bytes = plus(node->weight_bytes, bytes);
    }
    for (size_t i = 0; i < node->output_count; i++) {
        uint64_t bytes = 0;
        if (node->outputs[i] != WS_NONE &&
            ws_value_bytes(&bytes, NULL, &graph->values[node->outputs[i]], NULL) == 0)
            node->io_bytes = plus(node->io_bytes, bytes);
    }
}

void ws_graph_count_work(struct ws_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        struct ws_node *node = &graph->nodes[i];
        count_macs(graph, node);
        count_bytes(graph, node);
    }
}

/* ---- sums by class ---- */

/* One input channel a group: what it multiplies it has to fetch. */
static int is_depthwise(const struct ws_graph *graph, const struct ws_node *node,
                        const struct family *family)
{
    const struct ws_value *w = input_of(graph, node, family->at);
    int is_conv = family->class == WS_WORK_CONV || family->class == WS_WORK_CONV_INT8;
    return is_conv && w != NULL && w->rank > 2 && dim_of(w, 1) == 1 &&
           ws_node_int(node->proto, "group", 1) > 1;
}

/* A float convolution of weights that were quantised: the form that QDQ models have, and
 * that runtimes make one of eight bits. */
static int is_dequantised(const struct ws_graph *graph, const struct ws_node *node,
                          const struct family *family)
{
    const struct ws_value *w = input_of(graph, node, family->at);
    if (family->class != WS_WORK_CONV || w == NULL || w->producer == WS_NONE)
        return 0;
    const char *op = ws_proto_text(graph->nodes[w->producer].proto->op_type);
    return strcmp(op, "DequantizeLinear") == 0;
}

void ws_graph_work(struct ws_work *out, const struct ws_graph *graph, size_t first,
                   size_t end)
{
    *out = (struct ws_work){0};
    for (size_t i = first; i < end; i++) {
        const struct ws_node *node = &graph->nodes[i];
        const struct family *family = family_of(ws_proto_text(node->proto->op_type));
        enum ws_work_class class = family == NULL ? WS_WORK_OTHER : family->class;
        if (family != NULL && is_depthwise(graph, node, family))
            class = WS_WORK_DEPTHWISE;
        else if (family != NULL && is_dequantised(graph, node, family))
            class = WS_WORK_CONV_INT8;
        if (node->is_constant || !node->is_needed)
            continue;
        out->macs[class] += (double)node->macs;
        out->bytes[class] += (double)node->io_bytes;
    }
}
