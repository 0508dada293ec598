/*
 * A workload (CSV): `index,deadline_ms` and optionally `arrival_ms,min_accuracy`. Indices
 * are unique; deadlines are positive; arrivals do not go back. Without arrivals every
 * request arrives when the one before is done. Immutable once loaded.
 */
#ifndef WS_STUDY_WORKLOAD_H
#define WS_STUDY_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ws_request {
    uint64_t index;
    double deadline_ms;  /* counted from arrival */
    double arrival_ms;   /* 0 where the workload has none */
    double min_accuracy; /* 0: any */
};

struct ws_workload {
    struct ws_request *requests; /* in the file's order */
    size_t count;
    int has_arrivals;
    int has_accuracy;
};

int ws_workload_load(struct ws_workload *out, const char *path, struct ws_error *err);
int ws_workload_parse(struct ws_workload *out, const void *bytes, size_t size,
                      const char *name, struct ws_error *err);
/*
 * Deadlines as DynaSplit's authors draw them (arXiv 2410.23881, section on workloads):
 * Weibull of shape 1, scaled so that the least is the fastest setting's latency and the
 * greatest the slowest's. A request every `every_ms`, or, where that is 0, one after the
 * other. At least 2 requests.
 */
struct ws_workload_draw {
    size_t count;
    double fastest_ms, slowest_ms;
    double every_ms;
    uint64_t seed;
};
int ws_workload_draw(struct ws_workload *out, const struct ws_workload_draw *draw,
                     struct ws_error *err);
/* As a file that ws_workload_load reads; "-" is standard output. */
int ws_workload_save(const struct ws_workload *workload, const char *path,
                     struct ws_error *err);
void ws_workload_fini(struct ws_workload *workload);

#endif
