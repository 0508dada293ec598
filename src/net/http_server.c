#include "net/http_server.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "net/body.h"
#include "wire/oip_meta.h"

enum {
    POOL_BYTES = 256 << 10,      /* of one connection: headers and what recv fills */
    TRICKLE_BYTES_PER_S = 16384, /* slower than this, after the grace, is cut off */
    DRAIN_STEP_NS = 2000000,
    SPARE_BODIES = 8,
    SPARE_BYTES_MAX = 16 << 20, /* of one */
};

struct ws_http_server {
    struct MHD_Daemon *daemon;
    struct ws_http_server_options options;
    atomic_size_t in_flight;
    /* Bodies that were used and may be again: fresh memory costs more than the copy into
     * it. */
    pthread_mutex_t lock;
    struct ws_body spare[SPARE_BODIES];
    size_t spare_count;
};

/* One request, from its headers to the end of its reply. */
struct exchange {
    struct ws_http_server *server;
    struct ws_body body;
    int64_t start_ns;
    char *path;
    uint64_t seen_bytes; /* of the body, kept or not */
    int rc;              /* of receiving */
    struct ws_error err;
    struct ws_http_reply reply;
};

const char *ws_http_request_header(const struct ws_http_request *request,
                                   const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static void take_spare(struct ws_body *out, struct ws_http_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    if (server->spare_count > 0)
        *out = server->spare[--server->spare_count];
    (void)pthread_mutex_unlock(&server->lock);
    out->size = 0;
}

static void give_spare(struct ws_http_server *server, struct ws_body *body)
{
    int is_kept = 0;
    if (body->capacity == 0)
        return;
    (void)pthread_mutex_lock(&server->lock);
    if (server->spare_count < SPARE_BODIES && body->capacity <= SPARE_BYTES_MAX) {
        server->spare[server->spare_count++] = *body;
        is_kept = 1;
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (!is_kept)
        ws_body_fini(body);
}

/* A body of its own, for replies that no handler made. */
static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status,
                              const char *text)
{
    struct ws_buf buf;
    ws_buf_init(&buf, 0);
    enum MHD_Result result = MHD_NO;
    if (ws_oip_error_build(&buf, text, NULL) == 0) {
        struct MHD_Response *response =
            MHD_create_response_from_buffer(buf.size, buf.data, MHD_RESPMEM_MUST_COPY);
        if (response != NULL) {
            (void)MHD_add_response_header(response, "Content-Type", "application/json");
            (void)MHD_add_response_header(response, "Connection", "close");
            result = MHD_queue_response(connection, status, response);
            MHD_destroy_response(response);
        }
    }
    ws_buf_fini(&buf);
    return result;
}

static enum MHD_Result begin(void **state, struct ws_http_server *server,
                             struct MHD_Connection *connection, const char *path)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    char *copy = strdup(path);
    if (exchange == NULL || copy == NULL) {
        free(exchange);
        free(copy);
        return MHD_NO;
    }
    exchange->server = server;
    exchange->path = copy;
    exchange->start_ns = ws_clock_now_ns();
    atomic_fetch_add(&server->in_flight, 1);
    *state = exchange;
    if (length == NULL)
        return MHD_YES;
    struct ws_error err = {0};
    int64_t size = 0;
    int rc = ws_parse_i64(&size, length, 0, INT64_MAX, "Content-Length", &err);
    if (rc == 0 && size > 0)
        take_spare(&exchange->body, server);
    if (rc == 0)
        rc = ws_body_expect(&exchange->body, (uint64_t)size, server->options.body_max,
                            &err);
    if (rc == 0)
        return MHD_YES;
    return refuse(connection,
                  rc == WS_E_LIMIT ? MHD_HTTP_CONTENT_TOO_LARGE : MHD_HTTP_BAD_REQUEST,
                  err.text);
}

/* Past the beginning of a body the library takes no reply, so what is too much is read
 * and forgotten, to be answered in the end; but not for ever. */
static enum MHD_Result receive(struct exchange *exchange, const char *bytes, size_t *size)
{
    const struct ws_http_server_options *options = &exchange->server->options;
    exchange->seen_bytes += *size;
    if (exchange->rc == 0)
        exchange->rc =
            ws_body_add(&exchange->body, bytes, *size, options->body_max, &exchange->err);
    if (exchange->rc != 0)
        ws_body_fini(&exchange->body);
    *size = 0;
    int64_t elapsed_s = (ws_clock_now_ns() - exchange->start_ns) / 1000000000;
    uint64_t allowed_s = options->grace_s + exchange->seen_bytes / TRICKLE_BYTES_PER_S;
    if ((uint64_t)elapsed_s > allowed_s ||
        exchange->seen_bytes / 2 > (uint64_t)options->body_max)
        return MHD_NO;
    return MHD_YES;
}

