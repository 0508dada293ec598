#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/command.h"
#include "cli/emulation.h"
#include "cli/metering.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/secure_options.h"
#include "net/mdns.h"
#include "node/daemon.h"

enum { HEAPS_MAX = 2 };

struct node_options {
    struct ws_model_options model;
    struct ws_daemon_options daemon;
    size_t slots;
    size_t requests_max, client_requests_max;
    uint64_t body_max;
    size_t drain_s;
    int allow_control;
    struct ws_emulation emulation;
    const char *announce; /* NULL: not */
    const char *meter;
    double idle_s;
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("repository", "DIR", struct node_options, daemon.host.repository,
                 "models that clients may load, DIR/NAME.onnx")},
    {WS_CLI_FLAG("allow-writes", struct node_options, daemon.allow_writes,
                 "let clients load and unload models")},
    {WS_CLI_TEXT("store", "DIR", struct node_options, daemon.host.store.dir,
                 "with --allow-writes, let clients send models, and keep them there, "
                 "across restarts")},
    {WS_CLI_BYTES("store-bytes", "B", struct node_options, daemon.host.store.budget_bytes,
                  "how much of them; the least recently used go (default 4G)")},
    {WS_CLI_SIZE("slots", "N", struct node_options, slots, 1, 1024,
                 "requests that compute at a time, others queue (default: one for each "
                 "core)")},
    {WS_CLI_BYTES("body", "BYTES", struct node_options, body_max,
                  "largest body of a request, also once it is unpacked (default 1G)")},
    {WS_CLI_SIZE("requests", "N", struct node_options, requests_max, 1, WS_HTTP_CONNS_MAX,
                 "requests in hand at once, those that queue included (default 512); "
                 "more are answered 503")},
    {WS_CLI_BYTES("held", "BYTES", struct node_options, daemon.held_max,
                  "what their bodies may take together (default 2G); likewise")},
    {WS_CLI_SIZE("client-requests", "N", struct node_options, client_requests_max, 1,
                 WS_HTTP_CONNS_MAX,
                 "of them, one client's, by the name of its certificate or token, else "
                 "by address (default: half)")},
    {WS_CLI_BYTES("client-held", "BYTES", struct node_options, daemon.client_held_max,
                  "and what one client's bodies may take (default: half)")},
    {WS_CLI_SIZE("drain", "S", struct node_options, drain_s, 0, 3600,
                 "seconds that requests in progress get to finish on SIGTERM (default "
                 "30)")},
    {WS_CLI_TEXT("announce", "NAME", struct node_options, announce,
                 "tells the local network by mDNS that it is there, by the name that "
                 "clusters have for it (wattshed distribute --mdns)")},
    {WS_CLI_FLAG("allow-control", struct node_options, allow_control,
                 "lets clients (with tokens: those with the right) set this machine's "
                 "knobs, one of them at a time")},
    {WS_CLI_TEXT("emulate", "NAME", struct node_options, emulation.name,
                 "pass for another machine: a device model of etc/devices (or a file); "
                 "each request takes the time that the model says, and its energy is "
                 "modelled")},
    {WS_CLI_TAKE("set", "KNOB=VALUE", struct node_options, emulation.settings,
                 ws_cli_take_pair, "of that machine; again for another knob")},
    {WS_CLI_TEXT("meter", "NAME", struct node_options, meter, WS_METER_HELP)},
    {WS_CLI_NUMBER("idle", "S", struct node_options, idle_s, 0, 3600,
                   "seconds of doing nothing that the meter measures at the start, which "
                   "is what is nobody's energy later (default 1). Energy is told in each "
                   "reply's parameters")},
    {WS_CLI_GROUP(ws_guard_cli, struct node_options, daemon.guard)},
    {WS_CLI_GROUP(ws_model_cli, struct node_options, model)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "node",
    .synopsis = "[--listen ADDR:PORT] [MODEL ...]",
    .about = "Hosts models, and the tails of their cuts, for `wattshed infer` and for "
             "any client of the Open Inference Protocol v2 over HTTP. A model is named "
             "after its file; the tail of a cut is NAME~CUT~CODEC, CUT as `wattshed "
             "inspect` lists it. Prints the address once it is ready.",
    .options = options_table,
    .example = "  $ wattshed node etc/demo/digits.onnx\n"
               "  $ curl http://127.0.0.1:8000/v2/models/digits",
    .words_max = WS_CLI_ANY_WORDS,
};

/* 0, or 1 with an exit status. */
static int parse(struct node_options *options, int *status, int argc, char **argv)
{
    if (ws_cli_parse(status, options, argc, argv, &usage) != 0)
        return 1;
    options->daemon.models = (const char *const *)argv + optind;
    options->daemon.model_count = (size_t)(argc - optind);
    options->daemon.slots = (unsigned)options->slots;
    options->daemon.requests_max = (unsigned)options->requests_max;
    options->daemon.client_requests_max = (unsigned)options->client_requests_max;
    options->daemon.body_max = (size_t)options->body_max;
    if (options->body_max > WS_OIP_BODY_MAX)
        *status = ws_cli_usage_error("node", "--body: at most 1G");
    else if (options->emulation.name != NULL && options->meter != NULL)
        *status = ws_cli_usage_error("node", "--emulate and --meter: energy is either "
                                             "modelled or measured");
    else if (options->emulation.name == NULL && options->emulation.settings.count > 0)
        *status = ws_cli_usage_error("node", "--set: which machine's? --emulate NAME");
    else if (optind == argc && options->daemon.host.repository == NULL &&
             options->daemon.host.store.dir == NULL)
        *status = ws_cli_usage_error("node", "a MODEL, --repository DIR or --store DIR "
                                             "is needed");
    else if (options->daemon.host.store.dir != NULL && !options->daemon.allow_writes)
        *status = ws_cli_usage_error("node", "--store is for --allow-writes");
    else
        return 0;
    return 1;
}

