/*
 * A message's body while it arrives: bytes in one run, aligned so that tensors can be
 * used where they lie. Unlike a ws_buf it is sized by what the other side announces, as
 * far as that is believable, so that nothing is moved while it grows. The owner is one
 * thread.
 */
#ifndef WS_NET_BODY_H
#define WS_NET_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_body {
    uint8_t *data; /* WS_TENSOR_ALIGN-aligned; NULL while empty */
    size_t size;
    size_t capacity;
};

/* Zero-initialise; fini zeroes it again. */
void ws_body_fini(struct ws_body *body);
/* Room for `size` bytes in all, believed up to a limit. WS_E_LIMIT above size_max. */
int ws_body_expect(struct ws_body *body, uint64_t size, size_t size_max,
                   struct ws_error *err);
int ws_body_add(struct ws_body *body, const void *bytes, size_t size, size_t size_max,
                struct ws_error *err);

#endif
