#include "base/names.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct named {
    const char *name;
    size_t value;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

void ws_names_fini(struct ws_names *names)
{
    tdestroy(names->root, free);
    *names = (struct ws_names){0};
}

int ws_names_add(struct ws_names *names, const char *name, size_t value,
                 struct ws_error *err)
{
    struct named *entry = malloc(sizeof(*entry));
    if (entry == NULL)
        return ws_error_nomem(err);
    *entry = (struct named){.name = name, .value = value};
    struct named **slot = tsearch(entry, &names->root, by_name);
    if (slot == NULL || *slot != entry) {
        free(entry);
        return slot == NULL
                   ? ws_error_nomem(err)
                   : ws_error_set(err, WS_E_MISMATCH, "\"%s\" appears twice", name);
    }
    names->count++;
    return 0;
}

int ws_names_find(size_t *out, const struct ws_names *names, const char *name)
{
    struct named key = {.name = name};
    struct named *const *slot = tfind(&key, &names->root, by_name);
    if (slot == NULL)
        return 0;
    if (out != NULL)
        *out = (*slot)->value;
    return 1;
}
