#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/command.h"
#include "cli/secure_options.h"
#include "cli/serve_crew.h"
#include "cli/syntax.h"

static const char usage[] =
    "usage: wattshed serve PLAN --model FILE [--node URL ...] [OPTION ...]\n"
    "\n"
    "The edge daemon: clients send requests of the Open Inference Protocol v2, with a\n"
    "deadline as the parameter `timeout` (microseconds); for each it chooses a setting "
    "of\n"
    "the plan, runs the head here and the tail on a node, and finishes here what no "
    "node\n"
    "gives in time. Without a node it serves from this machine alone.\n"
    "\n"
    "  --config FILE      an INI file (etc/wattshed.ini shows all keys); options given "
    "here\n"
    "                     come before it\n"
    "  --model FILE       the network\n"
    "  --variant NAME=FILE  another form of it; --model itself is \"base\"\n"
    "  --node URL         hosts the tails; several may be given\n"
    "  --cluster FILE     nodes that batches with the parameter images_per_s are shared\n"
    "                     among, as in `wattshed distribute`\n"
    "  --testbed FILE     baselines, costs of switching and samples behind the plan\n"
    "  --emulate BOARD    run as if on that board of etc/devices, e.g. rpi4-coral; "
    "energy\n"
    "                     is then modelled\n"
    "  --listen ADDR:PORT where to listen (default 127.0.0.1:8080); port 0 is any free "
    "one\n"
    "  --insecure         allow an address that others can reach\n"
    "  --policy NAME      to decide by where a request asks for none (default wattshed;\n"
    "                     fastest for a plan that knows no energy)\n"
    "  --threads N        of one run (default: one for each core)\n"
    "  --set SECTION.KEY=VALUE  any key of the configuration\n"
    "  --log LEVEL        error, warning, info or debug (one line a request)\n"
    "\n"
    "Prints the address once it is ready. SIGHUP loads plan and configuration anew, "
    "SIGTERM\n"
    "lets requests finish, gives the hardware back and ends. /metrics is for "
    "Prometheus.\n"
    "example:\n"
    "  wattshed node etc/demo/digits.onnx &\n"
    "  wattshed serve plan.json --model etc/demo/digits.onnx \\\n"
    "      --node http://127.0.0.1:8000\n";

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

enum {
    OPT_CONFIG = 256,
    OPT_MODEL,
    OPT_VARIANT,
    OPT_NODE,
    OPT_CLUSTER,
    OPT_TESTBED,
    OPT_EMULATE,
    OPT_LISTEN,
    OPT_INSECURE,
    OPT_POLICY,
    OPT_THREADS,
    OPT_SET,
    OPT_LOG
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"model", required_argument, NULL, OPT_MODEL},
    {"variant", required_argument, NULL, OPT_VARIANT},
    {"node", required_argument, NULL, OPT_NODE},
    {"cluster", required_argument, NULL, OPT_CLUSTER},
    {"testbed", required_argument, NULL, OPT_TESTBED},
    {"emulate", required_argument, NULL, OPT_EMULATE},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"insecure", no_argument, NULL, OPT_INSECURE},
    {"policy", required_argument, NULL, OPT_POLICY},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"set", required_argument, NULL, OPT_SET},
    {"log", required_argument, NULL, OPT_LOG},
    {"help", no_argument, NULL, 'h'},
    {0},
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

static int take_set(struct serve_options *options, const char *value,
                    struct ws_error *err)
{
    const char *dot = strchr(value, '.'), *equals = strchr(value, '=');
    if (dot == NULL || equals == NULL || dot > equals)
        return ws_error_set(err, WS_E_USAGE,
                            "--set: expected SECTION.KEY=VALUE, got \"%.64s\"", value);
    return keep(options, value, (size_t)(dot - value), dot + 1,
                (size_t)(equals - dot - 1), equals + 1, err);
}

static int take_option(void *user, int option, const char *value, struct ws_error *err)
{
    static const struct {
        int option;
        const char *section, *key, *value;
    } shorthands[] = {
        {OPT_MODEL, "model", "variant", NULL},
        {OPT_VARIANT, "model", "variant", NULL},
        {OPT_NODE, "nodes", "url", NULL},
        {OPT_CLUSTER, "batch", "cluster", NULL},
        {OPT_TESTBED, "model", "testbed", NULL},
        {OPT_EMULATE, "model", "emulate", NULL},
        {OPT_LISTEN, "serve", "listen", NULL},
        {OPT_INSECURE, "serve", "insecure", "yes"},
        {OPT_POLICY, "agent", "policy", NULL},
        {OPT_THREADS, "model", "threads", NULL},
        {OPT_LOG, "serve", "log", NULL},
    };
    struct serve_options *options = user;
    if (option == OPT_CONFIG) {
        options->config = value;
        return 0;
    }
    if (option == OPT_SET)
        return take_set(options, value, err);
    for (size_t i = 0; i < sizeof(shorthands) / sizeof(shorthands[0]); i++) {
        if (shorthands[i].option == option)
            return keep(options, shorthands[i].section, strlen(shorthands[i].section),
                        shorthands[i].key, strlen(shorthands[i].key),
                        shorthands[i].value != NULL ? shorthands[i].value : value, err);
    }
    return WS_E_USAGE;
}

static const struct ws_cli_syntax syntax = {
    .command = "serve",
    .usage = usage,
    .shorts = "",
    .longs = long_options,
    .take = take_option,
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
        ws_log_set_sink(log_line, NULL, config.log_level);
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
    if (ws_cli_read(&status, argc, argv, &syntax, options) == 0) {
        options->plan = argv[optind];
        if (serve(options, &err) != 0)
            status = ws_cli_fail(&err);
    }
    free(options);
    return status;
}
