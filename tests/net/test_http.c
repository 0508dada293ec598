#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/listen.h"
#include "raw.h"

enum { BODY_MAX = 12 << 20 };

struct scene {
    struct ws_listen listen;
    struct ws_http_server *server;
    char url[80];
};

/* /echo gives back the body as two parts and a header; /sleep takes its time. */
static void handle(void *user, const struct ws_http_request *request,
                   struct ws_http_reply *reply)
{
    struct ws_oip_part *parts = calloc(2, sizeof(*parts));
    const char *mark = ws_http_request_header(request, "x-mark");
    (void)user;
    assert_non_null(parts);
    if (strcmp(request->path, "/sleep") == 0)
        ws_clock_sleep_until(ws_clock_now_ns() + 400000000);
    assert_int_equal((uintptr_t)request->body % WS_TENSOR_ALIGN, 0);
    size_t half = request->body_size / 2;
    parts[0] = (struct ws_oip_part){request->body, half};
    if (request->body_size > 0)
        parts[1] = (struct ws_oip_part){request->body + half, request->body_size - half};
    reply->status = strncmp(request->path, "/a b", 4) == 0 ? 404 : 200;
    reply->content_type = "application/octet-stream";
    reply->headers[0].name = "Inference-Header-Content-Length";
    (void)snprintf(reply->headers[0].value, sizeof(reply->headers[0].value), "%s",
                   mark == NULL ? "none" : mark);
    reply->parts = parts;
    reply->part_count = 2;
    reply->release = free;
    reply->owner = parts;
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct ws_error err = {0};
    if (scene == NULL || ws_listen_open(&scene->listen, "127.0.0.1:0", 1, &err) != 0)
        return -1;
    const struct ws_http_server_options options = {.fd = scene->listen.fd,
                                                   .handler = handle,
                                                   .body_max = BODY_MAX,
                                                   .idle_s = 1,
                                                   .grace_s = 1};
    (void)snprintf(scene->url, sizeof(scene->url), "http://%s/", scene->listen.text);
    *state = scene;
    return ws_http_server_start(&scene->server, &options, &err);
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    ws_http_server_stop(scene->server, 1000);
    ws_listen_close(&scene->listen);
    free(scene);
    return 0;
}

static struct ws_http_client *connect_to(const char *url, int64_t timeout_ms)
{
    struct ws_http_client *client = NULL;
    const struct ws_http_client_options options = {.timeout_ms = timeout_ms,
                                                   .body_max = BODY_MAX};
    assert_int_equal(ws_http_client_create(&client, url, &options, NULL), 0);
    return client;
}

/* One exchange that must come back whole. */
static void check_echo(struct ws_http_client *client, const uint8_t *bytes, size_t size)
{
    const struct ws_oip_part parts[] = {
        {bytes, size / 3}, {bytes + size / 3, 0}, {bytes + size / 3, size - size / 3}};
    const struct ws_http_call call = {.method = "POST",
                                      .path = "/echo",
                                      .parts = parts,
                                      .part_count = 3,
                                      .headers = {"X-Mark: 17"}};
    struct ws_http_answer answer;
    struct ws_error err = {0};
    assert_int_equal(ws_http_client_call(&answer, client, &call, &err), 0);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_size, size);
    if (size > 0)
        assert_memory_equal(answer.body, bytes, size);
    assert_string_equal(answer.header_size, "17");
    assert_int_equal(answer.sent_bytes, size);
}

static void check_alive(const struct scene *scene)
{
    struct ws_http_client *client = connect_to(scene->url, 5000);
    check_echo(client, (const uint8_t *)"still here", 10);
    ws_http_client_destroy(client);
}

