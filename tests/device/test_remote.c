/* Meters on the network against small servers that speak their protocol, well, slowly,
 * wrongly, or not to the end. */
#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "check.h"
#include "device/line.h"
#include "device/meter.h"
#include "net/http_client.h"

/* What the server does with the questions of one test. */
struct script {
    const char *end;        /* a question is over after this */
    const char *expected;   /* each question must hold this, or "" */
    const char *answers[8]; /* one for each question; NULL: hang up */
    int delay_ms;           /* before each answer but the first */
};

struct server {
    const struct script *script;
    int fd;
    char port[8];
    pthread_t thread;
    int is_ending; /* through shutdown of fd, which ends accept */
};

/* Reads up to the end of a question; 0 when the client hung up. */
static int read_question(int fd, char *out, size_t size, const char *end)
{
    size_t used = 0;
    for (;;) {
        ssize_t got = recv(fd, out + used, 1, 0);
        if (got <= 0 || used + 2 >= size)
            return 0;
        out[++used] = '\0';
        if (used >= strlen(end) && strcmp(out + used - strlen(end), end) == 0)
            return 1;
    }
}

static void *serve(void *user)
{
    struct server *server = user;
    const struct script *script = server->script;
    size_t next = 0;
    for (;;) {
        char question[4096];
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        while (read_question(fd, question, sizeof(question), script->end)) {
            /* A command of SCPI has no answer. */
            if (script->end[1] == '\n' && script->end[2] == '\0' &&
                strchr(question, '?') == NULL)
                continue;
            const char *answer = next < 8 ? script->answers[next] : NULL;
            if (strstr(question, script->expected) == NULL && next > 0)
                answer = "unexpected\r\n";
            if (next++ > 0 && script->delay_ms > 0)
                ws_clock_sleep_until(ws_clock_now_ns() + script->delay_ms * 1000000LL);
            if (answer == NULL)
                break;
            if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
                break;
        }
        close(fd);
    }
}

static void server_start(struct server *server, const struct script *script)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    *server = (struct server){.script = script};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->fd, 8), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(server->port, sizeof(server->port), "%u", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
}

#define IDN "GWINSTEK,GPM-8213,GXXXXXXXX,1.01\r\n"

