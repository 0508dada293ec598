#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "onnx/model_impl.h"

static int rename_in_body(Onnx__GraphProto *graph, struct ws_error *err);

/* Goes through the bodies that a graph's nodes hold. The walk that read the model has
 * bounded how deep they are nested. */
static int rename_below(const Onnx__GraphProto *graph, struct ws_error *err)
{
    int rc = 0;
    for (size_t n = 0; rc == 0 && n < graph->n_node; n++) {
        const Onnx__NodeProto *node = graph->node[n];
        for (size_t a = 0; rc == 0 && a < node->n_attribute; a++) {
            const Onnx__AttributeProto *attribute = node->attribute[a];
            if (attribute->g != NULL)
                rc = rename_in_body(attribute->g, err);
            for (size_t g = 0; rc == 0 && g < attribute->n_graphs; g++)
                rc = rename_in_body(attribute->graphs[g], err);
        }
    }
    return rc;
}

static int rename_in_body(Onnx__GraphProto *graph, struct ws_error *err)
{
    struct ws_names seen = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < graph->n_initializer; i++) {
        Onnx__TensorProto *tensor = graph->initializer[i];
        if (ws_names_find(NULL, &seen, tensor->name)) {
            char *name = NULL;
            if (asprintf(&name, "%s~%zu", tensor->name, i) < 0)
                rc = ws_error_nomem(err);
            if (rc == 0) {
                free(tensor->name); /* protobuf-c's default allocator is malloc's */
                tensor->name = name;
            }
        }
        if (rc == 0)
            rc = ws_names_add(&seen, tensor->name, i, err);
    }
    ws_names_fini(&seen);
    return rc == 0 ? rename_below(graph, err) : rc;
}

int ws_model_rename_doubles(struct ws_model *model, struct ws_error *err)
{
    return rename_below(model->proto->graph, err);
}
