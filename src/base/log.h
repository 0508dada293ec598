/*
 * Logging through a sink. Rooms below the commands say things with ws_log_*; whoever owns
 * the process decides where they go. Without a sink nothing is printed. Setting the sink
 * is not thread-safe (do it first); logging is as thread-safe as the sink.
 */
#ifndef WS_BASE_LOG_H
#define WS_BASE_LOG_H

enum ws_log_level { WS_LOG_ERROR, WS_LOG_WARNING, WS_LOG_INFO, WS_LOG_DEBUG };

typedef void (*ws_log_sink)(void *user, enum ws_log_level level, const char *line);

/* Lines above `level` are dropped before they are formatted. sink NULL: silence. */
void ws_log_set_sink(ws_log_sink sink, void *user, enum ws_log_level level);

/* At any time, from any thread. */
void ws_log_set_level(enum ws_log_level level);

/* Whether a line of this level would be seen; to skip costly preparations. */
int ws_log_enabled(enum ws_log_level level);

__attribute__((format(printf, 2, 3))) void ws_log(enum ws_log_level level,
                                                  const char *fmt, ...);

/* "error", "warning", "info", "debug". */
const char *ws_log_level_name(enum ws_log_level level);

#endif
