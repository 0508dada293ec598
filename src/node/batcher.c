#include "node/batcher.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "node/measure.h"
#include "study/cluster_study.h"
#include "wire/oip_tensor.h"

static const double reserve = 0.05; /* of the time, as `wattshed distribute` keeps back */

struct ws_batcher {
    struct ws_cluster cluster; /* its speeds change with each batch, the rest stays */
    char *study;               /* NULL: none */
    struct ws_http_identity identity;
    pthread_mutex_t lock; /* held while a batch runs */
};

int ws_batcher_open(struct ws_batcher **out, const char *file, const char *study,
                    const struct ws_http_identity *identity, struct ws_error *err)
{
    struct ws_batcher *batcher = calloc(1, sizeof(*batcher));
    if (batcher == NULL)
        return ws_error_nomem(err);
    (void)pthread_mutex_init(&batcher->lock, NULL);
    batcher->identity = *identity;
    int rc = file != NULL ? ws_cluster_load(&batcher->cluster, file, err)
                          : ws_cluster_study_load(&batcher->cluster, study, NULL, err);
    if (rc == 0 && study != NULL && (batcher->study = strdup(study)) == NULL)
        rc = ws_error_nomem(err);
    if (rc == 0)
        rc = ws_cluster_check_measured(&batcher->cluster, err);
    if (rc != 0)
        ws_batcher_close(batcher);
    else
        *out = batcher;
    return rc;
}

void ws_batcher_close(struct ws_batcher *batcher)
{
    if (batcher == NULL)
        return;
    ws_cluster_fini(&batcher->cluster);
    (void)pthread_mutex_destroy(&batcher->lock);
    free(batcher->study);
    free(batcher);
}

int ws_batcher_is_for(const struct ws_oip_request *request)
{
    return request->images_per_s > 0 || request->minimise != NULL;
}

static int take_goal(enum ws_share_goal *out, const char *minimise, struct ws_error *err)
{
    if (minimise != NULL && strcmp(minimise, "energy") != 0)
        return ws_error_set(err, WS_E_USAGE,
                            "minimise: \"%.64s\" is not known, energy is", minimise);
    *out = minimise != NULL ? WS_SHARE_ENERGY : WS_SHARE_ACCURACY;
    return 0;
}

/* A deadline asks for what is left to be done in the time that is left. */
static int take_rate(double *out, const struct ws_oip_request *request, double images,
                     int64_t received_ns, struct ws_error *err)
{
    *out = request->images_per_s;
    if (request->timeout_us == 0)
        return 0;
    double left_s = (double)request->timeout_us / 1e6 -
                    (double)(ws_clock_now_ns() - received_ns) / 1e9;
    if (left_s <= 0)
        return ws_error_set(err, WS_E_BUSY,
                            "the request's timeout passed before the batch could begin");
    *out = fmax(*out, images / left_s);
    return 0;
}

/* What the batch showed counts from now on. Called with the lock. */
static void refresh(struct ws_batcher *batcher, const struct ws_batch_result *result)
{
    struct ws_error err = {0};
    ws_measure_refresh(&batcher->cluster, result);
    if (batcher->study != NULL &&
        ws_cluster_study_save(&batcher->cluster, batcher->study, &err) != 0)
        ws_log(WS_LOG_WARNING, "the nodes' speeds are not kept: %s", err.text);
}

int ws_batcher_run(struct ws_batch_result *out, struct ws_batcher *batcher,
                   const struct ws_oip_request *request, const struct ws_tensor *inputs,
                   int64_t received_ns, struct ws_error *err)
{
    struct ws_batch_options options = {.cluster = &batcher->cluster,
                                       .inputs = inputs,
                                       .min_accuracy = request->min_accuracy,
                                       .reserve = reserve,
                                       .identity = batcher->identity};
    int rc = take_goal(&options.goal, request->minimise, err);
    if (rc == 0 && inputs->rank == 0)
        rc = ws_error_set(err, WS_E_TYPE, "a batch [N, ...] is needed");
    if (rc != 0)
        return rc;
    (void)pthread_mutex_lock(&batcher->lock);
    rc = take_rate(&options.images_per_s, request, (double)inputs->dims[0], received_ns,
                   err);
    if (rc == 0)
        rc = ws_batch_run(out, &options, err);
    if (rc == 0)
        refresh(batcher, out);
    (void)pthread_mutex_unlock(&batcher->lock);
    return rc;
}

static int tell_shares(struct ws_buf *out, const struct ws_cluster *cluster,
                       const struct ws_batch_result *result, struct ws_error *err)
{
    char key[2 * WS_NAME_MAX + 16];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cluster->node_count; i++) {
        for (size_t j = 0; rc == 0 && j < cluster->variant_count; j++) {
            if (result->counts[i][j] == 0)
                continue;
            (void)snprintf(key, sizeof(key), "share.%s.%s", cluster->nodes[i].name,
                           cluster->variants[j].name);
            rc = ws_buf_add_text(out, ",", err);
            if (rc == 0)
                rc = ws_oip_add_quoted(out, key, err);
            if (rc == 0)
                rc = ws_buf_printf(out, err, ":%zu", result->counts[i][j]);
        }
    }
    return rc;
}

static const char *yes_no(int is)
{
    return is ? "true" : "false";
}

int ws_batcher_tell(struct ws_buf *out, const struct ws_batcher *batcher,
                    const struct ws_oip_request *request,
                    const struct ws_batch_result *result, struct ws_error *err)
{
    const struct ws_cluster *cluster = &batcher->cluster;
    const struct ws_share_plan *plan = &result->plan;
    double images = (double)result->outputs.dims[0];
    double rate = images / result->time_s, accuracy = result->state.accuracy;
    int rc = ws_buf_printf(
        out, err,
        "\"images_per_s\":%.6g,\"accuracy\":%.6g,\"meets_images_per_s\":%s,"
        "\"meets_accuracy\":%s,\"planned_images_per_s\":%.6g,\"planned_accuracy\":%.6g,"
        "\"plans\":%zu,\"reissued\":%zu",
        rate, accuracy, yes_no(rate >= request->images_per_s),
        yes_no(accuracy >= request->min_accuracy - 1e-9), images / plan->time_s,
        plan->accuracy, result->state.plans, result->state.reissued);
    if (rc == 0 && ws_cluster_knows_energy(cluster))
        rc = ws_buf_printf(out, err, ",\"energy_j\":%.6g", result->state.energy_j);
    if (rc == 0 && result->told_count == (size_t)images)
        rc = ws_buf_printf(out, err, ",\"told_energy_j\":%.6g", result->told_j);
    return rc == 0 ? tell_shares(out, cluster, result, err) : rc;
}
