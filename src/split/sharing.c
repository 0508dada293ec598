#include "split/sharing.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "device/board.h"

struct ws_sharing {
    struct ws_halves *halves;
    double share;
    struct ws_division division;
    struct ws_datum wires[2];
    /* The edge's half: its thread's until joined. */
    float *edge;
    int rc;
    struct ws_error err;
    double modelled_ms;
    int64_t
        start_ns; /* when it was let go: waiting for a core is part of what it takes */
    int64_t beside_ns, late_ns;
    pthread_t thread;
    pthread_mutex_t lock; /* over joining */
    int has_thread;
};

int ws_sharing_start(struct ws_sharing **out, struct ws_halves *halves,
                     const struct ws_datum *input, struct ws_error *err)
{
    struct ws_sharing *sharing = calloc(1, sizeof(*sharing));
    if (sharing == NULL)
        return ws_error_nomem(err);
    (void)pthread_mutex_init(&sharing->lock, NULL);
    sharing->halves = halves;
    sharing->edge = calloc(ws_halves_class_count(halves), sizeof(float));
    int rc = sharing->edge == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0)
        rc = ws_halves_extract(&sharing->division, halves, input, err);
    if (rc != 0)
        ws_sharing_destroy(sharing);
    else
        *out = sharing;
    return rc;
}

int ws_sharing_divide(struct ws_sharing *sharing, double share, struct ws_error *err)
{
    struct ws_division *division = &sharing->division;
    sharing->share = share;
    if (ws_halves_secondary_count(sharing->halves, share) == 0)
        return 0;
    int rc = ws_halves_divide(division, sharing->halves, share, NULL, err);
    if (rc == 0)
        rc = ws_engine_value_to_datum(&sharing->wires[0], division->secondary, err);
    if (rc == 0)
        rc = ws_engine_value_to_datum(&sharing->wires[1], division->bitmap, err);
    return rc;
}

int64_t ws_sharing_extract_ns(const struct ws_sharing *sharing)
{
    return sharing->division.extract_ns;
}

/* Waits for the edge's half, whoever comes first. */
static void join(struct ws_sharing *sharing)
{
    (void)pthread_mutex_lock(&sharing->lock);
    if (sharing->has_thread)
        (void)pthread_join(sharing->thread, NULL);
    sharing->has_thread = 0;
    (void)pthread_mutex_unlock(&sharing->lock);
}

void ws_sharing_destroy(struct ws_sharing *sharing)
{
    if (sharing == NULL)
        return;
    join(sharing);
    (void)pthread_mutex_destroy(&sharing->lock);
    ws_division_fini(&sharing->division);
    ws_datum_fini(&sharing->wires[0]);
    ws_datum_fini(&sharing->wires[1]);
    free(sharing->edge);
    free(sharing);
}

const struct ws_datum *ws_sharing_wires(const struct ws_sharing *sharing)
{
    return sharing->wires;
}

int ws_sharing_attention(double *out, const struct ws_sharing *sharing,
                         struct ws_error *err)
{
    return ws_halves_attention(out, sharing->halves, &sharing->division, err);
}

static int has_edge(const struct ws_sharing *sharing)
{
    return sharing->division.secondary_count <
           ws_halves_parts(sharing->halves)->map_count;
}

static void *run_edge(void *user)
{
    struct ws_sharing *sharing = user;
    int64_t start = sharing->start_ns;
    sharing->rc = ws_halves_edge(sharing->edge, sharing->halves, &sharing->division, 0,
                                 &sharing->err);
    if (sharing->modelled_ms > 0) {
        int64_t late_ns =
            ws_clock_now_ns() - start - (int64_t)(sharing->modelled_ms * 1e6);
        sharing->late_ns = late_ns > 0 ? late_ns : 0;
        (void)ws_stretch_until(start, sharing->modelled_ms);
    }
    sharing->beside_ns = ws_clock_now_ns() - start;
    return NULL;
}

int ws_sharing_beside(struct ws_sharing *sharing, double modelled_ms,
                      struct ws_error *err)
{
    if (sharing->division.secondary_count == 0 || !has_edge(sharing))
        return 0;
    sharing->modelled_ms = modelled_ms;
    sharing->start_ns = ws_clock_now_ns();
    int errnum = pthread_create(&sharing->thread, NULL, run_edge, sharing);
    if (errnum != 0)
        return ws_error_set_errno(err, WS_E_IO, errnum, "start a thread for half a net");
    sharing->has_thread = 1;
    return 0;
}

/* Probabilities back to logits; what is next to impossible stays finite. */
static void to_logits(float *p, size_t count)
{
    for (size_t i = 0; i < count; i++)
        p[i] = logf(fmaxf(p[i], 1e-30F));
}

int ws_sharing_fuse(struct ws_datum *logits, int64_t *out_beside_ns, int64_t *out_late_ns,
                    struct ws_sharing *sharing, struct ws_error *err)
{
    size_t classes = ws_halves_class_count(sharing->halves);
    struct ws_tensor *cloud = &logits->tensor;
    if (cloud->dtype != WS_DTYPE_FP32 || cloud->size_bytes != classes * sizeof(float))
        return ws_error_set(
            err, WS_E_TYPE, "the cloud's half gave %zu bytes of %s, not %zu",
            cloud->size_bytes, ws_dtype_name(cloud->dtype), classes * sizeof(float));
    join(sharing);
    *out_beside_ns = sharing->beside_ns;
    *out_late_ns = sharing->late_ns;
    if (sharing->rc != 0) {
        if (err != NULL)
            *err = sharing->err;
        return sharing->rc;
    }
    float *p = cloud->data, *edge = NULL;
    if (has_edge(sharing)) {
        edge = malloc(classes * sizeof(*edge));
        if (edge == NULL)
            return ws_error_nomem(err);
        memcpy(edge, sharing->edge, classes * sizeof(*edge));
    }
    ws_halves_fuse(p, edge, p, sharing->halves, sharing->share, -1);
    free(edge);
    to_logits(p, classes);
    return 0;
}

int ws_sharing_alone(struct ws_datum *out, struct ws_sharing *sharing,
                     struct ws_error *err)
{
    size_t classes = ws_halves_class_count(sharing->halves);
    const int64_t dims[] = {1, (int64_t)classes};
    struct ws_datum answer = {.kind = WS_DATUM_TENSOR};
    int rc = ws_tensor_init(&answer.tensor, WS_DTYPE_FP32, dims, 2, err);
    if (rc == 0)
        rc =
            ws_halves_alone(answer.tensor.data, sharing->halves, &sharing->division, err);
    if (rc != 0) {
        ws_datum_fini(&answer);
        return rc;
    }
    to_logits(answer.tensor.data, classes);
    *out = answer;
    return 0;
}
