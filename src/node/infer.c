#include "node/infer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/encoding.h"

enum {
    ENCODE_BYTES_MIN = 1024, /* a shorter reply is not worth packing */
    JSON_COST = 20,          /* bytes that a parsed byte of JSON takes at worst, "0," */
};

/* A year: longer than that is no deadline, and cannot overflow. */
static const int64_t TIMEOUT_US_MAX = (int64_t)365 * 24 * 3600 * 1000000;

/* The request's body without its content encoding. */
static int decode_body(const uint8_t **out, size_t *out_size, struct ws_infer *infer,
                       size_t body_max, const struct ws_http_request *request,
                       struct ws_error *err)
{
    const char *name = ws_http_request_header(request, "Content-Encoding");
    enum ws_encoding encoding = WS_ENCODING_IDENTITY;
    *out = request->body;
    *out_size = request->body_size;
    if (name != NULL && ws_encoding_find(&encoding, name, NULL) != 0)
        return ws_error_set(err, WS_E_FORMAT,
                            "Content-Encoding \"%.32s\": zstd, lz4, gzip or deflate it "
                            "may be",
                            name);
    if (encoding == WS_ENCODING_IDENTITY)
        return 0;
    ws_buf_init(&infer->decoded, WS_OIP_BODY_MAX);
    int rc = ws_encoding_decode(&infer->decoded, encoding, request->body,
                                request->body_size, body_max - 1, err);
    *out = (const uint8_t *)infer->decoded.data;
    *out_size = infer->decoded.size;
    infer->is_too_large = rc == WS_E_LIMIT;
    if (rc == 0)
        return ws_http_request_hold(request, *out_size, err);
    return ws_error_context(err, "the request's body");
}

static int parse_body(struct ws_infer *infer, const struct ws_stage_port *ports,
                      size_t port_count, size_t body_max,
                      const struct ws_http_request *request, struct ws_error *err)
{
    const uint8_t *body = NULL;
    size_t size = 0;
    int64_t header_size = WS_OIP_NO_HEADER;
    int rc = decode_body(&body, &size, infer, body_max, request, err);
    if (rc == 0)
        rc = ws_oip_header_size(
            &header_size,
            ws_http_request_header(request, "Inference-Header-Content-Length"), size,
            err);
    if (rc == 0)
        rc = ws_http_request_hold(
            request,
            JSON_COST * (header_size == WS_OIP_NO_HEADER ? size : (uint64_t)header_size),
            err);
    if (rc == 0)
        rc = ws_oip_request_parse(&infer->request, body, size, header_size, err);
    if (rc != 0 || infer->request.raw == NULL)
        return rc;
    if (port_count != 1)
        return ws_error_set(err, WS_E_MISMATCH, "a raw body for %zu inputs", port_count);
    if (!ports->has_shape)
        return ws_error_set(err, WS_E_TYPE, "a raw body, but \"%s\" has no known shape",
                            ports->name);
    return ws_oip_request_take_raw(&infer->request, ports->name, ports->dtype,
                                   ports->dims, ports->rank, err);
}

static int check_tensor(const struct ws_stage_port *port, const struct ws_tensor *tensor,
                        struct ws_error *err)
{
    int fits = port->dtype == tensor->dtype;
    if (fits && port->has_shape) {
        fits = port->rank == tensor->rank;
        for (size_t i = 0; fits && i < port->rank; i++)
            fits = port->dims[i] < 0 || port->dims[i] == tensor->dims[i];
    }
    if (fits)
        return 0;
    char wanted[128], got[128];
    ws_tensor_describe(wanted, sizeof(wanted), port->dtype, port->dims,
                       port->has_shape ? port->rank : 0);
    ws_tensor_describe(got, sizeof(got), tensor->dtype, tensor->dims, tensor->rank);
    return ws_error_set(err, WS_E_TYPE, "input \"%s\" is %s, expected %s", port->name,
                        got, wanted);
}

static const struct ws_oip_tensor *find_input(const struct ws_oip_request *request,
                                              const char *name)
{
    for (size_t i = 0; i < request->input_count; i++) {
        if (strcmp(request->inputs[i].name, name) == 0)
            return &request->inputs[i];
    }
    return NULL;
}

