#include "study/clusterfile.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/names.h"

static const char format[] = "wattshed-cluster";
static const double MS_MAX = 1e9;

static int copy_text(char **out, const char *text, struct ws_error *err)
{
    *out = strdup(text);
    return *out == NULL ? ws_error_nomem(err) : 0;
}

static int copy_name(char **out, const struct ws_json *node, const char *name,
                     struct ws_error *err)
{
    if (name[0] == '\0' || strlen(name) >= WS_NAME_MAX)
        return ws_json_fail(node, WS_E_FORMAT, err, "a name of 1 to %d bytes is needed",
                            WS_NAME_MAX - 1);
    return copy_text(out, name, err);
}

static int read_variant(struct ws_cluster_variant *out, const struct ws_json *node,
                        struct ws_error *err)
{
    static const char *const keys[] = {"accuracy", "samples", NULL};
    struct ws_json value;
    int64_t samples = 0;
    int rc = ws_json_only(node, keys, err);
    if (rc == 0)
        rc = copy_name(&out->name, node, node->key, err);
    if (rc == 0 && ws_json_find(&value, node, "accuracy")) {
        rc = ws_json_double(&out->accuracy, &value, 0, 1, err);
        out->knows_accuracy = rc == 0;
    }
    if (rc == 0 && ws_json_find(&value, node, "samples"))
        rc = ws_json_i64(&samples, &value, 0, WS_BATCH_MAX, err);
    out->samples = (size_t)samples;
    return rc;
}

static int read_variants(struct ws_cluster *out, const struct ws_json *root,
                         struct ws_error *err)
{
    struct ws_json variants, variant = {.value = NULL};
    int rc = ws_json_member(&variants, root, "variants", err);
    if (rc == 0)
        rc = ws_json_object(&variants, err);
    while (rc == 0 && ws_json_next(&variant, &variants)) {
        if (out->variant_count == WS_SHARE_LEVELS_MAX)
            return ws_json_fail(&variants, WS_E_LIMIT, err, "more than %d variants",
                                WS_SHARE_LEVELS_MAX);
        rc = read_variant(&out->variants[out->variant_count++], &variant, err);
    }
    if (rc == 0 && out->variant_count == 0)
        rc = ws_json_fail(&variants, WS_E_FORMAT, err, "at least one variant is needed");
    return rc;
}

static int find_variant(size_t *out, const struct ws_cluster *cluster,
                        const struct ws_json *node, const char *name,
                        struct ws_error *err)
{
    for (size_t j = 0; j < cluster->variant_count; j++) {
        if (strcmp(cluster->variants[j].name, name) == 0) {
            *out = j;
            return 0;
        }
    }
    return ws_json_fail(node, WS_E_NOT_FOUND, err, "there is no variant \"%.100s\"",
                        name);
}

static int read_ms(double *out_s, const struct ws_json *object, const char *key,
                   double least, struct ws_error *err)
{
    double ms = 0.0;
    int rc = ws_json_get_double(&ms, object, key, least, MS_MAX, err);
    *out_s = ms / 1e3;
    return rc;
}

static int read_speed(struct ws_cluster_speed *out, const struct ws_json *node,
                      struct ws_error *err)
{
    static const char *const keys[] = {"image_ms", "image_j", NULL};
    struct ws_json value;
    int rc = ws_json_only(node, keys, err);
    if (rc == 0)
        rc = read_ms(&out->image_s, node, "image_ms", 1e-9, err);
    out->is_measured = rc == 0;
    if (rc == 0 && ws_json_find(&value, node, "image_j")) {
        rc = ws_json_double(&out->image_j, &value, 0, 1e9, err);
        out->knows_energy = rc == 0;
    }
    return rc;
}

