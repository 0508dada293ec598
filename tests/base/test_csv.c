#include <string.h>

#include "base/csv.h"
#include "check.h"

struct seen {
    char text[512]; /* fields joined by '|', rows by '/' */
    size_t last_line;
};

static int keep(void *user, const struct ws_csv_row *row, struct ws_error *err)
{
    struct seen *seen = user;
    for (size_t i = 0; i < row->count; i++) {
        if (strcmp(row->fields[i], "refuse") == 0)
            return ws_error_set(err, WS_E_FORMAT, "refused");
        size_t used = strlen(seen->text);
        snprintf(seen->text + used, sizeof(seen->text) - used, "%s%s", row->fields[i],
                 i + 1 < row->count ? "|" : "/");
    }
    seen->last_line = row->line;
    return 0;
}

static void test_csv_rows(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        const char *rows;
        size_t last_line;
        const char *error; /* NULL: must succeed */
    } cases[] = {
        {"a,b\n1,2\n", "a|b/1|2/", 2, NULL},
        {"a,b\r\n1,2\r\n3,4", "a|b/1|2/3|4/", 3, NULL},
        {"a,b\n\n\n1,2\n\n", "a|b/1|2/", 4, NULL},
        {"a,b\n\"x,\"\"y\"\"\",\n", "a|b/x,\"y\"|/", 2, NULL},
        {"a\n\"1\n2\"\n3\n", "a/1\n2/3/", 4, NULL},
        {"a,b\n", "a|b/", 1, NULL},
        {"", "", 0, "t.csv: empty, expected a header line"},
        {"\n\n", "", 0, "t.csv: empty, expected a header line"},
        {"a,b\n1,2\n3\n", "a|b/1|2/", 2, "t.csv:3: expected 2 fields, got 1"},
        {"a,b\n1,2,3\n", "a|b/", 1, "t.csv:2: expected 2 fields, got 3"},
        {"a\n1\nrefuse\n", "a/1/", 2, "t.csv:3: refused"},
        {"a\n\"1", "a/", 1, "t.csv:2: a quoted field without its end"},
        {"a\n1\n2\n3\n4\n", "a/1/2/3/", 4, "t.csv:5: more than 3 rows"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen seen = {0};
        struct ws_error err = {0};
        struct ws_csv_handler handler = {keep, keep, &seen};
        int rc = ws_csv_parse(cases[i].bytes, strlen(cases[i].bytes), "t.csv", 3,
                              &handler, &err);
        assert_string_equal(seen.text, cases[i].rows);
        assert_int_equal(seen.last_line, cases[i].last_line);
        assert_int_equal(rc != 0, cases[i].error != NULL);
        if (cases[i].error != NULL)
            assert_string_equal(err.text, cases[i].error);
    }
}

static void test_csv_nul_byte(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct ws_error err = {0};
    struct ws_csv_handler handler = {keep, keep, &seen};
    assert_int_equal(ws_csv_parse("a\n1\0x\n", 6, "t.csv", 3, &handler, &err),
                     WS_E_FORMAT);
    assert_string_equal(err.text, "t.csv:2: a NUL byte in field 1");
}

static void test_csv_limits(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct ws_error err = {0};
    struct ws_csv_handler handler = {keep, keep, &seen};
    char wide[WS_CSV_COLUMNS_MAX + 2];
    memset(wide, ',', sizeof(wide));
    assert_int_equal(ws_csv_parse(wide, sizeof(wide), "t.csv", 3, &handler, &err),
                     WS_E_LIMIT);
    assert_string_equal(err.text, "t.csv:1: more than 4096 columns");
    assert_int_equal(ws_csv_read("/", 3, &handler, &err), WS_E_IO);
    assert_non_null(strstr(err.text, "Is a directory"));
    assert_int_equal(ws_csv_read("/no/such", 3, &handler, &err), WS_E_IO);
}

static void test_csv_fields(void **state)
{
    (void)state;
    char *fields[] = {"latency_ms", "1.5", "nan", "-1", ""};
    struct ws_csv_row row = {fields, 5, 7};
    struct ws_error err = {0};
    size_t column = 9;
    assert_int_equal(ws_csv_column(&column, &row, "latency_ms", &err), 0);
    assert_int_equal(column, 0);
    assert_int_equal(ws_csv_column(&column, &row, "x", &err), WS_E_NOT_FOUND);
    assert_string_equal(err.text, "no column \"x\" among latency_ms, 1.5, nan, -1, ");
    double x = 0;
    assert_int_equal(ws_csv_double(&x, &row, 1, "x", 0, 10, &err), 0);
    assert_near(x, 1.5, 0);
    assert_int_equal(ws_csv_double(&x, &row, 2, "x", 0, 10, &err), WS_E_FORMAT);
    assert_string_equal(err.text, "column 3: x: \"nan\" is not a finite number");
    assert_int_equal(ws_csv_double(&x, &row, 3, "x", 0, 10, &err), WS_E_LIMIT);
    assert_int_equal(ws_csv_double(&x, &row, 4, "x", 0, 10, &err), WS_E_FORMAT);
    char *twice[] = {"a", "b", "a"};
    struct ws_csv_row header = {twice, 3, 1};
    assert_int_equal(ws_csv_unique(&header, &err), WS_E_FORMAT);
    assert_string_equal(err.text, "column \"a\" is there twice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_rows),
        cmocka_unit_test(test_csv_nul_byte),
        cmocka_unit_test(test_csv_limits),
        cmocka_unit_test(test_csv_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
