#include "net/body.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/tensor.h"

/* An announced length is taken at its word up to here; beyond, memory follows data. */
enum { BELIEVED_BYTES = 64 << 20, FIRST_BYTES = 4096 };

void ws_body_fini(struct ws_body *body)
{
    free(body->data);
    *body = (struct ws_body){0};
}

static int grow(struct ws_body *body, size_t capacity, struct ws_error *err)
{
    if (capacity <= body->capacity)
        return 0;
    capacity = (capacity + WS_TENSOR_ALIGN - 1) / WS_TENSOR_ALIGN * WS_TENSOR_ALIGN;
    uint8_t *data = aligned_alloc(WS_TENSOR_ALIGN, capacity);
    if (data == NULL)
        return ws_error_nomem(err);
    if (body->size > 0)
        memcpy(data, body->data, body->size);
    free(body->data);
    body->data = data;
    body->capacity = capacity;
    return 0;
}

int ws_body_expect(struct ws_body *body, uint64_t size, size_t size_max,
                   struct ws_error *err)
{
    if (size > size_max)
        return ws_error_set(err, WS_E_LIMIT, "a body of %" PRIu64 " bytes, at most %zu",
                            size, size_max);
    return grow(body, size < BELIEVED_BYTES ? (size_t)size : BELIEVED_BYTES, err);
}

int ws_body_add(struct ws_body *body, const void *bytes, size_t size, size_t size_max,
                struct ws_error *err)
{
    if (size > size_max || body->size > size_max - size)
        return ws_error_set(err, WS_E_LIMIT, "a body of more than %zu bytes", size_max);
    size_t needed = body->size + size;
    if (needed > body->capacity) {
        size_t doubled = body->capacity < FIRST_BYTES ? FIRST_BYTES : 2 * body->capacity;
        int rc = grow(body, doubled > needed ? doubled : needed, err);
        if (rc != 0)
            return rc;
    }
    if (size > 0)
        memcpy(body->data + body->size, bytes, size);
    body->size = needed;
    return 0;
}
