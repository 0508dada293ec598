#include "onnx/export.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "onnx/build.h"
#include "onnx/declare.h"
#include "onnx/segment.h"
#include "onnx/tensorproto.h"

enum { METADATA_COUNT = 5 };

struct export
{
    const struct ws_cuts *cuts;
    const struct ws_cut *cut;
    const struct ws_export_options *options;
    struct ws_coding *coding;
    struct ws_weights_file weights;
    char digest[WS_DIGEST_TEXT];
    struct ws_buf names; /* of the cut's tensors */
    struct ws_export_facts facts;
};

/* ---- what travels ---- */

static int create_coding(struct export *export, struct ws_error *err)
{
    const struct ws_graph *graph = export->cuts->graph;
    size_t count = export->cut->tensor_count;
    struct ws_codec_tensor *tensors = calloc(count + 1, sizeof(*tensors));
    if (tensors == NULL)
        return ws_error_nomem(err);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct ws_value *value = &graph->values[export->cut->tensors[i]];
        tensors[i] = (struct ws_codec_tensor){.name = value->name,
                                              .dtype = value->dtype,
                                              .has_shape = value->has_shape,
                                              .rank = value->rank};
        memcpy(tensors[i].dims, value->dims, sizeof(tensors[i].dims));
        if (export->options->ranges != NULL)
            tensors[i].range = &export->options->ranges[i];
        if (value->dtype == WS_DTYPE_UNDEFINED)
            rc = ws_error_set(err, WS_E_UNKNOWN, "the type of \"%s\" is not known",
                              value->name);
    }
    if (rc == 0)
        rc = ws_coding_create(&export->coding, export->options->codec, tensors, count,
                              err);
    if (rc == 0)
        export->facts.wire_bytes_known =
            ws_coding_bytes(&export->facts.wire_bytes, export->coding, NULL) == 0;
    free(tensors);
    return rc;
}

/* ---- metadata ---- */

static int join_names(struct export *export, struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < export->cut->tensor_count; i++)
        rc = ws_buf_printf(&export->names, err, "%s%s", i > 0 ? "," : "",
                           export->cuts->graph->values[export->cut->tensors[i]].name);
    return rc;
}

struct metadata {
    Onnx__StringStringEntryProto entries[METADATA_COUNT];
    Onnx__StringStringEntryProto *list[METADATA_COUNT];
};

static void metadata_init(struct metadata *metadata, const struct export *export,
                          const char *side)
{
    const char *const pairs[METADATA_COUNT][2] = {
        {"wattshed.model", export->digest},
        {"wattshed.cut", export->cut->id},
        {"wattshed.tensors", export->names.data},
        {"wattshed.codec", ws_codec_name(export->options->codec)},
        {"wattshed.side", side},
    };
    for (size_t i = 0; i < METADATA_COUNT; i++) {
        onnx__string_string_entry_proto__init(&metadata->entries[i]);
        metadata->entries[i].key = (char *)(uintptr_t)pairs[i][0];
        metadata->entries[i].value = (char *)(uintptr_t)pairs[i][1];
        metadata->list[i] = &metadata->entries[i];
    }
}

/* ---- one side ---- */

/* A side in the making, with everything its spec points at. */
struct side {
    enum ws_codec_side codec_side;
    struct ws_segment_spec spec;
    struct metadata metadata;
    struct ws_builder *builder;
    Onnx__OperatorSetIdProto opset;
    Onnx__OperatorSetIdProto *opsets[1];
    size_t *to;
    Onnx__ValueInfoProto **outputs;
    struct ws_declaration *declared;
};

/* The version of the standard operators that the model asks for. One that has none gets
 * the codecs' own. */
static int64_t opset_of(const Onnx__ModelProto *model)
{
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = ws_proto_text(model->opset_import[i]->domain);
        if (domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0)
            return model->opset_import[i]->version;
    }
    return WS_CODEC_OPSET;
}

static int side_merge_codec(struct side *side, const struct export *export,
                            struct ws_error *err)
{
    int64_t opset = opset_of(ws_model_proto(export->cuts->graph->model));
    int rc = ws_builder_create(&side->builder, "codec", opset, err);
    if (rc != 0)
        return rc;
    ws_coding_declare(side->builder, export->coding, side->codec_side);
    rc = ws_coding_nodes(side->builder, export->coding, side->codec_side, opset, err);
    if (rc == 0)
        rc = ws_builder_status(side->builder, err);
    if (rc != 0)
        return rc;
    const Onnx__GraphProto *extra = ws_builder_graph(side->builder);
    struct ws_segment_spec *spec = &side->spec;
    spec->extra_weights = extra->initializer;
    spec->extra_weight_count = extra->n_initializer;
    if (side->codec_side == WS_CODEC_ENCODE) {
        spec->epilogue = extra->node;
        spec->epilogue_count = extra->n_node;
    } else {
        spec->prologue = extra->node;
        spec->prologue_count = extra->n_node;
        spec->inputs = extra->input;
        spec->input_count = extra->n_input;
    }
    onnx__operator_set_id_proto__init(&side->opset);
    side->opset.has_version = 1;
    side->opset.version = opset;
    side->opsets[0] = &side->opset;
    spec->opsets = side->opsets;
    spec->opset_count = 1;
    return 0;
}

