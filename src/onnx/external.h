/*
 * The files that hold a model's weights: the .onnx file itself and the files of external
 * data beside it, each mapped once. A location must be relative and, symbolic links
 * resolved, stay inside the model's folder, so that a model from a stranger cannot make
 * anybody send it /etc/shadow as a tensor.
 */
#ifndef WS_ONNX_EXTERNAL_H
#define WS_ONNX_EXTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

struct ws_external_file {
    char *location; /* as external_data says it */
    char *path;     /* through which it was opened */
    struct ws_map map;
};

struct ws_externals {
    char *root; /* resolved folder of the model; NULL: nothing external is allowed */
    struct ws_external_file *files;
    size_t count, capacity;
    struct ws_names by_location;
};

/* Maps `location`, once, and points *out at it; valid until the next call. */
int ws_externals_open(const struct ws_external_file **out, struct ws_externals *externals,
                      const char *location, struct ws_error *err);
void ws_externals_fini(struct ws_externals *externals);

#endif
