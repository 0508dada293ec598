#include "onnx/build.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { CHUNK_BYTES = 16384, WRITE_BYTES = 1 << 18 };

/* Memory that is given back all at once. */
struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(16) uint8_t bytes[];
};

struct ws_builder {
    struct chunk *chunks;
    struct ws_error first; /* code 0: no failure so far */
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opset;
    Onnx__OperatorSetIdProto *opsets[1];
    uint64_t later_bytes;       /* of weights without data */
    Onnx__NodeProto spare_node; /* handed out after a failure */
};

/* ---- Memory ---- */

/* NULL after a failure, this or an earlier one. */
static void *take(struct ws_builder *b, size_t size)
{
    if (b->first.code != 0)
        return NULL;
    size = (size + 15) & ~(size_t)15;
    if (b->chunks == NULL || b->chunks->size - b->chunks->used < size) {
        size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        struct chunk *chunk = malloc(sizeof(*chunk) + room);
        if (chunk == NULL) {
            ws_error_nomem(&b->first);
            return NULL;
        }
        chunk->next = b->chunks;
        chunk->used = 0;
        chunk->size = room;
        b->chunks = chunk;
    }
    void *at = b->chunks->bytes + b->chunks->used;
    b->chunks->used += size;
    return at;
}

static void *copy(struct ws_builder *b, const void *bytes, size_t size)
{
    void *at = take(b, size > 0 ? size : 1);
    if (at != NULL && size > 0)
        memcpy(at, bytes, size);
    return at;
}

static char *copy_text(struct ws_builder *b, const char *text)
{
    return copy(b, text, strlen(text) + 1);
}

/* Room for one more item behind `count`; a new array when a power of two is reached. */
static void *grow(struct ws_builder *b, void *items, size_t count, size_t item_bytes)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return items;
    void *more = take(b, (count == 0 ? 1 : 2 * count) * item_bytes);
    if (more != NULL && count > 0)
        memcpy(more, items, count * item_bytes);
    return more;
}

int ws_builder_create(struct ws_builder **out, const char *graph_name, int64_t opset,
                      struct ws_error *err)
{
    struct ws_builder *b = calloc(1, sizeof(*b));
    if (b == NULL)
        return ws_error_nomem(err);
    onnx__model_proto__init(&b->model);
    onnx__graph_proto__init(&b->graph);
    onnx__operator_set_id_proto__init(&b->opset);
    onnx__node_proto__init(&b->spare_node);
    b->graph.name = copy_text(b, graph_name);
    b->opset.domain = copy_text(b, "");
    b->opset.has_version = 1;
    b->opset.version = opset;
    b->opsets[0] = &b->opset;
    b->model.n_opset_import = 1;
    b->model.opset_import = b->opsets;
    b->model.has_ir_version = 1;
    b->model.ir_version = opset >= 15 ? 8 : 7;
    b->model.producer_name = copy_text(b, "wattshed");
    b->model.producer_version = copy_text(b, WS_VERSION);
    b->model.graph = &b->graph;
    int rc = ws_builder_status(b, err);
    if (rc != 0)
        ws_builder_destroy(b);
    else
        *out = b;
    return rc;
}

void ws_builder_destroy(struct ws_builder *builder)
{
    if (builder == NULL)
        return;
    while (builder->chunks != NULL) {
        struct chunk *next = builder->chunks->next;
        free(builder->chunks);
        builder->chunks = next;
    }
    free(builder);
}

int ws_builder_status(const struct ws_builder *builder, struct ws_error *err)
{
    if (builder->first.code != 0 && err != NULL)
        *err = builder->first;
    return builder->first.code;
}

const Onnx__GraphProto *ws_builder_graph(const struct ws_builder *builder)
{
    return &builder->graph;
}

/* ---- Nodes ---- */

const char *ws_builder_text(struct ws_builder *builder, const char *fmt, ...)
{
    char text[WS_NAME_MAX];
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof(text)) {
        if (builder->first.code == 0)
            ws_error_set(&builder->first, WS_E_LIMIT, "a name of %d bytes, at most %d",
                         size, WS_NAME_MAX - 1);
        return "";
    }
    const char *kept = copy_text(builder, text);
    return kept != NULL ? kept : "";
}

static char **copy_names(struct ws_builder *b, size_t *out_count,
                         const char *const *names)
{
    char **copies = NULL;
    size_t count = 0;
    for (; names[count] != NULL; count++) {
        copies = grow(b, copies, count, sizeof(*copies));
        if (copies == NULL)
            return NULL;
        copies[count] = copy_text(b, names[count]);
    }
    *out_count = count;
    return copies;
}

