#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "engine/ort.h"
#include "engine/quiet.h"

const OrtApi *ws_ort;
static pthread_once_t found = PTHREAD_ONCE_INIT;

static void find_api(void)
{
    ws_ort = OrtGetApiBase()->GetApi(WS_ORT_API_VERSION);
}

/* Weights below this stay inside the optimised model: shape inference wants to see small
 * constants, and they cost nothing. */
#define EXTERNAL_BYTES_MIN "1024"

static const char *const level_names[] = {
    [WS_LEVEL_NONE] = "none",
    [WS_LEVEL_BASIC] = "basic",
    [WS_LEVEL_EXTENDED] = "extended",
    [WS_LEVEL_ALL] = "all",
};

static const GraphOptimizationLevel ort_levels[] = {
    [WS_LEVEL_NONE] = ORT_DISABLE_ALL,
    [WS_LEVEL_BASIC] = ORT_ENABLE_BASIC,
    [WS_LEVEL_EXTENDED] = ORT_ENABLE_EXTENDED,
    [WS_LEVEL_ALL] = ORT_ENABLE_ALL,
};

const char *ws_level_name(enum ws_level level)
{
    return level_names[level];
}

int ws_ort_check(OrtStatus *status, int code, const char *what, struct ws_error *err)
{
    if (status == NULL)
        return 0;
    ws_error_set(err, code, "%s: %s", what, ws_ort->GetErrorMessage(status));
    ws_ort->ReleaseStatus(status);
    return code;
}

static void pass_on_log(void *param, OrtLoggingLevel severity, const char *category,
                        const char *logid, const char *location, const char *message)
{
    (void)param;
    (void)category;
    (void)logid;
    (void)location;
    enum ws_log_level level = WS_LOG_DEBUG;
    if (severity >= ORT_LOGGING_LEVEL_ERROR)
        level = WS_LOG_INFO; /* our own error line follows wherever it matters */
    ws_log(level, "runtime: %s", message);
}

static int usable_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* As the runtime wants them spelt; its own list of what it has spells some otherwise. */
static const char *const provider_names[] = {
    "CPU", "CUDA", "WebGPU", "XNNPACK", "QNN", "SNPE", "OpenVINO", "AZURE", "VitisAI"};

static const char *spell_provider(const char *name)
{
    for (size_t i = 0; i < sizeof(provider_names) / sizeof(provider_names[0]); i++) {
        if (strcasecmp(name, provider_names[i]) == 0)
            return provider_names[i];
    }
    return name;
}

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

void ws_ort_begin_turn(const struct ws_engine *engine)
{
    if (engine->is_webgpu)
        pthread_mutex_lock(&turn);
}

void ws_ort_end_turn(const struct ws_engine *engine)
{
    if (engine->is_webgpu)
        pthread_mutex_unlock(&turn);
}

/* Keeps the provider and its options for every session to come. */
static int copy_provider(struct ws_engine *engine,
                         const struct ws_engine_options *options, struct ws_error *err)
{
    const char *name =
        options->provider == NULL ? "CPU" : spell_provider(options->provider);
    if (strcmp(name, "CPU") == 0)
        return 0;
    engine->provider = strdup(name);
    engine->is_webgpu = strcmp(name, "WebGPU") == 0;
    size_t count = 0;
    const char *const *pairs = options->provider_options;
    while (pairs != NULL && pairs[count] != NULL)
        count++;
    if (count % 2 != 0)
        return ws_error_set(err, WS_E_USAGE, "provider option \"%s\" has no value",
                            pairs[count - 1]);
    engine->provider_options = calloc(count + 1, sizeof(char *));
    if (engine->provider == NULL || engine->provider_options == NULL)
        return ws_error_nomem(err);
    for (size_t i = 0; i < count; i++) {
        engine->provider_options[i] = strdup(pairs[i]);
        if (engine->provider_options[i] == NULL)
            return ws_error_nomem(err);
    }
    engine->provider_option_count = count / 2;
    return 0;
}

/* The environment that the process's engines have in common, as its first one asked for:
 * the runtime has one at a time and heeds nobody's options after that. */
