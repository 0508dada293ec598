#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "small.h"
#include "study/study.h"

static const struct ws_study_fact facts[] = {{"model.base", "abc"}, {"edge", "rpi4"}};
enum { FACTS = 2 };

struct place {
    char dir[64];
    char path[96];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    (void)snprintf(place->dir, sizeof(place->dir), "/tmp/test_study.XXXXXX");
    if (mkdtemp(place->dir) == NULL)
        return -1;
    (void)snprintf(place->path, sizeof(place->path), "%s/s.db", place->dir);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char journal[128];
    (void)snprintf(journal, sizeof(journal), "%s-journal", place->path);
    (void)unlink(journal);
    (void)unlink(place->path);
    int rc = rmdir(place->dir); /* nothing else is left beside a study */
    free(place);
    return rc;
}

static int open_small(struct ws_study **out, const struct place *place,
                      struct ws_error *err)
{
    return ws_study_open(out, place->path, small_testbed, facts, FACTS, err);
}

static struct ws_study_trial trial_of(uint64_t index, const struct ws_space *space)
{
    struct ws_study_trial trial = {.started_s = 100,
                                   .took_s = 2.5,
                                   .how = WS_HOW_PARTS,
                                   .is_valid = 1,
                                   .attempts = 2,
                                   .samples = 40,
                                   .warmups = 5,
                                   .latency_ci_ms = 0.25,
                                   .energy_ci_j = -1};
    ws_setting_from_index(&trial.setting, space, index);
    trial.outcome.truth = trial.composed.truth = WS_MODELLED;
    ws_outcome_set(&trial.outcome, WS_LATENCY_MS, 10 + (double)index);
    ws_outcome_set(&trial.outcome, WS_TENSOR_BYTES, 0);
    ws_outcome_set(&trial.composed, WS_LATENCY_MS, 9);
    ws_conditions_set(&trial.conditions, WS_LINK_MBIT_S, 20);
    return trial;
}

static void put_all(struct ws_study *study, uint64_t index)
{
    const struct ws_study_part part = {.key = (char *)(uintptr_t) "edge cut=0",
                                       .ms = {4, 2.5, 0.5, 2, 3},
                                       .energy_j = {0},
                                       .bytes = 100};
    struct ws_study_trial trial = trial_of(index, &ws_study_testbed(study)->space);
    assert_int_equal(ws_study_put_part(study, &part, NULL), 0);
    assert_int_equal(ws_study_put_trial(study, &trial, NULL), 0);
}

static int check_part(void *user, const struct ws_study_part *part, struct ws_error *err)
{
    (void)err;
    assert_string_equal(part->key, "edge cut=0");
    assert_int_equal(part->ms.count, 4);
    assert_near(part->ms.mean, 2.5, 0);
    assert_near(part->ms.m2, 0.5, 0);
    assert_int_equal(part->energy_j.count, 0);
    assert_near(part->bytes, 100, 0);
    ++*(size_t *)user;
    return 0;
}

static int count_trials(void *user, const struct ws_study_trial *trial,
                        struct ws_error *err)
{
    (void)err;
    ++*(size_t *)user;
    assert_int_equal(trial->number, *(size_t *)user);
    return 0;
}

static int check_run(void *user, int64_t run, double started_s, const char *conditions,
                     struct ws_error *err)
{
    (void)err;
    assert_int_equal(run, 1);
    assert_true(started_s > 1e9);
    assert_string_equal(conditions, "{\"kernel\": \"6\"}");
    ++*(size_t *)user;
    return 0;
}

