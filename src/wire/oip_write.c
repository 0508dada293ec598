#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wire/oip_tensor.h"

int ws_oip_add_quoted(struct ws_buf *buf, const char *text, struct ws_error *err)
{
    json_t *string = json_string(text);
    char *quoted = string == NULL ? NULL : json_dumps(string, JSON_ENCODE_ANY);
    json_decref(string);
    if (quoted == NULL)
        return ws_error_set(err, WS_E_FORMAT, "\"%.64s\" is not UTF-8", text);
    int rc = ws_buf_add_text(buf, quoted, err);
    free(quoted);
    return rc;
}

int ws_oip_message_start(struct ws_oip_message *message, size_t tensor_count,
                         struct ws_error *err)
{
    *message = (struct ws_oip_message){.header_size = WS_OIP_NO_HEADER};
    ws_buf_init(&message->head, WS_OIP_BODY_MAX);
    message->parts = calloc(tensor_count + 1, sizeof(*message->parts));
    message->strings = calloc(tensor_count + 1, sizeof(*message->strings));
    if (message->parts == NULL || message->strings == NULL)
        return ws_error_nomem(err);
    message->part_count = 1;
    return 0;
}

void ws_oip_message_fini(struct ws_oip_message *message)
{
    for (size_t i = 0; message->strings != NULL && i < message->part_count; i++)
        ws_buf_fini(&message->strings[i]);
    free(message->strings);
    free(message->parts);
    ws_buf_fini(&message->head);
    *message = (struct ws_oip_message){0};
}

int ws_oip_message_finish(struct ws_oip_message *message, struct ws_error *err)
{
    int rc = 0;
    while (rc == 0 && message->part_count > 1 &&
           message->head.size % WS_TENSOR_ALIGN != 0)
        rc = ws_buf_add(&message->head, " ", 1, err);
    if (rc != 0)
        return rc;
    if (message->part_count > 1)
        message->header_size = (int64_t)message->head.size;
    message->parts[0] =
        (struct ws_oip_part){.data = message->head.data, .size = message->head.size};
    message->size_bytes = 0;
    for (size_t i = 0; i < message->part_count; i++)
        message->size_bytes += message->parts[i].size;
    if (message->size_bytes > WS_OIP_BODY_MAX)
        return ws_error_set(err, WS_E_LIMIT, "a message of %" PRIu64 " bytes, at most %u",
                            message->size_bytes, WS_OIP_BODY_MAX);
    return 0;
}

static int add_real(struct ws_buf *buf, double value, int digits, size_t index,
                    struct ws_error *err)
{
    if (!isfinite(value))
        return ws_error_set(err, WS_E_TYPE,
                            "element %zu is not finite, which JSON cannot say: ask for "
                            "binary data",
                            index);
    return ws_buf_printf(buf, err, "%.*g", digits, value);
}

/* JSON readers, ours too, stop at the largest signed number. */
static int add_u64(struct ws_buf *buf, uint64_t value, size_t index, struct ws_error *err)
{
    if (value > INT64_MAX)
        return ws_error_set(err, WS_E_TYPE,
                            "element %zu is too large for JSON: ask for binary data",
                            index);
    return ws_buf_printf(buf, err, "%" PRIu64, value);
}

/* Nine digits tell every float, seventeen every double. */
enum { FP32_DIGITS = 9, FP64_DIGITS = 17 };

static int add_element(struct ws_buf *buf, const struct ws_tensor *tensor, size_t i,
                       struct ws_error *err)
{
    const void *data = tensor->data;
    switch (tensor->dtype) {
    case WS_DTYPE_BOOL:
        return ws_buf_add_text(buf, ((const uint8_t *)data)[i] ? "true" : "false", err);
    case WS_DTYPE_UINT8:
        return ws_buf_printf(buf, err, "%u", ((const uint8_t *)data)[i]);
    case WS_DTYPE_UINT16:
        return ws_buf_printf(buf, err, "%u", ((const uint16_t *)data)[i]);
    case WS_DTYPE_UINT32:
        return ws_buf_printf(buf, err, "%" PRIu32, ((const uint32_t *)data)[i]);
    case WS_DTYPE_UINT64:
        return add_u64(buf, ((const uint64_t *)data)[i], i, err);
    case WS_DTYPE_INT8:
        return ws_buf_printf(buf, err, "%d", ((const int8_t *)data)[i]);
    case WS_DTYPE_INT16:
        return ws_buf_printf(buf, err, "%d", ((const int16_t *)data)[i]);
    case WS_DTYPE_INT32:
        return ws_buf_printf(buf, err, "%" PRId32, ((const int32_t *)data)[i]);
    case WS_DTYPE_INT64:
        return ws_buf_printf(buf, err, "%" PRId64, ((const int64_t *)data)[i]);
    case WS_DTYPE_FP32:
        return add_real(buf, ((const float *)data)[i], FP32_DIGITS, i, err);
    case WS_DTYPE_FP64:
        return add_real(buf, ((const double *)data)[i], FP64_DIGITS, i, err);
    case WS_DTYPE_STRING: {
        const char *text = ((char *const *)data)[i]; /* NULL until it is set */
        return ws_oip_add_quoted(buf, text == NULL ? "" : text, err);
    }
    default:
        return ws_error_set(err, WS_E_TYPE, "%s has no form in JSON: ask for binary data",
                            ws_oip_dtype_name(tensor->dtype));
    }
}

