#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/parse.h"
#include "cli/command.h"
#include "cli/syntax.h"
#include "core/link.h"
#include "device/modelled.h"
#include "net/shaper.h"
#include "study/testbed.h"
#include "study/trace.h"

static const char usage[] =
    "usage: wattshed shape --to HOST:PORT [--listen ADDR:PORT] [OPTION ...]\n"
    "\n"
    "A link between two processes, in user space: a TCP proxy with a rate (each way, "
    "for\n"
    "all connections together), delay, jitter, and stalls as lost packets cause them.\n"
    "Needs no rights. What is not said does not slow anything down.\n"
    "\n"
    "  --to HOST:PORT     where connections go\n"
    "  --listen ADDR:PORT where they come in (default 127.0.0.1:0, any free port)\n"
    "  --insecure         allow an address that others can reach\n"
    "  --link TESTBED     the link of a testbed (JSON), or of its model\n"
    "  --mbit N           rate in Mbit/s; 0: the link is cut\n"
    "  --delay MS         one way\n"
    "  --jitter MS        to either side of the delay\n"
    "  --loss SHARE       of the packets, 0 to below 1\n"
    "  --trace FILE       changes over time (CSV: time_s, then link_mbit_s,\n"
    "                     link_delay_ms, link_jitter_ms, link_loss or link_scale)\n"
    "  --loop             start the trace again at its end\n"
    "  --seed N           of jitter and losses (default 1)\n"
    "\n"
    "Prints the address once it is ready, and until SIGINT or SIGTERM does its work; "
    "then\n"
    "says what has passed. example:\n"
    "  wattshed node etc/demo/digits.onnx\n"
    "  wattshed shape --listen 127.0.0.1:8001 --to 127.0.0.1:8000 --mbit 20 --delay 3\n"
    "  wattshed infer etc/demo/digits.onnx --cut 6 --node http://127.0.0.1:8001 ...\n";

struct shape_options {
    struct ws_shaper_options shaper;
    struct ws_conditions given; /* by options of their own */
    const char *testbed;
    const char *trace;
    int is_looped;
};

enum {
    OPT_TO = 256,
    OPT_LISTEN,
    OPT_INSECURE,
    OPT_LINK,
    OPT_MBIT,
    OPT_DELAY,
    OPT_JITTER,
    OPT_LOSS,
    OPT_TRACE,
    OPT_LOOP,
    OPT_SEED
};

static const struct option long_options[] = {
    {"to", required_argument, NULL, OPT_TO},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"insecure", no_argument, NULL, OPT_INSECURE},
    {"link", required_argument, NULL, OPT_LINK},
    {"mbit", required_argument, NULL, OPT_MBIT},
    {"delay", required_argument, NULL, OPT_DELAY},
    {"jitter", required_argument, NULL, OPT_JITTER},
    {"loss", required_argument, NULL, OPT_LOSS},
    {"trace", required_argument, NULL, OPT_TRACE},
    {"loop", no_argument, NULL, OPT_LOOP},
    {"seed", required_argument, NULL, OPT_SEED},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int take_number(struct shape_options *options, enum ws_condition which,
                       const char *value, const char *name, struct ws_error *err)
{
    double number = 0;
    int rc = ws_parse_double(&number, value, name, err);
    if (rc == 0)
        ws_conditions_set(&options->given, which, number);
    return rc == 0 ? ws_link_check(&options->given, err) : rc;
}

static int take_option(void *user, int option, const char *value, struct ws_error *err)
{
    struct shape_options *options = user;
    int64_t seed = 0;
    int rc = 0;
    switch (option) {
    case OPT_TO:
        options->shaper.target = value;
        return 0;
    case OPT_LISTEN:
        options->shaper.listen = value;
        return 0;
    case OPT_INSECURE:
        options->shaper.insecure = 1;
        return 0;
    case OPT_LINK:
        options->testbed = value;
        return 0;
    case OPT_MBIT:
        return take_number(options, WS_LINK_MBIT_S, value, "--mbit", err);
    case OPT_DELAY:
        return take_number(options, WS_LINK_DELAY_MS, value, "--delay", err);
    case OPT_JITTER:
        return take_number(options, WS_LINK_JITTER_MS, value, "--jitter", err);
    case OPT_LOSS:
        return take_number(options, WS_LINK_LOSS, value, "--loss", err);
    case OPT_TRACE:
        options->trace = value;
        return 0;
    case OPT_LOOP:
        options->is_looped = 1;
        return 0;
    default:
        rc = ws_parse_i64(&seed, value, 0, INT64_MAX, "--seed", err);
        options->shaper.seed = (uint64_t)seed;
        return rc;
    }
}

