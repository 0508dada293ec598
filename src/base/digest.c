#include "base/digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct ws_digest {
    EVP_MD_CTX *ctx;
};

int ws_digest_create(struct ws_digest **out, struct ws_error *err)
{
    struct ws_digest *digest = calloc(1, sizeof(*digest));
    if (digest == NULL)
        return ws_error_nomem(err);
    digest->ctx = EVP_MD_CTX_new();
    if (digest->ctx == NULL || EVP_DigestInit_ex(digest->ctx, EVP_sha256(), NULL) != 1) {
        ws_digest_destroy(digest);
        return ws_error_set(err, WS_E_RUNTIME, "cannot start SHA-256");
    }
    *out = digest;
    return 0;
}

void ws_digest_destroy(struct ws_digest *digest)
{
    if (digest == NULL)
        return;
    EVP_MD_CTX_free(digest->ctx);
    free(digest);
}

void ws_digest_add(struct ws_digest *digest, const void *bytes, size_t size)
{
    int ok = EVP_DigestUpdate(digest->ctx, bytes, size);
    assert(ok == 1);
    (void)ok;
}

void ws_digest_add_sized(struct ws_digest *digest, const void *bytes, size_t size)
{
    uint8_t prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (uint8_t)((uint64_t)size >> (8 * i));
    ws_digest_add(digest, prefix, sizeof(prefix));
    ws_digest_add(digest, bytes, size);
}

void ws_digest_finish(char out[static WS_DIGEST_TEXT], struct ws_digest *digest)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t raw[WS_DIGEST_BYTES];
    unsigned size = sizeof(raw);
    int ok = EVP_DigestFinal_ex(digest->ctx, raw, &size);
    assert(ok == 1);
    (void)ok;
    for (size_t i = 0; i < sizeof(raw); i++) {
        out[2 * i] = hex[raw[i] >> 4];
        out[2 * i + 1] = hex[raw[i] & 15];
    }
    out[2 * sizeof(raw)] = '\0';
}
