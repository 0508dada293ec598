#include "node/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "node/infer.h"
#include "wire/encoding.h"
#include "wire/oip_load.h"
#include "wire/oip_meta.h"

/* What a reply is sent from, until it is. */
struct answer {
    struct ws_service *service;
    struct ws_buf text;
    struct ws_oip_part part;
    struct ws_infer infer;
    int status; /* 0: the one that goes with the error's code */
};

/* A path taken apart: /v2/models/NAME[/versions/V][/VERB]. */
struct route {
    char name[WS_NAME_MAX];
    const char *verb; /* "" where there is none */
};

int ws_service_init(struct ws_service *service, struct ws_host *host, int allow_writes,
                    unsigned slots, struct ws_error *err)
{
    *service = (struct ws_service){.host = host, .allow_writes = allow_writes};
    if (sem_init(&service->slots, 0, slots) != 0)
        return ws_error_set(err, WS_E_LIMIT, "%u requests at a time are too many", slots);
    return 0;
}

void ws_service_init_backend(struct ws_service *service, const struct ws_backend *backend,
                             size_t body_max)
{
    *service = (struct ws_service){.backend = backend, .body_max = body_max};
}

void ws_service_fini(struct ws_service *service)
{
    if (service->host != NULL)
        (void)sem_destroy(&service->slots);
}

static void release_answer(void *owner)
{
    struct answer *answer = owner;
    const struct ws_backend *backend = answer->service->backend;
    if (backend != NULL)
        backend->release(backend->user, &answer->infer);
    ws_infer_fini(&answer->infer, answer->service->host);
    ws_buf_fini(&answer->text);
    free(answer);
}

static int fill_port(struct ws_oip_port *to, const struct ws_stage_port *from)
{
    to->name = strdup(from->name);
    to->dtype = from->dtype;
    to->has_shape = from->has_shape;
    to->rank = from->rank;
    memcpy(to->dims, from->dims, sizeof(to->dims));
    return to->name == NULL ? WS_E_NOMEM : 0;
}

static int describe_model(struct ws_oip_model *out, const char *name,
                          const struct ws_host_use *use, struct ws_error *err)
{
    struct ws_oip_model model = {.name = strdup(name), .digest = strdup(use->digest)};
    size_t input_count = ws_stage_input_count(use->stage);
    size_t output_count = ws_stage_output_count(use->stage);
    model.inputs = calloc(input_count + 1, sizeof(*model.inputs));
    model.outputs = calloc(output_count + 1, sizeof(*model.outputs));
    int rc = model.name == NULL || model.digest == NULL || model.inputs == NULL ||
                     model.outputs == NULL
                 ? WS_E_NOMEM
                 : 0;
    for (size_t i = 0; rc == 0 && i < input_count; i++)
        rc = fill_port(&model.inputs[model.input_count++], ws_stage_input(use->stage, i));
    for (size_t i = 0; rc == 0 && i < output_count; i++)
        rc = fill_port(&model.outputs[model.output_count++],
                       ws_stage_output(use->stage, i));
    if (rc != 0) {
        ws_oip_model_fini(&model);
        return ws_error_nomem(err);
    }
    *out = model;
    return 0;
}

static int reply_model(struct ws_buf *text, const struct ws_service *service,
                       const struct route *route, const struct ws_host_use *use,
                       struct ws_error *err)
{
    const struct ws_backend *backend = service->backend;
    struct ws_oip_model model;
    int rc = backend != NULL ? backend->describe(backend->user, &model, route->name, err)
                             : describe_model(&model, route->name, use, err);
    if (rc != 0)
        return rc;
    rc = strcmp(route->verb, "config") == 0 ? ws_oip_config_build(text, &model, err)
                                            : ws_oip_model_build(text, &model, err);
    ws_oip_model_fini(&model);
    return rc;
}

static int reply_stats(struct ws_buf *text, const struct route *route,
                       struct ws_tally *tally, struct ws_error *err)
{
    struct ws_oip_stats stats;
    ws_tally_read(&stats, tally);
    stats.name = route->name;
    return ws_oip_stats_build(text, &stats, 1, err);
}

static int reply_ready(struct ws_buf *text, const struct route *route,
                       struct ws_error *err)
{
    json_t *root = json_pack("{s:s, s:b}", "name", route->name, "ready", 1);
    char *dump = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    int rc = dump == NULL ? ws_error_set(err, WS_E_FORMAT, "the name is not UTF-8")
                          : ws_buf_add_text(text, dump, err);
    free(dump);
    return rc;
}

/* Names belong to models that an unload could take away: so they are copied. */
struct stats_list {
    struct ws_oip_stats *stats;
    size_t count;
};

