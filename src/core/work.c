#include "core/work.h"

#include <assert.h>
#include <stddef.h>

static const char *const names[] = {
    [WS_WORK_CONV] = "conv",           [WS_WORK_CONV_INT8] = "conv_int8",
    [WS_WORK_DEPTHWISE] = "depthwise", [WS_WORK_MATMUL] = "matmul",
    [WS_WORK_OTHER] = "other",
};
static_assert(sizeof(names) / sizeof(names[0]) == WS_WORK_CLASS_COUNT,
              "every class of work has a name");

void ws_work_scale(struct ws_work *work, double count)
{
    for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++) {
        work->macs[c] *= count;
        work->bytes[c] *= count;
    }
    work->crossing_bytes *= count;
}

void ws_work_add(struct ws_work *work, const struct ws_work *more)
{
    for (size_t c = 0; c < WS_WORK_CLASS_COUNT; c++) {
        work->macs[c] += more->macs[c];
        work->bytes[c] += more->bytes[c];
    }
    work->crossing_bytes += more->crossing_bytes;
}

const char *ws_work_class_name(enum ws_work_class which)
{
    return (unsigned)which < WS_WORK_CLASS_COUNT ? names[which] : NULL;
}