static void test_echo(void **state)
{
    static const size_t sizes[] = {0, 1, 4096, 65536, 65537, 1 << 20, 3, 10 << 20};
    const struct scene *scene = *state;
    struct ws_http_client *client = connect_to(scene->url, 0);
    uint8_t *bytes = malloc(10 << 20);
    assert_non_null(bytes);
    for (size_t i = 0; i < 10 << 20; i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        check_echo(client, bytes, sizes[i]);
    free(bytes);
    ws_http_client_destroy(client);
}

static void test_get_and_status(void **state)
{
    const struct scene *scene = *state;
    struct ws_http_client *client = connect_to(scene->url, 0);
    struct ws_buf path;
    struct ws_http_answer answer;
    ws_buf_init(&path, 0);
    assert_int_equal(ws_buf_add_text(&path, "/", NULL), 0);
    assert_int_equal(ws_http_add_segment(&path, "a b/c~d%", NULL), 0);
    assert_string_equal(path.data, "/a%20b%2Fc~d%25");
    const struct ws_http_call call = {.method = "GET", .path = path.data};
    assert_int_equal(ws_http_client_call(&answer, client, &call, NULL), 0);
    assert_int_equal(answer.status, 404);
    assert_int_equal(answer.body_size, 0);
    assert_string_equal(answer.header_size, "none");
    ws_buf_fini(&path);
    ws_http_client_destroy(client);
}

/* The server closes an idle connection; the client must not notice. */
static void test_kept_connection_closed(void **state)
{
    const struct scene *scene = *state;
    struct ws_http_client *client = connect_to(scene->url, 0);
    static uint8_t bytes[200000];
    check_echo(client, bytes, sizeof(bytes));
    ws_clock_sleep_until(ws_clock_now_ns() + 2500000000);
    check_echo(client, bytes, sizeof(bytes));
    ws_http_client_destroy(client);
}

/* What clients say, and the status line that must come back; NULL: any, or none. */
static void test_bad_requests(void **state)
{
    static const struct {
        const char *text;
        const char *status;
    } rows[] = {
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "413"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 13631488\r\n\r\n", "413"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 7766279631452241920\r\n\r\n",
         "413"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\nabcde", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
         "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
         "ffffffffffffffffffff\r\n",
         NULL},
        {"GET\r\n\r\n", NULL},
        {"\x16\x03\x01\x02garbage\r\n\r\n", NULL},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort", NULL},
    };
    const struct scene *scene = *state;
    char text[4096];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = raw_connect(scene->listen.port);
        assert_true(fd >= 0);
        assert_int_equal(raw_send(fd, rows[i].text, strlen(rows[i].text)), 0);
        /* Each ends: with an answer, or cut off when its time is up. */
        int got = raw_receive(fd, text, sizeof(text),
                              rows[i].status == NULL ? NULL : "\r\n\r\n");
        if (rows[i].status != NULL) {
            if (got < 12 || memcmp(text + 9, rows[i].status, 3) != 0)
                print_error("row %zu: %s\n", i, text);
            assert_true(got >= 12);
            assert_memory_equal(text + 9, rows[i].status, 3);
        }
        (void)close(fd);
        check_alive(scene);
    }
}

/* A body in pieces that would never end: read for a while, answered with 413. */
static void test_chunked_too_large(void **state)
{
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: x\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    static char chunk[65536 + 9];
    const struct scene *scene = *state;
    char text[4096];
    memset(chunk, 'x', sizeof(chunk));
    memcpy(chunk, "10000\r\n", 7);
    memcpy(chunk + 7 + 65536, "\r\n", 2);
    int fd = raw_connect(scene->listen.port);
    assert_int_equal(raw_send(fd, head, strlen(head)), 0);
    for (int i = 0; i < 13 * 16; i++)
        assert_int_equal(raw_send(fd, chunk, sizeof(chunk)), 0);
    assert_int_equal(raw_send(fd, "0\r\n\r\n", 5), 0);
    assert_true(raw_receive(fd, text, sizeof(text), "}") > 12);
    assert_memory_equal(text + 9, "413", 3);
    assert_non_null(strstr(text, "{\"error\":\"a body of more than 12582912 bytes\"}"));
    (void)close(fd);
    check_alive(scene);
}

/* Bytes one by one, faster than idle but slower than a trickle: cut off in the end. */
static void test_drip(void **state)
{
    static const char head[] =
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
    const struct scene *scene = *state;
    char text[256];
    int fd = raw_connect(scene->listen.port);
    assert_int_equal(raw_send(fd, head, strlen(head)), 0);
    int is_cut = 0;
    for (int i = 0; i < 40 && !is_cut; i++) {
        is_cut = raw_send(fd, "x", 1) != 0;
        check_alive(scene);
        ws_clock_sleep_until(ws_clock_now_ns() + 200000000);
    }
    assert_true(is_cut || raw_receive(fd, text, sizeof(text), NULL) <= 0);
    assert_true(is_cut);
    (void)close(fd);
}

