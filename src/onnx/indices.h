/*
 * A growable list of indices (of nodes, values, weights): what graphs are made of.
 * Zero-initialise before use.
 */
#ifndef WS_ONNX_INDICES_H
#define WS_ONNX_INDICES_H

#include <stddef.h>

#include "base/error.h"

struct ws_indices {
    size_t *items;
    size_t count;
    size_t capacity;
};

int ws_indices_push(struct ws_indices *list, size_t index, struct ws_error *err);
/* Room for `extra` more, after which that many pushes cannot fail. */
int ws_indices_reserve(struct ws_indices *list, size_t extra, struct ws_error *err);
void ws_indices_fini(struct ws_indices *list);

#endif