static int add_stats(void *user, const char *name, struct ws_tally *tally,
                     struct ws_error *err)
{
    struct stats_list *list = user;
    struct ws_oip_stats *more =
        realloc(list->stats, (list->count + 1) * sizeof(*list->stats));
    if (more == NULL)
        return ws_error_nomem(err);
    list->stats = more;
    char *copy = strdup(name);
    if (copy == NULL)
        return ws_error_nomem(err);
    ws_tally_read(&more[list->count], tally);
    more[list->count++].name = copy;
    return 0;
}

struct name_list {
    struct ws_oip_entry *entries;
    size_t count;
    int ready_only;
};

static int add_name(void *user, const char *name, int is_ready, struct ws_error *err)
{
    struct name_list *list = user;
    if (list->ready_only && !is_ready)
        return 0;
    struct ws_oip_entry *more =
        realloc(list->entries, (list->count + 1) * sizeof(*list->entries));
    if (more == NULL)
        return ws_error_nomem(err);
    list->entries = more;
    char *copy = strdup(name);
    if (copy == NULL)
        return ws_error_nomem(err);
    more[list->count++] = (struct ws_oip_entry){
        .name = copy, .is_ready = is_ready, .reason = is_ready ? "" : "unloaded"};
    return 0;
}

static int reply_index(struct ws_buf *text, struct ws_service *service,
                       const struct ws_http_request *request, struct ws_error *err)
{
    struct name_list list = {0};
    int rc = ws_oip_index_parse(&list.ready_only, request->body, request->body_size, err);
    if (rc == 0)
        rc = service->backend != NULL
                 ? service->backend->each_model(service->backend->user, add_name, &list,
                                                err)
                 : ws_host_each_model(service->host, add_name, &list, err);
    if (rc == 0)
        rc = ws_oip_index_build(text, list.entries, list.count, err);
    for (size_t i = 0; i < list.count; i++)
        free((char *)(uintptr_t)list.entries[i].name);
    free(list.entries);
    return rc;
}

/* The tally of a backend's model, as that of a stage. */
struct tallies {
    const struct ws_backend *backend;
    struct stats_list *list;
};

static int add_tally(void *user, const char *name, int is_ready, struct ws_error *err)
{
    const struct tallies *tallies = user;
    const struct ws_backend *backend = tallies->backend;
    (void)is_ready;
    return add_stats(tallies->list, name, backend->tally(backend->user, name), err);
}

static int reply_all_stats(struct ws_buf *text, struct ws_service *service,
                           struct ws_error *err)
{
    struct stats_list list = {0};
    const struct ws_backend *backend = service->backend;
    struct tallies tallies = {backend, &list};
    int rc = backend != NULL
                 ? backend->each_model(backend->user, add_tally, &tallies, err)
                 : ws_host_each_stage(service->host, add_stats, &list, err);
    if (rc == 0)
        rc = ws_oip_stats_build(text, list.stats, list.count, err);
    for (size_t i = 0; i < list.count; i++)
        free((char *)(uintptr_t)list.stats[i].name);
    free(list.stats);
    return rc;
}

/* By name alone, by digest, or with the model itself in the body. */
static int load(struct ws_service *service, const char *name,
                const struct ws_http_request *request, struct ws_error *err)
{
    struct ws_oip_load load;
    int64_t header_size = WS_OIP_NO_HEADER;
    int rc = ws_oip_header_size(
        &header_size, ws_http_request_header(request, "Inference-Header-Content-Length"),
        request->body_size, err);
    if (rc == 0)
        rc =
            ws_oip_load_parse(&load, request->body, request->body_size, header_size, err);
    if (rc != 0)
        return rc;
    if (load.model == NULL)
        return ws_host_load(service->host, name, load.digest, err);
    if (load.digest[0] == '\0')
        return ws_error_set(err, WS_E_FORMAT, "a model without a digest is not taken");
    return ws_host_upload(service->host, name, load.digest, load.model, load.model_size,
                          err);
}

static int reply_write(struct ws_buf *text, struct ws_service *service,
                       const struct route *route, const struct ws_http_request *request,
                       struct ws_error *err)
{
    int is_load = strcmp(route->verb, "load") == 0;
    int rc = 0;
    if (service->backend != NULL)
        return ws_error_set(err, WS_E_UNSUPPORTED, "an agent's models are its plan's");
    if (!is_load && strcmp(route->verb, "unload") != 0)
        return ws_error_set(err, WS_E_NOT_FOUND, "no such path");
    if (!service->allow_writes)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "this node does not take writes: start it with "
                            "--allow-writes");
    rc = is_load ? load(service, route->name, request, err)
                 : ws_host_unload(service->host, route->name, err);
    return rc == 0 ? ws_buf_add_text(text, "{}", err) : rc;
}

