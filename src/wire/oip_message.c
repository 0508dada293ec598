#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "wire/oip_tensor.h"

int ws_oip_header_size(int64_t *out, const char *value, size_t body_size,
                       struct ws_error *err)
{
    int64_t size = WS_OIP_NO_HEADER;
    if (value != NULL) {
        int rc = ws_parse_i64(&size, value, 0, (int64_t)body_size,
                              "Inference-Header-Content-Length", err);
        if (rc != 0)
            return rc;
    }
    *out = size;
    return 0;
}

/* The JSON of a body, and where the blobs begin. */
static int parse_head(struct ws_json_doc *doc, struct ws_cursor *blobs, const void *body,
                      size_t size, int64_t header_size, const char *name,
                      struct ws_error *err)
{
    size_t json_size = header_size == WS_OIP_NO_HEADER ? size : (size_t)header_size;
    if (json_size > size)
        return ws_error_set(err, WS_E_MISMATCH,
                            "%s: a header of %zu bytes in a body of %zu", name, json_size,
                            size);
    if (json_size > WS_OIP_JSON_MAX)
        return ws_error_set(err, WS_E_LIMIT, "%s: %zu bytes of JSON, at most %u", name,
                            json_size, WS_OIP_JSON_MAX);
    *blobs = ws_cursor_make(size > json_size ? (const uint8_t *)body + json_size : NULL,
                            size - json_size);
    return ws_json_parse(doc, body, json_size, name, err);
}

/* A member that may be missing, copied. */
static int copy_string(char **out, const struct ws_json *object, const char *key,
                       size_t size_max, struct ws_error *err)
{
    struct ws_json node;
    const char *text = NULL;
    if (!ws_json_find(&node, object, key))
        return 0;
    int rc = ws_json_string(&text, &node, err);
    if (rc != 0)
        return rc;
    if (strlen(text) > size_max)
        return ws_json_fail(&node, WS_E_LIMIT, err, "%zu bytes, at most %zu",
                            strlen(text), size_max);
    *out = strdup(text);
    return *out == NULL ? ws_error_nomem(err) : 0;
}

static int find_i64(int64_t *out, const struct ws_json *object, const char *key,
                    struct ws_error *err)
{
    struct ws_json node;
    return ws_json_find(&node, object, key) ? ws_json_i64(out, &node, 0, INT64_MAX, err)
                                            : 0;
}

static int find_bool(int *out, const struct ws_json *object, const char *key,
                     struct ws_error *err)
{
    struct ws_json node;
    return ws_json_find(&node, object, key) ? ws_json_bool(out, &node, err) : 0;
}

static int parse_parameters(struct ws_oip_request *out, const struct ws_json *root,
                            struct ws_error *err)
{
    struct ws_json parameters;
    if (!ws_json_find(&parameters, root, "parameters"))
        return 0;
    int rc = ws_json_object(&parameters, err);
    if (rc == 0)
        rc = find_bool(&out->binary_outputs, &parameters, "binary_data_output", err);
    if (rc == 0)
        rc = find_i64(&out->timeout_us, &parameters, "timeout", err);
    if (rc == 0)
        rc = find_i64(&out->priority, &parameters, "priority", err);
    if (rc == 0)
        rc = copy_string(&out->digest, &parameters, "digest", WS_OIP_ID_MAX, err);
    if (rc == 0)
        rc = find_bool(&out->wants_times, &parameters, "times", err);
    if (rc == 0)
        rc = copy_string(&out->policy, &parameters, "policy", WS_OIP_ID_MAX, err);
    if (rc == 0)
        rc = copy_string(&out->minimise, &parameters, "minimise", WS_OIP_ID_MAX, err);
    struct ws_json accuracy, rate;
    if (rc == 0 && ws_json_find(&rate, &parameters, "images_per_s"))
        rc = ws_json_double(&out->images_per_s, &rate, 0, 1e9, err);
    if (rc == 0 && ws_json_find(&accuracy, &parameters, "min_accuracy"))
        rc = ws_json_double(&out->min_accuracy, &accuracy, 0, 1, err);
    return rc;
}