static int match_inputs(struct ws_infer *infer, const struct ws_stage_port *ports,
                        size_t count, const char *digest, struct ws_error *err)
{
    const struct ws_oip_request *request = &infer->request;
    if (request->digest != NULL && strcmp(request->digest, digest) != 0)
        return ws_error_set(err, WS_E_MISMATCH,
                            "not the same model: its digest is %s here, %.64s there",
                            digest, request->digest);
    infer->matched = calloc(count + 1, sizeof(const struct ws_oip_tensor *));
    if (infer->matched == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        infer->matched[i] = find_input(request, ports[i].name);
        int rc = infer->matched[i] == NULL
                     ? ws_error_set(err, WS_E_MISMATCH, "input \"%s\" is missing",
                                    ports[i].name)
                     : check_tensor(&ports[i], &infer->matched[i]->tensor, err);
        if (rc != 0)
            return rc;
    }
    /* All are there; one more would be a stranger. */
    for (size_t k = 0; k < request->input_count; k++) {
        size_t i = 0;
        while (i < count && strcmp(ports[i].name, request->inputs[k].name) != 0)
            i++;
        if (i == count)
            return ws_error_set(err, WS_E_MISMATCH, "there is no input \"%.200s\"",
                                request->inputs[k].name);
    }
    return 0;
}

int ws_infer_read(struct ws_infer *infer, const struct ws_stage_port *ports,
                  size_t port_count, const char *digest, size_t body_max,
                  const struct ws_http_request *request, struct ws_error *err)
{
    int rc = parse_body(infer, ports, port_count, body_max, request, err);
    return rc == 0 ? match_inputs(infer, ports, port_count, digest, err) : rc;
}

static int take_inputs(struct ws_infer *infer, struct ws_engine *engine,
                       struct ws_error *err)
{
    size_t count = ws_stage_input_count(infer->use.stage);
    infer->inputs = calloc(count + 1, sizeof(struct ws_engine_value *));
    if (infer->inputs == NULL)
        return ws_error_nomem(err);
    infer->input_count = count;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = ws_engine_value_from_tensor(&infer->inputs[i], engine,
                                         &infer->matched[i]->tensor, err);
    return rc;
}

static int take_output(struct ws_infer *infer, size_t index, struct ws_error *err)
{
    struct ws_oip_tensor *to = &infer->all[index];
    const struct ws_stage_port *port = ws_stage_output(infer->use.stage, index);
    const struct ws_engine_value *value = infer->result.outputs[index];
    int rc = 0;
    if (port->dtype == WS_DTYPE_STRING) {
        rc = ws_engine_value_to_datum(&infer->strings[index], value, err);
        if (rc == 0)
            to->tensor = infer->strings[index].tensor;
    } else if (ws_engine_value_view(&to->tensor, value, NULL) != 0) {
        to->tensor.dtype = WS_DTYPE_UNDEFINED; /* an error only where it is asked for */
    }
    to->name = (char *)(uintptr_t)port->name;
    to->is_borrowed = 1;
    infer->all_count += rc == 0;
    return rc;
}

static int take_outputs(struct ws_infer *infer, struct ws_error *err)
{
    size_t have = infer->result.output_count;
    infer->all = calloc(have + 1, sizeof(*infer->all));
    infer->strings = calloc(have + 1, sizeof(*infer->strings));
    int rc = infer->all == NULL || infer->strings == NULL ? ws_error_nomem(err) : 0;
    for (size_t i = 0; rc == 0 && i < have; i++)
        rc = take_output(infer, i, err);
    return rc;
}

/* Those that the request asks for; all of them where it names none. */
static int choose_outputs(struct ws_infer *infer, size_t *out_count,
                          const struct ws_oip_tensor *all, size_t have,
                          struct ws_error *err)
{
    const struct ws_oip_request *request = &infer->request;
    size_t count = request->output_count > 0 ? request->output_count : have;
    infer->outputs = calloc(count + 1, sizeof(*infer->outputs));
    if (infer->outputs == NULL)
        return ws_error_nomem(err);
    for (size_t k = 0; k < count; k++) {
        size_t i = request->output_count > 0 ? 0 : k;
        while (request->output_count > 0 && i < have &&
               strcmp(all[i].name, request->outputs[k].name) != 0)
            i++;
        if (i == have)
            return ws_error_set(err, WS_E_MISMATCH, "there is no output \"%.200s\"",
                                request->outputs[k].name);
        infer->outputs[k] = all[i];
        infer->outputs[k].is_binary =
            (request->output_count > 0 ? request->outputs[k].is_binary
                                       : request->binary_outputs) != 0;
    }
    *out_count = count;
    return 0;
}

