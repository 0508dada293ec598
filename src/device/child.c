#include "device/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

extern char **environ;

/* Starts argv with stdout at `fd` and stdin and stderr nowhere. */
static int start(pid_t *out, const char *const *argv, int fd, struct ws_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ws_error_nomem(err);
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return ws_error_nomem(err);
    }
    sigset_t none;
    sigemptyset(&none);
    int failed = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    failed |= posix_spawn_file_actions_adddup2(&actions, fd, 1);
    failed |= posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    failed |=
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    failed |= posix_spawnattr_setpgroup(&attr, 0);
    failed |= posix_spawnattr_setsigmask(&attr, &none);
    int rc = 0;
    if (failed != 0) {
        rc = ws_error_nomem(err);
    } else {
        /* The C library's signature; it changes none of the words. */
        union {
            const char *const *words;
            char *const *argv;
        } as = {.words = argv};
        int errnum = posix_spawnp(out, argv[0], &actions, &attr, as.argv, environ);
        if (errnum != 0)
            rc = ws_error_set_errno(err, errnum == ENOENT ? WS_E_NOT_FOUND : WS_E_IO,
                                    errnum, "run %s", argv[0]);
    }
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static int time_is_up(const char *name, struct ws_error *err)
{
    return ws_error_set(err, WS_E_TIMEOUT, "%s: took too long and was ended", name);
}

/* Reads until the child closes its output. */
static int collect(struct ws_buf *output, int fd, int64_t until_ns, const char *name,
                   struct ws_error *err)
{
    for (;;) {
        int64_t left_ns = until_ns - ws_clock_now_ns();
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        if (left_ns <= 0 || poll(&poller, 1, (int)(left_ns / 1000000) + 1) == 0)
            return time_is_up(name, err);
        char chunk[4096];
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ws_error_set_errno(err, WS_E_IO, errno, "read from %s", name);
        if (got == 0)
            return 0;
        int rc = output == NULL ? 0 : ws_buf_add(output, chunk, (size_t)got, err);
        if (rc != 0)
            return rc;
    }
}

/* Waits for the end, which may come after the output's. */
static int reap(pid_t pid, int64_t until_ns, const char *name, struct ws_error *err)
{
    int status = 0;
    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid)
            break;
        if (got < 0 && errno != EINTR)
            return ws_error_set_errno(err, WS_E_IO, errno, "wait for %s", name);
        if (ws_clock_now_ns() >= until_ns)
            return time_is_up(name, err);
        ws_clock_sleep_until(ws_clock_now_ns() + 200000);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFSIGNALED(status))
        return ws_error_set(err, WS_E_RUNTIME, "%s: ended by signal %d", name,
                            WTERMSIG(status));
    return ws_error_set(err, WS_E_RUNTIME, "%s: exit status %d", name,
                        WEXITSTATUS(status));
}

int ws_child_run(struct ws_buf *output, const char *const *argv, int timeout_ms,
                 struct ws_error *err)
{
    int64_t until_ns = ws_clock_now_ns() + (int64_t)timeout_ms * 1000000;
    int fds[2];
    pid_t pid = -1;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "run %s", argv[0]);
    int rc = start(&pid, argv, fds[1], err);
    close(fds[1]);
    if (rc == 0) {
        rc = collect(output, fds[0], until_ns, argv[0], err);
        if (rc == 0)
            rc = reap(pid, until_ns, argv[0], err);
        if (rc != 0 && rc != WS_E_RUNTIME) {
            kill(-pid, SIGKILL);
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        }
    }
    close(fds[0]);
    return rc;
}
