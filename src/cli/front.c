#include "cli/front.h"

#include <stdio.h>
#include <string.h>

/* As wide as the name and every value. */
static int width_of(const struct ws_knob *knob)
{
    size_t width = strlen(knob->name);
    for (size_t v = 0; v < knob->value_count; v++) {
        size_t length = strlen(knob->values[v].text);
        width = length > width ? length : width;
    }
    return (int)width;
}

void ws_cli_print_front(const struct ws_plan *plan)
{
    const struct ws_space *space = &plan->space;
    for (size_t k = 0; k < space->knob_count; k++)
        printf("%-*s ", width_of(&space->knobs[k]), space->knobs[k].name);
    for (size_t d = 0; d < plan->objective_count; d++)
        printf("%12s ", ws_measure_name(plan->objectives[d]));
    printf("\n");
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct ws_plan_entry *entry = &plan->entries[i];
        if (!entry->on_front)
            continue;
        for (size_t k = 0; k < space->knob_count; k++)
            printf("%-*s ", width_of(&space->knobs[k]),
                   space->knobs[k].values[entry->setting.value[k]].text);
        for (size_t d = 0; d < plan->objective_count; d++)
            printf("%12.6g ", entry->outcome.value[plan->objectives[d]]);
        printf("\n");
    }
}

size_t ws_cli_front_size(const struct ws_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->entry_count; i++)
        count += plan->entries[i].on_front;
    return count;
}
