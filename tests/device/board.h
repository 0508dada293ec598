/* A board for tests: the tree of a device as files in a temporary folder, and behind its
 * knobs a small kernel that accepts, refuses and clamps as Linux does. */
#ifndef WS_TESTS_DEVICE_BOARD_H
#define WS_TESTS_DEVICE_BOARD_H

#include <stdint.h>

#include "device/sysfs.h"

struct board {
    char dir[64];   /* the root, removed by board_close */
    char lease[96]; /* where a lease can lie */
    struct ws_sysfs *fs;
    int64_t cap_khz;    /* the heat allows no more; 0: any */
    const char *refuse; /* writes to paths that hold this fail with ... */
    int refuse_errno;
    size_t writes;
};

/* `name` is a folder of tests/data/devices; NULL: an empty board. */
void board_open(struct board *board, const char *name);
void board_close(struct board *board);
/* Ends what the small kernel was at when the process it lives in was killed: a real one
 * ends its system calls. */
void board_settle(struct board *board);
/* Puts a file into its sysfs, or takes it away (text NULL). */
void board_put(struct board *board, const char *path, const char *text);
/* The file as it is; returns `out`. */
const char *board_get(char *out, size_t size, struct board *board, const char *path);
/* All its files with what they hold, as one text: to compare. Left out is what is
 * nobody's setting: the processors' momentary speed, and a set speed, which has no say
 * under the governors of the boards. The caller frees it. */
char *board_settings(struct board *board);

#endif
