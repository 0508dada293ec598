#include "core/outcome.h"

#include <string.h>

static const char *const measure_names[] = {
    [WS_LATENCY_MS] = "latency_ms",
    [WS_ENERGY_J] = "energy_j",
    [WS_ACCURACY] = "accuracy",
    [WS_EDGE_MS] = "edge_ms",
    [WS_TRANSFER_MS] = "transfer_ms",
    [WS_CLOUD_MS] = "cloud_ms",
    [WS_BESIDE_MS] = "beside_ms",
    [WS_EDGE_ENERGY_J] = "edge_energy_j",
    [WS_TRANSFER_ENERGY_J] = "transfer_energy_j",
    [WS_CLOUD_ENERGY_J] = "cloud_energy_j",
    [WS_TENSOR_BYTES] = "tensor_bytes",
    [WS_EDGE_MEM_BYTES] = "edge_mem_bytes",
    [WS_CLOUD_MEM_BYTES] = "cloud_mem_bytes",
};
_Static_assert(sizeof(measure_names) / sizeof(measure_names[0]) == WS_MEASURE_COUNT,
               "every measure has a name");

static const char *const condition_names[] = {
    [WS_LINK_MBIT_S] = "link_mbit_s",
    [WS_LINK_DELAY_MS] = "link_delay_ms",
    [WS_EDGE_LOAD] = "edge_load",
    [WS_CLOUD_LOAD] = "cloud_load",
    [WS_TEMPERATURE_C] = "temperature_c",
    [WS_BATTERY] = "battery",
    [WS_TIME_S] = "time_s",
    [WS_LINK_JITTER_MS] = "link_jitter_ms",
    [WS_LINK_LOSS] = "link_loss",
    [WS_INDIVIDUAL] = "individual",
    [WS_ATTENTION] = "attention",
};
_Static_assert(sizeof(condition_names) / sizeof(condition_names[0]) == WS_CONDITION_COUNT,
               "every condition has a name");

static const char *const truth_names[] = {
    [WS_MEASURED] = "measured",
    [WS_RECORDED] = "recorded",
    [WS_MODELLED] = "modelled",
};

const char *ws_measure_name(enum ws_measure measure)
{
    return measure_names[measure];
}

int ws_measure_find(enum ws_measure *out, const char *name, struct ws_error *err)
{
    for (int i = 0; i < WS_MEASURE_COUNT; i++) {
        if (strcmp(measure_names[i], name) == 0) {
            *out = (enum ws_measure)i;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND, "no measure \"%s\"", name);
}

const char *ws_condition_name(enum ws_condition condition)
{
    return condition_names[condition];
}

const char *ws_truth_name(enum ws_truth truth)
{
    return truth_names[truth];
}

int ws_truth_find(enum ws_truth *out, const char *name, struct ws_error *err)
{
    for (size_t i = 0; name != NULL && i < sizeof(truth_names) / sizeof(truth_names[0]);
         i++) {
        if (strcmp(truth_names[i], name) == 0) {
            *out = (enum ws_truth)i;
            return 0;
        }
    }
    return ws_error_set(err, WS_E_NOT_FOUND, "\"%s\" is neither measured nor modelled",
                        name == NULL ? "" : name);
}

int ws_measure_minimised(enum ws_measure measure)
{
    return measure != WS_ACCURACY;
}
