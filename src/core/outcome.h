/*
 * What a setting gave, and under which circumstances. Every measure may be unknown, and
 * unknown is not zero: reading an unknown one is WS_E_UNKNOWN. Energy carries how it came
 * about, and a modelled figure is never shown as a measured one. Plain data.
 */
#ifndef WS_CORE_OUTCOME_H
#define WS_CORE_OUTCOME_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/knob.h"

enum ws_measure {
    WS_LATENCY_MS, /* the whole request */
    WS_ENERGY_J,
    WS_ACCURACY, /* 0 to 1 */
    WS_EDGE_MS,
    WS_TRANSFER_MS,
    WS_CLOUD_MS,
    WS_BESIDE_MS, /* of the edge's time, what runs while transfer and cloud do: the
                     latency has the longer of the two. Unknown: nothing does */
    WS_EDGE_ENERGY_J,
    WS_TRANSFER_ENERGY_J,
    WS_CLOUD_ENERGY_J,
    WS_TENSOR_BYTES, /* what crosses the link */
    WS_EDGE_MEM_BYTES,
    WS_CLOUD_MEM_BYTES,
    WS_MEASURE_COUNT
};

enum ws_truth { WS_MEASURED, WS_RECORDED, WS_MODELLED };

struct ws_outcome {
    double value[WS_MEASURE_COUNT];
    uint32_t known; /* bit i: value[i] is known */
    enum ws_truth truth;
};

enum ws_condition {
    WS_LINK_MBIT_S,
    WS_LINK_DELAY_MS, /* one way */
    WS_EDGE_LOAD,     /* 0 to 1 */
    WS_CLOUD_LOAD,
    WS_TEMPERATURE_C,
    WS_BATTERY,        /* 0 to 1 */
    WS_TIME_S,         /* on the clock of the run */
    WS_LINK_JITTER_MS, /* to either side of the delay */
    WS_LINK_LOSS,      /* share of the packets, 0 to 1 */
    WS_INDIVIDUAL, /* which machine of its kind, a whole number; 0: as the model has it */
    WS_ATTENTION,  /* importance that the top half of the maps holds: 0.5 (flat) to 1 */
    WS_CONDITION_COUNT
};

struct ws_conditions {
    double value[WS_CONDITION_COUNT];
    uint32_t known;
};

struct ws_trial {
    struct ws_setting setting;
    struct ws_outcome outcome; /* means over the samples */
    size_t sample_count;
    struct ws_conditions conditions;
};

/* Column and JSON names: "latency_ms", ..., and back (WS_E_NOT_FOUND). */
const char *ws_measure_name(enum ws_measure measure);
int ws_measure_find(enum ws_measure *out, const char *name, struct ws_error *err);
/* "link_mbit_s", ... */
const char *ws_condition_name(enum ws_condition condition);
/* "measured", "recorded", "modelled". */
const char *ws_truth_name(enum ws_truth truth);
/* And back; NULL is none of them: WS_E_NOT_FOUND. */
int ws_truth_find(enum ws_truth *out, const char *name, struct ws_error *err);
/* Whether a smaller value is better: 1 for all but accuracy. */
int ws_measure_minimised(enum ws_measure measure);

static inline void ws_outcome_set(struct ws_outcome *outcome, enum ws_measure measure,
                                  double value)
{
    outcome->value[measure] = value;
    outcome->known |= 1u << measure;
}

static inline int ws_outcome_knows(const struct ws_outcome *outcome,
                                   enum ws_measure measure)
{
    return (int)(outcome->known >> measure & 1u);
}

/* 0 and *out, or WS_E_UNKNOWN. */
static inline int ws_outcome_get(double *out, const struct ws_outcome *outcome,
                                 enum ws_measure measure)
{
    if (!ws_outcome_knows(outcome, measure))
        return WS_E_UNKNOWN;
    *out = outcome->value[measure];
    return 0;
}

/* Milliseconds of the latency that transfer and cloud add to the edge's time, where they
 * take `away_ms` and the edge works beside them. */
static inline double ws_outcome_added_ms(const struct ws_outcome *outcome, double away_ms)
{
    double beside_ms = 0;
    (void)ws_outcome_get(&beside_ms, outcome, WS_BESIDE_MS);
    return away_ms > beside_ms ? away_ms - beside_ms : 0;
}

static inline void ws_conditions_set(struct ws_conditions *conditions,
                                     enum ws_condition condition, double value)
{
    conditions->value[condition] = value;
    conditions->known |= 1u << condition;
}

static inline int ws_conditions_get(double *out, const struct ws_conditions *conditions,
                                    enum ws_condition condition)
{
    if ((conditions->known >> condition & 1u) == 0)
        return WS_E_UNKNOWN;
    *out = conditions->value[condition];
    return 0;
}

#endif
