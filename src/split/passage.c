#include "split/passage.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "split/sharing.h"

struct ws_route {
    struct ws_splitter *splitter; /* the head's */
    struct ws_splitter *tail_splitter;
    const struct ws_graph *graph; /* the tail's */
    size_t tail_cut;
    enum ws_codec codec;
    int has_tail;
    struct ws_stage *head;
    pthread_mutex_t lock;  /* over: */
    struct ws_stage *tail; /* made when it is first run here, NULL before */
    char digest[WS_DIGEST_TEXT];
    char *model_name, *name;
    enum ws_encoding encoding;
    struct ws_halves *halves; /* NULL: no maps are shared */
    double share;
};

struct ws_passage {
    struct ws_route *route;
    struct ws_sharing *sharing; /* where maps are shared */
    struct ws_engine_value **inputs;
    struct ws_stage_result head;
    pthread_mutex_t lock; /* over what follows */
    struct ws_datum *outputs;
    int is_done;
    struct ws_passage_times times;
    struct ws_passage_times head_times; /* as they were when the head was done */
};

/* --- Routes --------------------------------------------------------------------------
 */

static int values_agree(const struct ws_value *a, const struct ws_value *b)
{
    int agree = a->dtype == b->dtype;
    if (!agree || !a->has_shape || !b->has_shape)
        return agree;
    agree = a->rank == b->rank;
    for (size_t i = 0; agree && i < a->rank; i++)
        agree = a->dims[i] == b->dims[i] || a->dims[i] < 0 || b->dims[i] < 0;
    return agree;
}

int ws_route_agrees(struct ws_splitter *head, size_t head_cut, struct ws_splitter *tail,
                    size_t tail_cut, struct ws_error *err)
{
    const struct ws_cuts *heads = ws_splitter_cuts(head), *tails = ws_splitter_cuts(tail);
    const struct ws_cut *from = &heads->cuts[head_cut], *to = &tails->cuts[tail_cut];
    const char *path = ws_model_path(tails->graph->model);
    if (head == tail)
        return 0;
    if (from->tensor_count != to->tensor_count)
        return ws_error_set(err, WS_E_MISMATCH,
                            "%zu tensors cross the head's cut, %zu that of %s",
                            from->tensor_count, to->tensor_count, path);
    for (size_t i = 0; i < to->tensor_count; i++) {
        const struct ws_value *value = &tails->graph->values[to->tensors[i]];
        size_t f = 0;
        while (f < from->tensor_count &&
               strcmp(heads->graph->values[from->tensors[f]].name, value->name) != 0)
            f++;
        if (f == from->tensor_count ||
            !values_agree(&heads->graph->values[from->tensors[f]], value))
            return ws_error_set(err, WS_E_MISMATCH,
                                "the head sends no \"%s\" as the tail of %s takes it",
                                value->name, path);
    }
    return 0;
}

static int name_tail(struct ws_route *route, const struct ws_route_options *options,
                     const struct ws_cut *cut, struct ws_error *err)
{
    struct ws_buf name;
    ws_buf_init(&name, 0);
    int rc = options->name != NULL
                 ? ws_buf_add_text(&name, options->name, err)
                 : ws_buf_printf(&name, err, "%s~%s~%s", options->model_name, cut->id,
                                 ws_codec_name(options->codec));
    route->name = ws_buf_take(&name);
    route->model_name = strdup(options->model_name);
    ws_buf_fini(&name);
    return rc == 0 && route->model_name == NULL ? ws_error_nomem(err) : rc;
}

int ws_route_create(struct ws_route **out, const struct ws_route_options *options,
                    struct ws_error *err)
{
    struct ws_splitter *tail = options->tail != NULL ? options->tail : options->head;
    size_t tail_cut = options->tail != NULL ? options->tail_cut : options->cut;
    const struct ws_cuts *cuts = ws_splitter_cuts(tail);
    struct ws_route *route = calloc(1, sizeof(*route));
    if (route == NULL)
        return ws_error_nomem(err);
    pthread_mutex_init(&route->lock, NULL);
    route->splitter = options->head;
    route->tail_splitter = tail;
    route->graph = ws_splitter_graph(tail);
    route->tail_cut = tail_cut;
    route->codec = options->codec;
    route->encoding = options->encoding;
    route->has_tail = options->cut + 1 < ws_splitter_cuts(options->head)->count;
    route->halves = options->halves;
    route->share = options->share;
    if (route->halves != NULL)
        route->has_tail = ws_halves_secondary_count(route->halves, route->share) > 0;
    int rc = ws_stage_create(&route->head, options->head, options->cut, options->codec,
                             options->ranges, WS_STAGE_HEAD, err);
    if (rc == 0)
        rc = ws_route_agrees(options->head, options->cut, tail, tail_cut, err);
    if (rc == 0)
        rc = ws_model_digest(route->digest, route->graph->model, err);
    if (rc == 0)
        rc = name_tail(route, options, &cuts->cuts[tail_cut], err);
    if (rc != 0)
        ws_route_destroy(route);
    else
        *out = route;
    return rc;
}

