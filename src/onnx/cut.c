#include "onnx/cut.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/parse.h"
#include "onnx/graph_impl.h"
#include "onnx/indices.h"
#include "onnx/tensorproto.h"

/* The tensors that cross, while the sweep goes from node to node. */
struct sweep {
    const struct ws_graph *graph;
    size_t *carriers;       /* per value: ws_cut_carrier's answer */
    struct ws_indices live; /* values made or given, with uses ahead */
    size_t *live_at;        /* per value: its place in live, or WS_NONE */
    size_t *uses_left;      /* per value: nodes ahead that need it */
    size_t *plain_left;     /* those of them that are no QuantizeLinear */
    size_t *last_user;      /* per value: 1 + node, to count a node once */
    size_t bad_count;       /* live ones that are no tensors */
};

struct build {
    struct ws_cuts *cuts;
    struct ws_indices tensors;
    struct ws_names ids;
    char model_digest[WS_DIGEST_TEXT];
    struct sweep sweep;
};

size_t ws_cut_carrier(const struct ws_graph *graph, size_t value)
{
    while (!graph->values[value].is_constant) {
        size_t producer = graph->values[value].producer;
        if (producer == WS_NONE || !graph->nodes[producer].is_free)
            return value;
        value = graph->nodes[producer].inputs[0]; /* through a DequantizeLinear */
    }
    return WS_NONE;
}

/* Nodes between which a cut may lie. */
static int is_step(const struct ws_node *node)
{
    return node->is_needed && !node->is_free;
}

/* ---- the sweep ---- */

/* Calls for each distinct value that crosses into a node; WS_NONE ends it. */
static size_t next_carrier(struct sweep *sweep, size_t node, size_t *position)
{
    const struct ws_node *reader = &sweep->graph->nodes[node];
    while (*position < reader->input_count) {
        size_t input = reader->inputs[(*position)++];
        size_t value = input != WS_NONE ? sweep->carriers[input] : WS_NONE;
        if (value != WS_NONE && sweep->last_user[value] != node + 1) {
            sweep->last_user[value] = node + 1;
            return value;
        }
    }
    return WS_NONE;
}

static int is_quantizer(const struct ws_node *node)
{
    return strcmp(ws_proto_text(node->proto->op_type), "QuantizeLinear") == 0;
}

static int enter(struct sweep *sweep, size_t value, struct ws_error *err)
{
    if (sweep->uses_left[value] == 0)
        return 0;
    sweep->live_at[value] = sweep->live.count;
    sweep->bad_count += !sweep->graph->values[value].is_tensor;
    return ws_indices_push(&sweep->live, value, err);
}

static void leave(struct sweep *sweep, size_t value)
{
    size_t at = sweep->live_at[value];
    size_t last = sweep->live.items[--sweep->live.count];
    sweep->live.items[at] = last;
    sweep->live_at[last] = at;
    sweep->live_at[value] = WS_NONE;
    sweep->bad_count -= !sweep->graph->values[value].is_tensor;
}

/* In the graph's order, so that a chain of free nodes is walked once. */
static void find_carriers(struct sweep *sweep)
{
    const struct ws_graph *graph = sweep->graph;
    for (size_t i = 0; i < graph->value_count; i++)
        sweep->carriers[i] = graph->values[i].is_constant ? WS_NONE : i;
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct ws_node *node = &graph->nodes[i];
        if (!node->is_free || node->is_constant)
            continue;
        for (size_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] != WS_NONE)
                sweep->carriers[node->outputs[k]] = sweep->carriers[node->inputs[0]];
        }
    }
}

