#include "net/http_server.h"

#include <gnutls/abstract.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/parse.h"
#include "net/body.h"
#include "net/clients.h"
#include "net/watch.h"
#include "wire/oip_meta.h"

enum {
    POOL_BYTES = 256 << 10,      /* of one connection: headers and what recv fills */
    TRICKLE_BYTES_PER_S = 16384, /* slower than this, after the grace, is cut off */
    DRAIN_STEP_NS = 2000000,
    SPARE_BODIES = 8,
    SPARE_BYTES_MAX = 16 << 20, /* of one */
};

#define NO_CLIENT SIZE_MAX

struct ws_http_server {
    struct MHD_Daemon *daemon;
    struct ws_http_server_options options;
    struct ws_watch *watch;
    atomic_size_t in_flight;
    atomic_uint_fast64_t held; /* bytes, of all requests in flight */
    struct ws_clients *clients;
    /* Bodies that were used and may be again: fresh memory costs more than the copy into
     * it. */
    pthread_mutex_t lock;
    struct ws_body spare[SPARE_BODIES];
    size_t spare_count;
};

/* One connection, from its acceptance on. */
struct line {
    struct ws_watched *watched;
    struct ws_tls_files *files; /* NULL: no TLS */
    int has_peer;               /* peer and until_s were looked up */
    char peer[WS_TLS_NAME_MAX];
    int64_t until_s;
};

/* One request, from its headers to the end of its reply. */
struct exchange {
    struct ws_http_server *server;
    struct MHD_Connection *connection;
    struct line *line;
    struct ws_body body;
    int64_t start_ns;
    char *path;
    uint64_t seen_bytes; /* of the body, kept or not */
    uint64_t held_bytes;
    size_t client; /* of the server's; NO_CLIENT: it was refused before that */
    int rc;        /* of receiving */
    struct ws_error err;
    struct ws_http_reply reply;
};

const char *ws_http_request_header(const struct ws_http_request *request,
                                   const char *name)
{
    const struct exchange *exchange = request->exchange;
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static int hold(struct exchange *exchange, uint64_t bytes, struct ws_error *err)
{
    struct ws_http_server *server = exchange->server;
    uint64_t held = atomic_fetch_add(&server->held, bytes) + bytes;
    exchange->held_bytes += bytes;
    int rc = exchange->client == NO_CLIENT
                 ? 0
                 : ws_clients_hold(server->clients, exchange->client, bytes, err);
    if (rc == 0 && held > server->options.held_max)
        rc = ws_error_set(err, WS_E_BUSY,
                          "requests hold %" PRIu64 " bytes already, at most %" PRIu64
                          ": try again later",
                          held - bytes, server->options.held_max);
    return rc;
}

/* What a request holds, others may have. */
static void let_go(struct exchange *exchange)
{
    struct ws_http_server *server = exchange->server;
    atomic_fetch_sub(&server->held, exchange->held_bytes);
    if (exchange->client != NO_CLIENT)
        ws_clients_let_go(server->clients, exchange->client, exchange->held_bytes);
    exchange->held_bytes = 0;
}

int ws_http_request_hold(const struct ws_http_request *request, uint64_t bytes,
                         struct ws_error *err)
{
    return hold(request->exchange, bytes, err);
}

/* When a body of so many bytes, at a trickle, is there. */
static int64_t until_body(const struct ws_http_server *server, uint64_t bytes)
{
    return ws_clock_now_ns() +
           (int64_t)(server->options.grace_s + bytes / TRICKLE_BYTES_PER_S) * 1000000000;
}

static int64_t until_header(const struct ws_http_server *server)
{
    return ws_clock_now_ns() + (int64_t)server->options.idle_s * 1000000000;
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
            if (status == MHD_HTTP_UNAUTHORIZED)
                (void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
            result = MHD_queue_response(connection, status, response);
            MHD_destroy_response(response);
        }
    }
    ws_buf_fini(&buf);
    return result;
}

/* Asked of the session once; a certificate that has expired since names nobody. */
static const char *peer_of(struct line *line, struct MHD_Connection *connection)
{
    if (line->files == NULL)
        return "";
    if (!line->has_peer) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        if (info != NULL)
            ws_tls_peer(line->peer, &line->until_s, info->tls_session);
        line->has_peer = 1;
    }
    return (int64_t)time(NULL) <= line->until_s ? line->peer : "";
}

