#include <inttypes.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/options.h"
#include "onnx/zoo.h"

static int print_list(void)
{
    printf("%-14s %12s %9s\n", "name", "parameters", "GMAC");
    for (size_t i = 0; i < ws_zoo_count(); i++) {
        const struct ws_zoo_arch *arch = ws_zoo_arch(i);
        printf("%-14s %12" PRIu64 " %9.3f  %s\n", arch->name, arch->parameters,
               (double)arch->macs / 1e9, arch->summary);
    }
    return WS_EXIT_OK;
}

struct request {
    const char *name;
    const char *path;
    struct ws_zoo_options options;
    int list;
};

static const struct ws_cli_option options_table[] = {
    {WS_CLI_TEXT("output", "FILE", struct request, path, "where to write it"),
     .letter = 'o'},
    {WS_CLI_TAKE("seed", "N", struct request, options.seed, ws_cli_take_seed,
                 "of the weights (default: 0)")},
    {WS_CLI_WHOLE("batch", "N", struct request, options.batch, 1, WS_ZOO_BATCH_MAX,
                  "images at once (default: 1)")},
    {WS_CLI_FLAG("keep-norms", struct request, options.keep_norms,
                 "leave batch normalisation as nodes of their own instead of folding it "
                 "into the convolutions, as exporters do")},
    {WS_CLI_FLAG("list", struct request, list, "print what there is")},
    {0},
};

static const struct ws_cli_usage usage = {
    .command = "zoo",
    .synopsis = "NAME -o FILE [--seed N] [--batch N] [--keep-norms]\n--list",
    .about = "Writes a well-known network as an ONNX model: its published shapes and "
             "parameter count, weights from a seed. It has learnt nothing, but computes "
             "like the real one, so it can be measured without a download.",
    .options = options_table,
    .words_max = 1,
    .wants = "one NAME, not more",
};

static int write_model(const struct request *request)
{
    const struct ws_zoo_arch *arch = NULL;
    struct ws_zoo_facts facts;
    struct ws_error err = {0};
    int rc = ws_zoo_find(&arch, request->name, &err);
    if (rc == 0)
        rc = ws_zoo_write(&facts, request->path, arch, &request->options, &err);
    if (rc != 0)
        return ws_cli_fail(&err);
    printf("%s: %s, seed %" PRIu64 ", %zu nodes, %" PRIu64 " parameters (%" PRIu64
           " values stored), %.3f GMAC\n",
           request->path, arch->name, request->options.seed, facts.node_count,
           facts.parameters, facts.stored, (double)facts.macs / 1e9);
    return WS_EXIT_OK;
}

int ws_cmd_zoo(int argc, char **argv)
{
    struct request request = {.options = {.batch = 1}};
    int status = WS_EXIT_OK;
    if (ws_cli_parse(&status, &request, argc, argv, &usage) != 0)
        return status;
    if (request.list)
        return print_list();
    if (optind == argc)
        return ws_cli_usage_error("zoo", "one NAME is needed");
    if (request.path == NULL)
        return ws_cli_usage_error("zoo", "-o FILE is missing");
    request.name = argv[optind];
    return write_model(&request);
}
