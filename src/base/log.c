#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

static ws_log_sink the_sink;
static void *the_user;
static _Atomic enum ws_log_level the_level = WS_LOG_WARNING;

static const char *const level_names[] = {
    [WS_LOG_ERROR] = "error",
    [WS_LOG_WARNING] = "warning",
    [WS_LOG_INFO] = "info",
    [WS_LOG_DEBUG] = "debug",
};

void ws_log_set_sink(ws_log_sink sink, void *user, enum ws_log_level level)
{
    the_sink = sink;
    the_user = user;
    ws_log_set_level(level);
}

void ws_log_set_level(enum ws_log_level level)
{
    atomic_store_explicit(&the_level, level, memory_order_relaxed);
}

int ws_log_enabled(enum ws_log_level level)
{
    return the_sink != NULL &&
           level <= atomic_load_explicit(&the_level, memory_order_relaxed);
}

void ws_log(enum ws_log_level level, const char *fmt, ...)
{
    if (!ws_log_enabled(level))
        return;
    char line[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    the_sink(the_user, level, line);
}

const char *ws_log_level_name(enum ws_log_level level)
{
    return level_names[level];
}
