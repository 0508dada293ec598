#include "split/splitter.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "onnx/twin.h"
#include "split/optimised.h"
#include "split/shapes.h"

/* One segment in memory. */
struct resident {
    struct resident *next;
    size_t from, to; /* numbers of cuts */
    struct ws_session *session;
    size_t *inputs, *outputs;
    size_t input_count, output_count;
    uint64_t bytes; /* what loading it added to the heap */
    uint64_t last_use;
    unsigned pins;
};

struct ws_splitter {
    struct ws_engine *engine;
    struct ws_model *model;
    struct ws_graph *graph;
    struct ws_cuts *cuts;
    struct ws_optimised *optimised;
    int is_quantised;
    uint64_t memory_bytes_max;
    pthread_mutex_t lock; /* over everything below */
    struct resident *residents;
    uint64_t resident_bytes;
    uint64_t uses;
};

static int computes_quantised(const struct ws_graph *graph)
{
    static const char *const prefixes[] = {"QLinear",       "QuantizeLinear",
                                           "QGemm",         "ConvInteger",
                                           "MatMulInteger", "DynamicQuantizeLinear"};
    for (size_t n = 0; n < graph->node_count; n++) {
        const char *op = graph->nodes[n].proto->op_type;
        for (size_t p = 0; p < sizeof(prefixes) / sizeof(prefixes[0]); p++) {
            if (strncmp(op, prefixes[p], strlen(prefixes[p])) == 0)
                return 1;
        }
    }
    return 0;
}

/* Sequences and optionals do not cross, not even as a model's inputs. */
static int sends_tensors(const struct ws_graph *graph, const struct ws_cut *cut)
{
    for (size_t i = 0; i < cut->tensor_count; i++) {
        if (!graph->values[cut->tensors[i]].is_tensor)
            return 0;
    }
    return 1;
}

/* Marks every cut; returns how many interior ones are natural. */
static size_t mark_natural(struct ws_splitter *splitter)
{
    struct ws_cuts *cuts = splitter->cuts;
    size_t interior = 0;
    for (size_t c = 0; c < cuts->count; c++) {
        int is_end = c == 0 || c + 1 == cuts->count;
        int natural = is_end ? sends_tensors(splitter->graph, &cuts->cuts[c])
                             : ws_twins_natural(splitter->optimised->twins, cuts, c);
        cuts->cuts[c].natural = natural ? WS_NATURAL_YES : WS_NATURAL_NO;
        interior += natural && !is_end;
    }
    ws_cuts_mark_bottlenecks(cuts);
    return interior;
}

/* Optimises as far as asked. On some processors the runtime turns quantised tensors into
 * another layout or sign wherever it can, and the network could be cut almost nowhere;
 * where keeping both gives more than twice the cuts, that is worth up to a tenth of the
 * speed. */
static int optimise(struct ws_splitter *splitter, const char *path, enum ws_level level,
                    struct ws_error *err)
{
    struct ws_optimised *kept = NULL;
    int rc = ws_optimised_create(&splitter->optimised, splitter->engine, splitter->graph,
                                 path, level, 0, err);
    if (rc != 0)
        return rc;
    size_t interior = mark_natural(splitter);
    if (!splitter->is_quantised || level != WS_LEVEL_ALL ||
        ws_optimised_create(&kept, splitter->engine, splitter->graph, path, level, 1,
                            NULL) != 0)
        return 0;
    struct ws_optimised *first = splitter->optimised;
    splitter->optimised = kept;
    if (mark_natural(splitter) > 2 * interior) {
        ws_optimised_destroy(first);
        return 0;
    }
    splitter->optimised = first;
    ws_optimised_destroy(kept);
    (void)mark_natural(splitter);
    return 0;
}

int ws_splitter_create(struct ws_splitter **out, struct ws_engine *engine,
                       const char *model_path, const struct ws_splitter_options *options,
                       struct ws_error *err)
{
    struct ws_splitter *splitter = calloc(1, sizeof(*splitter));
    if (splitter == NULL)
        return ws_error_nomem(err);
    splitter->engine = engine;
    splitter->memory_bytes_max = options->memory_bytes_max;
    pthread_mutex_init(&splitter->lock, NULL);
    int rc = ws_model_open(&splitter->model, model_path, err);
    if (rc == 0)
        rc = ws_graph_create(&splitter->graph, splitter->model, err);
    if (rc == 0)
        rc = ws_graph_infer_shapes(splitter->graph, ws_shapes_from_engine, engine,
                                   options->dims, options->dim_count, err);
    if (rc == 0)
        rc = ws_cuts_create(&splitter->cuts, splitter->graph, err);
    if (rc == 0) {
        splitter->is_quantised = computes_quantised(splitter->graph);
        rc = optimise(splitter, model_path, options->level, err);
        ws_model_release_weights(splitter->model);
    }
    if (rc != 0) {
        ws_splitter_destroy(splitter);
        return rc;
    }
    *out = splitter;
    return 0;
}