static struct {
    pthread_mutex_t lock;
    size_t users;
    int threads, spinning;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What an environment needs once: an older runtime refuses a second allocator. */
static OrtStatus *set_up_env(OrtEnv *env, const OrtMemoryInfo *cpu)
{
    OrtArenaCfg *arena = NULL;
    /* Extend by what is asked for (1), not to the next power of two. */
    const char *keys[] = {"arena_extend_strategy", "initial_chunk_size_bytes"};
    const size_t values[] = {1, 1 << 20};
    OrtStatus *status = ws_ort->DisableTelemetryEvents(env);
    if (status == NULL)
        status = ws_ort->CreateArenaCfgV2(keys, values, 2, &arena);
    if (status == NULL)
        status = ws_ort->CreateAndRegisterAllocator(env, cpu, arena);
    if (arena != NULL)
        ws_ort->ReleaseArenaCfg(arena);
    return status;
}

/* The environment of the process, made and set up by the first who asks. */
static OrtStatus *take_env(struct ws_engine *engine, const OrtThreadingOptions *threading)
{
    pthread_mutex_lock(&shared.lock);
    OrtStatus *status = ws_ort->CreateEnvWithCustomLoggerAndGlobalThreadPools(
        pass_on_log, NULL, ORT_LOGGING_LEVEL_WARNING, "wattshed", threading,
        &engine->env);
    if (status == NULL && shared.users++ == 0) {
        shared.threads = engine->threads;
        shared.spinning = engine->spinning;
        status = set_up_env(engine->env, engine->cpu);
    }
    engine->has_own_pools =
        engine->threads != shared.threads || engine->spinning != shared.spinning;
    pthread_mutex_unlock(&shared.lock);
    return status;
}

/* One pool of threads for all sessions: sixteen segments with a pool each would fight
 * over the cores, and spinning threads of the head would slow the tail. */
static int create_env(struct ws_engine *engine, struct ws_error *err)
{
    OrtThreadingOptions *threading = NULL;
    int rc = ws_ort_check(ws_ort->CreateThreadingOptions(&threading), WS_E_RUNTIME,
                          "start the runtime", err);
    if (rc != 0)
        return rc;
    OrtStatus *status = ws_ort->SetGlobalIntraOpNumThreads(threading, engine->threads);
    if (status == NULL)
        status = ws_ort->SetGlobalInterOpNumThreads(threading, 1);
    if (status == NULL)
        status = ws_ort->SetGlobalSpinControl(threading, engine->spinning);
    if (status == NULL)
        status = ws_ort->CreateMemoryInfo("Cpu", OrtArenaAllocator, 0, OrtMemTypeDefault,
                                          &engine->cpu);
    if (status == NULL)
        status = take_env(engine, threading);
    rc = ws_ort_check(status, WS_E_RUNTIME, "start the runtime", err);
    ws_ort->ReleaseThreadingOptions(threading);
    return rc;
}

/* A libonnx of its own registers its operators when a node is first looked up; this looks
 * one up now, while what it writes is held back (engine/quiet.h). The model, byte by
 * byte: y = Identity(x), one float each. */
static void register_operators(struct ws_engine *engine)
{
    static const char model[] = "\x08\x08\x3a\x2b"
                                "\x0a\x10\x0a\x01x\x12\x01y\x22\x08Identity"
                                "\x12\x01g"
                                "\x5a\x09\x0a\x01x\x12\x04\x0a\x02\x08\x01"
                                "\x62\x09\x0a\x01y\x12\x04\x0a\x02\x08\x01"
                                "\x42\x02\x10\x0d";
    struct ws_quiet quiet;
    OrtSessionOptions *options = NULL;
    OrtSession *session = NULL;
    ws_quiet_begin(&quiet);
    OrtStatus *status = ws_ort->CreateSessionOptions(&options);
    if (status == NULL)
        status = ws_ort->CreateSessionFromArray(engine->env, model, sizeof(model) - 1,
                                                options, &session);
    ws_quiet_end(&quiet);
    if (status != NULL)
        ws_ort->ReleaseStatus(status); /* then the lines are seen, and nothing else */
    if (session != NULL)
        ws_ort->ReleaseSession(session);
    if (options != NULL)
        ws_ort->ReleaseSessionOptions(options);
}

int ws_engine_create(struct ws_engine **out, const struct ws_engine_options *options,
                     struct ws_error *err)
{
    const OrtApiBase *base = OrtGetApiBase();
    /* Once: another engine's threads may be at work. */
    (void)pthread_once(&found, find_api);
    if (ws_ort == NULL)
        return ws_error_set(err, WS_E_UNSUPPORTED,
                            "ONNX Runtime %s is too old: version 1.%d is needed",
                            base->GetVersionString(), WS_ORT_API_VERSION);
    struct ws_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL)
        return ws_error_nomem(err);
    engine->threads = options->threads > 0 ? options->threads : usable_cores();
    engine->spinning = options->spinning != 0;
    (void)snprintf(engine->version, sizeof(engine->version), "ONNX Runtime %s",
                   base->GetVersionString());
    int rc = copy_provider(engine, options, err);
    if (rc == 0)
        rc = create_env(engine, err);
    if (rc == 0 && ws_quiet_needed())
        register_operators(engine);
    if (rc == 0 && engine->provider != NULL) {
        /* Fail now, with the provider's name, and not at the first request. */
        OrtSessionOptions *probe = NULL;
        rc = ws_ort_session_options(&probe, engine, WS_LEVEL_NONE, 0, 0, err);
        if (rc == 0)
            ws_ort->ReleaseSessionOptions(probe);
    }
    if (rc != 0) {
        ws_engine_destroy(engine);
        return rc;
    }
    *out = engine;
    return 0;
}

