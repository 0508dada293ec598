#include "device/device.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "check.h"

#define POLICY0 "devices/system/cpu/cpufreq/policy0"

struct scene {
    struct board board;
    struct ws_device *device;
    struct ws_device_report report;
};

static void scene_open(struct scene *scene, const char *name)
{
    struct ws_error err = {0};
    memset(scene, 0, sizeof(*scene));
    board_open(&scene->board, name);
    struct ws_device_options options = {.lease_path = scene->board.lease};
    if (ws_device_open(&scene->device, scene->board.fs, &options, &err) != 0)
        fail_msg("%s", err.text);
}

static void scene_close(struct scene *scene)
{
    struct ws_error err = {0};
    if (ws_device_close(scene->device, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_not_equal(access(scene->board.lease, F_OK), 0);
    board_close(&scene->board);
}

/* Applies one knob alone; returns what became of it. */
static struct ws_applied_knob *apply(struct scene *scene, const char *name,
                                     const char *text)
{
    const struct ws_space *all = ws_device_space(scene->device);
    struct ws_error err = {0};
    size_t knob = 0;
    size_t value = 0;
    if (ws_space_find(&knob, all, name, &err) != 0 ||
        ws_knob_find(&value, &all->knobs[knob], text, &err) != 0)
        fail_msg("%s", err.text);
    struct ws_space one = {.knobs = &all->knobs[knob], .knob_count = 1};
    struct ws_setting setting = {.value = {(uint16_t)value}};
    if (ws_device_apply(scene->device, &scene->report, &one, &setting, &err) != 0)
        fail_msg("%s", err.text);
    return &scene->report.knobs[0];
}

static void expect_knob(struct scene *scene, const char *name, size_t count,
                        const char *first, const char *last)
{
    const struct ws_space *space = ws_device_space(scene->device);
    size_t k = 0;
    if (ws_space_find(&k, space, name, NULL) != 0)
        fail_msg("no knob %s", name);
    const struct ws_knob *knob = &space->knobs[k];
    assert_int_equal(knob->value_count, count);
    assert_string_equal(knob->values[0].text, first);
    assert_string_equal(knob->values[count - 1].text, last);
    assert_int_equal(knob->part, WS_PART_EDGE);
}

/* Every knob of every board. A board with fewer or more would be a change to tell of. */
static void test_discover_boards(void **state)
{
    static const struct {
        const char *board;
        const char *knob;
        size_t count;
        const char *first, *last;
    } rows[] = {
        {"rpi4", "edge.cpu_khz", 13, "600000", "1800000"},
        {"rpi4", "edge.cpu_governor", 6, "conservative", "schedutil"},
        {"rpi4", "edge.accelerator", 2, "off", "on"},
        {"rpi5", "edge.cpu_khz", 10, "1500000", "2400000"},
        {"rpi5", "edge.cpu_governor", 6, "conservative", "schedutil"},
        {"jetson-nano", "edge.cores", 4, "1", "4"},
        {"jetson-nano", "edge.cpu_khz", 15, "102000", "1479000"},
        {"jetson-nano", "edge.cpu_governor", 7, "interactive", "schedutil"},
        {"jetson-nano", "edge.gpu_khz", 12, "76800", "921600"},
        {"jetson-nano", "edge.mem_khz", 7, "204000", "1600000"},
        {"jetson-nx-jp4", "edge.cores", 6, "1", "6"},
        {"jetson-nx-jp4", "edge.cpu_khz", 25, "115200", "1907200"},
        {"jetson-nx-jp4", "edge.cpu_governor", 7, "interactive", "schedutil"},
        {"jetson-nx-jp4", "edge.gpu_khz", 15, "114750", "1109250"},
        {"jetson-nx-jp4", "edge.mem_khz", 8, "204000", "1866000"},
        {"jetson-nx-jp5", "edge.cores", 6, "1", "6"},
        {"jetson-nx-jp5", "edge.cpu_khz", 25, "115200", "1907200"},
        {"jetson-nx-jp5", "edge.cpu_governor", 7, "interactive", "schedutil"},
        {"jetson-nx-jp5", "edge.gpu_khz", 15, "114750", "1109250"},
        {"jetson-nx-jp5", "edge.mem_khz", 8, "204000", "1866000"},
        {"xu4", "edge.cores", 8, "1", "8"},
        {"xu4", "edge.cpu_khz", 13, "200000", "1400000"},
        {"xu4", "edge.cpu_governor", 6, "conservative", "schedutil"},
        {"xu4", "edge.cpu4_khz", 19, "200000", "2000000"},
        {"xu4", "edge.cpu4_governor", 6, "conservative", "schedutil"},
        {"xu4", "edge.gpu_khz", 7, "177000", "600000"},
        {"xu4", "edge.mem_khz", 5, "88700", "532000"},
        {"laptop", "edge.cores", 8, "1", "8"},
        {"laptop", "edge.cpu_khz", 20, "400000", "4200000"},
        {"laptop", "edge.cpu_governor", 2, "performance", "powersave"},
    };
    static const char *const boards[] = {
        "rpi4", "rpi5", "jetson-nano", "jetson-nx-jp4", "xu4", "jetson-nx-jp5", "laptop"};
    (void)state;
    for (size_t b = 0; b < sizeof(boards) / sizeof(boards[0]); b++) {
        struct scene scene;
        size_t expected = 0;
        scene_open(&scene, boards[b]);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            if (strcmp(rows[i].board, boards[b]) != 0)
                continue;
            expect_knob(&scene, rows[i].knob, rows[i].count, rows[i].first, rows[i].last);
            expected++;
        }
        assert_int_equal(ws_device_space(scene.device)->knob_count, expected);
        assert_int_equal(scene.board.writes, 0);
        scene_close(&scene);
    }
}

/* Conformance: every value of every knob of every board is taken, read back the same,
 * not written twice, and given back in the end. */
static void test_conformance_every_value(void **state)
{
    static const char *const boards[] = {
        "rpi4", "rpi5", "jetson-nano", "jetson-nx-jp4", "xu4", "jetson-nx-jp5", "laptop"};
    (void)state;
    for (size_t b = 0; b < sizeof(boards) / sizeof(boards[0]); b++) {
        struct scene scene;
        scene_open(&scene, boards[b]);
        char *before = board_settings(&scene.board);
        const struct ws_space *space = ws_device_space(scene.device);
        for (size_t k = 0; k < space->knob_count; k++) {
            const struct ws_knob *knob = &space->knobs[k];
            for (size_t i = 0; i < 2 * knob->value_count; i++) {
                /* Up and down again: bounds must be moved in both orders. */
                size_t v = i < knob->value_count ? i : 2 * knob->value_count - 1 - i;
                struct ws_applied_knob *did =
                    apply(&scene, knob->name, knob->values[v].text);
                if (did->applied != WS_APPLIED_SET && did->applied != WS_APPLIED_SAME)
                    fail_msg("%s: %s = %s: %s, now %s (%s)", boards[b], knob->name,
                             knob->values[v].text, ws_applied_name(did->applied),
                             did->achieved, did->reason);
                assert_string_equal(did->achieved, knob->values[v].text);
                did = apply(&scene, knob->name, knob->values[v].text);
                assert_int_equal(did->applied, WS_APPLIED_SAME);
                assert_int_equal(scene.report.write_count, 0);
            }
            assert_int_equal(ws_device_restore(scene.device, NULL), 0);
        }
        char *after = board_settings(&scene.board);
        assert_string_equal(before, after);
        free(before);
        free(after);
        scene_close(&scene);
    }
}

static void test_apply_whole_setting(void **state)
{
    struct scene scene;
    struct ws_error err = {0};
    struct ws_setting setting = {0};
    char text[64];
    (void)state;
    scene_open(&scene, "jetson-nx-jp5");
    const struct ws_space *space = ws_device_space(scene.device);
    for (size_t k = 0; k < space->knob_count; k++)
        setting.value[k] = (uint16_t)(space->knobs[k].value_count / 2);
    assert_int_equal(ws_device_apply(scene.device, &scene.report, space, &setting, &err),
                     0);
    for (size_t k = 0; k < space->knob_count; k++) {
        assert_int_equal(scene.report.knobs[k].applied, WS_APPLIED_SET);
        assert_true(scene.report.knobs[k].time_ns > 0);
        assert_true(scene.report.knobs[k].time_ns <= scene.report.time_ns);
    }
    assert_string_equal(board_get(text, sizeof(text), &scene.board,
                                  "class/devfreq/17000000.gv11b/max_freq"),
                        "752250000");
    /* A second time there is nothing to do. */
    assert_int_equal(ws_device_apply(scene.device, &scene.report, space, &setting, &err),
                     0);
    assert_int_equal(scene.report.write_count, 0);
    scene_close(&scene);
}

static void test_apply_foreign_space(void **state)
{
    static char cut[] = "cut";
    static char name[] = "edge.cpu_khz";
    static char strange[] = "1234";
    static char known[] = "1200000";
    struct ws_knob_value cuts[] = {{.text = strange}};
    struct ws_knob_value speeds[] = {{.text = known}, {.text = strange}};
    struct ws_knob knobs[] = {
        {.name = cut, .values = cuts, .value_count = 1},
        {.name = name, .values = speeds, .value_count = 2},
    };
    struct ws_space space = {.knobs = knobs, .knob_count = 2};
    struct ws_setting setting = {0};
    struct scene scene;
    (void)state;
    scene_open(&scene, "rpi4");
    assert_int_equal(ws_device_apply(scene.device, &scene.report, &space, &setting, NULL),
                     0);
    assert_int_equal(scene.report.knobs[0].applied, WS_APPLIED_ABSENT);
    assert_int_equal(scene.report.knobs[1].applied, WS_APPLIED_SET);
    setting.value[1] = 1;
    assert_int_equal(ws_device_apply(scene.device, &scene.report, &space, &setting, NULL),
                     0);
    assert_int_equal(scene.report.knobs[1].applied, WS_APPLIED_ABSENT);
    assert_non_null(strstr(scene.report.knobs[1].reason, "1234"));
    assert_int_equal(scene.report.write_count, 0);
    scene_close(&scene);
}

static void test_apply_clamped(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, "rpi4");
    scene.board.cap_khz = 1000000; /* it is hot */
    struct ws_applied_knob *did = apply(&scene, "edge.cpu_khz", "1800000");
    assert_int_equal(did->applied, WS_APPLIED_CLAMPED);
    assert_string_equal(did->achieved, "1000000");
    did = apply(&scene, "edge.cpu_khz", "900000");
    assert_int_equal(did->applied, WS_APPLIED_SET);
    scene.board.cap_khz = 0;
    scene_close(&scene);
}

