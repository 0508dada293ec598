#include "onnx/twin.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/build.h"
#include "onnx/declare.h"

#define NCHWC_DOMAIN "com.microsoft.nchwc"

/* The runtime's reorder kernel wants whole groups of four channels. */
enum { REORDER_CHANNELS = 4, CONV_SUM_INPUT = 3, NCHWC_VERSION = 1 };

static int is_op(const struct ws_node *node, const char *domain, const char *op)
{
    const char *its = node->proto->domain != NULL ? node->proto->domain : "";
    return strcmp(its, domain) == 0 && strcmp(node->proto->op_type, op) == 0;
}

static const char *text_attribute(char *text, size_t size, const struct ws_node *node,
                                  const char *name)
{
    for (size_t i = 0; i < node->proto->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = node->proto->attribute[i];
        if (attribute->name != NULL && strcmp(attribute->name, name) == 0 &&
            attribute->has_s && attribute->s.len < size) {
            memcpy(text, attribute->s.data, attribute->s.len);
            text[attribute->s.len] = '\0';
            return text;
        }
    }
    return NULL;
}

/* The only node that uses a value, or WS_NONE; a graph output has one user more. */
static size_t only_consumer(const struct ws_graph *graph, size_t value)
{
    const struct ws_value *v = &graph->values[value];
    return v->consumer_count == 1 && !v->is_output ? v->consumers[0] : WS_NONE;
}

/* Steps from a value over the only node that uses it, if that is an `op` (or, for "Add",
 * a two-term Sum); what the runtime drops as doing nothing is passed over. */
static size_t step_over(const struct ws_graph *graph, size_t value, const char *op)
{
    for (;;) {
        size_t index = only_consumer(graph, value);
        if (index == WS_NONE)
            return WS_NONE;
        const struct ws_node *node = &graph->nodes[index];
        int matches =
            is_op(node, "", op) ||
            (strcmp(op, "Add") == 0 && is_op(node, "", "Sum") && node->input_count == 2);
        if (matches)
            return node->outputs[0];
        if (!is_op(node, "", "Identity") && !is_op(node, "", "Dropout"))
            return WS_NONE;
        value = node->outputs[0];
    }
}

static int produced_by(const struct ws_graph *graph, size_t value, const char *op)
{
    size_t producer = graph->values[value].producer;
    return producer != WS_NONE && is_op(&graph->nodes[producer], "", op);
}

/* A blocked node bears the name of the original tensor it gave when it was made,
 * "NAME_nchwc" ("NAME_bn_nchwc" for a normalisation), perhaps with a number behind. */
static size_t value_named_by(const struct ws_graph *original, const char *node_name)
{
    static const char *const suffixes[] = {"_nchwc", "_bn_nchwc"};
    size_t value = WS_NONE;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        const char *end = NULL;
        for (const char *at = node_name; (at = strstr(at, suffixes[i])) != NULL; at++)
            end = at;
        if (end == NULL)
            continue;
        char *name = strndup(node_name, (size_t)(end - node_name));
        if (name == NULL)
            return WS_NONE;
        if (!ws_names_find(&value, &original->by_name, name))
            value = WS_NONE;
        free(name);
        if (value != WS_NONE)
            break;
    }
    return value;
}

/* What a blocked node computes, in the original's terms. A convolution may have taken in,
 * in this order, an addition and an activation that followed it. */
static size_t meaning_of_blocked(const struct ws_graph *original,
                                 const struct ws_node *node)
{
    if (node->proto->name == NULL)
        return WS_NONE;
    size_t value = value_named_by(original, node->proto->name);
    if (value == WS_NONE || !is_op(node, NCHWC_DOMAIN, "Conv"))
        return value;
    char activation[64];
    int has_activation =
        text_attribute(activation, sizeof(activation), node, "activation") != NULL;
    int has_sum = node->named_input_count > CONV_SUM_INPUT &&
                  node->inputs[CONV_SUM_INPUT] != WS_NONE;
    if (has_sum)
        value = step_over(original, value, "Add");
    if (value == WS_NONE || !has_activation)
        return value;
    /* Fused before the layout changed: the name is the activation's already. */
    if (!has_sum && produced_by(original, value, activation))
        return value;
    return step_over(original, value, activation);
}

/* Whether two lists of original values are the same; an addition's order does not
 * matter. */
static int same_inputs(const size_t *a, const size_t *b, size_t count)
{
    size_t straight = 0, crossed = 0;
    for (size_t i = 0; i < count; i++) {
        straight += a[i] == b[i];
        crossed += a[i] == b[count - 1 - i];
    }
    return straight == count || (count == 2 && crossed == count);
}

/* What an ordinary operator on blocked tensors computes: the original node of the same
 * kind with the same inputs. */