void ws_engine_destroy(struct ws_engine *engine)
{
    if (engine == NULL)
        return;
    if (engine->cpu != NULL)
        ws_ort->ReleaseMemoryInfo(engine->cpu);
    if (engine->env != NULL) {
        pthread_mutex_lock(&shared.lock);
        ws_ort->ReleaseEnv(engine->env);
        shared.users--;
        pthread_mutex_unlock(&shared.lock);
    }
    for (size_t i = 0;
         engine->provider_options != NULL && engine->provider_options[i] != NULL; i++)
        free(engine->provider_options[i]);
    free(engine->provider_options);
    free(engine->provider);
    free(engine);
}

const char *ws_engine_version(const struct ws_engine *engine)
{
    return engine->version;
}

int ws_engine_providers(char ***out, size_t *count, const struct ws_engine *engine,
                        struct ws_error *err)
{
    static const char suffix[] = "ExecutionProvider";
    (void)engine;
    char **names = NULL;
    int name_count = 0;
    int rc = ws_ort_check(ws_ort->GetAvailableProviders(&names, &name_count),
                          WS_E_RUNTIME, "list the runtime's providers", err);
    if (rc != 0)
        return rc;
    size_t size = (size_t)name_count * sizeof(char *);
    for (int i = 0; i < name_count; i++)
        size += strlen(names[i]) + 1;
    char **block = malloc(size + 1);
    if (block != NULL) {
        char *text = (char *)(block + name_count);
        for (int i = 0; i < name_count; i++) {
            block[i] = text;
            char *tail = strstr(names[i], suffix);
            size_t length = tail != NULL ? (size_t)(tail - names[i]) : strlen(names[i]);
            memcpy(text, names[i], length);
            text[length] = '\0';
            text += length + 1;
        }
        *out = block;
        *count = (size_t)name_count;
    }
    OrtStatus *status = ws_ort->ReleaseAvailableProviders(names, name_count);
    if (status != NULL)
        ws_ort->ReleaseStatus(status);
    return block == NULL ? ws_error_nomem(err) : 0;
}

static OrtStatus *add_provider(OrtSessionOptions *options, const struct ws_engine *engine,
                               int is_written)
{
    enum { OPTIONS_MAX = 32 };
    const char *keys[OPTIONS_MAX], *values[OPTIONS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < engine->provider_option_count && count < OPTIONS_MAX; i++) {
        keys[count] = engine->provider_options[2 * i];
        values[count++] = engine->provider_options[2 * i + 1];
    }
    if (is_written && engine->is_webgpu && count < OPTIONS_MAX) {
        keys[count] = "preferredLayout"; /* of two the last holds */
        values[count++] = "NCHW";
    }
    if (strcmp(engine->provider, "CUDA") != 0)
        return ws_ort->SessionOptionsAppendExecutionProvider(options, engine->provider,
                                                             keys, values, count);
    OrtCUDAProviderOptionsV2 *cuda = NULL;
    OrtStatus *status = ws_ort->CreateCUDAProviderOptions(&cuda);
    if (status == NULL && count > 0)
        status = ws_ort->UpdateCUDAProviderOptions(cuda, keys, values, count);
    if (status == NULL)
        status = ws_ort->SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda);
    if (cuda != NULL)
        ws_ort->ReleaseCUDAProviderOptions(cuda);
    return status;
}

