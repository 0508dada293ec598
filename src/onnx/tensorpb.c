#include "onnx/tensorpb.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/file.h"
#include "onnx/tensorproto.h"

/* ---- One tensor ---- */

/* Where a TensorProto without raw data keeps its elements, and how wide each entry is
 * there and in a tensor. */
struct payload {
    const void *entries;
    size_t count;
    size_t entry_bytes;
    size_t unit_bytes;
};

static struct payload typed_payload(const Onnx__TensorProto *proto)
{
    enum ws_dtype dtype = (enum ws_dtype)proto->data_type;
    size_t bits = ws_dtype_bits(dtype);
    size_t unit = bits < 8 ? 1 : bits / 8; /* an entry holds a pair of 4-bit elements */
    switch (dtype) {
    case WS_DTYPE_FP32:
    case WS_DTYPE_COMPLEX64: /* real, imaginary, real, ... */
        return (struct payload){proto->float_data, proto->n_float_data, 4, 4};
    case WS_DTYPE_FP64:
    case WS_DTYPE_COMPLEX128:
        return (struct payload){proto->double_data, proto->n_double_data, 8, 8};
    case WS_DTYPE_INT64:
        return (struct payload){proto->int64_data, proto->n_int64_data, 8, 8};
    case WS_DTYPE_UINT32:
    case WS_DTYPE_UINT64:
        return (struct payload){proto->uint64_data, proto->n_uint64_data, 8, unit};
    default:
        return (struct payload){proto->int32_data, proto->n_int32_data, 4, unit};
    }
}

static struct payload find_payload(const Onnx__TensorProto *proto)
{
    if (proto->has_raw_data)
        return (struct payload){proto->raw_data.data, proto->raw_data.len, 1, 1};
    return typed_payload(proto);
}

/* Entries are little-endian, so the low bytes of each come first. */
static void copy_payload(uint8_t *out, const struct payload *payload)
{
    const uint8_t *from = payload->entries;
    if (payload->count == 0)
        return;
    if (payload->entry_bytes == payload->unit_bytes) {
        memcpy(out, from, payload->count * payload->unit_bytes);
        return;
    }
    for (size_t i = 0; i < payload->count; i++)
        memcpy(out + i * payload->unit_bytes, from + i * payload->entry_bytes,
               payload->unit_bytes);
}

static int number_tensor(struct ws_tensor *out, const Onnx__TensorProto *proto,
                         struct ws_error *err)
{
    enum ws_dtype dtype = (enum ws_dtype)proto->data_type;
    struct payload payload = find_payload(proto);
    uint64_t size = 0;
    int rc = ws_shape_bytes(&size, dtype, proto->dims, proto->n_dims, err);
    if (rc != 0)
        return rc;
    /* Compared before anything is allocated: a shape alone must not cost memory. */
    if (payload.count * payload.unit_bytes != size)
        return ws_error_set(err, WS_E_MISMATCH,
                            "shape wants %" PRIu64 " bytes of %s, the data has %zu", size,
                            ws_dtype_name(dtype), payload.count * payload.unit_bytes);
    rc = ws_tensor_init(out, dtype, proto->dims, proto->n_dims, err);
    if (rc == 0)
        copy_payload(out->data, &payload);
    return rc;
}

static int string_tensor(struct ws_tensor *out, const Onnx__TensorProto *proto,
                         struct ws_error *err)
{
    struct ws_tensor tensor = {0};
    uint64_t count = 0;
    int rc = ws_shape_count(&count, proto->dims, proto->n_dims, err);
    if (rc != 0)
        return rc;
    if (count != proto->n_string_data || proto->has_raw_data)
        return ws_error_set(err, WS_E_MISMATCH,
                            "shape wants %" PRIu64 " strings, the data has %zu", count,
                            proto->n_string_data);
    rc = ws_tensor_init(&tensor, WS_DTYPE_STRING, proto->dims, proto->n_dims, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const ProtobufCBinaryData *text = &proto->string_data[i];
        if (text->len > 0 && memchr(text->data, 0, text->len) != NULL)
            rc = ws_error_set(err, WS_E_UNSUPPORTED, "a string with a NUL inside");
        else
            ((char **)tensor.data)[i] =
                strndup(text->len > 0 ? (const char *)text->data : "", text->len);
        if (rc == 0 && ((char **)tensor.data)[i] == NULL)
            rc = ws_error_nomem(err);
    }
    if (rc != 0)
        ws_tensor_fini(&tensor);
    else
        *out = tensor;
    return rc;
}

