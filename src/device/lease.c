#include "device/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "device/child.h"

enum {
    ROUNDS =
        4, /* of restoring: bounds on each other need two, a core coming back three */
    COMMAND_MS = 10000,
};

/* An attribute's content, or a command to run (then path is NULL). */
struct original {
    char *path;
    char *text;
    char **argv; /* NULL-terminated */
};

struct ws_lease {
    struct ws_sysfs *fs;
    char *path;
    int lock_fd;
    struct original *originals; /* room for WS_LEASE_PATHS_MAX */
    size_t count;
    volatile size_t written; /* of them in the file; all a signal handler looks at */
    volatile sig_atomic_t ended;
};

static struct ws_lease *signal_lease;

static void argv_free(char **argv)
{
    for (size_t i = 0; argv != NULL && argv[i] != NULL; i++)
        free(argv[i]);
    free(argv);
}

static void forget(struct ws_lease *lease)
{
    lease->written = 0;
    for (size_t i = 0; i < lease->count; i++) {
        free(lease->originals[i].path);
        free(lease->originals[i].text);
        argv_free(lease->originals[i].argv);
    }
    lease->count = 0;
}

/* A folder that only we can write: what lies in it will be written to the hardware. */
static int private_dir(const char *dir, struct ws_error *err)
{
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return ws_error_set_errno(err, WS_E_IO, errno, "create directory %s", dir);
    if (lstat(dir, &st) != 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "stat %s", dir);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        return ws_error_set(err, WS_E_IO, "%s: not a directory that only we can write",
                            dir);
    return 0;
}

int ws_lease_default_path(char *out, size_t size, struct ws_error *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char dir[WS_SYSFS_PATH_MAX];
    int length;
    if (geteuid() == 0)
        length = snprintf(dir, sizeof(dir), "/run/wattshed");
    else if (runtime != NULL && runtime[0] == '/')
        length = snprintf(dir, sizeof(dir), "%s/wattshed", runtime);
    else
        length = snprintf(dir, sizeof(dir), "/tmp/wattshed-%u", (unsigned)geteuid());
    if (length < 0 || (size_t)length >= sizeof(dir))
        return ws_error_set(err, WS_E_LIMIT, "%s: path too long", runtime);
    int rc = private_dir(dir, err);
    if (rc != 0)
        return rc;
    length = snprintf(out, size, "%s/lease.json", dir);
    if (length < 0 || (size_t)length >= size)
        return ws_error_set(err, WS_E_LIMIT, "%s: path too long", dir);
    return 0;
}

static int is_kept(const struct ws_lease *lease, const char *path)
{
    for (size_t i = 0; i < lease->count; i++) {
        if (lease->originals[i].path != NULL &&
            strcmp(lease->originals[i].path, path) == 0)
            return 1;
    }
    return 0;
}

/* Takes over what `original` owns, in success and failure. */
static int keep_original(struct ws_lease *lease, struct original original,
                         struct ws_error *err)
{
    int rc = 0;
    if ((original.path == NULL || original.text == NULL) && original.argv == NULL)
        rc = ws_error_nomem(err);
    else if (lease->count == WS_LEASE_PATHS_MAX)
        rc = ws_error_set(err, WS_E_LIMIT, "a lease of more than %d originals",
                          WS_LEASE_PATHS_MAX);
    if (rc == 0) {
        lease->originals[lease->count++] = original;
        return 0;
    }
    free(original.path);
    free(original.text);
    argv_free(original.argv);
    return rc;
}

int ws_lease_keep(struct ws_lease *lease, const char *path, struct ws_error *err)
{
    if (is_kept(lease, path))
        return 0;
    char text[WS_SYSFS_TEXT_MAX];
    int rc = ws_sysfs_read(text, sizeof(text), lease->fs, path, err);
    if (rc != 0)
        return rc;
    /* What scaling_setspeed says while it has no say; writing that back is refused. */
    if (strcmp(text, "<unsupported>") == 0)
        return 0;
    return keep_original(lease, (struct original){strdup(path), strdup(text), NULL}, err);
}

