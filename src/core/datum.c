#include "core/datum.h"

#include <stdlib.h>

static const char *const kind_names[] = {
    [WS_DATUM_TENSOR] = "tensor",
    [WS_DATUM_SEQUENCE] = "sequence",
    [WS_DATUM_OPTIONAL] = "optional",
};

const char *ws_datum_kind_name(enum ws_datum_kind kind)
{
    return (unsigned)kind <= WS_DATUM_OPTIONAL ? kind_names[kind] : "?";
}

int ws_datum_add(struct ws_datum *datum, struct ws_datum *item, struct ws_error *err)
{
    size_t max = datum->kind == WS_DATUM_SEQUENCE   ? WS_SEQUENCE_MAX
                 : datum->kind == WS_DATUM_OPTIONAL ? 1
                                                    : 0;
    if (datum->item_count >= max)
        return ws_error_set(err, WS_E_LIMIT, "%s of more than %zu items",
                            ws_datum_kind_name(datum->kind), max);
    /* Powers of two are when the room is used up. */
    size_t count = datum->item_count;
    if ((count & (count - 1)) == 0) {
        size_t room = count == 0 ? 1 : 2 * count;
        struct ws_datum *items = realloc(datum->items, room * sizeof(*items));
        if (items == NULL)
            return ws_error_nomem(err);
        datum->items = items;
    }
    datum->items[datum->item_count++] = *item;
    *item = (struct ws_datum){0};
    return 0;
}

void ws_datum_fini(struct ws_datum *datum)
{
    for (size_t i = 0; i < datum->item_count; i++)
        ws_datum_fini(&datum->items[i]);
    free(datum->items);
    /* Beside items the tensor holds no data, only an element type. */
    if (datum->kind == WS_DATUM_TENSOR)
        ws_tensor_fini(&datum->tensor);
    *datum = (struct ws_datum){0};
}
