#include "device/sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"

/* The one place that knows where sysfs is. */
static const char sysfs_root[] = "/sys";

struct ws_sysfs {
    int root_fd; /* of the machine */
    int sys_fd;  /* of its sysfs; -1 where it has none */
    int is_live;
    ws_sysfs_simulate simulate;
    void *simulate_user;
};

int ws_sysfs_open(struct ws_sysfs **out, const char *root, struct ws_error *err)
{
    struct ws_sysfs *fs = calloc(1, sizeof(*fs));
    if (fs == NULL)
        return ws_error_nomem(err);
    fs->is_live = root == NULL;
    if (root == NULL)
        root = "/";
    fs->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fs->root_fd < 0) {
        free(fs);
        return ws_error_set_errno(err, WS_E_IO, errno, "open %s", root);
    }
    fs->sys_fd = openat(fs->root_fd, sysfs_root + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *out = fs;
    return 0;
}

void ws_sysfs_close(struct ws_sysfs *fs)
{
    if (fs == NULL)
        return;
    close(fs->root_fd);
    if (fs->sys_fd >= 0)
        close(fs->sys_fd);
    free(fs);
}

void ws_sysfs_set_simulation(struct ws_sysfs *fs, ws_sysfs_simulate simulate, void *user)
{
    fs->simulate = simulate;
    fs->simulate_user = user;
}

int ws_sysfs_is_live(const struct ws_sysfs *fs)
{
    return fs->is_live;
}

const char *ws_sysfs_name(char *out, size_t size, const char *path)
{
    (void)snprintf(out, size, "%s/%s", sysfs_root, path);
    return out;
}

static int code_of(int errnum)
{
    return errnum == ENOENT || errnum == ENODEV || errnum == ENXIO ? WS_E_NOT_FOUND
                                                                   : WS_E_IO;
}

/* Reads fd, closes it, and cuts white space off the end. */
static int read_text(char *out, size_t size, int fd, const char *name,
                     struct ws_error *err)
{
    /* One read has all of it: an attribute is made whole when it is read from its start,
     * and a plain file is short. */
    ssize_t got;
    do
        got = read(fd, out, size);
    while (got < 0 && errno == EINTR);
    size_t used = got < 0 ? 0 : (size_t)got;
    int errnum = errno;
    close(fd);
    if (got < 0)
        return ws_error_set_errno(err, code_of(errnum), errnum, "read %s", name);
    if (used == size)
        return ws_error_set(err, WS_E_LIMIT, "%s: more than %zu bytes", name, size - 1);
    /* White space, and the NUL that ends a device tree's strings: strchr finds both. */
    while (used > 0 && strchr(" \t\r\n", out[used - 1]) != NULL)
        used--;
    out[used] = '\0';
    if (strlen(out) != used)
        return ws_error_set(err, WS_E_FORMAT, "%s: a NUL byte in the text", name);
    return 0;
}

static int read_at(char *out, size_t size, int dir_fd, const char *path, const char *name,
                   struct ws_error *err)
{
    if (size > 0)
        out[0] = '\0';
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ws_error_set_errno(err, code_of(errno), errno, "read %s", name);
    return read_text(out, size, fd, name, err);
}

int ws_sysfs_read(char *out, size_t size, const struct ws_sysfs *fs, const char *path,
                  struct ws_error *err)
{
    char name[WS_SYSFS_PATH_MAX + 8];
    ws_sysfs_name(name, sizeof(name), path);
    return read_at(out, size, fs->sys_fd, path, name, err);
}

int ws_machine_read(char *out, size_t size, const struct ws_sysfs *fs, const char *path,
                    struct ws_error *err)
{
    return read_at(out, size, fs->root_fd, path, path, err);
}

int ws_sysfs_read_i64(int64_t *out, const struct ws_sysfs *fs, const char *path,
                      int64_t min, int64_t max, struct ws_error *err)
{
    char text[64];
    int rc = ws_sysfs_read(text, sizeof(text), fs, path, err);
    if (rc != 0)
        return rc;
    char name[WS_SYSFS_PATH_MAX + 8];
    return ws_parse_i64(out, text, min, max, ws_sysfs_name(name, sizeof(name), path),
                        err);
}