static void test_scpi_rows(void **state)
{
    static const struct {
        struct script script;
        int create_code, read_code;
        double watts;
    } rows[] = {
        {{"\r\n", ":NUM:NORM:VAL?", {IDN, "4.7250E+00\r\n"}, 0}, 0, 0, 4.725},
        {{"\r\n", ":NUM:NORM:VAL?", {IDN, "4.7250E+00\n"}, 0}, 0, 0, 4.725},
        /* Slow, but in time. */
        {{"\r\n", ":NUM:NORM:VAL?", {IDN, "2.2\r\n"}, 50}, 0, 0, 2.2},
        {{"\r\n", ":NUM:NORM:VAL?", {IDN, "NAN\r\n"}, 0}, 0, WS_E_UNKNOWN, 0},
        {{"\r\n", ":NUM:NORM:VAL?", {IDN, "4.7 W\r\n"}, 0}, 0, WS_E_FORMAT, 0},
        {{"\r\n", ":NUM:NORM:VAL?", {IDN, "\r\n"}, 0}, 0, WS_E_FORMAT, 0},
        {{"\r\n", ":NUM:NORM:VAL?", {IDN, NULL}, 0}, 0, WS_E_IO, 0},
        {{"\r\n", ":NUM:NORM:VAL?", {IDN, "4.7"}, 0}, 0, WS_E_TIMEOUT, 0},
        {{"\r\n", ":NUM:NORM:VAL?", {IDN, "4.7\r\n"}, 1000}, 0, WS_E_TIMEOUT, 0},
        {{"\r\n", "", {NULL}, 0}, WS_E_IO, 0, 0},
        {{"\r\n", "", {"\r\n"}, 0}, WS_E_FORMAT, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct server server;
        struct ws_line *line = NULL;
        struct ws_meter *meter = NULL;
        struct ws_meter_reading reading = {.value = -1};
        struct ws_error err = {0};
        server_start(&server, &rows[i].script);
        assert_int_equal(ws_line_create(&line, "127.0.0.1", server.port, 400, NULL), 0);
        assert_int_equal(ws_meter_scpi_create(&meter, "bench", ws_line_ask, line, &err),
                         rows[i].create_code);
        if (rows[i].create_code == 0) {
            assert_non_null(strstr(meter->info.source, "GPM-8213"));
            int rc = ws_meter_read(meter, &reading, &err);
            if (rc != rows[i].read_code)
                fail_msg("row %zu: %d, %s", i, rc, err.text);
            assert_near(reading.value, rc == 0 ? rows[i].watts : -1, 1e-12);
            ws_meter_destroy(meter);
        }
        ws_line_destroy(line);
        server_stop(&server);
    }
}

/* After a failure the next question connects anew, and gets its own answer. */
static void test_scpi_recovers(void **state)
{
    static const struct script script = {
        "\r\n", ":NUM:NORM:VAL?", {IDN, NULL, "3.5\r\n"}, 0};
    struct server server;
    struct ws_line *line = NULL;
    struct ws_meter *meter = NULL;
    struct ws_meter_reading reading;
    (void)state;
    server_start(&server, &script);
    assert_int_equal(ws_line_create(&line, "127.0.0.1", server.port, 2000, NULL), 0);
    assert_int_equal(ws_meter_scpi_create(&meter, "bench", ws_line_ask, line, NULL), 0);
    assert_int_equal(ws_meter_read(meter, &reading, NULL), WS_E_IO);
    assert_int_equal(ws_meter_read(meter, &reading, NULL), 0);
    assert_near(reading.value, 3.5, 0);
    ws_meter_destroy(meter);
    ws_line_destroy(line);
    server_stop(&server);
    /* And with nobody there at all. */
    assert_int_equal(ws_line_create(&line, "127.0.0.1", server.port, 2000, NULL), 0);
    assert_int_equal(ws_meter_scpi_create(&meter, "bench", ws_line_ask, line, NULL),
                     WS_E_IO);
    ws_line_destroy(line);
}

/* A ws_meter_ask over HTTP, as a command injects it. */
static int ask_http(void *user, struct ws_buf *answer, const char *question,
                    struct ws_error *err)
{
    struct ws_http_answer reply;
    struct ws_http_call call = {.method = "GET", .path = question};
    int rc = ws_http_client_call(&reply, user, &call, err);
    if (rc == 0 && reply.status != 200)
        rc = ws_error_set(err, WS_E_REMOTE, "status %d", reply.status);
    return rc != 0 ? rc : ws_buf_add(answer, reply.body, reply.body_size, err);
}

#define SHELLY                                                                           \
    "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"                                      \
    "{\"id\":0,\"output\":true,\"apower\":8.9,\"volt"                                    \
    "age\":237.5,\"aenergy\":{\"total\":6.532}}"
#define TASMOTA                                                                          \
    "HTTP/1.1 200 OK\r\nContent-Length: 66\r\n\r\n"                                      \
    "{\"StatusSNS\":{\"Time\":\"2024-01-01T00:00:00\",\"ENERGY\":{\"Power\":12}}}"

static void test_plug_rows(void **state)
{
    static const struct {
        enum ws_plug plug;
        struct script script;
        int code;
        double watts;
    } rows[] = {
        {WS_PLUG_SHELLY, {"\r\n\r\n", "/rpc/", {SHELLY}, 0}, 0, 8.9},
        {WS_PLUG_TASMOTA, {"\r\n\r\n", "/cm?", {TASMOTA}, 0}, 0, 12},
        /* The other maker's answer. */
        {WS_PLUG_SHELLY, {"\r\n\r\n", "", {TASMOTA}, 0}, WS_E_FORMAT, 0},
        {WS_PLUG_TASMOTA, {"\r\n\r\n", "", {SHELLY}, 0}, WS_E_FORMAT, 0},
        {WS_PLUG_SHELLY,
         {"\r\n\r\n",
          "",
          {"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"apower\":null}"},
          0},
         WS_E_FORMAT,
         0},
        {WS_PLUG_SHELLY,
         {"\r\n\r\n", "", {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope"}, 0},
         WS_E_FORMAT,
         0},
        {WS_PLUG_SHELLY,
         {"\r\n\r\n", "", {"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"}, 0},
         WS_E_REMOTE,
         0},
        /* It dies in the middle of its answer, and before it. */
        {WS_PLUG_SHELLY,
         {"\r\n\r\n", "", {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", NULL}, 0},
         WS_E_TIMEOUT,
         0},
        {WS_PLUG_SHELLY, {"\r\n\r\n", "", {NULL}, 0}, WS_E_IO, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct server server;
        struct ws_http_client *client = NULL;
        struct ws_http_client_options options = {.timeout_ms = 500};
        struct ws_meter *meter = NULL;
        struct ws_meter_reading reading = {.value = -1};
        struct ws_error err = {0};
        char url[64];
        server_start(&server, &rows[i].script);
        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%s", server.port);
        assert_int_equal(ws_http_client_create(&client, url, &options, &err), 0);
        assert_int_equal(
            ws_meter_plug_create(&meter, rows[i].plug, "plug", ask_http, client, NULL),
            0);
        assert_int_equal(meter->info.boundary, WS_BOUNDARY_WALL);
        int rc = ws_meter_read(meter, &reading, &err);
        if (rc != rows[i].code)
            fail_msg("row %zu: %d, %s", i, rc, err.text);
        assert_near(reading.value, rc == 0 ? rows[i].watts : -1, 1e-12);
        ws_meter_destroy(meter);
        ws_http_client_destroy(client);
        server_stop(&server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scpi_rows),
        cmocka_unit_test(test_scpi_recovers),
        cmocka_unit_test(test_plug_rows),
    };
    return cmocka_run_group_tests_name("remote", tests, NULL, NULL);
}