static void test_round_trip(void **state)
{
    const struct place *place = *state;
    struct ws_study *study = NULL;
    struct ws_study_trial back;
    struct ws_study_fact fact;
    size_t parts = 0, trials = 0, runs = 0, right = 0, count = 0;
    assert_int_equal(open_small(&study, place, NULL), 0);
    assert_int_equal(ws_study_begin_run(study, "{\"kernel\": \"6\"}", NULL), 0);
    put_all(study, 3);
    assert_int_equal(ws_study_commit(study, NULL), 0);
    put_all(study, 5);
    assert_int_equal(ws_study_commit(study, NULL), 0);
    assert_int_equal(ws_study_put_accuracy(study, "k", 9, 10, NULL), 0);
    /* What is not committed is gone. */
    put_all(study, 7);
    ws_study_close(study);

    assert_int_equal(ws_study_open_to_read(&study, place->path, NULL), 0);
    const struct ws_space *space = &ws_study_testbed(study)->space;
    struct ws_study_trial put = trial_of(5, space);
    assert_int_equal(ws_study_find_trial(&back, study, &put.setting, NULL), 1);
    assert_int_equal(back.number, 2);
    assert_int_equal(back.run, 1);
    assert_int_equal(back.how, WS_HOW_PARTS);
    assert_int_equal(back.is_valid, 1);
    assert_int_equal(back.samples, 40);
    assert_int_equal(back.warmups, 5);
    assert_int_equal(back.attempts, 2);
    assert_near(back.latency_ci_ms, 0.25, 0);
    assert_true(back.energy_ci_j < 0);
    assert_int_equal(back.outcome.known, put.outcome.known);
    assert_int_equal(back.outcome.truth, WS_MODELLED);
    assert_near(back.outcome.value[WS_LATENCY_MS], 15, 0);
    assert_near(back.composed.value[WS_LATENCY_MS], 9, 0);
    assert_int_equal(back.conditions.known, put.conditions.known);
    assert_int_equal(ws_study_each_trial(study, count_trials, &trials, NULL), 0);
    assert_int_equal(ws_study_each_part(study, check_part, &parts, NULL), 0);
    assert_int_equal(ws_study_each_run(study, check_run, &runs, NULL), 0);
    assert_int_equal(trials, 2);
    assert_int_equal(parts, 1);
    assert_int_equal(runs, 1);
    assert_int_equal(ws_study_find_accuracy(&right, &count, study, "k", NULL), 1);
    assert_int_equal(right, 9);
    assert_int_equal(count, 10);
    assert_int_equal(ws_study_find_accuracy(&right, &count, study, "l", NULL), 0);
    assert_string_equal(ws_study_fact(study, "edge"), "rpi4");
    assert_null(ws_study_fact(study, "cloud"));
    assert_int_equal(ws_study_fact_at(&fact, study, 0), 1);
    assert_string_equal(fact.key, "edge");
    assert_int_equal(ws_study_fact_at(&fact, study, 3), 0);
    ws_study_close(study);
}

static void test_one_trial_a_setting(void **state)
{
    struct ws_study *study = NULL;
    struct ws_error err = {0};
    size_t trials = 0;
    assert_int_equal(open_small(&study, *state, NULL), 0);
    put_all(study, 3);
    assert_int_equal(ws_study_commit(study, NULL), 0);
    struct ws_study_trial again = trial_of(3, &ws_study_testbed(study)->space);
    assert_int_equal(ws_study_put_trial(study, &again, &err), WS_E_MISMATCH);
    assert_non_null(strstr(err.text, "{\"cut\":0,\"edge.khz\":1200,\"cloud.gpu\":\"on\"}"
                                     " has a trial already"));
    /* The transaction was given up, the study goes on. */
    put_all(study, 4);
    assert_int_equal(ws_study_commit(study, NULL), 0);
    assert_int_equal(ws_study_each_trial(study, count_trials, &trials, NULL), 0);
    assert_int_equal(trials, 2);
    ws_study_close(study);
}

static void test_one_profiler(void **state)
{
    const struct place *place = *state;
    struct ws_study *first = NULL, *second = NULL;
    struct ws_error err = {0};
    assert_int_equal(open_small(&first, place, NULL), 0);
    assert_int_equal(open_small(&second, place, &err), WS_E_BUSY);
    assert_non_null(strstr(err.text, "another process profiles into this study"));
    /* Readers may come, and see what was committed. */
    put_all(first, 1);
    assert_int_equal(ws_study_commit(first, NULL), 0);
    assert_int_equal(ws_study_open_to_read(&second, place->path, NULL), 0);
    size_t trials = 0;
    assert_int_equal(ws_study_each_trial(second, count_trials, &trials, NULL), 0);
    assert_int_equal(trials, 1);
    ws_study_close(second);
    ws_study_close(first);
    assert_int_equal(open_small(&second, place, NULL), 0);
    ws_study_close(second);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Files that cannot be gone on with; each is as it was afterwards. */
static void test_wrong_files(void **state)
{
    static const char other_testbed[] =
        "{\"name\": \"other\", \"objectives\": [\"latency_ms\"], \"knobs\": {\"cut\": "
        "{\"part\": \"shared\", \"kind\": \"ordered\", \"values\": [0]}}}";
    const struct place *place = *state;
    const struct ws_study_fact other_model[] = {{"model.base", "def"}, {"edge", "rpi4"}};
    const struct ws_study_fact more[] = {
        {"model.base", "abc"}, {"edge", "rpi4"}, {"model.int8", "ghi"}};
    struct ws_study *study = NULL;
    struct ws_error err = {0};
    assert_int_equal(open_small(&study, place, NULL), 0);
    ws_study_close(study);
    assert_int_equal(
        ws_study_open(&study, place->path, other_testbed, facts, FACTS, &err),
        WS_E_MISMATCH);
    assert_non_null(strstr(err.text, "another testbed (\"small\")"));
    assert_int_equal(
        ws_study_open(&study, place->path, small_testbed, other_model, FACTS, &err),
        WS_E_MISMATCH);
    assert_non_null(strstr(err.text, "its model.base is abc, here it is def"));
    assert_int_equal(ws_study_open(&study, place->path, small_testbed, more, 3, &err),
                     WS_E_MISMATCH);
    assert_non_null(strstr(err.text, "its model.int8 is not said, here it is ghi"));
    run_sql(place->path, "PRAGMA user_version=3");
    assert_int_equal(open_small(&study, place, &err), WS_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "of schema 3, and this program knows 2"));
    assert_int_equal(ws_study_open_to_read(&study, place->path, &err), WS_E_UNSUPPORTED);
    run_sql(place->path, "PRAGMA application_id=7");
    assert_int_equal(open_small(&study, place, &err), WS_E_FORMAT);
    assert_non_null(strstr(err.text, "this is no study"));

    int fd = open(place->path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "{\"name\": \"a testbed, not a study\"}\n", 35), 35);
    (void)close(fd);
    assert_int_equal(open_small(&study, place, &err), WS_E_FORMAT);
    assert_non_null(strstr(err.text, "this is no study"));
    assert_int_equal(ws_study_open_to_read(&study, place->path, &err), WS_E_FORMAT);
    struct stat st;
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_size, 35);

    assert_int_equal(ws_study_open_to_read(&study, "/nowhere/s.db", &err), WS_E_IO);
    assert_int_equal(
        ws_study_open(&study, "/nowhere/s.db", small_testbed, facts, FACTS, &err),
        WS_E_IO);
    assert_non_null(strstr(err.text, "/nowhere/s.db: No such file"));
}

