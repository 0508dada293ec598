/*
 * The shaping proxy: what it may never do (lose, change or reorder bytes, be faster than
 * its link), and that it does not stand still. How near it comes to its link is
 * bench/link's to say: nothing keeps a loaded machine from being late, so the upper
 * bounds here are wide and hold for the best of many tries, and the first that is near
 * ends them.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "check.h"
#include "core/link.h"
#include "net/listen.h"
#include "net/shaper.h"

enum { LATE_MS = 250 };

/* --- A server that sends back what it gets --- */

struct echo {
    struct ws_listen listen;
    pthread_t thread;
};

static void *echo_one(void *user)
{
    int fd = (int)(intptr_t)user;
    char bytes[65536];
    ssize_t got = 0;
    while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        for (ssize_t sent = 0; sent < got;) {
            ssize_t put = send(fd, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL);
            if (put <= 0)
                break;
            sent += put;
        }
    }
    (void)close(fd);
    return NULL;
}

static void *echo_all(void *user)
{
    struct echo *echo = user;
    for (;;) {
        pthread_t thread;
        int fd = accept(echo->listen.fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        if (pthread_create(&thread, NULL, echo_one, (void *)(intptr_t)fd) == 0)
            (void)pthread_detach(thread);
    }
}

static void echo_start(struct echo *echo)
{
    assert_int_equal(ws_listen_open(&echo->listen, "127.0.0.1:0", 1, NULL), 0);
    assert_int_equal(pthread_create(&echo->thread, NULL, echo_all, echo), 0);
}

static void echo_stop(struct echo *echo)
{
    (void)shutdown(echo->listen.fd, SHUT_RDWR);
    (void)pthread_join(echo->thread, NULL);
    ws_listen_close(&echo->listen);
}

/* --- A client --- */

static int connect_to(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Sends `size` bytes and takes as many back, both at once; the milliseconds until the
 * last. Negative where the connection broke. */
static double exchange(int fd, const char *bytes, char *back, size_t size)
{
    int64_t start = ws_clock_now_ns();
    size_t sent = 0;
    size_t got = 0;
    while (got < size) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (sent < size)
            ready.events |= POLLOUT;
        (void)poll(&ready, 1, -1);
        if (sent < size && (ready.revents & POLLOUT) != 0) {
            ssize_t put =
                send(fd, bytes + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            sent += put > 0 ? (size_t)put : 0;
        }
        if ((ready.revents & (POLLIN | POLLHUP | POLLERR)) == 0)
            continue;
        ssize_t now = recv(fd, back + got, size - got, MSG_DONTWAIT);
        if (now == 0)
            return -1;
        got += now > 0 ? (size_t)now : 0;
    }
    return (double)(ws_clock_now_ns() - start) / 1e6;
}

static struct ws_conditions link_of(double mbit_s, double delay_ms)
{
    struct ws_conditions link = {0};
    ws_conditions_set(&link, WS_LINK_MBIT_S, mbit_s);
    ws_conditions_set(&link, WS_LINK_DELAY_MS, delay_ms);
    return link;
}

struct rig {
    struct echo echo;
    struct ws_shaper *shaper;
};

static void rig_start(struct rig *rig, const struct ws_conditions *link)
{
    struct ws_error err = {0};
    echo_start(&rig->echo);
    struct ws_shaper_options options = {.listen = "127.0.0.1:0",
                                        .target = rig->echo.listen.text,
                                        .link = *link,
                                        .seed = 7};
    if (ws_shaper_start(&rig->shaper, &options, &err) != 0)
        fail_msg("%s", err.text);
}

static void rig_stop(struct rig *rig)
{
    ws_shaper_stop(rig->shaper);
    echo_stop(&rig->echo);
}

static char *random_bytes(size_t size)
{
    struct ws_rng rng;
    char *bytes = malloc(size);
    assert_non_null(bytes);
    ws_rng_init(&rng, 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)ws_rng_u64(&rng);
    return bytes;
}

/* --- Tests --- */

static void test_bytes_arrive(void **state)
{
    enum { SIZE = 1 << 20, CONNECTIONS = 3 };
    struct ws_conditions link = link_of(400, 2);
    struct rig rig;
    char *bytes = random_bytes(SIZE);
    char *back = malloc(SIZE);
    (void)state;
    ws_conditions_set(&link, WS_LINK_JITTER_MS, 3);
    ws_conditions_set(&link, WS_LINK_LOSS, 0.01);
    rig_start(&rig, &link);
    for (int i = 0; i < CONNECTIONS; i++) {
        int fd = connect_to(ws_shaper_port(rig.shaper));
        memset(back, 0, SIZE);
        assert_true(exchange(fd, bytes, back, SIZE) > 0);
        assert_memory_equal(back, bytes, SIZE);
        (void)close(fd);
    }
    struct ws_shaper_count count;
    ws_shaper_count(&count, rig.shaper);
    assert_int_equal(count.connections, CONNECTIONS);
    assert_int_equal(count.up_bytes, CONNECTIONS * SIZE);
    assert_int_equal(count.down_bytes, CONNECTIONS * SIZE);
    rig_stop(&rig);
    free(bytes);
    free(back);
}

/* The other half of a connection lives on when one is closed. */
static void test_half_close(void **state)
{
    struct ws_conditions link = link_of(100, 1);
    struct rig rig;
    char back[16];
    size_t got = 0;
    (void)state;
    rig_start(&rig, &link);
    int fd = connect_to(ws_shaper_port(rig.shaper));
    assert_int_equal(send(fd, "last words", 10, 0), 10);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    for (ssize_t now = 1; now > 0; got += (size_t)now) {
        now = recv(fd, back + got, sizeof(back) - got, 0);
        assert_true(now >= 0);
    }
    assert_int_equal(got, 10);
    assert_memory_equal(back, "last words", 10);
    (void)close(fd);
    rig_stop(&rig);
}

static void test_delay(void **state)
{
    enum { TRIES = 300 };
    const double delay_ms = 8;
    struct ws_conditions link = link_of(1000, delay_ms);
    struct rig rig;
    double best = INFINITY;
    char byte = 'x';
    char back = 0;
    (void)state;
    rig_start(&rig, &link);
    int fd = connect_to(ws_shaper_port(rig.shaper));
    double first = exchange(fd, &byte, &back, 1);
    assert_true(first >= 4 * delay_ms); /* the handshake's round trip too */
    for (int i = 0; i < TRIES && best > 2 * delay_ms + 1; i++) {
        double ms = exchange(fd, &byte, &back, 1);
        assert_true(ms >= 2 * delay_ms);
        best = fmin(best, ms);
    }
    print_message("round trip over 2 x %g ms: %.3f ms\n", delay_ms, best);
    assert_true(best <= 2 * delay_ms + LATE_MS);
    (void)close(fd);
    rig_stop(&rig);
}

static void test_rate(void **state)
{
    enum { SIZE = 1 << 20, TRIES = 40 };
    static const double rates[] = {100, 400};
    char *bytes = random_bytes(SIZE);
    char *back = malloc(SIZE);
    struct ws_conditions link = link_of(rates[0], 0);
    struct rig rig;
    (void)state;
    rig_start(&rig, &link);
    int fd = connect_to(ws_shaper_port(rig.shaper));
    for (size_t r = 0; r < 2; r++) {
        /* Both directions run at once, so one way's time; the second is a chunk behind.
         */
        double expected = SIZE * 8 / (rates[r] * 1000);
        double best = INFINITY;
        link = link_of(rates[r], 0);
        assert_int_equal(ws_shaper_set(rig.shaper, &link, NULL), 0);
        for (int i = 0; i < TRIES && best > 1.05 * expected + 1; i++) {
            double ms = exchange(fd, bytes, back, SIZE);
            /* A chunk may still pass at the old rate. */
            assert_true(ms >= 0.99 * expected);
            best = fmin(best, ms);
        }
        print_message("%g Mbit/s: 1 MiB in %.2f ms, %.2f expected\n", rates[r], best,
                      expected);
        assert_true(best <= 2 * expected + LATE_MS);
    }
    (void)close(fd);
    rig_stop(&rig);
    free(bytes);
    free(back);
}

static void test_cut(void **state)
{
    struct ws_conditions cut = {0};
    struct ws_conditions link = link_of(1000, 1);
    struct rig rig;
    char back[8];
    (void)state;
    rig_start(&rig, &link);
    int fd = connect_to(ws_shaper_port(rig.shaper));
    assert_true(exchange(fd, "before", back, 6) > 0);
    ws_conditions_set(&cut, WS_LINK_MBIT_S, 0);
    assert_int_equal(ws_shaper_set(rig.shaper, &cut, NULL), 0);
    /* The proxy takes the news within one turn of its loop; a byte that is sent later
     * does not come back before the link does. */
    (void)poll(NULL, 0, 50);
    assert_int_equal(send(fd, "during", 6, 0), 6);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 100), 0);
    ws_conditions_set(&cut, WS_LINK_MBIT_S, 10);
    assert_int_equal(ws_shaper_set(rig.shaper, &cut, NULL), 0);
    size_t got = 0;
    while (got < 6) {
        ssize_t now = recv(fd, back + got, 6 - got, 0);
        assert_true(now > 0);
        got += (size_t)now;
    }
    assert_memory_equal(back, "during", 6);
    (void)close(fd);
    rig_stop(&rig);
}