/* Whether the handler's owner wants this request at all. */
static int admit(struct exchange *exchange, const char *method, char *client,
                 struct ws_error *err)
{
    const struct ws_http_server_options *options = &exchange->server->options;
    const struct ws_http_request request = {
        .method = method,
        .path = exchange->path,
        .received_ns = exchange->start_ns,
        .peer = peer_of(exchange->line, exchange->connection),
        .exchange = exchange,
    };
    return options->admit == NULL ? 0
                                  : options->admit(options->user, &request, client, err);
}

/* One more request of the client of that name, or of whoever is at its address. */
static int enter(struct exchange *exchange, const char *name, struct ws_error *err)
{
    struct ws_http_server *server = exchange->server;
    char key[WS_CLIENT_KEY_MAX], host[NI_MAXHOST] = "?";
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (name[0] == '\0' && info != NULL && info->client_addr != NULL) {
        socklen_t size = info->client_addr->sa_family == AF_INET6
                             ? sizeof(struct sockaddr_in6)
                             : sizeof(struct sockaddr_in);
        (void)getnameinfo(info->client_addr, size, host, sizeof(host), NULL, 0,
                          NI_NUMERICHOST);
    }
    if (name[0] != '\0')
        (void)snprintf(key, sizeof(key), "name %.300s", name);
    else
        (void)snprintf(key, sizeof(key), "address %.300s", host);
    return ws_clients_enter(&exchange->client, server->clients, key, err);
}

/* Makes room for a body of the announced size, if one was announced. */
static int expect_body(struct exchange *exchange, struct MHD_Connection *connection,
                       struct ws_error *err)
{
    struct ws_http_server *server = exchange->server;
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    int64_t size = 0;
    if (length == NULL) /* none, or in pieces: what comes says how long it may take */
        size = (int64_t)server->options.body_max;
    else if (ws_parse_i64(&size, length, 0, INT64_MAX, "Content-Length", err) != 0)
        return WS_E_FORMAT;
    uint64_t bytes = (uint64_t)size < server->options.body_max ? (uint64_t)size
                                                               : server->options.body_max;
    ws_watch_set(server->watch, exchange->line->watched, until_body(server, bytes), 0);
    if (length == NULL)
        return 0;
    if (size > 0)
        take_spare(&exchange->body, server);
    return ws_body_expect(&exchange->body, (uint64_t)size, server->options.body_max, err);
}

static enum MHD_Result begin(void **state, struct ws_http_server *server,
                             struct MHD_Connection *connection, const char *path,
                             const char *method)
{
    struct line *line = NULL;
    size_t header_size = 0;
    struct ws_error err = {0};
    /* Taken at once: from version 1 on the library answers the next question in the same
     * place. */
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info != NULL)
        line = info->socket_context;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (info != NULL)
        header_size = info->header_size;
    /* Without a line of its own the connection cannot be watched. */
    if (line == NULL)
        return MHD_NO;
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    char *copy = strdup(path);
    if (exchange == NULL || copy == NULL) {
        free(exchange);
        free(copy);
        return MHD_NO;
    }
    exchange->server = server;
    exchange->connection = connection;
    exchange->line = line;
    exchange->path = copy;
    exchange->start_ns = ws_clock_now_ns();
    exchange->client = NO_CLIENT;
    *state = exchange;
    if (atomic_fetch_add(&server->in_flight, 1) >= server->options.requests_max)
        return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                      "too many requests at once: try again later");
    if (header_size > WS_HTTP_HEADERS_MAX)
        return refuse(connection, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
                      "the header is too large");
    char client[WS_HTTP_CLIENT_MAX] = "";
    int rc = admit(exchange, method, client, &err);
    if (rc == 0)
        rc = enter(exchange, client, &err);
    if (rc != 0)
        return refuse(connection, (unsigned)ws_oip_status(rc), err.text);
    rc = expect_body(exchange, connection, &err);
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
        exchange->rc = hold(exchange, *size, &exchange->err);
    if (exchange->rc == 0)
        exchange->rc =
            ws_body_add(&exchange->body, bytes, *size, options->body_max, &exchange->err);
    if (exchange->rc != 0) { /* at once: others would be refused for it as well */
        ws_body_fini(&exchange->body);
        let_go(exchange);
    }
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
    struct ws_watched *watched = exchange->line->watched;
    if (exchange->rc != 0)
        return refuse(connection,
                      exchange->rc == WS_E_LIMIT ? MHD_HTTP_CONTENT_TOO_LARGE
                                                 : MHD_HTTP_SERVICE_UNAVAILABLE,
                      exchange->err.text);
    const struct ws_http_request request = {
        .method = method,
        .path = exchange->path,
        .body = exchange->body.data,
        .body_size = exchange->body.size,
        .received_ns = ws_clock_now_ns(),
        .peer = peer_of(exchange->line, connection),
        .exchange = exchange,
    };
    ws_watch_set(exchange->server->watch, watched, 0, 0); /* the handler has its time */
    options->handler(options->user, &request, reply);
    uint64_t reply_bytes = 0;
    for (size_t i = 0; i < reply->part_count; i++)
        reply_bytes += reply->parts[i].size;
    ws_watch_set(exchange->server->watch, watched,
                 until_body(exchange->server, reply_bytes), 0);
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
        return begin(state, user, connection, url, method);
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
    let_go(exchange);
    if (exchange->client != NO_CLIENT)
        ws_clients_leave(server->clients, exchange->client);
    ws_watch_set(server->watch, exchange->line->watched, until_header(server), 1);
    free(exchange->path);
    free(exchange);
    *state = NULL;
    atomic_fetch_sub(&server->in_flight, 1);
}

