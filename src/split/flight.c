#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "split/executor_impl.h"
#include "split/sharing.h"

struct ws_flight {
    struct ws_executor *executor;
    const struct ws_executor_way *way;
    const struct ws_datum *inputs;
    double batch;               /* samples in them: the way's work is of one */
    struct ws_sharing *sharing; /* while its share is not settled */
    struct ws_passage *passage; /* from then on */
    struct ws_claim claim;      /* on the edge's meter */
    int has_claim;              /* until the outcome is told */
    int64_t start_ns, head_end_ns;
    int64_t head_ns; /* what the head took, stretched */
    /* Of an emulated edge: waiting that stretched its work, its energy, and what this
     * machine was too slow by. */
    int64_t waited_ns, late_ns;
    double head_j, local_j, beside_j;
    double edge_j;          /* of a metered edge */
    int edge_rc;            /* whether that is known */
    atomic_int is_answered; /* whoever still asks may stop */
    pthread_mutex_t lock;   /* over: */
    int64_t failed_ns;      /* exchanges that brought nothing */
    int64_t end_ns;         /* of the last phase */
};

/* Lets what ran here since start_ns, spent_ns by the passage's account, take as long as
 * on the emulated board. Where it was through in time, that is the time it counts for:
 * that a busy machine wakes us late is nothing the emulated one would do. */
static int stretch(struct ws_flight *flight, double *out_j, const struct ws_work *work,
                   int64_t start_ns, int64_t spent_ns, struct ws_error *err)
{
    const struct ws_executor *executor = flight->executor;
    struct ws_work all = *work;
    double modelled_ms = 0;
    if (executor->board == NULL)
        return 0;
    ws_work_scale(&all, flight->batch);
    int rc = ws_board_predict(&modelled_ms, out_j, executor->board, &executor->board_now,
                              &all, err);
    if (rc != 0)
        return rc;
    int64_t late_ns = spent_ns - (int64_t)(modelled_ms * 1e6);
    (void)ws_stretch_until(start_ns, modelled_ms);
    if (late_ns < 0)
        flight->waited_ns -= late_ns;
    flight->late_ns = late_ns > flight->late_ns ? late_ns : flight->late_ns;
    return 0;
}

/* The edge's half of shared maps; else nothing. */
static int start_beside(struct ws_flight *flight, struct ws_error *err)
{
    const struct ws_executor *executor = flight->executor;
    struct ws_work work = flight->way->work.beside;
    double modelled_ms = 0;
    int rc = 0;
    ws_work_scale(&work, flight->batch);
    if (executor->parts != NULL && executor->board != NULL)
        rc = ws_board_predict(&modelled_ms, &flight->beside_j, executor->board,
                              &executor->board_now, &work, err);
    return rc == 0 ? ws_passage_beside(flight->passage, modelled_ms, err) : rc;
}

/* The product of the dimensions that the model leaves open, of its first input. */
static double batch_of(const struct ws_executor_way *way, const struct ws_datum *inputs)
{
    const struct ws_graph *graph =
        ws_splitter_graph(way->lane->splitters[way->place.head_variant]);
    const struct ws_value *value = &graph->values[graph->inputs[0]];
    double batch = 1;
    for (size_t i = 0; value->has_shape && i < value->rank; i++) {
        if (value->dims[i] < 0 && i < inputs[0].tensor.rank)
            batch *= (double)inputs[0].tensor.dims[i];
    }
    return batch;
}

