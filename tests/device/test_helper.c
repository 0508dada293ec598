#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "board.h"
#include "device/helper.h"

static const char allowed[] = "# what the daemon may\n"
                              "edge.cpu_khz 600000 1500000   # no more\n"
                              "edge.cpu_governor *\n";

static void test_list(void **state)
{
    static const struct {
        const char *text;
        int rc;
        size_t count;
    } rows[] = {
        {"", 0, 0},
        {"# nothing\n\n", 0, 0},
        {"a *", 0, 1},
        {"a 1 2\nb on", 0, 2},
        {"a", WS_E_FORMAT, 0},
        {"a # *", WS_E_FORMAT, 0},
    };
    struct ws_helper_list list = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rc =
            ws_helper_list_parse(&list, rows[i].text, strlen(rows[i].text), "t", NULL);
        assert_int_equal(rc, rows[i].rc);
        if (rc != 0)
            continue;
        assert_int_equal(list.count, rows[i].count);
        ws_helper_list_fini(&list);
    }
    assert_int_equal(ws_helper_list_parse(&list, "a *\0", 4, "t", NULL), WS_E_FORMAT);
    char many[4 * (WS_KNOBS_MAX + 1)];
    for (size_t i = 0; i < sizeof(many); i += 4)
        memcpy(many + i, "a *\n", 4);
    assert_int_equal(ws_helper_list_parse(&list, many, sizeof(many), "t", NULL),
                     WS_E_LIMIT);
    static const char text[] = "a 10 200\tx\nb *\n";
    assert_int_equal(ws_helper_list_parse(&list, text, strlen(text), "t", NULL), 0);
    static const struct {
        const char *knob, *value;
        int is_allowed;
    } questions[] = {
        {"a", "10", 1},     {"a", "200", 1}, {"a", "x", 1},  {"a", "1", 0},
        {"a", "20", 0},     {"a", "00", 0},  {"a", "", 0},   {"a", " ", 0},
        {"a", "10 200", 0}, {"b", "any", 1}, {"c", "10", 0}, {"", "10", 0},
    };
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        assert_int_equal(ws_helper_allows(&list, questions[i].knob, questions[i].value),
                         questions[i].is_allowed);
    ws_helper_list_fini(&list);
}

/* A helper over a board, on a thread of its own. */
struct scene {
    struct board board;
    struct ws_device *device;
    struct ws_helper_list list;
    struct ws_helper_options options;
    char path[128];
    uid_t uid; /* whom it serves */
    int stop[2];
    pthread_t thread;
};

static void *run(void *user)
{
    struct scene *scene = user;
    assert_int_equal(ws_helper_run(&scene->options, NULL), 0);
    return NULL;
}

static int serves(void *user, uid_t uid)
{
    const struct scene *scene = user;
    return scene->uid == uid;
}

static void start(struct scene *scene, uid_t user)
{
    struct ws_error err = {0};
    *scene = (struct scene){.uid = user};
    board_open(&scene->board, "rpi4");
    const struct ws_device_options options = {.lease_path = scene->board.lease};
    if (ws_device_open(&scene->device, scene->board.fs, &options, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(
        ws_helper_list_parse(&scene->list, allowed, strlen(allowed), "t", &err), 0);
    (void)snprintf(scene->path, sizeof(scene->path), "%s.socket", scene->board.dir);
    assert_int_equal(pipe(scene->stop), 0);
    scene->options = (struct ws_helper_options){.device = scene->device,
                                                .list = &scene->list,
                                                .stop_fd = scene->stop[0],
                                                .serves = serves,
                                                .user = scene};
    assert_int_equal(ws_helper_listen(&scene->options.listen_fd, scene->path, &err), 0);
    assert_int_equal(pthread_create(&scene->thread, NULL, run, scene), 0);
}

static void stop(struct scene *scene)
{
    assert_int_equal(write(scene->stop[1], "x", 1), 1);
    assert_int_equal(pthread_join(scene->thread, NULL), 0);
    (void)close(scene->options.listen_fd);
    (void)close(scene->stop[0]);
    (void)close(scene->stop[1]);
    (void)unlink(scene->path);
    ws_helper_list_fini(&scene->list);
    assert_int_equal(ws_device_close(scene->device, NULL), 0);
    board_close(&scene->board);
}

static int connect_raw(const struct scene *scene)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, scene->path, strlen(scene->path) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* One question, none where size is 0; the answer in a buffer of its own. */
static const char *say(int fd, const char *text, size_t size)
{
    static char reply[WS_HELPER_MESSAGE_MAX];
    if (size > 0)
        assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), size);
    ssize_t got = recv(fd, reply, sizeof(reply) - 1, 0);
    assert_true(got >= 0);
    reply[got] = '\0';
    return reply;
}