/* Losses stall by round trips; they lose nothing. */
static void test_loss(void **state)
{
    enum { SIZE = 64 * WS_LINK_PACKET_BYTES };
    struct ws_conditions link = link_of(1000, 5);
    char *bytes = random_bytes(SIZE);
    char *back = malloc(SIZE);
    struct rig rig;
    (void)state;
    rig_start(&rig, &link);
    int fd = connect_to(ws_shaper_port(rig.shaper));
    (void)exchange(fd, bytes, back, 1);
    ws_conditions_set(&link, WS_LINK_LOSS, 0.9);
    assert_int_equal(ws_shaper_set(rig.shaper, &link, NULL), 0);
    (void)poll(NULL, 0, 20);
    /* That 64 packets all come through at nine in ten lost is no accident to expect. */
    assert_true(exchange(fd, bytes, back, SIZE) >= 10 + 10);
    assert_memory_equal(back, bytes, SIZE);
    (void)close(fd);
    rig_stop(&rig);
    free(bytes);
    free(back);
}

static void test_target_away(void **state)
{
    struct ws_listen nobody;
    struct ws_shaper *shaper = NULL;
    char back = 0;
    (void)state;
    /* A port that was free a moment ago. */
    assert_int_equal(ws_listen_open(&nobody, "127.0.0.1:0", 1, NULL), 0);
    ws_listen_close(&nobody);
    struct ws_shaper_options options = {
        .listen = "127.0.0.1:0", .target = nobody.text, .link = link_of(10, 0)};
    assert_int_equal(ws_shaper_start(&shaper, &options, NULL), 0);
    int fd = connect_to(ws_shaper_port(shaper));
    assert_true(recv(fd, &back, 1, 0) <= 0);
    (void)close(fd);
    ws_shaper_stop(shaper);
    ws_shaper_stop(NULL);
}

