#include <errno.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/inspect_report.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/subject.h"

struct inspect_options {
    struct ws_model_options model;
    const char *path;
    const char *dot;
    int all;
    int json;
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_FLAG("all", struct inspect_options, all, "cuts that are not natural too")},
    {WS_CLI_FLAG("json", struct inspect_options, json,
                 "prints JSON; bytes and work that are not known are null, and "
                 "dims_assumed says how many dimensions of a cut count as 1")},
    {WS_CLI_TEXT("dot", "FILE", struct inspect_options, dot,
                 "also writes the graph for Graphviz, natural cuts in blue and "
                 "bottlenecks in red")},
    {WS_CLI_GROUP(ws_model_cli, struct inspect_options, model)},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "inspect",
    .synopsis = "MODEL [--all] [--json] [--dot FILE] [OPTION ...]",
    .about = "Lists the places where a model can be cut: what crosses, how many bytes, "
             "and the work and weights on either side. Natural cuts are those that the "
             "runtime's optimisation leaves open, so that both halves run at the speed "
             "of the whole.",
    .options = options_table,
    .example = "  $ wattshed inspect etc/demo/digits.onnx",
    .words_min = 1,
    .words_max = 1,
    .wants = "one MODEL is needed",
};

static int write_dot(const char *path, const struct ws_inspect_view *view,
                     struct ws_error *err)
{
    FILE *to = fopen(path, "we");
    if (to == NULL)
        return ws_error_set_errno(err, WS_E_IO, errno, "create %s", path);
    int rc = ws_inspect_dot(to, view, err);
    int failed = ferror(to);
    if ((fclose(to) != 0 || failed) && rc == 0)
        rc = ws_error_set(err, WS_E_IO, "cannot write all of %s", path);
    return rc;
}

static int report(const struct inspect_options *options, const struct ws_cuts *cuts,
                  const char *note, struct ws_error *err)
{
    char digest[WS_DIGEST_TEXT];
    struct ws_inspect_view view = {
        .cuts = cuts, .digest = digest, .note = note, .all = options->all};
    int rc = ws_model_digest(digest, cuts->graph->model, err);
    if (rc == 0 && options->dot != NULL)
        rc = write_dot(options->dot, &view, err);
    if (rc == 0 && options->json)
        rc = ws_inspect_json(stdout, &view, err);
    else if (rc == 0)
        ws_inspect_table(stdout, &view);
    if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = ws_error_set_errno(err, WS_E_IO, errno, "write the report");
    return rc;
}

/* A model that the runtime refuses can be looked at all the same; which cuts are natural
 * stays unknown. */
static int report_unread(const struct inspect_options *options, struct ws_error *refusal)
{
    struct ws_error err = {0};
    struct ws_subject subject = {0};
    char note[WS_ERROR_TEXT_MAX + 32];
    (void)snprintf(note, sizeof(note), "the runtime refuses it: %s", refusal->text);
    int rc = ws_subject_init(&subject, options->path, NULL, options->model.dims,
                             options->model.splitter.dim_count, &err);
    if (rc == 0)
        rc = report(options, subject.cuts, note, &err);
    ws_subject_fini(&subject);
    if (rc != 0)
        *refusal = err;
    return rc;
}

int ws_cmd_inspect(int argc, char **argv)
{
    struct inspect_options options = {0};
    struct ws_error err = {0};
    struct ws_engine *engine = NULL;
    struct ws_splitter *splitter = NULL;
    int status = WS_EXIT_OK;
    ws_model_options_init(&options.model);
    if (ws_cli_parse(&status, &options, argc, argv, &usage) != 0)
        goto out;
    options.path = argv[optind];
    int rc =
        ws_model_options_open(&engine, &splitter, &options.model, options.path, &err);
    if (rc == 0)
        rc = report(&options, ws_splitter_cuts(splitter), ws_splitter_note(splitter),
                    &err);
    else if (rc == WS_E_RUNTIME)
        rc = report_unread(&options, &err);
    if (rc != 0)
        status = ws_cli_fail(&err);
out:
    ws_splitter_destroy(splitter);
    ws_engine_destroy(engine);
    ws_model_options_fini(&options.model);
    return status;
}
