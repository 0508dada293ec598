#include "net/access.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was parsed gives nobody a right who shows nothing, and rights that exist. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_access_list list;
    const char *known = NULL;
    if (ws_access_parse(&list, data, size, "tokens", NULL) != 0)
        return 0;
    if (ws_access_rights(&list, NULL, "", &known) != 0 || known != NULL)
        __builtin_trap();
    for (size_t i = 0; i < list.count; i++) {
        const char *name = list.entries[i].name;
        if ((list.entries[i].rights & ~(unsigned)WS_RIGHT_ALL) != 0)
            __builtin_trap();
        (void)ws_access_rights(&list, name, name, &known);
    }
    ws_access_list_fini(&list);
    return 0;
}
