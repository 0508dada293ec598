#include "split/remote.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* One model of the server. */
struct target {
    struct target *next;
    struct ws_oip_model model;
    char *name;   /* as it was asked for */
    char *path;   /* of infer */
    char *digest; /* NULL: not checked */
};

struct ws_remote {
    struct ws_http_client *client;
    char *url;
    struct target *targets; /* all that were asked about */
    struct target *target;  /* the one in use */
    enum ws_encoding encoding;
    int64_t timeout_ms;
    const atomic_int *stop;
    int64_t ask_until_ns; /* questions before a request; 0: each has its own time */
    int is_binary;
    struct ws_buf packed, unpacked;
};

/* The server's own words as an error of ours. */
static int refused(const char *path, const struct ws_http_answer *answer,
                   struct ws_error *err)
{
    char text[WS_ERROR_TEXT_MAX];
    ws_oip_error_parse(text, sizeof(text), answer->body, answer->body_size);
    return ws_error_set(err, WS_E_REMOTE, "%s: the server answered %d: %s", path,
                        answer->status, text);
}

static int model_path(struct ws_buf *path, const char *name, const char *verb,
                      struct ws_error *err)
{
    ws_buf_clear(path);
    int rc = ws_buf_add_text(path, "/v2/models/", err);
    if (rc == 0)
        rc = ws_http_add_segment(path, name, err);
    return rc == 0 ? ws_buf_add_text(path, verb, err) : rc;
}

static int ask(struct ws_http_answer *out, struct ws_remote *remote, const char *path,
               struct ws_error *err)
{
    struct ws_http_call call = {.method = "GET", .path = path, .stop = remote->stop};
    if (remote->ask_until_ns > 0) {
        int64_t left_ns = remote->ask_until_ns - ws_clock_now_ns();
        if (left_ns <= 0)
            return ws_error_set(err, WS_E_TIMEOUT, "%s%s: no time is left to ask",
                                remote->url, path);
        call.timeout_ms = left_ns / 1000000 + 1;
    }
    return ws_http_client_call(out, remote->client, &call, err);
}

/* Keeps the digest where both sides have one, and they agree. */
static int compare(struct target *target, const struct ws_oip_model *model,
                   const struct ws_remote *remote,
                   const struct ws_remote_options *options, struct ws_error *err)
{
    if (options->digest == NULL || model->digest == NULL || target->digest != NULL)
        return 0;
    if (strcmp(options->digest, model->digest) != 0)
        return ws_error_set(err, WS_E_MISMATCH,
                            "\"%s\" at %s is another model: its digest is %.64s there, "
                            "%s here",
                            model->name, remote->url, model->digest, options->digest);
    target->digest = strdup(options->digest);
    return target->digest == NULL ? ws_error_nomem(err) : 0;
}

/* The model a segment is of. A foreign server need not have it. */
static int check_base(struct target *target, struct ws_remote *remote,
                      const struct ws_remote_options *options, struct ws_buf *path,
                      struct ws_error *err)
{
    struct ws_http_answer answer;
    struct ws_oip_model model;
    if (options->base == NULL)
        return 0;
    int rc = model_path(path, options->base, "", err);
    if (rc == 0)
        rc = ask(&answer, remote, path->data, err);
    if (rc != 0 || answer.status != 200)
        return rc;
    rc = ws_oip_model_parse(&model, answer.body, answer.body_size, err);
    if (rc != 0)
        return rc;
    rc = compare(target, &model, remote, options, err);
    ws_oip_model_fini(&model);
    return rc;
}

static void target_destroy(struct target *target)
{
    if (target == NULL)
        return;
    ws_oip_model_fini(&target->model);
    free(target->name);
    free(target->path);
    free(target->digest);
    free(target);
}

static int learn_model(struct target *target, struct ws_remote *remote,
                       const struct ws_remote_options *options, struct ws_error *err)
{
    struct ws_http_answer answer;
    struct ws_buf path;
    ws_buf_init(&path, 0);
    int rc = check_base(target, remote, options, &path, err);
    if (rc == 0)
        rc = model_path(&path, options->name, "", err);
    if (rc == 0)
        rc = ask(&answer, remote, path.data, err);
    if (rc == 0 && answer.status != 200)
        rc = refused(path.data, &answer, err);
    if (rc == 0)
        rc = ws_oip_model_parse(&target->model, answer.body, answer.body_size, err);
    if (rc == 0)
        rc = compare(target, &target->model, remote, options, err);
    if (rc == 0)
        rc = model_path(&path, options->name, "/infer", err);
    if (rc == 0) {
        target->path = ws_buf_take(&path);
        target->name = strdup(options->name);
        rc = target->name == NULL ? ws_error_nomem(err) : 0;
    }
    ws_buf_fini(&path);
    return rc;
}