int ws_tensorpb_tensor(struct ws_tensor *out, const Onnx__TensorProto *proto,
                       struct ws_error *err)
{
    if (proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL ||
        proto->segment != NULL)
        return ws_error_set(err, WS_E_UNSUPPORTED, "it keeps its data elsewhere");
    return proto->data_type == WS_DTYPE_STRING ? string_tensor(out, proto, err)
                                               : number_tensor(out, proto, err);
}

int ws_tensorpb_decode(struct ws_tensor *out, const void *bytes, size_t size,
                       struct ws_error *err)
{
    Onnx__TensorProto *proto = onnx__tensor_proto__unpack(NULL, size, bytes);
    if (proto == NULL)
        return ws_error_set(err, WS_E_FORMAT, "%zu bytes that are no TensorProto", size);
    int rc = ws_tensorpb_tensor(out, proto, err);
    if (rc != 0 && ws_proto_text(proto->name)[0] != '\0')
        ws_error_context(err, "tensor \"%s\"", proto->name);
    onnx__tensor_proto__free_unpacked(proto, NULL);
    return rc;
}

/* Views of a tensor's strings, for protobuf-c; free() the array. */
static int string_views(ProtobufCBinaryData **out, size_t *out_count,
                        const struct ws_tensor *tensor, struct ws_error *err)
{
    char *const *strings = tensor->data;
    size_t count = tensor->size_bytes / sizeof(char *);
    ProtobufCBinaryData *views = calloc(count + 1, sizeof(*views));
    if (views == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        views[i].data = (uint8_t *)strings[i];
        views[i].len = strings[i] != NULL ? strlen(strings[i]) : 0;
    }
    *out = views;
    *out_count = count;
    return 0;
}

int ws_tensorpb_encode(struct ws_buf *out, const struct ws_tensor *tensor,
                       const char *name, struct ws_error *err)
{
    struct ws_tensor view = *tensor; /* protobuf-c's pointers are not const */
    Onnx__TensorProto proto = ONNX__TENSOR_PROTO__INIT;
    proto.n_dims = view.rank;
    proto.dims = view.dims;
    proto.has_data_type = 1;
    proto.data_type = (int32_t)view.dtype;
    proto.name = (char *)(uintptr_t)name;
    int rc = 0;
    if (view.dtype == WS_DTYPE_STRING) {
        rc = string_views(&proto.string_data, &proto.n_string_data, tensor, err);
    } else {
        proto.has_raw_data = 1;
        proto.raw_data.data = view.data;
        proto.raw_data.len = view.size_bytes;
    }
    size_t size = rc == 0 ? onnx__tensor_proto__get_packed_size(&proto) : 0;
    if (rc == 0)
        rc = ws_buf_reserve(out, size, err);
    if (rc == 0)
        out->size += onnx__tensor_proto__pack(&proto, (uint8_t *)out->data + out->size);
    free(proto.string_data);
    return rc;
}

/* ---- Sequences and optionals: the messages of onnx-data.proto ---- */

/* Field numbers shared by SequenceProto and OptionalProto. Debian ships no schema for
 * them, and a dozen lines read what is used of it. */
enum {
    FIELD_TENSOR = 3,
    FIELD_SPARSE = 4,
    FIELD_SEQUENCE = 5,
    FIELD_MAP = 6,
    FIELD_OPTIONAL = 7
};
enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