static int parse_wants(struct ws_oip_request *out, const struct ws_json *root,
                       struct ws_error *err)
{
    struct ws_json outputs;
    if (!ws_json_find(&outputs, root, "outputs"))
        return 0;
    int rc = ws_json_array(&outputs, err);
    size_t count = rc == 0 ? ws_json_count(&outputs) : 0;
    if (rc == 0 && count > WS_GRAPH_IO_MAX)
        rc = ws_json_fail(&outputs, WS_E_LIMIT, err, "%zu outputs, at most %d", count,
                          WS_GRAPH_IO_MAX);
    if (rc != 0)
        return rc;
    out->outputs = calloc(count + 1, sizeof(*out->outputs));
    if (out->outputs == NULL)
        return ws_error_nomem(err);
    out->output_count = count;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct ws_json node = ws_json_at(&outputs, i), parameters;
        struct ws_oip_want *want = &out->outputs[i];
        want->is_binary = out->binary_outputs;
        rc = copy_string(&want->name, &node, "name", WS_NAME_MAX, err);
        if (rc == 0 && want->name == NULL)
            rc = ws_json_fail(&node, WS_E_FORMAT, err, "\"name\" is missing");
        if (rc == 0 && ws_json_find(&parameters, &node, "parameters"))
            rc = find_bool(&want->is_binary, &parameters, "binary_data", err);
        for (size_t k = 0; rc == 0 && k < i; k++) {
            if (strcmp(out->outputs[k].name, want->name) == 0)
                rc = ws_json_fail(&node, WS_E_FORMAT, err, "\"%s\" comes twice",
                                  want->name);
        }
    }
    return rc;
}