static int read_profile(struct ws_cluster_node *out, const struct ws_cluster *cluster,
                        const struct ws_json *profile, struct ws_error *err)
{
    static const char *const keys[] = {"delay_ms", "send_ms",  "request_ms",
                                       "energy",   "variants", NULL};
    struct ws_json speeds, speed = {.value = NULL}, value;
    const char *text = NULL;
    size_t j = 0;
    int rc = ws_json_only(profile, keys, err);
    if (rc == 0)
        rc = read_ms(&out->delay_s, profile, "delay_ms", 0, err);
    if (rc == 0)
        rc = read_ms(&out->send_s, profile, "send_ms", 0, err);
    if (rc == 0)
        rc = read_ms(&out->request_s, profile, "request_ms", 0, err);
    if (rc == 0 && ws_json_find(&value, profile, "energy")) {
        rc = ws_json_string(&text, &value, err);
        if (rc == 0)
            rc = copy_text(&out->energy, text, err);
    }
    if (rc == 0)
        rc = ws_json_member(&speeds, profile, "variants", err);
    if (rc == 0)
        rc = ws_json_object(&speeds, err);
    while (rc == 0 && ws_json_next(&speed, &speeds)) {
        rc = find_variant(&j, cluster, &speed, speed.key, err);
        if (rc == 0 && !out->speeds[j].is_here)
            rc = ws_json_fail(&speed, WS_E_MISMATCH, err,
                              "the node does not list this variant");
        if (rc == 0)
            rc = read_speed(&out->speeds[j], &speed, err);
    }
    out->is_measured = rc == 0;
    return rc;
}

/* The variants that a node lists; all, where it lists none. */
static int read_listed(struct ws_cluster_node *out, const struct ws_cluster *cluster,
                       const struct ws_json *node, struct ws_error *err)
{
    struct ws_json list;
    size_t j = 0;
    if (!ws_json_find(&list, node, "variants")) {
        for (j = 0; j < cluster->variant_count; j++)
            out->speeds[j].is_here = 1;
        return 0;
    }
    int rc = ws_json_array(&list, err);
    for (size_t i = 0; rc == 0 && i < ws_json_count(&list); i++) {
        struct ws_json item = ws_json_at(&list, i);
        const char *name = NULL;
        rc = ws_json_string(&name, &item, err);
        if (rc == 0)
            rc = find_variant(&j, cluster, &item, name, err);
        if (rc == 0)
            out->speeds[j].is_here = 1;
    }
    if (rc == 0 && ws_json_count(&list) == 0)
        rc = ws_json_fail(&list, WS_E_FORMAT, err, "at least one variant is needed");
    return rc;
}

static int read_node(struct ws_cluster_node *out, const struct ws_cluster *cluster,
                     const struct ws_json *node, struct ws_error *err)
{
    static const char *const keys[] = {"name", "url", "variants", "profile", NULL};
    struct ws_json value;
    const char *name = NULL, *url = "";
    int rc = ws_json_only(node, keys, err);
    if (rc == 0)
        rc = ws_json_get_string(&name, node, "name", err);
    if (rc == 0)
        rc = copy_name(&out->name, node, name, err);
    if (rc == 0 && ws_json_find(&value, node, "url"))
        rc = ws_json_string(&url, &value, err);
    if (rc == 0)
        rc = copy_text(&out->url, url, err);
    if (rc == 0)
        rc = read_listed(out, cluster, node, err);
    if (rc == 0 && ws_json_find(&value, node, "profile"))
        rc = read_profile(out, cluster, &value, err);
    return rc;
}

