#include "profile/virtual.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

struct virtual_rig {
    struct ws_rig base;
    struct ws_virtual_options options;
    struct ws_buf key;
};

static int virtual_has(struct ws_rig *rig, const struct ws_setting *setting)
{
    return ws_executor_has(((struct virtual_rig *)rig)->options.executor, setting);
}

static uint32_t virtual_sides(struct ws_rig *rig, const struct ws_setting *setting)
{
    struct ws_executor_place place = {.has_tail = 1};
    (void)ws_executor_locate(&place, ((struct virtual_rig *)rig)->options.executor,
                             setting, NULL);
    return place.has_tail ? WS_SIDES_EDGE | WS_SIDES_AWAY : WS_SIDES_EDGE;
}

static int virtual_apply(struct ws_rig *rig, struct ws_executor_applied *out,
                         const struct ws_setting *setting, struct ws_error *err)
{
    (void)rig;
    (void)setting;
    (void)err;
    *out = (struct ws_executor_applied){.is_exact = 1};
    return 0;
}

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

/* A factor of mean 1. */
static double noise(struct ws_rng *rng, double spread)
{
    return exp(spread * ws_rng_normal(rng) - 0.5 * spread * spread);
}

static int virtual_sample(struct ws_rig *rig, struct ws_rig_sample *out,
                          const struct ws_setting *setting, uint32_t sides,
                          const uint64_t index[WS_SIDE_COUNT], struct ws_error *err)
{
    struct virtual_rig *v = (struct virtual_rig *)rig;
    int rc = ws_predictor_predict(out, v->options.predictor, setting, err);
    for (int s = 0; rc == 0 && s < WS_SIDE_COUNT; s++) {
        struct ws_rng rng;
        if ((sides >> s & 1u) == 0)
            continue;
        rc = ws_side_key(&v->key, rig->space, (enum ws_side)s, setting, err);
        if (rc != 0)
            break;
        ws_rng_init_stream(&rng, v->options.seed ^ hash_of(v->key.data), index[s]);
        double factor = noise(&rng, v->options.time_noise);
        out->ms[s] *= factor;
        out->beside_ms *= s == WS_SIDE_EDGE ? factor : 1;
        out->energy_j[s] *= noise(&rng, v->options.energy_noise);
    }
    return rc;
}

static void virtual_destroy(struct ws_rig *rig)
{
    ws_buf_fini(&((struct virtual_rig *)rig)->key);
    free(rig);
}

static const struct ws_rig_ops ops = {
    .has = virtual_has,
    .sides = virtual_sides,
    .apply = virtual_apply,
    .sample = virtual_sample,
    .destroy = virtual_destroy,
};

int ws_virtual_create(struct ws_rig **out, const struct ws_virtual_options *options,
                      struct ws_error *err)
{
    struct virtual_rig *v = calloc(1, sizeof(*v));
    if (v == NULL)
        return ws_error_nomem(err);
    v->base = (struct ws_rig){.ops = &ops,
                              .space = options->space,
                              .truth = WS_MODELLED,
                              .metered = options->metered,
                              .edge_idle_w = options->edge_idle_w,
                              .is_whole = ws_executor_halves(options->executor) != NULL};
    v->options = *options;
    ws_buf_init(&v->key, 0);
    *out = &v->base;
    return 0;
}