/* A passing tensor that is an output of the model as well is listed once. */
static int is_wire(const struct ws_coding *coding, const char *name)
{
    for (size_t i = 0; i < ws_coding_wire_count(coding); i++) {
        if (strcmp(ws_coding_wire(coding, i)->name, name) == 0)
            return 1;
    }
    return 0;
}

/* The head's outputs: what travels, then the model's own. */
static int side_list_outputs(struct side *side, const struct export *export,
                             const size_t *early, size_t early_count,
                             struct ws_error *err)
{
    const Onnx__GraphProto *extra = ws_builder_graph(side->builder);
    side->outputs = calloc(extra->n_output + early_count + 1, sizeof(*side->outputs));
    side->declared = calloc(early_count + 1, sizeof(*side->declared));
    if (side->outputs == NULL || side->declared == NULL)
        return ws_error_nomem(err);
    size_t count = extra->n_output;
    memcpy(side->outputs, extra->output, count * sizeof(*side->outputs));
    for (size_t i = 0; i < early_count; i++) {
        const struct ws_value *value = &export->cuts->graph->values[early[i]];
        ws_declaration_init(&side->declared[i], value);
        if (!is_wire(export->coding, value->name))
            side->outputs[count++] = &side->declared[i].info;
    }
    side->spec.outputs = side->outputs;
    side->spec.output_count = count;
    return 0;
}

static int head_fill(struct side *side, const struct export *export, struct ws_error *err)
{
    const struct ws_graph *graph = export->cuts->graph;
    size_t crossing = export->cut->tensor_count;
    memcpy(side->to, export->cut->tensors, crossing * sizeof(*side->to));
    size_t *early = side->to + crossing;
    size_t early_count = ws_cut_outputs(early, export->cuts, export->cut->number, 0);
    side->spec.from = graph->inputs;
    side->spec.from_count = graph->input_count;
    side->spec.to_count = crossing + early_count;
    return side_list_outputs(side, export, early, early_count, err);
}

static void tail_fill(struct side *side, const struct export *export)
{
    side->spec.from = export->cut->tensors;
    side->spec.from_count = export->cut->tensor_count;
    side->spec.to_count = ws_cut_outputs(side->to, export->cuts, export->cut->number, 1);
}

static void side_fini(struct side *side)
{
    ws_builder_destroy(side->builder);
    free(side->to);
    free(side->outputs);
    free(side->declared);
}

static int write_side(size_t *out_nodes, const struct export *export,
                      enum ws_codec_side codec_side, struct ws_error *err)
{
    const struct ws_graph *graph = export->cuts->graph;
    const char *name = codec_side == WS_CODEC_ENCODE ? "head" : "tail";
    struct side side = {.codec_side = codec_side};
    struct ws_segment *segment = NULL;
    struct ws_buf path;
    ws_buf_init(&path, 0);
    int rc = ws_buf_printf(&path, err, "%s/%s.onnx", export->options->dir, name);
    if (rc != 0)
        goto out;
    side.to = calloc(export->cut->tensor_count + graph->output_count + 1, sizeof(size_t));
    if (side.to == NULL) {
        rc = ws_error_nomem(err);
        goto out;
    }
    metadata_init(&side.metadata, export, name);
    side.spec.to = side.to;
    side.spec.metadata = side.metadata.list;
    side.spec.metadata_count = METADATA_COUNT;
    side.spec.weights = export->options->external ? WS_WEIGHTS_FILE : WS_WEIGHTS_INLINE;
    side.spec.weights_file = &export->weights;
    rc = side_merge_codec(&side, export, err);
    if (rc == 0 && codec_side == WS_CODEC_ENCODE)
        rc = head_fill(&side, export, err);
    else if (rc == 0)
        tail_fill(&side, export);
    if (rc == 0)
        rc = ws_segment_write(path.data, &segment, graph, &side.spec, err);
    if (rc == 0)
        *out_nodes = segment->node_count;
out:
    ws_segment_destroy(segment);
    side_fini(&side);
    ws_buf_fini(&path);
    return rc;
}

int ws_export_cut(struct ws_export_facts *out, const struct ws_cuts *cuts,
                  const struct ws_export_options *options, struct ws_error *err)
{
    struct ws_model *model = cuts->graph->model;
    struct export export = {
        .cuts = cuts, .cut = &cuts->cuts[options->cut], .options = options};
    if (options->cut == 0 || options->cut + 1 >= cuts->count)
        return ws_error_set(err, WS_E_USAGE,
                            "cut %zu leaves all work on one side, which is the model "
                            "itself",
                            options->cut);
    ws_buf_init(&export.names, 0);
    int rc = ws_model_digest(export.digest, model, err);
    if (rc == 0)
        rc = join_names(&export, err);
    if (rc == 0)
        rc = create_coding(&export, err);
    if (rc == 0)
        rc = ws_dir_create(options->dir, err);
    if (rc == 0 && options->external)
        rc = ws_weights_export(&export.weights, model, options->dir, "weights.bin", err);
    if (rc == 0)
        rc = write_side(&export.facts.head_nodes, &export, WS_CODEC_ENCODE, err);
    if (rc == 0)
        rc = write_side(&export.facts.tail_nodes, &export, WS_CODEC_DECODE, err);
    if (rc == 0 && out != NULL)
        *out = export.facts;
    ws_coding_destroy(export.coding);
    ws_weights_file_fini(&export.weights);
    ws_buf_fini(&export.names);
    return rc;
}