int ws_executor_look(struct ws_flight **out, struct ws_executor *executor,
                     const struct ws_setting *setting, const struct ws_datum *inputs,
                     struct ws_error *err)
{
    struct ws_executor_way *way = NULL;
    int rc = ws_executor_way_of(&way, executor, setting, err);
    if (rc != 0)
        return rc;
    struct ws_flight *flight = calloc(1, sizeof(*flight));
    if (flight == NULL)
        return ws_error_nomem(err);
    pthread_mutex_init(&flight->lock, NULL);
    flight->executor = executor;
    flight->inputs = inputs;
    flight->batch = batch_of(way, inputs);
    flight->start_ns = ws_clock_now_ns();
    flight->edge_rc = WS_E_UNKNOWN;
    if (executor->claims != NULL) {
        flight->claim = ws_claims_begin(executor->claims);
        flight->start_ns = flight->claim.start_ns;
        flight->has_claim = 1;
    }
    if (executor->parts != NULL)
        rc = ws_sharing_start(&flight->sharing, way->lane->halves, inputs, err);
    if (rc != 0)
        ws_flight_destroy(flight);
    else
        *out = flight;
    return rc;
}

static int start_passage(struct ws_flight *flight, struct ws_error *err)
{
    if (flight->sharing == NULL)
        return ws_passage_start(&flight->passage, flight->way->route, flight->inputs,
                                err);
    int rc = ws_passage_start_shared(&flight->passage, flight->way->route,
                                     flight->sharing, err);
    if (rc == 0)
        flight->sharing = NULL; /* the passage's now */
    return rc;
}

int ws_executor_go_on(struct ws_flight *flight, const struct ws_setting *setting,
                      struct ws_error *err)
{
    struct ws_executor_way *way = NULL;
    int rc = ws_executor_way_of(&way, flight->executor, setting, err);
    flight->way = way;
    if (rc == 0)
        rc = start_passage(flight, err);
    if (rc == 0 && !way->place.has_tail)
        rc = ws_passage_finish(flight->passage, err);
    if (rc == 0)
        rc = stretch(flight, &flight->head_j, &way->work.head, flight->start_ns,
                     ws_passage_times(flight->passage)->total_ns, err);
    if (rc == 0)
        rc = start_beside(flight, err);
    flight->end_ns = flight->head_end_ns = ws_clock_now_ns();
    flight->head_ns = flight->end_ns - flight->start_ns;
    if (rc == 0 && flight->executor->board != NULL)
        flight->head_ns = ws_passage_times(flight->passage)->total_ns + flight->waited_ns;
    return rc;
}

int ws_executor_head(struct ws_flight **out, struct ws_executor *executor,
                     const struct ws_setting *setting, const struct ws_datum *inputs,
                     struct ws_error *err)
{
    struct ws_flight *flight = NULL;
    int rc = ws_executor_look(&flight, executor, setting, inputs, err);
    if (rc == 0)
        rc = ws_executor_go_on(flight, setting, err);
    if (rc != 0)
        ws_flight_destroy(flight);
    else
        *out = flight;
    return rc;
}

/* A phase that took from `start_ns` until now came to `rc`. The first answer stops
 * whoever else is asked for one, and what comes of that is no failure. */
static int settle(struct ws_flight *flight, int64_t start_ns, int rc)
{
    int64_t now = ws_clock_now_ns();
    if (rc == 0)
        atomic_store(&flight->is_answered, 1);
    else if (atomic_load(&flight->is_answered))
        return WS_E_END;
    if (rc == WS_E_END)
        return rc;
    pthread_mutex_lock(&flight->lock);
    flight->end_ns = now;
    if (rc != 0)
        flight->failed_ns += now - start_ns;
    pthread_mutex_unlock(&flight->lock);
    return rc;
}

int ws_executor_remote(struct ws_flight *flight, const char *url, int64_t timeout_ms,
                       struct ws_error *err)
{
    struct ws_pool *pool = flight->executor->pool;
    struct ws_remote_options options = {.url = url,
                                        .identity = flight->executor->identity,
                                        .timeout_ms = timeout_ms,
                                        .stop = &flight->is_answered};
    struct ws_remote *remote = NULL;
    int64_t start = ws_clock_now_ns();
    ws_passage_describe(&options, flight->passage);
    int rc = ws_pool_take(&remote, pool, &options, err);
    if (rc == 0) {
        /* A connection that had to be opened has used some of the time. */
        int64_t spent_ms = (ws_clock_now_ns() - start) / 1000000;
        if (timeout_ms > 0)
            ws_remote_limit(remote, timeout_ms > spent_ms ? timeout_ms - spent_ms : 1);
        rc = ws_passage_send(flight->passage, remote, err);
        /* After an answer of any kind the connection is as good as before. */
        ws_pool_give(pool, url, remote, rc == 0 || rc == WS_E_END || rc == WS_E_REMOTE);
    }
    return settle(flight, start, rc);
}