static int sweep_init(struct sweep *sweep, const struct ws_graph *graph,
                      struct ws_error *err)
{
    size_t count = graph->value_count + 1;
    sweep->graph = graph;
    sweep->carriers = calloc(count, sizeof(size_t));
    sweep->live_at = calloc(count, sizeof(size_t));
    sweep->uses_left = calloc(count, sizeof(size_t));
    sweep->plain_left = calloc(count, sizeof(size_t));
    sweep->last_user = calloc(count, sizeof(size_t));
    if (!sweep->carriers || !sweep->live_at || !sweep->uses_left || !sweep->plain_left ||
        !sweep->last_user)
        return ws_error_nomem(err);
    find_carriers(sweep);
    for (size_t i = 0; i < graph->node_count; i++) {
        size_t position = 0;
        if (!is_step(&graph->nodes[i]))
            continue;
        for (size_t v; (v = next_carrier(sweep, i, &position)) != WS_NONE;) {
            sweep->uses_left[v]++;
            sweep->plain_left[v] += !is_quantizer(&graph->nodes[i]);
        }
    }
    memset(sweep->last_user, 0, count * sizeof(size_t));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < graph->input_count; i++)
        rc = enter(sweep, graph->inputs[i], err);
    return rc;
}

static void sweep_fini(struct sweep *sweep)
{
    ws_indices_fini(&sweep->live);
    free(sweep->carriers);
    free(sweep->live_at);
    free(sweep->uses_left);
    free(sweep->plain_left);
    free(sweep->last_user);
}

/* Moves the place behind one more node. */
static int sweep_step(struct sweep *sweep, size_t index, struct ws_error *err)
{
    const struct ws_node *node = &sweep->graph->nodes[index];
    size_t position = 0;
    for (size_t v; (v = next_carrier(sweep, index, &position)) != WS_NONE;) {
        sweep->plain_left[v] -= !is_quantizer(node);
        if (--sweep->uses_left[v] == 0)
            leave(sweep, v);
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < node->output_count; i++) {
        if (node->outputs[i] != WS_NONE)
            rc = enter(sweep, node->outputs[i], err);
    }
    return rc;
}

/*
 * Whether what is live now may cross. A tensor that only a QuantizeLinear still waits for
 * would cross at four times the bytes just before it shrinks: Q stays with its producer.
 */
static int may_cross(const struct sweep *sweep)
{
    if (sweep->bad_count > 0 || sweep->live.count == 0 ||
        sweep->live.count > WS_CUT_TENSORS_MAX)
        return 0;
    for (size_t i = 0; i < sweep->live.count; i++) {
        size_t value = sweep->live.items[i];
        if (sweep->plain_left[value] == 0 && !sweep->graph->values[value].is_input)
            return 0;
    }
    return 1;
}

/* ---- identity ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int make_id(char out[static WS_CUT_ID_TEXT], const struct build *build,
                   const size_t *tensors, size_t count, struct ws_error *err)
{
    const struct ws_graph *graph = build->cuts->graph;
    const char **names = calloc(count + 1, sizeof(*names));
    struct ws_digest *digest = NULL;
    char text[WS_DIGEST_TEXT];
    int rc = names == NULL ? ws_error_nomem(err) : ws_digest_create(&digest, err);
    if (rc != 0)
        goto out;
    for (size_t i = 0; i < count; i++)
        names[i] = graph->values[tensors[i]].name;
    qsort(names, count, sizeof(*names), by_text);
    ws_digest_add_sized(digest, build->model_digest, strlen(build->model_digest));
    for (size_t i = 0; i < count; i++)
        ws_digest_add_sized(digest, names[i], strlen(names[i]));
    ws_digest_finish(text, digest);
    memcpy(out, text, WS_CUT_ID_TEXT - 1);
    out[WS_CUT_ID_TEXT - 1] = '\0';
out:
    ws_digest_destroy(digest);
    free(names);
    return rc;
}

/* ---- cuts ---- */

static void count_crossing(struct ws_cut *cut, const struct ws_graph *graph,
                           const size_t *tensors)
{
    cut->bytes_known = 1;
    for (size_t i = 0; i < cut->tensor_count; i++) {
        uint64_t bytes = 0;
        if (ws_value_bytes(&bytes, &cut->dims_assumed, &graph->values[tensors[i]], NULL))
            cut->bytes_known = 0;
        else
            cut->bytes += bytes;
    }
}

static int by_index(const void *a, const void *b)
{
    size_t first = *(const size_t *)a, second = *(const size_t *)b;
    return (first > second) - (first < second);
}

