#include "onnx/model_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/parse.h"
#include "onnx/skeleton.h"
#include "onnx/tensorproto.h"

/* ---- pointing tensors at payloads ---- */

static void refer(struct ws_payload *payload, char *location, uint64_t offset)
{
    static char location_key[] = "location", offset_key[] = "offset";
    static char length_key[] = "length";
    struct ws_reference *ref = &payload->reference;
    char *const keys[3] = {location_key, offset_key, length_key};
    char *const values[3] = {location, ref->offset_text, ref->length_text};
    (void)snprintf(ref->offset_text, sizeof(ref->offset_text), "%" PRIu64, offset);
    (void)snprintf(ref->length_text, sizeof(ref->length_text), "%zu",
                   payload->size_bytes);
    for (size_t i = 0; i < 3; i++) {
        ref->entries[i] =
            (Onnx__StringStringEntryProto)ONNX__STRING_STRING_ENTRY_PROTO__INIT;
        ref->entries[i].key = keys[i];
        ref->entries[i].value = values[i];
        ref->list[i] = &ref->entries[i];
    }
    Onnx__TensorProto *tensor = payload->tensor;
    tensor->n_external_data = 3;
    tensor->external_data = ref->list;
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

static void detach(Onnx__TensorProto *tensor)
{
    tensor->n_external_data = 0;
    tensor->external_data = NULL;
    tensor->has_data_location = 0;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    tensor->has_raw_data = 0;
    tensor->raw_data = (ProtobufCBinaryData){0};
}

static void place(struct ws_model *model, size_t index, enum ws_weights_mode mode,
                  const struct ws_weights_file *file)
{
    struct ws_payload *payload = &model->payloads[index];
    detach(payload->tensor);
    switch (mode) {
    case WS_WEIGHTS_OMIT:
        return;
    case WS_WEIGHTS_FILE:
        refer(payload, file->name, file->offsets[index]);
        return;
    case WS_WEIGHTS_REFERENCE:
        if (payload->file != WS_PAYLOAD_OWNED) {
            refer(payload, model->externals.files[payload->file].location,
                  payload->offset);
            return;
        }
        break; /* there is no file to refer to */
    case WS_WEIGHTS_INLINE:
        break;
    }
    payload->tensor->has_raw_data = 1;
    payload->tensor->raw_data = (ProtobufCBinaryData){
        .len = payload->size_bytes, .data = (uint8_t *)(uintptr_t)payload->data};
}

void ws_payloads_place(struct ws_model *model, enum ws_weights_mode mode,
                       const struct ws_weights_file *file)
{
    for (size_t i = 0; i < model->payload_count; i++)
        place(model, i, mode, file);
}

/* ---- taking payloads out of the tree ---- */

static int add_payload(struct ws_model *model, const struct ws_payload *payload,
                       struct ws_error *err)
{
    if (model->payload_count == model->payload_capacity) {
        size_t capacity = model->payload_capacity == 0 ? 64 : 2 * model->payload_capacity;
        struct ws_payload *payloads =
            realloc(model->payloads, capacity * sizeof(*payloads));
        if (payloads == NULL)
            return ws_error_nomem(err);
        model->payloads = payloads;
        model->payload_capacity = capacity;
    }
    model->payloads[model->payload_count++] = *payload;
    return 0;
}

/* Offset or length of external data; `absent` where the file does not say. */
static int external_number(uint64_t *out, const Onnx__TensorProto *tensor,
                           const char *key, uint64_t absent, struct ws_error *err)
{
    const char *text = ws_tensorproto_external(tensor, key);
    if (text == NULL) {
        *out = absent;
        return 0;
    }
    int64_t value = 0;
    int rc = ws_parse_i64(&value, text, 0, INT64_MAX, key, err);
    if (rc == 0)
        *out = (uint64_t)value;
    return rc;
}

/* Finds the bytes of an external tensor and checks them against its shape. */
static int locate(struct ws_payload *out, struct ws_model *model,
                  Onnx__TensorProto *tensor, struct ws_error *err)
{
    const char *location = ws_tensorproto_external(tensor, "location");
    if (location == NULL)
        return ws_error_set(err, WS_E_FORMAT, "external data without a location");
    uint64_t expected = 0, offset = 0, length = 0;
    const struct ws_external_file *file = NULL;
    int rc = ws_tensorproto_size(&expected, tensor, err);
    if (rc == 0)
        rc = external_number(&offset, tensor, "offset", 0, err);
    if (rc == 0)
        rc = external_number(&length, tensor, "length", expected, err);
    if (rc == 0)
        rc = ws_externals_open(&file, &model->externals, location, err);
    if (rc != 0)
        return rc;
    if (length != expected)
        return ws_error_set(err, WS_E_FORMAT,
                            "%" PRIu64 " bytes where its shape needs %" PRIu64, length,
                            expected);
    if (offset > file->map.size || length > file->map.size - offset)
        return ws_error_set(err, WS_E_FORMAT,
                            "bytes %" PRIu64 " to %" PRIu64 " of \"%s\", which has %zu",
                            offset, offset + length, location, file->map.size);
    *out = (struct ws_payload){
        .tensor = tensor,
        .data = length > 0 ? file->map.data + offset : NULL,
        .size_bytes = length,
        .file = (size_t)(file - model->externals.files),
        .offset = offset,
    };
    return 0;
}

/* protobuf-c allocated the entries one by one; the payload's own stand in for them. */
static void free_external(Onnx__TensorProto *tensor)
{
    for (size_t i = 0; i < tensor->n_external_data; i++)
        protobuf_c_message_free_unpacked(&tensor->external_data[i]->base, NULL);
    free(tensor->external_data);
    tensor->n_external_data = 0;
    tensor->external_data = NULL;
}

static int take_external(struct ws_model *model, Onnx__TensorProto *tensor,
                         struct ws_error *err)
{
    struct ws_payload payload = {0};
    int rc = locate(&payload, model, tensor, err);
    if (rc == 0 && payload.size_bytes > WS_PAYLOAD_INLINE_MAX) {
        rc = add_payload(model, &payload, err);
        if (rc == 0) {
            free_external(tensor);
            free(tensor->raw_data.data);
            detach(tensor);
        }
        return rc;
    }
    if (rc != 0)
        return rc;
    /* Small ones move into the skeleton: shapes and axes are read from there, and a model
     * digests alike wherever it keeps them. */
    uint8_t *copy = malloc(payload.size_bytes > 0 ? payload.size_bytes : 1);
    if (copy == NULL)
        return ws_error_nomem(err);
    if (payload.size_bytes > 0)
        memcpy(copy, payload.data, payload.size_bytes);
    free_external(tensor);
    free(tensor->raw_data.data);
    detach(tensor);
    tensor->has_raw_data = 1;
    tensor->raw_data = (ProtobufCBinaryData){.len = payload.size_bytes, .data = copy};
    return 0;
}

static int take_inline(struct ws_model *model, Onnx__TensorProto *tensor,
                       struct ws_error *err)
{
    int rc = ws_tensorproto_normalise(tensor, err);
    if (rc != 0 || !tensor->has_raw_data || tensor->raw_data.len <= WS_PAYLOAD_INLINE_MAX)
        return rc;
    struct ws_payload payload = {
        .tensor = tensor,
        .data = tensor->raw_data.data,
        .size_bytes = tensor->raw_data.len,
        .owned = tensor->raw_data.data,
        .file = WS_PAYLOAD_OWNED,
    };
    rc = add_payload(model, &payload, err);
    if (rc == 0)
        detach(tensor);
    return rc;
}

static int take(struct ws_model *model, Onnx__TensorProto *tensor, struct ws_error *err)
{
    int external = tensor->has_data_location &&
                   tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    int rc =
        external ? take_external(model, tensor, err) : take_inline(model, tensor, err);
    if (rc != 0)
        ws_error_context(err, "tensor \"%s\"", ws_proto_text(tensor->name));
    return rc;
}

/* ---- every tensor of the tree ---- */

static int visit(struct ws_model *model, ProtobufCMessage *message, struct ws_error *err);

/* A field's messages, whatever its label, as a list. */
static size_t field_messages(ProtobufCMessage ***out, ProtobufCMessage *message,
                             const ProtobufCFieldDescriptor *field)
{
    char *base = (char *)message;
    char *at = base + field->offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = 0;
        memcpy(&count, base + field->quantifier_offset, sizeof(count));
        memcpy(out, at, sizeof(*out));
        return count;
    }
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t which = 0;
        memcpy(&which, base + field->quantifier_offset, sizeof(which));
        if (which != field->id)
            return 0;
    }
    ProtobufCMessage *only = NULL;
    memcpy(&only, at, sizeof(only));
    *out = (ProtobufCMessage **)(void *)at;
    return only != NULL;
}

