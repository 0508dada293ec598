#include "check.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/watch.h"

enum { MAX = 16 };

static void open_pairs(int pairs[][2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
}

static void close_pairs(int pairs[][2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)close(pairs[i][0]);
        (void)close(pairs[i][1]);
    }
}

/* Whether the other side of a watched connection has seen its end. */
static int is_cut(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void test_deadlines(void **state)
{
    (void)state;
    int pairs[4][2];
    struct ws_watch *watch = NULL;
    struct ws_watched *watched[4];
    int64_t start = ws_clock_now_ns();
    open_pairs(pairs, 4);
    assert_int_equal(ws_watch_start(&watch, MAX, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        watched[i] = ws_watch_add(watch, pairs[i][0], i == 3 ? 0 : start + 100000000);
        assert_non_null(watched[i]);
    }
    /* One gets more time, one has nothing to be late with any more. */
    ws_watch_set(watch, watched[1], start + (int64_t)3600 * 1000000000, 0);
    ws_watch_set(watch, watched[2], 0, 1);
    while (!is_cut(pairs[0][1]) && ws_clock_now_ns() < start + (int64_t)20 * 1000000000)
        ws_clock_sleep_until(ws_clock_now_ns() + 20000000);
    assert_true(is_cut(pairs[0][1]));
    assert_true(ws_clock_now_ns() >= start + 100000000);
    for (size_t i = 1; i < 4; i++)
        assert_false(is_cut(pairs[i][1]));
    for (size_t i = 0; i < 4; i++)
        ws_watch_remove(watch, watched[i]);
    ws_watch_stop(watch);
    close_pairs(pairs, 4);
}

/* The one that has waited longest goes; busy ones stay, however long they take. */
static void test_crowded(void **state)
{
    (void)state;
    int pairs[MAX][2];
    struct ws_watch *watch = NULL;
    struct ws_watched *watched[MAX];
    open_pairs(pairs, MAX);
    assert_int_equal(ws_watch_start(&watch, MAX, NULL), 0);
    for (size_t i = 0; i < MAX - MAX / 8; i++)
        watched[i] = ws_watch_add(watch, pairs[i][0], 0);
    ws_watch_set(watch, watched[0], 0, 0);
    ws_watch_set(watch, watched[1], 0, 1); /* it has just begun to wait again */
    for (size_t i = 0; i < MAX - MAX / 8; i++)
        assert_false(is_cut(pairs[i][1]));
    for (size_t i = MAX - MAX / 8; i < MAX; i++)
        watched[i] = ws_watch_add(watch, pairs[i][0], 0);
    for (size_t i = 0; i < MAX; i++)
        assert_int_equal(is_cut(pairs[i][1]), i == 2 || i == 3);
    for (size_t i = 0; i < MAX; i++)
        ws_watch_remove(watch, watched[i]);
    ws_watch_stop(watch);
    close_pairs(pairs, MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_crowded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
