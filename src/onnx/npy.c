#include "onnx/npy.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/parse.h"

static const char magic[] = "\x93NUMPY";
enum { MAGIC_BYTES = sizeof(magic) - 1 };

/* ---- The header: a Python dictionary with three entries ---- */

/* NumPy's letter and width for an element type; the byte order is always little. */
static const struct {
    const char *descr;
    enum ws_dtype dtype;
} number_types[] = {
    {"f2", WS_DTYPE_FP16},      {"f4", WS_DTYPE_FP32},        {"f8", WS_DTYPE_FP64},
    {"i1", WS_DTYPE_INT8},      {"i2", WS_DTYPE_INT16},       {"i4", WS_DTYPE_INT32},
    {"i8", WS_DTYPE_INT64},     {"u1", WS_DTYPE_UINT8},       {"u2", WS_DTYPE_UINT16},
    {"u4", WS_DTYPE_UINT32},    {"u8", WS_DTYPE_UINT64},      {"b1", WS_DTYPE_BOOL},
    {"c8", WS_DTYPE_COMPLEX64}, {"c16", WS_DTYPE_COMPLEX128},
};
enum { NUMBER_TYPE_COUNT = sizeof(number_types) / sizeof(number_types[0]) };

static void skip_space(struct ws_cursor *at)
{
    while (at->at < at->end && isspace(*at->at))
        at->at++;
}

/* Steps over `c`, after white space; 0 if something else is there. */
static int take_char(struct ws_cursor *at, char c)
{
    skip_space(at);
    if (at->at == at->end || *at->at != (uint8_t)c)
        return 0;
    at->at++;
    return 1;
}

static int take_word(struct ws_cursor *at, const char *word)
{
    size_t size = strlen(word);
    skip_space(at);
    if (ws_cursor_left(at) < size || memcmp(at->at, word, size) != 0)
        return 0;
    at->at += size;
    return 1;
}

/* A quoted text without escapes, at most size-1 bytes. */
static int take_text(char *out, size_t size, struct ws_cursor *at, struct ws_error *err)
{
    skip_space(at);
    uint8_t quote = at->at < at->end ? *at->at : 0;
    if (quote != '\'' && quote != '"')
        return ws_error_set(err, WS_E_FORMAT, "npy header: a quoted text is missing");
    at->at++;
    size_t used = 0;
    while (at->at < at->end && *at->at != quote && used + 1 < size)
        out[used++] = (char)*at->at++;
    if (at->at == at->end || *at->at != quote)
        return ws_error_set(err, WS_E_FORMAT, "npy header: a text without end");
    at->at++;
    out[used] = '\0';
    return 0;
}

static int take_dim(int64_t *out, struct ws_cursor *at, struct ws_error *err)
{
    char digits[24];
    size_t used = 0;
    skip_space(at);
    while (at->at < at->end && isdigit(*at->at) && used + 1 < sizeof(digits))
        digits[used++] = (char)*at->at++;
    digits[used] = '\0';
    /* Python 2 wrote long integers as 3L. */
    if (at->at < at->end && *at->at == 'L')
        at->at++;
    return ws_parse_i64(out, digits, 0, INT64_MAX, "npy header: dimension", err);
}

/* "()", "(3,)", "(1, 3)". */
static int take_shape(struct ws_npy *npy, struct ws_cursor *at, struct ws_error *err)
{
    if (!take_char(at, '('))
        return ws_error_set(err, WS_E_FORMAT, "npy header: shape is not a tuple");
    npy->rank = 0;
    while (!take_char(at, ')')) {
        if (npy->rank == WS_TENSOR_RANK_MAX)
            return ws_error_set(err, WS_E_LIMIT, "npy header: more than %d dimensions",
                                WS_TENSOR_RANK_MAX);
        int rc = take_dim(&npy->dims[npy->rank++], at, err);
        if (rc != 0)
            return rc;
        if (!take_char(at, ',') && (at->at == at->end || *at->at != ')'))
            return ws_error_set(err, WS_E_FORMAT, "npy header: shape is no tuple");
    }
    return 0;
}

static int take_bool(int *out, struct ws_cursor *at, struct ws_error *err)
{
    if (take_word(at, "True"))
        *out = 1;
    else if (take_word(at, "False"))
        *out = 0;
    else
        return ws_error_set(err, WS_E_FORMAT,
                            "npy header: fortran_order is neither True nor False");
    return 0;
}

