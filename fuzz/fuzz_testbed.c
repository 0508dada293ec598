#include "study/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A testbed that loads must come through its own JSON unchanged in size. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_testbed testbed;
    json_t *knobs = NULL;
    json_t *constraints = NULL;
    if (ws_testbed_parse(&testbed, data, size, "fuzz", "", NULL) != 0)
        return 0;
    if (ws_space_to_json(&knobs, &constraints, &testbed.space, NULL) == 0) {
        struct ws_json_doc docs[2] = {{knobs, NULL}, {constraints, NULL}};
        struct ws_json nodes[2] = {ws_json_root(&docs[0]), ws_json_root(&docs[1])};
        struct ws_space space;
        char name[] = "fuzz";
        docs[0].name = docs[1].name = name;
        if (ws_space_from_json(&space, &nodes[0], &nodes[1], NULL) == 0) {
            if (space.knob_count != testbed.space.knob_count)
                __builtin_trap();
            ws_space_fini(&space);
        }
        json_decref(knobs);
        json_decref(constraints);
    }
    ws_testbed_fini(&testbed);
    return 0;
}
