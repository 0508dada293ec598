/*
 * Content encodings: lossless compression of what crosses, named as HTTP names them. zstd
 * and lz4 (frame format) are for our own nodes; gzip and deflate (zlib's format, as HTTP
 * means it) are what foreign servers and clients know. Pure functions over bytes.
 */
#ifndef WS_WIRE_ENCODING_H
#define WS_WIRE_ENCODING_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

enum ws_encoding {
    WS_ENCODING_IDENTITY,
    WS_ENCODING_ZSTD,
    WS_ENCODING_LZ4,
    WS_ENCODING_GZIP,
    WS_ENCODING_DEFLATE,
    WS_ENCODING_COUNT
};

/* "identity", "zstd", "lz4", "gzip", "deflate"; "none" is understood too. */
const char *ws_encoding_name(enum ws_encoding encoding);
int ws_encoding_find(enum ws_encoding *out, const char *name, struct ws_error *err);

/* Appends the encoded form of `bytes`, at the library's fastest sensible level. */
int ws_encoding_encode(struct ws_buf *out, enum ws_encoding encoding, const void *bytes,
                       size_t size, struct ws_error *err);

/* Appends the decoded form, at most size_max bytes of it, and beyond the first
 * WS_DECODE_FREE_MAX bytes at most WS_DECODE_RATIO_MAX for each that was sent:
 * WS_E_LIMIT beyond, WS_E_FORMAT for bytes that are not whole and valid. A lying size in
 * a header costs no memory. */
int ws_encoding_decode(struct ws_buf *out, enum ws_encoding encoding, const void *bytes,
                       size_t size, size_t size_max, struct ws_error *err);

#endif
