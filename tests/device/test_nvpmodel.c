#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "board.h"
#include "check.h"
#include "device/device.h"

#define POLICY0 "devices/system/cpu/cpufreq/policy0"

/* A command that behaves as NVIDIA's: it warns, tells mode and number, and a mode sets
 * the bounds of the CPU anew. Files beside it make it ill. */
static const char script[] =
    "#!/bin/sh\n"
    "here=${0%/*}\n"
    "cpu=$here/sys/" POLICY0 "\n"
    "case $1 in\n"
    "-q)\n"
    "    [ -e $here/mute ] && exit 0\n"
    "    [ -e $here/odd ] && printf 'NV Power Mode: CUSTOM\\n9\\n' && exit 0\n"
    "    read -r mode <$here/mode\n"
    "    echo 'NVPM WARN: fan mode is not set!'\n"
    "    echo \"NV Power Mode: of number $mode\"\n"
    "    echo $mode;;\n"
    "-m)\n"
    "    [ -e $here/refuse ] && exit 1\n"
    "    [ -e $here/reboot ] && exit 0\n"
    "    [ -e $here/slow ] && sleep 60\n"
    "    echo $2 >$here/mode\n"
    "    echo 102000 >$cpu/scaling_min_freq\n"
    "    [ $2 = 0 ] && echo 1479000 >$cpu/scaling_max_freq\n"
    "    [ $2 = 1 ] && echo 918000 >$cpu/scaling_max_freq\n"
    "    exit 0;;\n"
    "esac\n";

struct scene {
    struct board board;
    struct ws_device *device;
    struct ws_device_report report;
    char command[128];
};

static void put(const struct scene *scene, const char *name, const char *text)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", scene->board.dir, name);
    if (text == NULL)
        assert_int_equal(unlink(path), 0);
    else
        assert_int_equal(ws_file_write(path, text, strlen(text), NULL), 0);
}

static void expect_mode(const struct scene *scene, const char *mode)
{
    char path[160];
    struct ws_buf text;
    (void)snprintf(path, sizeof(path), "%s/mode", scene->board.dir);
    ws_buf_init(&text, 0);
    assert_int_equal(ws_file_read(&text, path, NULL), 0);
    assert_int_equal(text.data[0], mode[0]);
    ws_buf_fini(&text);
}

static void scene_prepare(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    board_open(&scene->board, "jetson-nano");
    (void)snprintf(scene->command, sizeof(scene->command), "%s/nvpmodel",
                   scene->board.dir);
    put(scene, "nvpmodel", script);
    assert_int_equal(chmod(scene->command, 0700), 0);
    put(scene, "mode", "0\n");
}

