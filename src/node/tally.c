#include "node/tally.h"

#include "base/clock.h"

void ws_tally_init(struct ws_tally *tally)
{
    *tally = (struct ws_tally){0};
    (void)pthread_mutex_init(&tally->lock, NULL);
}

void ws_tally_fini(struct ws_tally *tally)
{
    (void)pthread_mutex_destroy(&tally->lock);
}

static void add(struct ws_oip_duration *duration, int64_t ns)
{
    duration->count++;
    duration->ns += ns > 0 ? (uint64_t)ns : 0;
}

void ws_tally_add(struct ws_tally *tally, const struct ws_tally_parts *parts)
{
    (void)pthread_mutex_lock(&tally->lock);
    struct ws_oip_stats *stats = &tally->stats;
    stats->last_inference_ms = (int64_t)(ws_clock_wall_s() * 1e3);
    stats->inference_count++;
    stats->execution_count++;
    add(&stats->success, parts->total_ns);
    add(&stats->queue, parts->queue_ns);
    add(&stats->compute_input, parts->input_ns);
    add(&stats->compute_infer, parts->compute_ns);
    add(&stats->compute_output, parts->output_ns);
    (void)pthread_mutex_unlock(&tally->lock);
}

void ws_tally_fail(struct ws_tally *tally, int64_t total_ns)
{
    (void)pthread_mutex_lock(&tally->lock);
    add(&tally->stats.fail, total_ns);
    (void)pthread_mutex_unlock(&tally->lock);
}

void ws_tally_read(struct ws_oip_stats *out, struct ws_tally *tally)
{
    (void)pthread_mutex_lock(&tally->lock);
    *out = tally->stats;
    (void)pthread_mutex_unlock(&tally->lock);
}
