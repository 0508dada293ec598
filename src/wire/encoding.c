#include "wire/encoding.h"

#include <lz4frame.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* Output grows by this much at a time while decoding, whatever a header claims. */
enum {
    DECODE_STEP_BYTES = 1 << 18,
    ZSTD_LEVEL = 1,
    ZLIB_LEVEL = 1,
    GZIP_WINDOW = 15 + 16, /* how zlib is told the format */
    DEFLATE_WINDOW = 15
};

static const char *const names[] = {
    [WS_ENCODING_IDENTITY] = "identity", [WS_ENCODING_ZSTD] = "zstd",
    [WS_ENCODING_LZ4] = "lz4",           [WS_ENCODING_GZIP] = "gzip",
    [WS_ENCODING_DEFLATE] = "deflate",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == WS_ENCODING_COUNT,
               "every encoding has a name");

const char *ws_encoding_name(enum ws_encoding encoding)
{
    return names[encoding];
}

int ws_encoding_find(enum ws_encoding *out, const char *name, struct ws_error *err)
{
    if (strcmp(name, "none") == 0)
        name = "identity";
    for (int i = 0; i < WS_ENCODING_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum ws_encoding)i;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND,
                        "no encoding \"%s\" (none, zstd, lz4, gzip or deflate)", name);
}

static int encode_zstd(struct ws_buf *out, const void *bytes, size_t size,
                       struct ws_error *err)
{
    size_t bound = ZSTD_compressBound(size);
    int rc = ws_buf_reserve(out, bound, err);
    if (rc != 0)
        return rc;
    size_t put = ZSTD_compress(out->data + out->size, bound, bytes, size, ZSTD_LEVEL);
    if (ZSTD_isError(put))
        return ws_error_set(err, WS_E_RUNTIME, "zstd: %s", ZSTD_getErrorName(put));
    out->size += put;
    return 0;
}

static int encode_lz4(struct ws_buf *out, const void *bytes, size_t size,
                      struct ws_error *err)
{
    size_t bound = LZ4F_compressFrameBound(size, NULL);
    int rc = ws_buf_reserve(out, bound, err);
    if (rc != 0)
        return rc;
    size_t put = LZ4F_compressFrame(out->data + out->size, bound, bytes, size, NULL);
    if (LZ4F_isError(put))
        return ws_error_set(err, WS_E_RUNTIME, "lz4: %s", LZ4F_getErrorName(put));
    out->size += put;
    return 0;
}