static const struct ws_cli_syntax syntax = {
    .command = "shape",
    .usage = usage,
    .shorts = "",
    .longs = long_options,
    .take = take_option,
    .words_min = 0,
    .words_max = 0,
    .wants = "",
};

/* The link that a testbed was recorded over, or that of its model. */
static int read_testbed_link(struct ws_conditions *out, const char *path,
                             struct ws_error *err)
{
    struct ws_testbed testbed;
    struct ws_evaluator *model = NULL;
    int rc = ws_testbed_load(&testbed, path, err);
    if (rc != 0)
        return rc;
    if (testbed.link.known != 0) {
        ws_link_update(out, &testbed.link);
    } else if (testbed.model_path != NULL) {
        rc = ws_modelled_create(&model, &testbed.space, NULL, testbed.model_path, err);
        if (rc == 0)
            ws_link_update(out, ws_modelled_link(model));
        ws_evaluator_destroy(model);
    } else {
        rc = ws_error_set(err, WS_E_UNKNOWN, "%s does not say what its link is", path);
    }
    ws_testbed_fini(&testbed);
    return rc;
}

/* Waits for a signal, at the longest until `until_ns` (INT64_MAX: for ever); whether one
 * came. */
static int wait_for_signal(const sigset_t *stop, int64_t until_ns)
{
    for (;;) {
        int64_t rest_ns = until_ns - ws_clock_now_ns();
        if (rest_ns <= 0)
            return 0;
        const struct timespec rest = {.tv_sec = (time_t)(rest_ns / 1000000000),
                                      .tv_nsec = (long)(rest_ns % 1000000000)};
        if (sigtimedwait(stop, NULL, &rest) > 0)
            return 1;
    }
}

/* Lets the link follow the trace until a signal comes. */
static int follow(struct ws_shaper *shaper, const struct ws_trace *trace,
                  const struct shape_options *options, const sigset_t *stop,
                  struct ws_error *err)
{
    int64_t start_ns = ws_clock_now_ns();
    for (;;) {
        struct ws_conditions link = options->shaper.link;
        double round_s = 0;
        for (size_t row = 0; row < trace->count; row++) {
            round_s = trace->time_s[row];
            if (wait_for_signal(stop, start_ns + (int64_t)(round_s * 1e9)))
                return 0;
            ws_link_update(&link, &trace->at[row]);
            int rc = ws_shaper_set(shaper, &link, err);
            if (rc != 0)
                return ws_error_context(err, "%s, time_s %g", options->trace, round_s);
        }
        if (!options->is_looped || round_s <= 0) {
            (void)wait_for_signal(stop, INT64_MAX);
            return 0;
        }
        start_ns += (int64_t)(round_s * 1e9);
    }
}

static int shape(struct shape_options *options, struct ws_error *err)
{
    struct ws_shaper *shaper = NULL;
    struct ws_trace trace = {0};
    struct ws_shaper_count count;
    sigset_t stop;
    int rc = 0;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    /* Before there are threads, so that none of them takes the signal. */
    (void)pthread_sigmask(SIG_BLOCK, &stop, NULL);
    if (options->testbed != NULL)
        rc = read_testbed_link(&options->shaper.link, options->testbed, err);
    ws_link_update(&options->shaper.link, &options->given);
    if (rc == 0 && options->trace != NULL)
        rc = ws_trace_load(&trace, options->trace, &options->shaper.link, err);
    if (rc == 0)
        rc = ws_shaper_start(&shaper, &options->shaper, err);
    if (rc == 0) {
        printf("%s\n", ws_shaper_address(shaper));
        (void)fflush(stdout);
        rc = follow(shaper, &trace, options, &stop, err);
        ws_shaper_count(&count, shaper);
        printf("%llu connections, %llu bytes up, %llu down\n",
               (unsigned long long)count.connections, (unsigned long long)count.up_bytes,
               (unsigned long long)count.down_bytes);
    }
    ws_shaper_stop(shaper);
    ws_trace_fini(&trace);
    return rc;
}

int ws_cmd_shape(int argc, char **argv)
{
    struct shape_options options = {.shaper = {.listen = "127.0.0.1:0", .seed = 1}};
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    if (ws_cli_read(&status, argc, argv, &syntax, &options) != 0)
        return status;
    if (optind < argc)
        return ws_cli_usage_error("shape", "\"%s\" is one word too many", argv[optind]);
    if (options.shaper.target == NULL)
        return ws_cli_usage_error("shape", "--to HOST:PORT is needed");
    return shape(&options, &err) == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
