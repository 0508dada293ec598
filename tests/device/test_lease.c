#include "device/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "board.h"
#include "check.h"
#include "device/capture.h"
#include "device/device.h"

/* A child's life: it sets everything at random until it is killed. It says so when it
 * begins, and when the first setting is in force. */
static void child(struct board *board, uint64_t seed, int ready_fd, int catch_signals)
{
    struct ws_device *device = NULL;
    struct ws_device_options options = {.lease_path = board->lease,
                                        .catch_signals = catch_signals};
    struct ws_device_report report;
    struct ws_rng rng;
    ws_rng_init(&rng, seed);
    if (ws_device_open(&device, board->fs, &options, NULL) != 0)
        _exit(2);
    const struct ws_space *space = ws_device_space(device);
    for (size_t i = 0;; i++) {
        if (i < 2 && write(ready_fd, "r", 1) != 1)
            _exit(3);
        struct ws_setting setting = {0};
        for (size_t k = 0; k < space->knob_count; k++)
            setting.value[k] = (uint16_t)ws_rng_below(&rng, space->knobs[k].value_count);
        if (ws_device_apply(device, &report, space, &setting, NULL) != 0)
            _exit(4);
    }
}

/* Starts a child and ends it with `number`, `delay_ns` after its first word or second. */
static void run_and_kill(struct board *board, uint64_t seed, int number, int words,
                         long delay_ns, int catch_signals)
{
    int fds[2];
    int status = 0;
    char byte;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(board, seed, fds[1], catch_signals);
    for (int i = 0; i < words; i++)
        assert_int_equal(read(fds[0], &byte, 1), 1);
    nanosleep(&(struct timespec){.tv_nsec = delay_ns}, NULL);
    assert_int_equal(kill(pid, number), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), number);
    close(fds[0]);
    close(fds[1]);
    board_settle(board);
}

/* A hundred times, at random points, on three boards; the next start gives back. */
static void test_killed_hundred_times(void **state)
{
    static const char *const boards[] = {"rpi4", "xu4", "jetson-nx-jp5"};
    struct ws_rng rng;
    size_t changed = 0;
    (void)state;
    ws_rng_init(&rng, 5);
    for (size_t b = 0; b < 3; b++) {
        struct board board;
        board_open(&board, boards[b]);
        char *before = board_settings(&board);
        for (size_t i = 0; i < (b == 0 ? 34 : 33); i++) {
            struct ws_lease *lease = NULL;
            struct ws_lease_report report;
            struct ws_error err = {0};
            /* Early ones hit the lease being written, late ones the knobs. */
            long delay_ns = (long)ws_rng_below(&rng, i % 3 == 0 ? 500000 : 8000000);
            run_and_kill(&board, i, SIGKILL, i % 3 == 0 ? 1 : 2, delay_ns, 0);
            char *between = board_settings(&board);
            changed += strcmp(before, between) != 0;
            free(between);
            if (ws_lease_open(&lease, &report, board.fs, board.lease, &err) != 0)
                fail_msg("%s: kill %zu: %s", boards[b], i, err.text);
            assert_int_equal(ws_lease_close(lease, NULL), 0);
            char *after = board_settings(&board);
            assert_string_equal(before, after);
            free(after);
            assert_int_not_equal(access(board.lease, F_OK), 0);
        }
        free(before);
        board_close(&board);
    }
    /* Most kills met a changed machine, or this has shown nothing. */
    print_message("killed 100 times, %zu times with knobs changed\n", changed);
    assert_true(changed > 50);
}

static void test_terminated(void **state)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    struct board board;
    (void)state;
    board_open(&board, "xu4");
    char *before = board_settings(&board);
    for (size_t i = 0; i < 12; i++) {
        run_and_kill(&board, i, numbers[i % 3], 2, (long)i * 300000, 1);
        char *after = board_settings(&board);
        assert_string_equal(before, after);
        free(after);
        assert_int_not_equal(access(board.lease, F_OK), 0);
    }
    free(before);
    board_close(&board);
}

static void test_second_holder_is_busy(void **state)
{
    struct board board;
    struct ws_lease *first = NULL;
    struct ws_lease *second = NULL;
    (void)state;
    board_open(&board, "rpi4");
    assert_int_equal(ws_lease_open(&first, NULL, board.fs, board.lease, NULL), 0);
    assert_int_equal(ws_lease_open(&second, NULL, board.fs, board.lease, NULL),
                     WS_E_BUSY);
    assert_int_equal(ws_lease_close(first, NULL), 0);
    assert_int_equal(ws_lease_open(&second, NULL, board.fs, board.lease, NULL), 0);
    assert_int_equal(ws_lease_close(second, NULL), 0);
    board_close(&board);
}

