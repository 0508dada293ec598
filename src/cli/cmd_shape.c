#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/parse.h"
#include "cli/command.h"
#include "cli/options.h"
#include "core/link.h"
#include "device/modelled.h"
#include "net/shaper.h"
#include "study/testbed.h"
#include "study/trace.h"

struct shape_options {
    struct ws_shaper_options shaper;
    struct ws_conditions given; /* by options of their own */
    const char *testbed;
    const char *trace;
    int is_looped;
    int is_stepped;
};

static int take_condition(void *field, const char *value,
                          const struct ws_cli_option *option, struct ws_error *err)
{
    static const struct {
        const char *name;
        enum ws_condition which;
    } names[] = {{"mbit", WS_LINK_MBIT_S},
                 {"delay", WS_LINK_DELAY_MS},
                 {"jitter", WS_LINK_JITTER_MS},
                 {"loss", WS_LINK_LOSS}};
    char what[16];
    double number = 0;
    size_t i = 0;
    (void)snprintf(what, sizeof(what), "--%s", option->name);
    while (strcmp(names[i].name, option->name) != 0)
        i++;
    int rc = ws_parse_double(&number, value, what, err);
    if (rc == 0)
        ws_conditions_set(field, names[i].which, number);
    return rc == 0 ? ws_link_check(field, err) : rc;
}

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("to", "HOST:PORT", struct shape_options, shaper.target,
                 "where connections go")},
    {WS_CLI_TEXT("listen", "ADDR:PORT", struct shape_options, shaper.listen,
                 "where they come in (default 127.0.0.1:0, any free port)")},
    {WS_CLI_FLAG("insecure", struct shape_options, shaper.insecure,
                 "allow an address that others can reach")},
    {WS_CLI_TEXT("link", "TESTBED", struct shape_options, testbed,
                 "the link of a testbed (JSON), or of its model")},
    {WS_CLI_TAKE("mbit", "N", struct shape_options, given, take_condition,
                 "rate in Mbit/s; 0: the link is cut")},
    {WS_CLI_TAKE("delay", "MS", struct shape_options, given, take_condition, "one way")},
    {WS_CLI_TAKE("jitter", "MS", struct shape_options, given, take_condition,
                 "to either side of the delay")},
    {WS_CLI_TAKE("loss", "SHARE", struct shape_options, given, take_condition,
                 "of the packets, 0 to below 1")},
    {WS_CLI_TEXT("trace", "FILE", struct shape_options, trace,
                 "changes over time (CSV: time_s, then link_mbit_s, link_delay_ms, "
                 "link_jitter_ms, link_loss or link_scale)")},
    {WS_CLI_FLAG("loop", struct shape_options, is_looped,
                 "start the trace again at its end")},
    {WS_CLI_FLAG("step", struct shape_options, is_stepped,
                 "go to the trace's next row on SIGUSR1, whatever its time")},
    {WS_CLI_TAKE("seed", "N", struct shape_options, shaper.seed, ws_cli_take_seed,
                 "of jitter and losses (default 1)")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "shape",
    .synopsis = "--to HOST:PORT [--listen ADDR:PORT] [OPTION ...]",
    .about = "A link between two processes, in user space: a TCP proxy with a rate (each "
             "way, for all connections together), delay, jitter, and stalls as lost "
             "packets cause them. Needs no rights. What is not said does not slow "
             "anything down. Prints the address once it is ready, and until SIGINT or "
             "SIGTERM does its work; then says what has passed.",
    .options = options_table,
    .example =
        "  $ wattshed node etc/demo/digits.onnx\n"
        "  $ wattshed shape --listen 127.0.0.1:8001 --to 127.0.0.1:8000 --mbit 20\n"
        "  $ wattshed infer etc/demo/digits.onnx --cut 6 \\\n"
        "  > --node http://127.0.0.1:8001 ...",
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

/* Waits for a signal, at the longest until `until_ns` (INT64_MAX: for ever); its number,
 * or 0. */
static int wait_for_signal(const sigset_t *signals, int64_t until_ns)
{
    int number;
    for (;;) {
        int64_t rest_ns = until_ns - ws_clock_now_ns();
        if (rest_ns <= 0)
            return 0;
        const struct timespec rest = {.tv_sec = (time_t)(rest_ns / 1000000000),
                                      .tv_nsec = (long)(rest_ns % 1000000000)};
        if ((number = sigtimedwait(signals, NULL, &rest)) > 0)
            return number;
    }
}

/* Waits until it is time for a row; 0: it is time to stop. */
static int wait_for_row(const struct shape_options *options, size_t row, int64_t at_ns,
                        const sigset_t *signals)
{
    int number = SIGUSR1;
    if (!options->is_stepped)
        return wait_for_signal(signals, at_ns) == 0;
    if (row > 0)
        number = wait_for_signal(signals, INT64_MAX);
    return number == SIGUSR1;
}

/* Lets the link follow the trace until a signal comes. */
static int follow(struct ws_shaper *shaper, const struct ws_trace *trace,
                  const struct shape_options *options, const sigset_t *signals,
                  struct ws_error *err)
{
    int64_t start_ns = ws_clock_now_ns();
    for (;;) {
        struct ws_conditions link = options->shaper.link;
        double round_s = 0;
        for (size_t row = 0; row < trace->count; row++) {
            round_s = trace->time_s[row];
            int64_t at_ns = start_ns + (int64_t)(round_s * 1e9);
            if (!wait_for_row(options, row, at_ns, signals))
                return 0;
            ws_link_update(&link, &trace->at[row]);
            int rc = ws_shaper_set(shaper, &link, err);
            if (rc != 0)
                return ws_error_context(err, "%s, time_s %g", options->trace, round_s);
        }
        if (!options->is_looped || round_s <= 0) {
            while (wait_for_signal(signals, INT64_MAX) == SIGUSR1)
                ;
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
    sigset_t signals;
    int rc = 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    if (options->is_stepped)
        sigaddset(&signals, SIGUSR1);
    /* Before there are threads, so that none of them takes the signal. */
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
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
        rc = follow(shaper, &trace, options, &signals, err);
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
    if (ws_cli_parse(&status, &options, argc, argv, &usage) != 0)
        return status;
    if (optind < argc)
        return ws_cli_usage_error("shape", "\"%s\" is one word too many", argv[optind]);
    if (options.shaper.target == NULL)
        return ws_cli_usage_error("shape", "--to HOST:PORT is needed");
    return shape(&options, &err) == 0 ? WS_EXIT_OK : ws_cli_fail(&err);
}
