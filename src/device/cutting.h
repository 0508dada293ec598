/*
 * The work before and after each cut of a network, as a file says it (the member "cut" of
 * a device model, docs/device-model.md): for machines that are modelled where the network
 * itself is not at hand. Immutable once read.
 */
#ifndef WS_DEVICE_CUTTING_H
#define WS_DEVICE_CUTTING_H

#include <stddef.h>

#include "base/json.h"
#include "core/work.h"

struct ws_cutting {
    struct ws_work *before; /* [count], crossing bytes included */
    struct ws_work *after;
    struct ws_work *beside; /* of the edge, while the rest is away; NULL: nothing */
    size_t count;
};

/* From {"macs": {"total": {CLASS: n}, "edge": {CLASS: [n before each cut]}}, "bytes":
 * likewise (optional), "crossing_bytes": [one for each cut]}; other members are the
 * caller's. Where the edge works on while the rest is away, "macs" and "bytes" have
 * "edge", "beside" and "cloud", each for every cut. `count` is how many cuts there are;
 * 0: as many as crossing_bytes has. */
int ws_cutting_read(struct ws_cutting *out, const struct ws_json *cut, size_t count,
                    struct ws_error *err);
void ws_cutting_fini(struct ws_cutting *cutting);

#endif