static void test_messages(void **state)
{
    static const struct {
        const char *message;
        const char *reply; /* how it begins */
    } rows[] = {
        {"get edge.cpu_governor", "ok "},
        {"set edge.cpu_khz 600000", "ok 600000"},
        {"set edge.cpu_khz 700000", "refused not on the list"},
        {"set edge.cpu_khz 1", "refused none of its values"},
        {"set edge.cores 1", "refused no such knob"},
        {"set nonsense 1", "refused no such knob"},
        {"set ../../../../etc/passwd x", "refused no such knob"},
        {"set edge.cpu_khz", "refused expected"},
        {"set edge.cpu_khz 600000 600000", "refused a word too many"},
        {"get edge.cpu_khz 600000", "refused expected"},
        {"write /etc/passwd x", "refused expected"},
        {" ", "refused expected"},
        {"set edge.cpu_khz 1500000", "ok 1500000"},
    };
    struct scene scene;
    char long_message[300];
    (void)state;
    start(&scene, getuid());
    char *before = board_settings(&scene.board);
    int fd = connect_raw(&scene);
    assert_string_equal(say(fd, "", 0), "hello");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *reply = say(fd, rows[i].message, strlen(rows[i].message));
        if (strncmp(reply, rows[i].reply, strlen(rows[i].reply)) != 0)
            print_error("%s: %s\n", rows[i].message, reply);
        assert_memory_equal(reply, rows[i].reply, strlen(rows[i].reply));
    }
    assert_memory_equal(say(fd, "set a\0b", 7), "refused a NUL", 13);
    memset(long_message, 'x', sizeof(long_message));
    assert_memory_equal(say(fd, long_message, sizeof(long_message)), "refused ", 8);
    /* It was changed, and is given back when the client has gone. */
    char *during = board_settings(&scene.board);
    assert_string_not_equal(before, during);
    (void)close(fd);
    /* The next one is served once that is done. */
    for (const char *reply = "busy"; strncmp(reply, "busy", 4) == 0;) {
        fd = connect_raw(&scene);
        reply = say(fd, "", 0);
        (void)close(fd);
    }
    char *after = board_settings(&scene.board);
    assert_string_equal(before, after);
    free(after);
    stop(&scene);
    free(during);
    free(before);
}

static void test_device(void **state)
{
    struct scene scene;
    struct ws_device *device = NULL, *second = NULL;
    struct ws_device_report report;
    struct ws_error err = {0};
    char lease[140], now[64];
    (void)state;
    start(&scene, getuid());
    char *before = board_settings(&scene.board);
    (void)snprintf(lease, sizeof(lease), "%s.lease", scene.board.dir);
    const struct ws_device_options bare = {.lease_path = lease, .bare = 1};
    assert_int_equal(ws_device_open(&device, scene.board.fs, &bare, &err), 0);
    assert_int_equal(ws_device_space(device)->knob_count, 0);
    if (ws_device_add_helper(device, scene.path, &err) != 0)
        fail_msg("%s", err.text);
    const struct ws_space *space = ws_device_space(device);
    size_t khz = 0, governor = 0;
    assert_int_equal(space->knob_count, 2);
    assert_int_equal(ws_space_find(&khz, space, "edge.cpu_khz", &err), 0);
    assert_int_equal(ws_space_find(&governor, space, "edge.cpu_governor", &err), 0);
    assert_int_equal(space->knobs[khz].value_count, 2);
    assert_int_equal(space->knobs[khz].kind, WS_KIND_ORDERED);
    assert_true(space->knobs[governor].value_count > 1);
    for (int v = 1; v >= 0; v--) {
        const struct ws_space one = {.knobs = &space->knobs[khz], .knob_count = 1};
        const struct ws_setting setting = {.value = {(uint16_t)v}};
        for (int again = 0; again <= 1; again++) {
            assert_int_equal(ws_device_apply(device, &report, &one, &setting, &err), 0);
            assert_int_equal(report.knobs[0].applied,
                             again ? WS_APPLIED_SAME : WS_APPLIED_SET);
            assert_string_equal(report.knobs[0].achieved,
                                space->knobs[khz].values[v].text);
        }
    }
    assert_int_equal(ws_device_current(now, sizeof(now), device, khz, &err), 0);
    assert_string_equal(now, space->knobs[khz].values[0].text);
    /* The lease is the helper's alone: a daemon need not be able to write one. */
    assert_int_equal(access(scene.board.lease, F_OK), 0);
    assert_int_not_equal(access(lease, F_OK), 0);
    /* One at a time. */
    assert_int_equal(ws_device_open(&second, scene.board.fs, &bare, &err), 0);
    assert_int_equal(ws_device_add_helper(second, scene.path, &err), WS_E_BUSY);
    assert_int_equal(ws_device_close(second, NULL), 0);
    /* The machine does not take it: said, not swallowed. */
    scene.board.refuse = "scaling_max_freq";
    scene.board.refuse_errno = 13;
    const struct ws_space one = {.knobs = &space->knobs[khz], .knob_count = 1};
    const struct ws_setting setting = {.value = {1}};
    assert_int_equal(ws_device_apply(device, &report, &one, &setting, &err), 0);
    assert_int_equal(report.knobs[0].applied, WS_APPLIED_REFUSED);
    assert_non_null(strstr(report.knobs[0].reason, "scaling_max_freq"));
    scene.board.refuse = NULL;
    assert_int_equal(ws_device_close(device, NULL), 0);
    stop(&scene);
    free(before);
}

static void test_turned_away(void **state)
{
    struct scene scene;
    struct ws_device *device = NULL;
    struct ws_error err = {0};
    (void)state;
    start(&scene, getuid() + 1);
    const struct ws_device_options bare = {.bare = 1};
    assert_int_equal(ws_device_open(&device, scene.board.fs, &bare, &err), 0);
    assert_int_equal(ws_device_add_helper(device, scene.path, &err), WS_E_DENIED);
    assert_int_equal(ws_device_add_helper(device, "/none", &err), WS_E_IO);
    assert_int_equal(ws_device_close(device, NULL), 0);
    stop(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_device),
        cmocka_unit_test(test_turned_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