static int read_nodes(struct ws_cluster *out, const struct ws_json *root,
                      struct ws_error *err)
{
    struct ws_json nodes;
    struct ws_names names = {0};
    int rc = ws_json_member(&nodes, root, "nodes", err);
    if (rc == 0)
        rc = ws_json_array(&nodes, err);
    if (rc == 0 &&
        (ws_json_count(&nodes) == 0 || ws_json_count(&nodes) > WS_SHARE_NODES_MAX))
        rc = ws_json_fail(&nodes, WS_E_LIMIT, err, "%zu nodes, 1 to %d there may be",
                          ws_json_count(&nodes), WS_SHARE_NODES_MAX);
    for (size_t i = 0; rc == 0 && i < ws_json_count(&nodes); i++) {
        struct ws_json node = ws_json_at(&nodes, i);
        struct ws_cluster_node *to = &out->nodes[out->node_count++];
        rc = read_node(to, out, &node, err);
        if (rc == 0 && ws_names_find(NULL, &names, to->name))
            rc = ws_json_fail(&node, WS_E_FORMAT, err, "a second node \"%.100s\"",
                              to->name);
        if (rc == 0)
            rc = ws_names_add(&names, to->name, i, err);
    }
    ws_names_fini(&names);
    return rc;
}

static int read_cluster(struct ws_cluster *out, const struct ws_json_doc *doc,
                        struct ws_error *err)
{
    static const char *const keys[] = {"format",   "version", "model",
                                       "variants", "nodes",   NULL};
    struct ws_json root = ws_json_root(doc), node;
    const char *text = NULL;
    int64_t version = 0;
    int rc = ws_json_get_string(&text, &root, "format", err);
    if (rc == 0 && strcmp(text, format) != 0)
        rc = ws_json_fail(&root, WS_E_FORMAT, err, "format is \"%.40s\", expected \"%s\"",
                          text, format);
    if (rc == 0)
        rc = ws_json_get_i64(&version, &root, "version", 1, WS_CLUSTERFILE_VERSION, err);
    if (rc == 0)
        rc = ws_json_only(&root, keys, err);
    if (rc == 0)
        rc = ws_json_member(&node, &root, "model", err);
    if (rc == 0)
        rc = ws_json_string(&text, &node, err);
    if (rc == 0)
        rc = copy_name(&out->model, &node, text, err);
    if (rc == 0)
        rc = read_variants(out, &root, err);
    if (rc == 0)
        rc = read_nodes(out, &root, err);
    return rc;
}

static int take_doc(struct ws_cluster *out, struct ws_json_doc *doc, struct ws_error *err)
{
    struct ws_cluster *cluster = calloc(1, sizeof(*cluster));
    int rc = cluster == NULL ? ws_error_nomem(err) : read_cluster(cluster, doc, err);
    ws_json_doc_fini(doc);
    if (rc == 0)
        *out = *cluster;
    else if (cluster != NULL)
        ws_cluster_fini(cluster);
    free(cluster);
    return rc;
}

int ws_cluster_load(struct ws_cluster *out, const char *path, struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_load(&doc, path, err);
    return rc == 0 ? take_doc(out, &doc, err) : rc;
}

int ws_cluster_parse(struct ws_cluster *out, const void *bytes, size_t size,
                     const char *name, struct ws_error *err)
{
    struct ws_json_doc doc;
    int rc = ws_json_parse(&doc, bytes, size, name, err);
    return rc == 0 ? take_doc(out, &doc, err) : rc;
}

void ws_cluster_fini(struct ws_cluster *cluster)
{
    free(cluster->model);
    for (size_t j = 0; j < cluster->variant_count; j++)
        free(cluster->variants[j].name);
    for (size_t i = 0; i < cluster->node_count; i++) {
        free(cluster->nodes[i].name);
        free(cluster->nodes[i].url);
        free(cluster->nodes[i].energy);
    }
    memset(cluster, 0, sizeof(*cluster));
}