/* A set that is there already, other than at the two ends, is the same cut. */
static int add_cut(struct build *build, size_t position, const size_t *tensors,
                   size_t count, int is_end, struct ws_error *err)
{
    struct ws_cuts *cuts = build->cuts;
    struct ws_cut *cut = &cuts->cuts[cuts->count];
    *cut = (struct ws_cut){.number = cuts->count,
                           .position = position,
                           .tensor_count = count,
                           .natural = WS_NATURAL_UNKNOWN};
    int rc = make_id(cut->id, build, tensors, count, err);
    if (rc != 0)
        return rc;
    rc = ws_names_add(&build->ids, cut->id, cuts->count, err);
    if (rc == WS_E_MISMATCH && !is_end)
        return 0;
    if (rc != 0 && rc != WS_E_MISMATCH)
        return rc;
    /* One more, so that the array exists where no cut has a tensor. */
    rc = ws_indices_reserve(&build->tensors, count + 1, err);
    if (rc != 0)
        return rc;
    size_t *stored = build->tensors.items + build->tensors.count;
    if (count > 0)
        memcpy(stored, tensors, count * sizeof(*tensors));
    qsort(stored, count, sizeof(*stored), by_index);
    build->tensors.count += count;
    count_crossing(cut, cuts->graph, tensors);
    cuts->count++;
    return 0;
}

/* Cut 0 sends every input that anything depends on, outputs that are inputs included. */
static int add_first(struct build *build, struct ws_error *err)
{
    const struct ws_graph *graph = build->cuts->graph;
    struct ws_indices sent = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < graph->input_count; i++) {
        const struct ws_value *value = &graph->values[graph->inputs[i]];
        int used = value->is_output;
        for (size_t c = 0; c < value->consumer_count; c++)
            used |= graph->nodes[value->consumers[c]].is_needed &&
                    !graph->nodes[value->consumers[c]].is_constant; /* a fixed Shape */
        if (used)
            rc = ws_indices_push(&sent, graph->inputs[i], err);
    }
    if (rc == 0)
        rc = add_cut(build, 0, sent.items, sent.count, 1, err);
    ws_indices_fini(&sent);
    return rc;
}

static int add_all(struct build *build, struct ws_error *err)
{
    const struct ws_graph *graph = build->cuts->graph;
    struct sweep *sweep = &build->sweep;
    size_t left = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        left += (size_t)is_step(&graph->nodes[i]);
    int rc = add_first(build, err);
    for (size_t i = 0; rc == 0 && i < graph->node_count; i++) {
        if (!is_step(&graph->nodes[i]))
            continue;
        rc = sweep_step(sweep, i, err);
        if (rc != 0 || --left == 0)
            break; /* behind the last node is the last cut */
        if (may_cross(sweep))
            rc = add_cut(build, i + 1, sweep->live.items, sweep->live.count, 0, err);
        else
            build->cuts->skipped++;
    }
    if (rc == 0)
        rc = add_cut(build, graph->node_count, NULL, 0, 1, err);
    return rc;
}

/* ---- work on both sides ---- */

static void count_macs(struct ws_cuts *cuts)
{
    const struct ws_graph *graph = cuts->graph;
    uint64_t total = 0, before = 0;
    int known = 1;
    for (size_t i = 0; i < graph->node_count; i++) {
        if (!graph->nodes[i].is_needed)
            continue;
        total += graph->nodes[i].macs;
        known &= (int)graph->nodes[i].macs_known;
    }
    size_t node = 0;
    for (size_t i = 0; i < cuts->count; i++) {
        for (; node < cuts->cuts[i].position; node++)
            before += graph->nodes[node].is_needed ? graph->nodes[node].macs : 0;
        cuts->cuts[i].macs_before = before;
        cuts->cuts[i].macs_after = total - before;
        cuts->cuts[i].macs_known = known != 0;
    }
}

/* First and last node that needs a constant value, free nodes looked through. */
struct range {
    size_t first, last;
};

static void widen(struct range *range, size_t first, size_t last)
{
    if (first < range->first)
        range->first = first;
    if (last != WS_NONE && (range->last == WS_NONE || last > range->last))
        range->last = last;
}

