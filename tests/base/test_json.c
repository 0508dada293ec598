#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "check.h"

static void test_json_parse_refuses(void **state)
{
    (void)state;
    char deep[200];
    memset(deep, '[', sizeof(deep));
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"{\"a\": 1,\n \"a\": 2}", "t.json:2:4: duplicate object key near '\"a\"'"},
        {"{\"a\": }", "t.json:1:7: unexpected token near '}'"},
        {"[1, 2", "t.json:1:5: ']' expected near end of file"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ws_json_doc doc;
        struct ws_error err = {0};
        assert_int_equal(
            ws_json_parse(&doc, cases[i].text, strlen(cases[i].text), "t.json", &err),
            WS_E_FORMAT);
        assert_string_equal(err.text, cases[i].error);
    }
    struct ws_json_doc doc;
    struct ws_error err = {0};
    assert_int_equal(ws_json_parse(&doc, deep, sizeof(deep), "t.json", &err), WS_E_LIMIT);
    assert_string_equal(err.text, "t.json:1:65: nested deeper than 64");
    assert_int_equal(ws_json_parse(&doc, NULL, 0, "t.json", &err), WS_E_FORMAT);
}

/* Taking down what was parsed until then takes a time in proportion: this would take many
 * minutes if each of its blocks were looked for among all. */
static void test_json_refuses_large(void **state)
{
    (void)state;
    enum { ELEMENTS = 2000000 };
    char *text = malloc(2 * ELEMENTS);
    assert_non_null(text);
    for (size_t i = 0; i < ELEMENTS; i++)
        memcpy(text + 2 * i, i == 0 ? "[1" : ",1", 2);
    struct ws_json_doc doc;
    struct ws_error err = {0};
    assert_int_equal(ws_json_parse(&doc, text, 2 * ELEMENTS, "t.json", &err),
                     WS_E_FORMAT);
    assert_string_equal(err.text, "t.json:1:4000000: ']' expected near end of file");
    free(text);
}

static void test_json_paths(void **state)
{
    (void)state;
    const char *text =
        "{\"knobs\": {\"cut\": {\"values\": [1, 2.5, \"x\"], \"n\": null}}}";
    struct ws_json_doc doc;
    struct ws_error err = {0};
    assert_int_equal(ws_json_parse(&doc, text, strlen(text), "t.json", &err), 0);
    struct ws_json root = ws_json_root(&doc);
    struct ws_json knobs;
    struct ws_json cut;
    struct ws_json values;
    assert_int_equal(ws_json_member(&knobs, &root, "knobs", &err), 0);
    assert_int_equal(ws_json_member(&cut, &knobs, "cut", &err), 0);
    assert_int_equal(ws_json_member(&values, &cut, "values", &err), 0);
    assert_int_equal(ws_json_count(&values), 3);
    struct ws_json item = ws_json_at(&values, 2);
    double x = 0;
    assert_int_equal(ws_json_double(&x, &item, 0, 9, &err), WS_E_FORMAT);
    assert_string_equal(err.text,
                        "t.json: knobs.cut.values[2]: expected a number, got a string");
    item = ws_json_at(&values, 1);
    assert_int_equal(ws_json_double(&x, &item, 0, 2, &err), WS_E_LIMIT);
    assert_string_equal(err.text, "t.json: knobs.cut.values[1]: 2.5 is outside 0 .. 2");
    int64_t whole = 0;
    assert_int_equal(ws_json_i64(&whole, &item, 0, 9, &err), WS_E_FORMAT);
    item = ws_json_at(&values, 0);
    assert_int_equal(ws_json_i64(&whole, &item, 0, 9, &err), 0);
    assert_int_equal(whole, 1);
    const char *word = NULL;
    assert_int_equal(ws_json_get_string(&word, &cut, "kind", &err), WS_E_FORMAT);
    assert_string_equal(err.text, "t.json: knobs.cut: \"kind\" is missing");
    assert_int_equal(ws_json_find(&item, &cut, "n"), 0);
    const char *keys[] = {"values", "kind", NULL};
    assert_int_equal(ws_json_only(&cut, keys, &err), WS_E_FORMAT);
    assert_string_equal(err.text,
                        "t.json: knobs.cut: unknown key \"n\", expected values, kind");
    struct ws_json member = {0};
    size_t count = 0;
    while (ws_json_next(&member, &cut))
        count++;
    assert_int_equal(count, 2);
    ws_json_doc_fini(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_parse_refuses),
        cmocka_unit_test(test_json_refuses_large),
        cmocka_unit_test(test_json_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
