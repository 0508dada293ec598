/*
 * Options about who is who, the same in every command: those of a daemon (where it
 * listens, its certificate, its tokens) and those of a client (whom it trusts, how it
 * shows who it is).
 */
#ifndef WS_CLI_SECURE_OPTIONS_H
#define WS_CLI_SECURE_OPTIONS_H

#include "cli/options.h"
#include "net/guard.h"
#include "net/http_client.h"

/* ---- Daemons ---- */

extern const struct ws_cli_option ws_guard_cli[]; /* of struct ws_guard_options */

/* Says on stderr, in red on a terminal, that a guard is open, if it is. */
void ws_guard_warn(const struct ws_guard *guard, const char *command);

/* ---- Clients ---- */

struct ws_identity_options {
    struct ws_http_identity identity;
    char *token; /* read from a file */
};

extern const struct ws_cli_option ws_identity_cli[];

/* From a file: one line, without the blanks around it. */
int ws_identity_read_token(struct ws_identity_options *options, const char *path,
                           struct ws_error *err);
void ws_identity_options_fini(struct ws_identity_options *options);

#endif
