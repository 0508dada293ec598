#include "split/parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

static const char *const names[] = {
    [WS_PARTS_EXTRACT] = "extract", [WS_PARTS_SELECT] = "select",
    [WS_PARTS_EDGE] = "edge",       [WS_PARTS_CLOUD] = "cloud",
    [WS_PARTS_WHOLE] = "whole",
};
static_assert(sizeof(names) / sizeof(names[0]) == WS_PARTS_COUNT, "all files");

void ws_parts_fini(struct ws_parts *parts)
{
    for (size_t i = 0; i < WS_PARTS_COUNT; i++)
        free(parts->paths[i]);
    free(parts->dir);
    free(parts->cloud_name);
    *parts = (struct ws_parts){0};
}

static int read_path(struct ws_parts *parts, enum ws_parts_file file, const char *dir,
                     const struct ws_json *root, struct ws_error *err)
{
    const char *name = NULL;
    int rc = ws_json_get_string(&name, root, names[file], err);
    if (rc != 0)
        return rc;
    size_t stem = strcspn(name, ".");
    if (stem == 0 || strchr(name, '/') != NULL) {
        struct ws_json at;
        (void)ws_json_find(&at, root, names[file]);
        return ws_json_fail(&at, WS_E_FORMAT, err,
                            "expected a file of the same folder, got \"%s\"", name);
    }
    if (asprintf(&parts->paths[file], "%s/%s", dir, name) < 0)
        parts->paths[file] = NULL;
    if (file == WS_PARTS_CLOUD)
        parts->cloud_name = strndup(name, stem);
    if (parts->paths[file] == NULL ||
        (file == WS_PARTS_CLOUD && parts->cloud_name == NULL))
        return ws_error_nomem(err);
    return 0;
}

static int read_fusion_row(struct ws_parts *parts, const struct ws_json *row,
                           struct ws_error *err)
{
    static const char *const keys[] = {
        "share", "lambda", "edge_temperature", "cloud_temperature", "temperature", NULL};
    struct ws_fusion fusion = {0};
    int rc = ws_json_only(row, keys, err);
    if (rc == 0)
        rc = ws_json_get_double(&fusion.share, row, "share", 0, 1, err);
    if (rc == 0)
        rc = ws_json_get_double(&fusion.lambda, row, "lambda", 0, 1, err);
    if (rc == 0)
        rc = ws_json_get_double(&fusion.edge_temperature, row, "edge_temperature", 1e-3,
                                1e3, err);
    if (rc == 0)
        rc = ws_json_get_double(&fusion.cloud_temperature, row, "cloud_temperature", 1e-3,
                                1e3, err);
    if (rc == 0)
        rc = ws_json_get_double(&fusion.temperature, row, "temperature", 1e-3, 1e3, err);
    if (rc == 0 && parts->fusion_count > 0 &&
        parts->fusion[parts->fusion_count - 1].share >= fusion.share)
        rc = ws_json_fail(row, WS_E_FORMAT, err, "expected a larger share than before");
    if (rc == 0)
        parts->fusion[parts->fusion_count++] = fusion;
    return rc;
}

static int read_fusion(struct ws_parts *parts, const struct ws_json *root,
                       struct ws_error *err)
{
    struct ws_json rows;
    int rc = ws_json_member(&rows, root, "fusion", err);
    if (rc == 0)
        rc = ws_json_array(&rows, err);
    size_t count = rc == 0 ? ws_json_count(&rows) : 0;
    if (rc == 0 && (count == 0 || count > WS_FUSION_ROWS_MAX))
        rc = ws_json_fail(&rows, WS_E_LIMIT, err, "expected 1 to %d rows, got %zu",
                          WS_FUSION_ROWS_MAX, count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct ws_json row = ws_json_at(&rows, i);
        rc = read_fusion_row(parts, &row, err);
    }
    return rc;
}

/* DIR/features.json, the caller's to free. */
static int manifest_of(char **out, const char *dir, struct ws_error *err)
{
    return asprintf(out, "%s/features.json", dir) < 0 ? ws_error_nomem(err) : 0;
}

int ws_parts_load(struct ws_parts *out, const char *dir, struct ws_error *err)
{
    static const char *const keys[] = {"maps",  "extract", "select", "edge",
                                       "cloud", "whole",   "fusion", NULL};
    struct ws_json_doc doc = {0};
    struct ws_parts parts = {0};
    char *path = NULL;
    int64_t maps = 0;
    int rc = manifest_of(&path, dir, err);
    if (rc != 0)
        return rc;
    rc = ws_json_load(&doc, path, err);
    struct ws_json root = ws_json_root(&doc);
    if (rc == 0)
        rc = ws_json_only(&root, keys, err);
    if (rc == 0)
        rc = ws_json_get_i64(&maps, &root, "maps", 1, WS_FEATURE_MAPS_MAX, err);
    parts.map_count = (size_t)maps;
    size_t length = strlen(dir);
    while (length > 1 && dir[length - 1] == '/')
        length--;
    if (rc == 0 && (parts.dir = strndup(dir, length)) == NULL)
        rc = ws_error_nomem(err);
    for (int i = 0; rc == 0 && i < WS_PARTS_COUNT; i++)
        rc = read_path(&parts, (enum ws_parts_file)i, dir, &root, err);
    if (rc == 0)
        rc = read_fusion(&parts, &root, err);
    if (rc != 0)
        ws_parts_fini(&parts);
    else
        *out = parts;
    ws_json_doc_fini(&doc);
    free(path);
    return rc;
}

static int add_file(struct ws_digest *digest, const char *path, struct ws_error *err)
{
    struct ws_map map = {0};
    int rc = ws_map_open(&map, path, 0, err);
    if (rc == 0)
        ws_digest_add_sized(digest, map.data, map.size);
    ws_map_close(&map);
    return rc;
}

int ws_parts_digest(char out[static WS_DIGEST_TEXT], const struct ws_parts *parts,
                    struct ws_error *err)
{
    struct ws_digest *digest = NULL;
    char *manifest = NULL;
    int rc = manifest_of(&manifest, parts->dir, err);
    if (rc == 0)
        rc = ws_digest_create(&digest, err);
    if (rc == 0)
        rc = add_file(digest, manifest, err);
    for (int i = 0; rc == 0 && i < WS_PARTS_COUNT; i++) {
        if (i != WS_PARTS_WHOLE)
            rc = add_file(digest, parts->paths[i], err);
    }
    if (rc == 0)
        ws_digest_finish(out, digest);
    ws_digest_destroy(digest);
    free(manifest);
    return rc;
}
