#include "onnx/capture.h"

#include "base/names.h"
#include "onnx/tensorproto.h"

/* The names of one body, and of the bodies around it. */
struct scope {
    struct ws_names names;
    const struct scope *outer;
    unsigned depth;
};

struct search {
    ws_capture_fn fn;
    void *user;
    size_t *node_count;
    const struct scope *scope;
};

int ws_body_each(const Onnx__NodeProto *node, ws_body_fn fn, void *user,
                 struct ws_error *err)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = node->attribute[i];
        int rc = attribute->g != NULL ? fn(user, attribute->g, err) : 0;
        for (size_t k = 0; rc == 0 && k < attribute->n_graphs; k++)
            rc = fn(user, attribute->graphs[k], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int declare(struct scope *scope, const char *name, struct ws_error *err)
{
    int rc = ws_names_add(&scope->names, ws_proto_text(name), 0, NULL);
    /* An initializer may be an input as well; what else is wrong with a body's names
     * does not concern the graph around it. */
    return rc == WS_E_NOMEM ? ws_error_nomem(err) : 0;
}

static int declare_all(struct scope *scope, const Onnx__GraphProto *body,
                       struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < body->n_input; i++)
        rc = declare(scope, body->input[i]->name, err);
    for (size_t i = 0; rc == 0 && i < body->n_initializer; i++)
        rc = declare(scope, body->initializer[i]->name, err);
    for (size_t i = 0; rc == 0 && i < body->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = body->sparse_initializer[i]->values;
        rc = values != NULL ? declare(scope, values->name, err) : 0;
    }
    for (size_t i = 0; rc == 0 && i < body->n_node; i++) {
        const Onnx__NodeProto *node = body->node[i];
        for (size_t k = 0; rc == 0 && k < node->n_output; k++)
            rc = declare(scope, node->output[k], err);
    }
    return rc;
}

static int use(const struct search *search, const char *name, struct ws_error *err)
{
    if (name[0] == '\0')
        return 0; /* an optional input left out */
    for (const struct scope *scope = search->scope; scope != NULL; scope = scope->outer) {
        if (ws_names_find(NULL, &scope->names, name))
            return 0;
    }
    return search->fn(search->user, name, err);
}

static int search_body(void *user, const Onnx__GraphProto *body, struct ws_error *err)
{
    const struct search *around = user;
    struct scope scope = {.outer = around->scope};
    scope.depth = around->scope != NULL ? around->scope->depth + 1 : 1;
    if (scope.depth > WS_GRAPH_DEPTH_MAX)
        return ws_error_set(err, WS_E_LIMIT, "bodies nest deeper than %d",
                            WS_GRAPH_DEPTH_MAX);
    struct search search = *around;
    search.scope = &scope;
    *search.node_count += body->n_node;
    int rc = declare_all(&scope, body, err);
    for (size_t i = 0; rc == 0 && i < body->n_node; i++) {
        const Onnx__NodeProto *node = body->node[i];
        for (size_t k = 0; rc == 0 && k < node->n_input; k++)
            rc = use(&search, node->input[k], err);
        if (rc == 0)
            rc = ws_body_each(node, search_body, &search, err);
    }
    /* A branch may hand an outer tensor straight on. */
    for (size_t i = 0; rc == 0 && i < body->n_output; i++)
        rc = use(&search, ws_proto_text(body->output[i]->name), err);
    ws_names_fini(&scope.names);
    return rc;
}

int ws_capture_each(const Onnx__NodeProto *node, ws_capture_fn fn, void *user,
                    size_t *node_count, struct ws_error *err)
{
    struct search search = {.fn = fn, .user = user, .node_count = node_count};
    return ws_body_each(node, search_body, &search, err);
}