/* All that is asked before a request has its time together. */
static void start_asking(struct ws_remote *remote,
                         const struct ws_remote_options *options)
{
    int64_t timeout_ms = options->timeout_ms;
    remote->ask_until_ns = timeout_ms > 0 ? ws_clock_now_ns() + timeout_ms * 1000000 : 0;
    remote->stop = options->stop;
}

static int turn_to(struct ws_remote *remote, const struct ws_remote_options *options,
                   struct ws_error *err)
{
    struct target *target = remote->targets;
    int rc = 0;
    while (target != NULL && strcmp(target->name, options->name) != 0)
        target = target->next;
    if (target == NULL) {
        target = calloc(1, sizeof(*target));
        rc = target == NULL ? ws_error_nomem(err)
                            : learn_model(target, remote, options, err);
        if (rc != 0) {
            target_destroy(target);
            return rc;
        }
        target->next = remote->targets;
        remote->targets = target;
    }
    remote->target = target;
    remote->encoding = options->encoding;
    remote->timeout_ms = options->timeout_ms;
    return 0;
}

int ws_remote_select(struct ws_remote *remote, const struct ws_remote_options *options,
                     struct ws_error *err)
{
    start_asking(remote, options);
    return turn_to(remote, options, err);
}

void ws_remote_limit(struct ws_remote *remote, int64_t timeout_ms)
{
    remote->timeout_ms = timeout_ms;
}

static int learn_server(struct ws_remote *remote, struct ws_error *err)
{
    struct ws_http_answer answer;
    int rc = ask(&answer, remote, "/v2", err);
    if (rc == 0 && answer.status != 200)
        rc = refused("/v2", &answer, err);
    if (rc == 0)
        rc = ws_oip_server_has(&remote->is_binary, answer.body, answer.body_size,
                               "binary_tensor_data", err);
    return rc;
}

int ws_remote_open(struct ws_remote **out, const struct ws_remote_options *options,
                   struct ws_error *err)
{
    const struct ws_http_client_options http = {.identity = options->identity,
                                                .timeout_ms = options->timeout_ms};
    struct ws_remote *remote = calloc(1, sizeof(*remote));
    if (remote == NULL)
        return ws_error_nomem(err);
    ws_buf_init(&remote->packed, 0);
    ws_buf_init(&remote->unpacked, WS_OIP_BODY_MAX);
    start_asking(remote, options);
    remote->url = strdup(options->url);
    int rc = remote->url == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0)
        rc = ws_http_client_create(&remote->client, options->url, &http, err);
    if (rc == 0)
        rc = learn_server(remote, err);
    if (rc == 0)
        rc = turn_to(remote, options, err);
    if (rc != 0)
        ws_remote_close(remote);
    else
        *out = remote;
    return rc;
}

void ws_remote_close(struct ws_remote *remote)
{
    if (remote == NULL)
        return;
    ws_http_client_destroy(remote->client);
    while (remote->targets != NULL) {
        struct target *next = remote->targets->next;
        target_destroy(remote->targets);
        remote->targets = next;
    }
    ws_buf_fini(&remote->packed);
    ws_buf_fini(&remote->unpacked);
    free(remote->url);
    free(remote);
}

const struct ws_oip_model *ws_remote_model(const struct ws_remote *remote)
{
    return &remote->target->model;
}

int ws_remote_checked(const struct ws_remote *remote)
{
    return remote->target->digest != NULL;
}

/* Head and parts as one packed body. */
static int pack(struct ws_oip_part *out, struct ws_remote *remote,
                const struct ws_oip_message *message, struct ws_error *err)
{
    struct ws_buf whole;
    ws_buf_init(&whole, WS_OIP_BODY_MAX);
    int rc = ws_buf_reserve(&whole, (size_t)message->size_bytes, err);
    for (size_t i = 0; rc == 0 && i < message->part_count; i++)
        rc = ws_buf_add(&whole, message->parts[i].data, message->parts[i].size, err);
    ws_buf_clear(&remote->packed);
    if (rc == 0)
        rc = ws_encoding_encode(&remote->packed, remote->encoding, whole.data, whole.size,
                                err);
    ws_buf_fini(&whole);
    *out = (struct ws_oip_part){remote->packed.data, remote->packed.size};
    return rc;
}

/* The reply's body without its encoding. */
static int unpack(const uint8_t **out, size_t *out_size, struct ws_remote *remote,
                  const struct ws_http_answer *answer, struct ws_error *err)
{
    enum ws_encoding encoding = WS_ENCODING_IDENTITY;
    int rc = answer->encoding[0] == '\0'
                 ? 0
                 : ws_encoding_find(&encoding, answer->encoding, err);
    *out = answer->body;
    *out_size = answer->body_size;
    if (rc != 0 || encoding == WS_ENCODING_IDENTITY)
        return rc;
    ws_buf_clear(&remote->unpacked);
    rc = ws_encoding_decode(&remote->unpacked, encoding, answer->body, answer->body_size,
                            WS_OIP_BODY_MAX - 1, err);
    *out = (const uint8_t *)remote->unpacked.data;
    *out_size = remote->unpacked.size;
    return rc;
}

