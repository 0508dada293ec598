#include "split/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct ws_relay {
    struct ws_splitter *splitter;
    const struct ws_graph *graph;
    struct ws_stage *head;
    struct ws_remote *remote; /* NULL for the last cut */
};

int ws_relay_create(struct ws_relay **out, struct ws_splitter *splitter,
                    const struct ws_relay_options *options, struct ws_error *err)
{
    char name[WS_NAME_MAX], digest[WS_DIGEST_TEXT];
    const struct ws_cuts *cuts = ws_splitter_cuts(splitter);
    struct ws_relay *relay = calloc(1, sizeof(*relay));
    if (relay == NULL)
        return ws_error_nomem(err);
    relay->splitter = splitter;
    relay->graph = ws_splitter_graph(splitter);
    int rc = ws_stage_create(&relay->head, splitter, options->cut, options->codec,
                             WS_STAGE_HEAD, err);
    if (rc == 0)
        rc = ws_model_digest(digest, relay->graph->model, err);
    if (rc == 0 && options->cut + 1 < cuts->count) {
        (void)snprintf(name, sizeof(name), "%s~%s~%s", options->model_name,
                       cuts->cuts[options->cut].id, ws_codec_name(options->codec));
        const struct ws_remote_options remote = {
            .url = options->url,
            .name = options->name != NULL ? options->name : name,
            .base = options->model_name,
            .digest = digest,
            .encoding = options->encoding,
            .timeout_ms = options->timeout_ms,
        };
        rc = ws_remote_open(&relay->remote, &remote, err);
    }
    if (rc != 0)
        ws_relay_destroy(relay);
    else
        *out = relay;
    return rc;
}

void ws_relay_destroy(struct ws_relay *relay)
{
    if (relay == NULL)
        return;
    ws_remote_close(relay->remote);
    ws_stage_destroy(relay->head);
    free(relay);
}

int ws_relay_checked(const struct ws_relay *relay)
{
    return relay->remote == NULL || ws_remote_checked(relay->remote);
}

/* The wire tensors as the protocol takes them; strings are copied into `copies`. */
static int wire_tensors(struct ws_oip_tensor *out, struct ws_datum *copies,
                        const struct ws_relay *relay, const struct ws_stage_result *head,
                        struct ws_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ws_stage_wire_count(relay->head); i++) {
        const struct ws_stage_port *port = ws_stage_output(relay->head, i);
        out[i].name = (char *)(uintptr_t)port->name;
        if (port->dtype == WS_DTYPE_STRING) {
            rc = ws_engine_value_to_datum(&copies[i], head->outputs[i], err);
            out[i].tensor = copies[i].tensor;
        } else {
            rc = ws_engine_value_view(&out[i].tensor, head->outputs[i], err);
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

/* One output of the model, from the head or from the reply. */
static int take_output(struct ws_datum *out, const struct ws_relay *relay, size_t value,
                       const struct ws_stage_result *head, struct ws_oip_reply *reply,
                       struct ws_error *err)
{
    const struct ws_value *from = &relay->graph->values[value];
    for (size_t i = ws_stage_wire_count(relay->head); i < head->output_count; i++) {
        if (ws_stage_output(relay->head, i)->value == value)
            return ws_engine_value_to_datum(out, head->outputs[i], err);
    }
    for (size_t i = 0; i < reply->output_count; i++) {
        if (strcmp(reply->outputs[i].name, from->name) != 0)
            continue;
        if (from->dtype != WS_DTYPE_UNDEFINED &&
            from->dtype != reply->outputs[i].tensor.dtype)
            return ws_error_set(err, WS_E_TYPE, "output \"%s\" came as %s, not %s",
                                from->name, ws_dtype_name(reply->outputs[i].tensor.dtype),
                                ws_dtype_name(from->dtype));
        return copy_tensor(out, &reply->outputs[i], err);
    }
    return ws_error_set(err, WS_E_MISMATCH, "the server did not send output \"%s\"",
                        from->name);
}

static void fill_times(struct ws_relay_times *out, const struct ws_stage_result *head,
                       const struct ws_remote_times *remote, int64_t total_ns)
{
    const struct ws_oip_times *node = &remote->node;
    out->edge_ns = head->compute_ns;
    out->encode_ns = head->codec_ns + remote->encode_ns;
    out->exchange_ns = remote->exchange_ns;
    out->is_told = node->is_known;
    out->decode_ns = remote->decode_ns;
    if (node->is_known) {
        out->transfer_ns = remote->exchange_ns - node->total_ns;
        out->cloud_ns = node->total_ns - node->decode_ns;
        out->decode_ns += node->decode_ns;
    }
    out->total_ns = total_ns;
    out->sent_bytes = remote->sent_bytes;
    out->received_bytes = remote->received_bytes;
}

static int send_wires(struct ws_oip_reply *reply, struct ws_relay *relay,
                      const struct ws_stage_result *head, struct ws_remote_times *times,
                      uint64_t *tensor_bytes, struct ws_error *err)
{
    size_t count = ws_stage_wire_count(relay->head);
    struct ws_oip_tensor *tensors = calloc(count + 1, sizeof(*tensors));
    struct ws_datum *copies = calloc(count + 1, sizeof(*copies));
    int rc = tensors == NULL || copies == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0)
        rc = wire_tensors(tensors, copies, relay, head, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        *tensor_bytes += tensors[i].tensor.size_bytes;
    if (rc == 0)
        rc = ws_remote_infer(reply, relay->remote, tensors, count, times, err);
    for (size_t i = 0; copies != NULL && i < count; i++)
        ws_datum_fini(&copies[i]);
    free(copies);
    free(tensors);
    return rc;
}

int ws_relay_run(struct ws_relay *relay, const struct ws_datum *inputs,
                 struct ws_datum *outputs, struct ws_relay_times *times,
                 struct ws_error *err)
{
    const struct ws_graph *graph = relay->graph;
    struct ws_engine *engine = ws_splitter_engine(relay->splitter);
    struct ws_stage_result head = {0};
    struct ws_oip_reply reply = {0};
    struct ws_remote_times remote = {0};
    uint64_t tensor_bytes = 0;
    int64_t start = ws_clock_now_ns();
    struct ws_engine_value **values =
        calloc(graph->input_count + 1, sizeof(struct ws_engine_value *));
    int rc = values == NULL ? ws_error_nomem(err) : 0;
    for (size_t i = 0; rc == 0 && i < graph->input_count; i++)
        rc = ws_engine_value_from_datum(&values[i], engine, &inputs[i], err);
    if (rc == 0)
        rc = ws_stage_run(&head, relay->head, values, err);
    if (rc == 0 && relay->remote != NULL)
        rc = send_wires(&reply, relay, &head, &remote, &tensor_bytes, err);
    size_t done = 0;
    for (; rc == 0 && done < graph->output_count; done++)
        rc = take_output(&outputs[done], relay, graph->outputs[done], &head, &reply, err);
    /* What failed was not written; what was, the caller shall not have. */
    for (size_t i = 0; rc != 0 && i + 1 < done; i++)
        ws_datum_fini(&outputs[i]);
    if (rc == 0 && times != NULL) {
        *times = (struct ws_relay_times){.tensor_bytes = tensor_bytes};
        fill_times(times, &head, &remote, ws_clock_now_ns() - start);
    }
    ws_oip_reply_fini(&reply);
    ws_stage_result_fini(&head);
    for (size_t i = 0; values != NULL && i < graph->input_count; i++)
        ws_engine_value_destroy(values[i]);
    free(values);
    return rc;
}