/* Backwards, so that what uses a free node is known before what the node uses. */
static void find_ranges(struct range *ranges, const struct ws_graph *graph)
{
    for (size_t i = 0; i < graph->value_count; i++) {
        ranges[i] = (struct range){.first = WS_NONE, .last = WS_NONE};
        /* A constant that is an output comes from the tail. */
        if (graph->values[i].is_constant && graph->values[i].is_output)
            widen(&ranges[i], graph->node_count, graph->node_count);
    }
    for (size_t i = graph->node_count; i > 0; i--) {
        const struct ws_node *node = &graph->nodes[i - 1];
        struct range own = {.first = WS_NONE, .last = WS_NONE};
        if (!node->is_needed)
            continue;
        if (!node->is_free)
            widen(&own, i - 1, i - 1);
        for (size_t k = 0; node->is_free && k < node->output_count; k++) {
            if (node->outputs[k] != WS_NONE)
                widen(&own, ranges[node->outputs[k]].first,
                      ranges[node->outputs[k]].last);
        }
        for (size_t k = 0; k < node->input_count; k++) {
            if (node->inputs[k] != WS_NONE)
                widen(&ranges[node->inputs[k]], own.first, own.last);
        }
    }
}

/* Weights, and what Constant nodes hold. */
static int is_stored(const struct ws_graph *graph, const struct ws_value *value)
{
    return value->is_weight ||
           (value->producer != WS_NONE &&
            ws_node_is(graph->nodes[value->producer].proto, "Constant"));
}

static int count_weights(struct ws_cuts *cuts, struct ws_error *err)
{
    const struct ws_graph *graph = cuts->graph;
    /* Per node: bytes first needed there, and bytes needed there for the last time. */
    uint64_t *starts = calloc(graph->node_count + 1, sizeof(*starts));
    uint64_t *ends = calloc(graph->node_count + 1, sizeof(*ends));
    struct range *ranges = calloc(graph->value_count + 1, sizeof(*ranges));
    uint64_t before = 0, after = 0;
    int rc = 0;
    if (starts == NULL || ends == NULL || ranges == NULL) {
        rc = ws_error_nomem(err);
        goto out;
    }
    find_ranges(ranges, graph);
    for (size_t i = 0; i < graph->value_count; i++) {
        uint64_t bytes = 0;
        if (ranges[i].last == WS_NONE || !is_stored(graph, &graph->values[i]) ||
            ws_value_bytes(&bytes, NULL, &graph->values[i], NULL) != 0)
            continue;
        starts[ranges[i].first] += bytes;
        ends[ranges[i].last] += bytes;
        after += bytes;
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        uint64_t bytes = graph->nodes[i].is_needed ? graph->nodes[i].body_bytes : 0;
        starts[i] += bytes;
        ends[i] += bytes;
        after += bytes;
    }
    size_t node = 0;
    for (size_t i = 0; i < cuts->count; i++) {
        for (; node < cuts->cuts[i].position; node++) {
            before += starts[node];
            after -= ends[node];
        }
        cuts->cuts[i].weight_bytes_before = before;
        cuts->cuts[i].weight_bytes_after = after;
    }
    /* Weights that are outputs go with the tail, but for the last cut there is none. */
    cuts->cuts[cuts->count - 1].weight_bytes_before = cuts->cuts[0].weight_bytes_after;
    cuts->cuts[cuts->count - 1].weight_bytes_after = 0;
out:
    free(starts);
    free(ends);
    free(ranges);
    return rc;
}

void ws_cuts_mark_bottlenecks(struct ws_cuts *cuts)
{
    uint64_t least = cuts->cuts[0].bytes;
    int comparable = cuts->cuts[0].bytes_known;
    for (size_t i = 0; i < cuts->count; i++) {
        struct ws_cut *cut = &cuts->cuts[i];
        int interior = i > 0 && i + 1 < cuts->count;
        cut->bottleneck = interior && comparable && cut->bytes_known &&
                          cut->natural != WS_NATURAL_NO && cut->bytes < least;
        if (cut->bottleneck)
            least = cut->bytes;
    }
}

