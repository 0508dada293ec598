#include "node/membership.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct finding {
    struct ws_cluster *cluster;
    int joins;
    int is_found[WS_SHARE_NODES_MAX]; /* by number in the cluster */
    struct ws_membership counts;
};

static int set_url(struct ws_cluster_node *node, const char *url, struct ws_error *err)
{
    char *copy = strdup(url);
    if (copy == NULL)
        return ws_error_nomem(err);
    free(node->url);
    node->url = copy;
    return 0;
}

static int add_node(struct ws_cluster *cluster, const char *name, const char *url,
                    struct ws_error *err)
{
    if (cluster->node_count == WS_SHARE_NODES_MAX)
        return ws_error_set(err, WS_E_LIMIT, "node \"%.100s\": more than %d nodes", name,
                            WS_SHARE_NODES_MAX);
    struct ws_cluster_node *node = &cluster->nodes[cluster->node_count++];
    node->name = strdup(name); /* the cluster's to free, also after a failure */
    node->url = strdup(url);
    for (size_t j = 0; j < cluster->variant_count; j++)
        node->speeds[j].is_here = 1;
    return node->name == NULL || node->url == NULL ? ws_error_nomem(err) : 0;
}

static int take(void *user, const char *name, const char *url, struct ws_error *err)
{
    struct finding *finding = user;
    struct ws_cluster *cluster = finding->cluster;
    size_t i = 0;
    int rc = 0;
    if (name[0] == '\0' || strlen(name) >= WS_NAME_MAX) /* no cluster could name it */
        return 0;
    while (i < cluster->node_count && strcmp(cluster->nodes[i].name, name) != 0)
        i++;
    if (i == cluster->node_count && !finding->joins) {
        (void)snprintf(finding->counts.stranger, sizeof(finding->counts.stranger), "%s",
                       name);
        return 0;
    }
    if (i < cluster->node_count && finding->is_found[i])
        return 0; /* the first of its addresses will do */
    if (i < cluster->node_count) {
        rc = set_url(&cluster->nodes[i], url, err);
        finding->counts.found++;
    } else {
        rc = add_node(cluster, name, url, err);
        finding->counts.joined++;
    }
    if (rc == 0)
        finding->is_found[i] = 1;
    return rc;
}

int ws_membership_find(struct ws_membership *out, struct ws_cluster *cluster,
                       ws_mdns_browse_fn browse, int64_t wait_ms, int joins,
                       struct ws_error *err)
{
    struct finding finding = {.cluster = cluster, .joins = joins};
    int rc = browse(wait_ms, take, &finding, err);
    if (rc == 0)
        *out = finding.counts;
    return rc;
}
