#include "node/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "onnx/model.h"

static const char ending[] = ".onnx";
enum { ENDING_SIZE = sizeof(ending) - 1, DIGEST_SIZE = WS_DIGEST_TEXT - 1 };

/* One file of the store. */
struct held {
    char name[NAME_MAX + 1];
    char digest[WS_DIGEST_TEXT];
    uint64_t size_bytes;
    struct timespec used;
};

struct listing {
    struct held *files;
    size_t count;
};

/* NAME.DIGEST.onnx taken apart; 0 for any other name. */
static int take_apart(struct held *out, const char *file)
{
    size_t size = strlen(file), tail = 1 + DIGEST_SIZE + ENDING_SIZE;
    if (size <= tail || size > NAME_MAX || file[0] == '.' ||
        strcmp(file + size - ENDING_SIZE, ending) != 0 || file[size - tail] != '.' ||
        strspn(file + size - tail + 1, "0123456789abcdef") != DIGEST_SIZE)
        return 0;
    memcpy(out->digest, file + size - tail + 1, DIGEST_SIZE);
    out->digest[DIGEST_SIZE] = '\0';
    memcpy(out->name, file, size - tail);
    out->name[size - tail] = '\0';
    return 1;
}

static int list(struct listing *out, const struct ws_store *store, struct ws_error *err)
{
    struct listing found = {0};
    const struct dirent *entry;
    int rc = 0;
    DIR *dir = opendir(store->dir);
    if (dir == NULL)
        return ws_error_set_errno(err, WS_E_IO, errno, "open %s", store->dir);
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        struct held held;
        struct stat st;
        if (!take_apart(&held, entry->d_name) ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        held.size_bytes = (uint64_t)st.st_size;
        held.used = st.st_mtim;
        struct held *more = realloc(found.files, (found.count + 1) * sizeof(*more));
        if (more == NULL) {
            rc = ws_error_nomem(err);
            break;
        }
        found.files = more;
        found.files[found.count++] = held;
    }
    (void)closedir(dir);
    if (rc != 0)
        free(found.files);
    else
        *out = found;
    return rc;
}

static int is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static int path_of(char path[static WS_STORE_PATH_MAX], const struct ws_store *store,
                   const char *name, const char *digest, struct ws_error *err)
{
    int length =
        snprintf(path, WS_STORE_PATH_MAX, "%s/%s.%s%s", store->dir, name, digest, ending);
    return length > 0 && length < WS_STORE_PATH_MAX
               ? 0
               : ws_error_set(err, WS_E_LIMIT, "%s: too long a path", store->dir);
}

int ws_store_open(const struct ws_store *store, struct ws_error *err)
{
    struct listing all;
    int rc = ws_dir_create(store->dir, err);
    if (rc == 0)
        rc = list(&all, store, err);
    if (rc == 0)
        free(all.files);
    return rc;
}

void ws_store_touch(const char *path)
{
    (void)utimensat(AT_FDCWD, path, NULL, 0);
}

int ws_store_find(char path[static WS_STORE_PATH_MAX], const struct ws_store *store,
                  const char *name, const char *digest, struct ws_error *err)
{
    struct listing all;
    const struct held *best = NULL;
    int rc = list(&all, store, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < all.count; i++) {
        const struct held *held = &all.files[i];
        if (strcmp(held->name, name) == 0 &&
            (digest[0] == '\0' || strcmp(held->digest, digest) == 0) &&
            (best == NULL || is_before(&best->used, &held->used)))
            best = held;
    }
    rc = best == NULL ? ws_error_set(err, WS_E_NOT_FOUND, "no model \"%.200s\"%s%.64s",
                                     name, digest[0] != '\0' ? " of digest " : "", digest)
                      : path_of(path, store, name, best->digest, err);
    free(all.files);
    if (rc == 0)
        ws_store_touch(path);
    return rc;
}

/* Before anything is written or run: the bytes are what was announced. External data is
 * refused by the reader, for there is no folder to look in. */
static int check(const char *name, const char *digest, const uint8_t *bytes, size_t size,
                 struct ws_error *err)
{
    struct ws_model *model = NULL;
    char found[WS_DIGEST_TEXT];
    int rc = ws_model_open_bytes(&model, bytes, size, err);
    if (rc == 0)
        rc = ws_model_digest(found, model, err);
    if (rc != 0)
        rc = ws_error_context(err, "model \"%.200s\"", name);
    else if (strcmp(found, digest) != 0)
        rc = ws_error_set(err, WS_E_MISMATCH,
                          "model \"%.200s\" came with digest %s and was announced with "
                          "%.64s",
                          name, found, digest);
    ws_model_close(model);
    return rc;
}

/* Removes what was used least recently until `size` more bytes fit. */
static int make_room(const struct ws_store *store, uint64_t size, ws_store_evict_fn evict,
                     void *user, struct ws_error *err)
{
    char path[WS_STORE_PATH_MAX];
    struct listing all;
    uint64_t total = 0;
    int rc = list(&all, store, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < all.count; i++)
        total += all.files[i].size_bytes;
    while (rc == 0 && all.count > 0 && total + size > store->budget_bytes) {
        size_t oldest = 0;
        for (size_t i = 1; i < all.count; i++) {
            if (is_before(&all.files[i].used, &all.files[oldest].used))
                oldest = i;
        }
        const struct held *held = &all.files[oldest];
        rc = path_of(path, store, held->name, held->digest, err);
        if (rc != 0)
            break;
        evict(user, path);
        if (unlink(path) != 0 && errno != ENOENT)
            rc = ws_error_set_errno(err, WS_E_IO, errno, "remove %s", path);
        total -= held->size_bytes;
        all.files[oldest] = all.files[--all.count];
    }
    free(all.files);
    return rc;
}

int ws_store_add(char path[static WS_STORE_PATH_MAX], const struct ws_store *store,
                 const char *name, const char *digest, const uint8_t *bytes, size_t size,
                 ws_store_evict_fn evict, void *user, struct ws_error *err)
{
    if (size > store->budget_bytes)
        return ws_error_set(err, WS_E_LIMIT,
                            "model \"%.200s\" has %zu bytes, this node keeps %" PRIu64
                            " in all",
                            name, size, store->budget_bytes);
    int rc = check(name, digest, bytes, size, err);
    if (rc == 0)
        rc = path_of(path, store, name, digest, err);
    if (rc == 0)
        rc = make_room(store, size, evict, user, err);
    return rc == 0 ? ws_file_write(path, bytes, size, err) : rc;
}

int ws_store_each(const struct ws_store *store, ws_store_name_fn visit, void *user,
                  struct ws_error *err)
{
    struct listing all;
    int rc = list(&all, store, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < all.count; i++)
        rc = visit(user, all.files[i].name, err);
    free(all.files);
    return rc;
}
