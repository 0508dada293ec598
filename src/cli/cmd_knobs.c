#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/command.h"
#include "cli/options.h"
#include "device/helper.h"

enum { LIST_BYTES_MAX = 1 << 20 };
struct knobs_options {
    const char *socket, *allow, *lease, *root;
    struct ws_cli_texts users; /* names or numbers */
    int print;
};

/* Names are looked up for each connection: a unit's dynamic user exists only while the
 * unit runs. */
static int serves(void *user, uid_t uid)
{
    const struct knobs_options *options = user;
    for (size_t i = 0; i < options->users.count; i++) {
        size_t number = 0;
        const struct passwd *entry = getpwnam(options->users.at[i]);
        if (entry != NULL && entry->pw_uid == uid)
            return 1;
        if (ws_parse_size(&number, options->users.at[i], 0, UINT32_MAX - 1, "", NULL) ==
                0 &&
            number == uid)
            return 1;
    }
    return 0;
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("socket", "PATH", struct knobs_options, socket,
                 "the Unix socket that daemons connect to")},
    {WS_CLI_TEXT("allow", "FILE", struct knobs_options, allow,
                 "one knob a line: NAME and its values, or * for all of them")},
    {WS_CLI_TEXTS("user", "USER", struct knobs_options, users,
                  "a name or a number; may be given more than once")},
    {WS_CLI_TEXT("lease", "FILE", struct knobs_options, lease,
                 "where the originals are kept (default as in doctor)")},
    {WS_CLI_TEXT("root", "DIR", struct knobs_options, root,
                 "a tree that stands for the machine")},
    {WS_CLI_FLAG("print", struct knobs_options, print,
                 "prints this machine's knobs and all their values as such a list")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "knobs",
    .synopsis = "--socket PATH --allow FILE --user USER ...\n--print",
    .about = "Sets this machine's knobs for a daemon that may not, because strangers "
             "talk to that one: it runs without the right to write sysfs, and this runs "
             "with it and takes nothing but settings that a list allows, from users it "
             "was told of. What was changed is given back when the daemon's connection "
             "ends.",
    .options = options_table,
    .example = "  $ wattshed knobs --print | grep -v edge.cores >knobs.allow\n"
               "  $ wattshed knobs --socket /run/wattshed/knobs --allow knobs.allow \\\n"
               "  > --user wattshed",
};

static void log_line(void *user, enum ws_log_level level, const char *line)
{
    (void)user;
    fprintf(stderr, "wattshed knobs: %s: %s\n", ws_log_level_name(level), line);
}

static void print_knobs(const struct ws_space *space)
{
    for (size_t k = 0; k < space->knob_count; k++) {
        fputs(space->knobs[k].name, stdout);
        for (size_t v = 0; v < space->knobs[k].value_count; v++)
            printf(" %s", space->knobs[k].values[v].text);
        putchar('\n');
    }
}

static int read_list(struct ws_helper_list *list, const char *path, struct ws_error *err)
{
    struct ws_buf buf;
    ws_buf_init(&buf, LIST_BYTES_MAX);
    int rc = ws_file_read(&buf, path, err);
    if (rc == 0)
        rc = ws_helper_list_parse(list, buf.data, buf.size, path, err);
    ws_buf_fini(&buf);
    return rc;
}

static int serve(struct knobs_options *options, struct ws_device *device,
                 struct ws_error *err)
{
    struct ws_helper_list list = {0};
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    int stop_fd = signalfd(-1, &stop, SFD_CLOEXEC), listen_fd = -1;
    int rc = stop_fd < 0 ? ws_error_set(err, WS_E_IO, "no signalfd")
                         : read_list(&list, options->allow, err);
    if (rc == 0)
        rc = ws_helper_listen(&listen_fd, options->socket, err);
    if (rc == 0) {
        const struct ws_helper_options helper = {.device = device,
                                                 .list = &list,
                                                 .listen_fd = listen_fd,
                                                 .stop_fd = stop_fd,
                                                 .serves = serves,
                                                 .user = options};
        puts(options->socket);
        (void)fflush(stdout);
        rc = ws_helper_run(&helper, err);
        (void)close(listen_fd);
        (void)unlink(options->socket);
    }
    if (stop_fd >= 0)
        (void)close(stop_fd);
    ws_helper_list_fini(&list);
    return rc;
}

static int run(struct knobs_options *options, struct ws_error *err)
{
    struct ws_sysfs *fs = NULL;
    struct ws_device *device = NULL;
    const struct ws_device_options how = {.lease_path = options->lease};
    int rc = ws_sysfs_open(&fs, options->root, err);
    if (rc == 0)
        rc = ws_device_open(&device, fs, &how, err);
    if (rc == 0 && options->print)
        print_knobs(ws_device_space(device));
    else if (rc == 0)
        rc = serve(options, device, err);
    int closed = ws_device_close(device, rc == 0 ? err : NULL);
    ws_sysfs_close(fs);
    return rc == 0 ? closed : rc;
}

int ws_cmd_knobs(int argc, char **argv)
{
    struct ws_error err = {0};
    struct knobs_options options = {0};
    int status = WS_EXIT_OK;
    ws_log_set_sink(log_line, NULL, WS_LOG_WARNING);
    if (ws_cli_parse(&status, &options, argc, argv, &usage) != 0)
        return status;
    if (!options.print &&
        (options.socket == NULL || options.allow == NULL || options.users.count == 0))
        return ws_cli_usage_error("knobs", "--socket, --allow and --user are needed");
    return run(&options, &err) == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
