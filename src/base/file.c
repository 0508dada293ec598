#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map_fd(struct ws_map *out, int fd, const char *name, uint64_t size_max,
                  struct ws_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "stat %s", name);
    if (!S_ISREG(st.st_mode))
        return ws_error_set(err, WS_E_IO, "%s: not a regular file", name);
    uint64_t size = (uint64_t)st.st_size;
    if (size_max != 0 && size > size_max)
        return ws_error_set(err, WS_E_LIMIT, "%s: %" PRIu64 " bytes, at most %" PRIu64,
                            name, size, size_max);
    if (size == 0) {
        *out = (struct ws_map){0};
        return 0;
    }
    void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return ws_error_set_errno(err, WS_E_IO, errno, "map %s", name);
    *out = (struct ws_map){.data = data, .size = size};
    return 0;
}

int ws_map_open(struct ws_map *out, const char *path, uint64_t size_max,
                struct ws_error *err)
{
    /* Non-blocking, so that a pipe in place of a model cannot hold us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "open %s", path);
    int rc = map_fd(out, fd, path, size_max, err);
    close(fd);
    return rc;
}

int ws_map_open_fd(struct ws_map *out, int fd, struct ws_error *err)
{
    return map_fd(out, fd, "temporary file", 0, err);
}

void ws_map_close(struct ws_map *map)
{
    if (map->data != NULL)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct ws_map){0};
}

int ws_file_read(struct ws_buf *buf, const char *path, struct ws_error *err)
{
    int from_stdin = strcmp(path, "-") == 0;
    int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "open %s", path);
    int rc = 0;
    for (;;) {
        char chunk[65536];
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = ws_error_set_errno(err, WS_E_IO, errno, "read %s", path);
        if (got <= 0)
            break;
        rc = ws_buf_add(buf, chunk, (size_t)got, err);
        if (rc != 0) {
            ws_error_context(err, "read %s", path);
            break;
        }
    }
    if (!from_stdin)
        close(fd);
    return rc;
}

int ws_file_write_fd(int fd, const void *bytes, size_t size, struct ws_error *err)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t put = write(fd, at, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return ws_error_set_errno(err, WS_E_IO, errno, "write %zu bytes", size);
        at += put;
        size -= (size_t)put;
    }
    return 0;
}

int ws_file_write(const char *path, const void *bytes, size_t size, struct ws_error *err)
{
    char temp[4096];
    int length = snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof(temp))
        return ws_error_set(err, WS_E_LIMIT, "%s: path too long", path);
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "create %s", temp);
    int rc = ws_file_write_fd(fd, bytes, size, err);
    if (rc == 0 && fchmod(fd, 0644) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "set mode");
    if (rc == 0 && fsync(fd) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "sync");
    if (close(fd) != 0 && rc == 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "close");
    if (rc == 0 && rename(temp, path) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "rename");
    if (rc != 0) {
        ws_error_context(err, "write %s", path);
        unlink(temp);
    }
    return rc;
}

int ws_dir_create(const char *path, struct ws_error *err)
{
    char part[4096];
    size_t size = strlen(path);
    if (size >= sizeof(part))
        return ws_error_set(err, WS_E_LIMIT, "%s: path too long", path);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        struct stat st;
        if (mkdir(part, 0777) != 0 &&
            (errno != EEXIST || stat(part, &st) != 0 || !S_ISDIR(st.st_mode)))
            return ws_error_set_errno(err, WS_E_IO, errno == EEXIST ? ENOTDIR : errno,
                                      "create directory %s", part);
    }
    return 0;
}

int ws_file_temp(int *out_fd, struct ws_error *err)
{
    const char *dir = getenv("TMPDIR");
    if (dir == NULL || dir[0] == '\0')
        dir = "/tmp";
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/wattshed-XXXXXX", dir);
    if (length < 0 || (size_t)length >= sizeof(path))
        return ws_error_set(err, WS_E_LIMIT, "%s: path too long", dir);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "create a file in %s", dir);
    unlink(path);
    *out_fd = fd;
    return 0;
}
