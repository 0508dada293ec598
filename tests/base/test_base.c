#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/names.h"
#include "base/parse.h"
#include "base/rng.h"
#include "base/stats.h"

static void test_error_context(void **state)
{
    (void)state;
    struct ws_error err = {0};
    assert_int_equal(ws_error_set(&err, WS_E_FORMAT, "bad\nbyte %d", 7), WS_E_FORMAT);
    assert_string_equal(err.text, "bad?byte 7");
    assert_int_equal(ws_error_context(&err, "file %s", "x"), WS_E_FORMAT);
    assert_string_equal(err.text, "file x: bad?byte 7");
    ws_error_set_errno(&err, WS_E_IO, EACCES, "open");
    assert_string_equal(err.text, "open: Permission denied");
    assert_int_equal(ws_error_set(NULL, WS_E_IO, "x"), WS_E_IO);
    assert_true(ws_error_context(NULL, "x") < 0);
    assert_string_equal(ws_error_name(WS_E_LIMIT), "limit");
    assert_string_equal(ws_error_name(-99), "unknown code");
}

static void test_error_context_long(void **state)
{
    (void)state;
    struct ws_error err = {0};
    char big[2 * WS_ERROR_TEXT_MAX];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    ws_error_set(&err, WS_E_IO, "%s", big);
    ws_error_context(&err, "%s", big);
    assert_int_equal(strlen(err.text), WS_ERROR_TEXT_MAX - 1);
}

static void test_buf_limit(void **state)
{
    (void)state;
    struct ws_buf buf;
    ws_buf_init(&buf, 8);
    assert_int_equal(ws_buf_add(&buf, "12345", 5, NULL), 0);
    assert_int_equal(ws_buf_add(&buf, "6789", 4, NULL), WS_E_LIMIT);
    assert_int_equal(ws_buf_printf(&buf, NULL, "%d", 678), 0);
    assert_string_equal(buf.data, "12345678");
    ws_buf_fini(&buf);
}

static void test_cursor_bounds(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x01, 0x02, 0xac, 0x02, 0x80};
    struct ws_cursor cursor = ws_cursor_make(bytes, sizeof(bytes));
    uint16_t u16 = 0;
    uint64_t u64 = 0;
    assert_int_equal(ws_cursor_u64(&u64, &cursor, NULL), WS_E_FORMAT);
    assert_int_equal(ws_cursor_u16(&u16, &cursor, NULL), 0);
    assert_int_equal(u16, 0x0201);
    assert_int_equal(ws_cursor_varint(&u64, &cursor, NULL), 0);
    assert_int_equal(u64, 300);
    assert_int_equal(ws_cursor_varint(&u64, &cursor, NULL), WS_E_FORMAT);
    assert_int_equal(ws_cursor_left(&cursor), 1);
}

static void assert_file(const char *path, const char *start, size_t size)
{
    struct ws_map map;
    assert_int_equal(ws_map_open(&map, path, 0, NULL), 0);
    assert_int_equal(map.size, size);
    assert_memory_equal(map.data, start, strlen(start));
    ws_map_close(&map);
}

/* Pieces below and above the buffer's size; the target changes at the commit alone. */
static void test_writer(void **state)
{
    (void)state;
    enum { LARGE = 200000 };
    char dir[] = "/tmp/wattshed-test-XXXXXX", path[64];
    char *large = calloc(1, LARGE);
    struct ws_writer *writer = NULL;
    assert_non_null(mkdtemp(dir));
    assert_non_null(large);
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    assert_int_equal(ws_file_write(path, "old", 3, NULL), 0);

    assert_int_equal(ws_writer_open(&writer, path, NULL), 0);
    assert_int_equal(ws_writer_add(writer, "new", 3, NULL), 0);
    assert_int_equal(ws_writer_add(writer, large, LARGE, NULL), 0);
    assert_int_equal(ws_writer_size(writer), LARGE + 3);
    assert_file(path, "old", 3);
    ws_writer_abort(writer);
    assert_file(path, "old", 3);

    assert_int_equal(ws_writer_open(&writer, path, NULL), 0);
    assert_int_equal(ws_writer_add(writer, "new", 3, NULL), 0);
    assert_int_equal(ws_writer_add(writer, large, LARGE, NULL), 0);
    assert_int_equal(ws_writer_add(writer, "end", 3, NULL), 0);
    assert_int_equal(ws_writer_commit(writer, NULL), 0);
    assert_file(path, "new", LARGE + 6);

    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0); /* nothing else was left there */
    assert_int_equal(ws_writer_open(&writer, path, NULL), WS_E_IO);
    free(large);
}

