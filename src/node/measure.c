#include "node/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stats.h"
#include "node/batch.h"
#include "split/remote.h"

enum { MANY = 32, ROUNDS = 5, ROUNDS_MAX = 101, TIMEOUT_MS = 60000 };

/* Seconds of one request, medians of the rounds. */
struct request_times {
    double compute_s; /* on the node, by its own account; else the whole exchange */
    double rest_s;    /* the exchange without that */
    int knows_energy;
    double energy_j;
};

/* What was measured of one node and variant. */
struct figures {
    struct request_times one, many;
    size_t many_images;
};

static int take_request(double *compute_s, double *rest_s, double *energy_j,
                        struct ws_remote *remote, const struct ws_tensor *inputs,
                        size_t first, size_t count, struct ws_error *err)
{
    size_t row_bytes = inputs->size_bytes / (size_t)inputs->dims[0];
    struct ws_oip_tensor input = {.name = ws_remote_model(remote)->inputs[0].name,
                                  .tensor = *inputs};
    struct ws_oip_reply reply = {0};
    struct ws_remote_times times;
    input.tensor.dims[0] = (int64_t)count;
    input.tensor.size_bytes = count * row_bytes;
    input.tensor.data = (char *)inputs->data + first * row_bytes;
    int rc = ws_remote_infer(&reply, remote, &input, 1, &times, err);
    if (rc != 0)
        return rc;
    double exchange_s = (double)times.exchange_ns / 1e9;
    double node_s = times.node.is_known ? (double)times.node.total_ns / 1e9 : 0.0;
    *compute_s = times.node.is_known ? node_s : exchange_s;
    *rest_s = times.node.is_known ? fmax(0.0, exchange_s - node_s) : 0.0;
    json_t *joules = json_object_get(reply.parameters, "energy_j");
    *energy_j = json_is_number(joules) ? json_number_value(joules) : -1.0;
    ws_oip_reply_fini(&reply);
    return 0;
}

static int take_requests(struct request_times *out, struct ws_remote *remote,
                         const struct ws_measure_options *options, size_t count,
                         struct ws_error *err)
{
    double compute_s[ROUNDS_MAX], rest_s[ROUNDS_MAX], energy_j[ROUNDS_MAX];
    size_t rounds = options->rounds > 0 ? options->rounds : ROUNDS;
    size_t rows = (size_t)options->inputs->dims[0];
    int rc = 0;
    /* One more to begin with, which does not count. */
    for (size_t r = 0; rc == 0 && r <= rounds; r++) {
        size_t to = r > 0 ? r - 1 : 0;
        rc = take_request(&compute_s[to], &rest_s[to], &energy_j[to], remote,
                          options->inputs, r * count % (rows - count + 1), count, err);
    }
    if (rc != 0)
        return rc;
    *out = (struct request_times){.compute_s = ws_stats_median(compute_s, rounds),
                                  .rest_s = ws_stats_median(rest_s, rounds)};
    out->energy_j = ws_stats_median(energy_j, rounds);
    out->knows_energy = out->energy_j >= 0;
    return 0;
}

static int measure_one(struct figures *out, const struct ws_cluster_node *node,
                       const struct ws_cluster_variant *variant,
                       const struct ws_measure_options *options, struct ws_error *err)
{
    struct ws_remote *remote = NULL;
    size_t rows = (size_t)options->inputs->dims[0];
    const struct ws_remote_options to = {
        .url = node->url,
        .identity = options->identity,
        .name = variant->name,
        .timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS};
    out->many_images = options->many > 0 ? options->many : MANY;
    if (out->many_images > rows)
        out->many_images = rows;
    int rc = ws_remote_open(&remote, &to, err);
    if (rc == 0 && ws_remote_model(remote)->input_count != 1)
        rc = ws_error_set(err, WS_E_UNSUPPORTED, "\"%.100s\" has %zu inputs, not one",
                          variant->name, ws_remote_model(remote)->input_count);
    if (rc == 0)
        rc = take_requests(&out->one, remote, options, 1, err);
    if (rc == 0)
        rc = take_requests(&out->many, remote, options, out->many_images, err);
    ws_remote_close(remote);
    return rc == 0 ? 0
                   : ws_error_context(err, "node %.100s, variant %.100s", node->name,
                                      variant->name);
}

/* A straight line through two points, never below nothing. */
static double slope_of(double one, double many, size_t count)
{
    return fmax(0.0, (many - one) / (double)(count - 1));
}

/* The node's own figures are medians over its variants, which all cross the same link. */
static void take_figures(struct ws_cluster_node *node, const struct figures *figures,
                         size_t variant_count)
{
    double delay_s[WS_SHARE_LEVELS_MAX], send_s[WS_SHARE_LEVELS_MAX];
    double request_s[WS_SHARE_LEVELS_MAX];
    size_t seen = 0;
    for (size_t j = 0; j < variant_count; j++) {
        const struct figures *f = &figures[j];
        struct ws_cluster_speed *speed = &node->speeds[j];
        if (!speed->is_here)
            continue;
        speed->image_s = slope_of(f->one.compute_s, f->many.compute_s, f->many_images);
        /* Too quick to be told from a request's own cost: it is a part of that. */
        speed->image_s =
            fmax(speed->image_s, 1e-3 * f->many.compute_s / (double)f->many_images);
        speed->is_measured = 1;
        speed->knows_energy = f->many.knows_energy;
        speed->image_j =
            f->many.knows_energy ? f->many.energy_j / (double)f->many_images : 0.0;
        send_s[seen] = slope_of(f->one.rest_s, f->many.rest_s, f->many_images);
        delay_s[seen] = fmax(0.0, f->one.rest_s - send_s[seen]);
        request_s[seen] = fmax(0.0, f->one.compute_s - speed->image_s);
        seen++;
    }
    node->delay_s = ws_stats_median(delay_s, seen);
    node->send_s = ws_stats_median(send_s, seen);
    node->request_s = ws_stats_median(request_s, seen);
    node->is_measured = 1;
}

