/*
 * Knobs, constraints and settings in JSON: the form that testbeds, plan files and device
 * models share. A knob is {part, kind, values}; members besides these are whoever holds
 * the file's own. Values keep their identity as text (core/knob.h): a number comes back
 * as a number, a vector as an array.
 */
#ifndef WS_CORE_SPACE_H
#define WS_CORE_SPACE_H

#include "base/json.h"
#include "core/knob.h"

/* `knobs` is an object of {part, kind, values}; `constraints` may be NULL. */
int ws_space_from_json(struct ws_space *out, const struct ws_json *knobs,
                       const struct ws_json *constraints, struct ws_error *err);
/* The inverse: new references in *out_knobs and *out_constraints. */
int ws_space_to_json(json_t **out_knobs, json_t **out_constraints,
                     const struct ws_space *space, struct ws_error *err);
/* Index of the value that a node names; WS_E_NOT_FOUND. */
int ws_knob_find_json(size_t *out, const struct ws_knob *knob, const struct ws_json *node,
                      struct ws_error *err);
/* A new reference: a number, a word, or an array of numbers; NULL without memory. */
json_t *ws_value_to_json(const struct ws_knob_value *value);
/* A setting from {"knob": value, ...}; every knob must be there. */
int ws_setting_from_json(struct ws_setting *out, const struct ws_space *space,
                         const struct ws_json *object, struct ws_error *err);

#endif
