#include "wire/oip_load.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "wire/oip_tensor.h"

static int take_digest(struct ws_oip_load *out, const struct ws_json *parameters,
                       struct ws_error *err)
{
    struct ws_json node;
    const char *text = NULL;
    if (!ws_json_find(&node, parameters, "digest"))
        return 0;
    int rc = ws_json_string(&text, &node, err);
    if (rc != 0)
        return rc;
    if (strlen(text) != WS_DIGEST_TEXT - 1 ||
        strspn(text, "0123456789abcdef") != WS_DIGEST_TEXT - 1)
        return ws_json_fail(&node, WS_E_FORMAT, err, "no SHA-256 in lower-case hex");
    memcpy(out->digest, text, WS_DIGEST_TEXT);
    return 0;
}

static int take_model(struct ws_oip_load *out, const struct ws_json *parameters,
                      const uint8_t *blob, size_t blob_size, struct ws_error *err)
{
    struct ws_json node;
    int64_t size = 0;
    int rc = 0;
    int is_there = ws_json_find(&node, parameters, "binary_data_size");
    if (is_there)
        rc = ws_json_i64(&size, &node, 1, INT64_MAX, err);
    if (rc == 0 && (uint64_t)size != blob_size)
        return ws_error_set(err, WS_E_MISMATCH,
                            "%zu bytes behind the JSON, \"binary_data_size\" says "
                            "%" PRId64,
                            blob_size, size);
    if (rc == 0 && is_there) {
        out->model = blob;
        out->model_size = blob_size;
    }
    return rc;
}

int ws_oip_load_parse(struct ws_oip_load *out, const void *body, size_t size,
                      int64_t header_size, struct ws_error *err)
{
    struct ws_oip_load load = {0};
    struct ws_json_doc doc;
    struct ws_json parameters;
    size_t json_size = header_size == WS_OIP_NO_HEADER ? size : (size_t)header_size;
    if (size == 0) {
        *out = load;
        return 0;
    }
    if (json_size > WS_OIP_JSON_MAX || json_size > size)
        return ws_error_set(err, WS_E_LIMIT, "%zu bytes of JSON, at most %u", json_size,
                            WS_OIP_JSON_MAX);
    int rc = ws_json_parse(&doc, body, json_size, "request", err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    rc = ws_json_object(&root, err);
    if (rc == 0 && ws_json_find(&parameters, &root, "parameters")) {
        rc = take_digest(&load, &parameters, err);
        if (rc == 0)
            rc = take_model(&load, &parameters, (const uint8_t *)body + json_size,
                            size - json_size, err);
    } else if (rc == 0 && json_size != size) {
        rc = ws_error_set(err, WS_E_MISMATCH,
                          "%zu bytes behind the JSON that it does "
                          "not speak of",
                          size - json_size);
    }
    ws_json_doc_fini(&doc);
    if (rc == 0)
        *out = load;
    return rc;
}

int ws_oip_load_build(struct ws_oip_message *out, const struct ws_oip_load *load,
                      struct ws_error *err)
{
    struct ws_oip_message message;
    int rc = ws_oip_message_start(&message, 1, err);
    if (rc != 0)
        return rc;
    rc = ws_buf_add_text(&message.head, "{\"parameters\":{", err);
    if (rc == 0 && load->digest[0] != '\0')
        rc = ws_buf_printf(&message.head, err, "\"digest\":\"%s\"", load->digest);
    if (rc == 0 && load->model != NULL) {
        rc = ws_buf_printf(&message.head, err, "%s\"binary_data_size\":%zu",
                           load->digest[0] != '\0' ? "," : "", load->model_size);
        message.parts[message.part_count++] =
            (struct ws_oip_part){load->model, load->model_size};
    }
    if (rc == 0)
        rc = ws_buf_add_text(&message.head, "}}", err);
    if (rc == 0)
        rc = ws_oip_message_finish(&message, err);
    if (rc != 0)
        ws_oip_message_fini(&message);
    else
        *out = message;
    return rc;
}