int ws_executor_warm(struct ws_executor *executor, const char *url, int64_t timeout_ms,
                     struct ws_error *err)
{
    int rc = 0;
    if (ws_pool_has(executor->pool, url))
        return 0;
    for (struct ws_executor_way *way = executor->ways; way != NULL; way = way->next) {
        struct ws_remote_options options = {
            .url = url, .identity = executor->identity, .timeout_ms = timeout_ms};
        struct ws_remote *remote = NULL;
        if (!way->place.has_tail)
            continue;
        ws_route_describe(&options, way->route);
        rc = ws_pool_take(&remote, executor->pool, &options, err);
        if (rc == 0)
            ws_pool_give(executor->pool, url, remote, 1);
        else if (rc != WS_E_REMOTE && rc != WS_E_MISMATCH) /* a tail that it lacks */
            break;
    }
    return rc;
}

int ws_executor_local(struct ws_flight *flight, struct ws_error *err)
{
    int64_t start = ws_clock_now_ns();
    int rc = ws_passage_finish(flight->passage, err);
    if (rc == 0)
        rc = stretch(flight, &flight->local_j, &flight->way->work.local, start,
                     ws_passage_times(flight->passage)->local_ns, err);
    return settle(flight, start, rc);
}

void ws_executor_again(struct ws_flight *flight)
{
    ws_passage_again(flight->passage);
    flight->failed_ns = 0;
    atomic_store(&flight->is_answered, 0);
    flight->local_j = 0;
}

int ws_flight_is_done(const struct ws_flight *flight)
{
    return ws_passage_is_done(flight->passage);
}

const struct ws_datum *ws_flight_outputs(const struct ws_flight *flight,
                                         size_t *out_count)
{
    return ws_passage_outputs(flight->passage, out_count);
}

