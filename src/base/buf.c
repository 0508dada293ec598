#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ws_buf_init(struct ws_buf *buf, size_t size_limit)
{
    *buf = (struct ws_buf){
        .size_limit = size_limit != 0 ? size_limit : WS_BUF_MAX_DEFAULT,
    };
}

void ws_buf_fini(struct ws_buf *buf)
{
    free(buf->data);
    *buf = (struct ws_buf){.size_limit = buf->size_limit};
}

void ws_buf_clear(struct ws_buf *buf)
{
    buf->size = 0;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

int ws_buf_reserve(struct ws_buf *buf, size_t extra, struct ws_error *err)
{
    if (extra > buf->size_limit || buf->size > buf->size_limit - extra)
        return ws_error_set(err, WS_E_LIMIT, "buffer of %zu bytes would exceed %zu",
                            buf->size, buf->size_limit);
    size_t want = buf->size + extra;
    if (buf->data != NULL && want <= buf->capacity)
        return 0;
    size_t capacity = buf->capacity < 64 ? 64 : buf->capacity;
    while (capacity < want)
        capacity *= 2;
    if (capacity > buf->size_limit)
        capacity = buf->size_limit;
    char *data = realloc(buf->data, capacity + 1);
    if (data == NULL)
        return ws_error_nomem(err);
    buf->data = data;
    buf->capacity = capacity;
    buf->data[buf->size] = '\0';
    return 0;
}

int ws_buf_add(struct ws_buf *buf, const void *bytes, size_t size, struct ws_error *err)
{
    int rc = ws_buf_reserve(buf, size, err);
    if (rc != 0)
        return rc;
    if (size > 0)
        memcpy(buf->data + buf->size, bytes, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
    return 0;
}

int ws_buf_add_text(struct ws_buf *buf, const char *text, struct ws_error *err)
{
    return ws_buf_add(buf, text, strlen(text), err);
}

int ws_buf_printf(struct ws_buf *buf, struct ws_error *err, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    int rc = size < 0 ? ws_error_set(err, WS_E_FORMAT, "cannot format \"%s\"", fmt)
                      : ws_buf_reserve(buf, (size_t)size, err);
    if (rc == 0) {
        (void)vsnprintf(buf->data + buf->size, (size_t)size + 1, fmt, again);
        buf->size += (size_t)size;
    }
    va_end(again);
    return rc;
}

char *ws_buf_take(struct ws_buf *buf)
{
    char *data = buf->data;
    *buf = (struct ws_buf){.size_limit = buf->size_limit};
    return data;
}
