#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/options.h"
#include "profile/report.h"

struct report_options {
    const char *path; /* NULL: standard output */
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("output", "FILE.html", struct report_options, path,
                 "where it goes (default: standard output)"),
     .letter = 'o'},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "report",
    .synopsis = "STUDY [-o FILE.html]",
    .about = "One self-contained page of what `wattshed profile` found: trials and "
             "front, latency and energy by part, cuts, accuracy, conditions. It needs no "
             "network and no script, reads on a phone and can be printed.",
    .options = options_table,
    .example = "  $ wattshed report digits.study -o digits.html",
    .words_min = 1,
    .words_max = 1,
    .wants = "one STUDY is needed",
};

int ws_cmd_report(int argc, char **argv)
{
    struct report_options options = {0};
    struct ws_error err = {0};
    struct ws_study *study = NULL;
    struct ws_buf page;
    int status = WS_EXIT_OK;
    if (ws_cli_parse(&status, &options, argc, argv, &usage) != 0)
        return status;
    ws_buf_init(&page, 0);
    int rc = ws_study_open_to_read(&study, argv[optind], &err);
    if (rc == 0)
        rc = ws_study_report(&page, study, &err);
    if (rc == 0 && options.path != NULL)
        rc = ws_file_write(options.path, page.data, page.size, &err);
    else if (rc == 0)
        (void)fwrite(page.data, 1, page.size, stdout);
    ws_study_close(study);
    ws_buf_fini(&page);
    return rc == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
