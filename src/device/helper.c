/* The process that may write sysfs. */
#include "device/helper.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

enum { BACKLOG = 8, QUESTION_MAX = 256 };

int ws_helper_listen(int *out_fd, const char *path, struct ws_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    size_t size = strlen(path);
    if (size >= sizeof(address.sun_path))
        return ws_error_set(err, WS_E_LIMIT, "%s: too long a path for a socket", path);
    memcpy(address.sun_path, path, size + 1);
    /* Only a socket is ever removed. */
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(path, 0666) != 0 || listen(fd, BACKLOG) != 0) {
        int rc = ws_error_set_errno(err, WS_E_IO, errno, "listen on %s", path);
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    *out_fd = fd;
    return 0;
}

static int say(int fd, const char *text)
{
    size_t size = strlen(text);
    return send(fd, text, size, MSG_NOSIGNAL) == (ssize_t)size ? 0 : WS_E_IO;
}

/* A knob as a line of the answer to "list", its allowed values alone; 0 where none is. */
static int describe(char *out, size_t size, const struct ws_knob *knob,
                    const struct ws_helper_list *list)
{
    size_t used = 0, count = 0;
    int put = snprintf(out, size, "knob %s %s", knob->name,
                       knob->kind == WS_KIND_ORDERED ? "ordered" : "nominal");
    for (size_t v = 0; put > 0 && (size_t)put < size - used && v < knob->value_count;
         v++) {
        const char *text = knob->values[v].text;
        if (!ws_helper_allows(list, knob->name, text) || strchr(text, ' ') != NULL)
            continue;
        used += (size_t)put;
        put = snprintf(out + used, size - used, " %s", text);
        count++;
    }
    return count > 0 && put > 0 && (size_t)put < size - used;
}

static int answer_list(int fd, const struct ws_helper_options *options)
{
    static char line[WS_HELPER_MESSAGE_MAX];
    const struct ws_space *space = ws_device_space(options->device);
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < space->knob_count; k++) {
        if (describe(line, sizeof(line), &space->knobs[k], options->list))
            rc = say(fd, line);
    }
    return rc == 0 ? say(fd, "end") : rc;
}

static void refuse(char *reply, size_t size, const char *reason)
{
    (void)snprintf(reply, size, "refused %s", reason);
}

static void answer_get(char *reply, size_t size, struct ws_device *device, size_t knob)
{
    struct ws_error err = {0};
    char now[64];
    if (ws_device_current(now, sizeof(now), device, knob, &err) == 0)
        (void)snprintf(reply, size, "ok %s", now);
    else
        refuse(reply, size, err.text);
}

static void answer_set(char *reply, size_t size, struct ws_device *device, size_t knob,
                       size_t value)
{
    /* A space of this one knob, so that no other is touched. */
    struct ws_knob *one = &ws_device_space(device)->knobs[knob];
    const struct ws_space space = {.knobs = one, .knob_count = 1};
    struct ws_setting setting = {.value = {0}};
    static struct ws_device_report report;
    struct ws_error err = {0};
    setting.value[0] = (uint16_t)value;
    if (ws_device_apply(device, &report, &space, &setting, &err) != 0)
        refuse(reply, size, err.text);
    else if (report.knobs[0].applied == WS_APPLIED_REFUSED ||
             report.knobs[0].applied == WS_APPLIED_ABSENT)
        refuse(reply, size, report.knobs[0].reason);
    else
        (void)snprintf(reply, size, "ok %s",
                       report.knobs[0].achieved[0] != '\0' ? report.knobs[0].achieved
                                                           : one->values[value].text);
}