static void test_apply_userspace(void **state)
{
    struct scene scene;
    char text[64];
    (void)state;
    scene_open(&scene, "rpi4");
    apply(&scene, "edge.cpu_khz", "900000");
    assert_string_equal(board_get(text, 64, &scene.board, POLICY0 "/scaling_min_freq"),
                        "900000");
    apply(&scene, "edge.cpu_governor", "userspace");
    /* The bounds stand at 900000 and have to make room. */
    struct ws_applied_knob *did = apply(&scene, "edge.cpu_khz", "1500000");
    assert_int_equal(did->applied, WS_APPLIED_SET);
    assert_string_equal(board_get(text, 64, &scene.board, POLICY0 "/scaling_setspeed"),
                        "1500000");
    scene_close(&scene);
}

static void test_apply_refused(void **state)
{
    static const struct {
        const char *refuse;
        int errnum;
        const char *words;
    } rows[] = {
        {"scaling_max_freq", EACCES, "Permission denied"},
        {"scaling_min_freq", EROFS, "Read-only file system"},
        {"policy0", EINVAL, "Invalid argument"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene scene;
        scene_open(&scene, "rpi4");
        scene.board.refuse = rows[i].refuse;
        scene.board.refuse_errno = rows[i].errnum;
        struct ws_applied_knob *did = apply(&scene, "edge.cpu_khz", "700000");
        assert_int_equal(did->applied, WS_APPLIED_REFUSED);
        assert_non_null(strstr(did->reason, rows[i].words));
        assert_non_null(strstr(did->reason, "700000"));
        scene.board.refuse = NULL;
        scene_close(&scene);
    }
}

static void test_apply_vanished(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, "xu4");
    apply(&scene, "edge.gpu_khz", "420000");
    board_put(&scene.board, "class/devfreq/11800000.gpu/min_freq", NULL);
    board_put(&scene.board, "class/devfreq/11800000.gpu/max_freq", NULL);
    struct ws_applied_knob *did = apply(&scene, "edge.gpu_khz", "600000");
    assert_int_equal(did->applied, WS_APPLIED_REFUSED);
    assert_non_null(strstr(did->reason, "max_freq"));
    assert_string_equal(did->achieved, "");
    scene_close(&scene);
}

