#include "device/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

enum { DEPTH_MAX = 4 }; /* folders below the ones named here */

/* --- writing --- */

struct writer {
    const struct ws_sysfs *fs;
    struct ws_buf *text;
    size_t count;
};

static int add_text(struct ws_buf *buf, const char *text, struct ws_error *err)
{
    int rc = 0;
    for (; rc == 0 && *text != '\0'; text++) {
        if (*text == '\n')
            rc = ws_buf_add_text(buf, "\\n", err);
        else if (*text == '\\')
            rc = ws_buf_add_text(buf, "\\\\", err);
        else
            rc = ws_buf_add(buf, text, 1, err);
    }
    return rc;
}

/* One attribute, if it can be read; what cannot is no part of what we know. */
static int add_attribute(struct writer *writer, const char *path, struct ws_error *err)
{
    char text[WS_SYSFS_TEXT_MAX];
    int is_machine = path[0] == '/';
    int rc = is_machine ? ws_machine_read(text, sizeof(text), writer->fs, path + 1, NULL)
                        : ws_sysfs_read(text, sizeof(text), writer->fs, path, NULL);
    if (rc != 0)
        return 0;
    const char *mode = !is_machine && ws_sysfs_writable(writer->fs, path) ? "rw" : "ro";
    rc = ws_buf_printf(writer->text, err, "%s %s = ", mode, path);
    if (rc == 0)
        rc = add_text(writer->text, text, err);
    if (rc == 0)
        rc = ws_buf_add_text(writer->text, "\n", err);
    writer->count += rc == 0;
    return rc;
}

/* Links upwards, and what tells one specimen from the next. */
static int is_left_out(const char *name)
{
    static const char *const names[] = {
        "subsystem",     "device",       "driver", "power",
        "firmware_node", "of_node",      "uevent", "serial",
        "serial_number", "serialnumber", "iommu",  "iommu_group",
        "port",          "ec",           "remove", "descriptors"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return 1;
    }
    return strncmp(name, "supplier:", 9) == 0 || strncmp(name, "consumer:", 9) == 0;
}

static int add_tree(struct writer *writer, const char *path, int depth,
                    struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    char below[WS_SYSFS_PATH_MAX];
    int rc = ws_sysfs_list(&names, writer->fs, path, err);
    if (rc != 0)
        return 0; /* not ours to read */
    if (names.count == 0)
        rc = add_attribute(writer, path, err);
    for (size_t i = 0; rc == 0 && depth > 0 && i < names.count; i++) {
        if (is_left_out(names.names[i]))
            continue;
        rc = ws_sysfs_path(below, err, "%s/%s", path, names.names[i]);
        if (rc == 0)
            rc = add_tree(writer, below, depth - 1, err);
    }
    free(names.names);
    return rc;
}

/* Each processor's switch, without the rest of its folder. */
static int add_processors(struct writer *writer, struct ws_error *err)
{
    struct ws_sysfs_names names = {0};
    char path[WS_SYSFS_PATH_MAX];
    int rc = ws_sysfs_list(&names, writer->fs, "devices/system/cpu", err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        if (strncmp(names.names[i], "cpu", 3) != 0)
            continue;
        rc = ws_sysfs_path(path, err, "devices/system/cpu/%s/online", names.names[i]);
        if (rc == 0)
            rc = add_attribute(writer, path, err);
    }
    free(names.names);
    return rc;
}

static int add_usb(struct writer *writer, struct ws_error *err)
{
    static const char *const attributes[] = {"idVendor", "idProduct"};
    struct ws_sysfs_names names = {0};
    char path[WS_SYSFS_PATH_MAX];
    int rc = ws_sysfs_list(&names, writer->fs, "bus/usb/devices", err);
    for (size_t i = 0; rc == 0 && i < 2 * names.count; i++) {
        rc = ws_sysfs_path(path, err, "bus/usb/devices/%s/%s", names.names[i / 2],
                           attributes[i % 2]);
        if (rc == 0)
            rc = add_attribute(writer, path, err);
    }
    free(names.names);
    return rc;
}