/* '|S12' or '<U12': fixed-width text. */
static int text_type(struct ws_npy *npy, const char *descr, struct ws_error *err)
{
    size_t width = 0;
    int rc = ws_parse_size(&width, descr + 2, 0, WS_TEXT_FILE_MAX,
                           "npy header: text width", err);
    if (rc != 0)
        return rc;
    npy->dtype = WS_DTYPE_STRING;
    npy->text = descr[1] == 'S' ? WS_NPY_BYTES : WS_NPY_UNICODE;
    npy->item_bytes = descr[1] == 'S' ? width : 4 * width;
    return 0;
}

static int element_type(struct ws_npy *npy, const char *descr, struct ws_error *err)
{
    /* The order mark says nothing about single bytes. */
    int single = descr[0] != '\0' &&
                 (descr[1] == 'S' || strcmp(descr + 1, "u1") == 0 ||
                  strcmp(descr + 1, "i1") == 0 || strcmp(descr + 1, "b1") == 0);
    if (descr[0] == '>' && !single)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "npy: big-endian elements (%s); save with byte order '<'",
                            descr);
    if (descr[0] != '\0' && strchr("<|=>", descr[0]) != NULL) {
        if (descr[1] == 'S' || descr[1] == 'U')
            return text_type(npy, descr, err);
        for (size_t i = 0; i < NUMBER_TYPE_COUNT; i++) {
            if (strcmp(descr + 1, number_types[i].descr) != 0)
                continue;
            npy->dtype = number_types[i].dtype;
            npy->text = WS_NPY_NUMBER;
            npy->item_bytes = ws_dtype_bits(npy->dtype) / 8;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_UNSUPPORTED, "npy: elements of type \"%s\"", descr);
}

static int take_descr(struct ws_npy *npy, struct ws_cursor *at, struct ws_error *err)
{
    char descr[32];
    skip_space(at);
    if (at->at < at->end && *at->at == '[')
        return ws_error_set(err, WS_E_UNSUPPORTED, "npy: structured elements");
    int rc = take_text(descr, sizeof(descr), at, err);
    return rc != 0 ? rc : element_type(npy, descr, err);
}

static int take_entry(struct ws_npy *npy, unsigned *seen, struct ws_cursor *at,
                      struct ws_error *err)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    char key[24];
    int rc = take_text(key, sizeof(key), at, err);
    if (rc != 0)
        return rc;
    unsigned which = 0;
    while (which < 3 && strcmp(key, keys[which]) != 0)
        which++;
    if (which == 3 || (*seen >> which & 1u) != 0)
        return ws_error_set(err, WS_E_FORMAT, "npy header: key \"%s\" %s", key,
                            which == 3 ? "is unknown" : "twice");
    *seen |= 1u << which;
    if (!take_char(at, ':'))
        return ws_error_set(err, WS_E_FORMAT, "npy header: no ':' after \"%s\"", key);
    if (which == 0)
        return take_descr(npy, at, err);
    if (which == 1)
        return take_bool(&npy->fortran_order, at, err);
    return take_shape(npy, at, err);
}

static int read_header(struct ws_npy *npy, struct ws_cursor at, struct ws_error *err)
{
    unsigned seen = 0;
    if (!take_char(&at, '{'))
        return ws_error_set(err, WS_E_FORMAT, "npy header: not a dictionary");
    while (!take_char(&at, '}')) {
        int rc = take_entry(npy, &seen, &at, err);
        if (rc != 0)
            return rc;
        if (!take_char(&at, ',') && (at.at == at.end || *at.at != '}'))
            return ws_error_set(err, WS_E_FORMAT, "npy header: ',' or '}' is missing");
    }
    skip_space(&at);
    if (ws_cursor_left(&at) != 0 || seen != 7)
        return ws_error_set(err, WS_E_FORMAT,
                            seen != 7
                                ? "npy header: descr, fortran_order or shape is missing"
                                : "npy header: something follows the dictionary");
    return 0;
}

