/*
 * One network whose feature maps are shared between edge and cloud (docs/dvfo.md): the
 * extractor and its attention run here; then the maps of primary importance go through
 * the edge's tail here while the others travel to the cloud's tail, and the two answers
 * are fused. A folder holds the parts and says in features.json how they belong together:
 *   extract  one input -> features [1,C,H,W], importance [1,C]
 *   select   features, importance, secondary_count [1] -> primary, secondary, bitmap
 *   edge     primary, bitmap -> logits [1,N]
 *   cloud    secondary, bitmap -> logits [1,N]
 * The halves are resident and immutable once created and may be used from several
 * threads; a division belongs to one request. The engine must outlive the halves, they
 * their divisions. In steps, for those who drive each themselves; ws_halves_run is all of
 * them.
 */
#ifndef WS_SPLIT_HALVES_H
#define WS_SPLIT_HALVES_H

#include "core/work.h"
#include "engine/engine.h"
#include "split/fusion.h"
#include "split/offload.h"
#include "split/parts.h"

struct ws_halves;

/* `level` is the engine's for each part. WS_E_FORMAT where the manifest is not one,
 * WS_E_MISMATCH where a part has other inputs or outputs than said above. */
int ws_halves_create(struct ws_halves **out, struct ws_engine *engine, const char *dir,
                     enum ws_level level, struct ws_error *err);
void ws_halves_destroy(struct ws_halves *halves);

/* Whether a path is a folder with a features.json. */
int ws_halves_are_in(const char *path);
size_t ws_halves_class_count(const struct ws_halves *halves);
/* What the extractor takes. */
const struct ws_io_type *ws_halves_input(const struct ws_halves *halves);
/* Where the parts lie, and what a node calls the cloud's. */
const struct ws_parts *ws_halves_parts(const struct ws_halves *halves);
/* Maps that go to the cloud at a share: the nearest number. */
size_t ws_halves_secondary_count(const struct ws_halves *halves, double share);
/* As it was fitted for this share. */
struct ws_fusion ws_halves_fusion(const struct ws_halves *halves, double share);

/* What a tail takes, counted from its graph: once, and what has no fixed size there for
 * each map. */
struct ws_halves_work {
    struct ws_work once, each;
};
/* Of WS_PARTS_EDGE or WS_PARTS_CLOUD. */
int ws_halves_count_work(struct ws_halves_work *out, const struct ws_halves *halves,
                         enum ws_parts_file part, struct ws_error *err);
struct ws_work ws_halves_work_of(const struct ws_halves_work *work, size_t maps);

/* One request's maps. Zero-initialise; ws_division_fini. */
struct ws_division {
    struct ws_engine_value *features, *importance;        /* after ws_halves_extract */
    struct ws_engine_value *primary, *secondary, *bitmap; /* after ws_halves_divide */
    size_t secondary_count;
    int64_t extract_ns, divide_ns;
};

void ws_division_fini(struct ws_division *division);

int ws_halves_extract(struct ws_division *out, struct ws_halves *halves,
                      const struct ws_datum *input, struct ws_error *err);
/* Copies the attention's distribution: importance of each map, their sum 1. */
int ws_halves_importance(float *out, const struct ws_halves *halves,
                         const struct ws_division *division, struct ws_error *err);
/* How much of it the more important half of the maps holds: 0.5, flat, to 1. */
int ws_halves_attention(double *out, const struct ws_halves *halves,
                        const struct ws_division *division, struct ws_error *err);
/* Chooses the secondary maps: the least important ones, or by another `ranking` of all
 * maps (NULL: their importance). Needs no more than extract; may be called again. */
int ws_halves_divide(struct ws_division *division, struct ws_halves *halves, double share,
                     const float *ranking, struct ws_error *err);
/* The edge's half: logits[class_count] from the primary maps, or from all of them, which
 * are still here: what is left to do when nobody else answers. */
int ws_halves_edge(float *logits, struct ws_halves *halves,
                   const struct ws_division *division, int all_maps,
                   struct ws_error *err);
/* Logits of the halves (NULL where there is none) become probabilities in place, and
 * out[class_count], which may be either, their pool. A negative lambda is the one that
 * was fitted for the share. */
void ws_halves_fuse(float *out, float *edge, float *cloud, const struct ws_halves *halves,
                    double share, double lambda);
/* out[class_count]: probabilities of the edge's tail alone, from all maps. */
int ws_halves_alone(float *out, struct ws_halves *halves,
                    const struct ws_division *division, struct ws_error *err);
/* Sends the cloud's half away; ws_offload_wait gives its logits. */
int ws_halves_offload(struct ws_offload *offload, const struct ws_division *division,
                      struct ws_error *err);

struct ws_halves_request {
    const struct ws_datum *input;
    double share;         /* 0: nothing is sent; 1: the edge's tail has nothing to do */
    double lambda;        /* negative: as fitted for the share */
    const float *ranking; /* see ws_halves_divide */
    int64_t timeout_ms;   /* for the cloud's half, from its start; 0: the offload's */
};

enum ws_halves_source { WS_HALVES_BOTH, WS_HALVES_EDGE, WS_HALVES_CLOUD };

/* Times in ns; what did not happen is 0. */
struct ws_halves_times {
    int64_t extract_ns; /* extractor, attention, choice of maps */
    int64_t edge_ns;    /* the edge's tail */
    int64_t beside_ns;  /* of the cloud's half, from start to answer, as seen here */
    int64_t alone_ns;   /* the edge's tail once more, with all maps */
    int64_t total_ns;
    struct ws_passage_times cloud; /* of the cloud's half, if it answered */
};

struct ws_halves_answer {
    float *probabilities;   /* [class_count], the answer */
    float *edge, *cloud;    /* probabilities of each half, NULL where there is none */
    float *importance;      /* [maps], the attention's distribution, its sum 1 */
    double held;            /* importance that the maps kept here hold, 0 to 1 */
    double attention;       /* importance that the more important half of all holds */
    float *block;           /* private */
    size_t secondary_count; /* maps that were to be sent */
    double lambda;          /* in force */
    enum ws_halves_source source;
    int cloud_rc; /* why the cloud's half is not in it; 0 where it is, or was not asked */
    struct ws_error cloud_err;
    struct ws_halves_times times;
};

/* Both halves side by side: latency = extract + max(edge, offload). Where the cloud's
 * half fails or is late, that is no failure: the edge's tail then answers alone, from all
 * maps. `offload` may be NULL where the share sends nothing. */
int ws_halves_run(struct ws_halves_answer *out, struct ws_halves *halves,
                  struct ws_offload *offload, const struct ws_halves_request *request,
                  struct ws_error *err);
void ws_halves_answer_fini(struct ws_halves_answer *answer);

#endif
