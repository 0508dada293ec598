#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "engine/engine.h"
#include "engine/quiet.h"

/* Standard error as a pipe, so that the test sees what comes out of it. */
struct tap {
    int real, reading;
};

static void open_tap(struct tap *tap)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    tap->real = dup(STDERR_FILENO);
    assert_true(tap->real >= 0);
    tap->reading = ends[0];
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
}

static void close_tap(struct tap *tap, char *text, size_t size)
{
    ssize_t got = read(tap->reading, text, size - 1);
    text[got > 0 ? got : 0] = '\0';
    dup2(tap->real, STDERR_FILENO);
    close(tap->real);
    close(tap->reading);
}

static void say(const char *text)
{
    assert_int_equal(write(STDERR_FILENO, text, strlen(text)), strlen(text));
}

#define NOISE "Schema error: Trying to register schema with name Abs (domain: ) twice\n\n"

static void test_quiet_drops_the_known_lines(void **state)
{
    (void)state;
    static const struct {
        const char *written, *passed_on;
    } cases[] = {
        {NOISE NOISE, ""},
        {"a\n" NOISE "\nb", "a\n\nb"},
        {NOISE "Schema error: another\n", "Schema error: another\n"},
        {"\n\n", "\n\n"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tap tap;
        struct ws_quiet quiet;
        char text[256];
        open_tap(&tap);
        ws_quiet_begin(&quiet);
        say(cases[i].written);
        ws_quiet_end(&quiet);
        say("|");
        close_tap(&tap, text, sizeof(text));
        size_t size = strlen(cases[i].passed_on);
        assert_memory_equal(text, cases[i].passed_on, size);
        assert_string_equal(text + size, "|");
    }
}

static void test_quiet_drops_a_long_line(void **state)
{
    (void)state;
    struct tap tap;
    struct ws_quiet quiet;
    char text[16], name[10000];
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    open_tap(&tap);
    ws_quiet_begin(&quiet);
    say("Schema error: Trying to register schema with name ");
    say(name);
    say("\n\nkept\n");
    ws_quiet_end(&quiet);
    close_tap(&tap, text, sizeof(text));
    assert_string_equal(text, "kept\n");
}

/* Whatever runtime is here, starting it leaves standard error alone, and its first model
 * too. */
static void test_quiet_start(void **state)
{
    (void)state;
    struct tap tap;
    char text[256];
    struct ws_engine *engine = NULL;
    const struct ws_engine_options options = {.threads = 1};
    struct ws_error err = {0};
    char path[4096];
    const char *root = getenv("WS_SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/fuzz/corpus/onnx/residual.onnx", root ? root : ".");
    const struct ws_session_source source = {.path = path, .types_only = 1};
    struct ws_session *session = NULL;
    open_tap(&tap);
    int rc = ws_engine_create(&engine, &options, &err);
    if (rc == 0)
        rc = ws_session_create(&session, engine, &source, &err);
    close_tap(&tap, text, sizeof(text));
    assert_int_equal(rc, 0);
    assert_string_equal(text, "");
    ws_session_destroy(session);
    ws_engine_destroy(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_drops_the_known_lines),
        cmocka_unit_test(test_quiet_drops_a_long_line),
        cmocka_unit_test(test_quiet_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
