#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "cli/command.h"
#include "cli/emulation.h"
#include "cli/metering.h"
#include "cli/model_options.h"
#include "cli/secure_options.h"
#include "cli/syntax.h"
#include "net/mdns.h"
#include "node/daemon.h"

static const char usage[] =
    "usage: wattshed node [--listen ADDR:PORT] [MODEL ...]\n"
    "\n"
    "Hosts models, and the tails of their cuts, for `wattshed infer` and for any client\n"
    "of the Open Inference Protocol v2 over HTTP. A model is named after its file; the\n"
    "tail of a cut is NAME~CUT~CODEC, CUT as `wattshed inspect` lists it.\n"
    "\n"
    "  --repository DIR   models that clients may load, DIR/NAME.onnx\n"
    "  --allow-writes     let clients load and unload models\n"
    "  --store DIR        with --allow-writes, let clients send models, and keep them\n"
    "                     there, across restarts\n"
    "  --store-bytes B    how much of them; the least recently used go (default 4G)\n"
    "  --slots N          requests that compute at a time, others queue (default: one "
    "for\n"
    "                     each core)\n"
    "  --body BYTES       largest body of a request, also once it is unpacked (default "
    "1G)\n"
    "  --requests N       requests in hand at once, those that queue included (default\n"
    "                     512); more are answered 503\n"
    "  --held BYTES       what their bodies may take together (default 2G); likewise\n"
    "  --drain S          seconds that requests in progress get to finish on SIGTERM\n"
    "                     (default 30)\n"
    "  --announce NAME    tells the local network by mDNS that it is there, by the name "
    "that\n"
    "                     clusters have for it (wattshed distribute --mdns)\n"
    "  --allow-control    lets clients (with tokens: those with the right) set this\n"
    "                     machine's knobs, one of them at a time\n" WS_EMULATE_HELP
        WS_METER_HELP
    "  --idle S           seconds of doing nothing that the meter measures at the "
    "start,\n"
    "                     which is what is nobody's energy later (default 1)\n"
    "                     Energy is told in each reply's "
    "parameters.\n" WS_GUARD_OPTIONS_HELP WS_MODEL_OPTIONS_HELP "\n"
    "Prints the address once it is ready. example:\n"
    "  wattshed node etc/demo/digits.onnx\n"
    "  curl http://127.0.0.1:8000/v2/models/digits\n";

enum { HEAPS_MAX = 2 };

struct node_options {
    struct ws_model_options model;
    struct ws_daemon_options daemon;
    size_t slots;
    size_t requests_max;
    uint64_t body_max;
    size_t drain_s;
    int allow_control;
    struct ws_emulation emulation;
    const char *announce; /* NULL: not */
    const char *meter;
    double idle_s;
};

enum {
    OPT_REPOSITORY = 256,
    OPT_WRITES,
    OPT_STORE,
    OPT_STORE_BYTES,
    OPT_SLOTS,
    OPT_BODY,
    OPT_REQUESTS,
    OPT_HELD,
    OPT_DRAIN,
    OPT_ANNOUNCE,
    OPT_CONTROL,
    OPT_EMULATE,
    OPT_SET,
    OPT_METER,
    OPT_IDLE
};

static const struct option long_options[] = {
    {"repository", required_argument, NULL, OPT_REPOSITORY},
    {"allow-writes", no_argument, NULL, OPT_WRITES},
    {"store", required_argument, NULL, OPT_STORE},
    {"store-bytes", required_argument, NULL, OPT_STORE_BYTES},
    {"slots", required_argument, NULL, OPT_SLOTS},
    {"body", required_argument, NULL, OPT_BODY},
    {"requests", required_argument, NULL, OPT_REQUESTS},
    {"held", required_argument, NULL, OPT_HELD},
    {"drain", required_argument, NULL, OPT_DRAIN},
    {"announce", required_argument, NULL, OPT_ANNOUNCE},
    {"allow-control", no_argument, NULL, OPT_CONTROL},
    {"emulate", required_argument, NULL, OPT_EMULATE},
    {"set", required_argument, NULL, OPT_SET},
    {"meter", required_argument, NULL, OPT_METER},
    {"idle", required_argument, NULL, OPT_IDLE},
    WS_GUARD_LONG_OPTIONS,
    WS_MODEL_LONG_OPTIONS,
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int take_option(void *user, int option, const char *value, struct ws_error *err)
{
    struct node_options *options = user;
    switch (option) {
    case OPT_REPOSITORY:
        options->daemon.host.repository = value;
        return 0;
    case OPT_WRITES:
        options->daemon.allow_writes = 1;
        return 0;
    case OPT_STORE:
        options->daemon.host.store.dir = value;
        return 0;
    case OPT_STORE_BYTES:
        return ws_parse_bytes(&options->daemon.host.store.budget_bytes, value,
                              "--store-bytes", err);
    case OPT_SLOTS:
        return ws_parse_size(&options->slots, value, 1, 1024, "--slots", err);
    case OPT_BODY:
        return ws_parse_bytes(&options->body_max, value, "--body", err);
    case OPT_REQUESTS:
        return ws_parse_size(&options->requests_max, value, 1, WS_HTTP_CONNS_MAX,
                             "--requests", err);
    case OPT_HELD:
        return ws_parse_bytes(&options->daemon.held_max, value, "--held", err);
    case OPT_DRAIN:
        return ws_parse_size(&options->drain_s, value, 0, 3600, "--drain", err);
    case OPT_ANNOUNCE:
        options->announce = value;
        return 0;
    case OPT_CONTROL:
        options->allow_control = 1;
        return 0;
    case OPT_EMULATE:
        options->emulation.name = value;
        return 0;
    case OPT_SET:
        return ws_emulation_add(&options->emulation, value, err);
    case OPT_METER:
        options->meter = value;
        return 0;
    case OPT_IDLE:
        return ws_parse_double(&options->idle_s, value, "--idle", err);
    default:
        if (option >= WS_OPT_LISTEN)
            return ws_guard_options_take(&options->daemon.guard, option, value, err);
        return ws_model_options_take(&options->model, option, value, err);
    }
}

static const struct ws_cli_syntax syntax = {
    .command = "node",
    .usage = usage,
    .shorts = "",
    .longs = long_options,
    .take = take_option,
    .words_min = 0,
    .words_max = 0,
    .wants = "",
};

/* 0, or 1 with an exit status. */
static int parse(struct node_options *options, int *status, int argc, char **argv)
{
    if (ws_cli_read(status, argc, argv, &syntax, options) != 0)
        return 1;
    options->daemon.models = (const char *const *)argv + optind;
    options->daemon.model_count = (size_t)(argc - optind);
    options->daemon.slots = (unsigned)options->slots;
    options->daemon.requests_max = (unsigned)options->requests_max;
    options->daemon.body_max = (size_t)options->body_max;
    if (options->body_max > WS_OIP_BODY_MAX)
        *status = ws_cli_usage_error("node", "--body: at most 1G");
    else if (options->emulation.name != NULL && options->meter != NULL)
        *status = ws_cli_usage_error("node", "--emulate and --meter: energy is either "
                                             "modelled or measured");
    else if (options->emulation.name == NULL && options->emulation.setting_count > 0)
        *status = ws_cli_usage_error("node", "--set: which machine's? --emulate NAME");
    else if (options->idle_s < 0 || options->idle_s > 3600)
        *status = ws_cli_usage_error("node", "--idle: 0 to 3600 seconds");
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
