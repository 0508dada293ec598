#include "profile/accuracy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "split/compare.h"
#include "split/halves.h"

enum { BATCH = 32 };

/* Elements of one sample as the model wants them; WS_E_TYPE where the data is none. */
static int sample_count(uint64_t *out, const struct ws_graph *graph,
                        const struct ws_labelled *data, struct ws_error *err)
{
    char wanted[128], got[128];
    const struct ws_value *input = &graph->values[graph->inputs[0]];
    uint64_t wants = 1, has = 1;
    for (size_t i = 1; i < input->rank; i++)
        wants *= input->dims[i] > 0 ? (uint64_t)input->dims[i] : 1;
    for (size_t i = 1; i < data->samples.rank; i++)
        has *= (uint64_t)data->samples.dims[i];
    int converts = data->samples.dtype == WS_DTYPE_UINT8 && input->dtype == WS_DTYPE_FP32;
    if (graph->input_count == 1 && input->has_shape && input->rank > 0 && wants == has &&
        (input->dtype == data->samples.dtype || converts)) {
        *out = wants;
        return 0;
    }
    ws_tensor_describe(wanted, sizeof(wanted), input->dtype, input->dims,
                       input->has_shape ? input->rank : 0);
    ws_tensor_describe(got, sizeof(got), data->samples.dtype, data->samples.dims,
                       data->samples.rank);
    return ws_error_set(err, WS_E_TYPE, "the data is %s, and %s wants %s%s", got,
                        ws_model_path(graph->model), wanted,
                        graph->input_count == 1 ? "" : " and other inputs");
}

int ws_accuracy_check(const struct ws_accuracy_options *options, size_t variant_count,
                      struct ws_error *err)
{
    uint64_t count = 0;
    int rc = 0;
    for (size_t v = 0; rc == 0 && v < variant_count; v++)
        rc = sample_count(&count,
                          ws_splitter_graph(ws_executor_splitter(options->executor, v)),
                          options->data, err);
    return rc;
}

/* Samples first .. first + count - 1 as the model's input. */
static int take_batch(struct ws_tensor *out, const struct ws_accuracy_options *options,
                      const struct ws_graph *graph, size_t first, size_t count,
                      struct ws_error *err)
{
    const struct ws_value *input = &graph->values[graph->inputs[0]];
    int64_t dims[WS_TENSOR_RANK_MAX];
    uint64_t elements = 0;
    int rc = sample_count(&elements, graph, options->data, err);
    for (size_t i = 0; i < input->rank; i++)
        dims[i] = i == 0 ? (int64_t)count : input->dims[i] > 0 ? input->dims[i] : 1;
    if (rc == 0)
        rc = ws_tensor_init(out, input->dtype, dims, input->rank, err);
    if (rc != 0)
        return rc;
    size_t bytes = options->data->samples.size_bytes / options->data->count;
    const uint8_t *from = (const uint8_t *)options->data->samples.data + first * bytes;
    if (input->dtype == options->data->samples.dtype) {
        memcpy(out->data, from, out->size_bytes);
        return 0;
    }
    for (uint64_t i = 0; i < elements * count; i++)
        ((float *)out->data)[i] = (float)(from[i] * options->scale);
    return 0;
}

/* How many rows of the first output have their largest element at the label. */
static int count_right(size_t *right, const struct ws_passage *passage,
                       const int64_t *labels, size_t count, struct ws_error *err)
{
    size_t outputs = 0;
    const struct ws_datum *datum = ws_passage_outputs(passage, &outputs);
    const struct ws_tensor *scores = &datum[0].tensor;
    uint64_t elements = 0;
    int rc = ws_shape_count(&elements, scores->dims, scores->rank, err);
    if (rc == 0 && (scores->rank < 1 || elements % count != 0 || elements < count))
        rc =
            ws_error_set(err, WS_E_TYPE, "the first output is no row of scores a sample");
    size_t row = rc == 0 ? (size_t)(elements / count) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        *right += ws_compare_argmax(scores, i * row, row) == (size_t)labels[i];
    return rc;
}

/* What takes the samples: the head, or the extractor, whose maps the head only codes. */
static const struct ws_graph *input_graph(const struct ws_accuracy_options *options,
                                          const struct ws_route_options *route)
{
    return ws_splitter_graph(
        route->halves != NULL ? ws_executor_splitter(options->executor, 0) : route->head);
}

