#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "node/config.h"

/* Reads a text as a file; the line of its error without the path. */
static int load(struct ws_config *config, const char *text, char line[static 256])
{
    char path[] = "/tmp/wattshed-config-XXXXXX";
    struct ws_error err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ws_file_write_fd(fd, text, strlen(text), NULL), 0);
    (void)close(fd);
    ws_config_init(config);
    int rc = ws_config_load(config, path, &err);
    const char *rest = rc == 0 ? "" : err.text + strlen(path);
    (void)snprintf(line, 256, "%.250s", rest);
    (void)unlink(path);
    return rc;
}

static void test_config_reads(void **state)
{
    (void)state;
    struct ws_config config;
    char line[256];
    assert_int_equal(load(&config,
                          "; a comment\n[serve]\nlisten = 0.0.0.0:1\nlog = debug\n"
                          "body = 4M\n[model]\nvariant = a.onnx\nvariant=int8=b=c.onnx\n"
                          "[nodes]\nurl=http://a:1\nurl = http://b:2 ; why\n"
                          "[agent]\nguard = off\norder = fifo\nrefuse = yes\nqueue=7\n"
                          "[breaker]\nfailures = 5\nwait_ms = 12.5\n[care]\nhot_c = 80\n",
                          line),
                     0);
    assert_string_equal(config.listen, "0.0.0.0:1");
    assert_int_equal(config.log_level, WS_LOG_DEBUG);
    assert_int_equal(config.body_max, 4 << 20);
    assert_int_equal(config.variant_count, 2);
    assert_string_equal(config.variants[0].path, "a.onnx");
    assert_string_equal(config.variants[1].name, "int8");
    assert_string_equal(config.variants[1].path, "b=c.onnx");
    assert_int_equal(config.node_count, 2);
    assert_string_equal(config.nodes[1], "http://b:2");
    assert_near(config.guard, 0, 0);
    assert_int_equal(config.agent.order, WS_AGENT_FIFO);
    assert_int_equal(config.agent.refuse_late, 1);
    assert_int_equal(config.agent.queue_max, 7);
    assert_int_equal(config.agent.breaker.failures, 5);
    assert_near(config.agent.breaker.wait_ms, 12.5, 0);
    assert_near(config.agent.care.hot_c, 80, 0);
    ws_config_fini(&config);
}

#define LINES_4(line)  line line line line
#define LINES_16(line) LINES_4(LINES_4(line))

static void test_config_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"[serve]\nlisten\n", ":2: expected [section], key = value or a ; comment"},
        {"\n\n[serve]\nlisten =\n", ":4: listen: a value is missing"},
        {"[serve]\nlog = loud\n",
         ":2: log: expected error, warning, info or debug, got \"loud\""},
        {"[serve]\n\n; x\ninsecure = maybe\n",
         ":4: insecure: expected yes or no, got \"maybe\""},
        {"[serve]\nlsten = 1\n", ":2: [serve] has no key \"lsten\""},
        {"[server]\nlisten = 1\n", ":2: there is no section [server]"},
        {"listen = 1\n", ":1: there is no section []"},
        {"[agent]\nguard = 1\n", ":2: guard: expected 1e-06 to 0.999999, got 1"},
        {"[agent]\nqueue = 0\n", ":2: queue: 0 is outside 1 .. 4096"},
        {"[agent]\norder = lifo\n", ":2: order: expected deadline or fifo"},
        {"[agent]\nhysteresis = -1\n", ":2: hysteresis: expected 0 to 1, got -1"},
        {"[breaker]\nfailures = x\n", ":2: failures:"},
        {"[model]\nvariant = a=\n", ":2: variant: a file is missing"},
        {"[nodes]\n" LINES_16("url = http://n\n")
             LINES_16("url = http://n\n") "url = http://n\n",
         ":34: url: more than 32 nodes"},
        {"[model]\n" LINES_16("variant = a=b\n") "variant = a=b\n",
         ":18: variant: more than 16 variants"},
        /* The first fault counts. */
        {"[agent]\norder = a\norder = b\nnonsense\n", ":2: order"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_config config;
        char line[256];
        int rc = load(&config, rows[i].text, line);
        if (rc == 0 || strncmp(line, rows[i].line, strlen(rows[i].line)) != 0)
            print_error("%s gave %d %s\n", rows[i].text, rc, line);
        assert_int_not_equal(rc, 0);
        assert_int_equal(strncmp(line, rows[i].line, strlen(rows[i].line)), 0);
        ws_config_fini(&config);
    }
}

/* The shipped file says nothing that is not so, and its keys are the ones there are:
 * every one that it shows is understood. */
static void test_config_example(void **state)
{
    (void)state;
    struct ws_config config;
    struct ws_buf text;
    char path[512], line[256];
    const char *root = getenv("WS_SOURCE_ROOT");
    assert_non_null(root);
    (void)snprintf(path, sizeof(path), "%s/etc/wattshed.ini", root);
    ws_buf_init(&text, 0);
    assert_int_equal(ws_file_read(&text, path, NULL), 0);
    /* A line that is a comment without a blank behind its sign is a key. */
    size_t shown = 0;
    for (char *at = text.data; *at != '\0'; at++) {
        if (*at == ';' && at[1] != ' ' && (at == text.data || at[-1] == '\n')) {
            *at = ' ';
            shown++;
        }
    }
    assert_true(shown > 35);
    /* Indented lines would go on with the value before: so they start at the margin. */
    for (char *at = text.data; (at = strstr(at, "\n ")) != NULL;)
        memmove(at + 1, at + 2, strlen(at + 2) + 1);
    if (load(&config, text.data, line) != 0)
        print_error("%s\n", line);
    assert_string_equal(line, "");
    assert_int_equal(config.node_count, 2);
    assert_near(config.guard, 0.95, 0);
    ws_config_fini(&config);
    ws_buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_reads),
        cmocka_unit_test(test_config_refuses),
        cmocka_unit_test(test_config_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
