/* Protobuf by hand, for files that no writer would write. */
#ifndef WS_TESTS_ONNX_RAW_PROTO_H
#define WS_TESTS_ONNX_RAW_PROTO_H

#include <stdint.h>

#include "base/buf.h"
#include "check.h"

static inline void put_varint(struct ws_buf *buf, uint64_t value)
{
    do {
        char byte = (char)(unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        assert_int_equal(ws_buf_add(buf, &byte, 1, NULL), 0);
        value >>= 7;
    } while (value != 0);
}

/* A number as field `number`. */
static inline void put_number(struct ws_buf *buf, unsigned number, uint64_t value)
{
    put_varint(buf, number << 3);
    put_varint(buf, value);
}

/* Bytes, a text or a message as field `number`; bytes NULL: they come later. */
static inline void put_bytes(struct ws_buf *buf, unsigned number, const void *bytes,
                             size_t size)
{
    put_varint(buf, number << 3 | 2);
    put_varint(buf, size);
    if (bytes != NULL)
        assert_int_equal(ws_buf_add(buf, bytes, size, NULL), 0);
}

#endif
