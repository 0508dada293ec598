#include "board.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/parse.h"
#include "check.h"
#include "device/capture.h"

static void full_path(char *out, size_t size, struct board *board, const char *path)
{
    (void)snprintf(out, size, "%s/sys/%s", board->dir, path);
}

void board_put(struct board *board, const char *path, const char *text)
{
    char full[1024];
    char parent[1024];
    full_path(full, sizeof(full), board, path);
    if (text == NULL) {
        assert_int_equal(unlink(full), 0);
        return;
    }
    memcpy(parent, full, strlen(full) + 1);
    *strrchr(parent, '/') = '\0';
    assert_int_equal(ws_dir_create(parent, NULL), 0);
    /* At once: a kernel shows no half-written attribute, whoever is killed. */
    (void)snprintf(parent, sizeof(parent), "%s/new", board->dir);
    FILE *file = fopen(parent, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(rename(parent, full), 0);
}

const char *board_get(char *out, size_t size, struct board *board, const char *path)
{
    assert_int_equal(ws_sysfs_read(out, size, board->fs, path, NULL), 0);
    return out;
}

/* The number in `dir`/`name`, or `otherwise`. */
static int64_t number(struct board *board, const char *dir, const char *name,
                      int64_t otherwise)
{
    char path[WS_SYSFS_PATH_MAX];
    int64_t value = otherwise;
    assert_int_equal(ws_sysfs_path(path, NULL, "%s/%s", dir, name), 0);
    if (ws_sysfs_read_i64(&value, board->fs, path, 0, INT64_MAX, NULL) != 0)
        return otherwise;
    return value;
}

static void set_number(struct board *board, const char *dir, const char *name,
                       int64_t value)
{
    char path[WS_SYSFS_PATH_MAX];
    char text[32];
    assert_int_equal(ws_sysfs_path(path, NULL, "%s/%s", dir, name), 0);
    (void)snprintf(text, sizeof(text), "%" PRId64 "\n", value);
    board_put(board, path, text);
}

static int64_t within(int64_t x, int64_t min, int64_t max)
{
    return x < min ? min : x > max ? max : x;
}

/* A policy of cpufreq. */
static int write_policy(struct board *board, const char *dir, const char *name,
                        const char *text)
{
    char governor[64] = "";
    char path[WS_SYSFS_PATH_MAX];
    int64_t value = 0;
    int64_t min = number(board, dir, "scaling_min_freq", 0);
    int64_t max = number(board, dir, "scaling_max_freq", INT64_MAX);
    int64_t now = number(board, dir, "scaling_cur_freq", 0);
    assert_int_equal(ws_sysfs_path(path, NULL, "%s/scaling_governor", dir), 0);
    (void)ws_sysfs_read(governor, sizeof(governor), board->fs, path, NULL);
    if (strcmp(name, "scaling_governor") == 0) {
        char governors[WS_SYSFS_TEXT_MAX];
        assert_int_equal(ws_sysfs_path(path, NULL, "%s/scaling_available_governors", dir),
                         0);
        board_get(governors, sizeof(governors), board, path);
        if (strstr(governors, text) == NULL)
            return -EINVAL;
        assert_int_equal(ws_sysfs_path(path, NULL, "%s/scaling_setspeed", dir), 0);
        if (strcmp(text, "userspace") == 0)
            set_number(board, dir, "scaling_setspeed", now);
        else
            board_put(board, path, "<unsupported>\n");
        assert_int_equal(ws_sysfs_path(path, NULL, "%s/%s", dir, name), 0);
        board_put(board, path, text);
        return 1;
    }
    if (ws_parse_i64(&value, text, 0, INT64_MAX, "value", NULL) != 0)
        return -EINVAL;
    if (strcmp(name, "scaling_min_freq") == 0) {
        if (value > max)
            return -EINVAL;
        min = value;
    } else if (strcmp(name, "scaling_max_freq") == 0) {
        if (value < min)
            return -EINVAL;
        if (board->cap_khz != 0 && value > board->cap_khz)
            value = board->cap_khz;
        max = value;
    } else if (strcmp(governor, "userspace") != 0) {
        return -EINVAL;
    } else {
        now = value;
    }
    now = within(now, min, max);
    if (board->cap_khz != 0 && now > board->cap_khz)
        now = board->cap_khz;
    set_number(board, dir, "scaling_cur_freq", now);
    set_number(board, dir, name, value);
    return 1;
}

static int write_devfreq(struct board *board, const char *dir, const char *name,
                         const char *text)
{
    int64_t value = 0;
    if (ws_parse_i64(&value, text, 0, INT64_MAX, "value", NULL) != 0)
        return -EINVAL;
    if (strcmp(name, "min_freq") == 0 && value > number(board, dir, "max_freq", 0))
        return -EINVAL;
    if (strcmp(name, "max_freq") == 0 && value < number(board, dir, "min_freq", 0))
        return -EINVAL;
    return 0;
}

static int simulate(void *user, const char *path, const char *text)
{
    struct board *board = user;
    char dir[WS_SYSFS_PATH_MAX];
    board->writes++;
    if (board->refuse != NULL && strstr(path, board->refuse) != NULL)
        return -board->refuse_errno;
    if (!ws_sysfs_exists(board->fs, path))
        return -ENOENT;
    assert_int_equal(ws_sysfs_path(dir, NULL, "%s", path), 0);
    char *slash = strrchr(dir, '/');
    *slash = '\0';
    if (strstr(path, "cpufreq/policy") != NULL)
        return write_policy(board, dir, slash + 1, text);
    if (strstr(path, "class/devfreq/") != NULL) {
        int refused = write_devfreq(board, dir, slash + 1, text);
        if (refused != 0)
            return refused;
    }
    if (strcmp(slash + 1, "clk_update_rate") == 0)
        board_put(board, "kernel/debug/clk/emc/clk_rate", text);
    board_put(board, path, text);
    return 1;
}

void board_settle(struct board *board)
{
    struct ws_sysfs_names names = {0};
    char path[WS_SYSFS_PATH_MAX];
    char governor[64];
    const char *dir = "devices/system/cpu/cpufreq";
    assert_int_equal(ws_sysfs_list(&names, board->fs, dir, NULL), 0);
    for (size_t i = 0; i < names.count; i++) {
        assert_int_equal(
            ws_sysfs_path(path, NULL, "%s/%s/scaling_governor", dir, names.names[i]), 0);
        board_get(governor, sizeof(governor), board, path);
        assert_int_equal(
            ws_sysfs_path(path, NULL, "%s/%s/scaling_setspeed", dir, names.names[i]), 0);
        if (strcmp(governor, "userspace") != 0)
            board_put(board, path, "<unsupported>\n");
    }
    free(names.names);
}

void board_open(struct board *board, const char *name)
{
    struct ws_error err = {0};
    char path[4096];
    *board = (struct board){0};
    (void)snprintf(board->dir, sizeof(board->dir), "/tmp/wattshed-board-XXXXXX");
    assert_non_null(mkdtemp(board->dir));
    (void)snprintf(board->lease, sizeof(board->lease), "%s/lease.json", board->dir);
    (void)snprintf(path, sizeof(path), "%s/sys", board->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    if (name != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s/tree.txt", getenv("WS_DEVICES"), name);
        if (ws_capture_unpack(path, board->dir, &err) != 0)
            fail_msg("%s", err.text);
    }
    assert_int_equal(ws_sysfs_open(&board->fs, board->dir, NULL), 0);
    ws_sysfs_set_simulation(board->fs, simulate, board);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void board_close(struct board *board)
{
    ws_sysfs_close(board->fs);
    assert_int_equal(nftw(board->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static struct ws_buf *picture;

static int add_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (flag != FTW_F)
        return 0;
    if (ws_buf_printf(picture, NULL, "%s: ", path) != 0 ||
        ws_file_read(picture, path, NULL) != 0)
        return -1;
    /* A value written back lacks the line break the kernel would show. */
    while (picture->size > 0 && picture->data[picture->size - 1] == '\n')
        picture->size--;
    return ws_buf_add_text(picture, "\n", NULL);
}

static int order_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *board_picture(struct board *board)
{
    struct ws_buf buf;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/sys", board->dir);
    ws_buf_init(&buf, 0);
    picture = &buf;
    assert_int_equal(nftw(path, add_one, 16, FTW_PHYS), 0);
    /* Folders are read in any order. */
    char *lines[4096];
    size_t count = 0;
    char *rest = NULL;
    char *copy = strdup(buf.data);
    assert_non_null(copy);
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        lines[count++] = line;
    qsort(lines, count, sizeof(lines[0]), order_lines);
    ws_buf_clear(&buf);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ws_buf_printf(&buf, NULL, "%s\n", lines[i]), 0);
    free(copy);
    return ws_buf_take(&buf);
}

char *board_settings(struct board *board)
{
    char *all = board_picture(board);
    char *kept = calloc(1, strlen(all) + 1);
    char *rest = NULL;
    assert_non_null(kept);
    for (char *line = strtok_r(all, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strstr(line, "cur_freq") != NULL || strstr(line, "setspeed") != NULL)
            continue;
        memcpy(kept + strlen(kept), line, strlen(line) + 1);
        memcpy(kept + strlen(kept), "\n", 2);
    }
    free(all);
    return kept;
}
