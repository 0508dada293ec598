/*
 * A machine's attributes as one text file, to test on what we do not have at hand. One
 * line each: `rw PATH = TEXT`, where the letters say who may what ("ro", "wo", "rw"),
 * PATH is below sysfs, or below the root if it starts with "/", and TEXT has "\n" for a
 * line break and "\\" for a backslash. Lines that start with "#" are remarks: where it
 * comes from, and whether it was captured or reconstructed from documents. Serial numbers
 * and addresses are left out.
 */
#ifndef WS_DEVICE_CAPTURE_H
#define WS_DEVICE_CAPTURE_H

#include <stddef.h>

#include "base/error.h"
#include "device/sysfs.h"

/* Writes what this program reads of a machine; *count is the number of attributes. */
int ws_capture_write(size_t *count, const struct ws_sysfs *fs, const char *path,
                     struct ws_error *err);
/* Makes the files of a capture below `dir`, which must exist. WS_E_FORMAT names the line.
 */
int ws_capture_unpack(const char *path, const char *dir, struct ws_error *err);

#endif
