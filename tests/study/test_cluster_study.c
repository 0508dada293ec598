#include "check.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "small.h"
#include "study/cluster_study.h"
#include "study/study.h"

static const char text_format[] =
    "{\"format\": \"wattshed-cluster\", \"version\": 1, \"model\": \"%s\",\n"
    " \"variants\": {\"big\": {\"accuracy\": 0.8, \"samples\": 500}},\n"
    " \"nodes\": [{\"name\": \"a\", \"url\": \"http://a:1\", \"profile\": {\n"
    "   \"delay_ms\": 2, \"send_ms\": 0.5, \"request_ms\": 0, \"energy\": \"measured\",\n"
    "   \"variants\": {\"big\": {\"image_ms\": %g, \"image_j\": 0.02}}}}]}";

struct place {
    char dir[64];
    char path[96];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    (void)snprintf(place->dir, sizeof(place->dir), "/tmp/test_cluster_study.XXXXXX");
    if (mkdtemp(place->dir) == NULL)
        return -1;
    (void)snprintf(place->path, sizeof(place->path), "%s/s.db", place->dir);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    (void)unlink(place->path);
    int rc = rmdir(place->dir);
    free(place);
    return rc;
}

static int save(const char *path, const char *model, double image_ms,
                struct ws_error *err)
{
    char text[1024];
    struct ws_cluster *cluster = calloc(1, sizeof(*cluster));
    int size = snprintf(text, sizeof(text), text_format, model, image_ms);
    assert_int_equal(ws_cluster_parse(cluster, text, (size_t)size, "text", NULL), 0);
    int rc = ws_cluster_study_save(cluster, path, err);
    ws_cluster_fini(cluster);
    free(cluster);
    return rc;
}

/* What the study says that an image takes in the model's cluster, or a code. */
static int image_ms(double *out, const char *path, const char *model,
                    struct ws_error *err)
{
    struct ws_cluster *cluster = calloc(1, sizeof(*cluster));
    int rc = ws_cluster_study_load(cluster, path, model, err);
    if (rc == 0) {
        *out = 1e3 * cluster->nodes[0].speeds[0].image_s;
        assert_string_equal(cluster->nodes[0].url, "http://a:1");
        assert_string_equal(cluster->nodes[0].energy, "measured");
        assert_near(cluster->nodes[0].delay_s, 0.002, 1e-15);
        assert_near(cluster->nodes[0].speeds[0].image_j, 0.02, 0);
        assert_near(cluster->variants[0].accuracy, 0.8, 0);
        assert_int_equal(cluster->variants[0].samples, 500);
        ws_cluster_fini(cluster);
    }
    free(cluster);
    return rc;
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_keeps_the_last_of_each_model(void **state)
{
    const struct place *place = *state;
    struct ws_error err = {0};
    double ms = 0;
    assert_int_equal(image_ms(&ms, place->path, NULL, &err), WS_E_IO);
    assert_int_equal(save(place->path, "cifar", 4, &err), 0);
    assert_int_equal(save(place->path, "cifar", 3, &err), 0);
    assert_int_equal(image_ms(&ms, place->path, NULL, &err), 0);
    assert_near(ms, 3, 1e-12);
    assert_int_equal(save(place->path, "digits", 1, &err), 0);
    assert_int_equal(image_ms(&ms, place->path, "digits", &err), 0);
    assert_near(ms, 1, 1e-12);
    assert_int_equal(image_ms(&ms, place->path, "cifar", &err), 0);
    assert_near(ms, 3, 1e-12);
    assert_int_equal(image_ms(&ms, place->path, NULL, &err), WS_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "several models"));
    assert_int_equal(image_ms(&ms, place->path, "vgg16", &err), WS_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "no cluster with model vgg16"));
}

/* One file for both: whoever comes first makes it, and a profiler's lock is no hindrance.
 */
static void test_shares_a_file_with_trials(void **state)
{
    const struct place *place = *state;
    struct ws_study *study = NULL;
    struct ws_error err = {0};
    double ms = 0;
    assert_int_equal(save(place->path, "cifar", 4, &err), 0);
    assert_int_equal(ws_study_open_to_read(&study, place->path, &err), WS_E_FORMAT);
    assert_non_null(strstr(err.text, "without a testbed"));
    assert_int_equal(ws_study_open(&study, place->path, small_testbed, NULL, 0, &err), 0);
    assert_int_equal(save(place->path, "cifar", 2, &err), 0);
    assert_int_equal(ws_study_put_accuracy(study, "key", 3, 4, &err), 0);
    ws_study_close(study);
    assert_int_equal(image_ms(&ms, place->path, NULL, &err), 0);
    assert_near(ms, 2, 1e-12);
    assert_int_equal(ws_study_open_to_read(&study, place->path, &err), 0);
    size_t right = 0, count = 0;
    assert_int_equal(ws_study_find_accuracy(&right, &count, study, "key", &err), 1);
    assert_int_equal(right, 3);
    ws_study_close(study);
}

static void test_old_studies_grow(void **state)
{
    const struct place *place = *state;
    struct ws_study *study = NULL;
    struct ws_error err = {0};
    double ms = 0;
    assert_int_equal(ws_study_open(&study, place->path, small_testbed, NULL, 0, &err), 0);
    assert_int_equal(ws_study_put_accuracy(study, "key", 3, 4, &err), 0);
    ws_study_close(study);
    run_sql(place->path, "DROP TABLE clusters; PRAGMA user_version=1");
    assert_int_equal(ws_study_open_to_read(&study, place->path, &err), 0);
    ws_study_close(study);
    assert_int_equal(image_ms(&ms, place->path, NULL, &err), WS_E_NOT_FOUND);
    assert_int_equal(save(place->path, "cifar", 2, &err), 0);
    assert_int_equal(image_ms(&ms, place->path, NULL, &err), 0);
    size_t right = 0, count = 0;
    assert_int_equal(ws_study_open_to_read(&study, place->path, &err), 0);
    assert_int_equal(ws_study_find_accuracy(&right, &count, study, "key", &err), 1);
    ws_study_close(study);
}

static void test_wrong_files(void **state)
{
    const struct place *place = *state;
    struct ws_error err = {0};
    double ms = 0;
    int fd = open(place->path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "no study, a note to myself\n", 27), 27);
    (void)close(fd);
    assert_int_equal(save(place->path, "cifar", 2, &err), WS_E_FORMAT);
    assert_int_equal(image_ms(&ms, place->path, NULL, &err), WS_E_FORMAT);
    (void)unlink(place->path);
    assert_int_equal(save(place->path, "cifar", 2, &err), 0);
    run_sql(place->path, "UPDATE clusters SET cluster = '{\"format\": \"other\"}'");
    assert_int_equal(image_ms(&ms, place->path, NULL, &err), WS_E_FORMAT);
    run_sql(place->path, "PRAGMA user_version=3");
    assert_int_equal(save(place->path, "cifar", 2, &err), WS_E_UNSUPPORTED);
    assert_int_equal(image_ms(&ms, place->path, NULL, &err), WS_E_UNSUPPORTED);
    run_sql(place->path, "PRAGMA application_id=7");
    assert_int_equal(save(place->path, "cifar", 2, &err), WS_E_FORMAT);
    assert_int_equal(save("/nowhere/s.db", "cifar", 2, &err), WS_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keeps_the_last_of_each_model, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_shares_a_file_with_trials, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_studies_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
