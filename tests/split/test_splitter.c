#include "demo_net.h"

#include <dirent.h>
#include <unistd.h>

#include "split/demand.h"

/* Loads the segment 0..cut and lets it go. */
static void touch(struct demo_net *net, size_t cut)
{
    struct ws_segment_use use;
    struct ws_error err = {0};
    if (ws_splitter_acquire(&use, net->splitter, 0, cut, &err) != 0)
        fail_msg("%s", err.text);
    ws_splitter_release(net->splitter, &use);
}

/* Three natural interior cuts. */
static void three_cuts(size_t out[3], const struct demo_net *net)
{
    const struct ws_cuts *cuts = ws_splitter_cuts(net->splitter);
    size_t found = 0;
    for (size_t c = 1; found < 3; c++) {
        assert_true(c + 1 < cuts->count);
        if (cuts->cuts[c].natural == WS_NATURAL_YES)
            out[found++] = c;
    }
}

static void test_splitter_keeps_without_budget(void **state)
{
    (void)state;
    struct demo_net net;
    size_t at[3], count = 0;
    uint64_t bytes = 0;
    demo_open(&net, 0);
    three_cuts(at, &net);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            touch(&net, at[i]);
    }
    ws_splitter_resident(&count, &bytes, net.splitter);
    assert_int_equal(count, 3);
    demo_close(&net);
}

static void test_splitter_drops_the_oldest(void **state)
{
    (void)state;
    struct demo_net net;
    struct ws_segment_use pinned, again;
    size_t at[3], count = 0;
    uint64_t bytes = 0;
    demo_open(&net, 1); /* less than any segment */
    three_cuts(at, &net);
    assert_int_equal(ws_splitter_acquire(&pinned, net.splitter, 0, at[0], NULL), 0);
    touch(&net, at[1]);
    touch(&net, at[2]);
    /* What is in use stays, whatever the budget; what is not does not. */
    ws_splitter_resident(&count, &bytes, net.splitter);
    assert_int_equal(count, 1);
    assert_int_equal(ws_splitter_acquire(&again, net.splitter, 0, at[0], NULL), 0);
    assert_ptr_equal(again.session, pinned.session);
    ws_splitter_release(net.splitter, &again);
    ws_splitter_release(net.splitter, &pinned);
    ws_splitter_resident(&count, &bytes, net.splitter);
    assert_int_equal(count, 0);
    assert_int_equal(bytes, 0);
    demo_close(&net);
}

static void test_splitter_middle_segment(void **state)
{
    (void)state;
    struct demo_net net;
    struct ws_segment_use use;
    size_t at[3];
    demo_open(&net, 0);
    three_cuts(at, &net);
    assert_int_equal(ws_splitter_acquire(&use, net.splitter, at[0], at[2], NULL), 0);
    const struct ws_cuts *cuts = ws_splitter_cuts(net.splitter);
    assert_int_equal(use.input_count, cuts->cuts[at[0]].tensor_count);
    assert_int_equal(use.inputs[0], cuts->cuts[at[0]].tensors[0]);
    assert_int_equal(use.outputs[0], cuts->cuts[at[2]].tensors[0]);
    ws_splitter_release(net.splitter, &use);
    demo_close(&net);
}

static void test_splitter_bad_model(void **state)
{
    (void)state;
    struct ws_engine *engine = NULL;
    struct ws_splitter *splitter = NULL;
    struct ws_error err = {0};
    struct ws_engine_options options = {.threads = 1};
    struct ws_splitter_options how = {.level = WS_LEVEL_ALL};
    assert_int_equal(ws_engine_create(&engine, &options, &err), 0);
    assert_int_equal(ws_splitter_create(&splitter, engine, "/nowhere/m.onnx", &how, &err),
                     WS_E_IO);
    assert_string_equal(err.text, "open /nowhere/m.onnx: No such file or directory");
    ws_engine_destroy(engine);
    options.provider = "NoSuchProvider";
    assert_int_equal(ws_engine_create(&engine, &options, &err), WS_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "NoSuchProvider"));
}

static size_t entries_in(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void test_splitter_leaves_no_files(void **state)
{
    (void)state;
    struct demo_net net;
    char dir[] = "/tmp/ws-test-XXXXXX";
    const char *before = getenv("TMPDIR");
    assert_non_null(mkdtemp(dir));
    setenv("TMPDIR", dir, 1);
    demo_open(&net, 0);
    demo_close(&net);
    size_t left = entries_in(dir); /* "." and ".." */
    if (before != NULL)
        setenv("TMPDIR", before, 1);
    else
        unsetenv("TMPDIR");
    rmdir(dir);
    assert_int_equal(left, 2);
}

/* The same network in float and in QDQ form: as many multiplications, but of another
 * class, save for the last layer, which stays float. */
static void test_splitter_work_int8(void **state)
{
    static const char *const names[] = {"w10", "w10_int8"};
    const struct ws_splitter_options options = {.level = WS_LEVEL_ALL};
    struct ws_engine *engine = NULL;
    struct ws_work work[2];
    (void)state;
    assert_int_equal(
        ws_engine_create(&engine, &(struct ws_engine_options){.threads = 1}, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        struct ws_splitter *splitter = NULL;
        struct ws_error err = {0};
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/etc/cifar/%s.onnx",
                       getenv("WS_SOURCE_ROOT"), names[i]);
        if (ws_splitter_create(&splitter, engine, path, &options, &err) != 0)
            fail_msg("%s", err.text);
        const struct ws_cuts *cuts = ws_splitter_cuts(splitter);
        ws_work_of_segment(&work[i], cuts, 0, cuts->count - 1);
        ws_splitter_destroy(splitter);
    }
    ws_engine_destroy(engine);
    assert_true(work[0].macs[WS_WORK_CONV] > 5e6);
    assert_near(work[0].macs[WS_WORK_CONV_INT8], 0, 0);
    assert_near(work[1].macs[WS_WORK_CONV], 0, 0);
    assert_near(work[1].macs[WS_WORK_CONV_INT8], work[0].macs[WS_WORK_CONV], 0);
    assert_near(work[1].macs[WS_WORK_MATMUL], work[0].macs[WS_WORK_MATMUL], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splitter_keeps_without_budget),
        cmocka_unit_test(test_splitter_drops_the_oldest),
        cmocka_unit_test(test_splitter_middle_segment),
        cmocka_unit_test(test_splitter_work_int8),
        cmocka_unit_test(test_splitter_bad_model),
        cmocka_unit_test(test_splitter_leaves_no_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