/* The header's length is two bytes wide in version 1 and four since. */
static int header_size(uint32_t *out, struct ws_cursor *at, struct ws_error *err)
{
    const uint8_t *start = NULL;
    uint8_t major = 0, minor = 0;
    int rc = ws_cursor_bytes(&start, MAGIC_BYTES, at, err);
    if (rc != 0 || memcmp(start, magic, MAGIC_BYTES) != 0)
        return ws_error_set(err, WS_E_FORMAT, "not an npy file");
    rc = ws_cursor_u8(&major, at, err);
    if (rc == 0)
        rc = ws_cursor_u8(&minor, at, err);
    if (rc != 0)
        return rc;
    if (major < 1 || major > 3 || minor != 0)
        return ws_error_set(err, WS_E_UNSUPPORTED, "npy version %u.%u", major, minor);
    if (major > 1)
        return ws_cursor_u32(out, at, err);
    uint16_t size = 0;
    rc = ws_cursor_u16(&size, at, err);
    *out = size;
    return rc;
}

int ws_npy_view(struct ws_npy *out, const void *bytes, size_t size, struct ws_error *err)
{
    struct ws_npy npy = {0};
    struct ws_cursor at = ws_cursor_make(bytes, size);
    uint32_t header = 0;
    int rc = header_size(&header, &at, err);
    if (rc != 0)
        return rc;
    if (header > WS_NPY_HEADER_MAX)
        return ws_error_set(err, WS_E_LIMIT,
                            "npy header of %" PRIu32 " bytes, at most %u", header,
                            WS_NPY_HEADER_MAX);
    const uint8_t *text = NULL;
    rc = ws_cursor_bytes(&text, header, &at, err);
    if (rc != 0) {
        ws_error_context(err, "npy header");
        return rc;
    }
    rc = read_header(&npy, ws_cursor_make(text, header), err);
    if (rc == 0)
        rc = ws_shape_count(&npy.count, npy.dims, npy.rank, err);
    if (rc != 0)
        return rc;
    if (npy.item_bytes != 0 && npy.count > WS_TENSOR_BYTES_MAX / npy.item_bytes)
        return ws_error_set(err, WS_E_LIMIT, "npy: array of more than %" PRIu64 " bytes",
                            WS_TENSOR_BYTES_MAX);
    /* Elements without width take no space in the file, so nothing would bound them. */
    if (npy.item_bytes == 0 && npy.count > WS_NPY_HEADER_MAX)
        return ws_error_set(err, WS_E_LIMIT, "npy: %" PRIu64 " elements without width",
                            npy.count);
    rc = ws_cursor_bytes(&npy.data, npy.count * npy.item_bytes, &at, err);
    if (rc != 0) {
        ws_error_context(err, "npy data");
        return rc;
    }
    *out = npy;
    return 0;
}

int ws_npy_open(struct ws_npy *out, const char *path, struct ws_error *err)
{
    struct ws_map map = {0};
    struct ws_npy npy = {0};
    int rc = ws_map_open(&map, path, 0, err);
    if (rc != 0)
        return rc;
    rc = ws_npy_view(&npy, map.data, map.size, err);
    if (rc != 0) {
        ws_map_close(&map);
        ws_error_context(err, "%s", path);
        return rc;
    }
    npy.map = map;
    *out = npy;
    return 0;
}

void ws_npy_close(struct ws_npy *npy)
{
    ws_map_close(&npy->map);
    *npy = (struct ws_npy){0};
}

/* ---- Elements ---- */

static size_t utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t extra = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[extra] | c >> (6 * extra));
    for (size_t i = 1; i <= extra; i++)
        out[i] = (char)(0x80 | (c >> (6 * (extra - i)) & 0x3f));
    return extra + 1;
}

/* UCS-4, padded with zeros, to UTF-8. */
static int unicode_item(char **out, const uint8_t *item, size_t size,
                        struct ws_error *err)
{
    /* Four bytes of UCS-4 never take more than four of UTF-8. */
    char *text = malloc(size + 1);
    if (text == NULL)
        return ws_error_nomem(err);
    size_t used = 0;
    struct ws_cursor at = ws_cursor_make(item, size);
    uint32_t c = 0;
    while (ws_cursor_left(&at) > 0 && ws_cursor_u32(&c, &at, NULL) == 0 && c != 0) {
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
            free(text);
            return ws_error_set(err, WS_E_FORMAT, "npy: %" PRIx32 " is no character", c);
        }
        used += utf8_put(text + used, c);
    }
    text[used] = '\0';
    *out = text;
    return 0;
}

