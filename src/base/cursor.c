#include "base/cursor.h"

static int fixed(uint64_t *out, size_t size, struct ws_cursor *cursor,
                 struct ws_error *err)
{
    const uint8_t *bytes = NULL;
    int rc = ws_cursor_bytes(&bytes, size, cursor, err);
    if (rc != 0)
        return rc;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    *out = value;
    return 0;
}

int ws_cursor_bytes(const uint8_t **out, size_t size, struct ws_cursor *cursor,
                    struct ws_error *err)
{
    if (size > ws_cursor_left(cursor))
        return ws_error_set(err, WS_E_FORMAT, "%zu bytes wanted, %zu left", size,
                            ws_cursor_left(cursor));
    *out = cursor->at;
    cursor->at += size;
    return 0;
}

int ws_cursor_u8(uint8_t *out, struct ws_cursor *cursor, struct ws_error *err)
{
    uint64_t value = 0;
    int rc = fixed(&value, 1, cursor, err);
    if (rc == 0)
        *out = (uint8_t)value;
    return rc;
}

int ws_cursor_u16(uint16_t *out, struct ws_cursor *cursor, struct ws_error *err)
{
    uint64_t value = 0;
    int rc = fixed(&value, 2, cursor, err);
    if (rc == 0)
        *out = (uint16_t)value;
    return rc;
}

int ws_cursor_u32(uint32_t *out, struct ws_cursor *cursor, struct ws_error *err)
{
    uint64_t value = 0;
    int rc = fixed(&value, 4, cursor, err);
    if (rc == 0)
        *out = (uint32_t)value;
    return rc;
}

int ws_cursor_u64(uint64_t *out, struct ws_cursor *cursor, struct ws_error *err)
{
    return fixed(out, 8, cursor, err);
}

int ws_cursor_varint(uint64_t *out, struct ws_cursor *cursor, struct ws_error *err)
{
    uint64_t value = 0;
    const uint8_t *at = cursor->at;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (at == cursor->end)
            return ws_error_set(err, WS_E_FORMAT, "varint cut short");
        uint8_t byte = *at++;
        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if ((byte & 0x80) == 0) {
            cursor->at = at;
            *out = value;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_FORMAT, "varint longer than ten bytes");
}
