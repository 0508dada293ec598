#include "wire/oip_meta.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "wire/oip.h"

static const char *const extensions[] = {"binary_tensor_data", "model_repository",
                                         "statistics", "model_configuration",
                                         "parameters"};

/* Takes over `root`, which is NULL where it could not be made. */
static int add_json(struct ws_buf *out, json_t *root, struct ws_error *err)
{
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(root);
    if (text == NULL)
        return ws_error_set(err, WS_E_FORMAT, "a text is not UTF-8");
    int rc = ws_buf_add_text(out, text, err);
    free(text);
    return rc;
}

static void ports_fini(struct ws_oip_port *ports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(ports[i].name);
    free(ports);
}

void ws_oip_model_fini(struct ws_oip_model *model)
{
    ports_fini(model->inputs, model->input_count);
    ports_fini(model->outputs, model->output_count);
    free(model->name);
    free(model->digest);
    *model = (struct ws_oip_model){0};
}

static json_t *dims_json(const struct ws_oip_port *port)
{
    json_t *dims = json_array();
    for (size_t k = 0; port->has_shape && k < port->rank; k++)
        json_array_append_new(dims, json_integer(port->dims[k]));
    return dims;
}

static json_t *ports_json(const struct ws_oip_port *ports, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:o}", "name", ports[i].name,
                                        "datatype", ws_oip_dtype_name(ports[i].dtype),
                                        "shape", dims_json(&ports[i])));
    return array;
}

int ws_oip_model_build(struct ws_buf *out, const struct ws_oip_model *model,
                       struct ws_error *err)
{
    json_t *root = json_pack("{s:s, s:[s], s:s, s:o, s:o}", "name", model->name,
                             "versions", "1", "platform", "onnx_onnxv1", "inputs",
                             ports_json(model->inputs, model->input_count), "outputs",
                             ports_json(model->outputs, model->output_count));
    if (root != NULL && model->digest != NULL)
        json_object_set_new(root, "parameters",
                            json_pack("{s:s}", "digest", model->digest));
    return add_json(out, root, err);
}

static json_t *config_ports(const struct ws_oip_port *ports, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        char type[32];
        (void)snprintf(type, sizeof(type), "TYPE_%s",
                       ports[i].dtype == WS_DTYPE_STRING ? "STRING"
                                                         : ws_dtype_name(ports[i].dtype));
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:o}", "name", ports[i].name,
                                        "data_type", type, "dims", dims_json(&ports[i])));
    }
    return array;
}

int ws_oip_config_build(struct ws_buf *out, const struct ws_oip_model *model,
                        struct ws_error *err)
{
    return add_json(out,
                    json_pack("{s:s, s:s, s:s, s:i, s:o, s:o}", "name", model->name,
                              "platform", "onnxruntime_onnx", "backend", "onnxruntime",
                              "max_batch_size", 0, "input",
                              config_ports(model->inputs, model->input_count), "output",
                              config_ports(model->outputs, model->output_count)),
                    err);
}

static int parse_port(struct ws_oip_port *out, const struct ws_json *node,
                      struct ws_error *err)
{
    const char *name = NULL, *type = NULL;
    struct ws_json shape;
    int rc = ws_json_get_string(&name, node, "name", err);
    if (rc == 0)
        rc = ws_json_get_string(&type, node, "datatype", err);
    if (rc != 0)
        return rc;
    if (ws_oip_dtype_find(&out->dtype, type, NULL) != 0)
        out->dtype = WS_DTYPE_UNDEFINED;
    if (ws_json_find(&shape, node, "shape")) {
        if (ws_json_count(&shape) > WS_TENSOR_RANK_MAX)
            return ws_json_fail(&shape, WS_E_LIMIT, err, "at most %d dimensions",
                                WS_TENSOR_RANK_MAX);
        out->has_shape = 1;
        out->rank = ws_json_count(&shape);
        for (size_t i = 0; rc == 0 && i < out->rank; i++) {
            struct ws_json dim = ws_json_at(&shape, i);
            rc = ws_json_i64(&out->dims[i], &dim, -1, INT64_MAX, err);
        }
    }
    if (rc == 0 && (out->name = strdup(name)) == NULL)
        rc = ws_error_nomem(err);
    return rc;
}

