/*
 * Commands. `wattshed COMMAND ...` looks its command up in one table (main.c) and calls
 * it with argv[0] = the command's name. A command prints results on stdout and
 * diagnostics on stderr, answers -h itself, and returns an exit status: 0, 1 for a
 * failure, 2 for wrong usage.
 */
#ifndef WS_CLI_COMMAND_H
#define WS_CLI_COMMAND_H

#include "base/error.h"

struct ws_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary; /* one line of `wattshed -h` */
};

enum { WS_EXIT_OK = 0, WS_EXIT_FAILURE = 1, WS_EXIT_USAGE = 2 };

/* The commands, each in cmd_NAME.c. */
int ws_cmd_calibrate(int argc, char **argv);
int ws_cmd_infer(int argc, char **argv);
int ws_cmd_inspect(int argc, char **argv);
int ws_cmd_distribute(int argc, char **argv);
int ws_cmd_doctor(int argc, char **argv);
int ws_cmd_import(int argc, char **argv);
int ws_cmd_keys(int argc, char **argv);
int ws_cmd_knobs(int argc, char **argv);
int ws_cmd_learn(int argc, char **argv);
int ws_cmd_load(int argc, char **argv);
int ws_cmd_node(int argc, char **argv);
int ws_cmd_plan(int argc, char **argv);
int ws_cmd_profile(int argc, char **argv);
int ws_cmd_report(int argc, char **argv);
int ws_cmd_study(int argc, char **argv);
int ws_cmd_replay(int argc, char **argv);
int ws_cmd_compare(int argc, char **argv);
int ws_cmd_run(int argc, char **argv);
int ws_cmd_share(int argc, char **argv);
int ws_cmd_shape(int argc, char **argv);
int ws_cmd_serve(int argc, char **argv);
int ws_cmd_split(int argc, char **argv);
int ws_cmd_top(int argc, char **argv);
int ws_cmd_verify(int argc, char **argv);
int ws_cmd_zoo(int argc, char **argv);

/* Prints "wattshed: LINE" on stderr; returns the exit status for err's code. */
int ws_cli_fail(const struct ws_error *err);

/* Prints "wattshed COMMAND: LINE (wattshed COMMAND -h explains)"; returns
 * WS_EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int ws_cli_usage_error(const char *command,
                                                             const char *fmt, ...);

#endif
