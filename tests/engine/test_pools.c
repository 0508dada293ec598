#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "engine/ort.h"

static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int count = -2; /* "." and ".." */
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

/* What the runtime was told of spinning; "" where the session has no pool of its own. */
static void spinning_of(char *out, size_t size, const OrtSessionOptions *options)
{
    static const char key[] = "session.intra_op.allow_spinning";
    int has = 0;
    out[0] = '\0';
    assert_null(ws_ort->HasSessionConfigEntry(options, key, &has));
    if (has)
        assert_null(ws_ort->GetSessionConfigEntry(options, key, out, &size));
}

/* The runtime heeds the first engine's threads and nobody's after that: every further
 * engine must still have what it asks for, and share where it asks for the same. */
static void test_every_engine_has_its_threads(void **state)
{
    static const struct {
        struct ws_engine_options options;
        int brings; /* threads of a session, beside the one that runs it */
        const char *spinning;
    } rows[] = {
        {{.threads = 3}, 0, ""},  {{.threads = 3, .spinning = 1}, 2, "1"},
        {{.threads = 5}, 4, "0"}, {{.threads = 1}, 0, "0"},
        {{.threads = 3}, 0, ""},
    };
    enum { COUNT = sizeof(rows) / sizeof(rows[0]) };
    struct ws_engine *engines[COUNT];
    char path[600];
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/fuzz/corpus/onnx/residual.onnx",
                   getenv("WS_SOURCE_ROOT"));
    /* Twice: when the last engine goes, the environment and its pool go too. */
    for (int round = 0; round < 2; round++) {
        int none = count_threads();
        for (size_t i = 0; i < COUNT; i++) {
            OrtSessionOptions *options = NULL;
            OrtSession *session = NULL;
            char spinning[8];
            int before = count_threads();
            assert_int_equal(ws_engine_create(&engines[i], &rows[i].options, NULL), 0);
            /* The very first one may start threads of the runtime's own besides. */
            int pool = count_threads() - before;
            if (i > 0 || round > 0)
                assert_int_equal(pool, i == 0 ? 2 : 0);
            assert_int_equal(
                ws_ort_session_options(&options, engines[i], WS_LEVEL_BASIC, 0, 0, NULL),
                0);
            spinning_of(spinning, sizeof(spinning), options);
            assert_string_equal(spinning, rows[i].spinning);
            before = count_threads();
            assert_null(ws_ort->CreateSession(engines[i]->env, path, options, &session));
            assert_int_equal(count_threads() - before, rows[i].brings);
            ws_ort->ReleaseSession(session);
            ws_ort->ReleaseSessionOptions(options);
        }
        for (size_t i = 0; i < COUNT; i++)
            ws_engine_destroy(engines[i]);
        if (round > 0)
            assert_int_equal(count_threads(), none);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_engine_has_its_threads),
    };
    return cmocka_run_group_tests_name("pools", tests, NULL, NULL);
}
