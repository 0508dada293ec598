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

struct ws_writer {
    int fd;
    uint64_t size;
    size_t held; /* bytes of buffer in use */
    char *path;
    char *temp;
    char buffer[65536];
};

int ws_writer_open(struct ws_writer **out, const char *path, struct ws_error *err)
{
    struct ws_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL)
        return ws_error_nomem(err);
    int rc = 0;
    writer->fd = -1;
    writer->path = strdup(path);
    if (writer->path == NULL || asprintf(&writer->temp, "%s.XXXXXX", path) < 0) {
        writer->temp = NULL; /* asprintf leaves it undefined */
        rc = ws_error_nomem(err);
        goto out;
    }
    writer->fd = mkostemp(writer->temp, O_CLOEXEC);
    if (writer->fd < 0) {
        rc = ws_error_set_errno(err, WS_E_IO, errno, "create %s", writer->temp);
        goto out;
    }
    *out = writer;
    writer = NULL;
out:
    ws_writer_abort(writer);
    return rc;
}

static int writer_flush(struct ws_writer *writer, struct ws_error *err)
{
    int rc = ws_file_write_fd(writer->fd, writer->buffer, writer->held, err);
    writer->held = 0;
    if (rc != 0)
        ws_error_context(err, "write %s", writer->path);
    return rc;
}

int ws_writer_add(struct ws_writer *writer, const void *bytes, size_t size,
                  struct ws_error *err)
{
    int rc = 0;
    writer->size += size;
    if (size > sizeof(writer->buffer) - writer->held)
        rc = writer_flush(writer, err);
    if (rc != 0)
        return rc;
    if (size > sizeof(writer->buffer)) {
        rc = ws_file_write_fd(writer->fd, bytes, size, err);
        if (rc != 0)
            ws_error_context(err, "write %s", writer->path);
        return rc;
    }
    if (size > 0)
        memcpy(writer->buffer + writer->held, bytes, size);
    writer->held += size;
    return 0;
}

uint64_t ws_writer_size(const struct ws_writer *writer)
{
    return writer->size;
}

int ws_writer_commit(struct ws_writer *writer, struct ws_error *err)
{
    int rc = writer_flush(writer, err);
    if (rc != 0)
        goto out;
    if (fchmod(writer->fd, 0644) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "set mode of %s", writer->path);
    else if (fsync(writer->fd) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "sync %s", writer->path);
    if (close(writer->fd) != 0 && rc == 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "close %s", writer->path);
    writer->fd = -1;
    if (rc == 0 && rename(writer->temp, writer->path) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "rename to %s", writer->path);
    if (rc == 0) {
        free(writer->temp);
        writer->temp = NULL;
    }
out:
    ws_writer_abort(writer);
    return rc;
}

void ws_writer_abort(struct ws_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer->fd >= 0)
        close(writer->fd);
    if (writer->temp != NULL)
        unlink(writer->temp);
    free(writer->temp);
    free(writer->path);
    free(writer);
}

int ws_file_write(const char *path, const void *bytes, size_t size, struct ws_error *err)
{
    struct ws_writer *writer = NULL;
    int rc = ws_writer_open(&writer, path, err);
    if (rc != 0)
        return rc;
    rc = ws_writer_add(writer, bytes, size, err);
    if (rc != 0) {
        ws_writer_abort(writer);
        return rc;
    }
    return ws_writer_commit(writer, err);
}

void ws_file_stem(char *out, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *start = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(start, '.');
    int length = dot == NULL || dot == start ? (int)strlen(start) : (int)(dot - start);
    (void)snprintf(out, size, "%.*s", length, start);
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
