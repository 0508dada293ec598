/*
 * Knobs at second hand: a small process that may write sysfs sets them for a daemon that
 * may not, because strangers talk to that one. They speak over a Unix socket. The helper
 * says hello, or else denied or busy with a reason, and hangs up; then there is one text
 * message for each question and answer:
 *
 *     list               knob NAME KIND VALUE ...   for each, then: end
 *     get NAME           ok VALUE
 *     set NAME VALUE     ok VALUE, what is in force then
 *     anything else      refused REASON
 *
 * The helper takes nothing but knobs and values of its list of allowed settings, one knob
 * a line: NAME and its values, or * for all that the machine has; '#' begins a comment.
 * It asks the kernel who is at the other end and hangs up on users it was not told of. It
 * serves one client at a time, keeps its originals in a lease like everybody else, and
 * gives them back when the client goes. One thread.
 */
#ifndef WS_DEVICE_HELPER_H
#define WS_DEVICE_HELPER_H

#include <sys/types.h>

#include "device/device.h"

enum { WS_HELPER_MESSAGE_MAX = 65536 };

/* The list of allowed settings. */
struct ws_helper_line {
    char *knob;
    char *values; /* between blanks: " 600000 900000 "; NULL: all */
};
struct ws_helper_list {
    struct ws_helper_line *lines;
    size_t count;
};
/* `name` stands for the file in error lines. WS_E_FORMAT, WS_E_LIMIT. */
int ws_helper_list_parse(struct ws_helper_list *out, const void *bytes, size_t size,
                         const char *name, struct ws_error *err);
void ws_helper_list_fini(struct ws_helper_list *list);
int ws_helper_allows(const struct ws_helper_list *list, const char *knob,
                     const char *value);

/* ---- The helper ---- */

/* Answers one message other than "list": `reply` is a text of at most size bytes. */
void ws_helper_answer(char *reply, size_t size, struct ws_device *device,
                      const struct ws_helper_list *list, const char *message);

struct ws_helper_options {
    struct ws_device *device;
    const struct ws_helper_list *list;
    int listen_fd;                        /* ws_helper_listen's */
    int stop_fd;                          /* readable: it is time to end */
    int (*serves)(void *user, uid_t uid); /* asked for each connection */
    void *user;
};

/* A socket at this path, in place of a dead one; anybody can connect, which by itself
 * gives nothing. */
int ws_helper_listen(int *out_fd, const char *path, struct ws_error *err);
/* Serves until told to stop; then everything is given back. */
int ws_helper_run(const struct ws_helper_options *options, struct ws_error *err);

/* ---- The daemon's side ---- */

/* Adds the knobs that the helper at this path has to a device that discovered none (open
 * it bare). The connection lasts as long as the device. WS_E_IO, WS_E_BUSY, WS_E_DENIED:
 * the helper does not serve this user. */
int ws_device_add_helper(struct ws_device *device, const char *path,
                         struct ws_error *err);

#endif
