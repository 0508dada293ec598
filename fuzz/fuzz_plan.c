#include "study/planfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_plan plan;
    if (ws_plan_parse(&plan, data, size, "fuzz", NULL) != 0)
        return 0;
    for (size_t i = 0; i < plan.entry_count; i++) {
        if (!ws_space_allows(&plan.space, &plan.entries[i].setting) ||
            plan.entries[i].stage_list >= plan.stage_list_count)
            __builtin_trap();
    }
    ws_plan_fini(&plan);
    return 0;
}