/* A header in drips: cut off when its time is up, whatever comes meanwhile; likewise one
 * behind a request that was answered. */
static void test_drip_header(void **state)
{
    static const char first[] = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char head[] = "GET /echo HTTP/1.1\r\nX-Long: ";
    const struct scene *scene = *state;
    char text[4096];
    for (int is_second = 0; is_second <= 1; is_second++) {
        int fd = raw_connect(scene->listen.port);
        if (is_second) {
            assert_int_equal(raw_send(fd, first, strlen(first)), 0);
            assert_true(raw_receive(fd, text, sizeof(text), "\r\n\r\n") > 0);
        }
        assert_int_equal(raw_send(fd, head, strlen(head)), 0);
        int is_cut = 0;
        for (int i = 0; i < 100 && !is_cut; i++) {
            is_cut = raw_send(fd, "x", 1) != 0;
            ws_clock_sleep_until(ws_clock_now_ns() + 100000000);
        }
        assert_true(is_cut);
        (void)close(fd);
        check_alive(scene);
    }
}

static void test_large_header(void **state)
{
    const struct scene *scene = *state;
    static char head[WS_HTTP_HEADERS_MAX + 200];
    char text[4096];
    int length = snprintf(head, sizeof(head), "GET /echo HTTP/1.1\r\nHost: x\r\nX-L: ");
    memset(head + length, 'x', WS_HTTP_HEADERS_MAX);
    memcpy(head + length + WS_HTTP_HEADERS_MAX, "\r\n\r\n", 5);
    int fd = raw_connect(scene->listen.port);
    assert_int_equal(raw_send(fd, head, strlen(head)), 0);
    assert_true(raw_receive(fd, text, sizeof(text), "}") > 12);
    assert_memory_equal(text + 9, "431", 3);
    (void)close(fd);
    check_alive(scene);
}

struct caller {
    pthread_t thread;
    const char *url;
    const char *path;
    size_t size;
    const char *token; /* NULL: none */
    int status;
};

static void *call_once(void *user)
{
    struct caller *caller = user;
    const struct ws_http_client_options options = {.timeout_ms = 20000,
                                                   .identity.token = caller->token};
    struct ws_http_client *client = NULL;
    assert_int_equal(ws_http_client_create(&client, caller->url, &options, NULL), 0);
    char *bytes = calloc(1, caller->size + 1);
    const struct ws_oip_part part = {bytes, caller->size};
    const struct ws_http_call call = {
        .method = "POST", .path = caller->path, .parts = &part, .part_count = 1};
    struct ws_http_answer answer = {0};
    assert_non_null(bytes);
    assert_int_equal(ws_http_client_call(&answer, client, &call, NULL), 0);
    caller->status = answer.status;
    ws_http_client_destroy(client);
    free(bytes);
    return NULL;
}

/* All at once; how many were turned away with 503, the others being answered. */
static int call_all(struct caller *callers, size_t count)
{
    int refused = 0;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_once, &callers[i]),
                         0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_true(callers[i].status == 200 || callers[i].status == 503);
        refused += callers[i].status == 503;
    }
    return refused;
}

/* More requests or bytes in hand than the server has room for: some are turned away with
 * 503, the others are answered. */
