#include "device/line.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

struct ws_line {
    char *host;
    char *port;
    int timeout_ms;
    int fd; /* -1: not connected */
};

int ws_line_create(struct ws_line **out, const char *host, const char *port,
                   int timeout_ms, struct ws_error *err)
{
    struct ws_line *line = calloc(1, sizeof(*line));
    if (line == NULL)
        return ws_error_nomem(err);
    line->fd = -1;
    line->timeout_ms = timeout_ms;
    line->host = strdup(host);
    line->port = strdup(port);
    if (line->host == NULL || line->port == NULL) {
        ws_line_destroy(line);
        return ws_error_nomem(err);
    }
    *out = line;
    return 0;
}

static void disconnect(struct ws_line *line)
{
    if (line->fd >= 0)
        close(line->fd);
    line->fd = -1;
}

void ws_line_destroy(struct ws_line *line)
{
    if (line == NULL)
        return;
    disconnect(line);
    free(line->host);
    free(line->port);
    free(line);
}

static int wait_for(struct ws_line *line, short events, int64_t until_ns,
                    struct ws_error *err)
{
    for (;;) {
        int64_t left_ns = until_ns - ws_clock_now_ns();
        struct pollfd poller = {.fd = line->fd, .events = events};
        int got = left_ns <= 0 ? 0 : poll(&poller, 1, (int)(left_ns / 1000000) + 1);
        if (got > 0)
            return 0;
        if (got == 0)
            return ws_error_set(err, WS_E_TIMEOUT, "%s:%s: no answer in %d ms",
                                line->host, line->port, line->timeout_ms);
        if (errno != EINTR)
            return ws_error_set_errno(err, WS_E_IO, errno, "%s:%s", line->host,
                                      line->port);
    }
}

static int connect_to(struct ws_line *line, const struct addrinfo *info, int64_t until_ns,
                      struct ws_error *err)
{
    int errnum = 0;
    socklen_t size = sizeof(errnum);
    line->fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (line->fd < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "open a socket");
    int rc = 0;
    if (connect(line->fd, info->ai_addr, info->ai_addrlen) != 0) {
        errnum = errno;
        if (errnum == EINPROGRESS) {
            rc = wait_for(line, POLLOUT, until_ns, err);
            (void)getsockopt(line->fd, SOL_SOCKET, SO_ERROR, &errnum, &size);
        }
        if (rc == 0 && errnum != 0)
            rc = ws_error_set_errno(err, WS_E_IO, errnum, "connect to %s:%s", line->host,
                                    line->port);
    }
    if (rc != 0)
        disconnect(line);
    return rc;
}

static int connect_any(struct ws_line *line, int64_t until_ns, struct ws_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (line->fd >= 0)
        return 0;
    int failed = getaddrinfo(line->host, line->port, &hints, &list);
    if (failed != 0)
        return ws_error_set(err, WS_E_IO, "%s:%s: %s", line->host, line->port,
                            gai_strerror(failed));
    int rc = WS_E_IO;
    for (const struct addrinfo *info = list; rc != 0 && info != NULL;
         info = info->ai_next)
        rc = connect_to(line, info, until_ns, err);
    freeaddrinfo(list);
    return rc;
}

static int send_all(struct ws_line *line, const char *text, int64_t until_ns,
                    struct ws_error *err)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t put = send(line->fd, text, left, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno != EAGAIN)
            return ws_error_set_errno(err, WS_E_IO, errno, "send to %s:%s", line->host,
                                      line->port);
        if (put > 0) {
            text += put;
            left -= (size_t)put;
            continue;
        }
        int rc = wait_for(line, POLLOUT, until_ns, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int receive_line(struct ws_line *line, struct ws_buf *answer, int64_t until_ns,
                        struct ws_error *err)
{
    for (;;) {
        char byte;
        int rc = wait_for(line, POLLIN, until_ns, err);
        if (rc != 0)
            return rc;
        ssize_t got = recv(line->fd, &byte, 1, 0);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return ws_error_set_errno(err, WS_E_IO, errno, "receive from %s:%s",
                                      line->host, line->port);
        if (got == 0)
            return ws_error_set(err, WS_E_IO, "%s:%s: closed before its answer ended",
                                line->host, line->port);
        if (byte == '\n')
            return 0;
        if (byte != '\r')
            rc = ws_buf_add(answer, &byte, 1, err);
        if (rc != 0)
            return rc;
    }
}

int ws_line_ask(void *user, struct ws_buf *answer, const char *question,
                struct ws_error *err)
{
    struct ws_line *line = user;
    size_t size = strlen(question);
    int64_t until_ns = ws_clock_now_ns() + (int64_t)line->timeout_ms * 1000000;
    int rc = connect_any(line, until_ns, err);
    if (rc != 0)
        return rc;
    rc = send_all(line, question, until_ns, err);
    if (rc == 0)
        rc = send_all(line, "\r\n", until_ns, err);
    if (rc == 0 && size > 0 && question[size - 1] == '?')
        rc = receive_line(line, answer, until_ns, err);
    /* A late answer must not be taken for the next one's. */
    if (rc != 0)
        disconnect(line);
    return rc;
}
