/*
 * Options about who is who, the same in every command: those of a daemon (where it
 * listens, its certificate, its tokens) and those of a client (whom it trusts, how it
 * shows who it is). For each kind one list of long options, one text for -h, one way to
 * take an option.
 */
#ifndef WS_CLI_SECURE_OPTIONS_H
#define WS_CLI_SECURE_OPTIONS_H

#include <getopt.h>

#include "cli/options.h"
#include "net/guard.h"
#include "net/http_client.h"

enum {
    WS_OPT_LISTEN = 640,
    WS_OPT_INSECURE,
    WS_OPT_CERT,
    WS_OPT_KEY,
    WS_OPT_CLIENT_CA,
    WS_OPT_TOKENS,
    WS_OPT_CACERT,
    WS_OPT_TOKEN,
    WS_OPT_TOKEN_FILE
};

/* ---- Daemons ---- */

extern const struct ws_cli_option ws_guard_cli[]; /* of struct ws_guard_options */

#define WS_GUARD_LONG_OPTIONS                                                            \
    {"listen", required_argument, NULL, WS_OPT_LISTEN},                                  \
        {"insecure", no_argument, NULL, WS_OPT_INSECURE},                                \
        {"cert", required_argument, NULL, WS_OPT_CERT},                                  \
        {"key", required_argument, NULL, WS_OPT_KEY},                                    \
        {"client-ca", required_argument, NULL, WS_OPT_CLIENT_CA},                        \
    {                                                                                    \
        "tokens", required_argument, NULL, WS_OPT_TOKENS                                 \
    }

#define WS_GUARD_OPTIONS_HELP                                                            \
    "  --listen ADDR:PORT where to listen (default 127.0.0.1:8000); port 0 is any\n"     \
    "                     free one. An address that others can reach needs --cert,\n"    \
    "                     --key and --tokens or --client-ca\n"                           \
    "  --cert FILE, --key FILE  TLS: certificate and key, PEM; `wattshed keys` makes\n"  \
    "                     them. Files that change are read again\n"                      \
    "  --client-ca FILE   lets only clients in whose certificate this authority "        \
    "signed\n"                                                                           \
    "  --tokens FILE      lets only those in whom it names, and says what they may;\n"   \
    "                     read again when it changes\n"                                  \
    "  --insecure         listen all the same: whoever reaches the address may use it\n"

/* Takes one parsed option; WS_E_NOT_FOUND for one that is none of these. */
int ws_guard_options_take(struct ws_guard_options *options, int option, const char *value,
                          struct ws_error *err);
/* Says on stderr, in red on a terminal, that a guard is open, if it is. */
void ws_guard_warn(const struct ws_guard *guard, const char *command);

/* ---- Clients ---- */

struct ws_identity_options {
    struct ws_http_identity identity;
    char *token; /* read from a file */
};

extern const struct ws_cli_option ws_identity_cli[];

#define WS_IDENTITY_LONG_OPTIONS                                                         \
    {"cacert", required_argument, NULL, WS_OPT_CACERT},                                  \
        {"cert", required_argument, NULL, WS_OPT_CERT},                                  \
        {"key", required_argument, NULL, WS_OPT_KEY},                                    \
        {"token", required_argument, NULL, WS_OPT_TOKEN},                                \
    {                                                                                    \
        "token-file", required_argument, NULL, WS_OPT_TOKEN_FILE                         \
    }

#define WS_IDENTITY_OPTIONS_HELP                                                         \
    "  --cacert FILE      whom to trust on the other side, PEM (default: the "           \
    "system's)\n"                                                                        \
    "  --cert FILE, --key FILE  the certificate to show there, and its key\n"            \
    "  --token-file FILE  the token to show there; --token TOKEN does it in the open\n"

void ws_identity_options_fini(struct ws_identity_options *options);
int ws_identity_options_take(struct ws_identity_options *options, int option,
                             const char *value, struct ws_error *err);

#endif
