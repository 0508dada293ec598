#include "cli/inspect_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"

enum { TENSOR_TEXT_MAX = 256, COUNT_TEXT_MAX = 32, TENSORS_SHOWN = 3 };

static int is_shown(const struct ws_inspect_view *view, const struct ws_cut *cut)
{
    return view->all || cut->natural != WS_NATURAL_NO;
}

/* "1.23 G": three digits are enough to compare by. */
static const char *short_count(char text[static COUNT_TEXT_MAX], uint64_t count)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    double value = (double)count;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    (void)snprintf(text, COUNT_TEXT_MAX, "%.*f%s", digits, value, units[unit]);
    return text;
}

/* Work is known only where all shapes are. */
static const char *short_work(char text[static COUNT_TEXT_MAX], const struct ws_cut *cut,
                              uint64_t macs)
{
    short_count(text, macs);
    if (!cut->macs_known)
        (void)snprintf(text + strlen(text), COUNT_TEXT_MAX - strlen(text), "+?");
    return text;
}

static const char *cut_bytes(char text[static COUNT_TEXT_MAX], const struct ws_cut *cut)
{
    if (cut->bytes_known)
        (void)snprintf(text, COUNT_TEXT_MAX, "%" PRIu64, cut->bytes);
    else
        (void)snprintf(text, COUNT_TEXT_MAX, "?");
    return text;
}

static const char *describe(char text[static TENSOR_TEXT_MAX],
                            const struct ws_value *value)
{
    if (!value->is_tensor)
        (void)snprintf(text, TENSOR_TEXT_MAX, "no tensor");
    else if (!value->has_shape)
        (void)snprintf(text, TENSOR_TEXT_MAX, "%s[...]", ws_dtype_name(value->dtype));
    else
        ws_tensor_describe(text, TENSOR_TEXT_MAX, value->dtype, value->dims, value->rank);
    return text;
}

/* ---- the table ---- */

static void print_values(FILE *to, const char *title, const struct ws_graph *graph,
                         const size_t *values, size_t count)
{
    char text[TENSOR_TEXT_MAX];
    for (size_t i = 0; i < count; i++) {
        const struct ws_value *value = &graph->values[values[i]];
        fprintf(to, "%-8s %s %s\n", i == 0 ? title : "", value->name,
                describe(text, value));
    }
}

static void print_tensors(FILE *to, const struct ws_graph *graph,
                          const struct ws_cut *cut)
{
    char text[TENSOR_TEXT_MAX];
    if (cut->tensor_count == 0)
        fputs("(nothing crosses)", to);
    for (size_t i = 0; i < cut->tensor_count && i < TENSORS_SHOWN; i++) {
        const struct ws_value *value = &graph->values[cut->tensors[i]];
        fprintf(to, "%s%s %s", i > 0 ? ", " : "", value->name, describe(text, value));
    }
    if (cut->tensor_count > TENSORS_SHOWN)
        fprintf(to, ", and %zu more", cut->tensor_count - TENSORS_SHOWN);
    fputc('\n', to);
}

static void print_cut(FILE *to, const struct ws_graph *graph, const struct ws_cut *cut)
{
    char bytes[COUNT_TEXT_MAX], before[COUNT_TEXT_MAX], after[COUNT_TEXT_MAX];
    char held_before[COUNT_TEXT_MAX], held_after[COUNT_TEXT_MAX];
    char mark = cut->bottleneck                      ? '*'
                : cut->natural == WS_NATURAL_NO      ? '-'
                : cut->natural == WS_NATURAL_UNKNOWN ? '?'
                                                     : ' ';
    fprintf(to, "%c %5zu %12s %10s %10s %10s %10s  ", mark, cut->number,
            cut_bytes(bytes, cut), short_work(before, cut, cut->macs_before),
            short_work(after, cut, cut->macs_after),
            short_count(held_before, cut->weight_bytes_before),
            short_count(held_after, cut->weight_bytes_after));
    print_tensors(to, graph, cut);
}

/* Which free dimensions the figures take as 1. */
static void print_assumptions(FILE *to, const struct ws_inspect_view *view)
{
    const struct ws_graph *graph = view->cuts->graph;
    struct ws_names named = {0};
    size_t assumed = 0;
    for (size_t i = 0; i < view->cuts->count; i++)
        assumed += view->cuts->cuts[i].dims_assumed;
    if (assumed == 0)
        return;
    fputs("dimensions that vary count as 1 here", to);
    for (size_t i = 0; i < graph->input_count; i++) {
        const struct ws_value *value = &graph->values[graph->inputs[i]];
        for (size_t axis = 0; axis < value->rank; axis++) {
            const char *name =
                value->dims[axis] < 0 ? ws_value_dim_name(value, axis) : NULL;
            if (name == NULL || ws_names_add(&named, name, 0, NULL) != 0)
                continue;
            fprintf(to, "%s%s", named.count == 1 ? "; --dim NAME=N fixes one of: " : ", ",
                    name);
        }
    }
    fputc('\n', to);
    ws_names_fini(&named);
}

