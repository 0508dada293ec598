#include "onnx/skeleton.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "core/tensor.h"
#include "onnx.pb-c.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* A length that is not known yet is written as five bytes, whatever its value: protobuf
 * allows a varint to be longer than it needs to be. */
enum { PADDED_LENGTH = 5 };

/* Field numbers of TensorProto and StringStringEntryProto. */
enum {
    TENSOR_DATA_TYPE = 2,
    TENSOR_FLOAT_DATA = 4,
    TENSOR_INT32_DATA = 5,
    TENSOR_STRING_DATA = 6,
    TENSOR_INT64_DATA = 7,
    TENSOR_RAW_DATA = 9,
    TENSOR_DOUBLE_DATA = 10,
    TENSOR_UINT64_DATA = 11,
    TENSOR_EXTERNAL_DATA = 13,
    TENSOR_DATA_LOCATION = 14,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
};

struct walk {
    struct ws_buf *out;
    const uint8_t *base; /* of the file, for offsets */
    const char *location;
    size_t message_count;
    struct ws_error *err;
};

struct field {
    uint32_t number;
    enum wire_type wire;
    const uint8_t *start; /* of the key */
    const uint8_t *bytes; /* of the content; of WIRE_BYTES without the length */
    size_t size;
    uint64_t varint; /* of WIRE_VARINT */
};

static int field_content(struct field *field, struct ws_cursor *in, struct ws_error *err)
{
    uint64_t size = 0;
    switch (field->wire) {
    case WIRE_VARINT:
        field->bytes = in->at;
        return ws_cursor_varint(&field->varint, in, err);
    case WIRE_FIXED64:
        field->size = 8;
        break;
    case WIRE_FIXED32:
        field->size = 4;
        break;
    case WIRE_BYTES: {
        int rc = ws_cursor_varint(&size, in, err);
        if (rc != 0)
            return rc;
        if (size > ws_cursor_left(in))
            return ws_error_set(err, WS_E_FORMAT,
                                "field %u claims %" PRIu64 " bytes, %zu are left",
                                field->number, size, ws_cursor_left(in));
        field->size = (size_t)size;
        break;
    }
    default:
        return ws_error_set(err, WS_E_FORMAT, "field %u has wire type %d", field->number,
                            (int)field->wire);
    }
    return ws_cursor_bytes(&field->bytes, field->size, in, err);
}

static int field_read(struct field *out, struct ws_cursor *in, struct ws_error *err)
{
    struct field field = {.start = in->at};
    uint64_t key = 0;
    int rc = ws_cursor_varint(&key, in, err);
    if (rc != 0)
        return rc;
    if (key >> 3 == 0 || key >> 3 > UINT32_C(0x1fffffff))
        return ws_error_set(err, WS_E_FORMAT, "field number %" PRIu64, key >> 3);
    field.number = (uint32_t)(key >> 3);
    field.wire = (enum wire_type)(key & 7);
    rc = field_content(&field, in, err);
    if (rc == 0)
        *out = field;
    return rc;
}

/* ---- payloads ---- */

static int is_payload(uint32_t number)
{
    return number == TENSOR_FLOAT_DATA || number == TENSOR_INT32_DATA ||
           number == TENSOR_STRING_DATA || number == TENSOR_INT64_DATA ||
           number == TENSOR_RAW_DATA || number == TENSOR_DOUBLE_DATA ||
           number == TENSOR_UINT64_DATA;
}

/* Whether the content of this field is, byte for byte, what raw_data would hold. Packed
 * floats and doubles are; integers are varints and are not. */
static int is_plain(const struct field *field, uint64_t dtype)
{
    if (field->wire != WIRE_BYTES)
        return 0;
    switch (field->number) {
    case TENSOR_RAW_DATA:
        return 1;
    case TENSOR_FLOAT_DATA:
        return dtype == WS_DTYPE_FP32 || dtype == WS_DTYPE_COMPLEX64;
    case TENSOR_DOUBLE_DATA:
        return dtype == WS_DTYPE_FP64 || dtype == WS_DTYPE_COMPLEX128;
    default:
        return 0;
    }
}

/*
 * Finds the one large plain payload of a tensor. A tensor in pieces, or one that is
 * external already, keeps its fields; out->size is then 0.
 */
static int find_payload(struct field *out, struct ws_cursor in, struct ws_error *err)
{
    struct field payload = {0};
    size_t payload_count = 0;
    uint64_t dtype = 0;
    int external = 0;
    while (ws_cursor_left(&in) > 0) {
        struct field field;
        int rc = field_read(&field, &in, err);
        if (rc != 0)
            return rc;
        if (is_payload(field.number)) {
            payload = field;
            payload_count++;
        } else if (field.number == TENSOR_DATA_TYPE) {
            dtype = field.varint;
        } else if (field.number == TENSOR_EXTERNAL_DATA ||
                   (field.number == TENSOR_DATA_LOCATION && field.varint != 0)) {
            external = 1;
        }
    }
    *out = (struct field){0};
    int known = dtype < WS_DTYPE_COUNT && ws_dtype_bits((enum ws_dtype)dtype) > 0;
    if (payload_count == 1 && !external && known && is_plain(&payload, dtype) &&
        payload.size > WS_PAYLOAD_INLINE_MAX)
        *out = payload;
    return 0;
}

/* ---- writing ---- */