static void resident_destroy(struct resident *resident)
{
    if (resident == NULL)
        return;
    ws_session_destroy(resident->session);
    free(resident->inputs);
    free(resident->outputs);
    free(resident);
}

void ws_splitter_destroy(struct ws_splitter *splitter)
{
    if (splitter == NULL)
        return;
    while (splitter->residents != NULL) {
        struct resident *next = splitter->residents->next;
        resident_destroy(splitter->residents);
        splitter->residents = next;
    }
    ws_optimised_destroy(splitter->optimised);
    ws_cuts_destroy(splitter->cuts);
    ws_graph_destroy(splitter->graph);
    ws_model_close(splitter->model);
    pthread_mutex_destroy(&splitter->lock);
    free(splitter);
}

struct ws_engine *ws_splitter_engine(const struct ws_splitter *splitter)
{
    return splitter->engine;
}

const struct ws_graph *ws_splitter_graph(const struct ws_splitter *splitter)
{
    return splitter->graph;
}

const struct ws_cuts *ws_splitter_cuts(const struct ws_splitter *splitter)
{
    return splitter->cuts;
}

enum ws_level ws_splitter_level(const struct ws_splitter *splitter)
{
    return splitter->optimised->level;
}

int ws_splitter_keeps_layout(const struct ws_splitter *splitter)
{
    return splitter->optimised->keep_layout;
}

int ws_splitter_is_quantised(const struct ws_splitter *splitter)
{
    return splitter->is_quantised;
}

const char *ws_splitter_note(const struct ws_splitter *splitter)
{
    return splitter->optimised->note;
}

static int holds(const size_t *values, size_t count, size_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i] == value)
            return 1;
    }
    return 0;
}

/* What the segment must compute, appended to `out`: tensors of cut `to` that do not come
 * in, then graph outputs that the head of `to` gives and the head of `from` does not. */
static size_t segment_outputs(size_t *out, const struct ws_splitter *splitter,
                              size_t from, size_t to)
{
    const struct ws_cut *start = &splitter->cuts->cuts[from];
    const struct ws_cut *end = &splitter->cuts->cuts[to];
    const struct ws_graph *graph = splitter->graph;
    size_t count = 0;
    for (size_t i = 0; i < end->tensor_count; i++) {
        size_t value = end->tensors[i];
        if (!graph->values[value].is_input &&
            !holds(start->tensors, start->tensor_count, value))
            out[count++] = value;
    }
    size_t *early = out + count + graph->output_count;
    size_t early_count = from == 0 ? 0 : ws_cut_outputs(early, splitter->cuts, from, 0);
    size_t *now = early + early_count;
    size_t now_count = ws_cut_outputs(now, splitter->cuts, to, 0);
    for (size_t i = 0; i < now_count; i++) {
        size_t value = now[i];
        if (!graph->values[value].is_input && !holds(early, early_count, value) &&
            !holds(start->tensors, start->tensor_count, value) &&
            !holds(out, count, value))
            out[count++] = value;
    }
    return count;
}

static int values_of(size_t **out, const struct ws_graph *graph,
                     const struct ws_io_type *(*type_of)(const struct ws_session *,
                                                         size_t),
                     const struct ws_session *session, size_t count, struct ws_error *err)
{
    size_t *values = calloc(count + 1, sizeof(*values));
    if (values == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        int rc = ws_graph_find(&values[i], graph, type_of(session, i)->name, err);
        if (rc != 0) {
            free(values);
            return rc;
        }
    }
    *out = values;
    return 0;
}

