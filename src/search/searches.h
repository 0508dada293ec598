/* The searches that search.c's table names. Internal to this room. */
#ifndef WS_SEARCH_SEARCHES_H
#define WS_SEARCH_SEARCHES_H

#include "search/probe.h"

int ws_search_exhaustive(struct ws_probe *probe, struct ws_error *err);
int ws_search_guided(struct ws_probe *probe, struct ws_error *err);
int ws_search_nsga3(struct ws_probe *probe, struct ws_error *err);
int ws_search_random(struct ws_probe *probe, struct ws_error *err);
int ws_search_screen(struct ws_probe *probe, struct ws_error *err);

#endif