const struct ws_graph *ws_flight_graph(const struct ws_flight *flight)
{
    return ws_passage_graph(flight->passage);
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

double ws_flight_head_ms(const struct ws_flight *flight)
{
    return ms(flight->head_ns);
}

int ws_flight_head_energy(double *out_j, const struct ws_flight *flight,
                          struct ws_error *err)
{
    const struct ws_executor *executor = flight->executor;
    struct ws_energy energy;
    if (executor->board != NULL) {
        *out_j = flight->head_j;
        return 0;
    }
    if (executor->sampler == NULL)
        return ws_error_set(err, WS_E_UNKNOWN, "the edge has no meter");
    int rc = ws_sampler_energy(&energy, executor->sampler, 0, flight->start_ns,
                               flight->head_end_ns, err);
    if (rc == 0)
        *out_j = energy.energy_j;
    return rc;
}

int ws_flight_attention(double *out, const struct ws_flight *flight, struct ws_error *err)
{
    return flight->sharing != NULL ? ws_sharing_attention(out, flight->sharing, err)
           : flight->passage != NULL
               ? ws_passage_attention(out, flight->passage, err)
               : ws_error_set(err, WS_E_UNKNOWN, "no feature maps are shared");
}

int64_t ws_flight_late_ns(const struct ws_flight *flight)
{
    int64_t beside_ns = ws_passage_times(flight->passage)->beside_late_ns;
    return beside_ns > flight->late_ns ? beside_ns : flight->late_ns;
}

/* What the edge did while it waited. */
static int64_t hidden_ns(const struct ws_flight *flight)
{
    const struct ws_passage_times *times = ws_passage_times(flight->passage);
    int64_t away_ns = times->exchange_ns + flight->failed_ns;
    return times->beside_ns < away_ns ? times->beside_ns : away_ns;
}

/* Latency and its parts. */
static void tell_times(struct ws_outcome *out, const struct ws_flight *flight)
{
    const struct ws_passage_times *times = ws_passage_times(flight->passage);
    int64_t edge_ns = times->total_ns - times->exchange_ns + flight->waited_ns;
    int64_t away_ns = times->exchange_ns + flight->failed_ns;
    int was_asked = times->exchange_ns > 0;
    ws_outcome_set(out, WS_LATENCY_MS, ms(edge_ns + away_ns));
    ws_outcome_set(out, WS_EDGE_MS, ms(edge_ns + hidden_ns(flight)));
    if (flight->executor->parts != NULL)
        ws_outcome_set(out, WS_BESIDE_MS, ms(times->beside_ns));
    if (!was_asked || times->is_told) {
        int64_t cloud_ns = was_asked ? times->node.total_ns : 0;
        ws_outcome_set(out, WS_TRANSFER_MS, ms(away_ns - cloud_ns));
        ws_outcome_set(out, WS_CLOUD_MS, ms(cloud_ns));
    }
    /* What an encoding made of the tensors is what crosses. */
    ws_outcome_set(out, WS_TENSOR_BYTES,
                   times->sent_bytes > 0 && times->sent_bytes < times->tensor_bytes
                       ? (double)times->sent_bytes
                       : (double)times->tensor_bytes);
}

/* The edge's energy, what it draws while it waits included. */
static int edge_energy(double *out_j, struct ws_flight *flight)
{
    const struct ws_executor *executor = flight->executor;
    struct ws_energy energy = {0};
    if (executor->board != NULL) {
        int64_t idle_ns = ws_passage_times(flight->passage)->exchange_ns +
                          flight->failed_ns - hidden_ns(flight);
        *out_j = flight->head_j + flight->local_j + flight->beside_j +
                 ws_board_idle_w(executor->board) * (double)idle_ns / 1e9;
        return 0;
    }
    if (flight->has_claim) {
        flight->edge_rc =
            ws_claims_end(&energy, executor->claims, flight->claim, flight->end_ns, NULL);
        flight->edge_j = energy.energy_j;
        flight->has_claim = 0;
    }
    *out_j = flight->edge_j;
    return flight->edge_rc;
}

void ws_flight_outcome(struct ws_outcome *out, struct ws_flight *flight)
{
    double edge_j = 0, cloud_j = 0;
    *out = (struct ws_outcome){.truth = flight->executor->board != NULL ? WS_MODELLED
                                                                        : WS_MEASURED};
    tell_times(out, flight);
    const struct ws_passage_times *times = ws_passage_times(flight->passage);
    /* What nodes did for answers that did not come in time nobody tells. */
    if (times->exchange_ns == 0 && flight->failed_ns == 0)
        ws_outcome_set(out, WS_CLOUD_ENERGY_J, 0);
    if (times->cloud.is_known && flight->failed_ns == 0) {
        ws_outcome_set(out, WS_CLOUD_ENERGY_J, times->cloud.energy_j);
        /* One modelled part makes the sum modelled. */
        if (times->cloud.truth != WS_MEASURED)
            out->truth = times->cloud.truth;
    }
    if (edge_energy(&edge_j, flight) == 0)
        ws_outcome_set(out, WS_EDGE_ENERGY_J, edge_j);
    if (ws_outcome_knows(out, WS_EDGE_ENERGY_J) &&
        ws_outcome_get(&cloud_j, out, WS_CLOUD_ENERGY_J) == 0)
        ws_outcome_set(out, WS_ENERGY_J, edge_j + cloud_j);
}

void ws_flight_destroy(struct ws_flight *flight)
{
    if (flight == NULL)
        return;
    if (flight->has_claim)
        (void)ws_claims_end(NULL, flight->executor->claims, flight->claim,
                            ws_clock_now_ns(), NULL);
    ws_sharing_destroy(flight->sharing);
    ws_passage_destroy(flight->passage);
    pthread_mutex_destroy(&flight->lock);
    free(flight);
}