static size_t step_count(const struct ws_graph *graph)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        count += graph->nodes[i].is_needed && !graph->nodes[i].is_free;
    return count;
}

void ws_inspect_table(FILE *to, const struct ws_inspect_view *view)
{
    const struct ws_cuts *cuts = view->cuts;
    const struct ws_graph *graph = cuts->graph;
    char macs[COUNT_TEXT_MAX], bytes[COUNT_TEXT_MAX];
    size_t natural = 0;
    for (size_t i = 0; i < cuts->count; i++)
        natural += cuts->cuts[i].natural == WS_NATURAL_YES;
    fprintf(to, "%s: %zu nodes (%zu beside constants), %s MAC, %sB of weights\n",
            ws_model_path(graph->model), graph->node_count, step_count(graph),
            short_work(macs, &cuts->cuts[0], cuts->cuts[0].macs_after),
            short_count(bytes, cuts->cuts[0].weight_bytes_after));
    fprintf(to, "%-8s %s\n", "digest", view->digest);
    print_values(to, "inputs", graph, graph->inputs, graph->input_count);
    print_values(to, "outputs", graph, graph->outputs, graph->output_count);
    if (view->note[0] != '\0')
        fprintf(to, "note     %s\n", view->note);
    fprintf(to, "\n  %5s %12s %10s %10s %10s %10s  %s\n", "cut", "bytes", "MAC before",
            "MAC after", "B before", "B after", "tensors that cross");
    for (size_t i = 0; i < cuts->count; i++) {
        if (is_shown(view, &cuts->cuts[i]))
            print_cut(to, graph, &cuts->cuts[i]);
    }
    fprintf(to, "\n%zu cuts, %zu natural%s; * bottleneck%s\n", cuts->count, natural,
            view->all ? "" : " (--all shows the others)",
            view->all ? ", - not natural" : "");
    print_assumptions(to, view);
}

/* ---- JSON ---- */

/* An object or list that could not take something becomes NULL, and so does what it is
 * put into: the one at the root tells. jansson refuses names that are no UTF-8. */
static void put(json_t **object, const char *key, json_t *value)
{
    if (*object == NULL) {
        json_decref(value);
    } else if (json_object_set_new(*object, key, value) != 0) {
        json_decref(*object);
        *object = NULL;
    }
}

static void append(json_t **list, json_t *item)
{
    if (*list == NULL) {
        json_decref(item);
    } else if (json_array_append_new(*list, item) != 0) {
        json_decref(*list);
        *list = NULL;
    }
}

static json_t *count_json(uint64_t count)
{
    return json_integer((json_int_t)count);
}

static json_t *known_json(int known, uint64_t count)
{
    return known ? count_json(count) : json_null();
}

static json_t *shape_json(const struct ws_value *value)
{
    if (!value->has_shape)
        return json_null();
    json_t *shape = json_array();
    for (size_t i = 0; i < value->rank; i++)
        append(&shape, known_json(value->dims[i] >= 0, (uint64_t)value->dims[i]));
    return shape;
}

static json_t *value_json(const struct ws_value *value)
{
    uint64_t bytes = 0;
    size_t assumed = 0;
    int known = ws_value_bytes(&bytes, &assumed, value, NULL) == 0 && assumed == 0;
    json_t *json = json_object();
    put(&json, "name", json_string(value->name));
    put(&json, "dtype", json_string(ws_dtype_name(value->dtype)));
    put(&json, "shape", shape_json(value));
    put(&json, "bytes", known_json(known, bytes));
    return json;
}

static json_t *values_json(const struct ws_graph *graph, const size_t *values,
                           size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        append(&list, value_json(&graph->values[values[i]]));
    return list;
}

static json_t *cut_json(const struct ws_graph *graph, const struct ws_cut *cut)
{
    int natural_known = cut->natural != WS_NATURAL_UNKNOWN;
    json_t *json = json_object();
    put(&json, "number", count_json(cut->number));
    put(&json, "id", json_string(cut->id));
    put(&json, "tensors", values_json(graph, cut->tensors, cut->tensor_count));
    put(&json, "bytes", known_json(cut->bytes_known, cut->bytes));
    put(&json, "dims_assumed", count_json(cut->dims_assumed));
    put(&json, "macs_before", known_json(cut->macs_known, cut->macs_before));
    put(&json, "macs_after", known_json(cut->macs_known, cut->macs_after));
    put(&json, "weight_bytes_before", count_json(cut->weight_bytes_before));
    put(&json, "weight_bytes_after", count_json(cut->weight_bytes_after));
    put(&json, "natural", natural_known ? json_boolean(cut->natural) : json_null());
    put(&json, "bottleneck", json_boolean(cut->bottleneck));
    return json;
}