static void test_parse_table(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        int64_t value;
    } rows[] = {
        {"0", 0, 0},
        {"-5", 0, -5},
        {"12", 0, 12},
        {"13", WS_E_LIMIT, 0},
        {"", WS_E_FORMAT, 0},
        {" 1", WS_E_FORMAT, 0},
        {"1x", WS_E_FORMAT, 0},
        {"99999999999999999999", WS_E_LIMIT, 0},
        {"-", WS_E_FORMAT, 0},
        {"+1", WS_E_FORMAT, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = 0;
        assert_int_equal(ws_parse_i64(&value, rows[i].text, -5, 12, "n", NULL),
                         rows[i].code);
        assert_int_equal(value, rows[i].value);
    }
    double x = 0;
    assert_int_equal(ws_parse_double(&x, "1.5e3", "x", NULL), 0);
    assert_near(x, 1500, 0);
    assert_int_equal(ws_parse_double(&x, "nan", "x", NULL), WS_E_FORMAT);
    assert_int_equal(ws_parse_double(&x, "1e999", "x", NULL), WS_E_FORMAT);
    assert_int_equal(ws_parse_double(&x, "", "x", NULL), WS_E_FORMAT);
    uint64_t bytes = 0;
    assert_int_equal(ws_parse_bytes(&bytes, "3M", "b", NULL), 0);
    assert_int_equal(bytes, 3 << 20);
    assert_int_equal(ws_parse_bytes(&bytes, "M", "b", NULL), WS_E_FORMAT);
    assert_int_equal(ws_parse_bytes(&bytes, "9999999999999G", "b", NULL), WS_E_LIMIT);
}

static void test_rng_reference(void **state)
{
    (void)state;
    /* splitmix64 seeded with 0 starts with e220a8397b1dcdaf (the authors' own code). */
    struct ws_rng rng;
    ws_rng_init(&rng, 0);
    assert_true(rng.s[0] == 0xe220a8397b1dcdafu);
    double sum = 0, square = 0;
    for (int i = 0; i < 100000; i++) {
        double x = ws_rng_normal(&rng);
        sum += x;
        square += x * x;
    }
    assert_near(sum / 100000, 0, 0.02);
    assert_near(square / 100000, 1, 0.02);
    uint32_t order[100], seen[100] = {0};
    ws_rng_permute(&rng, order, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(seen[order[i]]++, 0);
}

static void test_stats(void **state)
{
    (void)state;
    double x[] = {4, 1, 3, 2};
    struct ws_stats stats = {0};
    for (int i = 0; i < 4; i++)
        ws_stats_add(&stats, x[i]);
    assert_near(stats.mean, 2.5, 1e-12);
    assert_near(ws_stats_variance(&stats), 5.0 / 3, 1e-12);
    /* t(0.975, 3) = 3.1824; sd = 1.29099 */
    assert_near(ws_stats_ci95(&stats), 3.1824 * 1.2909944 / 2, 1e-5);
    assert_near(ws_stats_t975(30), 2.0423, 1e-3);
    assert_near(ws_stats_median(x, 4), 2.5, 0);
    assert_near(ws_stats_quantile_sorted(x, 4, 0.25), 1.75, 1e-12);
    assert_near(ws_stats_quantile_sorted(x, 4, 1), 4, 0);
}

static void test_names(void **state)
{
    (void)state;
    struct ws_names names = {0};
    size_t value = 0;
    assert_int_equal(ws_names_add(&names, "a", 1, NULL), 0);
    assert_int_equal(ws_names_add(&names, "b", 2, NULL), 0);
    assert_int_equal(ws_names_add(&names, "a", 3, NULL), WS_E_MISMATCH);
    assert_true(ws_names_find(&value, &names, "a"));
    assert_int_equal(value, 1);
    assert_false(ws_names_find(&value, &names, "c"));
    ws_names_fini(&names);
}

static void test_digest_known(void **state)
{
    (void)state;
    struct ws_digest *digest = NULL;
    char text[WS_DIGEST_TEXT];
    assert_int_equal(ws_digest_create(&digest, NULL), 0);
    ws_digest_add(digest, "abc", 3);
    ws_digest_finish(text, digest);
    ws_digest_destroy(digest);
    assert_string_equal(
        text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_file_round_trip(void **state)
{
    (void)state;
    char dir[] = "/tmp/wattshed-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/f", dir);
    assert_int_equal(ws_file_write(path, "hello", 5, NULL), 0);
    struct ws_map map;
    assert_int_equal(ws_map_open(&map, path, 4, NULL), WS_E_LIMIT);
    assert_int_equal(ws_map_open(&map, path, 0, NULL), 0);
    assert_memory_equal(map.data, "hello", 5);
    ws_map_close(&map);
    assert_int_equal(ws_map_open(&map, dir, 0, NULL), WS_E_IO);
    assert_int_equal(ws_map_open(&map, "/nowhere/x", 0, NULL), WS_E_IO);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_context), cmocka_unit_test(test_error_context_long),
        cmocka_unit_test(test_buf_limit),     cmocka_unit_test(test_cursor_bounds),
        cmocka_unit_test(test_parse_table),   cmocka_unit_test(test_rng_reference),
        cmocka_unit_test(test_stats),         cmocka_unit_test(test_names),
        cmocka_unit_test(test_digest_known),  cmocka_unit_test(test_file_round_trip),
        cmocka_unit_test(test_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
