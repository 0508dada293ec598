/*
 * The machine's own files: sysfs, and what else of the file system tells about the
 * hardware, both under a root, so that a captured device is read exactly as a live one.
 * Paths are relative: "class/hwmon" for sysfs, "proc/stat" for the machine. What they
 * hold is short text from outside: it is read whole up to a limit, and its trailing white
 * space is dropped, and the NUL that ends a device tree's strings. A simulated machine
 * may stand between a write and the file (tests, and devices we do not have). Reading is
 * safe from several threads; writing from one.
 */
#ifndef WS_DEVICE_SYSFS_H
#define WS_DEVICE_SYSFS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_sysfs;

/* What a simulated machine does when `text` is written to `path`: 0, and the file gets
 * the text; 1, it has done all there is to do; a negative errno, the write is refused. */
typedef int (*ws_sysfs_simulate)(void *user, const char *path, const char *text);

/* root NULL: this machine. WS_E_IO where the root is not a directory. */
int ws_sysfs_open(struct ws_sysfs **out, const char *root, struct ws_error *err);
void ws_sysfs_close(struct ws_sysfs *fs);
void ws_sysfs_set_simulation(struct ws_sysfs *fs, ws_sysfs_simulate simulate, void *user);
/* Whether it is this machine itself and not a tree that stands for one. */
int ws_sysfs_is_live(const struct ws_sysfs *fs);

/* The text of an attribute, NUL-terminated, without trailing white space. WS_E_NOT_FOUND:
 * it is not there (any more). WS_E_IO: the system refuses, e.g. a permission.
 * WS_E_FORMAT: a NUL byte. WS_E_LIMIT: larger than the buffer. */
int ws_sysfs_read(char *out, size_t size, const struct ws_sysfs *fs, const char *path,
                  struct ws_error *err);
/* A whole number, bounds inclusive. Also WS_E_FORMAT and WS_E_LIMIT of ws_parse_i64. */
int ws_sysfs_read_i64(int64_t *out, const struct ws_sysfs *fs, const char *path,
                      int64_t min, int64_t max, struct ws_error *err);
/* One write of `text`. The codes are those of reading; the line has the system's words.
 */
int ws_sysfs_write(struct ws_sysfs *fs, const char *path, const char *text,
                   struct ws_error *err);
/* The same from a signal handler: system calls only, no simulation, no answer. */
void ws_sysfs_write_raw(const struct ws_sysfs *fs, const char *path, const char *text);
int ws_sysfs_exists(const struct ws_sysfs *fs, const char *path);
/* Whether this process may write it; nothing is opened or changed. */
int ws_sysfs_writable(const struct ws_sysfs *fs, const char *path);
/* The attribute's full name on this machine, for lines that people read or scripts use.
 * Returns `out`. */
const char *ws_sysfs_name(char *out, size_t size, const char *path);

/* The same for any file below the root, e.g. "proc/self/status". */
int ws_machine_read(char *out, size_t size, const struct ws_sysfs *fs, const char *path,
                    struct ws_error *err);
int ws_machine_exists(const struct ws_sysfs *fs, const char *path);

/* Names in a directory, "." and ".." left out, numbers inside them in numeric order
 * (policy2 before policy10). `names` is one block: free() it. A directory that is not
 * there has none. */
struct ws_sysfs_names {
    char **names;
    size_t count;
};
int ws_sysfs_list(struct ws_sysfs_names *out, const struct ws_sysfs *fs, const char *path,
                  struct ws_error *err);
int ws_machine_list(struct ws_sysfs_names *out, const struct ws_sysfs *fs,
                    const char *path, struct ws_error *err);

/* Formats a path of at most WS_SYSFS_PATH_MAX - 1 bytes; WS_E_LIMIT. */
__attribute__((format(printf, 3, 4))) int ws_sysfs_path(char *out, struct ws_error *err,
                                                        const char *fmt, ...);

/* A list of CPUs, "0-3,6", as a bit set of the first WS_CPUS_MAX; "" is the empty one. */
struct ws_cpu_set {
    uint64_t bits[WS_CPUS_MAX / 64];
};
int ws_cpu_set_parse(struct ws_cpu_set *out, const char *text, struct ws_error *err);
/* The shortest list; returns `out`. */
const char *ws_cpu_set_text(char *out, size_t size, const struct ws_cpu_set *set);
int ws_cpu_set_has(const struct ws_cpu_set *set, size_t cpu);
void ws_cpu_set_add(struct ws_cpu_set *set, size_t cpu);
size_t ws_cpu_set_count(const struct ws_cpu_set *set);

#endif