static int copy_item(struct ws_tensor *out, uint64_t index, const struct ws_npy *npy,
                     const uint8_t *item, struct ws_error *err)
{
    if (npy->text == WS_NPY_NUMBER) {
        memcpy((uint8_t *)out->data + index * npy->item_bytes, item, npy->item_bytes);
        return 0;
    }
    char **strings = out->data;
    if (npy->text == WS_NPY_UNICODE)
        return unicode_item(&strings[index], item, npy->item_bytes, err);
    strings[index] = strndup((const char *)item, npy->item_bytes);
    return strings[index] == NULL ? ws_error_nomem(err) : 0;
}

/* Visits the wanted part in C order, stepping through the file by its own strides. */
static int copy_items(struct ws_tensor *out, const struct ws_npy *npy, uint64_t first,
                      struct ws_error *err)
{
    uint64_t stride[WS_TENSOR_RANK_MAX] = {0}, at[WS_TENSOR_RANK_MAX] = {0};
    uint64_t step = 1, count = 1;
    for (size_t k = 0; k < npy->rank; k++) {
        size_t axis = npy->fortran_order ? k : npy->rank - 1 - k;
        stride[axis] = step;
        step *= (uint64_t)npy->dims[axis];
        count *= (uint64_t)out->dims[k];
    }
    uint64_t from = npy->rank > 0 ? first * stride[0] : 0;
    for (uint64_t i = 0; i < count; i++) {
        int rc = copy_item(out, i, npy, npy->data + from * npy->item_bytes, err);
        if (rc != 0)
            return rc;
        for (size_t axis = npy->rank; axis-- > 0;) {
            from += stride[axis];
            if (++at[axis] < (uint64_t)out->dims[axis])
                break;
            from -= at[axis] * stride[axis];
            at[axis] = 0;
        }
    }
    return 0;
}

static int copy_part(struct ws_tensor *out, const struct ws_npy *npy, const int64_t *dims,
                     uint64_t first, struct ws_error *err)
{
    struct ws_tensor tensor = {0};
    int rc = ws_tensor_init(&tensor, npy->dtype, dims, npy->rank, err);
    if (rc != 0)
        return rc;
    if (npy->text == WS_NPY_NUMBER && !npy->fortran_order) {
        uint64_t before = 0;
        if (npy->count > 0 && npy->rank > 0)
            before = npy->count / (uint64_t)npy->dims[0] * first * npy->item_bytes;
        if (tensor.size_bytes > 0)
            memcpy(tensor.data, npy->data + before, tensor.size_bytes);
    } else {
        rc = copy_items(&tensor, npy, first, err);
    }
    if (rc != 0) {
        ws_tensor_fini(&tensor);
        return rc;
    }
    *out = tensor;
    return 0;
}

int ws_npy_slice(struct ws_tensor *out, const struct ws_npy *npy, uint64_t first,
                 uint64_t count, struct ws_error *err)
{
    if (npy->rank == 0)
        return ws_error_set(err, WS_E_TYPE, "npy: a scalar holds no samples");
    uint64_t have = (uint64_t)npy->dims[0];
    if (count > have || first > have - count)
        return ws_error_set(err, WS_E_NOT_FOUND,
                            "npy: samples %" PRIu64 " to %" PRIu64 " of %" PRIu64, first,
                            first + count, have);
    int64_t dims[WS_TENSOR_RANK_MAX];
    memcpy(dims, npy->dims, sizeof(dims));
    dims[0] = (int64_t)count;
    return copy_part(out, npy, dims, first, err);
}

int ws_npy_tensor(struct ws_tensor *out, const struct ws_npy *npy, struct ws_error *err)
{
    return copy_part(out, npy, npy->dims, 0, err);
}

int ws_npy_load(struct ws_tensor *out, const char *path, struct ws_error *err)
{
    struct ws_npy npy;
    int rc = ws_npy_open(&npy, path, err);
    if (rc != 0)
        return rc;
    rc = ws_npy_tensor(out, &npy, err);
    if (rc != 0)
        ws_error_context(err, "%s", path);
    ws_npy_close(&npy);
    return rc;
}

/* ---- Writing ---- */