Onnx__NodeProto *ws_builder_node(struct ws_builder *builder, const char *op_type,
                                 const char *name, const char *const *inputs,
                                 const char *const *outputs)
{
    Onnx__GraphProto *graph = &builder->graph;
    Onnx__NodeProto *node = take(builder, sizeof(*node));
    graph->node = grow(builder, graph->node, graph->n_node, sizeof(node));
    if (builder->first.code != 0)
        return &builder->spare_node;
    onnx__node_proto__init(node);
    node->op_type = copy_text(builder, op_type);
    node->name = copy_text(builder, name);
    node->input = copy_names(builder, &node->n_input, inputs);
    node->output = copy_names(builder, &node->n_output, outputs);
    if (builder->first.code != 0)
        return &builder->spare_node;
    graph->node[graph->n_node++] = node;
    return node;
}

/* The spare node collects nothing: it exists only after a failure. */
static Onnx__AttributeProto *add_attribute(struct ws_builder *b, Onnx__NodeProto *node,
                                           const char *name,
                                           Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *attribute = take(b, sizeof(*attribute));
    Onnx__AttributeProto **list =
        grow(b, node->attribute, node->n_attribute, sizeof(*list));
    char *kept = copy_text(b, name);
    if (b->first.code != 0)
        return NULL;
    onnx__attribute_proto__init(attribute);
    attribute->name = kept;
    attribute->has_type = 1;
    attribute->type = type;
    node->attribute = list;
    node->attribute[node->n_attribute++] = attribute;
    return attribute;
}