static void test_overload(void **state)
{
    enum { CALLERS = 6 };
    (void)state;
    for (int by_bytes = 0; by_bytes <= 1; by_bytes++) {
        struct ws_listen listen;
        struct ws_http_server *server = NULL;
        struct caller callers[CALLERS];
        char url[80];
        assert_int_equal(ws_listen_open(&listen, "127.0.0.1:0", 1, NULL), 0);
        const struct ws_http_server_options options = {
            .fd = listen.fd,
            .handler = handle,
            .body_max = BODY_MAX,
            .idle_s = 10,
            .grace_s = 10,
            .requests_max = by_bytes ? 0 : 3,
            .held_max = by_bytes ? 1 << 20 : 0,
            .client_requests_max = by_bytes ? 0 : 3,
            .client_held_max = by_bytes ? 1 << 20 : 0,
        };
        assert_int_equal(ws_http_server_start(&server, &options, NULL), 0);
        (void)snprintf(url, sizeof(url), "http://%s", listen.text);
        for (size_t i = 0; i < CALLERS; i++)
            callers[i] = (struct caller){
                .url = url, .path = "/sleep", .size = by_bytes ? 300000 : 10};
        /* Bytes may have been shared out so that none of them had enough. */
        assert_true(CALLERS - call_all(callers, CALLERS) >= (by_bytes ? 1 : 3));
        /* What was held is given back. */
        struct caller last = {.url = url, .path = "/echo", .size = 300000};
        (void)call_once(&last);
        assert_int_equal(last.status, 200);
        /* One request alone can be too much. */
        last.size = 2 << 20;
        (void)call_once(&last);
        assert_int_equal(last.status, by_bytes ? 503 : 200);
        ws_http_server_stop(server, 1000);
        ws_listen_close(&listen);
    }
}

/* Believes every token, and takes it for a name. */
static int believe(void *user, const struct ws_http_request *request, char *client,
                   struct ws_error *err)
{
    const char *token = ws_http_request_header(request, "Authorization");
    (void)user;
    (void)err;
    (void)snprintf(client, WS_HTTP_CLIENT_MAX, "%s", token != NULL ? token : "");
    return 0;
}

/* One client asks for more than its half, of requests or of bytes; another, known by its
 * token, gets what it asks for meanwhile. */
static void test_client_share(void **state)
{
    enum { GREEDY = 8, CALLERS = GREEDY + 2 };
    (void)state;
    for (int by_bytes = 0; by_bytes <= 1; by_bytes++) {
        struct ws_listen listen;
        struct ws_http_server *server = NULL;
        struct caller callers[CALLERS];
        char url[80];
        assert_int_equal(ws_listen_open(&listen, "127.0.0.1:0", 1, NULL), 0);
        const struct ws_http_server_options options = {
            .fd = listen.fd,
            .handler = handle,
            .admit = believe,
            .body_max = BODY_MAX,
            .idle_s = 10,
            .grace_s = 10,
            .requests_max = by_bytes ? 0 : CALLERS,
            .client_requests_max = by_bytes ? 0 : 3,
            .held_max = by_bytes ? CALLERS * 300000 : 0,
            .client_held_max = by_bytes ? 3 * 300000 : 0,
        };
        assert_int_equal(ws_http_server_start(&server, &options, NULL), 0);
        (void)snprintf(url, sizeof(url), "http://%s", listen.text);
        for (size_t i = 0; i < CALLERS; i++)
            callers[i] = (struct caller){.url = url,
                                         .path = "/sleep",
                                         .size = by_bytes ? 300000 : 10,
                                         .token = i < GREEDY ? NULL : "modest"};
        int refused = call_all(callers, CALLERS);
        for (size_t i = GREEDY; i < CALLERS; i++)
            assert_int_equal(callers[i].status, 200);
        assert_in_range(refused, 1, GREEDY - (by_bytes ? 1 : 3));
        struct caller last = {.url = url, .path = "/echo", .size = 300000};
        (void)call_once(&last);
        assert_int_equal(last.status, 200);
        ws_http_server_stop(server, 1000);
        ws_listen_close(&listen);
    }
}

/* A token that nobody looks at is no name: whoever makes up a new one for each request is
 * the client of one address. */
static void test_client_made_up(void **state)
{
    enum { CALLERS = 6 };
    static const char *const tokens[CALLERS] = {"a", "b", "c", "d", "e", "f"};
    struct ws_listen listen;
    struct ws_http_server *server = NULL;
    struct caller callers[CALLERS];
    char url[80];
    (void)state;
    assert_int_equal(ws_listen_open(&listen, "127.0.0.1:0", 1, NULL), 0);
    const struct ws_http_server_options options = {.fd = listen.fd,
                                                   .handler = handle,
                                                   .body_max = BODY_MAX,
                                                   .idle_s = 10,
                                                   .grace_s = 10,
                                                   .requests_max = 2 * CALLERS,
                                                   .client_requests_max = 2};
    assert_int_equal(ws_http_server_start(&server, &options, NULL), 0);
    (void)snprintf(url, sizeof(url), "http://%s", listen.text);
    for (size_t i = 0; i < CALLERS; i++)
        callers[i] =
            (struct caller){.url = url, .path = "/sleep", .size = 10, .token = tokens[i]};
    assert_in_range(call_all(callers, CALLERS), 1, CALLERS - 2);
    ws_http_server_stop(server, 1000);
    ws_listen_close(&listen);
}

