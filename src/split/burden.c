#include "split/executor_impl.h"

static void count_cut(struct ws_executor_work *out, const struct ws_executor *executor,
                      const struct ws_executor_place *place)
{
    struct ws_splitter *const *splitters = executor->default_lane->splitters;
    const struct ws_cuts *heads = ws_splitter_cuts(splitters[place->head_variant]);
    const struct ws_cuts *tails = ws_splitter_cuts(splitters[place->tail_variant]);
    ws_work_of_segment(&out->head, heads, 0, place->head_cut);
    ws_work_add_codec(&out->head, heads, place->head_cut, place->codec);
    if (!place->has_tail)
        return;
    ws_work_of_segment(&out->tail, tails, place->tail_cut, tails->count - 1);
    ws_work_add_codec(&out->tail, tails, place->tail_cut, place->codec);
    out->local = out->tail;
    out->bytes = ws_work_wire_bytes(heads, place->head_cut, place->codec);
}

/* The cloud's inputs as one map and the bitmap are what its graph counts. */
static double shared_bytes(const struct ws_cuts *cloud, enum ws_codec codec, size_t maps,
                           size_t sent)
{
    double bitmap = (double)((maps + 7) / 8);
    double map = ws_work_wire_bytes(cloud, 0, codec) - bitmap;
    return bitmap + map * (double)sent;
}

/* The head is the extractor, and where nothing is sent the edge's tail too. */
static void count_share(struct ws_executor_work *out, const struct ws_executor *executor,
                        const struct ws_executor_place *place)
{
    const struct ws_executor_lane *lane = executor->default_lane;
    const struct ws_cuts *heads = ws_splitter_cuts(lane->splitters[WS_HEAD_PART]);
    const struct ws_cuts *cloud = ws_splitter_cuts(lane->splitters[WS_TAIL_PART]);
    size_t maps = executor->parts->map_count;
    size_t sent = ws_halves_secondary_count(lane->halves, place->share);
    ws_work_of_segment(&out->head, heads, 0, heads->count - 1);
    out->local = ws_halves_work_of(&executor->edge_half, maps);
    if (sent == 0) {
        ws_work_add(&out->head, &out->local);
        return;
    }
    if (sent < maps)
        out->beside = ws_halves_work_of(&executor->edge_half, maps - sent);
    out->tail = ws_halves_work_of(&executor->cloud_half, sent);
    out->bytes = shared_bytes(cloud, place->codec, maps, sent);
}

void ws_executor_count_work(struct ws_executor_work *out,
                            const struct ws_executor *executor,
                            const struct ws_executor_place *place)
{
    *out = (struct ws_executor_work){.has_tail = place->has_tail};
    if (executor->parts != NULL)
        count_share(out, executor, place);
    else
        count_cut(out, executor, place);
}

int ws_executor_work(struct ws_executor_work *out, struct ws_executor *executor,
                     const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_executor_place place;
    int rc = ws_executor_locate(&place, executor, setting, err);
    if (rc == 0)
        ws_executor_count_work(out, executor, &place);
    return rc;
}