static int exchange(struct ws_http_answer *out, struct ws_remote *remote,
                    const struct ws_oip_message *message, struct ws_remote_times *times,
                    struct ws_error *err)
{
    char header_size[80], encoding[80], accept[80];
    struct ws_oip_part packed;
    struct ws_http_call call = {.method = "POST",
                                .path = remote->target->path,
                                .timeout_ms = remote->timeout_ms,
                                .stop = remote->stop,
                                .parts = message->parts,
                                .part_count = message->part_count};
    int64_t start = ws_clock_now_ns();
    size_t h = 0;
    int rc = 0;
    call.headers[h++] = "Content-Type: application/json";
    if (message->header_size != WS_OIP_NO_HEADER) {
        call.headers[0] = "Content-Type: application/octet-stream";
        (void)snprintf(header_size, sizeof(header_size),
                       "Inference-Header-Content-Length: %" PRId64, message->header_size);
        call.headers[h++] = header_size;
    }
    if (remote->encoding != WS_ENCODING_IDENTITY) {
        const char *name = ws_encoding_name(remote->encoding);
        rc = pack(&packed, remote, message, err);
        call.parts = &packed;
        call.part_count = 1;
        (void)snprintf(encoding, sizeof(encoding), "Content-Encoding: %s", name);
        (void)snprintf(accept, sizeof(accept), "Accept-Encoding: %s", name);
        call.headers[h++] = encoding;
        call.headers[h++] = accept;
    }
    int64_t packed_ns = ws_clock_now_ns();
    if (rc == 0)
        rc = ws_http_client_call(out, remote->client, &call, err);
    times->encode_ns += packed_ns - start;
    times->exchange_ns = ws_clock_now_ns() - packed_ns;
    return rc;
}

static int read_reply(struct ws_oip_reply *out, struct ws_remote *remote,
                      const struct ws_http_answer *answer, struct ws_error *err)
{
    const uint8_t *body = NULL;
    size_t size = 0;
    int64_t header_size = 0;
    int rc = unpack(&body, &size, remote, answer, err);
    if (rc == 0)
        rc = ws_oip_header_size(
            &header_size, answer->header_size[0] == '\0' ? NULL : answer->header_size,
            size, err);
    if (rc == 0)
        rc = ws_oip_reply_parse(out, body, size, header_size, err);
    if (rc != 0)
        (void)ws_error_context(err, "%s", remote->target->path);
    return rc;
}

/* An energy without its truth is not one to show. */
static void read_energy(struct ws_remote_energy *out, const json_t *parameters)
{
    const json_t *energy = json_object_get(parameters, "energy_j");
    const char *truth = json_string_value(json_object_get(parameters, "truth"));
    const char *boundary = json_string_value(json_object_get(parameters, "boundary"));
    if (!json_is_number(energy) || ws_truth_find(&out->truth, truth, NULL) != 0)
        return;
    out->is_known = 1;
    out->energy_j = json_number_value(energy);
    (void)snprintf(out->boundary, sizeof(out->boundary), "%s",
                   boundary == NULL ? "" : boundary);
}

int ws_remote_infer(struct ws_oip_reply *out, struct ws_remote *remote,
                    struct ws_oip_tensor *inputs, size_t count,
                    struct ws_remote_times *times, struct ws_error *err)
{
    struct ws_remote_times local = {0};
    struct ws_oip_message message;
    struct ws_http_answer answer;
    int64_t start = ws_clock_now_ns();
    for (size_t i = 0; i < count; i++)
        inputs[i].is_binary = remote->is_binary != 0;
    const struct ws_oip_request request = {
        .inputs = inputs,
        .input_count = count,
        .binary_outputs = remote->is_binary,
        .digest = remote->target->digest,
        .wants_times =
            remote->target->model.digest != NULL, /* which a node of ours tells */
    };
    int rc = ws_oip_request_build(&message, &request, err);
    if (rc != 0)
        return rc;
    local.encode_ns = ws_clock_now_ns() - start;
    rc = exchange(&answer, remote, &message, &local, err);
    ws_oip_message_fini(&message);
    int64_t received = ws_clock_now_ns();
    if (rc == 0 && answer.status != 200)
        rc = refused(remote->target->path, &answer, err);
    if (rc == 0)
        rc = read_reply(out, remote, &answer, err);
    if (rc != 0)
        return rc;
    local.decode_ns = ws_clock_now_ns() - received;
    local.node = out->times;
    read_energy(&local.energy, out->parameters);
    local.sent_bytes = answer.sent_bytes;
    local.received_bytes = answer.body_size;
    *times = local;
    return 0;
}