int ws_lease_keep_command(struct ws_lease *lease, const char *const *argv,
                          struct ws_error *err)
{
    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    char **copy = calloc(count + 1, sizeof(*copy));
    if (copy == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        copy[i] = strdup(argv[i]);
        if (copy[i] == NULL) {
            argv_free(copy);
            return ws_error_nomem(err);
        }
    }
    return keep_original(lease, (struct original){.argv = copy}, err);
}

static void boot_id(char *out, size_t size, const struct ws_sysfs *fs)
{
    if (ws_machine_read(out, size, fs, "proc/sys/kernel/random/boot_id", NULL) != 0)
        out[0] = '\0';
}

static json_t *original_json(const struct original *original)
{
    if (original->path != NULL)
        return json_pack("{s:s, s:s}", "path", original->path, "text", original->text);
    json_t *argv = json_array();
    for (size_t i = 0; original->argv[i] != NULL; i++)
        json_array_append_new(argv, json_string(original->argv[i]));
    return json_pack("{s:o}", "command", argv);
}

int ws_lease_commit(struct ws_lease *lease, struct ws_error *err)
{
    if (lease->written == lease->count)
        return 0;
    char boot[64];
    boot_id(boot, sizeof(boot), lease->fs);
    json_t *list = json_array();
    for (size_t i = 0; i < lease->count; i++) {
        if (json_array_append_new(list, original_json(&lease->originals[i])) != 0) {
            json_decref(list);
            return ws_error_nomem(err);
        }
    }
    json_t *root = json_pack("{s:i, s:i, s:s, s:o}", "wattshed_lease", 1, "pid",
                             (int)getpid(), "boot", boot, "originals", list);
    if (root == NULL)
        return ws_error_nomem(err);
    int rc = ws_json_write(lease->path, root, err);
    json_decref(root);
    if (rc == 0)
        lease->written = lease->count;
    return rc;
}

int ws_lease_ended(const struct ws_lease *lease)
{
    return lease->ended != 0;
}

/* Reads one entry of the file. Paths must stay below sysfs. */
static int load_original(struct ws_lease *lease, const struct ws_json *entry,
                         struct ws_error *err)
{
    struct ws_json member;
    const char *path = NULL;
    const char *text = NULL;
    if (ws_json_find(&member, entry, "command")) {
        const char *argv[64] = {NULL};
        size_t count = ws_json_count(&member);
        if (count == 0 || count >= sizeof(argv) / sizeof(argv[0]))
            return ws_json_fail(&member, WS_E_FORMAT, err, "%zu words", count);
        for (size_t i = 0; i < count; i++) {
            struct ws_json word = ws_json_at(&member, i);
            int rc = ws_json_string(&argv[i], &word, err);
            if (rc != 0)
                return rc;
        }
        return ws_lease_keep_command(lease, argv, err);
    }
    int rc = ws_json_get_string(&path, entry, "path", err);
    if (rc == 0)
        rc = ws_json_get_string(&text, entry, "text", err);
    if (rc != 0)
        return rc;
    if (path[0] == '/' || strstr(path, "..") != NULL)
        return ws_json_fail(entry, WS_E_FORMAT, err, "%s is not below sysfs", path);
    return keep_original(lease, (struct original){strdup(path), strdup(text), NULL}, err);
}

/* Loads what a dead holder left. From before the last boot only commands: attributes are
 * the machine's own again, but what a command set may have outlived it, as nvpmodel's
 * mode does. */