/* What is malformed costs its own knob and no other. */
static void test_discover_malformed(void **state)
{
    static const struct {
        const char *path;
        const char *text;
        const char *gone, *left;
    } rows[] = {
        {POLICY0 "/scaling_available_frequencies", "600000 fast", "edge.cpu_khz",
         "edge.gpu_khz"},
        {POLICY0 "/cpuinfo_max_freq", "-1", "edge.cpu_khz", "edge.gpu_khz"},
        {"devices/system/cpu/present", "0-x", "edge.cores", "edge.cpu_khz"},
        {"devices/system/cpu/present", "3-0", "edge.cores", "edge.cpu_khz"},
        {"devices/system/cpu/present", "0-99999999", "edge.cores", "edge.cpu_khz"},
        {"class/devfreq/57000000.gpu/available_frequencies", "99999999999999999999",
         "edge.gpu_khz", "edge.cpu_khz"},
        {"kernel/debug/clk/emc/clk_possible_rates", "-", "edge.mem_khz", "edge.gpu_khz"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct board board;
        struct ws_device *device = NULL;
        size_t index = 0;
        board_open(&board, "jetson-nano");
        board_put(&board, rows[i].path, rows[i].text);
        assert_int_equal(ws_device_open(&device, board.fs, NULL, NULL), 0);
        const struct ws_space *space = ws_device_space(device);
        assert_int_equal(ws_space_find(&index, space, rows[i].gone, NULL),
                         WS_E_NOT_FOUND);
        assert_int_equal(ws_space_find(&index, space, rows[i].left, NULL), 0);
        assert_int_equal(ws_device_close(device, NULL), 0);
        board_close(&board);
    }
}

static int set_value(void *user, size_t value, struct ws_error *err)
{
    if (value == 2)
        return ws_error_set(err, WS_E_RUNTIME, "no such thread count");
    *(size_t *)user = value;
    return 0;
}

static int get_value(void *user, size_t *out, struct ws_error *err)
{
    (void)err;
    *out = *(size_t *)user;
    return 0;
}

static void test_custom_knob(void **state)
{
    static const char *const values[] = {"1", "2", "4"};
    struct scene scene;
    size_t now = 1;
    (void)state;
    scene_open(&scene, NULL);
    struct ws_knob_custom custom = {.name = "edge.threads",
                                    .kind = WS_KIND_ORDERED,
                                    .values = values,
                                    .value_count = 3,
                                    .set = set_value,
                                    .get = get_value,
                                    .user = &now};
    assert_int_equal(ws_device_add_custom(scene.device, &custom, NULL), 0);
    assert_int_equal(ws_device_add_custom(scene.device, &custom, NULL), WS_E_MISMATCH);
    assert_int_equal(apply(&scene, "edge.threads", "2")->applied, WS_APPLIED_SAME);
    assert_int_equal(apply(&scene, "edge.threads", "1")->applied, WS_APPLIED_SET);
    assert_int_equal(now, 0);
    assert_int_equal(apply(&scene, "edge.threads", "4")->applied, WS_APPLIED_REFUSED);
    assert_int_equal(now, 0);
    scene_close(&scene);
}

static void test_command_knob(void **state)
{
    static const char *const values[] = {"low", "high", "never"};
    struct scene scene;
    char text[64];
    char file[128];
    (void)state;
    scene_open(&scene, NULL);
    (void)snprintf(file, sizeof(file), "%s/sys/mode", scene.board.dir);
    const char *const argv[] = {
        "sh", "-c", "test $0 != never && printf %s \"$0\" > \"$1\"", "{}", file, NULL};
    struct ws_knob_command command = {.name = "edge.power_mode",
                                      .kind = WS_KIND_NOMINAL,
                                      .values = values,
                                      .value_count = 3,
                                      .argv = argv,
                                      .original = "high",
                                      .timeout_ms = 5000};
    assert_int_equal(ws_device_add_command(scene.device, &command, NULL), 0);
    assert_int_equal(apply(&scene, "edge.power_mode", "low")->applied, WS_APPLIED_SET);
    assert_string_equal(board_get(text, sizeof(text), &scene.board, "mode"), "low");
    assert_int_equal(apply(&scene, "edge.power_mode", "low")->applied, WS_APPLIED_SAME);
    struct ws_applied_knob *did = apply(&scene, "edge.power_mode", "never");
    assert_int_equal(did->applied, WS_APPLIED_REFUSED);
    assert_non_null(strstr(did->reason, "exit status 1"));
    assert_int_equal(ws_device_restore(scene.device, NULL), 0);
    assert_string_equal(board_get(text, sizeof(text), &scene.board, "mode"), "high");
    assert_int_equal(apply(&scene, "edge.power_mode", "low")->applied, WS_APPLIED_SET);
    scene_close(&scene);
}

static void *wait_for_end(void *user)
{
    pthread_mutex_lock(user);
    pthread_mutex_unlock(user);
    return NULL;
}

/* On this machine's own processors: every thread moves, and comes back at the end. */
static void test_affinity(void **state)
{
    struct board board;
    struct ws_device *device = NULL;
    struct ws_device_report report;
    struct ws_device_options options = {.own_processors = 1};
    struct ws_error err = {0};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread;
    cpu_set_t before, now, first;
    char text[32];
    char path[128];
    size_t knob = 0;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    if (CPU_COUNT(&before) < 2) {
        print_message("one processor: skipped\n");
        skip();
    }
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    CPU_ZERO(&first);
    CPU_SET(cpu, &first);
    board_open(&board, "rpi4");
    /* A cluster of one processor, and one that the cpuset does not hold. */
    (void)snprintf(text, sizeof(text), "%zu 1023", cpu);
    board_put(&board, POLICY0 "/related_cpus", text);
    (void)snprintf(path, sizeof(path), "%s/proc/self", board.dir);
    assert_int_equal(symlink("/proc/self", path), 0);
    options.lease_path = board.lease;
    if (ws_device_open(&device, board.fs, &options, &err) != 0)
        fail_msg("%s", err.text);
    const struct ws_space *space = ws_device_space(device);
    assert_int_equal(ws_space_find(&knob, space, "edge.cpus", NULL), 0);
    assert_int_equal(space->knobs[knob].value_count, 2);
    pthread_mutex_lock(&lock);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_end, &lock), 0);
    struct ws_space one = {.knobs = &space->knobs[knob], .knob_count = 1};
    struct ws_setting setting = {0};
    assert_int_equal(ws_device_apply(device, &report, &one, &setting, &err), 0);
    assert_int_equal(report.knobs[0].applied, WS_APPLIED_SET);
    assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
    assert_true(CPU_EQUAL(&now, &first));
    assert_int_equal(pthread_getaffinity_np(thread, sizeof(now), &now), 0);
    assert_true(CPU_EQUAL(&now, &first));
    assert_int_equal(ws_device_close(device, NULL), 0);
    assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
    assert_true(CPU_EQUAL(&now, &before));
    assert_int_equal(pthread_getaffinity_np(thread, sizeof(now), &now), 0);
    assert_true(CPU_EQUAL(&now, &before));
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    assert_int_equal(unlink(path), 0);
    board_close(&board);
}

