#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/parse.h"
#include "cli/command.h"
#include "onnx/zoo.h"

static void print_usage(FILE *to)
{
    fputs(
        "usage: wattshed zoo NAME -o FILE [--seed N] [--batch N] [--keep-norms]\n"
        "       wattshed zoo --list\n\n"
        "Writes a well-known network as an ONNX model: its published shapes and "
        "parameter\n"
        "count, weights from a seed. It has learnt nothing, but computes like the real\n"
        "one, so it can be measured without a download.\n\n"
        "  -o, --output FILE  where to write it\n"
        "  --seed N           of the weights (default: 0)\n"
        "  --batch N          images at once (default: 1)\n"
        "  --keep-norms       leave batch normalisation as nodes of their own instead "
        "of\n"
        "                     folding it into the convolutions, as exporters do\n"
        "  --list             print what there is\n",
        to);
}

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

enum { OPT_SEED = 256, OPT_BATCH, OPT_KEEP_NORMS, OPT_LIST };

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"seed", required_argument, NULL, OPT_SEED},
    {"batch", required_argument, NULL, OPT_BATCH},
    {"keep-norms", no_argument, NULL, OPT_KEEP_NORMS},
    {"list", no_argument, NULL, OPT_LIST},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* One option; 0 or a code. */
static int take_option(struct request *request, int option, struct ws_error *err)
{
    int64_t seed = 0;
    int rc = 0;
    switch (option) {
    case 'o':
        request->path = optarg;
        return 0;
    case OPT_SEED:
        rc = ws_parse_i64(&seed, optarg, 0, INT64_MAX, "--seed", err);
        request->options.seed = (uint64_t)seed;
        return rc;
    case OPT_BATCH:
        return ws_parse_i64(&request->options.batch, optarg, 1, WS_ZOO_BATCH_MAX,
                            "--batch", err);
    default:
        request->options.keep_norms = 1;
        return 0;
    }
}

int ws_cmd_zoo(int argc, char **argv)
{
    struct request request = {.options = {.batch = 1}};
    struct ws_error err = {0};
    int option;
    while ((option = getopt_long(argc, argv, "o:h", long_options, NULL)) != -1) {
        if (option == 'h') {
            print_usage(stdout);
            return WS_EXIT_OK;
        }
        if (option == OPT_LIST)
            return print_list();
        if (option == '?')
            return WS_EXIT_USAGE; /* getopt has said why */
        if (take_option(&request, option, &err) != 0)
            return ws_cli_usage_error("zoo", "%s", err.text);
    }
    if (optind + 1 != argc)
        return ws_cli_usage_error("zoo", "one NAME, not %d", argc - optind);
    if (request.path == NULL)
        return ws_cli_usage_error("zoo", "-o FILE is missing");
    request.name = argv[optind];
    return write_model(&request);
}