static int parse_ports(struct ws_oip_port **out, size_t *out_count,
                       const struct ws_json *root, const char *key, struct ws_error *err)
{
    struct ws_json array;
    if (!ws_json_find(&array, root, key))
        return 0;
    int rc = ws_json_array(&array, err);
    size_t count = rc == 0 ? ws_json_count(&array) : 0;
    if (rc == 0 && count > WS_GRAPH_IO_MAX)
        rc = ws_json_fail(&array, WS_E_LIMIT, err, "at most %d", WS_GRAPH_IO_MAX);
    if (rc != 0)
        return rc;
    *out = calloc(count + 1, sizeof(**out));
    if (*out == NULL)
        return ws_error_nomem(err);
    *out_count = count;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct ws_json node = ws_json_at(&array, i);
        rc = parse_port(&(*out)[i], &node, err);
    }
    return rc;
}

int ws_oip_model_parse(struct ws_oip_model *out, const void *body, size_t size,
                       struct ws_error *err)
{
    struct ws_oip_model model = {0};
    struct ws_json_doc doc;
    struct ws_json parameters, digest;
    const char *text = NULL;
    int rc = ws_json_parse(&doc, body, size, "model metadata", err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_json_get_text(&model.name, &root, "name", err);
    if (rc == 0)
        rc = parse_ports(&model.inputs, &model.input_count, &root, "inputs", err);
    if (rc == 0)
        rc = parse_ports(&model.outputs, &model.output_count, &root, "outputs", err);
    if (rc == 0 && ws_json_find(&parameters, &root, "parameters") &&
        ws_json_find(&digest, &parameters, "digest")) {
        rc = ws_json_string(&text, &digest, err);
        if (rc == 0 && (model.digest = strdup(text)) == NULL)
            rc = ws_error_nomem(err);
    }
    ws_json_doc_fini(&doc);
    if (rc != 0)
        ws_oip_model_fini(&model);
    else
        *out = model;
    return rc;
}

int ws_oip_server_build(struct ws_buf *out, struct ws_error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
        json_array_append_new(list, json_string(extensions[i]));
    return add_json(out,
                    json_pack("{s:s, s:s, s:o}", "name", "wattshed", "version",
                              WS_VERSION, "extensions", list),
                    err);
}

int ws_oip_server_has(int *out, const void *body, size_t size, const char *extension,
                      struct ws_error *err)
{
    struct ws_json_doc doc;
    struct ws_json list;
    int rc = ws_json_parse(&doc, body, size, "server metadata", err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    *out = 0;
    if (ws_json_find(&list, &root, "extensions") && json_is_array(list.value)) {
        for (size_t i = 0; i < ws_json_count(&list); i++) {
            struct ws_json node = ws_json_at(&list, i);
            const char *text = NULL;
            if (ws_json_string(&text, &node, NULL) == 0 && strcmp(text, extension) == 0)
                *out = 1;
        }
    }
    ws_json_doc_fini(&doc);
    return 0;
}

int ws_oip_index_build(struct ws_buf *out, const struct ws_oip_entry *entries,
                       size_t count, struct ws_error *err)
{
    json_t *array = json_array();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:s}", "name", entries[i].name, "version",
                             "1", "state", entries[i].is_ready ? "READY" : "UNAVAILABLE",
                             "reason", entries[i].reason));
    if (rc != 0) {
        json_decref(array);
        array = NULL;
    }
    return add_json(out, array, err);
}

