#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "split/parts.h"

#define FILES                                                                            \
    "\"extract\": \"a.onnx\", \"select\": \"b.onnx\", \"edge\": \"c.onnx\", \"cloud\": " \
    "\"net_cloud.onnx\", \"whole\": \"w.onnx\""
#define ROW(share)                                                                       \
    "{\"share\": " share ", \"lambda\": 0.5, \"edge_temperature\": 1, "                  \
    "\"cloud_temperature\": 2, \"temperature\": 0.9}"

static int load(struct ws_parts *out, const char *text, struct ws_error *err)
{
    char dir[] = "/tmp/ws-parts-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/features.json", dir);
    assert_int_equal(ws_file_write(path, text, strlen(text), NULL), 0);
    int rc = ws_parts_load(out, dir, err);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    return rc;
}

static void test_parts(void **state)
{
    (void)state;
    struct ws_parts parts;
    struct ws_error err = {0};
    if (load(&parts,
             "{\"maps\": 64, " FILES ", \"fusion\": [" ROW("0") ", " ROW("1") "]}",
             &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(parts.map_count, 64);
    assert_string_equal(parts.cloud_name, "net_cloud");
    assert_non_null(strstr(parts.paths[WS_PARTS_EXTRACT], "/a.onnx"));
    assert_non_null(strstr(parts.paths[WS_PARTS_WHOLE], parts.dir));
    assert_int_equal(parts.fusion_count, 2);
    assert_near(parts.fusion[1].share, 1, 0);
    assert_near(parts.fusion[1].cloud_temperature, 2, 0);
    assert_near(parts.fusion[1].temperature, 0.9, 0);
    ws_parts_fini(&parts);
}

static void test_parts_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *words;
    } rows[] = {
        {"{", WS_E_FORMAT, "features.json:1"},
        {"[]", WS_E_FORMAT, "expected an object"},
        {"{\"maps\": 0, " FILES ", \"fusion\": [" ROW("0") "]}", WS_E_LIMIT, "maps"},
        {"{\"maps\": 64, \"fusion\": [" ROW("0") "]}", WS_E_FORMAT,
         "\"extract\" is missing"},
        {"{\"maps\": 64, " FILES ", \"fusion\": []}", WS_E_LIMIT,
         "expected 1 to 64 rows"},
        {"{\"maps\": 64, " FILES ", \"fusion\": [" ROW("0.5") ", " ROW("0.5") "]}",
         WS_E_FORMAT, "fusion[1]: expected a larger share than before"},
        {"{\"maps\": 64, " FILES ", \"fusion\": [" ROW("1.5") "]}", WS_E_LIMIT,
         "fusion[0].share"},
        {"{\"maps\": 64, " FILES ", \"fusion\": [{\"share\": 0, \"lambda\": 0.5, "
         "\"edge_temperature\": 0, \"cloud_temperature\": 1, \"temperature\": 1}]}",
         WS_E_LIMIT, "edge_temperature"},
        {"{\"maps\": 64, " FILES ", \"fusion\": [" ROW("0") "], \"map\": 1}", WS_E_FORMAT,
         "map"},
        {"{\"maps\": 64, \"extract\": \"../a.onnx\", \"select\": \"b\", \"edge\": \"c\", "
         "\"cloud\": \"d\", \"whole\": \"w\", \"fusion\": [" ROW("0") "]}",
         WS_E_FORMAT, "expected a file of the same folder"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_parts parts;
        struct ws_error err = {0};
        assert_int_equal(load(&parts, rows[i].text, &err), rows[i].code);
        if (strstr(err.text, rows[i].words) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.text, rows[i].words);
    }
    struct ws_parts parts;
    assert_int_equal(ws_parts_load(&parts, "/nowhere", NULL), WS_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_parts_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
