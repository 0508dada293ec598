/*
 * Knobs and settings: what can be chosen. A knob is a named finite list of values, and it
 * says which part of an outcome it moves (edge, transfer, cloud, or shared) and whether
 * its values have an order; searches may use that structure and never a knob's name. A
 * setting holds one value index for each knob of its space, in the space's order. Plain
 * data: a space is immutable once built and may be read from any thread.
 */
#ifndef WS_CORE_KNOB_H
#define WS_CORE_KNOB_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum ws_part { WS_PART_EDGE, WS_PART_TRANSFER, WS_PART_CLOUD, WS_PART_SHARED };
enum ws_kind { WS_KIND_ORDERED, WS_KIND_NOMINAL };

/* One value. `text` is its identity. `numbers` holds its numeric reading: one number for
 * "1800000", several where a value is a vector (a share per node), none for a word. */
struct ws_knob_value {
    char *text;
    double *numbers;
    size_t number_count;
};

struct ws_knob {
    char *name; /* e.g. "edge.cpu_khz" */
    enum ws_part part;
    enum ws_kind kind;
    struct ws_knob_value *values; /* ordered knobs: in their order */
    size_t value_count;
};

/* {if: knob = value} then {knob in allowed values}. Bit sets over value indices. */
struct ws_constraint {
    size_t if_knob;
    uint64_t *if_values; /* (value_count + 63) / 64 words */
    size_t then_knob;
    uint64_t *then_values;
};

struct ws_space {
    struct ws_knob *knobs;
    size_t knob_count;
    struct ws_constraint *constraints;
    size_t constraint_count;
};

/* Value indices, one per knob; entries past knob_count are 0, so that two settings of one
 * space are equal exactly when their bytes are. */
struct ws_setting {
    uint16_t value[WS_KNOBS_MAX];
};

/* "edge", "transfer", "cloud", "shared"; "ordered", "nominal". */
const char *ws_part_name(enum ws_part part);
const char *ws_kind_name(enum ws_kind kind);

/* Frees what the space holds, not the space. */
void ws_space_fini(struct ws_space *space);
/* A deep copy. */
int ws_space_copy(struct ws_space *out, const struct ws_space *space,
                  struct ws_error *err);
/* Index of a knob or of a knob's value; WS_E_NOT_FOUND names both. */
int ws_space_find(size_t *out, const struct ws_space *space, const char *knob,
                  struct ws_error *err);
int ws_knob_find(size_t *out, const struct ws_knob *knob, const char *value,
                 struct ws_error *err);
/* Whether a setting meets every constraint. */
int ws_space_allows(const struct ws_space *space, const struct ws_setting *setting);
/* Product of the value counts; WS_E_LIMIT above 2^53. Constraints are not counted in. */
int ws_space_size(uint64_t *out, const struct ws_space *space, struct ws_error *err);
/* Setting of a mixed-radix index below ws_space_size (first knob slowest), and back. */
void ws_setting_from_index(struct ws_setting *out, const struct ws_space *space,
                           uint64_t index);
uint64_t ws_setting_to_index(const struct ws_space *space,
                             const struct ws_setting *setting);

/* Milliseconds to switch: the largest of the costs of the knobs that change (NULL: no
 * switch costs anything). */
double ws_switch_ms(const double *switch_ms, size_t knob_count,
                    const struct ws_setting *from, const struct ws_setting *to);

#endif