int ws_measure_top1(double *out, const struct ws_tensor *scores,
                    const struct ws_tensor *labels, struct ws_error *err)
{
    if (scores->dtype != WS_DTYPE_FP32 || scores->rank != 2 || scores->dims[0] < 1 ||
        scores->dims[1] < 1)
        return ws_error_set(err, WS_E_TYPE, "scores FP32[N,classes] are needed");
    if (labels->dtype != WS_DTYPE_INT64 || labels->rank != 1 ||
        labels->dims[0] != scores->dims[0])
        return ws_error_set(err, WS_E_TYPE, "labels INT64[%lld] are needed",
                            (long long)scores->dims[0]);
    size_t count = (size_t)scores->dims[0], classes = (size_t)scores->dims[1], right = 0;
    for (size_t i = 0; i < count; i++) {
        const float *row = (const float *)scores->data + i * classes;
        size_t best = 0;
        for (size_t c = 1; c < classes; c++)
            best = row[c] > row[best] ? c : best;
        right += ((const int64_t *)labels->data)[i] == (int64_t)best;
    }
    *out = (double)right / (double)count;
    return 0;
}

/* The whole cluster answers for one variant. */
static int measure_accuracy(struct ws_cluster *cluster, size_t j,
                            const struct ws_measure_options *options,
                            struct ws_error *err)
{
    struct ws_cluster *only = calloc(1, sizeof(*only));
    struct ws_batch_result *result = calloc(1, sizeof(*result));
    struct ws_cluster_variant *variant = &cluster->variants[j];
    const struct ws_batch_options batch = {
        .cluster = only, .inputs = options->inputs, .timeout_ms = options->timeout_ms};
    int rc = only == NULL || result == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0) { /* borrows its strings */
        only->model = cluster->model;
        only->variants[0] = *variant;
        only->variants[0].knows_accuracy = 1;
        only->variant_count = 1;
        for (size_t i = 0; i < cluster->node_count; i++) {
            if (!cluster->nodes[i].speeds[j].is_here)
                continue;
            only->nodes[only->node_count] = cluster->nodes[i];
            only->nodes[only->node_count++].speeds[0] = cluster->nodes[i].speeds[j];
        }
        rc = only->node_count == 0 ? ws_error_set(err, WS_E_NOT_FOUND, "no node has it")
                                   : ws_batch_run(result, &batch, err);
    }
    if (rc == 0)
        rc = ws_measure_top1(&variant->accuracy, &result->outputs, options->labels, err);
    if (rc == 0) {
        variant->knows_accuracy = 1;
        variant->samples = (size_t)options->inputs->dims[0];
    }
    if (result != NULL)
        ws_batch_result_fini(result);
    free(result);
    free(only);
    return rc == 0 ? 0 : ws_error_context(err, "variant %.100s", variant->name);
}

static void tell(const struct ws_measure_options *options, const char *node,
                 const char *variant, size_t step, size_t steps)
{
    char what[256];
    if (options->progress == NULL)
        return;
    (void)snprintf(what, sizeof(what), "%.100s %.100s", node, variant);
    options->progress(options->user, what, step, steps);
}

int ws_measure_cluster(struct ws_cluster *cluster,
                       const struct ws_measure_options *options, struct ws_error *err)
{
    struct figures figures[WS_SHARE_LEVELS_MAX];
    size_t step = 0, steps = 0;
    int rc = 0;
    if (options->inputs->rank == 0 || options->inputs->dims[0] < 2)
        return ws_error_set(err, WS_E_TYPE, "at least two inputs are needed to measure");
    if (options->rounds > ROUNDS_MAX)
        return ws_error_set(err, WS_E_USAGE, "%zu rounds, at most %d", options->rounds,
                            ROUNDS_MAX);
    for (size_t i = 0; i < cluster->node_count; i++) {
        for (size_t j = 0; j < cluster->variant_count; j++)
            steps += cluster->nodes[i].speeds[j].is_here != 0;
    }
    steps += options->labels != NULL ? cluster->variant_count : 0;
    for (size_t i = 0; rc == 0 && i < cluster->node_count; i++) {
        struct ws_cluster_node *node = &cluster->nodes[i];
        for (size_t j = 0; rc == 0 && j < cluster->variant_count; j++) {
            if (!node->speeds[j].is_here)
                continue;
            tell(options, node->name, cluster->variants[j].name, step++, steps);
            rc = measure_one(&figures[j], node, &cluster->variants[j], options, err);
        }
        if (rc == 0)
            take_figures(node, figures, cluster->variant_count);
    }
    for (size_t j = 0; rc == 0 && options->labels != NULL && j < cluster->variant_count;
         j++) {
        tell(options, "accuracy of", cluster->variants[j].name, step++, steps);
        rc = measure_accuracy(cluster, j, options, err);
    }
    if (rc == 0)
        tell(options, "", "", steps, steps);
    return rc;
}

void ws_measure_refresh(struct ws_cluster *cluster, const struct ws_batch_result *result)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct ws_cluster_node *node = &cluster->nodes[i];
        for (size_t j = 0; j < cluster->variant_count; j++) {
            struct ws_cluster_speed *speed = &node->speeds[j];
            double seen_s = result->image_s[i][j];
            /* What the link held up says nothing of the node. */
            if (seen_s > 1.1 * node->send_s)
                speed->image_s += 0.5 * (seen_s - speed->image_s);
        }
    }
}