static int add_data(struct ws_buf *buf, const struct ws_tensor *tensor,
                    struct ws_error *err)
{
    uint64_t count = 0;
    int rc = ws_shape_count(&count, tensor->dims, tensor->rank, err);
    if (rc == 0)
        rc = ws_buf_add_text(buf, ",\"data\":[", err);
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        if (i > 0)
            rc = ws_buf_add(buf, ",", 1, err);
        if (rc == 0)
            rc = add_element(buf, tensor, (size_t)i, err);
    }
    return rc == 0 ? ws_buf_add_text(buf, "]", err) : rc;
}

static int pack_strings(struct ws_buf *buf, const struct ws_tensor *tensor,
                        struct ws_error *err)
{
    int rc = 0;
    char *const *strings = tensor->data;
    ws_buf_init(buf, WS_OIP_BODY_MAX);
    for (size_t i = 0; rc == 0 && i < tensor->size_bytes / sizeof(char *); i++) {
        size_t size = strings[i] == NULL ? 0 : strlen(strings[i]);
        uint32_t length = (uint32_t)size;
        if (size > WS_OIP_BODY_MAX)
            return ws_error_set(err, WS_E_LIMIT, "a string of %zu bytes", size);
        rc = ws_buf_add(buf, &length, sizeof(length), err);
        if (rc == 0)
            rc = ws_buf_add(buf, strings[i], size, err);
    }
    return rc;
}

static int add_blob(struct ws_oip_message *message, const struct ws_tensor *tensor,
                    struct ws_error *err)
{
    struct ws_oip_part part = {.data = tensor->data, .size = tensor->size_bytes};
    if (tensor->dtype == WS_DTYPE_STRING) {
        struct ws_buf *packed = &message->strings[message->part_count];
        int rc = pack_strings(packed, tensor, err);
        if (rc != 0) {
            ws_buf_fini(packed);
            return rc;
        }
        part = (struct ws_oip_part){.data = packed->data, .size = packed->size};
    }
    message->parts[message->part_count++] = part;
    return ws_buf_printf(&message->head, err,
                         ",\"parameters\":{\"binary_data_size\":%zu}", part.size);
}

static int add_tensor(struct ws_oip_message *message, const struct ws_oip_tensor *from,
                      struct ws_error *err)
{
    struct ws_buf *head = &message->head;
    const struct ws_tensor *tensor = &from->tensor;
    if (!ws_oip_dtype_is_known(tensor->dtype))
        return ws_error_set(err, WS_E_UNSUPPORTED, "the protocol has no datatype %s",
                            ws_dtype_name(tensor->dtype));
    int rc = ws_buf_add_text(head, "{\"name\":", err);
    if (rc == 0)
        rc = ws_oip_add_quoted(head, from->name, err);
    if (rc == 0)
        rc = ws_buf_printf(head, err, ",\"datatype\":\"%s\",\"shape\":[",
                           ws_oip_dtype_name(tensor->dtype));
    for (size_t i = 0; rc == 0 && i < tensor->rank; i++)
        rc = ws_buf_printf(head, err, "%s%" PRId64, i > 0 ? "," : "", tensor->dims[i]);
    if (rc == 0)
        rc = ws_buf_add_text(head, "]", err);
    if (rc == 0)
        rc = from->is_binary ? add_blob(message, tensor, err)
                             : add_data(head, tensor, err);
    if (rc == 0)
        rc = ws_buf_add_text(head, "}", err);
    return rc;
}

int ws_oip_tensors_build(struct ws_oip_message *message, const char *key,
                         const struct ws_oip_tensor *tensors, size_t count,
                         struct ws_error *err)
{
    int rc = ws_buf_printf(&message->head, err, "\"%s\":[", key);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (i > 0)
            rc = ws_buf_add(&message->head, ",", 1, err);
        if (rc == 0)
            rc = add_tensor(message, &tensors[i], err);
        if (rc != 0)
            (void)ws_error_context(err, "\"%s\"", tensors[i].name);
    }
    return rc == 0 ? ws_buf_add_text(&message->head, "]", err) : rc;
}
