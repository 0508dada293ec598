#include "cli/secure_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { TOKEN_BYTES_MAX = 4096 };

const struct ws_cli_option ws_guard_cli[] = {
    {WS_CLI_HEADING("Who gets in (docs/security.md):")},
    {WS_CLI_TEXT("listen", "ADDR:PORT", struct ws_guard_options, listen,
                 "where to listen (default 127.0.0.1:8000); port 0 is any free one. An "
                 "address that others can reach needs --cert, --key and --tokens or "
                 "--client-ca")},
    {WS_CLI_TEXT("cert", "FILE", struct ws_guard_options, cert,
                 "TLS: the certificate, PEM; `wattshed keys` makes it. Files that change "
                 "are read again")},
    {WS_CLI_TEXT("key", "FILE", struct ws_guard_options, key, "its key, PEM")},
    {WS_CLI_TEXT("client-ca", "FILE", struct ws_guard_options, client_ca,
                 "lets only clients in whose certificate this authority signed")},
    {WS_CLI_TEXT("tokens", "FILE", struct ws_guard_options, tokens,
                 "lets only those in whom it names, and says what they may; read again "
                 "when it changes")},
    {WS_CLI_FLAG("insecure", struct ws_guard_options, insecure,
                 "listen all the same: whoever reaches the address may use it")},
    {0},
};

void ws_guard_warn(const struct ws_guard *guard, const char *command)
{
    int is_red = isatty(STDERR_FILENO);
    if (!guard->is_open)
        return;
    fprintf(stderr,
            "%swattshed %s: %s can be reached by others, without TLS or without asking "
            "who they are: whoever reaches it may use it%s\n",
            is_red ? "\033[1;31m" : "", command, guard->listen.text,
            is_red ? "\033[0m" : "");
}

void ws_identity_options_fini(struct ws_identity_options *options)
{
    free(options->token);
    options->token = NULL;
}

int ws_identity_read_token(struct ws_identity_options *options, const char *path,
                           struct ws_error *err)
{
    struct ws_buf buf;
    ws_buf_init(&buf, TOKEN_BYTES_MAX);
    int rc = ws_file_read(&buf, path, err);
    while (rc == 0 && buf.size > 0 && strchr(" \t\r\n", buf.data[buf.size - 1]) != NULL)
        buf.data[--buf.size] = '\0';
    if (rc == 0 && (buf.size == 0 || strlen(buf.data) != buf.size))
        rc = ws_error_set(err, WS_E_FORMAT, "%s: holds no token", path);
    if (rc == 0) {
        free(options->token);
        options->token = ws_buf_take(&buf);
        options->identity.token = options->token;
    }
    ws_buf_fini(&buf);
    return rc;
}

static int take_token(void *field, const char *path, const struct ws_cli_option *option,
                      struct ws_error *err)
{
    (void)option;
    return ws_identity_read_token(field, path, err);
}

const struct ws_cli_option ws_identity_cli[] = {
    {WS_CLI_HEADING("To a node that asks who is there:")},
    {WS_CLI_TEXT("cacert", "FILE", struct ws_identity_options, identity.cacert,
                 "whom to trust on the other side, PEM (default: the system's)")},
    {WS_CLI_TEXT("cert", "FILE", struct ws_identity_options, identity.cert,
                 "the certificate to show there, PEM")},
    {WS_CLI_TEXT("key", "FILE", struct ws_identity_options, identity.key, "its key")},
    {WS_CLI_TAKE_WHOLE("token-file", "FILE", take_token, "the token to show there")},
    {WS_CLI_TEXT("token", "TOKEN", struct ws_identity_options, identity.token,
                 "the same in the open")},
    {0},
};
