/* Knobs of a helper process, which may write what this one may not. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "device/device_impl.h"
#include "device/helper.h"

enum { PATIENCE_S = 10 };

/* The connection, shared by all knobs behind it. */
struct line {
    int fd;
    size_t users;
};

struct second_hand {
    struct ws_actuator base;
    struct line *line;
    char *name;
};

static void line_release(struct line *line)
{
    if (--line->users > 0)
        return;
    (void)close(line->fd);
    free(line);
}

static void destroy(struct ws_actuator *actuator)
{
    struct second_hand *knob = (struct second_hand *)actuator;
    line_release(knob->line);
    free(knob->name);
    free(knob);
}

/* The next message; its length in *out_size. */
static int hear(char *text, size_t size, int fd, struct ws_error *err)
{
    ssize_t got = recv(fd, text, size - 1, 0);
    if (got < 0)
        return ws_error_set_errno(err, WS_E_IO, errno, "the knob helper");
    if (got == 0)
        return ws_error_set(err, WS_E_IO, "the knob helper has gone");
    text[got] = '\0';
    if (strncmp(text, "denied ", 7) == 0)
        return ws_error_set(err, WS_E_DENIED, "the knob helper: %.200s", text + 7);
    if (strncmp(text, "busy ", 5) == 0)
        return ws_error_set(err, WS_E_BUSY, "the knob helper: %.200s", text + 5);
    if (strncmp(text, "refused ", 8) == 0)
        return ws_error_set(err, WS_E_IO, "the knob helper: %.300s", text + 8);
    return 0;
}

/* One question; the answer's text behind "ok ". */
static int ask(char *out, size_t size, const struct second_hand *knob, const char *verb,
               const char *value, struct ws_error *err)
{
    char question[256], reply[WS_ERROR_TEXT_MAX + 16];
    int length = snprintf(question, sizeof(question), "%s %s%s%s", verb, knob->name,
                          value != NULL ? " " : "", value != NULL ? value : "");
    if (length < 0 || (size_t)length >= sizeof(question))
        return ws_error_set(err, WS_E_LIMIT, "%s: too long a value", knob->name);
    if (send(knob->line->fd, question, (size_t)length, MSG_NOSIGNAL) != length)
        return ws_error_set_errno(err, WS_E_IO, errno, "the knob helper");
    int rc = hear(reply, sizeof(reply), knob->line->fd, err);
    if (rc == 0 && strncmp(reply, "ok ", 3) != 0)
        rc = ws_error_set(err, WS_E_FORMAT, "the knob helper answered \"%.64s\"", reply);
    if (rc == 0)
        (void)snprintf(out, size, "%s", reply + 3);
    return rc;
}

static int set(struct ws_actuator *actuator, struct ws_device *device, size_t value,
               struct ws_error *err)
{
    const struct second_hand *knob = (const struct second_hand *)actuator;
    const char *text = ws_device_value(device, actuator, value);
    char now[64];
    if (ask(now, sizeof(now), knob, "get", NULL, NULL) == 0 && strcmp(now, text) == 0)
        return 0;
    device->write_count++;
    return ask(now, sizeof(now), knob, "set", text, err);
}

static int get(char *out, size_t size, const struct ws_actuator *actuator,
               struct ws_device *device, struct ws_error *err)
{
    (void)device;
    return ask(out, size, (const struct second_hand *)actuator, "get", NULL, err);
}

static const struct ws_actuator_ops ops = {.set = set, .get = get, .destroy = destroy};

/* The helper gives the originals back when the connection ends; between two settings of
 * one process nothing needs to be given back here. */

/* "knob NAME KIND VALUE ...", taken apart in place. */
static int add_knob(struct ws_device *device, struct line *line, char *text,
                    struct ws_error *err)
{
    const char **values = calloc(WS_KNOB_VALUES_MAX, sizeof(*values));
    struct second_hand *knob = calloc(1, sizeof(*knob));
    char *rest = NULL;
    size_t count = 0;
    (void)strtok_r(text, " ", &rest);
    const char *name = strtok_r(NULL, " ", &rest);
    const char *kind = strtok_r(NULL, " ", &rest);
    char *word = kind != NULL ? strtok_r(NULL, " ", &rest) : NULL;
    for (; values != NULL && word != NULL && count < WS_KNOB_VALUES_MAX;
         word = strtok_r(NULL, " ", &rest))
        values[count++] = word;
    int rc = 0;
    if (values == NULL || knob == NULL)
        rc = ws_error_nomem(err);
    else if (count == 0 || word != NULL)
        rc = ws_error_set(err, WS_E_FORMAT,
                          "the knob helper lists a knob with %zu values", count);
    else if ((knob->name = strdup(name)) == NULL)
        rc = ws_error_nomem(err);
    if (rc != 0) {
        free(knob);
    } else {
        knob->base = (struct ws_actuator){.ops = &ops, .rank = WS_RANK_OTHER};
        knob->line = line;
        line->users++;
        rc = ws_device_add(device, &knob->base, name,
                           strcmp(kind, "ordered") == 0 ? WS_KIND_ORDERED
                                                        : WS_KIND_NOMINAL,
                           values, count, err);
    }
    free(values);
    return rc;
}

static int connect_to(int *out_fd, const char *path, struct ws_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    size_t size = strlen(path);
    if (size >= sizeof(address.sun_path))
        return ws_error_set(err, WS_E_LIMIT, "%s: too long a path for a socket", path);
    memcpy(address.sun_path, path, size + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        int rc = ws_error_set_errno(err, WS_E_IO, errno, "connect to %s", path);
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    *out_fd = fd;
    return 0;
}

int ws_device_add_helper(struct ws_device *device, const char *path, struct ws_error *err)
{
    struct line *line = calloc(1, sizeof(*line));
    char *text = malloc(WS_HELPER_MESSAGE_MAX + 1);
    int rc = line == NULL || text == NULL ? ws_error_nomem(err) : 0;
    if (rc == 0)
        rc = connect_to(&line->fd, path, err);
    if (rc != 0) {
        free(line);
        free(text);
        return rc;
    }
    line->users = 1;
    rc = hear(text, WS_HELPER_MESSAGE_MAX + 1, line->fd, err);
    if (rc != 0)
        (void)ws_error_context(err, "%s", path);
    if (rc == 0 &&
        (strcmp(text, "hello") != 0 || send(line->fd, "list", 4, MSG_NOSIGNAL) != 4))
        rc = ws_error_set(err, WS_E_FORMAT, "%s: no knob helper", path);
    while (rc == 0) {
        rc = hear(text, WS_HELPER_MESSAGE_MAX + 1, line->fd, err);
        if (rc != 0 || strcmp(text, "end") == 0)
            break;
        rc = strncmp(text, "knob ", 5) == 0
                 ? add_knob(device, line, text, err)
                 : ws_error_set(err, WS_E_FORMAT, "the knob helper said \"%.64s\"", text);
    }
    line_release(line);
    free(text);
    return rc;
}