void ws_route_destroy(struct ws_route *route)
{
    if (route == NULL)
        return;
    ws_stage_destroy(route->head);
    ws_stage_destroy(route->tail);
    pthread_mutex_destroy(&route->lock);
    free(route->model_name);
    free(route->name);
    free(route);
}

int ws_route_has_tail(const struct ws_route *route)
{
    return route->has_tail;
}

void ws_route_describe(struct ws_remote_options *out, const struct ws_route *route)
{
    out->name = route->name;
    out->base = route->model_name;
    out->digest = route->digest;
    out->encoding = route->encoding;
}

/* --- Passages ------------------------------------------------------------------------
 */

static int passage_create(struct ws_passage **out, struct ws_route *route,
                          struct ws_error *err)
{
    size_t count = ws_splitter_graph(route->splitter)->input_count;
    struct ws_passage *passage = calloc(1, sizeof(*passage));
    if (passage == NULL)
        return ws_error_nomem(err);
    pthread_mutex_init(&passage->lock, NULL);
    passage->route = route;
    passage->inputs = calloc(count + 1, sizeof(struct ws_engine_value *));
    passage->outputs = calloc(route->graph->output_count + 1, sizeof(*passage->outputs));
    if (passage->inputs == NULL || passage->outputs == NULL) {
        ws_passage_destroy(passage);
        return ws_error_nomem(err);
    }
    *out = passage;
    return 0;
}

/* Head and codec. What came before them took `before_ns`. */
static int run_head(struct ws_passage *passage, const struct ws_datum *inputs,
                    int64_t start_ns, int64_t before_ns, struct ws_error *err)
{
    const struct ws_route *route = passage->route;
    struct ws_engine *engine = ws_splitter_engine(route->splitter);
    size_t count = ws_splitter_graph(route->splitter)->input_count;
    int has_head = route->halves == NULL || route->has_tail, rc = 0;
    for (size_t i = 0; rc == 0 && has_head && i < count; i++)
        rc = ws_engine_value_from_datum(&passage->inputs[i], engine, &inputs[i], err);
    if (rc == 0 && has_head)
        rc = ws_stage_run(&passage->head, route->head, passage->inputs, err);
    if (rc != 0)
        return rc;
    passage->times.encode_ns = passage->head.codec_ns;
    passage->times.total_ns = before_ns + ws_clock_now_ns() - start_ns;
    passage->times.edge_ns = passage->times.total_ns - passage->head.codec_ns;
    passage->head_times = passage->times;
    return 0;
}

int ws_passage_start_shared(struct ws_passage **out, struct ws_route *route,
                            struct ws_sharing *sharing, struct ws_error *err)
{
    int64_t start = ws_clock_now_ns();
    struct ws_passage *passage = NULL;
    int rc = ws_sharing_divide(sharing, route->share, err);
    if (rc == 0)
        rc = passage_create(&passage, route, err);
    if (rc == 0)
        rc = run_head(passage, ws_sharing_wires(sharing), start,
                      ws_sharing_extract_ns(sharing), err);
    if (rc != 0) {
        ws_passage_destroy(passage);
        return rc;
    }
    passage->sharing = sharing;
    *out = passage;
    return 0;
}

int ws_passage_start(struct ws_passage **out, struct ws_route *route,
                     const struct ws_datum *inputs, struct ws_error *err)
{
    int64_t start = ws_clock_now_ns();
    struct ws_passage *passage = NULL;
    struct ws_sharing *sharing = NULL;
    int rc = 0;
    if (route->halves != NULL) {
        rc = ws_sharing_start(&sharing, route->halves, inputs, err);
        if (rc == 0)
            rc = ws_passage_start_shared(out, route, sharing, err);
        if (rc != 0)
            ws_sharing_destroy(sharing);
        return rc;
    }
    rc = passage_create(&passage, route, err);
    if (rc == 0)
        rc = run_head(passage, inputs, start, 0, err);
    if (rc != 0)
        ws_passage_destroy(passage);
    else
        *out = passage;
    return rc;
}

int ws_passage_beside(struct ws_passage *passage, double modelled_ms,
                      struct ws_error *err)
{
    return passage->sharing == NULL
               ? 0
               : ws_sharing_beside(passage->sharing, modelled_ms, err);
}