/* Waits until fewer than all slots compute, no longer than the request has time. */
static int wait_slot(sem_t *slots, int64_t until_ns, struct ws_error *err)
{
    int status = 0;
    const struct timespec until = {.tv_sec = until_ns / 1000000000,
                                   .tv_nsec = until_ns % 1000000000};
    do
        status = until_ns == 0 ? sem_wait(slots)
                               : sem_clockwait(slots, CLOCK_MONOTONIC, &until);
    while (status != 0 && errno == EINTR);
    return status == 0 ? 0
                       : ws_error_set(err, WS_E_BUSY,
                                      "the request's timeout passed in the queue");
}

/* Whether an Accept-Encoding lists the encoding, and not with q=0. */
static int accepts(const char *list, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = list; at != NULL && *at != '\0';) {
        at += strspn(at, " \t,");
        size_t length = strcspn(at, ",");
        if (length >= size && strncasecmp(at, name, size) == 0) {
            const char *q = at + size + strspn(at + size, " \t");
            if (q >= at + length || *q == ',')
                return 1;
            if (*q == ';') {
                size_t rest = (size_t)(at + length - q);
                const char *weight = memmem(q, rest, "q=0", 3);
                int is_zero = weight != NULL &&
                              strspn(weight + 2, "0.") >= strcspn(weight + 2, " \t,;");
                return !is_zero;
            }
        }
        at += length;
    }
    return 0;
}

static int encode_reply(struct ws_infer *infer, const struct ws_http_request *request,
                        struct ws_error *err)
{
    static const enum ws_encoding ours[] = {WS_ENCODING_ZSTD, WS_ENCODING_LZ4,
                                            WS_ENCODING_GZIP, WS_ENCODING_DEFLATE};
    const char *list = ws_http_request_header(request, "Accept-Encoding");
    for (size_t e = 0; list != NULL && e < sizeof(ours) / sizeof(ours[0]); e++) {
        if (infer->encoding == WS_ENCODING_IDENTITY &&
            accepts(list, ws_encoding_name(ours[e])))
            infer->encoding = ours[e];
    }
    if (infer->message.size_bytes < ENCODE_BYTES_MIN)
        infer->encoding = WS_ENCODING_IDENTITY;
    if (infer->encoding == WS_ENCODING_IDENTITY)
        return 0;
    struct ws_buf whole;
    ws_buf_init(&whole, WS_OIP_BODY_MAX);
    ws_buf_init(&infer->encoded, 0);
    int rc = ws_buf_reserve(&whole, (size_t)infer->message.size_bytes, err);
    for (size_t i = 0; rc == 0 && i < infer->message.part_count; i++)
        rc = ws_buf_add(&whole, infer->message.parts[i].data,
                        infer->message.parts[i].size, err);
    if (rc == 0)
        rc = ws_encoding_encode(&infer->encoded, infer->encoding, whole.data, whole.size,
                                err);
    ws_buf_fini(&whole);
    return rc;
}

int ws_infer_answer(struct ws_infer *infer, const struct ws_oip_tensor *all, size_t count,
                    const char *name, const struct ws_oip_times *times, const char *more,
                    const struct ws_http_request *request, struct ws_error *err)
{
    struct ws_oip_reply reply = {
        .model_name = (char *)(uintptr_t)name,
        .model_version = (char *)(uintptr_t) "1",
        .id = infer->request.id,
        .times = *times,
        .more = more,
    };
    int rc = choose_outputs(infer, &reply.output_count, all, count, err);
    reply.outputs = infer->outputs;
    if (rc == 0)
        rc = ws_oip_reply_build(&infer->message, &reply, err);
    return rc == 0 ? encode_reply(infer, request, err) : rc;
}

int64_t ws_infer_until_ns(const struct ws_infer *infer, int64_t start_ns)
{
    int64_t timeout_us = infer->request.timeout_us;
    return timeout_us == 0 || timeout_us > TIMEOUT_US_MAX ? 0
                                                          : start_ns + timeout_us * 1000;
}