/* What lies behind /v2/models/ or /v2/repository/models/. */
static int take_apart(struct route *out, const char *rest, struct ws_error *err)
{
    static const char versions[] = "versions/";
    const char *slash = strchr(rest, '/');
    size_t size = slash == NULL ? strlen(rest) : (size_t)(slash - rest);
    if (size == 0 || size >= sizeof(out->name))
        return ws_error_set(err, WS_E_NOT_FOUND, "no such path");
    memcpy(out->name, rest, size);
    out->name[size] = '\0';
    out->verb = slash == NULL ? "" : slash + 1;
    if (strncmp(out->verb, versions, strlen(versions)) == 0) {
        const char *version = out->verb + strlen(versions);
        size_t length = strcspn(version, "/");
        if (length != 1 || version[0] != '1')
            return ws_error_set(err, WS_E_NOT_FOUND,
                                "model \"%.200s\" has version 1 and no other", out->name);
        out->verb = version[length] == '/' ? version + length + 1 : "";
    }
    return 0;
}

static int reply_infer(struct answer *answer, const struct route *route,
                       const struct ws_http_request *request, struct ws_http_reply *reply,
                       struct ws_error *err)
{
    struct ws_infer *infer = &answer->infer;
    const struct ws_backend *backend = answer->service->backend;
    int rc = backend != NULL
                 ? backend->infer(backend->user, infer, route->name, request, err)
                 : ws_infer_run(infer, answer->service, route->name, request, err);
    if (infer->is_too_large)
        answer->status = 413;
    if (rc != 0)
        return rc;
    size_t header = 0;
    if (infer->message.header_size != WS_OIP_NO_HEADER) {
        reply->content_type = "application/octet-stream";
        reply->headers[header].name = "Inference-Header-Content-Length";
        (void)snprintf(reply->headers[header].value, sizeof(reply->headers[header].value),
                       "%lld", (long long)infer->message.header_size);
        header++;
    }
    reply->parts = infer->message.parts;
    reply->part_count = infer->message.part_count;
    if (infer->encoding != WS_ENCODING_IDENTITY) {
        reply->headers[header].name = "Content-Encoding";
        (void)snprintf(reply->headers[header].value, sizeof(reply->headers[header].value),
                       "%s", ws_encoding_name(infer->encoding));
        answer->part = (struct ws_oip_part){infer->encoded.data, infer->encoded.size};
        reply->parts = &answer->part;
        reply->part_count = 1;
    }
    return 0;
}

/* Paths below /v2/models/. */
static int reply_of_model(struct answer *answer, const char *rest,
                          const struct ws_http_request *request,
                          struct ws_http_reply *reply, struct ws_error *err)
{
    struct route route;
    const struct ws_service *service = answer->service;
    const struct ws_backend *backend = service->backend;
    const struct ws_host_use *use = &answer->infer.use;
    int rc = take_apart(&route, rest, err);
    if (rc == 0 && backend == NULL)
        rc = ws_host_acquire(&answer->infer.use, service->host, route.name, err);
    if (rc != 0)
        return rc;
    struct ws_tally *tally =
        backend != NULL ? backend->tally(backend->user, route.name) : use->tally;
    if (tally == NULL)
        return ws_error_set(err, WS_E_NOT_FOUND, "no model \"%.200s\"", route.name);
    if (strcmp(route.verb, "infer") == 0)
        return reply_infer(answer, &route, request, reply, err);
    if (strcmp(route.verb, "ready") == 0)
        return reply_ready(&answer->text, &route, err);
    if (strcmp(route.verb, "stats") == 0)
        return reply_stats(&answer->text, &route, tally, err);
    if (route.verb[0] == '\0' || strcmp(route.verb, "config") == 0)
        return reply_model(&answer->text, service, &route, use, err);
    return ws_error_set(err, WS_E_NOT_FOUND, "no such path");
}

static const char *after(const char *path, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(path, prefix, size) == 0 ? path + size : NULL;
}

static int ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static const char control_path[] = "/v2/control/set";

/* What changes or computes something is posted, all else is got. */
static int needs_post(const char *path)
{
    return after(path, "/v2/repository/") != NULL || ends_with(path, "/infer") ||
           strcmp(path, control_path) == 0;
}

/* What a path needs. Whether the server is alive anybody may ask; what it holds is for
 * those who may use it. */
static unsigned right_for(const char *path)
{
    if (strcmp(path, "/v2/health/live") == 0 || strcmp(path, "/v2/health/ready") == 0)
        return WS_RIGHT_NONE;
    if (after(path, "/v2/repository/models/") != NULL)
        return WS_RIGHT_REPOSITORY;
    if (strcmp(path, control_path) == 0)
        return WS_RIGHT_CONTROL;
    return WS_RIGHT_INFER;
}