static int load(struct ws_lease *lease, struct ws_error *err)
{
    struct ws_json_doc doc = {0};
    struct ws_json list;
    const char *boot = NULL;
    char boot_now[64];
    int rc = ws_json_load(&doc, lease->path, err);
    if (rc != 0)
        return rc;
    struct ws_json root = ws_json_root(&doc);
    int64_t version = 0;
    rc = ws_json_get_i64(&version, &root, "wattshed_lease", 1, 1, err);
    if (rc == 0)
        rc = ws_json_get_string(&boot, &root, "boot", err);
    if (rc == 0)
        rc = ws_json_member(&list, &root, "originals", err);
    if (rc == 0)
        rc = ws_json_array(&list, err);
    boot_id(boot_now, sizeof(boot_now), lease->fs);
    int is_old = rc == 0 && strcmp(boot, boot_now) != 0;
    for (size_t i = 0; rc == 0 && i < ws_json_count(&list); i++) {
        struct ws_json entry = ws_json_at(&list, i);
        struct ws_json path;
        if (!is_old || !ws_json_find(&path, &entry, "path"))
            rc = load_original(lease, &entry, err);
    }
    lease->written = lease->count;
    ws_json_doc_fini(&doc);
    if (rc != 0)
        forget(lease);
    return rc;
}