static uint64_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static int load(struct resident *resident, struct ws_splitter *splitter,
                struct ws_error *err)
{
    const struct ws_graph *graph = splitter->graph;
    const struct ws_cut *start = &splitter->cuts->cuts[resident->from];
    size_t room =
        splitter->cuts->cuts[resident->to].tensor_count + 4 * graph->output_count;
    size_t *outputs = calloc(room + 1, sizeof(*outputs));
    if (outputs == NULL)
        return ws_error_nomem(err);
    size_t output_count =
        segment_outputs(outputs, splitter, resident->from, resident->to);
    int rc = 0;
    if (output_count > 0) {
        uint64_t before = heap_bytes();
        rc = ws_optimised_session(&resident->session, splitter->optimised, start->tensors,
                                  start->tensor_count, outputs, output_count, err);
        uint64_t after = heap_bytes();
        resident->bytes = sizeof(*resident) + (after > before ? after - before : 0);
    }
    free(outputs);
    if (rc != 0 || resident->session == NULL)
        return rc;
    resident->input_count = ws_session_input_count(resident->session);
    resident->output_count = ws_session_output_count(resident->session);
    rc = values_of(&resident->inputs, graph, ws_session_input, resident->session,
                   resident->input_count, err);
    if (rc == 0)
        rc = values_of(&resident->outputs, graph, ws_session_output, resident->session,
                       resident->output_count, err);
    return rc;
}

/* Drops idle segments, the one used longest ago first, until the budget holds. */
static void make_room(struct ws_splitter *splitter)
{
    while (splitter->memory_bytes_max != 0 &&
           splitter->resident_bytes > splitter->memory_bytes_max) {
        struct resident **oldest = NULL;
        for (struct resident **at = &splitter->residents; *at != NULL;
             at = &(*at)->next) {
            if ((*at)->pins == 0 &&
                (oldest == NULL || (*at)->last_use < (*oldest)->last_use))
                oldest = at;
        }
        if (oldest == NULL)
            return;
        struct resident *gone = *oldest;
        *oldest = gone->next;
        splitter->resident_bytes -= gone->bytes;
        ws_log(WS_LOG_DEBUG, "segment %zu..%zu dropped: over the memory budget",
               gone->from, gone->to);
        resident_destroy(gone);
    }
}

static int find_or_load(struct resident **out, struct ws_splitter *splitter, size_t from,
                        size_t to, struct ws_error *err)
{
    for (struct resident *r = splitter->residents; r != NULL; r = r->next) {
        if (r->from == from && r->to == to) {
            *out = r;
            return 0;
        }
    }
    struct resident *fresh = calloc(1, sizeof(*fresh));
    if (fresh == NULL)
        return ws_error_nomem(err);
    fresh->from = from;
    fresh->to = to;
    int rc = load(fresh, splitter, err);
    if (rc != 0) {
        resident_destroy(fresh);
        return rc;
    }
    fresh->next = splitter->residents;
    splitter->residents = fresh;
    splitter->resident_bytes += fresh->bytes;
    *out = fresh;
    return 0;
}

int ws_splitter_acquire(struct ws_segment_use *out, struct ws_splitter *splitter,
                        size_t from, size_t to, struct ws_error *err)
{
    const size_t ends[] = {from, to};
    /* A segment from cut 0 takes the model's inputs, whatever kind they are. */
    for (int i = from == 0; i < 2; i++) {
        if (splitter->cuts->cuts[ends[i]].natural != WS_NATURAL_YES)
            return ws_error_set(err, WS_E_MISMATCH,
                                "cut %zu does not survive the runtime's optimisation",
                                ends[i]);
    }
    struct resident *resident = NULL;
    pthread_mutex_lock(&splitter->lock);
    int rc = find_or_load(&resident, splitter, from, to, err);
    if (rc == 0) {
        resident->pins++;
        resident->last_use = ++splitter->uses;
        make_room(splitter);
        *out = (struct ws_segment_use){
            .session = resident->session,
            .inputs = resident->inputs,
            .input_count = resident->input_count,
            .outputs = resident->outputs,
            .output_count = resident->output_count,
            .resident = resident,
        };
    }
    pthread_mutex_unlock(&splitter->lock);
    return rc;
}

void ws_splitter_release(struct ws_splitter *splitter, struct ws_segment_use *use)
{
    struct resident *resident = use->resident;
    if (resident == NULL)
        return;
    pthread_mutex_lock(&splitter->lock);
    resident->pins--;
    make_room(splitter);
    pthread_mutex_unlock(&splitter->lock);
    *use = (struct ws_segment_use){0};
}

void ws_splitter_resident(size_t *out_count, uint64_t *out_bytes,
                          struct ws_splitter *splitter)
{
    size_t count = 0;
    pthread_mutex_lock(&splitter->lock);
    for (const struct resident *r = splitter->residents; r != NULL; r = r->next)
        count++;
    *out_count = count;
    *out_bytes = splitter->resident_bytes;
    pthread_mutex_unlock(&splitter->lock);
}