static json_t *profile_json(const struct ws_cluster_node *node,
                            const struct ws_cluster *cluster)
{
    json_t *speeds = json_object();
    for (size_t j = 0; j < cluster->variant_count; j++) {
        const struct ws_cluster_speed *speed = &node->speeds[j];
        if (!speed->is_measured)
            continue;
        json_t *json = json_pack("{s:f}", "image_ms", 1e3 * speed->image_s);
        if (speed->knows_energy)
            json_object_set_new(json, "image_j", json_real(speed->image_j));
        json_object_set_new(speeds, cluster->variants[j].name, json);
    }
    json_t *profile =
        json_pack("{s:f, s:f, s:f}", "delay_ms", 1e3 * node->delay_s, "send_ms",
                  1e3 * node->send_s, "request_ms", 1e3 * node->request_s);
    if (node->energy != NULL)
        json_object_set_new(profile, "energy", json_string(node->energy));
    json_object_set_new(profile, "variants", speeds);
    return profile;
}

static json_t *node_json(const struct ws_cluster_node *node,
                         const struct ws_cluster *cluster)
{
    json_t *json = json_pack("{s:s}", "name", node->name);
    json_t *list = json_array();
    size_t listed = 0;
    if (node->url[0] != '\0')
        json_object_set_new(json, "url", json_string(node->url));
    for (size_t j = 0; j < cluster->variant_count; j++) {
        if (node->speeds[j].is_here) {
            json_array_append_new(list, json_string(cluster->variants[j].name));
            listed++;
        }
    }
    if (listed < cluster->variant_count)
        json_object_set(json, "variants", list);
    json_decref(list);
    if (node->is_measured)
        json_object_set_new(json, "profile", profile_json(node, cluster));
    return json;
}

static json_t *cluster_json(const struct ws_cluster *cluster)
{
    json_t *variants = json_object(), *nodes = json_array();
    for (size_t j = 0; j < cluster->variant_count; j++) {
        const struct ws_cluster_variant *variant = &cluster->variants[j];
        json_t *json = json_object();
        if (variant->knows_accuracy)
            json_object_set_new(json, "accuracy", json_real(variant->accuracy));
        if (variant->samples > 0)
            json_object_set_new(json, "samples",
                                json_integer((json_int_t)variant->samples));
        json_object_set_new(variants, variant->name, json);
    }
    for (size_t i = 0; i < cluster->node_count; i++)
        json_array_append_new(nodes, node_json(&cluster->nodes[i], cluster));
    return json_pack("{s:s, s:i, s:s, s:o, s:o}", "format", format, "version",
                     WS_CLUSTERFILE_VERSION, "model", cluster->model, "variants",
                     variants, "nodes", nodes);
}

char *ws_cluster_text(const struct ws_cluster *cluster)
{
    json_t *root = cluster_json(cluster);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

int ws_cluster_save(const struct ws_cluster *cluster, const char *path,
                    struct ws_error *err)
{
    json_t *root = cluster_json(cluster);
    int rc = root == NULL ? ws_error_nomem(err) : ws_json_write(path, root, err);
    json_decref(root);
    return rc;
}

int ws_cluster_check_measured(const struct ws_cluster *cluster, struct ws_error *err)
{
    for (size_t j = 0; j < cluster->variant_count; j++) {
        if (!cluster->variants[j].knows_accuracy)
            return ws_error_set(err, WS_E_UNKNOWN,
                                "variant \"%.100s\": its accuracy is not known yet",
                                cluster->variants[j].name);
    }
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct ws_cluster_node *node = &cluster->nodes[i];
        for (size_t j = 0; j < cluster->variant_count; j++) {
            if (!node->is_measured ||
                (node->speeds[j].is_here && !node->speeds[j].is_measured))
                return ws_error_set(err, WS_E_UNKNOWN,
                                    "node \"%.100s\", variant \"%.100s\": its speed is "
                                    "not known yet",
                                    node->name, cluster->variants[j].name);
        }
    }
    return 0;
}

int ws_cluster_knows_energy(const struct ws_cluster *cluster)
{
    int knows = 1;
    for (size_t i = 0; i < cluster->node_count; i++) {
        for (size_t j = 0; j < cluster->variant_count; j++)
            knows &= !cluster->nodes[i].speeds[j].is_here ||
                     cluster->nodes[i].speeds[j].knows_energy;
    }
    return knows;
}