int ws_oip_request_parse(struct ws_oip_request *out, const void *body, size_t size,
                         int64_t header_size, struct ws_error *err)
{
    struct ws_oip_request request = {0};
    struct ws_json_doc doc = {0};
    struct ws_json inputs;
    struct ws_cursor blobs;
    if (header_size == 0) {
        *out =
            (struct ws_oip_request){.raw = body, .raw_size = size, .binary_outputs = 1};
        return 0;
    }
    int rc = parse_head(&doc, &blobs, body, size, header_size, "request", err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_json_member(&inputs, &root, "inputs", err);
    if (rc == 0)
        rc = copy_string(&request.id, &root, "id", WS_OIP_ID_MAX, err);
    if (rc == 0)
        rc = parse_parameters(&request, &root, err);
    if (rc == 0)
        rc = parse_wants(&request, &root, err);
    if (rc == 0)
        rc = ws_oip_tensors_parse(&request.inputs, &request.input_count, &inputs, &blobs,
                                  err);
    ws_json_doc_fini(&doc);
    if (rc != 0)
        ws_oip_request_fini(&request);
    else
        *out = request;
    return rc;
}

int ws_oip_request_take_raw(struct ws_oip_request *request, const char *name,
                            enum ws_dtype dtype, const int64_t *dims, size_t rank,
                            struct ws_error *err)
{
    int64_t shape[WS_TENSOR_RANK_MAX] = {0};
    size_t free_count = 0, free_axis = 0;
    uint64_t rest = 1;
    for (size_t i = 0; i < rank; i++) {
        shape[i] = dims[i] < 0 ? 1 : dims[i];
        free_count += dims[i] < 0;
        free_axis = dims[i] < 0 ? i : free_axis;
    }
    size_t item = ws_dtype_bits(dtype) / 8;
    int rc = 0;
    if (item == 0 || free_count > 1)
        rc = ws_error_set(err, WS_E_TYPE, "a raw body cannot be input \"%s\": %s", name,
                          item == 0 ? "its elements have no fixed size"
                                    : "more than one dimension is free");
    if (rc == 0)
        rc = ws_shape_bytes(&rest, dtype, shape, rank, err);
    if (rc == 0 && free_count == 1 && rest > 0)
        shape[free_axis] = (int64_t)(request->raw_size / rest);
    if (rc != 0)
        return rc;
    struct ws_oip_tensor *input = calloc(1, sizeof(*input));
    if (input == NULL)
        return ws_error_nomem(err);
    input->name = strdup(name);
    rc = input->name == NULL
             ? ws_error_nomem(err)
             : ws_oip_tensor_from_bytes(input, dtype, shape, rank, request->raw,
                                        request->raw_size, err);
    if (rc != 0) {
        free(input->name);
        free(input);
        return rc;
    }
    request->inputs = input;
    request->input_count = 1;
    request->raw = NULL;
    return 0;
}

void ws_oip_request_fini(struct ws_oip_request *request)
{
    ws_oip_tensors_fini(request->inputs, request->input_count);
    for (size_t i = 0; i < request->output_count; i++)
        free(request->outputs[i].name);
    free(request->outputs);
    free(request->id);
    free(request->digest);
    free(request->policy);
    free(request->minimise);
    *request = (struct ws_oip_request){0};
}

/* `"KEY":"TEXT",` where there is a text. */
static int add_member(struct ws_buf *buf, const char *key, const char *text,
                      struct ws_error *err)
{
    if (text == NULL)
        return 0;
    int rc = ws_buf_printf(buf, err, "\"%s\":", key);
    if (rc == 0)
        rc = ws_oip_add_quoted(buf, text, err);
    return rc == 0 ? ws_buf_add_text(buf, ",", err) : rc;
}

static int add_parameters(struct ws_buf *buf, const struct ws_oip_request *request,
                          struct ws_error *err)
{
    int rc = ws_buf_add_text(buf, "\"parameters\":{", err);
    if (rc == 0)
        rc = add_member(buf, "digest", request->digest, err);
    if (rc == 0 && request->timeout_us > 0)
        rc = ws_buf_printf(buf, err, "\"timeout\":%" PRId64 ",", request->timeout_us);
    if (rc == 0 && request->priority > 0)
        rc = ws_buf_printf(buf, err, "\"priority\":%" PRId64 ",", request->priority);
    if (rc == 0 && request->wants_times)
        rc = ws_buf_add_text(buf, "\"times\":true,", err);
    if (rc == 0)
        rc = add_member(buf, "policy", request->policy, err);
    if (rc == 0)
        rc = add_member(buf, "minimise", request->minimise, err);
    if (rc == 0 && request->images_per_s > 0)
        rc = ws_buf_printf(buf, err, "\"images_per_s\":%.17g,", request->images_per_s);
    if (rc == 0 && request->min_accuracy > 0)
        rc = ws_buf_printf(buf, err, "\"min_accuracy\":%.17g,", request->min_accuracy);
    /* Always there, so that the list needs no last comma. */
    return rc == 0 ? ws_buf_printf(buf, err, "\"binary_data_output\":%s},",
                                   request->binary_outputs ? "true" : "false")
                   : rc;
}

static int add_wants(struct ws_buf *buf, const struct ws_oip_request *request,
                     struct ws_error *err)
{
    int rc = request->output_count > 0 ? ws_buf_add_text(buf, "\"outputs\":[", err) : 0;
    for (size_t i = 0; rc == 0 && i < request->output_count; i++) {
        rc = ws_buf_add_text(buf, i > 0 ? ",{\"name\":" : "{\"name\":", err);
        if (rc == 0)
            rc = ws_oip_add_quoted(buf, request->outputs[i].name, err);
        if (rc == 0)
            rc = ws_buf_printf(buf, err, ",\"parameters\":{\"binary_data\":%s}}",
                               request->outputs[i].is_binary ? "true" : "false");
    }
    return rc == 0 && request->output_count > 0 ? ws_buf_add_text(buf, "],", err) : rc;
}

int ws_oip_request_build(struct ws_oip_message *out, const struct ws_oip_request *request,
                         struct ws_error *err)
{
    struct ws_oip_message message;
    int rc = ws_oip_message_start(&message, request->input_count, err);
    if (rc == 0)
        rc = ws_buf_add_text(&message.head, "{", err);
    if (rc == 0)
        rc = add_member(&message.head, "id", request->id, err);
    if (rc == 0)
        rc = add_parameters(&message.head, request, err);
    if (rc == 0)
        rc = add_wants(&message.head, request, err);
    if (rc == 0)
        rc = ws_oip_tensors_build(&message, "inputs", request->inputs,
                                  request->input_count, err);
    if (rc == 0)
        rc = ws_buf_add_text(&message.head, "}", err);
    if (rc == 0)
        rc = ws_oip_message_finish(&message, err);
    if (rc != 0)
        ws_oip_message_fini(&message);
    else
        *out = message;
    return rc;
}

/* Times are only there when a node of ours was asked for them. */
static int parse_reply_parameters(struct ws_oip_reply *reply, const struct ws_json *root,
                                  struct ws_error *err)
{
    struct ws_oip_times *out = &reply->times;
    struct ws_json parameters, total;
    if (!ws_json_find(&parameters, root, "parameters"))
        return 0;
    reply->parameters = json_incref(parameters.value);
    if (!ws_json_find(&total, &parameters, "total_ns"))
        return 0;
    out->is_known = 1;
    int rc = ws_json_i64(&out->total_ns, &total, 0, INT64_MAX, err);
    if (rc == 0)
        rc = find_i64(&out->queue_ns, &parameters, "queue_ns", err);
    if (rc == 0)
        rc = find_i64(&out->decode_ns, &parameters, "decode_ns", err);
    if (rc == 0)
        rc = find_i64(&out->compute_ns, &parameters, "compute_ns", err);
    return rc;
}

int ws_oip_reply_parse(struct ws_oip_reply *out, const void *body, size_t size,
                       int64_t header_size, struct ws_error *err)
{
    struct ws_oip_reply reply = {0};
    struct ws_json_doc doc = {0};
    struct ws_json outputs;
    struct ws_cursor blobs;
    int rc = parse_head(&doc, &blobs, body, size, header_size, "reply", err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_json_member(&outputs, &root, "outputs", err);
    if (rc == 0)
        rc = copy_string(&reply.model_name, &root, "model_name", WS_NAME_MAX, err);
    if (rc == 0)
        rc = copy_string(&reply.model_version, &root, "model_version", WS_NAME_MAX, err);
    if (rc == 0)
        rc = copy_string(&reply.id, &root, "id", WS_OIP_ID_MAX, err);
    if (rc == 0)
        rc = parse_reply_parameters(&reply, &root, err);
    if (rc == 0)
        rc = ws_oip_tensors_parse(&reply.outputs, &reply.output_count, &outputs, &blobs,
                                  err);
    ws_json_doc_fini(&doc);
    if (rc != 0)
        ws_oip_reply_fini(&reply);
    else
        *out = reply;
    return rc;
}

void ws_oip_reply_fini(struct ws_oip_reply *reply)
{
    ws_oip_tensors_fini(reply->outputs, reply->output_count);
    free(reply->model_name);
    free(reply->model_version);
    free(reply->id);
    json_decref(reply->parameters);
    *reply = (struct ws_oip_reply){0};
}

static int add_reply_parameters(struct ws_buf *head, const struct ws_oip_reply *reply,
                                struct ws_error *err)
{
    const struct ws_oip_times *times = &reply->times;
    if (!times->is_known && reply->more == NULL)
        return 0;
    int rc = ws_buf_add_text(head, "\"parameters\":{", err);
    if (rc == 0 && times->is_known)
        rc = ws_buf_printf(head, err,
                           "\"queue_ns\":%" PRId64 ",\"decode_ns\":%" PRId64
                           ",\"compute_ns\":%" PRId64 ",\"total_ns\":%" PRId64 "%s",
                           times->queue_ns, times->decode_ns, times->compute_ns,
                           times->total_ns, reply->more != NULL ? "," : "");
    if (rc == 0 && reply->more != NULL)
        rc = ws_buf_add_text(head, reply->more, err);
    return rc == 0 ? ws_buf_add_text(head, "},", err) : rc;
}

int ws_oip_reply_build(struct ws_oip_message *out, const struct ws_oip_reply *reply,
                       struct ws_error *err)
{
    struct ws_oip_message message;
    int rc = ws_oip_message_start(&message, reply->output_count, err);
    struct ws_buf *head = &message.head;
    if (rc == 0)
        rc = ws_buf_add_text(head, "{", err);
    if (rc == 0)
        rc = add_member(head, "model_name", reply->model_name, err);
    if (rc == 0)
        rc = add_member(head, "model_version", reply->model_version, err);
    if (rc == 0)
        rc = add_member(head, "id", reply->id, err);
    if (rc == 0)
        rc = add_reply_parameters(head, reply, err);
    if (rc == 0)
        rc = ws_oip_tensors_build(&message, "outputs", reply->outputs,
                                  reply->output_count, err);
    if (rc == 0)
        rc = ws_buf_add_text(head, "}", err);
    if (rc == 0)
        rc = ws_oip_message_finish(&message, err);
    if (rc != 0)
        ws_oip_message_fini(&message);
    else
        *out = message;
    return rc;
}