/* Bounds must be given back in an order the kernel takes, from above and from below. */
static void test_restore_order(void **state)
{
    static const char *const values[] = {"200000", "1400000"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct board board;
        struct ws_lease *lease = NULL;
        char text[64];
        const char *policy = "devices/system/cpu/cpufreq/policy0/";
        char min[128];
        char max[128];
        (void)snprintf(min, sizeof(min), "%sscaling_min_freq", policy);
        (void)snprintf(max, sizeof(max), "%sscaling_max_freq", policy);
        board_open(&board, "xu4");
        board_put(&board, min, "700000");
        board_put(&board, max, "800000");
        assert_int_equal(ws_lease_open(&lease, NULL, board.fs, board.lease, NULL), 0);
        assert_int_equal(ws_lease_keep(lease, min, NULL), 0);
        assert_int_equal(ws_lease_keep(lease, max, NULL), 0);
        assert_int_equal(ws_lease_commit(lease, NULL), 0);
        board_put(&board, min, values[i]);
        board_put(&board, max, values[i]);
        assert_int_equal(ws_lease_close(lease, NULL), 0);
        assert_string_equal(board_get(text, sizeof(text), &board, min), "700000");
        assert_string_equal(board_get(text, sizeof(text), &board, max), "800000");
        board_close(&board);
    }
}

/* What cannot be given back is said, and stays in the file for the next try. */
static void test_restore_refused(void **state)
{
    struct board board;
    struct ws_lease *lease = NULL;
    struct ws_error err = {0};
    struct ws_lease_report report;
    char text[64];
    const char *path = "class/devfreq/11800000.gpu/max_freq";
    (void)state;
    board_open(&board, "xu4");
    assert_int_equal(ws_lease_open(&lease, NULL, board.fs, board.lease, NULL), 0);
    assert_int_equal(ws_lease_keep(lease, path, NULL), 0);
    assert_int_equal(ws_lease_commit(lease, NULL), 0);
    board_put(&board, path, "350000000");
    board.refuse = "max_freq";
    board.refuse_errno = EACCES;
    assert_int_equal(ws_lease_close(lease, &err), WS_E_IO);
    assert_non_null(strstr(err.text, "Permission denied"));
    assert_int_equal(access(board.lease, F_OK), 0);
    board.refuse = NULL;
    assert_int_equal(ws_lease_open(&lease, &report, board.fs, board.lease, NULL), 0);
    assert_int_equal(report.restored, 1);
    assert_string_equal(board_get(text, sizeof(text), &board, path), "600000000");
    assert_int_equal(ws_lease_close(lease, NULL), 0);
    board_close(&board);
}

/* What a command has set may outlive a reboot: it is undone then too, and only that. */
static void test_reboot_runs_commands(void **state)
{
    struct board board;
    struct ws_lease *lease = NULL;
    struct ws_lease_report report;
    char text[512];
    (void)state;
    board_open(&board, "xu4");
    (void)snprintf(text, sizeof(text),
                   "{\"wattshed_lease\":1,\"pid\":1,\"boot\":\"other\",\"originals\":["
                   "{\"path\":\"class/devfreq/11800000.gpu/max_freq\",\"text\":\"1\"},"
                   "{\"command\":[\"touch\",\"%s/undone\"]}]}",
                   board.dir);
    assert_int_equal(ws_file_write(board.lease, text, strlen(text), NULL), 0);
    assert_int_equal(ws_lease_open(&lease, &report, board.fs, board.lease, NULL), 0);
    assert_int_equal(report.restored, 1);
    (void)snprintf(text, sizeof(text), "%s/undone", board.dir);
    assert_int_equal(access(text, F_OK), 0);
    assert_int_equal(ws_lease_close(lease, NULL), 0);
    board_close(&board);
}

