#include "cli/syntax.h"

#include <stdio.h>

#include "cli/command.h"

int ws_cli_read(int *status, int argc, char **argv, const struct ws_cli_syntax *syntax,
                void *user)
{
    struct ws_error err = {0};
    char shorts[32];
    int option;
    (void)snprintf(shorts, sizeof(shorts), "h%s",
                   syntax->shorts != NULL ? syntax->shorts : "");
    *status = WS_EXIT_OK;
    while ((option = getopt_long(argc, argv, shorts, syntax->longs, NULL)) != -1) {
        if (option == 'h') {
            fputs(syntax->usage, stdout);
            return 1;
        }
        if (option == '?') {
            *status = WS_EXIT_USAGE; /* getopt has said why */
            return 1;
        }
        if (syntax->take(user, option, optarg, &err) != 0) {
            *status = ws_cli_usage_error(syntax->command, "%s", err.text);
            return 1;
        }
    }
    int words = argc - optind;
    if (words < syntax->words_min ||
        (syntax->words_max != 0 && words > syntax->words_max)) {
        *status = ws_cli_usage_error(syntax->command, "%s", syntax->wants);
        return 1;
    }
    return 0;
}
