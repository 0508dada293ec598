/*
 * How near the shaping proxy comes to its link: the rate of a megabyte and more one way,
 * and the round trip of one byte. Medians; a machine that is busy shows here, as it does
 * in whatever is measured over the proxy.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/stats.h"
#include "net/listen.h"
#include "net/shaper.h"

enum { ROUNDS = 15, BUFFER = 65536 };

/* Takes a size, then as many bytes, then sends one back; again and again. */
static void *sink(void *user)
{
    const struct ws_listen *listen = user;
    static char bytes[BUFFER];
    int fd = accept(listen->fd, NULL, NULL);
    uint64_t size = 0;
    while (recv(fd, &size, sizeof(size), MSG_WAITALL) == sizeof(size)) {
        while (size > 0) {
            ssize_t got = recv(fd, bytes, size < BUFFER ? size : BUFFER, 0);
            if (got <= 0)
                return NULL;
            size -= (uint64_t)got;
        }
        (void)!send(fd, bytes, 1, MSG_NOSIGNAL);
    }
    (void)close(fd);
    return NULL;
}

/* Milliseconds to send `size` bytes and get the one back; negative: it broke. */
static double ask(int fd, uint64_t size)
{
    static char bytes[BUFFER];
    int64_t start = ws_clock_now_ns();
    (void)!send(fd, &size, sizeof(size), MSG_NOSIGNAL | (size > 0 ? MSG_MORE : 0));
    while (size > 0) {
        ssize_t put = send(fd, bytes, size < BUFFER ? size : BUFFER, MSG_NOSIGNAL);
        if (put <= 0)
            return -1;
        size -= (uint64_t)put;
    }
    if (recv(fd, bytes, 1, 0) != 1)
        return -1;
    return (double)(ws_clock_now_ns() - start) / 1e6;
}

static double median_of(struct ws_shaper *shaper, int fd, double mbit_s, double delay_ms,
                        uint64_t size)
{
    struct ws_conditions link = {0};
    double ms[ROUNDS];
    ws_conditions_set(&link, WS_LINK_MBIT_S, mbit_s);
    ws_conditions_set(&link, WS_LINK_DELAY_MS, delay_ms);
    if (ws_shaper_set(shaper, &link, NULL) != 0)
        return -1;
    (void)ask(fd, 1); /* the change has been taken */
    for (int i = 0; i < ROUNDS; i++)
        ms[i] = ask(fd, size);
    return ws_stats_median(ms, ROUNDS);
}

static void show(struct ws_shaper *shaper, int fd)
{
    static const double rates[] = {1, 10, 100, 400, 1000};
    static const double delays[] = {0, 1, 5, 20, 50};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        uint64_t size = rates[i] < 5 ? 65536 : rates[i] < 50 ? 1 << 19 : 4 << 20;
        double ms = median_of(shaper, fd, rates[i], 0, size);
        double achieved = (double)(size + sizeof(size)) * 8 / 1000 / ms;
        printf("rate %5.0f Mbit/s: %8.2f Mbit/s, %+.1f %% (%d x %llu bytes, median)\n",
               rates[i], achieved, 100 * (achieved / rates[i] - 1), ROUNDS,
               (unsigned long long)size);
    }
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        double ms = median_of(shaper, fd, 1e6, delays[i], 1);
        printf("delay %3.0f ms: round trip %.3f ms, %.3f too long\n", delays[i], ms,
               ms - 2 * delays[i]);
    }
}

int main(void)
{
    struct ws_listen listen;
    struct ws_shaper *shaper = NULL;
    struct ws_error err = {0};
    struct sockaddr_in to = {.sin_family = AF_INET};
    pthread_t thread;
    if (ws_listen_open(&listen, "127.0.0.1:0", 1, &err) != 0 ||
        pthread_create(&thread, NULL, sink, &listen) != 0) {
        fprintf(stderr, "bench_link: %s\n", err.text);
        return 1;
    }
    struct ws_shaper_options options = {.listen = "127.0.0.1:0", .target = listen.text};
    if (ws_shaper_start(&shaper, &options, &err) != 0) {
        fprintf(stderr, "bench_link: %s\n", err.text);
        return 1;
    }
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)ws_shaper_port(shaper));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        return 1;
    show(shaper, fd);
    (void)close(fd);
    ws_shaper_stop(shaper);
    (void)pthread_join(thread, NULL);
    ws_listen_close(&listen);
    return 0;
}
