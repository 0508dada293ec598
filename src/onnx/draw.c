#include "onnx/draw.h"

#include <stdlib.h>

#include "core/sample.h"

int ws_graph_draw_inputs(struct ws_datum **out, const struct ws_graph *graph,
                         uint64_t seed, struct ws_error *err)
{
    struct ws_datum *data = calloc(graph->input_count + 1, sizeof(*data));
    int rc = data == NULL ? ws_error_nomem(err) : 0;
    for (size_t i = 0; rc == 0 && i < graph->input_count; i++) {
        const struct ws_value *value = &graph->values[graph->inputs[i]];
        if (!value->is_tensor)
            rc = ws_error_set(err, WS_E_UNSUPPORTED,
                              "input \"%s\" is no tensor: no values can be drawn for it",
                              value->name);
        else
            rc = ws_sample_tensor(&data[i].tensor, value->dtype, value->dims, value->rank,
                                  seed + i, err);
    }
    if (rc == 0) {
        *out = data;
        return 0;
    }
    for (size_t i = 0; data != NULL && i < graph->input_count; i++)
        ws_datum_fini(&data[i]);
    free(data);
    return rc;
}
