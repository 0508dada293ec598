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
    int is_webgpu;     /* a graphics card of any maker, through Vulkan */
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
 * is_written: the graph goes to a file, so a provider that prefers another layout than
 * ONNX's leaves it alone; sessions of what was written turn to it as they load. Released
 * with ws_ort->ReleaseSessionOptions. */
int ws_ort_session_options(OrtSessionOptions **out, const struct ws_engine *engine,
                           enum ws_level level, int keep_layout, int is_written,
                           struct ws_error *err);

/* Around whatever reaches the provider's device: WebGPU's is one for the process, and two
 * threads in it, even with sessions of their own, crash it. Others need no turns. */
void ws_ort_begin_turn(const struct ws_engine *engine);
void ws_ort_end_turn(const struct ws_engine *engine);

/* WS_DTYPE_UNDEFINED for a type we have no number for. */
enum ws_dtype ws_ort_dtype(int ort_type);

/* A tensor over the caller's memory. */
int ws_ort_tensor(OrtValue **out, const OrtMemoryInfo *where, enum ws_dtype dtype,
                  const int64_t *dims, size_t rank, const void *data, size_t size_bytes,
                  struct ws_error *err);

#endif