/* A file system that is full, as far as one file can be: what was committed stays. */
static void test_full_disk(void **state)
{
    const struct place *place = *state;
    struct ws_study *study = NULL;
    struct ws_error err = {0};
    struct rlimit before, less;
    struct stat st;
    assert_int_equal(open_small(&study, place, NULL), 0);
    put_all(study, 1);
    assert_int_equal(ws_study_commit(study, NULL), 0);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    less = before;
    less.rlim_cur = (rlim_t)st.st_size;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    int rc = 0;
    for (int i = 0; rc == 0 && i < 100000; i++) {
        char key[64];
        (void)snprintf(key, sizeof(key), "%059d", i);
        const struct ws_study_part part = {.key = key};
        rc = ws_study_put_part(study, &part, &err);
        if (rc == 0 && i % 50 == 49)
            rc = ws_study_commit(study, &err);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, WS_E_IO);
    assert_non_null(strstr(err.text, place->path));
    /* The same handle goes on once there is room. */
    put_all(study, 2);
    assert_int_equal(ws_study_commit(study, NULL), 0);
    ws_study_close(study);
    size_t trials = 0;
    assert_int_equal(open_small(&study, place, NULL), 0);
    assert_int_equal(ws_study_each_trial(study, count_trials, &trials, NULL), 0);
    assert_int_equal(trials, 2);
    ws_study_close(study);
}

/* Puts trial after trial, each with a part that counts them. */
static void write_forever(const struct place *place)
{
    struct ws_study *study = NULL;
    size_t trials = 0;
    if (open_small(&study, place, NULL) != 0 ||
        ws_study_each_trial(study, count_trials, &trials, NULL) != 0)
        _exit(2);
    for (uint64_t i = trials; i < 12; i++) {
        struct ws_study_trial trial = trial_of(i, &ws_study_testbed(study)->space);
        const struct ws_study_part part = {.key = (char *)(uintptr_t) "n",
                                           .ms = {.count = i + 1}};
        if (ws_study_put_part(study, &part, NULL) != 0 ||
            ws_study_put_trial(study, &trial, NULL) != 0 ||
            ws_study_commit(study, NULL) != 0)
            _exit(3);
    }
    _exit(0);
}

static int take_count(void *user, const struct ws_study_part *part, struct ws_error *err)
{
    (void)err;
    *(size_t *)user = part->ms.count;
    return 0;
}

static void test_killed_anywhere(void **state)
{
    enum { KILLS = 60 };
    const struct place *place = *state;
    struct ws_rng rng;
    size_t killed = 0, finished = 0;
    ws_rng_init(&rng, 11);
    for (int k = 0; k < KILLS; k++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            write_forever(place);
        int64_t delay_ns = (int64_t)(ws_rng_uniform(&rng) * 3e7);
        ws_clock_sleep_until(ws_clock_now_ns() + delay_ns);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            finished++;
            (void)unlink(place->path); /* from the beginning */
            continue;
        }
        killed++;
        /* The parts are those of the last trial that is there, neither more nor less. */
        struct ws_study *study = NULL;
        struct ws_error err = {0};
        size_t trials = 0, counted = 0;
        int rc = open_small(&study, place, &err);
        if (rc != 0)
            print_error("%s\n", err.text);
        assert_int_equal(rc, 0);
        assert_int_equal(ws_study_each_trial(study, count_trials, &trials, NULL), 0);
        assert_int_equal(ws_study_each_part(study, take_count, &counted, NULL), 0);
        assert_int_equal(trials, counted);
        ws_study_close(study);
    }
    assert_true(killed > 0);
    print_message("killed %zu times, finished %zu times\n", killed, finished);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_trial_a_setting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_profiler, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_anywhere, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