static void test_cpu_set_parse_rows(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *shortest;
    } rows[] = {
        {"0-3", 0, "0-3"},
        {"0,1,2,3", 0, "0-3"},
        {"0-1,3,5-7", 0, "0-1,3,5-7"},
        {"", 0, ""},
        {"1023", 0, "1023"},
        {"1024", WS_E_LIMIT, NULL},
        {"2-1", WS_E_LIMIT, NULL},
        {"0-", WS_E_FORMAT, NULL},
        {"0,,1", WS_E_FORMAT, NULL},
        {"a", WS_E_FORMAT, NULL},
        {"-1", WS_E_FORMAT, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_cpu_set set = {0};
        char text[256];
        assert_int_equal(ws_cpu_set_parse(&set, rows[i].text, NULL), rows[i].code);
        if (rows[i].code == 0)
            assert_string_equal(ws_cpu_set_text(text, sizeof(text), &set),
                                rows[i].shortest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discover_boards),
        cmocka_unit_test(test_conformance_every_value),
        cmocka_unit_test(test_apply_whole_setting),
        cmocka_unit_test(test_apply_foreign_space),
        cmocka_unit_test(test_apply_clamped),
        cmocka_unit_test(test_apply_userspace),
        cmocka_unit_test(test_apply_refused),
        cmocka_unit_test(test_apply_vanished),
        cmocka_unit_test(test_discover_malformed),
        cmocka_unit_test(test_custom_knob),
        cmocka_unit_test(test_command_knob),
        cmocka_unit_test(test_affinity),
        cmocka_unit_test(test_cpu_set_parse_rows),
    };
    return cmocka_run_group_tests_name("knobs", tests, NULL, NULL);
}
