/*
 * Lists of stages in JSON, as testbeds and plan files have them: an array of
 *   {"machine": "edge", "segment": "NAME", "knobs": ["share"], "beside": true}
 * where `segment` may be missing and `beside`, which says that the stage runs side by
 * side with the one before it, is false without being there.
 */
#ifndef WS_CORE_STAGES_H
#define WS_CORE_STAGES_H

#include "base/json.h"
#include "core/plan.h"

/* WS_E_FORMAT, WS_E_NOT_FOUND for a knob that the space lacks, WS_E_LIMIT for none or too
 * many stages. */
int ws_stage_list_from_json(struct ws_stage_list *out, const struct ws_space *space,
                            const struct ws_json *array, struct ws_error *err);
/* A new reference. */
json_t *ws_stage_list_to_json(const struct ws_stage_list *list,
                              const struct ws_space *space);

#endif
