#include <stdlib.h>
#include <string.h>

#include "onnx/cut.h"
#include "onnx/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef WS_FUZZER
#include "structure.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);

/* One mutation in eight is libFuzzer's own, which may break the frame. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return seed % 8 == 0 ? LLVMFuzzerMutate(data, size, max_size)
                         : structure_mutate_proto(data, size, max_size, seed);
}
#endif

enum { CUTS_TRIED = 8 };

/* A segment that was written must be a model that opens, with a graph without faults. */
static void check_bytes(const struct ws_buf *buf)
{
    struct ws_model *model = NULL;
    struct ws_graph *graph = NULL;
    if (ws_model_open_bytes(&model, (const uint8_t *)buf->data, buf->size, NULL) != 0 ||
        ws_graph_create(&graph, model, NULL) != 0)
        __builtin_trap();
    ws_graph_destroy(graph);
    ws_model_close(model);
}

/* Both sides of every cut must be found; whether they can be written depends on types
 * that only a runtime may know. */
static void check_side(const struct ws_graph *graph, const size_t *from,
                       size_t from_count, const size_t *to, size_t to_count)
{
    struct ws_segment *segment = NULL;
    struct ws_buf buf;
    if (ws_segment_create(&segment, graph, from, from_count, to, to_count, NULL) != 0)
        __builtin_trap();
    ws_segment_destroy(segment);
    struct ws_segment_spec spec = {.from = from,
                                   .from_count = from_count,
                                   .to = to,
                                   .to_count = to_count,
                                   .weights = WS_WEIGHTS_INLINE};
    ws_buf_init(&buf, 0);
    if (ws_segment_build(&buf, NULL, graph, &spec, NULL) == 0)
        check_bytes(&buf);
    ws_buf_fini(&buf);
}

static void check_cut(const struct ws_cuts *cuts, size_t number)
{
    const struct ws_graph *graph = cuts->graph;
    const struct ws_cut *cut = &cuts->cuts[number];
    size_t *to = calloc(cut->tensor_count + graph->output_count + 1, sizeof(*to));
    if (to == NULL)
        return;
    if (cut->tensor_count > 0)
        memcpy(to, cut->tensors, cut->tensor_count * sizeof(*to));
    size_t count = cut->tensor_count;
    count += ws_cut_outputs(to + count, cuts, number, 0);
    check_side(graph, graph->inputs, graph->input_count, to, count);
    count = ws_cut_outputs(to, cuts, number, 1);
    check_side(graph, cut->tensors, cut->tensor_count, to, count);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_model *model = NULL;
    struct ws_graph *graph = NULL;
    struct ws_cuts *cuts = NULL;
    const struct ws_dim dim = {.name = "n", .size = 2};
    if (ws_model_open_bytes(&model, data, size, NULL) == 0 &&
        ws_graph_create(&graph, model, NULL) == 0 &&
        ws_graph_infer_shapes(graph, NULL, NULL, &dim, 1, NULL) == 0 &&
        ws_cuts_create(&cuts, graph, NULL) == 0) {
        for (size_t i = 0; i < cuts->count && i < CUTS_TRIED; i++)
            check_cut(cuts, i);
        check_cut(cuts, cuts->count - 1);
    }
    ws_cuts_destroy(cuts);
    ws_graph_destroy(graph);
    ws_model_close(model);
    return 0;
}
