#include "cli/model_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

void ws_model_options_init(struct ws_model_options *options)
{
    *options = (struct ws_model_options){.splitter.level = WS_LEVEL_ALL};
}

void ws_model_options_fini(struct ws_model_options *options)
{
    for (size_t i = 0; i < options->text_count; i++)
        free(options->texts[i]);
    options->text_count = 0;
}

/* Cuts "KEY=VALUE" in two; the key is the options' to free. */
static int cut_pair(const char **key, const char **value,
                    struct ws_model_options *options, const char *text, const char *what,
                    struct ws_error *err)
{
    const char *equals = strchr(text, '=');
    size_t room = sizeof(options->texts) / sizeof(options->texts[0]);
    if (equals == NULL || equals == text)
        return ws_error_set(err, WS_E_USAGE, "%s: \"%s\" is not of the form NAME=VALUE",
                            what, text);
    if (options->text_count == room)
        return ws_error_set(err, WS_E_USAGE, "%s: given too often", what);
    char *copy = strndup(text, (size_t)(equals - text));
    if (copy == NULL)
        return ws_error_nomem(err);
    options->texts[options->text_count++] = copy;
    *key = copy;
    *value = equals + 1;
    return 0;
}

static int take_dim(void *field, const char *text, const struct ws_cli_option *option,
                    struct ws_error *err)
{
    struct ws_model_options *options = field;
    struct ws_splitter_options *splitter = &options->splitter;
    const char *name = NULL, *size = NULL;
    (void)option;
    int64_t number = 0;
    if (splitter->dim_count == WS_MODEL_DIMS_MAX)
        return ws_error_set(err, WS_E_USAGE, "--dim: given more than %d times",
                            WS_MODEL_DIMS_MAX);
    int rc = cut_pair(&name, &size, options, text, "--dim", err);
    if (rc == 0)
        rc = ws_parse_i64(&number, size, 1, INT32_MAX, "--dim", err);
    if (rc != 0)
        return rc;
    options->dims[splitter->dim_count++] = (struct ws_dim){.name = name, .size = number};
    return 0;
}

static int take_level(void *field, const char *text, const struct ws_cli_option *option,
                      struct ws_error *err)
{
    enum ws_level *out = field;
    (void)option;
    for (int level = WS_LEVEL_NONE; level <= WS_LEVEL_ALL; level++) {
        if (strcmp(ws_level_name((enum ws_level)level), text) == 0) {
            *out = (enum ws_level)level;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_USAGE,
                        "--level: \"%s\" is not none, basic, extended or all", text);
}

static int take_provider_option(void *field, const char *text,
                                const struct ws_cli_option *option, struct ws_error *err)
{
    struct ws_model_options *options = field;
    const char *key = NULL, *value = NULL;
    (void)option;
    size_t count = 0;
    while (options->provider_options[count] != NULL)
        count++;
    if (count == 2 * WS_PROVIDER_OPTIONS_MAX)
        return ws_error_set(err, WS_E_USAGE, "--provider-option: given too often");
    int rc = cut_pair(&key, &value, options, text, "--provider-option", err);
    if (rc != 0)
        return rc;
    options->provider_options[count] = key;
    options->provider_options[count + 1] = value;
    return 0;
}

static int take_threads(void *field, const char *text, const struct ws_cli_option *option,
                        struct ws_error *err)
{
    int64_t number = 0;
    (void)option;
    int rc = ws_parse_i64(&number, text, 1, 1024, "--threads", err);
    if (rc == 0)
        *(int *)field = (int)number;
    return rc;
}

const struct ws_cli_option ws_model_threads_cli[] = {
    {WS_CLI_TAKE("threads", "N", struct ws_model_options, engine.threads, take_threads,
                 "threads of one run (default: one for each core)")},
    {0},
};

const struct ws_cli_option ws_model_dims_cli[] = {
    {WS_CLI_TAKE_WHOLE("dim", "NAME=N", take_dim,
                       "fixes a free dimension, e.g. batch=1")},
    {0},
};

const struct ws_cli_option ws_model_cli[] = {
    {WS_CLI_HEADING("The model, and ONNX Runtime:")},
    {.kind = WS_CLI_IS_GROUP, .group = ws_model_threads_cli},
    {WS_CLI_FLAG("spin", struct ws_model_options, engine.spinning,
                 "idle threads spin: a little faster, burns energy")},
    {WS_CLI_TEXT("provider", "NAME", struct ws_model_options, engine.provider,
                 "execution provider of ONNX Runtime (default CPU)")},
    {WS_CLI_TAKE_WHOLE("provider-option", "KEY=VALUE", take_provider_option,
                       "handed to the provider")},
    {WS_CLI_TAKE("level", "L", struct ws_model_options, splitter.level, take_level,
                 "optimisation: none, basic, extended or all (default all)")},
    {.kind = WS_CLI_IS_GROUP, .group = ws_model_dims_cli},
    {WS_CLI_BYTES("memory", "BYTES", struct ws_model_options, splitter.memory_bytes_max,
                  "budget of resident segments, e.g. 200M (default: none)")},
    {0},
};

int ws_model_options_open(struct ws_engine **out_engine,
                          struct ws_splitter **out_splitter,
                          const struct ws_model_options *options, const char *path,
                          struct ws_error *err)
{
    struct ws_engine_options engine = options->engine;
    struct ws_splitter_options splitter = options->splitter;
    engine.provider_options = options->provider_options;
    splitter.dims = options->dims;
    int rc = ws_engine_create(out_engine, &engine, err);
    if (rc == 0)
        rc = ws_splitter_create(out_splitter, *out_engine, path, &splitter, err);
    if (rc == 0 && ws_splitter_note(*out_splitter)[0] != '\0')
        fprintf(stderr, "wattshed: %s: %s\n", path, ws_splitter_note(*out_splitter));
    return rc;
}