int ws_sysfs_write(struct ws_sysfs *fs, const char *path, const char *text,
                   struct ws_error *err)
{
    char name[WS_SYSFS_PATH_MAX + 8];
    ws_sysfs_name(name, sizeof(name), path);
    if (fs->simulate != NULL) {
        int done = fs->simulate(fs->simulate_user, path, text);
        if (done > 0)
            return 0;
        if (done < 0)
            return ws_error_set_errno(err, code_of(-done), -done, "write \"%s\" to %s",
                                      text, name);
    }
    int fd = openat(fs->sys_fd, path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ws_error_set_errno(err, code_of(errno), errno, "write \"%s\" to %s", text,
                                  name);
    size_t size = strlen(text);
    ssize_t put;
    do
        put = write(fd, text, size);
    while (put < 0 && errno == EINTR);
    int errnum = errno;
    /* An attribute has no length; a plain file may have been longer. */
    if (put >= 0 && !fs->is_live && ftruncate(fd, put) != 0) {
        put = -1;
        errnum = errno;
    }
    close(fd);
    if (put < 0)
        return ws_error_set_errno(err, code_of(errnum), errnum, "write \"%s\" to %s",
                                  text, name);
    if ((size_t)put != size)
        return ws_error_set(err, WS_E_IO, "write \"%s\" to %s: only %zd bytes taken",
                            text, name, put);
    return 0;
}

void ws_sysfs_write_raw(const struct ws_sysfs *fs, const char *path, const char *text)
{
    int fd = openat(fs->sys_fd, path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    /* Nobody is left to hear of a failure; the lease file stays behind for that. */
    ssize_t put = write(fd, text, strlen(text));
    (void)put;
    close(fd);
}

int ws_sysfs_exists(const struct ws_sysfs *fs, const char *path)
{
    return faccessat(fs->sys_fd, path, F_OK, 0) == 0;
}

int ws_machine_exists(const struct ws_sysfs *fs, const char *path)
{
    return faccessat(fs->root_fd, path, F_OK, 0) == 0;
}

int ws_sysfs_writable(const struct ws_sysfs *fs, const char *path)
{
    /* The mode first: to root everything is accessible, even what has no store. */
    struct stat st;
    return fstatat(fs->sys_fd, path, &st, 0) == 0 && (st.st_mode & 0222) != 0 &&
           faccessat(fs->sys_fd, path, W_OK, AT_EACCESS) == 0;
}

static int order_names(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* Moves `count` NUL-separated names into one block of pointers and text. */
static int pack_names(struct ws_sysfs_names *out, const char *text, size_t size,
                      size_t count, struct ws_error *err)
{
    char **names = malloc(count * sizeof(*names) + size + 1);
    if (names == NULL)
        return ws_error_nomem(err);
    char *at = (char *)(names + count);
    if (size > 0)
        memcpy(at, text, size);
    for (size_t i = 0; i < count; i++) {
        names[i] = at;
        at += strlen(at) + 1;
    }
    if (count > 0)
        qsort(names, count, sizeof(*names), order_names);
    *out = (struct ws_sysfs_names){names, count};
    return 0;
}

static int list_at(struct ws_sysfs_names *out, int dir_fd, const char *path,
                   struct ws_error *err)
{
    char text[WS_SYSFS_LIST_MAX];
    size_t size = 0;
    size_t count = 0;
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == EBADF || errno == ENOTDIR))
        return pack_names(out, text, 0, 0, err);
    if (fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "list %s", path);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return ws_error_nomem(err);
    }
    int rc = 0;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;) {
        size_t length = strlen(entry->d_name) + 1;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (length > sizeof(text) - size) {
            rc = ws_error_set(err, WS_E_LIMIT, "%s: too many names", path);
        } else {
            memcpy(text + size, entry->d_name, length);
            size += length;
            count++;
        }
    }
    closedir(dir);
    return rc != 0 ? rc : pack_names(out, text, size, count, err);
}

int ws_sysfs_list(struct ws_sysfs_names *out, const struct ws_sysfs *fs, const char *path,
                  struct ws_error *err)
{
    return list_at(out, fs->sys_fd, path, err);
}

int ws_machine_list(struct ws_sysfs_names *out, const struct ws_sysfs *fs,
                    const char *path, struct ws_error *err)
{
    return list_at(out, fs->root_fd, path, err);
}

int ws_sysfs_path(char *out, struct ws_error *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(out, WS_SYSFS_PATH_MAX, fmt, args);
    va_end(args);
    if (length < 0 || length >= WS_SYSFS_PATH_MAX)
        return ws_error_set(err, WS_E_LIMIT, "%s: path too long", out);
    return 0;
}

int ws_cpu_set_has(const struct ws_cpu_set *set, size_t cpu)
{
    return cpu < WS_CPUS_MAX && (set->bits[cpu / 64] >> cpu % 64 & 1) != 0;
}

void ws_cpu_set_add(struct ws_cpu_set *set, size_t cpu)
{
    if (cpu < WS_CPUS_MAX)
        set->bits[cpu / 64] |= (uint64_t)1 << cpu % 64;
}

size_t ws_cpu_set_count(const struct ws_cpu_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < WS_CPUS_MAX / 64; i++)
        count += (size_t)__builtin_popcountll(set->bits[i]);
    return count;
}

/* "3" or "0-3"; `part` is cut at the dash. */
static int add_range(struct ws_cpu_set *set, char *part, struct ws_error *err)
{
    size_t first = 0;
    size_t last = 0;
    char *dash = strchr(part, '-');
    if (dash != NULL)
        *dash = '\0';
    int rc = ws_parse_size(&first, part, 0, WS_CPUS_MAX - 1, "CPU", err);
    last = first;
    if (rc == 0 && dash != NULL)
        rc = ws_parse_size(&last, dash + 1, first, WS_CPUS_MAX - 1, "CPU", err);
    for (size_t cpu = first; rc == 0 && cpu <= last; cpu++)
        ws_cpu_set_add(set, cpu);
    return rc;
}

int ws_cpu_set_parse(struct ws_cpu_set *out, const char *text, struct ws_error *err)
{
    struct ws_cpu_set set = {0};
    char copy[4096];
    size_t size = strlen(text) + 1;
    if (size > sizeof(copy))
        return ws_error_set(err, WS_E_LIMIT, "a list of CPUs of %zu bytes", size - 1);
    memcpy(copy, text, size);
    char *at = copy;
    for (char *part; copy[0] != '\0' && (part = strsep(&at, ",")) != NULL;) {
        int rc = add_range(&set, part, err);
        if (rc != 0)
            return rc;
    }
    *out = set;
    return 0;
}

const char *ws_cpu_set_text(char *out, size_t size, const struct ws_cpu_set *set)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t cpu = 0; cpu < WS_CPUS_MAX && used < size; cpu++) {
        if (!ws_cpu_set_has(set, cpu))
            continue;
        size_t last = cpu;
        while (ws_cpu_set_has(set, last + 1))
            last++;
        const char *comma = used == 0 ? "" : ",";
        int length = last == cpu ? snprintf(out + used, size - used, "%s%zu", comma, cpu)
                                 : snprintf(out + used, size - used, "%s%zu-%zu", comma,
                                            cpu, last);
        used += length > 0 ? (size_t)length : 0;
        cpu = last;
    }
    return out;
}
