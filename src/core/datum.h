/*
 * What an input or output of a model holds: a tensor, a sequence, an optional that may be
 * empty. Only tensors cross a cut; the other kinds exist so that any model can be run
 * whole. A sequence's items are datums again, all of one kind; an optional has one item
 * or none. The caller owns a datum and everything below it; init by assignment of zeros,
 * fini. Not thread-safe to change. (A graph's edge is called value, so this is not.)
 */
#ifndef WS_CORE_DATUM_H
#define WS_CORE_DATUM_H

#include <stddef.h>

#include "base/error.h"
#include "core/tensor.h"

enum ws_datum_kind { WS_DATUM_TENSOR, WS_DATUM_SEQUENCE, WS_DATUM_OPTIONAL };

struct ws_datum {
    enum ws_datum_kind kind;
    struct ws_tensor tensor; /* of kind tensor; else its dtype is that of the tensors
                                below, UNDEFINED where nothing says it */
    struct ws_datum *items;
    size_t item_count;
};

/* "tensor", "sequence", "optional". */
const char *ws_datum_kind_name(enum ws_datum_kind kind);
/* Moves `item` to the end of a sequence or into an empty optional; *item is emptied.
 * WS_E_NOMEM, WS_E_LIMIT above WS_SEQUENCE_MAX. */
int ws_datum_add(struct ws_datum *datum, struct ws_datum *item, struct ws_error *err);
/* Frees everything below and zeroes it. */
void ws_datum_fini(struct ws_datum *datum);

#endif
