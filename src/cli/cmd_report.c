#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/syntax.h"
#include "profile/report.h"

static const char usage[] =
    "usage: wattshed report STUDY [-o FILE.html]\n"
    "\n"
    "One self-contained page of what `wattshed profile` found: trials and front, latency "
    "and\n"
    "energy by part, cuts, accuracy, conditions. It needs no network and no script, "
    "reads "
    "on\n"
    "a phone and can be printed.\n"
    "\n"
    "  -o FILE.html       where it goes (default: standard output)\n"
    "\n"
    "example: wattshed report digits.study -o digits.html\n";

static int take_option(void *user, int option, const char *value, struct ws_error *err)
{
    (void)option;
    (void)err;
    *(const char **)user = value;
    return 0;
}

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {0},
};

static const struct ws_cli_syntax syntax = {
    .command = "report",
    .usage = usage,
    .shorts = "o:",
    .longs = long_options,
    .take = take_option,
    .words_min = 1,
    .words_max = 1,
    .wants = "one STUDY is needed",
};

int ws_cmd_report(int argc, char **argv)
{
    const char *path = NULL;
    struct ws_error err = {0};
    struct ws_study *study = NULL;
    struct ws_buf page;
    int status = WS_EXIT_OK;
    if (ws_cli_read(&status, argc, argv, &syntax, &path) != 0)
        return status;
    ws_buf_init(&page, 0);
    int rc = ws_study_open_to_read(&study, argv[optind], &err);
    if (rc == 0)
        rc = ws_study_report(&page, study, &err);
    if (rc == 0 && path != NULL)
        rc = ws_file_write(path, page.data, page.size, &err);
    else if (rc == 0)
        (void)fwrite(page.data, 1, page.size, stdout);
    ws_study_close(study);
    ws_buf_fini(&page);
    return rc == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
