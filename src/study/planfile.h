/*
 * Plan files: versioned JSON that people can read and programs load fast. Knobs stand as
 * in a testbed; `columns` names what each entry holds, and every entry is one line, an
 * array of the knobs' values and the expected outcome, null where unknown. A plan of a
 * newer version is refused.
 */
#ifndef WS_STUDY_PLANFILE_H
#define WS_STUDY_PLANFILE_H

#include "core/plan.h"

enum { WS_PLAN_VERSION = 1 };

int ws_plan_load(struct ws_plan *out, const char *path, struct ws_error *err);
int ws_plan_parse(struct ws_plan *out, const void *bytes, size_t size, const char *name,
                  struct ws_error *err);
/* "-" is standard output. */
int ws_plan_save(const struct ws_plan *plan, const char *path, struct ws_error *err);

#endif