static void log_line(void *user, enum ws_log_level level, const char *line)
{
    (void)user;
    fprintf(stderr, "wattshed node: %s: %s\n", ws_log_level_name(level), line);
}

/* Who says what requests cost. */
struct costs {
    struct ws_board *board;
    struct ws_metering *metering;
    struct ws_account *account;
    /* And who lets clients set the machine's knobs. */
    struct ws_sysfs *fs;
    struct ws_device *device;
    struct ws_control *control;
};

/* The knobs of the machine it passes for, or, where clients may set them, of this one. */
static int open_control(struct costs *out, struct node_options *options,
                        const struct ws_setting *preset, struct ws_error *err)
{
    const struct ws_device_options device = {0};
    int rc = 0;
    if (out->board == NULL && options->allow_control) {
        rc = ws_sysfs_open(&out->fs, NULL, err);
        if (rc == 0)
            rc = ws_device_open(&out->device, out->fs, &device, err);
    }
    const struct ws_control_options control = {.account = out->account,
                                               .preset = *preset,
                                               .device = out->device,
                                               .may_set = options->allow_control};
    if (rc == 0)
        rc = ws_control_create(&out->control, &control, err);
    options->daemon.control = out->control;
    return rc;
}

static int open_costs(struct costs *out, struct node_options *options,
                      struct ws_error *err)
{
    struct ws_account_options account = {0};
    int rc = 0;
    if (options->emulation.name != NULL) {
        rc = ws_emulation_open(&out->board, &account.setting, &options->emulation, err);
        account.board = out->board;
        /* One machine runs one request at a time; others queue, as they would there. */
        if (options->daemon.slots == 0)
            options->daemon.slots = 1;
    } else if (options->meter != NULL) {
        rc = ws_metering_open(&out->metering, options->meter, options->idle_s, err);
        if (rc == 0) {
            account.sampler = ws_metering_sampler(out->metering);
            account.info = ws_metering_info(out->metering);
            account.idle_w = ws_metering_idle_w(out->metering);
        }
    } else {
        return open_control(out, options, &account.setting, err);
    }
    if (rc == 0)
        rc = ws_account_create(&out->account, &account, err);
    options->daemon.account = out->account;
    return rc == 0 ? open_control(out, options, &account.setting, err) : rc;
}

static int close_costs(struct costs *costs, struct ws_error *err)
{
    ws_control_destroy(costs->control);
    int rc = ws_device_close(costs->device, err);
    ws_sysfs_close(costs->fs);
    ws_account_destroy(costs->account);
    ws_metering_close(costs->metering);
    ws_board_destroy(costs->board);
    return rc;
}

static int announce(struct ws_mdns_announcement **out, const struct ws_daemon *daemon,
                    const char *name, struct ws_error *err)
{
    const struct ws_guard *guard = ws_daemon_guard(daemon);
    if (guard->listen.is_loopback)
        return ws_error_set(err, WS_E_USAGE,
                            "--announce: nobody else can reach %s; --listen elsewhere",
                            guard->listen.text);
    return ws_mdns_announce(out, name, guard->tls != NULL, (uint16_t)guard->listen.port,
                            err);
}

static int serve(struct node_options *options, struct ws_error *err)
{
    struct costs costs = {0};
    struct ws_engine *engine = NULL;
    struct ws_daemon *daemon = NULL;
    struct ws_mdns_announcement *announcement = NULL;
    sigset_t stop;
    int signal_number = 0;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    /* Before there are threads, so that none of them takes the signal. */
    (void)pthread_sigmask(SIG_BLOCK, &stop, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    /* Each connection has a thread; a heap for each of them would keep a fifth more. */
    (void)mallopt(M_ARENA_MAX, HEAPS_MAX);
    ws_log_set_sink(log_line, NULL, WS_LOG_WARNING);
    options->model.engine.provider_options = options->model.provider_options;
    options->model.splitter.dims = options->model.dims;
    int rc = open_costs(&costs, options, err);
    if (rc == 0)
        rc = ws_engine_create(&engine, &options->model.engine, err);
    if (rc == 0) {
        options->daemon.host.engine = engine;
        options->daemon.host.splitter = options->model.splitter;
        rc = ws_daemon_start(&daemon, &options->daemon, err);
    }
    if (rc == 0 && options->announce != NULL)
        rc = announce(&announcement, daemon, options->announce, err);
    if (rc == 0) {
        ws_guard_warn(ws_daemon_guard(daemon), "node");
        puts(ws_daemon_url(daemon));
        (void)fflush(stdout);
        (void)sigwait(&stop, &signal_number);
    }
    ws_mdns_withdraw(announcement);
    ws_daemon_stop(daemon, (int64_t)options->drain_s * 1000);
    ws_engine_destroy(engine);
    struct ws_error closing = {0};
    int close_rc = close_costs(&costs, &closing);
    if (rc == 0 && close_rc != 0) {
        rc = close_rc;
        *err = closing;
    }
    return rc;
}

int ws_cmd_node(int argc, char **argv)
{
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    struct node_options *options = calloc(1, sizeof(*options));
    if (options == NULL) {
        (void)ws_error_nomem(&err);
        return ws_cli_fail(&err);
    }
    ws_model_options_init(&options->model);
    options->daemon.guard.listen = "127.0.0.1:8000";
    options->daemon.host.store.budget_bytes = (uint64_t)4 << 30;
    options->drain_s = 30;
    options->idle_s = 1;
    if (parse(options, &status, argc, argv) == 0 && serve(options, &err) != 0)
        status = ws_cli_fail(&err);
    ws_model_options_fini(&options->model);
    free(options);
    return status;
}