/* A model of a fixed batch leaves out what does not fill one. */
static int run_all(size_t *out_right, size_t *out_count,
                   const struct ws_accuracy_options *options,
                   const struct ws_route_options *route_options, struct ws_error *err)
{
    const struct ws_graph *graph = input_graph(options, route_options);
    int64_t fixed = graph->values[graph->inputs[0]].dims[0];
    size_t most = fixed > 0 ? (size_t)fixed : BATCH;
    size_t right = 0, count = options->data->count;
    if (fixed > 0)
        count -= count % most;
    if (count == 0)
        return ws_error_set(err, WS_E_MISMATCH, "%zu samples fill no batch of %zu",
                            options->data->count, most);
    struct ws_route *route = NULL;
    if (most == BATCH)
        count = options->data->count;
    int rc = ws_route_create(&route, route_options, err);
    for (size_t first = 0; rc == 0 && first < count; first += most) {
        size_t batch = count - first < most ? count - first : most;
        struct ws_datum input = {.kind = WS_DATUM_TENSOR};
        struct ws_passage *passage = NULL;
        rc = take_batch(&input.tensor, options, graph, first, batch, err);
        if (rc == 0)
            rc = ws_passage_start(&passage, route, &input, err);
        if (rc == 0)
            rc = ws_passage_beside(passage, 0, err);
        if (rc == 0)
            rc = ws_passage_rehearse(passage, err);
        if (rc == 0)
            rc = count_right(&right, passage, options->data->labels + first, batch, err);
        ws_passage_destroy(passage);
        ws_datum_fini(&input);
    }
    ws_route_destroy(route);
    *out_right = right;
    *out_count = count;
    return rc;
}

/* Of a share: the parts, how many maps go, and how they are coded. */
static int make_shared_key(struct ws_buf *key, const struct ws_accuracy_options *options,
                           const struct ws_executor_place *place, struct ws_error *err)
{
    char parts[WS_DIGEST_TEXT];
    const struct ws_halves *halves = ws_executor_halves(options->executor);
    int rc = ws_parts_digest(parts, ws_halves_parts(halves), err);
    return rc == 0 ? ws_buf_printf(key, err, "data %s scale %g parts %s share %g %s",
                                   options->data->digest, options->scale, parts,
                                   place->share, ws_codec_name(place->codec))
                   : rc;
}

static int make_key(struct ws_buf *key, const struct ws_accuracy_options *options,
                    const struct ws_executor_place *place, struct ws_error *err)
{
    char head[WS_DIGEST_TEXT], tail[WS_DIGEST_TEXT];
    if (ws_executor_halves(options->executor) != NULL)
        return make_shared_key(key, options, place, err);
    const struct ws_cuts *cuts =
        ws_splitter_cuts(ws_executor_splitter(options->executor, place->head_variant));
    const struct ws_cuts *tails =
        ws_splitter_cuts(ws_executor_splitter(options->executor, place->tail_variant));
    int rc = ws_model_digest(head, cuts->graph->model, err);
    if (rc == 0)
        rc = ws_model_digest(tail, tails->graph->model, err);
    return rc == 0 ? ws_buf_printf(key, err, "data %s scale %g head %s tail %s cut %s %s",
                                   options->data->digest, options->scale, head, tail,
                                   cuts->cuts[place->head_cut].id,
                                   ws_codec_name(place->codec))
                   : rc;
}

/* A cut of one model without a codec is the model, whole; and without anything sent no
 * codec matters. */
static void simplify(struct ws_executor_place *place,
                     const struct ws_accuracy_options *options)
{
    if (!place->has_tail)
        place->codec = WS_CODEC_NONE;
    if (ws_executor_halves(options->executor) != NULL ||
        (place->has_tail &&
         (place->head_variant != place->tail_variant || place->codec != WS_CODEC_NONE)))
        return;
    const struct ws_cuts *cuts =
        ws_splitter_cuts(ws_executor_splitter(options->executor, place->head_variant));
    place->tail_variant = place->head_variant;
    place->head_cut = place->tail_cut = cuts->count - 1;
}

/* The way of a request, both ends of it here. */
static struct ws_route_options route_of(const struct ws_accuracy_options *options,
                                        const struct ws_executor_place *place)
{
    struct ws_executor *executor = options->executor;
    struct ws_splitter *tail = ws_executor_splitter(executor, place->tail_variant);
    struct ws_route_options route = {.head = tail,
                                     .codec = place->codec,
                                     .model_name = "data",
                                     .halves = ws_executor_halves(executor),
                                     .share = place->share};
    if (route.halves != NULL)
        return route;
    route.head = ws_executor_splitter(executor, place->head_variant);
    route.cut = place->head_cut;
    route.tail = tail;
    route.tail_cut = place->tail_cut;
    return route;
}

int ws_accuracy_of(double *out, const struct ws_accuracy_options *options,
                   const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_executor_place place;
    struct ws_buf key;
    size_t right = 0, count = options->data->count;
    ws_buf_init(&key, 0);
    int rc = ws_executor_locate(&place, options->executor, setting, err);
    if (rc == 0) {
        simplify(&place, options);
        rc = make_key(&key, options, &place, err);
    }
    if (rc == 0)
        rc = ws_study_find_accuracy(&right, &count, options->study, key.data, err);
    if (rc == 0) {
        const struct ws_route_options route = route_of(options, &place);
        rc = run_all(&right, &count, options, &route, err);
        if (rc == 0)
            rc = ws_study_put_accuracy(options->study, key.data, right, count, err);
    }
    ws_buf_fini(&key);
    if (rc < 0)
        return rc;
    *out = (double)right / (double)count;
    return 0;
}
