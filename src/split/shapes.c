#include "split/shapes.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/sample.h"
#include "onnx/model.h"

/* Appends the outputs of every node to the graph's own, without a type: the runtime
 * infers it, and a session says what it inferred. */
static int list_outputs(Onnx__ValueInfoProto ***out, size_t *out_count,
                        Onnx__ValueInfoProto **storage, const Onnx__GraphProto *graph,
                        struct ws_error *err)
{
    size_t count_max = graph->n_output;
    for (size_t n = 0; n < graph->n_node; n++)
        count_max += graph->node[n]->n_output;
    Onnx__ValueInfoProto **list = calloc(count_max + 1, sizeof(*list));
    Onnx__ValueInfoProto *infos = calloc(count_max + 1, sizeof(*infos));
    struct ws_names seen = {0};
    int rc = list == NULL || infos == NULL ? ws_error_nomem(err) : 0;
    size_t count = 0;
    for (size_t i = 0; rc == 0 && i < graph->n_output; i++) {
        list[count++] = graph->output[i];
        rc = ws_names_add(&seen, graph->output[i]->name, i, err);
    }
    for (size_t n = 0; rc == 0 && n < graph->n_node; n++) {
        const Onnx__NodeProto *node = graph->node[n];
        for (size_t i = 0; rc == 0 && i < node->n_output; i++) {
            if (node->output[i][0] == '\0' || ws_names_find(NULL, &seen, node->output[i]))
                continue;
            onnx__value_info_proto__init(&infos[count]);
            infos[count].name = node->output[i];
            list[count] = &infos[count];
            count++;
        }
    }
    ws_names_fini(&seen);
    if (rc != 0) {
        free(list);
        free(infos);
        return rc;
    }
    *out = list;
    *out_count = count;
    *storage = infos;
    return 0;
}

/* A copy of the model that gives every tensor back. */
static int pack_verbose(struct ws_buf *buf, struct ws_model *model, struct ws_error *err)
{
    Onnx__ModelProto proto = *ws_model_proto(model);
    Onnx__GraphProto graph = *proto.graph;
    Onnx__ValueInfoProto *storage = NULL;
    int rc = list_outputs(&graph.output, &graph.n_output, &storage, proto.graph, err);
    if (rc != 0)
        return rc;
    proto.graph = &graph;
    rc = ws_model_pack(buf, model, &proto.base, WS_WEIGHTS_REFERENCE, NULL, err);
    free(graph.output);
    free(storage);
    return rc;
}

static int open_types(struct ws_session **out, struct ws_engine *engine,
                      struct ws_model *model, const struct ws_dim *dims, size_t dim_count,
                      struct ws_error *err)
{
    struct ws_buf bytes;
    ws_buf_init(&bytes, 0);
    size_t weight_count = ws_model_weight_count(model), view_count = 0;
    struct ws_weight_view *views = calloc(weight_count + 1, sizeof(*views));
    const char **names = calloc(dim_count + 1, sizeof(*names));
    int64_t *sizes = calloc(dim_count + 1, sizeof(*sizes));
    int rc = views == NULL || names == NULL || sizes == NULL
                 ? ws_error_nomem(err)
                 : pack_verbose(&bytes, model, err);
    /* Handed over where they lie, so that the runtime does not read them. */
    for (size_t i = 0; rc == 0 && i < weight_count; i++) {
        const struct ws_weight *weight = ws_model_weight(model, i);
        if (weight->path != NULL && weight->data != NULL)
            views[view_count++] = (struct ws_weight_view){
                .name = weight->name,
                .dtype = weight->dtype,
                .dims = weight->dims,
                .rank = weight->rank,
                .data = weight->data,
                .size_bytes = weight->size_bytes,
            };
    }
    for (size_t i = 0; rc == 0 && i < dim_count; i++) {
        names[i] = dims[i].name;
        sizes[i] = dims[i].size;
    }
    if (rc == 0) {
        struct ws_session_source source = {
            .bytes = bytes.data,
            .size_bytes = bytes.size,
            .dir = ws_model_dir(model),
            .level = WS_LEVEL_NONE,
            .weights = views,
            .weight_count = view_count,
            .dim_names = names,
            .dim_sizes = sizes,
            .dim_count = dim_count,
            .types_only = 1,
        };
        rc = ws_session_create(out, engine, &source, err);
    }
    free(views);
    free(names);
    free(sizes);
    ws_buf_fini(&bytes);
    return rc;
}

/* ---- what only a run can tell ---- */

/* Operators whose result's shape hangs on values, or may. */
static const char *const value_shaped_ops[] = {
    "Compress",         "If",          "Loop",   "NonMaxSuppression", "NonZero", "Scan",
    "StringNormalizer", "StringSplit", "Unique",
};

static int is_value_shaped(const char *op_type)
{
    for (size_t i = 0; i < sizeof(value_shaped_ops) / sizeof(value_shaped_ops[0]); i++) {
        if (strcmp(op_type, value_shaped_ops[i]) == 0)
            return 1;
    }
    return 0;
}

