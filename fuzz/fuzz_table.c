#include <string.h>

#include "study/recorded.h"
#include "study/trace.h"
#include "study/workload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char testbed_text[] =
    "{\"name\": \"t\", \"objectives\": [\"latency_ms\", \"energy_j\"], \"knobs\": {"
    "\"cut\": {\"part\": \"shared\", \"kind\": \"ordered\", \"values\": [0, 1, 2]},"
    "\"gpu\": {\"part\": \"cloud\", \"kind\": \"nominal\", \"values\": [\"off\", "
    "\"on\"]}}}";

/* The same bytes as table, workload and trace; what a table holds can be drawn. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_testbed testbed;
    struct ws_table table;
    struct ws_workload workload;
    struct ws_trace trace;
    struct ws_conditions link = {0};
    struct ws_evaluator *evaluator = NULL;
    if (ws_testbed_parse(&testbed, testbed_text, strlen(testbed_text), "fuzz", "",
                         NULL) != 0)
        __builtin_trap();
    if (ws_table_parse(&table, &testbed, data, size, "fuzz", NULL) == 0) {
        if (ws_recorded_create(&evaluator, &table, WS_NOISE_POOLED, NULL) != 0)
            __builtin_trap();
        for (size_t i = 0; i < table.setting_count; i++) {
            struct ws_setting setting;
            struct ws_outcome outcome;
            ws_table_setting(&setting, &table, i);
            if (ws_evaluate(evaluator, &outcome, &setting, NULL, NULL, i, NULL) != 0)
                __builtin_trap();
        }
        ws_evaluator_destroy(evaluator);
        ws_table_fini(&table);
    }
    if (ws_workload_parse(&workload, data, size, "fuzz", NULL) == 0)
        ws_workload_fini(&workload);
    if (ws_trace_parse(&trace, data, size, "fuzz", &link, NULL) == 0)
        ws_trace_fini(&trace);
    ws_testbed_fini(&testbed);
    return 0;
}
