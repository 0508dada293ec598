#include "split/coder.h"

#include <stdlib.h>
#include <string.h>

int ws_coder_coding(struct ws_coding **out, const struct ws_splitter *splitter,
                    const struct ws_cut *cut, enum ws_codec codec,
                    const struct ws_codec_range *ranges, int is_apart,
                    struct ws_error *err)
{
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    size_t count = cut->tensor_count;
    struct ws_codec_tensor *tensors = calloc(count + 1, sizeof(*tensors));
    if (tensors == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        const struct ws_value *value = &graph->values[cut->tensors[i]];
        tensors[i].name = value->name;
        tensors[i].dtype = value->dtype;
        tensors[i].has_shape = value->has_shape;
        tensors[i].rank = value->rank;
        memcpy(tensors[i].dims, value->dims, sizeof(tensors[i].dims));
        tensors[i].range = ranges != NULL ? &ranges[i] : NULL;
    }
    int rc = is_apart ? ws_coding_create_apart(out, codec, tensors, count, err)
                      : ws_coding_create(out, codec, tensors, count, err);
    free(tensors);
    return rc;
}

int ws_coder_session(struct ws_session **out, const struct ws_splitter *splitter,
                     const struct ws_coding *coding, enum ws_codec_side side,
                     struct ws_error *err)
{
    struct ws_buf bytes;
    ws_buf_init(&bytes, 0);
    int rc = ws_coding_model(&bytes, coding, side, err);
    if (rc == 0) {
        struct ws_session_source source = {
            .bytes = bytes.data,
            .size_bytes = bytes.size,
            .level = WS_LEVEL_ALL,
        };
        rc = ws_session_create(out, ws_splitter_engine(splitter), &source, err);
    }
    ws_buf_fini(&bytes);
    return rc;
}
