/*
 * Options that every command which runs a model understands: threads, provider,
 * optimisation level, fixed dimensions, memory; and one way from a path to an engine and
 * a splitter.
 */
#ifndef WS_CLI_MODEL_OPTIONS_H
#define WS_CLI_MODEL_OPTIONS_H

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

/* All of them, and two for commands that need no more. */
extern const struct ws_cli_option ws_model_cli[];
extern const struct ws_cli_option ws_model_threads_cli[];
extern const struct ws_cli_option ws_model_dims_cli[];

void ws_model_options_init(struct ws_model_options *options);
void ws_model_options_fini(struct ws_model_options *options);
/* An engine and a splitter for the model; both are the caller's, also the engine alone
 * where only the model failed. Prints the splitter's note, if any, on stderr. */
int ws_model_options_open(struct ws_engine **out_engine,
                          struct ws_splitter **out_splitter,
                          const struct ws_model_options *options, const char *path,
                          struct ws_error *err);

#endif
