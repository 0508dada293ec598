#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "study/clusterfile.h"

static const char good[] =
    "{\"format\": \"wattshed-cluster\", \"version\": 1, \"model\": \"m\",\n"
    " \"variants\": {\"big\": {\"accuracy\": 0.8, \"samples\": 500}, \"small\": {}},\n"
    " \"nodes\": [\n"
    "  {\"name\": \"a\", \"url\": \"http://a:1\", \"profile\": {\"delay_ms\": 2,\n"
    "   \"send_ms\": 0.5, \"request_ms\": 0, \"energy\": \"modelled\", \"variants\":\n"
    "   {\"big\": {\"image_ms\": 4, \"image_j\": 0.02}, \"small\": {\"image_ms\": "
    "1}}}},\n"
    "  {\"name\": \"b\", \"variants\": [\"small\"]}]}";

static void check_good(const struct ws_cluster *cluster)
{
    assert_string_equal(cluster->model, "m");
    assert_int_equal(cluster->variant_count, 2);
    assert_int_equal(cluster->node_count, 2);
    assert_string_equal(cluster->variants[0].name, "big");
    assert_near(cluster->variants[0].accuracy, 0.8, 0);
    assert_int_equal(cluster->variants[0].samples, 500);
    assert_false(cluster->variants[1].knows_accuracy);
    const struct ws_cluster_node *a = &cluster->nodes[0], *b = &cluster->nodes[1];
    assert_string_equal(a->url, "http://a:1");
    assert_true(a->is_measured);
    assert_near(a->delay_s, 0.002, 1e-15);
    assert_near(a->send_s, 0.0005, 1e-15);
    assert_near(a->speeds[0].image_s, 0.004, 1e-15);
    assert_true(a->speeds[0].knows_energy && !a->speeds[1].knows_energy);
    assert_near(a->speeds[0].image_j, 0.02, 0);
    assert_string_equal(a->energy, "modelled");
    assert_string_equal(b->url, "");
    assert_false(b->is_measured || b->speeds[0].is_here);
    assert_true(b->speeds[1].is_here);
}

static void test_parse_and_save(void **state)
{
    struct ws_cluster cluster, again;
    struct ws_error err = {0};
    char path[] = "/tmp/ws-cluster-XXXXXX";
    (void)state;
    if (ws_cluster_parse(&cluster, good, sizeof(good) - 1, "c.json", &err) != 0)
        fail_msg("%s", err.text);
    check_good(&cluster);
    assert_int_equal(ws_cluster_check_measured(&cluster, &err), WS_E_UNKNOWN);
    assert_non_null(strstr(err.text, "small"));
    assert_false(ws_cluster_knows_energy(&cluster));

    int file = mkstemp(path);
    assert_true(file >= 0);
    if (ws_cluster_save(&cluster, path, &err) != 0 ||
        ws_cluster_load(&again, path, &err) != 0)
        fail_msg("%s", err.text);
    check_good(&again);
    ws_cluster_fini(&again);
    ws_cluster_fini(&cluster);
    (void)remove(path);
    (void)close(file);
}

/* What is put in place of what, and a piece of the line that comes. */
static const struct {
    const char *from, *to, *line;
    int code;
} bad[] = {
    {"wattshed-cluster", "wattshed-plan", "format", WS_E_FORMAT},
    {"\"version\": 1", "\"version\": 2", "version", WS_E_FORMAT},
    {"\"accuracy\": 0.8", "\"accuracy\": 80", "variants.big.accuracy", WS_E_FORMAT},
    {"\"accuracy\": 0.8", "\"accurcy\": 0.8", "accurcy", WS_E_FORMAT},
    {"[\"small\"]", "[\"tiny\"]", "nodes[1].variants[0]", WS_E_NOT_FOUND},
    {"[\"small\"]", "[]", "at least one variant", WS_E_FORMAT},
    {"{\"big\": {\"accuracy\": 0.8, \"samples\": 500}, \"small\": {}}", "{}",
     "at least one variant", WS_E_FORMAT},
    {"\"variants\": [\"small\"]",
     "\"variants\": [\"small\"], \"profile\": {\"delay_ms\": 2, \"send_ms\": 1, "
     "\"request_ms\": 0, \"variants\": {\"big\": {\"image_ms\": 1}}}",
     "does not list this variant", WS_E_MISMATCH},
    {"\"small\": {\"image_ms\": 1}", "\"tiny\": {\"image_ms\": 1}", "tiny",
     WS_E_NOT_FOUND},
    {"\"image_ms\": 4", "\"image_ms\": 0", "image_ms", WS_E_FORMAT},
    {"\"image_ms\": 4", "\"image_ms\": \"4\"", "image_ms", WS_E_FORMAT},
    {"\"delay_ms\": 2", "\"delay_ms\": -2", "delay_ms", WS_E_FORMAT},
    {"\"send_ms\": 0.5,", "", "send_ms", WS_E_FORMAT},
    {"\"name\": \"b\"", "\"name\": \"a\"", "second node", WS_E_FORMAT},
    {"\"name\": \"b\"", "\"name\": \"\"", "name", WS_E_FORMAT},
    {"\"small\": {}}", "\"small\": 3}", "variants.small", WS_E_FORMAT},
};

static void test_parse_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ws_cluster cluster;
        struct ws_error err = {0};
        struct ws_buf text;
        const char *at = strstr(good, bad[i].from);
        assert_non_null(at);
        ws_buf_init(&text, 0);
        assert_int_equal(ws_buf_add(&text, good, (size_t)(at - good), &err), 0);
        assert_int_equal(ws_buf_add_text(&text, bad[i].to, &err), 0);
        assert_int_equal(ws_buf_add_text(&text, at + strlen(bad[i].from), &err), 0);
        int rc = ws_cluster_parse(&cluster, text.data, text.size, "c.json", &err);
        if (rc == 0 || strstr(err.text, bad[i].line) == NULL)
            fail_msg("%s for %s: %d, \"%s\"", bad[i].to, bad[i].from, rc, err.text);
        if (rc != bad[i].code && rc != WS_E_LIMIT)
            fail_msg("%s: code %d, \"%s\"", bad[i].to, rc, err.text);
        assert_non_null(strstr(err.text, "c.json"));
        ws_buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_save),
        cmocka_unit_test(test_parse_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