void ws_helper_answer(char *reply, size_t size, struct ws_device *device,
                      const struct ws_helper_list *list, const char *message)
{
    char copy[QUESTION_MAX];
    char *rest = NULL;
    size_t knob = 0, value = 0;
    const struct ws_space *space = ws_device_space(device);
    if (strlen(message) >= sizeof(copy)) {
        refuse(reply, size, "too long a message");
        return;
    }
    (void)snprintf(copy, sizeof(copy), "%s", message);
    const char *verb = strtok_r(copy, " ", &rest);
    const char *name = strtok_r(NULL, " ", &rest);
    const char *text = strtok_r(NULL, " ", &rest);
    int is_set = verb != NULL && strcmp(verb, "set") == 0;
    int is_get = verb != NULL && strcmp(verb, "get") == 0;
    if (!(is_set && text != NULL) && !(is_get && name != NULL && text == NULL))
        refuse(reply, size, "expected list, get NAME or set NAME VALUE");
    else if (strtok_r(NULL, " ", &rest) != NULL)
        refuse(reply, size, "a word too many");
    else if (ws_space_find(&knob, space, name, NULL) != 0)
        refuse(reply, size, "no such knob here");
    else if (is_get)
        answer_get(reply, size, device, knob);
    else if (ws_knob_find(&value, &space->knobs[knob], text, NULL) != 0)
        refuse(reply, size, "none of its values");
    else if (!ws_helper_allows(list, name, text))
        refuse(reply, size, "not on the list of allowed settings");
    else
        answer_set(reply, size, device, knob, value);
}

/* One message of a client; not 0 where it is gone or makes no sense. */
static int serve_message(const struct ws_helper_options *options, int fd)
{
    char message[QUESTION_MAX + 1], reply[WS_ERROR_TEXT_MAX + 16];
    ssize_t size = recv(fd, message, sizeof(message) - 1, 0);
    if (size <= 0)
        return WS_E_END;
    message[size] = '\0';
    if (strlen(message) != (size_t)size)
        return say(fd, "refused a NUL in the message");
    if (strcmp(message, "list") == 0)
        return answer_list(fd, options);
    ws_helper_answer(reply, sizeof(reply), options->device, options->list, message);
    return say(fd, reply);
}

/* Whether the kernel's word for who is at the other end is one of ours; if not, it is
 * told so. */
static int is_allowed_user(const struct ws_helper_options *options, int fd)
{
    char denial[64];
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return 0;
    if (options->serves(options->user, peer.uid))
        return 1;
    ws_log(WS_LOG_WARNING, "turned user %u away", (unsigned)peer.uid);
    (void)snprintf(denial, sizeof(denial), "denied user %u is not served",
                   (unsigned)peer.uid);
    (void)say(fd, denial);
    return 0;
}

/* The next client, if it is one of ours and nobody is served yet. */
static void take_client(const struct ws_helper_options *options, int *client_fd)
{
    int fd = accept4(options->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (is_allowed_user(options, fd)) {
        if (*client_fd >= 0) {
            (void)say(fd, "busy another process holds the knobs");
        } else if (say(fd, "hello") == 0) {
            *client_fd = fd;
            return;
        }
    }
    (void)close(fd);
}

static void end_client(const struct ws_helper_options *options, int *client_fd)
{
    struct ws_error err = {0};
    (void)close(*client_fd);
    *client_fd = -1;
    if (ws_device_restore(options->device, &err) != 0)
        ws_log(WS_LOG_ERROR, "%s", err.text);
}

int ws_helper_run(const struct ws_helper_options *options, struct ws_error *err)
{
    int client_fd = -1, rc = 0;
    for (;;) {
        struct pollfd fds[] = {{.fd = options->stop_fd, .events = POLLIN},
                               {.fd = options->listen_fd, .events = POLLIN},
                               {.fd = client_fd, .events = POLLIN}};
        if (poll(fds, 3, -1) < 0) {
            if (errno == EINTR)
                continue;
            rc = ws_error_set_errno(err, WS_E_IO, errno, "poll");
            break;
        }
        if (fds[0].revents != 0)
            break;
        if (client_fd >= 0 && fds[2].revents != 0 &&
            serve_message(options, client_fd) != 0)
            end_client(options, &client_fd);
        if (fds[1].revents != 0)
            take_client(options, &client_fd);
    }
    if (client_fd >= 0)
        end_client(options, &client_fd);
    return rc;
}
