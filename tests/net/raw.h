/*
 * A plain socket, for tests that must say what no library would: requests with lies in
 * them, halves of requests, and servers that hang up.
 */
#ifndef WS_TESTS_NET_RAW_H
#define WS_TESTS_NET_RAW_H

#include <stddef.h>

/* A connection to 127.0.0.1; -1 where that fails. */
int raw_connect(int port);
/* A listening socket on 127.0.0.1 and its port. */
int raw_listen(int *port);
/* 0 when all of it went out. */
int raw_send(int fd, const void *bytes, size_t size);
/* Reads until the other side closes, or `enough` is there (NULL: nothing is enough), or
 * five seconds without a byte pass: -1. Returns the length; `text` is NUL-terminated. */
int raw_receive(int fd, char *text, size_t size, const char *enough);

#endif
