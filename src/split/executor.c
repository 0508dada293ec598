#include "split/executor.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "split/pool.h"
#include "split/work.h"

/* An engine with its splitters: one for each combination of threads and provider. */
struct lane {
    struct lane *next;
    size_t threads_value, provider_value; /* of their knobs; 0 without */
    struct ws_engine *engine;
    struct ws_splitter **splitters; /* by variant; NULL: not needed yet */
};

/* What requests of settings with the same software have in common. */
struct way {
    struct way *next;
    const struct lane *lane;
    struct ws_executor_place place;
    struct ws_route *route;
    struct ws_work head_work, tail_work;
};

struct variant {
    char *name, *path, *model_name;
    size_t *cut_of; /* of each value of the cut's knob; WS_NONE: it has none there */
};

struct ws_executor {
    const struct ws_space *space;
    struct variant *variants;
    size_t variant_count;
    struct ws_engine_options engine;
    struct ws_splitter_options splitter;
    const struct ws_board *board;
    struct ws_binding *binding;  /* of the space's knobs to the board's */
    struct ws_setting board_now; /* of the board's space */
    struct ws_device *device;
    struct ws_sampler *sampler;
    size_t meter;
    struct ws_http_identity identity;
    /* Knobs of the space, WS_NONE where it has none, and what their values mean. */
    size_t cut_knob, codec_knob, encoding_knob, head_knob, tail_knob;
    size_t threads_knob, provider_knob;
    enum ws_codec *codecs;
    enum ws_encoding *encodings;
    size_t *heads, *tails; /* variants */
    int *threads;
    struct lane *lanes; /* the first made is the default and comes last */
    struct lane *default_lane;
    struct way *ways;
    struct ws_pool *pool;
};

struct ws_flight {
    struct ws_executor *executor;
    const struct way *way;
    struct ws_passage *passage;
    int64_t start_ns, head_end_ns;
    /* Of an emulated edge: waiting that stretched its work, its energy, and what this
     * machine was too slow by. */
    int64_t waited_ns, late_ns;
    double head_j, local_j;
    pthread_mutex_t lock; /* over: */
    int64_t failed_ns;    /* exchanges that brought nothing */
    int64_t end_ns;       /* of the last phase */
};

/* --- Knobs ---------------------------------------------------------------------------
 */

/* Takes each value of a knob through `find`; *out_knob is WS_NONE without the knob. */
static int map_knob(struct ws_executor *executor, size_t *out_knob, const char *name,
                    void **out, size_t item_size,
                    int (*find)(struct ws_executor *executor, void *item,
                                const char *text, struct ws_error *err),
                    struct ws_error *err)
{
    *out_knob = WS_NONE;
    if (ws_space_find(out_knob, executor->space, name, NULL) != 0)
        return 0;
    const struct ws_knob *knob = &executor->space->knobs[*out_knob];
    char *items = calloc(knob->value_count, item_size);
    int rc = items == NULL ? ws_error_nomem(err) : 0;
    for (size_t v = 0; rc == 0 && v < knob->value_count; v++)
        rc = find(executor, items + v * item_size, knob->values[v].text, err);
    if (rc != 0) {
        free(items);
        return items == NULL ? rc : ws_error_context(err, "knob \"%s\"", name);
    }
    *out = items;
    return 0;
}

static int find_codec(struct ws_executor *executor, void *item, const char *text,
                      struct ws_error *err)
{
    (void)executor;
    return ws_codec_find(item, text, err);
}

static int find_encoding(struct ws_executor *executor, void *item, const char *text,
                         struct ws_error *err)
{
    (void)executor;
    return ws_encoding_find(item, text, err);
}

static int find_threads(struct ws_executor *executor, void *item, const char *text,
                        struct ws_error *err)
{
    int64_t threads = 0;
    (void)executor;
    int rc = ws_parse_i64(&threads, text, 1, WS_CPUS_MAX, "threads", err);
    if (rc == 0)
        *(int *)item = (int)threads;
    return rc;
}