/* The walk before unpacking has bounded the depth. */
static int visit(struct ws_model *model, ProtobufCMessage *message, struct ws_error *err)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    if (type == &onnx__tensor_proto__descriptor)
        return take(model, (Onnx__TensorProto *)message, err);
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (type->fields[i].type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        ProtobufCMessage **list = NULL;
        size_t count = field_messages(&list, message, &type->fields[i]);
        for (size_t k = 0; k < count; k++) {
            int rc = visit(model, list[k], err);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int by_tensor_address(const void *a, const void *b, void *user)
{
    const struct ws_model *model = user;
    uintptr_t first = (uintptr_t)model->payloads[*(const size_t *)a].tensor;
    uintptr_t second = (uintptr_t)model->payloads[*(const size_t *)b].tensor;
    return (first > second) - (first < second);
}

int ws_payloads_collect(struct ws_model *model, struct ws_error *err)
{
    int rc = visit(model, &model->proto->base, err);
    if (rc != 0 || model->payload_count == 0)
        return rc;
    model->by_tensor = calloc(model->payload_count, sizeof(*model->by_tensor));
    if (model->by_tensor == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < model->payload_count; i++)
        model->by_tensor[i] = i;
    qsort_r(model->by_tensor, model->payload_count, sizeof(*model->by_tensor),
            by_tensor_address, model);
    ws_payloads_place(model, WS_WEIGHTS_REFERENCE, NULL);
    return 0;
}

void ws_payloads_fini(struct ws_model *model)
{
    for (size_t i = 0; i < model->payload_count; i++) {
        detach(model->payloads[i].tensor);
        free(model->payloads[i].owned);
    }
    free(model->payloads);
    free(model->by_tensor);
    model->payloads = NULL;
    model->by_tensor = NULL;
    model->payload_count = 0;
}

const struct ws_payload *ws_payload_find(const struct ws_model *model,
                                         const Onnx__TensorProto *tensor)
{
    size_t low = 0, high = model->payload_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ws_payload *payload = &model->payloads[model->by_tensor[middle]];
        if (payload->tensor == tensor)
            return payload;
        if ((uintptr_t)payload->tensor < (uintptr_t)tensor)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void ws_payload_release(const struct ws_model *model, const uint8_t *data, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)data, end = start + size;
    for (size_t i = model->is_mapped ? 0 : 1; i < model->externals.count; i++) {
        const struct ws_map *map = &model->externals.files[i].map;
        uintptr_t map_start = (uintptr_t)map->data;
        if (start < map_start || end > map_start + map->size)
            continue;
        /* Whole pages inside; the rest is a page or two. */
        start = (start + page - 1) & ~(page - 1);
        end &= ~(page - 1);
        if (start < end)
            (void)madvise((void *)start, end - start, MADV_DONTNEED);
        return;
    }
}

void ws_model_release_weights(const struct ws_model *model)
{
    for (size_t i = 0; i < model->payload_count; i++)
        ws_payload_release(model, model->payloads[i].data, model->payloads[i].size_bytes);
}
