/*
 * A bounded cursor over untrusted bytes. It never reads past its end; a read that does
 * not fit returns WS_E_FORMAT and leaves the cursor where it was. Integers are
 * little-endian. The bytes are the caller's and must outlive the cursor.
 */
#ifndef WS_BASE_CURSOR_H
#define WS_BASE_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static inline struct ws_cursor ws_cursor_make(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    return (struct ws_cursor){.at = at, .end = at == NULL ? at : at + size};
}

static inline size_t ws_cursor_left(const struct ws_cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

int ws_cursor_u8(uint8_t *out, struct ws_cursor *cursor, struct ws_error *err);
int ws_cursor_u16(uint16_t *out, struct ws_cursor *cursor, struct ws_error *err);
int ws_cursor_u32(uint32_t *out, struct ws_cursor *cursor, struct ws_error *err);
int ws_cursor_u64(uint64_t *out, struct ws_cursor *cursor, struct ws_error *err);
/* A protobuf varint of at most ten bytes. */
int ws_cursor_varint(uint64_t *out, struct ws_cursor *cursor, struct ws_error *err);
/* Points `out` at the next `size` bytes and steps over them. */
int ws_cursor_bytes(const uint8_t **out, size_t size, struct ws_cursor *cursor,
                    struct ws_error *err);

#endif
