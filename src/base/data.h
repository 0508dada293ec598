/*
 * The program's own data files: device models and the like, which lie in etc/ of the
 * source tree and are installed with the program. Looked for, in this order, under
 * $WATTSHED_DATA, in share/wattshed beside the folder that the program runs from (so that
 * an installed tree can be moved), in etc/ beside it (a build folder in the source tree),
 * and where the program was to be installed.
 */
#ifndef WS_BASE_DATA_H
#define WS_BASE_DATA_H

#include "base/error.h"

/* The file's path, which is the caller's to free. `name` is relative, with forward
 * slashes: "devices/rpi4/board.json". WS_E_NOT_FOUND names the places it is not in. */
int ws_data_find(char **out, const char *name, struct ws_error *err);

#endif