static int find_variant(struct ws_executor *executor, void *item, const char *text,
                        struct ws_error *err)
{
    for (size_t v = 0; v < executor->variant_count; v++) {
        if (strcmp(executor->variants[v].name, text) == 0) {
            *(size_t *)item = v;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND, "there is no variant \"%s\"", text);
}

/* `variant` stands for both sides; the two others for one each. */
static int map_variants(struct ws_executor *executor, struct ws_error *err)
{
    int rc = map_knob(executor, &executor->head_knob, "variant",
                      (void **)&executor->heads, sizeof(size_t), find_variant, err);
    if (rc == 0 && executor->head_knob != WS_NONE)
        return map_knob(executor, &executor->tail_knob, "variant",
                        (void **)&executor->tails, sizeof(size_t), find_variant, err);
    if (rc == 0)
        rc = map_knob(executor, &executor->head_knob, "head.variant",
                      (void **)&executor->heads, sizeof(size_t), find_variant, err);
    if (rc == 0)
        rc = map_knob(executor, &executor->tail_knob, "tail.variant",
                      (void **)&executor->tails, sizeof(size_t), find_variant, err);
    return rc;
}

/* Nothing in the space may be left that nobody answers to. */
static int check_strangers(const struct ws_executor *executor, struct ws_error *err)
{
    const struct ws_space *space = executor->space;
    const struct ws_space *device =
        executor->device != NULL ? ws_device_space(executor->device) : NULL;
    for (size_t k = 0; k < space->knob_count; k++) {
        const char *name = space->knobs[k].name;
        size_t found = 0;
        int is_edge = strncmp(name, "edge.", 5) == 0;
        if ((is_edge && executor->board != NULL) || k == executor->cut_knob ||
            k == executor->codec_knob || k == executor->encoding_knob ||
            k == executor->head_knob || k == executor->tail_knob ||
            k == executor->threads_knob || k == executor->provider_knob ||
            strncmp(name, "cloud.", 6) == 0)
            continue;
        if (device == NULL || ws_space_find(&found, device, name, NULL) != 0)
            return ws_error_set(err, WS_E_NOT_FOUND, "nothing here has a knob \"%s\"",
                                name);
        for (size_t v = 0; v < space->knobs[k].value_count; v++) {
            size_t value = 0;
            int rc = ws_knob_find(&value, &device->knobs[found],
                                  space->knobs[k].values[v].text, err);
            if (rc != 0)
                return ws_error_context(err, "this machine");
        }
    }
    return 0;
}

/* Of a real edge; those of an emulated one are the board's. */
static int map_engine_knobs(struct ws_executor *executor, struct ws_error *err)
{
    (void)ws_space_find(&executor->provider_knob, executor->space, "edge.provider", NULL);
    return map_knob(executor, &executor->threads_knob, "edge.threads",
                    (void **)&executor->threads, sizeof(int), find_threads, err);
}

static int map_knobs(struct ws_executor *executor, struct ws_error *err)
{
    int rc = ws_space_find(&executor->cut_knob, executor->space, "cut", err);
    if (rc == 0)
        rc = map_knob(executor, &executor->codec_knob, "codec",
                      (void **)&executor->codecs, sizeof(enum ws_codec), find_codec, err);
    if (rc == 0)
        rc = map_knob(executor, &executor->encoding_knob, "encoding",
                      (void **)&executor->encodings, sizeof(enum ws_encoding),
                      find_encoding, err);
    if (rc == 0)
        rc = map_variants(executor, err);
    executor->threads_knob = executor->provider_knob = WS_NONE;
    if (rc == 0)
        rc = executor->board != NULL
                 ? ws_binding_create(&executor->binding, executor->board, executor->space,
                                     "edge", err)
                 : map_engine_knobs(executor, err);
    return rc == 0 ? check_strangers(executor, err) : rc;
}

/* --- Engines and models --------------------------------------------------------------
 */

static void lane_destroy(struct lane *lane, size_t variant_count)
{
    for (size_t v = 0; lane->splitters != NULL && v < variant_count; v++)
        ws_splitter_destroy(lane->splitters[v]);
    free(lane->splitters);
    ws_engine_destroy(lane->engine);
    free(lane);
}

static int lane_create(struct lane **out, struct ws_executor *executor, size_t threads,
                       size_t provider, struct ws_error *err)
{
    struct ws_engine_options options = executor->engine;
    struct lane *lane = calloc(1, sizeof(*lane));
    if (lane == NULL)
        return ws_error_nomem(err);
    lane->threads_value = threads;
    lane->provider_value = provider;
    if (executor->threads_knob != WS_NONE)
        options.threads = executor->threads[threads];
    if (executor->provider_knob != WS_NONE)
        options.provider =
            executor->space->knobs[executor->provider_knob].values[provider].text;
    lane->splitters = calloc(executor->variant_count, sizeof(struct ws_splitter *));
    int rc = lane->splitters == NULL ? ws_error_nomem(err)
                                     : ws_engine_create(&lane->engine, &options, err);
    if (rc != 0) {
        lane_destroy(lane, executor->variant_count);
        return rc;
    }
    lane->next = executor->lanes;
    executor->lanes = lane;
    *out = lane;
    return 0;
}

/* The lane of a setting, made where it is the first. */
static int lane_of(struct lane **out, struct ws_executor *executor,
                   const struct ws_setting *setting, struct ws_error *err)
{
    size_t threads =
        executor->threads_knob == WS_NONE ? 0 : setting->value[executor->threads_knob];
    size_t provider =
        executor->provider_knob == WS_NONE ? 0 : setting->value[executor->provider_knob];
    for (struct lane *lane = executor->lanes; lane != NULL; lane = lane->next) {
        if (lane->threads_value == threads && lane->provider_value == provider) {
            *out = lane;
            return 0;
        }
    }
    return lane_create(out, executor, threads, provider, err);
}

static int splitter_of(struct ws_splitter **out, const struct ws_executor *executor,
                       struct lane *lane, size_t variant, struct ws_error *err)
{
    if (lane->splitters[variant] == NULL) {
        int rc = ws_splitter_create(&lane->splitters[variant], lane->engine,
                                    executor->variants[variant].path, &executor->splitter,
                                    err);
        if (rc != 0)
            return rc;
    }
    *out = lane->splitters[variant];
    return 0;
}

/* The cut of another variant that the same tensors cross; WS_NONE where it has none. */
static size_t same_cut(const struct ws_cuts *cuts, const struct ws_cuts *named,
                       size_t number)
{
    struct ws_buf names;
    size_t found = WS_NONE;
    if (number == 0 || number + 1 == named->count)
        return number == 0 ? 0 : cuts->count - 1;
    const struct ws_cut *cut = &named->cuts[number];
    ws_buf_init(&names, 0);
    int rc = 0;
    for (size_t t = 0; rc == 0 && t < cut->tensor_count; t++)
        rc = ws_buf_printf(&names, NULL, "%s%s", t > 0 ? "," : "",
                           named->graph->values[cut->tensors[t]].name);
    if (rc != 0 || ws_cuts_find(&found, cuts, names.data, NULL) != 0 ||
        cuts->cuts[found].natural != WS_NATURAL_YES)
        found = WS_NONE;
    ws_buf_fini(&names);
    return found;
}

/* What each value of the cut's knob is in each variant. The first variant must have them
 * all. */
static int map_cuts(struct ws_executor *executor, struct ws_error *err)
{
    const struct ws_knob *knob = &executor->space->knobs[executor->cut_knob];
    const struct ws_cuts *named = NULL;
    for (size_t v = 0; v < executor->variant_count; v++) {
        struct variant *variant = &executor->variants[v];
        struct ws_splitter *splitter = NULL;
        int rc = splitter_of(&splitter, executor, executor->default_lane, v, err);
        variant->cut_of = calloc(knob->value_count, sizeof(*variant->cut_of));
        if (rc == 0 && variant->cut_of == NULL)
            rc = ws_error_nomem(err);
        if (rc != 0)
            return rc;
        const struct ws_cuts *cuts = ws_splitter_cuts(splitter);
        for (size_t i = 0; v == 0 && i < knob->value_count; i++) {
            rc = ws_cuts_find(&variant->cut_of[i], cuts, knob->values[i].text, err);
            if (rc == 0 && cuts->cuts[variant->cut_of[i]].natural != WS_NATURAL_YES)
                rc = ws_error_set(err, WS_E_MISMATCH, "%s: cut %s is not natural",
                                  variant->path, knob->values[i].text);
            if (rc != 0)
                return rc;
        }
        named = v == 0 ? cuts : named;
        for (size_t i = 0; v > 0 && i < knob->value_count; i++)
            variant->cut_of[i] = same_cut(cuts, named, executor->variants[0].cut_of[i]);
    }
    return 0;
}

static int add_variant(struct variant *out, const struct ws_executor_variant *from,
                       struct ws_error *err)
{
    char stem[WS_NAME_MAX];
    ws_file_stem(stem, sizeof(stem), from->path);
    out->name = strdup(from->name);
    out->path = strdup(from->path);
    out->model_name = strdup(from->model_name != NULL ? from->model_name : stem);
    return out->name == NULL || out->path == NULL || out->model_name == NULL
               ? ws_error_nomem(err)
               : 0;
}

int ws_executor_create(struct ws_executor **out,
                       const struct ws_executor_options *options, struct ws_error *err)
{
    struct ws_executor *executor = calloc(1, sizeof(*executor));
    if (executor == NULL)
        return ws_error_nomem(err);
    executor->space = options->space;
    executor->engine = options->engine;
    executor->splitter = options->splitter;
    executor->board = options->board;
    executor->device = options->device;
    if (executor->board != NULL)
        ws_board_default(&executor->board_now, executor->board);
    executor->sampler = options->sampler;
    executor->meter = options->meter;
    executor->identity = options->identity;
    executor->variants = calloc(options->variant_count, sizeof(*executor->variants));
    int rc = executor->variants == NULL ? ws_error_nomem(err) : 0;
    for (; rc == 0 && executor->variant_count < options->variant_count;
         executor->variant_count++)
        rc = add_variant(&executor->variants[executor->variant_count],
                         &options->variants[executor->variant_count], err);
    if (rc == 0)
        rc = map_knobs(executor, err);
    if (rc == 0)
        rc = lane_create(&executor->default_lane, executor, 0, 0, err);
    if (rc == 0)
        rc = map_cuts(executor, err);
    if (rc == 0)
        rc = ws_pool_create(&executor->pool, err);
    if (rc != 0)
        ws_executor_destroy(executor);
    else
        *out = executor;
    return rc;
}

void ws_executor_destroy(struct ws_executor *executor)
{
    if (executor == NULL)
        return;
    ws_pool_destroy(executor->pool);
    ws_binding_destroy(executor->binding);
    while (executor->ways != NULL) {
        struct way *next = executor->ways->next;
        ws_route_destroy(executor->ways->route);
        free(executor->ways);
        executor->ways = next;
    }
    while (executor->lanes != NULL) {
        struct lane *next = executor->lanes->next;
        lane_destroy(executor->lanes, executor->variant_count);
        executor->lanes = next;
    }
    for (size_t v = 0; executor->variants != NULL && v < executor->variant_count; v++) {
        free(executor->variants[v].name);
        free(executor->variants[v].path);
        free(executor->variants[v].model_name);
        free(executor->variants[v].cut_of);
    }
    free(executor->variants);
    free(executor->codecs);
    free(executor->encodings);
    free(executor->heads);
    free(executor->tails);
    free(executor->threads);
    free(executor);
}

/* --- Settings ------------------------------------------------------------------------
 */

int ws_executor_locate(struct ws_executor_place *out, struct ws_executor *executor,
                       const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_executor_place place = {0};
    size_t value = setting->value[executor->cut_knob];
    const char *text = executor->space->knobs[executor->cut_knob].values[value].text;
    if (executor->head_knob != WS_NONE)
        place.head_variant = executor->heads[setting->value[executor->head_knob]];
    if (executor->tail_knob != WS_NONE)
        place.tail_variant = executor->tails[setting->value[executor->tail_knob]];
    if (executor->codec_knob != WS_NONE)
        place.codec = executor->codecs[setting->value[executor->codec_knob]];
    if (executor->encoding_knob != WS_NONE)
        place.encoding = executor->encodings[setting->value[executor->encoding_knob]];
    const struct ws_cuts *cuts =
        ws_splitter_cuts(executor->default_lane->splitters[place.head_variant]);
    place.head_cut = executor->variants[place.head_variant].cut_of[value];
    place.has_tail = place.head_cut == WS_NONE || place.head_cut + 1 < cuts->count;
    if (!place.has_tail)
        place.tail_variant = place.head_variant;
    place.tail_cut = executor->variants[place.tail_variant].cut_of[value];
    if (place.head_cut == WS_NONE || place.tail_cut == WS_NONE)
        return ws_error_set(err, WS_E_MISMATCH, "variant \"%s\" cannot be cut at %s",
                            executor
                                ->variants[place.head_cut == WS_NONE ? place.head_variant
                                                                     : place.tail_variant]
                                .name,
                            text);
    *out = place;
    return ws_route_agrees(
        executor->default_lane->splitters[place.head_variant], place.head_cut,
        executor->default_lane->splitters[place.tail_variant], place.tail_cut, err);
}

int ws_executor_has(struct ws_executor *executor, const struct ws_setting *setting)
{
    struct ws_executor_place place;
    return ws_executor_locate(&place, executor, setting, NULL) == 0;
}

struct ws_splitter *ws_executor_splitter(const struct ws_executor *executor,
                                         size_t variant)
{
    return executor->default_lane->splitters[variant];
}

const char *ws_executor_model_name(const struct ws_executor *executor, size_t variant)
{
    return executor->variants[variant].model_name;
}

static int same_place(const struct ws_executor_place *a,
                      const struct ws_executor_place *b)
{
    return a->head_variant == b->head_variant && a->tail_variant == b->tail_variant &&
           a->head_cut == b->head_cut && a->codec == b->codec &&
           a->encoding == b->encoding;
}

static void count_work(struct way *way, struct ws_splitter *head,
                       struct ws_splitter *tail)
{
    const struct ws_executor_place *place = &way->place;
    const struct ws_cuts *heads = ws_splitter_cuts(head), *tails = ws_splitter_cuts(tail);
    ws_work_of_segment(&way->head_work, heads, 0, place->head_cut);
    ws_work_add_codec(&way->head_work, &heads->cuts[place->head_cut], place->codec);
    ws_work_of_segment(&way->tail_work, tails, place->tail_cut, tails->count - 1);
    ws_work_add_codec(&way->tail_work, &tails->cuts[place->tail_cut], place->codec);
}

static int way_create(struct way **out, struct ws_executor *executor, struct lane *lane,
                      const struct ws_executor_place *place, struct ws_error *err)
{
    struct ws_route_options options = {
        .cut = place->head_cut,
        .tail_cut = place->tail_cut,
        .codec = place->codec,
        .encoding = place->encoding,
        .model_name = executor->variants[place->tail_variant].model_name,
    };
    struct way *way = calloc(1, sizeof(*way));
    if (way == NULL)
        return ws_error_nomem(err);
    way->lane = lane;
    way->place = *place;
    int rc = splitter_of(&options.head, executor, lane, place->head_variant, err);
    if (rc == 0)
        rc = splitter_of(&options.tail, executor, lane, place->tail_variant, err);
    if (rc == 0)
        rc = ws_route_create(&way->route, &options, err);
    if (rc != 0) {
        free(way);
        return rc;
    }
    count_work(way, options.head, options.tail);
    way->next = executor->ways;
    executor->ways = way;
    *out = way;
    return 0;
}

/* Only the holder of the edge comes here, so nothing is locked. */
static int way_of(struct way **out, struct ws_executor *executor,
                  const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_executor_place place;
    struct lane *lane = NULL;
    int rc = ws_executor_locate(&place, executor, setting, err);
    if (rc == 0)
        rc = lane_of(&lane, executor, setting, err);
    if (rc != 0)
        return rc;
    for (struct way *way = executor->ways; way != NULL; way = way->next) {
        if (way->lane == lane && same_place(&way->place, &place)) {
            *out = way;
            return 0;
        }
    }
    return way_create(out, executor, lane, &place, err);
}

int ws_executor_apply(struct ws_executor_applied *out, struct ws_executor *executor,
                      const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_device_report report;
    struct ws_executor_applied applied = {.is_exact = 1};
    if (executor->board != NULL) {
        struct ws_setting next;
        ws_binding_setting(&next, executor->binding, setting);
        applied.switch_ms =
            ws_board_switch_ms(executor->board, &executor->board_now, &next);
        executor->board_now = next;
    } else if (executor->device != NULL) {
        int rc =
            ws_device_apply(executor->device, &report, executor->space, setting, err);
        if (rc != 0)
            return rc;
        applied.switch_ms = (double)report.time_ns / 1e6;
        for (size_t k = 0; k < executor->space->knob_count; k++) {
            const struct ws_applied_knob *knob = &report.knobs[k];
            if (knob->applied != WS_APPLIED_CLAMPED &&
                knob->applied != WS_APPLIED_REFUSED)
                continue;
            applied.is_exact = 0;
            (void)snprintf(applied.reason, sizeof(applied.reason),
                           "%s is %s: %.60s%.100s", executor->space->knobs[k].name,
                           ws_applied_name(knob->applied), knob->achieved, knob->reason);
        }
    }
    *out = applied;
    return 0;
}

int ws_executor_prepare(struct ws_executor *executor, const struct ws_setting *setting,
                        int fallback, struct ws_error *err)
{
    struct way *way = NULL;
    int rc = way_of(&way, executor, setting, err);
    return rc == 0 && fallback ? ws_route_prepare_tail(way->route, err) : rc;
}

/* --- Flights -------------------------------------------------------------------------
 */

/* Lets what ran here since start_ns take as long as on the emulated board. */
static int stretch(struct ws_flight *flight, double *out_j, const struct ws_work *work,
                   int64_t start_ns, struct ws_error *err)
{
    const struct ws_executor *executor = flight->executor;
    double modelled_ms = 0;
    if (executor->board == NULL)
        return 0;
    int rc = ws_board_predict(&modelled_ms, out_j, executor->board, &executor->board_now,
                              work, err);
    if (rc != 0)
        return rc;
    int64_t computed = ws_clock_now_ns();
    int64_t late_ns = ws_stretch_until(start_ns, modelled_ms);
    flight->waited_ns += ws_clock_now_ns() - computed;
    flight->late_ns = late_ns > flight->late_ns ? late_ns : flight->late_ns;
    return 0;
}

int ws_executor_head(struct ws_flight **out, struct ws_executor *executor,
                     const struct ws_setting *setting, const struct ws_datum *inputs,
                     struct ws_error *err)
{
    struct way *way = NULL;
    int rc = way_of(&way, executor, setting, err);
    if (rc != 0)
        return rc;
    struct ws_flight *flight = calloc(1, sizeof(*flight));
    if (flight == NULL)
        return ws_error_nomem(err);
    pthread_mutex_init(&flight->lock, NULL);
    flight->executor = executor;
    flight->way = way;
    flight->start_ns = ws_clock_now_ns();
    rc = ws_passage_start(&flight->passage, way->route, inputs, err);
    if (rc == 0 && !way->place.has_tail)
        rc = ws_passage_finish(flight->passage, err);
    if (rc == 0)
        rc = stretch(flight, &flight->head_j, &way->head_work, flight->start_ns, err);
    flight->end_ns = flight->head_end_ns = ws_clock_now_ns();
    if (rc != 0)
        ws_flight_destroy(flight);
    else
        *out = flight;
    return rc;
}

/* A phase that took from `start_ns` until now is over. */
static void end_phase(struct ws_flight *flight, int64_t start_ns, int has_failed)
{
    int64_t now = ws_clock_now_ns();
    pthread_mutex_lock(&flight->lock);
    flight->end_ns = now;
    if (has_failed)
        flight->failed_ns += now - start_ns;
    pthread_mutex_unlock(&flight->lock);
}

int ws_executor_remote(struct ws_flight *flight, const char *url, int64_t timeout_ms,
                       struct ws_error *err)
{
    struct ws_pool *pool = flight->executor->pool;
    struct ws_remote_options options = {
        .url = url, .identity = flight->executor->identity, .timeout_ms = timeout_ms};
    struct ws_remote *remote = NULL;
    int64_t start = ws_clock_now_ns();
    ws_passage_describe(&options, flight->passage);
    int rc = ws_pool_take(&remote, pool, &options, err);
    if (rc == 0) {
        rc = ws_passage_send(flight->passage, remote, err);
        /* After an answer of any kind the connection is as good as before. */
        ws_pool_give(pool, url, remote, rc == 0 || rc == WS_E_END || rc == WS_E_REMOTE);
    }
    if (rc != WS_E_END)
        end_phase(flight, start, rc != 0);
    return rc;
}

int ws_executor_local(struct ws_flight *flight, struct ws_error *err)
{
    int64_t start = ws_clock_now_ns();
    int rc = ws_passage_finish(flight->passage, err);
    if (rc == 0)
        rc = stretch(flight, &flight->local_j, &flight->way->tail_work, start, err);
    if (rc != WS_E_END)
        end_phase(flight, start, rc != 0);
    return rc;
}

void ws_executor_again(struct ws_flight *flight)
{
    ws_passage_again(flight->passage);
    flight->failed_ns = 0;
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

const struct ws_passage_times *ws_flight_times(const struct ws_flight *flight)
{
    return ws_passage_times(flight->passage);
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

double ws_flight_head_ms(const struct ws_flight *flight)
{
    return ms(flight->head_end_ns - flight->start_ns);
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
    int rc = ws_sampler_energy(&energy, executor->sampler, executor->meter,
                               flight->start_ns, flight->head_end_ns, err);
    if (rc == 0)
        *out_j = energy.energy_j;
    return rc;
}

int64_t ws_flight_late_ns(const struct ws_flight *flight)
{
    return flight->late_ns;
}

/* Latency and its parts. */
static void tell_times(struct ws_outcome *out, const struct ws_flight *flight)
{
    const struct ws_passage_times *times = ws_passage_times(flight->passage);
    int64_t edge_ns = times->total_ns - times->exchange_ns + flight->waited_ns;
    int64_t away_ns = times->exchange_ns + flight->failed_ns;
    int was_asked = times->exchange_ns > 0;
    ws_outcome_set(out, WS_EDGE_MS, ms(edge_ns));
    ws_outcome_set(out, WS_LATENCY_MS, ms(edge_ns + away_ns));
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
static int edge_energy(double *out_j, const struct ws_flight *flight)
{
    const struct ws_executor *executor = flight->executor;
    struct ws_energy energy;
    if (executor->board != NULL) {
        int64_t away_ns =
            ws_passage_times(flight->passage)->exchange_ns + flight->failed_ns;
        *out_j = flight->head_j + flight->local_j +
                 ws_board_idle_w(executor->board) * (double)away_ns / 1e9;
        return 0;
    }
    if (executor->sampler == NULL)
        return WS_E_UNKNOWN;
    int rc = ws_sampler_energy(&energy, executor->sampler, executor->meter,
                               flight->start_ns, flight->end_ns, NULL);
    if (rc == 0)
        *out_j = energy.energy_j;
    return rc;
}

void ws_flight_outcome(struct ws_outcome *out, const struct ws_flight *flight)
{
    double edge_j = 0, cloud_j = 0;
    *out = (struct ws_outcome){.truth = flight->executor->board != NULL ? WS_MODELLED
                                                                        : WS_MEASURED};
    tell_times(out, flight);
    if (ws_passage_times(flight->passage)->exchange_ns == 0)
        ws_outcome_set(out, WS_CLOUD_ENERGY_J, 0);
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
    ws_passage_destroy(flight->passage);
    pthread_mutex_destroy(&flight->lock);
    free(flight);
}