static void test_refused(void **state)
{
    static const struct {
        const char *listen, *target;
        enum ws_condition which;
        double value;
        const char *error;
    } cases[] = {
        {"127.0.0.1:0", "nowhere", WS_LINK_LOSS, 0, "\"nowhere\" is no ADDR:PORT"},
        {"0.0.0.0:0", "127.0.0.1:1", WS_LINK_LOSS, 0, "0.0.0.0:0 is reachable"},
        {"127.0.0.1:0", "127.0.0.1:1", WS_LINK_LOSS, 1, "link_loss: no link has 1"},
        {"127.0.0.1:0", "127.0.0.1:1", WS_LINK_MBIT_S, -1, "link_mbit_s: no link has -1"},
        {"127.0.0.1:0", "127.0.0.1:1", WS_LINK_DELAY_MS, NAN, "link_delay_ms: no link"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ws_error err = {0};
        struct ws_shaper *shaper = NULL;
        struct ws_shaper_options options = {.listen = cases[i].listen,
                                            .target = cases[i].target};
        ws_conditions_set(&options.link, cases[i].which, cases[i].value);
        assert_int_equal(ws_shaper_start(&shaper, &options, &err), WS_E_USAGE);
        assert_null(shaper);
        if (strncmp(err.text, cases[i].error, strlen(cases[i].error)) != 0)
            fail_msg("\"%s\", expected \"%s\"", err.text, cases[i].error);
    }
}

static void test_link_by_hand(void **state)
{
    struct ws_conditions link = {0};
    struct ws_conditions now = {0};
    (void)state;
    assert_near(ws_link_transfer_ms(&link, 1e6), 0, 0); /* nothing is known to slow it */
    link = link_of(8, 3);
    assert_near(ws_link_transfer_ms(&link, 10000), 3 + 10, 1e-12);
    assert_near(ws_link_transfer_ms(&link, 0), 0, 0);
    /* Ten packets, each lost one time in ten: seven by a round trip, three for long. */
    ws_conditions_set(&link, WS_LINK_LOSS, 0.1);
    assert_near(ws_link_transfer_ms(&link, 10 * WS_LINK_PACKET_BYTES),
                3 + 14.48 + 0.1 * (7 * 6 + 3 * 200), 1e-9);
    ws_conditions_set(&now, WS_LINK_MBIT_S, 0);
    ws_link_update(&link, &now);
    assert_true(isinf(ws_link_transfer_ms(&link, 1)));
    assert_near(link.value[WS_LINK_DELAY_MS], 3, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_by_hand), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bytes_arrive), cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_delay),        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_cut),          cmocka_unit_test(test_loss),
        cmocka_unit_test(test_target_away),
    };
    return cmocka_run_group_tests_name("shaper", tests, NULL, NULL);
}