int ws_passage_attention(double *out, const struct ws_passage *passage,
                         struct ws_error *err)
{
    return passage->sharing != NULL
               ? ws_sharing_attention(out, passage->sharing, err)
               : ws_error_set(err, WS_E_UNKNOWN, "no feature maps are shared");
}

void ws_passage_again(struct ws_passage *passage)
{
    for (size_t i = 0; i < passage->route->graph->output_count; i++)
        ws_datum_fini(&passage->outputs[i]);
    passage->is_done = 0;
    passage->times = passage->head_times;
}

void ws_passage_destroy(struct ws_passage *passage)
{
    if (passage == NULL)
        return;
    ws_sharing_destroy(passage->sharing);
    ws_stage_result_fini(&passage->head);
    for (size_t i = 0; passage->inputs != NULL &&
                       i < ws_splitter_graph(passage->route->splitter)->input_count;
         i++)
        ws_engine_value_destroy(passage->inputs[i]);
    for (size_t i = 0;
         passage->outputs != NULL && i < passage->route->graph->output_count; i++)
        ws_datum_fini(&passage->outputs[i]);
    free(passage->inputs);
    free(passage->outputs);
    pthread_mutex_destroy(&passage->lock);
    free(passage);
}

/* The wire tensors as the protocol takes them; strings are copied into `copies`. */
static int wire_tensors(struct ws_oip_tensor *out, struct ws_datum *copies,
                        const struct ws_passage *passage, struct ws_error *err)
{
    const struct ws_stage *head = passage->route->head;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ws_stage_wire_count(head); i++) {
        const struct ws_stage_port *port = ws_stage_output(head, i);
        out[i].name = (char *)(uintptr_t)port->name;
        if (port->dtype == WS_DTYPE_STRING) {
            rc = ws_engine_value_to_datum(&copies[i], passage->head.outputs[i], err);
            out[i].tensor = copies[i].tensor;
        } else {
            rc = ws_engine_value_view(&out[i].tensor, passage->head.outputs[i], err);
        }
    }
    return rc;
}

static int copy_tensor(struct ws_datum *out, struct ws_oip_tensor *from,
                       struct ws_error *err)
{
    struct ws_datum copy = {.kind = WS_DATUM_TENSOR};
    if (!from->is_borrowed) {
        copy.tensor = from->tensor; /* moved */
        from->tensor = (struct ws_tensor){0};
    } else {
        int rc = ws_tensor_init(&copy.tensor, from->tensor.dtype, from->tensor.dims,
                                from->tensor.rank, err);
        if (rc != 0)
            return rc;
        if (copy.tensor.size_bytes > 0)
            memcpy(copy.tensor.data, from->tensor.data, copy.tensor.size_bytes);
    }
    *out = copy;
    return 0;
}

/* An output that the head computed already: 1 if it did, with rc in *out_rc. */
static int take_from_head(struct ws_datum *out, int *out_rc,
                          const struct ws_passage *passage, const char *name,
                          struct ws_error *err)
{
    const struct ws_stage *head = passage->route->head;
    for (size_t i = ws_stage_wire_count(head); i < passage->head.output_count; i++) {
        if (strcmp(ws_stage_output(head, i)->name, name) == 0) {
            *out_rc = ws_engine_value_to_datum(out, passage->head.outputs[i], err);
            return 1;
        }
    }
    return 0;
}

static int take_from_reply(struct ws_datum *out, const struct ws_value *value,
                           struct ws_oip_reply *reply, struct ws_error *err)
{
    for (size_t i = 0; i < reply->output_count; i++) {
        if (strcmp(reply->outputs[i].name, value->name) != 0)
            continue;
        if (value->dtype != WS_DTYPE_UNDEFINED &&
            value->dtype != reply->outputs[i].tensor.dtype)
            return ws_error_set(err, WS_E_TYPE, "output \"%s\" came as %s, not %s",
                                value->name,
                                ws_dtype_name(reply->outputs[i].tensor.dtype),
                                ws_dtype_name(value->dtype));
        return copy_tensor(out, &reply->outputs[i], err);
    }
    return ws_error_set(err, WS_E_MISMATCH, "the server did not send output \"%s\"",
                        value->name);
}

static int take_from_tail(struct ws_datum *out, const struct ws_route *route,
                          const char *name, const struct ws_stage_result *tail,
                          struct ws_error *err)
{
    for (size_t i = 0; i < tail->output_count; i++) {
        if (strcmp(ws_stage_output(route->tail, i)->name, name) == 0)
            return ws_engine_value_to_datum(out, tail->outputs[i], err);
    }
    return ws_error_set(err, WS_E_MISMATCH, "neither side computes output \"%s\"", name);
}