static void test_lease_file_rows(void **state)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"", WS_E_FORMAT},
        {"{}", WS_E_FORMAT},
        {"{\"wattshed_lease\":2,\"pid\":1,\"boot\":\"\",\"originals\":[]}", WS_E_LIMIT},
        {"{\"wattshed_lease\":1,\"pid\":1,\"boot\":\"\",\"originals\":[{\"path\":"
         "\"../../etc/passwd\",\"text\":\"x\"}]}",
         WS_E_FORMAT},
        {"{\"wattshed_lease\":1,\"pid\":1,\"boot\":\"\",\"originals\":[{\"path\":"
         "\"/etc/passwd\",\"text\":\"x\"}]}",
         WS_E_FORMAT},
        {"{\"wattshed_lease\":1,\"pid\":1,\"boot\":\"\",\"originals\":[{\"command\":[]}]"
         "}",
         WS_E_FORMAT},
        /* The program has gone: nothing to wait for. */
        {"{\"wattshed_lease\":1,\"pid\":1,\"boot\":\"\",\"originals\":[{\"command\":"
         "[\"/nowhere/wattshed-test\"]}]}",
         0},
        {"{\"wattshed_lease\":1,\"pid\":1,\"boot\":\"\",\"originals\":[{\"command\":"
         "[\"false\"]}]}",
         WS_E_IO},
        /* Of a boot long ago: dropped. */
        {"{\"wattshed_lease\":1,\"pid\":1,\"boot\":\"other\",\"originals\":[{\"path\":"
         "\"class/devfreq/11800000.gpu/max_freq\",\"text\":\"177000000\"}]}",
         0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct board board;
        struct ws_lease *lease = NULL;
        char text[64];
        board_open(&board, "xu4");
        assert_int_equal(
            ws_file_write(board.lease, rows[i].text, strlen(rows[i].text), NULL), 0);
        assert_int_equal(ws_lease_open(&lease, NULL, board.fs, board.lease, NULL),
                         rows[i].code);
        if (rows[i].code == 0)
            assert_int_equal(ws_lease_close(lease, NULL), 0);
        assert_string_equal(
            board_get(text, sizeof(text), &board, "class/devfreq/11800000.gpu/max_freq"),
            "600000000");
        board_close(&board);
    }
}

/* A capture of a board unpacks to the same board. */
static void test_capture_round_trip(void **state)
{
    struct board board;
    struct board again;
    char path[128];
    char text[WS_SYSFS_TEXT_MAX];
    char twice[WS_SYSFS_TEXT_MAX];
    size_t count = 0;
    (void)state;
    board_open(&board, "jetson-nano");
    board_open(&again, NULL);
    (void)snprintf(path, sizeof(path), "%s/capture.txt", board.dir);
    assert_int_equal(ws_capture_write(&count, board.fs, path, NULL), 0);
    assert_true(count > 30);
    assert_int_equal(ws_capture_unpack(path, again.dir, NULL), 0);
    static const char *const paths[] = {
        "class/devfreq/57000000.gpu/available_frequencies",
        "kernel/debug/clk/emc/clk_possible_rates",
        "bus/iio/devices/iio:device0/rail_name_0",
        "devices/system/cpu/cpu3/online",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_string_equal(board_get(text, sizeof(text), &board, paths[i]),
                            board_get(twice, sizeof(twice), &again, paths[i]));
    assert_true(ws_machine_exists(again.fs, "proc/device-tree/model"));
    board_close(&again);
    board_close(&board);
}

static void test_capture_unpack_rows(void **state)
{
    static const char *const rows[] = {
        "rx a/b = 1\n", "rw a/b\n",  "rw ../x = 1\n",
        "rw a = \\x\n", "rw  = 1\n", "rw a = 1\nrw a = 2\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct board board;
        char path[128];
        board_open(&board, NULL);
        (void)snprintf(path, sizeof(path), "%s/capture.txt", board.dir);
        assert_int_equal(ws_file_write(path, rows[i], strlen(rows[i]), NULL), 0);
        struct ws_error err = {0};
        assert_int_not_equal(ws_capture_unpack(path, board.dir, &err), 0);
        assert_non_null(strstr(err.text, "capture.txt:"));
        board_close(&board);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_hundred_times),
        cmocka_unit_test(test_terminated),
        cmocka_unit_test(test_second_holder_is_busy),
        cmocka_unit_test(test_restore_order),
        cmocka_unit_test(test_restore_refused),
        cmocka_unit_test(test_lease_file_rows),
        cmocka_unit_test(test_reboot_runs_commands),
        cmocka_unit_test(test_capture_round_trip),
        cmocka_unit_test(test_capture_unpack_rows),
    };
    /* Whoever started this in the background had them ignored, and a child that ignores a
     * signal is not ended by it. */
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
