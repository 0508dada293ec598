/*
 * Options that every command which runs a model understands: threads, provider,
 * optimisation level, fixed dimensions, memory. One list of long options, one text for
 * -h, one way from a path to an engine and a splitter.
 */
#ifndef WS_CLI_MODEL_OPTIONS_H
#define WS_CLI_MODEL_OPTIONS_H

#include <getopt.h>

#include "cli/options.h"
#include "engine/engine.h"
#include "split/splitter.h"

enum { WS_MODEL_DIMS_MAX = 16, WS_PROVIDER_OPTIONS_MAX = 16 };

struct ws_model_options {
    struct ws_engine_options engine;
    struct ws_splitter_options splitter;
    struct ws_dim dims[WS_MODEL_DIMS_MAX];
    const char *provider_options[2 * WS_PROVIDER_OPTIONS_MAX + 1];
    char *texts[WS_MODEL_DIMS_MAX + WS_PROVIDER_OPTIONS_MAX]; /* names cut off "=..." */
    size_t text_count;
};

enum {
    WS_OPT_THREADS = 512,
    WS_OPT_SPIN,
    WS_OPT_PROVIDER,
    WS_OPT_PROVIDER_OPTION,
    WS_OPT_LEVEL,
    WS_OPT_DIM,
    WS_OPT_MEMORY
};

#define WS_MODEL_LONG_OPTIONS                                                            \
    {"threads", required_argument, NULL, WS_OPT_THREADS},                                \
        {"spin", no_argument, NULL, WS_OPT_SPIN},                                        \
        {"provider", required_argument, NULL, WS_OPT_PROVIDER},                          \
        {"provider-option", required_argument, NULL, WS_OPT_PROVIDER_OPTION},            \
        {"level", required_argument, NULL, WS_OPT_LEVEL},                                \
        {"dim", required_argument, NULL, WS_OPT_DIM},                                    \
    {                                                                                    \
        "memory", required_argument, NULL, WS_OPT_MEMORY                                 \
    }

#define WS_MODEL_OPTIONS_HELP                                                            \
    "  --threads N        threads of one run (default: one for each core)\n"             \
    "  --spin             idle threads spin: a little faster, burns energy\n"            \
    "  --provider NAME    execution provider of ONNX Runtime (default CPU)\n"            \
    "  --provider-option KEY=VALUE  handed to the provider\n"                            \
    "  --level L          optimisation: none, basic, extended or all (default all)\n"    \
    "  --dim NAME=N       fixes a free dimension, e.g. batch=1\n"                        \
    "  --memory BYTES     budget of resident segments, e.g. 200M (default: none)\n"

/* All of them, and two for commands that need no more. */
extern const struct ws_cli_option ws_model_cli[];
extern const struct ws_cli_option ws_model_threads_cli[];
extern const struct ws_cli_option ws_model_dims_cli[];

void ws_model_options_init(struct ws_model_options *options);
void ws_model_options_fini(struct ws_model_options *options);
/* Takes one parsed option; WS_E_USAGE for any it does not know. */
int ws_model_options_take(struct ws_model_options *options, int option, const char *value,
                          struct ws_error *err);
/* An engine and a splitter for the model; both are the caller's, also the engine alone
 * where only the model failed. Prints the splitter's note, if any, on stderr. */
int ws_model_options_open(struct ws_engine **out_engine,
                          struct ws_splitter **out_splitter,
                          const struct ws_model_options *options, const char *path,
                          struct ws_error *err);

#endif
