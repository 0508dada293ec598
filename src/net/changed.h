/*
 * Whether files have changed since they were read last, by what stat tells of them; asked
 * at most once a second, so that it may be asked for each request. One thread at a time.
 */
#ifndef WS_NET_CHANGED_H
#define WS_NET_CHANGED_H

#include <stddef.h>
#include <stdint.h>

enum { WS_CHANGED_FILES_MAX = 3 };

struct ws_changed {
    const char *paths[WS_CHANGED_FILES_MAX]; /* the caller's; NULL: no more */
    uint64_t marks[WS_CHANGED_FILES_MAX];
    int64_t asked_ns;
};

/* Remembers the files as they are now. */
void ws_changed_init(struct ws_changed *changed, const char *const *paths, size_t count);
/* 1 once for each change, and then remembers that. A file that is gone is no change: who
 * replaces it does so in two steps. */
int ws_changed_ask(struct ws_changed *changed);

#endif
