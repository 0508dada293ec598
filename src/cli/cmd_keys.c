#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/options.h"
#include "net/keys.h"

enum { MACHINES_MAX = 4096, DAYS_MAX = 36500, DAY_S = 24 * 3600 };
struct keys_options {
    struct ws_keys_machine *machines;
    char **texts; /* of each machine, taken apart in place */
    size_t machine_count;
    size_t days, ca_days;
};

/* NAME,HOST,... or NAME:RIGHTS. */
static int add_machine(struct keys_options *options, const char *value, int is_server,
                       struct ws_error *err)
{
    size_t count = options->machine_count, hosts = 0;
    char *rest = NULL;
    if (count == MACHINES_MAX)
        return ws_error_set(err, WS_E_LIMIT, "more than %d machines", MACHINES_MAX);
    struct ws_keys_machine *machines =
        realloc(options->machines, (count + 1) * sizeof(*machines));
    options->machines = machines != NULL ? machines : options->machines;
    char **texts = realloc(options->texts, (count + 1) * sizeof(*texts));
    options->texts = texts != NULL ? texts : options->texts;
    char *text = machines != NULL && texts != NULL ? strdup(value) : NULL;
    if (text == NULL)
        return ws_error_nomem(err);
    texts[count] = text;
    options->machine_count++;
    struct ws_keys_machine *machine = &machines[count];
    *machine =
        (struct ws_keys_machine){.name = text, .is_server = is_server, .rights = "infer"};
    if (!is_server) {
        char *colon = strchr(text, ':');
        if (colon != NULL) {
            *colon = '\0';
            machine->rights = colon + 1;
        }
        return 0;
    }
    char *host = strtok_r(text, ",", &rest);
    machine->name = host != NULL ? host : "";
    while (host != NULL && (host = strtok_r(NULL, ",", &rest)) != NULL) {
        if (hosts == WS_KEYS_HOSTS_MAX)
            return ws_error_set(err, WS_E_LIMIT, "more than %d hosts of one server",
                                WS_KEYS_HOSTS_MAX);
        machine->hosts[hosts++] = host;
    }
    return 0;
}

static int take_server(void *field, const char *value, const struct ws_cli_option *option,
                       struct ws_error *err)
{
    (void)option;
    return add_machine(field, value, 1, err);
}

static int take_client(void *field, const char *value, const struct ws_cli_option *option,
                       struct ws_error *err)
{
    (void)option;
    return add_machine(field, value, 0, err);
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TAKE_WHOLE("server", "NAME,HOST", take_server,
                       "NAME.pem and NAME.key; clients reach it as NAME or HOST, a DNS "
                       "name or an IP address. More than one may be given")},
    {WS_CLI_TAKE_WHOLE("client", "NAME:RIGHTS", take_client,
                       "NAME.pem, NAME.key and NAME.token, and its lines in the list "
                       "`tokens`; RIGHTS of infer,repository,control (default infer)")},
    {WS_CLI_SIZE("days", "N", struct keys_options, days, 1, DAYS_MAX,
                 "until certificates expire (default 365)")},
    {WS_CLI_SIZE("ca-days", "N", struct keys_options, ca_days, 1, DAYS_MAX,
                 "until the authority does, when it is made (default 3650)")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "keys",
    .synopsis = "DIR [--server NAME[,HOST ...]] [--client NAME[:RIGHTS]] ...",
    .about =
        "Makes what a fleet needs to know its own: a small private certificate "
        "authority, certificates of servers and clients, tokens. All are files of DIR; "
        "the authority is made the first time and used after that.\n\n"
        "Given again, a name gets a new certificate and key and keeps its token; daemons "
        "read changed files again. ca.key signs for the whole fleet: keep it off every "
        "machine.",
    .options = options_table,
    .example = "  $ wattshed keys fleet --server cloud,10.0.0.7 --client camera-1\n"
               "  $ wattshed node --listen 10.0.0.7:8443 --cert fleet/cloud.pem \\\n"
               "  > --key fleet/cloud.key --tokens fleet/tokens MODEL\n"
               "  $ wattshed infer MODEL --cut 30 --node https://10.0.0.7:8443 \\\n"
               "  > --cacert fleet/ca.pem --token-file fleet/camera-1.token --input X",
    .words_min = 1,
    .words_max = 1,
    .wants = "one DIR is needed",
};

static int make_keys(const struct keys_options *options, const char *dir,
                     struct ws_error *err)
{
    struct ws_keys *keys = NULL;
    int made = 0;
    int rc = ws_keys_open(&keys, dir, (long)options->ca_days * DAY_S, &made, err);
    if (rc == 0 && made)
        printf("%s/ca.pem, %s/ca.key\n", dir, dir);
    for (size_t i = 0; rc == 0 && i < options->machine_count; i++) {
        struct ws_keys_machine *machine = &options->machines[i];
        machine->lifetime_s = (long)options->days * DAY_S;
        rc = ws_keys_issue(keys, machine, err);
        if (rc != 0)
            break;
        printf("%s/%s.pem, %s/%s.key", dir, machine->name, dir, machine->name);
        if (!machine->is_server)
            printf(", %s/%s.token", dir, machine->name);
        putchar('\n');
    }
    ws_keys_close(keys);
    return rc;
}

int ws_cmd_keys(int argc, char **argv)
{
    struct ws_error err = {0};
    struct keys_options options = {.days = 365, .ca_days = 3650};
    int status = WS_EXIT_OK;
    if (ws_cli_parse(&status, &options, argc, argv, &usage) == 0 &&
        make_keys(&options, argv[optind], &err) != 0)
        status = ws_cli_fail(&err);
    for (size_t i = 0; i < options.machine_count; i++)
        free(options.texts[i]);
    free(options.texts);
    free(options.machines);
    return status;
}