/* Samples of a batch: the product of the dimensions that the model leaves open. */
static double batch_of(const struct ws_infer *infer)
{
    const struct ws_stage_port *port = ws_stage_input(infer->use.stage, 0);
    double batch = 1;
    for (size_t i = 0; infer->input_count > 0 && port->has_shape && i < port->rank; i++) {
        if (port->dims[i] < 0)
            batch *= (double)infer->matched[0]->tensor.dims[i];
    }
    return batch;
}

/* Runs the stage, and writes into `more` what that cost. A machine that passes for
 * another is busy until the other one would be through. */
static int run_stage(struct ws_infer *infer, struct ws_buf *more,
                     struct ws_account *account, struct ws_error *err)
{
    struct ws_claim ticket = {0};
    struct ws_bill bill;
    struct ws_work work;
    struct ws_error reason = {0};
    if (account == NULL)
        return ws_stage_run(&infer->result, infer->use.stage, infer->inputs, err);
    ticket = ws_account_open(account);
    int rc = ws_stage_run(&infer->result, infer->use.stage, infer->inputs, err);
    ws_stage_work(&work, infer->use.stage);
    ws_work_scale(&work, batch_of(infer));
    int unknown = ws_account_close(&bill, account, ticket, &work, &reason);
    if (rc != 0 || unknown == 0)
        return rc == 0 ? ws_bill_write(more, &bill, err) : rc;
    /* A model without a rate is no machine to pass for; a meter may fail now and then. */
    if (ws_account_board(account) != NULL)
        return ws_error_set(err, unknown, "%s", reason.text);
    ws_log(WS_LOG_WARNING, "energy of a request: %s", reason.text);
    return 0;
}

int ws_infer_run(struct ws_infer *infer, struct ws_service *service, const char *name,
                 const struct ws_http_request *request, struct ws_error *err)
{
    struct ws_tally_parts parts = {0};
    struct ws_oip_times times = {0};
    int64_t start = request->received_ns;
    struct ws_buf more;
    ws_buf_init(&more, 0);
    int rc = ws_infer_read(infer, ws_stage_input(infer->use.stage, 0),
                           ws_stage_input_count(infer->use.stage), infer->use.digest,
                           service->body_max, request, err);
    if (rc == 0)
        rc = take_inputs(infer, ws_host_engine(service->host), err);
    int64_t parsed = ws_clock_now_ns();
    if (rc == 0)
        rc = wait_slot(&service->slots, ws_infer_until_ns(infer, start), err);
    int64_t begun = ws_clock_now_ns();
    if (rc == 0) {
        rc = run_stage(infer, &more, service->account, err);
        (void)sem_post(&service->slots);
    }
    int64_t computed = ws_clock_now_ns();
    if (rc == 0)
        rc = take_outputs(infer, err);
    parts.queue_ns = times.queue_ns = begun - parsed;
    parts.input_ns = times.decode_ns = parsed - start + infer->result.codec_ns;
    parts.compute_ns = times.compute_ns = computed - begun - infer->result.codec_ns;
    /* Building the reply is not over when its text is written; the rest is small. */
    times.total_ns = ws_clock_now_ns() - start;
    times.is_known = infer->request.wants_times;
    if (rc == 0)
        rc = ws_infer_answer(infer, infer->all, infer->all_count, name, &times,
                             more.size > 0 ? more.data : NULL, request, err);
    ws_buf_fini(&more);
    int64_t end = ws_clock_now_ns();
    parts.output_ns = end - computed;
    parts.total_ns = end - start;
    if (rc == 0)
        ws_tally_add(infer->use.tally, &parts);
    else
        ws_tally_fail(infer->use.tally, parts.total_ns);
    return rc;
}

void ws_infer_fini(struct ws_infer *infer, struct ws_host *host)
{
    for (size_t i = 0; infer->strings != NULL && i < infer->all_count; i++)
        ws_datum_fini(&infer->strings[i]);
    free(infer->strings);
    free(infer->all);
    free(infer->outputs);
    ws_oip_message_fini(&infer->message);
    ws_buf_fini(&infer->encoded);
    ws_stage_result_fini(&infer->result);
    for (size_t i = 0; i < infer->input_count; i++)
        ws_engine_value_destroy(infer->inputs[i]);
    free(infer->inputs);
    free(infer->matched);
    ws_oip_request_fini(&infer->request);
    ws_buf_fini(&infer->decoded);
    if (host != NULL)
        ws_host_release(host, &infer->use);
    *infer = (struct ws_infer){0};
}