static int reply_to(struct answer *answer, const char *path,
                    const struct ws_http_request *request, struct ws_http_reply *reply,
                    struct ws_error *err)
{
    struct ws_service *service = answer->service;
    struct ws_buf *text = &answer->text;
    struct route route;
    const char *rest = NULL;
    if (strcmp(path, "/v2") == 0)
        return ws_oip_server_build(text, err);
    if (strcmp(path, "/v2/health/live") == 0)
        return ws_buf_add_text(text, "{\"live\":true}", err);
    if (strcmp(path, "/v2/health/ready") == 0)
        return atomic_load(&service->is_draining)
                   ? ws_error_set(err, WS_E_BUSY, "this node is being stopped")
                   : ws_buf_add_text(text, "{\"ready\":true}", err);
    if (strcmp(path, "/metrics") == 0 && service->backend != NULL) {
        reply->content_type = "text/plain; version=0.0.4";
        return service->backend->metrics(service->backend->user, text, err);
    }
    if (service->control != NULL && strcmp(path, "/v2/control") == 0)
        return ws_control_describe(text, service->control, err);
    if (service->control != NULL && strcmp(path, control_path) == 0)
        return ws_control_set(text, service->control, request->body, request->body_size,
                              err);
    if (strcmp(path, "/v2/models/stats") == 0)
        return reply_all_stats(text, service, err);
    if (strcmp(path, "/v2/repository/index") == 0)
        return reply_index(text, service, request, err);
    if ((rest = after(path, "/v2/repository/models/")) != NULL) {
        int rc = take_apart(&route, rest, err);
        return rc == 0 ? reply_write(text, service, &route, request, err) : rc;
    }
    if ((rest = after(path, "/v2/models/")) != NULL)
        return reply_of_model(answer, rest, request, reply, err);
    return ws_error_set(err, WS_E_NOT_FOUND, "no such path");
}

/* The path with no slash at its end. */
static void trim(char *out, size_t size, const char *path)
{
    (void)snprintf(out, size, "%s", path);
    for (size_t length = strlen(out); length > 1 && out[length - 1] == '/'; length--)
        out[length - 1] = '\0';
}

static void set_header(struct ws_http_reply *reply, const char *name, const char *value)
{
    reply->headers[0].name = name;
    (void)snprintf(reply->headers[0].value, sizeof(reply->headers[0].value), "%s", value);
}

static int check_method(const char *method, const char *path, struct ws_http_reply *reply,
                        struct ws_error *err)
{
    int is_get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    int is_post = strcmp(method, "POST") == 0;
    if (needs_post(path) ? is_post : is_get)
        return 0;
    reply->status = 405;
    set_header(reply, "Allow", needs_post(path) ? "POST" : "GET");
    return ws_error_set(err, WS_E_UNSUPPORTED, "%.16s is not allowed here", method);
}

int ws_service_admit(void *user, const struct ws_http_request *request, char *client,
                     struct ws_error *err)
{
    char path[2 * WS_NAME_MAX];
    const struct ws_service *service = user;
    if (service->access == NULL)
        return 0;
    trim(path, sizeof(path), request->path);
    return ws_access_check(service->access, request, right_for(path), client, err);
}

void ws_service_handle(void *user, const struct ws_http_request *request,
                       struct ws_http_reply *reply)
{
    static const char no_memory[] = "{\"error\":\"out of memory\"}";
    static const struct ws_oip_part no_memory_part = {no_memory, sizeof(no_memory) - 1};
    char path[2 * WS_NAME_MAX];
    struct ws_error err = {0};
    struct answer *answer = calloc(1, sizeof(*answer));
    reply->status = 500; /* should memory be out */
    reply->content_type = "application/json";
    reply->parts = &no_memory_part;
    reply->part_count = 1;
    if (answer == NULL)
        return;
    reply->status = 0;
    answer->service = user;
    ws_buf_init(&answer->text, 0);
    reply->release = release_answer;
    reply->owner = answer;
    trim(path, sizeof(path), request->path);
    int rc = ws_service_admit(user, request, NULL, &err);
    if (rc == 0)
        rc = check_method(request->method, path, reply, &err);
    if (rc == 0)
        rc = reply_to(answer, path, request, reply, &err);
    if (rc == WS_E_STRANGER)
        set_header(reply, "WWW-Authenticate", "Bearer");
    if (reply->status == 0)
        reply->status = rc == 0               ? 200
                        : answer->status != 0 ? answer->status
                                              : ws_oip_status(rc);
    if (rc != 0) {
        reply->content_type = "application/json";
        ws_buf_clear(&answer->text);
        rc = ws_oip_error_build(&answer->text, err.text, NULL);
    }
    if (rc == 0 && reply->parts == &no_memory_part) {
        answer->part = (struct ws_oip_part){answer->text.data, answer->text.size};
        reply->parts = &answer->part;
    }
}