static size_t meaning_by_inputs(const struct ws_graph *original,
                                const struct ws_node *node, const size_t *meaning)
{
    size_t inputs[64];
    if (node->named_input_count == 0 ||
        node->named_input_count > sizeof(inputs) / sizeof(inputs[0]))
        return WS_NONE;
    for (size_t i = 0; i < node->named_input_count; i++) {
        inputs[i] = node->inputs[i] != WS_NONE ? meaning[node->inputs[i]] : WS_NONE;
        if (inputs[i] == WS_NONE)
            return WS_NONE;
    }
    const struct ws_value *first = &original->values[inputs[0]];
    const char *domain = node->proto->domain != NULL ? node->proto->domain : "";
    for (size_t c = 0; c < first->consumer_count; c++) {
        const struct ws_node *like = &original->nodes[first->consumers[c]];
        if (is_op(like, domain, node->proto->op_type) &&
            like->named_input_count == node->named_input_count &&
            same_inputs(like->inputs, inputs, node->named_input_count))
            return like->outputs[0];
    }
    return WS_NONE;
}

static void add_blocked(struct ws_twins *twins, size_t *meaning, size_t value,
                        size_t original)
{
    if (original == WS_NONE || meaning[value] != WS_NONE)
        return;
    meaning[value] = original;
    if (twins->of[original].blocked == WS_NONE)
        twins->of[original].blocked = value;
}

/* meaning[v]: the original value that value v of the optimised graph holds. */
static void find_twins(struct ws_twins *twins, size_t *meaning)
{
    const struct ws_graph *original = twins->original, *optimised = twins->optimised;
    for (size_t v = 0; v < optimised->value_count; v++) {
        size_t same = WS_NONE;
        meaning[v] = WS_NONE;
        if (!ws_names_find(&same, &original->by_name, optimised->values[v].name))
            continue;
        /* A weight of the same name need not hold the same bytes: normalisations are
         * folded into it. A tensor that became a weight was computed ahead, and is what
         * it was. */
        if (original->values[same].is_weight)
            continue;
        meaning[v] = same;
        twins->of[same].plain = v;
    }
    /* A reorder says for certain what its other side is. */
    for (size_t n = 0; n < optimised->node_count; n++) {
        const struct ws_node *node = &optimised->nodes[n];
        if (is_op(node, NCHWC_DOMAIN, "ReorderOutput"))
            add_blocked(twins, meaning, node->inputs[0], meaning[node->outputs[0]]);
        else if (is_op(node, NCHWC_DOMAIN, "ReorderInput"))
            add_blocked(twins, meaning, node->outputs[0], meaning[node->inputs[0]]);
    }
    for (size_t n = 0; n < optimised->node_count; n++) {
        const struct ws_node *node = &optimised->nodes[n];
        if (node->output_count == 0 || node->outputs[0] == WS_NONE ||
            meaning[node->outputs[0]] != WS_NONE)
            continue;
        size_t value = is_op(node, NCHWC_DOMAIN, node->proto->op_type)
                           ? meaning_of_blocked(original, node)
                           : meaning_by_inputs(original, node, meaning);
        add_blocked(twins, meaning, node->outputs[0], value);
    }
}

int ws_twins_create(struct ws_twins **out, const struct ws_graph *original,
                    const struct ws_graph *optimised, struct ws_error *err)
{
    struct ws_twins *twins = calloc(1, sizeof(*twins));
    size_t *meaning = calloc(optimised->value_count + 1, sizeof(*meaning));
    if (twins != NULL)
        twins->of = calloc(original->value_count + 1, sizeof(*twins->of));
    if (twins == NULL || twins->of == NULL || meaning == NULL) {
        ws_twins_destroy(twins);
        free(meaning);
        return ws_error_nomem(err);
    }
    twins->original = original;
    twins->optimised = optimised;
    for (size_t v = 0; v < original->value_count; v++)
        twins->of[v] = (struct ws_twin){.plain = WS_NONE, .blocked = WS_NONE};
    find_twins(twins, meaning);
    free(meaning);
    *out = twins;
    return 0;
}

void ws_twins_destroy(struct ws_twins *twins)
{
    if (twins == NULL)
        return;
    free(twins->of);
    free(twins);
}

/* Channels of an original value whose twin is blocked, 0 where it cannot be reordered. */
static int64_t channels_of(const struct ws_value *value)
{
    int fits = value->dtype == WS_DTYPE_FP32 && value->has_shape && value->rank == 4 &&
               value->dims[1] > 0 && value->dims[1] % REORDER_CHANNELS == 0;
    return fits ? value->dims[1] : 0;
}

/* The blocked twin of a value where a border can be put there, else WS_NONE. */
static size_t blocked_twin(const struct ws_twins *twins, size_t value)
{
    return channels_of(&twins->original->values[value]) != 0 ? twins->of[value].blocked
                                                             : WS_NONE;
}