/* All outputs into `outputs`, from the head and from one of reply and tail. */
static int take_outputs(struct ws_datum *outputs, const struct ws_passage *passage,
                        struct ws_oip_reply *reply, const struct ws_stage_result *tail,
                        struct ws_error *err)
{
    const struct ws_graph *graph = passage->route->graph;
    int rc = 0;
    for (size_t o = 0; rc == 0 && o < graph->output_count; o++) {
        const struct ws_value *value = &graph->values[graph->outputs[o]];
        if (take_from_head(&outputs[o], &rc, passage, value->name, err))
            continue;
        rc = reply != NULL
                 ? take_from_reply(&outputs[o], value, reply, err)
                 : take_from_tail(&outputs[o], passage->route, value->name, tail, err);
    }
    return rc;
}

/* Hands outputs and times over to the passage, unless somebody has. Empties `outputs`. */
static int settle(struct ws_passage *passage, struct ws_datum *outputs,
                  const struct ws_passage_times *added, struct ws_error *err)
{
    struct ws_passage_times *times = &passage->times;
    size_t count = passage->route->graph->output_count;
    int rc = 0;
    pthread_mutex_lock(&passage->lock);
    if (passage->is_done) {
        rc = ws_error_set(err, WS_E_END, "another answer came first");
    } else {
        memcpy(passage->outputs, outputs, count * sizeof(*outputs));
        memset(outputs, 0, count * sizeof(*outputs));
        passage->is_done = 1;
        times->encode_ns += added->encode_ns;
        times->exchange_ns = added->exchange_ns;
        times->is_told = added->is_told;
        times->transfer_ns = added->transfer_ns;
        times->cloud_ns = added->cloud_ns;
        times->decode_ns = added->decode_ns;
        times->local_ns = added->local_ns;
        times->beside_ns = added->beside_ns;
        times->beside_late_ns = added->beside_late_ns;
        times->total_ns += added->total_ns;
        times->tensor_bytes = added->tensor_bytes;
        times->sent_bytes = added->sent_bytes;
        times->received_bytes = added->received_bytes;
        times->node = added->node;
        times->cloud = added->cloud;
    }
    pthread_mutex_unlock(&passage->lock);
    return rc;
}

static void fill_times(struct ws_passage_times *out, const struct ws_remote_times *remote)
{
    const struct ws_oip_times *node = &remote->node;
    out->encode_ns = remote->encode_ns;
    out->exchange_ns = remote->exchange_ns;
    out->is_told = node->is_known;
    out->decode_ns = remote->decode_ns;
    out->node = *node;
    out->cloud = remote->energy;
    if (node->is_known) {
        out->transfer_ns = remote->exchange_ns - node->total_ns;
        out->cloud_ns = node->total_ns - node->decode_ns;
        out->decode_ns += node->decode_ns;
    }
    out->sent_bytes = remote->sent_bytes;
    out->received_bytes = remote->received_bytes;
}

static void datums_free(struct ws_datum *datums, size_t count)
{
    for (size_t i = 0; datums != NULL && i < count; i++)
        ws_datum_fini(&datums[i]);
    free(datums);
}

int ws_passage_send(struct ws_passage *passage, struct ws_remote *remote,
                    struct ws_error *err)
{
    size_t wires = ws_stage_wire_count(passage->route->head);
    size_t output_count = passage->route->graph->output_count;
    struct ws_passage_times added = {0};
    struct ws_remote_times remote_times = {0};
    struct ws_oip_reply reply = {0};
    int64_t start = ws_clock_now_ns();
    struct ws_oip_tensor *tensors = calloc(wires + 1, sizeof(*tensors));
    struct ws_datum *copies = calloc(wires + 1, sizeof(*copies));
    struct ws_datum *outputs = calloc(output_count + 1, sizeof(*outputs));
    int rc =
        tensors == NULL || copies == NULL || outputs == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0)
        rc = wire_tensors(tensors, copies, passage, err);
    for (size_t i = 0; rc == 0 && i < wires; i++)
        added.tensor_bytes += tensors[i].tensor.size_bytes;
    if (rc == 0)
        rc = ws_remote_infer(&reply, remote, tensors, wires, &remote_times, err);
    if (rc == 0)
        rc = take_outputs(outputs, passage, &reply, NULL, err);
    if (rc == 0 && passage->sharing != NULL)
        rc = ws_sharing_fuse(&outputs[0], &added.beside_ns, &added.beside_late_ns,
                             passage->sharing, err);
    if (rc == 0) {
        fill_times(&added, &remote_times);
        added.total_ns = ws_clock_now_ns() - start;
        rc = settle(passage, outputs, &added, err);
    }
    ws_oip_reply_fini(&reply);
    datums_free(outputs, output_count);
    datums_free(copies, wires);
    free(tensors);
    return rc;
}