int ws_oip_index_parse(int *out_ready_only, const void *body, size_t size,
                       struct ws_error *err)
{
    struct ws_json_doc doc;
    struct ws_json ready;
    int is_ready = 0;
    if (size == 0) {
        *out_ready_only = 0;
        return 0;
    }
    int rc = ws_json_parse(&doc, body, size, "request", err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_json_object(&root, err);
    if (rc == 0 && ws_json_find(&ready, &root, "ready"))
        rc = ws_json_bool(&is_ready, &ready, err);
    ws_json_doc_fini(&doc);
    if (rc == 0)
        *out_ready_only = is_ready;
    return rc;
}

static json_t *duration_json(const struct ws_oip_duration *duration)
{
    return json_pack("{s:I, s:I}", "count", (json_int_t)duration->count, "ns",
                     (json_int_t)duration->ns);
}

static json_t *stats_json(const struct ws_oip_stats *stats)
{
    static const struct ws_oip_duration none = {0};
    json_t *parts =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "success",
                  duration_json(&stats->success), "fail", duration_json(&stats->fail),
                  "queue", duration_json(&stats->queue), "compute_input",
                  duration_json(&stats->compute_input), "compute_infer",
                  duration_json(&stats->compute_infer), "compute_output",
                  duration_json(&stats->compute_output), "cache_hit",
                  duration_json(&none), "cache_miss", duration_json(&none));
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:o, s:[]}", "name", stats->name, "version", "1",
        "last_inference", (json_int_t)stats->last_inference_ms, "inference_count",
        (json_int_t)stats->inference_count, "execution_count",
        (json_int_t)stats->execution_count, "inference_stats", parts, "batch_stats");
}

int ws_oip_stats_build(struct ws_buf *out, const struct ws_oip_stats *stats, size_t count,
                       struct ws_error *err)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, stats_json(&stats[i]));
    return add_json(out, json_pack("{s:o}", "model_stats", array), err);
}

int ws_oip_error_build(struct ws_buf *out, const char *text, struct ws_error *err)
{
    json_t *string = json_string(text);
    if (string == NULL) {
        char plain[WS_ERROR_TEXT_MAX];
        (void)snprintf(plain, sizeof(plain), "%s", text);
        for (char *c = plain; *c != '\0'; c++) {
            if ((unsigned char)*c >= 0x80)
                *c = '?';
        }
        string = json_string(plain);
    }
    return add_json(out, json_pack("{s:o}", "error", string), err);
}

void ws_oip_error_parse(char *text, size_t text_size, const void *body, size_t size)
{
    struct ws_json_doc doc;
    struct ws_json node;
    const char *found = NULL;
    if (size > 0 && ws_json_parse(&doc, body, size, "error", NULL) == 0) {
        struct ws_json root = ws_json_root(&doc);
        if (ws_json_find(&node, &root, "error") || ws_json_find(&node, &root, "detail")) {
            if (ws_json_string(&found, &node, NULL) == 0) {
                (void)snprintf(text, text_size, "%s", found);
            } else {
                char *dump = json_dumps(node.value, JSON_COMPACT | JSON_ENCODE_ANY);
                (void)snprintf(text, text_size, "%s", dump == NULL ? "" : dump);
                free(dump);
            }
            ws_json_doc_fini(&doc);
            return;
        }
        ws_json_doc_fini(&doc);
    }
    int length = size > 200 ? 200 : (int)size;
    (void)snprintf(text, text_size, "%.*s", length, size > 0 ? (const char *)body : "");
}

int ws_oip_status(int code)
{
    switch (code) {
    case WS_E_STRANGER:
        return 401;
    case WS_E_DENIED:
        return 403;
    case WS_E_NOT_FOUND:
        return 404;
    case WS_E_BUSY:
        return 503;
    case WS_E_UNSUPPORTED:
        return 501;
    case WS_E_NOMEM:
    case WS_E_IO:
    case WS_E_RUNTIME:
        return 500;
    default:
        return 400;
    }
}
