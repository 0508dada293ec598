/*
 * A command's options, read the same way everywhere: getopt_long over a table, -h on
 * stdout, one line on stderr for what is wrong. A command says what it takes and gets one
 * option after the other.
 */
#ifndef WS_CLI_SYNTAX_H
#define WS_CLI_SYNTAX_H

#include <getopt.h>

#include "base/error.h"

struct ws_cli_syntax {
    const char *command;
    const char *usage;  /* what -h prints */
    const char *shorts; /* as for getopt; 'h' is understood without being listed */
    const struct option *longs;
    /* Takes one option. Any failure is wrong usage. */
    int (*take)(void *user, int option, const char *value, struct ws_error *err);
    /* What is left after the options: at least min, at most max words (max 0: any
     * number), else `wants` is the error: "one MODEL is needed". */
    int words_min, words_max;
    const char *wants;
};

/* 0 when the command shall go on, its words from argv[optind]; else 1 with its exit
 * status. */
int ws_cli_read(int *status, int argc, char **argv, const struct ws_cli_syntax *syntax,
                void *user);

#endif
