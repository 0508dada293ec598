/* Nodes that a network of the test's own making tells of. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/membership.h"

static const char file[] =
    "{\"format\": \"wattshed-cluster\", \"version\": 1, \"model\": \"m\",\n"
    " \"variants\": {\"big\": {}, \"small\": {}},\n"
    " \"nodes\": [{\"name\": \"a\", \"url\": \"http://old:1\"}, {\"name\": \"b\"},\n"
    "  {\"name\": \"c\", \"url\": \"http://c:1\"}]}";

enum { ANSWERS_MAX = 8 };

/* What is on the network; a name of NULL ends it. */
static struct {
    const char *name, *url;
} network[ANSWERS_MAX];
static int network_rc;

static int browse(int64_t wait_ms, ws_mdns_found_fn found, void *user,
                  struct ws_error *err)
{
    int rc = network_rc;
    assert_int_equal(wait_ms, 500);
    for (size_t i = 0; rc == 0 && i < ANSWERS_MAX && network[i].name != NULL; i++)
        rc = found(user, network[i].name, network[i].url, err);
    return rc;
}

static int setup(void **state)
{
    struct ws_cluster *cluster = calloc(1, sizeof(*cluster));
    memset(network, 0, sizeof(network));
    network_rc = 0;
    *state = cluster;
    return ws_cluster_parse(cluster, file, strlen(file), "file", NULL);
}

static int teardown(void **state)
{
    ws_cluster_fini(*state);
    free(*state);
    return 0;
}

static void test_found_nodes_have_their_address(void **state)
{
    struct ws_cluster *cluster = *state;
    struct ws_membership who;
    network[0].name = "b";
    network[0].url = "https://192.0.2.2:8001";
    network[1].name = "a";
    network[1].url = "http://192.0.2.1:8001";
    network[2].name = "a"; /* by its other address */
    network[2].url = "http://198.51.100.1:8001";
    assert_int_equal(ws_membership_find(&who, cluster, browse, 500, 0, NULL), 0);
    assert_int_equal(who.found, 2);
    assert_int_equal(who.joined, 0);
    assert_string_equal(who.stranger, "");
    assert_string_equal(cluster->nodes[0].url, "http://192.0.2.1:8001");
    assert_string_equal(cluster->nodes[1].url, "https://192.0.2.2:8001");
    assert_string_equal(cluster->nodes[2].url, "http://c:1"); /* as the file has it */
}

static void test_strangers_join_if_asked(void **state)
{
    struct ws_cluster *cluster = *state;
    struct ws_membership who;
    network[0].name = "new";
    network[0].url = "http://192.0.2.9:1";
    network[1].name = "new";
    network[1].url = "http://198.51.100.9:1";
    network[2].name = ""; /* nobody's name */
    network[2].url = "http://192.0.2.10:1";
    assert_int_equal(ws_membership_find(&who, cluster, browse, 500, 0, NULL), 0);
    assert_int_equal(cluster->node_count, 3);
    assert_string_equal(who.stranger, "new");
    assert_int_equal(ws_membership_find(&who, cluster, browse, 500, 1, NULL), 0);
    assert_int_equal(who.joined, 1);
    assert_string_equal(who.stranger, "");
    assert_int_equal(cluster->node_count, 4);
    assert_string_equal(cluster->nodes[3].name, "new");
    assert_string_equal(cluster->nodes[3].url, "http://192.0.2.9:1");
    assert_true(cluster->nodes[3].speeds[0].is_here &&
                cluster->nodes[3].speeds[1].is_here);
    assert_false(cluster->nodes[3].is_measured);
}

static void test_says_what_is_wrong(void **state)
{
    struct ws_cluster *cluster = *state;
    struct ws_membership who;
    struct ws_error err = {0};
    char names[WS_SHARE_NODES_MAX][16];
    network_rc = WS_E_IO;
    assert_int_equal(ws_membership_find(&who, cluster, browse, 500, 1, &err), WS_E_IO);
    assert_int_equal(cluster->node_count, 3);
    network_rc = 0;
    for (size_t i = 0; i <= WS_SHARE_NODES_MAX - 3; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%zu", i);
        network[0].name = names[i];
        network[0].url = "http://192.0.2.9:1";
        assert_int_equal(ws_membership_find(&who, cluster, browse, 500, 1, &err),
                         i < WS_SHARE_NODES_MAX - 3 ? 0 : WS_E_LIMIT);
    }
    assert_non_null(strstr(err.text, "more than"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found_nodes_have_their_address, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_strangers_join_if_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_says_what_is_wrong, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