static void patch_length(struct walk *walk, size_t at)
{
    size_t length = walk->out->size - at - PADDED_LENGTH;
    char *to = walk->out->data + at;
    for (int i = 0; i < PADDED_LENGTH; i++) {
        unsigned more = i + 1 < PADDED_LENGTH ? 0x80u : 0u;
        to[i] = (char)(unsigned char)(((length >> (7 * i)) & 0x7f) | more);
    }
}

/* The key of a length-delimited field and room for its length; *out_at is where. */
static int open_field(size_t *out_at, struct walk *walk, uint32_t number)
{
    static const char room[PADDED_LENGTH] = {0};
    uint64_t key = (uint64_t)number << 3 | WIRE_BYTES;
    char bytes[10];
    size_t size = 0;
    do {
        bytes[size++] = (char)(unsigned char)((key & 0x7f) | (key > 0x7f ? 0x80 : 0));
        key >>= 7;
    } while (key != 0);
    int rc = ws_buf_add(walk->out, bytes, size, walk->err);
    if (rc != 0)
        return rc;
    *out_at = walk->out->size;
    return ws_buf_add(walk->out, room, sizeof(room), walk->err);
}

static int put_text(struct walk *walk, uint32_t number, const char *text)
{
    size_t at = 0;
    int rc = open_field(&at, walk, number);
    if (rc == 0)
        rc = ws_buf_add_text(walk->out, text, walk->err);
    if (rc == 0)
        patch_length(walk, at);
    return rc;
}

static int put_entry(struct walk *walk, const char *key, const char *value)
{
    size_t at = 0;
    int rc = open_field(&at, walk, TENSOR_EXTERNAL_DATA);
    if (rc == 0)
        rc = put_text(walk, ENTRY_KEY, key);
    if (rc == 0)
        rc = put_text(walk, ENTRY_VALUE, value);
    if (rc == 0)
        patch_length(walk, at);
    return rc;
}

/* What stands in for a payload: the place where it lies. */
static int put_reference(struct walk *walk, const struct field *payload)
{
    static const char external[] = {TENSOR_DATA_LOCATION << 3 | WIRE_VARINT,
                                    ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL};
    char offset[24], length[24];
    (void)snprintf(offset, sizeof(offset), "%zu", (size_t)(payload->bytes - walk->base));
    (void)snprintf(length, sizeof(length), "%zu", payload->size);
    int rc = put_entry(walk, "location", walk->location);
    if (rc == 0)
        rc = put_entry(walk, "offset", offset);
    if (rc == 0)
        rc = put_entry(walk, "length", length);
    if (rc == 0)
        rc = ws_buf_add(walk->out, external, sizeof(external), walk->err);
    return rc;
}

/* ---- the walk ---- */

static int walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type,
                        struct ws_cursor in, unsigned depth);

static int walk_submessage(struct walk *walk, const ProtobufCFieldDescriptor *known,
                           const struct field *field, unsigned depth)
{
    size_t at = 0;
    int rc = open_field(&at, walk, field->number);
    if (rc == 0)
        rc = walk_message(walk, known->descriptor,
                          ws_cursor_make(field->bytes, field->size), depth + 1);
    if (rc == 0)
        patch_length(walk, at);
    return rc;
}

/* protobuf merges a singular message that comes twice. No writer does that, and a tensor
 * merged out of two could be neither checked nor referred to. */
static int note_singular(uint64_t *seen, const ProtobufCMessageDescriptor *type,
                         const ProtobufCFieldDescriptor *known, struct ws_error *err)
{
    uint64_t bit = UINT64_C(1) << ((size_t)(known - type->fields) % 64);
    if (known->label == PROTOBUF_C_LABEL_REPEATED)
        return 0;
    if (*seen & bit)
        return ws_error_set(err, WS_E_FORMAT, "%s.%s is there twice", type->short_name,
                            known->name);
    *seen |= bit;
    return 0;
}

static int walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type,
                        struct ws_cursor in, unsigned depth)
{
    if (depth > WS_PROTO_DEPTH_MAX)
        return ws_error_set(walk->err, WS_E_LIMIT, "messages nest deeper than %d",
                            WS_PROTO_DEPTH_MAX);
    if (++walk->message_count > WS_PROTO_MSGS_MAX)
        return ws_error_set(walk->err, WS_E_LIMIT, "more than %d messages",
                            WS_PROTO_MSGS_MAX);
    struct field payload = {0};
    uint64_t seen = 0;
    int rc = 0;
    if (type == &onnx__tensor_proto__descriptor)
        rc = find_payload(&payload, in, walk->err);
    while (rc == 0 && ws_cursor_left(&in) > 0) {
        struct field field;
        rc = field_read(&field, &in, walk->err);
        if (rc != 0)
            break;
        if (payload.size > 0 && field.start == payload.start)
            continue;
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(type, field.number);
        if (known != NULL && known->type == PROTOBUF_C_TYPE_MESSAGE &&
            field.wire == WIRE_BYTES) {
            rc = note_singular(&seen, type, known, walk->err);
            if (rc == 0)
                rc = walk_submessage(walk, known, &field, depth);
        } else {
            rc = ws_buf_add(walk->out, field.start, (size_t)(in.at - field.start),
                            walk->err);
        }
    }
    if (rc == 0 && payload.size > 0)
        rc = put_reference(walk, &payload);
    return rc;
}

int ws_skeleton_build(struct ws_buf *out, const uint8_t *bytes, size_t size,
                      const char *location, struct ws_error *err)
{
    struct walk walk = {.out = out, .base = bytes, .location = location, .err = err};
    return walk_message(&walk, &onnx__model_proto__descriptor,
                        ws_cursor_make(bytes, size), 0);
}