/* The next field: a varint's value, or bytes. */
static int next_field(uint64_t *out_number, struct ws_cursor *out_bytes,
                      struct ws_cursor *at, struct ws_error *err)
{
    uint64_t tag = 0, value = 0;
    const uint8_t *bytes = NULL;
    int rc = ws_cursor_varint(&tag, at, err);
    if (rc == 0)
        rc = ws_cursor_varint(&value, at, err);
    if (rc != 0)
        return rc;
    *out_number = tag >> 3;
    *out_bytes = (struct ws_cursor){0};
    if ((tag & 7) == WIRE_VARINT)
        return 0;
    if ((tag & 7) != WIRE_BYTES)
        return ws_error_set(err, WS_E_FORMAT, "field of wire type %u",
                            (unsigned)(tag & 7));
    if (value > ws_cursor_left(at))
        return ws_error_set(err, WS_E_FORMAT, "field %" PRIu64 " is cut short", tag >> 3);
    rc = ws_cursor_bytes(&bytes, (size_t)value, at, err);
    *out_bytes = ws_cursor_make(bytes, (size_t)value);
    return rc;
}

static int read_items(struct ws_datum *out, struct ws_cursor at, unsigned depth,
                      struct ws_error *err);

static int read_item(struct ws_datum *out, uint64_t field, struct ws_cursor bytes,
                     unsigned depth, struct ws_error *err)
{
    *out = (struct ws_datum){0};
    switch (field) {
    case FIELD_TENSOR:
        return ws_tensorpb_decode(&out->tensor, bytes.at, ws_cursor_left(&bytes), err);
    case FIELD_SEQUENCE:
        out->kind = WS_DATUM_SEQUENCE;
        return read_items(out, bytes, depth + 1, err);
    case FIELD_OPTIONAL:
        out->kind = WS_DATUM_OPTIONAL;
        return read_items(out, bytes, depth + 1, err);
    default:
        return ws_error_set(err, WS_E_UNSUPPORTED, "%s inside a sequence or optional",
                            field == FIELD_MAP ? "a map" : "a sparse tensor");
    }
}

/* Reads all items of a sequence or the one of an optional; *out holds its kind. */
static int read_items(struct ws_datum *out, struct ws_cursor at, unsigned depth,
                      struct ws_error *err)
{
    if (depth > WS_GRAPH_DEPTH_MAX)
        return ws_error_set(err, WS_E_LIMIT, "sequences nested deeper than %d",
                            WS_GRAPH_DEPTH_MAX);
    while (ws_cursor_left(&at) > 0) {
        uint64_t field = 0;
        struct ws_cursor bytes;
        struct ws_datum item = {0};
        int rc = next_field(&field, &bytes, &at, err);
        if (rc == 0 && (field < FIELD_TENSOR || field > FIELD_OPTIONAL))
            continue; /* name and elem_type say nothing that the type does not */
        if (rc == 0)
            rc = read_item(&item, field, bytes, depth, err);
        if (rc == 0) {
            enum ws_dtype dtype = item.tensor.dtype;
            rc = ws_datum_add(out, &item, err);
            out->tensor.dtype = dtype;
        }
        if (rc != 0) {
            ws_datum_fini(&item);
            return rc;
        }
    }
    return 0;
}

