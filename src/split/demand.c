#include "split/demand.h"

void ws_work_of_segment(struct ws_work *out, const struct ws_cuts *cuts, size_t from,
                        size_t to)
{
    const struct ws_graph *graph = cuts->graph;
    *out = (struct ws_work){0};
    if (from >= to)
        return;
    size_t end = to + 1 == cuts->count ? graph->node_count : cuts->cuts[to].position;
    ws_graph_work(out, graph, cuts->cuts[from].position, end);
    if (from > 0)
        out->crossing_bytes += (double)cuts->cuts[from].bytes;
    if (to + 1 < cuts->count)
        out->crossing_bytes += (double)cuts->cuts[to].bytes;
}

/* What is left of a tensor of this type; what is as small already passes unchanged. */
static double share_of(enum ws_dtype dtype, enum ws_codec codec)
{
    double bits = (double)ws_dtype_bits(dtype);
    double wanted = codec == WS_CODEC_NONE ? bits : codec == WS_CODEC_FP16 ? 16 : 8;
    int is_float = dtype == WS_DTYPE_FP32 || dtype == WS_DTYPE_FP64 ||
                   dtype == WS_DTYPE_FP16 || dtype == WS_DTYPE_BF16;
    return is_float && wanted < bits ? wanted / bits : 1;
}

double ws_work_wire_bytes(const struct ws_cuts *cuts, size_t number, enum ws_codec codec)
{
    const struct ws_cut *cut = &cuts->cuts[number];
    double sum = 0;
    for (size_t t = 0; t < cut->tensor_count; t++) {
        const struct ws_value *value = &cuts->graph->values[cut->tensors[t]];
        uint64_t bytes = 0;
        if (ws_value_bytes(&bytes, NULL, value, NULL) == 0)
            sum += (double)bytes * share_of(value->dtype, codec);
    }
    return sum;
}

void ws_work_add_codec(struct ws_work *work, const struct ws_cuts *cuts, size_t number,
                       enum ws_codec codec)
{
    double plain = ws_work_wire_bytes(cuts, number, WS_CODEC_NONE);
    double coded = ws_work_wire_bytes(cuts, number, codec);
    if (coded < plain)
        work->bytes[WS_WORK_OTHER] += plain + coded;
}
