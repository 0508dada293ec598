#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/secure_options.h"
#include "net/http_client.h"

enum { LINES_MAX = 4096, PARTS = 6, LABEL_MAX = 256 };

struct top_options {
    struct ws_identity_options identity;
    const char *url;
    double every_s;
    int once;
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_NUMBER("every", "S", struct top_options, every_s, 0.1, 3600,
                   "seconds between two looks (default 1)")},
    {WS_CLI_FLAG("once", struct top_options, once,
                 "one look at everything since the start, and no more; also where the "
                 "output is no terminal")},
    {WS_CLI_GROUP(ws_identity_cli, struct top_options, identity)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "top",
    .synopsis = "URL [--every S] [--once]",
    .about = "Shows what an agent (wattshed serve) is doing: requests and deadlines met, "
             "times and joules by part, the settings it chooses, its nodes and the links "
             "to them. Rates are over the last interval.",
    .options = options_table,
    .words_min = 1,
    .words_max = 1,
    .wants = "one URL is needed",
};

/* ---- the metrics, read back ---- */

/* One line: NAME{LABELS} VALUE, the labels with their braces, "" without. */
struct sample {
    const char *name, *labels;
    double value;
};

struct look {
    char *text; /* that the samples point into */
    struct sample samples[LINES_MAX];
    size_t count;
    int64_t at_ns;
};

static void read_line(struct look *look, char *line)
{
    char *value = strrchr(line, ' ');
    if (line[0] == '#' || value == NULL || look->count == LINES_MAX)
        return;
    *value++ = '\0';
    struct sample *sample = &look->samples[look->count];
    sample->name = line;
    char *labels = strchr(line, '{');
    sample->labels = "";
    if (strcmp(value, "+Inf") == 0)
        sample->value = INFINITY;
    else if (ws_parse_double(&sample->value, value, "a metric", NULL) != 0)
        return;
    if (labels != NULL) {
        /* "NAME{...}": the name ends where the labels begin. */
        char *end = strrchr(labels, '}');
        if (end == NULL)
            return;
        *end = '\0';
        *labels = '\0';
        sample->labels = labels + 1;
    }
    look->count++;
}

static int take_look(struct look **out, struct ws_http_client *client,
                     struct ws_error *err)
{
    const struct ws_http_call call = {.method = "GET", .path = "/metrics"};
    struct ws_http_answer answer;
    int rc = ws_http_client_call(&answer, client, &call, err);
    if (rc == 0 && answer.status != 200)
        rc = ws_error_set(err, WS_E_REMOTE, "/metrics: status %d: is it an agent?",
                          answer.status);
    if (rc != 0)
        return rc;
    struct look *look = calloc(1, sizeof(*look));
    char *text = malloc(answer.body_size + 1);
    if (look == NULL || text == NULL) {
        free(look);
        free(text);
        return ws_error_nomem(err);
    }
    memcpy(text, answer.body, answer.body_size);
    text[answer.body_size] = '\0';
    look->text = text;
    look->at_ns = ws_clock_now_ns();
    for (char *line = text, *next; *line != '\0'; line = next) {
        size_t length = strcspn(line, "\n");
        next = line + length + (line[length] == '\n');
        line[length] = '\0';
        read_line(look, line);
    }
    *out = look;
    return 0;
}

static void look_free(struct look *look)
{
    if (look == NULL)
        return;
    free(look->text);
    free(look);
}

/* Sum over all samples of a name whose labels hold a piece of text ("" for all). */
static double sum(const struct look *look, const char *name, const char *piece)
{
    double total = 0;
    for (size_t i = 0; look != NULL && i < look->count; i++) {
        if (strcmp(look->samples[i].name, name) == 0 &&
            strstr(look->samples[i].labels, piece) != NULL)
            total += look->samples[i].value;
    }
    return total;
}

/* By how much a sum has grown; less than before: the agent was started anew. */
static double grown(const struct look *now, const struct look *then, const char *name,
                    const char *piece)
{
    double is = sum(now, name, piece), was = sum(then, name, piece);
    return is >= was ? is - was : is;
}

/* The value of a label, or "". */
static void label_of(char *out, size_t size, const char *labels, const char *name)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof(wanted), "%s=\"", name);
    const char *at = strstr(labels, wanted);
    at = at == NULL ? "" : at + strlen(wanted);
    (void)snprintf(out, size, "%.*s", (int)strcspn(at, "\""), at);
}

/* ---- the picture ---- */

static void show_requests(const struct look *now, const struct look *then, double s)
{
    static const char name[] = "wattshed_requests_total";
    double met = grown(now, then, name, "\"met\"");
    double late = grown(now, then, name, "\"late\"");
    double refused = grown(now, then, name, "\"refused\"");
    double failed = grown(now, then, name, "\"failed\"");
    double all = grown(now, then, name, "");
    printf("requests %8.1f/s   met ", all / s);
    if (met + late > 0)
        printf("%5.1f %%", 100 * met / (met + late));
    else
        printf("      -");
    printf("   refused %.0f   failed %.0f   waiting %.0f   in flight %.0f\n", refused,
           failed, sum(now, "wattshed_queue_requests", ""),
           sum(now, "wattshed_in_flight_requests", ""));
}