static json_t *view_json(const struct ws_inspect_view *view)
{
    const struct ws_cuts *cuts = view->cuts;
    const struct ws_graph *graph = cuts->graph;
    json_t *list = json_array(), *json = json_object();
    for (size_t i = 0; i < cuts->count; i++) {
        if (is_shown(view, &cuts->cuts[i]))
            append(&list, cut_json(graph, &cuts->cuts[i]));
    }
    put(&json, "model", json_string(ws_model_path(graph->model)));
    put(&json, "digest", json_string(view->digest));
    put(&json, "nodes", count_json(graph->node_count));
    put(&json, "inputs", values_json(graph, graph->inputs, graph->input_count));
    put(&json, "outputs", values_json(graph, graph->outputs, graph->output_count));
    put(&json, "note", json_string(view->note));
    put(&json, "cut_count", count_json(cuts->count));
    put(&json, "cuts", list);
    return json;
}

int ws_inspect_json(FILE *to, const struct ws_inspect_view *view, struct ws_error *err)
{
    json_t *json = view_json(view);
    int rc = 0;
    if (json == NULL)
        rc = ws_error_set(err, WS_E_FORMAT, "%s: a name is no UTF-8, or memory is short",
                          ws_model_path(view->cuts->graph->model));
    else if (json_dumpf(json, to, JSON_INDENT(2)) != 0 || fputc('\n', to) == EOF)
        rc = ws_error_set(err, WS_E_IO, "cannot write JSON");
    json_decref(json);
    return rc;
}

/* ---- Graphviz ---- */

/* Inside a quoted label. */
static void print_escaped(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', to);
        fputc((unsigned char)*text < 0x20 ? '?' : *text, to);
    }
}

/* By value: the natural cut that it alone makes, or NULL. NULL for lack of memory. */
static const struct ws_cut **own_cuts(const struct ws_cuts *cuts)
{
    const struct ws_cut **own = calloc(cuts->graph->value_count + 1, sizeof(*own));
    for (size_t i = 0; own != NULL && i < cuts->count; i++) {
        const struct ws_cut *cut = &cuts->cuts[i];
        if (cut->tensor_count == 1 && cut->natural != WS_NATURAL_NO)
            own[cut->tensors[0]] = cut;
    }
    return own;
}

static void print_edges(FILE *to, const struct ws_graph *graph, size_t id,
                        const struct ws_cut *cut)
{
    const struct ws_value *value = &graph->values[id];
    char text[TENSOR_TEXT_MAX];
    for (size_t i = 0; i < value->consumer_count; i++) {
        if (!graph->nodes[value->consumers[i]].is_needed)
            continue;
        if (value->producer == WS_NONE)
            fprintf(to, "  v%zu", id);
        else
            fprintf(to, "  n%zu", value->producer);
        fprintf(to, " -> n%zu [label=\"%s", value->consumers[i], describe(text, value));
        if (cut != NULL)
            fprintf(to, "\\ncut %zu\", penwidth=3, color=%s];\n", cut->number,
                    cut->bottleneck ? "red" : "blue");
        else
            fputs("\"];\n", to);
    }
    if (value->is_output && value->producer != WS_NONE)
        fprintf(to, "  n%zu -> v%zu;\n", value->producer, id);
}

int ws_inspect_dot(FILE *to, const struct ws_inspect_view *view, struct ws_error *err)
{
    const struct ws_graph *graph = view->cuts->graph;
    const struct ws_cut **own = own_cuts(view->cuts);
    char macs[COUNT_TEXT_MAX];
    if (own == NULL)
        return ws_error_nomem(err);
    fputs("digraph model {\n  node [shape=box];\n", to);
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ws_node *node = &graph->nodes[i];
        if (!node->is_needed || node->is_constant)
            continue;
        fprintf(to, "  n%zu [label=\"", i);
        print_escaped(to, ws_node_op(node));
        fprintf(to, "\\n%s MAC\"%s];\n", short_count(macs, node->macs),
                node->is_free ? ", style=dashed" : "");
    }
    for (size_t i = 0; i < graph->value_count; i++) {
        const struct ws_value *value = &graph->values[i];
        if (value->is_constant)
            continue;
        if (value->is_input || value->is_output) {
            fprintf(to, "  v%zu [shape=ellipse, label=\"", i);
            print_escaped(to, value->name);
            fputs("\"];\n", to);
        }
        print_edges(to, graph, i, own[i]);
    }
    fputs("}\n", to);
    free(own);
    return 0;
}