static int is_fixed_float(const struct ws_io_type *type)
{
    for (size_t i = 0; i < type->rank; i++) {
        if (type->dims[i] < 0)
            return 0;
    }
    /* A whole number may be a length that a shape is made of. */
    return type->dtype == WS_DTYPE_FP32 || type->dtype == WS_DTYPE_FP16 ||
           type->dtype == WS_DTYPE_UINT8;
}

/* Whether one run shows the shapes of all: inputs are fixed, and no value decides. */
static int has_one_shape(const struct ws_session *session, const Onnx__ModelProto *model)
{
    for (size_t i = 0; i < ws_session_input_count(session); i++) {
        if (!is_fixed_float(ws_session_input(session, i)))
            return 0;
    }
    for (size_t i = 0; i < model->graph->n_node; i++) {
        if (model->graph->node[i]->op_type == NULL ||
            is_value_shaped(model->graph->node[i]->op_type))
            return 0;
    }
    return model->n_functions == 0;
}

/* Runs once on drawn inputs; outputs are the caller's to destroy. */
static int run_drawn(struct ws_engine_value **outputs, struct ws_engine *engine,
                     struct ws_session *session, struct ws_error *err)
{
    size_t count = ws_session_input_count(session);
    struct ws_engine_value **values = calloc(count + 1, sizeof(*values));
    struct ws_tensor *tensors = calloc(count + 1, sizeof(*tensors));
    int rc = values == NULL || tensors == NULL ? ws_error_nomem(err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct ws_io_type *type = ws_session_input(session, i);
        if (!type->is_tensor)
            rc = ws_error_set(err, WS_E_UNSUPPORTED, "input \"%s\" is no tensor",
                              type->name);
        if (rc == 0)
            rc = ws_sample_tensor(&tensors[i], type->dtype, type->dims, type->rank, i,
                                  err);
        if (rc == 0)
            rc = ws_engine_value_from_tensor(&values[i], engine, &tensors[i], err);
    }
    if (rc == 0)
        rc = ws_session_run(session, values, outputs, err);
    for (size_t i = 0; values != NULL && tensors != NULL && i < count; i++) {
        ws_engine_value_destroy(values[i]);
        ws_tensor_fini(&tensors[i]);
    }
    free(values);
    free(tensors);
    return rc;
}

static int lacks_shape(const struct ws_io_type *type)
{
    return type->is_tensor && !type->has_shape;
}

static void sink_seen(ws_shape_sink sink, void *sink_user, const struct ws_io_type *type,
                      const struct ws_engine_value *value, int exact)
{
    struct ws_tensor seen;
    int64_t varies[WS_TENSOR_RANK_MAX];
    if (value == NULL || ws_engine_value_view(&seen, value, NULL) != 0)
        return;
    for (size_t i = 0; i < WS_TENSOR_RANK_MAX; i++)
        varies[i] = -1;
    sink(sink_user, type->name, seen.dtype, exact ? seen.dims : varies, seen.rank);
}

/*
 * The runtime infers no shape behind a Reshape to a computed shape, and does not tell a
 * scalar from a tensor of unknown rank. One run shows the ranks of what is left, and,
 * where no other run could differ, the dimensions. A model that cannot be run on drawn
 * inputs keeps what is known.
 */
static void sink_from_run(ws_shape_sink sink, void *sink_user, struct ws_engine *engine,
                          struct ws_session *session, const Onnx__ModelProto *model)
{
    struct ws_error err = {0};
    size_t count = ws_session_output_count(session), lacking = 0;
    for (size_t i = 0; i < count; i++)
        lacking += (size_t)lacks_shape(ws_session_output(session, i));
    struct ws_engine_value **outputs =
        lacking > 0 ? calloc(count, sizeof(*outputs)) : NULL;
    if (outputs == NULL)
        return;
    if (run_drawn(outputs, engine, session, &err) != 0)
        ws_log(WS_LOG_INFO, "%zu shapes stay unknown: %s", lacking, err.text);
    int exact = has_one_shape(session, model);
    for (size_t i = 0; i < count; i++) {
        const struct ws_io_type *type = ws_session_output(session, i);
        if (lacks_shape(type))
            sink_seen(sink, sink_user, type, outputs[i], exact);
        ws_engine_value_destroy(outputs[i]);
    }
    free(outputs);
}

int ws_shapes_from_engine(void *user, const char *model_path, ws_shape_sink sink,
                          void *sink_user, const struct ws_dim *dims, size_t dim_count,
                          struct ws_error *err)
{
    struct ws_model *model = NULL;
    struct ws_session *session = NULL;
    int rc = ws_model_open(&model, model_path, err);
    if (rc == 0)
        rc = open_types(&session, user, model, dims, dim_count, err);
    for (size_t i = 0; rc == 0 && i < ws_session_output_count(session); i++) {
        const struct ws_io_type *type = ws_session_output(session, i);
        if (type->is_tensor)
            sink(sink_user, type->name, type->dtype, type->has_shape ? type->dims : NULL,
                 type->rank);
    }
    if (rc == 0)
        sink_from_run(sink, sink_user, user, session, ws_model_proto(model));
    ws_session_destroy(session);
    ws_model_close(model);
    return rc;
}