static int encode_zlib(struct ws_buf *out, int window, const void *bytes, size_t size,
                       struct ws_error *err)
{
    z_stream z = {0};
    if (size > UINT32_MAX)
        return ws_error_set(err, WS_E_LIMIT, "zlib: %zu bytes, at most 4 GiB", size);
    if (deflateInit2(&z, ZLIB_LEVEL, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return ws_error_nomem(err);
    size_t bound = deflateBound(&z, size);
    int rc = ws_buf_reserve(out, bound, err);
    if (rc == 0) {
        z.next_in = (Bytef *)(uintptr_t)bytes;
        z.avail_in = (uInt)size;
        z.next_out = (Bytef *)out->data + out->size;
        z.avail_out = (uInt)bound;
        if (deflate(&z, Z_FINISH) == Z_STREAM_END)
            out->size += z.total_out;
        else
            rc = ws_error_set(err, WS_E_RUNTIME, "zlib: cannot compress");
    }
    deflateEnd(&z);
    return rc;
}

int ws_encoding_encode(struct ws_buf *out, enum ws_encoding encoding, const void *bytes,
                       size_t size, struct ws_error *err)
{
    int rc = 0;
    switch (encoding) {
    case WS_ENCODING_ZSTD:
        rc = encode_zstd(out, bytes, size, err);
        break;
    case WS_ENCODING_LZ4:
        rc = encode_lz4(out, bytes, size, err);
        break;
    case WS_ENCODING_GZIP:
        rc = encode_zlib(out, GZIP_WINDOW, bytes, size, err);
        break;
    case WS_ENCODING_DEFLATE:
        rc = encode_zlib(out, DEFLATE_WINDOW, bytes, size, err);
        break;
    default:
        return ws_buf_add(out, bytes, size, err);
    }
    if (rc == 0)
        out->data[out->size] = '\0';
    return rc;
}

/* Room for the next piece of output, within size_max of what is decoded in all. */
static int next_room(size_t *room, struct ws_buf *out, size_t start, size_t size_max,
                     struct ws_error *err)
{
    size_t done = out->size - start;
    if (done >= size_max)
        return ws_error_set(err, WS_E_LIMIT, "more than %zu bytes when decoded",
                            size_max);
    *room = size_max - done < DECODE_STEP_BYTES ? size_max - done : DECODE_STEP_BYTES;
    return ws_buf_reserve(out, *room, err);
}

/* The library also has decoders of what zstd was before its first release. Nobody sends
 * that, and they go on when memory is out. */
static int is_zstd_frame(const void *bytes, size_t size)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    return size >= sizeof(magic) && memcmp(bytes, magic, sizeof(magic)) == 0;
}

static int decode_zstd(struct ws_buf *out, const void *bytes, size_t size,
                       size_t size_max, struct ws_error *err)
{
    if (!is_zstd_frame(bytes, size))
        return ws_error_set(err, WS_E_FORMAT, "zstd: no frame at the beginning");
    ZSTD_DStream *stream = ZSTD_createDStream();
    if (stream == NULL)
        return ws_error_nomem(err);
    ZSTD_inBuffer in = {.src = bytes, .size = size};
    size_t start = out->size, left = 1, room = 0;
    int rc = 0;
    while (rc == 0 && left != 0) {
        rc = next_room(&room, out, start, size_max, err);
        if (rc != 0)
            break;
        ZSTD_outBuffer piece = {.dst = out->data + out->size, .size = room};
        left = ZSTD_decompressStream(stream, &piece, &in);
        if (ZSTD_isError(left))
            rc = ws_error_set(err, WS_E_FORMAT, "zstd: %s", ZSTD_getErrorName(left));
        else if (left != 0 && in.pos == in.size && piece.pos < piece.size)
            rc = ws_error_set(err, WS_E_FORMAT, "zstd: cut short");
        out->size += piece.pos;
    }
    if (rc == 0 && in.pos != in.size)
        rc = ws_error_set(err, WS_E_FORMAT, "zstd: %zu bytes behind the end",
                          in.size - in.pos);
    ZSTD_freeDStream(stream);
    return rc;
}

static int decode_lz4(struct ws_buf *out, const void *bytes, size_t size, size_t size_max,
                      struct ws_error *err)
{
    LZ4F_dctx *context = NULL;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        return ws_error_nomem(err);
    const char *at = bytes;
    size_t start = out->size, left = 1, room = 0;
    int rc = 0;
    while (rc == 0 && left != 0) {
        rc = next_room(&room, out, start, size_max, err);
        if (rc != 0)
            break;
        size_t taken = (size_t)((const char *)bytes + size - at), put = room;
        left = LZ4F_decompress(context, out->data + out->size, &put, at, &taken, NULL);
        if (LZ4F_isError(left))
            rc = ws_error_set(err, WS_E_FORMAT, "lz4: %s", LZ4F_getErrorName(left));
        else if (left != 0 && taken == 0 && put == 0)
            rc = ws_error_set(err, WS_E_FORMAT, "lz4: cut short");
        at += taken;
        out->size += put;
    }
    if (rc == 0 && at != (const char *)bytes + size)
        rc = ws_error_set(err, WS_E_FORMAT, "lz4: bytes behind the end");
    LZ4F_freeDecompressionContext(context);
    return rc;
}

static int decode_zlib(struct ws_buf *out, int window, const void *bytes, size_t size,
                       size_t size_max, struct ws_error *err)
{
    const char *name = window == GZIP_WINDOW ? "gzip" : "deflate";
    z_stream z = {0};
    if (size > UINT32_MAX)
        return ws_error_set(err, WS_E_LIMIT, "%s: %zu bytes, at most 4 GiB", name, size);
    if (inflateInit2(&z, window) != Z_OK)
        return ws_error_nomem(err);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)size;
    size_t start = out->size, room = 0;
    int rc = 0, status = Z_OK;
    while (rc == 0 && status != Z_STREAM_END) {
        rc = next_room(&room, out, start, size_max, err);
        if (rc != 0)
            break;
        z.next_out = (Bytef *)out->data + out->size;
        z.avail_out = (uInt)room;
        status = inflate(&z, Z_NO_FLUSH);
        out->size += room - z.avail_out;
        if (status != Z_OK && status != Z_STREAM_END)
            rc = ws_error_set(err, WS_E_FORMAT, "%s: %s", name,
                              z.avail_in == 0 ? "cut short" : "not valid");
    }
    if (rc == 0 && z.avail_in != 0)
        rc = ws_error_set(err, WS_E_FORMAT, "%s: %u bytes behind the end", name,
                          z.avail_in);
    inflateEnd(&z);
    return rc;
}

/* What so many encoded bytes may become at most. */
static size_t believable(size_t size, size_t size_max)
{
    size_t most =
        size > SIZE_MAX / WS_DECODE_RATIO_MAX ? SIZE_MAX : size * WS_DECODE_RATIO_MAX;
    if (most < WS_DECODE_FREE_MAX)
        most = WS_DECODE_FREE_MAX;
    return most < size_max ? most : size_max;
}

int ws_encoding_decode(struct ws_buf *out, enum ws_encoding encoding, const void *bytes,
                       size_t size, size_t size_max, struct ws_error *err)
{
    size_t start = out->size;
    size_max = encoding == WS_ENCODING_IDENTITY ? size_max : believable(size, size_max);
    /* One byte more tells what fits exactly from what does not. */
    size_t ask = size_max < SIZE_MAX ? size_max + 1 : size_max;
    int rc = 0;
    switch (encoding) {
    case WS_ENCODING_ZSTD:
        rc = decode_zstd(out, bytes, size, ask, err);
        break;
    case WS_ENCODING_LZ4:
        rc = decode_lz4(out, bytes, size, ask, err);
        break;
    case WS_ENCODING_GZIP:
        rc = decode_zlib(out, GZIP_WINDOW, bytes, size, ask, err);
        break;
    case WS_ENCODING_DEFLATE:
        rc = decode_zlib(out, DEFLATE_WINDOW, bytes, size, ask, err);
        break;
    default:
        if (size <= size_max)
            return ws_buf_add(out, bytes, size, err);
        return ws_error_set(err, WS_E_LIMIT, "%zu bytes, at most %zu", size, size_max);
    }
    if (rc == 0 && out->size - start > size_max)
        rc = ws_error_set(err, WS_E_LIMIT, "more than %zu bytes when decoded", size_max);
    if (rc != 0)
        out->size = start;
    if (out->data != NULL)
        out->data[out->size] = '\0';
    return rc;
}