static int lock(struct ws_lease *lease, struct ws_error *err)
{
    char path[WS_SYSFS_PATH_MAX + 8];
    int length = snprintf(path, sizeof(path), "%s.lock", lease->path);
    if (length < 0 || (size_t)length >= sizeof(path))
        return ws_error_set(err, WS_E_LIMIT, "%s: path too long", lease->path);
    lease->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lease->lock_fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "open %s", path);
    if (flock(lease->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return ws_error_set(err, WS_E_BUSY,
                            "%s: another process has set this machine's knobs",
                            lease->path);
    return ws_error_set_errno(err, WS_E_IO, errno, "lock %s", path);
}

static void lease_free(struct ws_lease *lease)
{
    if (lease == NULL)
        return;
    if (signal_lease == lease)
        signal_lease = NULL;
    forget(lease);
    free(lease->originals);
    if (lease->lock_fd >= 0)
        close(lease->lock_fd);
    free(lease->path);
    free(lease);
}

int ws_lease_open(struct ws_lease **out, struct ws_lease_report *report,
                  struct ws_sysfs *fs, const char *path, struct ws_error *err)
{
    struct ws_lease *lease = calloc(1, sizeof(*lease));
    if (lease == NULL)
        return ws_error_nomem(err);
    int rc = 0;
    lease->fs = fs;
    lease->lock_fd = -1;
    lease->path = strdup(path);
    lease->originals = calloc(WS_LEASE_PATHS_MAX, sizeof(*lease->originals));
    if (lease->path == NULL || lease->originals == NULL)
        rc = ws_error_nomem(err);
    if (rc == 0)
        rc = lock(lease, err);
    if (report != NULL)
        *report = (struct ws_lease_report){0};
    if (rc == 0 && access(path, F_OK) == 0) {
        rc = load(lease, err);
        if (rc == 0)
            rc = ws_lease_restore(lease, report, err);
    }
    if (rc == 0) {
        *out = lease;
        lease = NULL;
    }
    lease_free(lease);
    return rc;
}

/* Commands, each once and before the attributes, which one may set anew. Returns how many
 * failed, the first one's line in `first`. */
static size_t run_commands(struct ws_lease *lease, struct ws_lease_report *did,
                           struct ws_error *first)
{
    size_t failed = 0;
    for (size_t i = 0; i < lease->count; i++) {
        struct ws_error here = {0};
        if (lease->originals[i].path != NULL)
            continue;
        int rc = ws_child_run(NULL, (const char *const *)lease->originals[i].argv,
                              COMMAND_MS, &here);
        did->restored += rc == 0;
        /* A program that has gone would hold up every knob of the machine for good. */
        if (rc != 0 && rc != WS_E_NOT_FOUND && failed++ == 0)
            *first = here;
    }
    return failed;
}

/* One attribute: 0 if it is (now) in place. */
static int give_back(struct ws_lease *lease, struct original *original, int *written,
                     struct ws_error *err)
{
    char text[WS_SYSFS_TEXT_MAX];
    int rc = ws_sysfs_read(text, sizeof(text), lease->fs, original->path, err);
    if (rc == WS_E_NOT_FOUND || (rc == 0 && strcmp(text, original->text) == 0))
        return rc;
    rc = ws_sysfs_write(lease->fs, original->path, original->text, err);
    *written = rc == 0;
    if (rc == 0)
        rc = ws_sysfs_read(text, sizeof(text), lease->fs, original->path, err);
    if (rc == 0 && strcmp(text, original->text) != 0)
        rc = ws_error_set(err, WS_E_MISMATCH, "%s: \"%s\" was written and it says \"%s\"",
                          original->path, original->text, text);
    return rc;
}

int ws_lease_restore(struct ws_lease *lease, struct ws_lease_report *report,
                     struct ws_error *err)
{
    struct ws_lease_report did = {0};
    struct ws_error first = {0};
    size_t undone = run_commands(lease, &did, &first);
    size_t failed = undone;
    for (int round = 0; round < ROUNDS; round++) {
        failed = undone;
        did.vanished = 0;
        size_t before = did.restored;
        for (size_t i = 0; i < lease->count; i++) {
            struct ws_error here = {0};
            int written = 0;
            if (lease->originals[i].path == NULL)
                continue;
            int rc = give_back(lease, &lease->originals[i], &written, &here);
            did.restored += written != 0;
            did.vanished += rc == WS_E_NOT_FOUND;
            if (rc != 0 && rc != WS_E_NOT_FOUND && failed++ == 0)
                first = here;
        }
        if (failed == undone && did.restored == before)
            break;
    }
    if (report != NULL)
        *report = did;
    if (failed > 0)
        return ws_error_set(err, WS_E_IO, "give back %zu of %zu originals: %s", failed,
                            lease->count, first.text);
    forget(lease);
    if (unlink(lease->path) != 0 && errno != ENOENT)
        return ws_error_set_errno(err, WS_E_IO, errno, "remove %s", lease->path);
    return 0;
}

static void on_signal(int number)
{
    struct ws_lease *lease = signal_lease;
    if (lease != NULL) {
        int has_command = 0;
        lease->ended = 1;
        for (int round = 0; round < ROUNDS; round++) {
            for (size_t i = 0; i < lease->written; i++) {
                const struct original *original = &lease->originals[i];
                if (original->path == NULL)
                    has_command = 1;
                else
                    ws_sysfs_write_raw(lease->fs, original->path, original->text);
            }
        }
        if (!has_command)
            unlink(lease->path);
    }
    /* SA_RESETHAND has put the default back: now it kills. */
    raise(number);
}

int ws_lease_catch_signals(struct ws_lease *lease, struct ws_error *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    signal_lease = lease;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction action = {.sa_handler = on_signal,
                                   .sa_flags = (int)SA_RESETHAND};
        struct sigaction before;
        sigemptyset(&action.sa_mask);
        if (sigaction(numbers[i], NULL, &before) != 0)
            return ws_error_set_errno(err, WS_E_IO, errno, "signal %d", numbers[i]);
        if (before.sa_handler == SIG_DFL && sigaction(numbers[i], &action, NULL) != 0)
            return ws_error_set_errno(err, WS_E_IO, errno, "signal %d", numbers[i]);
    }
    return 0;
}

int ws_lease_close(struct ws_lease *lease, struct ws_error *err)
{
    if (lease == NULL)
        return 0;
    struct ws_lease_report report;
    int rc = ws_lease_restore(lease, &report, err);
    if (rc != 0)
        ws_log(WS_LOG_WARNING, "%s stays: not everything could be given back",
               lease->path);
    lease_free(lease);
    return rc;
}
