#include "onnx/external.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Whether a path steps upwards; ONNX forbids it, and it need not even be looked for. */
static int has_parent_step(const char *path)
{
    for (;; path++) {
        size_t size = strcspn(path, "/");
        if (size == 2 && path[0] == '.' && path[1] == '.')
            return 1;
        path += size;
        if (*path == '\0')
            return 0;
    }
}

/* root/location with all links resolved, as long as that lies below root. */
static int resolve(char **out, const char *root, const char *location,
                   struct ws_error *err)
{
    if (location[0] == '\0' || location[0] == '/')
        return ws_error_set(err, WS_E_FORMAT,
                            "external data \"%s\" is not a relative path", location);
    if (has_parent_step(location))
        return ws_error_set(err, WS_E_FORMAT,
                            "external data \"%s\" leaves the model's folder", location);
    struct ws_buf joined;
    ws_buf_init(&joined, 65536);
    char *path = NULL;
    int rc = ws_buf_printf(&joined, err, "%s/%s", root, location);
    if (rc != 0)
        goto out;
    path = realpath(joined.data, NULL);
    if (path == NULL) {
        rc = ws_error_set_errno(err, WS_E_IO, errno, "external data \"%s\"", location);
        goto out;
    }
    size_t root_size = strlen(root);
    int root_is_slash = root_size == 1; /* "/" is a prefix of everything already */
    if (strncmp(path, root, root_size) != 0 ||
        (!root_is_slash && path[root_size] != '/')) {
        rc = ws_error_set(err, WS_E_FORMAT,
                          "external data \"%s\" leaves the model's folder", location);
        goto out;
    }
    *out = path;
    path = NULL;
out:
    free(path);
    ws_buf_fini(&joined);
    return rc;
}

static int grow(struct ws_externals *externals, struct ws_error *err)
{
    if (externals->count >= WS_MODEL_FILES_MAX)
        return ws_error_set(err, WS_E_LIMIT, "external data in more than %d files",
                            WS_MODEL_FILES_MAX);
    if (externals->count < externals->capacity)
        return 0;
    size_t capacity = externals->capacity == 0 ? 4 : 2 * externals->capacity;
    struct ws_external_file *files = realloc(externals->files, capacity * sizeof(*files));
    if (files == NULL)
        return ws_error_nomem(err);
    externals->files = files;
    externals->capacity = capacity;
    return 0;
}

int ws_externals_open(const struct ws_external_file **out, struct ws_externals *externals,
                      const char *location, struct ws_error *err)
{
    size_t index = 0;
    if (ws_names_find(&index, &externals->by_location, location)) {
        *out = &externals->files[index];
        return 0;
    }
    if (externals->root == NULL)
        return ws_error_set(err, WS_E_FORMAT,
                            "external data \"%s\" in a model without a folder", location);
    struct ws_external_file file = {0};
    int rc = grow(externals, err);
    if (rc == 0)
        rc = resolve(&file.path, externals->root, location, err);
    if (rc == 0)
        rc = ws_map_open(&file.map, file.path, 0, err);
    if (rc == 0 && (file.location = strdup(location)) == NULL)
        rc = ws_error_nomem(err);
    if (rc == 0)
        rc = ws_names_add(&externals->by_location, file.location, externals->count, err);
    if (rc != 0) {
        ws_map_close(&file.map);
        free(file.location);
        free(file.path);
        return rc;
    }
    externals->files[externals->count] = file;
    *out = &externals->files[externals->count++];
    return 0;
}

void ws_externals_fini(struct ws_externals *externals)
{
    ws_names_fini(&externals->by_location);
    for (size_t i = 0; i < externals->count; i++) {
        ws_map_close(&externals->files[i].map);
        free(externals->files[i].location);
        free(externals->files[i].path);
    }
    free(externals->files);
    free(externals->root);
    *externals = (struct ws_externals){0};
}