/* Where maps are shared this is the cloud's part, which no request needs here. */
static int load_tail(struct ws_route *route, struct ws_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&route->lock);
    if (route->has_tail && route->tail == NULL)
        rc = ws_stage_create(&route->tail, route->tail_splitter, route->tail_cut,
                             route->codec, NULL, WS_STAGE_TAIL, err);
    pthread_mutex_unlock(&route->lock);
    return rc;
}

int ws_route_prepare_tail(struct ws_route *route, struct ws_error *err)
{
    return route->halves == NULL ? load_tail(route, err) : 0;
}

/* The wire tensor in hand that is called `name`; NULL where there is none. */
static struct ws_engine_value *wire_named(const struct ws_passage *passage,
                                          const char *name)
{
    const struct ws_stage *head = passage->route->head;
    for (size_t w = 0; w < ws_stage_wire_count(head); w++) {
        if (strcmp(ws_stage_output(head, w)->name, name) == 0)
            return passage->head.outputs[w];
    }
    return NULL;
}

/* Runs the tail on the wire tensors in hand. */
static int run_tail(struct ws_stage_result *out, const struct ws_passage *passage,
                    struct ws_error *err)
{
    struct ws_route *route = passage->route;
    int rc = load_tail(route, err);
    if (rc != 0)
        return rc;
    size_t count = ws_stage_input_count(route->tail);
    struct ws_engine_value **inputs = calloc(count + 1, sizeof(struct ws_engine_value *));
    if (inputs == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const char *name = ws_stage_input(route->tail, i)->name;
        inputs[i] = wire_named(passage, name);
        if (inputs[i] == NULL)
            rc = ws_error_set(err, WS_E_MISMATCH, "the head sends no \"%s\"", name);
    }
    if (rc == 0)
        rc = ws_stage_run(out, route->tail, inputs, err);
    free(inputs);
    return rc;
}

/* All outputs, made here: with `fuse` where maps are shared, as a node would have. */
static int finish(struct ws_passage *passage, int fuse, struct ws_error *err)
{
    size_t output_count = passage->route->graph->output_count;
    struct ws_passage_times added = {0};
    struct ws_stage_result tail = {0};
    int64_t start = ws_clock_now_ns();
    struct ws_datum *outputs = calloc(output_count + 1, sizeof(*outputs));
    int rc = outputs == NULL ? ws_error_nomem(err) : 0;
    int is_alone = passage->sharing != NULL && !fuse;
    if (rc == 0 && is_alone)
        rc = ws_sharing_alone(&outputs[0], passage->sharing, err);
    else if (rc == 0 && passage->route->has_tail)
        rc = run_tail(&tail, passage, err);
    if (rc == 0 && !is_alone)
        rc = take_outputs(outputs, passage, NULL, &tail, err);
    if (rc == 0 && fuse)
        rc = ws_sharing_fuse(&outputs[0], &added.beside_ns, &added.beside_late_ns,
                             passage->sharing, err);
    if (rc == 0) {
        added.total_ns = ws_clock_now_ns() - start;
        added.local_ns = passage->route->has_tail ? added.total_ns : 0;
        rc = settle(passage, outputs, &added, err);
    }
    ws_stage_result_fini(&tail);
    datums_free(outputs, output_count);
    return rc;
}

int ws_passage_finish(struct ws_passage *passage, struct ws_error *err)
{
    return finish(passage, 0, err);
}

int ws_passage_rehearse(struct ws_passage *passage, struct ws_error *err)
{
    return finish(passage, passage->sharing != NULL && passage->route->has_tail, err);
}

void ws_passage_describe(struct ws_remote_options *out, const struct ws_passage *passage)
{
    ws_route_describe(out, passage->route);
}

const struct ws_graph *ws_passage_graph(const struct ws_passage *passage)
{
    return passage->route->graph;
}

int ws_passage_is_done(const struct ws_passage *passage)
{
    return passage->is_done;
}

struct ws_datum *ws_passage_outputs(const struct ws_passage *passage, size_t *out_count)
{
    if (out_count != NULL)
        *out_count = passage->route->graph->output_count;
    return passage->outputs;
}

const struct ws_passage_times *ws_passage_times(const struct ws_passage *passage)
{
    return &passage->times;
}