/* Longest string, at least 1: NumPy itself writes no zero width. */
static size_t text_width(const struct ws_tensor *tensor)
{
    char *const *strings = tensor->data;
    size_t width = 1;
    for (size_t i = 0; i < tensor->size_bytes / sizeof(char *); i++) {
        size_t size = strings[i] != NULL ? strlen(strings[i]) : 0;
        width = size > width ? size : width;
    }
    return width;
}

static int put_dict(struct ws_buf *out, const struct ws_tensor *tensor, size_t width,
                    struct ws_error *err)
{
    int rc = 0;
    if (tensor->dtype == WS_DTYPE_STRING) {
        rc = ws_buf_printf(out, err, "{'descr': '|S%zu', ", width);
    } else {
        size_t i = 0;
        while (i < NUMBER_TYPE_COUNT && number_types[i].dtype != tensor->dtype)
            i++;
        if (i == NUMBER_TYPE_COUNT)
            return ws_error_set(err, WS_E_UNSUPPORTED, "npy: NumPy has no type for %s",
                                ws_dtype_name(tensor->dtype));
        rc = ws_buf_printf(out, err, "{'descr': '%c%s', ",
                           ws_dtype_bits(tensor->dtype) == 8 ? '|' : '<',
                           number_types[i].descr);
    }
    if (rc == 0)
        rc = ws_buf_add_text(out, "'fortran_order': False, 'shape': (", err);
    for (size_t k = 0; rc == 0 && k < tensor->rank; k++)
        rc = ws_buf_printf(out, err, "%" PRId64 "%s", tensor->dims[k],
                           k + 1 == tensor->rank && k > 0 ? "" : ", ");
    return rc != 0 ? rc : ws_buf_add_text(out, "), }", err);
}

/* Magic, version, length, and the dictionary padded so that the data is aligned. */
static int put_header(struct ws_buf *out, const struct ws_tensor *tensor, size_t width,
                      struct ws_error *err)
{
    struct ws_buf dict;
    ws_buf_init(&dict, WS_NPY_HEADER_MAX);
    int rc = put_dict(&dict, tensor, width, err);
    while (rc == 0 && (MAGIC_BYTES + 4 + dict.size + 1) % WS_TENSOR_ALIGN != 0)
        rc = ws_buf_add_text(&dict, " ", err);
    if (rc == 0)
        rc = ws_buf_add_text(&dict, "\n", err);
    const uint8_t tail[] = {1, 0, (uint8_t)(dict.size & 0xff), (uint8_t)(dict.size >> 8)};
    if (rc == 0)
        rc = ws_buf_add(out, magic, MAGIC_BYTES, err);
    if (rc == 0)
        rc = ws_buf_add(out, tail, sizeof(tail), err);
    if (rc == 0)
        rc = ws_buf_add(out, dict.data, dict.size, err);
    ws_buf_fini(&dict);
    return rc;
}

static int put_strings(struct ws_buf *out, const struct ws_tensor *tensor, size_t width,
                       struct ws_error *err)
{
    char *const *strings = tensor->data;
    for (size_t i = 0; i < tensor->size_bytes / sizeof(char *); i++) {
        const char *text = strings[i] != NULL ? strings[i] : "";
        size_t size = strlen(text);
        int rc = ws_buf_add(out, text, size, err);
        for (size_t pad = size; rc == 0 && pad < width; pad++)
            rc = ws_buf_add(out, "", 1, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int ws_npy_encode(struct ws_buf *out, const struct ws_tensor *tensor,
                  struct ws_error *err)
{
    size_t before = out->size;
    size_t width = tensor->dtype == WS_DTYPE_STRING ? text_width(tensor) : 0;
    int rc = put_header(out, tensor, width, err);
    if (rc == 0)
        rc = tensor->dtype == WS_DTYPE_STRING
                 ? put_strings(out, tensor, width, err)
                 : ws_buf_add(out, tensor->data, tensor->size_bytes, err);
    if (rc != 0)
        out->size = before;
    return rc;
}

int ws_npy_save(const char *path, const struct ws_tensor *tensor, struct ws_error *err)
{
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    int rc = ws_npy_encode(&buf, tensor, err);
    if (rc == 0)
        rc = ws_file_write(path, buf.data, buf.size, err);
    else
        ws_error_context(err, "%s", path);
    ws_buf_fini(&buf);
    return rc;
}