void ws_builder_int(struct ws_builder *builder, Onnx__NodeProto *node, const char *name,
                    int64_t value)
{
    Onnx__AttributeProto *attribute =
        add_attribute(builder, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (attribute == NULL)
        return;
    attribute->has_i = 1;
    attribute->i = value;
}

void ws_builder_ints(struct ws_builder *builder, Onnx__NodeProto *node, const char *name,
                     const int64_t *values, size_t count)
{
    Onnx__AttributeProto *attribute =
        add_attribute(builder, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *ints = copy(builder, values, count * sizeof(*values));
    if (attribute == NULL || ints == NULL)
        return;
    attribute->ints = ints;
    attribute->n_ints = count;
}

void ws_builder_float(struct ws_builder *builder, Onnx__NodeProto *node, const char *name,
                      float value)
{
    Onnx__AttributeProto *attribute =
        add_attribute(builder, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (attribute == NULL)
        return;
    attribute->has_f = 1;
    attribute->f = value;
}

/* ---- Weights and declarations ---- */

static Onnx__TensorProto *add_weight(struct ws_builder *b, const char *name,
                                     enum ws_dtype dtype, const int64_t *dims,
                                     size_t rank, uint64_t *out_size)
{
    Onnx__GraphProto *graph = &b->graph;
    Onnx__TensorProto *tensor = take(b, sizeof(*tensor));
    int64_t *kept_dims = copy(b, dims, rank * sizeof(*dims));
    char *kept_name = copy_text(b, name);
    graph->initializer =
        grow(b, graph->initializer, graph->n_initializer, sizeof(*graph->initializer));
    if (b->first.code != 0 || ws_shape_bytes(out_size, dtype, dims, rank, &b->first) != 0)
        return NULL;
    onnx__tensor_proto__init(tensor);
    tensor->name = kept_name;
    tensor->has_data_type = 1;
    tensor->data_type = (int32_t)dtype;
    tensor->n_dims = rank;
    tensor->dims = kept_dims;
    graph->initializer[graph->n_initializer++] = tensor;
    return tensor;
}

void ws_builder_weight(struct ws_builder *builder, const char *name, enum ws_dtype dtype,
                       const int64_t *dims, size_t rank, const void *data)
{
    uint64_t size = 0;
    Onnx__TensorProto *tensor = add_weight(builder, name, dtype, dims, rank, &size);
    void *bytes = tensor != NULL ? copy(builder, data, size) : NULL;
    if (bytes == NULL)
        return;
    tensor->has_raw_data = 1;
    tensor->raw_data.data = bytes;
    tensor->raw_data.len = size;
}

void ws_builder_weight_later(struct ws_builder *builder, const char *name,
                             enum ws_dtype dtype, const int64_t *dims, size_t rank)
{
    uint64_t size = 0;
    if (add_weight(builder, name, dtype, dims, rank, &size) != NULL)
        builder->later_bytes += size;
}

static Onnx__TensorShapeProto *make_shape(struct ws_builder *b, const int64_t *dims,
                                          size_t rank)
{
    Onnx__TensorShapeProto *shape = take(b, sizeof(*shape));
    Onnx__TensorShapeProto__Dimension *items = take(b, (rank + 1) * sizeof(*items));
    Onnx__TensorShapeProto__Dimension **list = take(b, (rank + 1) * sizeof(*list));
    if (list == NULL)
        return NULL;
    onnx__tensor_shape_proto__init(shape);
    shape->n_dim = rank;
    shape->dim = list;
    for (size_t i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&items[i]);
        list[i] = &items[i];
        if (dims[i] < 0)
            continue;
        items[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        items[i].dim_value = dims[i];
    }
    return shape;
}

static Onnx__ValueInfoProto *make_info(struct ws_builder *b, const char *name,
                                       enum ws_dtype dtype, const int64_t *dims,
                                       size_t rank)
{
    Onnx__ValueInfoProto *info = take(b, sizeof(*info));
    Onnx__TypeProto *type = take(b, sizeof(*type));
    Onnx__TypeProto__Tensor *tensor = take(b, sizeof(*tensor));
    char *kept_name = copy_text(b, name);
    if (kept_name == NULL)
        return NULL;
    onnx__value_info_proto__init(info);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    info->name = kept_name;
    info->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)dtype;
    if (dims != NULL)
        tensor->shape = make_shape(b, dims, rank);
    return info;
}

static void declare(struct ws_builder *b, Onnx__ValueInfoProto ***list, size_t *count,
                    Onnx__ValueInfoProto *info)
{
    *list = grow(b, *list, *count, sizeof(**list));
    if (b->first.code == 0)
        (*list)[(*count)++] = info;
}

void ws_builder_input(struct ws_builder *builder, const char *name, enum ws_dtype dtype,
                      const int64_t *dims, size_t rank)
{
    declare(builder, &builder->graph.input, &builder->graph.n_input,
            make_info(builder, name, dtype, dims, rank));
}

void ws_builder_output(struct ws_builder *builder, const char *name, enum ws_dtype dtype,
                       const int64_t *dims, size_t rank)
{
    declare(builder, &builder->graph.output, &builder->graph.n_output,
            make_info(builder, name, dtype, dims, rank));
}

void ws_builder_value(struct ws_builder *builder, const char *name, enum ws_dtype dtype,
                      const int64_t *dims, size_t rank)
{
    declare(builder, &builder->graph.value_info, &builder->graph.n_value_info,
            make_info(builder, name, dtype, dims, rank));
}

void ws_builder_metadata(struct ws_builder *builder, const char *key, const char *value)
{
    Onnx__ModelProto *model = &builder->model;
    Onnx__StringStringEntryProto *entry = take(builder, sizeof(*entry));
    char *kept_key = copy_text(builder, key);
    char *kept_value = copy_text(builder, value);
    model->metadata_props = grow(builder, model->metadata_props, model->n_metadata_props,
                                 sizeof(*model->metadata_props));
    if (builder->first.code != 0)
        return;
    onnx__string_string_entry_proto__init(entry);
    entry->key = kept_key;
    entry->value = kept_value;
    model->metadata_props[model->n_metadata_props++] = entry;
}

/* ---- Packing and writing ---- */

/* After a failure the messages may have holes, so nothing is done with them. */
int ws_builder_pack(struct ws_buf *out, const struct ws_builder *builder,
                    struct ws_error *err)
{
    int rc = ws_builder_status(builder, err);
    if (rc != 0)
        return rc;
    if (builder->later_bytes > 0)
        return ws_error_set(err, WS_E_USAGE,
                            "a model with weights that are made while it is written");
    rc = ws_buf_reserve(out, onnx__model_proto__get_packed_size(&builder->model), err);
    if (rc == 0)
        out->size +=
            onnx__model_proto__pack(&builder->model, (uint8_t *)out->data + out->size);
    return rc;
}

/* Field numbers in ModelProto, GraphProto and TensorProto. */
enum { FIELD_GRAPH = 7, FIELD_INITIALIZER = 5, FIELD_RAW_DATA = 9 };

static size_t varint_put(uint8_t out[static 10], uint64_t value)
{
    size_t used = 0;
    for (; value >= 0x80; value >>= 7)
        out[used++] = (uint8_t)(value | 0x80);
    out[used++] = (uint8_t)value;
    return used;
}

/* Tag and length of a field that holds `size` bytes; all field numbers are below 16. */
static size_t head_put(uint8_t out[static 11], unsigned field, uint64_t size)
{
    out[0] = (uint8_t)(field << 3 | 2);
    return 1 + varint_put(out + 1, size);
}

static uint64_t field_bytes(uint64_t size)
{
    uint8_t head[11];
    return head_put(head, FIELD_GRAPH, size) + size;
}

/* What is still to come for this weight; 0 for one that has its data. */
static uint64_t later_bytes(const Onnx__TensorProto *tensor)
{
    uint64_t size = 0;
    if (tensor->has_raw_data || ws_shape_bytes(&size, (enum ws_dtype)tensor->data_type,
                                               tensor->dims, tensor->n_dims, NULL) != 0)
        return 0;
    return size;
}

static uint64_t weight_message_bytes(const Onnx__TensorProto *tensor)
{
    uint64_t later = later_bytes(tensor);
    return onnx__tensor_proto__get_packed_size(tensor) +
           (later > 0 ? field_bytes(later) : 0);
}

static int write_message(struct ws_writer *to, const ProtobufCMessage *message,
                         struct ws_error *err)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return ws_error_nomem(err);
    protobuf_c_message_pack(message, bytes);
    int rc = ws_writer_add(to, bytes, size, err);
    free(bytes);
    return rc;
}

static int write_head(struct ws_writer *to, unsigned field, uint64_t size,
                      struct ws_error *err)
{
    uint8_t head[11];
    return ws_writer_add(to, head, head_put(head, field, size), err);
}

/* The data of one weight, a piece at a time. */
static int write_later(struct ws_writer *to, const Onnx__TensorProto *tensor,
                       uint64_t size, ws_weight_fill fill, void *user,
                       struct ws_error *err)
{
    uint8_t *piece = malloc(WRITE_BYTES);
    if (piece == NULL)
        return ws_error_nomem(err);
    int rc = write_head(to, FIELD_RAW_DATA, size, err);
    for (uint64_t from = 0; rc == 0 && from < size; from += WRITE_BYTES) {
        size_t count = size - from < WRITE_BYTES ? (size_t)(size - from) : WRITE_BYTES;
        rc = fill(user, tensor->name, from, piece, count, err);
        if (rc == 0)
            rc = ws_writer_add(to, piece, count, err);
    }
    free(piece);
    return rc;
}

static int write_weight(struct ws_writer *to, const Onnx__TensorProto *tensor,
                        ws_weight_fill fill, void *user, struct ws_error *err)
{
    uint64_t later = later_bytes(tensor);
    int rc = write_head(to, FIELD_INITIALIZER, weight_message_bytes(tensor), err);
    if (rc == 0)
        rc = write_message(to, &tensor->base, err);
    if (rc == 0 && later > 0)
        rc = write_later(to, tensor, later, fill, user, err);
    return rc;
}

/* Fields of a message may come in any order, so the model goes out as: all but the graph;
 * the graph's length; all of it but the weights; the weights. */
static int write_model(struct ws_writer *to, const struct ws_builder *builder,
                       ws_weight_fill fill, void *user, struct ws_error *err)
{
    Onnx__ModelProto model = builder->model;
    Onnx__GraphProto graph = builder->graph;
    model.graph = NULL;
    graph.n_initializer = 0;
    uint64_t size = onnx__graph_proto__get_packed_size(&graph);
    for (size_t i = 0; i < builder->graph.n_initializer; i++)
        size += field_bytes(weight_message_bytes(builder->graph.initializer[i]));
    if (size + onnx__model_proto__get_packed_size(&model) > WS_MODEL_PROTO_MAX)
        return ws_error_set(err, WS_E_LIMIT, "a model of %" PRIu64 " bytes", size);
    int rc = write_message(to, &model.base, err);
    if (rc == 0)
        rc = write_head(to, FIELD_GRAPH, size, err);
    if (rc == 0)
        rc = write_message(to, &graph.base, err);
    for (size_t i = 0; rc == 0 && i < builder->graph.n_initializer; i++)
        rc = write_weight(to, builder->graph.initializer[i], fill, user, err);
    return rc;
}

int ws_builder_write(const char *path, const struct ws_builder *builder,
                     ws_weight_fill fill, void *user, struct ws_error *err)
{
    struct ws_writer *writer = NULL;
    int rc = ws_builder_status(builder, err);
    if (rc != 0)
        return rc;
    if (fill == NULL && builder->later_bytes > 0)
        return ws_error_set(err, WS_E_USAGE, "nobody gives the weights' data");
    rc = ws_writer_open(&writer, path, err);
    if (rc != 0)
        return rc;
    rc = write_model(writer, builder, fill, user, err);
    if (rc != 0) {
        ws_writer_abort(writer);
        return rc;
    }
    return ws_writer_commit(writer, err);
}