int ws_capture_write(size_t *count, const struct ws_sysfs *fs, const char *path,
                     struct ws_error *err)
{
    static const char *const trees[] = {
        "devices/system/cpu/cpufreq",
        "class/devfreq",
        "class/hwmon",
        "class/powercap",
        "class/power_supply",
        "class/thermal",
        "bus/iio/devices",
        "kernel/debug/bpmp/debug/clk/emc",
        "kernel/debug/clk/emc",
        "kernel/debug/clk/override.emc",
    };
    static const char *const files[] = {
        "/proc/device-tree/model",
        "/proc/device-tree/compatible",
        "devices/system/cpu/present",
        "devices/system/cpu/online",
        "devices/virtual/dmi/id/product_name",
        "devices/platform/soc/soc:firmware/get_throttled",
    };
    struct ws_buf text;
    ws_buf_init(&text, 0);
    struct writer writer = {.fs = fs, .text = &text};
    int rc = ws_buf_add_text(&text, "# captured by wattshed doctor --capture\n", err);
    for (size_t i = 0; rc == 0 && i < sizeof(files) / sizeof(files[0]); i++)
        rc = add_attribute(&writer, files[i], err);
    for (size_t i = 0; rc == 0 && i < sizeof(trees) / sizeof(trees[0]); i++)
        rc = add_tree(&writer, trees[i], DEPTH_MAX, err);
    if (rc == 0)
        rc = add_processors(&writer, err);
    if (rc == 0)
        rc = add_usb(&writer, err);
    if (rc == 0)
        rc = ws_file_write(path, text.data, text.size, err);
    if (rc == 0)
        *count = writer.count;
    ws_buf_fini(&text);
    return rc;
}

/* --- unpacking --- */

static int unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '\\') {
            *to++ = *from;
        } else if (from[1] == 'n' || from[1] == '\\') {
            *to++ = from[1] == 'n' ? '\n' : '\\';
            from++;
        } else {
            return WS_E_FORMAT;
        }
    }
    *to = '\0';
    return 0;
}

static int make_file(const char *dir, const char *path, const char *text, mode_t mode,
                     struct ws_error *err)
{
    char full[4096];
    char parent[4096];
    int is_machine = path[0] == '/';
    char prefix[WS_SYSFS_PATH_MAX];
    int length =
        snprintf(full, sizeof(full), "%s%s%s", dir,
                 is_machine ? "" : ws_sysfs_name(prefix, sizeof(prefix), ""), path);
    if (length < 0 || (size_t)length >= sizeof(full))
        return ws_error_set(err, WS_E_LIMIT, "%s: path too long", path);
    memcpy(parent, full, (size_t)length + 1);
    *strrchr(parent, '/') = '\0';
    int rc = ws_dir_create(parent, err);
    if (rc != 0)
        return rc;
    int fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "create %s", full);
    rc = ws_file_write_fd(fd, text, strlen(text), err);
    if (rc == 0 && text[0] != '\0')
        rc = ws_file_write_fd(fd, "\n", 1, err);
    if (rc == 0 && fchmod(fd, mode) != 0)
        rc = ws_error_set_errno(err, WS_E_IO, errno, "set mode of %s", full);
    close(fd);
    return rc;
}

/* "rw PATH = TEXT"; the line is cut up. */
static int unpack_line(char *line, const char *dir, struct ws_error *err)
{
    static const struct {
        const char *word;
        mode_t mode;
    } modes[] = {{"ro ", 0444}, {"rw ", 0644}, {"wo ", 0200}};
    mode_t mode = 0;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strncmp(line, modes[i].word, 3) == 0)
            mode = modes[i].mode;
    }
    char *path = mode == 0 ? line : line + 3;
    char *text = strstr(path, " =");
    if (mode == 0 || text == NULL || text == path || strstr(path, "..") != NULL)
        return ws_error_set(err, WS_E_FORMAT, "expected \"rw PATH = TEXT\", got \"%s\"",
                            line);
    *text = '\0';
    text += 2;
    text += *text == ' ';
    if (unescape(text) != 0)
        return ws_error_set(err, WS_E_FORMAT, "%s: a backslash before neither n nor \\",
                            path);
    return make_file(dir, path, text, mode, err);
}

int ws_capture_unpack(const char *path, const char *dir, struct ws_error *err)
{
    struct ws_buf buf;
    ws_buf_init(&buf, WS_TEXT_FILE_MAX);
    int rc = ws_file_read(&buf, path, err);
    if (rc == 0)
        rc = ws_buf_reserve(&buf, 1, err); /* data is there even where it is empty */
    char *at = rc == 0 ? buf.data : NULL;
    size_t number = 0;
    for (char *line; rc == 0 && (line = strsep(&at, "\n")) != NULL;) {
        number++;
        if (line[0] == '#' || line[0] == '\0')
            continue;
        rc = unpack_line(line, dir, err);
        if (rc != 0)
            ws_error_context(err, "%s:%zu", path, number);
    }
    ws_buf_fini(&buf);
    return rc;
}