static void test_client_errors(void **state)
{
    const struct scene *scene = *state;
    struct ws_http_client *client = NULL;
    struct ws_http_answer answer;
    struct ws_error err = {0};
    const struct ws_http_client_options none = {0}, small = {.body_max = 10};
    const struct ws_oip_part part = {"0123456789abcdef", 16};
    struct ws_http_call call = {
        .method = "POST", .path = "/v2", .parts = &part, .part_count = 1};
    assert_int_equal(ws_http_client_create(&client, "ftp://x", &none, &err), WS_E_USAGE);
    /* A port that nobody listens on. */
    int port = 0, fd = raw_listen(&port);
    char url[80];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    (void)close(fd);
    client = connect_to(url, 0);
    assert_int_equal(ws_http_client_call(&answer, client, &call, &err), WS_E_IO);
    assert_non_null(strstr(err.text, "POST http://127.0.0.1:"));
    assert_null(strchr(err.text, '\n'));
    ws_http_client_destroy(client);
    client = connect_to(scene->url, 100);
    call.path = "/sleep";
    assert_int_equal(ws_http_client_call(&answer, client, &call, &err), WS_E_TIMEOUT);
    ws_http_client_destroy(client);
    assert_int_equal(ws_http_client_create(&client, scene->url, &small, &err), 0);
    call.path = "/echo";
    assert_int_equal(ws_http_client_call(&answer, client, &call, &err), WS_E_LIMIT);
    ws_http_client_destroy(client);
}

/* A server that announces more than it sends, and hangs up. */
static void *hang_up(void *user)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf";
    int listening = *(int *)user;
    char text[4096];
    int fd = accept(listening, NULL, NULL);
    (void)raw_receive(fd, text, sizeof(text), "\r\n\r\n");
    (void)raw_send(fd, reply, sizeof(reply) - 1);
    (void)close(fd);
    return NULL;
}

static void test_client_dying_server(void **state)
{
    (void)state;
    int port = 0, listening = raw_listen(&port);
    char url[80];
    pthread_t thread;
    struct ws_http_answer answer;
    struct ws_error err = {0};
    const struct ws_http_call call = {.method = "GET", .path = "/v2"};
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    assert_int_equal(pthread_create(&thread, NULL, hang_up, &listening), 0);
    struct ws_http_client *client = connect_to(url, 5000);
    assert_int_equal(ws_http_client_call(&answer, client, &call, &err), WS_E_IO);
    ws_http_client_destroy(client);
    (void)pthread_join(thread, NULL);
    (void)close(listening);
}

static void test_listen_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "8000",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:8x",
        "::1:8000",
        "no.such.host.invalid:80",
        ":80",
        "0.0.0.0:0",
        "[::]:0",
    };
    struct ws_listen listen;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rc = ws_listen_open(&listen, rows[i], 1, NULL);
        if (rc == 0)
            print_error("%s was taken\n", rows[i]);
        assert_int_not_equal(rc, 0);
    }
    assert_int_equal(ws_listen_open(&listen, "0.0.0.0:0", 0, NULL), 0);
    assert_int_equal(listen.is_loopback, 0);
    ws_listen_close(&listen);
    assert_int_equal(ws_listen_open(&listen, "127.0.0.2:0", 1, NULL), 0);
    assert_int_equal(listen.is_loopback, 1);
    ws_listen_close(&listen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_get_and_status),
        cmocka_unit_test(test_kept_connection_closed),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_chunked_too_large),
        cmocka_unit_test(test_drip),
        cmocka_unit_test(test_drip_header),
        cmocka_unit_test(test_large_header),
        cmocka_unit_test(test_overload),
        cmocka_unit_test(test_client_share),
        cmocka_unit_test(test_client_made_up),
        cmocka_unit_test(test_client_errors),
        cmocka_unit_test(test_client_dying_server),
        cmocka_unit_test(test_listen_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