static void scene_start(struct scene *scene, int timeout_ms)
{
    struct ws_error err = {0};
    struct ws_device_options options = {.lease_path = scene->board.lease,
                                        .nvpmodel = scene->command,
                                        .nvpmodel_timeout_ms = timeout_ms};
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

/* Sets `first`, and `second` if there is one, together and in this order of the space. */
static struct ws_applied_knob *apply(struct scene *scene, const char *first,
                                     const char *value, const char *second,
                                     const char *other)
{
    const struct ws_space *all = ws_device_space(scene->device);
    const char *names[] = {first, second};
    const char *texts[] = {value, other};
    struct ws_knob knobs[2];
    struct ws_space space = {.knobs = knobs};
    struct ws_setting setting = {0};
    struct ws_error err = {0};
    for (size_t i = 0; i < 2 && names[i] != NULL; i++) {
        size_t knob = 0, v = 0;
        if (ws_space_find(&knob, all, names[i], &err) != 0 ||
            ws_knob_find(&v, &all->knobs[knob], texts[i], &err) != 0)
            fail_msg("%s", err.text);
        knobs[i] = all->knobs[knob];
        setting.value[i] = (uint16_t)v;
        space.knob_count = i + 1;
    }
    if (ws_device_apply(scene->device, &scene->report, &space, &setting, &err) != 0)
        fail_msg("%s", err.text);
    return scene->report.knobs;
}

static void expect_bound(struct scene *scene, const char *name, const char *khz)
{
    char path[128], text[64];
    (void)snprintf(path, sizeof(path), POLICY0 "/%s", name);
    assert_string_equal(board_get(text, sizeof(text), &scene->board, path), khz);
}

/* Set, read back, not set twice; and the originals that come back are those of before the
 * mode, also of knobs that are set only after it. */
static void test_good(void **state)
{
    struct scene scene;
    (void)state;
    scene_prepare(&scene);
    board_put(&scene.board, POLICY0 "/scaling_max_freq", "1224000");
    char *before = board_settings(&scene.board);
    scene_start(&scene, 0);
    expect_mode(&scene, "0");
    struct ws_applied_knob *did = apply(&scene, "edge.nvpmodel", "5W", NULL, NULL);
    assert_int_equal(did->applied, WS_APPLIED_SET);
    assert_string_equal(did->achieved, "5W");
    expect_mode(&scene, "1");
    expect_bound(&scene, "scaling_max_freq", "918000");
    did = apply(&scene, "edge.nvpmodel", "5W", NULL, NULL);
    assert_int_equal(did->applied, WS_APPLIED_SAME);
    assert_int_equal(scene.report.write_count, 0);
    did = apply(&scene, "edge.cpu_khz", "518400", NULL, NULL);
    assert_int_equal(did->applied, WS_APPLIED_SET);
    /* The mode goes first, whatever the order of the space: the clock stays. */
    did = apply(&scene, "edge.cpu_khz", "1479000", "edge.nvpmodel", "MAXN");
    assert_int_equal(did[0].applied, WS_APPLIED_SET);
    assert_int_equal(did[1].applied, WS_APPLIED_SET);
    expect_bound(&scene, "scaling_min_freq", "1479000");
    (void)apply(&scene, "edge.nvpmodel", "5W", NULL, NULL);
    assert_int_equal(ws_device_restore(scene.device, NULL), 0);
    expect_mode(&scene, "0");
    char *after = board_settings(&scene.board);
    assert_string_equal(before, after);
    free(before);
    free(after);
    scene_close(&scene);
}

/* A command that is ill costs a refusal or a clamped value, and nothing is lost. */
static void test_ill(void **state)
{
    static const struct {
        const char *illness;
        int timeout_ms;
        enum ws_applied applied;
        const char *reason, *achieved;
    } rows[] = {
        {"refuse", 0, WS_APPLIED_REFUSED, "exit status 1", "MAXN"},
        {"reboot", 0, WS_APPLIED_CLAMPED, "",
         "MAXN"}, /* it wants one, and is not taken */
        {"odd", 0, WS_APPLIED_REFUSED, "mode 9", ""},
        {"mute", 0, WS_APPLIED_REFUSED, "no mode's number", ""},
        {"slow", 3000, WS_APPLIED_REFUSED, "took too long", "MAXN"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene scene;
        scene_prepare(&scene);
        scene_start(&scene, rows[i].timeout_ms);
        put(&scene, rows[i].illness, "");
        struct ws_applied_knob *did = apply(&scene, "edge.nvpmodel", "5W", NULL, NULL);
        if (did->applied != rows[i].applied)
            fail_msg("%s: %s (%s)", rows[i].illness, ws_applied_name(did->applied),
                     did->reason);
        assert_non_null(strstr(did->reason, rows[i].reason));
        assert_string_equal(did->achieved, rows[i].achieved);
        expect_mode(&scene, "0");
        put(&scene, rows[i].illness, NULL);
        did = apply(&scene, "edge.nvpmodel", "5W", NULL, NULL);
        assert_int_equal(did->applied, WS_APPLIED_SET);
        assert_int_equal(ws_device_restore(scene.device, NULL), 0);
        expect_mode(&scene, "0");
        scene_close(&scene);
    }
}

/* A command that fails to give back keeps the lease, which the next one carries out. */
static void test_not_given_back(void **state)
{
    struct scene scene;
    struct ws_error err = {0};
    (void)state;
    scene_prepare(&scene);
    scene_start(&scene, 0);
    (void)apply(&scene, "edge.nvpmodel", "5W", NULL, NULL);
    put(&scene, "refuse", "");
    assert_int_equal(ws_device_restore(scene.device, &err), WS_E_IO);
    assert_non_null(strstr(err.text, "exit status 1"));
    assert_int_equal(access(scene.board.lease, F_OK), 0);
    put(&scene, "refuse", NULL);
    (void)apply(&scene, "edge.cpu_khz", "518400", NULL, NULL);
    expect_mode(&scene, "0");
    scene_close(&scene);
}

static int has_knob(const struct scene *scene, const char *name)
{
    size_t knob = 0;
    return ws_space_find(&knob, ws_device_space(scene->device), name, NULL) == 0;
}

static void test_lists(void **state)
{
    static const struct {
        const char *text;
        int is_there;
    } rows[] = {
        {"# < POWER_MODEL ID=0 NAME=OLD >\n< PARAM TYPE=FILE NAME=CPU_ONLINE >\n"
         "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n< PM_CONFIG DEFAULT=0 >\n",
         1},
        {"", 0},
        {"< PM_CONFIG DEFAULT=0 >\n", 0},
        {"< POWER_MODEL ID=x NAME=MAXN >\n", 0},
        {"< POWER_MODEL ID=-1 NAME=MAXN >\n", 0},
        {"< POWER_MODEL NAME=MAXN >\n", 0},
        {"< POWER_MODEL ID=0 >\n", 0},
        {"< POWER_MODEL ID=0 NAME= >\n", 0},
        {"< POWER_MODEL ID=0 NAME=A >\n< POWER_MODEL ID=0 NAME=B >\n", 0},
        {"< POWER_MODEL ID=0 NAME=A >\n< POWER_MODEL ID=1 NAME=A >\n", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene scene;
        scene_prepare(&scene);
        put(&scene, "etc/nvpmodel.conf", rows[i].text);
        scene_start(&scene, 0);
        if (has_knob(&scene, "edge.nvpmodel") != rows[i].is_there)
            fail_msg("row %zu", i);
        assert_true(has_knob(&scene, "edge.cpu_khz"));
        scene_close(&scene);
    }
}

/* More than a page, as real ones are; up to the limit and not beyond. */
static void test_long_lists(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        size_t size = i == 0 ? 60000 : WS_MODE_CONF_MAX;
        struct scene scene;
        struct ws_buf text;
        ws_buf_init(&text, 0);
        while (text.size < size)
            assert_int_equal(ws_buf_add_text(&text, "# a remark\n", NULL), 0);
        assert_int_equal(ws_buf_add_text(&text, "< POWER_MODEL ID=0 NAME=MAXN >\n", NULL),
                         0);
        scene_prepare(&scene);
        put(&scene, "etc/nvpmodel.conf", text.data);
        scene_start(&scene, 0);
        assert_int_equal(has_knob(&scene, "edge.nvpmodel"), i == 0);
        scene_close(&scene);
        ws_buf_fini(&text);
    }
}

static void test_no_command(void **state)
{
    struct scene scene;
    (void)state;
    scene_prepare(&scene);
    assert_int_equal(unlink(scene.command), 0);
    scene_start(&scene, 0);
    assert_false(has_knob(&scene, "edge.nvpmodel"));
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),           cmocka_unit_test(test_ill),
        cmocka_unit_test(test_not_given_back), cmocka_unit_test(test_lists),
        cmocka_unit_test(test_long_lists),     cmocka_unit_test(test_no_command),
    };
    return cmocka_run_group_tests_name("nvpmodel", tests, NULL, NULL);
}
