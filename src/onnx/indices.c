#include "onnx/indices.h"

#include <stdlib.h>

int ws_indices_reserve(struct ws_indices *list, size_t extra, struct ws_error *err)
{
    if (extra <= list->capacity - list->count)
        return 0;
    size_t capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
    if (capacity < list->count + extra)
        capacity = list->count + extra;
    size_t *items = reallocarray(list->items, capacity, sizeof(*items));
    if (items == NULL)
        return ws_error_nomem(err);
    list->items = items;
    list->capacity = capacity;
    return 0;
}

int ws_indices_push(struct ws_indices *list, size_t index, struct ws_error *err)
{
    int rc = ws_indices_reserve(list, 1, err);
    if (rc == 0)
        list->items[list->count++] = index;
    return rc;
}

void ws_indices_fini(struct ws_indices *list)
{
    free(list->items);
    *list = (struct ws_indices){0};
}
