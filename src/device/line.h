/*
 * One line to an instrument over TCP and one line back: the transport of SCPI meters
 * (device/meter.h). Connecting, asking and answering each end within the time limit; a
 * connection that failed is closed, and made anew by the next question. One thread.
 */
#ifndef WS_DEVICE_LINE_H
#define WS_DEVICE_LINE_H

#include "base/buf.h"
#include "base/error.h"

struct ws_line;

/* Nothing is connected before the first question. port: "23" for the GPM-8213. */
int ws_line_create(struct ws_line **out, const char *host, const char *port,
                   int timeout_ms, struct ws_error *err);
/* Takes NULL. */
void ws_line_destroy(struct ws_line *line);

/* A ws_meter_ask; `user` is the line. Questions end in CRLF, answers in LF or CRLF. A
 * question without "?" at its end is a command and has no answer. WS_E_TIMEOUT, WS_E_IO
 * (also: closed without an answer), WS_E_LIMIT of the answer. */
int ws_line_ask(void *user, struct ws_buf *answer, const char *question,
                struct ws_error *err);

#endif