/* The element type of the tensors at the bottom of a type. */
static enum ws_dtype element_dtype(const Onnx__TypeProto *type)
{
    for (unsigned depth = 0; type != NULL && depth <= WS_GRAPH_DEPTH_MAX; depth++) {
        if (type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
            return (enum ws_dtype)type->tensor_type->elem_type;
        if (type->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE)
            type = type->sequence_type->elem_type;
        else if (type->value_case == ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE)
            type = type->optional_type->elem_type;
        else
            break;
    }
    return WS_DTYPE_UNDEFINED;
}

int ws_datumpb_decode(struct ws_datum *out, const void *bytes, size_t size,
                      const Onnx__TypeProto *type, struct ws_error *err)
{
    struct ws_datum datum = {0};
    int rc = 0;
    if (type == NULL || type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
        rc = ws_tensorpb_decode(&datum.tensor, bytes, size, err);
    } else if (type->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE ||
               type->value_case == ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE) {
        datum.kind = type->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE
                         ? WS_DATUM_SEQUENCE
                         : WS_DATUM_OPTIONAL;
        rc = read_items(&datum, ws_cursor_make(bytes, size), 0, err);
        if (datum.tensor.dtype == WS_DTYPE_UNDEFINED)
            datum.tensor.dtype = element_dtype(type);
    } else {
        return ws_error_set(err, WS_E_UNSUPPORTED, "a map or sparse tensor");
    }
    if (rc != 0)
        ws_datum_fini(&datum);
    else
        *out = datum;
    return rc;
}

int ws_datumpb_load(struct ws_datum *out, const char *path, const Onnx__TypeProto *type,
                    struct ws_error *err)
{
    struct ws_map map = {0};
    int rc = ws_map_open(&map, path, WS_MODEL_PROTO_MAX, err);
    if (rc != 0)
        return rc;
    rc = ws_datumpb_decode(out, map.data, map.size, type, err);
    if (rc != 0)
        ws_error_context(err, "%s", path);
    ws_map_close(&map);
    return rc;
}

static int put_varint(struct ws_buf *out, uint64_t value, struct ws_error *err)
{
    uint8_t bytes[10];
    size_t used = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[used++] = (uint8_t)(value | 0x80);
    bytes[used++] = (uint8_t)value;
    return ws_buf_add(out, bytes, used, err);
}

static int put_field(struct ws_buf *out, unsigned field, const char *bytes, size_t size,
                     struct ws_error *err)
{
    int rc = put_varint(out, field << 3 | WIRE_BYTES, err);
    if (rc == 0)
        rc = put_varint(out, size, err);
    return rc != 0 ? rc : ws_buf_add(out, bytes, size, err);
}

static int put_sequence(struct ws_buf *out, const struct ws_datum *datum,
                        const char *name, struct ws_error *err)
{
    /* Field 1 is the name; field 2, elem_type, is 1 for tensors. */
    static const char elem_type[] = {2 << 3 | WIRE_VARINT, 1};
    int rc = name != NULL ? put_field(out, 1, name, strlen(name), err) : 0;
    if (rc == 0)
        rc = ws_buf_add(out, elem_type, sizeof(elem_type), err);
    for (size_t i = 0; rc == 0 && i < datum->item_count; i++) {
        struct ws_buf item;
        ws_buf_init(&item, 0);
        if (datum->items[i].kind != WS_DATUM_TENSOR)
            rc = ws_error_set(err, WS_E_UNSUPPORTED, "a sequence of other than tensors");
        if (rc == 0)
            rc = ws_tensorpb_encode(&item, &datum->items[i].tensor, NULL, err);
        if (rc == 0)
            rc = put_field(out, FIELD_TENSOR, item.data, item.size, err);
        ws_buf_fini(&item);
    }
    return rc;
}

int ws_datumpb_save(const char *path, const struct ws_datum *datum, const char *name,
                    struct ws_error *err)
{
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    int rc = 0;
    if (datum->kind == WS_DATUM_TENSOR)
        rc = ws_tensorpb_encode(&buf, &datum->tensor, name, err);
    else if (datum->kind == WS_DATUM_SEQUENCE)
        rc = put_sequence(&buf, datum, name, err);
    else
        rc = ws_error_set(err, WS_E_UNSUPPORTED, "an optional as a file");
    if (rc == 0)
        rc = ws_file_write(path, buf.data, buf.size, err);
    else
        ws_error_context(err, "%s", path);
    ws_buf_fini(&buf);
    return rc;
}
