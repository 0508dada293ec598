/*
 * An ordered map from names to numbers, over the C library's balanced trees, so that no
 * choice of names makes it slow. It copies nothing: names must outlive it.
 */
#ifndef WS_BASE_NAMES_H
#define WS_BASE_NAMES_H

#include <stddef.h>

#include "base/error.h"

struct ws_names {
    void *root;
    size_t count;
};

/* Zero-initialise before use. */
void ws_names_fini(struct ws_names *names);
/* Adds name -> value. WS_E_MISMATCH if the name is there already (it keeps its value). */
int ws_names_add(struct ws_names *names, const char *name, size_t value,
                 struct ws_error *err);
/* 1 and *out if the name is there, else 0. out may be NULL. */
int ws_names_find(size_t *out, const struct ws_names *names, const char *name);

#endif