static void open_line(struct ws_http_server *server, struct MHD_Connection *connection,
                      void **context)
{
    struct line *line = calloc(1, sizeof(*line));
    *context = NULL;
    if (line == NULL)
        return;
    if (server->options.tls != NULL) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        if (info != NULL)
            line->files = ws_tls_attach(server->options.tls, info->tls_session);
        if (line->files == NULL)
            goto fail;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL)
        line->watched =
            ws_watch_add(server->watch, info->connect_fd, until_header(server));
    if (line->watched != NULL) {
        *context = line;
        return;
    }
    ws_tls_detach(server->options.tls, line->files);
fail:
    free(line);
}

/* When a connection begins and when it has ended, on the accepting thread. */
static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct ws_http_server *server = user;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        open_line(server, connection, context);
        return;
    }
    struct line *line = *context;
    if (line == NULL)
        return;
    ws_watch_remove(server->watch, line->watched);
    ws_tls_detach(server->options.tls, line->files);
    free(line);
    *context = NULL;
}

/* The library wants certificates of its own; those of a session are given when it begins,
 * so this is never asked. */
static int no_certificate(gnutls_session_t session, const gnutls_datum_t *authorities,
                          int authority_count, const gnutls_pk_algorithm_t *algorithms,
                          int algorithm_count, gnutls_pcert_st **out,
                          unsigned int *out_count, gnutls_privkey_t *out_key)
{
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    (void)out;
    (void)out_count;
    (void)out_key;
    return -1;
}

static struct MHD_Daemon *start_daemon(struct ws_http_server *server)
{
    const struct ws_http_server_options *options = &server->options;
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)no_certificate},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)ws_tls_priorities()},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ITC;
    return MHD_start_daemon(
        flags | (options->tls != NULL ? MHD_USE_TLS : 0), 0, NULL, NULL, on_access,
        server, MHD_OPTION_LISTEN_SOCKET, options->fd, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)WS_HTTP_CONNS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)POOL_BYTES / 2,
        MHD_OPTION_CONNECTION_TIMEOUT, options->idle_s, MHD_OPTION_ARRAY,
        options->tls != NULL ? tls : none, MHD_OPTION_END);
}

int ws_http_server_start(struct ws_http_server **out,
                         const struct ws_http_server_options *options,
                         struct ws_error *err)
{
    struct ws_http_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return ws_error_nomem(err);
    server->options = *options;
    if (options->requests_max == 0)
        server->options.requests_max = WS_HTTP_FLIGHT_MAX;
    if (options->held_max == 0)
        server->options.held_max = WS_HTTP_HELD_MAX;
    const struct ws_clients_options clients = {
        .requests_max = server->options.requests_max,
        .client_requests_max = options->client_requests_max != 0
                                   ? options->client_requests_max
                                   : (server->options.requests_max + 1) / 2,
        .client_held_max = options->client_held_max != 0 ? options->client_held_max
                                                         : server->options.held_max / 2,
    };
    (void)pthread_mutex_init(&server->lock, NULL);
    int rc = ws_clients_create(&server->clients, &clients, err);
    if (rc == 0)
        rc = ws_watch_start(&server->watch, WS_HTTP_CONNS_MAX, err);
    if (rc == 0) {
        server->daemon = start_daemon(server);
        if (server->daemon == NULL)
            rc = ws_error_set(err, WS_E_IO, "cannot start the HTTP server");
    }
    if (rc != 0) {
        ws_watch_stop(server->watch);
        ws_clients_destroy(server->clients);
        (void)pthread_mutex_destroy(&server->lock);
        free(server);
        return rc;
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
    ws_watch_stop(server->watch);
    while (server->spare_count > 0)
        ws_body_fini(&server->spare[--server->spare_count]);
    ws_clients_destroy(server->clients);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}