static int has_usable_twin(const struct ws_twins *twins, size_t value)
{
    return twins->of[value].plain != WS_NONE || blocked_twin(twins, value) != WS_NONE;
}

/* The twins of `values` that a segment may start from: both layouts of each. */
static size_t starts_of(size_t *out, const struct ws_twins *twins, const size_t *values,
                        size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        size_t plain = twins->of[values[i]].plain;
        size_t blocked = blocked_twin(twins, values[i]);
        if (plain != WS_NONE)
            out[found++] = plain;
        if (blocked != WS_NONE)
            out[found++] = blocked;
    }
    return found;
}

/* The twins that a segment must compute: plain where there is one. */
static size_t goals_of(size_t *out, const struct ws_twins *twins, const size_t *values,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct ws_twin *twin = &twins->of[values[i]];
        out[i] = twin->plain != WS_NONE ? twin->plain : twin->blocked;
    }
    return count;
}

static int all_have_twins(const struct ws_twins *twins, const size_t *values,
                          size_t count, struct ws_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!has_usable_twin(twins, values[i]))
            return ws_error_set(err, WS_E_MISMATCH,
                                "\"%s\" does not survive the runtime's optimisation",
                                twins->original->values[values[i]].name);
    }
    return 0;
}

/* Finds the segment of the optimised graph between original values. */
static int find_segment(struct ws_segment **out, const struct ws_twins *twins,
                        const size_t *from, size_t from_count, const size_t *to,
                        size_t to_count, struct ws_error *err)
{
    int rc = all_have_twins(twins, from, from_count, err);
    if (rc == 0)
        rc = all_have_twins(twins, to, to_count, err);
    if (rc != 0)
        return rc;
    size_t *starts = calloc(2 * from_count + to_count + 1, sizeof(*starts));
    if (starts == NULL)
        return ws_error_nomem(err);
    size_t *goals = starts + 2 * from_count;
    size_t start_count = starts_of(starts, twins, from, from_count);
    size_t goal_count = goals_of(goals, twins, to, to_count);
    rc = ws_segment_create(out, twins->optimised, starts, start_count, goals, goal_count,
                           err);
    free(starts);
    return rc;
}

/* Whether head and tail have no work in common: a node that both would run means that
 * something else than the cut's tensors connects them. */
static int are_disjoint(const struct ws_graph *graph, const struct ws_segment *head,
                        const struct ws_segment *tail)
{
    size_t h = 0, t = 0;
    while (h < head->node_count && t < tail->node_count) {
        size_t a = head->nodes[h], b = tail->nodes[t];
        if (a == b && !graph->nodes[a].is_free)
            return 0;
        h += a <= b;
        t += b <= a;
    }
    return 1;
}

int ws_twins_natural(const struct ws_twins *twins, const struct ws_cuts *cuts,
                     size_t number)
{
    const struct ws_graph *original = twins->original;
    const struct ws_cut *cut = &cuts->cuts[number];
    struct ws_segment *head = NULL, *tail = NULL;
    size_t count_max = cut->tensor_count + original->output_count;
    size_t *to = calloc(count_max + original->output_count + 1, sizeof(*to));
    if (to == NULL)
        return 0;
    size_t *last = to + count_max;
    memcpy(to, cut->tensors, cut->tensor_count * sizeof(*to));
    size_t to_count = cut->tensor_count;
    to_count += ws_cut_outputs(to + to_count, cuts, number, 0);
    size_t last_count = ws_cut_outputs(last, cuts, number, 1);
    int natural = find_segment(&head, twins, original->inputs, original->input_count, to,
                               to_count, NULL) == 0 &&
                  find_segment(&tail, twins, cut->tensors, cut->tensor_count, last,
                               last_count, NULL) == 0 &&
                  are_disjoint(twins->optimised, head, tail);
    ws_segment_destroy(head);
    ws_segment_destroy(tail);
    free(to);
    return natural;
}

/* What is put at the borders of a segment: declarations under the original names, and the
 * changes of layout behind them. */
struct borders {
    struct ws_declaration *declarations;
    Onnx__ValueInfoProto **inputs, **outputs;
    size_t input_count, output_count;
    struct ws_builder *prologue, *epilogue;
};

static int borders_init(struct borders *out, size_t count, struct ws_error *err)
{
    *out = (struct borders){
        .declarations = calloc(count + 1, sizeof(*out->declarations)),
        .inputs = calloc(count + 1, sizeof(*out->inputs)),
        .outputs = calloc(count + 1, sizeof(*out->outputs)),
    };
    if (out->declarations == NULL || out->inputs == NULL || out->outputs == NULL)
        return ws_error_nomem(err);
    int rc = ws_builder_create(&out->prologue, "prologue", NCHWC_VERSION, err);
    return rc == 0 ? ws_builder_create(&out->epilogue, "epilogue", NCHWC_VERSION, err)
                   : rc;
}

