/*
 * SHA-256, in pieces or at once; what identifies a model, weights included.
 */
#ifndef WS_BASE_DIGEST_H
#define WS_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define WS_DIGEST_BYTES 32
#define WS_DIGEST_TEXT  (2 * WS_DIGEST_BYTES + 1) /* hexadecimal, with its NUL */

struct ws_digest;

int ws_digest_create(struct ws_digest **out, struct ws_error *err);
void ws_digest_destroy(struct ws_digest *digest);
void ws_digest_add(struct ws_digest *digest, const void *bytes, size_t size);
/* Adds the size as 8 little-endian bytes, then the bytes: unambiguous concatenation. */
void ws_digest_add_sized(struct ws_digest *digest, const void *bytes, size_t size);
/* Lower-case hexadecimal; the digest must not be added to afterwards. */
void ws_digest_finish(char out[static WS_DIGEST_TEXT], struct ws_digest *digest);

#endif