/* Threads from the environment, or the session's own where that has other ones. */
static OrtStatus *choose_threads(OrtSessionOptions *options,
                                 const struct ws_engine *engine)
{
    if (!engine->has_own_pools)
        return ws_ort->DisablePerSessionThreads(options);
    OrtStatus *status = ws_ort->SetIntraOpNumThreads(options, engine->threads);
    if (status == NULL)
        status = ws_ort->SetInterOpNumThreads(options, 1);
    if (status == NULL)
        status = ws_ort->AddSessionConfigEntry(options, "session.intra_op.allow_spinning",
                                               engine->spinning ? "1" : "0");
    return status;
}

int ws_ort_session_options(OrtSessionOptions **out, const struct ws_engine *engine,
                           enum ws_level level, int keep_layout, int is_written,
                           struct ws_error *err)
{
    OrtSessionOptions *options = NULL;
    OrtStatus *status = ws_ort->CreateSessionOptions(&options);
    if (status == NULL)
        status = choose_threads(options, engine);
    if (status == NULL)
        status = ws_ort->SetSessionGraphOptimizationLevel(options, ort_levels[level]);
    if (status == NULL)
        status =
            ws_ort->AddSessionConfigEntry(options, "session.use_env_allocators", "1");
    if (status == NULL && keep_layout)
        status = ws_ort->AddSessionConfigEntry(
            options, "optimization.disable_specified_optimizers", "NhwcTransformer");
    if (status == NULL && keep_layout)
        status = ws_ort->AddSessionConfigEntry(options, "session.qdqisint8allowed", "1");
    int rc = ws_ort_check(status, WS_E_RUNTIME, "set session options", err);
    if (rc == 0 && engine->provider != NULL) {
        ws_ort_begin_turn(engine);
        status = add_provider(options, engine, is_written);
        ws_ort_end_turn(engine);
        rc = ws_ort_check(status, WS_E_UNSUPPORTED, engine->provider, err);
        if (rc != 0)
            ws_error_context(err, "execution provider");
    }
    if (rc != 0 && options != NULL) {
        ws_ort->ReleaseSessionOptions(options);
        options = NULL;
    }
    if (rc == 0)
        *out = options;
    return rc;
}

int ws_engine_optimise(struct ws_engine *engine, const char *model_path,
                       enum ws_level level, int keep_layout, const char *dir,
                       struct ws_error *err)
{
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/model.onnx", dir);
    if (length < 0 || (size_t)length >= sizeof(path))
        return ws_error_set(err, WS_E_LIMIT, "%s: path too long", dir);
    OrtSessionOptions *options = NULL;
    OrtSession *session = NULL;
    int rc = ws_ort_session_options(&options, engine, level, keep_layout, 1, err);
    if (rc != 0)
        return rc;
    OrtStatus *status = ws_ort->SetOptimizedModelFilePath(options, path);
    /* This session never runs: packing its weights would double the work and memory. */
    if (status == NULL)
        status =
            ws_ort->AddSessionConfigEntry(options, "session.disable_prepacking", "1");
    if (status == NULL)
        status = ws_ort->AddSessionConfigEntry(
            options, "session.optimized_model_external_initializers_file_name",
            "weights.bin");
    if (status == NULL)
        status = ws_ort->AddSessionConfigEntry(
            options, "session.optimized_model_external_initializers_min_size_in_bytes",
            EXTERNAL_BYTES_MIN);
    ws_ort_begin_turn(engine);
    if (status == NULL)
        status = ws_ort->CreateSession(engine->env, model_path, options, &session);
    rc = ws_ort_check(status, WS_E_RUNTIME, model_path, err);
    if (session != NULL)
        ws_ort->ReleaseSession(session);
    ws_ort_end_turn(engine);
    ws_ort->ReleaseSessionOptions(options);
    return rc;
}

int ws_pack_create(struct ws_pack **out, struct ws_engine *engine, struct ws_error *err)
{
    (void)engine;
    struct ws_pack *pack = calloc(1, sizeof(*pack));
    if (pack == NULL)
        return ws_error_nomem(err);
    int rc = ws_ort_check(ws_ort->CreatePrepackedWeightsContainer(&pack->container),
                          WS_E_RUNTIME, "share packed weights", err);
    if (rc != 0) {
        free(pack);
        return rc;
    }
    *out = pack;
    return 0;
}

void ws_pack_destroy(struct ws_pack *pack)
{
    if (pack == NULL)
        return;
    ws_ort->ReleasePrepackedWeightsContainer(pack->container);
    free(pack);
}
