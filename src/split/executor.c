#include "split/executor_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/parse.h"

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

static int find_spinning(struct ws_executor *executor, void *item, const char *text,
                         struct ws_error *err)
{
    int is_on = strcmp(text, "on") == 0;
    (void)executor;
    if (!is_on && strcmp(text, "off") != 0)
        return ws_error_set(err, WS_E_USAGE, "%s is not off or on", text);
    *(int *)item = is_on;
    return 0;
}

static int find_share(struct ws_executor *executor, void *item, const char *text,
                      struct ws_error *err)
{
    double share = 0;
    (void)executor;
    int rc = ws_parse_double(&share, text, "share", err);
    if (rc == 0 && !(share >= 0 && share <= 1))
        rc = ws_error_set(err, WS_E_USAGE, "%s is not between 0 and 1", text);
    if (rc == 0)
        *(double *)item = share;
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
            k == executor->share_knob || k == executor->codec_knob ||
            k == executor->encoding_knob || k == executor->head_knob ||
            k == executor->tail_knob || k == executor->threads_knob ||
            k == executor->spinning_knob || k == executor->provider_knob ||
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
    int rc = map_knob(executor, &executor->threads_knob, "edge.threads",
                      (void **)&executor->threads, sizeof(int), find_threads, err);
    if (rc == 0)
        rc = map_knob(executor, &executor->spinning_knob, "edge.spinning",
                      (void **)&executor->spinning, sizeof(int), find_spinning, err);
    return rc;
}

/* Where the network is divided: at a cut, or by a share of its feature maps. */
static int map_division(struct ws_executor *executor, struct ws_error *err)
{
    executor->share_knob = executor->cut_knob = WS_NONE;
    if (executor->parts == NULL)
        return ws_space_find(&executor->cut_knob, executor->space, "cut", err);
    int rc = map_knob(executor, &executor->share_knob, "share",
                      (void **)&executor->shares, sizeof(double), find_share, err);
    if (rc == 0 && executor->share_knob == WS_NONE)
        rc = ws_error_set(err, WS_E_NOT_FOUND,
                          "feature maps are shared by a knob "
                          "\"share\", and there is none");
    return rc;
}

static int map_knobs(struct ws_executor *executor, struct ws_error *err)
{
    int rc = map_division(executor, err);
    if (rc == 0)
        rc = map_knob(executor, &executor->codec_knob, "codec",
                      (void **)&executor->codecs, sizeof(enum ws_codec), find_codec, err);
    if (rc == 0)
        rc = map_knob(executor, &executor->encoding_knob, "encoding",
                      (void **)&executor->encodings, sizeof(enum ws_encoding),
                      find_encoding, err);
    if (rc == 0)
        rc = map_variants(executor, err);
    executor->threads_knob = executor->spinning_knob = executor->provider_knob = WS_NONE;
    if (rc == 0)
        rc = executor->board != NULL
                 ? ws_binding_create(&executor->binding, executor->board, executor->space,
                                     "edge", err)
                 : map_engine_knobs(executor, err);
    return rc == 0 ? check_strangers(executor, err) : rc;
}

/* --- Engines and models --------------------------------------------------------------
 */

static void lane_destroy(struct ws_executor_lane *lane, size_t variant_count)
{
    for (size_t v = 0; lane->splitters != NULL && v < variant_count; v++)
        ws_splitter_destroy(lane->splitters[v]);
    free(lane->splitters);
    ws_halves_destroy(lane->halves);
    ws_engine_destroy(lane->engine);
    free(lane);
}

/* The value a setting has for a knob, 0 where the space has no such knob. */
static size_t value_of(const struct ws_setting *setting, size_t knob)
{
    return knob == WS_NONE ? 0 : setting->value[knob];
}