static void borders_fini(struct borders *borders)
{
    free(borders->declarations);
    free(borders->inputs);
    free(borders->outputs);
    ws_builder_destroy(borders->prologue);
    ws_builder_destroy(borders->epilogue);
}

static Onnx__ValueInfoProto *declare(struct borders *borders,
                                     const struct ws_value *value)
{
    size_t at = borders->input_count + borders->output_count;
    ws_declaration_init(&borders->declarations[at], value);
    return &borders->declarations[at].info;
}

static Onnx__NodeProto *reorder(struct ws_builder *builder, const char *op,
                                const char *input, const char *output)
{
    Onnx__NodeProto *node = ws_builder_node(
        builder, op, "", (const char *[]){input, NULL}, (const char *[]){output, NULL});
    if (node != NULL)
        node->domain = (char *)(uintptr_t)NCHWC_DOMAIN;
    return node;
}

static int contains(const size_t *values, size_t count, size_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i] == value)
            return value != WS_NONE;
    }
    return 0;
}

/* Declares the inputs that the segment needs, blocked ones behind a ReorderInput. */
static void describe_inputs(struct borders *borders, const struct ws_twins *twins,
                            const struct ws_segment *segment, const size_t *from,
                            size_t from_count)
{
    for (size_t i = 0; i < from_count; i++) {
        const struct ws_value *value = &twins->original->values[from[i]];
        const struct ws_twin *twin = &twins->of[from[i]];
        int plain = contains(segment->inputs, segment->input_count, twin->plain);
        int blocked = contains(segment->inputs, segment->input_count, twin->blocked);
        if (!plain && !blocked)
            continue;
        borders->inputs[borders->input_count] = declare(borders, value);
        borders->input_count++;
        if (blocked)
            reorder(borders->prologue, "ReorderInput", value->name,
                    twins->optimised->values[twin->blocked].name);
    }
}

static void describe_outputs(struct borders *borders, const struct ws_twins *twins,
                             const size_t *to, size_t to_count)
{
    for (size_t i = 0; i < to_count; i++) {
        const struct ws_value *value = &twins->original->values[to[i]];
        const struct ws_twin *twin = &twins->of[to[i]];
        borders->outputs[borders->output_count] = declare(borders, value);
        borders->output_count++;
        if (twin->plain != WS_NONE)
            continue;
        Onnx__NodeProto *node =
            reorder(borders->epilogue, "ReorderOutput",
                    twins->optimised->values[twin->blocked].name, value->name);
        ws_builder_int(borders->epilogue, node, "channels", channels_of(value));
    }
}

int ws_twins_segment(struct ws_buf *buf, struct ws_segment **out_segment,
                     const struct ws_twins *twins, const size_t *from, size_t from_count,
                     const size_t *to, size_t to_count, struct ws_error *err)
{
    struct borders borders = {0};
    struct ws_segment *segment = NULL;
    size_t *starts = calloc(2 * from_count + to_count + 1, sizeof(*starts));
    int rc = starts == NULL
                 ? ws_error_nomem(err)
                 : find_segment(&segment, twins, from, from_count, to, to_count, err);
    if (rc == 0)
        rc = borders_init(&borders, from_count + to_count, err);
    if (rc != 0)
        goto out;
    describe_inputs(&borders, twins, segment, from, from_count);
    describe_outputs(&borders, twins, to, to_count);
    rc = ws_builder_status(borders.prologue, err);
    if (rc == 0)
        rc = ws_builder_status(borders.epilogue, err);
    if (rc != 0)
        goto out;
    const Onnx__GraphProto *before = ws_builder_graph(borders.prologue);
    const Onnx__GraphProto *after = ws_builder_graph(borders.epilogue);
    size_t *goals = starts + 2 * from_count;
    struct ws_segment_spec spec = {
        .from = starts,
        .from_count = starts_of(starts, twins, from, from_count),
        .to = goals,
        .to_count = goals_of(goals, twins, to, to_count),
        .prologue = before->node,
        .prologue_count = before->n_node,
        .epilogue = after->node,
        .epilogue_count = after->n_node,
        .inputs = borders.inputs,
        .input_count = borders.input_count,
        .outputs = borders.outputs,
        .output_count = borders.output_count,
        .weights = WS_WEIGHTS_REFERENCE,
    };
    rc = ws_segment_build(buf, NULL, twins->optimised, &spec, err);
    if (rc == 0) {
        *out_segment = segment;
        segment = NULL;
    }
out:
    ws_segment_destroy(segment);
    borders_fini(&borders);
    free(starts);
    return rc;
}