static struct MHD_Response *make_response(const struct ws_http_reply *reply)
{
    if (reply->part_count == 1)
        return MHD_create_response_from_buffer(reply->parts[0].size,
                                               (void *)(uintptr_t)reply->parts[0].data,
                                               MHD_RESPMEM_PERSISTENT);
    struct MHD_IoVec *vector = calloc(reply->part_count + 1, sizeof(*vector));
    if (vector == NULL)
        return NULL;
    unsigned count = 0;
    for (size_t i = 0; i < reply->part_count; i++) {
        if (reply->parts[i].size > 0)
            vector[count++] = (struct MHD_IoVec){.iov_base = reply->parts[i].data,
                                                 .iov_len = reply->parts[i].size};
    }
    /* The library copies the vector, not what it points to. */
    struct MHD_Response *response =
        MHD_create_response_from_iovec(vector, count, NULL, NULL);
    free(vector);
    return response;
}

static enum MHD_Result answer(struct exchange *exchange, const char *method,
                              struct MHD_Connection *connection)
{
    const struct ws_http_server_options *options = &exchange->server->options;
    struct ws_http_reply *reply = &exchange->reply;
    if (exchange->rc != 0)
        return refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE, exchange->err.text);
    const struct ws_http_request request = {
        .method = method,
        .path = exchange->path,
        .body = exchange->body.data,
        .body_size = exchange->body.size,
        .received_ns = ws_clock_now_ns(),
        .connection = connection,
    };
    options->handler(options->user, &request, reply);
    struct MHD_Response *response = make_response(reply);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, "Content-Type", reply->content_type);
    for (size_t i = 0; i < WS_HTTP_REPLY_HEADERS_MAX && reply->headers[i].name != NULL;
         i++)
        (void)MHD_add_response_header(response, reply->headers[i].name,
                                      reply->headers[i].value);
    enum MHD_Result result =
        MHD_queue_response(connection, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_access(void *user, struct MHD_Connection *connection,
                                 const char *url, const char *method, const char *version,
                                 const char *bytes, size_t *size, void **state)
{
    (void)version;
    if (*state == NULL)
        return begin(state, user, connection, url);
    struct exchange *exchange = *state;
    if (*size > 0)
        return receive(exchange, bytes, size);
    return answer(exchange, method, connection);
}

/* After the reply's last byte, or when the connection ended before it: nothing of the
 * exchange is looked at any more. */
static void on_completed(void *user, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct ws_http_server *server = user;
    struct exchange *exchange = *state;
    (void)connection;
    (void)why;
    if (exchange == NULL)
        return;
    if (exchange->reply.release != NULL)
        exchange->reply.release(exchange->reply.owner);
    give_spare(server, &exchange->body);
    free(exchange->path);
    free(exchange);
    *state = NULL;
    atomic_fetch_sub(&server->in_flight, 1);
}

int ws_http_server_start(struct ws_http_server **out,
                         const struct ws_http_server_options *options,
                         struct ws_error *err)
{
    struct ws_http_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return ws_error_nomem(err);
    server->options = *options;
    (void)pthread_mutex_init(&server->lock, NULL);
    server->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ITC, 0,
        NULL, NULL, on_access, server, MHD_OPTION_LISTEN_SOCKET, options->fd,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)WS_HTTP_CONNS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)POOL_BYTES, MHD_OPTION_CONNECTION_MEMORY_INCREMENT,
        (size_t)POOL_BYTES / 2, MHD_OPTION_CONNECTION_TIMEOUT, options->idle_s,
        MHD_OPTION_END);
    if (server->daemon == NULL) {
        (void)pthread_mutex_destroy(&server->lock);
        free(server);
        return ws_error_set(err, WS_E_IO, "cannot start the HTTP server");
    }
    *out = server;
    return 0;
}

void ws_http_server_stop(struct ws_http_server *server, int64_t drain_ms)
{
    if (server == NULL)
        return;
    int64_t end_ns = ws_clock_now_ns() + drain_ms * 1000000;
    (void)MHD_quiesce_daemon(server->daemon);
    while (atomic_load(&server->in_flight) > 0 && ws_clock_now_ns() < end_ns)
        ws_clock_sleep_until(ws_clock_now_ns() + DRAIN_STEP_NS);
    MHD_stop_daemon(server->daemon);
    while (server->spare_count > 0)
        ws_body_fini(&server->spare[--server->spare_count]);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}