static void show_parts(const struct look *now, const struct look *then, double s)
{
    static const char *const parts[PARTS] = {"total", "queue",    "switch",
                                             "edge",  "transfer", "cloud"};
    printf("\n%-10s %10s %10s %12s\n", "part", "mean ms", "J/s", "J/request");
    double all = grown(now, then, "wattshed_request_seconds_count", "\"total\"");
    for (size_t p = 0; p < PARTS; p++) {
        char piece[32];
        (void)snprintf(piece, sizeof(piece), "part=\"%s\"", parts[p]);
        double count = grown(now, then, "wattshed_request_seconds_count", piece);
        double seconds = grown(now, then, "wattshed_request_seconds_sum", piece);
        double joules =
            grown(now, then, "wattshed_energy_joules_total", p == 0 ? "" : piece);
        printf("%-10s ", parts[p]);
        if (count > 0)
            printf("%10.3f ", 1e3 * seconds / count);
        else
            printf("%10s ", "-");
        if (joules > 0 && all > 0)
            printf("%10.3f %12.4f\n", joules / s, joules / all);
        else
            printf("%10s %12s\n", "-", "-");
    }
}

/* Whether a sample is of a knob's value, and which. */
static int is_setting(char knob[static LABEL_MAX], const struct sample *sample)
{
    if (strcmp(sample->name, "wattshed_setting_requests_total") != 0)
        return 0;
    label_of(knob, LABEL_MAX, sample->labels, "knob");
    return 1;
}

/* Knob by knob, in the order in which they first came. */
static void show_settings(const struct look *now, const struct look *then)
{
    char knob[LABEL_MAX], other[LABEL_MAX], value[LABEL_MAX];
    const char *gap = "";
    printf("\nsettings   ");
    for (size_t i = 0; i < now->count; i++) {
        size_t first = 0;
        int is_named = 0;
        if (!is_setting(knob, &now->samples[i]))
            continue;
        while (!is_setting(other, &now->samples[first]) || strcmp(other, knob) != 0)
            first++;
        for (size_t k = i; first == i && k < now->count; k++) {
            const struct sample *sample = &now->samples[k];
            double count = grown(now, then, sample->name, sample->labels);
            if (!is_setting(other, sample) || strcmp(other, knob) != 0 || !(count > 0))
                continue;
            label_of(value, sizeof(value), sample->labels, "value");
            if (!is_named)
                printf("%s%s:", gap, knob);
            is_named = 1;
            gap = "   ";
            printf(" %s x%.0f", value, count);
        }
    }
    putchar('\n');
}

static void show_nodes(const struct look *now, const struct look *then)
{
    printf("\n%-32s %-5s %9s %9s %8s %8s %9s\n", "node", "up", "Mbit/s", "delay ms",
           "spread", "age s", "slower x");
    for (size_t i = 0; i < now->count; i++) {
        const struct sample *sample = &now->samples[i];
        char url[256];
        if (strcmp(sample->name, "wattshed_node_up") != 0)
            continue;
        label_of(url, sizeof(url), sample->labels, "node");
        printf("%-32s %-5s %9.2f %9.3f %8.2f %8.1f %9.2f\n", url,
               sample->value > 0 ? "yes" : "no",
               sum(now, "wattshed_link_bytes_per_second", sample->labels) * 8 / 1e6,
               sum(now, "wattshed_link_delay_seconds", sample->labels) * 1e3,
               sum(now, "wattshed_link_spread_ratio", sample->labels),
               sum(now, "wattshed_link_age_seconds", sample->labels),
               sum(now, "wattshed_node_scale_ratio", sample->labels));
    }
    printf("\nedge slower x%.2f   sent %.0f   not given %.0f   finished here %.0f\n",
           sum(now, "wattshed_edge_scale_ratio", ""),
           grown(now, then, "wattshed_sends_total", ""),
           grown(now, then, "wattshed_send_failures_total", ""),
           grown(now, then, "wattshed_fallbacks_total", ""));
}

static void show(const struct look *now, const struct look *then)
{
    double started = sum(now, "process_start_time_seconds", "");
    double s = then != NULL ? (double)(now->at_ns - then->at_ns) / 1e9
                            : fmax(ws_clock_wall_s() - started, 1e-3);
    show_requests(now, then, s);
    show_parts(now, then, s);
    show_settings(now, then);
    show_nodes(now, then);
}

static int top(const struct top_options *options, struct ws_error *err)
{
    struct ws_http_client *client = NULL;
    struct look *then = NULL, *now = NULL;
    int once = options->once || !isatty(STDOUT_FILENO);
    const struct ws_http_client_options http = {.identity = options->identity.identity,
                                                .timeout_ms = 10000};
    int rc = ws_http_client_create(&client, options->url, &http, err);
    for (int goes_on = 1; rc == 0 && goes_on; goes_on = !once) {
        rc = take_look(&now, client, err);
        if (rc != 0)
            break;
        if (!once)
            printf("\033[H\033[2J%s, every %g s\n\n", options->url, options->every_s);
        show(now, then);
        (void)fflush(stdout);
        look_free(then);
        then = now;
        now = NULL;
        if (!once)
            ws_clock_sleep_until(then->at_ns + (int64_t)(options->every_s * 1e9));
    }
    look_free(then);
    ws_http_client_destroy(client);
    return rc;
}

int ws_cmd_top(int argc, char **argv)
{
    struct ws_error err = {0};
    int status = WS_EXIT_OK;
    struct top_options options = {.every_s = 1};
    if (ws_cli_parse(&status, &options, argc, argv, &usage) == 0) {
        options.url = argv[optind];
        if (top(&options, &err) != 0)
            status = ws_cli_fail(&err);
    }
    ws_identity_options_fini(&options.identity);
    return status;
}
