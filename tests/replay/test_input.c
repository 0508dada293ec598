/* What a replay is made from, from files: the things that must be refused, and a plan
 * that was saved. */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "replay/input.h"
#include "study/planfile.h"

static const char testbed[] =
    "{\"name\": \"b\", \"table\": \"t.csv\", \"objectives\": [\"latency_ms\", "
    "\"energy_j\"],\n"
    " \"knobs\": {\"cut\": {\"part\": \"shared\", \"kind\": \"ordered\", \"values\": [0, "
    "1]}},\n"
    " \"baselines\": {\"cloud-only\": {\"cut\": 0}, \"edge-only\": {\"cut\": 1}}}";
static const char table[] = "knob.cut,latency_ms,energy_j,edge_ms,transfer_ms,cloud_ms,"
                            "tensor_bytes\n0,50,20,10,20,20,1000\n1,100,4,100,0,0,0\n";
static const char workload[] = "index,deadline_ms\n0,60\n1,200\n2,10\n";

struct files {
    char dir[32];
    char path[5][64];
};

enum { TESTBED, TABLE, WORKLOAD, TRACE, PLAN };

static void write_file(const char *path, const char *text)
{
    assert_int_equal(ws_file_write(path, text, strlen(text), NULL), 0);
}

static void make_files(struct files *files)
{
    static const char *const names[] = {"b.json", "t.csv", "w.csv", "l.csv", "p.json"};
    snprintf(files->dir, sizeof(files->dir), "/tmp/wattshed-test-XXXXXX");
    assert_non_null(mkdtemp(files->dir));
    for (size_t i = 0; i < 5; i++)
        snprintf(files->path[i], sizeof(files->path[i]), "%s/%s", files->dir, names[i]);
    write_file(files->path[TESTBED], testbed);
    write_file(files->path[TABLE], table);
    write_file(files->path[WORKLOAD], workload);
    write_file(files->path[TRACE], "time_s,link_mbit_s\n0,10\n");
}

static void drop_files(struct files *files)
{
    for (size_t i = 0; i < 5; i++)
        unlink(files->path[i]);
    rmdir(files->dir);
}

static struct ws_replay_options options_of(const struct files *files)
{
    return (struct ws_replay_options){
        .testbed_path = files->path[TESTBED],
        .workload_path = files->path[WORKLOAD],
        .search = "exhaustive",
        .budget = 1,
        .guard = 0.95,
        .seed = 1,
    };
}

static void test_input_makes_a_replay(void **state)
{
    (void)state;
    struct files files;
    struct ws_replay_input input = {0};
    struct ws_error err = {0};
    make_files(&files);
    struct ws_replay_options options = options_of(&files);
    options.link_path = files.path[TRACE];
    if (ws_replay_input_init(&input, &options, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(input.plan.entry_count, 2);
    assert_int_equal(input.profile.count, 2);
    assert_int_equal(input.trace.count, 1);
    double fastest = 0;
    assert_int_equal(ws_replay_hopeless(&fastest, &input), 1);
    assert_near(fastest, 50, 0);
    assert_int_equal(ws_plan_save(&input.plan, files.path[PLAN], NULL), 0);
    ws_replay_input_fini(&input);
    options.plan_path = files.path[PLAN];
    memset(&input, 0, sizeof(input));
    assert_int_equal(ws_replay_input_init(&input, &options, &err), 0);
    assert_int_equal(input.plan.entry_count, 2);
    ws_replay_input_fini(&input);
    drop_files(&files);
}

static void test_input_refuses(void **state)
{
    (void)state;
    static const struct {
        int file; /* replaced by `text`; removed where that is NULL */
        const char *text;
        int code;
        const char *says;
    } rows[] = {
        {TESTBED, NULL, WS_E_IO, "b.json"},
        {TABLE, NULL, WS_E_IO, "t.csv"},
        {WORKLOAD, NULL, WS_E_IO, "w.csv"},
        {WORKLOAD, "index,deadline\n0,1\n", WS_E_NOT_FOUND, "deadline_ms"},
        {WORKLOAD, "index,deadline_ms\n0,1\n0,2\n", WS_E_FORMAT,
         "index 0 is there twice"},
        {WORKLOAD, "index,deadline_ms\n0,nan\n", WS_E_FORMAT, "w.csv:2"},
        {WORKLOAD, "index,deadline_ms\n0,-5\n", 0, "deadline_ms"},
        {TABLE, "knob.cut,latency_ms\n0,1\n", 0, "energy_j"},
        {TABLE, "knob.cut,latency_ms,energy_j\n7,1,1\n", 0, "t.csv:2"},
        {TRACE, "time_s,speed\n0,1\n", 0, "l.csv"},
        {PLAN, "{}", 0, "p.json"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct files files;
        struct ws_replay_input input = {0};
        struct ws_error err = {0};
        make_files(&files);
        struct ws_replay_options options = options_of(&files);
        options.link_path = files.path[TRACE];
        if (rows[i].file == PLAN)
            options.plan_path = files.path[PLAN];
        if (rows[i].text == NULL)
            unlink(files.path[rows[i].file]);
        else
            write_file(files.path[rows[i].file], rows[i].text);
        int rc = ws_replay_input_init(&input, &options, &err);
        if (rc == 0 || (rows[i].code != 0 && rc != rows[i].code) ||
            strstr(err.text, rows[i].says) == NULL)
            fail_msg("row %zu: %d, %s", i, rc, err.text);
        ws_replay_input_fini(&input);
        drop_files(&files);
    }
}

/* A plan of a testbed whose knobs are others. */
static void test_input_refuses_foreign_plan(void **state)
{
    (void)state;
    struct files files;
    struct ws_replay_input input = {0};
    struct ws_error err = {0};
    char other[sizeof(testbed)], *values;
    make_files(&files);
    struct ws_replay_options options = options_of(&files);
    assert_int_equal(ws_replay_input_init(&input, &options, NULL), 0);
    assert_int_equal(ws_plan_save(&input.plan, files.path[PLAN], NULL), 0);
    ws_replay_input_fini(&input);
    memcpy(other, testbed, sizeof(other));
    values = strstr(other, "cut\": {\"part");
    assert_non_null(values);
    memcpy(values, "CUT", 3);
    for (char *at = strstr(other, "{\"cut\":"); at != NULL; at = strstr(at, "{\"cut\":"))
        memcpy(at, "{\"CUT\":", 7);
    write_file(files.path[TESTBED], other);
    write_file(files.path[TABLE], "knob.CUT,latency_ms,energy_j\n0,50,20\n1,100,4\n");
    options.plan_path = files.path[PLAN];
    memset(&input, 0, sizeof(input));
    assert_int_equal(ws_replay_input_init(&input, &options, &err), WS_E_MISMATCH);
    assert_non_null(strstr(err.text, "not those of testbed \"b\""));
    ws_replay_input_fini(&input);
    drop_files(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_makes_a_replay),
        cmocka_unit_test(test_input_refuses),
        cmocka_unit_test(test_input_refuses_foreign_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
