/*
 * Private to src/engine: the one place that includes ONNX Runtime's header. `ws_ort` is
 * the runtime's table of functions, set once before anything else runs. Every call to it
 * that can fail goes through ws_ort_check, which turns the runtime's status into our
 * one-line error and releases it.
 */
#ifndef WS_ENGINE_ORT_H
#define WS_ENGINE_ORT_H

#include <onnxruntime_c_api.h>

#include "engine/engine.h"

/* The newest API version that every library we support has (Debian 13 carries 1.21). */
enum { WS_ORT_API_VERSION = 21 };

extern const OrtApi *ws_ort;

struct ws_engine {
    OrtEnv *env;
    OrtMemoryInfo *cpu;
    int threads;
    int spinning;
    int has_own_pools; /* its sessions bring their threads, one pool each */
    char *provider;    /* NULL: the CPU */
    char **provider_options;
    size_t provider_option_count; /* pairs */
    char version[64];
};

struct ws_pack {
    OrtPrepackedWeightsContainer *container;
};

/* 0 for a NULL status; else code with the runtime's words, "doing WHAT: ...". */
int ws_ort_check(OrtStatus *status, int code, const char *what, struct ws_error *err);

/* Session options with the engine's threads, provider, arena and the source's level.
 * Released with ws_ort->ReleaseSessionOptions. */
int ws_ort_session_options(OrtSessionOptions **out, const struct ws_engine *engine,
                           enum ws_level level, int keep_layout, struct ws_error *err);

/* WS_DTYPE_UNDEFINED for a type we have no number for. */
enum ws_dtype ws_ort_dtype(int ort_type);

/* A tensor over the caller's memory. */
int ws_ort_tensor(OrtValue **out, const OrtMemoryInfo *where, enum ws_dtype dtype,
                  const int64_t *dims, size_t rank, const void *data, size_t size_bytes,
                  struct ws_error *err);

#endif
