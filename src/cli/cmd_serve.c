#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/secure_options.h"
#include "cli/serve_crew.h"

enum { SETTINGS_MAX = 64, KEY_MAX = 64 };

/* What the command line says, to be said again after a reload. */
struct serve_options {
    const char *plan;
    const char *config;
    struct {
        char section[KEY_MAX], key[KEY_MAX];
        const char *value;
    } settings[SETTINGS_MAX];
    size_t setting_count;
};

static int keep(struct serve_options *options, const char *section, size_t section_size,
                const char *key, size_t key_size, const char *value, struct ws_error *err)
{
    if (options->setting_count == SETTINGS_MAX || section_size >= KEY_MAX ||
        key_size >= KEY_MAX)
        return ws_error_set(err, WS_E_LIMIT, "too many options, or one is too long");
    memcpy(options->settings[options->setting_count].section, section, section_size);
    memcpy(options->settings[options->setting_count].key, key, key_size);
    options->settings[options->setting_count++].value = value;
    return 0;
}

static int take_set(void *field, const char *value, const struct ws_cli_option *option,
                    struct ws_error *err)
{
    (void)option;
    const char *dot = strchr(value, '.'), *equals = strchr(value, '=');
    if (dot == NULL || equals == NULL || dot > equals)
        return ws_error_set(err, WS_E_USAGE,
                            "--set: expected SECTION.KEY=VALUE, got \"%.64s\"", value);
    return keep(field, value, (size_t)(dot - value), dot + 1, (size_t)(equals - dot - 1),
                equals + 1, err);
}

/* An option that is short for a key of the configuration. */
static int take_key(void *field, const char *value, const struct ws_cli_option *option,
                    struct ws_error *err)
{
    static const struct {
        const char *option, *section, *key;
    } keys[] = {
        {"model", "model", "variant"},   {"variant", "model", "variant"},
        {"node", "nodes", "url"},        {"cluster", "batch", "cluster"},
        {"testbed", "model", "testbed"}, {"emulate", "model", "emulate"},
        {"listen", "serve", "listen"},   {"insecure", "serve", "insecure"},
        {"policy", "agent", "policy"},   {"threads", "model", "threads"},
        {"log", "serve", "log"},         {"meter", "serve", "meter"},
    };
    size_t i = 0;
    while (strcmp(keys[i].option, option->name) != 0)
        i++;
    return keep(field, keys[i].section, strlen(keys[i].section), keys[i].key,
                strlen(keys[i].key), value != NULL ? value : "yes", err);
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("config", "FILE", struct serve_options, config,
                 "an INI file (etc/wattshed.ini shows all keys); options given here come "
                 "before it")},
    {WS_CLI_TAKE_WHOLE("model", "FILE", take_key, "the network")},
    {WS_CLI_TAKE_WHOLE("variant", "NAME=FILE", take_key,
                       "another form of it; --model itself is \"base\"")},
    {WS_CLI_TAKE_WHOLE("node", "URL", take_key, "hosts the tails; several may be given")},
    {WS_CLI_TAKE_WHOLE("cluster", "FILE", take_key,
                       "nodes that batches with the parameter images_per_s are shared "
                       "among, as in `wattshed distribute`")},
    {WS_CLI_TAKE_WHOLE("testbed", "FILE", take_key,
                       "baselines, costs of switching and samples behind the plan")},
    {WS_CLI_TAKE_WHOLE("emulate", "BOARD", take_key,
                       "run as if on that board of etc/devices, e.g. rpi4-coral; energy "
                       "is then modelled")},
    {WS_CLI_TAKE_WHOLE("listen", "ADDR:PORT", take_key,
                       "where to listen (default 127.0.0.1:8080); port 0 is any free "
                       "one")},
    {.name = "insecure",
     .help = "allow an address that others can reach",
     .kind = WS_CLI_IS_TAKEN,
     .take = take_key},
    {WS_CLI_TAKE_WHOLE(
        "meter", "NAME", take_key,
        "of this machine (default: the best it has of its own): " WS_METER_HELP)},
    {WS_CLI_TAKE_WHOLE("policy", "NAME", take_key,
                       "to decide by where a request asks for none (default wattshed; "
                       "fastest for a plan that knows no energy)")},
    {WS_CLI_TAKE_WHOLE("threads", "N", take_key,
                       "of one run (default: one for each core)")},
    {WS_CLI_TAKE_WHOLE("set", "SECTION.KEY=VALUE", take_set,
                       "any key of the configuration")},
    {WS_CLI_TAKE_WHOLE("log", "LEVEL", take_key,
                       "error, warning, info or debug (one line a request)")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "serve",
    .synopsis = "PLAN --model FILE [--node URL ...] [OPTION ...]",
    .about =
        "The edge daemon: clients send requests of the Open Inference Protocol v2, with "
        "a deadline as the parameter `timeout` (microseconds); for each it chooses a "
        "setting of the plan, runs the head here and the tail on a node, and finishes "
        "here what no node gives in time. Without a node it serves from this machine "
        "alone.\n\n"
        "Prints the address once it is ready. SIGHUP loads plan and configuration anew, "
        "SIGTERM lets requests finish, gives the hardware back and ends. /metrics is for "
        "Prometheus.",
    .options = options_table,
    .example = "  $ wattshed node etc/demo/digits.onnx &\n"
               "  $ wattshed serve plan.json --model etc/demo/digits.onnx \\\n"
               "  > --node http://127.0.0.1:8000",
    .words_min = 1,
    .words_max = 1,
    .wants = "one PLAN is needed",
};

