#include "onnx/model.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/model_impl.h"
#include "onnx/skeleton.h"
#include "onnx/tensorproto.h"

/* How the weights inside a model in memory are called; there is no file of that name. */
static const char memory_location[] = "(memory)";

/* ---- opening ---- */

/* Files the model's own bytes as the first external file, so that payloads inside and
 * outside of it are one case. Takes over `map`, also when it fails. */
static int add_own_file(struct ws_model *model, const char *location, struct ws_map map,
                        struct ws_error *err)
{
    struct ws_externals *externals = &model->externals;
    externals->files = calloc(4, sizeof(*externals->files));
    if (externals->files == NULL) {
        if (model->is_mapped)
            ws_map_close(&map);
        return ws_error_nomem(err);
    }
    externals->capacity = 4;
    externals->count = 1;
    struct ws_external_file *own = &externals->files[0];
    own->map = map;
    own->location = strdup(location);
    own->path = model->path != NULL ? strdup(model->path) : NULL;
    if (own->location == NULL || (model->path != NULL && own->path == NULL))
        return ws_error_nomem(err);
    return ws_names_add(&externals->by_location, own->location, 0, err);
}

static int unpack(struct ws_model *model, struct ws_error *err)
{
    const struct ws_external_file *own = &model->externals.files[0];
    struct ws_buf skeleton;
    ws_buf_init(&skeleton, WS_MODEL_SKEL_MAX);
    int rc =
        ws_skeleton_build(&skeleton, own->map.data, own->map.size, own->location, err);
    if (rc != 0) {
        ws_error_context(err, "not an ONNX model");
        goto out;
    }
    model->proto =
        onnx__model_proto__unpack(NULL, skeleton.size, (const uint8_t *)skeleton.data);
    if (model->proto == NULL)
        rc = ws_error_set(err, WS_E_FORMAT,
                          "not an ONNX model: a field has the wrong type");
    else if (model->proto->graph == NULL)
        rc = ws_error_set(err, WS_E_FORMAT, "a model without a graph");
out:
    ws_buf_fini(&skeleton);
    return rc;
}

static int describe_weight(struct ws_weight *weight, const struct ws_model *model,
                           const Onnx__TensorProto *tensor, struct ws_error *err)
{
    *weight = (struct ws_weight){.name = ws_proto_text(tensor->name),
                                 .dtype = ws_tensorproto_dtype(tensor)};
    int rc = ws_tensorproto_shape(weight->dims, &weight->rank, tensor, err);
    if (rc != 0) {
        ws_error_context(err, "tensor \"%s\"", weight->name);
        return rc;
    }
    const struct ws_payload *payload = ws_payload_find(model, tensor);
    if (payload != NULL) {
        weight->data = payload->data;
        weight->size_bytes = payload->size_bytes;
        weight->offset = payload->offset;
        if (payload->file != WS_PAYLOAD_OWNED)
            weight->path = model->externals.files[payload->file].path;
    } else if (tensor->has_raw_data) {
        weight->data = tensor->raw_data.data;
        weight->size_bytes = tensor->raw_data.len;
    }
    return 0;
}

static int list_weights(struct ws_model *model, struct ws_error *err)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    if (graph->n_initializer == 0)
        return 0;
    model->weights = calloc(graph->n_initializer, sizeof(*model->weights));
    if (model->weights == NULL)
        return ws_error_nomem(err);
    model->weight_count = graph->n_initializer;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        int rc = describe_weight(&model->weights[i], model, graph->initializer[i], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int load(struct ws_model *model, struct ws_error *err)
{
    int rc = unpack(model, err);
    if (rc == 0)
        rc = ws_payloads_collect(model, err);
    if (rc == 0)
        rc = list_weights(model, err);
    return rc;
}

/* The folder of a path, as a path; and its last part. */
static int split_path(struct ws_model *model, const char **out_base, const char *path,
                      struct ws_error *err)
{
    const char *slash = strrchr(path, '/');
    model->path = strdup(path);
    if (slash == NULL)
        model->dir = strdup(".");
    else
        model->dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (model->path == NULL || model->dir == NULL)
        return ws_error_nomem(err);
    *out_base = slash == NULL ? path : slash + 1;
    return 0;
}

int ws_model_open(struct ws_model **out, const char *path, struct ws_error *err)
{
    struct ws_map map = {0};
    int rc = ws_map_open(&map, path, WS_MODEL_PROTO_MAX, err);
    if (rc != 0)
        return rc;
    struct ws_model *model = calloc(1, sizeof(*model));
    if (model == NULL) {
        ws_map_close(&map);
        return ws_error_nomem(err);
    }
    model->is_mapped = 1;
    const char *base = NULL;
    rc = split_path(model, &base, path, err);
    if (rc == 0)
        rc = add_own_file(model, base, map, err);
    else
        ws_map_close(&map);
    if (rc == 0 && (model->externals.root = realpath(model->dir, NULL)) == NULL)
        rc = ws_error_nomem(err); /* it was opened from there: only memory can lack */
    if (rc == 0 && (rc = load(model, err)) != 0)
        ws_error_context(err, "%s", path);
    if (rc == 0) {
        *out = model;
        model = NULL;
    }
    ws_model_close(model);
    return rc;
}

int ws_model_open_bytes(struct ws_model **out, const uint8_t *bytes, size_t size,
                        struct ws_error *err)
{
    struct ws_model *model = calloc(1, sizeof(*model));
    if (model == NULL)
        return ws_error_nomem(err);
    struct ws_map map = {.data = bytes, .size = size};
    int rc = add_own_file(model, memory_location, map, err);
    if (rc == 0)
        rc = load(model, err);
    if (rc == 0) {
        *out = model;
        model = NULL;
    }
    ws_model_close(model);
    return rc;
}

void ws_model_close(struct ws_model *model)
{
    if (model == NULL)
        return;
    ws_payloads_fini(model);
    if (model->proto != NULL)
        onnx__model_proto__free_unpacked(model->proto, NULL);
    if (!model->is_mapped && model->externals.count > 0)
        model->externals.files[0].map = (struct ws_map){0};
    ws_externals_fini(&model->externals);
    free(model->weights);
    free(model->path);
    free(model->dir);
    free(model);
}

/* ---- asking ---- */

const Onnx__ModelProto *ws_model_proto(const struct ws_model *model)
{
    return model->proto;
}

const char *ws_model_path(const struct ws_model *model)
{
    return model->path != NULL ? model->path : memory_location;
}

const char *ws_model_dir(const struct ws_model *model)
{
    return model->dir != NULL ? model->dir : ".";
}

size_t ws_model_weight_count(const struct ws_model *model)
{
    return model->weight_count;
}

const struct ws_weight *ws_model_weight(const struct ws_model *model, size_t index)
{
    return &model->weights[index];
}

int ws_model_tensor_bytes(const uint8_t **out, size_t *out_size,
                          const struct ws_model *model, const Onnx__TensorProto *tensor,
                          struct ws_error *err)
{
    const struct ws_payload *payload = ws_payload_find(model, tensor);
    if (payload != NULL) {
        *out = payload->data;
        *out_size = payload->size_bytes;
        return 0;
    }
    if (!tensor->has_raw_data)
        return ws_error_set(err, WS_E_TYPE, "tensor \"%s\" of type %s has no plain bytes",
                            ws_proto_text(tensor->name),
                            ws_dtype_name(ws_tensorproto_dtype(tensor)));
    *out = tensor->raw_data.data;
    *out_size = tensor->raw_data.len;
    return 0;
}
