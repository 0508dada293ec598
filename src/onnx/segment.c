#include "onnx/segment.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/graph_impl.h"
#include "onnx/indices.h"

struct search {
    const struct ws_graph *graph;
    unsigned char *given;  /* per value: it is in `from` */
    unsigned char *wanted; /* per value: something needs it */
    unsigned char *kept;   /* per node */
    struct ws_indices todo;
};

static int want(struct search *search, size_t value, struct ws_error *err)
{
    if (value == WS_NONE || search->wanted[value])
        return 0;
    search->wanted[value] = 1;
    return ws_indices_push(&search->todo, value, err);
}

static int follow(struct search *search, size_t id, struct ws_error *err)
{
    const struct ws_value *value = &search->graph->values[id];
    if (search->given[id] || value->is_weight)
        return 0;
    if (value->producer == WS_NONE)
        return ws_error_set(err, WS_E_MISMATCH,
                            "the segment needs input \"%s\", which it is not given",
                            value->name);
    if (search->kept[value->producer])
        return 0;
    search->kept[value->producer] = 1;
    const struct ws_node *node = &search->graph->nodes[value->producer];
    if (ws_node_is_answered(search->graph, node))
        return 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < node->input_count; i++)
        rc = want(search, node->inputs[i], err);
    return rc;
}

/* A node that makes a given tensor beside a needed one would make it twice. */
static int check_given(const struct search *search, const struct ws_node *node,
                       struct ws_error *err)
{
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != WS_NONE && search->given[node->outputs[i]])
            return ws_error_set(err, WS_E_MISMATCH,
                                "the segment is given \"%s\" and makes it too",
                                search->graph->values[node->outputs[i]].name);
    }
    return 0;
}

static int collect(struct ws_segment *segment, const struct search *search,
                   const size_t *from, size_t from_count, struct ws_error *err)
{
    const struct ws_graph *graph = search->graph;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < graph->node_count; i++) {
        if (!search->kept[i])
            continue;
        rc = check_given(search, &graph->nodes[i], err);
        segment->nodes[segment->node_count++] = i;
    }
    for (size_t i = 0; i < from_count; i++) {
        if (search->wanted[from[i]])
            segment->inputs[segment->input_count++] = from[i];
    }
    for (size_t i = 0; i < graph->value_count; i++) {
        const struct ws_value *value = &graph->values[i];
        if (search->wanted[i] && !search->given[i] && value->weight != WS_NONE)
            segment->weights[segment->weight_count++] = value->weight;
    }
    return rc;
}

static int search_run(struct search *search, const size_t *from, size_t from_count,
                      const size_t *to, size_t to_count, struct ws_error *err)
{
    const struct ws_graph *graph = search->graph;
    search->given = calloc(graph->value_count + 1, 1);
    search->wanted = calloc(graph->value_count + 1, 1);
    search->kept = calloc(graph->node_count + 1, 1);
    if (search->given == NULL || search->wanted == NULL || search->kept == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < from_count; i++)
        search->given[from[i]] = 1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < to_count; i++)
        rc = want(search, to[i], err);
    while (rc == 0 && search->todo.count > 0)
        rc = follow(search, search->todo.items[--search->todo.count], err);
    return rc;
}

static void search_fini(struct search *search)
{
    ws_indices_fini(&search->todo);
    free(search->given);
    free(search->wanted);
    free(search->kept);
}

int ws_segment_create(struct ws_segment **out, const struct ws_graph *graph,
                      const size_t *from, size_t from_count, const size_t *to,
                      size_t to_count, struct ws_error *err)
{
    struct search search = {.graph = graph};
    struct ws_segment *segment = calloc(1, sizeof(*segment));
    if (segment == NULL)
        return ws_error_nomem(err);
    segment->graph = graph;
    segment->nodes = calloc(graph->node_count + 1, sizeof(size_t));
    segment->inputs = calloc(from_count + 1, sizeof(size_t));
    segment->weights = calloc(ws_model_weight_count(graph->model) + 1, sizeof(size_t));
    int rc = 0;
    if (!segment->nodes || !segment->inputs || !segment->weights)
        rc = ws_error_nomem(err);
    if (rc == 0)
        rc = search_run(&search, from, from_count, to, to_count, err);
    if (rc == 0)
        rc = collect(segment, &search, from, from_count, err);
    if (rc == 0) {
        *out = segment;
        segment = NULL;
    }
    search_fini(&search);
    ws_segment_destroy(segment);
    return rc;
}

void ws_segment_destroy(struct ws_segment *segment)
{
    if (segment == NULL)
        return;
    free(segment->nodes);
    free(segment->inputs);
    free(segment->weights);
    free(segment);
}