/* The file, then what the command line says. */
static int configure(struct ws_config *config, const struct serve_options *options,
                     struct ws_error *err)
{
    ws_config_init(config);
    int rc = options->config != NULL ? ws_config_load(config, options->config, err) : 0;
    for (size_t i = 0; rc == 0 && i < options->setting_count; i++)
        rc = ws_config_set(config, options->settings[i].section, options->settings[i].key,
                           options->settings[i].value, err);
    if (rc != 0)
        ws_config_fini(config);
    return rc;
}

static void log_line(void *user, enum ws_log_level level, const char *line)
{
    (void)user;
    fprintf(stderr, "wattshed serve: %s: %s\n", ws_log_level_name(level), line);
}

/* On SIGHUP. Where and how to listen stays as it is. */
static void reload(struct ws_serve *serve, const struct serve_options *options,
                   struct ws_serve_machine *machine)
{
    struct ws_error err = {0};
    struct ws_config config;
    struct ws_serve_crew crew;
    int rc = configure(&config, options, &err);
    if (rc == 0) {
        ws_log_set_level(config.log_level);
        rc = ws_serve_crew_create(&crew, &config, options->plan, machine, &err);
    }
    if (rc == 0)
        rc = ws_serve_replace(serve, &crew, &err);
    if (rc == 0)
        ws_log(WS_LOG_INFO, "loaded %s anew", options->plan);
    else
        ws_log(WS_LOG_ERROR, "all stays as it was: %s", err.text);
}

static void wait_for_the_end(struct ws_serve *serve, const struct serve_options *options,
                             struct ws_serve_machine *machine, const sigset_t *signals)
{
    int number = 0;
    while (sigwait(signals, &number) == 0 && number == SIGHUP)
        reload(serve, options, machine);
}

static int serve(const struct serve_options *options, struct ws_error *err)
{
    struct ws_serve *daemon = NULL;
    struct ws_serve_machine machine = {0};
    struct ws_config config;
    struct ws_config door; /* of the first reading: where and how to listen */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    /* Before there are threads, so that none of them takes the signal. */
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)mallopt(M_ARENA_MAX, 2);
    int rc = configure(&door, options, err);
    if (rc == 0 && (rc = configure(&config, options, err)) != 0)
        ws_config_fini(&door);
    if (rc != 0)
        return rc;
    ws_log_set_sink(log_line, NULL, door.log_level);
    struct ws_serve_options to = {
        .guard = {.listen = door.listen != NULL ? door.listen : "127.0.0.1:8080",
                  .insecure = door.insecure,
                  .cert = door.cert,
                  .key = door.key,
                  .client_ca = door.client_ca,
                  .tokens = door.tokens},
        .body_max = (size_t)door.body_max};
    rc = ws_serve_crew_create(&to.crew, &config, options->plan, &machine, err);
    if (rc == 0) {
        to.fs = machine.fs;
        rc = ws_serve_start(&daemon, &to, err);
    }
    if (rc == 0) {
        ws_guard_warn(ws_serve_guard(daemon), "serve");
        printf("%s\n", ws_serve_url(daemon));
        (void)fflush(stdout);
        wait_for_the_end(daemon, options, &machine, &signals);
        ws_serve_stop(daemon, door.drain_s * 1000);
    }
    ws_config_fini(&door);
    int closed = ws_serve_machine_close(&machine, rc == 0 ? err : NULL);
    return rc == 0 ? closed : rc;
}

int ws_cmd_serve(int argc, char **argv)
{
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    struct serve_options *options = calloc(1, sizeof(*options));
    if (options == NULL) {
        (void)ws_error_nomem(&err);
        return ws_cli_fail(&err);
    }
    if (ws_cli_parse(&status, options, argc, argv, &usage) == 0) {
        options->plan = argv[optind];
        if (serve(options, &err) != 0)
            status = ws_cli_fail(&err);
    }
    free(options);
    return status;
}