static int lane_create(struct ws_executor_lane **out, struct ws_executor *executor,
                       const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_engine_options options = executor->engine;
    struct ws_executor_lane *lane = calloc(1, sizeof(*lane));
    if (lane == NULL)
        return ws_error_nomem(err);
    lane->threads_value = value_of(setting, executor->threads_knob);
    lane->spinning_value = value_of(setting, executor->spinning_knob);
    lane->provider_value = value_of(setting, executor->provider_knob);
    if (executor->threads_knob != WS_NONE)
        options.threads = executor->threads[lane->threads_value];
    if (executor->spinning_knob != WS_NONE)
        options.spinning = executor->spinning[lane->spinning_value];
    if (executor->provider_knob != WS_NONE)
        options.provider = executor->space->knobs[executor->provider_knob]
                               .values[lane->provider_value]
                               .text;
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
static int lane_of(struct ws_executor_lane **out, struct ws_executor *executor,
                   const struct ws_setting *setting, struct ws_error *err)
{
    for (struct ws_executor_lane *lane = executor->lanes; lane != NULL;
         lane = lane->next) {
        if (lane->threads_value == value_of(setting, executor->threads_knob) &&
            lane->spinning_value == value_of(setting, executor->spinning_knob) &&
            lane->provider_value == value_of(setting, executor->provider_knob)) {
            *out = lane;
            return 0;
        }
    }
    return lane_create(out, executor, setting, err);
}

static int splitter_of(struct ws_splitter **out, const struct ws_executor *executor,
                       struct ws_executor_lane *lane, size_t variant,
                       struct ws_error *err)
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

static int halves_of(struct ws_halves **out, struct ws_executor *executor,
                     struct ws_executor_lane *lane, struct ws_error *err)
{
    if (lane->halves == NULL) {
        int rc = ws_halves_create(&lane->halves, lane->engine, executor->parts->dir,
                                  executor->splitter.level, err);
        if (rc != 0)
            return rc;
    }
    *out = lane->halves;
    return 0;
}

/* Everything of a network with shared maps, so that what is wrong with it shows now. */
static int open_parts(struct ws_executor *executor, struct ws_error *err)
{
    struct ws_splitter *splitter = NULL;
    struct ws_halves *halves = NULL;
    int rc = halves_of(&halves, executor, executor->default_lane, err);
    if (rc == 0)
        rc = ws_halves_count_work(&executor->edge_half, halves, WS_PARTS_EDGE, err);
    if (rc == 0)
        rc = ws_halves_count_work(&executor->cloud_half, halves, WS_PARTS_CLOUD, err);
    for (size_t v = 0; rc == 0 && v < executor->variant_count; v++)
        rc = splitter_of(&splitter, executor, executor->default_lane, v, err);
    return rc;
}

/* What each value of the cut's knob is in each variant. The first variant must have them
 * all. */
static int map_cuts(struct ws_executor *executor, struct ws_error *err)
{
    const struct ws_cuts *named = NULL;
    if (executor->parts != NULL)
        return open_parts(executor, err);
    const struct ws_knob *knob = &executor->space->knobs[executor->cut_knob];
    for (size_t v = 0; v < executor->variant_count; v++) {
        struct ws_executor_part *variant = &executor->variants[v];
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

static int add_variant(struct ws_executor_part *out,
                       const struct ws_executor_variant *from, struct ws_error *err)
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

/* The variants as given; of a folder with shared maps, extractor and cloud's part. */
static int add_variants(struct ws_executor *executor,
                        const struct ws_executor_options *options, struct ws_error *err)
{
    const struct ws_executor_variant *given = options->variants;
    struct ws_executor_variant parts[2];
    char folder[WS_NAME_MAX];
    size_t count = options->variant_count;
    int rc = 0;
    if (count == 1 && ws_halves_are_in(given->path)) {
        executor->parts = calloc(1, sizeof(*executor->parts));
        rc = executor->parts == NULL ? ws_error_nomem(err)
                                     : ws_parts_load(executor->parts, given->path, err);
        if (rc != 0)
            return rc;
        /* Whoever serves it names it after its folder; a node, after the file it has. */
        ws_file_stem(folder, sizeof(folder), executor->parts->dir);
        parts[WS_HEAD_PART] =
            (struct ws_executor_variant){.name = given->name,
                                         .path = executor->parts->paths[WS_PARTS_EXTRACT],
                                         .model_name = folder};
        parts[WS_TAIL_PART] =
            (struct ws_executor_variant){.name = given->name,
                                         .path = executor->parts->paths[WS_PARTS_CLOUD],
                                         .model_name = given->model_name};
        given = parts;
        count = 2;
    }
    executor->variants = calloc(count, sizeof(*executor->variants));
    if (executor->variants == NULL)
        return ws_error_nomem(err);
    for (; rc == 0 && executor->variant_count < count; executor->variant_count++)
        rc = add_variant(&executor->variants[executor->variant_count],
                         &given[executor->variant_count], err);
    return rc;
}

int ws_executor_create(struct ws_executor **out,
                       const struct ws_executor_options *options, struct ws_error *err)
{
    static const struct ws_setting first;
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
    executor->identity = options->identity;
    int rc = add_variants(executor, options, err);
    if (rc == 0)
        rc = map_knobs(executor, err);
    if (rc == 0)
        rc = lane_create(&executor->default_lane, executor, &first, err);
    if (rc == 0)
        rc = map_cuts(executor, err);
    if (rc == 0)
        rc = ws_pool_create(&executor->pool, err);
    const struct ws_claims_options claims = {.sampler = options->sampler};
    if (rc == 0 && options->sampler != NULL)
        rc = ws_claims_create(&executor->claims, &claims, err);
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
    ws_claims_destroy(executor->claims);
    ws_binding_destroy(executor->binding);
    for (struct ws_executor_way *way = executor->ways; way != NULL;) {
        struct ws_executor_way *next = way->next;
        ws_route_destroy(way->route);
        free(way);
        way = next;
    }
    while (executor->lanes != NULL) {
        struct ws_executor_lane *next = executor->lanes->next;
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
    free(executor->spinning);
    free(executor->shares);
    if (executor->parts != NULL)
        ws_parts_fini(executor->parts);
    free(executor->parts);
    free(executor);
}

/* --- Settings ------------------------------------------------------------------------
 */

/* Of shared maps: all of the extractor, and the cloud's part from its input on. */
static void locate_share(struct ws_executor_place *place,
                         const struct ws_executor *executor,
                         const struct ws_setting *setting)
{
    const struct ws_executor_lane *lane = executor->default_lane;
    place->head_variant = WS_HEAD_PART;
    place->tail_variant = WS_TAIL_PART;
    place->head_cut = ws_splitter_cuts(lane->splitters[WS_HEAD_PART])->count - 1;
    place->tail_cut = 0;
    place->share = executor->shares[setting->value[executor->share_knob]];
    place->has_tail = ws_halves_secondary_count(lane->halves, place->share) > 0;
}

static int locate_cut(struct ws_executor_place *place, const struct ws_executor *executor,
                      const struct ws_setting *setting, struct ws_error *err)
{
    const struct ws_executor_lane *lane = executor->default_lane;
    size_t value = setting->value[executor->cut_knob];
    if (executor->head_knob != WS_NONE)
        place->head_variant = executor->heads[setting->value[executor->head_knob]];
    if (executor->tail_knob != WS_NONE)
        place->tail_variant = executor->tails[setting->value[executor->tail_knob]];
    const struct ws_cuts *cuts = ws_splitter_cuts(lane->splitters[place->head_variant]);
    place->head_cut = executor->variants[place->head_variant].cut_of[value];
    place->has_tail = place->head_cut == WS_NONE || place->head_cut + 1 < cuts->count;
    if (!place->has_tail)
        place->tail_variant = place->head_variant;
    place->tail_cut = executor->variants[place->tail_variant].cut_of[value];
    if (place->head_cut == WS_NONE || place->tail_cut == WS_NONE) {
        size_t lacking =
            place->head_cut == WS_NONE ? place->head_variant : place->tail_variant;
        return ws_error_set(
            err, WS_E_MISMATCH, "variant \"%s\" cannot be cut at %s",
            executor->variants[lacking].name,
            executor->space->knobs[executor->cut_knob].values[value].text);
    }
    return ws_route_agrees(lane->splitters[place->head_variant], place->head_cut,
                           lane->splitters[place->tail_variant], place->tail_cut, err);
}

int ws_executor_locate(struct ws_executor_place *out, struct ws_executor *executor,
                       const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_executor_place place = {0};
    int rc = 0;
    if (executor->codec_knob != WS_NONE)
        place.codec = executor->codecs[setting->value[executor->codec_knob]];
    if (executor->encoding_knob != WS_NONE)
        place.encoding = executor->encodings[setting->value[executor->encoding_knob]];
    if (executor->parts != NULL)
        locate_share(&place, executor, setting);
    else
        rc = locate_cut(&place, executor, setting, err);
    if (rc == 0)
        *out = place;
    return rc;
}

int ws_executor_has(struct ws_executor *executor, const struct ws_setting *setting)
{
    struct ws_executor_place place;
    return ws_executor_locate(&place, executor, setting, NULL) == 0;
}

size_t ws_executor_cut(const struct ws_executor *executor, size_t variant, size_t value)
{
    return executor->variants[variant].cut_of[value];
}

struct ws_splitter *ws_executor_splitter(const struct ws_executor *executor,
                                         size_t variant)
{
    return executor->default_lane->splitters[variant];
}

struct ws_halves *ws_executor_halves(const struct ws_executor *executor)
{
    return executor->default_lane->halves;
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
           a->encoding == b->encoding && !(a->share < b->share) && !(a->share > b->share);
}

/* A route through the cloud's part alone: the halves are its head. */
static int route_shared(struct ws_executor_way *way, struct ws_executor *executor,
                        struct ws_executor_lane *lane, struct ws_route_options *options,
                        struct ws_error *err)
{
    int rc = splitter_of(&options->head, executor, lane, WS_TAIL_PART, err);
    if (rc == 0)
        rc = halves_of(&options->halves, executor, lane, err);
    options->tail = NULL;
    options->cut = 0;
    options->share = way->place.share;
    return rc == 0 ? ws_route_create(&way->route, options, err) : rc;
}

static int route_cut(struct ws_executor_way *way, struct ws_executor *executor,
                     struct ws_executor_lane *lane, struct ws_route_options *options,
                     struct ws_error *err)
{
    int rc = splitter_of(&options->head, executor, lane, way->place.head_variant, err);
    if (rc == 0)
        rc = splitter_of(&options->tail, executor, lane, way->place.tail_variant, err);
    return rc == 0 ? ws_route_create(&way->route, options, err) : rc;
}

static int way_create(struct ws_executor_way **out, struct ws_executor *executor,
                      struct ws_executor_lane *lane,
                      const struct ws_executor_place *place, struct ws_error *err)
{
    struct ws_route_options options = {
        .cut = place->head_cut,
        .tail_cut = place->tail_cut,
        .codec = place->codec,
        .encoding = place->encoding,
        .model_name = executor->variants[place->tail_variant].model_name,
    };
    struct ws_executor_way *way = calloc(1, sizeof(*way));
    if (way == NULL)
        return ws_error_nomem(err);
    way->lane = lane;
    way->place = *place;
    ws_executor_count_work(&way->work, executor, place);
    int rc = executor->parts != NULL ? route_shared(way, executor, lane, &options, err)
                                     : route_cut(way, executor, lane, &options, err);
    if (rc != 0) {
        free(way);
        return rc;
    }
    way->next = executor->ways;
    executor->ways = way;
    *out = way;
    return 0;
}

int ws_executor_way_of(struct ws_executor_way **out, struct ws_executor *executor,
                       const struct ws_setting *setting, struct ws_error *err)
{
    struct ws_executor_place place;
    struct ws_executor_lane *lane = NULL;
    int rc = ws_executor_locate(&place, executor, setting, err);
    if (rc == 0)
        rc = lane_of(&lane, executor, setting, err);
    if (rc != 0)
        return rc;
    for (struct ws_executor_way *way = executor->ways; way != NULL; way = way->next) {
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
    struct ws_executor_way *way = NULL;
    int rc = ws_executor_way_of(&way, executor, setting, err);
    return rc == 0 && fallback ? ws_route_prepare_tail(way->route, err) : rc;
}
