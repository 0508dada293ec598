#include "wire/encoding.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte is the encoding. What decodes within the limit must not be more. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { SIZE_MAX_DECODED = 1 << 16 };
    struct ws_buf buf;
    if (size == 0)
        return 0;
    ws_buf_init(&buf, 0);
    if (ws_encoding_decode(&buf, (enum ws_encoding)(data[0] % WS_ENCODING_COUNT),
                           data + 1, size - 1, SIZE_MAX_DECODED, NULL) == 0 &&
        buf.size > SIZE_MAX_DECODED)
        __builtin_trap();
    ws_buf_fini(&buf);
    return 0;
}