int ws_cuts_create(struct ws_cuts **out, const struct ws_graph *graph,
                   struct ws_error *err)
{
    struct ws_cuts *cuts = calloc(1, sizeof(*cuts));
    if (cuts == NULL)
        return ws_error_nomem(err);
    struct build build = {.cuts = cuts};
    cuts->graph = graph;
    cuts->cuts = calloc(graph->node_count + 2, sizeof(*cuts->cuts));
    int rc = cuts->cuts == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0)
        rc = ws_model_digest(build.model_digest, graph->model, err);
    if (rc == 0)
        rc = sweep_init(&build.sweep, graph, err);
    if (rc == 0)
        rc = add_all(&build, err);
    if (rc == 0)
        rc = count_weights(cuts, err);
    if (rc == 0) {
        cuts->tensors = build.tensors.items;
        build.tensors = (struct ws_indices){0};
        const size_t *at = cuts->tensors;
        for (size_t i = 0; i < cuts->count; i++) {
            cuts->cuts[i].tensors = at;
            at += cuts->cuts[i].tensor_count;
        }
        count_macs(cuts);
        ws_cuts_mark_bottlenecks(cuts);
        *out = cuts;
        cuts = NULL;
    }
    sweep_fini(&build.sweep);
    ws_indices_fini(&build.tensors);
    ws_names_fini(&build.ids);
    ws_cuts_destroy(cuts);
    return rc;
}

void ws_cuts_destroy(struct ws_cuts *cuts)
{
    if (cuts == NULL)
        return;
    free(cuts->tensors);
    free(cuts->cuts);
    free(cuts);
}

/* ---- looking up ---- */

/* Whether `name` is one of the names in `text`, which are joined by commas. */
static int is_listed(const char *text, const char *name)
{
    size_t size = strlen(name);
    for (;;) {
        size_t item = strcspn(text, ",");
        if (item == size && memcmp(text, name, size) == 0)
            return 1;
        if (text[item] == '\0')
            return 0;
        text += item + 1;
    }
}

/* Whether `text` names the cut's tensors, each once, and no others. */
static int is_named(const struct ws_cut *cut, const struct ws_graph *graph,
                    const char *text)
{
    size_t items = 1;
    if (cut->tensor_count == 1 && strcmp(graph->values[cut->tensors[0]].name, text) == 0)
        return 1; /* a single name may have a comma in it */
    for (const char *at = text; *at != '\0'; at++)
        items += *at == ',';
    for (size_t i = 0; i < cut->tensor_count; i++) {
        if (!is_listed(text, graph->values[cut->tensors[i]].name))
            return 0;
    }
    return items == cut->tensor_count;
}

int ws_cuts_find(size_t *out_number, const struct ws_cuts *cuts, const char *text,
                 struct ws_error *err)
{
    size_t number = 0;
    if (isdigit((unsigned char)text[0]) &&
        ws_parse_size(&number, text, 0, cuts->count - 1, "cut", NULL) == 0) {
        *out_number = number;
        return 0;
    }
    for (size_t i = 0; i < cuts->count; i++) {
        const struct ws_cut *cut = &cuts->cuts[i];
        if (strcmp(cut->id, text) == 0 || is_named(cut, cuts->graph, text)) {
            *out_number = i;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND,
                        "%s has no cut \"%s\" (they are 0 to %zu, by number, by id or by "
                        "the names of their tensors)",
                        ws_model_path(cuts->graph->model), text, cuts->count - 1);
}

static int is_tail_output(const struct ws_cuts *cuts, size_t number, size_t value)
{
    const struct ws_graph *graph = cuts->graph;
    if (number == 0 || number + 1 == cuts->count)
        return number == 0;
    size_t carrier = ws_cut_carrier(graph, value);
    if (carrier == WS_NONE)
        return 1;
    size_t producer = graph->values[carrier].producer;
    return producer != WS_NONE && producer >= cuts->cuts[number].position;
}

size_t ws_cut_outputs(size_t *out, const struct ws_cuts *cuts, size_t number,
                      int tail_side)
{
    size_t count = 0;
    for (size_t i = 0; i < cuts->graph->output_count; i++) {
        size_t value = cuts->graph->outputs[i];
        if (is_tail_output(cuts, number, value) == (tail_side != 0))
            out[count++] = value;
    }
    return count;
}
